package wal

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/raft"

	"ironman/sim/sabotage"
	"ironman/wal/segment"
)

// logStore is the log's files as raft's LogStore. Raft only logs an error of it
// and goes on with a wrong idea of the log, so there are none: what it is asked is
// done durably, or the process ends.
//
// It also refuses what raft 1.8 should not ask. A late or repeated InstallSnapshot
// makes raft delete entries that this node has acknowledged; the rules of
// DeleteRange and StoreLogs stop the process before that, with nothing deleted.
type logStore struct {
	log     *segment.Log
	applied func() uint64
	fatal   func(error) // never returns
	// restart ends the process, to begin again at once; it never returns. It is
	// fatal unless set otherwise before use.
	restart func(reason string)

	// mu makes StoreLogs, DeleteRange and SetSnapshot exclude each other: raft
	// compacts on a goroutine of its own. The logs that raft passes stay unchanged.
	mu      sync.Mutex
	entries []segment.Entry // scratch of StoreLogs
	// snapshot is the newest published; its index only rises.
	snapshot atomic.Pointer[snapshotID]
	// repeated: a snapshot was published that was not newer, and raft has read no
	// entry since. If it now deletes everything, it is not because of a conflict.
	repeated atomic.Bool
}

var (
	_ raft.LogStore          = (*logStore)(nil)
	_ raft.MonotonicLogStore = (*logStore)(nil)
)

// knownTypes is the highest type of entry that this release's raft can apply.
const knownTypes = raft.LogConfiguration

// floorType is the type of what GetLog answers for a floor of which only the term
// is known. It is no type of raft's: no store takes such an entry.
const floorType raft.LogType = 0xff

func newLogStore(l *segment.Log, applied func() uint64, fatal func(error)) *logStore {
	s := &logStore{log: l, applied: applied, fatal: fatal}
	s.restart = func(reason string) { fatal(errors.New(reason)) }
	s.snapshot.Store(&snapshotID{})
	return s
}

// IsMonotonic tells raft that the log holds no gaps, so that it deletes all of it
// after it has installed a snapshot.
func (s *logStore) IsMonotonic() bool { return true }

// SetSnapshot is told of each snapshot once it is durable under its name, and
// before the state machine restores it; at the start, of the newest.
func (s *logStore) SetSnapshot(index, term uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if index > s.snapshot.Load().Index {
		s.snapshot.Store(&snapshotID{Index: index, Term: term})
	} else if index > 0 {
		s.repeated.Store(true)
	}
}

// FirstIndex is the index of the first entry, 0 if there is none.
func (s *logStore) FirstIndex() (uint64, error) { return s.log.First(), nil }

// LastIndex is the index of the last entry, 0 if there is none.
func (s *logStore) LastIndex() (uint64, error) { return s.log.Last(), nil }

// GetLog reads an entry, or returns ErrLogNotFound itself: raft compares with ==.
// Damage and read errors are fatal.
//
// It also answers for the index right below the first entry, if it knows what
// stands there: raft asks for that when a leader's entries begin where the log
// does, and takes a refusal for a mismatch. The leader would then send a snapshot
// again and again (hashicorp/raft#697). Only the term of that answer is ever used:
// a leader sends entries only from behind one that it could read.
func (s *logStore) GetLog(index uint64, l *raft.Log) error {
	e, err := s.log.Entry(index)
	switch {
	case err == nil:
		if s.repeated.Load() {
			s.repeated.Store(false)
		}
	case !errors.Is(err, segment.ErrNotFound):
		return s.fail(fmt.Errorf("wal: reading entry %d: %w", index, err))
	case s.log.First() != index+1 || index == 0 || sabotage.On(sabotage.X54):
		return raft.ErrLogNotFound
	default:
		return s.getFloor(index, l)
	}
	*l = fromEntry(e)
	return nil
}

// getFloor answers for the floor of a log that is not empty: with the entry while
// its file stays, else with the term of the snapshot that the log was reset to.
// Not for 1: a leader reads entry 1 without having read one before it.
func (s *logStore) getFloor(index uint64, l *raft.Log) error {
	e, err := s.log.ArchiveEntry(index)
	if err == nil {
		*l = fromEntry(e)
		return nil
	}
	if !errors.Is(err, segment.ErrNotFound) {
		return s.fail(fmt.Errorf("wal: reading entry %d: %w", index, err))
	}
	snapshot := s.snapshot.Load()
	if index != snapshot.Index || index == 1 {
		return raft.ErrLogNotFound
	}
	*l = raft.Log{Index: index, Term: snapshot.Term, Type: floorType}
	return nil
}

// covers tells whether the log already goes on from the snapshot at (index, term):
// restoring that would make raft delete entries which may be acknowledged.
func (s *logStore) covers(index, term uint64) bool {
	var l raft.Log
	return s.log.Last() > index && s.GetLog(index, &l) == nil && l.Term == term
}

// StoreLog appends one entry.
func (s *logStore) StoreLog(l *raft.Log) error { return s.StoreLogs([]*raft.Log{l}) }

// StoreLogs appends entries; they are durable on return. An empty log takes only
// the entry behind the newest snapshot, or entry 1.
func (s *logStore) StoreLogs(logs []*raft.Log) error {
	if len(logs) == 0 {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.begin(logs[0].Index); err != nil {
		return s.fail(err)
	}
	s.entries = s.entries[:0]
	for _, l := range logs {
		if l.Type > knownTypes {
			return s.fail(fmt.Errorf("wal: entry %d is of type %d: newer than this release understands", l.Index, l.Type))
		}
		s.entries = append(s.entries, toEntry(l))
	}
	err := s.log.Append(s.entries)
	clear(s.entries)
	return s.fail(err)
}

// begin prepares an empty log for its first entry.
func (s *logStore) begin(first uint64) error {
	if s.log.Last() != 0 {
		return nil // Append checks that first follows
	}
	floor := s.snapshot.Load().Index
	if sabotage.On(sabotage.X49) {
		floor = first - 1 // whatever raft stores
	}
	if first != floor+1 {
		return fmt.Errorf("wal: the log is empty and the newest snapshot ends at %d, but raft stores entry %d: "+
			"entries between would be missing", floor, first)
	}
	if s.log.Floor() == floor {
		return nil
	}
	return s.log.Reset(floor)
}

// DeleteRange removes a prefix (raft compacts), a suffix (a leader's entries
// conflict with ours), or everything (one of these, or a snapshot was installed),
// but nothing from the middle. It is durable on return. Ranges that the log does
// not hold are nothing to do: compaction runs beside the rest.
func (s *logStore) DeleteRange(min, max uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	first, last := s.log.First(), s.log.Last()
	if last == 0 || min > max || min > last || max < first {
		return nil
	}
	switch {
	case min <= first && max >= last:
		return s.fail(s.deleteAll(first, last))
	case min <= first:
		return s.fail(s.deletePrefix(max))
	case max >= last:
		return s.fail(s.deleteSuffix(min))
	default:
		return s.fail(fmt.Errorf("wal: raft deletes entries %d to %d out of the middle of %d to %d", min, max, first, last))
	}
}

// deletePrefix: only what a snapshot holds may go.
func (s *logStore) deletePrefix(max uint64) error {
	if snapshot := s.snapshot.Load(); max > snapshot.Index {
		return fmt.Errorf("wal: raft deletes entries up to %d, but the newest snapshot ends at %d", max, snapshot.Index)
	}
	return s.log.TruncatePrefix(max + 1)
}

// forget truncates the front of the log up to an index that a snapshot holds, as raft
// does when it compacts.
func (s *logStore) forget(index uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fail(s.deletePrefix(index))
}

// deleteSuffix: only what was neither applied nor snapshotted may go.
func (s *logStore) deleteSuffix(min uint64) error {
	if applied, snapshot := s.applied(), s.snapshot.Load(); min <= max(applied, snapshot.Index) {
		return fmt.Errorf("wal: raft deletes entries from %d on, but entries up to %d are applied and the newest snapshot ends at %d",
			min, applied, snapshot.Index)
	}
	return s.log.TruncateSuffix(min)
}

// deleteAll tells apart why raft empties the log, by where the newest snapshot
// ends: above the log (it was installed), at its last entry (either), below its
// first (all of it conflicts), or within it. Within, the entry at its index says
// whether the log diverged from it, or goes on from it: then a snapshot was
// installed that this node did not need, and what follows may be acknowledged.
func (s *logStore) deleteAll(first, last uint64) error {
	snapshot := s.snapshot.Load()
	switch {
	case last < snapshot.Index:
		return s.log.Reset(snapshot.Index)
	case first > snapshot.Index+1:
		return fmt.Errorf("wal: the log begins at %d, but the newest snapshot ends at %d: entries are missing", first, snapshot.Index)
	case first == snapshot.Index+1:
		if s.repeated.Load() {
			return fmt.Errorf("wal: raft deletes entries %d to %d because it installed a snapshot that this node had", first, last)
		}
		return s.deleteSuffix(first)
	}
	e, err := s.log.Entry(snapshot.Index)
	if err != nil {
		return fmt.Errorf("wal: reading entry %d: %w", snapshot.Index, err)
	}
	switch {
	case e.Term != snapshot.Term:
		return s.deleteDiverged(last, snapshot)
	case last == snapshot.Index, sabotage.On(sabotage.X55):
		return s.log.TruncatePrefix(last + 1)
	default:
		return fmt.Errorf("wal: raft deletes entries up to %d, but the log goes on from the snapshot at %d: "+
			"those behind it may be acknowledged", last, snapshot.Index)
	}
}

// deleteDiverged: the log was never part of what the snapshot holds. Raft 1.8 keeps
// the index and term of its last entry in memory, refuses the entries behind the
// snapshot because of them, and is sent the snapshot for ever (hashicorp/raft#697).
// A restart with the empty log cures that.
func (s *logStore) deleteDiverged(last uint64, snapshot *snapshotID) error {
	if applied := s.applied(); applied > snapshot.Index {
		return fmt.Errorf("wal: entry %d differs from the newest snapshot's, but entries up to %d are applied", snapshot.Index, applied)
	}
	if err := s.log.Reset(snapshot.Index); err != nil {
		return err
	}
	s.restart(fmt.Sprintf("the log up to %d diverged from the snapshot at %d that was installed, and is deleted: raft must begin anew",
		last, snapshot.Index))
	return nil
}

// fail ends the process for any error but that of a log which is being closed.
func (s *logStore) fail(err error) error {
	if err != nil && !errors.Is(err, segment.ErrClosed) {
		s.fatal(err)
	}
	return err
}

func toEntry(l *raft.Log) segment.Entry {
	return segment.Entry{
		Index: l.Index, Term: l.Term, Type: uint8(l.Type),
		Data: l.Data, Extensions: l.Extensions, AppendedAt: l.AppendedAt,
	}
}

func fromEntry(e segment.Entry) raft.Log {
	return raft.Log{
		Index: e.Index, Term: e.Term, Type: raft.LogType(e.Type),
		Data: e.Data, Extensions: e.Extensions, AppendedAt: e.AppendedAt,
	}
}
