package world

import (
	"context"
	"math/rand/v2"
	"net"
	"time"

	"ironman/sim/network"
)

// Nodes have two connections to each other, one for Raft, proposals and whatever is
// small, one for shards. A way through a network is chosen by connection, so one of
// them may be dead while the other works (N5).
const (
	control = "control"
	bulk    = "bulk"
)

func pathFaults() []fault {
	lasts := [2]time.Duration{500 * ms, 8 * time.Second}
	cut := func(kind string) func(*World, *Action, *rand.Rand) func() {
		return func(w *World, a *Action, rng *rand.Rand) func() {
			peers := []int{a.Peer}
			if rng.IntN(2) == 0 { // to all others
				peers = nil
				for _, n := range w.present() {
					if n.n != a.Node {
						peers = append(peers, n.n)
					}
				}
			}
			for _, p := range peers {
				w.net.BlockKind(nodeHost(a.Node), nodeHost(p), kind)
			}
			return func() {
				for _, p := range peers {
					w.net.UnblockKind(nodeHost(a.Node), nodeHost(p), kind)
				}
			}
		}
	}
	return []fault{
		{id: "N5", plain: true, name: "Raft and proposals are cut off, shards are not", weight: 4, lasts: lasts, where: aPair, begin: cut(control)},
		{id: "N5", plain: true, name: "shards are cut off, Raft and proposals are not", weight: 4, lasts: lasts, where: aPair, begin: cut(bulk)},
	}
}

// dial is a node's way to others. The network is told what each connection is for.
func (w *World) dial(host *network.Host) func(ctx context.Context, to string) (net.Conn, error) {
	if w.cfg.TLS {
		return host.Dial // nobody can see it
	}
	return func(ctx context.Context, to string) (net.Conn, error) {
		c, err := host.Dial(ctx, to)
		if err != nil {
			return nil, err
		}
		return &linkConn{Conn: c, net: w.net}, nil
	}
}

// linkConn is a connection that a node's link has dialled. What is first written to it
// is the link's hello, which says what it is for.
type linkConn struct {
	net.Conn
	net  *network.Network
	said bool // no more than one goroutine writes at a time
}

// Write implements net.Conn.
func (c *linkConn) Write(b []byte) (int, error) {
	if !c.said {
		c.said = true
		if kind := kindOf(b); kind != "" {
			c.net.Mark(c.Conn, kind)
		}
	}
	return c.Conn.Write(b)
}

// kindOf reads a hello: see package link.
func kindOf(b []byte) string {
	const role = 16
	if len(b) > role {
		switch b[role] {
		case 1:
			return control
		case 2:
			return bulk
		}
	}
	return ""
}
