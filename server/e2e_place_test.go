package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/server"
	"ironman/wal/event"
)

// TestPlaceFenced: a blob whose shards can be named no more where they were written, as the
// node's incarnation ended meanwhile, stays as lost as it was; whoever sends it is told to
// do it again. What is sent at the same time is named by few events.
func TestPlaceFenced(t *testing.T) {
	t.Parallel()
	p := openInProcess(t, vfs.NewMem(), "/place")
	c := p.client()
	propose := func(s *event.Draft) *event.Outcome {
		t.Helper()
		o, err := p.node.ProposeForTest(context.Background(), s)
		if err != nil || o.Refusal != event.Refusal_REFUSAL_NONE {
			t.Fatal(o, err)
		}
		return o
	}
	c.must(t, 200, "PUT", "/bucket", nil)
	const blobs = 24
	bodies := make([][]byte, blobs)
	for i := range bodies {
		bodies[i] = content(uint64(i), 200_000+i)
		c.must(t, 200, "PUT", fmt.Sprintf("/bucket/%d", i), bodies[i])
	}
	// Another node gets all shards, and is gone.
	key := []byte("key of a node that never was")
	two := uint32(propose(event.NewDraft(nil, &event.Statement_NodeAdded{NodeAdded: &event.NodeAdded{PublicKey: key, LinkAddress: "127.0.0.1:1"}})).Allocated)
	incarnation := propose(event.NewDraft(nil, &event.Statement_NodeStarted{NodeStarted: &event.NodeStarted{Node: two, PublicKey: key, Boot: 1, FeatureLevel: event.FeatureLevel}})).Allocated
	disk := uint32(propose(event.NewDraft(nil, &event.Statement_DiskAdded{DiskAdded: &event.DiskAdded{DiskId: make([]byte, 16), Node: two}})).Allocated)
	for i := range bodies {
		var where []server.ShardLocation
		if err := json.Unmarshal(p.adminGet(t, fmt.Sprintf("/-/locate?bucket=bucket&key=%d", i)), &where); err != nil {
			t.Fatal(err)
		}
		b := &event.ShardsPlaced{}
		for _, s := range where {
			id := &event.BlobID{}
			if _, err := fmt.Sscanf(s.Blob, "%x-%x", &id.Incarnation, &id.Counter); err != nil {
				t.Fatal(err)
			}
			b.Placements = append(b.Placements, &event.Placement{Blob: id, Index: uint32(s.Index), FromGeneration: 1, Shard: &event.Shard{
				Disk: disk, Pack: &event.PackID{Incarnation: incarnation, Counter: 1}, Offset: s.Offset, Generation: 2,
			}})
		}
		for _, sub := range propose(event.NewDraft(nil, &event.Statement_ShardsPlaced{ShardsPlaced: b})).Subs {
			if sub.Refusal != event.Refusal_REFUSAL_NONE {
				t.Fatal(sub)
			}
		}
	}
	propose(event.NewDraft(nil, &event.Statement_NodeRemoved{NodeRemoved: &event.NodeRemoved{Node: two}}))
	var page server.LostBlobs
	if err := json.Unmarshal(p.adminGet(t, "/-/blobs/lost"), &page); err != nil || len(page.Blobs) != blobs || page.After != "" {
		t.Fatal(page, err)
	}

	place := func(i int) *answer {
		t.Helper()
		b := page.Blobs[i]
		body := bodies[b.Size-200_000]
		return p.adminAsk(t, "PUT", "/-/blobs/"+b.Blob, func(r *http.Request) {
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		})
	}
	before := p.events(t)
	var wait sync.WaitGroup
	for i := range blobs - 1 {
		wait.Go(func() {
			if a := place(i); a.status != 200 || !strings.Contains(string(a.body), `"placed"`) {
				t.Errorf("blob %d: %v", i, a)
			}
		})
	}
	wait.Wait()
	if n := p.events(t) - before; n > blobs-1 || n == 0 {
		t.Errorf("%d events for %d blobs", n, blobs-1)
	}
	for i, body := range bodies {
		if uint64(200_000+i) == page.Blobs[blobs-1].Size {
			continue
		}
		if a := c.must(t, 200, "GET", fmt.Sprintf("/bucket/%d", i), nil); !bytes.Equal(a.body, body) {
			t.Errorf("object %d is not what was put", i)
		}
	}

	// The node's incarnation ends, and it has not heard of it.
	public, boot, err := p.node.IdentityForTest()
	if err != nil {
		t.Fatal(err)
	}
	propose(event.NewDraft(nil, &event.Statement_NodeStarted{NodeStarted: &event.NodeStarted{Node: 1, PublicKey: public, Boot: boot + 1, FeatureLevel: event.FeatureLevel}}))
	for range 2 {
		a := place(blobs - 1)
		if a.status != 503 || !strings.Contains(string(a.body), "changed meanwhile") || !strings.Contains(string(a.body), "try again") || a.header.Get("Retry-After") == "" {
			t.Errorf("fenced: %v", a)
		}
	}
	if err := json.Unmarshal(p.adminGet(t, "/-/blobs/lost"), &page); err != nil || len(page.Blobs) != 1 {
		t.Errorf("still lost: %v, %v", page, err)
	}
}
