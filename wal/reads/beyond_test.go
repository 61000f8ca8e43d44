package reads

import (
	"errors"
	"maps"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/wal/event"
	"ironman/wal/ledger"
)

// contents are all files of a log.
func contents(t *testing.T, fsys vfs.FS) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, name := range filesBelow(t, fsys, "reads") {
		all[name] = string(readFile(t, fsys, name))
	}
	return all
}

// TestOldCheckpoint: bundles that no crash can have left are never removed. A log whose
// checkpoint is gone or an old one, or whose tail is, is refused, and stays as it is.
func TestOldCheckpoint(t *testing.T) {
	filled := func() (vfs.FS, Options, []byte, []byte) {
		mem := vfs.NewMem()
		o := options(t, mem)
		l := open(t, o)
		add(t, l, 0, 300)
		oldCheckpoint, oldTail := readFile(t, mem, "reads/checkpoint"), readFile(t, mem, "reads/tail")
		add(t, l, 300, 1000)
		add(t, l, 1000, 1010)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		return mem, o, oldCheckpoint, oldTail
	}
	for _, c := range []struct {
		name  string
		spoil func(fsys vfs.FS, oldCheckpoint, oldTail []byte) error
		noted uint64
	}{
		{"no checkpoint", func(fsys vfs.FS, _, _ []byte) error { return fsys.Remove("reads/checkpoint") }, 0},
		{"no checkpoint and no tail", func(fsys vfs.FS, _, _ []byte) error {
			return errors.Join(fsys.Remove("reads/checkpoint"), fsys.Remove("reads/tail"))
		}, 0},
		{"an old checkpoint", func(fsys vfs.FS, checkpoint, _ []byte) error {
			writeFile(t, fsys, "reads/checkpoint", checkpoint)
			return nil
		}, 0},
		{"an old checkpoint and a torn tail", func(fsys vfs.FS, checkpoint, _ []byte) error {
			writeFile(t, fsys, "reads/checkpoint", checkpoint)
			writeFile(t, fsys, "reads/tail", []byte("IM"))
			return nil
		}, 0},
		{"an old checkpoint and its tail", func(fsys vfs.FS, checkpoint, tail []byte) error {
			writeFile(t, fsys, "reads/checkpoint", checkpoint)
			writeFile(t, fsys, "reads/tail", tail)
			return nil
		}, 1000},
	} {
		fsys, o, checkpoint, tail := filled()
		if err := c.spoil(fsys, checkpoint, tail); err != nil {
			t.Fatal(err)
		}
		before := contents(t, fsys)
		o.Noted = c.noted
		if _, err := Open(o); !errors.Is(err, ledger.ErrBeyond) || !strings.Contains(err.Error(), "Nothing was removed") {
			t.Errorf("%s: %v", c.name, err)
		}
		if !maps.Equal(before, contents(t, fsys)) {
			t.Errorf("%s: files have changed", c.name)
		}
	}
}

// TestBeyondAnyCrash: also where the tail joins an old checkpoint, and nobody knows of more.
func TestBeyondAnyCrash(t *testing.T) {
	mem := vfs.NewMem()
	o := options(t, mem)
	l := open(t, o)
	add(t, l, 0, 300)
	checkpoint, tail := readFile(t, mem, "reads/checkpoint"), readFile(t, mem, "reads/tail")
	most := l.leftovers(256, &ledger.TailState{Found: true, First: 256})
	for n := uint64(2); n <= 2+most; n++ { // as many files are enough
		writeFile(t, mem, "reads/"+ledger.EntriesPath(n-1, 256), []byte("bundle"))
	}
	writeFile(t, mem, "reads/checkpoint", checkpoint)
	writeFile(t, mem, "reads/tail", tail)
	if _, err := Open(o); !errors.Is(err, ledger.ErrBeyond) {
		t.Fatalf("%d bundles: %v", most+1, err)
	}
	if err := mem.Remove("reads/" + ledger.EntriesPath(1+most, 256)); err != nil {
		t.Fatal(err)
	}
	if l := open(t, o); l.Head().N != 300 {
		t.Fatalf("head of %d", l.Head().N)
	}
	if _, err := mem.Stat("reads/" + ledger.EntriesPath(1, 256)); err == nil {
		t.Error("what a crash may have left is there")
	}
}

// TestLeastRecord: no record takes less memory than is reckoned with.
func TestLeastRecord(t *testing.T) {
	r, err := (&event.ReadDraft{Read: &event.Read{}}).Marshal()
	if err != nil || r.Bytes() < leastRecord {
		t.Fatalf("%v, %v", r, err)
	}
}
