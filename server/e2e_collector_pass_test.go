package server_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// read begins a read that stays open, or ends one.
func (w *collectorWorld) read() {
	if len(w.reads) > 2 || len(w.reads) > 0 && w.rng.IntN(2) == 0 {
		r := w.reads[0]
		w.reads = w.reads[1:]
		w.log("end a read")
		w.finish(r)
		return
	}
	keys := w.m.keys()
	if len(keys) == 0 {
		return
	}
	key := keys[w.rng.IntN(len(keys))]
	b := w.m.objects[key].blobs[0]
	w.log("begin a read of %s", key)
	r, err := w.p.node.OpenBlobForTest(context.Background(), b.blob)
	w.demand(err)
	_, err = io.ReadFull(r, make([]byte, 1))
	w.demand(err)
	w.reads = append(w.reads, &keptRead{r, b.body[1:]})
}

func (w *collectorWorld) finish(r *keptRead) {
	w.Helper()
	w.took["kept reads"]++
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, r.rest) {
		w.Errorf("a read that was open: %d bytes of %d: %v", len(got), len(r.rest), err)
	}
	w.demand(r.Close())
}

func (w *collectorWorld) look() {
	w.log("the collector looks for empty packs")
	for _, p := range w.packs {
		w.demand(p.Look())
	}
}

// act has what was seen released. A pack that is read may stay; without a read that
// is kept open nothing may.
func (w *collectorWorld) act() {
	w.log("the collector releases them")
	patience := time.Minute
	if len(w.reads) > 0 {
		patience = time.Millisecond
	}
	for _, p := range w.packs {
		if err := p.Act(w.Context(), patience); err != nil && (len(w.reads) == 0 || !errors.Is(err, context.DeadlineExceeded)) {
			w.Fatal(err)
		}
	}
}

// passes takes both passes that packs need to go; something comes in between.
func (w *collectorWorld) passes(between func()) {
	w.p.node.CollectForTest(w.Context())
	w.look()
	w.log("the grace of packs passes")
	w.clock.advance(w.m.packGrace + time.Second)
	w.look()
	between()
	w.act()
}

// reboot starts the node again, after a power cut or not.
func (w *collectorWorld) reboot(cut bool) {
	w.log("a restart; a power cut: %t", cut)
	for _, r := range w.reads {
		w.demand(r.Close())
	}
	w.reads = nil
	left := w.disk
	if cut {
		w.took["kills"]++
		left = w.cut()
	}
	w.p.close(w.T)
	w.disk = left
	w.open()
	w.m.restarted()
}

// cut is what a power cut leaves that comes while the collector works and bytes are
// stored: what was not synced is lost, or some of it is. Nothing that clients were told
// changes meanwhile.
func (w *collectorWorld) cut() (left *vfs.MemFS) {
	cfg := vfs.CrashCloneCfg{UnsyncedDataPercent: w.rng.IntN(101), RNG: rand.New(rand.NewPCG(w.rng.Uint64(), 0))}
	after := w.rng.IntN(60)
	var mu sync.Mutex
	strike := func() {
		mu.Lock()
		defer mu.Unlock()
		if after--; after < 0 && left == nil {
			left = w.disk.CrashClone(cfg)
		}
	}
	w.strike.Store(&strike)
	w.passes(func() {})
	_, err := w.p.node.StageForTest(w.Context(), w.body())
	w.strike.Store(nil)
	w.demand(err)
	if left != nil {
		w.took["kills in the middle"]++
	}
	after = 0
	strike()
	return left
}
