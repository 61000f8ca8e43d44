package wal

import (
	"bytes"
	"errors"
	"reflect"
	"runtime"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"
	"pgregory.net/rapid"

	"ironman/wal/segment"
)

// logRig is a log store over memory, and what it told.
type logRig struct {
	t       testing.TB
	fs      *vfs.MemFS
	log     *segment.Log
	store   *logStore
	applied uint64
	fatal   error
	restart string
}

func newLogRig(t testing.TB) *logRig {
	r := &logRig{t: t, fs: vfs.NewCrashableMem()}
	r.open()
	return r
}

func (r *logRig) open() {
	r.t.Helper()
	stop := func(err error) { r.fatal = err; runtime.Goexit() }
	l, err := segment.Open(segment.Options{FS: r.fs, Dir: "log", SegmentBytes: 16 << 10, Fatal: stop})
	if err != nil {
		r.t.Fatal(err)
	}
	r.log, r.store = l, newLogStore(l, func() uint64 { return r.applied }, stop)
	r.store.restart = func(reason string) { r.restart = reason; runtime.Goexit() }
}

// crash reopens what a power cut left.
func (r *logRig) crash() {
	r.t.Helper()
	r.fs = r.fs.CrashClone(vfs.CrashCloneCfg{})
	if err := r.log.Close(); err != nil {
		r.t.Fatal(err)
	}
	r.open()
}

// try runs f, which may end the process, and tells whether it came back.
func (r *logRig) try(f func() error) (back bool) {
	r.t.Helper()
	done := make(chan error, 1)
	go func() {
		defer close(done)
		done <- f()
	}()
	err, back := <-done
	if err != nil {
		r.t.Fatalf("raft was handed the error %v", err)
	}
	return back
}

func (r *logRig) put(from, to, term uint64) {
	r.t.Helper()
	var logs []*raft.Log
	for i := from; i <= to; i++ {
		logs = append(logs, &raft.Log{Index: i, Term: term, Data: bytes.Repeat([]byte{byte(i)}, 100)})
	}
	if !r.try(func() error { return r.store.StoreLogs(logs) }) {
		r.t.Fatalf("storing %d to %d: %v", from, to, r.fatal)
	}
}

func (r *logRig) expect(first, last uint64) {
	r.t.Helper()
	f, err1 := r.store.FirstIndex()
	l, err2 := r.store.LastIndex()
	if f != first || l != last || err1 != nil || err2 != nil {
		r.t.Fatalf("the log holds %d to %d, want %d to %d", f, l, first, last)
	}
}

// No field of raft.Log is forgotten: a field that a later raft adds fails here.
func TestLogRoundTrip(t *testing.T) {
	in := raft.Log{}
	v := reflect.ValueOf(&in).Elem()
	for i := range v.NumField() {
		switch f := v.Field(i); f.Interface().(type) {
		case uint64:
			f.SetUint(uint64(i) + 1<<40)
		case raft.LogType:
			f.SetUint(uint64(raft.LogConfiguration))
		case []byte:
			f.SetBytes([]byte{1, 2, byte(i)})
		case time.Time:
			f.Set(reflect.ValueOf(time.Unix(123, 456).UTC()))
		default:
			t.Fatalf("raft.Log.%s is of the unknown type %s", v.Type().Field(i).Name, f.Type())
		}
	}
	in.Index = 1
	r := newLogRig(t)
	if !r.try(func() error { return r.store.StoreLog(&in) }) {
		t.Fatal(r.fatal)
	}
	for range 2 {
		out := raft.Log{}
		if err := r.store.GetLog(1, &out); err != nil || !reflect.DeepEqual(in, out) {
			t.Fatalf("%+v came back as %+v (%v)", in, out, err)
		}
		r.crash()
	}
}

func TestGetLogNotFound(t *testing.T) {
	r := newLogRig(t)
	var l raft.Log
	for _, i := range []uint64{0, 1, 7} {
		if err := r.store.GetLog(i, &l); err != raft.ErrLogNotFound { //nolint:errorlint // raft compares so
			t.Fatalf("entry %d: %v", i, err)
		}
	}
	r.put(1, 5, 1)
	r.store.SetSnapshot(4, 1)
	if err := r.store.DeleteRange(1, 3); err != nil {
		t.Fatal(err)
	}
	for _, i := range []uint64{0, 1, 2, 6} {
		if err := r.store.GetLog(i, &l); err != raft.ErrLogNotFound { //nolint:errorlint
			t.Fatalf("entry %d: %v", i, err)
		}
	}
	if !r.store.IsMonotonic() {
		t.Fatal("not monotonic")
	}
}

// What stands right below the log is answered for: really, while the file stays,
// and by the snapshot's term after a reset. Raft needs the term to go on there.
func TestGetLogAtFloor(t *testing.T) {
	r := newLogRig(t)
	r.put(1, 5, 3)
	r.store.SetSnapshot(4, 3)
	if err := r.store.DeleteRange(1, 4); err != nil {
		t.Fatal(err)
	}
	var l raft.Log
	if err := r.store.GetLog(4, &l); err != nil || l.Index != 4 || l.Term != 3 || l.Data[0] != 4 {
		t.Fatalf("%+v, %v", l, err)
	}
	r.store.SetSnapshot(20, 7)
	if !r.try(func() error { return r.store.DeleteRange(5, 5) }) {
		t.Fatal(r.fatal)
	}
	if err := r.store.GetLog(20, &l); err != raft.ErrLogNotFound { //nolint:errorlint
		t.Fatalf("an empty log answers for its floor: %v", err)
	}
	r.put(21, 23, 7)
	if err := r.store.GetLog(20, &l); err != nil || l.Index != 20 || l.Term != 7 || len(l.Data) != 0 {
		t.Fatalf("%+v, %v", l, err)
	}
	if r.try(func() error { l.Index = 24; return r.store.StoreLog(&l) }) {
		t.Fatal("the answer for a floor was stored as an entry")
	}

	// Entry 1 is read by a leader without another before it: never made up.
	r = newLogRig(t)
	r.store.SetSnapshot(1, 2)
	r.put(2, 3, 2)
	if err := r.store.GetLog(1, &l); err != raft.ErrLogNotFound { //nolint:errorlint
		t.Fatalf("%+v, %v", l, err)
	}
}

func TestCovers(t *testing.T) {
	r := newLogRig(t)
	r.store.SetSnapshot(10, 2)
	r.put(11, 15, 3)
	for _, c := range []struct {
		index, term uint64
		want        bool
	}{{9, 2, false}, {10, 2, true}, {10, 1, false}, {12, 3, true}, {12, 4, false}, {15, 3, false}, {16, 3, false}} {
		if got := r.store.covers(c.index, c.term); got != c.want {
			t.Errorf("covers(%d, %d) = %v", c.index, c.term, got)
		}
	}
}

// An empty log takes only the entry behind the newest snapshot, or entry 1.
func TestFirstEntry(t *testing.T) {
	for _, c := range []struct {
		name            string
		snapshot, first uint64
		ok              bool
	}{
		{"new log", 0, 1, true},
		{"new log, gap", 0, 2, false},
		{"behind the snapshot", 500, 501, true},
		{"gap behind the snapshot", 500, 502, false},
		{"within the snapshot", 500, 500, false},
		{"from 1 in spite of a snapshot", 500, 1, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newLogRig(t)
			r.store.SetSnapshot(c.snapshot, 1)
			back := r.try(func() error { return r.store.StoreLog(&raft.Log{Index: c.first, Term: 1}) })
			if back != c.ok {
				t.Fatalf("taken: %v, %v", back, r.fatal)
			}
			if c.ok {
				r.expect(c.first, c.first)
				r.crash()
				r.expect(c.first, c.first)
			} else {
				r.expect(0, 0)
			}
		})
	}
}

func TestStoreLogsRefuses(t *testing.T) {
	for name, l := range map[string]*raft.Log{
		"gap":          {Index: 7, Term: 1},
		"repetition":   {Index: 5, Term: 1},
		"unknown type": {Index: 6, Term: 1, Type: raft.LogConfiguration + 1},
		"too large":    {Index: 6, Term: 1, Data: make([]byte, segment.MaxEntryBytes+1)},
	} {
		t.Run(name, func(t *testing.T) {
			r := newLogRig(t)
			r.put(1, 5, 1)
			// An error may come back only from a process that is ending.
			back := make(chan error, 1)
			go func() {
				defer close(back)
				back <- r.store.StoreLog(l)
			}()
			if err, ok := <-back; ok {
				t.Fatalf("came back with %v", err)
			}
			if r.fatal == nil {
				t.Fatal("nobody was told")
			}
			r.expect(1, 5)
		})
	}
}

// deletion is a case of what raft may ask, and must not.
type deletion struct {
	name                    string
	floor, last             uint64 // the log holds floor+1 to last, of term 2
	snapshot, term, applied uint64
	min, max                uint64
	again                   bool // the snapshot is published once more, then
	reads                   bool // and raft reads the first entry
	wantFirst, wantLast     uint64
	stop, restart           bool
}

func deletions() []deletion {
	return []deletion{
		// Compaction.
		{name: "prefix", last: 20, snapshot: 15, term: 2, applied: 18, min: 1, max: 10, wantFirst: 11, wantLast: 20},
		{name: "prefix up to the snapshot", last: 20, snapshot: 15, term: 2, applied: 18, min: 1, max: 15, wantFirst: 16, wantLast: 20},
		{name: "prefix above the snapshot", last: 20, snapshot: 15, term: 2, applied: 18, min: 1, max: 16, stop: true},
		{name: "prefix without a snapshot", last: 20, applied: 18, min: 1, max: 3, stop: true},
		{name: "prefix from below the log", floor: 5, last: 20, snapshot: 15, term: 2, applied: 18, min: 1, max: 10, wantFirst: 11, wantLast: 20},
		{name: "all, at the snapshot", last: 20, snapshot: 20, term: 2, applied: 20, min: 1, max: 20},

		// Conflicts.
		{name: "suffix", last: 20, snapshot: 10, term: 2, applied: 15, min: 16, max: 20, wantFirst: 1, wantLast: 15},
		{name: "suffix beyond the end", last: 20, applied: 15, min: 16, max: 99, wantFirst: 1, wantLast: 15},
		{name: "suffix of applied entries", last: 20, applied: 16, min: 16, max: 20, stop: true},
		{name: "suffix within the snapshot", last: 20, snapshot: 17, term: 2, applied: 0, min: 16, max: 20, stop: true},
		{name: "everything, nothing applied", last: 20, min: 1, max: 20},
		{name: "everything, applied, no snapshot", last: 20, applied: 1, min: 1, max: 20, stop: true},
		{name: "everything behind the snapshot", floor: 10, last: 15, snapshot: 10, term: 1, applied: 10, min: 11, max: 15},
		{name: "everything behind the snapshot, applied", floor: 10, last: 15, snapshot: 10, term: 1, applied: 11, min: 11, max: 15, stop: true},

		// Snapshots that were installed.
		{name: "installed above the log", last: 20, snapshot: 50, term: 4, applied: 50, min: 1, max: 20},
		{name: "installed at the last entry, other term", last: 20, snapshot: 20, term: 4, applied: 20, min: 1, max: 20, restart: true},
		{name: "installed within a diverged log", last: 20, snapshot: 18, term: 4, applied: 18, min: 1, max: 20, restart: true},
		{name: "installed within a diverged log that was applied", last: 20, snapshot: 18, term: 4, applied: 19, min: 1, max: 20, stop: true},
		{name: "late: the log goes on from it", last: 20, snapshot: 5, term: 2, applied: 5, min: 1, max: 20, stop: true},
		{name: "late: acknowledged, not applied", last: 20, snapshot: 19, term: 2, applied: 19, min: 1, max: 20, stop: true},
		{name: "repeated: the log begins behind it", floor: 10, last: 15, snapshot: 10, term: 1, applied: 10, min: 11, max: 15, again: true, stop: true},
		{name: "repeated, but then a conflict", floor: 10, last: 15, snapshot: 10, term: 1, applied: 10, min: 11, max: 15, again: true, reads: true},

		// Nothing to do, and nonsense.
		{name: "below the log", floor: 10, last: 15, snapshot: 10, term: 1, applied: 12, min: 1, max: 10, wantFirst: 11, wantLast: 15},
		{name: "above the log", last: 15, applied: 12, min: 16, max: 20, wantFirst: 1, wantLast: 15},
		{name: "backwards", last: 15, applied: 1, min: 12, max: 11, wantFirst: 1, wantLast: 15},
		{name: "middle", last: 15, snapshot: 10, term: 2, applied: 12, min: 2, max: 14, stop: true},
	}
}

func TestDeleteRange(t *testing.T) {
	for _, c := range deletions() {
		t.Run(c.name, func(t *testing.T) {
			r := newLogRig(t)
			if c.floor > 0 {
				r.store.SetSnapshot(c.floor, 1)
			}
			r.put(c.floor+1, c.last, 2)
			if c.snapshot > c.floor || c.again {
				r.store.SetSnapshot(c.snapshot, c.term)
			}
			if c.reads {
				var l raft.Log
				if err := r.store.GetLog(c.floor+1, &l); err != nil {
					t.Fatal(err)
				}
			}
			r.applied = c.applied
			back := r.try(func() error { return r.store.DeleteRange(c.min, c.max) })
			if back == (c.stop || c.restart) || (r.fatal != nil) != c.stop || (r.restart != "") != c.restart {
				t.Fatalf("came back: %v, fatal: %v, restart: %q", back, r.fatal, r.restart)
			}
			if c.stop {
				t.Log(r.fatal)
				c.wantFirst, c.wantLast = c.floor+1, c.last // nothing was deleted
			}
			if !c.stop {
				r.expect(c.wantFirst, c.wantLast)
			}
			r.crash()
			r.expect(c.wantFirst, c.wantLast)
			if !c.stop && c.wantLast == 0 { // and it goes on behind the snapshot
				r.store.SetSnapshot(c.snapshot, c.term)
				next := max(c.snapshot, c.floor) + 1
				r.put(next, next+2, 9)
				r.expect(next, next+2)
			}
		})
	}
}

// A snapshot that was installed into an empty log: raft deletes nothing then, and
// stores the entry behind it.
func TestInstallIntoEmptyLog(t *testing.T) {
	r := newLogRig(t)
	r.store.SetSnapshot(500, 3)
	r.put(501, 510, 3)
	r.expect(501, 510)
	r.applied = 505
	r.store.SetSnapshot(505, 3)
	if !r.try(func() error { return r.store.DeleteRange(501, 505) }) {
		t.Fatal(r.fatal)
	}
	r.expect(506, 510)
}

func TestClosedLogIsNotFatal(t *testing.T) {
	r := newLogRig(t)
	if err := r.log.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.store.StoreLog(&raft.Log{Index: 1}); !errors.Is(err, segment.ErrClosed) || r.fatal != nil {
		t.Fatal(err, r.fatal)
	}
}

// Random legal use against a list, with crashes.
func TestLogStoreModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := newLogRig(t)
		terms := map[uint64]uint64{} // index -> term
		var floor, last, snapshot, snapshotTerm, term uint64
		for range rapid.IntRange(1, 30).Draw(rt, "steps") {
			switch rapid.SampledFrom([]string{"append", "append", "apply", "snapshot", "compact", "conflict", "install", "crash"}).Draw(rt, "step") {
			case "append":
				n := rapid.Uint64Range(1, 20).Draw(rt, "n")
				r.put(last+1, last+n, term)
				for i := last + 1; i <= last+n; i++ {
					terms[i] = term
				}
				last += n
			case "apply":
				if last > r.applied {
					r.applied = rapid.Uint64Range(r.applied, last).Draw(rt, "applied")
				}
			case "snapshot":
				if r.applied > snapshot {
					snapshot, snapshotTerm = r.applied, terms[r.applied]
					r.store.SetSnapshot(snapshot, snapshotTerm)
				}
			case "compact":
				if to := min(snapshot, last); to > floor {
					to = rapid.Uint64Range(floor+1, to).Draw(rt, "to")
					if !r.try(func() error { return r.store.DeleteRange(floor+1, to) }) {
						rt.Fatal(r.fatal)
					}
					floor = to
				}
			case "conflict":
				term++
				if last > r.applied {
					from := rapid.Uint64Range(r.applied+1, last).Draw(rt, "from")
					if !r.try(func() error { return r.store.DeleteRange(from, last) }) {
						rt.Fatal(r.fatal)
					}
					last = from - 1
				}
			case "install":
				term++
				snapshot = last + rapid.Uint64Range(1, 9).Draw(rt, "up")
				snapshotTerm = term
				r.store.SetSnapshot(snapshot, term)
				r.applied = snapshot
				if last > floor && !r.try(func() error { return r.store.DeleteRange(floor+1, last) }) {
					rt.Fatal(r.fatal)
				}
				floor, last = snapshot, snapshot
			case "crash":
				r.crash()
				r.store.SetSnapshot(snapshot, snapshotTerm)
			}
			if floor == last {
				r.expect(0, 0)
				continue
			}
			r.expect(floor+1, last)
			var l raft.Log
			i := rapid.Uint64Range(floor+1, last).Draw(rt, "index")
			if err := r.store.GetLog(i, &l); err != nil || l.Index != i || l.Term != terms[i] || l.Data[0] != byte(i) {
				rt.Fatalf("entry %d: %+v, %v", i, l, err)
			}
		}
		if err := r.log.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}
