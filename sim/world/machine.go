package world

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// standing is what the operator of the cluster means a machine to be.
type standing int

const (
	spare   standing = iota // it was never switched on
	joining                 // it is to become a member, and has not served yet
	member
	leaving // it is being removed, and may be no member any more
	removed
)

// spares are machines beyond those that a cluster begins with.
const spares = 2

// is tells what a machine is meant to be.
func (n *node) is() standing {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.standing
}

// become changes that, from one of the given standings; false if it is none of them, or
// the machine's own disk is not there now.
func (n *node) become(to standing, from ...standing) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.forgetful || !slices.Contains(from, n.standing) {
		return false
	}
	n.standing = to
	return true
}

// present are the machines that were ever switched on.
func (w *World) present() (all []*node) {
	for _, n := range w.nodes {
		if n.is() != spare {
			all = append(all, n)
		}
	}
	return all
}

// members are those of them that are to serve.
func (w *World) members() (all []*node) {
	for _, n := range w.nodes {
		if s := n.is(); s == joining || s == member {
			all = append(all, n)
		}
	}
	return all
}

func hosts(nodes []*node) (names []string) {
	for _, n := range nodes {
		names = append(names, nodeHost(n.n))
	}
	return names
}

// served notes that a process of a machine is open, as a member of that number. One that
// was removed before it started, or has lost its log, must not come so far.
func (n *node) served(p *process, number uint32) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.process != p:
	case p.barred != "":
		n.w.violated("I10", "node %d serves, though %s", n.n, p.barred)
	case n.standing == joining:
		n.standing = member
		fallthrough
	case n.number == 0:
		n.number = number
	}
}

// bar says why a process that starts now must not serve; n.mu is held.
func (n *node) bar() string {
	switch {
	case n.standing == removed:
		return "it was removed"
	case n.forgetful:
		return "its log is gone"
	}
	return ""
}

// mayEnd tells whether a process may end by itself for what it says, and whether that
// is the end of it: who is refused for good is not started again.
func (n *node) mayEnd(p *process, why string) (may, forGood bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case n.forgetful && p.barred != "":
		n.refused = strings.Contains(why, "must not go on under its name")
		return n.refused, n.refused
	case n.standing >= leaving:
		n.refused = strings.Contains(why, "was removed from its cluster")
		return n.refused, n.refused && n.standing == removed
	case n.standing == joining:
		// Clocks that are wrong, on either side, or disks that cannot be used; whoever
		// started it starts it again.
		return strings.Contains(why, "joining the cluster at") || strings.Contains(why, "server: disk "), false
	}
	return false, false
}

// door is the link of a member that has served, is not kept down and can start, by
// which a machine is to join.
func (w *World) door(but *node) string {
	var all []*node
	for _, n := range w.nodes {
		n.mu.Lock()
		if n != but && n.standing == member && n.number > 0 && !n.down && len(n.spoils) == 0 {
			all = append(all, n)
		}
		n.mu.Unlock()
	}
	if len(all) == 0 {
		return address(1, portLink)
	}
	return address(all[w.draw("door", len(all))].n, portLink)
}

// machineOf finds the machine that is a member of that number; one that joins has none
// before it serves.
func (w *World) machineOf(number uint32) *node {
	var unknown *node
	for _, n := range w.present() {
		n.mu.Lock()
		is := n.number
		n.mu.Unlock()
		switch is {
		case number:
			return n
		case 0:
			unknown = n
		}
	}
	return unknown
}

// clientAddress is where clients look for a node: machines that are not there yet are
// others to them, those that were removed are asked on.
func (w *World) clientAddress(i int) string { return address(w.there(i), portS3) }

// clientAdmin is askAdmin for clients.
func (w *World) clientAdmin(ctx context.Context, i int, method, path string, body []byte) (status int, answer []byte, err error) {
	return w.askAdmin(ctx, w.there(i), method, path, body)
}

// there is a machine, or another where that is not there yet.
func (w *World) there(i int) int {
	if i > 0 && w.node(i).is() == spare {
		return 1 + (i-1)%nodeCount
	}
	return i
}

// aimed is an action about machines that are there. False where there is nothing to do.
func (w *World) aimed(a Action, f fault) (Action, bool) {
	if f.spoils && w.lostVoter() {
		return a, false
	}
	if f.where == aBadDisk || f.where == aBadNode {
		return a, w.node(a.Node).is() != spare
	}
	a.Node, a.Peer = w.there(a.Node), w.there(a.Peer)
	if a.Peer == a.Node && a.Peer > 0 {
		a.Peer = 1 + a.Node%nodeCount
	}
	return a, true
}

// departure is a member that the operator shuts out.
type departure struct {
	number uint32
	done   bool
}

// lostVoter tells whether a member that was wiped still has a vote, because the operator
// could not shut it out so far: with a damaged node, that would be two lost.
func (w *World) lostVoter() bool {
	var going []uint32
	w.mu.Lock()
	for _, d := range w.departures {
		if !d.done {
			going = append(going, d.number)
		}
	}
	w.mu.Unlock()
	return slices.ContainsFunc(going, func(number uint32) bool {
		return !slices.ContainsFunc(w.nodes, func(n *node) bool { return n.hasNumber(number) })
	})
}

func (n *node) hasNumber(number uint32) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.number == number
}

// gone are the numbers of members that were shut out.
func (w *World) gone() (numbers []uint32) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, d := range w.departures {
		if d.done {
			numbers = append(numbers, d.number)
		}
	}
	return numbers
}

func (d *departure) String() string { return fmt.Sprintf("node number %d", d.number) }
