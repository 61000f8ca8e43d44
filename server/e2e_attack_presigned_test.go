package server_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"ironman/s3api/sig"
)

const hour = time.Hour

func now() time.Time { return time.Now() }

// presignedV2 is presigned, with a signature of Version 2.
func (v *victim) presignedV2(c *client, method, target string) *http.Request {
	v.Helper()
	r := c.request(context.Background(), method, target, nil)
	if err := sig.PresignV2(r, c.cred, "", time.Now().Add(time.Hour)); err != nil {
		v.Fatal(err)
	}
	return r
}

// withBody gives a request that was signed without one a body.
func withBody(r *http.Request, b []byte) *http.Request {
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
	return r
}

// TestPresignedParameters: what a signer moved from the headers into the query counts
// as if it stood in a header: stored, obeyed, or refused. (SDKs move all x-amz-*.)
func TestPresignedParameters(t *testing.T) {
	v := newVictim(t)
	for version, sign := range map[string]func(*client, string, string) *http.Request{
		"v4": func(c *client, method, target string) *http.Request {
			return v.presigned(c, method, target, hour, now())
		},
		"v2": func(c *client, method, target string) *http.Request { return v.presignedV2(c, method, target) },
	} {
		t.Run(version, func(t *testing.T) {
			w := v.as(t)
			w.presignedParameters(sign)
			w.unharmed()
		})
	}
}

func (v *victim) presignedParameters(sign func(*client, string, string) *http.Request) {
	c := v.root
	send := func(r *http.Request) *answer {
		v.Helper()
		a, err := c.send(r)
		if err != nil {
			v.Fatal(err)
		}
		return a
	}
	if a := send(withBody(sign(c, "PUT", "/vault/new?x-amz-meta-color=red&x-amz-storage-class=REDUCED_REDUNDANCY&x-amz-acl=public-read"), []byte("x"))); a.status != 200 {
		v.Fatalf("%v", a)
	}
	a := c.must(v, 200, "GET", "/vault/new", nil)
	if a.header.Get("X-Amz-Meta-Color") != "red" || a.header.Get("X-Amz-Storage-Class") != "REDUCED_REDUNDANCY" {
		v.Errorf("metadata of a presigned URL: %v", a.header)
	}
	if a := c.must(v, 200, "GET", "/vault/new?acl", nil); !bytes.Contains(a.body, []byte(allUsers)) {
		v.Errorf("x-amz-acl of a presigned URL: %s", a.body)
	}
	// It names a source, so it is a copy and no PUT of nothing.
	if a := send(sign(c, "PUT", "/vault/new?x-amz-copy-source=%2Fvault%2Fsecret")); a.status != 200 {
		v.Errorf("a presigned copy: %v", a)
	}
	if a := c.must(v, 200, "GET", "/vault/new", nil); string(a.body) != secretBody {
		v.Errorf("a presigned copy made %q", a.body)
	}
	v.refuses("a presigned copy of what alice may not read", 403, "AccessDenied",
		sign(v.alice, "PUT", "/public/stolen?x-amz-copy-source=%2Fvault%2Fsecret"))
	for q, code := range map[string]string{
		"x-amz-object-lock-mode=GOVERNANCE": "InvalidRequest", "x-amz-object-lock-legal-hold=ON": "InvalidRequest",
		"x-amz-write-offset-bytes=1": "InvalidWriteOffset",
	} {
		v.refuses(q, 400, code, withBody(sign(c, "PUT", "/vault/new?"+q), []byte("x")))
	}
	if a := send(withBody(sign(c, "PUT", "/vault/new?x-amz-server-side-encryption=AES256"), []byte("x"))); a.header.Get("X-Amz-Server-Side-Encryption") != "AES256" {
		v.Errorf("a presigned PUT that is to be encrypted: %v %v", a, a.header)
	}
	v.refuses("a key without TLS", 400, "InvalidRequest", withBody(sign(c, "PUT", "/vault/new?X-Amz-Server-Side-Encryption-Customer-Algorithm=AES256"), []byte("x")))
	if a := send(sign(c, "POST", "/vault/parts?uploads&x-amz-checksum-algorithm=SHA256")); a.header.Get("X-Amz-Checksum-Algorithm") != "SHA256" {
		v.Errorf("a presigned upload: %v %v", a, a.header)
	} else {
		_, id, _ := strings.Cut(string(a.body), "<UploadId>")
		id, _, _ = strings.Cut(id, "</UploadId>")
		c.must(v, 204, "DELETE", "/vault/parts?uploadId="+id, nil)
	}
	// SDKs that do not know the body put the digest of an empty one there. Amazon does
	// not look at it.
	if a := send(withBody(sign(c, "PUT", "/vault/new?x-amz-checksum-crc32=AAAAAA%3D%3D&x-amz-sdk-checksum-algorithm=CRC32"), []byte("x"))); a.status != 200 {
		v.Errorf("a digest in the query: %v", a)
	}
	c.must(v, 204, "DELETE", "/vault/new", nil)
}

// TestAttackParameterNames: a parameter that could be no header is not one. In
// Version 2 the string to sign would read the same as that of two headers.
func TestAttackParameterNames(t *testing.T) {
	v := newVictim(t)
	r := v.presignedV2(v.root, "PUT", "/vault/new?x-amz-acl=private&x-amz-meta-b=c")
	fused := "x-amz-acl:private\nx-amz-meta-b"
	r.URL.RawQuery = strings.Replace(strings.Replace(r.URL.RawQuery, "x-amz-acl=private&", "", 1), "x-amz-meta-b=c", url.QueryEscape(fused)+"=c", 1)
	if !strings.Contains(r.URL.RawQuery, "private%0A") {
		t.Fatal(r.URL.RawQuery)
	}
	v.refuses("two headers in one name", 400, "InvalidArgument", withBody(r, []byte("x")))
	for _, name := range []string{"x-amz-meta-a%0D%0ASet-Cookie:b", "x-amz-meta-a%20b", "x-amz-meta-%C3%BC", "x-amz-meta-a%00", "x-amz-meta-a:b"} {
		v.refuses(name, 400, "InvalidArgument", withBody(v.presigned(v.root, "PUT", "/vault/new?"+name+"=c", hour, now()), []byte("x")))
	}
	v.refuses("a line break in a value", 400, "InvalidArgument", withBody(v.presigned(v.root, "PUT", "/vault/new?x-amz-meta-a=b%0D%0ASet-Cookie:c", hour, now()), []byte("x")))
	v.unharmed()
}

// TestAttackUnsignedParameters: a parameter is a header only where a presigned query
// carries the signature. Nor does a copy lose its source on the way.
func TestAttackUnsignedParameters(t *testing.T) {
	v := newVictim(t)
	nobody := *v.root
	nobody.cred = sig.Credential{}
	v.drop(header("X-Amz-Acl", "public-read-write"))
	v.root.must(t, 200, "PUT", "/drop/key", []byte("kept"))
	for who, c := range map[string]*client{"nobody": &nobody, "alice": v.alice, "root": v.root} {
		a, err := c.try("PUT", "/drop/key?x-amz-copy-source=/vault/secret", []byte{})
		if who == "nobody" {
			checkRefused(t, who, a, err, 403, "AccessDenied")
			continue
		}
		checkRefused(t, who, a, err, 400, "InvalidArgument")
		c.must(t, 200, "PUT", "/drop/other?x-amz-meta-color=red&x-amz-acl=public-read", []byte("x"))
		if a := c.must(t, 200, "GET", "/drop/other", nil); a.header.Get("X-Amz-Meta-Color") != "" {
			t.Errorf("%s: %v", who, a.header)
		}
	}
	if a := v.root.must(t, 200, "GET", "/drop/key", nil); string(a.body) != "kept" {
		t.Errorf("the object is %q", a.body)
	}
	v.unharmed()
}
