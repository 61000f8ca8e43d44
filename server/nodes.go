package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"ironman/wal/event"
)

// NodeState is what a node knows of a member of its cluster.
type NodeState struct {
	Node    uint32 `json:"node"`
	Address string `json:"address"` // of its link
	Release string `json:"release"`
	Boot    uint64 `json:"boot"`
	// Role in the Raft group: leader, voter, non-voter, or none while it joins.
	Role      string `json:"role"`
	Self      bool   `json:"self,omitempty"` // it is the one that was asked
	Connected bool   `json:"connected"`
	// Events is how many it had applied when it was last asked.
	Events uint64 `json:"events"`
	// Agrees tells up to which event its ledger's root was seen to equal ours.
	Agrees  uint64 `json:"agrees"`
	Differs string `json:"differs,omitempty"`
	// ClockOffset is how far its clock is ahead of that of the node asked, in
	// milliseconds; RoundTrip likewise.
	ClockOffset float64 `json:"clock_offset_ms"`
	RoundTrip   float64 `json:"round_trip_ms"`
	Disks       int     `json:"disks"`
	Problem     string  `json:"problem,omitempty"`
}

// Nodes tells what this node knows of all members.
func (n *Node) Nodes() []NodeState {
	roles := make(map[uint32]string)
	for _, m := range n.log.Members() {
		if node, err := nodeOf(m.ID); err == nil {
			roles[node] = map[bool]string{true: "voter", false: "non-voter"}[m.Voter]
		}
	}
	if id, known := n.log.Leader(); known {
		if node, err := nodeOf(id); err == nil {
			roles[node] = "leader"
		}
	}
	disks := make(map[uint32]int)
	for _, d := range n.members.table.Load().disks {
		disks[d.Node]++
	}
	var out []NodeState
	for _, m := range n.members.all() {
		s := NodeState{Node: m.Node, Address: m.Address, Release: m.Version, Boot: m.Boot, Role: roles[m.Node], Disks: disks[m.Node]}
		if s.Role == "" {
			s.Role = "none"
		}
		if m.Node == n.identity.Node {
			n.describeSelf(&s)
		} else {
			n.describePeer(&s)
		}
		out = append(out, s)
	}
	return out
}

func (n *Node) describeSelf(s *NodeState) {
	s.Self, s.Connected = true, true
	s.Events = n.machine.Applied().Next
	s.Agrees = s.Events
	if err := n.clockProblem(); err != nil {
		s.Problem = err.Error()
	}
}

func (n *Node) describePeer(s *NodeState) {
	p, ok := n.peer(s.Node)
	switch {
	case !ok:
		s.Problem = "never reached"
	case !p.Connected && p.Err != nil:
		s.Problem = p.Err.Error()
	}
	s.Connected = p.Connected
	s.ClockOffset, s.RoundTrip = milliseconds(p.Offset), milliseconds(p.RoundTrip)
	if b, ok := n.beacons.of(s.Node); ok {
		s.Events, s.Agrees, s.Differs = b.next, b.agreed, b.differs
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (n *Node) nodes(w http.ResponseWriter, _ *http.Request) { writeJSON(w, n.Nodes()) }

// removeLimit bounds how long the removal of a node may take.
const removeLimit = time.Minute

// removeNode shuts a node out for good: first from the Raft group, whose majority
// it may be part of, then by an event that fences its blobs and refuses its key.
func (n *Node) removeNode(w http.ResponseWriter, r *http.Request) {
	node, err := strconv.ParseUint(r.URL.Query().Get("node"), 10, 32)
	if err != nil || node == 0 {
		http.Error(w, "node: the number of a node is needed", http.StatusBadRequest)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), removeLimit)
	defer cancel()
	if err := n.RemoveNode(ctx, uint32(node)); err != nil {
		n.adminError(w, err)
		return
	}
	writeJSON(w, n.Nodes())
}

// RemoveNode removes a member, which must not be this node itself.
func (n *Node) RemoveNode(ctx context.Context, node uint32) error {
	if node == n.identity.Node {
		return fmt.Errorf("%w: a node cannot remove itself: ask another one", errBadAsk)
	}
	if err := n.mustKnow(ctx, node); err != nil {
		return err
	}
	if err := n.log.RemoveMember(ctx, raftID(node)); err != nil {
		return fmt.Errorf("server: removing node %d from the Raft group: %w", node, err)
	}
	err := n.must(ctx, event.NewDraft(nil, &event.Statement_NodeRemoved{NodeRemoved: &event.NodeRemoved{Node: node}}),
		event.Refusal_REFUSAL_NOT_FOUND)
	n.members.refresh() // its disks take no new shards, its key is refused
	return err
}

// mustKnow says that there is no such node only when that is so in the whole cluster:
// this one may not have heard yet that it joined, and who asks would take it for gone.
func (n *Node) mustKnow(ctx context.Context, node uint32) error {
	if _, ok := n.members.node(node); ok {
		return nil
	}
	if err := n.log.Barrier(ctx); err != nil {
		return fmt.Errorf("server: looking for node %d: %w", node, err)
	}
	n.members.refresh()
	if _, ok := n.members.node(node); !ok {
		return fmt.Errorf("%w: no node %d", errNoObject, node)
	}
	return nil
}

var errBadAsk = errors.New("not possible")
