package fsm

import (
	"context"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// snapshots counts the snapshots of the database that are open, by the epoch in which they
// were taken: what was deleted since the oldest is still on the disk, because it can be
// read there.
type snapshots struct {
	mu    sync.Mutex
	epoch uint64
	open  map[uint64]int
}

// snapshot takes a snapshot; closed is to be called behind its Close, once or more often.
func (m *Machine) snapshot() (snap *pebble.Snapshot, closed func()) {
	s := &m.snapshots
	s.mu.Lock()
	defer s.mu.Unlock()
	epoch, once := s.epoch, sync.Once{}
	if s.open == nil {
		s.open = make(map[uint64]int)
	}
	s.open[epoch]++
	return m.db.NewSnapshot(), func() { once.Do(func() { s.close(epoch) }) }
}

func (s *snapshots) close(epoch uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open[epoch]--; s.open[epoch] == 0 {
		delete(s.open, epoch)
	}
}

// begin begins an epoch: snapshots taken from now on are of it, or of a later one.
func (s *snapshots) begin() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	return s.epoch
}

// before counts the open snapshots that were taken before an epoch.
func (s *snapshots) before(epoch uint64) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for e, open := range s.open {
		if e < epoch {
			n += open
		}
	}
	return n
}

// poll asks, now and then, until it is so, or ctx ends.
func poll(ctx context.Context, so func() (bool, error)) error {
	for {
		if ok, err := so(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}
