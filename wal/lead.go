package wal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"ironman/sim/sabotage"
)

// leadership is a term in which this node leads and which is settled: everything
// that leaders of older terms acknowledged is committed and applied here.
type leadership struct {
	term uint64
	// floor is the index of the barrier that settled it. Above it the log holds
	// only entries that the machine sees.
	floor uint64
	// applied is what the machine had applied then: all it sees up to floor.
	applied uint64
}

// leadership returns that of this node, nil if it does not lead, or it is not settled.
func (n *Node) leadership() *leadership {
	l := n.leads.Load()
	if l == nil || n.raft.State() != raft.Leader || n.raft.CurrentTerm() != l.term {
		return nil
	}
	return l
}

// Leads tells whether this node leads and may answer reads.
func (n *Node) Leads() bool { return n.leadership() != nil }

// Leader tells which node leads, as far as this one knows.
func (n *Node) Leader() (id string, known bool) {
	_, leader := n.raft.LeaderWithID()
	return string(leader), leader != ""
}

// reign is the time in which this node takes one node for the leader.
type reign struct {
	leader string
	over   context.Context // ends when it takes another for it
	end    context.CancelFunc
}

func newReign(leader string) *reign {
	r := &reign{leader: leader}
	r.over, r.end = context.WithCancel(context.Background())
	return r
}

// under is ctx, which also ends when another than leader is known to lead. An answer
// of the old one may never come, where the network is silent.
func (n *Node) under(ctx context.Context, leader string) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	r := n.reign.Load()
	if r.leader != leader {
		return ctx, cancel // it is new, and watchLeader has not seen it
	}
	stop := context.AfterFunc(r.over, cancel)
	return ctx, func() { stop(); cancel() }
}

// watchLeader wakes who waits for a leader.
func (n *Node) watchLeader(ctx context.Context) {
	seen := make(chan raft.Observation, 16)
	o := raft.NewObserver(seen, false, func(o *raft.Observation) bool {
		switch o.Data.(type) {
		case raft.LeaderObservation, raft.RaftState:
			return true
		}
		return false
	})
	n.raft.RegisterObserver(o)
	defer n.raft.DeregisterObserver(o)
	for {
		select {
		case <-ctx.Done():
			return
		case <-seen:
			leader, known := n.Leader()
			if r := n.reign.Load(); known && r.leader != leader {
				n.reign.Store(newReign(leader))
				r.end()
			}
			n.changed.notify()
		}
	}
}

// watchLeadership settles each term in which this node leads: only when a
// barrier of the term is applied is the commit index known to cover all that
// older leaders acknowledged.
func (n *Node) watchLeadership(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case leads := <-n.raft.LeaderCh():
			n.leads.Store(nil)
			if leads {
				n.settle(ctx)
			}
		}
	}
}

// settle returns once this node's leadership is settled or lost. A leader that
// cannot commit anything, while nothing at all moves, ends the process: raft keeps
// the mark of a failed handover of leadership, and refuses everything in any later
// term (hashicorp/raft#696).
func (n *Node) settle(ctx context.Context) {
	watch := n.newStandstill()
	for n.raft.State() == raft.Leader && ctx.Err() == nil {
		term := n.raft.CurrentTerm()
		if sabotage.On(sabotage.X24) { // it leads: that will do
			n.leads.Store(&leadership{term: term, floor: n.raft.CommitIndex(), applied: n.opts.Machine.AppliedIndex()})
			n.changed.notify()
		}
		b := n.barrierEntry(ctx, watch)
		applied := n.opts.Machine.AppliedIndex()
		if b.err == nil && n.raft.CurrentTerm() == term {
			n.leads.Store(&leadership{term: term, floor: b.index, applied: applied})
			n.changed.notify()
			return
		}
		if errors.Is(b.err, ErrClosed) {
			return // nothing more is asked of raft, and Close hands over
		}
		if b.err != nil {
			n.opts.Log.Info("log: leadership is not settled", "err", b.err)
		}
		if errors.Is(b.err, raft.ErrLeadershipTransferInProgress) {
			watch.wait(ctx)
		}
	}
}

type barrierEntry struct {
	index uint64
	err   error
}

// barrierEntry commits an entry that only raft sees, and returns its index when
// everything before it is applied.
func (n *Node) barrierEntry(ctx context.Context, watch *standstill) barrierEntry {
	if err := n.inflight.track(); err != nil {
		return barrierEntry{err: err}
	}
	result := make(chan barrierEntry, 1)
	go func() {
		defer n.inflight.leave(0)
		f := n.raft.Barrier(n.opts.StallLimit)
		b := barrierEntry{err: f.Error()}
		if i, ok := f.(raft.IndexFuture); ok {
			b.index = i.Index()
		} else if b.err == nil {
			b.err = errors.New("raft tells no index")
		}
		result <- b
	}()
	for {
		select {
		case b := <-result:
			return b
		case <-ctx.Done():
			return barrierEntry{err: ctx.Err()}
		case <-time.After(watch.every):
			watch.check()
		}
	}
}

// standstill ends the process when nothing has moved for StallLimit: no entry was
// committed, applied, or taken by another node, and no snapshot is under way to
// one. A cluster whose leader first has to bring the others up to date moves.
type standstill struct {
	n     *Node
	every time.Duration // the time between checks
	idle  int           // checks in a row that saw nothing move
	seen  [3]uint64
}

const standstillChecks = 50

func (n *Node) newStandstill() *standstill {
	return &standstill{n: n, every: n.opts.StallLimit / standstillChecks}
}

func (s *standstill) wait(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(s.every):
		s.check()
	}
}

func (s *standstill) check() {
	accepted, installing := s.n.transport.moved()
	now := [3]uint64{s.n.raft.CommitIndex(), s.n.opts.Machine.AppliedIndex(), accepted}
	if now != s.seen || installing {
		s.seen, s.idle = now, 0
		return
	}
	if s.idle++; s.idle < standstillChecks || s.n.raft.State() != raft.Leader || sabotage.On(sabotage.X57) {
		return
	}
	s.n.opts.Restart(fmt.Sprintf("this node leads since %v without being able to commit anything", s.n.opts.StallLimit))
}

// fenceEvery is how often MayLead is asked.
const fenceEvery = 100 * time.Millisecond

// watchFence keeps this node silent while MayLead says why it must not lead: the
// others hear from no leader and elect another, and this one hears of no majority
// and gives up. Longer timeouts would not do that: raft's followers take any call
// of the leader for a sign of life, and it sends one every CommitTimeout.
func (n *Node) watchFence(ctx context.Context) {
	tick := time.NewTicker(fenceEvery)
	defer tick.Stop()
	for {
		n.fence()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (n *Node) fence() {
	why := n.opts.MayLead()
	switch before := n.transport.setSilence(why); {
	case why != nil && before == nil:
		n.opts.Log.Warn("log: this node does not lead and stamps nothing", "why", why)
	case why == nil && before != nil:
		n.opts.Log.Info("log: this node may lead again")
	}
}

// electAlone elects a node that is the only voter: there is nobody to wait for.
func (n *Node) electAlone(ctx context.Context) {
	if !n.alone() || n.opts.MayLead() != nil {
		return
	}
	_, err := n.transport.deliver(ctx, &raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax}})
	if err != nil {
		n.opts.Log.Debug("log: this node waits for its election", "err", err)
	}
}
