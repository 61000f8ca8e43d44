package link

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Stream is a connection of its own between two nodes, on a session with others. It
// is a net.Conn: safe for concurrent use, with deadlines. A reader that is slow
// holds up its own stream and nothing else.
type Stream struct {
	s  *session
	id uint64

	// writing is held while bytes or the end of them are queued: it keeps their order.
	writing sync.Mutex

	mu       sync.Mutex
	readable bell
	writable bell
	readBy   alarm
	writeBy  alarm
	err      error // why the stream is broken; nil: it is not

	in inbox
	// allowance is what the other side may still send, owed what was read since it
	// was last given credit. Invariant, until the stream ends:
	// in.size + allowance + owed == the window of this side.
	allowance, owed int
	last            bool // the other side sends no more than what is in in
	deaf            bool // this side reads no more: Close

	credit int   // what this side may still send
	ended  bool  // this side sends no more
	why    error // of ended: what Write returns
	told   bool  // the other side knows of ended, or will before it sees a newer stream
	// unsent is closed when this side sends no more: ended, or broken.
	unsent chan struct{}
}

var _ net.Conn = (*Stream)(nil)

func (s *session) newStream(id uint64) *Stream {
	return &Stream{
		s: s, id: id, in: inbox{pool: &s.l.pool},
		allowance: int(s.mine.window), credit: int(s.theirs.window), unsent: make(chan struct{}),
	}
}

// OpenStream opens a stream to another node. It does not wait for the other node to
// take it: if it does not, the stream breaks. ctx bounds the opening alone.
func (l *Link) OpenStream(ctx context.Context, node uint32, m Method, head []byte) (*Stream, error) {
	if len(head) > MaxHead {
		return nil, fmt.Errorf("%w: a head of %d bytes", ErrTooLarge, len(head))
	}
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, l.opts.Timeout)
		defer cancel()
	}
	if err := ctx.Err(); err != nil {
		return nil, unreachable(node, err)
	}
	o := &l.peer(node).out[m.class()]
	for again := true; ; again = false {
		s, err := o.get(ctx)
		if err == nil {
			var st *Stream
			if st, err = s.open(ctx, m, head); err == nil {
				return st, nil
			}
			if again && errors.Is(err, errGone) {
				continue
			}
		}
		return nil, unreachable(node, err)
	}
}

// open opens a stream on this session.
func (s *session) open(ctx context.Context, m Method, head []byte) (*Stream, error) {
	select {
	case s.places <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-s.done:
		return nil, errGone
	}
	st := s.newStream(s.ids.Add(1))
	s.mu.Lock()
	if s.ended != nil {
		s.mu.Unlock()
		return nil, errGone
	}
	s.streams[st.id] = st
	s.mu.Unlock()
	_, err := s.queue(header{kind: frameOpen, tag: byte(m), length: uint32(len(head)), id: st.id}, nil, ctx.Done(), nil, head)
	if err == nil {
		return st, nil
	}
	s.drop(st)
	if errors.Is(err, errStopped) {
		return nil, ctx.Err()
	}
	return nil, errGone
}

// drop takes a stream out of the session: neither side will send for it, or what
// still comes does not matter.
func (s *session) drop(st *Stream) {
	s.mu.Lock()
	_, there := s.streams[st.id]
	delete(s.streams, st.id)
	s.mu.Unlock()
	if there && s.dialed {
		<-s.places
	}
}

// Read returns what has come, or io.EOF after the other side's CloseWrite or Close.
func (st *Stream) Read(p []byte) (int, error) {
	n, credit, err := st.receive(p)
	if credit > 0 {
		st.s.hurry(header{kind: frameCredit, length: creditBytes, id: st.id}, appendCredit(nil, credit))
	}
	return n, err
}

// receive waits for bytes; credit is what the other side is to be given for them.
func (st *Stream) receive(p []byte) (n, credit int, err error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for {
		switch {
		case st.err != nil:
			return 0, 0, st.err
		case st.deaf:
			return 0, 0, net.ErrClosed
		case st.readBy.passed():
			return 0, 0, timeoutError{}
		case len(p) == 0:
			return 0, 0, nil
		case st.in.size > 0:
			n = st.in.take(p)
			return n, st.repay(n), nil
		case st.last:
			return 0, 0, io.EOF
		}
		st.await(&st.readable, &st.readBy)
	}
}

// await waits until the bell rings or the alarm goes off. st.mu is held, but not while
// it waits.
func (st *Stream) await(b *bell, a *alarm) {
	rung, past := b.wait(), a.past
	st.mu.Unlock()
	select {
	case <-rung:
	case <-past:
	}
	st.mu.Lock()
}

// repay returns the credit that is due after n more bytes were read: a quarter of
// the window at a time. st.mu is held.
func (st *Stream) repay(n int) (credit int) {
	st.owed += n
	if st.last || st.owed < int(st.s.mine.window)/4 {
		return 0
	}
	credit, st.owed = st.owed, 0
	st.allowance += credit
	return credit
}

// Write sends p; what it has returned for is on its way, no more. It waits while the
// other side's window is full.
func (st *Stream) Write(p []byte) (n int, err error) {
	st.writing.Lock()
	defer st.writing.Unlock()
	for {
		k, past, err := st.reserve(len(p) - n)
		if k == 0 || err != nil {
			return n, err
		}
		h := header{kind: frameData, length: uint32(k), id: st.id}
		if _, err := st.s.queue(h, nil, past, st.unsent, p[n:n+k]); err != nil {
			st.mu.Lock()
			st.credit += k // nothing was sent
			st.mu.Unlock()
			if !errors.Is(err, errStopped) {
				<-st.unsent // the session has ended and is about to tell the stream
			}
			continue // reserve knows why
		}
		n += k
	}
}

// reserve takes credit for up to want bytes, and waits if there is none.
func (st *Stream) reserve(want int) (n int, past <-chan struct{}, err error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for {
		switch {
		case st.err != nil:
			return 0, nil, st.err
		case st.ended:
			return 0, nil, st.why
		case st.writeBy.passed():
			return 0, nil, timeoutError{}
		case want == 0:
			return 0, nil, nil
		case st.credit > 0:
			n = min(want, st.credit, maxData)
			st.credit -= n
			return n, st.writeBy.past, nil
		}
		st.await(&st.writable, &st.writeBy)
	}
}

// silence ends this side's sending. st.mu is held.
func (st *Stream) silence(why error) {
	if !st.ended && st.err == nil {
		st.ended, st.why = true, why
		close(st.unsent)
		st.writable.ring()
	}
}

// CloseWrite tells the other side that nothing more will be sent.
func (st *Stream) CloseWrite() error {
	st.mu.Lock()
	if st.err != nil || st.ended {
		defer st.mu.Unlock()
		return st.err
	}
	st.silence(net.ErrClosed)
	st.mu.Unlock()
	st.tell(endSends)
	st.mu.Lock()
	st.told = true
	finished := st.last
	st.mu.Unlock()
	if finished {
		st.s.drop(st)
	}
	return nil
}

// tell queues an END behind everything that was written.
func (st *Stream) tell(how byte) {
	st.writing.Lock()
	defer st.writing.Unlock()
	st.s.must(header{kind: frameEnd, tag: how, id: st.id}, nil)
}

// Close ends both directions. What was written still arrives, unless the session
// ends; what was not read is dropped, and the other side can send no more.
func (st *Stream) Close() error {
	st.mu.Lock()
	if st.err != nil || st.deaf {
		st.mu.Unlock()
		return nil
	}
	over := st.told && st.last
	st.silence(net.ErrClosed)
	st.deafen()
	st.mu.Unlock()
	if !over {
		st.tell(endCloses)
	}
	st.s.drop(st)
	return nil
}

// deafen ends this side's reading. st.mu is held.
func (st *Stream) deafen() {
	st.deaf = true
	st.in.drop()
	st.readable.ring()
	st.readBy.stop()
	st.writeBy.stop()
}

// Reset breaks the stream at once, for both sides: the other one's Read and Write
// fail with an *Error that holds the code and text of why. Nothing that was written
// is sure to arrive.
func (st *Stream) Reset(why error) {
	st.mu.Lock()
	over := st.err != nil || st.deaf
	st.mu.Unlock()
	if over {
		return
	}
	reason := appendReason(nil, why)
	st.s.must(header{kind: frameReset, length: uint32(len(reason)), id: st.id}, reason)
	st.fail(net.ErrClosed)
	st.s.drop(st)
}

// fail breaks the stream.
func (st *Stream) fail(err error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.err != nil {
		return
	}
	if !st.ended {
		close(st.unsent)
	}
	st.err = err
	st.writable.ring()
	st.deafen()
}

// SetDeadline sets both deadlines.
func (st *Stream) SetDeadline(t time.Time) error {
	return errors.Join(st.SetReadDeadline(t), st.SetWriteDeadline(t))
}

// SetReadDeadline makes Read fail from t on; zero: never.
func (st *Stream) SetReadDeadline(t time.Time) error { return st.set(&st.readBy, &st.readable, t) }

// SetWriteDeadline makes Write fail from t on; zero: never.
func (st *Stream) SetWriteDeadline(t time.Time) error { return st.set(&st.writeBy, &st.writable, t) }

func (st *Stream) set(a *alarm, b *bell, t time.Time) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.err != nil || st.deaf {
		return net.ErrClosed
	}
	a.set(t)
	b.ring() // whoever waits does so by the old deadline
	return nil
}

// Node is the number of the other node.
func (st *Stream) Node() uint32 { return st.s.peer.node }

// LocalAddr names this node.
func (st *Stream) LocalAddr() net.Addr { return addr(st.s.l.opts.Self) }

// RemoteAddr names the other node.
func (st *Stream) RemoteAddr() net.Addr { return addr(st.s.peer.node) }

// addr is a node as a net.Addr.
type addr uint32

func (addr) Network() string  { return "link" }
func (a addr) String() string { return fmt.Sprintf("node-%d", uint32(a)) }
