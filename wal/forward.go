package wal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"ironman/wal/event"
)

// patience bounds a proposal and a barrier whose context does not.
const patience = 10 * time.Second

// Propose has a marshalled proposal (event.Draft.Marshal) committed and applied
// here, and returns its sequence and outcome. On a node that does not lead it goes
// to the leader, which stamps it; again to the next one where it was surely not
// done. Safe for concurrent use.
func (n *Node) Propose(ctx context.Context, proposal []byte) (Applied, error) {
	if len(proposal) == 0 || len(proposal) > event.MaxProposalBytes {
		return Applied{}, fmt.Errorf("%w: %w: a proposal of %d bytes", ErrNotDone, ErrRefused, len(proposal))
	}
	t, err := n.newTicket(len(proposal))
	if err != nil {
		return Applied{}, err
	}
	defer t.done()
	ctx, cancel := n.bound(ctx)
	defer cancel()
	why := ErrNotDone // of the last try, which was not done
	for {
		if err := ctx.Err(); err != nil {
			return Applied{}, errors.Join(why, err)
		}
		changed := n.changed.wait()
		a, err := n.proposeOnce(ctx, t, proposal)
		if !again(err) {
			return a, err
		}
		why = err
		if e := n.pause(ctx, changed); e != nil {
			return Applied{}, errors.Join(why, e)
		}
	}
}

// again tells whether a proposal may succeed if it is made once more.
func again(err error) bool {
	return errors.Is(err, ErrNotDone) && !errors.Is(err, ErrOverloaded) && !errors.Is(err, ErrRefused) && !errors.Is(err, ErrClosed)
}

func (n *Node) proposeOnce(ctx context.Context, t *ticket, proposal []byte) (Applied, error) {
	if n.raft.State() == raft.Leader {
		s, err := n.stamp(ctx, t, proposal)
		return s.applied, err
	}
	leader, known := n.Leader()
	switch {
	case !n.isMember():
		return Applied{}, errNotMember()
	case !known || leader == n.opts.ID:
		return Applied{}, errors.Join(ErrNotDone, ErrNoLeader)
	}
	return n.forward(ctx, leader, proposal)
}

// forward hands a proposal to the leader, and waits until what it says was applied
// there is applied here.
func (n *Node) forward(ctx context.Context, leader string, proposal []byte) (Applied, error) {
	reign, end := n.under(ctx, leader)
	defer end()
	b, err := n.ask(reign, leader, kindPropose, proposal)
	if err != nil {
		return Applied{}, err
	}
	s, err := decodeStamped(b)
	if err != nil {
		return Applied{}, fmt.Errorf("%w: %s: %w", ErrUnknown, leader, err)
	}
	n.learn(leader, s.at)
	if err := n.opts.Machine.WaitApplied(ctx, s.at.applied); err != nil {
		return Applied{}, fmt.Errorf("%w: it was taken, but is not applied here: %w", ErrUnknown, err)
	}
	return s.applied, nil
}

// answerProposal stamps what another node proposes, if this one leads.
func (n *Node) answerProposal(ctx context.Context, proposal []byte) ([]byte, error) {
	if n.raft.State() != raft.Leader {
		return nil, fmt.Errorf("%w: %s does not lead", ErrNotDone, n.opts.ID)
	}
	t, err := n.newTicket(len(proposal))
	if err != nil {
		return nil, err
	}
	defer t.done()
	ctx, cancel := n.bound(ctx)
	defer cancel()
	s, err := n.stamp(ctx, t, proposal)
	if err != nil {
		return nil, err
	}
	return s.encode(), nil
}

// stamp has the leader's clock stamp a proposal and raft commit it. If ctx ends
// first the outcome is unknown; the ticket is kept until raft is done with it.
func (n *Node) stamp(ctx context.Context, t *ticket, proposal []byte) (stamped, error) {
	stamp := n.opts.Now() // first: a clock that is set behind it is not the one that was judged
	if why := n.opts.MayLead(); why != nil {
		err := fmt.Errorf("%w: %s stamps nothing: %w", ErrNotDone, n.opts.ID, why)
		if n.alone() {
			err = errors.Join(err, ErrRefused) // nobody else will lead
		}
		return stamped{}, err
	}
	timeout := patience
	if d, ok := ctx.Deadline(); ok {
		timeout = time.Until(d)
	}
	if timeout <= 0 {
		return stamped{}, errors.Join(ErrNotDone, context.DeadlineExceeded)
	}
	entry := event.AppendEntry(make([]byte, 0, len(proposal)+16), stamp.UnixNano(), proposal)
	r := &result{done: make(chan struct{})}
	go func() {
		defer close(r.done)
		r.stamped, r.err = n.apply(entry, timeout)
	}()
	select {
	case <-r.done:
		return r.stamped, r.err
	case <-ctx.Done():
		t.keep(r)
		return stamped{}, errors.Join(ErrUnknown, ctx.Err())
	}
}

type result struct {
	stamped
	err  error
	done chan struct{}
}

// apply waits for raft as long as it takes.
func (n *Node) apply(entry []byte, timeout time.Duration) (stamped, error) {
	term := n.raft.CurrentTerm()
	f := n.raft.Apply(entry, timeout)
	if err := f.Error(); err != nil {
		return stamped{}, classify(err)
	}
	a, ok := f.Response().(Applied)
	if !ok || a.Outcome == nil {
		return stamped{}, fmt.Errorf("%w: the entry was applied before", ErrUnknown)
	}
	s := stamped{applied: a, at: point{applied: f.Index(), index: f.Index()}}
	if n.raft.CurrentTerm() == term {
		s.at.term = term // the entry's
	}
	return s, nil
}

// ticket is a proposal's place among those in flight.
type ticket struct {
	n     *Node
	bytes int
	kept  bool
}

// newTicket takes a proposal in, or says why not, which is ErrNotDone.
func (n *Node) newTicket(bytes int) (*ticket, error) {
	if err := n.inflight.enter(bytes); err != nil {
		return nil, errors.Join(ErrNotDone, err)
	}
	return &ticket{n: n, bytes: bytes}, nil
}

// keep holds the place until raft is done.
func (t *ticket) keep(r *result) {
	t.kept = true
	go func() {
		<-r.done
		t.n.inflight.leave(t.bytes)
	}()
}

func (t *ticket) done() {
	if !t.kept {
		t.n.inflight.leave(t.bytes)
	}
}
