package server_test

import (
	"errors"
	"io/fs"
	"strings"
	"sync"
	"syscall"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// quotaFS is a file system with room for so many bytes: it tells how many are left,
// and what would need more fails with ENOSPC. Hard links and files that replace
// others are accounted for; a file that is removed while it is open counts as gone.
type quotaFS struct {
	vfs.FS

	mu      sync.Mutex
	quota   int64
	used    int64
	names   map[string]*quotaFile
	refused []string // paths of what failed for want of space
}

type quotaFile struct {
	size  int64
	links int
}

func newQuotaFS(inner vfs.FS, root string, quota int64) (*quotaFS, error) {
	q := &quotaFS{FS: inner, quota: quota, names: make(map[string]*quotaFile)}
	if err := q.adopt(root); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return q, nil
}

// adopt accounts for what is there already.
func (q *quotaFS) adopt(path string) error {
	info, err := q.FS.Stat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		q.names[path] = &quotaFile{size: info.Size(), links: 1}
		q.used += info.Size()
		return nil
	}
	names, err := q.FS.List(path)
	for _, name := range names {
		err = errors.Join(err, q.adopt(q.FS.PathJoin(path, name)))
	}
	return err
}

func (q *quotaFS) state() (used int64, refused []string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.used, q.refused
}

func (q *quotaFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return vfs.DiskUsage{TotalBytes: uint64(q.quota), UsedBytes: uint64(q.used), AvailBytes: uint64(max(q.quota-q.used, 0))}, nil
}

// grow makes room for a file's bytes up to end.
func (q *quotaFS) grow(name string, f *quotaFile, end int64) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	more := end - f.size
	if more <= 0 {
		return nil
	}
	if q.used+more > q.quota {
		q.refused = append(q.refused, name)
		return &fs.PathError{Op: "write", Path: name, Err: syscall.ENOSPC}
	}
	q.used, f.size = q.used+more, end
	return nil
}

// bind gives a name to a file (nil: to none); what had it loses it. q.mu is held.
func (q *quotaFS) bind(name string, f *quotaFile) {
	if old := q.names[name]; old != nil {
		if old.links--; old.links == 0 {
			q.used -= old.size
		}
	}
	delete(q.names, name)
	if f != nil {
		f.links++
		q.names[name] = f
	}
}

// opened wraps a file that was opened for writing under a name.
func (q *quotaFS) opened(name string, fresh bool, f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if fresh || q.names[name] == nil {
		q.bind(name, &quotaFile{})
	}
	return &quotaHandle{File: f, q: q, name: name, file: q.names[name]}, nil
}

func (q *quotaFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := q.FS.Create(name, c)
	return q.opened(name, true, f, err)
}

func (q *quotaFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	f, err := q.FS.OpenReadWrite(name, c, o...)
	return q.opened(name, false, f, err)
}

func (q *quotaFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := q.Remove(oldname); err != nil {
		return nil, err
	}
	return q.Create(newname, c)
}

func (q *quotaFS) Link(oldname, newname string) error {
	err := q.FS.Link(oldname, newname)
	if err == nil {
		q.mu.Lock()
		q.bind(newname, q.names[oldname])
		q.mu.Unlock()
	}
	return err
}

func (q *quotaFS) Remove(name string) error {
	err := q.FS.Remove(name)
	if err == nil {
		q.mu.Lock()
		q.bind(name, nil)
		q.mu.Unlock()
	}
	return err
}

func (q *quotaFS) RemoveAll(name string) error {
	err := q.FS.RemoveAll(name)
	q.mu.Lock()
	defer q.mu.Unlock()
	for n := range q.names {
		if n == name || strings.HasPrefix(n, name+"/") {
			q.bind(n, nil)
		}
	}
	return err
}

func (q *quotaFS) Rename(oldname, newname string) error {
	if err := q.FS.Rename(oldname, newname); err != nil {
		return err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	moved := make(map[string]*quotaFile) // a directory takes all below it along
	for n, f := range q.names {
		if n == oldname || strings.HasPrefix(n, oldname+"/") {
			moved[newname+strings.TrimPrefix(n, oldname)] = f
			delete(q.names, n)
			f.links--
		}
	}
	for n, f := range moved {
		q.bind(n, f)
	}
	return nil
}

func (q *quotaFS) Unwrap() vfs.FS { return q.FS }

// quotaHandle is an open file that counts.
type quotaHandle struct {
	vfs.File
	q    *quotaFS
	name string
	file *quotaFile
	at   int64 // of Write
}

func (h *quotaHandle) Write(b []byte) (int, error) {
	if err := h.q.grow(h.name, h.file, h.at+int64(len(b))); err != nil {
		return 0, err
	}
	n, err := h.File.Write(b)
	h.at += int64(n)
	return n, err
}

func (h *quotaHandle) WriteAt(b []byte, at int64) (int, error) {
	if err := h.q.grow(h.name, h.file, at+int64(len(b))); err != nil {
		return 0, err
	}
	return h.File.WriteAt(b, at)
}

// Preallocate does nothing: what is not written takes no room here.
func (h *quotaHandle) Preallocate(int64, int64) error { return nil }
