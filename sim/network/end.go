package network

import (
	"syscall"
	"time"
)

// link is a connection; a dialled it.
type link struct {
	id   uint64
	port int    // of the listener
	kind string // that it was marked with
	a, b end
}

// end is one end of a connection: what the machine knows of it. Its net.Conn is conn.
type end struct {
	net           *Network
	link          *link
	host          *Host
	peer          *end
	local, remote addr
	out           flow // what comes in is peer.out

	rd, wr          gate
	turn            gate // of a Write that waits for another to end
	writing         bool
	readBy, writeBy time.Duration

	closed bool // by its owner, or with its host: calls fail with net.ErrClosed
	hungUp bool // the machine has acted on that
	shut   bool // out has been ended
	ended  bool // the end of what comes in was seen
	// gone: the machine knows nothing of this end any more, and answers a reset.
	gone bool
	err  error // why it is gone, for its owner
	told bool  // a Write has returned err: the next ones get EPIPE
	// resetAt is when a reset arrives; never: none is on its way.
	resetAt time.Duration
}

func (e *end) in() *flow { return &e.peer.out }

// deaf: whatever comes for this end, nobody will read it.
func (e *end) deaf() bool { return e.gone || e.hungUp }

// over: nothing that happens to this end can be seen by its owner.
func (l *link) over() bool { return l.a.deaf() && l.b.deaf() }

// ends of a link in a fixed order.
func (l *link) ends() [2]*end { return [2]*end{&l.a, &l.b} }

// wake lets all calls look again.
func (e *end) wake() {
	e.rd.wake()
	e.wr.wake()
	e.turn.wake()
}

// settle lets what has come due happen: a reset that arrives, a patience that ends.
func (e *end) settle(now time.Duration) {
	expiry := e.expiry()
	switch {
	case e.gone || min(expiry, e.resetAt) > now:
	case expiry < e.resetAt:
		e.net.struck(faultTimeout)
		e.die(expiry, syscall.ETIMEDOUT)
	default:
		e.die(e.resetAt, syscall.ECONNRESET)
	}
}

// expiry is when this end gives up on what it has sent.
func (e *end) expiry() time.Duration {
	if e.out.stuck >= never-e.net.o.Timeout {
		return never
	}
	return e.out.stuck + e.net.o.Timeout
}

// die ends this end alone: what has arrived can still be read, nothing else comes,
// and what was not delivered is not sent again.
func (e *end) die(at time.Duration, err syscall.Errno) {
	if e.gone {
		return
	}
	e.gone, e.err = true, err
	if e.ended && err == syscall.ECONNRESET {
		e.err = syscall.EPIPE // as Linux has it: the other side had said goodbye
	}
	e.in().truncate(at)
	e.out.dropHeld()
	e.wake()
	if !e.closed {
		kind := Broken
		if err == syscall.ETIMEDOUT {
			kind = TimedOut
		}
		e.net.tellOf(kind, e, 0)
	}
	e.leave()
}

// leave drops the link once both ends are done with it.
func (e *end) leave() {
	if e.link.over() {
		e.net.forget(e.link)
	}
}

// release takes it from its process.
func (e *end) release() {
	e.closed = true
	delete(e.host.open, e)
}

// close is its owner's wish. A paused host acts on it when it goes on.
func (e *end) close(now time.Duration) {
	e.release()
	e.wake()
	if !e.host.paused {
		e.hangUp(now)
	}
}

// hangUp is what the machine does about a close: with unread data, it resets;
// without, it sends what is pending and then the end of it.
func (e *end) hangUp(now time.Duration) {
	if e.hungUp {
		return
	}
	in := e.in()
	at, fin := in.next()
	unread := at <= now && !fin
	e.hungUp = true
	if !e.gone {
		e.net.tellOf(Closed, e, 0)
	}
	switch {
	case e.gone:
	case unread:
		e.sendReset(now)
	default:
		if !e.shut {
			e.shut = true
			e.out.send(now, nil, true)
		}
		if i := in.flying(now); i < len(in.q) && !in.q[i].fin && in.q[i].at != never {
			in.unheard(in.q[i].at)
		}
	}
	in.truncate(-1)
	e.leave()
}

// sendReset ends this end and tells the other, if it can be reached.
func (e *end) sendReset(now time.Duration) {
	e.gone = true
	e.out.dropHeld()
	if e.peer.gone {
		return
	}
	if why := e.out.dropped(); why != noFault {
		e.net.struck(why)
	} else if at := e.net.arrival(e.out.path, now, 0); at != never {
		e.peer.resetAt = min(e.peer.resetAt, at)
		e.peer.wake()
	}
}

// kill is the death of its process, which had not closed it.
func (e *end) kill(now time.Duration, clean bool) {
	e.release()
	e.wake()
	if clean {
		e.hangUp(now)
		return
	}
	e.hungUp = true
	if !e.gone {
		e.sendReset(now)
	}
	e.in().truncate(-1)
	e.leave()
}

// vanish is the death of its machine: nobody is told.
func (e *end) vanish(now time.Duration) {
	e.release()
	e.hungUp = true
	e.in().lose(now, faultPowerOff)
	e.in().truncate(-1)
	e.gone = true
	e.out.dropHeld()
	e.wake()
	e.leave()
}
