package server_test

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestAppendKeepsTheRest: what an append says of an object that is there, and that would
// not become true, is refused before a byte is taken.
func TestAppendKeepsTheRest(t *testing.T) {
	c := openSealing(t).client()
	kms := withHeaders(map[string]string{"X-Amz-Server-Side-Encryption": "aws:kms", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": "testkey-1"})
	c.must(t, 200, "PUT", "/sealed/plain", []byte("12345"))
	c.must(t, 200, "PUT", "/sealed/s3", []byte("12345"), header("X-Amz-Server-Side-Encryption", "AES256"))
	c.must(t, 200, "PUT", "/sealed/kms", []byte("12345"), kms)
	at := header("X-Amz-Write-Offset-Bytes", "5")
	for _, tc := range []struct{ key, name, value string }{
		{"plain", "X-Amz-Tagging", "a=b"}, {"plain", "X-Amz-Acl", "public-read"}, {"plain", "X-Amz-Storage-Class", "REDUCED_REDUNDANCY"},
		{"plain", "X-Amz-Grant-Read", `uri="http://acs.amazonaws.com/groups/global/AllUsers"`},
		{"plain", "X-Amz-Server-Side-Encryption", "AES256"}, {"kms", "X-Amz-Server-Side-Encryption", "AES256"}, {"s3", "X-Amz-Server-Side-Encryption", "aws:kms"},
		{"kms", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id", "testkey-2"}, {"kms", "X-Amz-Server-Side-Encryption-Bucket-Key-Enabled", "true"},
		{"kms", "X-Amz-Server-Side-Encryption-Context", "eyJhIjoiYiJ9"},
	} {
		c.refused(t, 400, "InvalidArgument", "PUT", "/sealed/"+tc.key, []byte("678"), at, header(tc.name, tc.value))
	}
	// What is so already may be said.
	for key, said := range map[string]func(*http.Request){
		"plain": header("X-Amz-Storage-Class", "STANDARD"), "s3": header("X-Amz-Server-Side-Encryption", "AES256"), "kms": kms,
	} {
		c.must(t, 200, "PUT", "/sealed/"+key, []byte("678"), at, said)
		if a := c.must(t, 200, "GET", "/sealed/"+key, nil); string(a.body) != "12345678" {
			t.Errorf("%s holds %q", key, a.body)
		}
	}
	c.must(t, 200, "PUT", "/sealed/new", []byte("1"), header("X-Amz-Write-Offset-Bytes", "0"), header("X-Amz-Tagging", "a=b"), header("X-Amz-Acl", "public-read"))
	if a := c.must(t, 200, "GET", "/sealed/new", nil); a.header.Get("X-Amz-Tagging-Count") != "1" {
		t.Error(fmt.Sprint(a.header))
	}
}

// TestAppendTooManyPieces: an object grows to ten thousand pieces, and no further. To have
// that many soon, it is copied together of one that has some: copies in parts keep them.
func TestAppendTooManyPieces(t *testing.T) {
	c := openInProcess(t, vfs.NewMem(), "/").client()
	c.must(t, 200, "PUT", "/grown", nil)
	grow := func(key string, size int, status int) *answer {
		t.Helper()
		return c.must(t, status, "PUT", "/grown/"+key, []byte("+"), header("X-Amz-Write-Offset-Bytes", fmt.Sprint(size)))
	}
	const large = 5 << 20 // the least that a part has
	c.must(t, 200, "PUT", "/grown/10", content(1, large))
	for i := range 9 {
		grow("10", large+i, 200)
	}
	size := large + 9
	// together makes an object of ten copies of another, the last of them without its end.
	together := func(key, source string, short int) {
		t.Helper()
		target := "/grown/" + key + "?uploadId=" + c.begin(t, "/grown/"+key)
		parts := ""
		for n := 1; n <= 10; n++ {
			last := size - 1
			if n == 10 {
				last -= short
			}
			a := c.must(t, 200, "PUT", target+fmt.Sprintf("&partNumber=%d", n), nil, header("X-Amz-Copy-Source", "/grown/"+source),
				header("X-Amz-Copy-Source-Range", fmt.Sprintf("bytes=0-%d", last)))
			var part struct{ ETag string }
			if err := xml.Unmarshal(a.body, &part); err != nil {
				t.Fatal(err)
			}
			parts += fmt.Sprintf("<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", n, part.ETag)
		}
		a := c.must(t, 200, "POST", target, []byte("<CompleteMultipartUpload>"+parts+"</CompleteMultipartUpload>"))
		if a.code() != "" {
			t.Fatal(a)
		}
		size = 10*size - short
	}
	together("100", "10", 0)
	together("1000", "100", 0)
	together("all", "1000", 1) // 9,999 pieces: the last one's last byte was one
	grow("all", size, 200)
	before := c.must(t, 200, "HEAD", "/grown/all", nil)
	if got := before.header.Get("Content-Length"); got != fmt.Sprint(size+1) {
		t.Fatalf("it has %s bytes, not %d", got, size+1)
	}
	if a := grow("all", size+1, 400); a.code() != "TooManyParts" {
		t.Errorf("one piece more: %v", a)
	}
	after := c.must(t, 200, "HEAD", "/grown/all", nil)
	if after.header.Get("Etag") != before.header.Get("Etag") || after.header.Get("Content-Length") != before.header.Get("Content-Length") {
		t.Errorf("before %v, after %v", before.header, after.header)
	}
	if a := c.must(t, 206, "GET", "/grown/all", nil, header("Range", "bytes=-3")); string(a.body) != "+++" {
		t.Errorf("it ends with %q", a.body)
	}
	// Nothing at all is no piece.
	c.must(t, 200, "PUT", "/grown/all", []byte{}, header("X-Amz-Write-Offset-Bytes", fmt.Sprint(size+1)))
}
