package fsm

import (
	"math/rand/v2"
	"sync"
	"testing"

	"ironman/sim/disk"
	"ironman/wal/event"
)

// TestUnorderedDirectory opens and flushes a state, each of which replaces Pebble's
// markers, and cuts the power before every operation: of a directory's changes that
// were not synced any may be left, the later ones without the earlier ones too. The
// state opens, and holds what was flushed.
func TestUnorderedDirectory(t *testing.T) {
	d := disk.New(rand.New(rand.NewPCG(1, 1)), disk.Config{})
	type left struct {
		op      disk.Op
		disk    *disk.Disk
		flushed uint64 // the last entry that was
	}
	var mu sync.Mutex // Pebble's goroutines are told of, too
	var cuts []left
	var flushed uint64
	rng := rand.New(rand.NewPCG(1, 2))
	d.Watch(disk.Hooks{Before: func(op disk.Op) error {
		mu.Lock()
		defer mu.Unlock()
		for range 2 {
			cuts = append(cuts, left{op, d.Cut(rng, disk.Loss{Entries: 0.5}), flushed})
		}
		return nil
	}})
	r := newRig(t, Options{FS: d})
	for i := range 3 {
		if i == 0 {
			r.genesis(0)
		}
		r.propose(event.NewDraft(r.header(), &event.Statement_NodeStarted{NodeStarted: &event.NodeStarted{
			Node: 1, PublicKey: []byte{1}, Boot: uint64(2 + i), FeatureLevel: 1,
		}}))
		if err := r.Flush(); err != nil {
			t.Fatal(err)
		}
		mu.Lock()
		flushed = r.index
		mu.Unlock()
		r.close()
		r.Machine = memory(t, r.options)
	}
	r.close()
	for _, c := range cuts {
		m, err := Open(Options{FS: c.disk, Dir: "state", Fatal: func(err error) { panic(err) }})
		if err != nil {
			t.Fatalf("the power was cut before %q: %v", c.op, err)
		}
		if got := m.Applied().Index; got < c.flushed {
			t.Errorf("the power was cut before %q: the state stands at %d, though %d was flushed", c.op, got, c.flushed)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}
