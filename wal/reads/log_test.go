package reads

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"ironman/wal/event"
	"ironman/wal/ledger"
)

// TestRecords: what was added is there in its order, whole, also after a restart, in bundles
// and behind them; the head of any moment is borne out later, and checkpoints are signed.
func TestRecords(t *testing.T) {
	mem := vfs.NewMem()
	o := options(t, mem)
	l := open(t, o)
	var heads []tlog.Tree
	n := 0
	for _, k := range []int{1, 3, 250, 1, 1, 1, 600, 5} {
		add(t, l, n, n+k)
		n += k
		heads = append(heads, l.Head())
	}
	check := func(l *Log) {
		t.Helper()
		all := entries(t, l)
		if len(all) != n || l.Head().N != int64(n) {
			t.Fatalf("%d records, head of %d, after %d reads", len(all), l.Head().N, n)
		}
		for i, e := range all {
			if e.Seq != uint64(i) || keyOf(e) != fmt.Sprintf("key/%d", i) || e.Envelope.Principal != "AIDA1" || e.Read.GetObject().GetSeq() != uint64(i) {
				t.Fatalf("record %d is %v", i, e)
			}
		}
		for _, h := range heads {
			if root, err := l.Root(uint64(h.N)); err != nil || root != h.Hash {
				t.Fatalf("root of %d: %v, %v, was %v", h.N, root, err, h.Hash)
			}
		}
		c, err := l.Checkpoint()
		if err != nil || c.Tree != l.Head() {
			t.Fatalf("checkpoint of %v, %v", c.Tree, err)
		}
		if _, err := ledger.OpenCheckpoint(c.Note, o.Origin, o.Verifiers); err != nil {
			t.Fatal(err)
		}
		v, err := l.Verify(context.Background(), heads, nil)
		if err != nil || v.Tree != l.Head() || v.Noted != len(heads) {
			t.Fatalf("%+v, %v", v, err)
		}
		v, err = Verify(context.Background(), VerifyOptions{FS: mem, Dir: o.Dir, Origin: o.Origin, Verifiers: o.Verifiers, Noted: heads})
		if err != nil || v.Tree != l.Head() {
			t.Fatalf("%+v, %v", v, err)
		}
	}
	check(l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l = open(t, o)
	check(l)
	add(t, l, n, n+300)
	n += 300
	check(l)
}

// TestOther: a head of the ledger that the log does not bear out is found, with the first
// record that nothing vouches for; so is the signature of another key.
func TestOther(t *testing.T) {
	o := options(t, vfs.NewMem())
	l := open(t, o)
	add(t, l, 0, 300)
	good := l.Head()
	add(t, l, 300, 400)
	for _, c := range []struct {
		name  string
		noted []tlog.Tree
		first uint64
	}{
		{"another root", []tlog.Tree{good, {N: 350, Hash: good.Hash}}, 300},
		{"more than there is", []tlog.Tree{good, {N: 401, Hash: good.Hash}}, 400},
	} {
		_, err := l.Verify(context.Background(), c.noted, nil)
		var d *Damage
		if !errors.As(err, &d) || d.Record != c.first {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	_, err := Verify(context.Background(), VerifyOptions{FS: o.FS, Dir: o.Dir, Origin: testOrigin + "/reads/2", Verifiers: o.Verifiers})
	if err == nil {
		t.Error("the log of another node passes")
	}
	if _, err := Verify(context.Background(), VerifyOptions{FS: o.FS, Dir: o.Dir, Origin: o.Origin, Verifiers: note.VerifierList()}); err == nil {
		t.Error("a log that nobody signed passes")
	}
}

// TestDropped: what there is no room for is counted, and the log says so once there is.
func TestDropped(t *testing.T) {
	o := options(t, vfs.NewMem())
	full := false
	o.Full = func() bool { return full }
	one, err := draft(0).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	o.Limit = 10 * one.Bytes()
	l := open(t, o)
	add(t, l, 0, 25) // ten at most
	if st := l.Status(); st.Dropped < 14 || st.Dropped > 16 || st.Waiting != 0 || st.Held != 0 {
		t.Fatalf("%+v", st)
	}
	full = true
	add(t, l, 25, 30)
	was := l.Head()
	if l.Head().N != was.N {
		t.Fatal("written though there is no room")
	}
	full = false
	add(t, l, 30, 31)
	reads, missing := 0, uint64(0)
	for _, e := range entries(t, l) {
		switch e.Read.Kind {
		case event.ReadKind_READ_KIND_READ:
			reads++
		case event.ReadKind_READ_KIND_DROPPED:
			missing += e.Read.Records
			if e.Read.Began < begin.UnixNano() {
				t.Errorf("dropped since %d", e.Read.Began)
			}
		}
	}
	if uint64(reads)+missing != 31 || missing != l.Status().Dropped {
		t.Fatalf("%d records, and %d reads without one", reads, missing)
	}
	v, err := l.Verify(context.Background(), nil, nil)
	if err != nil || v.Dropped != missing {
		t.Fatalf("%+v, %v", v, err)
	}
}

// TestClosed: what was added before is there, what comes later is counted.
func TestClosed(t *testing.T) {
	o := options(t, vfs.NewMem())
	l := open(t, o)
	l.Add(draft(0))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l.Add(draft(1))
	if st := l.Status(); st.Dropped != 1 || st.Records != 1 {
		t.Fatalf("%+v", st)
	}
	if got := entries(t, open(t, o)); len(got) != 1 {
		t.Fatalf("%d records", len(got))
	}
}

// TestSteppedClock: times of records rise although the clock steps back.
func TestSteppedClock(t *testing.T) {
	l := open(t, options(t, vfs.NewMem()))
	add(t, l, 10, 11)
	add(t, l, 0, 2)
	last := int64(0)
	for _, e := range entries(t, l) {
		if e.Envelope.Time <= last {
			t.Fatalf("time %d behind %d", e.Envelope.Time, last)
		}
		last = e.Envelope.Time
	}
}

// TestErase: items of what is meant are gone from every file, wherever they stand, also of
// what waits in memory; no root changes, and erasing again erases nothing.
func TestErase(t *testing.T) {
	mem := vfs.NewMem()
	o := options(t, mem)
	l := open(t, o)
	for round := range 3 {
		for n := range 100 {
			d := draft(100*round + n)
			if n%10 == 3 {
				d.Key = "secret-name"
			}
			l.Add(d)
		}
		if err := l.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	waits := draft(300)
	waits.Key = "secret-name"
	l.Add(waits)
	head := l.Head()
	meant := func(e *Entry) bool { return keyOf(e) == "secret-name" }
	n, err := l.Erase(context.Background(), meant)
	if err != nil || n != 31 {
		t.Fatalf("%d erased, %v", n, err)
	}
	if n, err := l.Erase(context.Background(), meant); err != nil || n != 0 {
		t.Fatalf("%d erased again, %v", n, err)
	}
	if root, err := l.Root(uint64(head.N)); err != nil || root != head.Hash {
		t.Fatalf("the root changed: %v", err)
	}
	check := func(l *Log) {
		t.Helper()
		left := 0
		for _, e := range entries(t, l) {
			if keyOf(e) == "" {
				if e.Read.Operation != "GetObject" {
					t.Fatalf("more than items are gone: %v", e)
				}
				left++
			}
		}
		if left != 31 {
			t.Fatalf("%d records without a key", left)
		}
		if _, err := l.Verify(context.Background(), []tlog.Tree{head}, nil); err != nil {
			t.Fatal(err)
		}
	}
	check(l)
	// In the bundles it stands compressed; behind them as it is.
	if b := readFile(t, mem, "reads/tail"); strings.Contains(string(b), "secret-name") {
		t.Fatal("the tail still has the name")
	}
	add(t, l, 301, 600) // what was erased behind the bundles goes into one
	check(l)
	check(open(t, o))
}

// TestExpire: old bundles go, and only they; roots and heads hold, the log says what is
// gone, and without that it is damage.
func TestExpire(t *testing.T) {
	mem := vfs.NewMem()
	o := options(t, mem)
	l := open(t, o)
	add(t, l, 0, 300)
	first := l.Head()
	add(t, l, 300, 1100)
	if below, err := l.Expire(begin.Add(draftAge(255))); err != nil || below != 0 {
		t.Fatalf("below %d, %v: one record of the bundle is young enough", below, err)
	}
	if below, err := l.Expire(begin.Add(draftAge(600))); err != nil || below != 512 || l.Kept() != 512 {
		t.Fatalf("below %d, %v, kept %d", below, err, l.Kept())
	}
	for _, rel := range []string{ledger.EntriesPath(0, 256), ledger.PayloadPath(1, 256)} {
		if _, err := mem.Stat("reads/" + rel); err == nil {
			t.Errorf("%s is there", rel)
		}
	}
	check := func(l *Log) {
		t.Helper()
		all := entries(t, l)
		if all[0].Seq != 512 {
			t.Fatalf("begins with %d", all[0].Seq)
		}
		last := all[len(all)-1].Read
		if last.Kind != event.ReadKind_READ_KIND_EXPIRED || last.From != 0 || last.Records != 512 {
			t.Fatalf("the log says %v", last)
		}
		if root, err := l.Root(300); err != nil || root != first.Hash {
			t.Fatalf("%v, %v", root, err)
		}
		v, err := l.Verify(context.Background(), []tlog.Tree{first, l.Head()}, nil)
		if err != nil || v.Kept != 512 {
			t.Fatalf("%+v, %v", v, err)
		}
		for _, err := range l.Records(0) {
			if !errors.Is(err, ledger.ErrDropped) {
				t.Fatal(err)
			}
		}
		if err := l.CountSizes(context.Background()); err != nil {
			t.Fatal(err)
		}
		want := int64(0)
		for n := uint64(2); n < 4; n++ {
			st, err := mem.Stat("reads/" + ledger.EntriesPath(n, 256))
			if err != nil {
				t.Fatal(err)
			}
			want += st.Size()
		}
		if st := l.Status(); !st.Known || st.Sizes.Entries != want {
			t.Errorf("%+v, entries take %d", st, want)
		}
	}
	check(l)
	l = open(t, o)
	check(l)
	// The last bundle stays whatever its age.
	if below, err := l.Expire(begin.Add(draftAge(5000))); err != nil || below != 768 {
		t.Fatalf("below %d, %v", below, err)
	}
	if n, err := l.Erase(context.Background(), func(e *Entry) bool { return true }); err != nil || n == 0 {
		t.Fatalf("%d, %v", n, err)
	}
	if _, err := l.Verify(context.Background(), nil, nil); err != nil {
		t.Fatal(err)
	}
	// A log that keeps less than it says is damaged.
	forged := vfs.NewMem()
	o.FS = forged
	f := open(t, o)
	add(t, f, 0, 600)
	b := readFile(t, mem, "reads/kept")
	writeFile(t, forged, "reads/kept", b[:0])
	writeFile(t, forged, "reads/kept", keptFile(t, 256))
	_, err := Verify(context.Background(), VerifyOptions{FS: forged, Dir: o.Dir, Origin: o.Origin, Verifiers: o.Verifiers})
	var d *Damage
	if !errors.As(err, &d) || d.Record != 0 || !strings.Contains(err.Error(), "no record says") {
		t.Fatalf("%v", err)
	}
}
