package wal

import (
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// steppedFS calls step before each operation that changes the file system.
type steppedFS struct {
	vfs.FS
	step func(op string)
}

func (s *steppedFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	s.step("create " + name)
	f, err := s.FS.Create(name, c)
	return &steppedFile{f, s.step, name}, err
}

func (s *steppedFS) Rename(from, to string) error {
	s.step("rename " + from)
	return s.FS.Rename(from, to)
}

func (s *steppedFS) Remove(name string) error {
	s.step("remove " + name)
	return s.FS.Remove(name)
}

func (s *steppedFS) MkdirAll(name string, perm os.FileMode) error {
	s.step("mkdir " + name)
	return s.FS.MkdirAll(name, perm)
}

func (s *steppedFS) OpenDir(name string) (vfs.File, error) {
	f, err := s.FS.OpenDir(name)
	return &steppedFile{f, s.step, name}, err
}

type steppedFile struct {
	vfs.File
	step func(op string)
	name string
}

func (f *steppedFile) Write(b []byte) (int, error) {
	f.step("write " + f.name)
	return f.File.Write(slices.Clone(b))
}

func (f *steppedFile) Sync() error {
	f.step("sync " + f.name)
	return f.File.Sync()
}

// crashed is what the operation after the last one panics with.
type crashed struct{}

// life is one life of a node that crashes after k operations on its ledger's files,
// its queue and its log, and what is left of each.
type life struct {
	f    *filler
	ops  []string
	k    int
	over bool // it came to its end instead
}

func (l *life) step(op string) {
	if len(l.ops) == l.k {
		panic(crashed{})
	}
	l.ops = append(l.ops, op)
}

// run opens the archive and archives until there is nothing to do, or the crash.
// Leaves may be dropped and the log released only when the ledger would survive.
func (l *life) run(t *testing.T) {
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(crashed); !ok {
				panic(r)
			}
		}
	}()
	f := l.f
	f.state.step, f.log.step = l.step, l.step
	f.state.sees = func(dropped uint64) {
		if size := testLedger(t, f.fs.CrashClone(vfs.CrashCloneCfg{})).Size(); size < dropped {
			t.Fatalf("leaves below %d are dropped, a crash would leave %d in the ledger", dropped, size)
		}
	}
	f.archiver = f.over(testLedger(t, &steppedFS{f.fs, l.step}))
	f.run(t.Context())
	l.over = true
}

// restart is what a crash leaves: files as they were synced, as they were written,
// or as they are; and a state whose dropped leaves are back, or not.
func (l *life) restart(how int, from *heldState) {
	f := l.f
	switch how % 3 {
	case 0:
		f.fs = f.fs.CrashClone(vfs.CrashCloneCfg{})
	case 1:
		f.fs = f.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 2))})
	}
	if how%2 == 0 {
		f.state.applied, f.state.queued = from.applied, from.queued
	}
	f.log.archived = 0 // not remembered
}

// TestBackfillCrash crashes before every operation of a back-fill and of what
// follows it, and, for each, once more at some operation of the next life. The life
// after that finishes with the files that a peer has, and asks for nothing again.
func TestBackfillCrash(t *testing.T) {
	h := newHistory(t, "here", 1100)
	peer := newPeer(t, h, 1024)
	want := h.files(t, 1024)
	begin := heldState{h: h, applied: 800, queued: 300}
	for k := 0; ; k += backfillStride {
		for how := range 6 {
			f := newFiller(t, h, 0, int(begin.queued), int(begin.applied), since(400))
			f.fs = vfs.NewCrashableMem()
			f.add(peer)
			first := &life{f: f, k: k}
			if first.run(t); first.over {
				t.Logf("%d operations", k)
				if ops := strings.Join(first.ops, "\n"); strings.Count(ops, "set archived") < 2 || strings.Count(ops, "drop leaves") < 2 {
					t.Fatalf("too little happened:\n%s", ops)
				}
				return
			}
			first.restart(how, &begin)
			f.state.applied = 1100 // the log replays, and events go on
			second := &life{f: f, k: k * 7 % 61}
			second.run(t)
			second.restart(how+1, &begin)
			f.state.applied = 1100
			finish(t, f, peer, want)
		}
	}
}

// finish has the last life of a node come to its end.
func finish(t *testing.T, f *filler, peer *testPeer, want map[string]string) {
	t.Helper()
	peer.mu.Lock()
	peer.asked = nil
	peer.mu.Unlock()
	size := testLedger(t, f.fs).Size()
	(&life{f: f, k: 1 << 30}).run(t)
	for _, from := range peer.firsts() {
		if from < size {
			t.Fatalf("event %d is fetched again, %d are archived", from, size)
		}
	}
	sameFiles(t, ledgerFiles(t, f.fs.CrashClone(vfs.CrashCloneCfg{})), want)
	// Where the crash came right before the log was told, the next bundle tells it.
	if told := f.log.archived; f.state.queued != 1024 || told != f.state.h.leaves[1023].Index && told != 0 {
		t.Fatalf("queue from %d, log archived up to entry %d", f.state.queued, f.log.archived)
	}
}

// TestBackfillOperations: nothing leaves queue and log before the ledger is durable,
// and nothing is written but the ledger.
func TestBackfillOperations(t *testing.T) {
	h := newHistory(t, "here", 800)
	f := newFiller(t, h, 0, 300, 800, since(512))
	f.add(newPeer(t, h, 768))
	f.fs = vfs.NewMem()
	l := &life{f: f, k: 1 << 30}
	f.state.step, f.log.step = l.step, l.step
	f.archiver = f.over(testLedger(t, &steppedFS{f.fs, l.step}))
	l.ops = nil
	f.run(t.Context())
	f.check(768)
	var order []string
	for _, op := range l.ops {
		switch {
		case strings.HasPrefix(op, "rename ledger/head"), op == "drop leaves", op == "set archived":
			order = append(order, op)
		case !strings.Contains(op, " ledger"):
			t.Errorf("%s", op)
		}
	}
	want := []string{"rename ledger/head.tmp", "drop leaves", "set archived"}
	if !slices.Equal(order, append(slices.Clone(want), want...)) {
		t.Errorf("in this order: %q", order)
	}
}
