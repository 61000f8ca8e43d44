package s3api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"ironman/s3api/access"
	"ironman/s3api/accesslog"
	"ironman/s3api/s3err"
	"ironman/s3api/sig"
)

// TestOperations keeps the rows of the table honest: each has a known action, and a
// query key that signature version 2 signs.
func TestOperations(t *testing.T) {
	seen := make(map[string]bool)
	for _, op := range operations() {
		if nobody := op.needs == needNobody; nobody != (op.method == "OPTIONS") || nobody != (op.action == "") {
			t.Errorf("%s: only preflights are for nobody, and they are", op.name)
		}
		if op.needs != needNobody && !access.Known(op.action) {
			t.Errorf("%s: action %q is not known", op.name, op.action)
		}
		// list-type selects a form of the same operation and is not signed by version 2.
		if op.query != "" && op.query != "list-type" && !sig.IsSubResource(op.query) {
			t.Errorf("%s: query key %q is not a sub-resource", op.name, op.query)
		}
		if seen[op.name] {
			t.Errorf("%s stands twice", op.name)
		}
		seen[op.name] = true
	}
	// Nor may one that is not served be added to a signed request.
	for _, on := range []target{onBucket, onObject} {
		for _, k := range notImplemented(on) {
			if !sig.IsSubResource(k) {
				t.Errorf("query key %q is not a sub-resource", k)
			}
		}
	}
}

// TestRoute checks which operation a request line means.
func TestRoute(t *testing.T) {
	r := newRouter(operations())
	for _, c := range []struct{ method, target, host, want, bucket, key string }{
		{"GET", "/", "", "ListBuckets", "", ""},
		{"GET", "/b", "", "ListObjects", "b", ""},
		{"GET", "/b/", "", "ListObjects", "b", ""},
		{"GET", "/b?list-type=2", "", "ListObjectsV2", "b", ""},
		{"GET", "/b?versions", "", "ListObjectVersions", "b", ""},
		{"GET", "/b//k", "", "GetObject", "b", "/k"},
		{"GET", "/b/a/../c", "", "GetObject", "b", "a/../c"},
		{"GET", "/b/a%2Fb/", "", "GetObject", "b", "a/b/"},
		{"PUT", "/b/k?partNumber=1&uploadId=x", "", "UploadPart", "b", "k"},
		{"PUT", "/b", "", "CreateBucket", "b", ""},
		{"PUT", "/b?versioning", "", "PutBucketVersioning", "b", ""},
		{"DELETE", "/b?versioning", "", "NotImplemented", "", ""},
		{"PUT", "/b/k?renameObject", "", "NotImplemented", "", ""},
		{"DELETE", "/b?metadataConfiguration", "", "NotImplemented", "", ""},
		{"DELETE", "/b?unheard-of", "", "NotImplemented", "", ""},
		{"DELETE", "/b?unheard-of=&id=1", "", "NotImplemented", "", ""},
		{"DELETE", "/b?x-id=DeleteBucket&x-amz-meta-a=&trace=1", "", "DeleteBucket", "b", ""},
		{"GET", "/b?unheard-of", "", "ListObjects", "b", ""},
		{"PUT", "/b/k?encryption", "", "NotImplemented", "", ""},
		{"PUT", "/b/k?x-amz-copy-source=b%2Fs", "", "CopyObject", "b", "k"},
		{"PUT", "/b/k?X-Amz-Copy-Source=b%2Fs&partNumber=1&uploadId=x", "", "UploadPartCopy", "b", "k"},
		{"PUT", "/b?policy", "", "PutBucketPolicy", "b", ""},
		{"GET", "/b?feed&from=0", "", "GetBucketFeed", "b", ""},
		{"GET", "/?feed", "b.s3.example", "GetBucketFeed", "b", ""},
		{"HEAD", "/b?feed", "", "NotImplemented", "", ""},
		{"GET", "/b/k?feed", "", "GetObject", "b", "k"},
		{"GET", "/-/feed", "", "GetObject", "-", "feed"},
		{"PUT", "/b?feedCursor=c&from=0&to=1", "", "PutBucketFeedCursor", "b", ""},
		{"PUT", "/b?feed", "", "NotImplemented", "", ""},
		{"POST", "/b?policy", "", "NotImplemented", "", ""},
		{"GET", "/b?policyStatus", "", "GetBucketPolicyStatus", "b", ""},
		{"DELETE", "/b?policyStatus", "", "NotImplemented", "", ""},
		{"GET", "/b/k?tagging", "", "GetObjectTagging", "b", "k"},
		{"DELETE", "/b?acl", "", "NotImplemented", "", ""},
		{"POST", "/b", "", "PostObject", "b", ""},
		{"POST", "/b/", "", "PostObject", "b", ""},
		{"POST", "/", "b.s3.example", "PostObject", "b", ""},
		{"POST", "/b?delete", "", "DeleteObjects", "b", ""},
		{"POST", "/b?unheard-of", "", "NotImplemented", "", ""},
		{"POST", "/b/k", "", "MethodNotAllowed", "", ""},
		{"GET", "/b/k?attributes&versionId=x", "", "GetObjectAttributes", "b", "k"},
		{"GET", "/b/k?torrent", "", "GetObjectTorrent", "b", "k"},
		{"POST", "/b/k?restore", "", "RestoreObject", "b", "k"},
		{"POST", "/b/k?select&select-type=2", "", "SelectObjectContent", "b", "k"},
		{"PUT", "/b/k?attributes", "", "NotImplemented", "", ""},
		{"DELETE", "/b/k?restore", "", "NotImplemented", "", ""},
		{"DELETE", "/", "", "MethodNotAllowed", "", ""},
		{"PATCH", "/b", "", "MethodNotAllowed", "", ""},
		{"OPTIONS", "/", "", "MethodNotAllowed", "", ""},
		{"OPTIONS", "/b", "", "PreflightBucket", "b", ""},
		{"OPTIONS", "/b?lifecycle", "", "PreflightBucket", "b", ""},
		{"OPTIONS", "/b/k?unheard-of", "", "PreflightObject", "b", "k"},
		{"OPTIONS", "/b/k?x-amz-copy-source=b%2Fs", "", "PreflightObject", "b", "k"},
		{"PUT", "/b?cors", "", "PutBucketCors", "b", ""},
		{"DELETE", "/b?publicAccessBlock", "", "DeletePublicAccessBlock", "b", ""},
		{"DELETE", "/b?notification", "", "NotImplemented", "", ""},
		{"PUT", "/b?accelerate", "", "NotImplemented", "", ""},
		{"GET", "/k", "b.s3.example:9000", "GetObject", "b", "k"},
		{"GET", "/", "b.s3.example", "ListObjects", "b", ""},
		{"GET", "/", "s3.example", "ListBuckets", "", ""},
	} {
		req := httptest.NewRequest(c.method, c.target, nil)
		if c.host != "" {
			req.Host = c.host
		}
		m, err := r.find(req, []string{"s3.example"})
		var op *operation
		if err == nil {
			op, err = m.choose(req.URL.Query(), http.Header{})
		}
		if err != nil {
			if code := s3err.From(err).Code; code != c.want {
				t.Errorf("%s %s: %s, want %s", c.method, c.target, code, c.want)
			}
			continue
		}
		if op.name != c.want || m.bucket != c.bucket || m.key != c.key {
			t.Errorf("%s %s: %s of %q %q, want %s of %q %q", c.method, c.target, op.name, m.bucket, m.key, c.want, c.bucket, c.key)
		}
	}
}

// TestOperationsAreNamedInLogs: each has the name that access logs know it by.
func TestOperationsAreNamedInLogs(t *testing.T) {
	for _, op := range append(operations(), *websiteOperation()) {
		if !accesslog.Named(op.name) {
			t.Errorf("%s has no name in access logs", op.name)
		}
	}
}

// TestHostBucket: domains that lie in each other, and in capitals.
func TestHostBucket(t *testing.T) {
	for _, tc := range []struct{ domains, host, bucket string }{
		{"s3.example.com", "b.s3.example.com:9000", "b"}, {"s3.example.com", "s3.example.com", ""}, {"s3.example.com", "example.com", ""},
		{"example.com s3.example.com", "s3.example.com", ""}, {"s3.example.com example.com", "s3.example.com", ""},
		{"example.com s3.example.com", "b.s3.example.com", "b"}, {"s3.example.com example.com", "b.example.com", "b"},
		{"S3.Example.com", "B.s3.example.COM", "b"}, {"S3.Example.com", ".s3.example.com", ""},
	} {
		if b, ok := hostBucket(tc.host, strings.Fields(tc.domains)); b != tc.bucket || ok != (tc.bucket != "") {
			t.Errorf("%+v: %q, %v", tc, b, ok)
		}
	}
}
