package wal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/hashicorp/raft"

	"ironman/sim/sabotage"
)

// point is where a linearizable read may begin.
type point struct {
	// applied: a state machine that has applied this entry has applied everything
	// that was acknowledged before the point was asked for.
	applied uint64
	// The entry at index is of term and committed, says the leader of term. At or
	// behind applied. A term of 0 says nothing.
	term, index uint64
}

// Barrier returns when everything acknowledged before the call, by any node, is
// applied here: the linearizable point of a read. On the leader, in this order: an
// entry of this term is applied (leadership); the commit index is read; after that
// a majority of the voters says that it has not gone over to a newer term, once for
// all readers that wait; the index is applied. Any other node asks the leader for
// the index, once for all its readers. There are no lease reads. See section 6.4 of
// Ongaro's dissertation on Raft.
func (n *Node) Barrier(ctx context.Context) error {
	if n.barrierAlone() || sabotage.On(sabotage.X23) {
		return nil
	}
	ctx, cancel := n.bound(ctx)
	defer cancel()
	for {
		changed := n.changed.wait()
		err := n.barrier(ctx)
		if err == nil {
			return nil
		}
		if errors.Is(err, ErrRefused) {
			return errors.Join(ErrNoLeader, err)
		}
		if e := n.pause(ctx, changed); e != nil {
			return errors.Join(ErrNoLeader, err, e)
		}
	}
}

// barrierAlone is the barrier of a settled leader that is the only voter and has
// nothing to wait for: no other node can lead, or has acknowledged anything.
func (n *Node) barrierAlone() bool {
	l := n.leadership()
	if l == nil {
		return false
	}
	index := n.raft.CommitIndex()
	if !n.alone() || n.leadership() != l {
		return false
	}
	return index <= l.floor || n.opts.Machine.AppliedIndex() >= index
}

func (n *Node) barrier(ctx context.Context) error {
	if n.raft.State() == raft.Leader {
		p, err := n.readPoint(ctx, "", 0)
		if err != nil {
			return err
		}
		return n.opts.Machine.WaitApplied(ctx, p.applied)
	}
	if !n.isMember() {
		return errNotMember()
	}
	p, err := n.asking.wait(ctx)
	if err != nil {
		return err
	}
	return n.opts.Machine.WaitApplied(ctx, p.applied)
}

// readPoint is the point of reads that began before the call, which only the leader
// knows. Where another voter asks, from, its word that it was in term no later than
// that counts: it gave it after its readers came.
func (n *Node) readPoint(ctx context.Context, from string, term uint64) (point, error) {
	l, err := n.waitSettled(ctx)
	if err != nil {
		return point{}, err
	}
	index := n.raft.CommitIndex()
	words, need := n.wordsOf(from, term, l.term)
	if words < need {
		confirmed, err := n.confirming.wait(ctx)
		if err != nil {
			return point{}, err
		}
		if confirmed.term != l.term {
			return point{}, fmt.Errorf("%w: leadership changed", ErrNoLeader)
		}
	}
	if n.leadership() != l {
		return point{}, fmt.Errorf("%w: leadership was lost", ErrNoLeader)
	}
	if index <= l.floor {
		return point{applied: l.applied, term: l.term, index: l.floor}, nil
	}
	// Above the floor the log holds only entries that the machine sees, all of this term.
	return point{applied: index, term: l.term, index: index}, nil
}

// waitSettled returns the leadership of this node once it is settled.
func (n *Node) waitSettled(ctx context.Context) (*leadership, error) {
	for {
		changed := n.changed.wait()
		if l := n.leadership(); l != nil {
			return l, nil
		}
		if n.raft.State() != raft.Leader {
			return nil, fmt.Errorf("%w: %s does not lead", ErrNoLeader, n.opts.ID)
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(ErrNoLeader, ctx.Err())
		case <-n.closing:
			return nil, errors.Join(ErrNoLeader, ErrClosed)
		case <-changed:
		}
	}
}

// wordsOf counts the voters that are known not to have left leaderTerm: this one,
// and from, if it is another; and says how many it takes.
func (n *Node) wordsOf(from string, term, leaderTerm uint64) (words, need int) {
	voters := n.voters()
	for _, id := range voters {
		if id == n.opts.ID || id == from && term <= leaderTerm {
			words++
		}
	}
	return words, len(voters)/2 + 1
}

// confirm is one round of confirming: it asks all voters for their terms, and
// returns the term of this node's leadership if a majority, from which a newer
// leader would have needed a vote, had no newer one.
//
// raft's VerifyLeader would not do. It counts answers of nodes that have no vote,
// and answers to calls that it sent before it was called: those of a leader that
// was stopped for a while may be older than the next leader (see
// TestConfirmation).
func (n *Node) confirm(ctx context.Context) (point, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*n.opts.Election)
	defer cancel()
	l := n.leadership()
	if l == nil {
		return point{}, fmt.Errorf("%w: leadership was lost", ErrNoLeader)
	}
	voters := n.voters()
	words, asked, need := 0, 0, len(voters)/2+1
	terms := make(chan uint64, len(voters))
	for _, id := range voters {
		if id == n.opts.ID {
			words++
			continue
		}
		asked++
		n.done.Go(func() { terms <- n.termOf(ctx, id) })
	}
	for ; words < need && asked > 0; asked-- {
		switch term := <-terms; {
		case term <= l.term:
			words++
		case term != noTerm:
			return point{}, fmt.Errorf("%w: there is a newer term", ErrNoLeader)
		}
	}
	if words < need {
		return point{}, fmt.Errorf("%w: %d of %d voters answer, %d are needed", ErrNoLeader, words, len(voters), need)
	}
	return point{term: l.term}, nil
}

// noTerm: the node was not reached.
const noTerm = ^uint64(0)

func (n *Node) termOf(ctx context.Context, id string) uint64 {
	s, err := n.statusOf(ctx, id)
	if err != nil {
		return noTerm
	}
	return s.term
}

// statusOf asks a node for its status, and soon gives up.
func (n *Node) statusOf(ctx context.Context, id string) (nodeStatus, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*n.opts.Election)
	defer cancel()
	b, err := n.ask(ctx, id, kindStatus, nil)
	if err != nil {
		return nodeStatus{}, err
	}
	return decodeStatus(b)
}

// askPoint is one round of asking: it asks the leader for the point of all reads
// that wait here.
func (n *Node) askPoint(ctx context.Context) (point, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*n.opts.Election)
	defer cancel()
	leader, known := n.Leader()
	if !known || leader == n.opts.ID {
		return point{}, ErrNoLeader
	}
	b, err := n.ask(ctx, leader, kindPoint, binary.BigEndian.AppendUint64(nil, n.raft.CurrentTerm()))
	if err != nil {
		return point{}, err
	}
	p, err := decodePoint(b)
	if err != nil {
		return point{}, err
	}
	n.learn(leader, p)
	return p, nil
}

// rounds runs one round for all who wait when it begins.
type rounds struct {
	run   func(context.Context) (point, error) // by one goroutine at a time
	begin func(func())                         // begins a goroutine
	live  context.Context                      // of all rounds

	mu      sync.Mutex
	closed  bool
	running bool
	next    *round // the round that begins when the running one ends
}

type round struct {
	done  chan struct{}
	point point
	err   error
}

// wait joins the next round.
func (v *rounds) wait(ctx context.Context) (point, error) {
	v.mu.Lock()
	if v.closed {
		v.mu.Unlock()
		return point{}, ErrClosed
	}
	if v.next == nil {
		v.next = &round{done: make(chan struct{})}
	}
	r := v.next
	if !v.running {
		v.running = true
		v.begin(v.loop)
	}
	v.mu.Unlock()
	select {
	case <-ctx.Done():
		return point{}, errors.Join(ErrNoLeader, ctx.Err())
	case <-r.done:
		return r.point, r.err
	}
}

func (v *rounds) loop() {
	for {
		v.mu.Lock()
		r := v.next
		v.next = nil
		if r == nil {
			v.running = false
			v.mu.Unlock()
			return
		}
		v.mu.Unlock()
		r.point, r.err = v.run(v.live)
		close(r.done)
	}
}

// close lets no round begin any more but for those who wait already.
func (v *rounds) close() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.closed = true
}
