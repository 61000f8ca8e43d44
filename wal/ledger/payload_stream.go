package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"ironman/wal/event"
)

// codec compresses and decompresses blocks. Safe for concurrent use; it runs no
// goroutine of its own.
type codec struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func newCodec() (*codec, error) {
	enc, err := zstd.NewWriter(nil,
		zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20),
		zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false),
		zstd.WithEncoderLevel(zstd.SpeedFastest)) // as short as the default on these bytes
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(maxBlockPlain), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return nil, err
	}
	return &codec{enc: enc, dec: dec}, nil
}

// unpack decompresses a frame of exactly plain bytes into a new slice.
func (c *codec) unpack(frame []byte, plain int) ([]byte, error) {
	b, err := c.dec.DecodeAll(frame, make([]byte, 0, plain))
	if err != nil {
		return nil, fmt.Errorf("%w: payload block: %w", event.ErrMalformed, err)
	}
	if len(b) != plain {
		return nil, fmt.Errorf("%w: payload block of %d bytes instead of %d", event.ErrMalformed, len(b), plain)
	}
	return b, nil
}

// payloadWriter writes a payload bundle block by block, so that a bundle of large
// payloads needs the memory of one block only.
type payloadWriter struct {
	w     io.Writer
	codec *codec
	next  uint64 // sequence of the first entry of the open block
	count int    // entries of the open block
	left  int    // entries still to come
	plain []byte
	frame []byte
}

// newPayloadWriter begins a bundle of so many entries from sequence first.
func newPayloadWriter(w io.Writer, c *codec, first uint64, entries int) (*payloadWriter, error) {
	if _, err := w.Write(encodePayloadHeader(first, entries)); err != nil {
		return nil, err
	}
	return &payloadWriter{w: w, codec: c, next: first, left: entries}, nil
}

// add appends the payload of the next sequence. After the last one the bundle is
// complete. The payload is within the limits.
func (pw *payloadWriter) add(p *Payload) error {
	pw.plain = appendPayload(pw.plain, p)
	pw.count++
	pw.left--
	if len(pw.plain) < blockTarget && pw.left > 0 {
		return nil
	}
	pw.frame = pw.codec.enc.EncodeAll(pw.plain, pw.frame[:0])
	if _, err := pw.w.Write(encodeBlock(pw.next, pw.count, len(pw.plain), pw.frame)); err != nil {
		return err
	}
	if _, err := pw.w.Write(pw.frame); err != nil {
		return err
	}
	pw.next += uint64(pw.count)
	pw.count, pw.plain = 0, pw.plain[:0]
	return nil
}

// payloadReader reads a payload bundle block by block.
type payloadReader struct {
	r     io.Reader
	size  int64 // bytes not read yet
	codec *codec
	next  uint64 // sequence of the next payload
	left  int    // entries not given yet
	count int    // of them in the open block
	plain []byte // the rest of the open block
}

// newPayloadReader begins to read a bundle of size bytes that must hold so many
// entries from sequence first.
func newPayloadReader(r io.Reader, size int64, c *codec, first uint64, entries int) (*payloadReader, error) {
	pr := &payloadReader{r: r, size: size, codec: c, next: first, left: entries}
	head := make([]byte, min(size, payloadHeaderBytes))
	if err := pr.fill(head); err != nil {
		return nil, err
	}
	gotFirst, gotEntries, err := decodePayloadHeader(head)
	if err != nil {
		return nil, err
	}
	if gotFirst != first || gotEntries != entries {
		return nil, fmt.Errorf("%w: payload bundle is that of %d sequences from %d", event.ErrMalformed, gotEntries, gotFirst)
	}
	return pr, nil
}

// read gives the payload of the next sequence; io.EOF after the last, if nothing
// follows it. The payload stays valid.
func (pr *payloadReader) read() (Payload, error) {
	if pr.left == 0 {
		if pr.size != 0 {
			return Payload{}, fmt.Errorf("%w: %d bytes after a payload bundle", event.ErrMalformed, pr.size)
		}
		return Payload{}, io.EOF
	}
	if pr.count == 0 {
		if err := pr.open(); err != nil {
			return Payload{}, err
		}
	}
	p, rest, err := cutPayload(pr.plain)
	if err != nil {
		return Payload{}, err
	}
	pr.plain = rest
	pr.next++
	pr.left--
	if pr.count--; pr.count == 0 && len(rest) != 0 {
		return Payload{}, fmt.Errorf("%w: %d bytes after the entries of a payload block", event.ErrMalformed, len(rest))
	}
	return p, nil
}

// skip passes over the next n payloads. A block that holds no other is not unpacked.
func (pr *payloadReader) skip(n int) error {
	for n > 0 {
		if pr.count == 0 {
			head, h, err := pr.header()
			if err != nil {
				return err
			}
			if h.entries <= n {
				if err := pr.pass(h); err != nil {
					return err
				}
				n -= h.entries
				continue
			}
			if err := pr.unpack(head, h); err != nil {
				return err
			}
		}
		if _, err := pr.read(); err != nil {
			return err
		}
		n--
	}
	return nil
}

// open reads the next block.
func (pr *payloadReader) open() error {
	head, h, err := pr.header()
	if err != nil {
		return err
	}
	return pr.unpack(head, h)
}

// header reads the header of the next block.
func (pr *payloadReader) header() (head [blockHeaderBytes]byte, h block, err error) {
	if err := pr.fill(head[:]); err != nil {
		return head, h, err
	}
	if h, err = decodeBlock(head[:], pr.left); err != nil {
		return head, h, err
	}
	if int64(h.frame) > pr.size {
		return head, h, fmt.Errorf("%w: payload bundle ends in a block", event.ErrMalformed)
	}
	return head, h, nil
}

// unpack reads the block behind its header.
func (pr *payloadReader) unpack(head [blockHeaderBytes]byte, h block) error {
	frame := make([]byte, h.frame)
	if err := pr.fill(frame); err != nil {
		return err
	}
	if blockSum(pr.next, head[:blockHeaderBytes-4], frame) != binary.BigEndian.Uint32(head[blockHeaderBytes-4:]) {
		return fmt.Errorf("%w: payload block with a wrong checksum", event.ErrMalformed)
	}
	var err error
	pr.plain, err = pr.codec.unpack(frame, h.plain)
	pr.count = h.entries
	return err
}

// pass passes over the block behind its header.
func (pr *payloadReader) pass(h block) error {
	_, err := io.CopyN(io.Discard, pr.r, int64(h.frame))
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: payload bundle ends early", event.ErrMalformed)
	}
	pr.size -= int64(h.frame)
	pr.next += uint64(h.entries)
	pr.left -= h.entries
	return err
}

// fill reads len(b) bytes of the bundle.
func (pr *payloadReader) fill(b []byte) error {
	if int64(len(b)) > pr.size {
		return fmt.Errorf("%w: payload bundle ends early", event.ErrMalformed)
	}
	n, err := io.ReadFull(pr.r, b)
	pr.size -= int64(n)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: payload bundle ends early", event.ErrMalformed)
	}
	return err
}
