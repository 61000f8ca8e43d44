package fsm

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/wal/event"
)

// FuzzApply feeds arbitrary bytes to two machines in the same state, run in
// different ways: they never panic, stop only for what is newer, and agree.
func FuzzApply(f *testing.F) {
	w := newWorld(f, seeded(3), 1000, 3600e9)
	w.grow(80)
	for _, e := range w.log {
		f.Add(e.Data)
	}
	for _, p := range goldenProposals(f) {
		f.Add(event.AppendEntry(nil, 1_900_000_000e9, p))
	}
	f.Add([]byte{})
	f.Add([]byte{2})
	disk := vfs.NewCrashableMem()
	m := memory(f, Options{FS: disk, Window: 1000})
	m.Apply(w.log)
	if err := errors.Join(m.Flush(), m.Close()); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		entries := []Entry{{Index: uint64(len(w.log)) + 1, Term: 2, Data: data}, {Index: uint64(len(w.log)) + 2, Term: 2, Data: data}}
		if data == nil {
			t.Skip("an entry without an event")
		}
		a := memory(t, Options{FS: disk.CrashClone(vfs.CrashCloneCfg{}), Window: 1000})
		b := memory(t, Options{FS: disk.CrashClone(vfs.CrashCloneCfg{}), Window: 1000, Tune: small})
		var ra, rb []Result
		errA := fatal(func() { ra = a.Apply(entries) })
		errB := fatal(func() { rb = append(b.Apply(entries[:1]), b.Apply(entries[1:])...) })
		if errA != nil || errB != nil {
			if !errors.Is(errA, event.ErrNewer) || !errors.Is(errB, event.ErrNewer) {
				t.Fatalf("stopped with %v and %v", errA, errB)
			}
			_ = errors.Join(a.Close(), b.Close()) // what was under way is leaked
			return
		}
		for i := range ra {
			if !sameResult(ra[i], rb[i]) {
				t.Fatalf("%v and %v", ra[i], rb[i])
			}
		}
		finalOf(t, a).compare(t, "the other machine", b)
		if err := errors.Join(a.Close(), b.Close()); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzRow decodes arbitrary rows of every kind.
func FuzzRow(f *testing.F) {
	w := newWorld(f, seeded(4), 50, 3600e9)
	w.grow(200)
	m := memory(f, Options{Window: 50})
	m.Apply(w.log)
	for k, v := range allRows(f, m) {
		if len(k) < 20 {
			f.Add([]byte(k), []byte(v))
		}
	}
	if err := m.Close(); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, k, v []byte) {
		if len(k) == 0 {
			return
		}
		o, from, err := decodeRow[Object](k, v)
		if err == nil && tableOf(k).historical() && !seen(v, from+1) {
			t.Fatalf("%v from %d", o, from)
		}
		if _, _, err := decodeRow[BlobRow](k, v); err == nil && len(v) > 0 && tableOf(k).historical() && len(v) < fromBytes {
			t.Fatal("a row shorter than its head")
		}
		if _, err := decodeLeaf(k, v); err != nil && !errors.Is(err, event.ErrMalformed) {
			t.Fatal(err)
		}
		if s, rest, ok := cutEscaped(k); ok {
			if back := append(appendEscaped(nil, string(s)), rest...); !bytes.Equal(back, k) {
				t.Fatalf("%x reads as %x, %x", k, s, rest)
			}
		}
	})
}

// goldenProposals reads the goldens of the vocabulary.
func goldenProposals(t testing.TB) [][]byte {
	t.Helper()
	b, err := os.ReadFile("../wal/event/testdata/proposals.txt")
	if err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	for sc := bufio.NewScanner(bytes.NewReader(b)); sc.Scan(); {
		_, text, _ := strings.Cut(sc.Text(), " ")
		p, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, p)
	}
	return out
}
