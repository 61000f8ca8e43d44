package link

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"time"
)

// maxStrangers is how many accepted connections may be undecided at once. One more
// pushes out the oldest: a flood costs others their connection only if it is faster
// than a handshake.
const maxStrangers = 128

// accept takes connections until Close.
func (l *Link) accept() {
	pause := time.Duration(0)
	for {
		raw, err := l.opts.Listener.Accept()
		if err == nil {
			pause = 0
			l.receive(raw)
			continue
		}
		if l.ctx.Err() != nil {
			return
		}
		// Out of file descriptors, most likely: that passes.
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		l.log.Warn("link: no connection could be accepted", "err", err, "again_in", pause)
		select {
		case <-time.After(pause):
		case <-l.ctx.Done():
			return
		}
	}
}

// receive begins to judge a connection.
func (l *Link) receive(raw net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		raw.Close()
		return
	}
	if len(l.strangers) >= maxStrangers {
		l.strangers[0].Close()
		l.strangers = slices.Delete(l.strangers, 0, 1)
	}
	l.strangers = append(l.strangers, raw)
	l.wg.Go(func() { l.greet(raw) })
}

// decided says that a connection is no stranger's any more.
func (l *Link) decided(raw net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.strangers, raw); i >= 0 {
		l.strangers = slices.Delete(l.strangers, i, i+1)
	}
}

// greet is the accepting side of the handshake; it ends as the writer of a session,
// or with the connection closed.
func (l *Link) greet(raw net.Conn) {
	timer := time.AfterFunc(l.opts.Handshake, func() { raw.Close() })
	s, err := l.meet(raw, timer)
	l.decided(raw)
	if !timer.Stop() && err == nil {
		err = errSilent
	}
	if err != nil || s == nil {
		raw.Close()
		if err != nil && l.ctx.Err() == nil {
			l.complain(err, raw)
		}
		return
	}
	if !s.peer.adopt(s) {
		raw.Close()
		return
	}
	l.wg.Go(s.read)
	s.write()
}

// meet finds out who has connected. It returns a session with a member, or nil
// after a stranger has joined.
func (l *Link) meet(raw net.Conn, timer *time.Timer) (*session, error) {
	conn, err := secure(raw, l.opts.Plain, false, tlsConfig(l.cert, l.opts.Now, anyKey))
	if err != nil {
		return nil, err
	}
	h, err := readHello(conn)
	if err != nil {
		if errors.Is(err, ErrNewer) {
			refuse(conn, &Error{Code: CodeNewer, Text: err.Error()})
		}
		return nil, err
	}
	c := &channel{raw: raw, conn: conn, mine: l.introduce(h.role), theirs: h}
	if h.role == roleJoin {
		return nil, l.welcome(c, timer)
	}
	if e := l.judge(h); e != nil {
		refuse(conn, e)
		return nil, e
	}
	if err := writeMessage(conn, msgHello, c.mine.encode()); err != nil {
		return nil, err
	}
	return newSession(l.peer(h.node), class(h.role-roleControl), c, false), nil
}

// refuse tells the other side why the connection ends.
func refuse(conn net.Conn, e *Error) {
	writeMessage(conn, msgRefuse, appendReason(nil, e)) // it may be gone already
}

// complain logs why a connection was not let in, about once a second at most:
// whoever can reach the port can cause this.
func (l *Link) complain(err error, raw net.Conn) {
	var e *Error
	if !errors.As(err, &e) {
		l.log.Debug("link: a connection came to nothing", "from", raw.RemoteAddr(), "err", err)
		return
	}
	if missed, ok := l.hush.speak(l.uptime()); ok {
		l.log.Warn("link: refused", "address", raw.RemoteAddr(), "node", e.Node, "why", e.Text, "not_logged", missed)
	}
}

// hush lets one log line pass each second.
type hush struct {
	mu     sync.Mutex
	next   time.Duration
	missed int
}

func (h *hush) speak(now time.Duration) (missed int, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now < h.next {
		h.missed++
		return 0, false
	}
	missed, h.missed = h.missed, 0
	h.next = now + time.Second
	return missed, true
}

// within returns a context that ends after d or when the link closes.
func (l *Link) within(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(l.ctx, d)
}
