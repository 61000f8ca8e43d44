package segment

import (
	"encoding/binary"
	"errors"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// windowBytes is how much of a file a scan reads at a time.
const windowBytes = 1 << 20

// window reads a file from front to back in big pieces.
type window struct {
	f     vfs.File
	size  int64
	start int64 // offset of buf in the file
	buf   []byte
	// pace is asked before n bytes are read; its error ends the scan. nil: none.
	pace func(n int) error
}

// at returns n bytes at off, fewer only at the file's end. Valid until the next call.
func (w *window) at(off int64, n int) ([]byte, error) {
	n = int(max(0, min(int64(n), w.size-off)))
	if off < w.start || off+int64(n) > w.start+int64(len(w.buf)) {
		if err := w.load(off, max(n, windowBytes)); err != nil {
			return nil, err
		}
	}
	i := off - w.start
	return w.buf[i : i+int64(n) : i+int64(n)], nil
}

func (w *window) load(off int64, n int) error {
	n = int(min(int64(n), w.size-off))
	if w.pace != nil {
		if err := w.pace(n); err != nil {
			return err
		}
	}
	if cap(w.buf) < n {
		w.buf = make([]byte, n)
	}
	w.start, w.buf = off, w.buf[:n]
	if got, err := w.f.ReadAt(w.buf, off); got < n {
		w.buf = w.buf[:0]
		if err == nil || errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF
		}
		return err
	}
	return nil
}

// nonzero returns the first 8-byte word from off on (a multiple of 8) that is not
// zero, and its offset; the file's size if there is none.
func (w *window) nonzero(off int64) (int64, uint64, error) {
	for off < w.size {
		if off < w.start || off >= w.start+int64(len(w.buf)) {
			if err := w.load(off, windowBytes); err != nil {
				return 0, 0, err
			}
		}
		b := w.buf[off-w.start:]
		for len(b) >= 8 {
			if v := binary.LittleEndian.Uint64(b); v != 0 {
				return off, v, nil
			}
			b, off = b[8:], off+8
		}
		if len(b) > 0 { // the window ends within a word: begin the next one here
			if err := w.load(off, windowBytes); err != nil {
				return 0, 0, err
			}
		}
	}
	return w.size, 0, nil
}
