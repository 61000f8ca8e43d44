package wal

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// stateFile is a file of a snapshot's state.
type stateFile struct {
	name string
	size uint64
}

// listState lists the files of a state in the order of their names.
func listState(fs vfs.FS, dir string) ([]stateFile, error) {
	names, err := fs.List(dir)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	files := make([]stateFile, len(names))
	for i, name := range names {
		info, err := fs.Stat(fs.PathJoin(dir, name))
		if err != nil {
			return nil, err
		}
		if info.IsDir() || !plainName(name) {
			return nil, fmt.Errorf("%s in %s is not a file of a state", name, dir)
		}
		files[i] = stateFile{name: name, size: uint64(info.Size())}
	}
	return files, nil
}

// streamEncoder is an io.ReadCloser of a snapshot's stream.
type streamEncoder struct {
	fs    vfs.FS
	dir   string // of the state
	files []stateFile
	bound binding
	bytes uint64
	// closed is called once, when nothing is read any more.
	closed func()

	ready  []byte // encoded and not read yet
	buf    []byte // what ready is part of
	next   int    // of files: the next to begin
	file   vfs.File
	offset uint64 // within it
	done   bool   // the end is encoded
}

// newStreamEncoder begins the stream of a state and tells its exact length.
func newStreamEncoder(fs vfs.FS, dir string, identity []byte, m *snapshotMeta) (*streamEncoder, int64, error) {
	files, err := listState(fs, dir)
	if err != nil {
		return nil, 0, err
	}
	h := &streamHead{identity: identity, meta: m, files: uint32(len(files))}
	for _, f := range files {
		h.bytes += f.size
	}
	if len(identity) > maxIdentity || len(files) > maxFiles || h.bytes > maxStateBytes {
		return nil, 0, fmt.Errorf("%d files of %d bytes, with an identity of %d: more than a stream can hold", len(files), h.bytes, len(identity))
	}
	head := h.encode()
	_, sum := cutSum(head)
	e := &streamEncoder{fs: fs, dir: dir, files: files, bound: binding(sum), bytes: h.bytes, ready: head, closed: func() {}}
	return e, streamBytes(len(head), files), nil
}

func (e *streamEncoder) Read(p []byte) (int, error) {
	if len(e.ready) == 0 {
		if e.done {
			return 0, io.EOF
		}
		if err := e.fill(); err != nil {
			return 0, fmt.Errorf("wal: snapshot: %w", err)
		}
	}
	n := copy(p, e.ready)
	e.ready = e.ready[n:]
	return n, nil
}

// fill encodes the next piece: a block of the open file, the next file, or the end.
func (e *streamEncoder) fill() (err error) {
	b := e.buf[:0]
	switch {
	case e.file != nil:
		b, err = e.readBlock(b)
	case e.next < len(e.files):
		f := e.files[e.next]
		b = e.bound.appendFile(b, uint32(e.next), f.name, f.size)
		e.file, err = e.fs.Open(e.fs.PathJoin(e.dir, f.name), vfs.SequentialReadsOption)
		e.offset = 0
		e.next++
		if err == nil && f.size == 0 {
			err = e.closeFile()
		}
	default:
		b = e.bound.appendDone(b, uint32(len(e.files)), e.bytes)
		e.done = true
	}
	if err != nil {
		return err
	}
	e.buf, e.ready = b, b
	return nil
}

func (e *streamEncoder) readBlock(b []byte) ([]byte, error) {
	f := e.files[e.next-1]
	n := min(f.size-e.offset, blockBytes)
	b = slices.Grow(b, int(n)+crcBytes)[:n]
	if _, err := io.ReadFull(e.file, b); err != nil {
		return nil, fmt.Errorf("%s at %d of %d: %w", f.name, e.offset, f.size, err)
	}
	b = e.bound.seal(uint32(e.next-1), e.offset, b)
	if e.offset += n; e.offset == f.size {
		return b, e.closeFile()
	}
	return b, nil
}

func (e *streamEncoder) closeFile() error {
	f := e.file
	e.file = nil
	return f.Close()
}

// Close ends the stream, read to its end or not.
func (e *streamEncoder) Close() error {
	e.done, e.ready = true, nil
	var err error
	if e.file != nil {
		err = e.closeFile()
	}
	closed := e.closed
	e.closed = func() {}
	closed()
	return err
}

// headReader is a stream that ends behind its head: what the state machine's
// Restore needs of a snapshot is only which it is.
func headReader(identity []byte, m *snapshotMeta) (io.ReadCloser, int64) {
	b := (&streamHead{identity: identity, meta: m}).encode()
	return io.NopCloser(strings.NewReader(string(b))), int64(len(b))
}

// readHead reads the head of a stream.
func readHead(r io.Reader) (*streamHead, error) {
	b := make([]byte, streamFixed)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, errors.Join(malformed("it has no head"), err)
	}
	n, err := headBytes(b)
	if err != nil {
		return nil, err
	}
	b = append(b, make([]byte, n-streamFixed)...)
	if _, err := io.ReadFull(r, b[streamFixed:]); err != nil {
		return nil, errors.Join(malformed("its head was cut"), err)
	}
	h, _, err := decodeHead(b)
	return h, err
}
