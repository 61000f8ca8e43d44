package ledger

import (
	"fmt"
	"iter"

	"golang.org/x/mod/sumdb/tlog"

	"ironman/wal/digest"
	"ironman/wal/event"
	"ironman/wal/merkle"
)

// Envelope reads the envelope of a sequence. Beyond Size: ErrNotArchived.
func (a *Archive) Envelope(seq uint64) ([]byte, error) {
	entries, err := a.Envelopes(seq)
	if err != nil {
		return nil, err
	}
	return entries[0], nil
}

// Envelopes reads the envelopes from a sequence to the end of its bundle. Beyond
// Size: ErrNotArchived.
func (a *Archive) Envelopes(seq uint64) ([][]byte, error) {
	if size := a.Size(); seq >= size {
		return nil, fmt.Errorf("%w: sequence %d of %d", ErrNotArchived, seq, size)
	}
	n, i := bundleOf(seq)
	entries, err := a.bundles.entries(n, BundleSize)
	if err != nil {
		return nil, err
	}
	return entries[i:], nil
}

// Payload reads the payload of a sequence. Beyond Size: ErrNotArchived.
func (a *Archive) Payload(seq uint64) (Payload, error) {
	if size := a.Size(); seq >= size {
		return Payload{}, fmt.Errorf("%w: sequence %d of %d", ErrNotArchived, seq, size)
	}
	n, i := bundleOf(seq)
	f, err := a.bundles.payloads(n, BundleSize)
	if err != nil {
		return Payload{}, err
	}
	defer f.Close()
	if err := f.skip(i); err != nil {
		return Payload{}, err
	}
	return f.read()
}

// Records reads the archive from a sequence to the Size it has now, bundle by
// bundle. It ends after the first error. What it gives stays valid.
func (a *Archive) Records(from uint64) iter.Seq2[Record, error] {
	size := a.Size()
	return func(yield func(Record, error) bool) {
		for from < size {
			n, i := bundleOf(from)
			if !a.bundles.records(n, i, yield) {
				return
			}
			from = (n + 1) * BundleSize
		}
	}
}

// records yields the records of the n-th bundle from the i-th on. It tells
// whether to go on.
func (b *bundles) records(n uint64, i int, yield func(Record, error) bool) bool {
	entries, err := b.entries(n, BundleSize)
	if err != nil {
		yield(Record{}, err)
		return false
	}
	payloads, err := b.payloads(n, BundleSize)
	if err != nil {
		yield(Record{}, err)
		return false
	}
	defer payloads.Close()
	if err := payloads.skip(i); err != nil {
		yield(Record{}, err)
		return false
	}
	for k := i; k < len(entries); k++ {
		p, err := payloads.read()
		if err != nil {
			yield(Record{}, err)
			return false
		}
		if !yield(Record{Seq: n*BundleSize + uint64(k), Envelope: entries[k], Payload: p}, nil) {
			return false
		}
	}
	return true
}

// hashes reads the hashes of a state's tree (not empty) and checks each against
// its root.
func (a *Archive) hashes(s *state) tlog.HashReader {
	return tlog.TileHashReader(s.tree, a.tiles(s))
}

func (a *Archive) tiles(s *state) *tiles {
	return &tiles{files: a.bundles.files, size: s.size(), levels: s.edge.levels}
}

// Tiles reads the tiles of the tree that is archived now, the partial ones of its
// right edge among them, for tlog.TileHashReader. Safe for concurrent use.
func (a *Archive) Tiles() tlog.TileReader { return a.tiles(a.state.Load()) }

// Tree is the head of the tree that is archived now.
func (a *Archive) Tree() tlog.Tree { return a.state.Load().tree }

// Frontier is the right edge of the tree that is archived now.
func (a *Archive) Frontier() *merkle.Frontier { return a.state.Load().edge.frontier.Clone() }

// Root is the Merkle root of the first size sequences, up to Size. Damaged tiles
// are an error, never a wrong root.
func (a *Archive) Root(size uint64) (tlog.Hash, error) { return a.root(a.state.Load(), size) }

func (a *Archive) root(s *state, size uint64) (tlog.Hash, error) {
	switch {
	case size > s.size():
		return tlog.Hash{}, fmt.Errorf("%w: tree of %d leaves of %d", ErrNotArchived, size, s.size())
	case size == s.size():
		return s.tree.Hash, nil
	case size == 0:
		return tlog.Hash(digest.SHA256()), nil
	}
	return tlog.TreeHash(int64(size), a.hashes(s))
}

// Prove gives the proof that a sequence is in the tree of the first size
// sequences (tlog.CheckRecord checks it). Damaged tiles are an error, never a
// wrong proof.
func (a *Archive) Prove(seq, size uint64) (tlog.RecordProof, error) {
	s := a.state.Load()
	if size > s.size() || seq >= size {
		return nil, fmt.Errorf("%w: sequence %d in a tree of %d leaves of %d", ErrNotArchived, seq, size, s.size())
	}
	return tlog.ProveRecord(int64(size), int64(seq), a.hashes(s))
}

// Consistency gives the proof that the tree of the first from sequences (at least
// 1) is a prefix of that of the first to (tlog.CheckTree checks it).
func (a *Archive) Consistency(from, to uint64) (tlog.TreeProof, error) {
	s := a.state.Load()
	if to > s.size() || from > to {
		return nil, fmt.Errorf("%w: from %d to %d leaves of %d", ErrNotArchived, from, to, s.size())
	}
	if from == 0 {
		return nil, fmt.Errorf("%w: every tree is consistent with the empty one", event.ErrMalformed)
	}
	return tlog.ProveTree(int64(to), int64(from), a.hashes(s))
}
