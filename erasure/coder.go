package erasure

import (
	"sync"

	"github.com/klauspost/reedsolomon"

	"ironman/wal/digest"
)

// coder turns data cells into parity cells and back. With k = 1 the parity cells
// are copies of the one data cell, and no arithmetic is done. Safe for concurrent
// use.
type coder struct {
	mu      sync.RWMutex
	codecs  map[[2]int]reedsolomon.Encoder
	hashers sync.Pool // of stripeHasher
}

// codec returns the Reed-Solomon code of k+m. The matrix (Vandermonde, made
// systematic) is part of the format.
func (c *coder) codec(k, m int) (reedsolomon.Encoder, error) {
	at := [2]int{k, m}
	c.mu.RLock()
	enc := c.codecs[at]
	c.mu.RUnlock()
	if enc != nil {
		return enc, nil
	}
	// One goroutine: a stripe takes some 50 us, less than handing its parts out.
	enc, err := reedsolomon.New(k, m, reedsolomon.WithMaxGoroutines(1))
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.codecs == nil {
		c.codecs = make(map[[2]int]reedsolomon.Encoder)
	}
	c.codecs[at] = enc
	return enc, nil
}

// encode fills the parity cells of a stripe: bodies[k:] are overwritten. All
// have one length. With k = 1 it lets them be the data cell itself.
func (c *coder) encode(k int, bodies [][]byte) error {
	m := len(bodies) - k
	if k == 1 {
		for i := range m {
			bodies[1+i] = bodies[0]
		}
		return nil
	}
	if m == 0 {
		return nil
	}
	enc, err := c.codec(k, m)
	if err != nil {
		return err
	}
	return enc.Encode(bodies)
}

// reconstruct fills in the data cells whose slices are empty, into their
// capacity. At least k of bodies are not empty.
func (c *coder) reconstruct(k int, bodies [][]byte) error {
	if k == 1 {
		for _, b := range bodies {
			if len(b) > 0 {
				bodies[0] = b
				return nil
			}
		}
		return reedsolomon.ErrTooFewShards
	}
	enc, err := c.codec(k, len(bodies)-k)
	if err != nil {
		return err
	}
	return enc.ReconstructData(bodies)
}

// stripeHasher hashes the first plain bytes of consecutive cells.
type stripeHasher func(cells [][]byte, plain uint64) [16]byte

func newStripeHasher() stripeHasher {
	h := digest.NewXXH3()
	return func(cells [][]byte, plain uint64) [16]byte {
		h.Reset()
		for _, c := range cells {
			c = c[:min(uint64(len(c)), plain)]
			h.Write(c)
			plain -= uint64(len(c))
		}
		return h.Sum128().Bytes()
	}
}

// digest is the digest of a stripe's plain bytes, given its data cells.
func (c *coder) digest(cells [][]byte, plain uint64) [16]byte {
	if len(cells) == 1 {
		return digest.XXH3(cells[0][:plain])
	}
	h, ok := c.hashers.Get().(stripeHasher)
	if !ok {
		h = newStripeHasher()
	}
	defer c.hashers.Put(h)
	return h(cells, plain)
}
