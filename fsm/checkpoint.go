package fsm

import (
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/sim/sabotage"
)

// Checkpoint makes the state durable and links it into dir, which must not be
// there, on the same file system. It returns the moment the copy holds, which
// may be later than the moment it was called. Safe beside Apply, one at a time.
// Where it fails it leaves part of dir, but nothing open.
func (m *Machine) Checkpoint(dir string) (Applied, error) {
	if sabotage.On(sabotage.X17) {
		return m.Applied(), m.db.Checkpoint(dir) // of what happens to be flushed
	}
	if err := m.db.Flush(); err != nil {
		return Applied{}, fmt.Errorf("fsm: flush: %w", err)
	}
	m.files.watch(dir)
	if err := errors.Join(m.db.Checkpoint(dir), m.files.closeRest()); err != nil {
		return Applied{}, fmt.Errorf("fsm: checkpoint: %w", err)
	}
	return ReadApplied(m.opts.FS, dir)
}

// checkpointFS knows which files and directories Pebble has open in the directory of a
// checkpoint. One that fails forgets some of them, with the goroutines that watch their
// writes, and it is tried again as long as the disk is full.
type checkpointFS struct {
	vfs.FS

	mu   sync.Mutex
	dir  string // "": there is no checkpoint
	open map[*checkpointFile]struct{}
}

type checkpointFile struct {
	vfs.File
	fs *checkpointFS
}

// watch begins.
func (f *checkpointFS) watch(dir string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dir, f.open = dir, make(map[*checkpointFile]struct{})
}

// closeRest ends watch, and closes what is still open.
func (f *checkpointFS) closeRest() error {
	f.mu.Lock()
	rest := f.open
	f.dir, f.open = "", nil
	f.mu.Unlock()
	var errs []error
	for file := range rest {
		errs = append(errs, file.File.Close())
	}
	return errors.Join(errs...)
}

func (f *checkpointFS) watched(name string, file vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return file, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dir == "" || name != f.dir && f.PathDir(name) != f.dir {
		return file, nil
	}
	w := &checkpointFile{File: file, fs: f}
	f.open[w] = struct{}{}
	return w, nil
}

// Create implements vfs.FS.
func (f *checkpointFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.Create(name, c)
	return f.watched(name, file, err)
}

// OpenDir implements vfs.FS.
func (f *checkpointFS) OpenDir(name string) (vfs.File, error) {
	file, err := f.FS.OpenDir(name)
	return f.watched(name, file, err)
}

// Unwrap implements vfs.FS.
func (f *checkpointFS) Unwrap() vfs.FS { return f.FS }

// Close implements vfs.File.
func (c *checkpointFile) Close() error {
	c.fs.mu.Lock()
	delete(c.fs.open, c)
	c.fs.mu.Unlock()
	return c.File.Close()
}
