package fsm

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ironman/sim/disk"
)

// TestCheckpointFails lets each file operation of a checkpoint fail, one after the
// other. Afterwards nothing is open that was not before, and no goroutine watches it:
// on a full disk a checkpoint is tried again every second.
func TestCheckpointFails(t *testing.T) {
	d := disk.New(rand.New(rand.NewPCG(1, 1)), disk.Config{})
	// The operation of this number fails; 0: none does. A directory that cannot be
	// synced is left alone: Pebble ends the process then.
	var fails, count atomic.Int64
	d.Watch(disk.Hooks{Before: func(op disk.Op) error {
		if op.Kind != disk.SyncDir && strings.HasPrefix(op.Path, "/copy") && count.Add(1) == fails.Load() {
			return errors.New("no")
		}
		return nil
	}})
	w, _ := recordedLog(t, 10, sample(300, 200))
	m := memory(t, Options{FS: d, Dir: "/state", Window: 150, Tune: small})
	w.feed(t, m, 0, 200, rand.New(rand.NewPCG(1, 2)))
	if err := m.Flush(); err != nil {
		t.Fatal(err)
	}
	routines := runtime.NumGoroutine()
	for n := int64(1); ; n++ {
		count.Store(0)
		fails.Store(n)
		_, err := m.Checkpoint("/copy")
		fails.Store(0)
		if err == nil && n > count.Load() {
			if n < 10 {
				t.Errorf("only %d operations failed", n)
			}
			break
		}
		open := slices.DeleteFunc(d.Handles(), func(p string) bool { return !strings.HasPrefix(p, "/copy") })
		if len(open) > 0 {
			t.Errorf("operation %d failed (%v), and these are open: %q", n, err, open)
		}
		if err := d.RemoveAll("/copy"); err != nil {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > routines; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines run, not %d as before", runtime.NumGoroutine(), routines)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
}
