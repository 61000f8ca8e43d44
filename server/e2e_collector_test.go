package server_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"ironman/server"
	"ironman/wal/event"
)

// TestCollector has a node and its collector compared with a model, over random steps
// of clients, clock and power. After each step everything that is referenced, or that
// a grace protects, can be read byte for byte; in the end the disks hold the packs
// of what is referenced, and nothing else. Seeds are fixed, so that a run can be
// repeated: IRONMAN_SEED names one, IRONMAN_LONG makes it many.
func TestCollector(t *testing.T) {
	t.Parallel()
	from, runs := uint64(1), uint64(12)
	switch {
	case os.Getenv("IRONMAN_LONG") != "":
		runs = 300
	case testing.Short():
		runs = 2
	}
	if v := os.Getenv("IRONMAN_SEED"); v != "" {
		if _, err := fmt.Sscan(v, &from); err != nil {
			t.Fatal(err)
		}
		runs = 1
	}
	took := make(map[string]int)
	for seed := from; seed < from+runs && !t.Failed(); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { collectorRun(t, seed, took) })
	}
	t.Log(took)
	for _, s := range []string{"late: accepted", "late: REFUSAL_BLOB_FENCED", "late: REFUSAL_PACK_RELEASED", "kept reads", "kills", "kills in the middle"} {
		if took[s] == 0 && runs >= 12 && !t.Failed() {
			t.Errorf("%q never came: this shows little", s)
		}
	}
}

// collectorWorld is a node, its disks, and the model of both.
type collectorWorld struct {
	*testing.T
	rng   *rand.Rand
	clock *testClock
	disk  *vfs.MemFS
	p     *inProcess
	packs []*server.PackCollectorForTest
	m     *collectorModel
	reads []*keptRead
	took  map[string]int
	steps []string
	seeds uint64
	// strike is called before each operation that changes the disk, if it is set.
	strike atomic.Pointer[func()]
}

// keptRead is a read of a blob that is in its middle.
type keptRead struct {
	io.ReadCloser
	rest []byte
}

func collectorRun(t *testing.T, seed uint64, took map[string]int) {
	w := &collectorWorld{
		T: t, rng: rand.New(rand.NewPCG(seed, 7)), clock: &testClock{}, disk: vfs.NewCrashableMem(),
		m: newCollectorModel(), took: took,
	}
	defer func() {
		if t.Failed() {
			t.Logf("the steps were:\n%s", strings.Join(w.steps, "\n"))
		}
	}()
	w.open()
	w.client().must(t, 200, "PUT", "/collected", nil)
	for i := range 60 {
		w.step()
		w.checkAfter(i)
		if t.Failed() {
			return
		}
	}
	w.quiesce()
}

func (w *collectorWorld) open() {
	fs := errorfs.Wrap(w.disk, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if f := w.strike.Load(); f != nil && op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
			(*f)()
		}
		return nil
	}))
	w.p = openInProcess(w.T, fs, "/srv", func(o *server.Options) {
		o.Now, o.HistoryRetention, o.ReleaseGrace, o.PackGrace = w.clock.now, w.m.retention, w.m.grace, w.m.packGrace
		o.PackBytes, o.SegmentBytes = 64<<10, 64<<10
	})
	w.packs = nil
	for disk := range uint32(6) {
		w.packs = append(w.packs, w.p.node.PackCollectorForTest(disk+1))
	}
}

func (w *collectorWorld) client() *client {
	c := w.p.client()
	c.ahead = time.Duration(w.clock.ahead.Load())
	return c
}

// log notes a step, for whoever reads about a failure.
func (w *collectorWorld) log(format string, a ...any) {
	w.steps = append(w.steps, fmt.Sprintf(format, a...))
}

func (w *collectorWorld) demand(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *collectorWorld) key() string { return fmt.Sprint("k", w.rng.IntN(5)) }

// body is new bytes: few share a pack, more have one of their own, the most are more
// than a reader reads ahead.
func (w *collectorWorld) body() []byte {
	w.seeds++
	sizes := []int{300, 20_000, 40_000, 150_000, 150_000, 300, 20_000, 150_000, 150_000, 150_000, 20_000, 5 << 19}
	return content(w.seeds, sizes[w.rng.IntN(len(sizes))])
}

// step does one thing.
func (w *collectorWorld) step() {
	switch n := w.rng.IntN(100); {
	case n < 16:
		w.put()
	case n < 22:
		w.copy()
	case n < 30:
		w.delete()
	case n < 42:
		w.upload()
	case n < 45:
		w.failedPut()
	case n < 55:
		w.stage()
	case n < 65:
		w.late()
	case n < 69:
		w.giveUp()
	case n < 74:
		w.read()
	case n < 83:
		d := []time.Duration{20 * time.Second, 61 * time.Second, 5 * time.Minute, 8 * time.Minute, 8 * time.Minute}[w.rng.IntN(5)]
		w.log("the clock goes on by %v", d)
		w.clock.advance(d)
	case n < 86:
		w.look() // what comes before act is not seen
	case n < 89:
		w.act()
	case n < 93:
		w.log("a pass of the collector")
		w.p.node.CollectForTest(w.Context())
	case n < 96:
		w.passes(w.late) // between what it sees and what it does
	case n < 98:
		w.passes(func() {})
		w.late()
	default:
		w.reboot(w.rng.IntN(3) > 0)
	}
}

// named are the blobs that events named since the last time.
func (w *collectorWorld) named(body []byte) []*modelBlob {
	w.Helper()
	all, err := w.p.node.BlobsForTest()
	w.demand(err)
	for _, b := range all {
		if !slices.ContainsFunc(w.m.blobs, func(m *modelBlob) bool { return sameBlob(m.blob, b) }) {
			m := &modelBlob{blob: b, body: body}
			w.m.blobs = append(w.m.blobs, m)
			return []*modelBlob{m}
		}
	}
	w.Fatal("no event named the new blob")
	return nil
}

func sameBlob(a, b *event.Blob) bool {
	return a.Id.Incarnation == b.Id.Incarnation && a.Id.Counter == b.Id.Counter
}

func (w *collectorWorld) put() {
	key, body, now := w.key(), w.body(), w.clock.now()
	w.log("PUT %s, %d bytes", key, len(body))
	w.client().must(w.T, 200, "PUT", "/collected/"+key, body)
	w.m.set(key, &modelBody{blobs: w.named(body)}, now)
}

// failedPut is one whose bytes are stored, and which fails then.
func (w *collectorWorld) failedPut() {
	key, body := w.key(), w.body()
	w.log("PUT %s, %d bytes: fails", key, len(body))
	w.client().must(w.T, 400, "PUT", "/collected/"+key, body, header("Content-Md5", contentMD5(nil)))
}

func (w *collectorWorld) copy() {
	keys := w.m.keys()
	if len(keys) == 0 {
		return
	}
	from, to, now := keys[w.rng.IntN(len(keys))], w.key(), w.clock.now()
	if from == to {
		return
	}
	w.log("copy %s to %s", from, to)
	w.client().must(w.T, 200, "PUT", "/collected/"+to, nil, header("X-Amz-Copy-Source", "/collected/"+from))
	w.m.set(to, w.m.objects[from], now)
}

func (w *collectorWorld) delete() {
	key, now := w.key(), w.clock.now()
	w.log("DELETE %s", key)
	w.client().must(w.T, 204, "DELETE", "/collected/"+key, nil)
	w.m.set(key, nil, now)
}

// checkAfter checks after a step. Large blobs are not read after each: that would take
// most of the time, and one that is lost stays lost.
func (w *collectorWorld) checkAfter(step int) {
	w.Helper()
	most := 1 << 20
	if step%6 == 0 {
		most = math.MaxInt
	}
	w.check(most)
}

// check reads everything that must be there and is not longer than most.
func (w *collectorWorld) check(most int) {
	w.Helper()
	live := w.m.referenced()
	for _, b := range w.m.blobs {
		if len(b.body) > most || !live[b] && w.clock.now().After(b.keep) {
			continue
		}
		// One that is protected when its reading has ended was so all the time.
		if err := w.readBlob(b); err != nil && (live[b] || w.clock.now().Before(b.keep)) {
			w.Errorf("%v of %d bytes (referenced: %t, else kept until %v, now %v): %v", b.blob.Id, len(b.body), live[b], b.keep, w.clock.now(), err)
		}
	}
	keys := w.m.keys()
	if len(keys) == 0 {
		return
	}
	key := keys[w.rng.IntN(len(keys))] // one of them through the front: the bytes are known to be there
	if a := w.client().must(w.T, 200, "GET", "/collected/"+key, nil); !bytes.Equal(a.body, w.m.objects[key].bytes()) {
		w.Errorf("GET %s: %d bytes that are not the object's", key, len(a.body))
	}
}

func (w *collectorWorld) readBlob(b *modelBlob) error {
	r, err := w.p.node.OpenBlobForTest(w.Context(), b.blob)
	if err != nil {
		return err
	}
	got, err := io.ReadAll(r)
	if err == nil && !bytes.Equal(got, b.body) {
		err = errors.New("these are other bytes")
	}
	return errors.Join(err, r.Close())
}
