package link

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// errStopped: the wait was given up before the frame was queued.
var errStopped = errors.New("the wait for room was given up")

// call is a call that this node has made.
type call struct {
	done chan struct{} // closed when the rest is set, by whoever takes it out of the session's table
	// answer and err are what the other node said.
	answer []byte
	err    error
	// cause is why the session ended instead, after handed bytes of output.
	cause  error
	handed uint64
}

// Call asks another node and waits for its answer, until ctx ends or, if ctx has no
// deadline, for Options.Timeout. The parts of the request are sent one behind the
// other; they are not used after Call returns. The error is ErrUnreachable (surely
// not done), ErrLost (not known; time ran out, for example), ErrTooLarge, or an *Error
// with what the other node said.
func (l *Link) Call(ctx context.Context, node uint32, m Method, request ...[]byte) ([]byte, error) {
	size := 0
	for _, p := range request {
		size += len(p)
	}
	if size > MaxCall {
		return nil, fmt.Errorf("%w: a request of %d bytes", ErrTooLarge, size)
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, l.opts.Timeout)
		defer cancel()
		deadline, _ = ctx.Deadline()
	}
	if err := ctx.Err(); err != nil {
		return nil, unreachable(node, err)
	}
	o := &l.peer(node).out[m.class()]
	for again := true; ; again = false {
		s, err := o.get(ctx)
		if err != nil {
			return nil, unreachable(node, err)
		}
		answer, err := s.call(ctx, deadline, m, size, request)
		if again && errors.Is(err, errGone) {
			continue // it had ended, but that was not noticed yet
		}
		return answer, err
	}
}

// call makes one call on this session.
func (s *session) call(ctx context.Context, deadline time.Time, m Method, size int, request [][]byte) ([]byte, error) {
	select {
	case s.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, unreachable(s.peer.node, ctx.Err())
	case <-s.done:
		return nil, unreachable(s.peer.node, errGone)
	}
	c := &call{done: make(chan struct{})}
	id := s.ids.Add(1)
	if !s.expect(id, c) {
		return nil, unreachable(s.peer.node, errGone)
	}
	var prefix [callPrefix]byte
	binary.BigEndian.PutUint64(prefix[:], uint64(max(time.Until(deadline), 1)))
	h := header{kind: frameCall, tag: byte(m), length: uint32(callPrefix + size), id: id}
	at, err := s.queue(h, prefix[:], ctx.Done(), nil, request...)
	if err != nil {
		s.unexpect(id)
		if errors.Is(err, errStopped) {
			return nil, unreachable(s.peer.node, ctx.Err())
		}
		return nil, unreachable(s.peer.node, errGone)
	}
	select {
	case <-c.done:
		return c.result(s, at)
	case <-ctx.Done():
	}
	// In its order: ahead of the call it would cancel nothing.
	s.must(header{kind: frameCancel, id: id}, nil)
	select {
	case <-c.done: // after all
		answer, err := c.result(s, at)
		if errors.Is(err, ErrLost) { // the other side gave up because this one has
			err = lost(s.peer.node, ctx.Err())
		}
		return answer, err
	default:
		return nil, lost(s.peer.node, ctx.Err())
	}
}

// result is what came of a call whose frame began at offset at of the output.
func (c *call) result(s *session, at uint64) ([]byte, error) {
	switch {
	case c.cause == nil:
		return c.answer, c.err
	case at >= c.handed:
		return nil, unreachable(s.peer.node, c.cause)
	}
	return nil, lost(s.peer.node, c.cause)
}

// expect enters a call that is about to be sent; false if the session has ended.
func (s *session) expect(id uint64, c *call) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		return false
	}
	s.calls[id] = c
	return true
}

// unexpect takes out a call that was not sent after all.
func (s *session) unexpect(id uint64) {
	if s.answered(id) != nil {
		<-s.slots
	}
}

// answered takes out a call; nil if there is none.
func (s *session) answered(id uint64) *call {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.calls[id]
	delete(s.calls, id)
	return c
}

// onAnswer ends a call. One that was given up is in the table until now, for so long
// did it count at the other side.
func (s *session) onAnswer(h header) error {
	answer, err := s.payload(h.length)
	if err != nil {
		return err
	}
	return s.settle(h.id, answer, nil)
}

// onFail ends a call that went wrong. If the other side ran out of time, a moment
// before this one, then nobody knows what was done.
func (s *session) onFail(id uint64, reason *Error) error {
	if reason.Code == CodeCancelled {
		return s.settle(id, nil, lost(s.peer.node, reason))
	}
	return s.settle(id, nil, reason)
}

func (s *session) settle(id uint64, answer []byte, err error) error {
	c := s.answered(id)
	if c == nil {
		return fmt.Errorf("%w: an answer to no call", errMalformed)
	}
	<-s.slots
	c.answer, c.err = answer, err
	close(c.done)
	return nil
}

// onCall serves a call of the other side.
func (s *session) onCall(h header) error {
	var prefix [callPrefix]byte
	if _, err := io.ReadFull(s.in, prefix[:]); err != nil {
		return fmt.Errorf("%w: %w", errEnded, err)
	}
	request, err := s.payload(h.length - callPrefix)
	if err != nil {
		return err
	}
	left := binary.BigEndian.Uint64(prefix[:])
	left = min(left, uint64(maxDeadline))
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		return s.ended
	}
	if _, twice := s.serving[h.id]; twice || len(s.serving) >= int(s.mine.calls) {
		return fmt.Errorf("%w: call %d, with %d calls open", errMalformed, h.id, len(s.serving))
	}
	ctx, cancel := context.WithTimeout(s.ctx, time.Duration(left))
	s.serving[h.id] = cancel
	s.l.wg.Go(func() { s.serve(ctx, cancel, h, request) })
	return nil
}

// maxDeadline is the longest time that a call is served.
const maxDeadline = time.Hour

// serve runs a call and sends its answer.
func (s *session) serve(ctx context.Context, cancel context.CancelFunc, h header, request []byte) {
	m := Method(h.tag)
	var answer []byte
	err := error(&Error{Code: CodeNoMethod, Text: fmt.Sprintf("method %d is not known here", m)})
	if f := s.l.opts.Calls[m]; f != nil && m.class() == s.class {
		answer, err = f(ctx, s.peer.node, request)
	}
	cancel()
	s.mu.Lock()
	delete(s.serving, h.id)
	s.mu.Unlock()
	if err == nil && len(answer) > MaxCall {
		err = fmt.Errorf("an answer of %d bytes is too large for the link", len(answer))
	}
	reply := header{kind: frameAnswer, length: uint32(len(answer)), id: h.id}
	if err != nil {
		answer = appendReason(nil, err)
		reply.kind, reply.length = frameFail, uint32(len(answer))
	}
	s.queue(reply, nil, s.done, nil, answer) // fails only if the session ends
}

func (s *session) onCancel(id uint64) {
	s.mu.Lock()
	cancel := s.serving[id]
	s.mu.Unlock()
	if cancel != nil { // it may have been answered meanwhile
		cancel()
	}
}
