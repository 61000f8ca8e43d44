package s3api

import (
	"context"
	"errors"
	"fmt"
	"io"

	"ironman/wal/event"
)

// errShortBody says that a body ended before its length.
var errShortBody = errors.New("s3api: the body ended early")

// bodyReader is a body being sent. WriteTo never ends cleanly before the end.
type bodyReader interface {
	io.WriterTo
	io.Closer
}

// piece is a range of a blob's plain bytes that is part of what is sent.
type piece struct {
	blob           *event.Blob
	offset, length int64
}

// pieces finds the blobs of a range of a body.
func (r *Request) pieces(segments []*event.Segment, rng byteRange) ([]piece, error) {
	var out []piece
	skip, left := rng.offset, rng.length
	for _, s := range segments {
		n := int64(s.Length)
		if skip >= n {
			skip -= n
			continue
		}
		if left == 0 {
			break
		}
		b, err := r.view.Blob(s.Blob)
		if err != nil {
			return nil, err
		}
		if b == nil {
			return nil, fmt.Errorf("s3api: a blob of a live object is missing: %v", s.Blob)
		}
		take := min(n-skip, left)
		out = append(out, piece{b, int64(s.Offset) + skip, take})
		skip, left = 0, left-take
	}
	if left > 0 {
		return nil, fmt.Errorf("s3api: the body is %d bytes shorter than the object", left)
	}
	return out, nil
}

// openPieces opens the first piece, so that what cannot be read at all is an
// error and not a broken connection; the others follow one by one.
func (s *Server) openPieces(ctx context.Context, pieces []piece, from *opening) (*piecesReader, error) {
	b := &piecesReader{ctx: ctx, server: s, from: from, rest: pieces}
	if err := b.next(); err != nil {
		return nil, err
	}
	return b, nil
}

// piecesReader sends pieces in order.
type piecesReader struct {
	ctx     context.Context
	server  *Server
	from    *opening // nil: the blobs are plain
	rest    []piece
	current io.ReadCloser // nil: at the end
}

func (b *piecesReader) next() error {
	if b.current = nil; len(b.rest) == 0 {
		return nil
	}
	p := b.rest[0]
	b.rest = b.rest[1:]
	var err error
	b.current, err = b.server.openBlob(b.ctx, p, b.from)
	return err
}

// Read implements io.Reader.
func (b *piecesReader) Read(p []byte) (int, error) {
	for b.current != nil {
		n, err := b.current.Read(p)
		if err == io.EOF {
			if err = b.Close(); err == nil {
				err = b.next()
			}
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
	return 0, io.EOF
}

// WriteTo sends all pieces.
func (b *piecesReader) WriteTo(w io.Writer) (int64, error) {
	var sent int64
	for b.current != nil {
		n, err := io.Copy(w, b.current)
		sent += n
		if err := errors.Join(err, b.current.Close()); err != nil {
			b.current = nil
			return sent, err
		}
		if err := b.next(); err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// Close releases what WriteTo did not get to.
func (b *piecesReader) Close() error {
	if b.current == nil {
		return nil
	}
	err := b.current.Close()
	b.current = nil
	return err
}
