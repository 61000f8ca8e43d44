package sig

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

// Whatever a request line and headers hold, verification ends with an *Error or an
// anonymous identity, and the canonical path decodes to what the router sees.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "/bucket/a%2Fb//../c+d?acl&versionId=%7e", "host;x-amz-date", "AWS4-HMAC-SHA256 Credential=K/20130524/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00")
	f.Add("PUT", "http://s3/x?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=K%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=0", "v", "")
	f.Add("GET", "/b/k?AWSAccessKeyId=K&Signature=s&Expires=99999999999", "v", "")
	f.Add("DELETE", "*", "a  b", "AWS K:sig")
	f.Fuzz(func(t *testing.T, method, target, value, authorization string) {
		wire := method + " " + target + " HTTP/1.1\r\nHost: s3.example.com\r\nX-Amz-Date: 20130524T000000Z\r\nX-Amz-Content-Sha256: " +
			unsignedPayload + "\r\nX-Amz-Meta-V: " + value + "\r\n"
		if authorization != "" {
			wire += "Authorization: " + authorization + "\r\n"
		}
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(wire + "\r\n")))
		if err != nil {
			return
		}
		v := verifierOf(Credential{AccessKey: "K", Secret: NewSecret("never used to sign here")}, exampleTime)
		id, err := v.Verify(context.Background(), r)
		if err == nil && id.Form != FormAnonymous {
			t.Fatalf("%v verified\n%s", id, wire)
		}
		if _, ok := err.(*Error); err != nil && !ok {
			t.Fatalf("%T %v", err, err)
		}
		if p, err := decodedPath(r); err == nil && p != r.URL.Path && r.URL.Path != "" && r.URL.Opaque == "" {
			t.Fatalf("signed %q, routed %q (%q)", p, r.URL.Path, r.RequestURI)
		}
	})
}

// Whatever can be sent can be signed, and then verifies as it was sent; with another
// path, query, signed header or method it does not.
func FuzzCanonical(f *testing.F) {
	f.Add("GET", "/bucket/a%2Fb//../c+d?acl&versionId=%7e", "a  b", "/bucket/a/b//../c+d?acl&versionId=%7e")
	f.Add("PUT", "/b/%E2%98%83%20?x=1&x=%20&=&y", "v,w", "/b/%e2%98%83%20?x=1&x=+&=&y")
	f.Add("POST", "/b?uploads=&delete", "", "/b?delete&uploads")
	f.Add("HEAD", "/b/k?X-Amz-Expires=1&a=%00", "\t\"", "/b/k?a=%00&X-Amz-Expires=1")
	f.Fuzz(func(t *testing.T, method, target, value, other string) {
		wire := func(target string) *http.Request {
			r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(method + " " + target + " HTTP/1.1\r\nHost: s3.example.com\r\nX-Amz-Meta-V: " + value + "\r\n\r\n")))
			if err != nil || r.URL.Opaque != "" || r.URL.Host != "" || r.Header.Get("Authorization") != "" {
				return nil
			}
			return r
		}
		r, changed := wire(target), wire(other)
		if r == nil {
			return
		}
		c := Credential{AccessKey: "K", Secret: NewSecret("a secret of this test only")}
		if SignV4(r, c, "us-east-1", unsignedPayload, exampleTime) != nil {
			return
		}
		v := verifierOf(c, exampleTime)
		verifies := func(r *http.Request) bool {
			id, err := v.Verify(context.Background(), r)
			if _, ok := err.(*Error); err != nil && !ok {
				t.Fatalf("%T %v", err, err)
			}
			return err == nil && id.Form == FormV4Header
		}
		if _, err := v.Verify(context.Background(), r); err != nil {
			var e *Error
			if errors.As(err, &e) && e.Code == CodeSignatureDoesNotMatch {
				t.Fatalf("%s %s: %v", method, target, err)
			}
			return // a request that nobody may send, signed or not
		}
		p := r.Clone(context.Background())
		p.Method += "X"
		if verifies(p) {
			t.Fatal("another method verifies")
		}
		p = r.Clone(context.Background())
		p.Header.Set("X-Amz-Meta-V", value+"x")
		if verifies(p) {
			t.Fatal("another header verifies")
		}
		if changed == nil || sameTarget(r, changed) {
			return
		}
		changed.Header = r.Header
		if verifies(changed) {
			t.Fatalf("%q verifies by the signature of %q", other, target)
		}
	})
}

// sameTarget tells whether two requests are about the same: the same bytes of path, and
// the same parameters, whatever their order.
func sameTarget(a, b *http.Request) bool {
	p, err1 := parseQuery(a.URL.RawQuery)
	q, err2 := parseQuery(b.URL.RawQuery)
	return err1 == nil && err2 == nil && a.URL.Path == b.URL.Path && string(p.appendCanonical(nil, "")) == string(q.appendCanonical(nil, ""))
}

func FuzzAuthorization(f *testing.F) {
	f.Add("AWS4-HMAC-SHA256 Credential=K/20130524/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-date, Signature=00")
	f.Add("AWS4-HMAC-SHA256 Credential=K/20130524/us-east-1/s3/aws4_request,SignedHeaders=a,Signature==,")
	f.Add("AWS4-HMAC-SHA256 ,,,=")
	f.Fuzz(func(t *testing.T, value string) {
		v := &Verifier{Region: "us-east-1"}
		c, err := v.parseAuthorization(value)
		if err != nil {
			if _, ok := err.(*Error); !ok {
				t.Fatal(err)
			}
			return
		}
		if c.accessKey == "" || c.scope.Service != "s3" || c.scope.Region != "us-east-1" || len(c.scope.Date) != 8 || c.signature == "" {
			t.Fatalf("%+v", c)
		}
		for i, name := range c.signed {
			if name == "" || name != strings.ToLower(name) || i > 0 && name <= c.signed[i-1] {
				t.Fatal(c.signed)
			}
		}
	})
}

func FuzzQuery(f *testing.F) {
	f.Add("a=b&c=%20d+e&&=&%C3%A9")
	f.Fuzz(func(t *testing.T, raw string) {
		q, err := parseQuery(raw)
		if err != nil {
			return
		}
		once := string(q.appendCanonical(nil, ""))
		again, err := parseQuery(once)
		if err != nil {
			t.Fatal(err)
		}
		if twice := string(again.appendCanonical(nil, "")); twice != once {
			t.Fatalf("%q is not canonical: %q", once, twice)
		}
	})
}

// Whatever a body holds, a decoder ends, hands out no more than was declared, and
// hands out all of it only with io.EOF behind it.
func FuzzChunks(f *testing.F) {
	f.Add(uint8(0), int64(5), "5\r\nhello\r\n0\r\n\r\n")
	f.Add(uint8(2), int64(5), "5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n")
	f.Add(uint8(0), int64(5), newStream(PayloadStreamSigned, "hello", 5).body)
	f.Add(uint8(1), int64(5), newStream(PayloadStreamSignedTrailer, "hello", 5).body)
	f.Add(uint8(0), int64(9), newStream(PayloadStreamSigned, "some data", 4, 5).body)
	f.Add(uint8(2), int64(9), newStream(PayloadStreamUnsignedTrailer, "some data", 4, 5).body)
	f.Fuzz(func(t *testing.T, kind uint8, length int64, body string) {
		if length < 0 {
			return
		}
		read := func(wire io.Reader, size int) ([]byte, error) {
			id := &Identity{Payload: allKinds[kind%3], DecodedLength: length, chunks: testSeed()}
			if id.Payload != PayloadStreamSigned {
				id.trailer = "x-amz-checksum-crc32"
			}
			b, err := id.Body(&http.Request{Body: io.NopCloser(wire)})
			if err != nil {
				t.Fatal(err)
			}
			return readPieces(b, size)
		}
		got, err := read(strings.NewReader(body), 37)
		// However the bytes come, and are asked for, they are taken or refused alike.
		again, err2 := read(iotest.OneByteReader(strings.NewReader(body)), 5)
		if refusalOf(err) != refusalOf(err2) || err == nil && !bytes.Equal(again, got) || !strings.HasPrefix(string(again), string(got)) && !strings.HasPrefix(string(got), string(again)) {
			t.Fatalf("%q, %v; in small pieces %q, %v", got, err, again, err2)
		}
		switch _, refused := err.(*Error); {
		case int64(len(got)) > length:
			t.Fatalf("%d bytes of %d", len(got), length)
		case err == nil && int64(len(got)) != length:
			t.Fatalf("ended after %d of %d", len(got), length)
		case err != nil && length > 0 && int64(len(got)) == length:
			t.Fatalf("all handed out, then %v", err)
		case err != nil && !refused:
			t.Fatal(err)
		}
	})
}

func refusalOf(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

func BenchmarkVerify(b *testing.B) {
	c := randomCredential()
	v := verifierOf(c, exampleTime)
	for _, form := range []Form{FormV4Header, FormV4Query, FormV2Header} {
		b.Run(form.String(), func(b *testing.B) {
			r := newRequest(b, "PUT", "http://s3.example.com/bucket/some/key.bin", "",
				"Content-Type", "application/octet-stream", "X-Amz-Sdk-Checksum-Algorithm", "CRC32",
				"Amz-Sdk-Invocation-Id", "0f1f7e2b-1f6e-4f0c-9d38-2b8b3a1f2c11", "Amz-Sdk-Request", "attempt=1; max=3")
			switch form {
			case FormV4Header:
				SignV4(r, c, "us-east-1", unsignedPayload, exampleTime)
			case FormV4Query:
				PresignV4(r, c, "us-east-1", 3600e9, exampleTime)
			default:
				SignV2(r, c, "", exampleTime)
			}
			got := sent(b, r)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(context.Background(), got); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
