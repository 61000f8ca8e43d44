package erasure

import (
	"context"
	"fmt"
	"io"

	"ironman/wal/event"
)

// Open returns a reader of length bytes of a blob, from off on. It is an
// io.WriterTo as well, which hands verified cells on without another copy. The
// first stripe is read and verified before Open returns, so that ErrUnavailable
// comes before the first byte where it can. Every byte is verified before it is
// returned; a failure after the first is an error that is not io.EOF.
//
// The reader is for one goroutine and must be closed. Until then its packs on
// this node are not unlinked. Reading ends with ctx.
func (s *Store) Open(ctx context.Context, b *event.Blob, off, length uint64) (io.ReadCloser, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	v, err := s.view(b)
	if err != nil {
		return nil, err
	}
	if off > b.Size || length > b.Size-off {
		return nil, fmt.Errorf("%w: bytes %d+%d of a blob of %d", ErrInvalid, off, length, b.Size)
	}
	ctx, stop := s.bound(ctx)
	r := &reader{s: s, v: v, ctx: ctx, stop: stop, at: off, end: off + length}
	if length == 0 {
		return r, nil
	}
	r.hold()
	if err := r.advance(); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// reader reads a range of a blob, one stripe at a time, the next one ahead.
type reader struct {
	s    *Store
	v    *blobView
	ctx  context.Context
	stop func()
	held []*handle // packs of this node
	at   uint64    // of the blob: the next byte that is not in rest
	end  uint64

	cur  *fetched      // whose bytes are being read
	rest [][]byte      // of cur: what was not read yet
	next chan *fetched // the stripe being read ahead; nil: none
	err  error         // sticks
}

// fetched is a stripe, or why there is none.
type fetched struct {
	stripe *plainStripe
	from   uint64 // of the blob
	to     uint64
	budget int64
	err    error
}

// hold keeps the packs of this node's shards from being unlinked. A pack that is
// gone shows when it is read.
func (r *reader) hold() {
	for i := range r.v.shards {
		ref := &r.v.shards[i]
		if ref.local == nil {
			continue
		}
		if h, err := ref.local.packs.hold(ref.place.Pack); err == nil {
			ref.held = h
			r.held = append(r.held, h)
		}
	}
}

// letGo ends what hold began.
func (r *reader) letGo() {
	for i, h := range r.held {
		h.table.release(h)
		r.held[i] = nil
	}
	r.held = nil
}

// span is the part of the range that lies in the stripe of byte at.
func (r *reader) span(at uint64) (stripe, from, to uint64) {
	size := r.v.layout.Stripe()
	stripe = at / size
	return stripe, at, min(r.end, (stripe+1)*size)
}

// weight is the bytes of buffers that a fetch of a span takes if nothing fails.
// What a reconstruction takes on top is not waited for: it would be held while
// waiting.
func (r *reader) weight(stripe, from, to uint64) int64 {
	base := stripe * r.v.layout.Stripe()
	return int64(len(r.v.wanted(stripe, from-base, to-base))) * cost(int(r.v.layout.CellLength(stripe)))
}

// fetch reads the span at byte at, for which budget bytes are held already.
func (r *reader) fetch(at uint64, budget int64) *fetched {
	stripe, from, to := r.span(at)
	f := &fetched{from: from, to: to, budget: budget}
	if f.err = r.s.enter(); f.err == nil {
		base := stripe * r.v.layout.Stripe()
		f.stripe, f.err = r.s.fetch(r.ctx, r.v, stripe, from-base, to-base)
		r.s.calls.Done()
	}
	if f.err != nil {
		r.s.reads.release(budget)
		f.budget = 0
	}
	return f
}

// advance makes the next stripe current. r.at < r.end.
func (r *reader) advance() error {
	r.drop()
	var f *fetched
	if r.next != nil {
		f = <-r.next
		r.next = nil
	} else {
		budget, err := r.s.reads.acquire(r.ctx, r.weight(r.span(r.at)))
		if err != nil {
			return err
		}
		f = r.fetch(r.at, budget)
	}
	if f.err != nil {
		return f.err
	}
	r.cur = f
	r.rest = r.cut(f)
	r.at = f.to
	if r.at == r.end {
		r.letGo() // everything is in memory
	} else {
		r.readAhead()
	}
	return nil
}

// readAhead begins to read the next stripe, if there is memory to spare: a
// reader never waits for memory while it holds some.
func (r *reader) readAhead() {
	budget, ok := r.s.reads.try(r.weight(r.span(r.at)))
	if !ok {
		return
	}
	if err := r.s.enter(); err != nil {
		r.s.reads.release(budget)
		return
	}
	next := make(chan *fetched, 1)
	r.next = next
	at := r.at
	go func() {
		defer r.s.calls.Done()
		next <- r.fetch(at, budget)
	}()
}

// cut returns the bytes of a fetched span, cell by cell.
func (r *reader) cut(f *fetched) (rest [][]byte) {
	stripe, from, to := r.span(f.from)
	base := stripe * r.v.layout.Stripe()
	size := uint64(r.v.layout.CellLength(stripe))
	for i, c := range f.stripe.cells {
		start := base + uint64(i)*size
		lo, hi := max(from, start), min(to, start+size)
		if lo < hi {
			rest = append(rest, c[lo-start:hi-start])
		}
	}
	return rest
}

// drop gives back the current stripe.
func (r *reader) drop() {
	if r.cur != nil {
		r.cur.stripe.release(&r.s.buffers)
		r.s.reads.release(r.cur.budget)
		r.cur, r.rest = nil, nil
	}
}

// more makes sure that there are bytes in rest; io.EOF at the end.
func (r *reader) more() error {
	for len(r.rest) == 0 {
		switch {
		case r.err != nil:
		case r.at == r.end:
			r.drop()
			r.err = io.EOF
		default:
			r.err = r.advance()
		}
		if r.err != nil {
			return r.err
		}
	}
	return nil
}

// Read implements io.Reader.
func (r *reader) Read(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := r.more(); err != nil {
		return 0, err
	}
	for n < len(p) && len(r.rest) > 0 {
		c := copy(p[n:], r.rest[0])
		n += c
		if r.rest[0] = r.rest[0][c:]; len(r.rest[0]) == 0 {
			r.rest = r.rest[1:]
		}
	}
	return n, nil
}

// WriteTo implements io.WriterTo: it writes whole cells.
func (r *reader) WriteTo(w io.Writer) (n int64, err error) {
	for {
		if err := r.more(); err == io.EOF {
			return n, nil
		} else if err != nil {
			return n, err
		}
		c, err := w.Write(r.rest[0])
		n += int64(c)
		if err == nil && c < len(r.rest[0]) {
			err = io.ErrShortWrite
		}
		if r.rest[0] = r.rest[0][c:]; len(r.rest[0]) == 0 {
			r.rest = r.rest[1:]
		}
		if err != nil {
			return n, err
		}
	}
}

// Close gives everything back. It does not wait for a disk that hangs.
func (r *reader) Close() error {
	r.err = ErrClosed
	r.stop() // ends a fetch under way, whose reads may go on without it
	r.drop()
	if r.next != nil {
		if f := <-r.next; f.err == nil {
			f.stripe.release(&r.s.buffers)
			r.s.reads.release(f.budget)
		}
		r.next = nil
	}
	r.letGo()
	return nil
}
