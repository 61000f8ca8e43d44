package fsm

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"ironman/wal/event"
	"ironman/wal/merkle"
)

// Leaf is an envelope on its way to the ledger.
//
//	+-----------------+----------------------+-----------+----------+
//	| index, 8 bytes  | length of envelope, 4| envelope  | outcome  |
//	+-----------------+----------------------+-----------+----------+
//
// The outcome stands here only where it is too long for the envelope.
type Leaf struct {
	Seq      uint64
	Index    uint64 // of the Raft entry that holds the proposal
	Envelope []byte
	Outcome  []byte
}

func (l *Leaf) encode() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 12+len(l.Envelope)+len(l.Outcome)), l.Index)
	b = binary.BigEndian.AppendUint32(b, uint32(len(l.Envelope)))
	return append(append(b, l.Envelope...), l.Outcome...)
}

func decodeLeaf(key, b []byte) (Leaf, error) {
	if len(key) != 9 || len(b) < 12 || uint64(len(b)) < 12+uint64(binary.BigEndian.Uint32(b[8:])) {
		return Leaf{}, fmt.Errorf("fsm: leaf %x: %w", key, event.ErrMalformed)
	}
	n := 12 + binary.BigEndian.Uint32(b[8:])
	return Leaf{
		Seq:      binary.BigEndian.Uint64(key[1:]),
		Index:    binary.BigEndian.Uint64(b),
		Envelope: append([]byte(nil), b[12:n]...),
		Outcome:  append([]byte(nil), b[n:]...),
	}, nil
}

// Leaves returns queued leaves from a sequence on, at most max of them, dense.
func (m *Machine) Leaves(from uint64, max int) ([]Leaf, error) {
	it, err := m.db.NewIter(&pebble.IterOptions{LowerBound: key(tableLeaf, from), UpperBound: after(key(tableLeaf))})
	if err != nil {
		return nil, fmt.Errorf("fsm: %w", err)
	}
	var leaves []Leaf
	for ok := it.First(); ok && len(leaves) < max; ok = it.Next() {
		l, err := decodeLeaf(it.Key(), it.Value())
		if err != nil {
			return nil, errors.Join(err, it.Close())
		}
		if l.Seq != from+uint64(len(leaves)) {
			break
		}
		leaves = append(leaves, l)
	}
	return leaves, errors.Join(it.Error(), it.Close())
}

// LedgerEdge returns the right edge of the ledger's tree, and the sequence of the
// first leaf that is queued (the tree's size if none is), both of one moment.
func (m *Machine) LedgerEdge() (edge *merkle.Frontier, queued uint64, err error) {
	s, closed := m.snapshot()
	defer func() {
		err = errors.Join(err, s.Close())
		closed()
	}()
	b, closer, err := s.Get(key(tableMeta))
	if errors.Is(err, pebble.ErrNotFound) {
		return merkle.New(), 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("fsm: %w", err)
	}
	meta, _, err := decodeRow[Meta](key(tableMeta), b)
	if err := errors.Join(err, closer.Close()); err != nil {
		return nil, 0, err
	}
	if edge, err = merkle.Unmarshal(meta.Frontier); err != nil {
		return nil, 0, fmt.Errorf("fsm: frontier: %w", err)
	}
	it, err := s.NewIter(&pebble.IterOptions{LowerBound: key(tableLeaf), UpperBound: after(key(tableLeaf))})
	if err != nil {
		return nil, 0, fmt.Errorf("fsm: %w", err)
	}
	queued = edge.Size()
	if it.First() {
		var l Leaf
		l, err = decodeLeaf(it.Key(), it.Value())
		queued = l.Seq
	}
	return edge, queued, errors.Join(err, it.Error(), it.Close())
}

// DropLeaves forgets the queued leaves below seq: they are in the ledger. A crash
// may bring them back; they are then dropped again.
func (m *Machine) DropLeaves(seq uint64) error {
	return m.db.DeleteRange(key(tableLeaf), key(tableLeaf, seq), pebble.NoSync)
}
