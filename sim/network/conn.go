package network

import (
	"io"
	"net"
	"syscall"
	"time"
)

// addr is "host:port".
type addr string

func (a addr) Network() string { return "tcp" }
func (a addr) String() string  { return string(a) }

// conn is the net.Conn of an end.
type conn struct{ e *end }

// fail wraps an error as the net package does.
func (c conn) fail(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.e.local, Addr: c.e.remote, Err: err}
}

// Read returns what has arrived, waits for it, or fails.
func (c conn) Read(p []byte) (int, error) {
	e := c.e
	n := e.net
	n.mu.Lock()
	defer n.mu.Unlock()
	defer e.rd.wake()
	for {
		now := n.now()
		e.settle(now)
		switch {
		case e.closed:
			return 0, c.fail("read", net.ErrClosed)
		case len(p) == 0:
			return 0, nil
		case e.host.paused:
			n.struck(faultPause)
			n.wait(&e.rd, now, never)
			continue
		case e.readBy <= now:
			return 0, c.fail("read", n.lateErr)
		}
		in := e.in()
		at, fin := in.next()
		if at <= now {
			return c.take(now, p, fin)
		}
		if e.gone {
			return 0, c.fail("read", e.err)
		}
		n.wait(&e.rd, now, min(at, e.resetAt, e.expiry(), e.readBy))
	}
}

// take reads what is there.
func (c conn) take(now time.Duration, p []byte, fin bool) (int, error) {
	e := c.e
	if fin {
		if !e.ended {
			e.ended = true
			e.net.tellOf(Ended, e.peer, 0)
		}
		return 0, io.EOF
	}
	m := e.in().read(now, p)
	e.net.tell(Event{Kind: Delivered, From: e.peer.host.name, To: e.host.name, Conn: e.link.id, Bytes: m, Sum: sum(p[:m])})
	return m, nil
}

// Write sends p, and waits while the window is full.
func (c conn) Write(p []byte) (int, error) {
	e := c.e
	n := e.net
	n.mu.Lock()
	defer n.mu.Unlock()
	for e.writing && !e.closed { // the bytes of two calls do not mix
		n.wait(&e.turn, 0, never)
	}
	e.writing = true
	defer func() {
		e.writing = false
		e.turn.wake()
		e.wr.wake()
	}()
	for sent := 0; ; {
		now := n.now()
		e.settle(now)
		switch {
		case e.closed:
			return sent, c.fail("write", net.ErrClosed)
		case e.host.paused:
			n.struck(faultPause)
			n.wait(&e.wr, now, never)
			continue
		case e.writeBy <= now:
			return sent, c.fail("write", n.lateErr)
		case e.gone && !e.told:
			e.told = true
			return sent, c.fail("write", e.err)
		case e.gone, e.shut:
			return sent, c.fail("write", syscall.EPIPE)
		case sent == len(p):
			return sent, nil
		}
		room := n.o.Window - e.out.size
		if room <= 0 {
			e.out.probe(now)
			n.wait(&e.wr, now, min(e.resetAt, e.expiry(), e.writeBy))
			continue
		}
		for room > 0 && sent < len(p) {
			k := n.cutAt(e.out.path, min(room, len(p)-sent, maxSegment))
			e.out.send(now, p[sent:sent+k], false)
			sent += k
			room -= k
		}
		if sent == len(p) {
			return sent, nil
		}
	}
}

// cutAt draws how much of so many bytes travels as one segment.
func (n *Network) cutAt(p *path, size int) int {
	if size > 1 && n.chance(p.Split) {
		n.struck(faultSplit)
		return 1 + n.o.Rng.IntN(size-1)
	}
	return size
}

// CloseWrite ends what this side sends.
func (c conn) CloseWrite() error {
	e := c.e
	n := e.net
	n.mu.Lock()
	defer n.mu.Unlock()
	defer e.wr.wake()
	for {
		now := n.now()
		e.settle(now)
		switch {
		case e.closed:
			return c.fail("close", net.ErrClosed)
		case e.host.paused:
			n.wait(&e.wr, now, never)
			continue
		case e.gone:
			return c.fail("close", syscall.ENOTCONN)
		case !e.shut:
			e.shut = true
			e.out.send(now, nil, true)
		}
		return nil
	}
}

// Close ends both directions. What was written before is still delivered.
func (c conn) Close() error {
	e := c.e
	e.net.mu.Lock()
	defer e.net.mu.Unlock()
	if e.closed {
		return c.fail("close", net.ErrClosed)
	}
	now := e.net.now()
	e.settle(now)
	e.close(now)
	return nil
}

func (c conn) LocalAddr() net.Addr  { return c.e.local }
func (c conn) RemoteAddr() net.Addr { return c.e.remote }

// SetDeadline sets both deadlines.
func (c conn) SetDeadline(t time.Time) error { return c.set(t, true, true) }

// SetReadDeadline makes Read fail from t on; zero: never.
func (c conn) SetReadDeadline(t time.Time) error { return c.set(t, true, false) }

// SetWriteDeadline makes Write fail from t on; zero: never.
func (c conn) SetWriteDeadline(t time.Time) error { return c.set(t, false, true) }

func (c conn) set(t time.Time, read, write bool) error {
	e := c.e
	e.net.mu.Lock()
	defer e.net.mu.Unlock()
	if e.closed {
		return c.fail("set", net.ErrClosed)
	}
	by := e.net.since(t)
	if read {
		e.readBy = by
		e.rd.wake()
	}
	if write {
		e.writeBy = by
		e.wr.wake()
	}
	return nil
}
