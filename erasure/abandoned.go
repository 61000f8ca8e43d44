package erasure

import (
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

// avoidedDisks remembers which disks to leave alone for a while.
type avoidedDisks struct {
	mu    sync.Mutex
	until map[uint32]time.Time
}

func (a *avoidedDisks) add(disk uint32, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.until == nil {
		a.until = make(map[uint32]time.Time)
	}
	a.until[disk] = now.Add(avoidFor)
}

func (a *avoidedDisks) is(disk uint32, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	t, ok := a.until[disk]
	if ok && (!now.Before(t) || t.Sub(now) > avoidFor) { // over, or the clock was set back
		delete(a.until, disk)
		return false
	}
	return ok
}
