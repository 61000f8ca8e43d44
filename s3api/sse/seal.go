package sse

import (
	"crypto/cipher"
	"io"
)

// Sealer reads plain bytes and gives sealed ones. It gives the last chunk only once
// its source has ended cleanly, whatever the source verifies at its end.
type Sealer struct {
	pool   *Pool
	source io.Reader
	aead   cipher.AEAD

	// plain holds a chunk and, to know whether it is the last, a byte of the next.
	// Invariant: filled <= chunkBytes + 1.
	plain  *[sealedBytes]byte
	filled int
	sealed *[sealedBytes]byte // a chunk that a reader's buffer was too short for
	rest   []byte             // of sealed, to be given
	number uint64             // of the next chunk
	err    error              // stays
}

// Seal seals what source gives under a data key that is used for this alone. The
// Sealer must be closed.
func (p *Pool) Seal(source io.Reader, data Key) *Sealer {
	return &Sealer{pool: p, source: source, aead: data.aead(), plain: p.get()}
}

// Read implements io.Reader. An error of the source is given as it is.
func (s *Sealer) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(s.rest) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		if direct, err := s.next(p); direct > 0 || err != nil {
			return direct, err
		}
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// next seals a chunk: into p where it fits, which gives its length, else into rest.
func (s *Sealer) next(p []byte) (int, error) {
	last, err := s.fill()
	if err != nil {
		s.err = err
		return 0, err
	}
	n := min(s.filled, chunkBytes)
	nonce := nonce(s.number, last)
	s.number++
	dst := p
	if len(p) < n+s.aead.Overhead() {
		if s.sealed == nil {
			s.sealed = s.pool.get()
		}
		dst = s.sealed[:]
	}
	sealed := s.aead.Seal(dst[:0], nonce[:], s.plain[:n], nil)
	s.filled = copy(s.plain[:], s.plain[n:s.filled])
	if last {
		s.err = io.EOF
	}
	if &sealed[0] == &p[0] {
		return len(sealed), nil
	}
	s.rest = sealed
	return 0, nil
}

// fill reads a chunk and a byte of the next; last says that there is none. io.EOF: no
// bytes came at all.
func (s *Sealer) fill() (last bool, err error) {
	for empty := 0; s.filled <= chunkBytes; {
		n, err := s.source.Read(s.plain[s.filled : chunkBytes+1])
		s.filled += n
		switch {
		case err == io.EOF && s.filled == 0:
			return false, io.EOF
		case err == io.EOF && s.filled <= chunkBytes:
			return true, nil
		case err != nil && err != io.EOF:
			return false, err
		}
		if empty++; n > 0 {
			empty = 0
		} else if empty == 100 {
			return false, io.ErrNoProgress
		}
	}
	return false, nil
}

// Close gives the buffers back; it does not close the source.
func (s *Sealer) Close() error {
	if s.plain != nil {
		s.pool.put(s.plain)
		s.pool.put(s.sealed)
		s.plain, s.sealed, s.rest = nil, nil, nil
	}
	if s.err == nil {
		s.err = io.ErrClosedPipe
	}
	return nil
}
