package load

import (
	"context"
	"fmt"
	"io"
	"time"

	"ironman/sim/history"
)

// heldBytes is so much that most of it is still on the disks when its reader stands
// still: more than the network and the reading node take in advance.
const heldBytes = 4 << 20

// Hold begins to read a body, deletes it, stands still for a while and reads on: what was
// promised to be there for so long must be. It is for times without faults.
func (c *Client) Hold(ctx context.Context, node int, still time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, still+10*requestLimit)
	defer cancel()
	c.number++
	v := newValue(c.n, c.number, heldBytes)
	key := fmt.Sprintf("held/%d", c.number)
	c.of.History.name(entityTag(v), v)
	a := c.send(ctx, node, ask{method: "PUT", path: path(key), body: body(v)})
	c.record(node, a, history.Op{Kind: history.Put, Key: key, Value: v})
	if a.err != nil || a.status != 200 {
		return // disks that failed stay away until their nodes start again
	}
	call := c.of.Now()
	c.of.Trace("hold", node, key)
	resp, err := c.begin(ctx, node, ask{method: "GET", path: path(key)})
	if err != nil {
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		return
	}
	c.record(node, answer{status: 200, call: call, back: c.of.Now()}, history.Op{Kind: history.Get, Key: key, Read: v})
	d := c.send(ctx, node, ask{method: "DELETE", path: path(key)})
	c.record(node, d, history.Op{Kind: history.Delete, Key: key})
	pause(ctx, still)
	b, err := io.ReadAll(resp.Body)
	if err == nil {
		_, err = valueOf(b)
	}
	if err != nil {
		c.of.Violated("I7", "GET %s through node %d, of a body that was deleted %v ago, which is within the grace: behind %d bytes: %v", key, node, still, len(b), err)
	}
	c.of.Trace("held", node, len(b), err != nil)
}
