package wal

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/wal/ledger"
)

// TestArchiverErases: what the state says was erased goes into the ledger as hashes, whether
// it comes from the log or from another node that has not erased it; nor is it told to
// whoever reads records, archived or not.
func TestArchiverErases(t *testing.T) {
	h := newHistory(t, "here", 700)
	seqs := []uint64{3, 300, 301, 600}
	f := newFiller(t, h, 0, 256, 700, since(256)) // the first bundle comes from a peer
	for _, seq := range seqs {
		if len(h.records[seq].Items) == 0 {
			t.Fatalf("event %d has no items", seq)
		}
		f.state.erased = append(f.state.erased, ledger.Target{Seq: seq, Lenient: true})
	}
	f.state.erased[1].Items = []int{0, 4000} // of which the second is not there
	f.add(newPeer(t, h, 512))
	f.run(t.Context())
	if f.archive.Size() != 512 {
		t.Fatalf("archived are %d", f.archive.Size())
	}
	for _, seq := range seqs[:3] {
		p, err := f.archive.Payload(seq)
		if err != nil {
			t.Fatal(err)
		}
		checkErased(t, "the ledger", &ledger.Record{Seq: seq, Payload: p})
	}
	for _, from := range []uint64{0, 256, 512} {
		records, err := f.records(from, 256)
		if err != nil {
			t.Fatal(err)
		}
		for _, seq := range seqs {
			if i := seq - from; seq >= from && i < uint64(len(records)) {
				checkErased(t, "a reader", &records[i])
			}
		}
		if err := records[1].Check(); err != nil || records[1].Items[0].Erased {
			t.Errorf("event %d, which stays: erased %v, %v", from+1, records[1].Items[0].Erased, err)
		}
	}
	verifyMissing(t, f.archive, 3)
}

func checkErased(t *testing.T, who string, r *ledger.Record) {
	t.Helper()
	if !r.Items[0].Erased || len(r.Items[0].Bytes) > 0 {
		t.Errorf("%s has the payload of event %d", who, r.Seq)
	}
}

// TestEraseSteps: what stands in the log before Seal is in no file any more once it was
// archived and Forget has returned, and snapshots from before are gone.
func TestEraseSteps(t *testing.T) {
	fs := vfs.NewMem()
	m := openFake(t, fs, "state")
	n := openTestNode(t, fs, m)
	events := 0
	propose := func(some int) {
		t.Helper()
		for range some {
			events++
			if _, err := n.Propose(t.Context(), proposal(t, events)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := n.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	propose(10)
	if err := n.Snapshot(); err != nil {
		t.Fatal(err)
	}
	index, err := n.Seal()
	if err != nil || index != n.log.Last() || index != m.AppliedIndex() || !n.Sealed(index) || n.Sealed(index+1) {
		t.Fatalf("sealed up to %d of %d, applied %d: %v", index, n.log.Last(), m.AppliedIndex(), err)
	}
	if again, err := n.Seal(); err != nil || again != index {
		t.Errorf("sealed again, up to %d: %v", again, err)
	}
	if archived, _, err := n.Archives(index); archived || err != ErrClosed {
		t.Errorf("without a ledger: %v, %v", archived, err)
	}
	if ok, err := n.SnapshotBehind(index); ok || err != nil {
		t.Errorf("a snapshot behind what was not applied: %v, %v", ok, err)
	}
	propose(1)
	if ok, err := n.SnapshotBehind(index); !ok || err != nil {
		t.Errorf("a snapshot: %v, %v", ok, err)
	}
	if n.snapshots.newest().meta.index <= index {
		t.Errorf("the newest snapshot is of entry %d", n.snapshots.newest().meta.index)
	}
	if err := n.log.SetArchived(index); err != nil {
		t.Fatal(err)
	}
	if in := filesWith(t, fs, "wal/log", "request 5"); len(in) != 1 || !n.log.Holds(index) {
		t.Errorf("before, an entry was in %q: nothing is proven", in)
	}
	if err := n.Forget(t.Context(), index); err != nil || n.log.Holds(index) {
		t.Errorf("the files are still there: %v", err)
	}
	if in := filesWith(t, fs, "wal/log", "request 5"); len(in) > 0 {
		t.Errorf("an entry is still in %q", in)
	}
	propose(3)
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
}

// filesWith are the files of a directory that a text is in.
func filesWith(t *testing.T, fs vfs.FS, dir, text string) (in []string) {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		f, err := fs.Open(fs.PathJoin(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(f)
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(b, []byte(text)) {
			in = append(in, name)
		}
	}
	return in
}

// TestArchivesAfterRestart: that everything is in the ledger is known after a restart, too, when
// the log has not been told yet, and no event has to come for it; what the log held can go.
func TestArchivesAfterRestart(t *testing.T) {
	fs := vfs.NewMem()
	m := openFake(t, fs, "state")
	n := openTestNode(t, fs, m)
	start := func() {
		t.Helper()
		if err := n.Barrier(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := n.OpenLedger("test", nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	start()
	for i := range 256 {
		if _, err := n.Propose(t.Context(), proposal(t, i)); err != nil {
			t.Fatal(err)
		}
	}
	index := m.AppliedIndex()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		archived, missing, err := n.Archives(index)
		if err != nil || missing > 0 || time.Now().After(end) {
			t.Fatalf("archived: %v, missing %d, %v", archived, missing, err)
		}
		if archived {
			break
		}
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	n = openTestNode(t, fs, m)
	start()
	if n.log.Archived() != 0 {
		t.Fatal("the log was told: nothing is proven")
	}
	if archived, missing, err := n.Archives(index); !archived || missing != 0 || err != nil {
		t.Errorf("after a restart: %v, missing %d, %v", archived, missing, err)
	}
	sealed, err := n.Seal()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := n.Propose(t.Context(), proposal(t, 256)); err != nil {
		t.Fatal(err)
	}
	if archived, missing, err := n.Archives(m.AppliedIndex()); archived || missing != 255 || err != nil {
		t.Errorf("of an event that is in the queue: %v, missing %d, %v", archived, missing, err)
	}
	if archived, _, err := n.Archives(sealed); !archived || err != nil {
		t.Errorf("of those before it: %v, %v", archived, err)
	}
	if ok, err := n.SnapshotBehind(sealed); !ok || err != nil {
		t.Fatalf("a snapshot: %v, %v", ok, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := n.Forget(ctx, sealed); err != nil || n.log.Holds(sealed) {
		t.Errorf("the files are still there: %v", err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCaughtUp: a node that has applied what is committed knows it.
func TestCaughtUp(t *testing.T) {
	fs := vfs.NewMem()
	n := openTestNode(t, fs, openFake(t, fs, "state"))
	if err := n.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Propose(t.Context(), proposal(t, 1)); err != nil || !n.CaughtUp() {
		t.Errorf("%v, caught up: %v", err, n.CaughtUp())
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
}
