package wal

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestPin: what is pinned stays through later snapshots until it is released, with the room
// beside it; entries can be read as far as they are here.
func TestPin(t *testing.T) {
	fs := vfs.NewMem()
	n := openTestNode(t, fs, openFake(t, fs, "state"))
	defer n.Close()
	if err := errors.Join(n.Barrier(t.Context()), n.OpenLedger("test", nil, nil)); err != nil {
		t.Fatal(err)
	}
	propose := func(from int) {
		t.Helper()
		for i := range 20 {
			if _, err := n.Propose(t.Context(), proposal(t, from+i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	propose(0)
	first, err := n.Pin()
	if err != nil {
		t.Fatal(err)
	}
	same, err := n.Pin() // nothing has happened since
	if err != nil || same.State != first.State || same.Room == first.Room {
		t.Fatalf("%+v and %+v: %v", first, same, err)
	}
	propose(100)
	second, err := n.Pin()
	if err != nil || second.State == first.State {
		t.Fatalf("%+v and %+v: %v", first, second, err)
	}
	there := func(path string) bool {
		_, err := fs.Stat(path)
		return err == nil
	}
	for _, p := range []*Pin{first, same, second} {
		if !there(p.State) || !there(p.Room) {
			t.Errorf("%+v is not there", p)
		}
	}
	for range 2 { // the second time nothing is left to do
		if err := first.Release(); err != nil {
			t.Error(err)
		}
	}
	if !there(same.State) || there(first.Room) {
		t.Error("one of two let go of what both keep, or kept its own")
	}
	if err := same.Release(); err != nil || there(same.State) {
		t.Errorf("nobody keeps it, and it stays: %v", err)
	}
	if err := second.Release(); err != nil || !there(second.State) {
		t.Errorf("the newest snapshot went: %v", err)
	}
	last := n.opts.Machine.AppliedIndex()
	want := last - 10
	for e, err := range n.Entries(last-10, last) {
		if err != nil || e.Index != want {
			t.Errorf("entry %d came for %d: %v", e.Index, want, err)
		}
		if term, ok := n.TermAt(e.Index); !ok || term != e.Term {
			t.Errorf("the term of entry %d: %d, %v", e.Index, term, ok)
		}
		want++
	}
	if want != last+1 {
		t.Errorf("the entries end before %d", want)
	}
	for _, err := range n.Entries(last+1, last+2) {
		if !errors.Is(err, ErrNotHere) {
			t.Errorf("an entry that is not there: %v", err)
		}
	}
}
