package load

import (
	"context"
	"fmt"
	"sync"
	"time"

	"ironman/sim/history"
)

// Burst writes keys of its own through one node, all within a short while, and returns
// when all are answered: whatever befalls the node meanwhile, some of them are just
// where it hurts.
func (c *Client) Burst(ctx context.Context, node, writes int, within time.Duration) {
	var all sync.WaitGroup
	for i := range writes {
		c.number++
		v := newValue(c.n, c.number, 64+c.rng.IntN(500))
		c.of.History.name(entityTag(v), v)
		key, begin := fmt.Sprintf("burst/%d/%d", c.n, c.number), time.Duration(c.rng.Int64N(int64(within)))
		all.Go(func() {
			pause(ctx, begin)
			a := c.send(ctx, node, ask{method: "PUT", path: path(key), body: body(v)})
			c.refuseOdd(a, "PUT "+key, 200)
			c.recordAs(100*c.n+i, node, a, history.Op{Kind: history.Put, How: "burst", Key: key, Value: v})
		})
	}
	all.Wait()
}
