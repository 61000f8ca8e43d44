package disk

import (
	"io"
	"io/fs"
	"path"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// file is an open file or directory.
type file struct {
	disk   *Disk
	volume *Volume
	tree   *tree // of the disk that was in the volume's slot
	node   *node
	path   string
	writes bool
	pos    atomic.Int64
	closed bool // under the lock
}

func (v *Volume) handle(name string, n *node, writes bool) *file {
	n.opens++
	f := &file{disk: v.disk, volume: v, tree: v.tree, node: n, path: name, writes: writes}
	v.disk.handles[f] = struct{}{}
	return f
}

// usable refuses an operation on a handle that no longer leads anywhere.
func (f *file) usable() error {
	switch {
	case f.closed:
		return fs.ErrClosed
	case f.tree != f.volume.tree && !f.disk.detached:
		return syscall.EIO
	}
	return nil
}

func (f *file) Close() error {
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if f.closed {
		return &fs.PathError{Op: "close", Path: f.path, Err: fs.ErrClosed}
	}
	f.closed = true
	delete(f.disk.handles, f)
	f.node.opens--
	f.tree.release(f.node)
	return nil
}

func (f *file) Read(p []byte) (int, error) {
	n, err := f.ReadAt(p, f.pos.Load())
	f.pos.Add(int64(n))
	if n > 0 && err == io.EOF {
		err = nil
	}
	return n, err
}

func (f *file) ReadAt(p []byte, off int64) (n int, err error) {
	op := Op{Kind: Read, Path: f.path, Offset: off, Length: len(p)}
	err = f.disk.do(op, f.volume, func(v *Volume, op *Op, x *verdict) error {
		if err := f.usable(); err != nil {
			return err
		}
		switch {
		case f.node.isDir():
			return syscall.EISDIR
		case off < 0:
			return syscall.EINVAL
		}
		if err := f.disk.fails(x); err != nil {
			op.Length = 0
			return err
		}
		n = v.read(f.node, p, off, x)
		op.Length = n
		if n < len(p) {
			return io.EOF
		}
		return nil
	})
	return n, err
}

// Write leaves the caller's buffer scrambled, as a vfs.File may.
func (f *file) Write(p []byte) (int, error) {
	n, err := f.WriteAt(p, f.pos.Load())
	f.pos.Add(int64(n))
	for i := range min(len(p), 8) {
		p[i] ^= 0xa5 //lint:ignore SA1023 a vfs.File may do so
	}
	for i := 8; i < len(p); i *= 2 {
		copy(p[i:], p[:i])
	}
	return n, err
}

func (f *file) WriteAt(p []byte, off int64) (n int, err error) {
	op := Op{Kind: Write, Path: f.path, Offset: off, Length: len(p), Mark: markOf(p)}
	err = f.disk.do(op, f.volume, func(v *Volume, op *Op, x *verdict) error {
		op.Length = 0
		if err := f.usable(); err != nil {
			return err
		}
		switch {
		case !f.writes:
			return syscall.EBADF
		case off < 0:
			return syscall.EINVAL
		}
		if err := f.disk.fails(x); err != nil {
			return err
		}
		n, err = v.write(f.node, p, off, x)
		op.Length = n
		return err
	})
	return n, err
}

// write writes what there is room for.
func (v *Volume) write(n *node, p []byte, off int64, x *verdict) (int, error) {
	var err error
	if len(p) > 0 && v.disk.fire(x, ShortWrite) {
		p, err = p[:x.roll%uint64(len(p))], syscall.EIO
	}
	if fit := max(0, v.end(n)-off); int64(len(p)) > fit {
		v.disk.tally[full].Add(1)
		p, err = p[:fit], syscall.ENOSPC
	}
	if len(p) == 0 {
		return 0, err
	}
	v.tree.used -= n.blocks()
	if v.astray(n, p, off, x) {
		n.content.grow(off + int64(len(p)))
	} else {
		n.content.writeAt(p, off)
	}
	v.tree.used += n.blocks()
	return len(p), err
}

// end is how far a file can reach.
func (v *Volume) end(n *node) int64 { return (n.blocks() + v.room()) * blockBytes }

// Preallocate takes the space from the capacity; the size stays.
func (f *file) Preallocate(off, length int64) error {
	op := Op{Kind: Preallocate, Path: f.path, Offset: off, Length: int(length)}
	return f.disk.do(op, f.volume, func(v *Volume, _ *Op, x *verdict) error {
		if err := f.usable(); err != nil || f.node.isDir() {
			return err
		}
		if err := f.disk.fails(x); err != nil {
			return err
		}
		if off+length > v.end(f.node) {
			f.disk.tally[full].Add(1)
			return syscall.ENOSPC
		}
		v.tree.used -= f.node.blocks()
		f.node.reserved = max(f.node.reserved, off+length)
		v.tree.used += f.node.blocks()
		return nil
	})
}

func (f *file) Sync() error {
	if f.node.isDir() {
		return f.syncDir()
	}
	return f.sync(Sync)
}

func (f *file) SyncData() error {
	if f.node.isDir() {
		return f.syncDir()
	}
	return f.sync(SyncData)
}

// SyncTo begins to write, and promises nothing.
func (f *file) SyncTo(length int64) (bool, error) {
	return false, f.disk.do(Op{Kind: SyncTo, Path: f.path, Length: int(length)}, f.volume, func(_ *Volume, _ *Op, x *verdict) error {
		if f.disk.fire(x, SyncError) {
			return syscall.EIO
		}
		return f.usable()
	})
}

func (f *file) sync(k Kind) error {
	var begun flush
	begin := func() { begun = f.node.content.begin() }
	return f.disk.doFrom(Op{Kind: k, Path: f.path}, f.volume, begin, func(v *Volume, _ *Op, x *verdict) error {
		if err := f.usable(); err != nil {
			return err
		}
		d := v.disk
		switch {
		case d.fire(x, SyncError):
			f.node.content.finish(begun, func() bool { return d.chance(0.5) }, false)
			return syscall.EIO
		case d.fire(x, LostSync):
			f.node.content.finish(begun, func() bool { return false }, false)
		default:
			f.node.content.finish(begun, func() bool { return true }, true)
		}
		return nil
	})
}

func (f *file) syncDir() error {
	var seq uint64
	begin := func() { seq = f.tree.seq }
	return f.disk.doFrom(Op{Kind: SyncDir, Path: f.path}, f.volume, begin, func(v *Volume, _ *Op, x *verdict) error {
		if err := f.usable(); err != nil {
			return err
		}
		failed := v.disk.fire(x, SyncError)
		f.tree.persist(f.node, seq, failed)
		if failed {
			return syscall.EIO
		}
		return nil
	})
}

func (f *file) Prefetch(int64, int64) error { return nil }
func (f *file) Fd() uintptr                 { return vfs.InvalidFd }

func (f *file) Stat() (vfs.FileInfo, error) {
	var i info
	err := f.disk.do(Op{Kind: Stat, Path: f.path}, f.volume, func(*Volume, *Op, *verdict) error {
		i = describe(f.path, f.node)
		return f.usable()
	})
	if err != nil {
		return nil, err
	}
	return i, nil
}

// info describes a file as it was.
type info struct {
	name string
	size int64
	dir  bool
}

func describe(name string, n *node) info {
	i := info{name: path.Base(name), dir: n.isDir()}
	if !i.dir {
		i.size = n.content.size
	}
	return i
}

func (i info) Name() string           { return i.name }
func (i info) Size() int64            { return i.size }
func (i info) ModTime() time.Time     { return time.Time{} }
func (i info) IsDir() bool            { return i.dir }
func (i info) Sys() any               { return nil }
func (i info) DeviceID() vfs.DeviceID { return vfs.DeviceID{} }

func (i info) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o700
	}
	return 0o600
}
