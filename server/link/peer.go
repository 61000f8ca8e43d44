package link

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// peer is what is kept about another node, whether it is connected or not.
type peer struct {
	l     *Link
	node  uint32
	out   [classes]outgoing // what this node dialed
	clock clock

	mu sync.Mutex
	in [classes]*session // what the other node dialed; nil: nothing
	// boot and nonce are of its newest start that was let in. A start counter rises
	// before every start, so a second nonce with the same one is a clone's.
	boot  uint64
	nonce [nonceBytes]byte
	known bool // boot and nonce are of some start
	// heard is when something came over a session that has ended since; 0: never.
	heard time.Duration
	// refused is why the last connection was not let in, until one is.
	refused *Error
}

func newPeer(l *Link, node uint32) *peer {
	p := &peer{l: l, node: node}
	for c := range classes {
		p.out[c].peer, p.out[c].class = p, class(c)
	}
	return p
}

// admit decides between the starts of a node, and ends the sessions of an older one.
func (p *peer) admit(h *hello) *Error {
	p.mu.Lock()
	var e *Error
	switch {
	case p.known && h.boot < p.boot:
		e = &Error{Node: p.node, Code: CodeStale, Text: fmt.Sprintf("start %d of node %d is not its newest, which is %d: it is a clone or was restored from a backup", h.boot, p.node, p.boot)}
	case p.known && h.boot == p.boot && h.start != p.nonce:
		e = &Error{Node: p.node, Code: CodeClone, Text: fmt.Sprintf("start %d of node %d exists twice: one of the two is a clone", h.boot, p.node)}
	}
	anew := e == nil && p.known && h.boot > p.boot
	if e == nil {
		p.known, p.boot, p.nonce = true, h.boot, h.start
	}
	p.refused = e
	p.mu.Unlock()
	if anew {
		p.endOlder(h.boot)
	}
	return e
}

// endOlder ends the sessions of starts before boot: that process is gone, or should be.
func (p *peer) endOlder(boot uint64) {
	for _, s := range p.sessions() {
		if s.theirs.boot < boot {
			s.end(errRestarted, nil)
		}
	}
}

// sessions returns those that live, in a fixed order.
func (p *peer) sessions() []*session {
	all := make([]*session, 0, 2*classes)
	for c := range classes {
		if s := p.out[c].current(); s != nil {
			all = append(all, s)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.in {
		if s != nil {
			all = append(all, s)
		}
	}
	return all
}

// end ends all sessions.
func (p *peer) end(cause error, farewell *Error) {
	for _, s := range p.sessions() {
		s.end(cause, farewell)
	}
}

// adopt makes s the incoming session of its class; an older one is replaced, for
// the other node has at most one and knows which. False if the link is closed.
func (p *peer) adopt(s *session) bool {
	p.l.mu.Lock()
	if p.l.closed {
		p.l.mu.Unlock()
		return false
	}
	p.mu.Lock()
	older := p.in[s.class]
	p.in[s.class] = s
	p.mu.Unlock()
	p.l.mu.Unlock()
	if older != nil {
		older.end(errReplaced, nil)
	}
	return true
}

// forget is called once for every session that has ended.
func (p *peer) forget(s *session, cause error) {
	p.mu.Lock()
	p.heard = max(p.heard, time.Duration(s.heard.Load()))
	if p.in[s.class] == s {
		p.in[s.class] = nil
	}
	p.mu.Unlock()
	if s.dialed {
		p.out[s.class].forget(s, cause)
	}
}

// recheck cuts off a node that is no longer a member, or not with this key and boot.
func (p *peer) recheck() {
	member, ok := p.l.opts.Peer(p.node)
	if !ok {
		for c := range p.out {
			p.out[c].unwant()
		}
	}
	for _, s := range p.sessions() {
		var e *Error
		switch {
		case !ok || !same(member.Key, s.theirs.key[:]):
			e = &Error{Node: p.node, Code: CodeNotMember, Text: fmt.Sprintf("node %d is no longer a member with this key", p.node)}
		case s.theirs.boot < member.Boot:
			e = &Error{Node: p.node, Code: CodeStale, Text: fmt.Sprintf("node %d has started anew", p.node)}
		}
		if e != nil {
			p.l.log.Warn("link: a node was cut off", "node", p.node, "why", e.Text)
			s.end(e, e)
		}
	}
}

func (p *peer) tend(now time.Duration) {
	for _, s := range p.sessions() {
		s.tend(now)
	}
	for c := range p.out {
		p.out[c].tend()
	}
}

func (p *peer) state() PeerState {
	st := PeerState{Node: p.node}
	heard := time.Duration(0)
	for _, s := range p.sessions() {
		st.Connected = st.Connected || s.dialed
		st.Incoming = st.Incoming || !s.dialed
		heard = max(heard, time.Duration(s.heard.Load()))
	}
	p.mu.Lock()
	heard = max(heard, p.heard)
	st.Boot = p.boot
	if p.refused != nil {
		st.Err = p.refused
	}
	p.mu.Unlock()
	if st.Connected {
		st.Err = nil
	} else {
		for c := range p.out {
			st.Err = errors.Join(st.Err, p.out[c].failed())
		}
	}
	uptime := p.l.uptime()
	if heard > 0 {
		st.Heard = p.l.opts.Now().Add(heard - uptime)
	}
	if best, ok := p.clock.best(uptime); ok {
		st.Offset, st.RoundTrip, st.Measured = best.now(p.l.opts.Now().UnixNano(), uptime), best.delay, true
	}
	return st
}
