package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const versionsOn = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"

// TestRepeatedCompletion: a completion that is sent again is answered as the first was, also
// when its object has been overwritten or hidden since, until that version is gone.
func TestRepeatedCompletion(t *testing.T) {
	t.Parallel()
	c := openInProcess(t, vfs.NewMem(), "/repeated").client()
	c.must(t, 200, "PUT", "/repeated", nil)
	c.must(t, 200, "PUT", "/repeated?versioning", []byte(versionsOn))
	c.must(t, 200, "PUT", "/repeated/k", []byte("before"))
	part := []byte("part")
	id := c.begin(t, "/repeated/k")
	done := "/repeated/k?uploadId=" + id
	c.must(t, 200, "PUT", done+"&partNumber=1", part)
	first := c.must(t, 200, "POST", done, completion(etagXML(part)))
	version := first.header.Get("X-Amz-Version-Id")
	same := func(when string) {
		t.Helper()
		a := c.must(t, 200, "POST", done, completion(etagXML(part)))
		if a.header.Get("X-Amz-Version-Id") != version || version == "" || string(a.body) != string(first.body) {
			t.Errorf("%s: version %q, %s", when, a.header.Get("X-Amz-Version-Id"), a.body)
		}
	}
	same("at once")
	c.must(t, 200, "PUT", "/repeated/k", []byte("after"))
	same("behind another version")
	c.must(t, 204, "DELETE", "/repeated/k", nil)
	same("behind a marker")
	c.must(t, 204, "DELETE", "/repeated/k?versionId="+version, nil)
	c.refused(t, 404, "NoSuchUpload", "POST", done, completion(etagXML(part)))
	// An upload that was aborted has become nothing.
	id = c.begin(t, "/repeated/k")
	c.must(t, 204, "DELETE", "/repeated/k?uploadId="+id, nil)
	c.refused(t, 404, "NoSuchUpload", "POST", "/repeated/k?uploadId="+id, completion(etagXML(part)))
}

// TestAbortDate: who begins or looks at an upload is told when the lifecycle rules abort it.
func TestAbortDate(t *testing.T) {
	t.Parallel()
	c := openInProcess(t, vfs.NewMem(), "/dated").client()
	c.must(t, 200, "PUT", "/dated", nil)
	c.must(t, 200, "PUT", "/dated?lifecycle", []byte(`<LifecycleConfiguration><Rule><ID>no leftovers</ID><Status>Enabled</Status><Filter><Prefix>tmp/</Prefix></Filter>`+
		`<AbortIncompleteMultipartUpload><DaysAfterInitiation>3</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule></LifecycleConfiguration>`))
	for _, target := range []string{"/dated/tmp/a", "/dated/other"} {
		begun := c.must(t, 200, "POST", target+"?uploads", []byte{})
		_, id, _ := strings.Cut(string(begun.body), "<UploadId>")
		id, _, _ = strings.Cut(id, "</UploadId>")
		listed := c.must(t, 200, "GET", target+"?uploadId="+id, nil)
		date, rule := begun.header.Get("X-Amz-Abort-Date"), begun.header.Get("X-Amz-Abort-Rule-Id")
		if listed.header.Get("X-Amz-Abort-Date") != date || listed.header.Get("X-Amz-Abort-Rule-Id") != rule {
			t.Errorf("%s: ListParts tells %v", target, listed.header)
		}
		if target == "/dated/other" {
			if date != "" || rule != "" {
				t.Errorf("%s: %q by %q", target, date, rule)
			}
			continue
		}
		at, err := http.ParseTime(date)
		if in := time.Until(at); err != nil || in < 3*24*time.Hour-time.Hour || in > 4*24*time.Hour+time.Hour || rule != "no%20leftovers" {
			t.Errorf("%s: %q by %q, %v", target, date, rule, err)
		}
	}
}

// TestNoLegalHold: of a version that was never told anything about locks, nobody can say
// whether it is held; one that was let go is not.
func TestNoLegalHold(t *testing.T) {
	t.Parallel()
	c := openInProcess(t, vfs.NewMem(), "/held").client()
	c.must(t, 200, "PUT", "/held", nil, header("X-Amz-Bucket-Object-Lock-Enabled", "true"))
	c.must(t, 200, "PUT", "/held/k", []byte("k"))
	c.refused(t, 404, "NoSuchObjectLockConfiguration", "GET", "/held/k?legal-hold", nil)
	for _, status := range []string{"ON", "OFF"} {
		c.must(t, 200, "PUT", "/held/k?legal-hold", []byte("<LegalHold><Status>"+status+"</Status></LegalHold>"))
		if a := c.must(t, 200, "GET", "/held/k?legal-hold", nil); !strings.Contains(string(a.body), "<Status>"+status+"</Status>") {
			t.Errorf("%s: %s", status, a.body)
		}
	}
}
