package wal

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// TestIsolatedLeader (T-9, F-N1): from the moment in which a leader is cut off it
// answers no read, though it takes itself for the leader for a while; and once it is
// back, a read shows what was acknowledged elsewhere.
func TestIsolatedLeader(t *testing.T) {
	c := newCluster(t, 3, nil)
	old := c.leader()
	rest := c.without(old.id)
	old.mustPropose(1)
	c.wire.cut(old.id, rest[0].id, rest[1].id)
	var stop atomic.Bool
	t.Cleanup(func() { stop.Store(true) }) // also if it fails below
	var reads, asLeader atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for !stop.Load() {
				ctx, cancel := context.WithTimeout(t.Context(), testElection/6)
				if old.raft.State() == raft.Leader {
					asLeader.Add(1)
				}
				if err := old.Barrier(ctx); err == nil {
					t.Error("a leader that is cut off answered a read")
				} else if !errors.Is(err, ErrNoLeader) {
					t.Errorf("a read failed with %v", err)
				}
				reads.Add(1)
				cancel()
			}
		})
	}
	c.leader(rest...)
	rest[0].mustPropose(2)
	rest[1].mustBarrier()
	time.Sleep(testElection)
	stop.Store(true)
	wg.Wait()
	if reads.Load() < 10 || asLeader.Load() == 0 {
		t.Errorf("%d reads, %d of them of a leader: this test shows nothing", reads.Load(), asLeader.Load())
	}
	c.wire.heal()
	old.mustBarrier()
	if old.count(2) != 1 {
		t.Error("a read does not show what was acknowledged elsewhere")
	}
}

// TestIsolatedLeaderAcknowledges (F-N1): a leader that is cut off can store what it is
// asked to, but acknowledges nothing: it is not on a majority, and another leader may
// never hear of it.
func TestIsolatedLeaderAcknowledges(t *testing.T) {
	c := newCluster(t, 3, nil)
	old := c.leader()
	rest := c.without(old.id)
	old.mustPropose(1)
	c.wire.cut(old.id, rest[0].id, rest[1].id)
	unknown := 0
	for i := 2; old.raft.State() == raft.Leader; i++ {
		ctx, cancel := context.WithTimeout(t.Context(), testElection/6)
		_, err := old.Propose(ctx, proposal(t, i))
		cancel()
		switch {
		case err == nil:
			t.Fatal("a leader that is cut off acknowledged a proposal")
		case errors.Is(err, ErrUnknown):
			unknown++
		}
	}
	if unknown == 0 {
		t.Error("it took none: this test shows nothing")
	}
	c.leader(rest...)
	rest[0].mustPropose(100)
	c.wire.heal()
	old.mustBarrier()
	if seen := c.agree(); seen[0] != requestName(1) || old.count(100) != 1 {
		t.Error("acknowledged requests are missing")
	}
}

// TestOneWay (F-N1): a leader that is heard but hears nobody answers no read.
func TestOneWay(t *testing.T) {
	c := newCluster(t, 3, nil)
	old := c.leader()
	for _, m := range c.without(old.id) {
		c.wire.way(old.id, m.id).answers.hold()
		c.wire.way(m.id, old.id).requests.hold()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*testElection)
	defer cancel()
	if err := old.Barrier(ctx); !errors.Is(err, ErrNoLeader) {
		t.Errorf("a leader that hears nobody answered a read: %v", err)
	}
	c.leader(c.without(old.id)...)
	c.wire.heal()
	old.mustBarrier()
}

// TestConfirmation: a leader's confirmation counts voters only, and only what they
// say after they were asked. raft's own VerifyLeader does neither.
func TestConfirmation(t *testing.T) {
	const election = 3 * time.Second
	c := newCluster(t, 3, func(m *member, o *Options) { o.Election = election })
	one := c.leader()
	four := c.add("node-4")
	four.start()
	if err := one.raft.AddNonvoter("node-4", "node-4", 0, 0).Error(); err != nil {
		t.Fatal(err)
	}
	four.mustBarrier()
	confirm := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), election/6)
		defer cancel()
		_, err := one.confirm(ctx)
		return err
	}
	if err := confirm(); err != nil {
		t.Fatal(err)
	}
	// The voters are gone, and a node without a vote is there.
	c.wire.cut("node-1", "node-2", "node-3")
	if err := confirm(); !errors.Is(err, ErrNoLeader) {
		t.Errorf("a leader was confirmed by a node without a vote: %v", err)
	}
	if err := one.raft.VerifyLeader().Error(); err != nil {
		t.Logf("raft has mended VerifyLeader: %v", err)
	}
	c.wire.heal()
	c.leader(one)
	one.mustBarrier()
	// The voters answered before they were asked, and are gone since.
	for _, id := range []string{"node-2", "node-3", "node-4"} {
		c.wire.way("node-1", id).answers.hold()
	}
	time.Sleep(election / 6) // several heartbeats have been answered
	verified := make(chan error, 1)
	go func() { verified <- one.raft.VerifyLeader().Error() }()
	time.Sleep(election / 30)
	for _, id := range []string{"node-2", "node-3", "node-4"} {
		c.wire.way("node-1", id).requests.hold()
		c.wire.way("node-1", id).answers.release()
	}
	if err := confirm(); !errors.Is(err, ErrNoLeader) {
		t.Errorf("a leader was confirmed by old answers: %v", err)
	}
	if err := <-verified; err != nil {
		t.Logf("raft has mended VerifyLeader: %v", err)
	}
}

// TestAskersWord: the word of a follower that asks counts, if it has a vote and no
// newer term.
func TestAskersWord(t *testing.T) {
	const election = 3 * time.Second
	c := newCluster(t, 3, func(m *member, o *Options) { o.Election = election })
	one := c.leader()
	four := c.add("node-4")
	four.start()
	if err := one.raft.AddNonvoter("node-4", "node-4", 0, 0).Error(); err != nil {
		t.Fatal(err)
	}
	c.wire.cut("node-1", "node-2", "node-3") // it can ask nobody
	term := one.raft.CurrentTerm()
	for _, a := range []struct {
		from string
		term uint64
		want bool
	}{
		{"node-2", term, true}, {"node-3", term - 1, true}, {"node-2", term + 1, false},
		{"node-4", term, false}, {"node-1", term, false}, {"", 0, false},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), election/20)
		if _, err := one.readPoint(ctx, a.from, a.term); (err == nil) != a.want {
			t.Errorf("a read of %q in term %d, where the leader's is %d: %v", a.from, a.term, term, err)
		}
		cancel()
	}
}

// TestOldLeadership: what was settled in an older term says nothing about this one.
func TestOldLeadership(t *testing.T) {
	c := newCluster(t, 1, nil)
	one := c.leader()
	l := *one.leads.Load()
	l.term--
	one.leads.Store(&l)
	ctx, cancel := context.WithTimeout(t.Context(), testElection/6)
	defer cancel()
	if err := one.Barrier(ctx); one.Leads() || !errors.Is(err, ErrNoLeader) {
		t.Errorf("leads %t, barrier %v", one.Leads(), err)
	}
}

// unaware has the leader commit request i in such a way that a follower holds it and
// does not know yet that it is committed. Then nothing that raft sends reaches the
// follower any more.
func (c *cluster) unaware(leader, follower *member) (i int) {
	c.t.Helper()
	w := c.wire.way(leader.id, follower.id)
	for i := range 50 {
		leader.mustPropose(i)
		c.until("the follower holds the entry", func() bool { return follower.raft.LastIndex() == leader.raft.LastIndex() })
		w.requests.hold()
		time.Sleep(20 * time.Millisecond) // for what had passed before
		if follower.count(i) == 0 {
			return i
		}
		w.requests.release()
	}
	c.t.Fatal("the follower always knows: this test shows nothing")
	return 0
}

// TestFollowerHears: a follower's read need not wait until raft tells it what is
// committed: the leader's answer does.
func TestFollowerHears(t *testing.T) {
	c := newCluster(t, 3, func(m *member, o *Options) { o.Election = 5 * time.Second })
	one, three := c.leader(), c.nodes[2]
	i := c.unaware(one, three)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	if err := three.Barrier(ctx); err != nil || three.count(i) != 1 {
		t.Errorf("barrier: %v; applied %d times", err, three.count(i))
	}
}

// TestFollowerWaits: a follower's read waits for what its leader has acknowledged,
// however far behind it is, and goes on when it has come.
func TestFollowerWaits(t *testing.T) {
	c := newCluster(t, 3, func(m *member, o *Options) { o.Election = 2 * time.Second })
	one, three := c.leader(), c.nodes[2]
	three.machine.slow.hold()
	one.mustPropose(1)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := three.Barrier(ctx); !errors.Is(err, ErrNoLeader) {
		t.Errorf("a follower that is behind answered a read: %v", err)
	}
	done := make(chan error, 1)
	go func() { done <- three.Barrier(t.Context()) }()
	three.machine.slow.release()
	if err := <-done; err != nil || three.count(1) != 1 {
		t.Errorf("barrier: %v; applied %d times", err, three.count(1))
	}
}

// TestUnsettledLeader: a new leader does not know yet that the last one acknowledged
// an entry which both held. It answers no read before an entry of its own term is
// committed: its commit index is older than the acknowledgement.
func TestUnsettledLeader(t *testing.T) {
	var disk gate
	defer disk.release()
	c := newCluster(t, 3, func(m *member, o *Options) {
		o.Election = 2 * time.Second
		if m.id == "node-3" {
			m.holdLog(&disk)
		}
	})
	one, two := c.leader(), c.nodes[1]
	c.wire.way("node-1", "node-3").requests.hold() // node-3 does not get it
	i := c.unaware(one, two)
	disk.hold() // node-3 may vote, but store nothing
	one.crash()
	c.until("node-2 leads", func() bool { return two.raft.State() == raft.Leader })
	if two.count(i) != 0 {
		t.Fatal("node-2 has applied the entry: this test shows nothing")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	if err := two.Barrier(ctx); err == nil && two.count(i) != 1 {
		t.Error("a new leader answered a read without what the last one acknowledged")
	}
	disk.release()
	c.wire.heal()
	two.mustBarrier()
	if two.count(i) != 1 {
		t.Error("an acknowledged request is missing")
	}
}

// joining tells when the wait for it began.
type joining struct {
	context.Context
	joined chan struct{}
}

func (j joining) Done() <-chan struct{} {
	j.joined <- struct{}{}
	return j.Context.Done()
}

// TestRounds: who comes while a round runs waits for the next, and all of them for
// one.
func TestRounds(t *testing.T) {
	var running sync.WaitGroup
	began, proceed := make(chan int, 16), make(chan error)
	n := 0
	v := rounds{begin: running.Go, live: context.Background(), run: func(context.Context) (point, error) {
		n++
		began <- n
		return point{index: uint64(n)}, <-proceed
	}}
	type outcome struct {
		p   point
		err error
	}
	results, joined := make(chan outcome, 16), make(chan struct{})
	join := func() {
		go func() {
			p, err := v.wait(joining{t.Context(), joined})
			results <- outcome{p, err}
		}()
		<-joined
	}
	join()
	<-began
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := v.wait(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a wait that was given up: %v", err)
	}
	for range 5 {
		join()
	}
	proceed <- nil
	if r := <-results; r.p.index != 1 || r.err != nil {
		t.Errorf("the first round gave %+v", r)
	}
	<-began
	proceed <- errors.New("no")
	for range 5 {
		if r := <-results; r.p.index != 2 || r.err == nil {
			t.Errorf("the second round gave %+v", r)
		}
	}
	running.Wait()
	v.close()
	if _, err := v.wait(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("a round began after the close: %v", err)
	}
}
