package wal

import (
	"errors"
	"fmt"
	"sync"

	"github.com/hashicorp/raft"

	"ironman/wal/segment"
)

// logStore is the log's files as raft's LogStore.
type logStore struct {
	log     *segment.Log
	applied func() uint64
	fatal   func(error)

	mu       sync.Mutex
	snapshot snapshotID // the newest published
}

func newLogStore(l *segment.Log, applied func() uint64, fatal func(error)) *logStore {
	return &logStore{log: l, applied: applied, fatal: fatal}
}

// IsMonotonic tells raft that the log holds no gaps.
func (s *logStore) IsMonotonic() bool { return true }

// SetSnapshot names the newest published snapshot.
func (s *logStore) SetSnapshot(index, term uint64) {
	s.mu.Lock()
	s.snapshot = snapshotID{Index: index, Term: term}
	s.mu.Unlock()
}

func (s *logStore) FirstIndex() (uint64, error) { return s.log.First(), nil }
func (s *logStore) LastIndex() (uint64, error)  { return s.log.Last(), nil }

// GetLog reads an entry. raft compares what is missing with == ErrLogNotFound.
func (s *logStore) GetLog(index uint64, l *raft.Log) error {
	e, err := s.log.Entry(index)
	if errors.Is(err, segment.ErrNotFound) {
		return raft.ErrLogNotFound
	}
	if err != nil {
		s.fatal(fmt.Errorf("wal: reading entry %d: %w", index, err))
		return err
	}
	*l = raft.Log{Index: e.Index, Term: e.Term, Type: raft.LogType(e.Type), Data: e.Data, Extensions: e.Extensions, AppendedAt: e.AppendedAt}
	return nil
}

func (s *logStore) StoreLog(l *raft.Log) error { return s.StoreLogs([]*raft.Log{l}) }

// StoreLogs appends a batch; it is durable on return.
func (s *logStore) StoreLogs(logs []*raft.Log) error {
	entries := make([]segment.Entry, len(logs))
	for i, l := range logs {
		entries[i] = segment.Entry{Index: l.Index, Term: l.Term, Type: uint8(l.Type), Data: l.Data, Extensions: l.Extensions, AppendedAt: l.AppendedAt}
	}
	return s.log.Append(entries)
}

// DeleteRange truncates a prefix, a suffix, or all. It succeeds durably or does
// not return: raft only logs an error of it and goes on.
func (s *logStore) DeleteRange(min, max uint64) error {
	first, last := s.log.First(), s.log.Last()
	if last == 0 || min > last || max < first {
		return nil
	}
	var err error
	switch {
	case min <= first && max >= last:
		s.mu.Lock()
		floor := s.snapshot.Index
		s.mu.Unlock()
		if floor < last && floor < s.applied() {
			s.fatal(fmt.Errorf("wal: raft wants to delete entries %d to %d, but the newest snapshot ends at %d", min, max, floor))
		}
		err = s.log.Reset(floor)
	case min <= first:
		err = s.log.TruncatePrefix(max + 1)
	case max >= last:
		if min <= s.applied() {
			s.fatal(fmt.Errorf("wal: raft wants to delete entries from %d on, of which %d are applied", min, s.applied()))
		}
		err = s.log.TruncateSuffix(min)
	default:
		err = fmt.Errorf("wal: raft wants to delete entries %d to %d out of the middle of %d to %d", min, max, first, last)
	}
	if err != nil {
		s.fatal(err)
	}
	return err
}
