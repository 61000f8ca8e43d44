package server_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"ironman/s3api/sig"
)

// TestAttackNoLength: B7. A PUT that does not say how long its body is is no PUT of
// nothing.
func TestAttackNoLength(t *testing.T) {
	v := newVictim(t)
	id := v.root.begin(t, "/vault/parts")
	for _, target := range []string{"/vault/secret", "/vault/parts?partNumber=1&uploadId=" + id} {
		r := v.root.request(context.Background(), "PUT", target, nil)
		if err := sig.SignV4(r, v.root.cred, region, sig.UnsignedPayload, time.Now()); err != nil {
			t.Fatal(err)
		}
		for _, proto := range []string{"HTTP/1.1", "HTTP/1.0"} {
			a, err := v.raw(wire(r, nil, func(h string) string {
				h = strings.Replace(h, "Content-Length: 0\r\n", "", 1)
				return strings.Replace(h, "HTTP/1.1", proto, 1)
			}))
			checkRefused(t, "PUT "+target+" "+proto, a, err, 411, "MissingContentLength")
		}
	}
	v.root.must(t, 204, "DELETE", "/vault/parts?uploadId="+id, nil)
	v.unharmed()
}

// TestAttackChunkSizes: B7. Only the last chunk may be shorter than 8 KiB, signed or not.
func TestAttackChunkSizes(t *testing.T) {
	v := newVictim(t)
	for _, tc := range []struct {
		sizes []int
		code  string
	}{
		{[]int{8192, 8192, 100}, ""}, {[]int{100}, ""}, {[]int{10_000, 20}, ""},
		{[]int{100, 8192, 100}, "InvalidChunkSizeError"}, {[]int{8192, 10, 100}, "InvalidChunkSizeError"}, {[]int{10, 10, 10}, "InvalidChunkSizeError"},
	} {
		var framed bytes.Buffer
		total := 0
		for _, n := range tc.sizes {
			fmt.Fprintf(&framed, "%x\r\n%s\r\n", n, content(1, n))
			total += n
		}
		framed.WriteString("0\r\n\r\n")
		r := v.root.request(context.Background(), "PUT", "/vault/new", nil)
		r.Header.Set("X-Amz-Decoded-Content-Length", fmt.Sprint(total))
		if err := sig.SignV4(r, v.root.cred, region, sig.PayloadStreamUnsignedTrailer.String(), time.Now()); err != nil {
			t.Fatal(err)
		}
		a, err := v.root.send(sendFramed(r, framed.Bytes()))
		if tc.code != "" {
			checkRefused(t, fmt.Sprint(tc.sizes), a, err, 400, tc.code)
			continue
		}
		if err != nil || a.status != 200 {
			t.Errorf("%v: %v %v", tc.sizes, a, err)
		}
		v.root.must(t, 204, "DELETE", "/vault/new", nil)
	}
	v.unharmed()
}

// TestAttackForgottenTrailers: B6. A trailer that is promised where none can come is
// refused: nothing would ever be compared with it.
func TestAttackForgottenTrailers(t *testing.T) {
	v := newVictim(t)
	body := []byte("body")
	promise := header("X-Amz-Trailer", "x-amz-checksum-crc32c")
	v.root.refused(t, 400, "InvalidRequest", "PUT", "/vault/new", body, promise)
	v.root.refused(t, 400, "InvalidRequest", "PUT", "/vault/new", body, promise, header("X-Amz-Content-Sha256", sig.UnsignedPayload))
	r := v.root.request(context.Background(), "PUT", "/vault/new", nil)
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.Header.Set("X-Amz-Trailer", "x-amz-checksum-crc32c")
	if err := sig.SignV4Stream(r, v.root.cred, region, sig.Stream{Kind: sig.PayloadStreamSigned, Length: 4}, time.Now()); err != nil {
		t.Fatal(err)
	}
	v.refuses("signed chunks without a trailer", 400, "InvalidRequest", r)
	v.unharmed()
}

// TestAttackChunksWithoutLength: B7. The framing of a body is never its content, also
// where nobody signed it.
func TestAttackChunksWithoutLength(t *testing.T) {
	v := newVictim(t)
	v.drop(header("X-Amz-Acl", "public-read-write"))
	nobody := *v.root
	nobody.cred = sig.Credential{}
	framed := []byte("5\r\nhello\r\n0\r\n\r\n")
	nobody.refused(t, 411, "MissingContentLength", "PUT", "/drop/key", framed, header("Content-Encoding", "aws-chunked"))
	nobody.must(t, 200, "PUT", "/drop/key", framed, header("Content-Encoding", "aws-chunked"), header("X-Amz-Decoded-Content-Length", "5"))
	if a := v.alice.must(t, 200, "GET", "/drop", nil); !bytes.Contains(a.body, []byte("<Size>5</Size>")) {
		t.Errorf("%s", a.body)
	}
	r := v.root.request(context.Background(), "PUT", "/drop/key", nil)
	r.Header.Set("Content-Encoding", "aws-chunked")
	if err := sig.SignV2(r, v.root.cred, "", time.Now()); err != nil {
		t.Fatal(err)
	}
	v.refuses("version 2", 411, "MissingContentLength", sendFramed(r, framed))
	v.unharmed()
}

// TestAttackUnsignedTrailerRoutes: B5 on every writing route that takes a body.
func TestAttackUnsignedTrailerRoutes(t *testing.T) {
	v := newVictim(t)
	id := v.root.begin(t, "/vault/parts")
	wrong := *v.root
	wrong.cred.Secret = sig.NewSecret("0123456789012345678901234567890123456789")
	for _, rt := range []struct{ method, target string }{
		{"PUT", "/vault/new"}, {"PUT", "/vault/parts?partNumber=1&uploadId=" + id}, {"POST", "/vault/parts?uploadId=" + id}, {"POST", "/vault/new?uploads"},
		{"POST", "/vault?delete"}, {"PUT", "/vault?acl"}, {"PUT", "/vault/secret?acl"}, {"PUT", "/new-bucket"}, {"DELETE", "/vault/secret"},
	} {
		for _, change := range []func(*http.Request){func(*http.Request) {}, header("X-Amz-Copy-Source", "/vault/secret")} {
			r := wrong.request(context.Background(), rt.method, rt.target, nil)
			change(r)
			r.Header.Set("X-Amz-Decoded-Content-Length", "5")
			if err := sig.SignV4(r, wrong.cred, region, sig.PayloadStreamUnsignedTrailer.String(), time.Now()); err != nil {
				t.Fatal(err)
			}
			v.refuses(rt.method+" "+rt.target, 403, "SignatureDoesNotMatch", sendFramed(r, []byte("5\r\nhello\r\n0\r\n\r\n")))
		}
	}
	v.root.must(t, 204, "DELETE", "/vault/parts?uploadId="+id, nil)
	v.unharmed()
}
