package sig

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Stream says how SignV4Stream sends a body.
type Stream struct {
	// Kind is one of the three streaming kinds.
	Kind PayloadKind
	// Length is the exact length of the body, in bytes.
	Length int64
	// ChunkSize is the length of every chunk but the last; 0: 64 KiB. Not below 8 KiB.
	ChunkSize int
	// Trailer is the name of the checksum sent after the body, and Checksum computes
	// its value: called once, after the last byte was read. Not for
	// PayloadStreamSigned.
	Trailer  string
	Checksum func() string
}

// SignV4Stream signs a request whose body is sent in chunks, and replaces r.Body by
// its encoding. It sets the headers of SignV4, X-Amz-Decoded-Content-Length,
// Content-Encoding, X-Amz-Trailer and the content length.
func SignV4Stream(r *http.Request, c Credential, region string, s Stream, now time.Time) error {
	if s.ChunkSize == 0 {
		s.ChunkSize = 64 << 10
	}
	if !s.Kind.Streaming() || s.Length < 0 || s.ChunkSize < minChunk ||
		(s.Trailer != "") != (s.Checksum != nil) || s.Kind == PayloadStreamSigned && s.Trailer != "" ||
		s.Kind == PayloadStreamSignedTrailer && s.Trailer == "" {
		return errors.New("sig: a stream that cannot be sent")
	}
	r.Header.Set(headerDecodedLength, strconv.FormatInt(s.Length, 10))
	if had := r.Header.Get("Content-Encoding"); had == "" {
		r.Header.Set("Content-Encoding", chunkedEncoding)
	} else if !hasChunkedEncoding(r.Header) {
		r.Header.Set("Content-Encoding", chunkedEncoding+","+had)
	}
	if s.Trailer != "" {
		r.Header.Set(headerTrailer, s.Trailer)
	}
	seed, err := signV4(r, c, region, s.Kind.String(), now)
	if err != nil {
		return err
	}
	src := r.Body
	if src == nil {
		src = http.NoBody
	}
	e := &encoder{src: src, stream: s, left: s.Length, chunk: make([]byte, s.ChunkSize)}
	if s.Kind != PayloadStreamUnsignedTrailer {
		e.chain = newChain(seed)
	}
	r.Body, r.GetBody, r.ContentLength = e, nil, e.encodedLength()
	return nil
}

// encoder encodes a body as aws-chunked. The framing is drawn at chunks.
type encoder struct {
	src    io.ReadCloser
	stream Stream
	chain  *chain // nil: unsigned
	left   int64  // bytes of the body that were not read yet
	chunk  []byte // the data of one chunk
	out    []byte // encoded and not handed out; its array is reused
	given  int    // of out
	done   bool
}

// Read implements io.Reader.
func (e *encoder) Read(p []byte) (int, error) {
	for e.given == len(e.out) {
		if e.done {
			return 0, io.EOF
		}
		e.out, e.given = e.out[:0], 0
		if err := e.encode(); err != nil {
			return 0, err
		}
	}
	n := copy(p, e.out[e.given:])
	e.given += n
	return n, nil
}

// Close closes the body that is encoded.
func (e *encoder) Close() error { return e.src.Close() }

// encode puts the next chunk into out; behind the last data, all the rest.
func (e *encoder) encode() error {
	if e.left > 0 {
		data := e.chunk[:min(int64(len(e.chunk)), e.left)]
		if _, err := io.ReadFull(e.src, data); err != nil {
			return fmt.Errorf("sig: body shorter than declared: %w", err)
		}
		e.left -= int64(len(data))
		e.header(data)
		e.out = append(append(e.out, data...), '\r', '\n')
		return nil
	}
	e.header(nil)
	if e.stream.Trailer != "" {
		field := e.stream.Trailer + ":" + e.stream.Checksum()
		e.out = append(e.out, field+"\r\n"...)
		if e.chain != nil {
			e.chain.data.Write([]byte(field + "\n"))
			signature := e.chain.trailer()
			e.out = append(e.out, trailerSignature+":"+string(signature[:])+"\r\n"...)
		}
	}
	e.out = append(e.out, '\r', '\n')
	e.done = true
	return nil
}

func (e *encoder) header(data []byte) {
	e.out = strconv.AppendInt(e.out, int64(len(data)), 16)
	if e.chain != nil {
		e.chain.data.Write(data)
		signature := e.chain.next()
		e.out = append(append(e.out, chunkSignature...), signature[:]...)
	}
	e.out = append(e.out, '\r', '\n')
}

// encodedLength returns the length of the encoding; -1 where the length of the
// trailer's value is not known before.
func (e *encoder) encodedLength() int64 {
	extra := int64(4) // two line ends
	if e.chain != nil {
		extra += int64(len(chunkSignature) + len(e.chain.prev))
	}
	framed := func(n int64) int64 { return int64(len(strconv.FormatInt(n, 16))) + extra + n }
	size := int64(e.stream.ChunkSize)
	total := e.stream.Length/size*framed(size) + framed(0)
	if rest := e.stream.Length % size; rest > 0 {
		total += framed(rest)
	}
	if e.stream.Trailer == "" {
		return total
	}
	value := trailerLength(e.stream.Trailer)
	if value < 0 {
		return -1
	}
	total += int64(len(e.stream.Trailer) + len(":") + value + len("\r\n"))
	if e.chain != nil {
		total += int64(len(trailerSignature) + len(":") + len(e.chain.prev) + len("\r\n"))
	}
	return total
}

// trailerLength returns the length of a checksum in base64; -1: not known.
func trailerLength(name string) int {
	switch strings.ToLower(name) {
	case "x-amz-checksum-crc32", "x-amz-checksum-crc32c":
		return base64.StdEncoding.EncodedLen(4)
	case "x-amz-checksum-crc64nvme":
		return base64.StdEncoding.EncodedLen(8)
	case "x-amz-checksum-sha1":
		return base64.StdEncoding.EncodedLen(20)
	case "x-amz-checksum-sha256":
		return base64.StdEncoding.EncodedLen(32)
	}
	return -1
}
