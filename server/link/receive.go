package link

import (
	"encoding/binary"
	"fmt"
	"io"
)

// What the session's reader does for streams.

func appendCredit(b []byte, n int) []byte { return binary.BigEndian.AppendUint32(b, uint32(n)) }

func (s *session) stream(id uint64) *Stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.streams[id]
}

// onOpen gives a new stream to the function of its method.
func (s *session) onOpen(h header) error {
	head, err := s.payload(h.length)
	if err != nil {
		return err
	}
	m := Method(h.tag)
	f := s.l.opts.Streams[m]
	st := s.newStream(h.id)
	s.mu.Lock()
	n, ended := len(s.streams), s.ended
	twice := s.streams[h.id] != nil
	if ended == nil && !twice && n < int(s.mine.streams) {
		s.streams[h.id] = st
	}
	s.mu.Unlock()
	switch {
	case ended != nil:
		return ended
	case twice || n >= int(s.mine.streams):
		return fmt.Errorf("%w: stream %d, with %d streams open", errMalformed, h.id, n)
	case f == nil || m.class() != s.class:
		st.Reset(&Error{Code: CodeNoMethod, Text: fmt.Sprintf("method %d is not known here", m)})
		return nil
	case s.bodies.Load() >= 2*int64(s.mine.streams):
		// Streams that have ended, but whose functions have not noticed.
		st.Reset(&Error{Code: CodeBusy, Text: "too many streams"})
		return nil
	}
	s.bodies.Add(1)
	s.l.wg.Go(func() {
		defer s.bodies.Add(-1)
		f(s.peer.node, head, st)
	})
	return nil
}

// onData takes bytes of a stream. For one that is not there any more they are
// dropped: they were sent before the other side heard of its end.
func (s *session) onData(h header) error {
	n := int(h.length)
	st := s.stream(h.id)
	if st == nil {
		return s.skip(n)
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.last || n > st.allowance {
		return fmt.Errorf("%w: %d bytes that stream %d does not take", errMalformed, n, h.id)
	}
	st.allowance -= n
	for n > 0 {
		if st.deaf {
			st.mu.Unlock()
			err := s.skip(n)
			st.mu.Lock()
			return err
		}
		space := st.in.space()
		space = space[:min(n, len(space))]
		st.mu.Unlock()
		_, err := io.ReadFull(s.in, space)
		st.mu.Lock()
		if err != nil {
			st.in.done(0)
			return fmt.Errorf("%w: %w", errEnded, err)
		}
		st.in.done(len(space))
		st.readable.ring()
		n -= len(space)
	}
	return nil
}

func (s *session) skip(n int) error {
	if _, err := s.in.Discard(n); err != nil {
		return fmt.Errorf("%w: %w", errEnded, err)
	}
	return nil
}

// onEnd notes that the other side sends no more, or has closed the stream.
func (s *session) onEnd(h header) error {
	st := s.stream(h.id)
	if st == nil {
		return nil
	}
	st.mu.Lock()
	twice := st.last && h.tag == endSends
	st.last = true
	st.readable.ring()
	if h.tag == endCloses {
		st.silence(errDeaf)
		st.told = true
	}
	finished := st.told
	st.mu.Unlock()
	if twice {
		return fmt.Errorf("%w: stream %d ends twice", errMalformed, h.id)
	}
	if finished {
		s.drop(st)
	}
	return nil
}

func (s *session) onReset(id uint64, reason *Error) {
	if st := s.stream(id); st != nil {
		st.fail(reason)
		s.drop(st)
	}
}

func (s *session) onCredit(id uint64, payload []byte) error {
	n := binary.BigEndian.Uint32(payload)
	st := s.stream(id)
	if st == nil {
		return nil
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	if n == 0 || n > windowMax || st.credit+int(n) > int(s.theirs.window) {
		return fmt.Errorf("%w: %d bytes of credit for stream %d", errMalformed, n, id)
	}
	st.credit += int(n)
	st.writable.ring()
	return nil
}
