package fsm

import (
	"fmt"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/wal/durable"
)

// markerFS keeps the changes of a directory in order around Pebble's markers. A
// marker is an empty file whose name says which MANIFEST holds. Pebble makes the
// MANIFEST, then the marker, then removes the older marker, and syncs the directory
// once: a power cut that left only the later changes would leave a marker of a file
// that is not there, or no marker, which is an empty state. Journals of file systems
// happen to keep that order. Here nothing depends on it.
type markerFS struct {
	vfs.FS
	// fatal stops the node; it never returns. Pebble would go on without what could
	// not be removed, though what it said is not durable.
	fatal func(error)
}

const markerPrefix = "marker."

// Create implements vfs.FS.
func (f markerFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f.settle(name)
	return f.FS.Create(name, c)
}

// Remove implements vfs.FS.
func (f markerFS) Remove(name string) error {
	f.settle(name)
	return f.FS.Remove(name)
}

// Unwrap implements vfs.FS.
func (f markerFS) Unwrap() vfs.FS { return f.FS }

// settle makes what was done in a marker's directory durable.
func (f markerFS) settle(name string) {
	if !strings.HasPrefix(f.PathBase(name), markerPrefix) {
		return
	}
	dir := f.PathDir(name)
	if err := durable.SyncDir(f.FS, dir); err != nil {
		f.fatal(fmt.Errorf("sync of %s: %w", dir, err))
	}
}
