package wal

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// ways are what a leader knows of the ways to the others. Raft waits longer and longer
// between tries to send entries or a snapshot to a node that cannot be reached, in the
// end ten seconds, and nothing cuts such a wait short: a node that comes back stands idle for
// as long, and again after it has installed a snapshot. So raft is told of one
// failure, and its next try waits here until a heartbeat, whose tries are never more
// than half an election timeout apart, has been answered. That try fails, too, for what
// it was to send is of another time, and was not kept; the next one follows at once. Safe
// for concurrent use.
type ways struct {
	mu sync.Mutex
	// lost nodes, with what is closed when a heartbeat is answered.
	lost map[raft.ServerID]chan struct{}
	// leads tells whether this node still leads in a term, and another is still a
	// member: for others nobody waits.
	leads func(term uint64, id raft.ServerID) bool
}

// watch begins to let calls wait.
func (w *ways) watch(leads func(term uint64, id raft.ServerID) bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.leads = leads
}

// look is how often one who waits looks whether that still makes sense.
const look = 200 * time.Millisecond

var (
	errNotLeading = errors.New("wal: this node does not lead any more")
	errFound      = errors.New("wal: it can be reached again")
)

// isHeartbeat: heartbeats say nothing of the log.
func isHeartbeat(a *raft.AppendEntriesRequest) bool {
	return a.PrevLogEntry == 0 && a.PrevLogTerm == 0 && len(a.Entries) == 0 && a.LeaderCommitIndex == 0
}

// note notes how a call to a node ended.
func (w *ways) note(id raft.ServerID, err error, heartbeat bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	found := w.lost[id]
	switch {
	case err == nil && found != nil:
		close(found)
		delete(w.lost, id)
	case err != nil && found == nil && !heartbeat:
		if w.lost == nil {
			w.lost = make(map[raft.ServerID]chan struct{})
		}
		w.lost[id] = make(chan struct{})
	}
}

// wait returns at once if the way to a node is not lost. Otherwise it drops what was to
// be sent, in a term, waits until the way is found, or nobody needs it any more, and
// returns an error.
func (w *ways) wait(id raft.ServerID, term uint64, drop func(), closed <-chan struct{}) error {
	w.mu.Lock()
	found, leads := w.lost[id], w.leads
	w.mu.Unlock()
	if found == nil || leads == nil {
		return nil
	}
	drop()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		select {
		case <-found:
			return fmt.Errorf("%s: %w", id, errFound)
		case <-closed:
			return ErrClosed
		case <-tick.C:
			if !leads(term, id) {
				return fmt.Errorf("%s was not reached: %w", id, errNotLeading)
			}
		}
	}
}
