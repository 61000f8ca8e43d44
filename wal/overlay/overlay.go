// Package overlay is a file system over another one that is only read: whatever is
// changed stays in memory. What opens a store as its owner would, and so mends and
// writes, can thereby look at one that must stay as it is.
package overlay

import (
	"errors"
	"io"
	"io/fs"
	"slices"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

var _ vfs.FS = (*FS)(nil)

// ErrUnsupported is what a change is refused with that only the base could make.
var ErrUnsupported = errors.New("overlay: not supported")

// FS is the file system. A file that is opened for writing, linked or renamed is copied
// into memory whole. Directories of the base cannot be renamed. Safe for concurrent use
// as far as the base is; nothing else may change the base meanwhile.
type FS struct {
	base, mem vfs.FS

	mu   sync.RWMutex
	gone map[string]bool // names of the base that were removed
}

// New returns an overlay over base in which nothing is changed yet.
func New(base vfs.FS) *FS {
	return &FS{base: base, mem: vfs.NewMem(), gone: make(map[string]bool)}
}

func notExist(op, name string) error { return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist} }

// hidden tells whether a name of the base, or a directory that it is in, was removed.
func (f *FS) hidden(name string) bool {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for {
		if f.gone[name] {
			return true
		}
		dir := f.base.PathDir(name)
		if dir == name {
			return false
		}
		name = dir
	}
}

// inMem tells whether memory has the name: a directory there may have more in the base.
func (f *FS) inMem(name string) (vfs.FileInfo, bool) {
	i, err := f.mem.Stat(name)
	return i, err == nil
}

// inBase tells whether the base has the name and it was not removed.
func (f *FS) inBase(name string) (vfs.FileInfo, error) {
	if f.hidden(name) {
		return nil, notExist("stat", name)
	}
	return f.base.Stat(name)
}

// makeParent makes sure that memory has the directory of a name, which must be there.
func (f *FS) makeParent(name string) error {
	dir := f.base.PathDir(name)
	i, err := f.Stat(dir)
	if err != nil {
		return err
	}
	if !i.IsDir() {
		return &fs.PathError{Op: "open", Path: name, Err: errors.New("not a directory")}
	}
	return f.mem.MkdirAll(dir, 0o700)
}

// copyUp brings a file of the base into memory, if it is not there.
func (f *FS) copyUp(name string) error {
	if _, ok := f.inMem(name); ok {
		return nil
	}
	i, err := f.inBase(name)
	if err != nil {
		return err
	}
	if i.IsDir() {
		return ErrUnsupported
	}
	from, err := f.base.Open(name)
	if err != nil {
		return err
	}
	defer from.Close()
	if err := f.makeParent(name); err != nil {
		return err
	}
	to, err := f.mem.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	if err = errors.Join(err, to.Close()); err != nil {
		return errors.Join(err, f.mem.Remove(name)) // a part of it must not be taken for it
	}
	return nil
}

// remove makes a name of the base invisible.
func (f *FS) remove(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gone[name] = true
}

// Create implements vfs.FS.
func (f *FS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.makeParent(name); err != nil {
		return nil, err
	}
	return f.mem.Create(name, c)
}

// Link implements vfs.FS.
func (f *FS) Link(from, to string) error {
	if err := f.copyUp(from); err != nil {
		return err
	}
	if _, err := f.Stat(to); err == nil {
		return &fs.PathError{Op: "link", Path: to, Err: fs.ErrExist}
	}
	if err := f.makeParent(to); err != nil {
		return err
	}
	return f.mem.Link(from, to)
}

// Open implements vfs.FS.
func (f *FS) Open(name string, o ...vfs.OpenOption) (vfs.File, error) {
	if _, ok := f.inMem(name); ok {
		return f.mem.Open(name, o...)
	}
	if f.hidden(name) {
		return nil, notExist("open", name)
	}
	return f.base.Open(name, o...)
}

// OpenReadWrite implements vfs.FS.
func (f *FS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	if err := f.copyUp(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err := f.makeParent(name); err != nil {
		return nil, err
	}
	return f.mem.OpenReadWrite(name, c, o...)
}

// OpenDir implements vfs.FS.
func (f *FS) OpenDir(name string) (vfs.File, error) {
	if _, ok := f.inMem(name); !ok {
		i, err := f.inBase(name)
		if err != nil {
			return nil, err
		}
		if !i.IsDir() {
			return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("not a directory")}
		}
		if err := f.mem.MkdirAll(name, 0o700); err != nil {
			return nil, err
		}
	}
	return f.mem.OpenDir(name) // so that a sync of it touches memory only
}

// Remove implements vfs.FS.
func (f *FS) Remove(name string) error {
	i, err := f.Stat(name)
	if err != nil {
		return err
	}
	if i.IsDir() {
		names, err := f.List(name)
		if err != nil {
			return err
		}
		if len(names) > 0 {
			return &fs.PathError{Op: "remove", Path: name, Err: errors.New("directory not empty")}
		}
	}
	if _, ok := f.inMem(name); ok {
		if err := f.mem.RemoveAll(name); err != nil {
			return err
		}
	}
	f.remove(name)
	return nil
}

// RemoveAll implements vfs.FS.
func (f *FS) RemoveAll(name string) error {
	if err := f.mem.RemoveAll(name); err != nil {
		return err
	}
	f.remove(name)
	return nil
}

// Rename implements vfs.FS.
func (f *FS) Rename(from, to string) error {
	i, err := f.Stat(from)
	if err != nil {
		return err
	}
	if _, err := f.base.Stat(from); i.IsDir() && err == nil && !f.hidden(from) {
		return &fs.PathError{Op: "rename", Path: from, Err: ErrUnsupported}
	}
	if !i.IsDir() {
		if err := f.copyUp(from); err != nil {
			return err
		}
	}
	if err := f.makeParent(to); err != nil {
		return err
	}
	if err := f.mem.Rename(from, to); err != nil {
		return err
	}
	f.remove(from)
	return nil
}

// ReuseForWrite implements vfs.FS.
func (f *FS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.Rename(from, to); err != nil {
		return nil, err
	}
	return f.OpenReadWrite(to, c)
}

// MkdirAll implements vfs.FS.
func (f *FS) MkdirAll(dir string, mode fs.FileMode) error { return f.mem.MkdirAll(dir, mode) }

// Lock implements vfs.FS. A lock of the base is taken where its file is, so that what its
// owner has open is not opened beside it.
func (f *FS) Lock(name string) (io.Closer, error) {
	if _, err := f.inBase(name); errors.Is(err, fs.ErrNotExist) {
		return f.mem.Lock(name)
	}
	c, err := f.base.Lock(name)
	if errors.Is(err, syscall.EROFS) { // nobody has it open to write
		return f.mem.Lock(name)
	}
	return c, err
}

// List implements vfs.FS.
func (f *FS) List(dir string) ([]string, error) {
	names, memErr := f.mem.List(dir)
	if f.hidden(dir) {
		return names, memErr
	}
	more, err := f.base.List(dir)
	if err != nil && memErr != nil {
		return nil, err
	}
	for _, name := range more {
		if !f.hidden(f.base.PathJoin(dir, name)) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Stat implements vfs.FS.
func (f *FS) Stat(name string) (vfs.FileInfo, error) {
	if i, ok := f.inMem(name); ok {
		return i, nil
	}
	return f.inBase(name)
}

// PathBase implements vfs.FS.
func (f *FS) PathBase(path string) string { return f.base.PathBase(path) }

// PathJoin implements vfs.FS.
func (f *FS) PathJoin(elem ...string) string { return f.base.PathJoin(elem...) }

// PathDir implements vfs.FS.
func (f *FS) PathDir(path string) string { return f.base.PathDir(path) }

// GetDiskUsage implements vfs.FS: the base's.
func (f *FS) GetDiskUsage(path string) (vfs.DiskUsage, error) { return f.base.GetDiskUsage(path) }

// Unwrap implements vfs.FS: what has a descriptor of its own is not below an overlay.
func (f *FS) Unwrap() vfs.FS { return nil }
