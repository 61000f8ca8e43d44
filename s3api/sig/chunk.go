package sig

import (
	"bytes"
	"errors"
	"io"
	"strconv"

	"ironman/wal/digest"
)

// The aws-chunked framing:
//
//	1000;chunk-signature=<64 hex>\r\n  header; unsigned streams have the size alone
//	<0x1000 bytes>\r\n                 data
//	...
//	0;chunk-signature=<64 hex>\r\n     the last chunk is empty
//	x-amz-checksum-crc32:AAAAAA==\r\n  the trailer, if one was declared ("\n\r\n" ends it too)
//	x-amz-trailer-signature:<64 hex>\r\n  in signed streams with a trailer
//	\r\n
//
// Sources: "Signature Calculations for the Authorization Header: Transferring Payload
// in Multiple Chunks" and "... Including Trailing Headers", and what SDKs send.
const (
	chunkSignature = ";chunk-signature="
	// maxSizeDigits bounds the digits of a chunk's size.
	maxSizeDigits = 16
	maxChunkLine  = maxSizeDigits + len(chunkSignature) + 2*digest.SHA256Size + 2
	// minChunk is the least length of a chunk that is not the last with data.
	minChunk = 8192
)

// lineBuffer holds the bytes read for lines of the framing: at least as long as the
// longest of them. Data that was read along is copied out of it; all other data goes
// from the source into the caller's buffer directly.
type lineBuffer = [512]byte

// chunks decodes an aws-chunked body.
type chunks struct {
	body  *Body // gets the trailer
	src   io.Reader
	chain *chain // nil: unsigned

	buf  lineBuffer
	r, w int // buf[r:w] was read and not consumed

	left  int64 // decoded bytes that are still to come
	chunk int64 // of them in the current chunk
	size  int64 // of the current chunk
	count int   // chunks begun

	claimed  [2 * digest.SHA256Size]byte // signature of the current chunk
	declared string                      // name of the trailer; empty: none
	ended    bool
}

func newChunks(b *Body, src io.Reader, id *Identity, c *chain) *chunks {
	return &chunks{body: b, src: src, chain: c, left: id.DecodedLength, declared: id.trailer}
}

// Read hands out bytes of one chunk at most. Invariant: left is 0 only when ended.
func (c *chunks) Read(p []byte) (int, error) {
	if c.ended {
		return 0, io.EOF
	}
	if c.chunk == 0 && c.left > 0 {
		if err := c.begin(); err != nil {
			return 0, err
		}
	}
	n, err := c.data(p)
	if err != nil {
		return n, err
	}
	if c.left > 0 {
		return n, nil
	}
	// The last data is in p: it counts as read only if the rest is right.
	if err := c.end(); err != nil {
		return 0, err
	}
	if c.ended = true; n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

// data reads into p what the current chunk has, and verifies the chunk after its
// last byte.
func (c *chunks) data(p []byte) (int, error) {
	if c.chunk == 0 {
		return 0, nil
	}
	if int64(len(p)) > c.chunk {
		p = p[:c.chunk]
	}
	var n int
	if c.r < c.w {
		n = copy(p, c.buf[c.r:c.w])
		c.r += n
	} else {
		var err error
		if n, err = c.src.Read(p); n == 0 && err != nil {
			return 0, truncated(err)
		}
		// An error that came with bytes comes again with the next Read.
	}
	if c.chain != nil {
		c.chain.data.Write(p[:n])
	}
	c.chunk -= int64(n)
	c.left -= int64(n)
	if c.chunk == 0 {
		if err := c.verify(); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// verify compares the signature of the chunk that was read.
func (c *chunks) verify() error {
	if c.chain != nil && !matches(c.chain.next(), c.claimed[:]) {
		return errChunk()
	}
	return nil
}

// begin reads the header of a chunk that must hold data.
func (c *chunks) begin() error {
	last := c.size
	size, err := c.header()
	switch {
	case err != nil:
		return err
	case size > 0 && c.count > 1 && last < minChunk:
		return refuse(CodeInvalidChunkSize, "Only the last chunk is allowed to have a size less than 8192 bytes",
			Detail{"Chunk", strconv.Itoa(c.count - 1)}, Detail{"BadChunkSize", strconv.FormatInt(last, 10)})
	case size == 0 || size > c.left:
		return errLength()
	}
	c.chunk = size
	return nil
}

// end reads everything after the last byte of data: the empty chunk, the trailer,
// and the end of the body.
func (c *chunks) end() error {
	size, err := c.header()
	if err != nil {
		return err
	}
	if size != 0 {
		return errLength()
	}
	if err := c.verify(); err != nil {
		return err
	}
	if err := c.readTrailer(); err != nil {
		return err
	}
	if c.r < c.w {
		return errLength()
	}
	for range 100 {
		n, err := c.src.Read(c.buf[:1])
		switch {
		case n > 0:
			return errLength()
		case err == io.EOF:
			return nil
		case err != nil:
			return truncated(err)
		}
	}
	return io.ErrNoProgress
}

// header reads the line that begins a chunk, and before it the line end of the chunk
// before.
func (c *chunks) header() (size int64, err error) {
	if c.count > 0 {
		if err := c.crlf(); err != nil {
			return 0, err
		}
	}
	c.count++
	line, err := c.line(maxChunkLine)
	if err != nil {
		return 0, err
	}
	digits := line
	if c.chain != nil {
		i := len(line) - len(chunkSignature) - len(c.claimed)
		if i < 0 || string(line[i:i+len(chunkSignature)]) != chunkSignature {
			return 0, errTruncated()
		}
		digits = line[:i]
		copy(c.claimed[:], line[i+len(chunkSignature):])
	}
	if c.size, err = parseSize(digits); err != nil {
		return 0, err
	}
	return c.size, nil
}

// parseSize reads the size of a chunk: 1 to 16 hexadecimal digits below 2^63.
func parseSize(digits []byte) (int64, error) {
	if len(digits) == 0 || len(digits) > maxSizeDigits {
		return 0, errTruncated()
	}
	var n uint64
	for _, d := range digits {
		if !isHex(d) {
			return 0, errTruncated()
		}
		n = n<<4 | uint64(unhex(d))
	}
	if n >= 1<<63 {
		return 0, errTruncated()
	}
	return int64(n), nil
}

// crlf consumes a line end.
func (c *chunks) crlf() error {
	for c.w-c.r < 2 {
		if err := c.fill(); err != nil {
			return err
		}
	}
	if c.buf[c.r] != '\r' || c.buf[c.r+1] != '\n' {
		return errTruncated()
	}
	c.r += 2
	return nil
}

// line consumes a line that ends in \r\n and returns it without that. It is good
// until the next call. limit bounds it with its end.
func (c *chunks) line(limit int) ([]byte, error) {
	raw, err := c.until('\n', limit)
	if err != nil {
		return nil, err
	}
	line, ok := bytes.CutSuffix(raw, []byte("\r\n"))
	if !ok {
		return nil, errTruncated()
	}
	return line, nil
}

// until consumes limit bytes at most, up to and with the first end, and returns them.
// They are good until the next call.
func (c *chunks) until(end byte, limit int) ([]byte, error) {
	scanned := 0
	for {
		if i := bytes.IndexByte(c.buf[c.r+scanned:c.w], end); i >= 0 {
			n := scanned + i + 1
			if n > limit {
				return nil, errTruncated()
			}
			c.r += n
			return c.buf[c.r-n : c.r], nil
		}
		if scanned = c.w - c.r; scanned >= limit {
			return nil, errTruncated()
		}
		if err := c.fill(); err != nil {
			return nil, err
		}
	}
}

// fill reads more into buf. It is called only while a line is incomplete, and lines
// are shorter than buf, so there is room.
func (c *chunks) fill() error {
	if c.r > 0 {
		c.w = copy(c.buf[:], c.buf[c.r:c.w])
		c.r = 0
	}
	for range 100 {
		n, err := c.src.Read(c.buf[c.w:])
		if c.w += n; n > 0 {
			return nil
		}
		if err != nil {
			return truncated(err)
		}
	}
	return io.ErrNoProgress
}

// truncated turns the end of the source where there should be more into a refusal.
func truncated(err error) error {
	if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
		return errTruncated()
	}
	return err
}
