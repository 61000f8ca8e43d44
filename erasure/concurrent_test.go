package erasure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/wal/event"
)

// Many writers, readers and one who unlinks packs whose blobs are all deleted.
// Everything reads back exactly until it is deleted; nothing is left over at the
// end: no goroutine (the bubble would not end), no budget, no reader.
func TestConcurrentUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, vfs.NewMem(), 2, 2, 2)
		r.o.WriteBytes, r.o.ReadBytes = 400<<10, 200<<10
		r.o.OpenPacks = 4
		r.open()
		h := &herd{r: r, live: make(map[*event.Blob]uint64), put: make(chan struct{}, 1000)}
		var wg, writers sync.WaitGroup
		for w := range uint64(8) {
			writers.Go(func() { h.write(w, 40) })
			wg.Go(func() { h.read(w, 120) })
		}
		wg.Go(h.sweep)
		writers.Wait()
		close(h.put)
		wg.Wait()
		if h.swept < 20 {
			t.Errorf("only %d packs were unlinked", h.swept)
		}
		for b, seed := range h.live {
			r.check(b, bytesOf(seed, int(b.Size)))
		}
		for i, b := range []*budget{&r.s.writes.small, &r.s.writes.large, &r.s.reads.small, &r.s.reads.large} {
			if b.used != 0 {
				t.Errorf("budget %d: %d in use", i, b.used)
			}
		}
		for n, d := range r.s.disks {
			for _, h := range d.packs.handles {
				if h.refs != 0 {
					t.Errorf("disk %d: pack %v has %d readers", n, h.key, h.refs)
				}
			}
		}
		r.s.Close()
		h.judge(r.damages)
		for _, err := range h.errs {
			t.Error(err)
		}
	})
}

// judge fails the test for each damage but one: a reader that chose its blob
// before that was deleted, and opened it after its packs were unlinked, says that
// shards are missing.
func (h *herd) judge(damages []Damage) {
	live := make(map[BlobKey]bool)
	for b := range h.live {
		live[BlobKeyOf(b.Id)] = true
	}
	for _, d := range damages {
		if d.Reason != ReasonMissing || live[BlobKeyOf(d.Blob)] {
			h.fail("damage: %v", d)
		}
	}
}

// herd is the state of the concurrency test.
type herd struct {
	r    *rig
	mu   sync.Mutex
	live map[*event.Blob]uint64 // and the seed of its body
	errs []error

	put   chan struct{} // a token for each put; closed at the end
	swept int
}

func (h *herd) fail(format string, args ...any) {
	h.mu.Lock()
	h.errs = append(h.errs, fmt.Errorf(format, args...))
	h.mu.Unlock()
}

// write puts blobs, and deletes some.
func (h *herd) write(worker uint64, rounds int) {
	rng := rand.New(rand.NewPCG(worker, 1))
	for i := range rounds {
		n := int(sizes[rng.IntN(len(sizes))])
		seed := worker<<12 | uint64(i)
		size := int64(n)
		if rng.IntN(3) == 0 {
			size = -1
		}
		b, err := h.r.s.Put(context.Background(), bytes.NewReader(bytesOf(seed, n)), size, PutOptions{})
		if err != nil {
			h.fail("put: %v", err)
			return
		}
		h.mu.Lock()
		h.live[b] = seed
		if rng.IntN(2) == 0 {
			for victim := range h.live {
				delete(h.live, victim)
				break
			}
		}
		h.mu.Unlock()
		h.put <- struct{}{}
	}
}

// read reads ranges of blobs. A blob that is deleted meanwhile may fail, but
// never with wrong bytes.
func (h *herd) read(worker uint64, rounds int) {
	rng := rand.New(rand.NewPCG(worker, 2))
	for range rounds {
		h.mu.Lock()
		var b *event.Blob
		var seed uint64
		for b, seed = range h.live {
			break
		}
		h.mu.Unlock()
		if b == nil {
			runtime.Gosched()
			continue
		}
		off := rng.Uint64N(b.Size)
		length := rng.Uint64N(b.Size - off + 1)
		got, err := h.r.get(b, off, length)
		want := bytesOf(seed, int(b.Size))[off : off+length]
		h.mu.Lock()
		_, alive := h.live[b]
		h.mu.Unlock()
		if err != nil && alive || err == nil && !bytes.Equal(got, want) {
			h.fail("read of blob %v: %v", b.Id, err)
		}
	}
}

// sweep unlinks the sealed packs without live shards. The blobs that writers
// hold and have not told of yet keep theirs: it looks only at packs of blobs
// that it saw live.
func (h *herd) sweep() {
	type pack struct {
		disk uint32
		key  PackKey
	}
	seen := make(map[pack]bool)
	for range h.put {
		h.mu.Lock()
		held := make(map[pack]bool)
		for b := range h.live {
			for _, sh := range b.Shards {
				p := pack{sh.Disk, PackKeyOf(sh.Pack)}
				held[p], seen[p] = true, true
			}
		}
		h.mu.Unlock()
		for p := range seen {
			// Packs of several shards may hold one that is not told of yet.
			single := p.key.Counter > 0 && h.single(p.disk, p.key)
			if !held[p] && single {
				if err := h.r.s.Unlink(context.Background(), p.disk, p.key.ID()); err != nil && !errors.Is(err, ErrPackOpen) {
					h.fail("unlink: %v", err)
				}
				delete(seen, p)
				h.swept++
			}
		}
	}
}

// single tells whether a pack is one shard's own.
func (h *herd) single(disk uint32, k PackKey) bool {
	f, err := h.r.fs.Open(h.r.s.disks[disk].packs.path(k))
	if err != nil {
		return false
	}
	defer f.Close()
	b := make([]byte, packHeaderBytes)
	if _, err := io.ReadFull(f, b); err != nil {
		return false
	}
	head, err := decodePackHeader(b)
	return err == nil && head.size == 0
}

// Close while puts and reads run: they end with an error or a whole result, and
// nothing is left.
func TestCloseUnderUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, vfs.NewMem(), 6).open()
		body := bytesOf(1, 100000)
		b := r.put(body)
		rd, err := r.s.Open(t.Context(), b, 0, b.Size)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		puts := make(chan struct{}, 1000)
		for range 8 {
			wg.Go(func() {
				for range 100 {
					c, err := r.s.Put(t.Context(), bytes.NewReader(body), -1, PutOptions{})
					if err != nil {
						if !errors.Is(err, ErrClosed) && !errors.Is(err, context.Canceled) {
							t.Errorf("put: %v", err)
						}
						return
					}
					puts <- struct{}{}
					got, err := r.get(c, 0, c.Size)
					if err == nil && !bytes.Equal(got, body) {
						t.Error("wrong bytes")
					}
				}
			})
		}
		for range 20 {
			<-puts
		}
		r.s.Close()
		wg.Wait()
		if n, err := io.Copy(io.Discard, rd); err == nil && n != int64(len(body)) {
			t.Errorf("clean end after %d bytes", n)
		}
		rd.Close()
		rd.Close()
		if err := r.s.Close(); err != nil {
			t.Errorf("second close: %v", err)
		}
		if _, err := r.s.Open(t.Context(), b, 0, 1); !errors.Is(err, ErrClosed) {
			t.Errorf("open: %v", err)
		}
	})
}

// Large bodies wait for memory, and give it back when their client goes.
func TestWriteBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, vfs.NewMem(), 6)
		r.o.WriteBytes = 100 << 10 // of streams with 12 buffers of 4 KiB and a little: 2
		r.open()
		defer r.s.Close()
		begun := make(chan struct{}, 8)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				_, err := r.s.Put(t.Context(), &slowReader{begun: begun, stop: stop}, 100000, PutOptions{})
				if !errors.Is(err, errBroken) {
					t.Errorf("%v", err)
				}
			})
		}
		synctest.Wait()
		if n := len(begun); n != 1 {
			t.Errorf("%d bodies are read at a time", n)
		}
		if writing, reading := r.s.Buffered(); writing <= 0 || writing > 100<<10 || reading != 0 {
			t.Errorf("%d bytes are held to write, %d to read", writing, reading)
		}
		ctx, cancel := context.WithCancel(t.Context())
		wg.Go(func() {
			if _, err := r.s.Put(ctx, bytes.NewReader(nil), 100000, PutOptions{}); !errors.Is(err, context.Canceled) {
				t.Errorf("%v", err)
			}
		})
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(stop)
		wg.Wait()
		if b := &r.s.writes.large; b.used != 0 || len(b.waiters) != 0 {
			t.Errorf("%d bytes still held, %d waiters", b.used, len(b.waiters))
		}
		if writing, reading := r.s.Buffered(); writing != 0 || reading != 0 {
			t.Errorf("nobody writes, and %d bytes are held, and %d to read", writing, reading)
		}
	})
}

// Slow clients with large bodies hold all the memory there is for those, in both
// directions. Small objects are stored and read all the same.
func TestSmallBesideSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, vfs.NewMem(), 6)
		r.o.WriteBytes, r.o.ReadBytes = 1<<20, 1<<20
		r.open()
		defer r.s.Close()
		large := r.put(bytesOf(1, 100000))
		var readers []io.ReadCloser
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				rd, err := r.s.Open(ctx, large, 0, large.Size)
				if err == nil {
					readers = append(readers, rd) // of one bubble: one after the other
				}
			})
			synctest.Wait()
		}
		begun, stop := make(chan struct{}, 100), make(chan struct{})
		for range 40 {
			wg.Go(func() { r.s.Put(ctx, &slowReader{begun: begun, stop: stop}, 100000, PutOptions{}) })
		}
		synctest.Wait()
		if len(readers) == 100 || len(begun) == 40 {
			t.Fatal("there is memory for all of them")
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range 20 {
				body := bytesOf(uint64(i), 100)
				r.check(r.put(body), body)
			}
		}()
		synctest.Wait()
		select {
		case <-done:
		default:
			t.Error("small objects wait for slow clients")
		}
		cancel()
		close(stop)
		wg.Wait()
		for _, rd := range readers {
			rd.Close()
		}
		<-done
	})
}

// slowReader tells that it is read, and breaks off when it is told to.
type slowReader struct {
	begun chan struct{}
	stop  chan struct{}
}

func (s *slowReader) Read([]byte) (int, error) {
	s.begun <- struct{}{}
	<-s.stop
	return 0, errBroken
}

// Budgets are served in order, and one who leaves wakes those behind.
func TestBudgetOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &budget{total: 10}
		var order []int
		var mu sync.Mutex
		held, err := b.acquire(t.Context(), 50) // more than there is: all
		if err != nil || held != 10 {
			t.Fatal(held, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go b.acquire(ctx, 9)
		synctest.Wait()
		for i := range 3 {
			go func() {
				n, _ := b.acquire(context.Background(), 4)
				mu.Lock()
				order = append(order, i)
				mu.Unlock()
				b.release(n)
			}()
			synctest.Wait()
		}
		if _, ok := b.try(1); ok {
			t.Error("try passed the waiters")
		}
		b.release(4)
		synctest.Wait()
		if len(order) != 0 {
			t.Errorf("%v passed the first waiter", order)
		}
		cancel()
		synctest.Wait()
		if fmt.Sprint(order) != "[0 1 2]" {
			t.Errorf("order %v", order)
		}
		b.release(6)
		if b.used != 0 {
			t.Errorf("%d in use", b.used)
		}
	})
}
