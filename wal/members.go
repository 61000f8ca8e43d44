package wal

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/hashicorp/raft"
)

// MaxVoters is the number of members that vote; those beyond it hold all state, but
// have no vote.
const MaxVoters = 7

// Member is a node of the cluster.
type Member struct {
	ID    string
	Voter bool
}

// Members returns the nodes of the cluster in the order in which they came, as far
// as this one knows; none before a new node has heard of any.
func (n *Node) Members() []Member {
	servers := n.configuration()
	members := make([]Member, len(servers))
	for i, s := range servers {
		members[i] = Member{ID: string(s.ID), Voter: s.Suffrage == raft.Voter}
	}
	return members
}

// configuration is the newest that this node has, committed or not.
func (n *Node) configuration() []raft.Server {
	f := n.raft.GetConfiguration()
	if f.Error() != nil {
		return nil
	}
	return f.Configuration().Servers
}

func (n *Node) voters() []string {
	var voters []string
	for _, s := range n.configuration() {
		if s.Suffrage == raft.Voter {
			voters = append(voters, string(s.ID))
		}
	}
	return voters
}

// alone tells whether this node is the only voter.
func (n *Node) alone() bool {
	voters, self := 0, false
	for _, s := range n.configuration() {
		if s.Suffrage == raft.Voter {
			voters++
			self = self || string(s.ID) == n.opts.ID
		}
	}
	return voters == 1 && self
}

// listensTo tells whether this node answers another: one that was removed is
// refused. A new node does not know its cluster yet.
func (n *Node) listensTo(id string) bool {
	servers := n.configuration()
	for _, s := range servers {
		if string(s.ID) == id {
			return true
		}
	}
	return len(servers) == 0
}

// isMember tells whether this node is a member, or may become one.
func (n *Node) isMember() bool { return n.listensTo(n.opts.ID) }

func errNotMember() error {
	return fmt.Errorf("%w: %w: this node is not a member of the cluster", ErrNotDone, ErrRefused)
}

// AddMember makes a node a member: first without a vote, and once it has caught up
// with a vote, if there are fewer than MaxVoters. It goes on where an earlier call
// ended. On a node that does not lead it goes to the leader.
func (n *Node) AddMember(ctx context.Context, id string) error {
	return n.changeMembers(ctx, kindAdd, id)
}

// RemoveMember makes a node a member no more; it may be the leader. Its ID must
// never be used again. On a node that does not lead it goes to the leader.
func (n *Node) RemoveMember(ctx context.Context, id string) error {
	return n.changeMembers(ctx, kindRemove, id)
}

// changeMembers tries until it is done, refused, or ctx ends: to do it twice is no
// harm.
func (n *Node) changeMembers(ctx context.Context, kind byte, id string) error {
	if !validID(id) {
		return fmt.Errorf("%w: %q is no name of a node", ErrRefused, id)
	}
	ctx, cancel := n.untilClose(ctx)
	defer cancel()
	for {
		changed := n.changed.wait()
		err := n.changeOnce(ctx, kind, id)
		if err == nil || errors.Is(err, ErrRefused) || errors.Is(err, ErrClosed) {
			return err
		}
		if e := n.pause(ctx, changed); e != nil {
			return errors.Join(err, e)
		}
	}
}

func (n *Node) changeOnce(ctx context.Context, kind byte, id string) error {
	if n.raft.State() == raft.Leader {
		return n.changeHere(ctx, kind, id)
	}
	leader, known := n.Leader()
	switch {
	case !n.isMember():
		return errNotMember()
	case !known || leader == n.opts.ID:
		return errors.Join(ErrNotDone, ErrNoLeader)
	}
	_, err := n.ask(ctx, leader, kind, []byte(id))
	return err
}

// changeHere is the leader's part.
func (n *Node) changeHere(ctx context.Context, kind byte, id string) error {
	if kind == kindRemove {
		return n.change(ctx, func(servers []raft.Server, prev uint64) (raft.IndexFuture, error) {
			return n.remove(servers, id, prev)
		})
	}
	err := n.change(ctx, func(servers []raft.Server, prev uint64) (raft.IndexFuture, error) {
		if find(servers, id) != nil {
			return nil, nil
		}
		return n.raft.AddNonvoter(raft.ServerID(id), raft.ServerAddress(id), prev, patience), nil
	})
	if err != nil {
		return err
	}
	if s := find(n.configuration(), id); s != nil && s.Suffrage == raft.Voter || len(n.voters()) >= MaxVoters {
		return nil
	}
	if err := n.catchUp(ctx, id); err != nil {
		return err
	}
	return n.change(ctx, func(servers []raft.Server, prev uint64) (raft.IndexFuture, error) {
		switch s := find(servers, id); {
		case s == nil:
			return nil, fmt.Errorf("%w: %s was removed before it had caught up", ErrRefused, id)
		case s.Suffrage == raft.Voter || len(n.voters()) >= MaxVoters:
			return nil, nil
		}
		return n.raft.AddVoter(raft.ServerID(id), raft.ServerAddress(id), prev, patience), nil
	})
}

func (n *Node) remove(servers []raft.Server, id string, prev uint64) (raft.IndexFuture, error) {
	s := find(servers, id)
	if s == nil {
		return nil, nil
	}
	if s.Suffrage == raft.Voter && len(n.voters()) == 1 {
		return nil, fmt.Errorf("%w: %s is the only voter", ErrRefused, id)
	}
	return n.raft.RemoveServer(raft.ServerID(id), prev, patience), nil
}

func find(servers []raft.Server, id string) *raft.Server {
	for i := range servers {
		if string(servers[i].ID) == id {
			return &servers[i]
		}
	}
	return nil
}

// change makes one change of the configuration, one at a time. begin is given the
// newest, which is committed, and the index of its entry; it returns nil if there
// is nothing to do.
func (n *Node) change(ctx context.Context, begin func(servers []raft.Server, prev uint64) (raft.IndexFuture, error)) error {
	select {
	case n.changing <- struct{}{}:
		defer func() { <-n.changing }()
	case <-ctx.Done():
		return errors.Join(ErrNotDone, ctx.Err())
	}
	if _, err := n.waitSettled(ctx); err != nil {
		return errors.Join(ErrNotDone, err)
	}
	if err := n.inflight.track(); err != nil {
		return errors.Join(ErrNotDone, err)
	}
	// The index first: raft refuses the change if another came in between.
	prev := n.configured.Load()
	result := make(chan error, 1)
	go func() {
		defer n.inflight.leave(0)
		f, err := begin(n.configuration(), prev)
		if err == nil && f != nil {
			err = classify(f.Error())
		}
		result <- err
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return errors.Join(ErrUnknown, ctx.Err())
	}
}

// catchUp returns once a member has applied about as much as this node: when it
// took less than an election timeout to apply what this node had applied before.
func (n *Node) catchUp(ctx context.Context, id string) error {
	for {
		target := n.opts.Machine.AppliedIndex()
		quick := time.After(n.opts.Election)
		if err := n.waitFor(ctx, id, target); err != nil {
			return err
		}
		select {
		case <-quick:
		default:
			return nil
		}
	}
}

// waitFor returns once a member has applied the entry at index. It may be restarting.
func (n *Node) waitFor(ctx context.Context, id string, index uint64) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if !n.Leads() {
			return fmt.Errorf("%w: leadership was lost while %s caught up", ErrNotDone, id)
		}
		if s, err := n.statusOf(ctx, id); err == nil && s.applied >= index {
			return nil
		}
		if find(n.configuration(), id) == nil {
			return fmt.Errorf("%w: %s was removed before it had caught up", ErrRefused, id)
		}
		select {
		case <-ctx.Done():
			return errors.Join(ErrNotDone, fmt.Errorf("%s has not caught up: %w", id, ctx.Err()))
		case <-n.closing:
			return errors.Join(ErrNotDone, ErrClosed)
		case <-tick.C:
		}
	}
}

// configWatch is the state machine for raft, and notes the entry of the newest
// configuration that came by: raft's GetConfiguration does not tell it.
type configWatch struct {
	*raftMachine
	index *atomic.Uint64
}

// ApplyBatch applies entries.
func (w configWatch) ApplyBatch(logs []*raft.Log) []any {
	out := w.raftMachine.ApplyBatch(logs)
	for _, l := range logs {
		if l.Type == raft.LogConfiguration {
			w.index.Store(l.Index)
		}
	}
	return out
}
