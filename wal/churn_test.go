package wal

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestChurn: all three nodes propose while the leader crashes with everything
// unsynced lost, is cut off, or is closed, again and again. What was acknowledged is
// applied once, in one order, on all nodes; what was surely not done is not; what is
// unknown is applied once or never; and what was acknowledged before a barrier
// began is there when it returns.
func TestChurn(t *testing.T) {
	rounds := 6
	if testing.Short() {
		rounds = 3
	}
	c := newCluster(t, 3, nil)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	h := &told{c: c, acked: make(map[int]bool), refused: make(map[int]bool), unknown: make(map[int]bool), lives: make(map[*member]int)}
	var load sync.WaitGroup
	for i := range 9 {
		load.Go(func() { h.client(ctx, c.nodes[i%3]) })
	}
	random := rand.New(rand.NewPCG(1, 2))
	for round := range rounds {
		leader := c.leader()
		h.progress(30)
		switch round % 3 {
		case 0:
			h.ends(leader, leader.crash)
			time.Sleep(time.Duration(random.IntN(int(testElection))))
			h.begins(leader)
		case 1:
			c.wire.cut(leader.id, c.others(leader.id)...)
			c.leader(c.without(leader.id)...)
			h.progress(10)
			c.wire.heal()
		case 2:
			h.ends(leader, leader.stop)
			h.begins(leader)
		}
	}
	h.progress(30)
	cancel()
	load.Wait()
	h.check(c.agree())
}

// told is what clients were told.
type told struct {
	c    *cluster
	next atomic.Int64
	acks atomic.Int64

	mu                      sync.Mutex
	lives                   map[*member]int // how often each node began or ended
	last                    int             // a request that was acknowledged
	acked, refused, unknown map[int]bool
}

// ends ends a node: what it says from now on nobody hears.
func (h *told) ends(m *member, how func()) {
	h.mu.Lock()
	h.lives[m]++
	h.mu.Unlock()
	how()
}

func (h *told) begins(m *member) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lives[m]++
	m.start()
}

// pick returns what a client uses of a node.
func (h *told) pick(m *member) (n *Node, machine *tracedMachine, life int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return m.Node, m.machine, h.lives[m]
}

func (h *told) client(ctx context.Context, m *member) {
	for ctx.Err() == nil {
		n, machine, life := h.pick(m)
		if m.down.Load() {
			time.Sleep(time.Millisecond)
			continue
		}
		i := int(h.next.Add(1))
		within, cancel := context.WithTimeout(ctx, 10*testElection)
		_, err := n.Propose(within, proposal(h.c.t, i))
		h.told(m, life, i, err)
		h.mu.Lock()
		last := h.last
		h.mu.Unlock()
		if i%4 == 0 && n.Barrier(within) == nil && last > 0 && !slices.Contains(machine.requests(), requestName(last)) {
			h.c.t.Errorf("%s: a barrier does not show request %d, which was acknowledged before", m.id, last)
		}
		cancel()
	}
}

func (h *told) told(m *member, life, i int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err == nil && h.lives[m] == life:
		h.acked[i] = true
		h.last = i
		h.acks.Add(1)
	case err == nil || errors.Is(err, ErrUnknown):
		h.unknown[i] = true
	case errors.Is(err, ErrNotDone):
		h.refused[i] = true
	default:
		h.c.t.Errorf("request %d failed with %v", i, err)
	}
}

// progress waits until so many more requests are acknowledged.
func (h *told) progress(n int64) {
	h.c.t.Helper()
	want := h.acks.Load() + n
	h.c.until("requests are acknowledged", func() bool { return h.acks.Load() >= want })
}

// check compares what clients were told with what was applied.
func (h *told) check(seen []string) {
	h.c.t.Helper()
	times := make(map[string]int)
	for _, r := range seen {
		times[r]++
	}
	done := 0
	for i := 1; i <= int(h.next.Load()); i++ {
		n := times[requestName(i)]
		switch {
		case n > 1:
			h.c.t.Errorf("request %d was applied %d times", i, n)
		case h.acked[i] && n == 0:
			h.c.t.Errorf("request %d was acknowledged and is not there", i)
		case h.refused[i] && n > 0:
			h.c.t.Errorf("request %d was surely not done, and is there", i)
		}
		if h.unknown[i] && n > 0 {
			done++
		}
	}
	h.c.t.Logf("%d requests: %d acknowledged, %d not done, %d unknown, of which %d took effect",
		h.next.Load(), len(h.acked), len(h.refused), len(h.unknown), done)
}
