package server_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash/crc32"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"ironman/s3api/sig"
	"ironman/wal/digest"
)

func base64CRC64(b []byte) string { return base64.StdEncoding.EncodeToString(be(crc64nvme(b), 8)) }
func base64CRC32(b []byte) string {
	return base64.StdEncoding.EncodeToString(be(uint64(crc32.ChecksumIEEE(b)), 4))
}
func base64CRC32C(b []byte) string {
	return base64.StdEncoding.EncodeToString(be(uint64(digest.CRC32C(b)), 4))
}

func base64SHA256(b []byte) string {
	s := sha256.Sum256(b)
	return base64.StdEncoding.EncodeToString(s[:])
}

// checksums are those of an answer, as "name=value".
func (a *answer) checksums() (out []string) {
	for _, name := range []string{"Crc32", "Crc32c", "Crc64nvme", "Sha1", "Sha256", "Type"} {
		if value := a.header.Get("X-Amz-Checksum-" + name); value != "" {
			out = append(out, name+"="+value)
		}
	}
	return out
}

// wantChecksums compares the checksums of an answer.
func wantChecksums(t testing.TB, what string, a *answer, want ...string) {
	t.Helper()
	if got := a.checksums(); !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

var checked = header("X-Amz-Checksum-Mode", "ENABLED")

// TestDefaultChecksum: an object whose client sent no checksum has a CRC64NVME of the
// store's own, as with Amazon; one that sent another has that alone.
func TestDefaultChecksum(t *testing.T) {
	v := newVictim(t)
	nobody := *v.root
	nobody.cred = sig.Credential{}
	c := v.root
	c.must(t, 200, "PUT", "/sums", nil, header("X-Amz-Acl", "public-read-write"))
	for _, size := range []int{0, 1, 70_000, 1<<20 + 1} {
		b, target := content(uint64(size), size), fmt.Sprintf("/sums/%d", size)
		own := []string{"Crc64nvme=" + base64CRC64(b), "Type=FULL_OBJECT"}
		for who, c := range map[string]*client{"nobody": &nobody, "root": v.root} {
			wantChecksums(t, "PUT by "+who, c.must(t, 200, "PUT", target, b), own...)
		}
		wantChecksums(t, "GET, checked", c.must(t, 200, "GET", target, nil, checked), own...)
		wantChecksums(t, "HEAD, checked", c.must(t, 200, "HEAD", target, nil, checked), own...)
		wantChecksums(t, "GET", c.must(t, 200, "GET", target, nil))
		if size > 1 {
			wantChecksums(t, "a range, checked", c.must(t, 206, "GET", target, nil, checked, header("Range", "bytes=0-0")))
		}
		c.must(t, 200, "PUT", target, b, header("X-Amz-Checksum-Sha256", base64SHA256(b)))
		wantChecksums(t, "GET of one with SHA-256", c.must(t, 200, "GET", target, nil, checked), "Sha256="+base64SHA256(b), "Type=FULL_OBJECT")
	}
	b := content(1, 20_000)
	c.must(t, 200, "PUT", "/sums/source", b)
	if a := c.must(t, 200, "PUT", "/sums/copy", []byte{}, header("X-Amz-Copy-Source", "/sums/source")); !bytes.Contains(a.body, []byte("<ChecksumCRC64NVME>"+base64CRC64(b))) {
		t.Errorf("a copy: %s", a.body)
	}
	wantChecksums(t, "a copy", c.must(t, 200, "GET", "/sums/copy", nil, checked), "Crc64nvme="+base64CRC64(b), "Type=FULL_OBJECT")
	if a := c.must(t, 200, "GET", "/sums?list-type=2&prefix=copy", nil); !bytes.Contains(a.body, []byte("<ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType>")) {
		t.Errorf("a list: %s", a.body)
	}
	// A chunked body without a trailer has none either.
	r := c.request(context.Background(), "PUT", "/sums/chunked", nil)
	r.Header.Set("X-Amz-Decoded-Content-Length", "11")
	if err := sig.SignV4(r, c.cred, region, sig.PayloadStreamUnsignedTrailer.String(), time.Now()); err != nil {
		t.Fatal(err)
	}
	a, err := c.send(sendFramed(r, []byte("B\r\nhello world\r\n0\r\n\r\n")))
	if err != nil || a.header.Get("X-Amz-Checksum-Crc64nvme") != "jSnVw/bqjr4=" { // a known value
		t.Errorf("chunks without a trailer: %v %v", a, err)
	}
}

// TestDefaultUploadChecksum: the same for an object of parts, whatever checksums the
// parts were sent with.
func TestDefaultUploadChecksum(t *testing.T) {
	v := newVictim(t)
	c := v.root
	c.must(t, 200, "PUT", "/sums", nil)
	parts := [][]byte{content(1, 5<<20), content(2, 5<<20+7), content(3, 100)}
	whole := slices.Concat(parts...)
	own := []string{"Crc64nvme=" + base64CRC64(whole), "Type=FULL_OBJECT"}
	id := c.begin(t, "/sums/object")
	target := func(n int) string { return fmt.Sprintf("/sums/object?partNumber=%d&uploadId=%s", n, id) }
	wantChecksums(t, "a part without", c.must(t, 200, "PUT", target(1), parts[0]))
	wantChecksums(t, "a part with CRC32", c.must(t, 200, "PUT", target(2), parts[1], header("X-Amz-Checksum-Crc32", base64CRC32(parts[1]))), "Crc32="+base64CRC32(parts[1]))
	wantChecksums(t, "a part with SHA-256", c.must(t, 200, "PUT", target(3), parts[2], header("X-Amz-Checksum-Sha256", base64SHA256(parts[2]))), "Sha256="+base64SHA256(parts[2]))
	c.refused(t, 400, "BadDigest", "PUT", target(3), parts[2], header("X-Amz-Checksum-Crc32c", base64CRC32C(parts[1])))
	doc := completion(etagXML(parts[0]), etagXML(parts[1]), etagXML(parts[2]))
	for range 2 { // once more for a client that lost the answer
		a := c.must(t, 200, "POST", "/sums/object?uploadId="+id, doc)
		if !bytes.Contains(a.body, []byte("<ChecksumCRC64NVME>"+base64CRC64(whole)+"</ChecksumCRC64NVME>")) || !bytes.Contains(a.body, []byte("<ChecksumType>FULL_OBJECT<")) {
			t.Errorf("%s", a.body)
		}
	}
	a := c.must(t, 200, "GET", "/sums/object", nil, checked)
	wantChecksums(t, "the object", a, own...)
	if !bytes.Equal(a.body, whole) {
		t.Error("other bytes")
	}
	for i, p := range parts {
		wantChecksums(t, "a part of the object", c.must(t, 206, "GET", fmt.Sprintf("/sums/object?partNumber=%d", i+1), nil, checked), "Crc64nvme="+base64CRC64(p), "Type=FULL_OBJECT")
	}
	// A part that is all of another object takes its checksum along; of a range there
	// is none, nor then of the object.
	for _, tc := range []struct {
		change string
		want   []string
	}{{"", []string{"Crc64nvme=" + base64CRC64(slices.Concat(whole, parts[2])), "Type=FULL_OBJECT"}}, {"bytes=0-5242879", nil}} {
		id := c.begin(t, "/sums/copied")
		change := route{headers: []string{"X-Amz-Copy-Source", "/sums/object"}}
		if tc.change != "" {
			change.headers = append(change.headers, "X-Amz-Copy-Source-Range", tc.change)
		}
		a := c.must(t, 200, "PUT", "/sums/copied?partNumber=1&uploadId="+id, []byte{}, change.change()...)
		_, tag, _ := strings.Cut(string(a.body), "<ETag>")
		tag, _, _ = strings.Cut(tag, "</ETag>")
		c.must(t, 200, "PUT", "/sums/copied?partNumber=2&uploadId="+id, parts[2])
		c.must(t, 200, "POST", "/sums/copied?uploadId="+id, completion("<ETag>"+tag+"</ETag>", etagXML(parts[2])))
		wantChecksums(t, "copied "+tc.change, c.must(t, 200, "HEAD", "/sums/copied", nil, checked), tc.want...)
	}
}

// TestPartChecksums: a part of an object is read with the checksum of the part.
func TestPartChecksums(t *testing.T) {
	v := newVictim(t)
	c := v.root
	c.must(t, 200, "PUT", "/sums", nil)
	parts := [][]byte{content(1, 5<<20), content(2, 100)}
	for algorithm, sum := range map[string]func([]byte) string{"Crc32": base64CRC32, "Sha256": base64SHA256, "Crc64nvme": base64CRC64} {
		id := c.begin(t, "/sums/object", header("X-Amz-Checksum-Algorithm", strings.ToUpper(algorithm)))
		var xml []string
		kind := "COMPOSITE"
		if algorithm == "Crc64nvme" {
			kind = "FULL_OBJECT"
		}
		for i, p := range parts {
			c.must(t, 200, "PUT", fmt.Sprintf("/sums/object?partNumber=%d&uploadId=%s", i+1, id), p, header("X-Amz-Checksum-"+algorithm, sum(p)))
			name := "Checksum" + strings.ToUpper(algorithm)
			xml = append(xml, etagXML(p)+"<"+name+">"+sum(p)+"</"+name+">")
		}
		c.must(t, 200, "POST", "/sums/object?uploadId="+id, completion(xml...))
		for i, p := range parts {
			for _, method := range []string{"GET", "HEAD"} {
				a := c.must(t, 206, method, fmt.Sprintf("/sums/object?partNumber=%d", i+1), nil, checked)
				wantChecksums(t, algorithm+" of a part by "+method, a, algorithm+"="+sum(p), "Type="+kind)
			}
		}
	}
	b := content(3, 50)
	c.must(t, 200, "PUT", "/sums/plain", b)
	wantChecksums(t, "an object that is its only part", c.must(t, 206, "GET", "/sums/plain?partNumber=1", nil, checked), "Crc64nvme="+base64CRC64(b), "Type=FULL_OBJECT")
}

// TestAttackCompletionChecksums: B9. What a completion says of checksums holds, or it
// is refused.
func TestAttackCompletionChecksums(t *testing.T) {
	v := newVictim(t)
	c := v.root
	c.must(t, 200, "PUT", "/sums", nil)
	part := content(1, 1000)
	full := []string{"X-Amz-Checksum-Algorithm", "CRC32", "X-Amz-Checksum-Type", "FULL_OBJECT"}
	composite := []string{"X-Amz-Checksum-Algorithm", "CRC32"}
	crc := "<ChecksumCRC32>" + base64CRC32(part) + "</ChecksumCRC32>"
	for _, tc := range []struct {
		name    string
		begin   []string
		part    string // beside the tag
		headers []string
		code    string
	}{
		{"another type", full, crc, []string{"X-Amz-Checksum-Type", "COMPOSITE"}, "InvalidRequest"},
		{"another type", composite, crc, []string{"X-Amz-Checksum-Type", "FULL_OBJECT"}, "InvalidRequest"},
		{"a type of none", nil, "", []string{"X-Amz-Checksum-Type", "COMPOSITE"}, "InvalidRequest"},
		{"no type", full, crc, []string{"X-Amz-Checksum-Type", "HALF"}, "InvalidRequest"},
		{"a wrong one", full, crc, []string{"X-Amz-Checksum-Crc32", base64CRC32(nil)}, "BadDigest"},
		{"a malformed one", full, crc, []string{"X-Amz-Checksum-Crc32", "bad"}, "BadDigest"},
		{"a malformed number of parts", composite, crc, []string{"X-Amz-Checksum-Crc32", base64CRC32(part) + "-x"}, "BadDigest"},
		{"a wrong number of parts", composite, crc, []string{"X-Amz-Checksum-Crc32", base64CRC32(be(uint64(crc32.ChecksumIEEE(part)), 4)) + "-2"}, "BadDigest"},
		{"two", full, crc, []string{"X-Amz-Checksum-Crc32", base64CRC32(part), "X-Amz-Checksum-Crc32c", base64CRC32C(part)}, "InvalidRequest"},
		{"an unknown one", full, crc, []string{"X-Amz-Checksum-Rot13", "x"}, "InvalidRequest"},
		{"a wrong one of our own", nil, "", []string{"X-Amz-Checksum-Crc64nvme", base64CRC64(nil)}, "BadDigest"},
		{"a wrong one of the part", full, "<ChecksumCRC32>" + base64CRC32(nil) + "</ChecksumCRC32>", nil, "InvalidPart"},
		{"a malformed one of the part", full, "<ChecksumCRC32>bad</ChecksumCRC32>", nil, "InvalidArgument"},
		{"two of the part", full, crc + "<ChecksumCRC32C>" + base64CRC32C(part) + "</ChecksumCRC32C>", nil, "InvalidArgument"},
		{"another one of the part", full, "<ChecksumCRC32C>" + base64CRC32C(part) + "</ChecksumCRC32C>", nil, "BadDigest"},
		{"none of the part, and a malformed one", composite, "", []string{"X-Amz-Checksum-Crc32", "bad"}, "BadDigest"},
		{"another size", full, crc, []string{"X-Amz-Mp-Object-Size", "999"}, "InvalidRequest"},
		{"a size that is none", full, crc, []string{"X-Amz-Mp-Object-Size", "1e3"}, "InvalidRequest"},
		{"all right", full, crc, []string{"X-Amz-Checksum-Crc32", base64CRC32(part), "X-Amz-Checksum-Type", "FULL_OBJECT", "X-Amz-Mp-Object-Size", "1000"}, ""},
		{"all right, composite", composite, crc, []string{"X-Amz-Checksum-Crc32", base64CRC32(be(uint64(crc32.ChecksumIEEE(part)), 4)) + "-1"}, ""},
		{"all right, none of the part", composite, "", []string{"X-Amz-Checksum-Crc32", base64CRC32(be(uint64(crc32.ChecksumIEEE(part)), 4)) + "-1"}, ""},
		{"all right, our own", nil, "", []string{"X-Amz-Checksum-Crc64nvme", base64CRC64(part), "X-Amz-Checksum-Type", "FULL_OBJECT"}, ""},
	} {
		id := c.begin(t, "/sums/object", route{headers: tc.begin}.change()...)
		var change []string
		if tc.begin != nil {
			change = []string{"X-Amz-Checksum-Crc32", base64CRC32(part)}
		}
		c.must(t, 200, "PUT", "/sums/object?partNumber=1&uploadId="+id, part, route{headers: change}.change()...)
		doc := completion(etagXML(part) + tc.part)
		a, err := c.try("POST", "/sums/object?uploadId="+id, doc, route{headers: tc.headers}.change()...)
		if tc.code != "" {
			checkRefused(t, tc.name, a, err, 400, tc.code)
			c.refused(t, 404, "NoSuchKey", "GET", "/sums/object", nil)
			c.must(t, 204, "DELETE", "/sums/object?uploadId="+id, nil)
			continue
		}
		if err != nil || a.status != 200 {
			t.Errorf("%s: %v %v", tc.name, a, err)
		}
		c.must(t, 204, "DELETE", "/sums/object", nil)
	}
}

// TestClaimOfUnreadParts: a checksum that a client says the whole object has is compared,
// also where a part was copied and nobody has read it.
func TestClaimOfUnreadParts(t *testing.T) {
	c := openSealing(t).client()
	b, last := content(1, 6<<20), content(2, 77)
	for _, s := range waysToSeal() {
		target := "/sealed/claim-" + s.name
		c.must(t, 200, "PUT", "/sealed/source-"+s.name, b, withHeaders(s.write))
		id := c.begin(t, target, withHeaders(s.write))
		copied := c.must(t, 200, "PUT", target+"?partNumber=1&uploadId="+id, []byte{}, withHeaders(s.read, s.source),
			header("X-Amz-Copy-Source", "/sealed/source-"+s.name), header("X-Amz-Copy-Source-Range", "bytes=1-5300000"))
		second := c.must(t, 200, "PUT", target+"?partNumber=2&uploadId="+id, last, withHeaders(s.read))
		_, first, _ := strings.Cut(string(copied.body), "<ETag>")
		first, _, _ = strings.Cut(first, "</ETag>")
		list := completion("<ETag>"+first+"</ETag>", "<ETag>"+second.header.Get("Etag")+"</ETag>")
		whole := slices.Concat(b[1:5300001], last)
		claim := func(b []byte) func(*http.Request) { return header("X-Amz-Checksum-Crc64nvme", base64CRC64(b)) }
		if s.read != nil {
			c.refused(t, 400, "InvalidRequest", "POST", target+"?uploadId="+id, list, claim(whole))
		}
		c.refused(t, 400, "BadDigest", "POST", target+"?uploadId="+id, list, withHeaders(s.read), claim(b))
		c.must(t, 200, "POST", target+"?uploadId="+id, list, withHeaders(s.read), claim(whole))
		if a := c.must(t, 200, "GET", target, nil, withHeaders(s.read), header("X-Amz-Checksum-Mode", "ENABLED")); !bytes.Equal(a.body, whole) ||
			a.header.Get("X-Amz-Checksum-Crc64nvme") != base64CRC64(whole) {
			t.Errorf("%s: %v", s.name, a.header)
		}
	}
}
