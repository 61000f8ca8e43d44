package server_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// begin begins a multipart upload and gives its id.
func (c *client) begin(t testing.TB, target string, change ...func(*http.Request)) string {
	t.Helper()
	a := c.must(t, 200, "POST", target+"?uploads", []byte{}, change...)
	_, id, _ := strings.Cut(string(a.body), "<UploadId>")
	id, _, _ = strings.Cut(id, "</UploadId>")
	return id
}

// completion is the document that completes an upload of parts.
func completion(parts ...string) []byte {
	var b strings.Builder
	for i, p := range parts {
		fmt.Fprintf(&b, "<Part><PartNumber>%d</PartNumber>%s</Part>", i+1, p)
	}
	return []byte("<CompleteMultipartUpload>" + b.String() + "</CompleteMultipartUpload>")
}

func etagXML(part []byte) string { return "<ETag>" + etag(part) + "</ETag>" }

// drop makes a bucket of root's that others may write to; it stays.
func (v *victim) drop(change func(*http.Request)) {
	v.Helper()
	v.root.must(v, 200, "PUT", "/drop", nil, change)
	v.state = v.see()
}

// TestAttackForeignUpload: who may write to a bucket may not write into another's
// upload, nor complete it: its object will be the initiator's, with the
// initiator's name on it. Ids of uploads are no secrets.
func TestAttackForeignUpload(t *testing.T) {
	v := newVictim(t)
	nobody := *v.root
	nobody.cred.AccessKey = ""
	v.drop(header("X-Amz-Acl", "public-read-write"))
	v.alice.must(t, 200, "PUT", "/drop/of-alice", []byte("hers"))
	id := v.root.begin(t, "/drop/key")
	own := []byte("what root wrote")
	v.root.must(t, 200, "PUT", "/drop/key?partNumber=1&uploadId="+id, own)
	forged := []byte("what alice slipped in")
	for who, c := range map[string]*client{"alice": v.alice, "nobody": &nobody} {
		for name, try := range map[string]func() (*answer, error){
			"UploadPart":     func() (*answer, error) { return c.try("PUT", "/drop/key?partNumber=1&uploadId="+id, forged) },
			"a further part": func() (*answer, error) { return c.try("PUT", "/drop/key?partNumber=2&uploadId="+id, forged) },
			"UploadPartCopy": func() (*answer, error) {
				return c.try("PUT", "/drop/key?partNumber=1&uploadId="+id, []byte{}, header("X-Amz-Copy-Source", "/drop/of-alice"))
			},
			"CompleteMultipartUpload": func() (*answer, error) {
				return c.try("POST", "/drop/key?uploadId="+id, completion(etagXML(own)))
			},
		} {
			a, err := try()
			checkRefused(t, who+": "+name, a, err, 403, "AccessDenied")
		}
	}
	v.root.must(t, 200, "POST", "/drop/key?uploadId="+id, completion(etagXML(own)))
	if a := v.root.must(t, 200, "GET", "/drop/key", nil); !bytes.Equal(a.body, own) {
		t.Errorf("the object is %q", a.body)
	}
	// Who begins one may go on with it.
	id = v.alice.begin(t, "/drop/hers")
	v.alice.must(t, 200, "PUT", "/drop/hers?partNumber=1&uploadId="+id, forged)
	v.alice.must(t, 200, "POST", "/drop/hers?uploadId="+id, completion(etagXML(forged)))
	v.alice.must(t, 200, "POST", "/drop/hers?uploadId="+id, completion(etagXML(forged))) // again: the same answer
	v.unharmed()
}

// TestAnonymousUploads: nobody is no initiator. As with Amazon, anonymous requests
// neither begin multipart uploads nor copy.
func TestAnonymousUploads(t *testing.T) {
	v := newVictim(t)
	nobody := *v.root
	nobody.cred.AccessKey = ""
	v.drop(header("X-Amz-Acl", "public-read-write"))
	nobody.must(t, 200, "PUT", "/drop/plain", []byte("x"))
	nobody.refused(t, 403, "AccessDenied", "POST", "/drop/parts?uploads", []byte{})
	nobody.refused(t, 403, "AccessDenied", "PUT", "/drop/copy", []byte{}, header("X-Amz-Copy-Source", "/public/page"))
	if a := v.root.must(t, 200, "GET", "/drop?uploads", nil); bytes.Contains(a.body, []byte("<Upload>")) {
		t.Errorf("an upload is open: %s", a.body)
	}
	v.unharmed()
}

// TestAttackVersionDelete: D4. To delete a version takes more than to delete an
// object: WRITE in the bucket's list is not enough.
func TestAttackVersionDelete(t *testing.T) {
	v := newVictim(t)
	nobody := *v.root
	nobody.cred.AccessKey = ""
	v.drop(header("X-Amz-Acl", "public-read-write"))
	v.root.must(t, 200, "PUT", "/drop/key", []byte("x"))
	doc := []byte("<Delete><Object><Key>key</Key><VersionId>null</VersionId></Object></Delete>")
	md5 := header("Content-Md5", contentMD5(doc))
	for who, c := range map[string]*client{"alice": v.alice, "nobody": &nobody} {
		c.refused(t, 403, "AccessDenied", "DELETE", "/drop/key?versionId=null", nil)
		a := c.must(t, 200, "POST", "/drop?delete", doc, md5)
		if !bytes.Contains(a.body, []byte("<Code>AccessDenied</Code>")) || bytes.Contains(a.body, []byte("<Deleted>")) {
			t.Errorf("%s: %s", who, a.body)
		}
		v.root.must(t, 200, "GET", "/drop/key", nil)
	}
	v.root.must(t, 204, "DELETE", "/drop/key?versionId=null", nil)
	v.root.must(t, 200, "PUT", "/drop/key", []byte("x"))
	if a := v.root.must(t, 200, "POST", "/drop?delete", doc, md5); !bytes.Contains(a.body, []byte("<Deleted>")) {
		t.Errorf("%s", a.body)
	}
	v.alice.must(t, 204, "DELETE", "/drop/key", nil) // the object is another matter
	v.unharmed()
}
