package wal

import (
	"errors"
	"net"
	"sync"
	"time"

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

// NoPeers is the StreamLayer of a node without others: it accepts and dials nothing.
func NoPeers() StreamLayer { return &noPeers{closed: make(chan struct{})} }

type noPeers struct {
	once   sync.Once
	closed chan struct{}
}

type noAddr struct{}

func (noAddr) Network() string { return "none" }
func (noAddr) String() string  { return "local" }

func (n *noPeers) Accept() (net.Conn, error) {
	<-n.closed
	return nil, net.ErrClosed
}

func (n *noPeers) Close() error {
	n.once.Do(func() { close(n.closed) })
	return nil
}

func (*noPeers) Addr() net.Addr { return noAddr{} }

func (*noPeers) Dial(raft.ServerAddress, time.Duration) (net.Conn, error) {
	return nil, errors.New("wal: this node has no peers")
}
