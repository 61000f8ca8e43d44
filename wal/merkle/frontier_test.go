package merkle

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// stored is a whole log in memory, as tlog keeps it: the model.
type stored []tlog.Hash

func (s *stored) append(t testing.TB, n int64, leaf []byte) {
	t.Helper()
	hashes, err := tlog.StoredHashes(n, leaf, s)
	if err != nil {
		t.Fatal(err)
	}
	*s = append(*s, hashes...)
}

func (s *stored) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if x >= int64(len(*s)) {
			return nil, fmt.Errorf("no hash %d", x)
		}
		out[i] = (*s)[x]
	}
	return out, nil
}

func leaf(n int) []byte { return fmt.Appendf(nil, "leaf %d %s", n, strings.Repeat("x", n%97)) }

func TestAgainstTlog(t *testing.T) {
	const leaves = 5000
	var model stored
	f := New()
	for n := range leaves + 1 {
		want, err := tlog.TreeHash(int64(n), &model)
		if err != nil {
			t.Fatal(err)
		}
		if f.Size() != uint64(n) || f.Root() != want {
			t.Fatalf("after %d leaves: size %d root %v, want %v", n, f.Size(), f.Root(), want)
		}
		loaded, err := Load(uint64(n), &model)
		if err != nil {
			t.Fatal(err)
		}
		back, err := Unmarshal(f.Marshal())
		if err != nil {
			t.Fatal(err)
		}
		if *loaded != *f || *back != *f {
			t.Fatalf("after %d leaves: loaded or decoded frontier differs", n)
		}
		model.append(t, int64(n), leaf(n))
		f.Append(leaf(n))
	}
}

func TestEmptyRoot(t *testing.T) {
	want, err := tlog.TreeHash(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := New().Root(); got != want {
		t.Fatalf("root of nothing: %v, want %v", got, want)
	}
	var zero Frontier
	if zero != *New() {
		t.Fatal("the zero value is not the empty log")
	}
}

func TestCloneSharesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 300).Draw(t, "n")
		f := New()
		for i := range n {
			f.Append(leaf(i))
		}
		was := f.Marshal()
		c := f.Clone()
		for i := range rapid.IntRange(1, 300).Draw(t, "more") {
			c.Append(leaf(n + i))
		}
		if !bytes.Equal(f.Marshal(), was) {
			t.Fatal("appending to the clone changed the original")
		}
	})
}

// TestWhole: a frontier holds those of all its aligned prefixes.
func TestWhole(t *testing.T) {
	f := New()
	var at []Frontier // by size
	for n := range 1030 {
		at = append(at, *f)
		for _, level := range []int{0, 1, 3, 8, 10, 62} {
			if w := f.Whole(level); *w != at[n>>level<<level] {
				t.Fatalf("after %d leaves, level %d: the frontier of %d leaves, and not theirs", n, level, w.Size())
			}
		}
		f.Append(leaf(n))
	}
}

func TestLoadErrors(t *testing.T) {
	short := tlog.HashReaderFunc(func([]int64) ([]tlog.Hash, error) { return nil, nil })
	if _, err := Load(3, short); err == nil {
		t.Fatal("a reader that gives too few hashes was accepted")
	}
	failing := tlog.HashReaderFunc(func([]int64) ([]tlog.Hash, error) { return nil, os.ErrNotExist })
	if _, err := Load(3, failing); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("got %v", err)
	}
	if _, err := Load(MaxSize+1, failing); !errors.Is(err, ErrMalformed) {
		t.Fatalf("got %v", err)
	}
}

func TestGolden(t *testing.T) {
	f := New()
	var b strings.Builder
	for n := range 301 {
		switch n {
		case 0, 1, 2, 3, 7, 8, 255, 256, 257, 300:
			fmt.Fprintf(&b, "%d %v\n%s\n", n, f.Root(), hex.EncodeToString(f.Marshal()))
		}
		f.Append(leaf(n))
	}
	path := filepath.Join("testdata", "frontier.golden")
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Fatalf("the format has changed:\n%s\nwant:\n%s", b.String(), want)
	}
}

func TestUnmarshalRefuses(t *testing.T) {
	f := New()
	for i := range 5 {
		f.Append(leaf(i))
	}
	good := f.Marshal()
	edit := func(change func(b []byte) []byte) []byte { return change(bytes.Clone(good)) }
	for _, c := range []struct {
		name string
		b    []byte
		want error
	}{
		{"nothing", nil, ErrMalformed},
		{"version 0", edit(func(b []byte) []byte { b[0] = 0; return b }), ErrMalformed},
		{"the next version", edit(func(b []byte) []byte { b[0] = 2; return b }), ErrNewer},
		{"the next version, another length", []byte{2}, ErrNewer},
		{"version 255", []byte{255, 1, 2, 3}, ErrNewer},
		{"cut header", good[:5], ErrMalformed},
		{"cut hash", good[:len(good)-1], ErrMalformed},
		{"missing hash", good[:len(good)-32], ErrMalformed},
		{"one byte more", append(bytes.Clone(good), 0), ErrMalformed},
		{"one hash more", append(bytes.Clone(good), make([]byte, 32)...), ErrMalformed},
		{"another size", edit(func(b []byte) []byte { b[8] = 7; return b }), ErrMalformed},
		{"too large", edit(func(b []byte) []byte { b[1] = 0x60; b[8] = 0; return b }), ErrMalformed},
	} {
		if _, err := Unmarshal(c.b); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

func TestAppendAllocates(t *testing.T) {
	f := New()
	h := tlog.RecordHash([]byte("x"))
	if n := testing.AllocsPerRun(1000, func() { f.AppendHash(h) }); n != 0 {
		t.Fatalf("AppendHash allocates %v times", n)
	}
	b := make([]byte, 0, 4096)
	if n := testing.AllocsPerRun(100, func() { b = f.AppendTo(b[:0]) }); n != 0 {
		t.Fatalf("AppendTo allocates %v times", n)
	}
}

func FuzzUnmarshal(f *testing.F) {
	g := New()
	for i := range 260 {
		if i < 4 || i > 254 {
			f.Add(g.Marshal())
		}
		g.Append(leaf(i))
	}
	f.Add([]byte{2, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := Unmarshal(b)
		if err != nil {
			return
		}
		if !bytes.Equal(g.Marshal(), b) {
			t.Fatalf("%x decodes to what encodes as %x", b, g.Marshal())
		}
		g.Append(nil)
		g.Root()
	})
}

func BenchmarkAppend(b *testing.B) {
	f := New()
	l := bytes.Repeat([]byte("e"), 300)
	b.ReportAllocs()
	for b.Loop() {
		f.Append(l)
	}
}

func BenchmarkRoot(b *testing.B) {
	f := New()
	for i := range 1<<12 - 1 {
		f.Append(leaf(i))
	}
	for b.Loop() {
		f.Root()
	}
}
