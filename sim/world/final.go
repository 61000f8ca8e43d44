package world

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"ironman/server"
)

// healLimit is how long a healed cluster may take until it serves through every node
// (I12): its slowest way is a node that comes back by a snapshot, behind others that it
// had no room for: Raft waits up to 10.24 s before it sends the next one.
const healLimit = 21 * time.Second

// heal ends all faults and starts what is down. It reports whether the cluster then
// serves, writes and reads, through each node, and no other node does. A node that was
// spoiled may have to be replaced first.
func (w *World) heal(ctx context.Context) bool {
	w.healAll()
	began := time.Now()
	for _, n := range w.present() {
		if n.is() == joining { // maybe at a node that never comes back
			n.kill(false, nil)
		}
		n.mu.Lock()
		n.down = false
		n.mu.Unlock()
		n.start()
	}
	ctx, cancel := context.WithTimeout(ctx, 30*healLimit)
	defer cancel()
	w.reopenBesideLost()
	if !w.wholeServe(ctx) {
		return false
	}
	w.healed = time.Since(began)
	w.moment(0, "healed", fmt.Sprintf("all nodes serve %v behind the last fault", w.healed.Round(ms)))
	for _, n := range w.members() {
		if n.spoiled() && !w.serves(ctx, n, healLimit) && !w.replace(ctx, n) {
			return false
		}
	}
	return w.settleMembers(ctx) && w.refuseRemoved() && w.reopenDisks(ctx)
}

// wholeServe tells whether all members that nothing has spoiled come to serve.
func (w *World) wholeServe(ctx context.Context) bool {
	nodes := slices.DeleteFunc(w.members(), (*node).spoiled)
	late := make([]bool, len(nodes))
	var all sync.WaitGroup
	for i, n := range nodes {
		all.Go(func() {
			if why := w.whyNot(ctx, n, healLimit); why != nil {
				late[i] = true
				w.violated("I12", "node %d does not serve %v after everything has healed (%v)", n.n, healLimit, why)
			}
		})
	}
	all.Wait()
	return !slices.Contains(late, true)
}

// serves returns once a node serves a client that writes and reads, or false if it does
// not in time.
func (w *World) serves(ctx context.Context, n *node, limit time.Duration) bool {
	return w.whyNot(ctx, n, limit) == nil
}

// whyNot is what a node last answered that does not serve in time.
func (w *World) whyNot(ctx context.Context, n *node, limit time.Duration) error {
	c := w.newClient(-10 - n.n)
	defer c.Close()
	key := fmt.Sprintf("healed/%d", n.n)
	why := errors.New("nothing was asked")
	served := w.until(limit, func() bool {
		if n.serving() == nil {
			return false
		}
		if why = c.Write(ctx, n.n, key); why == nil && !c.Read(ctx, n.n, key) {
			why = errors.New("what was written is not read")
		}
		return why == nil
	})
	if served {
		return nil
	}
	return fmt.Errorf("its process: %s; the last answer: %w", n.stands(), why)
}

// reopenBesideLost starts nodes whose disks failed anew, as their operator would, where
// another node's damage may keep that one away for good: with the disks of a node gone,
// and two more, what is written could not survive another loss, and is refused.
func (w *World) reopenBesideLost() {
	members := w.members()
	if !slices.ContainsFunc(members, (*node).spoiled) {
		return
	}
	members = slices.DeleteFunc(members, (*node).spoiled)
	failed := 0
	for _, n := range members {
		failed += n.failedDisks()
	}
	if failed < 2 {
		return
	}
	for _, n := range members {
		if n.failedDisks() > 0 {
			n.kill(false, nil)
			n.start()
		}
	}
}

// failedDisks is how many disks a node is without; 0 if it does not say.
func (n *node) failedDisks() int {
	failed := 0
	st, err := n.status()
	if err != nil {
		return 0
	}
	for _, d := range st.Disks {
		if d.Failure != "" {
			failed++
		}
	}
	return failed
}

// reopenDisks starts those nodes anew that are without one of their disks, as their
// operator would: a disk that was not there when a node started, or that failed, is
// taken in again by its next start.
func (w *World) reopenDisks(ctx context.Context) bool {
	for _, n := range w.members() {
		if _, err := n.status(); err == nil && n.failedDisks() == 0 {
			continue
		}
		n.kill(false, nil)
		n.start()
		if why := w.whyNot(ctx, n, healLimit); why != nil && !(n.spoiled() && w.replace(ctx, n)) {
			w.violated("I12", "node %d does not serve %v after it was started for its disks (%v)", n.n, healLimit, why)
			return false
		}
	}
	return true
}

// refusedLimit is how long a node that was removed may take until it knows: a start
// looks for a leader that long before it asks the others why there is none.
const refusedLimit = time.Minute

// refuseRemoved starts what was removed once more: it must be refused. One that was
// spoiled may not come so far.
func (w *World) refuseRemoved() bool {
	for _, n := range w.nodes {
		if n.is() != removed || n.wasRefused() || n.spoiled() {
			continue
		}
		n.kill(false, w.rng("removed", n.n))
		n.start()
		if !w.until(refusedLimit, n.wasRefused) {
			w.violated("I10", "node %d was removed, and is not refused %v after its start (its process: %s)", n.n, refusedLimit, n.stands())
			return false
		}
	}
	return true
}

// readAll reads every key that anybody ever wrote, through each node in turn.
func (w *World) readAll(ctx context.Context) {
	c, members := w.newClient(-2), w.members()
	for i, key := range w.load.History.Keys() {
		n := members[i%len(members)]
		read := func() bool { return w.until(5*time.Second, func() bool { return c.Read(ctx, n.n, key) }) }
		ok := read()
		if !ok && n.spoiled() { // its damage shows only now
			ok = w.replace(ctx, n) && read()
		}
		if !ok {
			w.violated("I1", "%s cannot be read through node %d, though everything has healed", key, n.n)
		}
	}
	c.List(ctx, epoch)
	for _, n := range members {
		if !w.until(5*time.Second, func() bool { return c.ReadSets(ctx, n.n, epoch) }) {
			w.violated("I1", "what transactions wrote cannot be read through node %d, though everything has healed", n.n)
		}
	}
}

// holdRead reads a body slowly that is deleted meanwhile, and lets go only a moment before
// the grace of what has no reference is over: until then it must all be there (I7).
func (w *World) holdRead(ctx context.Context) {
	c := w.newClient(-3)
	defer c.Close()
	members := w.members()
	c.Hold(ctx, members[w.draw("hold", len(members))].n, w.bucketRetention()+w.grace-time.Second)
}

// agree waits until all nodes have applied the same number of events, and compares
// what they made of them (I5, I6).
func (w *World) agree(ctx context.Context) {
	all, same := w.gather()
	for _, n := range w.members() {
		if !same && n.spoiled() && w.replace(ctx, n) { // its damage shows only now
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
		for _, n := range w.members() {
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
