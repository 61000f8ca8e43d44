package server

import (
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// syncCounter is a file system that counts the syncs of files and directories: what
// durability costs, for the metrics.
type syncCounter struct {
	vfs.FS
	syncs *atomic.Uint64
}

func (c syncCounter) count(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return countedFile{f, c.syncs}, nil
}

func (c syncCounter) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return c.count(c.FS.Create(name, category))
}

func (c syncCounter) OpenReadWrite(name string, category vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return c.count(c.FS.OpenReadWrite(name, category, opts...))
}

func (c syncCounter) OpenDir(name string) (vfs.File, error) { return c.count(c.FS.OpenDir(name)) }

func (c syncCounter) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	return c.count(c.FS.ReuseForWrite(oldname, newname, category))
}

// Unwrap gives the file system under this one.
func (c syncCounter) Unwrap() vfs.FS { return c.FS }

// countedFile counts the syncs of one file.
type countedFile struct {
	vfs.File
	syncs *atomic.Uint64
}

func (f countedFile) Sync() error {
	f.syncs.Add(1)
	return f.File.Sync()
}

func (f countedFile) SyncData() error {
	f.syncs.Add(1)
	return f.File.SyncData()
}

func (f countedFile) SyncTo(length int64) (bool, error) {
	full, err := f.File.SyncTo(length)
	if full {
		f.syncs.Add(1)
	}
	return full, err
}
