package wal

import (
	"errors"

	"github.com/hashicorp/raft"

	"ironman/sim/sabotage"
)

// How a proposal can fail. Test with errors.Is.
var (
	// ErrNotDone: the event was not accepted and never will take effect.
	ErrNotDone = errors.New("the proposal was not taken")
	// ErrUnknown: the event may or may not have taken effect, or may yet.
	ErrUnknown = errors.New("the outcome of the proposal is unknown")
	// ErrNoLeader: no linearizable point can be had here now.
	ErrNoLeader = errors.New("no leader is known")
	// ErrOverloaded comes with ErrNotDone: more proposals wait than a node holds.
	ErrOverloaded = errors.New("too many proposals wait")
	// ErrRefused: it was not done, and trying again does not help. It comes with
	// ErrNotDone where that is asked for.
	ErrRefused = errors.New("the request was refused")
	// ErrNotHere: this node has the state behind events whose records it still lacks.
	ErrNotHere = errors.New("the records are still being fetched from other nodes")
	// ErrClosed: the log is closing.
	ErrClosed = errors.New("the log is closed")
)

// classify turns raft's error of an Apply into ours. Only what raft refuses
// before it dispatches is known not to be done.
func classify(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, raft.ErrNotLeader), errors.Is(err, raft.ErrEnqueueTimeout),
		errors.Is(err, raft.ErrLeadershipTransferInProgress),
		errors.Is(err, raft.ErrLeadershipLost) && sabotage.On(sabotage.X43):
		return errors.Join(ErrNotDone, err)
	default:
		return errors.Join(ErrUnknown, err)
	}
}
