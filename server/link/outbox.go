package link

import (
	"io"
	"runtime"
	"sync"
)

const (
	chunkBytes = 32 << 10
	// softLimit is the backlog above which a call or a stream waits before it adds a
	// frame, hardLimit the one that only a peer which reads nothing can bring about.
	softLimit = 256 << 10
	hardLimit = 2 * (softLimit + MaxCall)
)

// chunk is a piece of pooled memory. b[:n] is filled.
type chunk struct {
	n int
	b [chunkBytes]byte
}

// chunkPool lends chunks to all sessions of a link.
type chunkPool struct{ pool sync.Pool }

func (p *chunkPool) get() *chunk {
	if c, ok := p.pool.Get().(*chunk); ok {
		c.n = 0
		return c
	}
	return new(chunk)
}

func (p *chunkPool) put(c *chunk) { p.pool.Put(c) }

// outbox collects frames, and one goroutine writes what has come together since its
// last write. A frame is copied once, whole, in the order of its adding.
type outbox struct {
	pool *chunkPool
	work chan struct{} // has room for one token: there is work, or the end

	mu     sync.Mutex
	idle   bool     // the writer waits for a token, or is about to
	first  []byte   // small frames that go before all others
	chunks []*chunk // the others; all chunks but the last are full
	// backlog is the number of bytes in chunks; queued counts the bytes that were
	// ever put there, handed those that were given to the connection.
	// Invariant: handed + backlog <= queued, and equal unless the outbox was closed.
	backlog, queued, handed uint64
	room                    bell // rings when the backlog falls
	err                     error
}

func (o *outbox) init(pool *chunkPool) {
	o.pool, o.work = pool, make(chan struct{}, 1)
}

// tell wakes the writer. o.mu is held.
func (o *outbox) tell() {
	if o.idle {
		o.idle = false
		o.work <- struct{}{}
	}
}

// add queues a frame unless the backlog is too long; then full is closed when it is
// worth trying again. at is where the frame begins in the bytes ever queued.
func (o *outbox) add(h header, prefix []byte, parts ...[]byte) (at uint64, full <-chan struct{}, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.err != nil:
		return 0, nil, o.err
	case o.backlog >= softLimit:
		return 0, o.room.wait(), nil
	}
	return o.queue(h, prefix, parts...), nil, nil
}

// must queues a small frame whatever the backlog.
func (o *outbox) must(h header, payload []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.err != nil:
		return o.err
	case o.backlog >= hardLimit:
		return errFlood
	}
	o.queue(h, payload)
	return nil
}

// hurry queues a small frame before all that wait.
func (o *outbox) hurry(h header, payload []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.err != nil:
		return o.err
	case len(o.first) >= softLimit:
		return errFlood
	}
	o.first = appendFrame(o.first, h, payload)
	o.tell()
	return nil
}

func appendFrame(b []byte, h header, payload []byte) []byte {
	var head [headerBytes]byte
	h.put(&head)
	return append(append(b, head[:]...), payload...)
}

// queue copies a frame into the chunks. o.mu is held.
func (o *outbox) queue(h header, prefix []byte, parts ...[]byte) (at uint64) {
	at = o.queued
	var head [headerBytes]byte
	h.put(&head)
	o.put(head[:])
	o.put(prefix)
	for _, p := range parts {
		o.put(p)
	}
	o.tell()
	return at
}

func (o *outbox) put(p []byte) {
	o.queued += uint64(len(p))
	o.backlog += uint64(len(p))
	for len(p) > 0 {
		var c *chunk
		if n := len(o.chunks); n > 0 && o.chunks[n-1].n < chunkBytes {
			c = o.chunks[n-1]
		} else {
			c = o.pool.get()
			o.chunks = append(o.chunks, c)
		}
		n := copy(c.b[c.n:], p)
		c.n += n
		p = p[n:]
	}
}

// close makes every further frame fail with err and drops what was not given to
// the connection yet; farewell, if not nil, is written as the last thing. It
// returns how many bytes were given to the connection.
func (o *outbox) close(err error, farewell []byte) (handed uint64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.err = err
		o.first, o.chunks, o.backlog = farewell, nil, 0
		o.room.ring()
		o.tell()
	}
	return o.handed
}

// batch is what the writer has taken and writes now.
type batch struct {
	first  []byte
	chunks []*chunk
}

// take waits for frames and moves them all into b, which is empty. It returns false
// when the outbox is closed and its last frame was taken.
func (o *outbox) take(b *batch) bool {
	for {
		o.mu.Lock()
		if len(o.first)+len(o.chunks) > 0 {
			b.first, o.first = o.first, b.first[:0]
			b.chunks, o.chunks = o.chunks, b.chunks[:0]
			o.handed, o.backlog = o.queued, 0
			o.room.ring()
			o.mu.Unlock()
			return true
		}
		closed := o.err != nil
		o.idle = !closed
		o.mu.Unlock()
		if closed {
			return false
		}
		<-o.work
		// Whoever else is ready to run may have a frame too: one write instead of two.
		runtime.Gosched()
	}
}

// write writes b and gives its memory back.
func (o *outbox) write(w io.Writer, b *batch) error {
	if len(b.first) > 0 {
		if _, err := w.Write(b.first); err != nil {
			return err
		}
	}
	if cap(b.first) > chunkBytes {
		b.first = nil
	}
	for _, c := range b.chunks {
		if _, err := w.Write(c.b[:c.n]); err != nil {
			return err
		}
		o.pool.put(c)
	}
	clear(b.chunks)
	b.chunks = b.chunks[:0]
	return nil
}
