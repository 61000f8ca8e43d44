package world

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// nemesis carries out the plan, and returns when its span is over and all its faults
// have ended.
func (w *World) nemesis(ctx context.Context) {
	began := time.Now()
	var running sync.WaitGroup
	w.planned = w.plan()
	for _, a := range w.planned {
		if slices.Contains(w.cfg.Without, a.N) {
			continue
		}
		pause(ctx, time.Until(began.Add(a.At)))
		running.Go(func() { w.carryOut(ctx, a) })
	}
	pause(ctx, time.Until(began.Add(w.cfg.Span)))
	running.Wait()
}

func (w *World) carryOut(ctx context.Context, a Action) {
	kinds := faults()
	i := slices.IndexFunc(kinds, func(f fault) bool { return f.id == a.ID && f.name == a.Name })
	if l := w.leader(); a.Leader && l > 0 {
		a.Node = l
	}
	a, ok := w.aimed(a, kinds[i])
	if !ok {
		return
	}
	if burst := w.burst(ctx, &a); burst != nil {
		defer burst()
	}
	w.lasting(a.Node, "fault", a.String(), a.Lasts)
	end := kinds[i].begin(w, &a, w.rng("action", a.N))
	if end == nil {
		return
	}
	time.Sleep(a.Lasts)
	end()
	w.moment(a.Node, "fault ends", a.String())
}

// A burst is so many writes, begun within so short a time that most of them are under
// way when it is half over.
const (
	burstWrites = 6
	burstWithin = 16 * ms
)

// burst begins writes through a node that something is about to befall, and returns
// in the midst of them, with what waits for their answers. A cluster that answers
// too early is found out only by what is under way at that very moment.
func (w *World) burst(ctx context.Context, a *Action) (wait func()) {
	if a.ID[0] != 'N' && a.ID[0] != 'P' {
		return nil
	}
	node := a.Node
	if node == 0 {
		node = 1 + a.N%len(w.nodes)
	}
	c := w.newClient(burstClients + a.N)
	var writes sync.WaitGroup
	writes.Go(func() { c.Burst(ctx, node, burstWrites, burstWithin) })
	time.Sleep(burstWithin / 2)
	return func() {
		writes.Wait()
		c.Close()
	}
}

// burstClients are numbered from here on.
const burstClients = 1000

// String is the action in words.
func (a Action) String() string {
	s := fmt.Sprintf("#%d %s %s", a.N, a.ID, a.Name)
	if a.Node > 0 {
		s += fmt.Sprintf(", node %d", a.Node)
	}
	if a.Leader {
		s += ", the leader"
	}
	if a.Disk > 0 {
		s += fmt.Sprintf(" disk %d", a.Disk)
	}
	if a.Peer > 0 {
		s += fmt.Sprintf(" and node %d", a.Peer)
	}
	return s
}

func (w *World) node(n int) *node { return w.nodes[n-1] }

// healAll ends whatever still lasts.
func (w *World) healAll() {
	w.clearTraps()
	w.net.Heal()
	for _, n := range w.nodes {
		w.net.Resume(nodeHost(n.n))
		n.mu.Lock()
		n.disk.Volume(volumeNode).Heal()
		n.disk.Volume(volumeNode).Occupy(0)
		for i := range disksPerNode {
			v := n.disk.Volume(volumeDisk(i + 1))
			v.Heal()
			v.SetCapacity(diskCapacity)
		}
		n.offset = 0
		n.mu.Unlock()
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
