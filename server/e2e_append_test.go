package server_test

import (
	"fmt"
	"net/http"
	"testing"
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
