package link

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

const (
	backoffMin = 50 * time.Millisecond
	// patience is how long a call waits for a connection to a node that could not be
	// reached the last time: long enough for one that is back, short for one that is not.
	patience = 500 * time.Millisecond
	// steady is how long a session must have lived for its end not to count as a
	// failed attempt.
	steady = time.Second
)

// outgoing is this node's connection of one class to another node: made when first
// asked for, and kept.
type outgoing struct {
	peer  *peer
	class class

	mu      sync.Mutex
	session *session // nil: none lives
	wanted  bool     // somebody has asked for it, and the node is a member
	dialing bool
	settled bell // rings when dialing ends
	// err is why there is no session; nil before the first attempt and after a
	// successful one. No attempt is made before the time of next.
	err     error
	next    time.Duration
	backoff time.Duration
}

func (o *outgoing) current() *session {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.session
}

func (o *outgoing) failed() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

func (o *outgoing) unwant() {
	o.mu.Lock()
	o.wanted = false
	o.mu.Unlock()
}

// get returns the session, and dials if there is none. It fails at once where the
// last attempt failed a moment ago.
func (o *outgoing) get(ctx context.Context) (*session, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.wanted = true
	var late <-chan time.Time
	for waited := false; ; waited = true {
		if o.session != nil {
			return o.session, nil
		}
		if !o.dialing && (waited || !o.dial()) {
			return nil, o.err
		}
		if o.err != nil && late == nil {
			t := time.NewTimer(patience)
			defer t.Stop()
			late = t.C
		}
		settled, before := o.settled.wait(), o.err
		o.mu.Unlock()
		var err error
		select {
		case <-settled:
		case <-late:
			err = before
		case <-ctx.Done():
			err = ctx.Err()
		}
		o.mu.Lock()
		if err != nil {
			return nil, err
		}
	}
}

// dial begins an attempt, unless one has just failed. o.mu is held.
func (o *outgoing) dial() bool {
	if o.peer.l.uptime() < o.next {
		return false
	}
	o.dialing = o.peer.l.start(o.attempt)
	if !o.dialing {
		o.err = ErrClosed
	}
	return o.dialing
}

// attempt makes one connection.
func (o *outgoing) attempt() {
	l := o.peer.l
	c, err := l.connect(o.peer.node, o.class.role())
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dialing = false
	defer o.settled.ring()
	if err == nil {
		s := newSession(o.peer, o.class, c, true)
		if !l.start(s.write) {
			c.raw.Close()
			o.err = ErrClosed
			return
		}
		o.session, o.err = s, nil
		l.wg.Go(s.read) // the writer is counted, so this is allowed
		l.log.Info("link: connected", "node", o.peer.node, "class", o.class.String(), "address", c.raw.RemoteAddr())
		return
	}
	if o.err == nil {
		l.log.Warn("link: a node cannot be reached", "node", o.peer.node, "class", o.class.String(), "err", err)
	}
	o.err = err
	o.retreat()
}

// retreat puts off the next attempt. o.mu is held.
func (o *outgoing) retreat() {
	o.backoff = min(max(2*o.backoff, backoffMin), o.peer.l.opts.Backoff)
	o.next = o.peer.l.uptime() + o.backoff
}

// forget is called when a session has ended.
func (o *outgoing) forget(s *session, cause error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.session != s {
		return
	}
	o.session, o.err = nil, cause
	if o.peer.l.uptime()-s.begun < steady {
		o.retreat()
	} else {
		o.backoff, o.next = 0, 0
	}
}

// tend dials again what was lost.
func (o *outgoing) tend() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.wanted && o.session == nil && !o.dialing && o.err != nil {
		o.dial()
	}
}

// connect dials a node and agrees with it on a session.
func (l *Link) connect(node uint32, r role) (*channel, error) {
	member, ok := l.opts.Peer(node)
	if !ok {
		return nil, errors.New("it is not a member of the cluster")
	}
	ctx, cancel := context.WithTimeout(l.ctx, l.opts.Handshake)
	defer cancel()
	raw, err := l.opts.Dial(ctx, member.Address)
	if err != nil {
		return nil, err
	}
	// Whatever follows ends when its time is up, because the connection does.
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	c, err := l.agree(raw, member, r)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		raw.Close()
		return nil, err
	}
	return c, nil
}

// agree is the dialing side of the handshake.
func (l *Link) agree(raw net.Conn, member Peer, r role) (*channel, error) {
	conn, err := secure(raw, l.opts.Plain, true, tlsConfig(l.cert, l.opts.Now, pinned(member.Node, member.Key)))
	if err != nil {
		return nil, err
	}
	c := &channel{raw: raw, conn: conn, mine: l.introduce(r)}
	if err := writeMessage(conn, msgHello, c.mine.encode()); err != nil {
		return nil, err
	}
	if c.theirs, err = readHello(conn); err != nil {
		var refusal *Error
		if errors.As(err, &refusal) {
			refusal.Node = member.Node
		}
		return nil, err
	}
	if c.theirs.node != member.Node || c.theirs.role != r {
		return nil, fmt.Errorf("%w: node %d answered instead of node %d", errMalformed, c.theirs.node, member.Node)
	}
	if e := l.judge(c.theirs); e != nil {
		return nil, e
	}
	return c, nil
}
