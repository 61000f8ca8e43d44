package erasure

import (
	"errors"
	"sync"
	"time"

	"ironman/wal/event"
)

// abandonedBlobs collects the ids of blobs that will never be committed, until
// their owner proposes an event that fences them.
type abandonedBlobs struct {
	mu   sync.Mutex
	keys []BlobKey
}

func (a *abandonedBlobs) add(k BlobKey) {
	a.mu.Lock()
	a.keys = append(a.keys, k)
	a.mu.Unlock()
}

func (a *abandonedBlobs) drain() []BlobKey {
	a.mu.Lock()
	defer a.mu.Unlock()
	keys := a.keys
	a.keys = nil
	return keys
}

// Abandoned returns the blobs that were given up since it was last called. The
// caller proposes an event that abandons them; until that is committed their
// bytes stay. If it fails, the caller gives them back with Abandon.
func (s *Store) Abandoned() []*event.BlobID {
	var out []*event.BlobID
	for _, k := range s.abandoned.drain() {
		out = append(out, k.ID())
	}
	return out
}

// Abandon gives up a blob that Put returned and that no event will name.
func (s *Store) Abandon(ids ...*event.BlobID) {
	for _, id := range ids {
		if id != nil {
			s.abandoned.add(BlobKeyOf(id))
		}
	}
}

// avoidFor is how long a disk that was full, stalled or out of reach gets no new
// shards. Then it is tried again: it may have recovered, and only a try tells.
const avoidFor = 5 * time.Second

// avoidStarting is the same for the disks of a node that does not serve yet: long
// enough that not every write runs into it, and short beside a start.
const avoidStarting = 250 * time.Millisecond

// avoidedDisks remembers which disks to leave alone for a while.
type avoidedDisks struct {
	mu    sync.Mutex
	disks map[uint32]avoided
}

type avoided struct {
	until time.Time
	full  bool // for want of space only
}

// add avoids a disk because of an error.
func (a *avoidedDisks) add(disk uint32, why error, now time.Time) {
	d := avoidFor
	if errors.Is(why, ErrNotServing) {
		d = avoidStarting
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.disks == nil {
		a.disks = make(map[uint32]avoided)
	}
	a.disks[disk] = avoided{now.Add(d), errors.Is(why, ErrNoSpace)}
}

// is tells whether a disk is avoided; with full, those that lack space are not.
func (a *avoidedDisks) is(disk uint32, full bool, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	d, ok := a.disks[disk]
	if ok && (!now.Before(d.until) || d.until.Sub(now) > avoidFor) { // over, or the clock was set back
		delete(a.disks, disk)
		return false
	}
	return ok && !(full && d.full)
}
