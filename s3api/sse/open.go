package sse

import (
	"crypto/cipher"
	"errors"
	"io"
)

// Opener reads sealed bytes and gives the plain ones of a range. It gives no byte of
// a chunk that is not verified, and io.EOF only after the range's last byte.
type Opener struct {
	pool   *Pool
	source io.ReadCloser
	aead   cipher.AEAD
	at     Range // what is still to be read
	chunk  *[sealedBytes]byte
	rest   []byte // of chunk, to be given
	err    error  // stays
}

// Open opens a range of a sealed blob. The source gives the bytes that the range
// names, from its Offset on; the Opener closes it.
func (p *Pool) Open(source io.ReadCloser, data Key, r Range) *Opener {
	return &Opener{pool: p, source: source, aead: data.aead(), at: r, chunk: p.get()}
}

// next opens a chunk.
func (o *Opener) next() error {
	if o.at.plain == 0 {
		return io.EOF
	}
	n := min(o.at.Length, sealedBytes)
	if _, err := io.ReadFull(o.source, o.chunk[:n]); err != nil {
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errShort
		}
		return err
	}
	nonce := nonce(o.at.first, o.at.first == o.at.final)
	plain, err := o.aead.Open(o.chunk[:0], nonce[:], o.chunk[:n], nil)
	if err != nil || int64(len(plain)) <= o.at.skip {
		return ErrDamaged
	}
	o.rest = plain[o.at.skip:min(int64(len(plain)), o.at.skip+o.at.plain)]
	o.at.Length -= n
	o.at.first++
	o.at.skip = 0
	o.at.plain -= int64(len(o.rest))
	return nil
}

// Read implements io.Reader.
func (o *Opener) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if len(o.rest) == 0 {
		if o.err == nil {
			o.err = o.next()
		}
		if o.err != nil {
			return 0, o.err
		}
	}
	n := copy(p, o.rest)
	o.rest = o.rest[n:]
	return n, nil
}

// WriteTo implements io.WriterTo: whole chunks at a time.
func (o *Opener) WriteTo(w io.Writer) (int64, error) {
	var sent int64
	for {
		if len(o.rest) > 0 {
			n, err := w.Write(o.rest)
			sent += int64(n)
			o.rest = o.rest[n:]
			if err != nil {
				return sent, err
			}
			continue
		}
		if o.err == nil {
			o.err = o.next()
		}
		if o.err == io.EOF {
			return sent, nil
		}
		if o.err != nil {
			return sent, o.err
		}
	}
}

// Close closes the source and gives the buffer back.
func (o *Opener) Close() error {
	if o.chunk == nil {
		return nil
	}
	clear(o.chunk[:]) // what was opened does not wait in a pool
	o.pool.put(o.chunk)
	o.chunk, o.rest = nil, nil
	if o.err == nil {
		o.err = io.ErrClosedPipe
	}
	return o.source.Close()
}
