package s3api

import (
	"context"
	"errors"
	"io"
	"net/http"

	"ironman/s3api/checksum"
	"ironman/s3api/s3err"
	"ironman/s3api/sig"
	"ironman/wal/event"
)

// received is what a body turned out to be.
type received struct {
	size     int64
	etag     string
	checksum *event.Checksum // nil: none was wanted
	also     *event.Checksum // a second one; nil: none was wanted

	encryption *event.Encryption // with the keys of its blobs; nil: they are plain
}

// requestBody is a request's body on its way to the store: decoded and its
// signatures verified by sig, hashed by checksum. Its end is an error unless
// everything the client said about it holds.
type requestBody struct {
	r      *Request
	source *sig.Body
	hashed *checksum.Reader
	expect *checksum.Expectation
	sums   checksum.Sums
	read   int64 // bytes handed on
	limit  int64 // of bytes; 0: the source has its own
	err    error // stays
}

// sums says which checksums of a body are wanted.
type sums struct {
	// algorithm is wanted where the client sends none; also is, whatever it sends.
	algorithm, also event.ChecksumAlgorithm
}

// openBody begins to read the request's body.
func (r *Request) openBody(wanted sums) (*requestBody, error) {
	expect, err := checksum.Expect(r.HTTP.Header, r.identity.TrailerName())
	if err != nil {
		return nil, err
	}
	if expect.Algorithm != noChecksum {
		wanted.algorithm = expect.Algorithm
	}
	source, err := r.identity.Body(r.HTTP)
	if err != nil {
		return nil, err
	}
	want := checksum.Want{Algorithm: wanted.algorithm, Also: wanted.also, Size: r.identity.DecodedLength}
	if sum, ok := r.identity.PayloadHash(); ok {
		want.Payload = &sum // the signature's own check computes it
	}
	return &requestBody{r: r, source: source, expect: expect, hashed: checksum.NewReader(source, want, &r.server.blocks)}, nil
}

// Read implements io.Reader. It gives io.EOF only after the last check.
func (b *requestBody) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	n, err := b.hashed.Read(p)
	b.r.received += int64(n)
	if b.read += int64(n); b.limit > 0 && b.read > b.limit {
		b.err = s3err.EntityTooLarge(b.read, b.limit)
		return 0, b.err
	}
	if err == io.EOF {
		b.sums = b.hashed.Sums()
		if refused := b.expect.Check(b.sums, b.source.Trailer()); refused != nil {
			err = refused
		}
	}
	b.err = err
	return n, err
}

// Close ends the reading. What was not read stays unverified.
func (b *requestBody) Close() error { return b.source.Close() }

// cause is the body's own error where there is one: the store's is its consequence.
func (b *requestBody) cause(err error) error {
	if b.err != nil && b.err != io.EOF {
		return b.err
	}
	return err
}

// received tells what the body was, once it has been read to its end.
func (b *requestBody) received(size int64, to *sealing, e *event.Encryption) *received {
	r := receivedOf(b.sums, size)
	r.etag, r.encryption = to.etag(r.etag), e
	return r
}

func receivedOf(s checksum.Sums, size int64) *received {
	return &received{size: size, etag: checksum.ETag(s.MD5), checksum: s.Checksum, also: s.Also}
}

// receive makes the request's body durable. What it returns is verified: lengths,
// signatures, digests, trailers. Nothing is visible yet.
func (s *Server) receive(ctx context.Context, r *Request, wanted sums, to *sealing) ([]*event.Blob, *received, error) {
	size := r.identity.DecodedLength // -1: a chunked transfer that does not say
	if size == 0 && r.HTTP.ContentLength == 0 && len(r.HTTP.Header["Content-Length"]) == 0 {
		return nil, nil, s3err.New("MissingContentLength") // nothing is not the same as not said
	}
	if size > maxPutBytes {
		return nil, nil, s3err.EntityTooLarge(size, maxPutBytes)
	}
	body, err := r.openBody(wanted)
	if err != nil {
		return nil, nil, err
	}
	defer body.Close()
	if size == 0 {
		if _, err := io.Copy(io.Discard, body); err != nil {
			return nil, nil, err
		}
		return nil, body.received(0, to, to.encryption()), nil
	}
	body.limit = maxPutBytes
	blobs, encryption, err := s.store(ctx, body, size, to)
	if err != nil {
		return nil, nil, body.cause(err)
	}
	return blobs, body.received(body.read, to, encryption), nil
}

// abandon gives up blobs whose event was refused, or never came to an answer:
// apply decides, and passes over those that are in use.
func (s *Server) abandon(blobs []*event.Blob) {
	for _, b := range blobs {
		s.Blobs.Abandon(b)
	}
}

// requireIntegrity refuses a document without any digest, where Amazon demands one.
func (r *Request) requireIntegrity() error {
	e, err := checksum.Expect(r.HTTP.Header, r.identity.TrailerName())
	if err != nil {
		return err
	}
	if _, signed := r.identity.PayloadHash(); !e.Required() && !signed {
		return s3err.Newf("InvalidRequest", "Missing required header for this request: Content-MD5")
	}
	return nil
}

// clientError is any error as a client sees it.
func clientError(err error) *s3err.Error {
	var signature *sig.Error
	var integrity *checksum.Error
	switch {
	case errors.As(err, &signature):
		e := s3err.Newf(signature.Code, "%s", signature.Message)
		for _, d := range signature.Detail {
			e = e.With(d.Name, d.Value)
		}
		return e
	case errors.As(err, &integrity):
		return s3err.Newf(integrity.Code, "%s", integrity.Message)
	}
	return s3err.From(err)
}

// setPartChecksum puts a checksum of plain bytes on an answer.
func setPartChecksum(h http.Header, c *event.Checksum) {
	if c != nil {
		h.Set(checksum.Header(c.Algorithm), checksum.Text(c, 0))
	}
}
