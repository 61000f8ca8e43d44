package wal

import (
	"github.com/hashicorp/raft"
)

// StreamLayer carries raft's connections to and from the other nodes.
type StreamLayer = raft.StreamLayer

// transport is raft's own NetworkTransport without the heartbeat fast path: with
// it, raft 1.8 handles heartbeats on the connection's goroutine, beside its main
// loop, and a leader of two can come of that (hashicorp/raft#695). Without a
// handler heartbeats queue like every other call. Embedding keeps pre-vote.
type transport struct{ *raft.NetworkTransport }

// SetHeartbeatHandler does nothing, on purpose.
func (transport) SetHeartbeatHandler(func(raft.RPC)) {}

var (
	_ raft.WithPreVote = transport{}
	_ raft.WithClose   = transport{}
)
