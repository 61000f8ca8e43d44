package fsm

import (
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// snapshots counts the snapshots of the database that are open, by the epoch in which they
// were taken: what was deleted since the oldest is still on the disk, because it can be
// read there.
type snapshots struct {
	mu    sync.Mutex
	epoch uint64
	open  []openSnapshots // ascending; none of 0
}

type openSnapshots struct {
	epoch uint64
	open  int
}

// snapshot takes a snapshot; closed is to be called behind its Close, once or more often.
func (m *Machine) snapshot() (snap *pebble.Snapshot, closed func()) {
	s := &m.snapshots
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.open); n > 0 && s.open[n-1].epoch == s.epoch {
		s.open[n-1].open++
	} else {
		s.open = append(s.open, openSnapshots{s.epoch, 1})
	}
	epoch, once := s.epoch, sync.Once{}
	return m.db.NewSnapshot(), func() { once.Do(func() { s.close(epoch) }) }
}

func (s *snapshots) close(epoch uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.open, func(o openSnapshots) bool { return o.epoch == epoch })
	if s.open[i].open--; s.open[i].open == 0 {
		s.open = slices.Delete(s.open, i, i+1)
	}
}

// begin begins an epoch: snapshots taken from now on are of it, or of a later one.
func (s *snapshots) begin() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	return s.epoch
}

// before tells whether snapshots are open that were taken before an epoch.
func (s *snapshots) before(epoch uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open) > 0 && s.open[0].epoch < epoch
}
