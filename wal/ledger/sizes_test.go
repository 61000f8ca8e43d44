package ledger

import (
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// walked is the sizes by a walk over the directory.
func walked(t *testing.T, fsys vfs.FS, dir string) (s Sizes) {
	t.Helper()
	for name, data := range tree(t, fsys, dir) {
		n := int64(len(data))
		switch {
		case strings.HasPrefix(name, "tile/entries/"):
			s.Entries += n
		case strings.HasPrefix(name, "tile/"):
			s.Tiles += n
		case strings.HasPrefix(name, "payload/"):
			s.Payloads += n
		}
	}
	return s
}

// TestSizes: the running sums are those of a walk, whatever is appended, erased, found again
// after a crash and opened again.
func TestSizes(t *testing.T) {
	fsys := vfs.NewMem()
	o := options(t, fsys)
	a := open(t, o)
	erased := int64(0)
	check := func(what string, known bool) {
		t.Helper()
		got, ok := a.Sizes()
		want := walked(t, fsys, o.Dir)
		want.Erased = erased
		if ok != known || ok && got != want {
			t.Errorf("%s: %+v, %v, want %+v, %v", what, got, ok, want, known)
		}
	}
	check("empty", true)
	const size = 260 * BundleSize // a tile of level 1 is full
	mustAppend(t, a, records(0, size/2))
	check("half", true)
	erase := func(seqs ...uint64) {
		t.Helper()
		var targets []Target
		for _, seq := range seqs {
			targets = append(targets, Target{Seq: seq})
			erased += int64(len(records(seq, seq+1)[0].Items))
		}
		if err := a.Erase(targets); err != nil {
			t.Fatal(err)
		}
	}
	erase(3, 700)
	check("erased", true)
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}

	a, erased = open(t, o), 0
	check("not counted yet", false)
	if err := a.countBundle(0); err != nil {
		t.Fatal(err)
	}
	erase(5, 701, 9000) // of one that is counted, and two that are not
	mustAppend(t, a, records(size/2, size))
	erase(size - 1)
	check("still not counted", false)
	if err := a.CountSizes(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("counted", true)
	erase(701+BundleSize, size-2)
	if err := a.CountSizes(t.Context()); err != nil {
		t.Fatal(err)
	}
	check("counted twice", true)
	if got, _ := a.Sizes(); got.Tiles != (260+1)*BundleSize*32 {
		t.Errorf("%d bytes of tiles", got.Tiles)
	}
}
