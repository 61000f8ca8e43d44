package server_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/server"
	"ironman/server/audit"
)

// archivedEvent puts an object whose event is in the ledger's files when it returns, deletes it
// again, and returns the sequence of the event.
func (p *inProcess) archivedEvent(t *testing.T, bucket, key string) (seq uint64) {
	t.Helper()
	c := p.client()
	a := c.must(t, 200, "PUT", "/"+bucket+"/"+key, content(1, 10), header("X-Amz-Meta-M", "v"))
	if _, err := fmt.Sscan(a.header.Get("X-Ironman-Sequence"), &seq); err != nil {
		t.Fatal(err)
	}
	c.must(t, 204, "DELETE", "/"+bucket+"/"+key, nil)
	for began := time.Now(); ; {
		s, err := p.node.Status()
		if err != nil {
			t.Fatal(err)
		}
		if s.Archived > seq {
			return seq
		}
		for range 64 {
			c.must(t, 200, "PUT", "/"+bucket+"?acl", []byte{}, header("X-Amz-Acl", "private"))
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("event %d is not archived: %+v", seq, s)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// TestProveErased: a proof has nothing of what was erased, whether or not this node has
// carried the erasure out.
func TestProveErased(t *testing.T) {
	t.Parallel()
	const key = "a-key-that-must-go"
	p := openInProcess(t, vfs.NewMem(), "prove", func(o *server.Options) { o.HistoryRetention = 0 })
	p.client().must(t, 200, "PUT", "/erase", nil)
	seq := p.archivedEvent(t, "erase", key)
	head, err := p.node.LedgerConsistency(1, 1)
	if err != nil {
		t.Fatal(err)
	}
	proven := func() *audit.Proven {
		t.Helper()
		b, err := p.node.ProveEvent(seq)
		if err != nil {
			t.Fatal(err)
		}
		x, err := audit.Check(b, head.Head.Key)
		if err != nil || x.Seq != seq {
			t.Fatalf("event %d: %+v, %v", seq, x, err)
		}
		return x
	}
	if x := proven(); x.Erased != 0 || len(x.Keys) != 1 || x.Keys[0] != key {
		t.Fatalf("before it is erased: %+v", x)
	}
	v, err := p.node.ViewForTest() // the state's files are not rewritten before it is closed
	if err != nil {
		t.Fatal(err)
	}
	plan, err := p.node.Erase(t.Context(), &server.Erase{Bucket: "erase", Keys: []string{key}}, func(uint64, uint64) {})
	if err != nil || len(plan.Erasures) != 1 {
		t.Fatalf("%+v, %v", plan, err)
	}
	if x := proven(); x.Erased == 0 || len(x.Keys) > 0 {
		t.Errorf("erased, and not carried out yet: %+v", x)
	}
	x, err := p.node.Erasures(t.Context())
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil || x.Done() {
		t.Errorf("it was carried out while a view was open: %+v, %v", x, err)
	}
}
