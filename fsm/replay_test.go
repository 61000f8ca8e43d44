package fsm

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"ironman/wal/event"
)

// tunings are ways to run Pebble between which no state may differ.
var tunings = map[string]func(*pebble.Options){
	"as released": nil,
	"small":       small,
	"with a log of its own": func(o *pebble.Options) {
		o.DisableWAL = false
	},
	"tiny blocks, no filters": func(o *pebble.Options) {
		o.MemTableSize = 256 << 10
		o.FormatMajorVersion = pebble.FormatMinSupported
		for i := range o.Levels {
			o.Levels[i].BlockSize, o.Levels[i].FilterPolicy = 64, pebble.NoFilterPolicy
		}
	},
}

// final is what two replays of a log must agree on, to the byte.
type final struct {
	applied Applied
	replay  [32]byte
	rows    map[string]string
}

func finalOf(t *testing.T, m *Machine) final {
	t.Helper()
	d, err := m.ReplayDigest()
	if err != nil {
		t.Fatal(err)
	}
	rows := allRows(t, m)
	delete(rows, string(key(tableMeta))) // compared decoded
	return final{m.Applied(), d, rows}
}

func (f final) compare(t *testing.T, what string, m *Machine) {
	t.Helper()
	g := finalOf(t, m)
	if g.applied != f.applied || g.replay != f.replay {
		t.Errorf("%s: at %+v with %x, not %+v with %x", what, g.applied, g.replay, f.applied, f.replay)
	}
	if d := diffRows(g.rows, f.rows); d != "" {
		t.Errorf("%s: rows differ:\n%s", what, d)
	}
	if g.applied.Digest != recomputed(t, m) {
		t.Errorf("%s: the digest is not that of the rows", what)
	}
}

// recordedLog is a log with what its entries came to, and the state it makes.
func recordedLog(t *testing.T, seed uint64, n int) (*world, final) {
	t.Helper()
	w := newWorld(t, seeded(seed), 150, 3600e9)
	w.grow(n)
	m := memory(t, Options{Window: 150})
	for i, got := range m.Apply(w.log) {
		if !sameResult(got, w.want[i]) {
			t.Fatalf("entry %d: %v, want %v", i, got, w.want[i])
		}
	}
	f := finalOf(t, m)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	return w, f
}

// feed applies the log from an index on, in batches drawn from rng, and holds
// what is new to what is known. It stops after about n entries.
func (w *world) feed(t *testing.T, m *Machine, from, n int, rng *rand.Rand) {
	t.Helper()
	for at, end := from, min(from+n, len(w.log)); at < end; {
		size := min(1+rng.IntN(40), end-at)
		applied := m.Applied().Index
		for i, got := range m.Apply(w.log[at : at+size]) {
			want := w.want[at+i]
			if w.log[at+i].Index <= applied {
				want = Result{} // applied before
			}
			if !sameResult(got, want) {
				t.Fatalf("entry %d: %v, want %v", at+i, got, want)
			}
		}
		at += size
	}
}

// TestReplay applies one log to machines that run Pebble in different ways, in
// other batches and with other flushes: same outcomes, rows, digest and root.
func TestReplay(t *testing.T) {
	w, want := recordedLog(t, 7, sample(2000, 500))
	for name, tune := range tunings {
		rng := rand.New(rand.NewPCG(7, uint64(len(name))))
		m := memory(t, Options{Window: 150, Tune: tune, FlushEvery: 1 + rng.IntN(200)})
		for at := 0; at < len(w.log); at += 100 {
			w.feed(t, m, at, 100, rng)
			if rng.IntN(4) == 0 {
				if err := m.Flush(); err != nil {
					t.Fatal(err)
				}
			}
		}
		want.compare(t, name, m)
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		whole := memory(t, Options{Window: 150, Tune: tune})
		whole.Apply(w.log) // a batch that is larger than a memtable
		want.compare(t, name+", in one batch", whole)
		if err := errors.Join(whole.Flush(), whole.Close()); err != nil {
			t.Error(err)
		}
	}
}

// TestReopen closes or crashes machines at random points and feeds the log again
// from before where they stood.
func TestReopen(t *testing.T) {
	w, want := recordedLog(t, 8, sample(1200, 400))
	for name, tune := range tunings {
		rng := rand.New(rand.NewPCG(8, uint64(len(name))))
		o := Options{Window: 150, Tune: tune, FlushEvery: 40, FS: vfs.NewCrashableMem()}
		m := memory(t, o)
		lost := 0
		for m.Applied().Index < uint64(len(w.log)) {
			index := int(m.Applied().Index)
			w.feed(t, m, max(0, index-rng.IntN(60)), 60+rng.IntN(80), rng)
			reached := m.Applied()
			if rng.IntN(3) == 0 {
				if err := m.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			old := m
			if rng.IntN(3) > 0 { // a clean stop may lose as much: nothing is flushed
				o.FS = o.FS.(*vfs.MemFS).CrashClone(vfs.CrashCloneCfg{})
				m = memory(t, o)
			}
			if err := old.Close(); err != nil {
				t.Fatal(err)
			}
			if m == old {
				m = memory(t, o)
			}
			if m.Applied().Index > reached.Index {
				t.Fatalf("%s: reopened at %d beyond %d", name, m.Applied().Index, reached.Index)
			}
			if m.Applied() != reached {
				lost++
			}
			if m.Applied().Digest != recomputed(t, m) {
				t.Fatalf("%s: reopened at %d with another digest than its rows have", name, m.Applied().Index)
			}
		}
		want.compare(t, name, m)
		if lost == 0 {
			t.Errorf("%s: no crash lost anything", name)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestFullMemtables crashes machines that never flush: what is durable is what
// Pebble wrote out because a memtable was full, at moments that nobody chose. It is
// the state after some entry, whole.
func TestFullMemtables(t *testing.T) {
	w, want := recordedLog(t, 13, sample(1500, 700))
	rng := rand.New(rand.NewPCG(13, 13))
	disk := vfs.NewCrashableMem()
	m := memory(t, Options{FS: disk, Window: 150, Tune: small, FlushEvery: 1 << 30})
	stood := make(map[uint64]bool) // where machines stood after their crash
	for at := 0; at < len(w.log); at += 25 {
		w.feed(t, m, at, 25, rng)
		left := memory(t, Options{FS: disk.CrashClone(vfs.CrashCloneCfg{}), Window: 150})
		index := left.Applied().Index
		if left.Applied().Digest != recomputed(t, left) {
			t.Fatalf("crash at entry %d: the state of entry %d has another digest than its rows", m.Applied().Index, index)
		}
		if !stood[index] {
			stood[index] = true
			w.feed(t, left, int(index), len(w.log), rng)
			want.compare(t, fmt.Sprintf("crashed at %d", index), left)
		}
		if err := left.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(stood) < 5 {
		t.Errorf("only %d states were written out", len(stood))
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCrashAtEveryOperation crashes the disk before each of the file operations
// that a log causes, and replays the log on what is left.
func TestCrashAtEveryOperation(t *testing.T) {
	w, want := recordedLog(t, 9, 150)
	stride := int64(sample(1, 23))
	for _, percent := range []int{0, 100} {
		run := func(stop int64, tune func(*pebble.Options)) (*vfs.MemFS, int64) {
			mem := vfs.NewCrashableMem()
			var count atomic.Int64
			var clone *vfs.MemFS
			fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
				if count.Add(1) == stop {
					clone = mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(1, 1))})
				}
				return nil
			}))
			m := memory(t, Options{FS: fs, Window: 150, FlushEvery: 6, Tune: tune})
			w.feed(t, m, 0, len(w.log), rand.New(rand.NewPCG(9, 9)))
			if err := m.Flush(); err != nil {
				t.Fatal(err)
			}
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
			return clone, count.Load()
		}
		_, operations := run(-1, small)
		if operations < 100 {
			t.Fatalf("only %d file operations", operations)
		}
		for k := int64(1); k < operations; k += stride {
			left, _ := run(k, small)
			if left == nil {
				continue // Pebble's own goroutines did a little less this time
			}
			m := memory(t, Options{FS: left, Window: 150})
			if m.Applied().Digest != recomputed(t, m) {
				t.Fatalf("crash before operation %d: the digest is not that of the rows", k)
			}
			w.feed(t, m, 0, len(w.log), rand.New(rand.NewPCG(9, uint64(k))))
			want.compare(t, fmt.Sprintf("%d %%, crash before operation %d", percent, k), m)
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestCheckpoint links the state away in the middle of applying, and finishes the
// log on the copy.
func TestCheckpoint(t *testing.T) {
	w, want := recordedLog(t, 10, sample(800, 500))
	fs := vfs.NewCrashableMem()
	m := memory(t, Options{FS: fs, Window: 150, Tune: small})
	rng := rand.New(rand.NewPCG(10, 10))
	w.feed(t, m, 0, 300, rng)
	reached := m.Applied()
	done := make(chan Applied)
	go func() {
		a, err := m.Checkpoint("copy")
		if err != nil {
			t.Error(err)
		}
		done <- a
	}()
	w.feed(t, m, 300, len(w.log), rng)
	copied := <-done
	want.compare(t, "the original", m)
	if copied.Index < reached.Index || copied.Index > m.Applied().Index {
		t.Errorf("the checkpoint holds index %d, not from %d on", copied.Index, reached.Index)
	}
	if _, err := m.Checkpoint("copy"); err == nil {
		t.Error("a checkpoint went where one was")
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	c := memory(t, Options{FS: fs.CrashClone(vfs.CrashCloneCfg{}), Dir: "copy", Window: 150})
	if c.Applied() != copied {
		t.Errorf("the copy stands at %+v, not %+v", c.Applied(), copied)
	}
	w.feed(t, c, int(copied.Index), len(w.log), rng)
	want.compare(t, "the copy", c)
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestRefusedChangesNothing scans everything before and after each refused event:
// only the window, the leaf, time and the moment differ.
func TestRefusedChangesNothing(t *testing.T) {
	w := newWorld(t, seeded(11), 40, 3600e9)
	w.grow(sample(600, 300))
	m := memory(t, Options{Window: 40})
	before, refused := allRows(t, m), 0
	for i, e := range w.log {
		m.Apply([]Entry{e})
		now := allRows(t, m)
		if w.want[i].Duplicate || w.want[i].Outcome.Refusal != event.Refusal_REFUSAL_NONE {
			refused++
			for k := range merged(before, now) {
				tb := tableOf([]byte(k))
				trace := tb == tableMeta || !w.want[i].Duplicate && (tb == tableRequest || tb == tableLeaf || tb == tableTime)
				if before[k] != now[k] && !trace {
					t.Fatalf("entry %d, %v, changed row %x", i, w.want[i], k)
				}
			}
		}
		before = now
	}
	if refused < 80 {
		t.Errorf("only %d events were refused", refused)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
}

func merged(a, b map[string]string) map[string]bool {
	keys := make(map[string]bool)
	for k := range a {
		keys[k] = true
	}
	for k := range b {
		keys[k] = true
	}
	return keys
}

// TestRoot holds the ledger's root to that of a tree over all leaves, and each
// leaf to its event.
func TestRoot(t *testing.T) {
	w, _ := recordedLog(t, 12, 300)
	m := memory(t, Options{Window: 150})
	w.feed(t, m, 0, len(w.log), rand.New(rand.NewPCG(1, 2)))
	leaves, err := m.Leaves(0, 1<<20)
	if err != nil || uint64(len(leaves)) != m.Applied().Next {
		t.Fatalf("%d leaves of %d events, %v", len(leaves), m.Applied().Next, err)
	}
	f, err := m.Frontier()
	if err != nil {
		t.Fatal(err)
	}
	checkLeaves(t, w, leaves, f.Root())
	last := &event.Envelope{}
	if err := event.Decode(leaves[len(leaves)-1].Envelope, last); err != nil {
		t.Fatal(err)
	}
	if d := m.Applied().Digest; !bytes.Equal(last.StateDigest, d.Bytes()) || last.Time != m.Applied().Time {
		t.Errorf("the last leaf holds %x at %d", last.StateDigest, last.Time)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
}
