package disk

import (
	"errors"
	"io/fs"
	"path"
	"strings"
	"syscall"
)

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
