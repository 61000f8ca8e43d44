package wal

import (
	"errors"
	"fmt"
	"io"

	"github.com/hashicorp/raft"

	"ironman/sim/sabotage"
	"ironman/wal/durable"
	"ironman/wal/segment"
)

// There is one way to install a snapshot of another node, and it ends in a restart:
//
//  1. The stream is received into a temporary directory and verified, all of it.
//  2. judge sees that this node has nothing to lose by it.
//  3. The directory is published, with the mark INSTALL in it.
//  4. Restore answers the leader, and ends the process to begin anew.
//  5. RestoreState puts the snapshot's state in place, before anybody opens it.
//  6. Open empties a log that the snapshot overtook, and takes the mark away.
//
// A crash before the end of 3 leaves a temporary directory, which the next start
// removes; one after it is the restart of 4. Steps 5 and 6 may be done again as long
// as the mark is there, and without it neither ever is.

// judge decides about a snapshot that another node sends. Raft 1.8 would install any
// of its term: also one that comes late or twice, and with it throw away what this
// node has acknowledged since. repeated: it is the newest one here, and the log holds
// nothing behind it; raft may do with it as it likes, since that changes nothing. (The
// leader does not know that it was installed if the answer was lost in the restart.)
func (n *Node) judge(id snapshotID) (repeated bool, err error) {
	if sabotage.On(sabotage.X19) {
		return false, nil // raft asks for it
	}
	applied, last := n.opts.Machine.AppliedIndex(), n.log.Last()
	newest, installing := snapshotID{}, false
	if s := n.snapshots.newest(); s != nil {
		newest, installing = s.id(), s.installing
	}
	switch {
	case id == newest && !installing && last <= id.Index:
		return true, nil
	case id.Index < applied:
		return false, fmt.Errorf("it is late: this node has applied entries up to %d", applied)
	case id.Index < newest.Index, id.Index == newest.Index && !installing:
		return false, fmt.Errorf("it is late: this node has a snapshot of entry %d, and entries up to %d", newest.Index, last)
	case n.logs.covers(id.Index, id.Term):
		return false, fmt.Errorf("this node does not need it: its log goes on from there to entry %d", last)
	}
	return false, nil
}

// Restore is given a snapshot of another node, by now published, and ends the
// process. With an error raft goes on with what it had.
func (f *raftMachine) Restore(r io.ReadCloser) error {
	h, err := readHead(r)
	if err = errors.Join(err, r.Close()); err != nil {
		return fmt.Errorf("wal: %w", err)
	}
	id := snapshotID{Index: h.meta.index, Term: h.meta.term}
	repeated, err := f.snapshots.judge(id)
	switch {
	case err != nil:
		return fmt.Errorf("wal: snapshot %s: %w", h.meta.name(), err)
	case repeated:
		return nil
	}
	f.installed(id)
	f.restart(fmt.Sprintf("the snapshot of entry %d is to be installed", id.Index))
	panic("wal: Restart returned")
}

// openLog opens the log behind the newest snapshot. It refuses one that does not
// reach as far as the snapshot, or the state, is known to have: unless it is about to
// be installed, a snapshot never overtakes its log.
func (n *Node) openLog() (err error) {
	o, applied := &n.opts, n.opts.Machine.AppliedIndex()
	snapshot := &snapshot{meta: &snapshotMeta{}}
	if s := n.snapshots.newest(); s != nil {
		snapshot = s
	}
	index := snapshot.meta.index
	if applied < index && !sabotage.On(sabotage.X18) {
		return fmt.Errorf("wal: snapshot %s: %w", snapshot.meta.name(), stateBehind(applied, snapshot.meta, n.snapshots))
	}
	required := applied
	switch {
	case snapshot.installing:
		required = 0
	case applied <= snapshot.meta.applied: // more than the index, maybe: the log need not follow
		required = index
	}
	spare := uint64(0)
	if !snapshot.installing {
		if spare, err = n.spare(index); err != nil {
			return fmt.Errorf("wal: %w", err)
		}
	}
	n.log, err = segment.Open(segment.Options{
		FS: o.FS, Dir: o.FS.PathJoin(o.Dir, "log"), SegmentBytes: o.SegmentBytes, Fatal: o.Fatal,
		StallLimit: o.StallLimit, Required: required, Mend: n.mendAtStart, Spare: spare,
	})
	if err != nil {
		return fmt.Errorf("wal: %w", err)
	}
	n.countMended(n.log.Recovery())
	if floor := n.log.Floor(); floor > index {
		return fmt.Errorf("wal: the log begins at entry %d, but the newest snapshot ends at %d: refusing to start", floor+1, index)
	}
	n.logs = newLogStore(n.log, o.Machine.AppliedIndex, o.Fatal)
	n.logs.restart = o.Restart
	n.logs.SetSnapshot(index, snapshot.meta.term)
	n.snapshots.published = n.logs.SetSnapshot
	n.snapshots.judge = n.judge
	n.snapshots.verify = o.VerifyState
	if o.Identity != nil {
		n.snapshots.identity = o.Identity
	}
	return nil
}

// stateBehind says that a state was lost, in part or whole. It could be rebuilt from
// the snapshot and the log, but that it is gone is for a person to judge.
func stateBehind(applied uint64, m *snapshotMeta, s *snapshotStore) error {
	return fmt.Errorf("the state stands at entry %d, before the newest snapshot at %d: refusing to start; "+
		"if nothing else is amiss with this disk, put a copy of %s in its place to have the rest rebuilt from the log",
		applied, m.index, s.path(m, stateName))
}

// finishInstall empties a log that the newest snapshot overtook or that diverged
// from it, and then takes away the mark that it is to be installed. Raft 1.8 takes
// such a log for its own, and with it the index and term of its last entry.
func (n *Node) finishInstall() error {
	s := n.snapshots.newest()
	if s == nil || !s.installing {
		return nil
	}
	follows, err := n.followsSnapshot(s.id())
	if err != nil {
		return err
	}
	if !follows {
		if applied := n.opts.Machine.AppliedIndex(); applied > s.meta.applied {
			return fmt.Errorf("wal: the state stands at entry %d, but the log ends at %d and the newest snapshot at %d: refusing to start",
				applied, n.log.Last(), s.meta.applied)
		}
		if err := n.log.Reset(s.meta.index); err != nil {
			return fmt.Errorf("wal: %w", err)
		}
		n.opts.Log.Info("log: emptied, because a snapshot overtook it", "snapshot", s.meta.name())
	}
	fs := n.opts.FS
	if err := errors.Join(fs.Remove(n.snapshots.path(s.meta, installName)), durable.SyncDir(fs, n.snapshots.path(s.meta))); err != nil {
		return fmt.Errorf("wal: snapshot %s: %w", s.meta.name(), err)
	}
	s.installing = false
	return nil
}

// followsSnapshot tells whether the log holds the very entry that a snapshot ends
// with, or begins behind it.
func (n *Node) followsSnapshot(id snapshotID) (bool, error) {
	if n.log.Floor() == id.Index {
		return true, nil
	}
	var l raft.Log
	err := n.logs.GetLog(id.Index, &l)
	if errors.Is(err, raft.ErrLogNotFound) {
		return sabotage.On(sabotage.X52), nil
	}
	return err == nil && (l.Term == id.Term || sabotage.On(sabotage.X53)), err
}
