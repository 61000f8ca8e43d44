package disk

import (
	"math/rand/v2"
	"runtime"
	"time"
)

// Latency is how long operations take, drawn from an exponential distribution about
// these means. Zero: no time at all, and nothing is drawn.
type Latency struct {
	Read, Write, Sync time.Duration
	Change            time.Duration // a change of a directory
	Look              time.Duration // Open, List, Stat
	// Rare is the chance that a sync takes between RareMin and RareMax longer.
	Rare             float64
	RareMin, RareMax time.Duration
	// Yield is the chance that another goroutine goes first, where nothing is waited for.
	Yield float64
}

// Usual is about a consumer's flash disk behind a page cache.
func Usual() Latency {
	return Latency{
		Read: 20 * time.Microsecond, Write: 5 * time.Microsecond, Sync: 600 * time.Microsecond,
		Change: 50 * time.Microsecond, Look: 5 * time.Microsecond,
		Rare: 0.001, RareMin: 100 * time.Millisecond, RareMax: 300 * time.Millisecond,
	}
}

// draw returns a wait; negative: only to let others go first.
func (l Latency) draw(rng *rand.Rand, k Kind) time.Duration {
	var mean, more time.Duration
	switch k {
	case Read:
		mean = l.Read
	case Write:
		mean = l.Write
	case Sync, SyncData, SyncDir:
		mean = l.Sync
		if l.Rare > 0 && rng.Float64() < l.Rare {
			more = l.RareMin + time.Duration(rng.Int64N(int64(max(1, l.RareMax-l.RareMin))))
		}
	case Open, List, Stat:
		mean = l.Look
	case Create, Link, Remove, Rename, Mkdir, Preallocate:
		mean = l.Change
	}
	if mean > 0 {
		more += time.Duration(min(rng.ExpFloat64(), 20) * float64(mean))
	}
	if more == 0 && l.Yield > 0 && rng.Float64() < l.Yield {
		return -1
	}
	return more
}

// await waits as the verdict says, or until the incarnation has ended. No lock is held.
func (d *Disk) await(x verdict) {
	if x.hang != nil {
		select {
		case <-x.hang:
		case <-d.ended:
			return
		}
	}
	switch {
	case x.wait < 0:
		runtime.Gosched()
	case x.wait > 0:
		t := time.NewTimer(x.wait)
		defer t.Stop()
		select {
		case <-t.C:
		case <-d.ended:
		}
	}
}
