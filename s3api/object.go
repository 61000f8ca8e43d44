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
	resp, rng, segments, from, err := s.describeObject(r)
	if err != nil {
		return nil, err
	}
	pieces, err := r.pieces(segments, rng)
	if err != nil {
		return nil, err
	}
	r.closeView() // the body takes as long as the client does
	resp.Length = rng.length
	if resp.Body, err = s.openPieces(ctx, pieces, from); err != nil {
		return nil, err
	}
	return resp, nil
}

// headObject returns what getObject would, without the bytes.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html
func (s *Server) headObject(_ context.Context, r *Request) (*Response, error) {
	resp, rng, _, _, err := s.describeObject(r)
	if err != nil {
		return nil, err
	}
	resp.Header.Set("Content-Length", strconv.FormatInt(rng.length, 10))
	return resp, nil
}

// describeObject makes the headers of a GET or HEAD, and finds the bytes it means.
func (s *Server) describeObject(r *Request) (*Response, byteRange, []*event.Segment, *opening, error) {
	none := byteRange{}
	o := r.object
	segments, parts, err := r.view.Body(o)
	if err != nil {
		return nil, none, nil, nil, err
	}
	// A part that is not there takes no key to say so.
	if _, err := r.wantedPart(parts); err != nil {
		return nil, none, nil, nil, err
	}
	from, customer, err := r.openObject(o)
	if err != nil {
		return nil, none, nil, nil, err
	}
	if err := r.readConditions(o); err != nil {
		return nil, none, nil, nil, err
	}
	h := objectHeaders(o)
	encryptionHeaders(h, o.Encryption, customer)
	setVersion(h, r.shownBucket(), o.Version, o.NullVersion)
	s.setLockHeaders(r, h, o)
	s.setTagCount(r, h, o)
	if err := r.expiration(h, o); err != nil {
		return nil, none, nil, nil, err
	}
	resp := &Response{Header: h}
	rng, err := r.chooseRange(o, parts, resp)
	if err != nil {
		return nil, none, nil, nil, err
	}
	if err := r.overrideHeaders(h); err != nil {
		return nil, none, nil, nil, err
	}
	if r.wantsChecksum() && resp.Status == 0 && !r.Query.Has("partNumber") {
		setChecksum(h, o.Checksum, o.Etag)
	}
	return resp, rng, segments, from, nil
}

// openObject settles how the object that a request reads is opened, by its headers.
func (r *Request) openObject(o *fsm.Object) (*opening, *customerKey, error) {
	if err := r.refuseWriteEncryption(); err != nil {
		return nil, nil, err
	}
	customer, err := r.customerKey(customerPrefix)
	if err != nil {
		return nil, nil, err
	}
	from, err := r.opening(o, customer)
	return from, customer, err
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
	return h
}

// setTagCount tells how many tags a version has to whoever may read them.
func (s *Server) setTagCount(r *Request, h http.Header, o *fsm.Object) {
	n := len(o.Tags.GetTags())
	if n == 0 {
		return
	}
	action := "s3:GetObjectTagging"
	if r.Query.Has("versionId") {
		action = versionAction(action)
	}
	if s.mayAlso(r, action) == nil {
		h.Set("X-Amz-Tagging-Count", strconv.Itoa(n))
	}
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
