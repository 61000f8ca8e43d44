package wal

import (
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// installs answers the call that brought a snapshot, when the snapshot is durable here
// and the process is about to begin anew with it. Raft's own answer would come after
// that, so never: the leader would count a failure, wait the longer the more there were,
// and then send its newest snapshot, although this node needs no more than the entries
// behind the one it has. Where snapshots are taken as fast as that, a node would install
// one after the other for ever.
//
// The answer is true: whatever becomes of the process, the next start installs what was
// published. Safe for concurrent use.
type installs struct {
	mu sync.Mutex
	// calls are the newest that brought snapshots; raft handles one after the other.
	calls []raft.RPC
}

const (
	installCalls = 2
	// answerTime is how long an answer has to leave before the process ends.
	answerTime = 100 * time.Millisecond
)

func (i *installs) note(rpc raft.RPC) {
	if _, ok := rpc.Command.(*raft.InstallSnapshotRequest); !ok {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.calls = append(i.calls[max(0, len(i.calls)-installCalls+1):], rpc)
}

// answer says that the snapshot is installed, and returns when that had time to leave.
func (i *installs) answer(id snapshotID) {
	i.mu.Lock()
	calls := i.calls
	i.calls = nil
	i.mu.Unlock()
	for _, rpc := range calls {
		req := rpc.Command.(*raft.InstallSnapshotRequest)
		if req.LastLogIndex != id.Index || req.LastLogTerm != id.Term {
			continue
		}
		resp := &raft.InstallSnapshotResponse{
			RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax}, Term: req.Term, Success: true,
		}
		select {
		case rpc.RespChan <- raft.RPCResponse{Response: resp}:
		default: // it was answered
		}
	}
	time.Sleep(answerTime)
}
