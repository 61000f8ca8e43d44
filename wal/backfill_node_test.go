package wal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/wal/segment"
)

// TestNodeBackfills takes a node's ledger and the leaves of its older events away,
// as if its state had come by snapshot: it starts, serves, and has both again from
// another node, which answers while it works.
func TestNodeBackfills(t *testing.T) {
	fs := vfs.NewMem()
	m := openFake(t, fs, "state")
	n := openTestNode(t, fs, m)
	propose := func(from, to int) {
		var wg sync.WaitGroup
		for i := from; i < to; i++ {
			wg.Go(func() {
				if _, err := n.Propose(t.Context(), proposal(t, i)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	}
	barrier := func() {
		if err := n.Barrier(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	barrier()
	if err := n.OpenLedger("test", nil, nil); err != nil {
		t.Fatal(err)
	}
	propose(0, 900)
	wait := func(what string, until func() bool) {
		t.Helper()
		for end := time.Now().Add(20 * time.Second); !until(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal(what)
			}
		}
	}
	wait("the ledger does not grow", func() bool { return n.Archived() == 768 })
	if err := n.Snapshot(); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}

	peer := &testPeer{archive: testLedger(t, copied(t, fs)), node: &Node{opts: n.opts}}
	peer.node.archiver.Store(&archiver{archive: peer.archive})
	if err := fs.RemoveAll("wal/ledger"); err != nil {
		t.Fatal(err)
	}
	if m.leaves[0].Seq != 768 || m.index == 0 {
		t.Fatalf("the queue begins at %d", m.leaves[0].Seq)
	}
	n = openTestNode(t, fs, m)
	if b, err := n.answerRecords(encodeRecordsRequest(recordsRequest{size: 256})); err != nil || len(b) != recordsAnswerSize {
		t.Fatalf("without a ledger: %v, %v", b, err)
	}
	hold := make(chan struct{})
	n.ledgerPeers = ledgerPeers{list: func() []string { return []string{"node-2"} }, ask: func(ctx context.Context, _ string, r []byte) ([]byte, error) {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-hold:
			return peer.ask(r)
		}
	}}
	barrier()
	if err := n.OpenLedger("test", nil, nil); err != nil {
		t.Fatal(err)
	}
	wait("no back-fill", func() bool { _, to := n.Backfilling(); return to == 768 })
	propose(900, 1100) // it serves meanwhile
	close(hold)
	wait("the gap is not filled", func() bool { return n.Archived() == 1024 })
	if err := n.archiver.Load().archive.Verify(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if root := n.archiver.Load().archive.Tree().Hash; root == peer.archive.Tree().Hash {
		t.Fatal("it has not grown")
	}
	if b, err := n.answerRecords(encodeRecordsRequest(recordsRequest{from: 300, size: 768})); err != nil || len(b) == recordsAnswerSize {
		t.Fatalf("it does not hand on what it got: %v", err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if from, to := n.Backfilling(); from != to {
		t.Fatalf("from %d to %d", from, to)
	}
}

// copied is a file system with the ledger of a node.
func copied(t *testing.T, fs vfs.FS) *vfs.MemFS {
	t.Helper()
	to := vfs.NewMem()
	if ok, err := vfs.Clone(fs, to, "wal/ledger", "ledger"); err != nil || !ok {
		t.Fatal(ok, err)
	}
	return to
}

// TestArchivedBelowFloor: a log that was reset to a snapshot keeps the older entries
// for the ledger, holds none of those between, and is told of archived entries of
// all three kinds. It lets go of files only.
func TestArchivedBelowFloor(t *testing.T) {
	h := newHistory(t, "here", 1100)
	fs := vfs.NewMem()
	log, err := segment.Open(segment.Options{
		FS: fs, Dir: "log", SegmentBytes: 32 << 10, Fatal: func(err error) { panic(err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	entry := func(index uint64) segment.Entry {
		if e, ok := h.entries[index]; ok {
			return e
		}
		return segment.Entry{Index: index, Term: 1}
	}
	fill := func(from, to uint64) {
		for i := from; i < to; i++ {
			if err := log.Append([]segment.Entry{entry(i)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	snapshot := h.leaves[799].Index
	fill(1, h.leaves[400].Index)
	if err := log.Reset(snapshot); err != nil {
		t.Fatal(err)
	}
	fill(snapshot+1, h.leaves[1099].Index+1)

	f := newFiller(t, h, 0, 200, 1100, since(0))
	f.archiver.log = log
	peer := f.add(newPeer(t, h, 1024))
	f.run(t.Context())
	f.log.archived = h.leaves[1023].Index
	f.check(1024)
	if got := fmt.Sprint(peer.firsts()); got != "[0 256 512 768]" {
		t.Errorf("asked for %s", got)
	}
	for _, index := range []uint64{1, snapshot - 1, snapshot, 0} { // again, and below
		if err := log.SetArchived(index); err != nil {
			t.Fatal(err)
		}
	}
	if first := log.First(); first != snapshot+1 {
		t.Errorf("the log begins at %d", first)
	}
	for i := snapshot + 1; i <= h.leaves[1099].Index; i++ {
		if _, err := log.Entry(i); err != nil {
			t.Fatalf("entry %d: %v", i, err)
		}
	}
	if _, err := log.ArchiveEntry(h.leaves[250].Index); !errors.Is(err, segment.ErrNotFound) {
		t.Errorf("an archived entry below the floor is kept: %v", err)
	}
	if _, retained := log.Bytes(); retained != 0 {
		t.Errorf("%d bytes are kept for the archive", retained)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
}
