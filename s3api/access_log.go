package s3api

import (
	"net"
	"time"

	"ironman/fsm"
	"ironman/s3api/accesslog"
	"ironman/s3api/s3xml"
	"ironman/wal/event"
)

// accessRecord is what the access log is to be told of a request that the request itself
// does not hold, and where that goes.
type accessRecord struct {
	// found: it was looked for where lines go. That is settled by the first view, so that
	// what deletes the bucket, or its configuration, is still in the log.
	found bool
	// bucket and source are the request's bucket and that which it copies from; nil: they
	// have no access log.
	bucket, source *accesslog.Source
	each           []eachKey // of an operation on a list of them
	size           int64     // of an object that was put together
}

// eachKey is what became of one key of a list.
type eachKey struct {
	operation    string
	key, version string
	status       int
	code         string // "": it was done
}

const loggingKind = event.DocumentKind_DOCUMENT_KIND_LOGGING

// deleted notes what became of a key, if its bucket has an access log.
func (a *accessRecord) deleted(b *fsm.Bucket, id *s3xml.ObjectIdentifier, status int, code string) {
	if b.Lists(loggingKind) {
		a.each = append(a.each, eachKey{accesslog.BatchDelete, id.Key, id.VersionID, status, code})
	}
}

// did notes what was done to a key, likewise.
func (a *accessRecord) did(b *fsm.Bucket, operation, key, version string, status int) {
	if b.Lists(loggingKind) {
		a.each = append(a.each, eachKey{operation, key, version, status, ""})
	}
}

// findLog settles where the lines of the request go, before its view is given back.
// Requests that were refused before their bucket was looked up are logged, too.
func (r *Request) findLog() {
	if r.server.AccessLog == nil || r.Bucket == "" || r.log.found {
		return
	}
	r.log.found = true
	b := r.bucket
	var err error
	if b == nil {
		b, err = r.view.BucketByName(r.Bucket)
	}
	if err == nil {
		r.log.bucket, err = r.logSource(b)
	}
	if err == nil && r.source != nil && r.op.header == "X-Amz-Copy-Source" {
		r.log.source, err = r.logSource(r.source.bucket)
	}
	if err != nil {
		r.server.Logger.Error("where the access log of a bucket goes could not be read", "request", r.RequestID(), "bucket", r.Bucket, "err", err)
	}
}

// logSource is a bucket as the source of lines; nil: it has no access log.
func (r *Request) logSource(b *fsm.Bucket) (*accesslog.Source, error) {
	if !b.Lists(loggingKind) {
		return nil, nil
	}
	d, err := document(r.view, b, loggingKind)
	if err != nil || d == nil {
		return nil, err
	}
	return &accesslog.Source{Bucket: b.Bucket, Name: b.Name, Owner: b.Owner, Config: string(d.Text)}, nil
}

// logAccess tells the access logs of a request that was answered.
func (s *Server) logAccess(out *answer, r *Request, start time.Time, took time.Duration) {
	if s.AccessLog == nil || r.Bucket == "" {
		return
	}
	if !r.log.found { // it was refused before there was a view
		v, err := s.Views.Recent()
		if err != nil {
			s.Logger.Warn("a request is missing in access logs", "request", r.RequestID(), "err", err)
			return
		}
		r.view = v
		r.closeView()
	}
	if r.log.bucket == nil && r.log.source == nil {
		return
	}
	e := r.accessEntry(out, start, took)
	var line []byte
	add := func(to *accesslog.Source, e *accesslog.Entry) {
		e.BucketOwner, e.Bucket = to.Owner, to.Name
		line = e.Append(line[:0])
		s.AccessLog.Add(*to, start, line)
	}
	if to := r.log.bucket; to != nil {
		add(to, e)
		for _, k := range r.log.each {
			add(to, e.Part(k.operation, k.key, k.version, k.status, k.code, -1))
		}
	}
	if from := r.log.source; from != nil && r.source != nil && out.code == "" {
		operation := accesslog.CopySource
		if r.op.name == "UploadPartCopy" {
			operation = accesslog.CopyPartFrom
		}
		add(from, e.Part(operation, r.source.key, r.source.version, out.status, "", int64(r.source.object.Size)))
	}
}

// accessEntry is the line of a request, but for whose log it is in.
func (r *Request) accessEntry(out *answer, start time.Time, took time.Duration) *accesslog.Entry {
	h := r.HTTP
	e := &accesslog.Entry{
		Time: start, RemoteIP: h.RemoteAddr, Requester: r.requester(), RequestID: r.RequestID(),
		Operation: accesslog.Operation(r.Operation(), h.Method, r.Key != ""), Key: r.Key,
		Method: h.Method, Target: h.RequestURI, Protocol: h.Proto, Status: out.status, ErrorCode: out.code, BytesSent: out.sent,
		ObjectSize: r.loggedSize(out), TotalTime: took, TurnAround: r.turnAround(out, start), Referer: h.Referer(), UserAgent: h.UserAgent(),
		VersionID: r.Query.Get("versionId"), HostID: r.server.HostID, Host: h.Host,
		ACLRequired: r.reason.GetKind() == event.ReasonKind_REASON_KIND_ACL_GRANT,
	}
	if host, _, err := net.SplitHostPort(h.RemoteAddr); err == nil {
		e.RemoteIP = host
	}
	if e.ErrorCode == "" { // of a website's pages
		e.ErrorCode = out.w.Header().Get("X-Amz-Error-Code")
	}
	if id := r.identity; id != nil {
		e.SignatureVersion, e.AuthType = loggedSignature(id.Form.SignatureVersion()), loggedAuthType(id.Form.AuthType())
	}
	if h.TLS != nil {
		e.CipherSuite, e.TLS = accesslog.CipherSuite(h.TLS.CipherSuite), accesslog.TLSVersion(h.TLS.Version)
	}
	return e
}

// requester is who asked, as logs have it: an account by its canonical id, its users and
// sessions by their ARN; "" for who did not sign, or not well.
func (r *Request) requester() string {
	switch {
	case r.who == nil || r.identity == nil:
		return ""
	case r.who.Type() == "Account":
		return r.principal.CanonicalID
	}
	return r.who.ARN()
}

// loggedSignature is the version of a signature, by the value of s3:signatureversion.
func loggedSignature(version string) string {
	switch version {
	case "":
		return ""
	case "AWS":
		return "SigV2"
	}
	return "SigV4"
}

// loggedAuthType is where a signature stood, by the value of s3:authType.
func loggedAuthType(kind string) string {
	switch kind {
	case "REST-HEADER":
		return "AuthHeader"
	case "REST-QUERY-STRING":
		return "QueryString"
	}
	return kind
}

// loggedSize is the size of the object that a request was about; below 0: it was about
// none, or made none.
func (r *Request) loggedSize(out *answer) int64 {
	switch r.Operation() {
	case "GetObject", "HeadObject", "WebsiteGet":
		if r.object != nil {
			return int64(r.object.Size)
		}
	case "PutObject", "PostObject", "UploadPart":
		if out.code == "" {
			return r.received
		}
	case "CopyObject", "UploadPartCopy":
		if out.code == "" && r.source != nil {
			return int64(r.source.object.Size)
		}
	case "CompleteMultipartUpload":
		if out.code == "" && r.log.size > 0 {
			return r.log.size
		}
	}
	return -1
}

// turnAround is how long the answer took from the last byte of the request on; below 0:
// it did not wait for that.
func (r *Request) turnAround(out *answer, start time.Time) time.Duration {
	end := r.incoming.end
	switch {
	case out.began.IsZero() || !r.incoming.ended:
		return -1
	case end.IsZero():
		end = start
	}
	return max(0, out.began.Sub(end))
}
