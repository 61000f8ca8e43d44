package world

import (
	"context"
	"fmt"
	"slices"
	"time"

	"ironman/server"
)

// healLimit is how long a healed cluster may take until it serves through every node
// (I12): its slowest way is a node that comes back by a snapshot.
const healLimit = 30 * time.Second

// heal ends all faults and starts what is down. It reports whether the cluster then
// serves, writes and reads, through each node.
func (w *World) heal(ctx context.Context) bool {
	w.healAll()
	for _, n := range w.nodes {
		n.mu.Lock()
		n.down = false
		n.mu.Unlock()
		n.start()
	}
	c := w.newClient(-1)
	for _, n := range w.nodes {
		key := fmt.Sprintf("healed/%d", n.n)
		var err error
		ok := w.until(healLimit, func() bool {
			if n.serving() == nil {
				return false
			}
			err = c.Write(ctx, n.n, key)
			return err == nil && c.Read(ctx, n.n, key)
		})
		if !ok {
			w.violated("I12", "node %d does not serve %v after everything has healed (its process: %s; the last PUT: %v)", n.n, healLimit, n.stands(), err)
			return false
		}
	}
	return true
}

// readAll reads every key that anybody ever wrote, through each node in turn.
func (w *World) readAll(ctx context.Context) {
	c := w.newClient(-2)
	for i, key := range w.load.History.Keys() {
		n := 1 + i%len(w.nodes)
		if !w.until(5*time.Second, func() bool { return c.Read(ctx, n, key) }) {
			w.violated("I1", "%s cannot be read through node %d, though everything has healed", key, n)
		}
	}
	c.List(ctx, epoch)
}

// holdRead reads a body slowly that is deleted meanwhile, and lets go only a moment before
// the grace of what has no reference is over: until then it must all be there (I7).
func (w *World) holdRead(ctx context.Context) {
	c := w.newClient(-3)
	defer c.Close()
	c.Hold(ctx, 1+w.draw("hold", len(w.nodes)), w.retention+w.grace-time.Second)
}

// agree waits until all nodes have applied the same number of events, and compares
// what they made of them (I5, I6).
func (w *World) agree(context.Context) {
	var all []*server.Status
	same := w.until(20*time.Second, func() bool {
		all = all[:0]
		for _, n := range w.nodes {
			s := n.serving()
			if s == nil {
				return false
			}
			st, err := s.Status()
			if err != nil {
				return false
			}
			all = append(all, st)
		}
		for _, s := range all {
			if s.Events != all[0].Events {
				return false
			}
		}
		return true
	})
	if !same {
		w.violated("I12", "the nodes do not come to the same number of events: %s", where(all))
		return
	}
	for _, s := range all {
		if s.StateDigest != all[0].StateDigest || s.LedgerRoot != all[0].LedgerRoot {
			w.violated("I5", "behind %d events node %d has state %s and ledger %s, node %d %s and %s", s.Events,
				all[0].Node, all[0].StateDigest, all[0].LedgerRoot, s.Node, s.StateDigest, s.LedgerRoot)
		}
	}
	w.agreed = all[0]
	w.trace.add("agreed", all[0].Events, all[0].StateDigest, all[0].LedgerRoot)
}

func where(all []*server.Status) string {
	s := ""
	for _, st := range all {
		s += fmt.Sprintf("node %d at %d; ", st.Node, st.Events)
	}
	return s
}

// leakLimit is how long an ended process may take to be gone: longer than anything
// in it waits for.
const leakLimit = 2 * time.Minute

// shutAll ends all nodes in order; then nothing of any process may be left (I14), but
// of those that ended in the middle of something, whose locks nobody can free.
func (w *World) shutAll() {
	for _, n := range w.nodes {
		if err := n.shut(); err != nil && !n.excused() {
			w.violated("I14", "node %d does not close: %v", n.n, err)
		}
	}
	w.mu.Lock()
	all := slices.Clone(w.processes)
	w.mu.Unlock()
	end := time.After(leakLimit)
	var gone []*process
	for _, p := range all {
		p.mu.Lock()
		fatal, closed := p.fatal, p.closed
		p.mu.Unlock()
		if fatal {
			continue
		}
		select {
		case <-p.gone:
			if closed {
				gone = append(gone, p)
			}
		case <-end:
			w.violated("I14", "start %d of node %d has ended and is not gone after %v", p.number, p.node.n, leakLimit)
			return
		}
	}
	w.checkGoroutines(gone)
}

// stands says in a few words where the node's process is.
func (n *node) stands() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch p := n.process; {
	case p == nil && n.down:
		return "kept down"
	case p == nil:
		return "none"
	case p.server == nil:
		return "starting"
	}
	return "open"
}
