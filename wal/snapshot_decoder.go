package wal

import "encoding/binary"

// streamTarget takes the pieces of a stream as they verify. An error ends the stream.
type streamTarget interface {
	begin(*streamHead) error
	newFile(name string, size uint64) error
	block(b []byte) error // of the newest file; b is the target's until it returns
	endFile() error
}

// streamDecoder is an io.Writer that verifies a stream as it comes, in pieces of
// any length, and passes on what it holds. It keeps no more than one piece. After
// an error it takes nothing more.
type streamDecoder struct {
	to streamTarget

	buf  []byte       // of the piece that is coming
	need int          // how many bytes make it whole
	step func() error // what is done with it then
	err  error

	complete bool // the end was read: nothing may follow
	head     *streamHead
	bound    binding
	files    uint32 // begun so far
	bytes    uint64 // the sum of their sizes
	name     string // of the newest file
	left     uint64 // bytes of it to come
	offset   uint64 // and read
}

func newStreamDecoder(to streamTarget) *streamDecoder {
	d := &streamDecoder{to: to}
	d.expect(streamFixed, d.headFixed)
	return d
}

// expect says what must come next; more of the same piece if buf is kept.
func (d *streamDecoder) expect(need int, step func() error) { d.need, d.step = need, step }

func (d *streamDecoder) fresh(need int, step func() error) {
	d.buf = d.buf[:0]
	d.expect(need, step)
}

func (d *streamDecoder) Write(p []byte) (n int, err error) {
	for d.err == nil && n < len(p) {
		if d.complete {
			d.err = malformed("it goes on behind its end")
			break
		}
		take := min(d.need-len(d.buf), len(p)-n)
		d.buf = append(d.buf, p[n:n+take]...)
		n += take
		if len(d.buf) == d.need {
			d.err = d.step()
		}
	}
	return n, d.err
}

// finish tells whether the stream came to its end.
func (d *streamDecoder) finish() error {
	if d.err == nil && !d.complete {
		d.err = malformed("it was cut")
	}
	return d.err
}

func (d *streamDecoder) headFixed() error {
	n, err := headBytes(d.buf)
	d.expect(n, d.headRest)
	return err
}

func (d *streamDecoder) headRest() (err error) {
	if d.head, d.bound, err = decodeHead(d.buf); err != nil {
		return err
	}
	d.fresh(recordFixed, d.record)
	return d.to.begin(d.head)
}

func (d *streamDecoder) record() error {
	switch n := binary.BigEndian.Uint32(d.buf[4:]); string(d.buf[:4]) {
	case recordFile:
		if n == 0 || n > maxFileName {
			return malformed("a name of %d bytes", n)
		}
		d.expect(recordFixed+int(n)+crcBytes, d.fileRecord)
	case recordDone:
		d.expect(recordFixed+crcBytes, d.done)
	default:
		return malformed("a record begins with %x", d.buf[:4])
	}
	return nil
}

func (d *streamDecoder) fileRecord() error {
	b, ok := d.bound.open(d.files, noOffset, d.buf)
	if !ok {
		return malformed("the checksum of file %d", d.files)
	}
	name, size := string(b[recordFixed:]), binary.BigEndian.Uint64(b[8:])
	switch {
	case !plainName(name):
		return malformed("no state has a file of the name %q", name)
	case name <= d.name:
		return malformed("file %q comes behind %q", name, d.name)
	case d.files == d.head.files || size > d.head.bytes-d.bytes:
		return malformed("more than its head announced: file %d, %q of %d bytes", d.files, name, size)
	}
	d.name, d.left, d.offset = name, size, 0
	d.files++
	d.bytes += size
	if err := d.to.newFile(name, size); err != nil {
		return err
	}
	return d.nextBlock()
}

func (d *streamDecoder) nextBlock() error {
	if d.left == 0 {
		d.fresh(recordFixed, d.record)
		return d.to.endFile()
	}
	d.fresh(int(min(d.left, blockBytes))+crcBytes, d.block)
	return nil
}

func (d *streamDecoder) block() error {
	b, ok := d.bound.open(d.files-1, d.offset, d.buf)
	if !ok {
		return malformed("the checksum of %q at %d", d.name, d.offset)
	}
	d.left -= uint64(len(b))
	d.offset += uint64(len(b))
	if err := d.to.block(b); err != nil {
		return err
	}
	return d.nextBlock()
}

func (d *streamDecoder) done() error {
	b, ok := d.bound.open(d.files, noOffset, d.buf)
	if !ok {
		return malformed("the checksum of the end")
	}
	files, bytes := binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint64(b[8:])
	if files != d.files || bytes != d.bytes || files != d.head.files || bytes != d.head.bytes {
		return malformed("%d files of %d bytes came, the head announced %d of %d, the end %d of %d",
			d.files, d.bytes, d.head.files, d.head.bytes, files, bytes)
	}
	d.complete = true
	return nil
}
