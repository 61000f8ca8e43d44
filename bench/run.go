package bench

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// stage is one work on one endpoint: what its runs have in common.
type stage struct {
	work    work
	side    *side
	content *content
	objects int
	conns   int
	have    string // prefix of the objects that are there before a run
	batch   atomic.Int64
}

// key returns the key of one of the objects that are there before a run. Keys sort
// as their numbers do.
func (s *stage) key(i int) string {
	b := append(make([]byte, 0, len(s.have)+8), s.have...)
	for d := 10_000_000; d > 0; d /= 10 {
		b = append(b, byte('0'+i/d%10))
	}
	return string(b)
}

// limits end a run: the first that is reached.
type limits struct {
	duration time.Duration
	requests int64
	store    int64 // bytes of objects
}

// grace is how long operations may still take after the end of a run.
const grace = 30 * time.Second

var errGrace = fmt.Errorf("no answer %v after the end of the run", grace)

// run is one measured stretch of one work on one endpoint. The counters may be read
// while it goes on; everything else after do.
type run struct {
	stage *stage
	tag   string // part of the keys that it stores
	limits
	deadline time.Time

	admitted, written, done, failed atomic.Int64

	workers []*worker
	elapsed time.Duration
}

// worker does one operation after another. Only its own goroutine uses it.
type worker struct {
	*stage
	number int
	prefix string // of the keys it stores
	next   int
	rng    *rand.Rand
	buf    []byte
	page   bytes.Buffer
	keys   []string // scratch

	stored []string // mixed: what it may delete
	sample [2]string
	listed int // list: keys before the page that token names
	token  string

	latency  histogram
	moved    moved
	errors   int64
	corrupt  int64
	messages map[string]int64
}

// maxMessages bounds the different errors that a worker tells apart.
const maxMessages = 8

func (s *stage) newWorker(number int, tag string, seed uint64) *worker {
	buffer := window
	if n := s.work.size; n > 0 {
		buffer = int(min(n+1, window)) // one more shows that an object is too long
	}
	return &worker{
		stage: s, number: number, prefix: s.side.prefix + s.work.name + "/" + tag + "/" + strconv.Itoa(number) + "-",
		rng: rand.New(rand.NewPCG(seed, uint64(number))), buf: make([]byte, buffer), messages: make(map[string]int64),
	}
}

// newKey returns a key that was not used before.
func (w *worker) newKey() string {
	w.next++
	return w.prefix + strconv.Itoa(w.next)
}

// wrote remembers the first and the last key, to be looked at after the run.
func (w *worker) wrote(key string) {
	if w.work.size == 0 {
		w.stored = append(w.stored, key)
		w.sample[1] = key // earlier ones may be deleted
		return
	}
	if w.sample[0] == "" {
		w.sample[0] = key
	} else {
		w.sample[1] = key
	}
}

// samples returns up to 32 keys to be looked at.
func (r *run) samples() []string {
	var keys []string
	for _, w := range r.workers {
		for _, k := range w.sample {
			if k != "" && len(keys) < 32 {
				keys = append(keys, k)
			}
		}
	}
	return keys
}

// do runs until a limit is reached or ctx ends. It returns when no operation is in
// flight.
func (r *run) do(ctx context.Context, seed uint64) {
	s := r.stage
	s.batch.Store(0)
	limited, cancel := context.WithTimeoutCause(ctx, r.duration+grace, errGrace)
	defer cancel()
	for i := range s.conns {
		r.workers = append(r.workers, s.newWorker(i, r.tag, seed))
	}
	start := time.Now()
	r.deadline = start.Add(r.duration)
	var all sync.WaitGroup
	for _, w := range r.workers {
		all.Go(func() { r.work(ctx, limited, w) })
	}
	all.Wait()
	r.elapsed = time.Since(start)
}

// work is a worker's life. stop is the caller's, ctx has the end of the grace too.
func (r *run) work(stop, ctx context.Context, w *worker) {
	failures := 0
	for ctx.Err() == nil && r.written.Load() < r.store && r.admitted.Add(1) <= r.requests {
		start := time.Now()
		if !start.Before(r.deadline) {
			return
		}
		m, err := w.work.operate(ctx, w)
		if err == errDone {
			return
		}
		if err != nil {
			if stop.Err() != nil {
				return // no fault of the endpoint
			}
			w.fail(err)
			r.failed.Add(1)
			failures++
			pause(ctx, failures, r.deadline)
			continue
		}
		failures = 0
		w.latency.record(time.Since(start))
		w.moved.bytes += m.bytes
		w.moved.items += m.items
		if m.written > 0 {
			r.written.Add(m.written)
		}
		r.done.Add(1)
	}
}

// fail counts an error.
func (w *worker) fail(err error) {
	w.errors++
	if isCorruption(err) {
		w.corrupt++
	}
	m := clip(err.Error(), 300)
	if _, ok := w.messages[m]; !ok && len(w.messages) >= maxMessages {
		m = "other errors"
	}
	w.messages[m]++
}

// pause waits after the n-th failure in a row: 1 ms, 2 ms, ... half a second, so
// that a dead endpoint costs no processor. It ends with ctx, and at the deadline.
func pause(ctx context.Context, n int, deadline time.Time) {
	sleep(ctx, min(time.Millisecond<<min(n-1, 9), 500*time.Millisecond, time.Until(deadline)))
}

// sleep waits for d or for the end of ctx.
func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// tally is what all workers of a run counted.
type tally struct {
	latency  histogram
	moved    moved
	errors   int64
	corrupt  int64
	messages map[string]int64
}

// tally adds up the workers.
func (r *run) tally() *tally {
	t := &tally{messages: make(map[string]int64)}
	for _, w := range r.workers {
		t.latency.merge(&w.latency)
		t.moved.bytes += w.moved.bytes
		t.moved.items += w.moved.items
		t.errors += w.errors
		t.corrupt += w.corrupt
		for m, n := range w.messages {
			t.messages[m] += n
		}
	}
	return t
}
