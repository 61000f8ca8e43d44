package overlay

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"
)

func write(t fataler, f vfs.FS, name, text string) error {
	t.Helper()
	w, err := f.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatalf("%v", err)
	}
	return errors.Join(w.Sync(), w.Close())
}

func read(t fataler, f vfs.FS, name string) (string, error) {
	t.Helper()
	r, err := f.Open(name)
	if err != nil {
		return "", err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return string(b), nil
}

type fataler interface {
	Helper()
	Fatalf(string, ...any)
}

// TestModel does the same to an overlay and to a plain copy of its base: they answer alike,
// and the base stays as it was.
func TestModel(t *testing.T) {
	dirs := []string{"/d", "/d/e"}
	names := []string{"/d/a", "/d/b", "/d/e/a", "/d/e/c"}
	rapid.Check(t, func(t *rapid.T) {
		base, plain := vfs.NewMem(), vfs.NewMem()
		for _, f := range []vfs.FS{base, plain} {
			if err := f.MkdirAll("/d/e", 0o700); err != nil {
				t.Fatal(err)
			}
		}
		held := map[string]string{}
		for _, name := range names {
			if rapid.Bool().Draw(t, "in the base") {
				held[name] = "base of " + name
				for _, f := range []vfs.FS{base, plain} {
					if err := write(t, f, name, held[name]); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		over := New(base)
		both := func(what string, do func(vfs.FS) error) {
			t.Helper()
			got, want := do(over), do(plain)
			if (got == nil) != (want == nil) || errors.Is(got, fs.ErrNotExist) != errors.Is(want, fs.ErrNotExist) {
				t.Fatalf("%s: %v, a plain file system says %v", what, got, want)
			}
		}
		name, count := rapid.SampledFrom(names), 0
		t.Repeat(map[string]func(*rapid.T){
			"create": func(t *rapid.T) {
				n := name.Draw(t, "name")
				count++
				both("create "+n, func(f vfs.FS) error { return write(t, f, n, fmt.Sprint("new ", count)) })
			},
			"append": func(t *rapid.T) {
				n := name.Draw(t, "name")
				both("write "+n, func(f vfs.FS) error {
					if _, err := f.Stat(n); err != nil {
						return err // MemFS does not make it
					}
					w, err := f.OpenReadWrite(n, vfs.WriteCategoryUnspecified)
					if err != nil {
						return err
					}
					_, err = w.WriteAt([]byte("!"), 0)
					return errors.Join(err, w.Close())
				})
			},
			"remove": func(t *rapid.T) {
				n := name.Draw(t, "name")
				both("remove "+n, func(f vfs.FS) error { return f.Remove(n) })
			},
			"rename": func(t *rapid.T) {
				from, to := name.Draw(t, "from"), name.Draw(t, "to")
				if from == to {
					t.Skip("onto itself")
				}
				both("rename "+from+" "+to, func(f vfs.FS) error { return f.Rename(from, to) })
			},
			"link": func(t *rapid.T) {
				from, to := name.Draw(t, "from"), name.Draw(t, "to")
				both("link "+from+" "+to, func(f vfs.FS) error { return f.Link(from, to) })
			},
			"": func(t *rapid.T) {
				for _, d := range dirs {
					got, err := over.List(d)
					want, err2 := plain.List(d)
					slices.Sort(want)
					if err != nil || err2 != nil || !slices.Equal(got, want) {
						t.Fatalf("list %s: %q, %v; want %q, %v", d, got, err, want, err2)
					}
				}
				for _, n := range names {
					got, err := read(t, over, n)
					want, err2 := read(t, plain, n)
					if got != want || (err == nil) != (err2 == nil) {
						t.Fatalf("read %s: %q, %v; want %q, %v", n, got, err, want, err2)
					}
				}
			},
		})
		for _, n := range names {
			if got, err := read(t, base, n); got != held[n] || (err == nil) != (held[n] != "") {
				t.Fatalf("the base's %s became %q, %v", n, got, err)
			}
		}
	})
}

// TestStore opens a database over a base, writes, compacts and closes it: the base has not
// a byte that is other, and opens as before.
func TestStore(t *testing.T) {
	base := vfs.NewMem()
	put := func(f vfs.FS, from, to int) {
		db, err := pebble.Open("/db", &pebble.Options{FS: f})
		if err != nil {
			t.Fatal(err)
		}
		for i := from; i < to; i++ {
			if err := db.Set(fmt.Appendf(nil, "%04d", i), []byte(strings.Repeat("v", 100)), pebble.Sync); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(db.Flush(), db.Compact(t.Context(), []byte("0"), []byte("9"), false), db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	put(base, 0, 500)
	before := dump(t, base, "/db")
	over := New(base)
	put(over, 500, 1000)
	if after := dump(t, base, "/db"); after != before {
		t.Error("the base has changed")
	}
	for f, want := range map[vfs.FS]int{base: 500, over: 1000} {
		db, err := pebble.Open("/db", &pebble.Options{FS: f, ReadOnly: f == vfs.FS(over)})
		if err != nil {
			t.Fatal(err)
		}
		it, err := db.NewIter(nil)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for ok := it.First(); ok; ok = it.Next() {
			n++
		}
		if err := errors.Join(it.Close(), db.Close()); err != nil || n != want {
			t.Errorf("%d rows, want %d: %v", n, want, err)
		}
	}
}

// TestLock: what has the base open cannot be opened over it.
func TestLock(t *testing.T) {
	base, dir := vfs.Default, t.TempDir()
	db, err := pebble.Open(dir, &pebble.Options{FS: base})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := pebble.Open(dir, &pebble.Options{FS: New(base)}); err == nil {
		t.Error("it was opened twice")
		again.Close()
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := pebble.Open(dir, &pebble.Options{FS: New(base)})
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}

func dump(t *testing.T, f vfs.FS, dir string) string {
	t.Helper()
	names, err := f.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	var b strings.Builder
	for _, n := range names {
		text, err := read(t, f, f.PathJoin(dir, n))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%s %q\n", n, text)
	}
	return b.String()
}
