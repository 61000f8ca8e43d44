package fsm

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// settled is a checkpoint of a state with all kinds of rows, in several table files,
// with rows that newer ones hide.
func settled(t *testing.T) (vfs.FS, Applied) {
	t.Helper()
	fs := vfs.NewMem()
	w := newWorld(t, seeded(12), 1000, 3600e9)
	w.grow(400)
	m := memory(t, Options{FS: fs, Window: 1000, Tune: func(o *pebble.Options) { o.DisableAutomaticCompactions = true }})
	for i, e := range w.log {
		m.Apply([]Entry{e})
		if i%100 == 99 {
			if err := m.Flush(); err != nil {
				t.Fatal(err)
			}
		}
	}
	a, err := m.Checkpoint("copy")
	if err := errors.Join(err, m.Close()); err != nil {
		t.Fatal(err)
	}
	return fs, a
}

// files are the files of a directory and their bytes.
func filesOf(t *testing.T, fs vfs.FS, dir string) map[string][]byte {
	t.Helper()
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string][]byte)
	for _, n := range names {
		f, err := fs.Open(fs.PathJoin(dir, n))
		if err != nil {
			t.Fatal(err)
		}
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, info.Size())
		if len(b) > 0 {
			_, err = f.ReadAt(b, 0)
		}
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		out[n] = b
	}
	return out
}

func putFile(t *testing.T, fs vfs.FS, path string, b []byte) {
	t.Helper()
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err == nil {
		_, err = f.Write(slices.Clone(b))
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestVerify(t *testing.T) {
	fs, want := settled(t)
	before := filesOf(t, fs, "copy")
	for range 2 { // a lock that stayed would show
		if a, err := Verify(fs, "copy"); err != nil || a != want {
			t.Fatalf("%+v, %v; want %+v", a, err, want)
		}
		if a, err := ReadApplied(fs, "copy"); err != nil || a != want {
			t.Fatalf("%+v, %v; want %+v", a, err, want)
		}
	}
	if after := filesOf(t, fs, "copy"); len(after) != len(before) {
		t.Errorf("the directory changed: %d files, %d before", len(after), len(before))
	}
	for _, dir := range []string{"nowhere", "empty"} {
		if dir == "empty" {
			if err := fs.MkdirAll(dir, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if a, err := Verify(fs, dir); err == nil {
			t.Errorf("verified %q: %+v", dir, a)
		}
	}
	if a, err := ReadApplied(fs, "empty"); err != nil || a != (Applied{}) {
		t.Errorf("an empty directory stands at %+v, %v", a, err)
	}
	// A state that was never applied to is whole.
	m := memory(t, Options{FS: fs, Dir: "fresh"})
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if a, err := Verify(fs, "fresh"); err != nil || a.Index != 0 {
		t.Errorf("%+v, %v", a, err)
	}
}

// A state that somebody has open is not touched.
func TestVerifyHonoursTheLock(t *testing.T) {
	r := newRig(t, Options{})
	r.genesis(0)
	if a, err := ReadApplied(r.options.FS, "state"); err == nil {
		t.Errorf("read %+v of a state that is open", a)
	}
	r.close()
}

// Rows that were lost, added or changed behind the state's back are found although
// Pebble is content with every file. Local rows may differ.
func TestVerifyRows(t *testing.T) {
	fs, want := settled(t)
	whole := filesOf(t, fs, "copy")
	for _, c := range []struct {
		name   string
		change func(*pebble.DB, *pebble.Batch) error
		ok     bool
	}{
		{"nothing", func(*pebble.DB, *pebble.Batch) error { return nil }, true},
		{"a leaf is gone", func(_ *pebble.DB, b *pebble.Batch) error {
			return b.DeleteRange(key(tableLeaf), key(tableLeaf, 20), nil)
		}, true},
		{"a row is gone", func(db *pebble.DB, b *pebble.Batch) error {
			k, _ := first(t, db, tableObject)
			return b.Delete(k, nil)
		}, false},
		{"a row is changed", func(db *pebble.DB, b *pebble.Batch) error {
			k, v := first(t, db, tableObject)
			v[len(v)-1] ^= 1
			return b.Set(k, v, nil)
		}, false},
		{"a row too many", func(_ *pebble.DB, b *pebble.Batch) error { return b.Set(key(tableUsage, 1<<40), nil, nil) }, false},
		{"no meta", func(_ *pebble.DB, b *pebble.Batch) error { return b.Delete(key(tableMeta), nil) }, false},
		{"damaged meta", func(_ *pebble.DB, b *pebble.Batch) error { return b.Set(key(tableMeta), []byte{0xff}, nil) }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			fs := vfs.NewMem()
			if err := fs.MkdirAll("s", 0o700); err != nil {
				t.Fatal(err)
			}
			for n, b := range whole {
				putFile(t, fs, "s/"+n, b)
			}
			db, err := pebble.Open("s", &pebble.Options{FS: fs, FormatMajorVersion: formatVersion, Logger: pebbleLogger{log: slog.New(slog.DiscardHandler), fatal: func(err error) { panic(err) }}})
			if err != nil {
				t.Fatal(err)
			}
			b := db.NewBatch()
			if err := errors.Join(c.change(db, b), b.Commit(pebble.Sync), db.Flush(), db.Close()); err != nil {
				t.Fatal(err)
			}
			a, err := Verify(fs, "s")
			if (err == nil) != c.ok || c.ok && a != want {
				t.Errorf("%+v, %v", a, err)
			}
		})
	}
}

// first is a copy of the first row of a table.
func first(t *testing.T, db *pebble.DB, table table) (k, v []byte) {
	t.Helper()
	it, err := db.NewIter(&pebble.IterOptions{LowerBound: []byte{byte(table)}, UpperBound: []byte{byte(table) + 1}})
	if err != nil {
		t.Fatal(err)
	}
	if !it.First() {
		t.Fatalf("table %x is empty", table)
	}
	k, v = bytes.Clone(it.Key()), bytes.Clone(it.Value())
	if err := it.Close(); err != nil {
		t.Fatal(err)
	}
	return k, v
}

// A flipped bit, a lost end or a lost file is an error and never more than that; in
// a table file it is always found, wherever it is.
func TestVerifyDamage(t *testing.T) {
	fs, want := settled(t)
	whole := filesOf(t, fs, "copy")
	step := sample(997, 9973)
	found, tables := 0, 0
	check := func(what string, name string) {
		a, err := Verify(fs, "copy")
		if err != nil {
			found++
			return
		}
		// Pebble takes a MANIFEST that was cut for a shorter one: an older state.
		older := strings.HasPrefix(name, "MANIFEST") && a.Index < want.Index
		if strings.HasSuffix(name, ".sst") || a != want && !older {
			t.Errorf("%s: read as %+v", what, a)
		}
	}
	for name, b := range whole {
		path := fs.PathJoin("copy", name)
		if strings.HasSuffix(name, ".sst") {
			tables++
		}
		for at := 0; at < len(b); at += step {
			bad := slices.Clone(b)
			bad[at] ^= 1 << (at % 8)
			putFile(t, fs, path, bad)
			check(fmt.Sprintf("%s, byte %d of %d", name, at, len(b)), name)
		}
		for _, n := range []int{0, len(b) / 2, len(b) - 1} {
			if n < 0 || n >= len(b) {
				continue
			}
			putFile(t, fs, path, b[:n])
			check(fmt.Sprintf("%s, cut to %d of %d", name, n, len(b)), name)
		}
		if err := fs.Remove(path); err != nil {
			t.Fatal(err)
		}
		check(name+" is gone", name)
		putFile(t, fs, path, b)
	}
	if a, err := Verify(fs, "copy"); err != nil || a != want || tables < 2 {
		t.Fatalf("%+v, %v; %d tables", a, err, tables)
	}
	t.Logf("%d damages found", found)
}
