package network

import (
	"net"
	"slices"
	"time"
)

// listener is an open port.
type listener struct {
	host *Host
	port int
	addr addr

	// Under the lock of the network:
	backlog []incoming
	gate    gate
	closed  bool
}

// incoming is a connection that was not accepted yet.
type incoming struct {
	end *end
	at  time.Duration // when the last segment of its handshake arrives
}

// Accept waits for a connection.
func (l *listener) Accept() (net.Conn, error) {
	n := l.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	defer l.gate.wake()
	for {
		now, next, first := n.now(), never, 0
		for i, x := range l.backlog {
			if !l.host.paused && x.at < next {
				next, first = x.at, i // one that a clog holds back does not hold up the others
			}
		}
		switch {
		case l.closed:
			return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: net.ErrClosed}
		case next <= now:
			e := l.backlog[first].end
			l.backlog = slices.Delete(l.backlog, first, first+1)
			n.tellOf(Accepted, e.peer, 0)
			l.host.open[e] = struct{}{}
			return conn{e}, nil
		}
		n.wait(&l.gate, now, next)
	}
}

// Addr is where it listens.
func (l *listener) Addr() net.Addr { return l.addr }

// Close refuses from now on, and resets what was not accepted.
func (l *listener) Close() error {
	n := l.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if l.closed {
		return &net.OpError{Op: "close", Net: "tcp", Addr: l.addr, Err: net.ErrClosed}
	}
	waiting := l.backlog
	l.end()
	now := n.now()
	for _, x := range waiting {
		x.end.settle(now)
		x.end.kill(now, false)
	}
	return nil
}

// hurry lets a connection that a clog held back arrive at a time, if it is one of those
// that wait.
func (l *listener) hurry(e *end, at time.Duration) {
	i := slices.IndexFunc(l.backlog, func(x incoming) bool { return x.end == e })
	if i < 0 {
		return
	}
	l.backlog[i].at = min(l.backlog[i].at, at)
	l.gate.wake()
}

// end closes the port alone.
func (l *listener) end() {
	h := l.host
	l.closed = true
	l.backlog = nil
	l.gate.wake()
	delete(h.listeners, l.port)
	for i, port := range h.ports {
		if port == l.port {
			h.ports = append(h.ports[:i:i], h.ports[i+1:]...) // a new list: somebody may be walking the old one
			break
		}
	}
}
