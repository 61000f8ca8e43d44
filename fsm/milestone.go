package fsm

import (
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"ironman/wal/merkle"
)

// Milestone is the ledger's root behind a whole number of events. Since each leaf
// holds the digest of the state, two nodes whose milestones agree have applied the
// same history to the same state.
type Milestone struct {
	Next uint64 // the events below it are in the tree
	Root tlog.Hash
}

const (
	// milestoneEvery is the number of events between two milestones that are
	// remembered.
	milestoneEvery = 256
	// milestonesKept of them: a million events, for a node that catches up.
	milestonesKept = 4096
)

// milestones remembers the last milestones since the start. Written by Apply, read
// by anyone.
type milestones struct {
	mu   sync.Mutex
	kept []Milestone // ascending and milestoneEvery apart; at most milestonesKept
}

// pass is told of the tree after every event.
func (s *milestones) pass(f *merkle.Frontier) {
	if f.Size()%milestoneEvery != 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) == milestonesKept {
		s.kept = append(s.kept[:0], s.kept[milestonesKept/2:]...)
	}
	s.kept = append(s.kept, Milestone{Next: f.Size(), Root: f.Root()})
}

// at returns the milestone at next.
func (s *milestones) at(next uint64) (Milestone, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) == 0 || next < s.kept[0].Next {
		return Milestone{}, false
	}
	i := (next - s.kept[0].Next) / milestoneEvery
	if i >= uint64(len(s.kept)) || s.kept[i].Next != next {
		return Milestone{}, false
	}
	return s.kept[i], true
}

// Present is the milestone of the last batch applied.
func (m *Machine) Present() (Milestone, error) {
	f, err := m.Frontier()
	if err != nil {
		return Milestone{}, err
	}
	return Milestone{Next: f.Size(), Root: f.Root()}, nil
}

// LastMilestone is the newest of those remembered, which other nodes remember too
// once they have come as far.
func (m *Machine) LastMilestone() (Milestone, bool) {
	s := &m.milestones
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) == 0 {
		return Milestone{}, false
	}
	return s.kept[len(s.kept)-1], true
}

// MilestoneAt returns the milestone behind that many events, if it is remembered or
// is the present one.
func (m *Machine) MilestoneAt(next uint64) (Milestone, bool) {
	if s, ok := m.milestones.at(next); ok {
		return s, true
	}
	s, err := m.Present()
	return s, err == nil && s.Next == next && next > 0
}
