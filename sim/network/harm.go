package network

import (
	"context"
	"net"
	"strconv"
	"syscall"
	"time"
)

// forever is how long a clog lasts that somebody will end.
const forever = never / 4

// between says whether a link connects two hosts; "" is any.
func (l *link) between(a, b string) bool {
	x, y := l.a.host.name, l.b.host.name
	is := func(want, name string) bool { return want == "" || want == name }
	return is(a, x) && is(b, y) || is(a, y) && is(b, x)
}

// pick returns the links between two hosts, or one of them.
func (n *Network) pick(a, b string, one bool) []*link {
	var list []*link
	for _, l := range n.walk(n.now()) {
		if l.between(a, b) {
			list = append(list, l)
		}
	}
	if one && len(list) > 0 {
		return []*link{list[n.o.Rng.IntN(len(list))]}
	}
	return list
}

// Reset ends all connections between two hosts, "" being any: both ends get
// ECONNRESET at once: F-N3, and F-N2 in the middle of a frame.
func (n *Network) Reset(a, b string) int { return n.reset(a, b, false) }

// ResetOne ends one of them, drawn by chance.
func (n *Network) ResetOne(a, b string) bool { return n.reset(a, b, true) > 0 }

func (n *Network) reset(a, b string, one bool) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.now()
	list := n.pick(a, b, one)
	for _, l := range list {
		n.struck(faultReset)
		l.a.die(now, syscall.ECONNRESET)
		l.b.die(now, syscall.ECONNRESET)
	}
	return len(list)
}

// Blackhole makes all connections between two hosts, "" being any, silent for
// ever, as a router does that has forgotten them. New ones work: F-N3.
func (n *Network) Blackhole(a, b string) int { return n.blackhole(a, b, false) }

// BlackholeOne does so to one of them, drawn by chance.
func (n *Network) BlackholeOne(a, b string) bool { return n.blackhole(a, b, true) > 0 }

func (n *Network) blackhole(a, b string, one bool) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.now()
	list := n.pick(a, b, one)
	for _, l := range list {
		n.tellOf(Blackholed, &l.a, 0)
		for _, e := range l.ends() {
			e.out.holed = true
			e.out.lose(now, faultBlackhole)
		}
	}
	return len(list)
}

// Refuse makes Dial to "host:port", or to all ports of "host", fail with
// ECONNREFUSED for a time: F-N3.
func (n *Network) Refuse(address string, d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	name, port := address, 0
	if h, p, err := net.SplitHostPort(address); err == nil {
		if i, err := strconv.Atoi(p); err == nil {
			name, port = h, i
		}
	}
	n.machine(name).refuse[port] = n.now() + d
	n.tell(Event{Kind: Changed, To: address})
}

// Exhaust takes all ports of a host that it could dial from, for a time: F-N3.
func (n *Network) Exhaust(host string, d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.machine(host).exhausted = n.now() + d
	n.tell(Event{Kind: Changed, From: host})
}

// Clog delays everything from one host to another until d has passed: F-N1, F-N2.
func (n *Network) Clog(from, to string, d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.now()
	p := n.path(from, to)
	p.clog = max(p.clog, now+d)
	n.tell(Event{Kind: Clogged, From: from, To: to})
	n.holdBack(now)
}

// ClogHost does so for all that goes to a host or comes from it.
func (n *Network) ClogHost(host string, d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.now()
	m := n.machine(host)
	m.clog = max(m.clog, now+d)
	n.tell(Event{Kind: Clogged, From: host})
	n.holdBack(now)
}

// holdBack applies the clogs to what is under way.
func (n *Network) holdBack(now time.Duration) {
	for _, l := range n.walk(now) {
		for _, e := range l.ends() {
			e.out.holdBack(now)
		}
	}
}

func (f *flow) holdBack(now time.Duration) {
	clog := f.path.clogged()
	for i := f.flying(now); i < len(f.q) && f.q[i].at != never; i++ {
		if at := f.q[i].at; at < clog {
			f.net.struck(faultClog)
			f.last = max(f.last, unclogged(clog, at, now))
			f.q[i].at = f.last
		}
	}
	if at := f.dst.resetAt; at > now && at < clog {
		f.dst.resetAt = unclogged(clog, at, now)
	}
}

// Unclog ends every clog of a host, also those of single directions.
func (n *Network) Unclog(host string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.machine(host).clog = 0
	for k, p := range n.paths { // the order has no effect
		if k.from == host || k.to == host {
			p.clog = 0
		}
	}
	n.tell(Event{Kind: Unclogged, From: host})
	now := n.now()
	for _, l := range n.walk(now) {
		for _, e := range l.ends() {
			if p := e.out.path; (p.from.name == host || p.to.name == host) && p.clogged() <= now {
				e.out.hurry(now)
			}
		}
	}
}

// Swizzle clogs hosts one after another and unclogs them in another order, and
// takes about span for it: F-N1. It waits; the end of ctx unclogs all at once.
func (n *Network) Swizzle(ctx context.Context, span time.Duration, hosts ...string) {
	n.mu.Lock()
	first, second := n.o.Rng.Perm(len(hosts)), n.o.Rng.Perm(len(hosts))
	waits := make([]time.Duration, 2*len(hosts))
	for i := range waits {
		waits[i] = time.Duration(2 * n.o.Rng.Float64() * float64(span) / float64(len(waits)))
	}
	n.mu.Unlock()
	for i, k := range first {
		n.ClogHost(hosts[k], forever)
		sleep(ctx, waits[i])
	}
	for i, k := range second {
		n.Unclog(hosts[k])
		sleep(ctx, waits[len(hosts)+i])
	}
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
