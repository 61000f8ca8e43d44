package disk

import (
	"errors"
	"io"
	"io/fs"
	"path"
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
		u = vfs.DiskUsage{AvailBytes: uint64(v.room()) * blockBytes, TotalBytes: uint64(v.capacity) * blockBytes, UsedBytes: uint64(v.tree.used+v.occupied) * blockBytes}
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
