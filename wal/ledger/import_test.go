package ledger

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"ironman/wal/event"
)

// importOf imports the first size sequences of an archive, as they are in its files.
func importOf(t testing.TB, from vfs.FS, a *Archive, size uint64) *Import {
	t.Helper()
	root, err := a.Root(size)
	if err != nil {
		t.Fatal(err)
	}
	return &Import{FS: vfs.NewMem(), Dir: "ledger", Tree: tlog.Tree{N: int64(size), Hash: root}, Open: func(rel string) (io.ReadCloser, error) {
		return from.Open("ledger/" + rel)
	}}
}

// TestImport: an archive that was imported is one that goes on, under whatever key, and of
// any of the sizes that the other had.
func TestImport(t *testing.T) {
	from, a := filled(t, 1024)
	for _, size := range []uint64{0, 256, 768, 1024} {
		x := importOf(t, from, a, size)
		told := uint64(0)
		x.Progress = func(done, total uint64) {
			if told += BundleSize; done != told || total != size {
				t.Errorf("told of %d of %d", done, total)
			}
		}
		if err := x.Run(context.Background()); err != nil {
			t.Fatal(err)
		}
		o := options(t, x.FS)
		other, verifier := testKey(t, 2)
		o.Signer, o.Verifiers = other, note.VerifierList(verifier)
		got := open(t, o)
		if got.Tree() != x.Tree || told != size {
			t.Errorf("%d: the tree is %v instead of %v", size, got.Tree(), x.Tree)
		}
		mustAppend(t, got, records(size, 1280))
		if err := got.Verify(context.Background(), nil); err != nil {
			t.Errorf("%d: %v", size, err)
		}
	}
}

// TestImportBrokenOff: one that was broken off goes on, and until its end is no archive.
func TestImportBrokenOff(t *testing.T) {
	from, a := filled(t, 1024)
	x := importOf(t, from, a, 1024)
	whole, left := x.Open, 7
	x.Open = func(rel string) (io.ReadCloser, error) {
		if left--; left < 0 {
			return nil, errors.New("the line is cut")
		}
		return whole(rel)
	}
	if err := x.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "the line is cut") {
		t.Fatal(err)
	}
	if h, err := readHeads(newFiles(x.FS, "ledger")); err != nil || h.size() != 0 {
		t.Errorf("it has %d sequences, %v", h.size(), err)
	}
	again := 0
	x.Open = func(rel string) (io.ReadCloser, error) { again++; return whole(rel) }
	if err := x.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if again == 0 || again > 7 {
		t.Errorf("%d files were opened once more", again)
	}
	o := options(t, x.FS)
	if got := open(t, o); got.Tree() != a.Tree() {
		t.Error("another tree")
	}
}

// TestImportRefused: tiles that do not bear the root out, files that are not there, and
// sizes that no archive has.
func TestImportRefused(t *testing.T) {
	from, a := filled(t, 1024)
	x := importOf(t, from, a, 1024)
	x.Tree.Hash[3] ^= 1
	if err := x.Run(context.Background()); err == nil || !strings.Contains(err.Error(), "give the root") {
		t.Error(err)
	}
	if h, err := readHeads(newFiles(x.FS, "ledger")); err != nil || h.size() != 0 {
		t.Errorf("it has %d sequences, %v", h.size(), err)
	}
	x = importOf(t, from, a, 1024)
	x.Tree.N = 1000
	if err := x.Run(context.Background()); !errors.Is(err, event.ErrMalformed) {
		t.Error(err)
	}
	x = importOf(t, from, a, 512)
	x.Tree.N = 1280
	if err := x.Run(context.Background()); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestImportTiles: the tiles of the upper levels are taken with the bundle that fills them,
// and the checkpoint of so many leaves.
func TestImportTiles(t *testing.T) {
	for _, c := range []struct {
		bundle uint64
		want   string
	}{
		{0, "tile/entries/000 payload/000 tile/0/000"},
		{254, "tile/entries/254 payload/254 tile/0/254"},
		{255, "tile/entries/255 payload/255 tile/0/255 tile/1/000 checkpoints/000"},
		{511, "tile/entries/511 payload/511 tile/0/511 tile/1/001 checkpoints/001"},
		{65535, "tile/entries/x065/535 payload/x065/535 tile/0/x065/535 tile/1/255 tile/2/000 checkpoints/255"},
	} {
		var got []string
		x := &Import{FS: vfs.NewMem(), Dir: "ledger", Open: func(rel string) (io.ReadCloser, error) {
			got = append(got, rel)
			if strings.HasPrefix(rel, "checkpoints/") {
				return nil, fs.ErrNotExist
			}
			return io.NopCloser(strings.NewReader("")), nil
		}}
		if err := x.bundle(newFiles(x.FS, x.Dir), c.bundle); err != nil {
			t.Fatal(err)
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("bundle %d: %s instead of %s", c.bundle, s, c.want)
		}
	}
}
