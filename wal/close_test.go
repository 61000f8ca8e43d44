package wal

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// TestCloseHandsOver (F-P6): a leader that is closed is followed at once, not after
// an election timeout.
func TestCloseHandsOver(t *testing.T) {
	const election = 10 * time.Second
	c := newCluster(t, 3, func(m *member, o *Options) { o.Election = election })
	one := c.leader()
	one.mustPropose(1)
	began := time.Now()
	one.stop()
	c.nodes[1].mustPropose(2)
	if d := time.Since(began); d > election/2 {
		t.Errorf("there was no leader for %v", d)
	}
	one.start()
	one.mustBarrier()
}

// TestCloseUnderLoad: a close while proposals and barriers come in from everywhere,
// in a cluster that is healthy or not, ends soon, ends all of them, and leaves
// nothing behind (the cluster looks).
func TestCloseUnderLoad(t *testing.T) {
	// Close does not wait that long for proposals to end by themselves.
	slow := func(m *tracedMachine) {
		m.slow.hold()
		time.AfterFunc(drainLimit+4*testElection, m.slow.release)
	}
	for name, harm := range map[string]func(c *cluster){
		"healthy": func(*cluster) {},
		"leader cut off": func(c *cluster) {
			c.wire.cut("node-1", "node-2", "node-3")
		},
		"leader heard only": func(c *cluster) {
			for _, id := range []string{"node-2", "node-3"} {
				c.wire.way("node-1", id).answers.hold()
				c.wire.way(id, "node-1").requests.hold()
			}
		},
		"leader slow":               func(c *cluster) { slow(c.nodes[0].machine) },
		"follower hears no answers": func(c *cluster) { c.wire.way("node-2", "node-1").answers.hold() },
		"follower slow":             func(c *cluster) { slow(c.nodes[1].machine) },
		"clock bad":                 func(c *cluster) { c.nodes[0].badTime.Store(bad("no")) },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 3, nil)
			ctx, cancel := context.WithCancel(t.Context())
			var load sync.WaitGroup
			for _, m := range c.nodes {
				for i := range 8 {
					load.Go(func() {
						for ctx.Err() == nil {
							_, err := m.Propose(ctx, proposal(t, i))
							if err != nil && !errors.Is(err, ErrNotDone) && !errors.Is(err, ErrUnknown) {
								t.Errorf("a proposal ended with %v", err)
							}
							if err := m.Barrier(ctx); err != nil && !errors.Is(err, ErrNoLeader) {
								t.Errorf("a barrier ended with %v", err)
							}
							if errors.Is(err, ErrClosed) {
								return
							}
						}
					})
				}
			}
			time.Sleep(50 * time.Millisecond)
			harm(c)
			time.Sleep(50 * time.Millisecond)
			for _, m := range []*member{c.nodes[1], c.nodes[0], c.nodes[2]} {
				began := time.Now()
				m.stop()
				if d := time.Since(began); d > 10*time.Second {
					t.Errorf("%s took %v to close", m.id, d)
				}
			}
			cancel()
			load.Wait()
		})
	}
}

// TestClosingNodeIsElected: a node that wins an election while it closes does not try
// to settle that again and again.
func TestClosingNodeIsElected(t *testing.T) {
	c := newCluster(t, 1, nil)
	one := c.leader()
	one.inflight.close()
	settled := make(chan struct{})
	go func() {
		defer close(settled)
		one.settle(t.Context())
	}()
	select {
	case <-settled:
	case <-time.After(10 * time.Second):
		t.Error("it is still at it")
	}
}

// TestClosedNode: what is asked of a node that is closed ends.
func TestClosedNode(t *testing.T) {
	c := newCluster(t, 1, nil)
	one := c.leader()
	one.mustPropose(1)
	one.stop()
	if err := one.propose(2); !errors.Is(err, ErrNotDone) || !errors.Is(err, ErrClosed) {
		t.Errorf("a proposal: %v", err)
	}
	if err := one.Barrier(t.Context()); !errors.Is(err, ErrNoLeader) {
		t.Errorf("a barrier: %v", err)
	}
	if err := one.AddMember(t.Context(), "node-2"); !errors.Is(err, ErrClosed) {
		t.Errorf("adding a member: %v", err)
	}
	for _, r := range []request{{kindPropose, proposal(t, 3)}, {kindPoint, make([]byte, 8)}, {kindAdd, []byte("node-2")}} {
		b, err := one.Answer(t.Context(), "node-1", r.encode())
		if a, e := decodeAnswer(b); err != nil || e != nil || a.status != statusNotDone {
			t.Errorf("kind %d: %+v, %v, %v", r.kind, a, err, e)
		}
	}
	if one.raft.State() != raft.Shutdown {
		t.Errorf("raft is %v", one.raft.State())
	}
	if err := one.Close(); err != nil {
		t.Errorf("a second close: %v", err)
	}
}
