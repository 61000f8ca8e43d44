package server_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/server"
)

// subresources are those of Amazon's API reference, by what they are of, and a few
// that it does not have yet.
func subresources() (bucket, object []string) {
	bucket = strings.Fields(`abac accelerate analytics cors encryption intelligent-tiering inventory lifecycle logging
		metadataConfiguration metadataInventoryTable metadataJournalTable metadataAnnotationTable metadataTable metrics notification object-lock
		ownershipControls policyStatus publicAccessBlock replication requestPayment session tagging versioning website not-yet-invented`)
	object = strings.Fields(`annotation annotations attributes encryption legal-hold renameObject restore retention select tagging torrent not-yet-invented`)
	return bucket, object
}

// TestAttackSubresources: a sub-resource that is not served is not its bucket or
// object. Who deletes a configuration must not lose the bucket, and who sets an
// object's encryption not the object.
func TestAttackSubresources(t *testing.T) {
	v := newVictim(t)
	v.root.must(t, 200, "PUT", "/empty", nil)
	of, in := subresources()
	for _, method := range []string{"PUT", "DELETE", "POST"} {
		for _, sub := range of {
			for _, q := range []string{sub, sub + "=", sub + "&id=1", "x-id=Other&" + sub} {
				v.root.refused(t, 501, "NotImplemented", method, "/empty?"+q, []byte("<Other/>"))
				v.root.refused(t, 501, "NotImplemented", method, "/new-bucket?"+q, []byte{})
			}
		}
		for _, sub := range in {
			v.root.refused(t, 501, "NotImplemented", method, "/vault/secret?"+sub, []byte("<Other/>"))
			v.root.refused(t, 501, "NotImplemented", method, "/vault/new?"+sub, []byte("<Other/>"))
		}
	}
	for _, sub := range of {
		if sub != "not-yet-invented" && sub != "versioning" && sub != "policyStatus" { // an unknown one of a GET is passed over, as Amazon does
			v.root.refused(t, 501, "NotImplemented", "GET", "/empty?"+sub, nil)
		}
	}
	v.root.must(t, 200, "HEAD", "/empty", nil)
	v.root.refused(t, 404, "NoSuchBucket", "GET", "/new-bucket", nil)
	// What SDKs and gateways add for themselves is no sub-resource.
	v.root.must(t, 200, "PUT", "/vault/new?x-id=PutObject&x-trace=1&cache=no", []byte("x"))
	v.root.must(t, 204, "DELETE", "/vault/new?x-id=DeleteObject", nil)
	v.root.must(t, 204, "DELETE", "/empty?x-id=DeleteBucket", nil)
	v.unharmed()
}

// TestAttackPartOfNothing: a part without its upload, or a version where none can be
// named, must not become the object.
func TestAttackPartOfNothing(t *testing.T) {
	v := newVictim(t)
	own := header("X-Amz-Copy-Source", "/public/page")
	v.root.refused(t, 400, "InvalidArgument", "PUT", "/vault/secret?partNumber=1", []byte("a part"))
	v.root.refused(t, 400, "InvalidArgument", "PUT", "/vault/secret?partNumber=1", []byte{}, own)
	v.root.refused(t, 404, "NoSuchUpload", "PUT", "/vault/secret?partNumber=1&uploadId=", []byte("a part"))
	v.root.refused(t, 400, "InvalidArgument", "PUT", "/vault/secret?uploadId=000000000000g0000000", []byte("a part"))
	v.root.refused(t, 400, "InvalidArgument", "PUT", "/vault/secret?versionId=null", []byte("x"))
	v.root.refused(t, 400, "InvalidArgument", "PUT", "/vault/secret?versionId=null", []byte{}, own)
	v.root.refused(t, 400, "InvalidArgument", "POST", "/vault/secret?uploads&versionId=null", []byte{})
	v.unharmed()
}

// TestAttackTargets: request targets that are no path of a bucket.
func TestAttackTargets(t *testing.T) {
	fs := vfs.NewMem()
	p := openInProcess(t, fs, "/", func(o *server.Options) { o.Domains = []string{"s3.example.com"} })
	v := &victim{T: t, p: p, root: p.client(), alice: p.client()}
	here := strings.TrimPrefix(p.endpoint, "http://")
	for _, tc := range []struct {
		line, host string
		status     int
		code       string
	}{
		{"GET *", "bucket.s3.example.com", 400, "InvalidURI"},
		{"PUT *", "bucket.s3.example.com", 400, "InvalidURI"},
		{"GET *", here, 400, "InvalidURI"},
		{"GET http://" + here, here, 403, "AccessDenied"}, // ListBuckets of nobody
		{"GET http://bucket.s3.example.com", here, 404, "NoSuchBucket"},
		{"GET /", ".s3.example.com", 403, "AccessDenied"},
		{"GET /%ff", here, 404, "NoSuchBucket"},
	} {
		a, err := v.raw(fmt.Appendf(nil, "%s HTTP/1.1\r\nHost: %s\r\n\r\n", tc.line, tc.host))
		checkRefused(t, tc.line+" of "+tc.host, a, err, tc.status, tc.code)
	}
}

// TestAttackEncoding: E1. A key is UTF-8, as Amazon has it: what is not can be
// neither stored nor asked for, on no route.
func TestAttackEncoding(t *testing.T) {
	v := newVictim(t)
	for _, key := range []string{"\xff", "a\xc3", "\xed\xa0\x80", "\xc0\xaf", "ok/\xfe/ok"} {
		for _, r := range routes("vault", escape(key)) {
			if strings.HasPrefix(r.target, "/vault?") || r.target == "/vault" {
				continue // of the bucket
			}
			r.headers = nil
			a, err := v.root.try(r.method, r.target, []byte(r.body))
			checkRefused(t, r.method+" "+r.target, a, err, 400, "InvalidURI")
		}
		v.root.refused(t, 400, "InvalidArgument", "PUT", "/vault/new", []byte{}, header("X-Amz-Copy-Source", "/vault/"+escape(key)))
	}
	v.unharmed()
}

// TestUnservedHeaders: what a header asks for is done or refused, never passed over.
func TestUnservedHeaders(t *testing.T) {
	v := newVictim(t)
	id := v.root.begin(t, "/vault/parts")
	for _, h := range [][2]string{
		{"X-Amz-Server-Side-Encryption", "AES256"}, {"X-Amz-Server-Side-Encryption-Customer-Algorithm", "AES256"},
		{"X-Amz-Object-Lock-Mode", "COMPLIANCE"}, {"X-Amz-Object-Lock-Legal-Hold", "ON"}, {"X-Amz-Write-Offset-Bytes", "5"},
	} {
		set := header(h[0], h[1])
		source := header("X-Amz-Copy-Source", "/vault/secret")
		v.root.refused(t, 501, "NotImplemented", "PUT", "/vault/new", []byte("x"), set)
		v.root.refused(t, 501, "NotImplemented", "PUT", "/vault/new", []byte{}, source, set)
		v.root.refused(t, 501, "NotImplemented", "POST", "/vault/new?uploads", []byte{}, set)
		v.root.refused(t, 501, "NotImplemented", "PUT", "/vault/parts?partNumber=1&uploadId="+id, []byte("x"), set)
		v.root.refused(t, 501, "NotImplemented", "PUT", "/vault/parts?partNumber=1&uploadId="+id, []byte{}, source, set)
	}
	// A key to decrypt with says that the object is encrypted, which it is not.
	key := header("X-Amz-Server-Side-Encryption-Customer-Algorithm", "AES256")
	v.root.refused(t, 400, "InvalidRequest", "GET", "/vault/secret", nil, key)
	v.root.must(t, 400, "HEAD", "/vault/secret", nil, key)
	v.root.must(t, 204, "DELETE", "/vault/parts?uploadId="+id, nil)
	for _, h := range [][2]string{
		{"X-Amz-Object-Ownership", "BucketOwnerEnforced"}, {"X-Amz-Object-Ownership", "BucketOwnerPreferred"}, {"X-Amz-Bucket-Object-Lock-Enabled", "true"},
	} {
		v.root.refused(t, 501, "NotImplemented", "PUT", "/new-bucket", nil, header(h[0], h[1]))
	}
	v.root.refused(t, 400, "InvalidArgument", "PUT", "/new-bucket", nil, header("X-Amz-Object-Ownership", "Nobody"))
	for _, inside := range []string{
		"<Tags><Tag><Key>a</Key><Value>b</Value></Tag></Tags>", "<Bucket><Type>Directory</Type></Bucket>", "<Location><Name>use1-az1</Name><Type>AvailabilityZone</Type></Location>",
	} {
		v.root.refused(t, 501, "NotImplemented", "PUT", "/new-bucket", []byte("<CreateBucketConfiguration>"+inside+"</CreateBucketConfiguration>"))
	}
	v.root.refused(t, 400, "InvalidRedirectLocation", "PUT", "/vault/new", []byte("x"), header("X-Amz-Website-Redirect-Location", "javascript:alert(1)"))
	v.root.must(t, 200, "PUT", "/new-bucket", nil, header("X-Amz-Object-Ownership", "ObjectWriter"))
	v.root.must(t, 204, "DELETE", "/new-bucket", nil)
	v.unharmed()
}

// TestSniffing: E5. A browser must take an object for what it was stored as.
func TestSniffing(t *testing.T) {
	v := newVictim(t)
	page := []byte("<script>alert(1)</script>")
	v.root.must(t, 200, "PUT", "/vault/page", page, header("Content-Type", "text/plain"))
	for _, method := range []string{"GET", "HEAD"} {
		a := v.root.must(t, 200, method, "/vault/page", nil)
		if a.header.Get("X-Content-Type-Options") != "nosniff" || a.header.Get("Content-Type") != "text/plain" {
			t.Errorf("%s: %v", method, a.header)
		}
	}
	if a := v.root.refused(t, 404, "NoSuchKey", "GET", "/vault/%3Cscript%3E", nil); bytes.Contains(a.body, []byte("<script>")) || a.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%v %v", a, a.header)
	}
	v.root.must(t, 204, "DELETE", "/vault/page", nil)
	v.unharmed()
}

// TestInternalHeaders: D11. What a client calls metadata is its own: it becomes no
// header of ours, whatever it is called.
func TestInternalHeaders(t *testing.T) {
	v := newVictim(t)
	var change []string
	for _, name := range []string{"X-Ironman-Sequence", "X-Amz-Request-Id", "X-Amz-Replication-Status", "X-Amz-Meta-X-Amz-Acl", "X-Amz-Meta-Etag", "X-Minio-Internal-A", "X-Amz-Version-Id"} {
		change = append(change, name, "forged")
	}
	v.root.must(t, 200, "PUT", "/vault/new", []byte("x"), route{headers: change}.change()...)
	a := v.root.must(t, 200, "GET", "/vault/new", nil)
	for name, values := range a.header {
		if strings.Join(values, "") == "forged" && !strings.EqualFold(name, "X-Amz-Meta-X-Amz-Acl") && !strings.EqualFold(name, "X-Amz-Meta-Etag") {
			t.Errorf("%s: %v", name, values)
		}
	}
	if a.header.Get("X-Amz-Meta-Etag") != "forged" || a.header.Get("Etag") != etag([]byte("x")) {
		t.Errorf("%v", a.header)
	}
	v.root.must(t, 204, "DELETE", "/vault/new", nil)
	v.unharmed()
}
