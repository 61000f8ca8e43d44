package network

import (
	"net"
	"strings"
	"time"
)

// rules say which directions are blocked. Maps are looked up, never walked.
type rules struct {
	oneWay   map[pair]bool
	bothWays map[pair]bool
	ports    map[portRule]bool
	kinds    map[kindRule]bool
	isolated map[string]bool
	groups   map[string]uint64 // one bit for each group that a host is in
	divided  fault             // by whom: faultPartition or faultBridge
}

type portRule struct {
	pair
	port int
}

type kindRule struct {
	pair
	kind string
}

func newRules() rules {
	return rules{
		oneWay:   make(map[pair]bool),
		bothWays: make(map[pair]bool),
		ports:    make(map[portRule]bool),
		kinds:    make(map[kindRule]bool),
		isolated: make(map[string]bool),
		groups:   make(map[string]uint64),
	}
}

// unordered is the same for (a, b) and (b, a).
func unordered(a, b string) pair {
	if b < a {
		return pair{b, a}
	}
	return pair{a, b}
}

// cut says what blocks a direction of connections to a port, of a kind that they were
// Marked with.
func (r *rules) cut(from, to string, port int, kind string) fault {
	both := unordered(from, to)
	switch {
	case from == to:
		return noFault
	case r.oneWay[pair{from, to}]:
		return faultOneWay
	case r.bothWays[both]:
		return faultBothWays
	case r.isolated[from] || r.isolated[to]:
		return faultIsolated
	case r.ports[portRule{both, port}]:
		return faultPort
	case r.kinds[kindRule{both, kind}]:
		return faultKind
	}
	if a, b := r.groups[from], r.groups[to]; a != 0 && b != 0 && a&b == 0 {
		return r.divided
	}
	return noFault
}

// refresh applies the rules to the connections there are.
func (n *Network) refresh() {
	now := n.now()
	for _, l := range n.walk(now) {
		n.obey(l, now)
	}
}

// obey applies the rules to one connection.
func (n *Network) obey(l *link, now time.Duration) {
	opened := false
	for _, e := range l.ends() {
		f := &e.out
		was := f.cut
		f.cut = n.rules.cut(e.host.name, e.peer.host.name, l.port, l.kind)
		if was == noFault && f.cut != noFault {
			f.lose(now, f.cut)
		}
		opened = opened || was != noFault && f.cut == noFault
	}
	if opened {
		l.resume(now)
	}
}

func (l *link) resume(now time.Duration) {
	l.a.out.resume(now)
	l.b.out.resume(now)
}

// change is a change of the rules.
func (n *Network) change(e Event, f func(r *rules)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f(&n.rules)
	n.tell(e)
	n.refresh()
}

// BlockOneWay drops what from sends to to. F-N1; of replies: F-N4.
func (n *Network) BlockOneWay(from, to string) {
	n.change(Event{Kind: Blocked, From: from, To: to, Bytes: 1}, func(r *rules) { r.oneWay[pair{from, to}] = true })
}

// Block drops everything between two hosts: F-N1.
func (n *Network) Block(a, b string) {
	n.change(Event{Kind: Blocked, From: a, To: b, Bytes: 2}, func(r *rules) { r.bothWays[unordered(a, b)] = true })
}

// BlockPort drops everything on connections between two hosts to that port of
// either: F-N5.
func (n *Network) BlockPort(a, b string, port int) {
	n.change(Event{Kind: Blocked, From: a, To: b, Bytes: port}, func(r *rules) { r.ports[portRule{unordered(a, b), port}] = true })
}

// Mark says of what kind a connection of this network is, for BlockKind: whoever has
// one end of it may know.
func (n *Network) Mark(c net.Conn, kind string) {
	x, ok := c.(conn)
	if !ok {
		panic("network: a connection of another network is marked")
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	l := x.e.link
	l.kind = kind
	if !l.over() {
		n.obey(l, n.now())
	}
}

// BlockKind drops everything on connections of a kind between two hosts, and no
// others: F-N5, where both kinds go to one port.
func (n *Network) BlockKind(a, b, kind string) {
	n.change(Event{Kind: Blocked, From: a, To: b + " " + kind}, func(r *rules) { r.kinds[kindRule{unordered(a, b), kind}] = true })
}

// UnblockKind ends BlockKind.
func (n *Network) UnblockKind(a, b, kind string) {
	n.change(Event{Kind: Healed, From: a, To: b + " " + kind}, func(r *rules) { delete(r.kinds, kindRule{unordered(a, b), kind}) })
}

// Unblock ends BlockOneWay in both directions, Block and BlockPort.
func (n *Network) Unblock(a, b string) {
	n.change(Event{Kind: Healed, From: a, To: b}, func(r *rules) {
		delete(r.oneWay, pair{a, b})
		delete(r.oneWay, pair{b, a})
		delete(r.bothWays, unordered(a, b))
		for k := range r.ports { // the order has no effect
			if k.pair == unordered(a, b) {
				delete(r.ports, k)
			}
		}
	})
}

// Isolate drops everything to and from a host: F-N1.
func (n *Network) Isolate(host string) {
	n.change(Event{Kind: Blocked, From: host}, func(r *rules) { r.isolated[host] = true })
}

// Rejoin ends Isolate.
func (n *Network) Rejoin(host string) {
	n.change(Event{Kind: Healed, From: host}, func(r *rules) { delete(r.isolated, host) })
}

// maxGroups is how many groups a partition may have.
const maxGroups = 64

// Partition drops everything between hosts that share no group; a host in no group
// is left alone. It takes the place of a partition before: F-N1.
func (n *Network) Partition(groups ...[]string) { n.divide(faultPartition, groups) }

// Bridge parts the hosts of the left from those of the right; the bridge reaches
// both: F-N1.
func (n *Network) Bridge(bridge string, left, right []string) {
	n.divide(faultBridge, [][]string{
		append([]string{bridge}, left...),
		append([]string{bridge}, right...),
	})
}

func (n *Network) divide(why fault, groups [][]string) {
	if len(groups) > maxGroups {
		panic("network: a partition has too many groups")
	}
	names := make([]string, len(groups))
	for i, g := range groups {
		names[i] = strings.Join(g, ",")
	}
	n.change(Event{Kind: Blocked, From: strings.Join(names, " | ")}, func(r *rules) {
		clear(r.groups)
		r.divided = why
		for i, g := range groups {
			for _, name := range g {
				r.groups[name] |= 1 << i
			}
		}
	})
}

// Unite ends Partition and Bridge.
func (n *Network) Unite() {
	n.change(Event{Kind: Healed}, func(r *rules) { clear(r.groups) })
}

// Heal ends every block, clog, refusal, exhaustion and slowness, and gives all
// paths the Path of the Options again. Who is paused or dead stays so; a connection
// in a blackhole stays there.
func (n *Network) Heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.now()
	links := n.walk(now)
	clogged := make([]bool, len(links))
	for i, l := range links {
		clogged[i] = max(l.a.out.path.clogged(), l.b.out.path.clogged()) > now
	}
	n.rules = newRules()
	for _, p := range n.paths { // the order has no effect
		p.Path, p.rate, p.busy, p.clog = n.o.Path, 0, 0, 0
	}
	for _, m := range n.machines { // the order has no effect
		m.clog, m.exhausted = 0, 0
		clear(m.refuse)
	}
	n.tell(Event{Kind: Healed})
	for i, l := range links {
		if clogged[i] {
			l.a.out.hurry(now)
			l.b.out.hurry(now)
		}
	}
	n.refresh()
}
