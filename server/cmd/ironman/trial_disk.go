package main

import (
	"os"
	"strings"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// markFS is a file system some directories of which, and what is below them, fail as
// long as somebody marks them: by a file beside the directory, which has its name and
// a suffix. That takes no privileges, and reaches files that are open already, as the
// faults do that it stands for. A fault is gone with its mark.
type markFS struct {
	vfs.FS
	dirs []string
}

// Marks, as suffixes.
const (
	markReadOnly = ".readonly" // nothing changes
	markFull     = ".full"     // nothing grows
	markSick     = ".sick"     // whatever is read, written or synced fails
)

// marked is the error of a mark that a path is under.
func (f *markFS) marked(path, mark string, err syscall.Errno) error {
	for _, d := range f.dirs {
		if path != d && !strings.HasPrefix(path, d+"/") {
			continue
		}
		if _, e := os.Stat(d + mark); e == nil {
			return &os.PathError{Op: "change", Path: path, Err: err}
		}
	}
	return nil
}

// changes is why nothing under a path can change.
func (f *markFS) changes(path string) error {
	if err := f.sick(path); err != nil {
		return err
	}
	return f.marked(path, markReadOnly, syscall.EROFS)
}

// grows is why nothing under a path can grow.
func (f *markFS) grows(path string) error {
	if err := f.changes(path); err != nil {
		return err
	}
	return f.marked(path, markFull, syscall.ENOSPC)
}

func (f *markFS) sick(path string) error { return f.marked(path, markSick, syscall.EIO) }

func (f *markFS) file(path string, file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &markFile{File: file, path: path, fs: f}, nil
}

// Create implements vfs.FS.
func (f *markFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.grows(name); err != nil {
		return nil, err
	}
	file, err := f.FS.Create(name, c)
	return f.file(name, file, err)
}

// Open implements vfs.FS.
func (f *markFS) Open(name string, o ...vfs.OpenOption) (vfs.File, error) {
	if err := f.sick(name); err != nil {
		return nil, err
	}
	file, err := f.FS.Open(name, o...)
	return f.file(name, file, err)
}

// OpenReadWrite implements vfs.FS.
func (f *markFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	if err := f.changes(name); err != nil {
		return nil, err
	}
	if _, err := f.FS.Stat(name); err != nil { // it is to be made
		if err := f.grows(name); err != nil {
			return nil, err
		}
	}
	file, err := f.FS.OpenReadWrite(name, c, o...)
	return f.file(name, file, err)
}

// OpenDir implements vfs.FS.
func (f *markFS) OpenDir(name string) (vfs.File, error) {
	if err := f.sick(name); err != nil {
		return nil, err
	}
	file, err := f.FS.OpenDir(name)
	return f.file(name, file, err)
}

// ReuseForWrite implements vfs.FS.
func (f *markFS) ReuseForWrite(from, to string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.grows(to); err != nil {
		return nil, err
	}
	file, err := f.FS.ReuseForWrite(from, to, c)
	return f.file(to, file, err)
}

// Link implements vfs.FS.
func (f *markFS) Link(from, to string) error {
	if err := f.grows(to); err != nil {
		return err
	}
	return f.FS.Link(from, to)
}

// Rename implements vfs.FS.
func (f *markFS) Rename(from, to string) error {
	if err := f.changes(to); err != nil {
		return err
	}
	return f.FS.Rename(from, to)
}

// Remove implements vfs.FS.
func (f *markFS) Remove(name string) error {
	if err := f.changes(name); err != nil {
		return err
	}
	return f.FS.Remove(name)
}

// RemoveAll implements vfs.FS.
func (f *markFS) RemoveAll(name string) error {
	if err := f.changes(name); err != nil {
		return err
	}
	return f.FS.RemoveAll(name)
}

// MkdirAll implements vfs.FS.
func (f *markFS) MkdirAll(dir string, mode os.FileMode) error {
	if _, err := f.FS.Stat(dir); err == nil {
		return nil
	}
	if err := f.grows(dir); err != nil {
		return err
	}
	return f.FS.MkdirAll(dir, mode)
}

// List implements vfs.FS.
func (f *markFS) List(dir string) ([]string, error) {
	if err := f.sick(dir); err != nil {
		return nil, err
	}
	return f.FS.List(dir)
}

// GetDiskUsage implements vfs.FS.
func (f *markFS) GetDiskUsage(path string) (vfs.DiskUsage, error) {
	u, err := f.FS.GetDiskUsage(path)
	if err == nil && f.marked(path, markFull, syscall.ENOSPC) != nil {
		u.AvailBytes, u.UsedBytes = 0, u.TotalBytes
	}
	return u, err
}

// Unwrap implements vfs.FS.
func (f *markFS) Unwrap() vfs.FS { return f.FS }

type markFile struct {
	vfs.File
	path string
	fs   *markFS
}

// Read implements vfs.File.
func (f *markFile) Read(b []byte) (int, error) {
	if err := f.fs.sick(f.path); err != nil {
		return 0, err
	}
	return f.File.Read(b)
}

// ReadAt implements vfs.File.
func (f *markFile) ReadAt(b []byte, at int64) (int, error) {
	if err := f.fs.sick(f.path); err != nil {
		return 0, err
	}
	return f.File.ReadAt(b, at)
}

// Write implements vfs.File.
func (f *markFile) Write(b []byte) (int, error) {
	if err := f.fs.grows(f.path); err != nil {
		return 0, err
	}
	return f.File.Write(b)
}

// WriteAt implements vfs.File. Space that a file has already is there on a full disk, too.
func (f *markFile) WriteAt(b []byte, at int64) (int, error) {
	if err := f.fs.changes(f.path); err != nil {
		return 0, err
	}
	if err := f.fs.grows(f.path); err != nil {
		if info, e := f.File.Stat(); e != nil || at+int64(len(b)) > info.Size() {
			return 0, err
		}
	}
	return f.File.WriteAt(b, at)
}

// Preallocate implements vfs.File.
func (f *markFile) Preallocate(at, length int64) error {
	if err := f.fs.grows(f.path); err != nil {
		return err
	}
	return f.File.Preallocate(at, length)
}

// Sync implements vfs.File.
func (f *markFile) Sync() error {
	if err := f.fs.sick(f.path); err != nil {
		return err
	}
	return f.File.Sync()
}

// SyncData implements vfs.File.
func (f *markFile) SyncData() error {
	if err := f.fs.sick(f.path); err != nil {
		return err
	}
	return f.File.SyncData()
}

// SyncTo implements vfs.File.
func (f *markFile) SyncTo(length int64) (bool, error) {
	if err := f.fs.sick(f.path); err != nil {
		return false, err
	}
	return f.File.SyncTo(length)
}
