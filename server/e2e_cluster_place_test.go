package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"ironman/server"
)

// place sends a blob's bytes to a node as root.
func (c *trio) place(i int, id string, body io.Reader, size int64) *answer {
	c.Helper()
	r, err := http.NewRequestWithContext(context.Background(), "PUT", "http://"+c.nodes[i].admin+"/-/blobs/"+id, body)
	if err != nil {
		c.Fatal(err)
	}
	r.ContentLength = size
	r.SetBasicAuth(c.cred.AccessKey, string(c.cred.Secret.Reveal()))
	a, err := c.clients[i].send(r)
	if err != nil {
		c.Fatal(err)
	}
	return a
}

// placed wants a result of place.
func (c *trio) placed(a *answer, want server.Placed) {
	c.Helper()
	var got struct{ Result server.Placed }
	if err := json.Unmarshal(a.body, &got); a.status != 200 || err != nil || got.Result != want {
		c.Errorf("want %q, got %v", want, a)
	}
}

// lost lists all lost blobs, in pages of so many.
func (c *trio) lost(i, limit int) (all []server.LostBlob) {
	c.Helper()
	for after := ""; ; {
		var page server.LostBlobs
		if err := c.fetchAdmin(i, fmt.Sprintf("/-/blobs/lost?after=%s&limit=%d", after, limit), &page); err != nil {
			c.Fatal(err)
		}
		if len(page.Blobs) > limit {
			c.Errorf("a page of %d", len(page.Blobs))
		}
		all = append(all, page.Blobs...)
		if after = page.After; after == "" {
			return all
		}
	}
}

// TestClusterPlace: two of three nodes are gone for good, and with them most shards of what
// was coded over all disks. It is listed, cannot be read, and is sent again; then it lies
// on the disks that there are.
func TestClusterPlace(t *testing.T) {
	t.Parallel()
	c := startTrio(t)
	one := c.nodes[0]
	client := c.clients[0]
	client.must(t, 200, "PUT", "/bucket", nil)
	bodies := make(map[string][]byte)
	for i, size := range []int{300_000, 2_000_000, 40_000, 50_000} {
		key := fmt.Sprintf("/bucket/large%d", i)
		bodies[key] = content(uint64(i), size)
		client.must(t, 200, "PUT", key, bodies[key])
	}
	small := content(9, 100)
	client.must(t, 200, "PUT", "/bucket/small", small) // a copy on each node
	if found := c.lost(0, 10); len(found) != 0 {
		t.Errorf("before anything is lost: %v", found)
	}

	if a := one.adminAsk("POST", "/-/nodes/remove?node=3"); a.status != 200 {
		t.Fatal(a)
	}
	c.nodes[2].kill()
	if a := one.adminAsk("POST", "/-/nodes/remove?node=2"); a.status != 200 {
		t.Fatal(a)
	}
	c.nodes[1].kill()
	c.leader(0)
	c.await("a node alone", func() error {
		var nodes []server.NodeState
		if err := c.fetchAdmin(0, "/-/nodes", &nodes); err != nil {
			return err
		}
		if len(nodes) != 1 {
			return fmt.Errorf("it sees %+v", nodes)
		}
		return nil
	})

	c.reads(0, "/bucket/small", small)
	bySize := make(map[uint64]string)
	for key, body := range bodies {
		a := client.refused(t, 503, "ServiceUnavailable", "GET", key, nil)
		if !strings.Contains(string(a.body), "The bytes of this object are not restored yet.") || a.header.Get("Retry-After") == "" {
			t.Errorf("GET %s: %v", key, a)
		}
		client.must(t, 200, "HEAD", key, nil)
		bySize[uint64(len(body))] = key
	}
	found := c.lost(0, 3)
	if len(found) != len(bodies) || !slices.Equal(found, c.lost(0, 1000)) {
		t.Fatalf("found %v", found)
	}
	for i, b := range found {
		key := bySize[b.Size]
		body := bodies[key]
		if body == nil {
			t.Fatalf("nobody put %v", b)
		}
		c.refusePlaces(b, body)
		if i%2 == 0 {
			c.placed(c.place(0, b.Blob, bytes.NewReader(body), int64(len(body))), server.PlacedNow)
		} else {
			c.placeAtOnce(b, body)
		}
		c.placed(c.place(0, b.Blob, bytes.NewReader(body), int64(len(body))), server.PlacedBefore)
		c.reads(0, key, body)
	}
	if found := c.lost(0, 10); len(found) != 0 {
		t.Errorf("when all is placed: %v", found)
	}
	c.placed(c.place(0, "1-ffff", strings.NewReader("abc"), 3), server.PlacedNot)

	// What is placed lies on this node's disks, and nothing was given up with it.
	var where []server.ShardLocation
	if err := c.fetchAdmin(0, "/-/locate?bucket=bucket&key=large1", &where); err != nil || len(where) == 0 {
		t.Fatal(where, err)
	}
	for _, s := range where {
		if s.Node != 1 {
			t.Errorf("a shard at %+v", s)
		}
	}
	client.must(t, 200, "PUT", "/bucket/new", small)
	c.nodes[0].kill()
	c.restart(0)
	for key, body := range bodies {
		c.reads(0, key, body)
	}
}

// refusePlaces sends what is refused: nothing comes of it.
func (c *trio) refusePlaces(b server.LostBlob, body []byte) {
	c.Helper()
	n := int64(len(body))
	for _, x := range []struct {
		id     string
		body   io.Reader
		size   int64
		status int
		says   string
	}{
		{b.Blob, bytes.NewReader(body[1:]), n - 1, 400, fmt.Sprintf("has %d bytes, not %d", n, n-1)},
		{b.Blob, io.MultiReader(bytes.NewReader(body)), -1, 411, "Content-Length"},
		{"x-1", bytes.NewReader(body), n, 400, "not the id of a blob"},
		{"01-1", bytes.NewReader(body), n, 400, "not the id of a blob"},
		{b.Blob + "-1", bytes.NewReader(body), n, 400, "not the id of a blob"},
	} {
		if a := c.place(0, x.id, x.body, x.size); a.status != x.status || !strings.Contains(string(a.body), x.says) {
			c.Errorf("%s of %d bytes: %v", x.id, x.size, a)
		}
	}
	for _, query := range []string{"limit=0", "limit=1001", "limit=x", "after=1"} {
		if a := c.nodes[0].adminAsk("GET", "/-/blobs/lost?"+query); a.status != 400 {
			c.Errorf("%s: %v", query, a)
		}
	}
	// One that breaks off is nothing, and no end of the blob.
	r, err := http.NewRequestWithContext(context.Background(), "PUT", "http://"+c.nodes[0].admin+"/-/blobs/"+b.Blob,
		io.MultiReader(bytes.NewReader(body[:n/2]), brokenBody{}))
	if err != nil {
		c.Fatal(err)
	}
	r.ContentLength = n
	r.SetBasicAuth(c.cred.AccessKey, string(c.cred.Secret.Reveal()))
	if a, err := c.clients[0].send(r); err == nil {
		c.Errorf("a body that broke off: %v", a)
	}
	if found := c.lost(0, 1000); !slices.Contains(found, b) {
		c.Errorf("%v is not lost any more", b)
	}
}

type brokenBody struct{}

func (brokenBody) Read([]byte) (int, error) { return 0, errors.New("broken off") }

// placeAtOnce places a blob by several requests at once, one of which counts.
func (c *trio) placeAtOnce(b server.LostBlob, body []byte) {
	c.Helper()
	const at = 6
	results := make([]server.Placed, at)
	var wait sync.WaitGroup
	for i := range at {
		wait.Go(func() {
			a := c.place(0, b.Blob, bytes.NewReader(body), int64(len(body)))
			var got struct{ Result server.Placed }
			if err := json.Unmarshal(a.body, &got); err != nil || a.status != 200 {
				c.Errorf("at once: %v", a)
			}
			results[i] = got.Result
		})
	}
	wait.Wait()
	now := 0
	for _, r := range results {
		switch r {
		case server.PlacedNow:
			now++
		case server.PlacedBefore:
		default:
			c.Errorf("at once: %q", r)
		}
	}
	if now != 1 {
		c.Errorf("at once, %d counted: %v", now, results)
	}
}
