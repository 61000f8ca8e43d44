package disk

import (
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

var _ vfs.FS = (*Disk)(nil)

// Create removes what has the name and makes an empty file: two changes, as on Linux.
func (d *Disk) Create(name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	var f *file
	err := d.do(Op{Kind: Create, Path: clean(name)}, nil, func(v *Volume, op *Op, x *verdict) (err error) {
		if err = d.fails(x); err != nil {
			return err
		}
		f, err = v.create(op.Path)
		return err
	})
	if err != nil {
		return nil, err
	}
	return f, nil
}

func (v *Volume) create(name string) (*file, error) {
	dir, base, n, err := v.tree.place(v.rel(name))
	switch {
	case err != nil:
		return nil, err
	case n != nil && n.isDir():
		return nil, syscall.EISDIR
	}
	if err := v.wantsRoom(); err != nil {
		return nil, err
	}
	if n != nil {
		v.tree.change(change{dir: dir, name: base})
	}
	n = newFile()
	v.tree.change(change{dir: dir, name: base, node: n})
	return v.handle(name, n, true), nil
}

// wantsRoom refuses a new name on a disk on which not a block is free.
func (v *Volume) wantsRoom() error {
	if v.room() == 0 {
		v.disk.tally[full].Add(1)
		return syscall.ENOSPC
	}
	return nil
}

// Link gives a file another name.
func (d *Disk) Link(from, to string) error {
	return d.do(Op{Kind: Link, Path: clean(from), To: clean(to)}, nil, func(v *Volume, op *Op, x *verdict) error {
		if err := d.fails(x); err != nil {
			return err
		}
		n, err := v.tree.find(v.rel(op.Path))
		if err != nil {
			return err
		}
		if d.volumeOf(op.To) != v {
			return syscall.EXDEV
		}
		dir, base, other, err := v.tree.place(v.rel(op.To))
		switch {
		case err != nil:
			return err
		case other != nil:
			return syscall.EEXIST
		case n.isDir():
			return syscall.EPERM
		}
		if err := v.wantsRoom(); err != nil {
			return err
		}
		v.tree.change(change{dir: dir, name: base, node: n})
		return nil
	})
}

// Rename replaces a file that has the new name, but no directory, as os.Rename does.
func (d *Disk) Rename(from, to string) error {
	return d.do(Op{Kind: Rename, Path: clean(from), To: clean(to)}, nil, func(v *Volume, op *Op, x *verdict) error {
		if err := d.fails(x); err != nil {
			return err
		}
		return v.rename(op.Path, op.To)
	})
}

func (v *Volume) rename(from, to string) error {
	source, away, n, err := v.tree.place(v.rel(from))
	switch {
	case err != nil:
		return err
	case n == nil:
		return syscall.ENOENT
	case v.disk.volumeOf(to) != v:
		return syscall.EXDEV
	case v.mountedBelow(from):
		return syscall.EBUSY
	}
	dir, base, other, err := v.tree.place(v.rel(to))
	switch {
	case err != nil:
		return err
	case from == to || other == n:
		return nil
	case other != nil && other.isDir():
		return syscall.EEXIST
	case other != nil && n.isDir():
		return syscall.ENOTDIR
	case n.isDir() && strings.HasPrefix(to, from+"/"):
		return syscall.EINVAL
	}
	v.tree.change(change{dir: dir, name: base, node: n, from: source, away: away})
	return nil
}

func (v *Volume) mountedBelow(name string) bool {
	for _, w := range v.disk.volumes {
		if w != v && !w.unmounted && strings.HasPrefix(w.path, name+"/") {
			return true
		}
	}
	return false
}

// Remove removes a file or an empty directory.
func (d *Disk) Remove(name string) error {
	return d.do(Op{Kind: Remove, Path: clean(name)}, nil, func(v *Volume, op *Op, x *verdict) error {
		if err := d.fails(x); err != nil {
			return err
		}
		dir, base, n, err := v.tree.place(v.rel(op.Path))
		switch {
		case err != nil:
			return err
		case n == nil:
			return syscall.ENOENT
		case n.isDir() && !n.empty():
			return syscall.ENOTEMPTY
		}
		v.tree.change(change{dir: dir, name: base})
		return nil
	})
}

// RemoveAll removes one thing after the other, all that it can.
func (d *Disk) RemoveAll(name string) error {
	err := d.Remove(name)
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return nil
	}
	if !errors.Is(err, syscall.ENOTEMPTY) && !errors.Is(err, syscall.EBUSY) {
		return err
	}
	names, err := d.List(name)
	for _, base := range names {
		if e := d.RemoveAll(path.Join(name, base)); err == nil {
			err = e
		}
	}
	if err == nil {
		err = d.Remove(name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// MkdirAll makes one directory after the other.
func (d *Disk) MkdirAll(name string, perm fs.FileMode) error {
	name = clean(name)
	info, err := d.Stat(name)
	switch {
	case err == nil && info.IsDir():
		return nil
	case err == nil:
		return &fs.PathError{Op: Mkdir.String(), Path: name, Err: syscall.ENOTDIR}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := d.MkdirAll(path.Dir(name), perm); err != nil {
		return err
	}
	return d.do(Op{Kind: Mkdir, Path: name}, nil, func(v *Volume, op *Op, x *verdict) error {
		if err := d.fails(x); err != nil {
			return err
		}
		dir, base, n, err := v.tree.place(v.rel(op.Path))
		switch {
		case err != nil:
			return err
		case n != nil && n.isDir(): // another came first
			return nil
		case n != nil:
			return syscall.ENOTDIR
		}
		if err := v.wantsRoom(); err != nil {
			return err
		}
		v.tree.change(change{dir: dir, name: base, node: newDir()})
		return nil
	})
}

// Open opens a file or directory to read it.
func (d *Disk) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := d.open(name)
	if err != nil {
		return nil, err
	}
	for _, o := range opts {
		o.Apply(f)
	}
	return f, nil
}

func (d *Disk) open(name string) (f *file, err error) {
	err = d.do(Op{Kind: Open, Path: clean(name)}, nil, func(v *Volume, op *Op, x *verdict) error {
		n, err := v.tree.find(v.rel(op.Path))
		if err == nil {
			f = v.handle(op.Path, n, false)
		}
		return err
	})
	return f, err
}

// OpenDir opens a directory to sync it.
func (d *Disk) OpenDir(name string) (vfs.File, error) { return d.Open(name) }

// OpenReadWrite opens a file, and creates it if there is none.
func (d *Disk) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := d.open(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return d.Create(name, c)
	case err != nil:
		return nil, err
	case f.node.isDir():
		return nil, errors.Join(&fs.PathError{Op: Open.String(), Path: name, Err: syscall.EISDIR}, f.Close())
	}
	f.writes = true
	for _, o := range opts {
		o.Apply(f)
	}
	return f, nil
}

// ReuseForWrite renames a file and opens it with what it holds.
func (d *Disk) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := d.Rename(from, to); err != nil {
		return nil, err
	}
	return d.OpenReadWrite(to, c)
}

// List returns the names in a directory, sorted.
func (d *Disk) List(name string) (names []string, err error) {
	err = d.do(Op{Kind: List, Path: clean(name)}, nil, func(v *Volume, op *Op, x *verdict) error {
		if err := d.fails(x); err != nil {
			return err
		}
		n, err := v.tree.find(v.rel(op.Path))
		if err != nil {
			return err
		}
		if !n.isDir() {
			return syscall.ENOTDIR
		}
		names = n.sorted()
		return nil
	})
	return names, err
}

// Stat describes what has a name.
func (d *Disk) Stat(name string) (vfs.FileInfo, error) {
	var i info
	err := d.do(Op{Kind: Stat, Path: clean(name)}, nil, func(v *Volume, op *Op, _ *verdict) error {
		n, err := v.tree.find(v.rel(op.Path))
		if err == nil {
			i = describe(op.Path, n)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return i, nil
}

// Lock locks a file within this incarnation.
func (d *Disk) Lock(name string) (io.Closer, error) {
	f, err := d.OpenReadWrite(name, "")
	if err != nil {
		return nil, err
	}
	l := &lock{file: f.(*file)}
	d.mu.Lock()
	taken := l.file.tree.locked[l.file.node]
	l.file.tree.locked[l.file.node] = true
	d.mu.Unlock()
	if taken {
		return nil, errors.Join(&fs.PathError{Op: "lock", Path: name, Err: syscall.EAGAIN}, f.Close())
	}
	return l, nil
}

type lock struct{ file *file }

func (l *lock) Close() error {
	l.file.disk.mu.Lock()
	delete(l.file.tree.locked, l.file.node)
	l.file.disk.mu.Unlock()
	return l.file.Close()
}

// GetDiskUsage is of the volume of a path.
func (d *Disk) GetDiskUsage(name string) (u vfs.DiskUsage, err error) {
	err = d.do(Op{Kind: Usage, Path: clean(name)}, nil, func(v *Volume, _ *Op, _ *verdict) error {
		if v.capacity < 0 {
			return vfs.ErrUnsupported
		}
		u = vfs.DiskUsage{AvailBytes: uint64(v.room()) * blockBytes, TotalBytes: uint64(v.capacity) * blockBytes, UsedBytes: uint64(v.tree.used) * blockBytes}
		return nil
	})
	return u, err
}

// PathBase is path.Base.
func (d *Disk) PathBase(p string) string { return path.Base(p) }

// PathJoin is path.Join.
func (d *Disk) PathJoin(elem ...string) string { return path.Join(elem...) }

// PathDir is path.Dir.
func (d *Disk) PathDir(p string) string { return path.Dir(p) }

// Unwrap returns nil: there is nothing beneath.
func (d *Disk) Unwrap() vfs.FS { return nil }
