package ledger

import (
	"context"
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/tlog"
)

// TestVerifyFrom: what is behind a place is verified as by a whole verification, and what the tiles
// say of what is before it by the roots.
func TestVerifyFrom(t *testing.T) {
	for _, size := range []uint64{1024, 65536 + 768} {
		fsys, a := filled(t, size)
		o := options(t, fsys)
		root := func(size uint64) tlog.Tree {
			h, err := a.Root(size)
			if err != nil {
				t.Fatal(err)
			}
			return tlog.Tree{N: int64(size), Hash: h}
		}
		verify := func(fs vfs.FS, from uint64, known ...tlog.Tree) (tlog.Tree, error) {
			v, err := Verify(context.Background(), VerifyOptions{FS: fs, Dir: "ledger", Origin: o.Origin, Verifiers: o.Verifiers, From: from, Known: known})
			return v.Tree, err
		}
		for _, from := range []uint64{256, size - 768, size - 512, size - 256, size, size + 256} {
			if tree, err := verify(fsys, from, root(min(from, size)), root(100)); err != nil || tree != a.Tree() {
				t.Errorf("%d from %d: %v", size, from, err)
			}
		}
		from := size - 512
		other := root(from)
		other.Hash[0] ^= 1
		if _, err := verify(fsys, from, other); !errors.As(err, new(*Damage)) {
			t.Errorf("%d from %d, of another history: %v", size, from, err)
		}
		for _, c := range []struct {
			name string
			hurt func(f forger)
			bad  int64 // -1: nothing that is looked at
		}{
			{"envelope behind", func(f forger) { f.flip(EntriesPath(from/BundleSize, BundleSize), 700) }, int64(from)},
			{"payload behind", func(f forger) { f.flip(PayloadPath(from/BundleSize+1, BundleSize), 200) }, int64(from + BundleSize)},
			{"tile behind", func(f forger) { f.flip(TilePath(0, from/BundleSize, BundleSize), 5*32) }, int64(from + 5)},
			{"tile before", func(f forger) { f.flip(TilePath(0, from/BundleSize-1, BundleSize), 0) }, 0},
			{"envelope before", func(f forger) { f.flip(EntriesPath(from/BundleSize-1, BundleSize), 700) }, -1},
		} {
			clone := fsys.CrashClone(vfs.CrashCloneCfg{})
			c.hurt(forger{t, clone})
			_, err := verify(clone, from, root(from))
			var d *Damage
			switch {
			case c.bad < 0 && err != nil:
				t.Errorf("%d: %s: %v", size, c.name, err)
			case c.bad >= 0 && !errors.As(err, &d):
				t.Errorf("%d: %s: %v", size, c.name, err)
			case c.bad > 0 && (d.Seq < from || d.Seq/BundleSize != uint64(c.bad)/BundleSize):
				t.Errorf("%d: %s: %v, want %d", size, c.name, err, c.bad)
			}
		}
	}
}

// TestErasedItems: what is erased is counted, and payloads that are not those of the envelopes are
// refused.
func TestErasedItems(t *testing.T) {
	fsys, a := filled(t, 512)
	count := func(n uint64, want int) {
		t.Helper()
		if got, err := ErasedItems(fsys, "ledger", n); err != nil || got != want {
			t.Errorf("bundle %d: %d items are erased, want %d: %v", n, got, want, err)
		}
	}
	items := 0
	for _, seq := range []uint64{300, 301} {
		p, err := a.Payload(seq)
		if err != nil {
			t.Fatal(err)
		}
		items += len(p.Items)
	}
	if items == 0 {
		t.Fatal("the records have no items")
	}
	count(1, 0)
	if err := a.Erase([]Target{{Seq: 300}, {Seq: 301}}); err != nil {
		t.Fatal(err)
	}
	count(0, 0)
	count(1, items)
	f := forger{t, fsys}
	f.entries(1, func(es [][]byte) [][]byte { es[3], es[4] = es[4], es[3]; return es })
	if _, err := ErasedItems(fsys, "ledger", 1); err == nil {
		t.Error("payloads that are not those of the envelopes were counted")
	}
}
