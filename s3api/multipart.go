package s3api

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"ironman/fsm"
	"ironman/s3api/checksum"
	"ironman/s3api/s3err"
	"ironman/s3api/s3xml"
	"ironman/wal/event"
)

// Limits of multipart uploads.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html
const (
	maxPartNumber  = 10000
	minPartBytes   = 5 << 20 // but for the last
	maxObjectBytes = 50 << 40
)

// createMultipartUpload begins an upload.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html
func (s *Server) createMultipartUpload(ctx context.Context, r *Request) (*Response, error) {
	if r.principal.Anonymous() {
		return nil, s3err.Newf("AccessDenied", "Anonymous users cannot initiate multipart uploads. Please authenticate.")
	}
	put, err := s.newPut(r)
	if err != nil {
		return nil, err
	}
	to, err := r.newSealing()
	if err != nil {
		return nil, err
	}
	headers, tags, err := r.stored()
	if err != nil {
		return nil, err
	}
	algorithm, composite, err := checksum.ExpectUpload(r.Header)
	if err != nil {
		return nil, err
	}
	if err := s.mayBegin(r); err != nil {
		return nil, err
	}
	rules, err := r.lifecycleRules()
	if err != nil {
		return nil, err
	}
	r.closeView()
	d := event.NewDraft(nil, &event.Statement_UploadCreated{UploadCreated: &event.UploadCreated{
		Bucket: put.Bucket, Owner: put.Owner, Initiator: r.principalID(), Acl: put.Acl, StorageClass: put.StorageClass,
		ChecksumAlgorithm: algorithm, ChecksumComposite: composite, Lock: put.Lock,
		Encryption: to.encryption(),
	}}).AddText(event.ItemKind_ITEM_KIND_KEY, 0, r.Key).
		AddMessage(event.ItemKind_ITEM_KIND_HEADERS, 0, headers).
		AddMessage(event.ItemKind_ITEM_KIND_TAGS, 0, tags)
	o, err := s.propose(ctx, r, d)
	if err != nil {
		return nil, err
	}
	resp := &Response{Header: http.Header{}, XML: &s3xml.InitiateMultipartUploadResult{Bucket: r.Bucket, Key: r.Key, UploadID: o.Version.ID()}}
	to.headers(resp.Header)
	setAbortion(resp.Header, rules, r.Key, o.Time)
	if algorithm != noChecksum {
		resp.Header.Set("X-Amz-Checksum-Algorithm", checksum.Name(algorithm))
		resp.Header.Set("X-Amz-Checksum-Type", checksumType(composite))
	}
	return resp, nil
}

// mayBegin refuses an upload where too many are open: each is a row that no quota counts,
// and that whoever may write could make without an end. Requests that come at once may
// pass it by their number.
func (s *Server) mayBegin(r *Request) error {
	u, err := r.view.Usage(r.bucket.Bucket)
	if err != nil {
		return err
	}
	if most := cmp.Or(s.MaxUploads, DefaultMaxUploads); u.GetUploads() >= most {
		return s3err.Newf("SlowDown", "The bucket has %d open multipart uploads, as many as it may have. Complete or abort some.", most)
	}
	return nil
}

// upload finds the open upload that the query names.
func (r *Request) upload() (*fsm.Upload, error) {
	id, ok := event.ParseVersionID(r.Query.Get("uploadId"))
	if !ok {
		return nil, noSuchUpload(r)
	}
	u, err := r.view.Upload(r.bucket.Bucket, r.Key, id)
	if err == nil && u == nil {
		err = noSuchUpload(r)
	}
	return u, err
}

func noSuchUpload(r *Request) error {
	return s3err.New("NoSuchUpload").With("UploadId", r.Query.Get("uploadId"))
}

// partNumber reads the number of a part.
func (r *Request) partNumber() (uint32, error) {
	n, err := strconv.Atoi(r.Query.Get("partNumber"))
	if err != nil || n < 1 || n > maxPartNumber {
		return 0, s3err.Newf("InvalidArgument", "Part number must be an integer between 1 and 10000, inclusive").
			With("ArgumentName", "partNumber").With("ArgumentValue", r.Query.Get("partNumber"))
	}
	return uint32(n), nil
}

// uploadPart stores a part.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPart.html
func (s *Server) uploadPart(ctx context.Context, r *Request) (*Response, error) {
	number, err := r.partNumber()
	if err != nil {
		return nil, err
	}
	if err := r.refuseHeaders(appendHeader, lockHeaders); err != nil {
		return nil, err
	}
	u, err := r.upload()
	if err != nil {
		return nil, err
	}
	if err := r.checkPartAlgorithm(u); err != nil {
		return nil, err
	}
	to, err := r.uploadSealing(u)
	if err != nil {
		return nil, err
	}
	if err := r.roomForPart(r.identity.DecodedLength, u, number); err != nil {
		return nil, err
	}
	r.closeView()
	wanted := sums{algorithm: u.ChecksumAlgorithm}
	if u.ChecksumAlgorithm == noChecksum {
		wanted.also = ownChecksum
	}
	blobs, body, err := s.receive(ctx, r, wanted, to)
	if err != nil {
		return nil, err
	}
	kept := body.checksum
	if wanted.also != noChecksum {
		kept = body.also
	}
	d := event.NewDraft(nil, &event.Statement_PartPut{PartPut: &event.PartPut{
		Bucket: r.bucket.Bucket, Upload: u.Upload, Number: number, Blobs: blobs,
		Size: uint64(body.size), Etag: body.etag, Checksum: kept,
		Encryption: partEncryption(body.encryption),
	}}).AddText(event.ItemKind_ITEM_KIND_KEY, 0, r.Key)
	if _, err := s.propose(ctx, r, d); err != nil {
		s.abandon(blobs)
		return nil, err
	}
	resp := &Response{Header: http.Header{"Etag": {`"` + body.etag + `"`}}}
	setPartChecksum(resp.Header, body.checksum)
	to.headers(resp.Header)
	return resp, nil
}

// uploadPartCopy makes a part of a range of another object, by reference. Its
// entity tag is then not the MD5 of its bytes, which nobody has read; where the
// upload wants checksums they are read, and it is. Where the upload is encrypted in
// another way than the source the bytes are read and stored anew.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html
func (s *Server) uploadPartCopy(ctx context.Context, r *Request) (*Response, error) {
	return s.afresh(ctx, r, s.copyPartOnce, event.Refusal_REFUSAL_SOURCE_CHANGED)
}

// copyPartOnce copies a range of the object that the view shows.
func (s *Server) copyPartOnce(ctx context.Context, r *Request) (*Response, error) {
	number, err := r.partNumber()
	if err != nil {
		return nil, err
	}
	if err := r.refuseHeaders(appendHeader, lockHeaders); err != nil {
		return nil, err
	}
	u, err := r.upload()
	if err != nil {
		return nil, err
	}
	to, err := r.uploadSealing(u)
	if err != nil {
		return nil, err
	}
	src, err := s.copySource(r)
	if err != nil {
		return nil, err
	}
	r.source = src
	part := &event.PartPut{Bucket: r.bucket.Bucket, Upload: u.Upload, Number: number}
	if err := s.copyPart(ctx, r, u, src, to, part); err != nil {
		return nil, err
	}
	r.closeView()
	d := event.NewDraft(nil, &event.Statement_PartPut{PartPut: part}).AddText(event.ItemKind_ITEM_KIND_KEY, 0, r.Key)
	if part.Source != nil {
		d.AddText(event.ItemKind_ITEM_KIND_SOURCE_KEY, 0, src.key)
	}
	o, err := s.propose(ctx, r, d)
	if err != nil {
		s.abandon(part.Blobs)
		return nil, err
	}
	h := http.Header{}
	src.setVersion(h)
	out := &s3xml.CopyPartResult{ETag: s3xml.ETag(part.Etag), LastModified: s3xml.Time(o.Time)}
	if u.ChecksumAlgorithm != noChecksum {
		out.Checksums = checksumsXML(part.Checksum, part.Etag)
	}
	resp := &Response{Header: h, XML: out}
	to.headers(resp.Header)
	return resp, nil
}

// copyRange reads x-amz-copy-source-range, which must lie inside the source.
func (r *Request) copyRange(size int64) (byteRange, error) {
	v := r.Header.Get("X-Amz-Copy-Source-Range")
	if v == "" {
		if size > maxPutBytes {
			return byteRange{}, sourceTooLarge()
		}
		return byteRange{0, size}, nil
	}
	spec, found := strings.CutPrefix(v, "bytes=")
	first, last, cut := strings.Cut(spec, "-")
	from, ok1 := digits(first)
	to, ok2 := digits(last)
	if !found || !cut || !ok1 || !ok2 || from > to {
		return byteRange{}, s3err.Newf("InvalidArgument", "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy").
			With("ArgumentName", "x-amz-copy-source-range").With("ArgumentValue", v)
	}
	if to >= size {
		return byteRange{}, s3err.Newf("InvalidRange", "Range specified is not valid for source object of size: %d", size)
	}
	if to-from >= maxPutBytes {
		return byteRange{}, sourceTooLarge()
	}
	return byteRange{from, to - from + 1}, nil
}

// copiedTag is the entity tag of a range that is copied by reference: the
// source's own for all of a plain object, else one that names source and range.
func copiedTag(o *fsm.Object, rng byteRange) string {
	if rng.length == int64(o.Size) && !strings.Contains(o.Etag, "-") {
		return o.Etag
	}
	d := checksum.New(checksum.Want{})
	d.Write([]byte(o.Etag + " " + o.Version.ID() + " " + i64toa(rng.offset) + " " + i64toa(rng.length)))
	return checksum.ETag(d.Sums().MD5)
}

// copiedChecksum is the store's own checksum of a range that is copied by reference:
// that of the source for all of it, else none, for nobody reads the bytes.
func copiedChecksum(o *fsm.Object, rng byteRange) *event.Checksum {
	if rng.length == int64(o.Size) && o.Checksum.GetAlgorithm() == ownChecksum {
		return o.Checksum
	}
	return nil
}

// completeMultipartUpload makes an object of parts.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html
func (s *Server) completeMultipartUpload(ctx context.Context, r *Request) (*Response, error) {
	claim, err := r.takeObjectChecksum()
	if err != nil {
		return nil, err
	}
	var doc s3xml.CompleteMultipartUpload
	err = r.decodeXML(s3xml.MaxCompleteBody, &doc)
	if errors.Is(err, s3xml.ErrEmpty) {
		err = s3err.New("MalformedXML")
	}
	if err != nil {
		return nil, err
	}
	// A part may be stored again meanwhile, with the very bytes that the client lists.
	return s.afresh(ctx, r, func(ctx context.Context, r *Request) (*Response, error) {
		return s.completeOnce(ctx, r, &doc, claim)
	}, event.Refusal_REFUSAL_INVALID_PART)
}

// completeOnce makes an object of the parts that the view shows.
func (s *Server) completeOnce(ctx context.Context, r *Request, doc *s3xml.CompleteMultipartUpload, claim *checksum.Claim) (*Response, error) {
	id, ok := event.ParseVersionID(r.Query.Get("uploadId"))
	if !ok {
		return nil, noSuchUpload(r)
	}
	u, err := r.view.Upload(r.bucket.Bucket, r.Key, id)
	if err != nil {
		return nil, err
	}
	if u == nil {
		return s.completedBefore(r, id)
	}
	c, err := s.readyCompletion(r, u, doc, claim)
	if err != nil {
		return nil, err
	}
	rules, err := r.lifecycleRules()
	if err != nil {
		return nil, err
	}
	done := c.event
	if err := s.readClaimed(ctx, r, c.sum, c.to, done); err != nil {
		return nil, err
	}
	r.closeView()
	r.log.size = int64(done.Size)
	d := event.NewDraft(nil, &event.Statement_UploadCompleted{UploadCompleted: done}).AddText(event.ItemKind_ITEM_KIND_KEY, 0, r.Key)
	o, err := s.propose(ctx, r, d)
	if err != nil {
		return nil, err
	}
	resp := r.completed(o.Etag, done.Checksum, o.Version, o.NullVersion)
	c.to.headers(resp.Header)
	setExpiration(resp.Header, rules, r.Key, int64(done.Size), o.Time, u.Tags)
	return resp, nil
}

// readied is a completion that the view does not show to be refused.
type readied struct {
	event *event.UploadCompleted
	sum   *completion
	to    *sealing
	old   *fsm.Object // that it replaces; nil: none
}

// readyCompletion makes the event of a completion of the parts that the view shows.
func (s *Server) readyCompletion(r *Request, u *fsm.Upload, doc *s3xml.CompleteMultipartUpload, claim *checksum.Claim) (*readied, error) {
	condition, err := r.writeCondition()
	if err != nil {
		return nil, err
	}
	to, err := r.completionSealing(u)
	if err != nil {
		return nil, err
	}
	done, sum, err := r.assemble(u, doc, claim)
	if err != nil {
		return nil, err
	}
	old, err := r.view.Object(r.bucket.Bucket, r.Key)
	if err != nil {
		return nil, err
	}
	done.Condition = condition
	return &readied{done, sum, to, old}, s.foresee(r, condition, old)
}

// completedBefore answers a repeated completion as the first was, for as long as the
// version that it made is there.
func (s *Server) completedBefore(r *Request, id *event.Version) (*Response, error) {
	o, err := r.view.Completed(r.bucket.Bucket, r.Key, id)
	if err != nil {
		return nil, err
	}
	if o == nil {
		return nil, noSuchUpload(r)
	}
	if err := s.mayLearn(r, o); err != nil {
		return nil, err
	}
	r.happened(o.Version.GetSeq())
	resp := r.completed(o.Etag, o.Checksum, o.Version, o.NullVersion)
	encryptionHeaders(resp.Header, o.Encryption, nil)
	return resp, nil
}

// mayLearn decides on telling what an upload became: its id can be guessed, and the answer
// tells of the object.
func (s *Server) mayLearn(r *Request, o *fsm.Object) error {
	if o.Owner == r.principal.Owner() {
		return nil
	}
	err := s.admitRow(r, "s3:GetObject", r.bucket, r.Key, o, wanted{})
	if s3err.Is(err, "AccessDenied") {
		err = noSuchUpload(r)
	}
	return err
}

func (r *Request) completed(etag string, c *event.Checksum, version *event.Version, null bool) *Response {
	out := &s3xml.CompleteMultipartUploadResult{
		Location: "http://" + r.HTTP.Host + r.HTTP.URL.EscapedPath(), Bucket: r.Bucket, Key: r.Key, ETag: s3xml.ETag(etag),
	}
	if r.HTTP.TLS != nil {
		out.Location = strings.Replace(out.Location, "http:", "https:", 1)
	}
	if c != nil {
		out.Checksums, out.ChecksumType = checksumsXML(c, etag), checksumType(c.Composite)
	}
	h := http.Header{}
	setNewVersion(h, version, null)
	return &Response{Header: h, XML: out}
}

// assemble judges the parts that the client lists against those stored.
func (r *Request) assemble(u *fsm.Upload, doc *s3xml.CompleteMultipartUpload, claim *checksum.Claim) (*event.UploadCompleted, *completion, error) {
	if len(doc.Parts) == 0 {
		return nil, nil, s3err.New("MalformedXML")
	}
	done := &event.UploadCompleted{Bucket: r.bucket.Bucket, Upload: u.Upload}
	sum := &completion{upload: u, claim: claim}
	if err := checkOrder(u, doc.Parts); err != nil {
		return nil, nil, err
	}
	doc.Parts = lastOfEach(doc.Parts)
	segments := 0
	for i, p := range doc.Parts {
		if p.PartNumber > maxPartNumber {
			return nil, nil, invalidPart(u, &p)
		}
		part, err := r.view.Part(u.Upload, uint32(p.PartNumber))
		if err != nil {
			return nil, nil, err
		}
		if part == nil || !strings.EqualFold(part.Etag, string(p.ETag)) {
			return nil, nil, invalidPart(u, &p)
		}
		if part.Size < minPartBytes && i < len(doc.Parts)-1 {
			return nil, nil, s3err.New("EntityTooSmall").With("ProposedSize", strconv.FormatUint(part.Size, 10)).
				With("MinSizeAllowed", itoa(minPartBytes)).With("PartNumber", itoa(p.PartNumber)).With("ETag", part.Etag)
		}
		if err := sum.add(part, &p); err != nil {
			return nil, nil, err
		}
		if segments += len(part.Segments); segments > maxObjectSegments {
			return nil, nil, s3err.Newf("InvalidRequest", "The parts are made of more than %d pieces of other uploads.", maxObjectSegments)
		}
		done.Size += part.Size
		done.Parts = append(done.Parts, &event.CompletedPart{Number: part.Number, Seq: part.Seq})
	}
	if done.Size > maxObjectBytes {
		return nil, nil, s3err.New("EntityTooLarge")
	}
	if v := r.Header.Get("X-Amz-Mp-Object-Size"); v != "" && v != strconv.FormatUint(done.Size, 10) {
		return nil, nil, s3err.Newf("InvalidRequest", "The provided 'x-amz-mp-object-size' header value %s does not match what was computed: %d", v, done.Size)
	}
	var err error
	done.Etag, done.Checksum, err = sum.finish()
	return done, sum, err
}

// checkOrder judges the list of parts by itself.
func checkOrder(u *fsm.Upload, parts []s3xml.CompletedPart) error {
	last := 0
	for _, p := range parts {
		if p.PartNumber < 1 {
			return s3err.InvalidArgument("PartNumber", itoa(p.PartNumber), "PartNumber must be >= 1")
		}
		if p.PartNumber < last {
			return s3err.New("InvalidPartOrder").With("UploadId", u.Upload.ID())
		}
		last = p.PartNumber
	}
	return nil
}

// lastOfEach keeps the last of those that follow each other with the same number: a client
// that sent a part again lists it twice.
func lastOfEach(parts []s3xml.CompletedPart) []s3xml.CompletedPart {
	kept := parts[:0]
	for i, p := range parts {
		if i == len(parts)-1 || parts[i+1].PartNumber != p.PartNumber {
			kept = append(kept, p)
		}
	}
	return kept
}

func invalidPart(u *fsm.Upload, p *s3xml.CompletedPart) error {
	return s3err.New("InvalidPart").With("UploadId", u.Upload.ID()).
		With("PartNumber", itoa(p.PartNumber)).With("ETag", string(p.ETag))
}

// abortMultipartUpload forgets an upload.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html
func (s *Server) abortMultipartUpload(ctx context.Context, r *Request) (*Response, error) {
	u, err := r.upload()
	if err != nil {
		return nil, err
	}
	r.closeView()
	_, err = s.propose(ctx, r, event.NewDraft(nil, &event.Statement_UploadAborted{UploadAborted: &event.UploadAborted{
		Bucket: r.bucket.Bucket, Upload: u.Upload,
	}}).AddText(event.ItemKind_ITEM_KIND_KEY, 0, r.Key))
	if err != nil {
		return nil, err
	}
	return noContent(), nil
}
