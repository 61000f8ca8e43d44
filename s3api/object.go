package s3api

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"ironman/fsm"
	"ironman/s3api/s3err"
	"ironman/wal/event"
)

// getObject returns an object's bytes, or a range or part of them.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
func (s *Server) getObject(ctx context.Context, r *Request) (*Response, error) {
	resp, rng, segments, err := s.describeObject(r)
	if err != nil {
		return nil, err
	}
	pieces, err := r.pieces(segments, rng)
	if err != nil {
		return nil, err
	}
	r.closeView() // the body takes as long as the client does
	resp.Length = rng.length
	resp.Body, err = s.openPieces(ctx, pieces)
	return resp, err
}

// headObject returns what getObject would, without the bytes.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
func (s *Server) headObject(_ context.Context, r *Request) (*Response, error) {
	resp, rng, _, err := s.describeObject(r)
	if err != nil {
		return nil, err
	}
	resp.Header.Set("Content-Length", strconv.FormatInt(rng.length, 10))
	return resp, nil
}

// describeObject makes the headers of a GET or HEAD, and finds the bytes it means.
func (s *Server) describeObject(r *Request) (*Response, byteRange, []*event.Segment, error) {
	none := byteRange{}
	o := r.object
	if r.Header.Get("X-Amz-Server-Side-Encryption-Customer-Algorithm") != "" {
		return nil, none, nil, s3err.Newf("InvalidRequest", "The encryption parameters are not applicable to this object.")
	}
	if err := r.readConditions(o); err != nil {
		return nil, none, nil, err
	}
	segments, parts, err := r.view.Body(o)
	if err != nil {
		return nil, none, nil, err
	}
	h := objectHeaders(o)
	resp := &Response{Header: h}
	rng, err := r.chooseRange(o, parts, resp)
	if err != nil {
		return nil, none, nil, err
	}
	if err := r.overrideHeaders(h); err != nil {
		return nil, none, nil, err
	}
	if r.wantsChecksum() && resp.Status == 0 && !r.Query.Has("partNumber") {
		setChecksum(h, o.Checksum, o.Etag)
	}
	return resp, rng, segments, nil
}

// wantsChecksum: checksums are for those who ask. Of a range there is none; of a part
// there is the part's.
func (r *Request) wantsChecksum() bool { return r.Header.Get("X-Amz-Checksum-Mode") == "ENABLED" }

// objectHeaders are what is stored beside the bytes.
func objectHeaders(o *fsm.Object) http.Header {
	h := make(http.Header, 16)
	h["Etag"] = []string{`"` + o.Etag + `"`}
	h["Last-Modified"] = []string{time.Unix(0, o.Time).UTC().Format(http.TimeFormat)}
	h["Accept-Ranges"] = []string{"bytes"}
	setStored(h, o.Headers)
	if c := o.StorageClass; c != "" && c != "STANDARD" {
		h.Set("X-Amz-Storage-Class", c)
	}
	if n := len(o.Tags.GetTags()); n > 0 {
		h.Set("X-Amz-Tagging-Count", strconv.Itoa(n))
	}
	return h
}

// overrides are the response-* parameters and the headers that they replace.
var overrides = [...]struct{ parameter, header string }{
	{"response-cache-control", "Cache-Control"}, {"response-content-disposition", "Content-Disposition"},
	{"response-content-encoding", "Content-Encoding"}, {"response-content-language", "Content-Language"},
	{"response-content-type", "Content-Type"}, {"response-expires", "Expires"},
}

// overrideHeaders applies response-* parameters, which only a signed request may use.
func (r *Request) overrideHeaders(h http.Header) error {
	for _, o := range overrides {
		if !r.Query.Has(o.parameter) {
			continue
		}
		if r.account == nil {
			return s3err.Newf("InvalidRequest", "Request specific response headers cannot be used for anonymous GET requests.")
		}
		v := r.Query.Get(o.parameter)
		if !validHeaderValue(v) {
			return s3err.Newf("InvalidArgument", "Header value cannot be represented using ISO-8859-1.").With("ArgumentName", o.parameter)
		}
		h.Set(o.header, v)
	}
	return nil
}

// deleteObject removes an object. That there is none is a success.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html
func (s *Server) deleteObject(ctx context.Context, r *Request) (*Response, error) {
	target := &event.DeleteTarget{}
	var err error
	if target.Condition, err = r.deleteCondition(); err != nil {
		return nil, err
	}
	if r.Query.Has("versionId") {
		var v parsedVersion
		if err := v.parse(r.Query.Get("versionId")); err != nil {
			return nil, err
		}
		v.target(target)
	}
	old, err := r.view.Object(r.bucket.Bucket, r.Key)
	if err != nil {
		return nil, err
	}
	if err := s.admitCondition(r, r.Key, target.Condition, old); err != nil {
		return nil, err
	}
	if old == nil && target.Condition == nil {
		return noContent(), nil // nothing to decide: no event
	}
	r.closeView()
	d := event.NewDraft(nil, &event.Statement_ObjectsDeleted{ObjectsDeleted: &event.ObjectsDeleted{
		Bucket: r.bucket.Bucket, Targets: []*event.DeleteTarget{target},
	}}).AddText(event.ItemKind_ITEM_KIND_KEY, 0, r.Key)
	o, err := s.propose(ctx, r, d)
	if err != nil {
		return nil, err
	}
	if refusal := o.Subs[0].Refusal; refusal != event.Refusal_REFUSAL_NONE {
		return nil, s3err.FromRefusal(refusal)
	}
	return noContent(), nil
}
