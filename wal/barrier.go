package wal

import (
	"context"
	"errors"
	"sync"

	"github.com/hashicorp/raft"
)

// Barrier returns when everything acknowledged before the call, by any node, is
// applied here: the linearizable point of a read. The steps and their order:
// a barrier of this term is applied (floor); the commit index is read; leadership
// is confirmed after that, once for all waiting readers; the index is applied.
// There are no lease reads. See section 6.4 of Ongaro's dissertation on Raft.
func (n *Node) Barrier(ctx context.Context) error {
	floor, err := n.waitSettled(ctx)
	if err != nil {
		return err
	}
	index := n.raft.CommitIndex()
	if err := n.confirmLeadership(ctx); err != nil {
		return err
	}
	if index <= floor {
		return nil // applied before the floor was set
	}
	// Above the floor the log holds only commands and configurations, all of
	// which the machine sees.
	return n.opts.Machine.WaitApplied(ctx, index)
}

// waitSettled returns the floor of the term in which this node leads.
func (n *Node) waitSettled(ctx context.Context) (uint64, error) {
	for {
		n.mu.Lock()
		settled := n.settled
		n.mu.Unlock()
		if floor := n.floor.Load(); floor > 0 {
			return floor, nil
		}
		select {
		case <-ctx.Done():
			return 0, errors.Join(ErrNoLeader, ctx.Err())
		case <-settled:
		}
	}
}

// confirmLeadership makes sure that no other node leads a newer term. A leader
// whose newest configuration has no other voter cannot have been replaced.
func (n *Node) confirmLeadership(ctx context.Context) error {
	if n.raft.State() != raft.Leader {
		return ErrNoLeader
	}
	if n.aloneInConfiguration() {
		return nil
	}
	return n.verify.wait(ctx, func() error { return n.raft.VerifyLeader().Error() })
}

func (n *Node) aloneInConfiguration() bool {
	f := n.raft.GetConfiguration()
	if f.Error() != nil {
		return false
	}
	voters, self := 0, false
	for _, s := range f.Configuration().Servers {
		if s.Suffrage == raft.Voter {
			voters++
			self = self || string(s.ID) == n.opts.ID
		}
	}
	return voters == 1 && self
}

// verifier runs one confirmation for all readers that wait when it begins.
type verifier struct {
	mu      sync.Mutex
	running bool
	next    *round // the round that begins when the running one ends
}

type round struct {
	done chan struct{}
	err  error
}

// wait joins the next round. confirm is called by one goroutine at a time.
func (v *verifier) wait(ctx context.Context, confirm func() error) error {
	v.mu.Lock()
	if v.next == nil {
		v.next = &round{done: make(chan struct{})}
	}
	r := v.next
	if !v.running {
		v.running = true
		go v.run(confirm)
	}
	v.mu.Unlock()
	select {
	case <-ctx.Done():
		return errors.Join(ErrNoLeader, ctx.Err())
	case <-r.done:
		return r.err
	}
}

func (v *verifier) run(confirm func() error) {
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
		if err := confirm(); err != nil {
			r.err = errors.Join(ErrNoLeader, err)
		}
		close(r.done)
	}
}
