package erasure

import (
	"bytes"
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"ironman/wal/event"
)

// countedGate is a gate that counts who waits at it.
type countedGate struct {
	gate
	waiting atomic.Int64
}

func (g *countedGate) MaybeError(op errorfs.Op) error {
	g.waiting.Add(1)
	defer g.waiting.Add(-1)
	return g.gate.MaybeError(op)
}

// hangingRig is a store of six disks in virtual time, and the gate of its second.
func hangingRig(t *testing.T, kind errorfs.OpKind) (*rig, *countedGate) {
	g := &countedGate{gate: gate{path: "d2/packs", kind: kind, open: make(chan struct{})}}
	r := newRig(t, errorfs.Wrap(vfs.NewMem(), g), 6)
	r.o.Now, r.o.Stall, r.o.Hedge = time.Now, 10*time.Second, 100*time.Millisecond
	r.o.Policy.MinTolerance = 1
	return r.open(), g
}

// A disk that answers no reads holds up a bounded number of threads, however many
// readers come by, and after a while nobody waits for it any more.
func TestHangingReads(t *testing.T) {
	for _, size := range []int{100, 5000, 20000} {
		synctest.Test(t, func(t *testing.T) {
			r, g := hangingRig(t, errorfs.OpFileReadAt)
			body := bytesOf(1, size)
			var blobs []*event.Blob
			for range 12 {
				blobs = append(blobs, r.put(body))
			}
			g.shut()
			var readers sync.WaitGroup
			for range 50 {
				for _, b := range blobs {
					readers.Go(func() { r.check(b, body) })
				}
			}
			readers.Wait()
			synctest.Wait()
			if n := g.waiting.Load(); n == 0 || n > readPlaces {
				t.Errorf("%d reads hang", n)
			}
			time.Sleep(r.o.Stall + time.Second)
			start := time.Now()
			for _, b := range blobs {
				r.check(b, body)
			}
			if took := time.Since(start); took > 0 {
				t.Errorf("readers still wait for the disk: %v", took)
			}
			if len(r.damages) > 0 {
				t.Errorf("a hanging disk is not damage: %v", r.damages[0])
			}
			close(g.open)
			synctest.Wait()
			r.get(blobs[0], 0, 1)
			if n := len(r.s.disks[2].reads.places); n != 0 {
				t.Errorf("%d places are not given back", n)
			}
			r.s.Close()
		})
	}
}

// A disk that takes no writes gets no new shards, even if every client gives up
// before the stall limit, and nothing piles up behind it.
func TestHangingWrites(t *testing.T) {
	for _, size := range []int{100, 5000, 100000} {
		synctest.Test(t, func(t *testing.T) {
			r, g := hangingRig(t, errorfs.OpFileWriteAt)
			body := bytesOf(1, size)
			for range 12 { // every disk is warm
				r.put(body)
			}
			synctest.Wait()
			g.shut()
			try := func() (*event.Blob, error) {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				return r.s.Put(ctx, bytes.NewReader(body), int64(size), PutOptions{})
			}
			for start := time.Now(); time.Since(start) < 2*r.o.Stall; {
				_, _ = try() // may wait for the disk and give up
				time.Sleep(100 * time.Millisecond)
			}
			synctest.Wait()
			before := runtime.NumGoroutine()
			for range 100 {
				start := time.Now()
				b, err := try()
				if took := time.Since(start); err != nil || took > time.Second {
					t.Fatalf("after %v: %v", took, err)
				}
				for _, sh := range b.Shards {
					if sh.Disk == 2 {
						t.Fatal("a shard on the disk that hangs")
					}
				}
				time.Sleep(time.Second)
			}
			synctest.Wait()
			if n := runtime.NumGoroutine(); n > before+10 { // the runtime has some of its own
				t.Errorf("%d goroutines, %d before", n, before)
			}
			close(g.open)
			time.Sleep(avoidFor + time.Second)
			used := false
			for range 12 {
				for _, sh := range r.put(body).Shards {
					used = used || sh.Disk == 2
				}
			}
			if !used {
				t.Error("the disk answers again, but is not used")
			}
			r.s.Close()
		})
	}
}
