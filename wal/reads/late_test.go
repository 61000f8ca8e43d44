package reads

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/tlog"

	"ironman/wal/event"
	"ironman/wal/ledger"
)

// TestEraseDamaged: a bundle that cannot be read keeps nothing else from being erased, and
// is told of each time.
func TestEraseDamaged(t *testing.T) {
	mem := vfs.NewMem()
	l := open(t, options(t, mem))
	add(t, l, 0, 1000)
	if err := l.Erased(7, 0); err != nil {
		t.Fatal(err)
	}
	name := "reads/" + ledger.PayloadPath(1, ledger.BundleSize)
	good := readFile(t, mem, name)
	bad := bytes.Clone(good)
	bad[len(bad)/2] ^= 1
	writeFile(t, mem, name, bad)
	all := func(e *Entry) bool { return e.Read.Kind == event.ReadKind_READ_KIND_READ }
	if n, err := l.Erase(context.Background(), all); !errors.Is(err, ErrUnreadable) || n != 1000-ledger.BundleSize {
		t.Fatalf("%d erased, %v", n, err)
	}
	if n, err := l.Erase(context.Background(), all); !errors.Is(err, ErrUnreadable) || n != 0 {
		t.Fatalf("%d erased, %v", n, err)
	}
	if by, err := l.ErasedThrough(context.Background()); by != 7 || err != nil {
		t.Fatalf("erased through %d, %v", by, err)
	}
	writeFile(t, mem, name, good)
	if n, err := l.Erase(context.Background(), all); err != nil || n != ledger.BundleSize {
		t.Fatalf("%d erased, %v", n, err)
	}
	for _, e := range entries(t, l) {
		if keyOf(e) != "" {
			t.Fatalf("%v has its key", e)
		}
	}
}

// TestLate: a read that began before an erasure, and ends behind it, tells nothing of what
// was erased; others do.
func TestLate(t *testing.T) {
	o := options(t, vfs.NewMem())
	now := begin.Add(time.Hour)
	o.Now = func() time.Time { return now }
	fail := errors.New("nobody knows")
	o.Erased = func(seq uint64) (bool, error) {
		if seq == 3 {
			return false, fail
		}
		return seq == 1, nil
	}
	l := open(t, o)
	add(t, l, 0, 2)
	if _, err := l.Erase(context.Background(), func(e *Entry) bool { return e.Read.GetObject().GetSeq() == 1 }); err != nil {
		t.Fatal(err)
	}
	read := func(made int, began time.Time) {
		d := draft(made)
		d.Time, d.Read.Began = now.Add(time.Minute).UnixNano(), began.UnixNano()
		l.Add(d)
	}
	early, late := now.Add(-time.Second), now.Add(time.Second)
	read(1, early)
	read(2, early)
	read(3, early)
	read(1, late) // of another object of that event: the erased one is gone
	nothing := draft(9)
	nothing.Read.Object, nothing.Read.Began = nil, early.UnixNano()
	l.Add(nothing)
	add(t, l, 10, 11)
	want := []string{"key/0", "", "", "key/2", "", "key/1", "key/9", "key/10"}
	for i, e := range entries(t, l) {
		if keyOf(e) != want[i] {
			t.Errorf("record %d tells of %q, not of %q", i, keyOf(e), want[i])
		}
		if _, has := e.Item(event.ItemKind_ITEM_KIND_CLIENT); has != (want[i] != "") {
			t.Errorf("record %d tells of the client: %v", i, has)
		}
	}
	if _, err := l.Verify(context.Background(), []tlog.Tree{l.Head()}, nil); err != nil {
		t.Fatal(err)
	}
}
