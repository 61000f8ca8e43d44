package network

import "time"

// Path is what one direction between two hosts is like.
type Path struct {
	// Latency is the least time that a segment takes, and Jitter the mean of what
	// is added to it, exponentially distributed.
	Latency, Jitter time.Duration
	// Bandwidth in bytes per second, shared by all connections; 0: not limited.
	Bandwidth int
	// Loss is the chance that a segment is lost. It is sent again after 200 ms, and
	// what follows it waits.
	Loss float64
	// Corrupt is the chance that one bit of a segment is flipped: only for
	// protocols that notice.
	Corrupt float64
	// Split is the chance that a segment is cut in two anywhere, so that the other
	// side reads a Write in pieces.
	Split float64
}

// DefaultPath is one within a data centre.
func DefaultPath() Path {
	return Path{Latency: 100 * time.Microsecond, Jitter: 300 * time.Microsecond, Split: 0.02}
}

// path is the state of one direction between two hosts.
type path struct {
	from, to *machine
	Path
	rate int           // of Slow; 0: none
	busy time.Duration // until then, what was sent before is on the wire
	clog time.Duration // nothing arrives before
}

func (n *Network) path(from, to string) *path {
	k := pair{from, to}
	p := n.paths[k]
	if p == nil {
		p = &path{from: n.machine(from), to: n.machine(to), Path: n.o.Path}
		n.paths[k] = p
	}
	return p
}

// delay draws how long one segment travels.
func (n *Network) delay(p *path) time.Duration {
	d := p.Latency
	if p.Jitter > 0 {
		d += time.Duration(n.o.Rng.ExpFloat64() * float64(p.Jitter))
	}
	return d
}

// clogged returns the time before which nothing arrives.
func (p *path) clogged() time.Duration { return max(p.clog, p.from.clog, p.to.clog) }

// arrival draws when a segment that is sent now arrives; never, if it is lost so
// often that the sender gives up.
func (n *Network) arrival(p *path, now time.Duration, bytes int) time.Duration {
	at := now
	rate := p.Bandwidth
	if p.rate > 0 {
		rate = p.rate
		n.struck(faultSlow)
	}
	if rate > 0 {
		p.busy = max(p.busy, now) + time.Duration(int64(bytes)*int64(time.Second)/int64(rate))
		at = p.busy
	}
	at += n.delay(p)
	for waited, rto := time.Duration(0), firstRTO; n.chance(p.Loss); rto = min(2*rto, n.o.MaxRTO) {
		n.struck(faultLoss)
		if waited += rto; waited > n.o.Timeout {
			return never
		}
		at += rto
	}
	if c := p.clogged(); at < c {
		n.struck(faultClog)
		at = unclogged(c, at, now)
	}
	return at
}

// unclogged moves an arrival behind the end of a clog.
func unclogged(clog, at, now time.Duration) time.Duration {
	if clog > never-(at-now) {
		return clog
	}
	return clog + (at - now)
}

// SetPath changes one direction between two hosts.
func (n *Network) SetPath(from, to string, p Path) {
	n.mu.Lock()
	defer n.mu.Unlock()
	k := n.path(from, to)
	k.Path, k.busy = p, 0
	n.tell(Event{Kind: Changed, From: from, To: to})
}

// SetAllPaths changes every path, and what paths are like from now on.
func (n *Network) SetAllPaths(p Path) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.o.Path = p
	for _, k := range n.paths { // the order has no effect
		k.Path, k.busy = p, 0
	}
	n.tell(Event{Kind: Changed})
}

// Slow limits one direction to so many bytes per second: F-N2. 0 ends it.
func (n *Network) Slow(from, to string, bytesPerSecond int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := n.path(from, to)
	p.rate, p.busy = bytesPerSecond, 0
	n.tell(Event{Kind: Changed, From: from, To: to, Bytes: bytesPerSecond})
}
