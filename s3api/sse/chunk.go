package sse

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"ironman/wal/event"
)

const (
	chunkBytes  = event.SealedChunkBytes
	sealedBytes = event.SealedChunkBytes + event.SealedTagBytes
	nonceBytes  = 12
)

// ErrDamaged says that sealed bytes are not what was sealed under this key, or
// not in this place.
var ErrDamaged = errors.New("sse: sealed bytes do not authenticate")

// errShort says that sealed bytes ended early.
var errShort = errors.New("sse: sealed bytes end before their length")

// nonce is that of a chunk.
func nonce(number uint64, last bool) (n [nonceBytes]byte) {
	binary.BigEndian.PutUint64(n[3:11], number)
	if last {
		n[11] = 1
	}
	return n
}

// Range is where a range of plain bytes lies in a sealed blob: in whole chunks.
type Range struct {
	Offset, Length int64 // of the sealed bytes that must be read

	first, final uint64 // number of the first chunk, and of the blob's last one
	skip, plain  int64  // plain bytes before the range in the first chunk, and in the range
}

// Locate finds a range of plain bytes, which must not be empty, in a sealed blob.
func Locate(sealed, offset, length int64) (Range, error) {
	plain, ok := event.PlainSize(uint64(max(sealed, 0)))
	if !ok || offset < 0 || length <= 0 || offset > int64(plain) || length > int64(plain)-offset {
		return Range{}, fmt.Errorf("sse: no range of %d bytes at %d in a sealed blob of %d", length, offset, sealed)
	}
	first, last := offset/chunkBytes, (offset+length-1)/chunkBytes
	from, to := first*sealedBytes, min((last+1)*sealedBytes, sealed)
	return Range{
		Offset: from, Length: to - from, first: uint64(first), final: (plain - 1) / chunkBytes,
		skip: offset - first*chunkBytes, plain: length,
	}, nil
}

// Pool keeps buffers of chunks. The zero Pool is ready.
type Pool struct{ buffers sync.Pool }

// get gives a buffer of a sealed chunk's length.
func (p *Pool) get() *[sealedBytes]byte {
	if b, ok := p.buffers.Get().(*[sealedBytes]byte); ok {
		return b
	}
	return new([sealedBytes]byte)
}

func (p *Pool) put(b *[sealedBytes]byte) {
	if b != nil {
		p.buffers.Put(b)
	}
}
