package s3api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"

	"ironman/fsm"
	"ironman/s3api/checksum"
	"ironman/s3api/s3err"
	"ironman/s3api/s3xml"
	"ironman/wal/event"
)

// copySource is the object that a copy or rename reads, already authorised.
type copySource struct {
	bucket *fsm.Bucket
	key    string
	object *fsm.Object
	from   *opening // nil: its bytes are plain
	// version is the version id that was named; "": the current one was not. To copy one
	// that was onto its own key makes it current again.
	version string
}

// pin names the version in an event.
func (c *copySource) pin() *event.CopySource {
	return &event.CopySource{Bucket: c.bucket.Bucket, Version: c.object.Version, NullVersion: c.object.NullVersion}
}

// setVersion names the version that was copied, where its bucket has versions.
func (c *copySource) setVersion(h http.Header) {
	if versioned(c.bucket) {
		h.Set("X-Amz-Copy-Source-Version-Id", objectVersionID(c.object))
	}
}

// takeSource finds what a copy or rename takes its tags from, before it is decided on the
// target: conditions there ask for them.
func (s *Server) takeSource(r *Request) error {
	var err error
	switch r.op.name {
	case "CopyObject":
		if r.principal.Anonymous() {
			return s3err.Newf("AccessDenied", "Anonymous users cannot copy objects. Please authenticate.")
		}
		if r.source, err = s.findSource(r); err == nil {
			err = s.admitSourceTags(r)
		}
	case "RenameObject":
		r.source, err = s.renameSource(r)
	}
	return err
}

// admitSourceTags: a copy shows the tags that it keeps to whoever may read the copy's.
func (s *Server) admitSourceTags(r *Request) error {
	if src := r.source; r.setsTags() && r.keepsTags() {
		q := question{action: "s3:GetObjectTagging", bucket: src.bucket, key: src.key, object: src.object, version: src.version}
		if src.version != "" {
			q.action = versionAction(q.action)
		}
		return s.alsoDecide(r, q)
	}
	return nil
}

// copySource finds and opens what a copy reads.
func (s *Server) copySource(r *Request) (*copySource, error) {
	src, err := s.findSource(r)
	if err != nil {
		return nil, err
	}
	return src, r.openSource(src)
}

// openSource settles whether the copy still is wanted, and how its bytes are read.
func (r *Request) openSource(src *copySource) error {
	if err := r.copyConditions(src.object); err != nil {
		return err
	}
	customer, err := r.customerKey(sourcePrefix)
	if err != nil {
		return err
	}
	src.from, err = r.opening(src.object, customer)
	return err
}

// findSource reads x-amz-copy-source, and authorises the read of what it names
// exactly as a GetObject of it would be.
func (s *Server) findSource(r *Request) (*copySource, error) {
	bucket, key, version, err := parseCopySource(r.Header.Get("X-Amz-Copy-Source"))
	if err != nil {
		return nil, err
	}
	note := r.noteSource(bucket, key, version)
	row, err := r.view.BucketByName(bucket)
	if err != nil {
		return nil, err
	}
	note.in(row)
	if row == nil && strings.Contains(bucket, momentMark) {
		return nil, s3err.InvalidArgument("x-amz-copy-source", bucket, "A bucket as of a moment is no source of a copy: read the object, and put it.")
	}
	if row == nil {
		return nil, s3err.New("NoSuchBucket").With("BucketName", bucket)
	}
	o, err := s.admitRead(r, row, key, wanted{version, version != ""})
	note.decided(o, r.why, err)
	if err != nil {
		return nil, err
	}
	return &copySource{bucket: row, key: key, object: o, version: version}, nil
}

// parseCopySource splits "/bucket/key?versionId=v", of which the path is
// percent-encoded. Nothing is normalised.
func parseCopySource(v string) (bucket, key, version string, err error) {
	path, query, _ := strings.Cut(v, "?")
	path, err = url.PathUnescape(path)
	if err != nil {
		return "", "", "", invalidCopySource(v)
	}
	bucket, key, _ = strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if bucket == "" || key == "" || len(key) > maxKeyBytes || !utf8.ValidString(key) {
		return "", "", "", invalidCopySource(v)
	}
	if query != "" {
		q, err := url.ParseQuery(query)
		if err != nil || !q.Has("versionId") || len(q) != 1 {
			return "", "", "", invalidCopySource(v)
		}
		if version = q.Get("versionId"); version == "" {
			return "", "", "", s3err.InvalidArgument("x-amz-copy-source", v, "Version id cannot be the empty string")
		}
	}
	return bucket, key, version, nil
}

func invalidCopySource(v string) error {
	return s3err.Newf("InvalidArgument", "Copy Source must mention the source bucket and key: sourcebucket/sourcekey").
		With("ArgumentName", "x-amz-copy-source").With("ArgumentValue", v)
}

// copyObject makes an object of another's bytes, by reference: no byte is read
// unless a checksum is asked for that the source does not have, and none moves
// unless the copy is encrypted in another way.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
func (s *Server) copyObject(ctx context.Context, r *Request) (*Response, error) {
	return s.afresh(ctx, r, s.copyOnce, event.Refusal_REFUSAL_SOURCE_CHANGED)
}

// copyOnce copies the object that the view shows.
func (s *Server) copyOnce(ctx context.Context, r *Request) (*Response, error) {
	c, err := s.readyCopy(r)
	if err != nil {
		return nil, err
	}
	put, src, to, tags := c.event, r.source, c.to, c.tags
	if err := r.roomForObject(int64(src.object.Size), c.old); err != nil {
		return nil, err
	}
	rules, err := r.lifecycleRules()
	if err != nil {
		return nil, err
	}
	if err := s.copyBody(ctx, r, src, to, put); err != nil {
		return nil, err
	}
	r.closeView()
	d := event.NewDraft(nil, &event.Statement_ObjectPut{ObjectPut: put}).AddText(event.ItemKind_ITEM_KIND_KEY, 0, r.Key)
	if put.Source != nil {
		d.AddText(event.ItemKind_ITEM_KIND_SOURCE_KEY, 0, src.key)
	}
	d.AddMessage(event.ItemKind_ITEM_KIND_HEADERS, 0, c.headers).AddMessage(event.ItemKind_ITEM_KIND_TAGS, 0, tags)
	o, err := s.propose(ctx, r, d)
	if err != nil {
		s.abandon(put.Blobs)
		return nil, err
	}
	h := http.Header{}
	setNewVersion(h, o.Version, o.NullVersion)
	src.setVersion(h)
	out := &s3xml.CopyObjectResult{ETag: s3xml.ETag(put.Etag), LastModified: s3xml.Time(o.Time)}
	if put.Checksum != nil {
		out.Checksums, out.ChecksumType = checksumsXML(put.Checksum, put.Etag), checksumType(put.Checksum.Composite)
	}
	resp := &Response{Header: h, XML: out}
	to.headers(resp.Header)
	setExpiration(h, rules, r.Key, int64(put.Size), o.Time, tags)
	return resp, nil
}

// readiedCopy is a copy that the view does not show to be refused, but for its bytes.
type readiedCopy struct {
	event   *event.ObjectPut
	to      *sealing
	headers *event.Headers
	tags    *event.Tags
	old     *fsm.Object // that it replaces; nil: none
}

// readyCopy settles all that a copy is but for its bytes.
func (s *Server) readyCopy(r *Request) (*readiedCopy, error) {
	put, err := s.newPut(r)
	if err != nil {
		return nil, err
	}
	src := r.source
	if err := r.openSource(src); err != nil {
		return nil, err
	}
	if src.object.Size > maxPutBytes {
		return nil, sourceTooLarge()
	}
	to, err := r.newSealing()
	if err != nil {
		return nil, err
	}
	headers, tags, err := r.copyDirectives(src, put)
	if err != nil {
		return nil, err
	}
	old, err := r.view.Object(r.bucket.Bucket, r.Key)
	if err != nil {
		return nil, err
	}
	return &readiedCopy{put, to, headers, tags, old}, s.foresee(r, put.Condition, old)
}

// shareBody gives a copy the source's own bytes, with its keys wrapped anew where that is
// called for. It is false where they must be encrypted in another way.
func (src *copySource) shareBody(to *sealing, put *event.ObjectPut) (bool, error) {
	to.adopt(src.from)
	keys, shared, err := src.from.share(to, src.from.all())
	if err != nil || !shared {
		return false, err
	}
	put.Source = src.pin()
	put.Size, put.Etag, put.Encryption = src.object.Size, src.object.Etag, to.encryption(keys...)
	return true, nil
}

// copyBody settles what bytes a copy has: the source's own, or new ones, if it is encrypted
// in another way.
func (s *Server) copyBody(ctx context.Context, r *Request, src *copySource, to *sealing, put *event.ObjectPut) error {
	shared, err := src.shareBody(to, put)
	if err != nil {
		return err
	}
	if shared {
		put.Checksum, err = s.copyChecksum(ctx, r, src)
		return err
	}
	algorithm, err := copyAlgorithm(r, src.object)
	if err != nil {
		return err
	}
	segments, _, err := r.view.Body(src.object)
	if err != nil {
		return err
	}
	blobs, encryption, read, err := s.recode(ctx, r, segments, byteRange{0, int64(src.object.Size)}, src.from, to, algorithm)
	if err != nil {
		return err
	}
	put.Blobs, put.Size, put.Encryption = blobs, uint64(read.size), encryption
	put.Etag, put.Checksum = to.etag(read.etag), read.checksum
	return nil
}

// copyAlgorithm is that of the checksum of a copy whose bytes are read: the one that is
// asked for, the source's, or the store's own.
func copyAlgorithm(r *Request, src *fsm.Object) (event.ChecksumAlgorithm, error) {
	if name := r.Header.Get("X-Amz-Checksum-Algorithm"); name != "" {
		return checksum.ParseAlgorithm(name)
	}
	if a := src.Checksum.GetAlgorithm(); a != noChecksum && !src.Checksum.GetComposite() {
		return a, nil
	}
	return ownChecksum, nil
}

func sourceTooLarge() error {
	return s3err.Newf("InvalidRequest", "The specified copy source is larger than the maximum allowable size for a copy source: %d", int64(maxPutBytes))
}

// copyDirectives settles what of the source's headers and tags the copy keeps.
func (r *Request) copyDirectives(src *copySource, put *event.ObjectPut) (*event.Headers, *event.Tags, error) {
	replace, err := directive(r.Header.Get("X-Amz-Metadata-Directive"), "x-amz-metadata-directive")
	if err != nil {
		return nil, nil, err
	}
	replaceTags, err := directive(r.Header.Get("X-Amz-Tagging-Directive"), "x-amz-tagging-directive")
	if err != nil {
		return nil, nil, err
	}
	same := src.bucket.Bucket == r.bucket.Bucket && src.key == r.Key && src.version == ""
	if same && !replace && r.Header.Get("X-Amz-Storage-Class") == "" && r.Header.Get("X-Amz-Website-Redirect-Location") == "" && !r.asksEncryption() {
		return nil, nil, s3err.Newf("InvalidRequest", "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.")
	}
	headers, tags, err := r.stored()
	if err != nil {
		return nil, nil, err
	}
	if !replace {
		redirect := headers.WebsiteRedirect // is never copied
		headers = &event.Headers{}
		if h := src.object.Headers; h != nil {
			headers = h
		}
		headers.WebsiteRedirect = redirect
	}
	if !replaceTags {
		tags = src.object.Tags
		if tags == nil {
			tags = &event.Tags{}
		}
	}
	return headers, tags, nil
}

// directive reads COPY (the default) or REPLACE.
func directive(v, name string) (replace bool, err error) {
	switch v {
	case "", "COPY":
		return false, nil
	case "REPLACE":
		return true, nil
	}
	return false, s3err.Newf("InvalidArgument", "Unknown %s.", strings.TrimPrefix(name, "x-amz-")).
		With("ArgumentName", name).With("ArgumentValue", v)
}

// copyChecksum is the checksum that the copy keeps: the source's, unless the
// client asks for one that the source does not have. Then its bytes are read.
func (s *Server) copyChecksum(ctx context.Context, r *Request, source *copySource) (*event.Checksum, error) {
	src := source.object
	name := r.Header.Get("X-Amz-Checksum-Algorithm")
	if name == "" {
		return src.Checksum, nil
	}
	algorithm, err := checksum.ParseAlgorithm(name)
	if err != nil {
		return nil, err
	}
	if src.Checksum.GetAlgorithm() == algorithm && !src.Checksum.GetComposite() {
		return src.Checksum, nil
	}
	segments, _, err := r.view.Body(src)
	if err != nil {
		return nil, err
	}
	read, err := s.digestRange(ctx, r, segments, byteRange{0, int64(src.Size)}, source.from, algorithm)
	if err != nil {
		return nil, err
	}
	return read.checksum, nil
}

// digestRange reads a range of a body for its digests. It closes the view.
func (s *Server) digestRange(ctx context.Context, r *Request, segments []*event.Segment, rng byteRange, from *opening, algorithm event.ChecksumAlgorithm) (*received, error) {
	pieces, err := r.pieces(segments, rng)
	if err != nil {
		return nil, err
	}
	r.closeView()
	d := checksum.New(checksum.Want{Algorithm: algorithm, Size: rng.length})
	if len(pieces) > 0 {
		body, err := s.openPieces(ctx, pieces, from)
		if err != nil {
			return nil, err
		}
		_, err = body.WriteTo(d)
		if err := errors.Join(err, body.Close()); err != nil {
			return nil, err
		}
	}
	return receivedOf(d.Sums(), rng.length), nil
}
