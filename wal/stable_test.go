package wal

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"github.com/hashicorp/raft"

	"ironman/wal/segment"
)

func openTestStable(t testing.TB, fs vfs.FS) *stableStore {
	t.Helper()
	s, err := openStable(fs, "stable", func(err error) { t.Errorf("fatal: %v", err); runtime.Goexit() })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestStable(t *testing.T) {
	fs := vfs.NewCrashableMem()
	s := openTestStable(t, fs)
	if n, err := s.GetUint64([]byte("CurrentTerm")); n != 0 || err == nil || err.Error() != "not found" {
		t.Fatalf("%d, %v", n, err)
	}
	if b, err := s.Get([]byte("LastVoteCand")); len(b) != 0 || err == nil || err.Error() != "not found" {
		t.Fatalf("%q, %v", b, err)
	}
	for i := uint64(1); i < 20; i++ {
		// As raft votes. Each is durable when it returns.
		for _, err := range []error{
			s.SetUint64([]byte("CurrentTerm"), i), s.SetUint64([]byte("LastVoteTerm"), i),
			s.Set([]byte("LastVoteCand"), fmt.Appendf(nil, "node-%d", i%3)),
		} {
			if err != nil {
				t.Fatal(err)
			}
		}
		fs = fs.CrashClone(vfs.CrashCloneCfg{})
		s = openTestStable(t, fs)
		term, err1 := s.GetUint64([]byte("CurrentTerm"))
		vote, err2 := s.GetUint64([]byte("LastVoteTerm"))
		cand, err3 := s.Get([]byte("LastVoteCand"))
		if err := errors.Join(err1, err2, err3); err != nil || term != i || vote != i || string(cand) != fmt.Sprintf("node-%d", i%3) {
			t.Fatalf("%d %d %q %v", term, vote, cand, err)
		}
	}
	if err := s.Set([]byte("empty"), nil); err != nil {
		t.Fatal(err)
	}
	if b, err := s.Get([]byte("empty")); err != nil || len(b) != 0 {
		t.Fatalf("%q, %v", b, err)
	}
	if _, err := s.GetUint64([]byte("LastVoteCand")); err == nil {
		t.Fatal("a name was read as a number")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// Values handed in and out are copies.
func TestStableCopies(t *testing.T) {
	s := openTestStable(t, vfs.NewMem())
	in := []byte("value")
	if err := s.Set([]byte("key"), in); err != nil {
		t.Fatal(err)
	}
	in[0] = 'X'
	out, _ := s.Get([]byte("key"))
	out[1] = 'X'
	if out, _ = s.Get([]byte("key")); string(out) != "value" {
		t.Fatalf("%q", out)
	}
}

func TestStableFull(t *testing.T) {
	fs := vfs.NewCrashableMem()
	s := openTestStable(t, fs)
	var err error
	n := 0
	for ; err == nil && n < 100; n++ {
		err = s.Set(fmt.Appendf(nil, "key-%d", n), make([]byte, 100))
	}
	if !errors.Is(err, segment.ErrTooLarge) {
		t.Fatalf("%d keys: %v", n, err)
	}
	if err := s.Set([]byte("huge"), make([]byte, 70000)); !errors.Is(err, segment.ErrTooLarge) {
		t.Fatal(err)
	}
	s = openTestStable(t, fs.CrashClone(vfs.CrashCloneCfg{}))
	if _, err := s.Get(fmt.Appendf(nil, "key-%d", n-2)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get(fmt.Appendf(nil, "key-%d", n-1)); err == nil {
		t.Fatal("what did not fit is there")
	}
}

// Any failing write or sync is fatal; what was set before stays, and what failed
// may be there or not.
func TestStableFailure(t *testing.T) {
	for k := range int32(4) {
		mem := vfs.NewCrashableMem()
		s := openTestStable(t, mem)
		if err := s.SetUint64([]byte("CurrentTerm"), 7); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		armed := false
		var left = k
		fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if !armed || op.Kind.ReadOrWrite() != errorfs.OpIsWrite {
				return nil
			}
			if left--; left < 0 {
				return syscall.EIO
			}
			return nil
		}))
		var fatal error
		s, err := openStable(fs, "stable", func(err error) { fatal = err; runtime.Goexit() })
		if err != nil {
			t.Fatal(err)
		}
		armed = true
		back := make(chan error, 1)
		go func() {
			defer close(back)
			back <- s.SetUint64([]byte("CurrentTerm"), 8)
		}()
		if err, ok := <-back; ok || fatal == nil {
			t.Fatalf("operation %d failed: came back %v with %v, fatal %v", k, ok, err, fatal)
		}
		for _, percent := range []int{0, 100} {
			c := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rand.New(rand.NewPCG(1, 1))})
			n, err := openTestStable(t, c).GetUint64([]byte("CurrentTerm"))
			if err != nil || n != 7 && n != 8 {
				t.Fatalf("operation %d failed: %d, %v", k, n, err)
			}
		}
	}
}

func TestStableDamage(t *testing.T) {
	build := func() *vfs.MemFS {
		fs := vfs.NewMem()
		s := openTestStable(t, fs)
		if err := errors.Join(s.SetUint64([]byte("CurrentTerm"), 6), s.SetUint64([]byte("CurrentTerm"), 7), s.Close()); err != nil {
			t.Fatal(err)
		}
		return fs
	}
	flip := func(fs *vfs.MemFS, at int64) {
		f, err := fs.OpenReadWrite("stable", vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		var b [1]byte
		_, err1 := f.ReadAt(b[:], at)
		b[0] ^= 1
		_, err2 := f.WriteAt(b[:], at)
		if err := errors.Join(err1, err2, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for at := range int64(32 + 23) {
		for _, slot := range []int64{0, 4096} { // one slot: the other has it, and nothing older
			fs := build()
			flip(fs, slot+at)
			if n, err := openTestStable(t, fs).GetUint64([]byte("CurrentTerm")); n != 7 || err != nil {
				t.Fatalf("byte %d of the slot at %d: %d, %v", at, slot, n, err)
			}
		}
		fs := build()
		flip(fs, at)
		flip(fs, 4096+at)
		if _, err := openStable(fs, "stable", nil); !errors.Is(err, segment.ErrCorrupt) {
			t.Fatalf("byte %d of both: %v", at, err)
		}
	}
}

func FuzzStable(f *testing.F) {
	f.Add([]byte{})
	f.Add(encodeStable(map[string][]byte{"CurrentTerm": {1, 0, 0, 0, 0, 0, 0, 0}, "LastVoteCand": []byte("n1"), "": nil}))
	f.Fuzz(func(t *testing.T, b []byte) {
		values, err := decodeStable(b)
		if err != nil {
			if !errors.Is(err, segment.ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(encodeStable(values), b) {
			t.Fatalf("%q encodes to other bytes", values)
		}
	})
}

// Raft itself takes both stores: it bootstraps, and finds its state again.
func TestRaftTakesTheStores(t *testing.T) {
	r := newLogRig(t)
	stable := openTestStable(t, r.fs)
	snapshots := raft.NewInmemSnapshotStore()
	has := func() bool {
		ok, err := raft.HasExistingState(r.store, stable, snapshots)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	if has() {
		t.Fatal("new stores hold state")
	}
	c := raft.DefaultConfig()
	c.LocalID = "a"
	addr, transport := raft.NewInmemTransport("a")
	err := raft.BootstrapCluster(c, r.store, stable, snapshots, transport, raft.Configuration{Servers: []raft.Server{{ID: "a", Address: addr}}})
	if err != nil || !has() {
		t.Fatal(err)
	}
	r.crash()
	stable = openTestStable(t, r.fs)
	if !has() {
		t.Fatal("the state is lost")
	}
	r.expect(1, 1)
}

// TestStableHangs: a vote that cannot be written in time ends the node.
func TestStableHangs(t *testing.T) {
	var hang atomic.Bool
	release, said := make(chan struct{}), make(chan error, 1)
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if hang.Load() && op.Kind == errorfs.OpFileSyncData {
			<-release
		}
		return nil
	}))
	s, err := openStable(fs, "stable", func(err error) { said <- err; runtime.Goexit() })
	if err != nil {
		t.Fatal(err)
	}
	s.stall = 10 * time.Millisecond
	hang.Store(true)
	voted := make(chan error, 1)
	go func() { voted <- s.SetUint64([]byte("CurrentTerm"), 7) }()
	select {
	case err := <-said:
		if !strings.Contains(err.Error(), "the disk hangs") {
			t.Errorf("it says %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("nobody noticed")
	}
	close(release)
	if err := errors.Join(<-voted, s.Close()); err != nil {
		t.Error(err)
	}
}
