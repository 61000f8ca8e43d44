package world

import (
	"context"
	"math/rand/v2"
	"time"

	"ironman/sim/disk"
	"ironman/sim/network"
)

func networkFaults() []fault {
	short := [2]time.Duration{300 * ms, 5 * time.Second}
	return []fault{
		{id: "N1", name: "a node is cut off", weight: 6, lasts: short, where: aMember, begin: func(w *World, a *Action, _ *rand.Rand) func() {
			w.net.Isolate(nodeHost(a.Node))
			return func() { w.net.Rejoin(nodeHost(a.Node)) }
		}},
		{id: "N1", name: "nothing goes one way", weight: 6, lasts: short, where: aPair, begin: func(w *World, a *Action, _ *rand.Rand) func() {
			w.net.BlockOneWay(nodeHost(a.Node), nodeHost(a.Peer))
			return func() { w.net.Unblock(nodeHost(a.Node), nodeHost(a.Peer)) }
		}},
		{id: "N1", name: "two nodes cannot reach each other", weight: 5, lasts: short, where: aPair, begin: func(w *World, a *Action, _ *rand.Rand) func() {
			w.net.Block(nodeHost(a.Node), nodeHost(a.Peer))
			return func() { w.net.Unblock(nodeHost(a.Node), nodeHost(a.Peer)) }
		}},
		{id: "N1", name: "the other nodes cannot reach a node, clients can", weight: 5, lasts: short, where: aMember, begin: (*World).minority},
		{id: "N1", name: "the other nodes cannot reach a node any more, and it learns that", weight: 5, lasts: short, where: aMember, begin: (*World).reject},
		{id: "N1", name: "a path flaps", weight: 3, lasts: short, where: aPair, begin: (*World).flap},
		{id: "N1", name: "swizzle-clog", weight: 2, lasts: [2]time.Duration{0, 0}, where: everywhere, begin: func(w *World, a *Action, rng *rand.Rand) func() {
			w.net.Swizzle(context.Background(), time.Duration(1+rng.IntN(4))*time.Second, hosts(w.present())...)
			return nil
		}},
		{id: "N2", name: "lossy paths", weight: 4, lasts: short, where: everywhere, begin: func(w *World, _ *Action, rng *rand.Rand) func() {
			p := network.DefaultPath()
			p.Loss = rng.Float64() * 0.3
			p.Jitter = time.Duration(rng.IntN(int(20 * ms)))
			w.net.SetAllPaths(p)
			return func() { w.net.SetAllPaths(network.DefaultPath()) }
		}},
		{id: "N2", name: "a slow path", weight: 2, lasts: short, where: aPair, begin: func(w *World, a *Action, rng *rand.Rand) func() {
			w.net.Slow(nodeHost(a.Node), nodeHost(a.Peer), 20_000+rng.IntN(200_000))
			return func() { w.net.Slow(nodeHost(a.Node), nodeHost(a.Peer), 0) }
		}},
		{id: "N3", name: "connections are reset", weight: 4, where: aNode, begin: func(w *World, a *Action, _ *rand.Rand) func() {
			w.net.Reset(nodeHost(a.Node), "")
			return nil
		}},
		{id: "N3", name: "connections fall silent", weight: 3, where: aPair, begin: func(w *World, a *Action, _ *rand.Rand) func() {
			w.net.Blackhole(nodeHost(a.Node), nodeHost(a.Peer))
			return nil
		}},
		{id: "N3", name: "connections are refused", weight: 2, lasts: short, where: aNode, begin: func(w *World, a *Action, _ *rand.Rand) func() {
			w.net.Refuse(address(a.Node, portLink), a.Lasts)
			w.net.Reset(nodeHost(a.Node), "")
			return nil
		}},
		{id: "P4", name: "a node is deaf and dumb for a while", weight: 3, lasts: short, where: aMember, begin: func(w *World, a *Action, _ *rand.Rand) func() {
			w.net.Pause(nodeHost(a.Node))
			w.fired(a.ID, a.Name)
			return func() { w.net.Resume(nodeHost(a.Node)) }
		}},
		{id: "P4", latency: true, name: "a node stands still, its connections live", weight: 4, lasts: [2]time.Duration{300 * ms, 5 * time.Second}, where: aNode, begin: (*World).standStill},
	}
}

// minority cuts a node off from the others, but not from clients: what it tells them
// must not be old.
func (w *World) minority(a *Action, _ *rand.Rand) func() {
	for _, n := range w.nodes {
		if n.n != a.Node {
			w.net.Block(nodeHost(a.Node), nodeHost(n.n))
		}
	}
	return func() {
		for _, n := range w.nodes {
			if n.n != a.Node {
				w.net.Unblock(nodeHost(a.Node), nodeHost(n.n))
			}
		}
	}
}

// standStill stops a process as far as a gate at its disks and its network can: no call
// of either returns. What needs neither goes on.
func (w *World) standStill(a *Action, _ *rand.Rand) func() {
	n := w.node(a.Node)
	each := func(f func(*disk.Volume)) {
		n.mu.Lock()
		defer n.mu.Unlock()
		for _, v := range n.disk.Volumes() {
			f(v)
		}
	}
	w.fired(a.ID, a.Name)
	each((*disk.Volume).Hang)
	w.net.Pause(nodeHost(a.Node))
	return func() {
		each((*disk.Volume).Unhang)
		w.net.Resume(nodeHost(a.Node))
	}
}

// reject is minority where, a moment later, the connections are reset: what the node
// sent meanwhile has an error instead of no answer.
func (w *World) reject(a *Action, rng *rand.Rand) func() {
	end := w.minority(a, rng)
	time.Sleep(time.Duration(rng.IntN(int(700 * ms))))
	for _, n := range w.nodes {
		if n.n != a.Node {
			w.net.Reset(nodeHost(a.Node), nodeHost(n.n))
		}
	}
	return end
}

func (w *World) flap(a *Action, rng *rand.Rand) func() {
	for left := a.Lasts; left > 0; {
		w.net.Block(nodeHost(a.Node), nodeHost(a.Peer))
		d := time.Duration(rng.IntN(int(600 * ms)))
		time.Sleep(d)
		w.net.Unblock(nodeHost(a.Node), nodeHost(a.Peer))
		time.Sleep(d / 2)
		left -= d + d/2
	}
	return nil
}
