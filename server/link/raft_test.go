package link

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// layer is raft's view of a link: it dials by node number and accepts streams.
type layer struct {
	n    *testNode
	done chan struct{}
	once sync.Once
}

func (l *layer) Accept() (net.Conn, error) {
	select {
	case s := <-l.n.pipes:
		return s, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *layer) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *layer) Addr() net.Addr { return addr(l.n.opts.Self) }

func (l *layer) Dial(address raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	var node uint32
	if _, err := fmt.Sscanf(string(address), "node-%d", &node); err != nil {
		return nil, err
	}
	s, err := l.n.OpenStream(within(l.n.rig.t, timeout), node, mPipe, nil)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// raft's own transport over the link: entries, a snapshot, timeouts, a lost peer.
func TestRaftTransport(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		a, b := r.pair()
		transports := make([]*raft.NetworkTransport, 2)
		for i, n := range []*testNode{a, b} {
			transports[i] = raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
				Stream: &layer{n: n, done: make(chan struct{})}, MaxPool: 3, Timeout: time.Second, MaxRPCsInFlight: 1, Logger: hclog.NewNullLogger(),
			})
			defer transports[i].Close()
		}
		snapshot := pattern(9, 3<<20)
		var wg sync.WaitGroup
		defer wg.Wait()
		stop := make(chan struct{})
		defer close(stop)
		wg.Go(func() { answerRaft(t, transports[1].Consumer(), snapshot, stop) })

		for k := range 50 {
			entries := &raft.AppendEntriesRequest{Term: uint64(k), Entries: []*raft.Log{{Index: 1, Data: pattern(1, k*2000)}}}
			var answer raft.AppendEntriesResponse
			must(t, transports[0].AppendEntries("node-2", "node-2", entries, &answer))
			if answer.Term != uint64(k) || answer.LastLog != uint64(k*2000) {
				t.Fatalf("%+v", answer)
			}
		}
		var answer raft.InstallSnapshotResponse
		must(t, transports[0].InstallSnapshot("node-2", "node-2", &raft.InstallSnapshotRequest{Size: int64(len(snapshot))}, &answer, bytes.NewReader(snapshot)))
		if !answer.Success {
			t.Fatal("the snapshot arrived otherwise than it was sent")
		}
		begun := time.Now()
		err := transports[0].RequestVote("node-2", "node-2", &raft.RequestVoteRequest{}, &raft.RequestVoteResponse{})
		if err == nil || !strings.Contains(err.Error(), "i/o timeout") || time.Since(begun) > 10*time.Second {
			t.Fatalf("%v after %v", err, time.Since(begun))
		}
		b.Close()
		err = transports[0].AppendEntries("node-2", "node-2", &raft.AppendEntriesRequest{}, &raft.AppendEntriesResponse{})
		if err == nil {
			t.Fatal("a peer that is gone answered")
		}
	})
}

// answerRaft answers entries and snapshots, and votes never.
func answerRaft(t *testing.T, rpcs <-chan raft.RPC, snapshot []byte, stop chan struct{}) {
	for {
		var rpc raft.RPC
		select {
		case rpc = <-rpcs:
		case <-stop:
			return
		}
		switch c := rpc.Command.(type) {
		case *raft.AppendEntriesRequest:
			rpc.Respond(&raft.AppendEntriesResponse{Term: c.Term, LastLog: uint64(len(c.Entries[0].Data)), Success: true}, nil)
		case *raft.InstallSnapshotRequest:
			got, err := io.ReadAll(rpc.Reader)
			rpc.Respond(&raft.InstallSnapshotResponse{Success: err == nil && bytes.Equal(got, snapshot)}, nil)
		case *raft.RequestVoteRequest:
			// Not answered. The connection that waits for it ends with the link.
		default:
			t.Errorf("%T", c)
		}
	}
}
