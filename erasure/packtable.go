package erasure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// packTable is the packs of one disk that somebody uses: those still written,
// and those with readers. It keeps some read handles open for the next reader.
// Packs that nobody uses are known to the directory alone, so that the table
// stays small on a disk with very many of them.
type packTable struct {
	fs   vfs.FS
	dir  string
	idle int // how many handles without readers stay open

	mu      sync.Mutex
	closed  bool
	writing map[PackKey]*int    // not sealed -> appends in flight
	handles map[PackKey]*handle // Invariant: a handle has readers, a file, or is doomed
	unused  int                 // handles with a file, no readers, not doomed
	clock   uint64              // of use, for choosing which idle handle to close
}

// handle is a pack open for reading.
type handle struct {
	table  *packTable
	key    PackKey
	refs   int // readers: reads under way, and blob readers that hold the pack
	doomed bool
	gone   chan struct{} // closed when refs falls to 0 and somebody waits
	used   uint64

	open sync.Mutex // held while the file is being opened
	file vfs.File   // nil: not open. Written under both locks.
}

func newPackTable(fsys vfs.FS, dir string, idle int) *packTable {
	return &packTable{
		fs: fsys, dir: dir, idle: idle,
		writing: make(map[PackKey]*int),
		handles: make(map[PackKey]*handle),
	}
}

func (t *packTable) path(k PackKey) string { return t.fs.PathJoin(t.dir, k.String()+packExt) }

// begin notes that a pack is written; it is not sealed until seal.
func (t *packTable) begin(k PackKey) {
	t.mu.Lock()
	t.writing[k] = new(int)
	t.mu.Unlock()
}

// busy changes the number of appends in flight of a pack that is written.
func (t *packTable) busy(k PackKey, by int) {
	t.mu.Lock()
	if n := t.writing[k]; n != nil {
		*n += by
	}
	t.mu.Unlock()
}

// seal notes that nothing more will be written to a pack.
func (t *packTable) seal(k PackKey) {
	t.mu.Lock()
	delete(t.writing, k)
	t.mu.Unlock()
}

// state tells whether a pack is sealed, and its appends in flight.
func (t *packTable) state(k PackKey) (sealed bool, inFlight int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n := t.writing[k]; n != nil {
		return false, *n
	}
	return true, 0
}

// hold keeps a pack from being unlinked until release; it opens nothing.
func (t *packTable) hold(k PackKey) (*handle, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, ErrClosed
	}
	h := t.handles[k]
	if h == nil {
		h = &handle{table: t, key: k}
		t.handles[k] = h
	}
	if h.doomed {
		return nil, fmt.Errorf("%w: %v", ErrReleased, k)
	}
	if h.refs == 0 && h.file != nil {
		t.unused--
	}
	h.refs++
	t.clock++
	h.used = t.clock
	return h, nil
}

// release ends a hold.
func (t *packTable) release(h *handle) {
	t.mu.Lock()
	h.refs--
	var shut []vfs.File
	if h.refs == 0 {
		switch {
		case h.gone != nil:
			close(h.gone)
			h.gone = nil
		case h.doomed: // its remover gave up waiting already, or holds it
		case h.file == nil:
			delete(t.handles, h.key)
		default:
			t.unused++
			shut = t.evict()
		}
	}
	t.mu.Unlock()
	for _, f := range shut {
		f.Close()
	}
}

// evict takes out the idle handles that are too many, longest unused first.
// The lock is held; the caller closes what is returned.
func (t *packTable) evict() (shut []vfs.File) {
	limit := t.idle
	if t.closed {
		limit = 0
	}
	for ; t.unused > limit; t.unused-- {
		var oldest *handle
		for _, h := range t.handles {
			if h.refs == 0 && !h.doomed && (oldest == nil || h.used < oldest.used) {
				oldest = h
			}
		}
		delete(t.handles, oldest.key)
		shut = append(shut, oldest.file)
	}
	return shut
}

// reader returns the open file of a pack that is held.
func (t *packTable) reader(h *handle) (vfs.File, error) {
	h.open.Lock()
	defer h.open.Unlock()
	if h.file != nil {
		return h.file, nil
	}
	f, err := t.fs.Open(t.path(h.key))
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	h.file = f
	t.mu.Unlock()
	return f, nil
}

// again is a further hold for one who holds the pack, or did: it also gets in
// while somebody waits to unlink it, for as long as the first hold lasts.
func (t *packTable) again(h *handle) (*handle, error) {
	t.mu.Lock()
	held := h.refs > 0
	if held {
		h.refs++
	}
	t.mu.Unlock()
	if held {
		return h, nil
	}
	return t.hold(h.key)
}

// readAt fills p from a pack.
func (t *packTable) readAt(k PackKey, offset uint64, p []byte) error {
	h, err := t.hold(k)
	if err != nil {
		return err
	}
	defer t.release(h)
	return t.readHandle(h, offset, p)
}

// readAgain is readAt for one who holds the pack.
func (t *packTable) readAgain(held *handle, offset uint64, p []byte) error {
	h, err := t.again(held)
	if err != nil {
		return err
	}
	defer t.release(h)
	return t.readHandle(h, offset, p)
}

func (t *packTable) readHandle(h *handle, offset uint64, p []byte) error {
	f, err := t.reader(h)
	if err != nil {
		return err
	}
	if offset > 1<<62 {
		return fmt.Errorf("%w: offset %d", fs.ErrNotExist, offset)
	}
	n, err := f.ReadAt(p, int64(offset))
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: pack %v ends before %d", fs.ErrNotExist, h.key, offset+uint64(len(p)))
	}
	return err
}

// unlink removes sealed packs, after their readers closed. The directory is not
// synced here. A pack that is not there is no error. When ctx ends first, packs
// still read are left as they were.
func (t *packTable) unlink(ctx context.Context, k PackKey) error {
	h, err := t.doom(k)
	if err != nil {
		return err
	}
	if err := t.drain(ctx, h); err != nil {
		return err
	}
	if h.file != nil {
		h.file.Close()
	}
	err = t.fs.Remove(t.path(k))
	t.mu.Lock()
	delete(t.handles, k)
	t.mu.Unlock()
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// doom lets no new reader in.
func (t *packTable) doom(k PackKey) (*handle, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, ErrClosed
	}
	if t.writing[k] != nil {
		return nil, fmt.Errorf("%w: %v", ErrPackOpen, k)
	}
	h := t.handles[k]
	if h == nil {
		h = &handle{table: t, key: k}
		t.handles[k] = h
	}
	if h.refs == 0 && h.file != nil {
		t.unused--
	}
	h.doomed = true
	return h, nil
}

// drain waits until the last reader of a doomed pack is gone.
func (t *packTable) drain(ctx context.Context, h *handle) error {
	t.mu.Lock()
	if h.refs == 0 {
		t.mu.Unlock()
		return nil
	}
	gone := make(chan struct{})
	h.gone = gone
	t.mu.Unlock()
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if h.refs == 0 {
		return nil
	}
	h.doomed, h.gone = false, nil
	return fmt.Errorf("erasure: pack %v still has readers: %w", h.key, ctx.Err())
}

// close lets nobody in any more and closes what has no readers.
func (t *packTable) close() {
	t.mu.Lock()
	t.closed = true
	shut := t.evict()
	t.mu.Unlock()
	for _, f := range shut {
		f.Close()
	}
}
