package s3api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"

	"ironman/fsm"
	"ironman/s3api/s3err"
	"ironman/s3api/website"
	"ironman/wal/event"
)

// websiteOperation is what a visitor of a website asks for. It stands in no table: it
// is found by the host. Nobody signs here, so that all are anonymous, and a page is
// seen by all or by none.
func websiteOperation() *operation {
	return &operation{name: "WebsiteGet", on: onObject, action: "s3:GetObject", needs: needBucket}
}

// serveWebsite answers a visitor of the site of a bucket. What goes wrong is a page.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/WebsiteEndpoints.html
func (s *Server) serveWebsite(ctx context.Context, r *Request, bucket string) (*Response, error) {
	r.op, r.Bucket, r.Key = websiteOperation(), bucket, strings.TrimPrefix(r.HTTP.URL.Path, "/")
	r.Query, r.Header = url.Values{}, r.HTTP.Header
	r.beginRead()
	resp, err := s.visit(ctx, r)
	if err == nil || s3err.Is(err, "NotModified") {
		return resp, err
	}
	e := clientError(err)
	s.logFailure(r, e, err)
	if e.RetryAfter > 0 {
		r.responseHeader.Set("Retry-After", itoa(e.RetryAfter))
	}
	return r.faultPage(e.Status, website.Fault{Code: e.Code, Message: e.Message}, nil), nil
}

// visit has the site's configuration decide, and does as it says.
func (s *Server) visit(ctx context.Context, r *Request) (*Response, error) {
	if values, ok := r.HTTP.Header[asOfHeader]; ok {
		return nil, noMoment(values, r.op.name)
	}
	if r.HTTP.Method == http.MethodOptions {
		return s.visitPreflight(ctx, r)
	}
	if r.HTTP.Method != http.MethodGet && r.HTTP.Method != http.MethodHead {
		return nil, s3err.MethodNotAllowed(r.HTTP.Method, "OBJECT")
	}
	if err := checkKey(r.Key); err != nil {
		return nil, err
	}
	c, err := s.siteOf(ctx, r)
	if err != nil {
		return nil, err
	}
	asked := website.Request{Protocol: "http", Host: r.HTTP.Host, Key: r.Key, Query: r.HTTP.URL.RawQuery}
	if r.HTTP.TLS != nil {
		asked.Protocol = "https"
	}
	a, err := website.Decide(c, &asked, func(key string) (website.State, error) { return s.look(r, key) })
	switch {
	case err != nil:
		return nil, err
	case a.Location != "":
		return &Response{Status: a.Status, Header: http.Header{"Location": {a.Location}}}, nil
	case a.Status == http.StatusOK:
		return s.sendPage(ctx, r)
	}
	fault := website.Fault{Code: a.Code, Message: s3err.New(a.Code).Message, Key: a.Failed}
	if a.Key == "" {
		var page *website.Fault
		if a.PageCode != "" {
			page = &website.Fault{Code: a.PageCode, Message: s3err.New(a.PageCode).Message, Key: c.Error}
		}
		return r.faultPage(a.Status, fault, page), nil
	}
	r.Header = http.Header{} // conditions and ranges are of what was asked for
	resp, err := s.sendPage(ctx, r)
	if err != nil {
		return nil, err
	}
	resp.Status = a.Status
	setFault(resp.Header, fault)
	return resp, nil
}

// visitPreflight answers what a page of another origin may do with the site, by the rules
// of its bucket.
func (s *Server) visitPreflight(ctx context.Context, r *Request) (*Response, error) {
	if err := checkKey(r.Key); err != nil {
		return nil, err
	}
	if err := r.openView(ctx); err != nil {
		return nil, err
	}
	return s.preflight(ctx, r)
}

// siteOf opens the view and reads the bucket's configuration.
func (s *Server) siteOf(ctx context.Context, r *Request) (*website.Config, error) {
	err := r.openView(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.allowOrigin(); err != nil {
		return nil, err
	}
	if r.bucket, err = r.view.BucketByName(r.Bucket); err != nil {
		return nil, err
	}
	if r.bucket == nil {
		return nil, s3err.New("NoSuchBucket").With("BucketName", r.Bucket)
	}
	if err := r.admitPayer(r.bucket); err != nil { // no visitor says that it will pay
		return nil, err
	}
	d, err := r.view.Document(r.bucket.Bucket, event.DocumentKind_DOCUMENT_KIND_WEBSITE)
	if err != nil {
		return nil, err
	}
	if d == nil {
		return nil, s3err.New("NoSuchWebsiteConfiguration").With("BucketName", r.Bucket)
	}
	return website.Parse(d.Text)
}

// look tells what everybody may know of a key. An object that may be sent is the
// request's from then on: the one that is looked at last is the one that is sent.
func (s *Server) look(r *Request, key string) (website.State, error) {
	var o *fsm.Object
	err := checkKey(key)
	if err == nil {
		r.Key = key
		o, err = s.admitVersion(r, r.op.action, r.bucket, key, wanted{})
		if err == nil && o.DeleteMarker {
			err = s3err.New("NoSuchKey").About(s3err.Subject{Key: key})
		}
	}
	if err != nil {
		var e *s3err.Error
		if errors.As(err, &e) && e.Status/100 == 4 {
			return website.State{Status: e.Status, Code: e.Code}, nil
		}
		return website.State{}, err
	}
	r.object = o
	return website.State{Status: http.StatusOK, Redirect: o.Headers.GetWebsiteRedirect()}, nil
}

// sendPage sends the object that was looked at last.
func (s *Server) sendPage(ctx context.Context, r *Request) (*Response, error) {
	send := s.getObject
	if r.HTTP.Method == http.MethodHead {
		send = s.headObject
	}
	resp, err := send(ctx, r)
	if err != nil {
		return nil, err
	}
	resp.Header.Del("X-Amz-Website-Redirect-Location")
	return resp, nil
}

// faultPage is an error page of our own.
func (r *Request) faultPage(status int, fault website.Fault, page *website.Fault) *Response {
	b := website.Page(status, fault, page, r.RequestID(), r.server.HostID)
	h := http.Header{"Content-Type": {"text/html; charset=utf-8"}}
	setFault(h, fault)
	if status == http.StatusMethodNotAllowed {
		h.Set("Allow", "GET, HEAD")
	}
	resp := &Response{Status: status, Header: h, Length: int64(len(b))}
	if r.HTTP.Method == http.MethodHead {
		h.Set("Content-Length", itoa(len(b)))
		return resp
	}
	resp.Body = pageBody(b)
	return resp
}

// setFault says for programs what a page says for people.
func setFault(h http.Header, fault website.Fault) {
	h.Set("X-Amz-Error-Code", fault.Code)
	h.Set("X-Amz-Error-Message", fault.Message)
}

// pageBody is a body that is in memory.
type pageBody []byte

// WriteTo sends it.
func (b pageBody) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(b)
	return int64(n), err
}

// Close does nothing.
func (b pageBody) Close() error { return nil }
