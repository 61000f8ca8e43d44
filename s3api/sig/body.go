package sig

import (
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"net/http"

	"ironman/wal/digest"
)

// Body is the decoded body of a verified request. For one reader at a time.
//
// Its last byte is handed out only after everything about it was verified: a mismatch
// is an error of the Read that would have completed it, which then returns no bytes.
// Errors stay: every later Read returns the same. A refusal is an *Error; any other
// error is the connection's.
type Body struct {
	decoder io.Reader
	src     io.Closer
	err     error
	trailer http.Header
}

// Body returns the decoding reader of the request's body. It takes r.Body over: the
// caller closes the Body alone. To be called once.
func (id *Identity) Body(r *http.Request) (*Body, error) {
	src := r.Body
	if src == nil {
		src = http.NoBody
	}
	b := &Body{src: src}
	switch {
	case !id.Payload.Streaming():
		p := &plain{src: src, left: id.DecodedLength, want: id.hash}
		if id.Payload == PayloadHashed {
			p.hash = digest.NewSHA256()
		}
		b.decoder = p
	case id.Payload == PayloadStreamUnsignedTrailer:
		b.decoder = newChunks(b, src, id, nil)
	case id.chunks == nil:
		// Only an Identity that Verify did not make.
		return nil, errors.New("sig: a signed stream without a seed signature")
	default:
		b.decoder = newChunks(b, src, id, newChain(id.chunks))
	}
	return b, nil
}

// Read implements io.Reader.
func (b *Body) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	n, err := b.decoder.Read(p)
	if err != nil {
		b.err = err
	}
	return n, err
}

// Close closes the request's body; what was not read stays unverified.
func (b *Body) Close() error {
	if b.err == nil {
		b.err = http.ErrBodyReadAfterClose
	}
	return b.src.Close()
}

// Trailer returns the declared trailer after the last byte or io.EOF was read: one
// canonical name with one value, verified where the trailer is signed. Nil: there is
// none, or the body is not finished.
func (b *Body) Trailer() http.Header { return b.trailer }

// plain reads a body that is not framed.
type plain struct {
	src  io.Reader
	left int64     // bytes until the declared length; -1: not declared
	hash hash.Hash // nil: nothing to verify
	want digest.Sum
	done bool // the hash was verified
}

func (b *plain) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, b.finish()
	}
	if b.left > 0 && int64(len(p)) > b.left {
		p = p[:b.left]
	}
	n, err := b.src.Read(p)
	if b.hash != nil {
		b.hash.Write(p[:n])
	}
	if b.left > 0 {
		b.left -= int64(n)
	}
	switch {
	case b.left == 0:
		// finish returns io.EOF; a Read may return its last bytes with that.
		if err := b.finish(); err != io.EOF {
			return 0, err
		}
		return n, nil
	case err == io.EOF && b.left < 0:
		if err := b.finish(); err != io.EOF {
			return 0, err
		}
		return n, io.EOF
	case err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF):
		return n, errLength()
	}
	return n, err
}

// finish verifies the hash and returns io.EOF if it is right.
func (b *plain) finish() error {
	if b.hash == nil || b.done {
		return io.EOF
	}
	b.done = true
	var sum digest.Sum
	b.hash.Sum(sum[:0])
	if sum != b.want { // a hash that the client knows, no secret
		return errPayloadHash(hex.EncodeToString(b.want[:]), hex.EncodeToString(sum[:]))
	}
	return io.EOF
}
