package world

import (
	"context"
	"fmt"
	"slices"
	"time"

	"ironman/server"
	"ironman/sim/load"
)

// spoil says that a node may never start again: what it keeps was damaged.
func (n *node) spoil(fault string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.spoils = append(n.spoils, fault)
}

func (n *node) spoiled() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.spoils) > 0
}

// serves tells whether a node comes to serve, writes and reads.
func (w *World) serves(ctx context.Context, c *load.Client, n *node, limit time.Duration) bool {
	key := fmt.Sprintf("healed/%d", n.n)
	return w.until(limit, func() bool {
		return n.serving() != nil && c.Write(ctx, n.n, key) && c.Read(ctx, n.n, key)
	})
}

// replace is what an operator does with a node that does not start any more, as the
// README says: it shuts it out, and lets a new one, with empty disks, take its place.
func (w *World) replace(ctx context.Context, c *load.Client, n *node) bool {
	n.mu.Lock()
	words, number := n.words, uint32(n.number)
	n.down = true
	n.mu.Unlock()
	w.moment(n.n, "is replaced", words)
	w.fired("R1", "a node is replaced by a new one")
	n.kill(false, nil)
	other := w.otherThan(n)
	out := w.until(2*healLimit, func() bool {
		s := other.serving()
		if s == nil {
			return false
		}
		if err := s.RemoveNode(ctx, number); err != nil {
			w.moment(other.n, "does not remove a node", err.Error())
		}
		return !slices.ContainsFunc(s.Nodes(), func(m server.NodeState) bool { return m.Node == number })
	})
	if !out {
		w.violated("I12", "node %d does not remove node %d from the cluster", other.n, number)
		return false
	}
	n.mu.Lock()
	for _, v := range n.disk.Volumes() {
		v.Format()
	}
	n.spoils, n.excuses, n.setBack, n.words = nil, nil, false, ""
	n.joined, n.down = other.n, false
	n.mu.Unlock()
	n.start()
	if !w.serves(ctx, c, n, 2*healLimit) {
		w.violated("I12", "the node that takes the place of node %d does not serve after %v (its process: %s)", number, 2*healLimit, n.stands())
		return false
	}
	st, err := n.status()
	if err != nil {
		w.violated("I12", "the status of the new node: %v", err)
		return false
	}
	n.mu.Lock()
	n.number = int(st.Node)
	n.mu.Unlock()
	return true
}

// otherThan is a node whose disks are whole.
func (w *World) otherThan(n *node) *node {
	for _, o := range w.nodes {
		if o != n && !o.spoiled() {
			return o
		}
	}
	return w.nodes[n.n%nodeCount]
}
