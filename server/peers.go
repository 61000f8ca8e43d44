package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"ironman/erasure"
	"ironman/server/link"
	"ironman/sim/sabotage"
	"ironman/wal"
)

// Methods of the link: what nodes ask of each other. Never renumbered.
const (
	methodRaft   link.Method = 1 // stream: raft's own calls
	methodLog    link.Method = 2 // call: wal.Node.Answer
	methodAdmit  link.Method = 3 // call: make the caller a member of the Raft group
	methodBeacon link.Method = 4 // call: compare milestones
	methodStarts link.Method = 5 // call: the caller's newest start that is known
	// methodMembers is a call without a request, whose answer is who the members are, in
	// the form of members.json.
	methodMembers link.Method = 6
	// methodErasures is a call without a request, whose answer is an ErasureNode as JSON.
	methodErasures link.Method = 7
	// methodHold is a call with a holdRequest as JSON: unlink no pack while a backup is taken.
	methodHold link.Method = 8

	methodShardAppend = link.Bulk + 1 // call
	methodShardRead   = link.Bulk + 2 // call
	methodShardStream = link.Bulk + 3 // stream
)

// raftID is a node's name in the Raft group.
func raftID(node uint32) string { return "node-" + strconv.FormatUint(uint64(node), 10) }

// nodeOf is the inverse of raftID.
func nodeOf(id string) (uint32, error) {
	text, ok := strings.CutPrefix(id, "node-")
	n, err := strconv.ParseUint(text, 10, 32)
	if !ok || err != nil || n == 0 {
		return 0, fmt.Errorf("server: %q is no node", id)
	}
	return uint32(n), nil
}

// openLink begins to speak to the other nodes.
func (n *Node) openLink(cluster [16]byte) error {
	o := &n.opts
	if o.Link == nil || n.link.Load() != nil {
		return nil
	}
	l, err := link.Open(link.Options{
		Self: n.identity.Node, Key: n.identity.key, Cluster: cluster, Boot: n.identity.Boot,
		Listener: o.Link, Dial: o.Dial, Plain: o.LinkPlain, Peer: n.linkPeer, Now: o.Now, Logger: o.Logger,
		Calls: map[link.Method]link.CallFunc{
			methodLog: n.serveLog, methodAdmit: n.serveAdmit, methodBeacon: n.serveBeacon, methodStarts: n.serveStarts, methodMembers: n.serveMembers, methodErasures: n.serveErasures, methodHold: n.serveHold,
			methodShardAppend: n.serveShardAppend, methodShardRead: n.serveShardRead,
		},
		Streams: map[link.Method]link.StreamFunc{
			methodRaft: n.serveRaft, methodShardStream: n.serveShardStream,
		},
		Join: n.takeIn, JoinSecret: o.JoinSecret,
	})
	if err != nil {
		return fmt.Errorf("server: %w", err)
	}
	n.link.Store(l)
	return nil
}

// linkPeer is a member as the link wants it.
func (n *Node) linkPeer(node uint32) (link.Peer, bool) {
	m, ok := n.members.node(node)
	return link.Peer{Node: m.Node, Address: m.Address, Key: m.Key, Boot: m.Boot}, ok
}

var errNoLink = errors.New("this node has no link to others")

// dialRaft opens a stream for raft's calls to another node.
func (n *Node) dialRaft(ctx context.Context, id string) (net.Conn, error) {
	node, err := nodeOf(id)
	if err != nil {
		return nil, err
	}
	l := n.link.Load()
	if l == nil {
		return nil, errNoLink
	}
	if err := n.mayTalkRaft(ctx, node); err != nil {
		return nil, err
	}
	s, err := l.OpenStream(ctx, node, methodRaft, nil)
	if err != nil {
		return nil, err // not a net.Conn that holds a nil stream
	}
	return s, nil
}

func (n *Node) serveRaft(from uint32, _ []byte, s *link.Stream) {
	if err := n.mayTalkRaft(context.Background(), from); err != nil {
		s.Reset(err)
		return
	}
	n.streams.Offer(s)
}

// askLog carries a question of the log to another node.
func (n *Node) askLog(ctx context.Context, id string, request []byte) ([]byte, error) {
	node, err := nodeOf(id)
	if err != nil {
		return nil, errors.Join(wal.ErrNotDone, err)
	}
	l := n.link.Load()
	if l == nil {
		return nil, errors.Join(wal.ErrNotDone, errNoLink)
	}
	b, err := l.Call(ctx, node, methodLog, request)
	return b, logError(err)
}

// serveLog answers a question of another node's log.
func (n *Node) serveLog(ctx context.Context, from uint32, request []byte) ([]byte, error) {
	if !n.logOpen.Load() {
		return nil, &link.Error{Code: codeNotServing, Text: "the node does not serve yet, or no more"}
	}
	b, err := n.log.Answer(ctx, raftID(from), request)
	switch {
	case errors.Is(err, wal.ErrOverloaded):
		err = &link.Error{Code: codeLogOverloaded, Text: err.Error()}
	case errors.Is(err, wal.ErrNotDone):
		err = &link.Error{Code: codeLogNotDone, Text: err.Error()}
	}
	return b, err
}

// logError tells what surely was not done from what may have been.
func logError(err error) error {
	var said *link.Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &said) && said.Code == codeLogOverloaded:
		return errors.Join(wal.ErrOverloaded, wal.ErrNotDone, err)
	case errors.As(err, &said) && (said.Code == codeLogNotDone || said.Code == codeNotServing):
		return errors.Join(wal.ErrNotDone, err)
	case errors.Is(err, link.ErrUnreachable), errors.Is(err, link.ErrTooLarge):
		return errors.Join(wal.ErrNotDone, err)
	}
	return err
}

// serveAdmit makes the calling node a member of the Raft group, and returns once it
// has caught up.
func (n *Node) serveAdmit(ctx context.Context, from uint32, _ []byte) ([]byte, error) {
	if !n.logOpen.Load() {
		return nil, &link.Error{Code: codeNotServing, Text: "the node does not serve yet, or no more"}
	}
	offset, err := n.measure(ctx, from)
	if err != nil {
		return nil, err
	}
	if offset > maxClockError || offset < -maxClockError {
		return nil, fmt.Errorf("your clock is %v ahead of mine", offset)
	}
	return nil, n.log.AddMember(ctx, raftID(from))
}

// measure returns how far another node's clock is ahead. A voter whose clock nobody
// has seen would cast doubt on all.
func (n *Node) measure(ctx context.Context, node uint32) (time.Duration, error) {
	for {
		if p, ok := n.peer(node); ok && p.Measured && p.Connected {
			return p.Offset, nil
		}
		if _, err := n.compare(ctx, node); err != nil { // connects
			return 0, fmt.Errorf("your clock cannot be measured: %w", err)
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Times of becomeMember: how long a node may take to catch up before it asks again,
// and when it asks again after a refusal, or for a vote that is not to be had now.
const (
	admitLimit = time.Minute
	admitPause = time.Second
	votePause  = 30 * time.Second
)

// becomeMember asks the others to take this node into the Raft group, until it has a
// vote: a call that ended in between has left it without one.
func (n *Node) becomeMember(ctx context.Context) {
	for i := 0; ctx.Err() == nil; i++ {
		pause := admitPause
		switch others := n.others(); {
		case n.votes():
			return
		case len(others) > 0:
			node := others[i%len(others)].Node
			call, cancel := context.WithTimeout(ctx, admitLimit)
			_, err := n.link.Load().Call(call, node, methodAdmit)
			cancel()
			if err == nil {
				pause = votePause
			} else {
				n.opts.Logger.Info("this node is not in the Raft group yet", "asked", node, "err", err)
			}
		}
		if n.votes() {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// votes tells whether this node is a voter.
func (n *Node) votes() bool {
	self := raftID(n.identity.Node)
	for _, m := range n.log.Members() {
		if m.ID == self && m.Voter {
			return true
		}
	}
	return false
}

// others are the members but this node.
func (n *Node) others() []member {
	var out []member
	for _, m := range n.members.all() {
		if m.Node != n.identity.Node {
			out = append(out, m)
		}
	}
	return out
}

// otherIDs are the names of the others in the Raft group, in which they may not be yet.
func (n *Node) otherIDs() (ids []string) {
	for _, m := range n.others() {
		ids = append(ids, raftID(m.Node))
	}
	return ids
}

// liveFor is how long a node that says nothing still counts as living: it is pinged
// every second, and new shards that wait for it hold up their writers.
const liveFor = 2500 * time.Millisecond

// answers tells whether a node can be reached now: a hint.
func (n *Node) answers(node uint32) bool {
	if node == n.identity.Node {
		return true
	}
	p, ok := n.peer(node)
	return ok && p.Connected && n.opts.Now().Sub(p.Heard) < liveFor
}

// peer is what the link knows of a node.
func (n *Node) peer(node uint32) (link.PeerState, bool) {
	l := n.link.Load()
	if l == nil {
		return link.PeerState{}, false
	}
	for _, p := range l.Peers() {
		if p.Node == node {
			return p, true
		}
	}
	return link.PeerState{}, false
}

// remoteDisk is the way to a disk of another node; nil if there is none now.
func (n *Node) remoteDisk(number uint32) erasure.ShardTarget {
	l := n.link.Load()
	d, ok := n.members.disk(number)
	if !ok || l == nil || d.Node == n.identity.Node {
		return nil
	}
	return &remoteDisk{link: l, node: d.Node, number: number, id: [16]byte(d.DiskId)}
}

// topology is the cluster's disks for the placement of new shards.
func (n *Node) topology() []erasure.Disk { return n.members.topology(n.answers) }

// clockVerdict is what was thought of this node's clock at some moment.
type clockVerdict struct {
	at   time.Time // of the monotonic clock
	wall time.Time // of the clock that was judged
	err  error
}

// clockSet is how far the clock may go otherwise than the monotonic one before a verdict is none any
// more: somebody has set it.
const clockSet = 10 * time.Millisecond

// holds tells whether the verdict is of the clock that shows wall now.
func (v *clockVerdict) holds(wall time.Time) bool {
	past := time.Since(v.at)
	went := time.Duration(wall.UnixNano() - v.wall.UnixNano())
	return past <= clockVerdictEvery && ((went-past).Abs() <= clockSet || sabotage.On(sabotage.X74))
}

// clockVerdictEvery is how long a verdict holds: it is asked for with every event.
const clockVerdictEvery = 100 * time.Millisecond

// clockProblem says why this node's clock is not to be trusted; nil if it is.
func (n *Node) clockProblem() error {
	v, wall := n.clock.Load(), n.opts.Now()
	if v == nil || !v.holds(wall) {
		v = &clockVerdict{time.Now(), wall, n.judgeClock()}
		if old := n.clock.Swap(v); old != nil && (old.err == nil) != (v.err == nil) {
			n.opts.Logger.Warn("this node's clock", "problem", v.err)
		}
	}
	return v.err
}

// judgeClock compares this node's clock with those of the voters that it hears.
func (n *Node) judgeClock() error {
	voters, others := 0, make(map[uint32]bool)
	for _, m := range n.log.Members() {
		if !m.Voter {
			continue
		}
		voters++
		if node, err := nodeOf(m.ID); err == nil && node != n.identity.Node {
			others[node] = true
		}
	}
	var offsets []time.Duration
	if l := n.link.Load(); l != nil {
		for _, p := range l.Peers() {
			if others[p.Node] && p.Measured {
				offsets = append(offsets, p.Offset)
			}
		}
	}
	if voters > 1 && len(others) == voters { // this node does not vote: all of them judge it
		voters++
	}
	return judgeClock(offsets, voters)
}
