package server_test

import (
	"net/http"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestCopyWithLifecycle copies by reading the bytes, which ends the view, in a bucket with
// lifecycle rules; and a retention beyond what log time can tell is not made shorter.
func TestCopyWithLifecycle(t *testing.T) {
	t.Parallel()
	p := openInProcess(t, vfs.NewMem(), "/copies")
	c := p.client()
	c.must(t, 200, "PUT", "/copies", nil)
	c.must(t, 200, "PUT", "/copies?lifecycle", []byte(`<LifecycleConfiguration><Rule><ID>r</ID><Status>Enabled</Status><Filter><Prefix>to</Prefix></Filter>`+
		`<Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>`))
	c.must(t, 200, "PUT", "/copies/from", []byte("bytes"))
	a := c.must(t, 200, "PUT", "/copies/to", nil, func(r *http.Request) {
		r.Header.Set("X-Amz-Copy-Source", "/copies/from")
		r.Header.Set("X-Amz-Server-Side-Encryption", "AES256")
	})
	if a.header.Get("X-Amz-Expiration") == "" {
		t.Error("the copy does not say when it expires")
	}
	c.must(t, 200, "PUT", "/locked", nil, func(r *http.Request) { r.Header.Set("X-Amz-Bucket-Object-Lock-Enabled", "true") })
	for _, year := range []string{"2700", "3200", "9999"} {
		c.refused(t, 400, "InvalidArgument", "PUT", "/locked/k", nil, func(r *http.Request) {
			r.Header.Set("X-Amz-Object-Lock-Mode", "COMPLIANCE")
			r.Header.Set("X-Amz-Object-Lock-Retain-Until-Date", year+"-01-01T00:00:00Z")
		})
	}
}
