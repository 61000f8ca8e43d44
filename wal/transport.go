package wal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"

	"ironman/sim/sabotage"
)

// StreamLayer carries raft's connections to and from the other nodes, which it is
// asked for by ID. Its Close ends all of them.
type StreamLayer = raft.StreamLayer

// transport is raft's own NetworkTransport but for this:
//   - No heartbeat fast path. With it raft 1.8 handles heartbeats on the
//     connection's goroutine, beside its main loop, and a leader of two can come
//     of that (hashicorp/raft#695). Without a handler heartbeats queue like every
//     other call. Embedding keeps pre-vote.
//   - The address of a node is its ID: where it is to be found is for the
//     StreamLayer to know.
//   - A silent one sends nothing. A leader that is silent loses its leadership
//     within a lease, and a node that is silent wins no election.
//   - deliver hands raft a request as if another node had sent it.
//   - A snapshot that is about to be installed is answered before the restart: see
//     installs.
//   - Entries and snapshots wait until a node that could not be reached answers
//     heartbeats again: see ways.
//   - A candidate that is ahead of this node is judged by its log, even if this node
//     does not know it as a voter yet: see electorate.
type transport struct {
	*raft.NetworkTransport
	id raft.ServerID
	// rpcs is what raft consumes: what the other nodes send, and what is delivered.
	rpcs chan raft.RPC

	// why it is silent; nil: it is not, unless it is hushed: that is for ever.
	why    atomic.Pointer[error]
	hushed atomic.Bool
	// accepted counts the calls with entries that another node took; installing,
	// the snapshots under way to one.
	accepted   atomic.Uint64
	installing atomic.Int64

	ways       ways
	electorate electorate
	installs   installs

	closing sync.Once
	closed  chan struct{}
	done    sync.WaitGroup
}

var (
	_ raft.Transport   = (*transport)(nil)
	_ raft.WithPreVote = (*transport)(nil)
	_ raft.WithClose   = (*transport)(nil)
)

// newTransport begins to accept connections. No pipelining: with it a leader may
// never again send to a follower that stalled (hashicorp/raft#612).
func newTransport(id raft.ServerID, peers StreamLayer, log hclog.Logger) *transport {
	inFlight := 1
	if sabotage.On(sabotage.X56) {
		inFlight = 2
	}
	t := &transport{
		NetworkTransport: raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
			Stream: peers, MaxPool: 3, Timeout: 10 * time.Second, MaxRPCsInFlight: inFlight, Logger: log,
			ServerAddressProvider: sameAddress{},
		}),
		id: id, rpcs: make(chan raft.RPC), closed: make(chan struct{}),
	}
	t.done.Go(t.pump)
	return t
}

// sameAddress: a node's address is its ID, whatever older configurations say.
type sameAddress struct{}

func (sameAddress) ServerAddr(id raft.ServerID) (raft.ServerAddress, error) {
	return raft.ServerAddress(id), nil
}

// SetHeartbeatHandler does nothing, on purpose.
func (t *transport) SetHeartbeatHandler(handle func(raft.RPC)) {
	if sabotage.On(sabotage.X20) {
		t.NetworkTransport.SetHeartbeatHandler(handle)
	}
}

// LocalAddr is the node's ID.
func (t *transport) LocalAddr() raft.ServerAddress { return raft.ServerAddress(t.id) }

// Consumer is where raft takes requests from.
func (t *transport) Consumer() <-chan raft.RPC { return t.rpcs }

// pump passes on what the other nodes send.
func (t *transport) pump() {
	for {
		select {
		case <-t.closed:
			return
		case rpc := <-t.NetworkTransport.Consumer():
			if _, handover := rpc.Command.(*raft.TimeoutNowRequest); handover && t.silence() != nil {
				// It would begin a term that it cannot win, and end the leader's.
				rpc.Respond(nil, t.silence())
				continue
			}
			rpc.Command = t.electorate.admit(rpc.Command)
			t.installs.note(rpc)
			select {
			case t.rpcs <- rpc:
			case <-t.closed:
				return
			}
		}
	}
}

// deliver hands raft a request and returns its response.
func (t *transport) deliver(ctx context.Context, command any) (any, error) {
	response := make(chan raft.RPCResponse, 1)
	select {
	case t.rpcs <- raft.RPC{Command: command, RespChan: response}:
	case <-t.closed:
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case r := <-response:
		return r.Response, r.Error
	case <-t.closed:
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// setSilence makes it silent because of why, or speak again if that is nil, and
// tells why it was before.
func (t *transport) setSilence(why error) (before error) {
	was := (*error)(nil)
	if why == nil {
		was = t.why.Swap(nil)
	} else {
		was = t.why.Swap(&why)
	}
	if was == nil {
		return nil
	}
	return *was
}

// hush makes it silent for ever.
func (t *transport) hush() { t.hushed.Store(true) }

func (t *transport) silence() error {
	if t.hushed.Load() {
		return ErrClosed
	}
	if why := t.why.Load(); why != nil {
		return fmt.Errorf("wal: this node is silent: %w", *why)
	}
	return nil
}

// moved grows while entries reach other nodes. Two calls that return the same tell
// that nothing did in between, unless a snapshot is under way.
func (t *transport) moved() (count uint64, installing bool) {
	return t.accepted.Load(), t.installing.Load() > 0
}

// AppendEntries sends entries, or a heartbeat.
func (t *transport) AppendEntries(id raft.ServerID, to raft.ServerAddress, args *raft.AppendEntriesRequest, resp *raft.AppendEntriesResponse) error {
	if err := t.silence(); err != nil {
		return err
	}
	heartbeat := isHeartbeat(args)
	if !heartbeat {
		drop := func() { args.Entries = nil } // up to hundreds of MiB
		if err := t.ways.wait(id, args.Term, drop, t.closed); err != nil {
			return err
		}
	}
	err := t.NetworkTransport.AppendEntries(id, to, args, resp)
	t.ways.note(id, err, heartbeat)
	if err != nil && sabotage.On(sabotage.X03) {
		err, resp.Success = nil, true // it was sent, was it not
	}
	if err == nil && resp.Success && len(args.Entries) > 0 {
		t.accepted.Add(1)
	}
	return err
}

// RequestVote asks for a vote.
func (t *transport) RequestVote(id raft.ServerID, to raft.ServerAddress, args *raft.RequestVoteRequest, resp *raft.RequestVoteResponse) error {
	if err := t.silence(); err != nil {
		return err
	}
	return t.NetworkTransport.RequestVote(id, to, args, resp)
}

// RequestPreVote asks whether a vote would be given.
func (t *transport) RequestPreVote(id raft.ServerID, to raft.ServerAddress, args *raft.RequestPreVoteRequest, resp *raft.RequestPreVoteResponse) error {
	if err := t.silence(); err != nil {
		return err
	}
	return t.NetworkTransport.RequestPreVote(id, to, args, resp)
}

// InstallSnapshot sends a snapshot.
func (t *transport) InstallSnapshot(id raft.ServerID, to raft.ServerAddress, args *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	if err := t.silence(); err != nil {
		return err
	}
	drop := func() {
		if c, ok := data.(io.Closer); ok {
			_ = c.Close() // raft closes it again
		}
	}
	if err := t.ways.wait(id, args.Term, drop, t.closed); err != nil {
		return err
	}
	t.installing.Add(1)
	defer t.installing.Add(-1)
	err := t.NetworkTransport.InstallSnapshot(id, to, args, resp, data)
	t.ways.note(id, err, false)
	return err
}

// TimeoutNow hands leadership to another node.
func (t *transport) TimeoutNow(id raft.ServerID, to raft.ServerAddress, args *raft.TimeoutNowRequest, resp *raft.TimeoutNowResponse) error {
	if err := t.silence(); err != nil {
		return err
	}
	return t.NetworkTransport.TimeoutNow(id, to, args, resp)
}

// Close ends all connections. Raft calls it, too.
func (t *transport) Close() error {
	var err error
	t.closing.Do(func() {
		close(t.closed)
		err = t.NetworkTransport.Close()
		t.CloseStreams() // those that wait for a next call
		t.done.Wait()
	})
	return err
}

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
