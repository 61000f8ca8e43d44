// Package durable makes directories whose entries a power cut does not take away. It
// knows nothing of what is in them.
package durable

import (
	"errors"
	"io/fs"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// SyncDir makes the entries of a directory durable.
func SyncDir(fsys vfs.FS, dir string) error {
	d, err := fsys.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// MakeDir makes a directory and its entry durable, with those above it that are
// missing: files that are synced are of no use in a directory that a power cut takes
// away. Before it is made, the one above it has a durable entry: so of one that is
// there, though a crash came between, only its own entry can be missing. One whose entry
// cannot be synced is taken away again: another sync would succeed, and do nothing, for
// what the first one lost counts as written (https://danluu.com/fsyncgate/).
func MakeDir(fsys vfs.FS, dir string, perm fs.FileMode) error {
	above := fsys.PathDir(dir)
	if above == dir {
		return nil
	}
	_, err := fsys.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err := MakeDir(fsys, above, perm); err != nil {
			return err
		}
		if err := fsys.MkdirAll(dir, perm); err != nil {
			return err
		}
		if err := SyncDir(fsys, above); err != nil {
			return errors.Join(err, fsys.Remove(dir))
		}
		return nil
	}
	if err != nil {
		return err
	}
	if err := SyncDir(fsys, above); !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil // where nothing may be read, nothing was made
}
