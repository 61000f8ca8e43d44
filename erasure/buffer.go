package erasure

import (
	"math/bits"
	"sync"
)

// headerRoom is what a buffer holds besides a cell's body, so that the shard's
// header and the cell's can be read with the body in one go.
const headerRoom = shardHeaderBytes + cellHeaderBytes

// buffer is a pooled slice: room for two headers and a power of two of body.
type buffer struct {
	b     []byte
	class int
}

// bufferPool lends buffers by size class. A buffer that some stuck reader or
// writer may still touch is not given back but left to the collector.
type bufferPool struct {
	classes [13]sync.Pool // 4 KiB << class of body: up to 16 MiB, MaxCell
}

// class returns the smallest class whose body holds n bytes.
func class(n int) int {
	if n <= blockBytes {
		return 0
	}
	return bits.Len(uint((n - 1) / blockBytes))
}

// get lends a buffer for a body of n bytes, at most MaxCell. Its content is
// whatever the last borrower left.
func (p *bufferPool) get(n int) *buffer {
	c := class(n)
	if b, ok := p.classes[c].Get().(*buffer); ok {
		return b
	}
	return &buffer{b: make([]byte, headerRoom+blockBytes<<c), class: c}
}

// put takes buffers back; nil ones are ignored.
func (p *bufferPool) put(bs ...*buffer) {
	for _, b := range bs {
		if b != nil {
			p.classes[b.class].Put(b)
		}
	}
}

// cost is what a buffer for a body of n bytes weighs.
func cost(n int) int64 { return int64(headerRoom + blockBytes<<class(n)) }
