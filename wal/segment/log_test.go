package segment

import (
	"errors"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func expect(t *testing.T, l *Log, want contents) {
	t.Helper()
	got, err := read(l)
	must(t, err)
	if !got.equal(want) {
		t.Fatalf("the log holds %v, want %v", got, want)
	}
}

func TestAppendReadReopen(t *testing.T) {
	fs := vfs.NewCrashableMem()
	o := options(t, fs)
	l := open(t, o)
	var want contents
	expect(t, l, want)
	if l.First() != 0 || l.Last() != 0 || l.Floor() != 0 {
		t.Fatal("a new log is not empty")
	}
	for i := range 12 { // through several segments
		e := run(want.tail()+1, i%4+1, 1, i*200)
		must(t, l.Append(e))
		want = want.append(e)
		if got, err := l.Entry(want.tail()); err != nil || !same(got, e[len(e)-1]) {
			t.Fatalf("newest entry: %v, %v", got.Index, err)
		}
		expect(t, l, want)
	}
	must(t, l.Append(nil))
	must(t, l.Close())
	must(t, l.Close())
	if err := l.Append(run(want.tail()+1, 1, 1, 1)); !errors.Is(err, ErrClosed) {
		t.Fatalf("append after close: %v", err)
	}
	if _, err := l.Entry(1); !errors.Is(err, ErrClosed) {
		t.Fatalf("read after close: %v", err)
	}
	l = open(t, o)
	expect(t, l, want)
	if r := l.Recovery(); r != (Recovery{}) {
		t.Fatalf("after a clean close: %+v", r)
	}
	must(t, l.Close())
}

// The zero time, nil slices and extreme values come back as they went in.
func TestEntryRoundTrip(t *testing.T) {
	l := open(t, options(t, vfs.NewMem()))
	in := []Entry{
		{Index: 1},
		{Index: 2, Term: 1<<64 - 1, Type: 255, Data: []byte{}, Extensions: []byte("x")},
		{Index: 3, Data: []byte("d"), AppendedAt: time.Unix(1<<40, 999999999)},
		{Index: 4, AppendedAt: time.Unix(-1<<40, 1)},
	}
	must(t, l.Append(in))
	c, err := read(l)
	must(t, err)
	for i, e := range c.entries {
		if !same(e, in[i]) {
			t.Errorf("%+v came back as %+v", in[i], e)
		}
	}
	if e := c.entries[0]; e.AppendedAt != (time.Time{}) || e.Data != nil || e.Extensions != nil {
		t.Errorf("an empty entry came back as %+v", e)
	}
	must(t, l.Close())
}

func TestTruncate(t *testing.T) {
	fs := vfs.NewCrashableMem()
	o := options(t, fs)
	l := open(t, o)
	want := contents{}.append(run(1, 30, 1, 900))
	must(t, l.Append(want.entries))

	must(t, l.TruncateSuffix(31)) // nothing there
	must(t, l.TruncateSuffix(21))
	want = want.suffix(21)
	expect(t, l, want)
	e := run(21, 5, 2, 900)
	must(t, l.Append(e))
	want = want.append(e)

	must(t, l.TruncatePrefix(11))
	want = want.prefix(11)
	expect(t, l, want)
	must(t, l.TruncatePrefix(5)) // below: nothing to do
	expect(t, l, want)
	for _, err := range []error{l.TruncateSuffix(10), l.TruncatePrefix(27), l.Reset(9)} {
		if !errors.Is(err, ErrRange) {
			t.Fatalf("a range outside the log: %v", err)
		}
	}
	for i := uint64(1); i <= 25; i++ {
		if _, err := l.ArchiveEntry(i); err != nil {
			t.Fatalf("entry %d for the archive: %v", i, err)
		}
	}
	must(t, l.TruncatePrefix(26)) // all of it
	want = want.prefix(26)
	expect(t, l, want)
	must(t, l.Append(run(26, 2, 3, 10)))
	want = want.append(run(26, 2, 3, 10))
	must(t, l.TruncateSuffix(26))
	want = want.suffix(26)
	expect(t, l, want)
	must(t, l.Reset(100))
	want = contents{floor: 100}
	expect(t, l, want)
	must(t, l.Reset(100))
	must(t, l.Append(run(101, 3, 4, 10)))
	want = want.append(run(101, 3, 4, 10))
	for reopened := range 2 {
		expect(t, l, want)
		if _, err := l.ArchiveEntry(25); err != nil {
			t.Fatal(err)
		}
		if _, err := l.ArchiveEntry(26); !errors.Is(err, ErrNotFound) {
			t.Fatalf("entry 26 was truncated at the end, but the archive reads it: %v", err)
		}
		must(t, l.Close())
		if reopened == 0 {
			l = open(t, o)
		}
	}
}

// Files go when their entries are truncated and archived, not before.
func TestArchivedFilesGo(t *testing.T) {
	fs := vfs.NewCrashableMem()
	o := options(t, fs)
	l := open(t, o)
	for i := uint64(1); i <= 40; i += 4 {
		must(t, l.Append(run(i, 4, 1, 900)))
		l.quiesce()
	}
	files := func() int {
		l.quiesce()
		return len(capture(t, fs).segments())
	}
	n := files()
	live, retained := l.Bytes()
	if live != int64(n-1)*minSegmentBytes || retained != 0 { // the spare does not count
		t.Fatalf("%d files, %d live bytes, %d retained", n, live, retained)
	}
	must(t, l.SetArchived(20))
	if files() != n {
		t.Fatal("archiving alone removed files")
	}
	must(t, l.TruncatePrefix(39))
	if got := files(); got >= n || got == 2 {
		t.Fatalf("%d files of %d after half was archived", got, n)
	}
	if _, err := l.ArchiveEntry(21); err != nil {
		t.Fatalf("not archived, but gone: %v", err)
	}
	if _, retained = l.Bytes(); retained == 0 {
		t.Fatal("no bytes are retained")
	}
	must(t, l.Close())
	l = open(t, o)
	before := files()
	must(t, l.SetArchived(1000))
	if got := files(); got != 2 || before == 2 {
		t.Fatalf("%d files, then %d", before, got)
	}
	if _, err := l.ArchiveEntry(21); !errors.Is(err, ErrNotFound) {
		t.Fatalf("released: %v", err)
	}
	expect(t, l, contents{floor: 38, entries: run(39, 2, 1, 900)})
	must(t, l.Close())
	l = open(t, o)
	l.quiesce()
	if m := l.draft(); len(m.retired) != 0 {
		t.Fatalf("retired for ever: %v", m.retired)
	}
	must(t, l.Close())
}

// Sealed files go as a whole, whatever stood in them, and Holds tells when they have.
func TestSeal(t *testing.T) {
	fs := vfs.NewCrashableMem()
	o := options(t, fs)
	l := open(t, o)
	if index, err := l.Seal(); err != nil || index != 0 {
		t.Fatalf("an empty log: %d, %v", index, err)
	}
	must(t, l.Append(run(1, 5, 1, 100)))
	must(t, l.TruncateSuffix(4)) // what was cut off stays in its file
	must(t, l.Append(run(4, 2, 2, 100)))
	for range 2 { // sealing twice is sealing once
		if index, err := l.Seal(); err != nil || index != 5 || !l.Sealed(5) || l.Sealed(6) {
			t.Fatalf("sealed up to %d, %v", index, err)
		}
	}
	must(t, l.Append(run(6, 2, 2, 100)))
	expect(t, l, contents{entries: append(append(run(1, 3, 1, 100), run(4, 2, 2, 100)...), run(6, 2, 2, 100)...)})
	must(t, l.SetArchived(5))
	if !l.Holds(5) || !l.Holds(1) || l.Archived() != 5 {
		t.Fatal("what was not truncated is gone")
	}
	must(t, l.TruncatePrefix(6))
	l.quiesce()
	if l.Holds(5) || !l.Holds(6) {
		t.Fatalf("below 6 it holds %v, at 6 %v", l.Holds(5), l.Holds(6))
	}
	must(t, l.TruncateSuffix(7)) // the end is replaced: the new file begins below what was sealed
	if index, err := l.Seal(); err != nil || index != 6 {
		t.Fatalf("sealed up to %d, %v", index, err)
	}
	must(t, l.Close())
	l = open(t, o)
	expect(t, l, contents{floor: 5, entries: run(6, 1, 2, 100)})
	must(t, l.Close())
}

// The list of retired files stays short, however often the archive reports.
func TestRetiredIsForgotten(t *testing.T) {
	l := open(t, options(t, vfs.NewMem()))
	for i := uint64(1); i <= 60; i++ {
		must(t, l.Append(run(i, 1, 1, 9000)))
		must(t, l.TruncatePrefix(i))
		l.quiesce()
		for range 3 {
			must(t, l.SetArchived(i))
			l.quiesce()
		}
		if n := len(l.manifest.retired); n > 3 {
			t.Fatalf("%d files are retired after %d entries", n, i)
		}
	}
	must(t, l.Close())
}

func TestLargeEntries(t *testing.T) {
	fs := vfs.NewMem()
	o := options(t, fs)
	l := open(t, o)
	want := contents{}.append(run(1, 1, 1, 100)).append(run(2, 1, 1, 3*minSegmentBytes)).append(run(3, 2, 1, 100))
	must(t, l.Append(want.entries[:1]))
	must(t, l.Append(want.entries[1:2]))
	must(t, l.Append(want.entries[2:]))
	big := Entry{Index: 5, Data: make([]byte, MaxEntryBytes)}
	big2 := Entry{Index: 6, Data: make([]byte, MaxEntryBytes-3), Extensions: []byte("abc")}
	if err := l.Append([]Entry{{Index: 5, Data: make([]byte, MaxEntryBytes), Extensions: []byte("x")}}); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("too large: %v", err)
	}
	must(t, l.Append([]Entry{big, big2})) // two batches
	want = want.append([]Entry{big, big2})
	for range 2 {
		l.quiesce()
		expect(t, l, want)
		must(t, l.Close())
		l = open(t, o)
	}
	must(t, l.Close())
}

// A gap or a repetition stops the process before anything is written.
func TestGapIsFatal(t *testing.T) {
	for _, c := range []struct {
		name    string
		entries []Entry
	}{
		{"gap", run(12, 1, 1, 1)},
		{"repetition", run(10, 1, 1, 1)},
		{"gap within", []Entry{entry(11, 1, 1), entry(13, 1, 1)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			fs := vfs.NewCrashableMem()
			o := options(t, fs)
			var f fatals
			o.Fatal = f.fatal
			l := open(t, o)
			must(t, l.Append(run(1, 10, 1, 1)))
			before := capture(t, fs)
			if aside(func() { _ = l.Append(c.entries) }) || len(f.seen()) != 1 {
				t.Fatal("Append came back")
			}
			if err := l.Append(run(11, 1, 1, 1)); !errors.Is(err, ErrFailed) {
				t.Fatalf("after Fatal: %v", err)
			}
			if _, err := l.Entry(1); !errors.Is(err, ErrFailed) {
				t.Fatalf("after Fatal: %v", err)
			}
			if !capture(t, fs).equal(before) {
				t.Fatal("something was written")
			}
			must(t, l.Close())
		})
	}
	t.Run("empty log", func(t *testing.T) {
		o := options(t, vfs.NewMem())
		var f fatals
		o.Fatal = f.fatal
		l := open(t, o)
		must(t, l.Reset(7))
		if aside(func() { _ = l.Append(run(1, 1, 1, 1)) }) {
			t.Fatal("an empty log with floor 7 took entry 1")
		}
	})
}

// A full disk in the background is not fatal; the appender tries again, and only
// then it is.
func TestNoSpace(t *testing.T) {
	mem := vfs.NewCrashableMem()
	d := &disk{FS: mem}
	full := false
	var mu sync.Mutex
	d.before = func(op string) error {
		mu.Lock()
		defer mu.Unlock()
		if full && len(op) > 6 && op[:6] == "create" {
			return syscall.ENOSPC
		}
		return nil
	}
	setFull := func(v bool) { mu.Lock(); full = v; mu.Unlock() }
	o := options(t, d)
	var f fatals
	o.Fatal = f.fatal
	l := open(t, o)
	setFull(true)
	want := contents{}
	rotate := func() bool {
		return aside(func() {
			n := l.open().id
			for l.open().id == n {
				e := run(want.tail()+1, 2, 1, 1500)
				must(t, l.Append(e))
				want = want.append(e)
			}
			l.quiesce()
		})
	}
	if !rotate() || len(f.seen()) > 0 { // takes the spare; the next cannot be made
		t.Fatal("a spare that cannot be made stopped the log")
	}
	setFull(false)
	if !rotate() || len(f.seen()) > 0 {
		t.Fatal("no recovery when space returned")
	}
	setFull(true)
	rotate()
	if rotate() || len(f.seen()) == 0 {
		t.Fatal("no space for a segment that is needed, and nobody was told")
	}
	l = open(t, options(t, mem.CrashClone(vfs.CrashCloneCfg{})))
	expect(t, l, want)
	must(t, l.Close())
}

// A sync that hangs is fatal, and does not count when it comes back.
func TestStall(t *testing.T) {
	mem := vfs.NewCrashableMem()
	d := &disk{FS: mem}
	o := options(t, d)
	told, release := make(chan error, 2), make(chan struct{})
	var f fatals
	o.Fatal = func(err error) { told <- err; f.fatal(err) }
	l := open(t, o)
	l.opts.StallLimit = time.Millisecond // from here on: nothing hangs while it opens
	d.before = func(op string) error {
		if op == "syncdata log/0000000000000001.wal" {
			<-release
		}
		return nil
	}
	returned := make(chan bool)
	go func() { returned <- aside(func() { _ = l.Append(run(1, 1, 1, 1)) }) }()
	<-told
	close(release)
	if <-returned {
		t.Fatal("an append came back after its stall was fatal")
	}
	if l.Last() != 0 {
		t.Fatal("the entry counts")
	}
}

func TestConcurrentReaders(t *testing.T) {
	l := open(t, options(t, vfs.NewMem()))
	const n = 600
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 3 {
		wg.Go(func() {
			for i := uint64(0); ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				first, last := l.First(), l.Last()
				if last == 0 {
					continue
				}
				at := first + i%(last-first+1)
				e, err := l.Entry(at)
				if err == nil && !same(e, entry(at, 1, int(at%7)*300)) {
					t.Errorf("entry %d is another", at)
				}
				if err != nil && (!errors.Is(err, ErrNotFound) || at >= l.First()) {
					t.Errorf("entry %d: %v", at, err)
				}
				l.Bytes()
			}
		})
	}
	wg.Go(func() {
		for i := uint64(1); i < n; i++ {
			if l.Last() > i+40 && i%50 == 0 {
				must(t, l.TruncatePrefix(i))
				must(t, l.SetArchived(i))
			}
		}
	})
	for i := uint64(1); i <= n; i++ {
		must(t, l.Append([]Entry{entry(i, 1, int(i%7)*300)}))
		if i%100 == 0 {
			must(t, l.TruncatePrefix(i-50))
			must(t, l.SetArchived(i-60))
		}
	}
	close(stop)
	wg.Wait()
	must(t, l.Close())
}

func TestOptions(t *testing.T) {
	fs := vfs.NewMem()
	for i, o := range []Options{
		{}, {FS: fs, Dir: dir}, {Dir: dir, Fatal: func(error) {}}, {FS: fs, Fatal: func(error) {}},
		{FS: fs, Dir: dir, Fatal: func(error) {}, SegmentBytes: 1000},
		{FS: fs, Dir: dir, Fatal: func(error) {}, SegmentBytes: minSegmentBytes + 1},
		{FS: fs, Dir: dir, Fatal: func(error) {}, SegmentBytes: 1 << 40},
	} {
		if _, err := Open(o); err == nil {
			t.Errorf("options %d were taken", i)
		}
	}
	if names, _ := fs.List(""); len(names) != 0 {
		t.Errorf("bad options left %v", names)
	}
}
