package server_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"
)

func chaosProcessFaults() []chaosFault {
	short := [2]time.Duration{50 * ms, 3 * time.Second}
	faults := []chaosFault{
		{id: "P2", name: "kill -9 of a node", weight: 2, lasts: short, where: aNode, do: func(c *chaos, a *chaosAction, _ *rand.Rand) {
			c.killNodes(a, a.node)
		}},
		{id: "P2", name: "kill -9 of all nodes", weight: 1, lasts: [2]time.Duration{50 * ms, time.Second}, where: everywhere, do: func(c *chaos, a *chaosAction, _ *rand.Rand) {
			c.killNodes(a, 0, 1, 2)
		}},
		{id: "P2", name: "a node is away for long", weight: 1, lasts: [2]time.Duration{6 * time.Second, 12 * time.Second}, where: aNode, do: func(c *chaos, a *chaosAction, _ *rand.Rand) {
			c.killNodes(a, a.node)
		}},
		{id: "P3", name: "kill -9 during a start", weight: 1, where: aNode, do: (*chaos).killStarts},
		{id: "P4", name: "a node stands still", weight: 3, lasts: [2]time.Duration{500 * ms, 8 * time.Second}, where: aNode, do: func(c *chaos, a *chaosAction, _ *rand.Rand) {
			n := c.chaosNodes[a.node]
			if n.signal(syscall.SIGSTOP) {
				c.fired(a.fault.id, a.fault.name)
			}
			time.Sleep(a.lasts)
			n.signal(syscall.SIGCONT)
		}},
		{id: "P6", name: "shutdown in order", weight: 1, lasts: short, where: aNode, unsure: true, do: func(c *chaos, a *chaosAction, _ *rand.Rand) {
			n := c.chaosNodes[a.node]
			n.hold()
			if n.stop() {
				c.fired(a.fault.id, a.fault.name)
			}
			time.Sleep(a.lasts)
			n.release()
		}},
		clockFault("a clock is off by seconds", 10*time.Second),
		clockFault("a clock is off by far", 365*24*time.Hour),
	}
	// How many writes of a kind there are, roughly, until one is to be the last.
	for _, p := range []struct {
		name  string
		most  int
		early int // of these are counted from the start on: percent
	}{{"log", 60, 30}, {"pack", 60, 10}, {"snapshot", 12, 10}, {"ledger", 12, 20}, {"state", 8, 50}} {
		faults = append(faults, chaosFault{id: "P1", name: "killed inside a write of " + p.name, weight: 1, where: aNode, unsure: true, do: func(c *chaos, a *chaosAction, rng *rand.Rand) {
			point := fmt.Sprintf("%s:%d", p.name, 1+rng.IntN(p.most))
			if rng.IntN(100) < p.early {
				point += ":start"
			}
			c.restartWith(a, func(n *chaosNode) { n.next = point })
		}})
	}
	return faults
}

// killNodes kills nodes at one moment; they start again when the fault ends.
func (c *chaos) killNodes(a *chaosAction, which ...int) {
	var all sync.WaitGroup
	for _, i := range which {
		n := c.chaosNodes[i]
		n.hold()
		all.Go(func() {
			if n.kill() {
				c.fired(a.fault.id, a.fault.name)
			}
		})
	}
	all.Wait()
	time.Sleep(a.lasts)
	for _, i := range which {
		c.chaosNodes[i].release()
	}
}

// killStarts kills a node a few times while it starts.
func (c *chaos) killStarts(a *chaosAction, rng *rand.Rand) {
	n := c.chaosNodes[a.node]
	for range 2 + rng.IntN(3) {
		n.hold()
		if n.kill() {
			c.fired(a.fault.id, a.fault.name)
		}
		n.release()
		time.Sleep(time.Duration(rng.IntN(700)) * ms)
	}
}

// restartWith kills a node and lets it start in another way.
func (c *chaos) restartWith(a *chaosAction, change func(*chaosNode)) {
	n := c.chaosNodes[a.node]
	n.hold()
	n.kill()
	n.mu.Lock()
	change(n)
	n.mu.Unlock()
	n.release()
}

// clockFault lets a node start with a wrong clock, for a while.
func clockFault(name string, most time.Duration) chaosFault {
	return chaosFault{id: "K1", name: name, weight: 1, lasts: [2]time.Duration{2 * time.Second, 8 * time.Second}, where: aNode, do: func(c *chaos, a *chaosAction, rng *rand.Rand) {
		offset := time.Duration(1-2*rng.IntN(2)) * time.Duration(rng.Int64N(int64(most)))
		c.restartWith(a, func(n *chaosNode) { n.clock = offset })
		c.fired(a.fault.id, a.fault.name)
		time.Sleep(a.lasts)
		c.restartWith(a, func(n *chaosNode) { n.clock = 0 })
	}}
}

func chaosNetworkFaults() []chaosFault {
	short := [2]time.Duration{300 * ms, 6 * time.Second}
	return []chaosFault{
		{id: "N1", name: "a node is cut off", weight: 2, lasts: short, where: aNode, do: func(c *chaos, a *chaosAction, _ *rand.Rand) {
			c.cutFor(a, true, true, others(a.node)...)
		}},
		{id: "N1", name: "a node is not heard", weight: 1, lasts: short, where: aNode, do: func(c *chaos, a *chaosAction, _ *rand.Rand) {
			c.cutFor(a, true, false, others(a.node)...)
		}},
		{id: "N1", name: "a node hears nothing", weight: 1, lasts: short, where: aNode, do: func(c *chaos, a *chaosAction, _ *rand.Rand) {
			c.cutFor(a, false, true, others(a.node)...)
		}},
		{id: "N1", name: "two nodes cannot reach each other", weight: 1, lasts: short, where: aPair, do: func(c *chaos, a *chaosAction, _ *rand.Rand) {
			c.cutFor(a, true, true, a.peer)
		}},
		{id: "N1", name: "nothing goes one way", weight: 1, lasts: short, where: aPair, do: func(c *chaos, a *chaosAction, _ *rand.Rand) {
			c.cutFor(a, true, false, a.peer)
		}},
		{id: "N1", name: "a path flaps", weight: 1, where: aPair, do: func(c *chaos, a *chaosAction, rng *rand.Rand) {
			for range 3 + rng.IntN(5) {
				a.lasts = time.Duration(100+rng.IntN(1500)) * ms
				c.cutFor(a, true, true, a.peer)
				time.Sleep(time.Duration(50+rng.IntN(800)) * ms)
			}
		}},
		{id: "N2", name: "slow paths", weight: 2, lasts: short, where: aNode, do: func(c *chaos, a *chaosAction, rng *rand.Rand) {
			delay := time.Duration(2+rng.IntN(80)) * ms
			c.network(a, func(p *pathFaults) { p.delay += delay }, func(p *pathFaults) { p.delay -= delay }, others(a.node)...)
		}},
		{id: "N3", name: "connections are reset", weight: 2, where: aNode, do: func(c *chaos, a *chaosAction, _ *rand.Rand) {
			c.onConnections(a, (*proxy).reset)
		}},
		{id: "N3", name: "connections fall silent", weight: 2, where: aNode, do: func(c *chaos, a *chaosAction, _ *rand.Rand) {
			c.onConnections(a, (*proxy).silence)
		}},
	}
}

// pathFaults is what befalls the bytes that one node sends to another: counts, as
// faults overlap.
type pathFaults struct {
	cuts  int
	delay time.Duration
}

// cutFor cuts a node off from others: what it sends, what it receives, or both.
func (c *chaos) cutFor(a *chaosAction, sent, received bool, from ...int) {
	change := func(by int) func(int, int) {
		return func(node, other int) {
			if sent {
				c.paths[node][other].cuts += by
			}
			if received {
				c.paths[other][node].cuts += by
			}
		}
	}
	c.changePaths(a, change(1), change(-1), from...)
}

// network changes both directions between a node and others for a while.
func (c *chaos) network(a *chaosAction, begin, end func(*pathFaults), with ...int) {
	both := func(f func(*pathFaults)) func(int, int) {
		return func(node, other int) {
			f(&c.paths[node][other])
			f(&c.paths[other][node])
		}
	}
	c.changePaths(a, both(begin), both(end), with...)
}

// changePaths makes a change for a while, and counts it if anything met it.
func (c *chaos) changePaths(a *chaosAction, begin, end func(node, other int), with ...int) {
	before := c.held()
	c.setPaths(a.node, begin, with)
	time.Sleep(a.lasts)
	if c.held() > before {
		c.fired(a.fault.id, a.fault.name)
	}
	c.setPaths(a.node, end, with)
}

func (c *chaos) setPaths(node int, change func(node, other int), with []int) {
	c.pathsMu.Lock()
	defer c.pathsMu.Unlock()
	for _, other := range with {
		change(node, other)
	}
	for from := range c.paths {
		for to := range c.paths {
			there, back := c.paths[from][to], c.paths[to][from]
			c.proxies[to].set(from, cut{in: there.cuts > 0, out: back.cuts > 0, delay: there.delay + back.delay})
		}
	}
}

func (c *chaos) held() (n int) {
	for _, p := range c.proxies {
		n += p.holds()
	}
	return n
}

// onConnections does something to all connections of a node with the others.
func (c *chaos) onConnections(a *chaosAction, f func(*proxy, int) int) {
	n := 0
	for _, other := range others(a.node) {
		n += f(c.proxies[a.node], other) + f(c.proxies[other], a.node)
	}
	if n > 0 {
		c.fired(a.fault.id, a.fault.name)
	}
}
