package world

import (
	"context"
	"time"
)

// birthLimit is how long a cluster may take until all its nodes serve, without faults.
const birthLimit = 60 * time.Second

// birth starts the nodes one after the other, and makes the buckets.
func (w *World) birth(ctx context.Context) bool {
	c := w.newClient(0)
	for i, n := range w.nodes[:nodeCount] {
		n.start()
		if !w.until(birthLimit, func() bool { return n.serving() != nil && c.Serves(ctx, i+1) }) {
			w.violated("I12", "node %d does not serve %v after its first start", i+1, birthLimit)
			return false
		}
		if i == 0 {
			if err := c.MakeBuckets(ctx, 1, w.ownRetention); err != nil {
				w.violated("I12", "%v", err)
				return false
			}
		}
	}
	return true
}

// until asks again and again, and reports whether it became true within limit.
func (w *World) until(limit time.Duration, is func() bool) bool {
	end := time.Now().Add(limit)
	for !is() {
		if time.Now().After(end) {
			return false
		}
		time.Sleep(100 * time.Millisecond)
	}
	return true
}
