package server_test

import (
	"crypto/md5"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"ironman/server"
)

// TestMadeAgain: a bucket is made again by its owner as it is, and not otherwise.
func TestMadeAgain(t *testing.T) {
	v := newVictim(t)
	v.root.must(t, 200, "PUT", "/vault", nil)
	v.root.refused(t, 409, "BucketAlreadyExists", "PUT", "/vault", nil, header("X-Amz-Acl", "public-read"))
	v.root.refused(t, 409, "BucketAlreadyExists", "PUT", "/public", nil)
	v.alice.refused(t, 409, "BucketAlreadyExists", "PUT", "/vault", nil)
	v.unharmed()
}

// TestPolicyStatus: a bucket is public by its policy or by its access control list, unless
// that does not count.
func TestPolicyStatus(t *testing.T) {
	v := newVictim(t)
	public := func(bucket string) bool {
		t.Helper()
		return strings.Contains(string(v.root.must(t, 200, "GET", bucket+"?policyStatus", nil).body), "<IsPublic>true<")
	}
	if public("/vault") || !public("/public") {
		t.Error("without policies")
	}
	v.root.must(t, 200, "PUT", "/public?publicAccessBlock", []byte("<PublicAccessBlockConfiguration><IgnorePublicAcls>true</IgnorePublicAcls></PublicAccessBlockConfiguration>"))
	if public("/public") {
		t.Error("the list is ignored")
	}
	v.root.must(t, 204, "PUT", "/vault?policy", []byte(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::vault/*"}}`))
	if !public("/vault") {
		t.Error("with a policy")
	}
}

// TestPolicyDeniesItself: the owner's account can always replace a policy, unless it
// confirmed that it shall not.
func TestPolicyDeniesItself(t *testing.T) {
	v := newVictim(t)
	deny := []byte(`{"Version":"2012-10-17","Statement":{"Effect":"Deny","Principal":"*","Action":["s3:GetBucketPolicy","s3:PutBucketPolicy","s3:DeleteBucketPolicy"],"Resource":"arn:aws:s3:::locked"}}`)
	v.alice.must(t, 200, "PUT", "/locked", nil)
	v.alice.must(t, 204, "PUT", "/locked?policy", deny)
	v.alice.must(t, 200, "GET", "/locked?policy", nil)
	v.alice.must(t, 204, "PUT", "/locked?policy", deny, header("X-Amz-Confirm-Remove-Self-Bucket-Access", "true"))
	for _, method := range []string{"GET", "PUT", "DELETE"} {
		v.alice.refused(t, 403, "AccessDenied", method, "/locked?policy", deny)
	}
	v.root.must(t, 204, "DELETE", "/locked?policy", nil)
	v.alice.must(t, 204, "PUT", "/locked?policy", deny)
	v.alice.must(t, 204, "DELETE", "/locked?policy", nil)
}

// TestPartSentAgain: a part that was sent again may be listed twice, and has the same
// entity tag if it has the same bytes, also under a client's key.
func TestPartSentAgain(t *testing.T) {
	v := newVictim(t, func(o *server.Options) { o.AllowInsecureSSEC = true })
	key := content(9, 32)
	sum := md5.Sum(key)
	sealed := func(r *http.Request) {
		for name, value := range map[string]string{
			"Algorithm": "AES256", "Key": base64.StdEncoding.EncodeToString(key), "Key-Md5": base64.StdEncoding.EncodeToString(sum[:]),
		} {
			r.Header.Set("X-Amz-Server-Side-Encryption-Customer-"+name, value)
		}
	}
	id := v.root.begin(t, "/vault/sealed", sealed)
	first := v.root.must(t, 200, "PUT", "/vault/sealed?partNumber=1&uploadId="+id, content(1, 100), sealed).header.Get("Etag")
	other := v.root.must(t, 200, "PUT", "/vault/sealed?partNumber=1&uploadId="+id, content(2, 100), sealed).header.Get("Etag")
	again := v.root.must(t, 200, "PUT", "/vault/sealed?partNumber=1&uploadId="+id, content(1, 100), sealed).header.Get("Etag")
	if first != again || first == other || first == etagXML(content(1, 100)) {
		t.Errorf("%s, %s of other bytes, %s sent again", first, other, again)
	}
	list := func(tags ...string) []byte {
		var b strings.Builder
		for _, tag := range tags {
			b.WriteString("<Part><PartNumber>1</PartNumber><ETag>" + tag + "</ETag></Part>")
		}
		return []byte("<CompleteMultipartUpload>" + b.String() + "</CompleteMultipartUpload>")
	}
	v.root.refused(t, 400, "InvalidPart", "POST", "/vault/sealed?uploadId="+id, list(again, other))
	v.root.must(t, 200, "POST", "/vault/sealed?uploadId="+id, list(other, again))
}
