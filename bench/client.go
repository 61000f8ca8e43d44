package bench

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"html"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"ironman/s3api/sig"
	"ironman/wal/digest"
)

// maxAnswer bounds the documents that are read from a server, in bytes.
const maxAnswer = 16 << 20

// client sends signed requests to one endpoint: one or more addresses of one store.
// Safe for concurrent use.
type client struct {
	transport *http.Transport
	bases     []*url.URL // not empty
	bucket    string
	region    string
	cred      sig.Credential
	unsigned  bool // object bodies are not signed

	server atomic.Pointer[string] // Server header of the first answer
}

func newClient(e Endpoint, bases []*url.URL, bucket string, o *Options) *client {
	return &client{
		transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSClientConfig:     &tls.Config{InsecureSkipVerify: o.InsecureTLS},
			TLSHandshakeTimeout: 10 * time.Second,
			MaxIdleConnsPerHost: maxConcurrency,
			IdleConnTimeout:     time.Minute,
			DisableCompression:  true,
			WriteBufferSize:     64 << 10,
			ReadBufferSize:      64 << 10,
		},
		bases: bases, bucket: bucket, region: e.Region, cred: e.Credential, unsigned: o.UnsignedPayload,
	}
}

// emptyHash is the SHA-256 of nothing.
const emptyHash = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// call is one request. Bucket, key and query must be written so that they need no
// escaping in a path, and escaped in the query.
type call struct {
	method, key, query string
	via                int // which of the endpoint's addresses, modulo their number

	open    func() io.ReadCloser // nil: no body
	length  int64                // of the body, in bytes
	payload string               // what the signature says of the body; empty: no body
	md5     string               // Content-MD5; empty: none
}

// withBody gives the call a document for a body.
func (q call) withBody(b []byte) call {
	sum := digest.SHA256(b)
	q.open = func() io.ReadCloser { return io.NopCloser(bytes.NewReader(b)) }
	q.length, q.payload = int64(len(b)), hex.EncodeToString(sum[:])
	return q
}

// send returns the answer to a call, whatever its status is.
func (c *client) send(ctx context.Context, q *call) (*http.Response, error) {
	base := c.bases[q.via%len(c.bases)]
	path := "/" + c.bucket
	if q.key != "" {
		path += "/" + q.key
	}
	r := (&http.Request{
		Method: q.method, Host: base.Host,
		URL:   &url.URL{Scheme: base.Scheme, Host: base.Host, Path: path, RawQuery: q.query},
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: make(http.Header, 6),
	}).WithContext(ctx)
	r.Header.Set("User-Agent", "ironman-bench")
	payload := emptyHash
	if q.open != nil {
		r.Body, r.ContentLength, payload = q.open(), q.length, q.payload
		r.GetBody = func() (io.ReadCloser, error) { return q.open(), nil }
	}
	if q.md5 != "" {
		r.Header.Set("Content-Md5", q.md5)
	}
	if err := sig.SignV4(r, c.cred, c.region, payload, time.Now()); err != nil {
		return nil, err
	}
	resp, err := c.transport.RoundTrip(r)
	if err == nil && c.server.Load() == nil {
		name := resp.Header.Get("Server")
		c.server.CompareAndSwap(nil, &name)
	}
	return resp, err
}

// expect sends a call and returns the answer if it has a status of success; the
// caller closes its body. Any other status is a *refusal.
func (c *client) expect(ctx context.Context, q *call) (*http.Response, error) {
	resp, err := c.send(ctx, q)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // what could be read is good enough
	return nil, newRefusal(resp.StatusCode, b)
}

// discard sends a call whose answer has no body of interest, and returns its header.
func (c *client) discard(ctx context.Context, q *call) (http.Header, error) {
	resp, err := c.expect(ctx, q)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer)); err != nil {
		return nil, err
	}
	return resp.Header, nil
}

// document sends a call and reads its answer into page, which is emptied first. An
// error document is a *refusal even where the status is that of success.
func (c *client) document(ctx context.Context, q *call, page *bytes.Buffer) error {
	resp, err := c.expect(ctx, q)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	page.Reset()
	n, err := page.ReadFrom(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return err
	case n > maxAnswer:
		return fmt.Errorf("an answer of more than %d bytes", maxAnswer)
	case bytes.Contains(page.Bytes(), []byte("<Error>")):
		return newRefusal(resp.StatusCode, page.Bytes())
	}
	return nil
}

// refusal is an answer that says no.
type refusal struct {
	status        int
	code, message string
}

func newRefusal(status int, body []byte) *refusal {
	code, _ := element(body, "Code")
	message, _ := element(body, "Message")
	return &refusal{status: status, code: code, message: message}
}

func (r *refusal) Error() string {
	s := fmt.Sprintf("%d %s", r.status, http.StatusText(r.status))
	if r.code != "" {
		s = fmt.Sprintf("%d %s", r.status, clip(r.code, 100))
	}
	if r.message != "" {
		s += ": " + clip(r.message, 200)
	}
	return s
}

// clip makes text of a server fit to print: one line of n bytes at most.
func clip(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) { // 0x9b begins an escape sequence, too
			return ' '
		}
		return r
	}, s)
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n], "") + "..."
	}
	return s
}

// element returns the text of the first element of a name in an XML document: a
// search for the few short documents that are needed, no parser.
func element(doc []byte, name string) (string, bool) {
	_, rest, ok := bytes.Cut(doc, []byte("<"+name+">"))
	if !ok {
		return "", false
	}
	text, _, ok := bytes.Cut(rest, []byte("</"+name+">"))
	return html.UnescapeString(string(text)), ok
}
