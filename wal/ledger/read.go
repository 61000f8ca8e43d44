package ledger

import (
	"errors"
	"fmt"
	"iter"

	"github.com/cockroachdb/pebble/v2/vfs"
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
		return nil, a.orDropped(seq, err)
	}
	return entries[i:], nil
}

// OpenFile opens a file of the archive as it is: a full bundle or a full tile. What is erased
// meanwhile takes the place of the file, not of what was opened.
func (a *Archive) OpenFile(rel string) (f vfs.File, size int64, err error) {
	if !fullFile.MatchString(rel) {
		return nil, 0, fmt.Errorf("ledger: %q is no full bundle or tile", rel)
	}
	return a.bundles.open(rel)
}

// orDropped tells why a record could not be read.
func (a *Archive) orDropped(seq uint64, err error) error {
	if kept := a.kept.Load(); seq < kept {
		return fmt.Errorf("%w: sequence %d; those from %d on are", ErrDropped, seq, kept)
	}
	return err
}

// Payload reads the payload of a sequence. Beyond Size: ErrNotArchived.
func (a *Archive) Payload(seq uint64) (Payload, error) {
	if size := a.Size(); seq >= size {
		return Payload{}, fmt.Errorf("%w: sequence %d of %d", ErrNotArchived, seq, size)
	}
	n, i := bundleOf(seq)
	f, err := a.bundles.payloads(n, BundleSize)
	if err != nil {
		return Payload{}, a.orDropped(seq, err)
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
			if !a.bundles.records(n, BundleSize, i, func(r Record, err error) bool {
				if err != nil {
					err = a.orDropped(n*BundleSize, err)
				}
				return yield(r, err)
			}) {
				return
			}
			from = (n + 1) * BundleSize
		}
	}
}

// records yields the records of the n-th bundle, of width entries, from the i-th on. It
// tells whether to go on.
func (b *bundles) records(n uint64, width, i int, yield func(Record, error) bool) bool {
	entries, err := b.entries(n, width)
	if err != nil {
		yield(Record{}, err)
		return false
	}
	payloads, err := b.payloads(n, width)
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

// Follow checks that records join what is archived, each in its place and as its envelope
// says, and returns the right edge of the tree of both.
func (a *Archive) Follow(records []Record) (*merkle.Frontier, error) {
	s := a.state.Load()
	if len(records) > 0 && records[0].Seq != s.size() {
		return nil, fmt.Errorf("%w: sequence %d, size %d", ErrGap, records[0].Seq, s.size())
	}
	if err := dense(records, s.size()); err != nil {
		return nil, err
	}
	if _, err := checkAll(records, s.time); err != nil {
		return nil, err
	}
	f := s.edge.frontier.Clone()
	for i := range records {
		f.Append(records[i].Envelope)
	}
	return f, nil
}

// Grown is the tree of what is archived and of the records that follow it: a hash reader
// for proofs, and its head.
func (a *Archive) Grown(records []Record) (tlog.HashReader, tlog.Tree, error) {
	s := a.state.Load()
	if _, err := a.Follow(records); err != nil {
		return nil, tlog.Tree{}, err
	}
	g := &grown{}
	if s.size() > 0 {
		g.base, g.count = a.hashes(s), tlog.StoredHashCount(s.tree.N)
	}
	n := s.tree.N
	for i := range records {
		more, err := tlog.StoredHashes(n, records[i].Envelope, g)
		if err != nil {
			return nil, tlog.Tree{}, fmt.Errorf("ledger: %w", err)
		}
		g.more = append(g.more, more...)
		n++
	}
	root, err := tlog.TreeHash(n, g)
	if err != nil {
		return nil, tlog.Tree{}, fmt.Errorf("ledger: %w", err)
	}
	return g, tlog.Tree{N: n, Hash: root}, nil
}

// grown reads the hashes of an archive, and behind them those that are in memory.
type grown struct {
	base  tlog.HashReader // nil: nothing is archived
	count int64           // of the hashes in it
	more  []tlog.Hash
}

// ReadHashes implements tlog.HashReader.
func (g *grown) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	var archived []int64
	for _, i := range indexes {
		if i < g.count {
			archived = append(archived, i)
		}
	}
	var hashes []tlog.Hash
	if len(archived) > 0 {
		var err error
		if hashes, err = g.base.ReadHashes(archived); err != nil {
			return nil, err
		}
	}
	for k, i := range indexes {
		switch {
		case i < g.count:
			out[k], hashes = hashes[0], hashes[1:]
		case i-g.count < int64(len(g.more)):
			out[k] = g.more[i-g.count]
		default:
			return nil, fmt.Errorf("ledger: hash %d is beyond the tree", i)
		}
	}
	return out, nil
}

// Sign signs the head of the tree of what is archived and of the records that follow it.
func (a *Archive) Sign(records []Record) (Checkpoint, error) {
	if a.o.Signer == nil {
		return Checkpoint{}, errors.New("ledger: nobody is here to sign")
	}
	hashes, tree, err := a.Grown(records)
	if err != nil {
		return Checkpoint{}, err
	}
	return a.o.sign(a.state.Load().signed.Tree, tree, hashes)
}
