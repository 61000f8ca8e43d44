package ledger

import (
	"errors"
	"io"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

// TestCheckpointAt: a checkpoint of an earlier size is that of the archive as it was then.
func TestCheckpointAt(t *testing.T) {
	_, a := filled(t, 2*BundleSize)
	_, verifier := testKey(t, 1)
	then, ok := a.Checkpoint()
	if !ok {
		t.Fatal("there is no checkpoint")
	}
	mustAppend(t, a, records(2*BundleSize, 5*BundleSize))
	for _, size := range []uint64{2 * BundleSize, 5 * BundleSize} {
		c, err := a.CheckpointAt(size)
		if err != nil {
			t.Fatal(err)
		}
		root, err := a.Root(size)
		if err != nil || uint64(c.Tree.N) != size || c.Tree.Hash != root {
			t.Errorf("the checkpoint of %d is of %+v, %v", size, c.Tree, err)
		}
		if _, err := OpenCheckpoint(c.Note, testOrigin, note.VerifierList(verifier)); err != nil {
			t.Errorf("the checkpoint of %d: %v", size, err)
		}
		if size == 2*BundleSize && c.Tree != then.Tree {
			t.Errorf("%+v was signed then, and %+v is now", then.Tree, c.Tree)
		}
	}
	if _, err := a.CheckpointAt(6 * BundleSize); !errors.Is(err, ErrNotArchived) {
		t.Errorf("of more than there is: %v", err)
	}
}

// TestOpenFile: full bundles and tiles can be opened, and nothing else.
func TestOpenFile(t *testing.T) {
	fsys, a := filled(t, BundleSize)
	for _, rel := range []string{EntriesPath(0, BundleSize), PayloadPath(0, BundleSize), TilePath(0, 0, BundleSize)} {
		f, size, err := a.OpenFile(rel)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(f)
		if err := errors.Join(err, f.Close()); err != nil || int64(len(b)) != size || string(b) != string(get(t, fsys, "ledger/"+rel)) {
			t.Errorf("%s: %d bytes of %d, %v", rel, len(b), size, err)
		}
	}
	for _, rel := range []string{"", "checkpoint", "../x", "tile/0/../../checkpoint", "payload/x000", "payload/000.tmp", "tile/0/000.p/5", "/payload/000"} {
		if f, _, err := a.OpenFile(rel); err == nil {
			f.Close()
			t.Errorf("%q was opened", rel)
		}
	}
}
