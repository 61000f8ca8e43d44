package erasure

import (
	"sync"

	"ironman/wal/event"
)

// Reason says what is wrong with a shard. The values are stable.
type Reason uint8

const (
	// ReasonMissing: the row names no place, or nothing is at the place.
	ReasonMissing Reason = 1
	// ReasonRead: the disk gave an error.
	ReasonRead Reason = 2
	// ReasonChecksum: the bytes are not what was written.
	ReasonChecksum Reason = 3
	// ReasonForeign: the bytes are intact, but another shard's.
	ReasonForeign Reason = 4
	// ReasonStripe: the cell is intact, but does not fit the others of its stripe.
	ReasonStripe Reason = 5
	// ReasonNewer: written in a format that this version does not know. Not
	// damage: leave it alone.
	ReasonNewer Reason = 6
	// ReasonUnreachable: there is no way to the disk now. Not damage either.
	ReasonUnreachable Reason = 7
)

func (r Reason) String() string {
	switch r {
	case ReasonMissing:
		return "missing"
	case ReasonRead:
		return "read error"
	case ReasonChecksum:
		return "checksum"
	case ReasonForeign:
		return "foreign"
	case ReasonStripe:
		return "stripe digest"
	case ReasonNewer:
		return "newer format"
	case ReasonUnreachable:
		return "unreachable"
	}
	return "unknown"
}

// Damage is a shard that is not as its blob's row says.
type Damage struct {
	Blob       *event.BlobID
	Index      uint32 // of the shard
	Disk       uint32
	Generation uint32
	Reason     Reason
}

// damageKey is what makes two reports the same: a shard that was moved is
// another one.
type damageKey struct {
	blob              BlobKey
	index, generation uint32
}

// damageReporter hands damage to its owner, each once, without making a reader
// wait. What does not fit into its queue is forgotten, and found again by the
// next reader.
type damageReporter struct {
	mu     sync.Mutex
	closed bool
	known  map[damageKey]bool // reported; bounded, see report
	queue  chan Damage
	ended  chan struct{}
}

const (
	damageQueue = 1024
	// damageKnown bounds the memory of reports. When it is full all is forgotten:
	// the owner then hears of some shards twice.
	damageKnown = 64 << 10
)

// newDamageReporter starts the goroutine that calls f; nil if there is no f.
func newDamageReporter(f func(Damage)) *damageReporter {
	if f == nil {
		return nil
	}
	r := &damageReporter{
		known: make(map[damageKey]bool),
		queue: make(chan Damage, damageQueue),
		ended: make(chan struct{}),
	}
	go func() {
		defer close(r.ended)
		for d := range r.queue {
			f(d)
		}
	}()
	return r
}

// report queues a damage unless it is known already. It never blocks.
func (r *damageReporter) report(d Damage) {
	if r == nil {
		return
	}
	k := damageKey{BlobKeyOf(d.Blob), d.Index, d.Generation}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.known[k] {
		return
	}
	select {
	case r.queue <- d:
	default:
		return
	}
	if len(r.known) >= damageKnown {
		clear(r.known)
	}
	r.known[k] = true
}

// close waits until all that was queued is told.
func (r *damageReporter) close() {
	if r == nil {
		return
	}
	r.mu.Lock()
	r.closed = true
	close(r.queue)
	r.mu.Unlock()
	<-r.ended
}
