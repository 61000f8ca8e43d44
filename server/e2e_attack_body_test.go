package server_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"ironman/s3api/sig"
	"ironman/wal/digest"
)

// TestAttackBody: B1 to B10. A body that is not what was said is refused, at its end
// or before, and nothing of it is ever visible.
func TestAttackBody(t *testing.T) {
	v := newVictim(t)
	for _, part := range []struct {
		name string
		run  func(*victim)
	}{
		{"hash", (*victim).bodyHash}, {"MD5", (*victim).bodyMD5}, {"checksums", (*victim).bodyChecksums}, {"chunk signatures", (*victim).chunkSignatures},
		{"unsigned trailers", (*victim).unsignedTrailers}, {"trailers", (*victim).trailers}, {"lengths", (*victim).bodyLengths},
		{"framing", (*victim).framing}, {"short and long", (*victim).shortAndLong},
	} {
		t.Run(part.name, func(t *testing.T) {
			w := v.as(t)
			part.run(w)
			w.unharmed()
		})
	}
}

// B1, B2: x-amz-content-sha256.
func (v *victim) bodyHash() {
	for _, size := range []int{1, 100, 40_000, 1 << 20} {
		r := v.request("PUT", "/vault/secret", content(1, size))
		r.Body = io.NopCloser(bytes.NewReader(content(2, size)))
		v.refuses(fmt.Sprintf("another body of %d bytes", size), 400, "XAmzContentSHA256Mismatch", r)
	}
	for value, code := range map[string]string{
		"zz": "InvalidArgument", strings.Repeat("z", 64): "InvalidArgument", emptySHA256[:63]: "InvalidArgument", "STREAMING-AWS4-HMAC-SHA512-PAYLOAD": "InvalidArgument",
	} {
		r := v.root.request(context.Background(), "PUT", "/vault/new", []byte("x"))
		if err := sig.SignV4(r, v.root.cred, region, value, time.Now()); err != nil {
			v.Fatal(err)
		}
		v.refuses("x-amz-content-sha256: "+value, 400, code, r)
	}
	r := v.request("PUT", "/vault/new", []byte("x"))
	r.Header.Del("X-Amz-Content-Sha256")
	v.refuses("no x-amz-content-sha256", 400, "InvalidRequest", r)
}

// B3: Content-MD5.
func (v *victim) bodyMD5() {
	b := []byte("body")
	v.root.refused(v, 400, "BadDigest", "PUT", "/vault/new", b, header("Content-Md5", contentMD5([]byte("other"))))
	for _, md5 := range []string{"x", "!!!!", base64.StdEncoding.EncodeToString([]byte("short")), contentMD5(b) + "AA", hex.EncodeToString(make([]byte, 16))} {
		v.root.refused(v, 400, "InvalidDigest", "PUT", "/vault/new", b, header("Content-Md5", md5))
	}
	doc := []byte("<Delete><Object><Key>secret</Key></Object></Delete>")
	v.root.refused(v, 400, "BadDigest", "POST", "/vault?delete", doc, header("Content-Md5", contentMD5([]byte("other"))))
}

// B9: x-amz-checksum-*.
func (v *victim) bodyChecksums() {
	b := content(3, 70_000)
	right := map[string]string{
		"Crc32":     base64.StdEncoding.EncodeToString(be(uint64(crc32.ChecksumIEEE(b)), 4)),
		"Crc32c":    base64.StdEncoding.EncodeToString(be(uint64(digest.CRC32C(b)), 4)),
		"Crc64nvme": base64.StdEncoding.EncodeToString(be(crc64nvme(b), 8)),
	}
	sum := sha256.Sum256(b)
	right["Sha256"] = base64.StdEncoding.EncodeToString(sum[:])
	for name, value := range right {
		name = "X-Amz-Checksum-" + name
		v.root.must(v, 200, "PUT", "/vault/right", b, header(name, value))
		v.root.must(v, 204, "DELETE", "/vault/right", nil)
		v.root.refused(v, 400, "BadDigest", "PUT", "/vault/new", b[1:], header(name, value))
		v.root.refused(v, 400, "BadDigest", "PUT", "/vault/new", b, header(name, value[4:]))
		v.root.refused(v, 400, "BadDigest", "PUT", "/vault/new", b, header(name, "not base64"))
	}
	v.root.refused(v, 400, "InvalidRequest", "PUT", "/vault/new", b, header("X-Amz-Checksum-Crc32", right["Crc32"]), header("X-Amz-Checksum-Sha256", right["Sha256"]))
	v.root.refused(v, 400, "InvalidRequest", "PUT", "/vault/new", b, header("X-Amz-Sdk-Checksum-Algorithm", "ROT13"))
}

func be(n uint64, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(n >> (8 * (size - 1 - i)))
	}
	return b
}

// chunked is a signed aws-chunked request and the bytes of its body.
func (v *victim) chunked(kind sig.PayloadKind, b []byte, change ...func(*http.Request)) (*http.Request, []byte) {
	v.Helper()
	r := v.root.request(context.Background(), "PUT", "/vault/new", nil)
	r.Body = io.NopCloser(bytes.NewReader(b))
	for _, f := range change {
		f(r)
	}
	s := sig.Stream{Kind: kind, Length: int64(len(b)), ChunkSize: 8 << 10}
	if kind != sig.PayloadStreamSigned {
		s.Trailer = "x-amz-checksum-crc32c"
		s.Checksum = func() string { return base64.StdEncoding.EncodeToString(be(uint64(digest.CRC32C(b)), 4)) }
	}
	if err := sig.SignV4Stream(r, v.root.cred, region, s, time.Now()); err != nil {
		v.Fatal(err)
	}
	framed, err := io.ReadAll(r.Body)
	if err != nil {
		v.Fatal(err)
	}
	return r, framed
}

// sendFramed sends a request with another framed body.
func sendFramed(r *http.Request, framed []byte) *http.Request {
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(framed)), int64(len(framed))
	return r
}

// split takes an aws-chunked body apart: chunks with their header lines.
func split(framed []byte) (chunks [][]byte) {
	for len(framed) > 0 {
		line, _, _ := bytes.Cut(framed, []byte("\r\n"))
		var n int
		if _, err := fmt.Sscanf(string(line), "%x", &n); err != nil {
			return append(chunks, framed) // the trailer
		}
		end := len(line) + 2 + n + 2
		if n == 0 || end > len(framed) {
			return append(chunks, framed)
		}
		chunks, framed = append(chunks, framed[:end]), framed[end:]
	}
	return chunks
}

// B4: chunks that are not the signed ones, or not in their place.
func (v *victim) chunkSignatures() {
	const code = "SignatureDoesNotMatch"
	b := content(4, 40_000) // five chunks and the last, empty one
	r, framed := v.chunked(sig.PayloadStreamSigned, b)
	if a, err := v.root.send(sendFramed(r.Clone(context.Background()), framed)); err != nil || a.status != 200 {
		v.Fatalf("a good one: %v %v", a, err)
	}
	v.root.must(v, 204, "DELETE", "/vault/new", nil)
	chunks := split(framed)
	if len(chunks) != 6 {
		v.Fatalf("%d chunks", len(chunks))
	}
	for i := range chunks {
		changed := bytes.Clone(bytes.Join(chunks, nil))
		at := len(bytes.Join(chunks[:i], nil)) + bytes.Index(chunks[i], []byte("signature=")) + 15
		if changed[at] == '0' {
			changed[at] = '1'
		} else {
			changed[at] = '0'
		}
		v.refuses(fmt.Sprintf("signature of chunk %d", i), 403, code, sendFramed(r.Clone(context.Background()), changed))
		if i == 5 {
			continue
		}
		changed = bytes.Clone(bytes.Join(chunks, nil))
		changed[len(bytes.Join(chunks[:i+1], nil))-3] ^= 1
		v.refuses(fmt.Sprintf("last byte of chunk %d", i), 403, code, sendFramed(r.Clone(context.Background()), changed))
	}
	_, other := v.chunked(sig.PayloadStreamSigned, content(5, 40_000))
	foreign := split(other)
	for name, list := range map[string][][]byte{
		"two swapped":         {chunks[1], chunks[0], chunks[2], chunks[3], chunks[4], chunks[5]},
		"one repeated":        {chunks[0], chunks[0], chunks[2], chunks[3], chunks[4], chunks[5]},
		"one of another body": {chunks[0], foreign[1], chunks[2], chunks[3], chunks[4], chunks[5]},
	} {
		v.refuses(name, 403, code, sendFramed(r.Clone(context.Background()), bytes.Join(list, nil)))
	}
	for name, list := range map[string][][]byte{
		"one dropped":      {chunks[0], chunks[2], chunks[3], chunks[4], chunks[5]},
		"the last dropped": chunks[:5], "ends early": {chunks[0], chunks[5]},
	} {
		a, err := v.root.send(sendFramed(r.Clone(context.Background()), bytes.Join(list, nil)))
		if err != nil || !(a.status == 403 && a.code() == code || a.status == 400 && a.code() == "IncompleteBody") {
			v.Errorf("%s: %v %v", name, a, err)
		}
	}
}

// B5: an unsigned trailer does not make the request unsigned.
func (v *victim) unsignedTrailers() {
	const code = "SignatureDoesNotMatch"
	b := content(6, 20_000)
	for _, target := range []string{"/vault/new", "/vault/secret", "/vault/secret?acl"} {
		r, framed := v.chunked(sig.PayloadStreamUnsignedTrailer, b, func(r *http.Request) { r.URL.RawQuery = "" })
		u := v.root.request(context.Background(), "PUT", target, nil).URL
		r.URL = u
		if target == "/vault/new" {
			a := r.Header.Get("Authorization")
			r.Header.Set("Authorization", a[:len(a)-64]+strings.Repeat("0", 64))
		}
		v.refuses("a forged seed on "+target, 403, code, sendFramed(r, framed))
	}
	wrong := v.as(v.T)
	root := *v.root
	root.cred.Secret = sig.NewSecret("0123456789012345678901234567890123456789")
	wrong.root = &root
	for _, change := range []func(*http.Request){func(*http.Request) {}, func(r *http.Request) { r.Header.Set("X-Amz-Copy-Source", "/vault/secret") }} {
		r, framed := wrong.chunked(sig.PayloadStreamUnsignedTrailer, b, change)
		v.refuses("a wrong secret", 403, code, sendFramed(r, framed))
	}
	// No credentials but an unsigned body: anonymous, and may not.
	r, framed := v.chunked(sig.PayloadStreamUnsignedTrailer, b)
	r.Header.Del("Authorization")
	v.refuses("no credentials", 403, "AccessDenied", sendFramed(r, framed))
	// Credentials in the query with a streaming body.
	r, framed = v.chunked(sig.PayloadStreamUnsignedTrailer, b)
	q := v.presigned(v.root, "PUT", "/vault/new", time.Hour, time.Now())
	r.Header.Del("Authorization")
	r.URL.RawQuery = strings.Replace(q.URL.RawQuery, "X-Amz-Signature=", "X-Amz-Signature=0", 1)
	v.refuses("forged credentials in the query", 403, "AccessDenied", sendFramed(r, framed)) // its headers are not under that signature
}

// B6: trailers.
func (v *victim) trailers() {
	b := content(7, 20_000)
	for _, kind := range []sig.PayloadKind{sig.PayloadStreamUnsignedTrailer, sig.PayloadStreamSignedTrailer} {
		r, framed := v.chunked(kind, b)
		if a, err := v.root.send(sendFramed(r.Clone(context.Background()), framed)); err != nil || a.status != 200 {
			v.Fatalf("a good one: %v %v", a, err)
		}
		v.root.must(v, 204, "DELETE", "/vault/new", nil)
		const name = "x-amz-checksum-crc32c:"
		at := bytes.LastIndex(framed, []byte(name))
		line, _, _ := bytes.Cut(framed[at:], []byte("\r\n"))
		for what, tc := range map[string]struct{ by, code, signed string }{
			"none":                  {"", "MalformedTrailerError", ""},
			"another name":          {strings.Replace(string(line), "crc32c", "crc32", 1), "MalformedTrailerError", ""},
			"two":                   {string(line) + "\r\n" + string(line), "MalformedTrailerError", ""},
			"one more":              {string(line) + "\r\nx-amz-meta-a:b", "MalformedTrailerError", ""},
			"a wrong value":         {name + base64.StdEncoding.EncodeToString(be(1, 4)), "BadDigest", "SignatureDoesNotMatch"},
			"no value":              {name, "MalformedTrailerError", ""},
			"a line without colon":  {"hello", "MalformedTrailerError", ""},
			"a very long one":       {name + strings.Repeat("A", 70_000), "IncompleteBody", ""},
			"a value that is short": {name + "AA==", "InvalidRequest", "SignatureDoesNotMatch"},
		} {
			changed := append(bytes.Clone(framed[:at]), tc.by...)
			rest := framed[at+len(line):]
			if tc.by == "" {
				rest = bytes.TrimPrefix(rest, []byte("\r\n"))
			}
			status, code := 400, tc.code
			if kind == sig.PayloadStreamSignedTrailer && tc.signed != "" {
				status, code = 403, tc.signed
			}
			v.refuses(fmt.Sprintf("%v: trailer: %s", kind, what), status, code, sendFramed(r.Clone(context.Background()), append(changed, rest...)))
		}
		if kind != sig.PayloadStreamSignedTrailer {
			continue
		}
		changed := bytes.Clone(framed)
		changed[bytes.LastIndex(changed, []byte("x-amz-trailer-signature:"))+30] ^= 1
		v.refuses("a wrong trailer signature", 403, "SignatureDoesNotMatch", sendFramed(r.Clone(context.Background()), changed))
	}
	r, framed := v.chunked(sig.PayloadStreamUnsignedTrailer, b)
	r.Header.Set("X-Amz-Trailer", "x-amz-checksum-rot13")
	v.refuses("an unsupported trailer that was not signed so", 403, "SignatureDoesNotMatch", sendFramed(r, framed))
}

// B7: lengths that are said.
func (v *victim) bodyLengths() {
	b := content(8, 20_000)
	for _, tc := range []struct {
		length, code string
		status       int
	}{
		{"", "MissingContentLength", 411}, {"-1", "MissingContentLength", 411}, {"many", "MissingContentLength", 411}, {"19999", "IncompleteBody", 400},
		{"20001", "IncompleteBody", 400}, {"5368709121", "EntityTooLarge", 400}, {"9223372036854775808", "EntityTooLarge", 400}, {"0x10", "MissingContentLength", 411},
	} {
		r, framed := v.chunked(sig.PayloadStreamUnsignedTrailer, b)
		r.Header.Set("X-Amz-Decoded-Content-Length", tc.length)
		if tc.length == "" {
			r.Header.Del("X-Amz-Decoded-Content-Length")
		}
		r.Header.Del("Authorization")
		r.Header.Del("X-Amz-Date")
		if err := sig.SignV4(r, v.root.cred, region, sig.PayloadStreamUnsignedTrailer.String(), time.Now()); err != nil {
			v.Fatal(err)
		}
		v.refuses("x-amz-decoded-content-length "+tc.length, tc.status, tc.code, sendFramed(r, framed))
	}
	r := v.root.request(context.Background(), "PUT", "/vault/new", nil)
	r.ContentLength = 5<<30 + 1
	if err := sig.SignV4(r, v.root.cred, region, sig.UnsignedPayload, time.Now()); err != nil {
		v.Fatal(err)
	}
	a, err := v.raw(wire(r, []byte("x"), func(h string) string { return h }))
	checkRefused(v, "more than 5 GiB", a, err, 400, "EntityTooLarge")
}

// B7: chunk headers. The chunks are unsigned, so that the framing is all there is.
func (v *victim) framing() {
	b := content(9, 20_000)
	r, framed := v.chunked(sig.PayloadStreamUnsignedTrailer, b)
	chunks := split(framed)
	line, _, _ := bytes.Cut(chunks[0], []byte("\r\n"))
	for name, head := range map[string]string{
		"2^63": "8000000000000000", "2^64": "10000000000000000", "negative": "-1", "no number": "xyz", "nothing": "", "a blank before it": " 2000", "0x": "0x2000",
		"a line of 1 MiB": strings.Repeat("0", 1<<20) + "2000", "one more": "2001", "one less": "1fff", "5 GiB": "140000000", "a sign": "+2000",
	} {
		if head == string(line) {
			v.Fatal(head)
		}
		changed := append([]byte(head), framed[len(line):]...)
		a, err := v.root.send(sendFramed(r.Clone(context.Background()), changed))
		if err != nil && strings.Contains(err.Error(), "reset") {
			continue // refused while we were still sending
		}
		checkRefused(v, "chunk header "+name, a, err, 400, "IncompleteBody")
	}
	for name, changed := range map[string][]byte{
		"no CRLF behind a chunk": append(bytes.Clone(chunks[0][:len(chunks[0])-2]), bytes.Join(chunks[1:], nil)...),
		"LF alone":               bytes.Replace(framed, []byte("\r\n"), []byte("\n"), 1),
		"bytes behind the end":   append(bytes.Clone(framed), "x"...),
		"cut in the last line":   framed[:len(framed)-1],
		"cut in the trailer":     framed[:len(framed)-10],
		"cut in a chunk":         framed[:10_000],
		"nothing":                {},
	} {
		v.refuses(name, 400, "IncompleteBody", sendFramed(r.Clone(context.Background()), changed))
	}
}

// B8: bodies that end early or go on.
func (v *victim) shortAndLong() {
	b := content(10, 50_000)
	for _, payload := range []string{sig.UnsignedPayload, hexSHA256(b)} {
		r := v.root.request(context.Background(), "PUT", "/vault/new", b)
		if err := sig.SignV4(r, v.root.cred, region, payload, time.Now()); err != nil {
			v.Fatal(err)
		}
		for _, n := range []int{0, 1, 49_999} {
			a, err := v.rawHalfClosed(wire(r, b[:n], func(h string) string { return h }))
			if err == nil && !(a.status == 400 && a.code() == "IncompleteBody") {
				v.Errorf("%d of 50,000 bytes: %v", n, a)
			}
		}
		// What follows a body is the next request, or nothing, never part of it.
		second := wire(v.request("GET", "/vault/none", nil), nil, func(h string) string { return h })
		a, err := v.raw(wire(r, append(bytes.Clone(b), second...), func(h string) string { return h }))
		if err != nil || a.status != 200 {
			v.Errorf("a request behind a body: %v %v", a, err)
		}
		if got := v.root.must(v, 200, "GET", "/vault/new", nil); !bytes.Equal(got.body, b) {
			v.Error("what followed the body became part of it")
		}
		v.root.must(v, 204, "DELETE", "/vault/new", nil)
	}
}

func hexSHA256(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

func crc64nvme(b []byte) uint64 {
	h := digest.NewCRC64NVME()
	h.Write(b)
	return h.Sum64()
}
