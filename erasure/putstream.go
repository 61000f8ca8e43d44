package erasure

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"ironman/wal/digest"
	"ironman/wal/event"
)

// streamDepth is how many stripes of a large blob are in memory: one is read
// while the other is coded and written.
const streamDepth = 2

// stripe is a stripe on its way to the disks.
type stripe struct {
	number uint32
	plain  uint32
	digest [16]byte
	bufs   []*buffer
	bodies [][]byte
	owed   []atomic.Bool // by shard index: the writer has it and is not done with it
	left   atomic.Int32  // how many are owed, and one for the encoder
	done   chan struct{} // closed when left falls to 0
}

// lend gives the stripe to a shard writer.
func (t *stripe) lend(index int) {
	t.left.Add(1)
	t.owed[index].Store(true)
}

// back takes it from a shard writer, once.
func (t *stripe) back(index int) {
	if t.owed[index].CompareAndSwap(true, false) {
		t.release()
	}
}

func (t *stripe) release() {
	if t.left.Add(-1) == 0 {
		close(t.done)
	}
}

// pipeline writes a large blob: the caller reads the body into stripes, the
// encoder goroutine codes them, and one goroutine per shard writes its cells.
type pipeline struct {
	w        *blobWriter
	writers  []*shardWriter
	stripes  chan *stripe
	outcomes chan shardOutcome // one per shard writer, never blocks
	flight   [streamDepth]*stripe

	// Set before stripes is closed.
	commit bool
	size   uint64
}

// shardWriter writes one shard. It never waits for anything but its disk.
type shardWriter struct {
	p       *pipeline
	index   int
	in      chan *stripe
	failure atomic.Pointer[error] // why the shard is lost; it writes no more then
}

func (sw *shardWriter) fail(err error) {
	sw.failure.CompareAndSwap(nil, &err)
}

// putStream writes the shards while the body is being read.
func (w *blobWriter) putStream(ctx context.Context, r io.Reader) (*event.Blob, error) {
	p := w.newPipeline()
	p.start()
	return p.run(ctx, r)
}

func (w *blobWriter) newPipeline() *pipeline {
	w.begun = true
	n := int(w.K + w.M)
	p := &pipeline{
		w:        w,
		stripes:  make(chan *stripe, streamDepth),
		outcomes: make(chan shardOutcome, n),
	}
	for i := range n {
		// Room for every stripe there can be, so that a stuck writer never
		// stops the encoder.
		p.writers = append(p.writers, &shardWriter{p: p, index: i, in: make(chan *stripe, streamDepth+2)})
	}
	return p
}

// start starts the encoder and the writers; they end once stripes is closed.
func (p *pipeline) start() {
	p.w.s.calls.Add(len(p.writers) + 1)
	for _, sw := range p.writers {
		go sw.run()
	}
	go p.encode()
}

// run feeds the pipeline a body and waits for its shards.
func (p *pipeline) run(ctx context.Context, r io.Reader) (*event.Blob, error) {
	size, err := p.feed(ctx, r)
	p.commit, p.size = err == nil, size
	close(p.stripes)
	if err != nil {
		return nil, err // the goroutines clean up by themselves
	}
	got, err := p.collect(ctx)
	if err != nil {
		return nil, err
	}
	return p.w.row(size, got)
}

// feed reads the body to its end and returns its length.
func (p *pipeline) feed(ctx context.Context, r io.Reader) (size uint64, err error) {
	for n := uint32(0); ; n++ {
		slot := &p.flight[n%streamDepth]
		if err := p.await(ctx, *slot); err != nil {
			return 0, err
		}
		t, last, err := p.read(r, n, *slot)
		if err != nil {
			return 0, err
		}
		if t != nil {
			*slot = t
			size += uint64(t.plain)
			p.stripes <- t
		}
		if last {
			break
		}
	}
	for _, t := range p.flight {
		if err := p.await(ctx, t); err != nil {
			return 0, err
		}
		if t != nil {
			p.w.s.buffers.put(t.bufs...)
		}
	}
	return size, nil
}

// await waits until a stripe is written. Writers that take longer than the stall
// limit lose their shard; the stripe's buffers are then left to them.
func (p *pipeline) await(ctx context.Context, t *stripe) error {
	if t == nil || t.bufs == nil {
		return nil
	}
	limit := time.NewTimer(p.w.s.o.Stall)
	defer limit.Stop()
	select {
	case <-t.done:
	case <-ctx.Done():
		return ctx.Err()
	case <-limit.C:
		p.giveUp(t)
	}
	return p.enough()
}

// giveUp takes a stripe from the writers that still have it. If the encoder has not
// come to its end with it either (the whole process stood still for longer than
// the limit), its buffers are left to whoever has them: were they used again, the
// stripe would be written with the bytes of another and every checksum would match.
func (p *pipeline) giveUp(t *stripe) {
	for i := range t.owed {
		if t.owed[i].Load() {
			p.forsake(i)
		}
	}
	select {
	case <-t.done:
	default:
		t.bufs = nil
	}
}

// forsake gives up a shard whose writer is stuck. The stripes it may still read
// are taken from it, but their buffers are left to it.
func (p *pipeline) forsake(index int) {
	p.writers[index].fail(fmt.Errorf("%w: disk %d", ErrStalled, p.w.disks[index]))
	for _, t := range p.flight {
		if t != nil && t.owed[index].Load() {
			t.bufs = nil
			t.back(index)
		}
	}
}

// enough gives up early when too many shards are lost.
func (p *pipeline) enough() error {
	got := make([]shardOutcome, len(p.writers))
	for i, sw := range p.writers {
		if e := sw.failure.Load(); e != nil {
			got[i].err = *e
		}
	}
	err := p.w.enough(got)
	if err != nil {
		p.blame(got)
	}
	return err
}

func (p *pipeline) blame(got []shardOutcome) {
	for i, o := range got {
		o.index = i
		p.w.blame(o)
	}
}

// read reads the next stripe into the buffers of an older one that is written,
// if there is one. It returns no stripe where the body ended before, and whether
// this was the last.
func (p *pipeline) read(r io.Reader, n uint32, old *stripe) (t *stripe, last bool, err error) {
	w := p.w
	t = &stripe{number: n, done: make(chan struct{}), owed: make([]atomic.Bool, len(p.writers))}
	t.left.Store(1) // the encoder
	if old != nil && old.bufs != nil {
		t.bufs = old.bufs
	} else {
		t.bufs = w.lease(w.buffersPerStripe(), int(w.Cell))
	}
	if w.size == UnknownSize {
		last, err = p.readUnknown(r, t)
	} else {
		last, err = p.readSized(r, t)
	}
	if err != nil {
		return nil, false, err
	}
	if t.plain == 0 {
		w.s.buffers.put(t.bufs...)
		t = nil
		if old != nil {
			old.bufs = nil // given back just now
		}
	}
	return t, last, nil
}

func (p *pipeline) readSized(r io.Reader, t *stripe) (last bool, err error) {
	l := p.w.layout()
	n := uint64(t.number)
	plain := l.PlainLength(n)
	t.plain = uint32(plain)
	t.bodies = p.w.bodies(t.bufs, int(l.CellLength(n)))
	if err := fill(r, t.bodies[:p.w.K], plain); err != nil {
		return false, err
	}
	if n+1 < l.Stripes() {
		return false, nil
	}
	return true, end(r)
}

// readUnknown reads a full stripe, or what is left of the body.
func (p *pipeline) readUnknown(r io.Reader, t *stripe) (last bool, err error) {
	t.bodies = p.w.bodies(t.bufs, int(p.w.Cell))
	cells := t.bodies[:p.w.K]
	var plain uint64
	for _, c := range cells {
		n, end, err := readFull(r, c)
		if err != nil {
			return false, err
		}
		plain += uint64(n)
		if end {
			last = true
			break
		}
	}
	if uint64(t.number) > maxBlob/p.w.layout().Stripe() || t.number == 1<<32-1 {
		return false, fmt.Errorf("%w: body is too long", ErrInvalid)
	}
	t.plain = uint32(plain)
	if last && plain > 0 {
		p.shorten(t)
	}
	return last, nil
}

// shorten lays the bytes of a short last stripe out in short cells: they were
// read before their number was known.
func (p *pipeline) shorten(t *stripe) {
	w := p.w
	size := int(cellLength(w.K, uint64(t.plain)))
	old := t.bufs
	var parts []io.Reader
	plain := int(t.plain)
	for _, c := range t.bodies[:w.K] {
		n := min(plain, len(c))
		parts = append(parts, &sliceReader{c[:n]})
		plain -= n
	}
	t.bufs = w.lease(w.buffersPerStripe(), size)
	t.bodies = w.bodies(t.bufs, size)
	// Reading from memory exactly what is there cannot fail.
	_ = fill(io.MultiReader(parts...), t.bodies[:w.K], uint64(t.plain))
	w.s.buffers.put(old...)
}

// encode codes the stripes and hands them to the shard writers.
func (p *pipeline) encode() {
	defer p.w.s.calls.Done()
	w := p.w
	for t := range p.stripes {
		t.digest = w.s.coder.digest(t.bodies[:w.K], uint64(t.plain))
		err := w.s.coder.encode(int(w.K), t.bodies)
		for _, sw := range p.writers {
			if err != nil {
				sw.fail(err)
			}
			if sw.failure.Load() == nil {
				t.lend(sw.index)
				sw.in <- t
			}
		}
		t.release()
	}
	for _, sw := range p.writers {
		close(sw.in)
	}
}

// run writes the shard, and commits it if all went well.
func (sw *shardWriter) run() {
	defer sw.p.w.s.calls.Done()
	stream, err := sw.open()
	if err != nil {
		sw.fail(err)
	}
	for t := range sw.in {
		if sw.failure.Load() == nil {
			body := t.bodies[sw.index]
			c := Cell{Stripe: t.number, Plain: t.plain, Digest: t.digest, CRC: digest.CRC32C(body), Body: body}
			if err := stream.WriteCell(&c); err != nil {
				sw.fail(err)
			}
		}
		t.back(sw.index)
	}
	out := shardOutcome{index: sw.index}
	if e := sw.failure.Load(); e != nil {
		out.err = *e
	}
	switch {
	case stream == nil:
	case out.err != nil || !sw.p.commit:
		stream.Abort()
	default:
		out.place, out.err = stream.Commit(sw.p.size)
	}
	if out.err == nil && !sw.p.commit {
		out.err = context.Canceled
	}
	sw.p.outcomes <- out
}

func (sw *shardWriter) open() (ShardStream, error) {
	w := sw.p.w
	t := w.s.target(w.disks[sw.index])
	if t == nil {
		return nil, fmt.Errorf("%w: no way to disk %d", ErrUnavailable, w.disks[sw.index])
	}
	return t.Stream(w.spec(sw.index))
}

// collect waits for the shards to become durable. One that stalls is lost.
func (p *pipeline) collect(ctx context.Context) ([]shardOutcome, error) {
	got := make([]shardOutcome, len(p.writers))
	waiting := make(map[int]bool)
	for i, sw := range p.writers {
		got[i] = shardOutcome{index: i, err: ErrStalled}
		if e := sw.failure.Load(); e != nil {
			got[i].err = *e
		} else {
			waiting[i] = true
		}
	}
	limit := time.NewTimer(p.w.s.o.Stall)
	defer limit.Stop()
	take := func(o shardOutcome) {
		if waiting[o.index] {
			got[o.index] = o
			delete(waiting, o.index)
		}
	}
	for over := false; len(waiting) > 0 && !over; {
		select {
		case o := <-p.outcomes:
			take(o)
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-limit.C:
			over = true
		}
	}
	for len(p.outcomes) > 0 { // those that came while the process stood still
		take(<-p.outcomes)
	}
	p.blame(got)
	return got, nil
}
