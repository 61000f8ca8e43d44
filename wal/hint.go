package wal

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/raft"
)

// hint is the leader's word that the entry at index is of its term and committed.
type hint struct {
	leader      string
	term, index uint64
}

func (h hint) after(o hint) bool { return h.term > o.term || h.term == o.term && h.index > o.index }

// hints keeps the newest hint for the one goroutine that tells raft.
type hints struct {
	mu   sync.Mutex
	best hint
	wake chan struct{} // one token
}

func newHints() *hints { return &hints{wake: make(chan struct{}, 1)} }

func (s *hints) put(h hint) {
	s.mu.Lock()
	if h.after(s.best) {
		s.best = h
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

func (s *hints) get() hint {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.best
}

// hintTries is how often raft is told of an entry that it does not have yet; after
// about a second its leader will have.
const hintTries = 40

// followHints tells raft what the leader said is committed.
func (n *Node) followHints(ctx context.Context) {
	var last hint
	for tries := 0; ; {
		h := n.hints.get()
		if h != last {
			last, tries = h, 0
		}
		var again <-chan time.Time
		if n.raft.CommitIndex() < h.index && n.raft.CurrentTerm() <= h.term && tries < hintTries {
			tries++
			if n.raft.LastIndex() >= h.index { // raft complains of what it does not have
				h.deliver(ctx, n.transport)
			}
			again = time.After(min(time.Millisecond<<min(tries, 5), 32*time.Millisecond))
			if n.raft.CommitIndex() >= h.index {
				continue
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-n.hints.wake:
		case <-again:
		}
	}
}

// deliver hands raft the hint as the call that the leader of that term may make of
// any follower at any time: entry index is of term, and everything up to it is
// committed. The entry may not have come here yet; then raft changes nothing.
func (h hint) deliver(ctx context.Context, t *transport) {
	leader := []byte(h.leader)
	_, _ = t.deliver(ctx, &raft.AppendEntriesRequest{
		RPCHeader:    raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: leader, Addr: leader},
		Term:         h.term,
		PrevLogEntry: h.index, PrevLogTerm: h.term, LeaderCommitIndex: h.index,
	})
}

// learn notes what the leader said of a point: that its entry is committed. Raft
// would hear so only with the leader's next entries, up to twice CommitTimeout later.
func (n *Node) learn(leader string, p point) {
	if p.term > 0 && n.raft.CommitIndex() < p.index {
		n.hints.put(hint{leader: leader, term: p.term, index: p.index})
	}
}
