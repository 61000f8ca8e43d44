package segment

import (
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	// minSegmentBytes has room for the header, one small batch and its mark.
	minSegmentBytes = 16 << 10
	// maxFileBytes keeps offsets in 32 bits.
	maxFileBytes = 1 << 31
)

// span is where a frame stands in its file, without padding.
type span struct{ offset, length uint32 }

// file is an open segment file. Log.state guards sealed and spans.
type file struct {
	origin
	f    vfs.File
	path string
	size int64
	base uint64
	// spans[i] is the frame of entry base+i; of length 0 where it was damaged and
	// nobody needs it.
	spans  []span
	sealed bool
	// end is where the next batch begins; only the appender uses it.
	end int64
	// refs counts the log itself and each read under way; the last one closes f.
	refs atomic.Int32
}

// last is the index of the last entry, or base-1.
func (f *file) last() uint64 { return f.base + uint64(len(f.spans)) - 1 }

func (f *file) release() error {
	if f.refs.Add(-1) == 0 {
		return f.f.Close()
	}
	return nil
}

// read returns the entry whose frame stands at s, verified.
func (f *file) read(index uint64, s span) (Entry, error) {
	b := make([]byte, s.length)
	if _, err := f.f.ReadAt(b, int64(s.offset)); err != nil && !errors.Is(err, io.EOF) {
		return Entry{}, fmt.Errorf("%s: entry %d: %w", f.path, index, err)
	}
	fr, ok := f.parse(b)
	if !ok || fr.kind != kindEntry || fr.index != index {
		return Entry{}, corrupt("%s: the frame of entry %d at offset %d does not verify", f.path, index, s.offset)
	}
	return fr.entry(), nil
}

// openFile opens a listed segment and verifies its header; it reads no entries.
func openFile(fs vfs.FS, path string, r record) (*file, error) {
	if _, err := fs.Stat(path); err != nil {
		return nil, corrupt("%s, which the manifest lists for entries from %d on, cannot be found (%v)", path, r.base, err)
	}
	open := fs.Open
	if r.last == 0 {
		open = func(name string, opts ...vfs.OpenOption) (vfs.File, error) {
			return fs.OpenReadWrite(name, writeCategory, opts...)
		}
	}
	v, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	f := &file{origin: r.origin, f: v, path: path, base: r.base, sealed: r.last != 0}
	f.refs.Store(1)
	if f.size, err = readHeader(v, r.origin); err != nil {
		if errors.Is(err, ErrCorrupt) {
			err = corrupt("%s: %s", path, plain(err))
		} else {
			err = fmt.Errorf("%s: %w", path, err)
		}
		return nil, errors.Join(err, v.Close())
	}
	return f, nil
}

func readHeader(v vfs.File, want origin) (int64, error) {
	b := make([]byte, blockBytes)
	n, err := v.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, err
	}
	size, err := checkHeader(b[:n], want)
	if err != nil {
		return 0, err
	}
	info, err := v.Stat()
	if err != nil {
		return 0, err
	}
	if info.Size() != size {
		return 0, fmt.Errorf("%w: the file has %d bytes, its header says %d", ErrCorrupt, info.Size(), size)
	}
	return size, nil
}
