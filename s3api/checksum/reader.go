package checksum

import (
	"io"
	"sync"
)

const (
	// blockSize is how much MD5 takes at once: long enough (0.2 ms) that handing it over
	// costs nothing, short enough that MD5 starts early and stays in a core's cache.
	blockSize = 128 << 10
	// maxBlocks bounds how far MD5 may be behind, and so the memory of a Reader: 1 MiB,
	// the length of a stripe, so that MD5 has work while a consumer writes one.
	maxBlocks = 8
)

type block = [blockSize]byte

// Pool keeps blocks between bodies. The zero Pool is ready; one is shared by all
// Readers of a server. Safe for concurrent use; not to be copied.
type Pool struct{ blocks sync.Pool }

func (p *Pool) get() *block {
	if b, ok := p.blocks.Get().(*block); ok {
		return b
	}
	return new(block)
}

func (p *Pool) put(b *block) { p.blocks.Put(b) }

// Reader hands on the bytes of a body and computes its digests. For one goroutine at a
// time. It may be dropped at any time without being finished.
type Reader struct {
	body io.Reader
	d    *Digests
	pool *Pool

	deep   bool // MD5 goes through blocks
	blocks [maxBlocks]*block
	busy   [maxBlocks]Ticket // of the block of the same index
	cur    int               // the block that is being filled
	filled int               // bytes in it
}

// NewReader returns a Reader of a body.
func NewReader(body io.Reader, w Want, pool *Pool) *Reader {
	return &Reader{body: body, d: New(w), pool: pool, deep: w.Size > parallelMin}
}

// Read implements io.Reader. Errors are the body's. It waits for MD5 only when that
// is maxBlocks behind.
func (r *Reader) Read(p []byte) (int, error) {
	n, err := r.body.Read(p)
	r.add(p[:n])
	if err != nil {
		r.flush()
	}
	return n, err
}

// add hashes bytes that the caller may change afterwards.
func (r *Reader) add(p []byte) {
	if !r.deep && r.d.size+int64(len(p)) <= parallelMin {
		r.d.md5.Write(p)
		r.d.pass(p)
		return
	}
	r.deep = true
	for len(p) > 0 {
		if r.filled == 0 {
			r.busy[r.cur].Wait()
			if r.blocks[r.cur] == nil {
				r.blocks[r.cur] = r.pool.get()
			}
		}
		n := copy(r.blocks[r.cur][r.filled:], p)
		if r.filled += n; r.filled == blockSize {
			r.flush()
		}
		r.d.pass(p[:n]) // while MD5 already works
		p = p[n:]
	}
}

// flush gives MD5 what was filled.
func (r *Reader) flush() {
	if r.filled == 0 {
		return
	}
	r.busy[r.cur] = r.d.beginMD5(r.blocks[r.cur][:r.filled])
	r.cur, r.filled = (r.cur+1)%maxBlocks, 0
}

// Sums waits for MD5 and returns the digests of every byte that was read so far. It
// does not know whether the body ended there: its length does.
func (r *Reader) Sums() Sums {
	r.flush()
	s := r.d.Sums()
	for i, b := range r.blocks {
		if b != nil {
			r.pool.put(b)
			r.blocks[i], r.busy[i] = nil, Ticket{}
		}
	}
	return s
}
