package wal

import (
	"io"
	"os"
	"path"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// powerFile is an open file or directory.
type powerFile struct {
	d    *powerDisk
	n    *powerNode
	name string
	pos  int64
}

func (f *powerFile) Close() error { return nil }

func (f *powerFile) Read(p []byte) (int, error) {
	n, err := f.ReadAt(p, f.pos)
	f.pos += int64(n)
	if n > 0 {
		err = nil
	}
	return n, err
}

func (f *powerFile) ReadAt(p []byte, at int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if at >= int64(len(f.n.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.n.data[at:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *powerFile) Write(p []byte) (int, error) {
	n, err := f.WriteAt(p, f.pos)
	f.pos += int64(n)
	for i := range p {
		p[i] ^= 0xff //lint:ignore SA1023 a vfs.File may do so
	}
	return n, err
}

func (f *powerFile) WriteAt(p []byte, at int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.tell("write %s %d+%d", f.name, at, len(p)); err != nil {
		return 0, err
	}
	if grow := at + int64(len(p)) - int64(len(f.n.data)); grow > 0 {
		f.n.data = append(f.n.data, make([]byte, grow)...)
	}
	return copy(f.n.data[at:], p), nil
}

func (f *powerFile) Sync() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.tell("sync %s", f.name); err != nil {
		return err
	}
	if f.n.live == nil {
		f.n.synced = slices.Clone(f.n.data)
		return nil
	}
	f.d.pending = slices.DeleteFunc(f.d.pending, func(c entryChange) bool {
		if c.dir == f.n {
			c.apply(f.n.durable)
		}
		return c.dir == f.n
	})
	return nil
}

func (f *powerFile) SyncData() error              { return f.Sync() }
func (f *powerFile) SyncTo(int64) (bool, error)   { return true, f.Sync() }
func (f *powerFile) Preallocate(_, _ int64) error { return nil }
func (f *powerFile) Prefetch(int64, int64) error  { return nil }
func (f *powerFile) Fd() uintptr                  { return vfs.InvalidFd }
func (f *powerFile) Stat() (vfs.FileInfo, error)  { return powerInfo{f}, nil }

// powerInfo describes an open file.
type powerInfo struct{ f *powerFile }

func (i powerInfo) Name() string { return path.Base(i.f.name) }
func (i powerInfo) Size() int64 {
	i.f.d.mu.Lock()
	defer i.f.d.mu.Unlock()
	return int64(len(i.f.n.data))
}
func (i powerInfo) Mode() os.FileMode      { return 0o600 }
func (i powerInfo) ModTime() time.Time     { return time.Time{} }
func (i powerInfo) IsDir() bool            { return i.f.n.live != nil }
func (i powerInfo) Sys() any               { return nil }
func (i powerInfo) DeviceID() vfs.DeviceID { return vfs.DeviceID{} }
