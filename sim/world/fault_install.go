package world

import (
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Snapshots that are sent to other nodes come to grief on their way (R2, R3, R9). The
// nodes' own words tell when one is sent: see listener.
func installFaults() []fault {
	away := [2]time.Duration{4 * time.Second, 11 * time.Second}
	sent := func(most int, spring func(w *World, from, to *node, rng *rand.Rand)) func(*World, *Action, *rand.Rand) func() {
		return func(w *World, a *Action, rng *rand.Rand) func() {
			for _, n := range w.members() {
				if n.serving() == nil { // with two away nothing happens that a snapshot could tell of
					return nil
				}
			}
			w.lay(&trap{to: w.node(a.Node), left: 1 + rng.IntN(most), spring: spring, rng: rng})
			return w.killNodes(a, rng.IntN(2) == 0, rng, a.Node)
		}
	}
	return []fault{
		{id: "R2", name: "snapshots for a node that was away are interrupted", weight: 4, lasts: away, where: aNode, begin: sent(4, (*World).interrupt)},
		{id: "R2", name: "snapshots are interrupted", weight: 3, where: everywhere, begin: func(w *World, _ *Action, rng *rand.Rand) func() {
			w.lay(&trap{left: 1 + rng.IntN(3), spring: (*World).interrupt, rng: rng})
			return nil
		}},
		{id: "R3", name: "a leader is cut off with what it has proposed", weight: 4, lasts: [2]time.Duration{3 * time.Second, 10 * time.Second}, where: everywhere, begin: (*World).leaveTail},
		{id: "R9", name: "a snapshot for a node that was away is held back", weight: 6, lasts: away, where: aNode, begin: sent(2, (*World).holdBack)},
	}
}

// A trap waits for a snapshot that is sent to a node, or to any.
type trap struct {
	to     *node
	left   int // how often it still springs
	spring func(w *World, from, to *node, rng *rand.Rand)
	mu     sync.Mutex
	rng    *rand.Rand
}

func (w *World) lay(t *trap) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.traps = append(w.traps, t)
}

// clearTraps takes all away.
func (w *World) clearTraps() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.traps = nil
}

// installBegins hears that a node is about to send a snapshot, and springs one trap.
func (w *World) installBegins(from *node, number uint32) {
	w.fired("R2", "a snapshot is sent to another node")
	to := w.machineOf(number)
	if to == nil || to == from || !to.on() {
		return // what cannot arrive cannot come to grief on its way
	}
	w.mu.Lock()
	i := slices.IndexFunc(w.traps, func(t *trap) bool { return t.to == nil || t.to == to })
	if i < 0 {
		w.mu.Unlock()
		return
	}
	t := w.traps[i]
	if t.left--; t.left == 0 {
		w.traps = slices.Delete(w.traps, i, i+1)
	}
	w.mu.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.spring(w, from, to, t.rng)
}

// interrupt lets something befall a snapshot within the moments that it takes.
func (w *World) interrupt(from, to *node, rng *rand.Rand) {
	kind, lasts := rng.IntN(7), time.Duration(500+rng.IntN(4000))*ms
	own := rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64()))
	w.after(time.Duration(rng.ExpFloat64()*float64(4*ms)), func() {
		a, b := nodeHost(from.n), nodeHost(to.n)
		w.fired("R2", "a snapshot is interrupted")
		w.moment(to.n, "snapshot", "its sending is interrupted")
		switch kind {
		case 0, 1:
			w.killFor(to, kind == 1, own, lasts/4)
		case 2:
			w.killFor(from, own.IntN(2) == 0, own, lasts/4)
		case 3, 4:
			w.net.Reset(a, b)
		case 5:
			w.net.Block(a, b)
			w.after(lasts, func() { w.net.Unblock(a, b) })
		case 6:
			w.net.Blackhole(a, b)
		}
	})
}

// killFor ends a node's process, and starts it again after a time.
func (w *World) killFor(n *node, power bool, rng *rand.Rand, lasts time.Duration) {
	if n.kill(power, rng) {
		w.after(lasts, n.start)
	}
}

// holdBack keeps a snapshot on the wire, and its sender from all others, so that they
// elect another leader, whose entries reach the node first. The link gives up a
// connection on which nothing comes for five seconds, and what it carries with it.
func (w *World) holdBack(from, to *node, rng *rand.Rand) {
	held := time.Duration(1500+rng.IntN(3000)) * ms
	w.fired("R9", "a snapshot is held back")
	w.moment(to.n, "snapshot", "it is held back")
	w.net.Clog(nodeHost(from.n), nodeHost(to.n), held)
	for _, o := range w.present() {
		if o != from && o != to {
			a, b := nodeHost(from.n), nodeHost(o.n)
			w.net.Block(a, b)
			w.after(held+time.Second, func() { w.net.Unblock(a, b) })
		}
	}
}

// leaveTail cuts the leader off from all others, but not from clients: what it still
// appends to its log nobody else has, and by its return others may be so far that it is
// sent a snapshot.
func (w *World) leaveTail(a *Action, rng *rand.Rand) (end func()) {
	leader := w.leader()
	if leader == 0 {
		return nil
	}
	a.Node = leader
	w.fired("R3", "a leader is cut off")
	return w.minority(a, rng)
}
