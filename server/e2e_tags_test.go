package server_test

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/s3api/sig"
)

// TestReservedTags: tags of the provider's own are not for clients.
func TestReservedTags(t *testing.T) {
	c := openInProcess(t, vfs.NewMem(), "/").client()
	c.must(t, 200, "PUT", "/tags", nil)
	for _, key := range []string{"aws:x", "AWS:x"} {
		c.refused(t, 400, "InvalidTag", "PUT", "/tags/a", []byte("a"), header("X-Amz-Tagging", key+"=1"))
	}
	c.must(t, 200, "PUT", "/tags/a", []byte("a"), header("X-Amz-Tagging", "awsx=1"))
	c.refused(t, 400, "InvalidTag", "PUT", "/tags/a?tagging", []byte("<Tagging><TagSet><Tag><Key>aws:x</Key><Value>b</Value></Tag></TagSet></Tagging>"))
}

// TestTagCount: how many tags an object has is told to who may read them.
func TestTagCount(t *testing.T) {
	c := openInProcess(t, vfs.NewMem(), "/").client()
	c.must(t, 200, "PUT", "/tags", nil)
	c.must(t, 200, "PUT", "/tags/a", []byte("a"), header("X-Amz-Tagging", "a=1&b=2"), header("X-Amz-Acl", "public-read"))
	anonymous := *c
	anonymous.cred = sig.Credential{}
	for _, method := range []string{"GET", "HEAD"} {
		if n := c.must(t, 200, method, "/tags/a", nil).header.Get("X-Amz-Tagging-Count"); n != "2" {
			t.Errorf("%s: the owner is told of %q tags", method, n)
		}
		if n := anonymous.must(t, 200, method, "/tags/a", nil).header.Get("X-Amz-Tagging-Count"); n != "" {
			t.Errorf("%s: everybody is told of %q tags", method, n)
		}
	}
}

// TestRefusedDeleteBucket: a deletion that is refused changes nothing.
func TestRefusedDeleteBucket(t *testing.T) {
	c := openInProcess(t, vfs.NewMem(), "/").client()
	c.must(t, 200, "PUT", "/left", nil)
	c.must(t, 200, "PUT", "/left?versioning", []byte("<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"))
	version := c.must(t, 200, "PUT", "/left/a", []byte("a")).header.Get("X-Amz-Version-Id")
	marker := c.must(t, 204, "DELETE", "/left/a", nil).header.Get("X-Amz-Version-Id")
	id := c.begin(t, "/left/upload")
	open := "/left/upload?uploadId=" + id
	c.refused(t, 409, "BucketNotEmpty", "DELETE", "/left", nil)
	c.must(t, 200, "GET", open, nil)
	c.must(t, 204, "DELETE", "/left/a?versionId="+version, nil)
	c.refused(t, 409, "BucketNotEmpty", "DELETE", "/left", nil) // a marker is left
	c.must(t, 200, "GET", open, nil)
	c.must(t, 204, "DELETE", "/left/a?versionId="+marker, nil)
	c.must(t, 204, "DELETE", "/left", nil)
}
