package network

import (
	"net"
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
		now, next := n.now(), never
		if len(l.backlog) > 0 && !l.host.paused {
			next = l.backlog[0].at
		}
		switch {
		case l.closed:
			return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: l.addr, Err: net.ErrClosed}
		case next <= now:
			e := l.backlog[0].end
			l.backlog[0] = incoming{}
			l.backlog = l.backlog[1:]
			n.tellOf(Accepted, e.peer, 0)
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
