package world

import (
	"context"
	"fmt"
	"slices"
	"time"

	"ironman/server"
	"ironman/sim/load"
)

// healLimit is how long a healed cluster may take until it serves through every node
// (I12): its slowest way is a node that comes back by a snapshot.
const healLimit = 30 * time.Second

// heal ends all faults and starts what is down. It reports whether the cluster then
// serves, writes and reads, through each node. One that was spoiled may have to be
// replaced first.
func (w *World) heal(ctx context.Context) bool {
	w.healAll()
	for _, n := range w.nodes {
		n.mu.Lock()
		n.down = false
		n.mu.Unlock()
		n.start()
	}
	c := w.newClient(-1)
	defer c.Close()
	var spoiled []*node
	for _, n := range w.nodes {
		if n.spoiled() {
			spoiled = append(spoiled, n)
			continue
		}
		if !w.serves(ctx, c, n, healLimit) {
			w.violated("I12", "node %d does not serve %v after everything has healed (its process: %s)", n.n, healLimit, n.stands())
			return false
		}
	}
	for _, n := range spoiled {
		if !w.serves(ctx, c, n, healLimit) && !w.replace(ctx, c, n) {
			return false
		}
	}
	return w.reopen(ctx, c)
}

// reopen starts those nodes anew that are without one of their disks: a disk that was
// not there when a node started, or that failed, is taken in again by its next start.
func (w *World) reopen(ctx context.Context, c *load.Client) bool {
	for _, n := range w.nodes {
		st, err := n.status()
		if err == nil && !slices.ContainsFunc(st.Disks, func(d server.DiskStatus) bool { return d.Failure != "" }) {
			continue
		}
		n.kill(false, nil)
		n.start()
		if !w.serves(ctx, c, n, healLimit) && !(n.spoiled() && w.replace(ctx, c, n)) {
			w.violated("I12", "node %d does not serve %v after it was started for its disks (its process: %s)", n.n, healLimit, n.stands())
			return false
		}
	}
	return true
}

// readAll reads every key that anybody ever wrote, through each node in turn.
func (w *World) readAll(ctx context.Context) {
	c := w.newClient(-2)
	for i, key := range w.load.History.Keys() {
		n := w.nodes[i%len(w.nodes)]
		read := func() bool { return w.until(5*time.Second, func() bool { return c.Read(ctx, n.n, key) }) }
		ok := read()
		if !ok && n.spoiled() { // its damage shows only now
			ok = w.replace(ctx, c, n) && read()
		}
		if !ok {
			w.violated("I1", "%s cannot be read through node %d, though everything has healed", key, n.n)
		}
	}
	c.List(ctx, epoch)
}

// agree waits until all nodes have applied the same number of events, and compares
// what they made of them (I5, I6).
func (w *World) agree(ctx context.Context) {
	c := w.newClient(-3)
	defer c.Close()
	all, same := w.gather()
	for _, n := range w.nodes {
		if !same && n.spoiled() && w.replace(ctx, c, n) { // its damage shows only now
			all, same = w.gather()
		}
	}
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

// gather asks all nodes where they stand until that is the same.
func (w *World) gather() (all []*server.Status, same bool) {
	same = w.until(20*time.Second, func() bool {
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
	return all, same
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
	for _, p := range all {
		p.mu.Lock()
		fatal := p.fatal
		p.mu.Unlock()
		if fatal {
			continue
		}
		select {
		case <-p.gone:
		case <-end:
			w.violated("I14", "start %d of node %d has ended and is not gone after %v", p.number, p.node.n, leakLimit)
			return
		}
	}
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
