package s3api

import (
	"maps"
	"net/http"
	"net/url"

	"ironman/fsm"
	"ironman/s3api/checksum"
	"ironman/s3api/s3err"
	"ironman/s3api/s3xml"
	"ironman/s3api/transaction"
	"ironman/wal/event"
)

// operationRequests are those of all operations.
func (s *Server) operationRequests(r *Request, doc *transaction.Document) []*Request {
	subs := make([]*Request, len(doc.Operations))
	for i := range doc.Operations {
		subs[i] = s.operationRequest(r, &doc.Operations[i])
	}
	return subs
}

// operationRequest is the request that an operation would have been by itself: by the same
// caller, with the headers and the query that say what the document says.
func (s *Server) operationRequest(r *Request, o *transaction.Operation) *Request {
	sub := *r
	sub.bucket, sub.object, sub.source, sub.reason, sub.errorHeader, sub.charged = nil, nil, nil, nil, nil, false
	sub.ahead, sub.log = ahead{}, accessRecord{found: true}
	sub.Key, sub.Query, sub.Header = o.Key(), url.Values{}, http.Header{}
	for _, name := range [...]string{
		"Referer", "User-Agent", "X-Amz-Content-Sha256", "X-Amz-Expected-Bucket-Owner", "X-Amz-Request-Payer", "X-Amz-Source-Expected-Bucket-Owner",
	} {
		if values, ok := r.Header[name]; ok {
			sub.Header[name] = values
		}
	}
	switch {
	case o.Put != nil:
		sub.op = s.router.named("CompleteMultipartUpload")
		sub.askPut(o.Put)
	case o.Copy != nil:
		sub.op = s.router.named("CopyObject")
		sub.askCopy(o.Copy)
	default:
		sub.op = s.router.named("DeleteObject")
		sub.askDelete(o.Delete)
	}
	return &sub
}

// ask sets headers to what is not empty.
func (r *Request) ask(headers map[string]string) {
	for name, v := range headers {
		if v != "" {
			r.Header.Set(name, v)
		}
	}
}

func (r *Request) askPut(p *transaction.Put) {
	r.Query.Set("uploadId", p.UploadID)
	r.ask(map[string]string{
		"If-Match": p.IfMatch, "If-None-Match": p.IfNoneMatch, "X-Amz-Checksum-Type": p.ChecksumType,
		"X-Amz-Checksum-Crc32": p.CRC32, "X-Amz-Checksum-Crc32c": p.CRC32C, "X-Amz-Checksum-Crc64nvme": p.CRC64NVME,
		"X-Amz-Checksum-Sha1": p.SHA1, "X-Amz-Checksum-Sha256": p.SHA256,
	})
	if p.Size != nil {
		r.Header.Set("X-Amz-Mp-Object-Size", i64toa(*p.Size))
	}
}

func (r *Request) askCopy(c *transaction.Copy) {
	source := "/" + url.PathEscape(c.Source.Bucket) + "/" + url.PathEscape(c.Source.Key)
	if c.Source.VersionID != "" {
		source += "?versionId=" + url.QueryEscape(c.Source.VersionID)
	}
	r.ask(map[string]string{
		"X-Amz-Copy-Source": source, "X-Amz-Copy-Source-If-Match": c.Source.IfMatch, "X-Amz-Copy-Source-If-None-Match": c.Source.IfNoneMatch,
		"X-Amz-Metadata-Directive": c.MetadataDirective, "Cache-Control": c.CacheControl, "Content-Disposition": c.Disposition,
		"Content-Encoding": c.Encoding, "Content-Language": c.Language, "Content-Type": c.ContentType, "Expires": c.Expires,
		"X-Amz-Tagging-Directive": c.TaggingDirective, "X-Amz-Tagging": c.Tagging, "X-Amz-Storage-Class": c.StorageClass, "X-Amz-Acl": c.ACL,
		"X-Amz-Object-Lock-Mode": c.LockMode, "X-Amz-Object-Lock-Retain-Until-Date": c.LockUntil, "X-Amz-Object-Lock-Legal-Hold": c.LegalHold,
		"If-Match": c.IfMatch, "If-None-Match": c.IfNoneMatch,
	})
	for name, v := range c.Metadata {
		r.Header.Set(metaPrefix+name, v)
	}
}

func (r *Request) askDelete(d *transaction.Delete) {
	if d.VersionID != "" {
		r.Query.Set("versionId", d.VersionID)
	}
	r.ask(map[string]string{"If-Match": d.IfMatch, "X-Amz-If-Match-Last-Modified-Time": d.IfMatchLastModified})
	if d.IfMatchSize != nil {
		r.Header.Set("X-Amz-If-Match-Size", i64toa(*d.IfMatchSize))
	}
	if d.BypassGovernance {
		r.Header.Set("X-Amz-Bypass-Governance-Retention", "true")
	}
}

// readyOperation is an operation that was admitted, and that the view does not show to be
// refused.
type readyOperation struct {
	operation *event.TransactionOperation
	result    transaction.Result
	headers   *event.Headers // of a copy
	tags      *event.Tags
	pieces    int     // that its upload has
	grows     growing // what the bucket comes to hold
	decided   bool    // there is nothing to do
}

// checkOperation refuses before anything is looked up what no request could say: its key is
// no object's, or its headers are longer than they may be. Tags have limits of their own,
// and where they come in a document they may be longer than a header.
func (r *Request) checkOperation() error {
	if err := checkKey(r.Key); err != nil {
		return err
	}
	h := maps.Clone(r.Header)
	delete(h, "X-Amz-Tagging")
	if headerBytes(&http.Request{Header: h}) > maxHeaderBytes {
		return s3err.Newf("RequestHeaderSectionTooLarge", "What the operation says is longer than %d bytes as the headers of a request.", maxHeaderBytes).
			With("MaxSizeAllowed", itoa(maxHeaderBytes))
	}
	return nil
}

// readyOperation admits an operation and makes it ready.
func (s *Server) readyOperation(r *Request, o *transaction.Operation) (*readyOperation, error) {
	if err := s.admit(r); err != nil {
		return nil, err
	}
	var ready *readyOperation
	var err error
	switch {
	case o.Put != nil:
		ready, err = s.readyTransactionPut(r, o.Put)
	case o.Copy != nil:
		ready, err = s.readyTransactionCopy(r)
	default:
		ready, err = s.readyTransactionDelete(r)
	}
	if err != nil {
		return nil, err
	}
	ready.result.Key = r.Key
	return ready, nil
}

func (s *Server) readyTransactionDelete(r *Request) (*readyOperation, error) {
	target, decided, err := s.requestedTarget(r)
	if err != nil {
		return nil, err
	}
	ready := &readyOperation{operation: &event.TransactionOperation{Deleted: target}, decided: decided}
	old, err := r.view.Object(r.bucket.Bucket, r.Key)
	if old != nil && !versioned(r.bucket) {
		ready.grows = growing{-1, -int64(old.Size)}
	}
	return ready, err
}

func (s *Server) readyTransactionPut(r *Request, p *transaction.Put) (*readyOperation, error) {
	u, err := r.upload()
	if err != nil {
		return nil, err
	}
	pieces, stored, err := r.view.UploadPieces(u.Upload, fsm.MaxTransactionPieces)
	if err != nil || pieces > fsm.MaxTransactionPieces {
		return &readyOperation{pieces: pieces}, err
	}
	claim, err := checksum.ExpectObject(r.Header)
	if err != nil {
		return nil, err
	}
	doc := &s3xml.CompleteMultipartUpload{}
	for _, part := range p.Parts {
		doc.Parts = append(doc.Parts, s3xml.CompletedPart{PartNumber: part.PartNumber, ETag: s3xml.ETag(unquoted(part.ETag)), Checksums: s3xml.Checksums{
			ChecksumCRC32: part.CRC32, ChecksumCRC32C: part.CRC32C, ChecksumCRC64NVME: part.CRC64NVME, ChecksumSHA1: part.SHA1, ChecksumSHA256: part.SHA256,
		}})
	}
	c, err := s.readyCompletion(r, u, doc, claim)
	if err != nil {
		return nil, err
	}
	if c.sum.unknown && claim.Speaks(ownChecksum) {
		return nil, s3err.Newf("InvalidRequest", "The object's checksum can be compared only by reading its parts, which a transaction does not.")
	}
	return &readyOperation{
		operation: &event.TransactionOperation{Completed: c.event}, pieces: pieces, grows: r.replacing(c.old, c.event.Size, stored), result: transaction.Result{ETag: quoted(c.event.Etag), Size: sizeOf(c.event.Size)},
	}, nil
}

// growing is what an operation adds to what a quota counts.
type growing struct{ objects, bytes int64 }

// replacing is the growth by an object of so many bytes, of which so many were counted
// already.
func (r *Request) replacing(old *fsm.Object, size, counted uint64) growing {
	g := growing{1, int64(size) - int64(counted)}
	if old != nil && !versioned(r.bucket) {
		g.objects, g.bytes = 0, g.bytes-int64(old.Size)
	}
	return g
}

// foreseeQuota refuses what the view shows to be beyond a quota. Apply decides. What comes
// of the null version of a suspended bucket, and of a version that goes, is left to it.
func (r *Request) foreseeQuota(all []*readyOperation) error {
	if r.bucket.Versioning == event.VersioningState_VERSIONING_STATE_SUSPENDED {
		return nil
	}
	var sum growing
	for _, o := range all {
		if d := o.operation.Deleted; d != nil && (d.Version != nil || d.NullVersion) {
			return nil
		}
		sum.objects, sum.bytes = sum.objects+o.grows.objects, sum.bytes+o.grows.bytes
	}
	beyond, err := r.view.BeyondQuota(r.bucket, uint64(max(0, sum.objects)), uint64(max(0, sum.bytes)))
	if err == nil && beyond {
		err = s3err.New("QuotaExceeded")
	}
	return err
}

func (s *Server) readyTransactionCopy(r *Request) (*readyOperation, error) {
	c, err := s.readyCopy(r)
	if err != nil {
		return nil, err
	}
	shared, err := r.source.shareBody(c.to, c.event)
	if err != nil {
		return nil, err
	}
	if !shared {
		return nil, s3err.Newf("InvalidRequest", "The copy is encrypted in another way than its source, so that its bytes must be read. Begin an upload of the key, copy the source into it as a part, and put that.")
	}
	c.event.Checksum = r.source.object.Checksum
	return &readyOperation{
		operation: &event.TransactionOperation{Copied: c.event}, headers: c.headers, tags: c.tags, grows: r.replacing(c.old, c.event.Size, 0),
		result: transaction.Result{ETag: quoted(c.event.Etag), Size: sizeOf(c.event.Size)},
	}, nil
}

func quoted(etag string) string { return `"` + etag + `"` }

// unquoted is an entity tag as it is compared; it may come with its quotes or without.
func unquoted(etag string) string {
	if len(etag) >= 2 && etag[0] == '"' && etag[len(etag)-1] == '"' {
		return etag[1 : len(etag)-1]
	}
	return etag
}

func sizeOf(n uint64) *int64 {
	size := int64(n)
	return &size
}
