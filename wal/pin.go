package wal

import (
	"errors"
	"fmt"
	"iter"
	"sync"

	"ironman/wal/segment"
)

// Pin is a snapshot that stays while somebody reads it, and an empty directory beside it
// for what he keeps as long. Both are gone after a restart. An erasure by law waits for
// those who have either.
type Pin struct {
	State string // the state's files: a flat directory, which nobody may change
	Room  string // the directory

	node     *Node
	snapshot *snapshot
	once     sync.Once
}

// Pin makes a snapshot of what is applied, and keeps it until Release.
func (n *Node) Pin() (*Pin, error) {
	if err := n.Snapshot(); err != nil {
		return nil, fmt.Errorf("wal: snapshot: %w", err)
	}
	s := n.snapshots
	for {
		newest := s.newest()
		if newest == nil {
			return nil, errors.New("wal: nothing was applied of which there could be a snapshot")
		}
		held := s.hold(newest.meta.name())
		if held == nil {
			continue // a newer one has just taken its place
		}
		p := &Pin{State: s.path(held.meta, stateName), Room: s.temporary(), node: n, snapshot: held}
		err := s.fs.MkdirAll(p.Room, 0o700)
		if err == nil && s.isDamaged(held) {
			err = errors.New("the newest snapshot is damaged, and a new one will be taken")
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("wal: %w", err), p.Release())
		}
		return p, nil
	}
}

// Verify reads all of the state, and compares it with what the snapshot says of it. A
// snapshot that is not whole is replaced by another, as soon as there can be one.
func (p *Pin) Verify() error {
	s := p.node.snapshots
	s.checking.Lock()
	p.snapshot.verified = false // it may have been whole some days ago
	s.checking.Unlock()
	if err := s.check(p.snapshot); err != nil {
		return fmt.Errorf("wal: the snapshot: %w", err)
	}
	return nil
}

// Release gives the snapshot up, and removes the directory with all that is in it.
func (p *Pin) Release() (err error) {
	p.once.Do(func() {
		err = p.node.snapshots.fs.RemoveAll(p.Room)
		p.node.snapshots.release(p.snapshot)
	})
	return err
}

// Entries gives the log's entries from first to last, which are applied. It ends after the
// first error; ErrNotHere: this node's log does not hold them, as one that came by a snapshot.
func (n *Node) Entries(first, last uint64) iter.Seq2[segment.Entry, error] {
	return func(yield func(segment.Entry, error) bool) {
		for index := first; index <= last; index++ {
			e, err := n.log.ArchiveEntry(index)
			if errors.Is(err, segment.ErrNotFound) {
				err = fmt.Errorf("wal: entry %d: %w", index, ErrNotHere)
			} else if err != nil {
				err = fmt.Errorf("wal: entry %d: %w", index, err)
			}
			if !yield(e, err) || err != nil {
				return
			}
		}
	}
}

// TermAt is the term of an entry that is applied; false: this node does not know it any more.
func (n *Node) TermAt(index uint64) (uint64, bool) {
	if e, err := n.log.ArchiveEntry(index); err == nil {
		return e.Term, true
	}
	if s := n.snapshots.newest(); s != nil && s.meta.index == index {
		return s.meta.term, true
	}
	return 0, false
}
