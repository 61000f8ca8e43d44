package server_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"ironman/s3api/sig"
)

// route is one operation on an object or bucket that its caller may not touch.
type route struct {
	method, target string
	body           string
	headers        []string
}

// routes are all operations, on a bucket and key of somebody else's.
func routes(bucket, key string) []route {
	object := "/" + bucket + "/" + key
	acl := `<AccessControlPolicy><Owner><ID>x</ID></Owner><AccessControlList></AccessControlList></AccessControlPolicy>`
	return []route{
		{"GET", "/" + bucket + "?location", "", nil},
		{"GET", "/" + bucket + "?acl", "", nil},
		{"GET", "/" + bucket + "?versioning", "", nil},
		{"GET", "/" + bucket + "?policy", "", nil},
		{"GET", "/" + bucket + "?policyStatus", "", nil},
		{"PUT", "/" + bucket + "?policy", `{"Statement":{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::` + bucket + `/*"}}`, nil},
		{"DELETE", "/" + bucket + "?policy", "", nil},
		{"GET", "/" + bucket + "?uploads", "", nil},
		{"GET", "/" + bucket + "?list-type=2", "", nil},
		{"GET", "/" + bucket, "", nil},
		{"PUT", "/" + bucket + "?acl", acl, nil},
		{"PUT", "/" + bucket + "?acl", "", []string{"X-Amz-Acl", "public-read-write"}},
		{"DELETE", "/" + bucket, "", nil},
		{"POST", "/" + bucket + "?delete", "<Delete><Object><Key>" + key + "</Key></Object></Delete>", nil},
		{"GET", object, "", nil},
		{"GET", object + "?versionId=null", "", nil},
		{"GET", object + "?partNumber=1", "", nil},
		{"GET", object + "?acl", "", nil},
		{"GET", object + "?acl&versionId=null", "", nil},
		{"GET", object + "?uploadId=000000000000g0000000", "", nil},
		{"PUT", object + "?acl", acl, nil},
		{"PUT", object + "?acl", "", []string{"X-Amz-Acl", "public-read"}},
		{"PUT", object, "mine", nil},
		{"PUT", object, "", []string{"X-Amz-Copy-Source", object}},
		{"PUT", object + "?partNumber=1&uploadId=000000000000g0000000", "mine", nil},
		{"PUT", object + "?partNumber=1&uploadId=000000000000g0000000", "", []string{"X-Amz-Copy-Source", object}},
		{"DELETE", object, "", nil},
		{"DELETE", object + "?versionId=null", "", nil},
		{"DELETE", object + "?uploadId=000000000000g0000000", "", nil},
		{"POST", object + "?uploads", "", nil},
		{"POST", object + "?uploadId=000000000000g0000000", "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>", nil},
	}
}

// TestAttackAccess: D1, D4 and D5. Who may not, may not on any route, and is not
// told what is there.
func TestAttackAccess(t *testing.T) {
	v := newVictim(t)
	nobody := *v.root
	nobody.cred = sig.Credential{}
	for who, c := range map[string]*client{"nobody": &nobody, "alice": v.alice} {
		for _, bucket := range []string{"vault", "public"} {
			for _, key := range []string{"secret", "hidden", "missing"} {
				for _, r := range routes(bucket, key) {
					what := fmt.Sprintf("%s: %s %s", who, r.method, r.target)
					if r.method == "GET" && (r.target == "/public" || r.target == "/public?list-type=2" || r.target == "/public?uploads") {
						c.must(t, 200, r.method, r.target, nil) // may be listed
						continue
					}
					a, err := c.try(r.method, r.target, []byte(r.body), r.change()...)
					v.noLeak(what, a)
					// Who may list is told what is not there; a list of other keys than
					// asked for shows nothing.
					if bucket == "public" && err == nil && a.status == 404 && (key != "hidden" || strings.Contains(r.target, "uploadId")) {
						continue
					}
					checkRefused(t, what, a, err, 403, "AccessDenied")
				}
			}
		}
		c.refused(t, 403, "AccessDenied", "GET", "/vault/missing", nil)
		c.refused(t, 404, "NoSuchKey", "GET", "/public/missing", nil)
		for _, target := range []string{"/vault", "/vault/secret", "/vault/missing", "/public/hidden"} {
			if a, err := c.try("HEAD", target, nil); err != nil || a.status != 403 || len(a.body) > 0 {
				t.Errorf("%s: HEAD %s: %v %v", who, target, a, err)
			}
		}
	}
	for _, target := range []string{"/", "/new-bucket"} {
		method := map[bool]string{true: "GET", false: "PUT"}[target == "/"]
		nobody.refused(t, 403, "AccessDenied", method, target, nil)
	}
	v.unharmed()
}

func (r route) change() (out []func(*http.Request)) {
	for i := 0; i < len(r.headers); i += 2 {
		out = append(out, header(r.headers[i], r.headers[i+1]))
	}
	return out
}

// TestAttackCopy: D5. A copy reads its source as a GET would, and by no other name.
func TestAttackCopy(t *testing.T) {
	v := newVictim(t)
	v.alice.must(t, 200, "PUT", "/alices", nil)
	v.alice.must(t, 200, "PUT", "/alices/own", []byte("hers"))
	a := v.alice.must(t, 200, "POST", "/alices/parts?uploads", []byte{})
	_, id, _ := strings.Cut(string(a.body), "<UploadId>")
	id, _, _ = strings.Cut(id, "</UploadId>")
	for _, source := range []string{
		"/vault/secret", "vault/secret", "/vault/secret?versionId=null", "%2Fvault%2Fsecret", "/alices/../vault/secret", "alices/%2e%2e/vault/secret",
		"/public/hidden", "//vault/secret", "/vault//secret", "/vault/%73ecret", "/vault/secret?versionId=null&versionId=null", "/vault/secret?acl",
		"/vault/secret%00", "/vault/", "/vault", "/", "?", "%zz", "/alices/own?versionId=", "arn:aws:s3:us-east-1:1:accesspoint/a/object/b",
	} {
		for _, target := range []string{"/alices/stolen", "/alices/parts?partNumber=1&uploadId=" + id} {
			a, err := v.alice.try("PUT", target, []byte{}, header("X-Amz-Copy-Source", source))
			if err != nil || a.status < 400 || a.status >= 500 {
				t.Errorf("%s from %s: %v %v", target, source, a, err)
			}
			v.noLeak(source, a)
		}
	}
	for _, source := range []string{"/vault/secret", "vault/secret", "/public/hidden", "/vault/%73ecret"} {
		v.alice.refused(t, 403, "AccessDenied", "PUT", "/alices/stolen", []byte{}, header("X-Amz-Copy-Source", source))
		// Nor do conditions tell what is there.
		v.alice.refused(t, 403, "AccessDenied", "PUT", "/alices/stolen", []byte{}, header("X-Amz-Copy-Source", source),
			header("X-Amz-Copy-Source-If-Match", etag([]byte(secretBody))))
	}
	v.alice.refused(t, 403, "AccessDenied", "PUT", "/vault/planted", []byte{}, header("X-Amz-Copy-Source", "/alices/own"))
	if keys := v.alice.list(t, "alices", 1000); len(keys) != 1 || keys[0].Key != "own" {
		t.Errorf("alice has %v", keys)
	}
	if a := v.alice.must(t, 200, "GET", "/alices/parts?uploadId="+id, nil); bytes.Contains(a.body, []byte("<Part>")) {
		t.Errorf("alice has a part: %s", a.body)
	}
	v.alice.must(t, 204, "DELETE", "/alices/parts?uploadId="+id, nil)
	v.alice.must(t, 204, "DELETE", "/alices/own", nil)
	v.alice.must(t, 204, "DELETE", "/alices", nil)
	v.unharmed()
}

// TestAttackUploads: an upload is its initiator's. Another account cannot use, list
// or end it, nor can anybody under another bucket or key.
func TestAttackUploads(t *testing.T) {
	v := newVictim(t)
	v.root.must(t, 200, "PUT", "/drop", nil, header("X-Amz-Acl", "public-read-write"))
	a := v.root.must(t, 200, "POST", "/drop/key?uploads", []byte{})
	_, id, _ := strings.Cut(string(a.body), "<UploadId>")
	id, _, _ = strings.Cut(id, "</UploadId>")
	part := []byte("the only part")
	v.root.must(t, 200, "PUT", "/drop/key?partNumber=1&uploadId="+id, part)
	v.alice.refused(t, 403, "AccessDenied", "GET", "/drop/key?uploadId="+id, nil)
	v.alice.refused(t, 403, "AccessDenied", "DELETE", "/drop/key?uploadId="+id, nil)
	for _, target := range []string{"/drop/other?uploadId=" + id, "/vault/key?uploadId=" + id, "/drop/key?uploadId=0" + id, "/drop/key?uploadId=" + strings.ToUpper(id) + "x"} {
		v.root.refused(t, 404, "NoSuchUpload", "GET", target, nil)
		v.root.refused(t, 404, "NoSuchUpload", "PUT", target+"&partNumber=1", part)
		v.root.refused(t, 404, "NoSuchUpload", "DELETE", target, nil)
	}
	for _, n := range []string{"0", "10001", "-1", "x", "", "1.0"} {
		v.root.refused(t, 400, "InvalidArgument", "PUT", "/drop/key?uploadId="+id+"&partNumber="+n, part)
	}
	doc := fmt.Appendf(nil, "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>%s</ETag></Part></CompleteMultipartUpload>", etag(part))
	v.root.must(t, 200, "POST", "/drop/key?uploadId="+id, doc)
	v.root.must(t, 204, "DELETE", "/drop/key", nil)
	v.root.must(t, 204, "DELETE", "/drop", nil)
	v.unharmed()
}
