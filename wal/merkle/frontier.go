package merkle

import (
	"fmt"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"

	"ironman/wal/digest"
)

// MaxSize bounds the leaves of a log. tlog counts in int64; no log gets there.
const MaxSize = 1 << 62

// maxLevels is the number of complete subtrees a log of MaxSize may end in.
const maxLevels = 63

// Frontier is the right edge of a Merkle log: the roots of the complete
// subtrees that its leaves fall into, largest first as the bits of its size.
// The zero value is the empty log. It is a plain value: assignment copies it,
// and copies share nothing. Not safe for concurrent use.
type Frontier struct {
	size uint64
	// nodes[l] is the root of the complete subtree of 2^l leaves; it means
	// something only while bit l of size is set, and is zero otherwise, so that
	// frontiers can be compared with ==.
	nodes [maxLevels]tlog.Hash
}

// New returns the frontier of the empty log.
func New() *Frontier { return &Frontier{} }

// Load returns the frontier of the first size leaves of a stored log, from the
// hashes that r reads. It does not check them: compare Root with one that is known.
func Load(size uint64, r tlog.HashReader) (*Frontier, error) {
	if size > MaxSize {
		return nil, fmt.Errorf("%w: log of %d leaves", ErrMalformed, size)
	}
	indexes := make([]int64, 0, bits.OnesCount64(size))
	for l := maxLevels - 1; l >= 0; l-- {
		if size>>l&1 == 1 {
			indexes = append(indexes, tlog.StoredHashIndex(l, int64(size>>l-1)))
		}
	}
	hashes, err := r.ReadHashes(indexes)
	if err != nil {
		return nil, err
	}
	if len(hashes) != len(indexes) {
		return nil, fmt.Errorf("merkle: asked for %d hashes, got %d", len(indexes), len(hashes))
	}
	f := &Frontier{size: size}
	for l := maxLevels - 1; l >= 0; l-- {
		if size>>l&1 == 1 {
			f.nodes[l], hashes = hashes[0], hashes[1:]
		}
	}
	return f, nil
}

// Append adds a leaf.
func (f *Frontier) Append(leaf []byte) { f.AppendHash(tlog.RecordHash(leaf)) }

// AppendHash adds a leaf by its RFC 6962 hash (tlog.RecordHash of its bytes).
func (f *Frontier) AppendHash(h tlog.Hash) {
	l := bits.TrailingZeros64(^f.size) // so many complete subtrees merge
	for i := range l {
		h = tlog.NodeHash(f.nodes[i], h)
		f.nodes[i] = tlog.Hash{}
	}
	f.nodes[l] = h
	f.size++
}

// Whole returns the frontier of the leaves that fill complete subtrees of 2^level
// leaves: the first Size()>>level<<level of them. It shares nothing with f.
func (f *Frontier) Whole(level int) *Frontier {
	w := &Frontier{size: f.size >> level << level}
	copy(w.nodes[level:], f.nodes[level:])
	return w
}

// Size is the number of leaves.
func (f *Frontier) Size() uint64 { return f.size }

// Root is the Merkle tree hash of all leaves. That of the empty log is the
// SHA-256 of nothing.
func (f *Frontier) Root() tlog.Hash {
	if f.size == 0 {
		return tlog.Hash(digest.SHA256())
	}
	l := bits.TrailingZeros64(f.size)
	h := f.nodes[l]
	for l++; l < maxLevels; l++ {
		if f.size>>l&1 == 1 {
			h = tlog.NodeHash(f.nodes[l], h)
		}
	}
	return h
}

// Clone returns a copy that shares nothing with f.
func (f *Frontier) Clone() *Frontier {
	c := *f
	return &c
}
