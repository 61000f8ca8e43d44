package erasure

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A disk that hangs does not answer, and whoever asks it stays: each call holds a
// goroutine, a thread and the bytes it was given. Who waits for such a call gives up
// in time; what follows here is about the calls themselves. However long a disk
// hangs, only a bounded number of them may pile up behind it.

// underway is the writing calls to a disk's file system that have not come back.
type underway struct {
	mu    sync.Mutex
	since map[uint64]time.Time // by number
	last  uint64               // number given
}

// begin notes a call; end must be told its number.
func (u *underway) begin(now time.Time) (number uint64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.since == nil {
		u.since = make(map[uint64]time.Time)
	}
	u.last++
	u.since[u.last] = now
	return u.last
}

func (u *underway) end(number uint64) {
	u.mu.Lock()
	delete(u.since, number)
	u.mu.Unlock()
}

// older tells whether a call has been under way for longer than limit.
func (u *underway) older(now time.Time, limit time.Duration) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, t := range u.since {
		if now.Sub(t) > limit {
			return true
		}
	}
	return false
}

// call makes a writing call to the disk's file system.
func (d *localDisk) call(f func() error) error {
	n := d.writing.begin(d.now())
	defer d.writing.end(n)
	return f()
}

// hangs tells whether a write has not come back within the stall limit. Such a
// disk gets no new shards until it has, whoever waited for it and for how long.
func (d *localDisk) hangs() bool { return d.writing.older(d.now(), d.stall) }

// readPlaces is how many reads of a disk may be under way: enough to keep one busy,
// few enough that a node of many disks, all hanging, has threads to spare.
const readPlaces = 64

// readers are the places of a disk for reads.
type readers struct {
	places chan struct{}
	ended  atomic.Int64 // when a read last came back, ns
}

// enterRead waits for a place. It ends with ctx, which the reader of a stripe
// cancels once it has enough cells from elsewhere.
func (d *localDisk) enterRead(ctx context.Context) error {
	select {
	case d.reads.places <- struct{}{}:
		return nil
	default:
	}
	if quiet := d.now().UnixNano() - d.reads.ended.Load(); quiet > int64(d.stall) {
		return fmt.Errorf("%w: disk %d answers no reads", ErrUnavailable, d.id.Number)
	}
	select {
	case d.reads.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (d *localDisk) leaveRead() {
	d.reads.ended.Store(d.now().UnixNano())
	<-d.reads.places
}

// ReadAt implements ShardTarget. It also works on a disk that failed.
func (d *localDisk) ReadAt(ctx context.Context, pack PackKey, offset uint64, p []byte) error {
	if err := d.enterRead(ctx); err != nil {
		return err
	}
	defer d.leaveRead()
	return d.packs.readAt(pack, offset, p)
}

// readHeld is ReadAt for one who holds the pack.
func (d *localDisk) readHeld(ctx context.Context, held *handle, offset uint64, p []byte) error {
	if err := d.enterRead(ctx); err != nil {
		return err
	}
	defer d.leaveRead()
	return d.packs.readAgain(held, offset, p)
}
