package sig

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
)

func TestStreamHeaders(t *testing.T) {
	c := randomCredential()
	request := func(payload string, headers ...string) error {
		r := newRequest(t, "PUT", "http://s3.example.com/b/k", "irrelevant", headers...)
		if err := SignV4(r, c, "us-east-1", payload, exampleTime); err != nil {
			t.Fatal(err)
		}
		return verify(verifierOf(c, exampleTime), sent(t, r))
	}
	const length, trailer = "X-Amz-Decoded-Content-Length", "X-Amz-Trailer"
	for _, k := range []struct {
		name, payload string
		headers       []string
		code          string
	}{
		{"fine", streamSigned, []string{length, "5"}, ""},
		{"S-B7 no length", streamSigned, nil, CodeMissingContentLength},
		{"S-B7 empty", streamSigned, []string{length, ""}, CodeMissingContentLength},
		{"S-B7 negative", streamSigned, []string{length, "-5"}, CodeMissingContentLength},
		{"S-B7 plus", streamSigned, []string{length, "+5"}, CodeMissingContentLength},
		{"S-B7 text", streamSigned, []string{length, "12x"}, CodeMissingContentLength},
		{"S-B7 5 GiB", streamSigned, []string{length, "5368709120"}, ""},
		{"S-B7 more", streamSigned, []string{length, "5368709121"}, CodeEntityTooLarge},
		{"S-B7 2^63", streamSigned, []string{length, "9223372036854775808"}, CodeEntityTooLarge},
		{"S-B7 twice", streamSigned, []string{length, "5", length, "5"}, CodeInvalidArgument},
		{"trailer", streamSignedTrailer, []string{length, "5", trailer, "X-Amz-Checksum-SHA256"}, ""},
		{"S-B6 not declared", streamSignedTrailer, []string{length, "5"}, CodeMalformedTrailer},
		{"S-B6 unsigned, not declared", streamUnsignedTrailer, []string{length, "5"}, ""},
		{"S-B6 not supported", streamUnsignedTrailer, []string{length, "5", trailer, "x-amz-meta-a"}, CodeInvalidRequest},
		{"S-B6 unknown algorithm", streamUnsignedTrailer, []string{length, "5", trailer, "x-amz-checksum-md5"}, CodeInvalidRequest},
		{"S-B6 two in one", streamUnsignedTrailer, []string{length, "5", trailer, "x-amz-checksum-crc32, x-amz-checksum-sha1"}, CodeInvalidRequest},
		{"S-B6 two", streamUnsignedTrailer, []string{length, "5", trailer, "x-amz-checksum-crc32", trailer, "x-amz-checksum-sha1"}, CodeInvalidRequest},
	} {
		t.Run(k.name, func(t *testing.T) {
			err := request(k.payload, k.headers...)
			if k.code == "" && err != nil {
				t.Fatal(err)
			}
			if k.code != "" {
				wantCode(t, err, k.code)
			}
		})
	}
}

// The declaration of the stream is under the signature: an attacker with no key
// cannot send an unsigned stream under someone's name.
func TestUnsignedTrailerNeedsTheSignature(t *testing.T) {
	c := randomCredential()
	forged := Credential{AccessKey: c.AccessKey, Secret: NewSecret("guess")}
	r := newRequest(t, "PUT", "http://s3.example.com/b/k", "hello")
	s := Stream{Kind: PayloadStreamUnsignedTrailer, Length: 5, Trailer: "x-amz-checksum-crc32", Checksum: func() string { return "NhCmhg==" }}
	if err := SignV4Stream(r, forged, "us-east-1", s, exampleTime); err != nil {
		t.Fatal(err)
	}
	wantCode(t, verify(verifierOf(c, exampleTime), sent(t, r)), CodeSignatureDoesNotMatch)

	// A hashed request turned into an unsigned stream.
	r = newRequest(t, "PUT", "http://s3.example.com/b/k", "hello")
	if err := SignV4(r, c, "us-east-1", hexSHA256("hello"), exampleTime); err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Amz-Content-Sha256", streamUnsignedTrailer)
	r.Header.Set("X-Amz-Decoded-Content-Length", "5")
	wantCode(t, verify(verifierOf(c, exampleTime), sent(t, r)), CodeAccessDenied)
	r.Header.Del("X-Amz-Decoded-Content-Length")
	r.Body = io.NopCloser(strings.NewReader("hello"))
	wantCode(t, verify(verifierOf(c, exampleTime), sent(t, r)), CodeSignatureDoesNotMatch)
}

// A reader that stops after DecodedLength bytes has read a verified body.
func TestLastByteIsWithheld(t *testing.T) {
	s := newStream(PayloadStreamSignedTrailer, pattern(8192+5), 8192, 5)
	for _, body := range []string{s.body[:len(s.body)-1], s.body + "x", s.body[:len(s.body)-3] + "0\r\n", strings.Replace(s.body, "AAAAAA==", "AAAAAB==", 1)} {
		for _, size := range []int{1, 7, 8192, 8197, 8198, 100_000} {
			id := s.id
			b, err := id.Body(&http.Request{Body: io.NopCloser(strings.NewReader(body))})
			if err != nil {
				t.Fatal(err)
			}
			got, err := readPieces(b, size)
			if err == nil || len(got) >= 8197 {
				t.Fatalf("%d bytes in pieces of %d, %v", len(got), size, err)
			}
			if n, again := b.Read(make([]byte, 1)); n != 0 || again != err {
				t.Fatalf("the error did not stay: %v, then %v", err, again)
			}
		}
	}
}

func TestPlainBodies(t *testing.T) {
	data := pattern(10_000)
	hashed := Identity{Payload: PayloadHashed, DecodedLength: int64(len(data))}
	copy(hashed.hash[:], mustHex(hexSHA256(data)))
	plainOf := func(id Identity, body string) ([]byte, error) {
		b, err := id.Body(&http.Request{Body: io.NopCloser(iotest.HalfReader(strings.NewReader(body)))})
		if err != nil {
			return nil, err
		}
		return readPieces(b, 1000)
	}
	got, err := plainOf(hashed, data)
	if err != nil || string(got) != data {
		t.Fatal(err)
	}
	got, err = plainOf(hashed, strings.ToUpper(data))
	if e := wantCode(t, err, CodeXAmzContentSHA256Mismatch); len(got) >= len(data) || len(e.Detail) != 2 {
		t.Fatalf("%d bytes, %v", len(got), e)
	}
	got, err = plainOf(hashed, data[:9999])
	if wantCode(t, err, CodeIncompleteBody); len(got) >= len(data) {
		t.Fatal(len(got))
	}
	hashed.DecodedLength = -1
	if got, err = plainOf(hashed, data); err != nil || string(got) != data {
		t.Fatal(err)
	}
	_, err = plainOf(hashed, data+"x")
	wantCode(t, err, CodeXAmzContentSHA256Mismatch)
	free := Identity{DecodedLength: -1}
	if got, err = plainOf(free, data); err != nil || string(got) != data {
		t.Fatal(err)
	}
	none := Identity{}
	b, err := none.Body(&http.Request{})
	if err != nil {
		t.Fatal(err)
	}
	if n, err := b.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Fatal(n, err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := (&Identity{Payload: PayloadStreamSigned}).Body(&http.Request{}); err == nil {
		t.Fatal("a signed stream without a seed")
	}
	broken := errors.New("connection reset")
	b, err = (&Identity{DecodedLength: 9}).Body(&http.Request{Body: io.NopCloser(io.MultiReader(strings.NewReader("abc"), iotest.ErrReader(broken)))})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(b); err != broken {
		t.Fatal(err)
	}
}

func mustHex(s string) []byte {
	b := make([]byte, len(s)/2)
	if _, err := fmt.Sscanf(s, "%x", &b); err != nil {
		panic(err)
	}
	return b
}

// A request without a body cannot carry the hash of one.
func TestNoBodyWithAHash(t *testing.T) {
	c := randomCredential()
	for payload, code := range map[string]string{emptySHA256: "", hexSHA256("x"): CodeXAmzContentSHA256Mismatch} {
		r := newRequest(t, "DELETE", "http://s3.example.com/b/k", "")
		if err := SignV4(r, c, "us-east-1", payload, exampleTime); err != nil {
			t.Fatal(err)
		}
		err := verify(verifierOf(c, exampleTime), sent(t, r))
		if code == "" && err != nil {
			t.Fatal(err)
		}
		if code != "" {
			wantCode(t, err, code)
		}
	}
}

func TestContentEncoding(t *testing.T) {
	for _, c := range []struct {
		in   []string
		want string
	}{
		{nil, ""}, {[]string{"aws-chunked"}, ""}, {[]string{"gzip"}, "gzip"}, {[]string{"aws-chunked,gzip"}, "gzip"},
		{[]string{"gzip, AWS-Chunked"}, "gzip"}, {[]string{"aws-chunked", "gzip"}, "gzip"}, {[]string{"gzip, br"}, "gzip, br"},
		{[]string{"gzip,aws-chunked,br"}, "gzip,br"},
	} {
		if got := ContentEncoding(http.Header{"Content-Encoding": c.in}); got != c.want {
			t.Errorf("%q: %q, want %q", c.in, got, c.want)
		}
	}
}
