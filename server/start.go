package server

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ironman/server/link"
	"ironman/wal"
)

// awaitPause is how long a start waits before it looks for a leader again. A search
// takes long by itself, but for a node that is not in the Raft group yet.
const awaitPause = 250 * time.Millisecond

// joinAnew is what whoever was removed can do.
const joinAnew = "To take part again it needs an empty directory and joins as a new node"

// awaitLog returns once everything that was acknowledged anywhere is applied here.
// That takes a leader, and with it a majority: as long as there is none, a node
// waits for the others and says so. It gives up only where they say that it is not
// one of them any more.
func (n *Node) awaitLog(ctx context.Context) error {
	for {
		err := n.log.Barrier(ctx) // has a limit of its own
		if err == nil {
			return nil
		}
		if ctx.Err() != nil || !errors.Is(err, wal.ErrNoLeader) || errors.Is(err, wal.ErrClosed) {
			return fmt.Errorf("server: the log does not settle: %w", err)
		}
		if why := n.disowned(); why != nil {
			return fmt.Errorf("server: this node was removed from its cluster: the others do not know it any more (%w). %s", why, joinAnew)
		}
		n.opts.Logger.Warn("waiting for a leader, which takes a majority of the nodes", "err", err, "others", n.ways())
		select {
		case <-ctx.Done():
		case <-time.After(awaitPause):
		}
	}
}

// disowned tells what most of the others say, if they all that can be reached say
// that this node is no member, and they are more than half of all.
func (n *Node) disowned() error {
	others := n.others()
	say := 0
	var last error
	for _, m := range others {
		p, ok := n.peer(m.Node)
		var said *link.Error
		switch {
		case !ok || !p.Connected && !errors.As(p.Err, &said):
		case said != nil && said.Code == link.CodeNotMember:
			say++
			last = said
		default:
			return nil
		}
	}
	if say <= len(others)/2 {
		return nil
	}
	return last
}

// ways tells how each of the others can be reached.
func (n *Node) ways() []string {
	var out []string
	for _, m := range n.others() {
		p, ok := n.peer(m.Node)
		way := "connected"
		switch {
		case !ok || !p.Connected && p.Err == nil:
			way = "not reached yet"
		case !p.Connected:
			way = p.Err.Error()
		}
		out = append(out, fmt.Sprintf("node %d at %s: %s", m.Node, m.Address, way))
	}
	return out
}
