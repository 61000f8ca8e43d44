package ledger

import (
	"context"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/wal/event"
)

// On a real file system: what archives, reopens, erases and exports in memory
// does so there, byte for byte.
func TestOnDisk(t *testing.T) {
	dir := t.TempDir()
	o := options(t, vfs.Default)
	o.Dir = filepath.Join(dir, "ledger")
	all := records(0, 700)
	mustAppend(t, open(t, o), all[:300])
	a := open(t, o)
	mustAppend(t, a, all[200:])
	mem, b := filled(t, 700)
	for _, a := range []*Archive{a, b} {
		for range 2 {
			if err := a.Erase([]Target{{Seq: 303}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	all[512] = erasure(t, 512, event.Refusal_REFUSAL_NONE, Target{Seq: 303})
	x := Export{FS: vfs.Default, Dir: filepath.Join(dir, "export"), Tail: all[512:]}
	if err := a.Export(context.Background(), x); err != nil {
		t.Fatal(err)
	}
	y := Export{FS: mem, Dir: "export", Tail: all[512:]}
	if err := b.Export(context.Background(), y); err != nil {
		t.Fatal(err)
	}
	same(t, tree(t, vfs.Default, o.Dir), tree(t, mem, "ledger"))
	same(t, tree(t, vfs.Default, x.Dir), tree(t, mem, "export"))
	verifyErased(t, open(t, o), Target{Seq: 303})
}
