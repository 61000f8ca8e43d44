package server

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"ironman/server/link"
	"ironman/sim/sabotage"
	"ironman/wal/event"
)

// A node must not go on from an old copy of its directory: it has forgotten for whom
// it voted, and what it acknowledged. This is how it is seen: the state holds the
// number of the node's newest start, and the directory (identity.Proposed) that of the
// newest start that it ever proposed, durable before the proposal. Only a directory
// that was set back can be behind the state. The counter of starts alone does not show
// it: every start from the copy raises that, too, until it has overtaken the state.
//
// The node looks at the state when everything that was acknowledged is applied here,
// and before it begins a start of its own. Until then it exchanges no messages of Raft
// with a node that knows better, so that it does not vote meanwhile.

// starts is what this process knows of its node's earlier starts, and hears of them.
type starts struct {
	boot  uint64      // of this process
	mine  uint64      // the newest that the directory had proposed before
	begun atomic.Bool // this one is being proposed, or was

	mu    sync.Mutex
	ahead map[uint32]uint64 // nodes that know of a newer one, and which
}

// setBack tells whether a start of this node that the cluster knows is none of this
// directory's.
func (s *starts) setBack(known uint64) bool {
	return known > s.mine && (known != s.boot || !s.begun.Load()) && !sabotage.On(sabotage.X48)
}

// heard notes the newest start of this node that another one knows.
func (s *starts) heard(node uint32, known uint64) error {
	old := s.setBack(known)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !old {
		delete(s.ahead, node)
		return nil
	}
	if s.ahead == nil {
		s.ahead = make(map[uint32]uint64)
	}
	s.ahead[node] = known
	return fmt.Errorf("node %d knows of start %d of this node: %w", node, known, errSetBack)
}

// knowsBetter tells whether a node has said that it knows of a newer start.
func (s *starts) knowsBetter(node uint32) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ahead[node] > 0
}

var errSetBack = errors.New("this node's directory is an old copy: it was restored from a backup, or is a clone. " +
	"It has forgotten what it voted and acknowledged, and must not go on; remove the node from its cluster and let a new one, with an empty directory, join")

// startsLimit is how long another node may take to tell of this one's starts.
const startsLimit = 5 * time.Second

// mayTalkRaft tells whether messages of Raft may be exchanged with a node.
func (n *Node) mayTalkRaft(ctx context.Context, node uint32) error {
	if n.starts.begun.Load() {
		return nil
	}
	l := n.link.Load()
	if l == nil {
		return errNoLink
	}
	ctx, cancel := context.WithTimeout(ctx, startsLimit)
	defer cancel()
	b, err := l.Call(ctx, node, methodStarts, nil)
	var said *link.Error
	switch {
	case errors.As(err, &said) && said.Code == link.CodeNoMethod:
		return nil // an older release, which does not tell
	case err != nil:
		return err
	case len(b) != 8:
		return fmt.Errorf("server: the number of a start in %d bytes: %w", len(b), event.ErrMalformed)
	}
	return n.starts.heard(node, binary.BigEndian.Uint64(b))
}

// serveStarts tells the calling node which of its starts is the newest known here.
func (n *Node) serveStarts(_ context.Context, from uint32, _ []byte) ([]byte, error) {
	m, _ := n.members.node(from)
	return binary.BigEndian.AppendUint64(nil, m.Boot), nil
}

// outdated tells what most of the others say, if that is that this node was set back.
func (n *Node) outdated() error {
	others, say := n.others(), 0
	for _, m := range others {
		p, _ := n.peer(m.Node)
		var said *link.Error
		if errors.As(p.Err, &said) && (said.Code == link.CodeStale || said.Code == link.CodeClone) || n.starts.knowsBetter(m.Node) {
			say++
		}
	}
	if say <= len(others)/2 {
		return nil
	}
	return errSetBack
}

// refuseSetBack looks at the state, in which everything that was acknowledged is
// applied, before this node begins a start of its own.
func (n *Node) refuseSetBack() error {
	v, err := n.machine.View()
	if err != nil {
		return err
	}
	nodes, err := v.Nodes()
	if err := errors.Join(err, v.Close()); err != nil {
		return err
	}
	for _, row := range nodes {
		if row.Node == n.identity.Node && n.starts.setBack(row.Boot) {
			return fmt.Errorf("server: the cluster knows of start %d of this node, the newest of this directory is %d: %w", row.Boot, n.starts.mine, errSetBack)
		}
	}
	return nil
}
