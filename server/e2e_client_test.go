package server_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"ironman/s3api/sig"
)

const region = "us-east-1"

func (c *testCertificate) client() *tls.Config { return &tls.Config{RootCAs: c.pool} }

// client sends one request for each call: no retries, nothing added.
type client struct {
	http *http.Client
	base string
	cred sig.Credential // zero: anonymous

	limit time.Duration // of one request; 0: a minute
	ahead time.Duration // how far its clock is to be ahead
}

// answer is a response that was read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// errorBody is the XML of an error.
type errorBody struct {
	XMLName                                          xml.Name
	Code, Message, Resource, RequestId, HostId, Size string
}

// code is the S3 code of an error; "" for anything else.
func (a *answer) code() string {
	var e errorBody
	if xml.Unmarshal(a.body, &e) != nil || e.XMLName.Local != "Error" {
		return ""
	}
	return e.Code
}

func (a *answer) String() string {
	return fmt.Sprintf("%d %s", a.status, a.body[:min(len(a.body), 600)])
}

// request makes a request; target is an escaped path with query.
func (c *client) request(ctx context.Context, method, target string, body []byte) *http.Request {
	u, err := url.Parse(c.base + target)
	if err != nil {
		panic(err)
	}
	r := &http.Request{Method: method, URL: u, Host: u.Host, Header: make(http.Header), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}
	if body != nil {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		if len(body) == 0 {
			r.Body = http.NoBody
		}
	}
	return r.WithContext(ctx)
}

// sign signs a request, unless the client is anonymous.
func (c *client) sign(r *http.Request, body []byte) {
	if c.cred.AccessKey == "" {
		return
	}
	payload := r.Header.Get("X-Amz-Content-Sha256") // where a test wants another
	if payload == "" {
		sum := sha256.Sum256(body)
		payload = hex.EncodeToString(sum[:])
	}
	if err := sig.SignV4(r, c.cred, region, payload, time.Now().Add(c.ahead)); err != nil {
		panic(err)
	}
}

// header sets one header of a request before it is signed.
func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

// try sends a request and reads the answer.
func (c *client) try(method, target string, body []byte, change ...func(*http.Request)) (*answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), cmp.Or(c.limit, time.Minute))
	defer cancel()
	r := c.request(ctx, method, target, body)
	for _, f := range change {
		f(r)
	}
	c.sign(r, body)
	return c.send(r)
}

func (c *client) send(r *http.Request) (*answer, error) {
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	a := &answer{status: resp.StatusCode, header: resp.Header}
	a.body, err = io.ReadAll(resp.Body)
	return a, err
}

// must sends a request that has to be answered with a status.
func (c *client) must(t testing.TB, status int, method, target string, body []byte, change ...func(*http.Request)) *answer {
	t.Helper()
	a, err := c.try(method, target, body, change...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, target, err)
	}
	if a.status != status {
		t.Fatalf("%s %s: want %d, got %v", method, target, status, a)
	}
	return a
}

// refused sends a request that has to be answered with an error.
func (c *client) refused(t testing.TB, status int, code, method, target string, body []byte, change ...func(*http.Request)) *answer {
	t.Helper()
	a, err := c.try(method, target, body, change...)
	checkRefused(t, method+" "+target, a, err, status, code)
	return a
}

// checkRefused checks status and code, and that the document tells them properly.
func checkRefused(t testing.TB, what string, a *answer, err error, status int, code string) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: want %d %s, got %v", what, status, code, err)
		return
	}
	if a.status != status || a.code() != code {
		t.Errorf("%s: want %d %s, got %v", what, status, code, a)
		return
	}
	var e errorBody
	_ = xml.Unmarshal(a.body, &e) // code() did it
	if e.Message == "" || e.RequestId == "" || e.RequestId != a.header.Get("X-Amz-Request-Id") || a.header.Get("Content-Type") != "application/xml" {
		t.Errorf("%s: an incomplete error: %s %v", what, a.body, a.header)
	}
}

// listed is what a listing of a whole bucket says.
type listed struct {
	Key  string
	ETag string
	Size int64
}

// list lists a bucket page by page.
func (c *client) list(t testing.TB, bucket string, page int) []listed {
	t.Helper()
	var out []listed
	token := ""
	for {
		q := url.Values{"list-type": {"2"}, "max-keys": {fmt.Sprint(page)}}
		if token != "" {
			q.Set("continuation-token", token)
		}
		a := c.must(t, 200, "GET", "/"+bucket+"?"+strings.ReplaceAll(q.Encode(), "+", "%20"), nil)
		var l struct {
			IsTruncated           bool
			KeyCount              int
			NextContinuationToken string
			Contents              []listed
		}
		if err := xml.Unmarshal(a.body, &l); err != nil {
			t.Fatal(err)
		}
		if l.KeyCount != len(l.Contents) || l.IsTruncated != (l.NextContinuationToken != "") {
			t.Fatalf("a listing contradicts itself: %s", a.body)
		}
		out = append(out, l.Contents...)
		if !l.IsTruncated {
			return out
		}
		token = l.NextContinuationToken
	}
}

// content is the bytes of one write: as long as it says, and different from those
// of every other seed from the first byte on.
func content(seed uint64, size int) []byte {
	b := make([]byte, size)
	contentReader(seed).Read(b)
	return b
}

func contentReader(seed uint64) *rand.ChaCha8 {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	return rand.NewChaCha8(key)
}

// etag is the entity tag of an object of these parts; of one: of a plain object.
func etag(parts ...[]byte) string {
	var sums []byte
	for _, p := range parts {
		s := md5.Sum(p)
		sums = append(sums, s[:]...)
	}
	if len(parts) == 1 {
		return `"` + hex.EncodeToString(sums) + `"`
	}
	s := md5.Sum(sums)
	return fmt.Sprintf(`"%s-%d"`, hex.EncodeToString(s[:]), len(parts))
}

func contentMD5(b []byte) string {
	s := md5.Sum(b)
	return base64.StdEncoding.EncodeToString(s[:])
}
