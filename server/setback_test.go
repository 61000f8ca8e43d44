package server

import (
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestSetBackDirectory: a start that the cluster knows and the directory never proposed
// shows that it was set back, whatever its counter has risen to since.
func TestSetBackDirectory(t *testing.T) {
	for _, c := range []struct {
		name              string
		boot, mine, known uint64
		begun, old        bool
	}{
		{name: "a first start", boot: 1},
		{name: "a start like any other", boot: 6, mine: 5, known: 5},
		{name: "the last start was cut short before it was proposed", boot: 7, mine: 5, known: 5},
		{name: "the last start was cut short, and nobody took it", boot: 7, mine: 6, known: 5},
		{name: "another node has seen this very start", boot: 6, mine: 5, known: 6, begun: true},
		{name: "a copy of the start before", boot: 6, mine: 5, known: 6, old: true},
		{name: "an older copy", boot: 6, mine: 5, known: 9, old: true},
		{name: "an old copy that was started until its counter was ahead", boot: 20, mine: 5, known: 6, old: true},
		{name: "the same while it is proposed", boot: 20, mine: 5, known: 6, begun: true, old: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := starts{boot: c.boot, mine: c.mine}
			s.begun.Store(c.begun)
			if err := s.heard(3, c.known); errors.Is(err, errSetBack) != c.old || s.knowsBetter(3) != c.old {
				t.Errorf("%v, it knows better: %v", err, s.knowsBetter(3))
			}
			if err := s.heard(3, 0); err != nil || s.knowsBetter(3) {
				t.Errorf("the node that said so knows nothing any more: %v", err)
			}
		})
	}
}

// TestProposedStart: the newest start that was proposed outlives starts that were not;
// a file that does not tell is of a release whose starts may all have been.
func TestProposedStart(t *testing.T) {
	fs := vfs.NewMem()
	open := func() *identity {
		t.Helper()
		id, err := openIdentity(fs, "identity.json", false, false)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	id := open()
	if id.Boot != 1 || id.Proposed != 0 {
		t.Fatalf("a first start has %d and %d", id.Boot, id.Proposed)
	}
	open()
	id = open()
	if id.Boot != 3 || id.Proposed != 0 {
		t.Fatalf("the third start has %d and %d", id.Boot, id.Proposed)
	}
	id.Proposed = id.Boot
	if err := id.write(fs, "identity.json"); err != nil {
		t.Fatal(err)
	}
	open()
	if id = open(); id.Boot != 5 || id.Proposed != 3 {
		t.Fatalf("two starts later it has %d and %d", id.Boot, id.Proposed)
	}
	older := `{"format":1,"node":1,"boot":7,"key":"` + id.Key + `"}`
	if err := writeDurably(fs, "identity.json", []byte(older)); err != nil {
		t.Fatal(err)
	}
	if id = open(); id.Boot != 8 || id.Proposed != 7 {
		t.Errorf("behind an older release it has %d and %d", id.Boot, id.Proposed)
	}
}
