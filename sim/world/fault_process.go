package world

import (
	"math/rand/v2"
	"time"
)

func processFaults() []fault {
	return []fault{
		{id: "P2", name: "kill -9 of a node", weight: 8, lasts: [2]time.Duration{50 * ms, 3 * time.Second}, where: aMember,
			begin: func(w *World, a *Action, rng *rand.Rand) func() { return w.killNodes(a, false, rng, a.Node) }},
		{id: "P2", name: "power cut of a node", weight: 8, lasts: [2]time.Duration{50 * ms, 3 * time.Second}, where: aMember,
			begin: func(w *World, a *Action, rng *rand.Rand) func() { return w.killNodes(a, true, rng, a.Node) }},
		{id: "P2", name: "kill -9 of all nodes", weight: 2, lasts: [2]time.Duration{50 * ms, time.Second}, where: everywhere,
			begin: func(w *World, a *Action, rng *rand.Rand) func() { return w.killNodes(a, false, rng, w.all()...) }},
		{id: "P2", name: "power cut of all nodes", weight: 3, lasts: [2]time.Duration{50 * ms, time.Second}, where: everywhere,
			begin: func(w *World, a *Action, rng *rand.Rand) func() { return w.killNodes(a, true, rng, w.all()...) }},
		{id: "P2", name: "a node is away for long", weight: 3, lasts: [2]time.Duration{8 * time.Second, 25 * time.Second}, where: aNode,
			begin: func(w *World, a *Action, rng *rand.Rand) func() { return w.killNodes(a, true, rng, a.Node) }},
		{id: "P3", name: "power cut during recovery", weight: 5, lasts: [2]time.Duration{time.Second, 3 * time.Second}, where: aNode,
			begin: (*World).cutRecovery},
		{id: "P6", name: "shutdown in order", weight: 3, lasts: [2]time.Duration{50 * ms, 2 * time.Second}, where: aNode,
			begin: (*World).shutNode},
	}
}

// all are the numbers of all machines that are there.
func (w *World) all() (which []int) {
	for _, n := range w.present() {
		which = append(which, n.n)
	}
	return which
}

// killNodes ends nodes at one instant; they start again when the fault ends.
func (w *World) killNodes(a *Action, power bool, rng *rand.Rand, which ...int) (end func()) {
	for _, i := range which {
		n := w.node(i)
		n.mu.Lock()
		n.down = true
		n.mu.Unlock()
		if n.kill(power, rng) {
			w.fired(a.ID, a.Name)
		}
	}
	return func() {
		for _, i := range which {
			n := w.node(i)
			n.mu.Lock()
			n.down = false
			n.mu.Unlock()
			n.start()
		}
	}
}

// cutRecovery cuts the power a few times while the node comes up.
func (w *World) cutRecovery(a *Action, rng *rand.Rand) (end func()) {
	n := w.node(a.Node)
	for range 2 + rng.IntN(3) {
		if n.kill(true, rng) {
			w.fired(a.ID, a.Name)
		}
		n.start()
		time.Sleep(time.Duration(rng.IntN(int(400 * ms))))
	}
	n.kill(true, rng)
	n.start()
	return nil
}

// shutNode stops the server as SIGTERM does.
func (w *World) shutNode(a *Action, _ *rand.Rand) (end func()) {
	n := w.node(a.Node)
	n.mu.Lock()
	n.down = true
	n.mu.Unlock()
	if n.serving() != nil {
		w.fired(a.ID, a.Name)
	}
	if err := n.shut(); err != nil {
		w.moment(a.Node, "closes with an error", err.Error())
	}
	return func() {
		n.mu.Lock()
		n.down = false
		n.mu.Unlock()
		n.start()
	}
}
