package segment

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"
)

// change is one call that changes a log: either an append, or a truncation.
type change struct {
	batch          []Entry
	suffix, prefix uint64
	reset          bool
	archived       uint64
}

func (c change) do(l *Log) error {
	switch {
	case c.batch != nil:
		return l.Append(c.batch)
	case c.suffix != 0:
		return l.TruncateSuffix(c.suffix)
	case c.reset:
		return l.Reset(c.prefix - 1)
	case c.prefix != 0:
		return l.TruncatePrefix(c.prefix)
	default:
		return l.SetArchived(c.archived)
	}
}

// outcomes are the contents that may be found if the change was begun: the first
// is before it, the last after it.
func (c change) outcomes(now contents) []contents {
	out := []contents{now}
	switch {
	case c.suffix != 0:
		out = append(out, now.suffix(c.suffix))
	case c.reset:
		out = append(out, contents{floor: c.prefix - 1})
	case c.prefix != 0:
		out = append(out, now.prefix(c.prefix))
	}
	for i := range c.batch {
		out = append(out, now.append(c.batch[:i+1]))
	}
	return out
}

// model knows what a log must hold, and may.
type model struct {
	mu      sync.Mutex
	allowed []contents // the first is what was acknowledged
}

func newModel(c contents) *model { return &model{allowed: []contents{c}} }

func (m *model) acknowledged() contents { return m.snapshot()[0] }

func (m *model) snapshot() []contents {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.allowed
}

func (m *model) apply(l *Log, c change) error {
	out := c.outcomes(m.acknowledged())
	m.mu.Lock()
	m.allowed = out
	m.mu.Unlock()
	if err := c.do(l); err != nil {
		return err
	}
	m.mu.Lock()
	m.allowed = out[len(out)-1:]
	m.mu.Unlock()
	l.quiesce()
	return nil
}

// script is a run through everything a log does. Generations tell apart entries of
// the same index.
func script() []change {
	return []change{
		{batch: run(1, 1, 1, 10)},
		{batch: run(2, 3, 1, 1500)},
		{batch: run(5, 1, 1, 7000)},
		{batch: run(6, 2, 1, 300)}, // rotates
		{suffix: 5},                // into the sealed segment
		{batch: run(5, 2, 2, 20)},
		{suffix: 6},
		{suffix: 5}, // the open segment holds nothing else
		{batch: run(5, 2, 3, 2000)},
		{prefix: 3},
		{batch: run(7, 1, 3, 20000)}, // larger than a segment
		{batch: run(8, 2, 3, 10)},
		{archived: 4},
		{prefix: 8},
		{archived: 7}, // unlinks
		{prefix: 10},  // empties
		{batch: run(10, 2, 3, 40)},
		{suffix: 10}, // empties
		{batch: run(10, 3, 4, 4000)},
		{reset: true, prefix: 51},
		{reset: true, prefix: 61},
		{batch: run(61, 2, 5, 6000)},
		{batch: run(63, 2, 5, 100)},
	}
}

// recovered opens a log after a crash and checks that it holds what it may, and
// that it goes on: appends, truncates and comes back.
func recovered(t *testing.T, p crashPoint) error {
	l, err := Open(options(t, p.mem))
	if err != nil {
		return fmt.Errorf("%s: %w", p.what, err)
	}
	got, err := read(l)
	if err != nil {
		return fmt.Errorf("%s: %w", p.what, err)
	}
	if !slices.ContainsFunc(p.allowed, got.equal) {
		return fmt.Errorf("%s: found %v; acknowledged was %v", p.what, got, p.allowed[0])
	}
	more := run(got.tail()+1, 3, 90, 1200)
	err = l.Append(more)
	got = got.append(more)
	if len(got.entries) > 4 {
		err = errors.Join(err, l.TruncateSuffix(got.tail()-3))
		got = got.suffix(got.tail() - 3)
	}
	more = run(got.tail()+1, 1, 91, 10)
	err = errors.Join(err, l.Append(more))
	got = got.append(more)
	l.quiesce()
	after := p.mem.CrashClone(vfs.CrashCloneCfg{})
	if err = errors.Join(err, l.Close()); err != nil {
		return fmt.Errorf("%s: going on: %w", p.what, err)
	}
	if l, err = Open(options(t, after)); err != nil {
		return fmt.Errorf("%s: again: %w", p.what, err)
	}
	if now, err := read(l); err != nil || !now.equal(got) {
		return fmt.Errorf("%s: again: %v; found %v, want %v", p.what, err, now, got)
	}
	return l.Close()
}

// unlinked makes a clone in which removals that were not synced did persist: the
// reverse of what CrashClone does.
func unlinked(mem, live *vfs.MemFS) *vfs.MemFS {
	names, err := live.List(dir)
	if err != nil {
		return mem
	}
	had, err := mem.List(dir)
	if err != nil {
		return mem
	}
	for _, n := range had {
		if !slices.Contains(names, n) {
			if err := mem.Remove(mem.PathJoin(dir, n)); err != nil {
				panic(err)
			}
		}
	}
	return mem
}

// clones are the states that a crash at this moment may leave.
func clones(mem *vfs.MemFS, rng *rand.Rand, samples int) []crashPoint {
	out := []crashPoint{
		{what: "nothing unsynced", mem: mem.CrashClone(vfs.CrashCloneCfg{})},
		{what: "all unsynced", mem: mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rng})},
		{what: "nothing unsynced but unlinking", mem: unlinked(mem.CrashClone(vfs.CrashCloneCfg{}), mem)},
	}
	for range samples {
		p := 1 + rng.IntN(99)
		out = append(out, crashPoint{what: fmt.Sprintf("%d %% of unsynced", p), mem: mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: p, RNG: rng})})
	}
	return out
}

// crashPoint is a disk as a crash before an operation left it.
type crashPoint struct {
	mem     *vfs.MemFS
	allowed []contents
	what    string
}

// crashes runs f on a wrapped disk and visits the crash points before each of its
// operations, and at its end. It returns the first error and how many there were.
func crashes(mem *vfs.MemFS, m *model, rng *rand.Rand, samples int, f func(vfs.FS), visit func(crashPoint) error) (n int, err error) {
	var mu sync.Mutex
	k := 0
	d := &disk{FS: mem}
	d.before = func(op string) error {
		mu.Lock()
		defer mu.Unlock()
		k++
		for _, c := range clones(mem, rng, samples) {
			n++
			if err == nil {
				c.allowed, c.what = m.snapshot(), fmt.Sprintf("crash %d, before %q, %s", k, op, c.what)
				err = visit(c)
			}
		}
		return nil
	}
	f(d)
	_ = d.tell("the end")
	return n, err
}

func runScript(t *testing.T, m *model) func(vfs.FS) {
	return func(fs vfs.FS) {
		l := open(t, options(t, fs))
		for i, c := range script() {
			if err := m.apply(l, c); err != nil {
				t.Errorf("change %d: %v", i, err)
			}
		}
		must(t, l.Close())
	}
}

// A crash before every single operation of a run, with nothing, all or some of what
// was not synced: what was acknowledged is there, a part of what was in flight may
// be, nothing else is.
func TestCrashEverywhere(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	samples := 3
	if testing.Short() || thin {
		samples = 1
	}
	mem := vfs.NewCrashableMem()
	m := newModel(contents{})
	n, err := crashes(mem, m, rng, samples, runScript(t, m), func(p crashPoint) error { return recovered(t, p) })
	must(t, err)
	if n < 800 && !(testing.Short() || thin) {
		t.Fatalf("only %d crash points", n)
	}
	t.Logf("%d crash points", n)
}

// A crash at every operation of the recovery from a crash, and of the first
// changes after it; on a sample of first crashes.
func TestCrashInRecovery(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	every := 31
	if testing.Short() || thin {
		every = 199
	}
	mem := vfs.NewCrashableMem()
	m := newModel(contents{})
	total, seen := 0, 0
	_, err := crashes(mem, m, rng, 2, runScript(t, m), func(p crashPoint) error {
		if seen++; seen%every != 0 {
			return nil
		}
		n, err := crashedTwice(t, p, rng)
		total += n
		return err
	})
	must(t, err)
	t.Logf("%d crash points", total)
}

// crashedTwice goes through the recovery from a crash with a crash at each step.
func crashedTwice(t *testing.T, p crashPoint, rng *rand.Rand) (int, error) {
	// Which of the allowed contents did the first crash leave? Found out on a clone.
	l, err := Open(options(t, p.mem.CrashClone(vfs.CrashCloneCfg{})))
	if err != nil {
		return 0, fmt.Errorf("%s: %w", p.what, err)
	}
	was, err := read(l)
	if err = errors.Join(err, l.Close()); err != nil {
		return 0, err
	}
	if !slices.ContainsFunc(p.allowed, was.equal) {
		return 0, fmt.Errorf("%s: found %v", p.what, was)
	}
	m := newModel(was)
	return crashes(p.mem, m, rng, 1, func(fs vfs.FS) {
		l, err := Open(options(t, fs))
		if err != nil {
			t.Error(err)
			return
		}
		l.quiesce()
		for _, c := range []change{
			{batch: run(was.tail()+1, 2, 70, 3000)}, {suffix: was.tail() + 2}, {batch: run(was.tail()+2, 1, 71, 10)},
		} {
			if err := m.apply(l, c); err != nil {
				t.Error(err)
			}
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}, func(q crashPoint) error {
		q.what = p.what + "; " + q.what
		return recovered(t, q)
	})
}

// Each operation of the run fails once: Fatal is called, nothing is acknowledged
// after it, and what was acknowledged before is recovered.
func TestEveryFailureIsFatal(t *testing.T) {
	step := 1
	if testing.Short() || thin {
		step = 4
	}
	for k := 1; ; k += step {
		mem := vfs.NewCrashableMem()
		d := &disk{FS: mem}
		o := options(t, d)
		var f fatals
		o.Fatal = f.fatal
		l := open(t, o)
		var mu sync.Mutex
		n, failed := 0, ""
		d.before = func(op string) error {
			mu.Lock()
			defer mu.Unlock()
			if n++; n == k {
				failed = op
				return syscall.EIO
			}
			return nil
		}
		m := newModel(contents{})
		finished := aside(func() {
			for _, c := range script() {
				if m.apply(l, c) != nil {
					return
				}
			}
		})
		d.before = nil
		if failed == "" {
			if !finished || k < 100 {
				t.Fatalf("the run has %d operations", n)
			}
			must(t, l.Close())
			t.Logf("%d operations failed", k/step)
			return
		}
		if len(f.seen()) == 0 {
			t.Fatalf("%s failed and nobody was told", failed)
		}
		acknowledged := m.acknowledged()
		if aside(func() { _ = l.Append(run(acknowledged.tail()+1, 1, 9, 1)) }) && !l.failed.Load() {
			t.Fatalf("an append came back after %s failed", failed)
		}
		for _, c := range clones(mem, rand.New(rand.NewPCG(5, uint64(k))), 1) {
			c.allowed, c.what = m.snapshot(), fmt.Sprintf("after %q failed, %s", failed, c.what)
			must(t, recovered(t, c))
		}
		must(t, l.Close())
	}
}

// A sync that failed leaves its pages clean: the next process reads them and may
// sync them "successfully", and yet they are not on the disk. What it shows of them
// must survive a power cut all the same.
func TestUnsyncedPagesAreWrittenAnew(t *testing.T) {
	mem := vfs.NewCrashableMem()
	d := &disk{FS: mem}
	o := options(t, d)
	var f fatals
	o.Fatal = f.fatal
	l := open(t, o)
	m := newModel(contents{})
	must(t, m.apply(l, change{batch: run(1, 2, 1, 100)}))
	file := "syncdata " + l.open().path
	d.before = func(op string) error {
		if op == file {
			return syscall.EIO
		}
		return nil
	}
	if aside(func() { _ = m.apply(l, change{batch: run(3, 3, 1, 500)}) }) || len(f.seen()) == 0 {
		t.Fatal("a failed sync went unnoticed")
	}
	must(t, l.Close())
	d.before = nil
	d.lies = func(op string) bool { return op == file }
	l = open(t, options(t, d)) // another process, the same page cache
	c, err := read(l)
	must(t, err)
	if len(c.entries) != 5 || l.Recovery().Rewritten != 3 {
		t.Fatalf("found %v, %+v", c, l.Recovery())
	}
	must(t, recovered(t, crashPoint{mem.CrashClone(vfs.CrashCloneCfg{}), []contents{c}, "power cut"}))
	must(t, l.Close())
}

// Random changes, crashes and restarts against the model.
func TestRandomRuns(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		mem := vfs.NewCrashableMem()
		l := open(t, options(t, mem))
		m := newModel(contents{})
		for i := range rapid.IntRange(1, 25).Draw(rt, "changes") {
			now := m.acknowledged()
			switch rapid.SampledFrom([]string{"append", "append", "append", "suffix", "prefix", "archive", "reset", "crash", "close"}).Draw(rt, "kind") {
			case "append":
				n := rapid.IntRange(1, 6).Draw(rt, "entries")
				size := rapid.SampledFrom([]int{0, 1, 100, 4096 - frameHeader, 3000, 9000}).Draw(rt, "size")
				must(t, m.apply(l, change{batch: run(now.tail()+1, n, i, size)}))
			case "suffix":
				if len(now.entries) > 0 {
					must(t, m.apply(l, change{suffix: rapid.Uint64Range(now.floor+1, now.tail()).Draw(rt, "from")}))
				}
			case "prefix":
				must(t, m.apply(l, change{prefix: rapid.Uint64Range(now.floor+1, now.tail()+1).Draw(rt, "first")}))
			case "archive":
				must(t, m.apply(l, change{archived: rapid.Uint64Range(0, now.tail()).Draw(rt, "archived")}))
			case "reset":
				must(t, m.apply(l, change{reset: true, prefix: now.floor + 1 + rapid.Uint64Range(0, 20).Draw(rt, "up")}))
			case "crash":
				p := rapid.SampledFrom([]int{0, 100}).Draw(rt, "percent")
				mem = mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: p, RNG: rand.New(rand.NewPCG(1, 1))})
				must(t, l.Close())
				l = open(t, options(t, mem))
			case "close":
				must(t, l.Close())
				l = open(t, options(t, mem))
			}
			got, err := read(l)
			if err != nil || !got.equal(m.acknowledged()) {
				rt.Fatalf("%v: %v, want %v", err, got, m.acknowledged())
			}
		}
		must(t, l.Close())
	})
}
