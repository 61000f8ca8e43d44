package link

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	readBuffer = 16 << 10 // as long as a TLS record
	// linger bounds how long the last frame of a session may take.
	linger = time.Second
)

// session is one connection with another node, from the end of the handshake on.
type session struct {
	l      *Link
	peer   *peer
	class  class
	dialed bool // by this node, which then opens calls and streams; else it serves them
	raw    net.Conn
	conn   net.Conn // TLS over raw, or raw
	mine   *hello
	theirs *hello
	begun  time.Duration

	out    outbox
	in     *bufio.Reader
	heard  atomic.Int64 // uptime when bytes came last
	pulse  pulse
	ctx    context.Context // of served calls; ends with the session
	cancel context.CancelFunc
	// slots and places hold a token for each call and stream that the other side may
	// still be serving; they have room for as many as it allows.
	slots, places chan struct{}
	ids           atomic.Uint64 // of the last call or stream opened here
	// bodies counts StreamFuncs that run.
	bodies atomic.Int64

	mu    sync.Mutex
	ended error // why; nil while it lives. The maps are nil after the end.
	calls map[uint64]*call
	// serving holds what cancels the calls that this node serves. A call leaves it
	// before its answer is queued, so that the other side never seems to exceed the limit.
	serving map[uint64]context.CancelFunc
	streams map[uint64]*Stream
	done    chan struct{} // closed at the end
}

func newSession(p *peer, cl class, c *channel, dialed bool) *session {
	s := &session{
		l: p.l, peer: p, class: cl, dialed: dialed,
		raw: c.raw, conn: c.conn, mine: c.mine, theirs: c.theirs, begun: p.l.uptime(),
		slots: make(chan struct{}, c.theirs.calls), places: make(chan struct{}, c.theirs.streams),
		calls: make(map[uint64]*call), serving: make(map[uint64]context.CancelFunc), streams: make(map[uint64]*Stream),
		done: make(chan struct{}),
	}
	s.out.init(&p.l.pool)
	s.in = bufio.NewReaderSize(s.listen(), readBuffer)
	s.ctx, s.cancel = context.WithCancel(p.l.ctx)
	s.heard.Store(int64(s.begun))
	return s
}

// ear reads from the connection and notes when something came.
type ear struct{ s *session }

func (s *session) listen() io.Reader { return ear{s} }

func (e ear) Read(p []byte) (int, error) {
	n, err := e.s.conn.Read(p)
	if n > 0 {
		e.s.heard.Store(int64(e.s.l.uptime()))
	}
	return n, err
}

// end ends the session: everything on it fails with cause, which farewell, if not
// nil, tells the other side.
func (s *session) end(cause error, farewell *Error) {
	s.mu.Lock()
	if s.ended != nil {
		s.mu.Unlock()
		return
	}
	s.ended = cause
	calls, streams := s.calls, s.streams
	s.calls, s.streams, s.serving = nil, nil, nil
	s.mu.Unlock()
	s.cancel()
	var last []byte
	if farewell != nil {
		reason := appendReason(nil, farewell)
		last = appendFrame(nil, header{kind: frameBye, length: uint32(len(reason))}, reason)
		time.AfterFunc(linger, func() { s.raw.Close() })
	}
	handed := s.out.close(cause, last)
	close(s.done)
	if farewell == nil {
		s.raw.Close() // else the writer does, after the farewell
	}
	// In order, so that a simulated run can be repeated.
	for _, id := range slices.Sorted(maps.Keys(calls)) {
		c := calls[id]
		c.cause, c.handed = cause, handed
		close(c.done)
	}
	for _, id := range slices.Sorted(maps.Keys(streams)) {
		streams[id].fail(lost(s.peer.node, cause))
	}
	s.peer.forget(s, cause)
	if s.l.ctx.Err() == nil {
		s.l.log.Info("link: a connection ended", "node", s.peer.node, "class", s.class.String(), "dialed", s.dialed, "why", cause)
	}
}

// write is the goroutine that writes.
func (s *session) write() {
	defer s.raw.Close()
	var b batch
	for s.out.take(&b) {
		if err := s.out.write(s.conn, &b); err != nil {
			s.end(fmt.Errorf("%w: %w", errEnded, err), nil)
			return
		}
	}
}

// read is the goroutine that reads.
func (s *session) read() {
	var b [headerBytes]byte
	for {
		_, err := io.ReadFull(s.in, b[:])
		if err == nil {
			err = s.frame(&b)
		} else {
			err = fmt.Errorf("%w: %w", errEnded, err)
		}
		if err != nil {
			var farewell *Error
			if errors.Is(err, errMalformed) {
				farewell = &Error{Code: CodeMalformed, Text: err.Error()}
				s.l.log.Error("link: a node does not keep to the protocol", "node", s.peer.node, "err", err)
			}
			s.end(err, farewell)
			return
		}
	}
}

// frame does what the next frame wants.
func (s *session) frame(b *[headerBytes]byte) error {
	h, err := parseHeader(b)
	if err != nil {
		return err
	}
	if !h.kind.mayCome(!s.dialed) {
		return fmt.Errorf("%w: frame %d from this side", errMalformed, h.kind)
	}
	switch h.kind {
	case frameCall:
		return s.onCall(h)
	case frameAnswer:
		return s.onAnswer(h)
	case frameOpen:
		return s.onOpen(h)
	case frameData:
		return s.onData(h)
	}
	// What is left is small.
	payload, err := s.payload(h.length)
	if err != nil {
		return err
	}
	switch h.kind {
	case frameCancel:
		s.onCancel(h.id)
		return nil
	case frameEnd:
		return s.onEnd(h)
	case frameCredit:
		return s.onCredit(h.id, payload)
	case framePing:
		return s.onPing(payload)
	case framePong:
		return s.onPong(payload)
	}
	reason, err := parseReason(payload)
	if err != nil {
		return err
	}
	reason.Node = s.peer.node
	switch h.kind {
	case frameFail:
		return s.onFail(h.id, reason)
	case frameReset:
		s.onReset(h.id, reason)
		return nil
	}
	return reason // BYE
}

// payload reads n bytes, whose number was checked.
func (s *session) payload(n uint32) ([]byte, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(s.in, b); err != nil {
		return nil, fmt.Errorf("%w: %w", errEnded, err)
	}
	return b, nil
}

// queue adds a frame when there is room, unless one of the channels is closed first.
func (s *session) queue(h header, prefix []byte, stop, stop2 <-chan struct{}, parts ...[]byte) (at uint64, err error) {
	for {
		at, full, err := s.out.add(h, prefix, parts...)
		if full == nil || err != nil {
			return at, err
		}
		select {
		case <-full:
		case <-stop:
			return 0, errStopped
		case <-stop2:
			return 0, errStopped
		}
	}
}

// must queues a small frame at once, in its order.
func (s *session) must(h header, payload []byte) { s.check(s.out.must(h, payload)) }

// hurry queues a small frame before others.
func (s *session) hurry(h header, payload []byte) { s.check(s.out.hurry(h, payload)) }

func (s *session) check(err error) {
	if errors.Is(err, errFlood) {
		s.end(errFlood, nil)
	}
}
