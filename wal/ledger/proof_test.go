package ledger

import (
	"fmt"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"ironman/wal/merkle"
)

// A damaged tile gives an error, never a wrong root or proof.
func TestDamagedTileGivesNoProof(t *testing.T) {
	fsys, a := filled(t, 1024)
	b := get(t, fsys, "ledger/tile/0/001")
	b[40] ^= 1
	put(t, fsys, "ledger/tile/0/001", b)
	if _, err := a.Root(300); err == nil {
		t.Error("a root from a damaged tile")
	}
	if _, err := a.Prove(256, 512); err == nil {
		t.Error("a proof from a damaged tile")
	}
}

func TestSignRefusesInconsistent(t *testing.T) {
	_, a := filled(t, 512)
	s := a.state.Load()
	for name, prev := range map[string]tlog.Tree{
		"another past": {N: 256, Hash: tlog.RecordHash(nil)},
		"a future":     {N: 768, Hash: s.tree.Hash},
	} {
		if _, err := a.o.sign(prev, s.tree, a.hashes(s)); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
}

func TestEdgeAgainstFrontier(t *testing.T) {
	e, f := &edge{}, merkle.New()
	none := func(int, uint64, []tlog.Hash) error { return nil }
	for i := range 70000 {
		h := tlog.RecordHash([]byte{byte(i), byte(i >> 8), byte(i >> 16)})
		f.AppendHash(h)
		if err := e.add(h, none); err != nil {
			t.Fatal(err)
		}
	}
	if e.tree() != (tlog.Tree{N: 70000, Hash: f.Root()}) {
		t.Fatal("the edge's root is not the frontier's")
	}
	var got []string
	e.partials(func(level int, n uint64, hashes []tlog.Hash) error {
		got = append(got, TilePath(level, n, len(hashes)))
		return nil
	})
	// The example of https://c2sp.org/tlog-tiles, "Partial Tiles".
	if want := "[tile/0/273.p/112 tile/1/001.p/17 tile/2/000.p/1]"; fmt.Sprint(got) != want {
		t.Fatalf("partial tiles %v, want %s", got, want)
	}
}
