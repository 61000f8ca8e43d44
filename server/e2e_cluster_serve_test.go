package server_test

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"testing"

	"ironman/server"
)

// TestClusterServes: whatever is done through one node is seen at once through the
// others, which then hold the same history.
func TestClusterServes(t *testing.T) {
	t.Parallel()
	c := startTrio(t)
	c.clients[1].must(t, 200, "PUT", "/served", nil)
	sizes := []int{0, 1, 1000, 32 << 10, 32<<10 + 1, 1 << 20, 5<<20 + 3, 20 << 20}
	if testing.Short() {
		sizes = sizes[:6]
	}
	t.Run("objects", func(t *testing.T) {
		for n, size := range sizes {
			for writer := range c.nodes {
				if size >= 5<<20 && writer != n%3 {
					continue
				}
				target, b := fmt.Sprintf("/served/%d-of-node-%d", size, writer+1), content(uint64(size*3+writer+1), size)
				a := c.clients[writer].must(t, 200, "PUT", target, b)
				if tag := a.header.Get("Etag"); tag != etag(b) {
					t.Errorf("%s has the entity tag %s", target, tag)
				}
				for _, reader := range []int{(writer + 1) % 3, (writer + 2) % 3, writer} {
					c.reads(reader, target, b)
				}
			}
		}
	})
	t.Run("overwrite and delete", func(t *testing.T) {
		for n := range 30 {
			writer, reader := n%3, (n+1+n/3%2)%3
			b := content(uint64(5000+n), 3000+n)
			c.clients[writer].must(t, 200, "PUT", "/served/changes", b)
			c.reads(reader, "/served/changes", b)
			if n%5 == 4 {
				c.clients[reader].must(t, 204, "DELETE", "/served/changes", nil)
				c.clients[writer].refused(t, 404, "NoSuchKey", "GET", "/served/changes", nil)
			}
		}
	})
	t.Run("multipart", func(t *testing.T) { c.multipartOverNodes(t) })
	t.Run("lists", func(t *testing.T) {
		first := c.clients[0].list(t, "served", 7)
		for i := 1; i < 3; i++ {
			if got := c.clients[i].list(t, "served", 5); !slices.Equal(got, first) {
				t.Errorf("node %d lists\n%v, node 1\n%v", i+1, got, first)
			}
		}
		if want := len(sizes)*3 - 2*max(0, len(sizes)-6) + 1; len(first) != want {
			t.Errorf("%d keys are listed, not %d: %v", len(first), want, first)
		}
	})
	c.agree(all()...)
	c.showNodes()
	for i, p := range c.nodes[1:] {
		if log := p.log.String(); strings.Contains(log, "AWS_SECRET") || !strings.Contains(log, "those of the cluster that this node joined") {
			t.Errorf("node %d says of the root keys, which it does not have:\n%s", i+2, log)
		}
	}
}

// multipartOverNodes does every step of an upload through another node.
func (c *trio) multipartOverNodes(t *testing.T) {
	b := content(77, 2*bigPart+1234)
	parts := [][]byte{b[:bigPart], b[bigPart : 2*bigPart], b[2*bigPart:]}
	var created struct{ UploadId string }
	a := c.clients[2].must(t, 200, "POST", "/served/parts?uploads", []byte{})
	if err := xml.Unmarshal(a.body, &created); err != nil {
		t.Fatal(err)
	}
	var done strings.Builder
	for n, part := range parts {
		a := c.clients[n].must(t, 200, "PUT", fmt.Sprintf("/served/parts?partNumber=%d&uploadId=%s", n+1, created.UploadId), part)
		fmt.Fprintf(&done, "<Part><PartNumber>%d</PartNumber><ETag>%s</ETag></Part>", n+1, a.header.Get("Etag"))
	}
	doc := "<CompleteMultipartUpload>" + done.String() + "</CompleteMultipartUpload>"
	a = c.clients[1].must(t, 200, "POST", "/served/parts?uploadId="+created.UploadId, []byte(doc))
	if !strings.Contains(string(a.body), strings.Trim(etag(parts...), `"`)) {
		t.Errorf("the completion answers %s", a.body)
	}
	for i := range c.nodes {
		c.reads(i, "/served/parts", b)
	}
}

// showNodes checks what `ironman admin nodes` says of a healthy cluster.
func (c *trio) showNodes() {
	c.Helper()
	for i, p := range c.nodes {
		c.await("the others agree", func() error {
			var nodes []server.NodeState
			p.ask(&nodes, "nodes")
			if len(nodes) != 3 {
				return fmt.Errorf("node %d sees %+v", i+1, nodes)
			}
			for n, s := range nodes {
				if s.Node != uint32(n+1) || s.Self != (n == i) || !s.Connected || s.Disks != 2 || s.Boot == 0 || s.Release == "" ||
					s.Address != c.proxies[n].address() || s.Problem != "" || s.Differs != "" || s.Agrees == 0 || s.Agrees != nodes[i].Agrees ||
					s.ClockOffset > 1000 || s.ClockOffset < -1000 {
					return fmt.Errorf("node %d sees %+v", i+1, s)
				}
			}
			return nil
		})
	}
}
