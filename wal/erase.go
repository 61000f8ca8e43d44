package wal

import (
	"context"
	"fmt"
	"time"

	"ironman/wal/ledger"
)

// What an erasure has to take away is also in the log, in snapshots of the state and in the
// ledger. The steps below are taken in their order by whoever carries it out, once the
// state has applied the erasure, and may all be taken again: after a crash they are.
//
// A log file goes as a whole, and only when all of it is in the ledger, which holds whole
// bundles, and in a snapshot. So it is sealed first (Seal); when what came later has filled
// the bundle (Archives) and a snapshot was taken (SnapshotBehind), it may go (Forget). The
// snapshot comes before Erase: from it a replay begins, when the ledger alone no longer
// tells how the state came about.

// Seal goes on in a new log file, and returns the last entry of those before it. Once the
// state has applied that much, Sealed must be asked.
func (n *Node) Seal() (index uint64, err error) {
	if index, err = n.log.Seal(); err != nil {
		return 0, fmt.Errorf("wal: %w", err)
	}
	return index, nil
}

// Sealed tells whether entries up to an index, which are committed, are in sealed files. They
// may not be, after Seal, where the log's end was replaced by another leader's.
func (n *Node) Sealed(index uint64) bool { return n.log.Sealed(index) }

// Archives tells whether the entries up to an index are in the ledger. If not, missing is
// how many events more are needed to fill the bundle that they go into it with; 0: none,
// the archiver is about to take it, or what is missing comes from other nodes.
func (n *Node) Archives(index uint64) (archived bool, missing uint64, err error) {
	a := n.archiver.Load()
	if a == nil {
		return false, 0, ErrClosed
	}
	if n.log.Archived() >= index {
		return true, 0, nil
	}
	edge, _, err := n.opts.Machine.LedgerEdge()
	if err != nil {
		return false, 0, err
	}
	size, stored := edge.Size(), a.archive.Size()
	if size-size%ledger.BundleSize != stored {
		return false, 0, nil
	}
	// The log does not remember what it was told before a restart. All that is not in the
	// ledger is in the state's queue then: the first of it says how far the ledger is.
	if n.opts.Machine.AppliedIndex() >= index {
		leaves, err := n.opts.Machine.Leaves(stored, 1)
		if err != nil {
			return false, 0, err
		}
		if size == stored || len(leaves) > 0 && leaves[0].Seq == stored && leaves[0].Index > index {
			return true, 0, n.log.SetArchived(index)
		}
	}
	return false, ledger.BundleSize - size%ledger.BundleSize, nil
}

// CaughtUp tells whether all that this node knows to be committed was handed to its state.
func (n *Node) CaughtUp() bool { return n.raft.AppliedIndex() >= n.raft.CommitIndex() }

// SnapshotBehind takes a snapshot, and tells whether the only one that there is now was
// taken when more than the entry at index was applied. If it was not, nothing has been
// applied since, or somebody still reads an older one.
func (n *Node) SnapshotBehind(index uint64) (bool, error) {
	if s := n.snapshots.newest(); s == nil || s.meta.index <= index {
		if err := n.Snapshot(); err != nil {
			return false, fmt.Errorf("wal: snapshot: %w", err)
		}
	}
	s := n.snapshots.newest()
	if s == nil || s.meta.index <= index {
		return false, nil
	}
	// One that could not be removed has another name, and is there all the same.
	names, err := n.opts.FS.List(n.snapshots.dir)
	if err != nil {
		return false, fmt.Errorf("wal: snapshots: %w", err)
	}
	return len(names) == 1 && names[0] == s.meta.name(), nil
}

// Forget truncates the log up to an index that a snapshot holds and the ledger has, and
// returns once the files that held these entries are gone.
func (n *Node) Forget(ctx context.Context, index uint64) error {
	if err := n.logs.forget(index); err != nil {
		return err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for n.log.Holds(index) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// Erase takes items out of the ledger's files.
func (n *Node) Erase(targets []ledger.Target) error {
	a := n.archiver.Load()
	if a == nil {
		return ErrClosed
	}
	return a.archive.Erase(targets)
}
