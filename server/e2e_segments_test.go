package server_test

import (
	"encoding/xml"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestCopiesOfCopies: parts that are copied by reference are made of pieces of other
// uploads. Copies of copies must not multiply them without end: the event that
// completes such an upload would be applied by no node any more.
func TestCopiesOfCopies(t *testing.T) {
	t.Parallel()
	c := openInProcess(t, vfs.NewMem(), "/copies").client()
	c.must(t, 200, "PUT", "/copies", nil)

	// Two pieces, 5 MiB and a byte; then 550 copies of it.
	id, body := beginUpload(t, c, "two"), content(1, 5<<20)
	tags := []string{
		c.must(t, 200, "PUT", partOf("two", id, 1), body).header.Get("ETag"),
		c.must(t, 200, "PUT", partOf("two", id, 2), []byte("x")).header.Get("ETag"),
	}
	complete(t, c, 200, "two", id, tags)
	many := copyParts(t, c, "two", "many", 550)
	complete(t, c, 200, "many", many.id, many.tags)

	more := copyParts(t, c, "two", "more", 551)
	complete(t, c, 200, "more", more.id, more.tags)
	id = beginUpload(t, c, "out")
	if a := c.refused(t, 400, "InvalidRequest", "PUT", partOf("out", id, 1), nil, header("X-Amz-Copy-Source", "/copies/more")); !strings.Contains(string(a.body), "pieces") {
		t.Errorf("%s", a.body)
	}

	// 119 copies of 1,100 pieces are 130,900; 120 are too many.
	most := copyParts(t, c, "many", "most", 120)
	complete(t, c, 400, "most", most.id, most.tags)
	complete(t, c, 200, "most", most.id, most.tags[:119])
	size := int64(119) * 550 * (5<<20 + 1)
	a := c.must(t, 200, "HEAD", "/copies/most", nil)
	if a.header.Get("Content-Length") != fmt.Sprint(size) {
		t.Errorf("%v bytes, not %d", a.header.Get("Content-Length"), size)
	}
	a = c.must(t, 206, "GET", "/copies/most", nil, header("Range", fmt.Sprintf("bytes=%d-%d", size-3, size-1)))
	if want := string(body[len(body)-2:]) + "x"; string(a.body) != want {
		t.Errorf("the last bytes are %q, not %q", a.body, want)
	}
	// Amazon's own limit.
	c.refused(t, 400, "InvalidRequest", "PUT", partOf("out", id, 1), nil, header("X-Amz-Copy-Source", "/copies/most"))
	c.must(t, 204, "DELETE", "/copies/out?uploadId="+id, nil)
	for _, name := range []string{"two", "many", "more", "most"} {
		c.must(t, 204, "DELETE", "/copies/"+name, nil)
	}
}

type copiedParts struct {
	id   string
	tags []string
}

// copyParts begins an upload and fills it with copies of an object.
func copyParts(t *testing.T, c *client, from, to string, n int) copiedParts {
	t.Helper()
	p := copiedParts{id: beginUpload(t, c, to)}
	for i := range n {
		a := c.must(t, 200, "PUT", partOf(to, p.id, i+1), nil, header("X-Amz-Copy-Source", "/copies/"+from))
		var r struct{ ETag string }
		if err := xml.Unmarshal(a.body, &r); err != nil {
			t.Fatal(err)
		}
		p.tags = append(p.tags, r.ETag)
	}
	return p
}

func beginUpload(t *testing.T, c *client, name string) string {
	t.Helper()
	var r struct{ UploadId string }
	if err := xml.Unmarshal(c.must(t, 200, "POST", "/copies/"+name+"?uploads", nil).body, &r); err != nil {
		t.Fatal(err)
	}
	return r.UploadId
}

func partOf(name, id string, n int) string {
	return fmt.Sprintf("/copies/%s?partNumber=%d&uploadId=%s", name, n, id)
}

func complete(t *testing.T, c *client, status int, name, id string, tags []string) {
	t.Helper()
	var b strings.Builder
	b.WriteString("<CompleteMultipartUpload>")
	for i, tag := range tags {
		fmt.Fprintf(&b, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", i+1, tag)
	}
	b.WriteString("</CompleteMultipartUpload>")
	c.must(t, status, "POST", "/copies/"+name+"?uploadId="+id, []byte(b.String()))
}
