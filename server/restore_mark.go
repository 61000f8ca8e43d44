package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/wal/durable"
)

// A directory that a cluster is being restored into bears a mark from before the first
// file is in it until the last is whole. No node starts in it, and a restoration that was
// cut short is made again there: whoever finds the mark knows that everything beside it
// came from a restoration.

// restoreMark is what the mark says.
type restoreMark struct {
	Format  int       `json:"format"`
	Cluster string    `json:"cluster"` // its id, hexadecimal
	Origin  string    `json:"ledger_origin"`
	Seq     uint64    `json:"seq"` // the point
	Began   time.Time `json:"began"`
}

const (
	restoreMarkFile   = "restoring.json"
	restoreMarkLock   = "restoring.lock"
	restoreMarkFormat = 1
)

// readRestoreMark reads the mark in a directory; nil if there is none.
func readRestoreMark(f vfs.FS, dir string) (*restoreMark, error) {
	path := f.PathJoin(dir, restoreMarkFile)
	b, err := readSmall(f, path)
	if errors.Is(err, errNoFile) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	m := &restoreMark{}
	if err := strictJSON(b, m); err != nil || m.Format != restoreMarkFormat {
		return nil, fmt.Errorf("server: %s is not one that this release understands", path)
	}
	return m, nil
}

// refuseRestoring keeps a node from starting in a directory whose restoration was cut short.
func refuseRestoring(o *Options) error {
	m, err := readRestoreMark(o.FS, o.Dir)
	if m != nil {
		err = fmt.Errorf("server: the restoration of a cluster into %s, which began at %s, has not come to its end: run ironman restore-cluster again",
			o.Dir, m.Began.Format(time.RFC3339))
	}
	return err
}

// occupy marks a directory for a restoration. It must be empty, or bear the mark of one that
// was cut short: before is what that one was of. Nobody else restores into it until unlock.
func occupy(f vfs.FS, dir string, m restoreMark) (before *restoreMark, unlock io.Closer, err error) {
	if err := durable.MakeDir(f, dir, 0o700); err != nil {
		return nil, nil, fmt.Errorf("server: %w", err)
	}
	if unlock, err = f.Lock(f.PathJoin(dir, restoreMarkLock)); err != nil {
		return nil, nil, fmt.Errorf("server: another restoration is under way in %s: %w", dir, err)
	}
	// What was seen before the lock was had may have become a node meanwhile.
	free, err := restorable(f, dir)
	switch {
	case err != nil:
		return nil, nil, errors.Join(fmt.Errorf("server: %w", err), unlock.Close())
	case !free:
		err = fmt.Errorf("server: %s is not empty: a cluster is restored into a new directory, and into one only once", dir)
		return nil, nil, errors.Join(err, unlock.Close(), f.Remove(f.PathJoin(dir, restoreMarkLock)))
	}
	if before, err = readRestoreMark(f, dir); err != nil {
		return nil, nil, errors.Join(err, unlock.Close())
	}
	b, err := json.MarshalIndent(m, "", "  ")
	if err == nil {
		err = writeDurably(f, f.PathJoin(dir, restoreMarkFile), append(b, '\n'))
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("server: %w", err), unlock.Close())
	}
	return before, unlock, nil
}

// restorable tells whether a directory bears a mark, or has nothing in it that is anybody's.
func restorable(f vfs.FS, dir string) (bool, error) {
	names, err := f.List(dir)
	if err != nil {
		return false, err
	}
	if slices.Contains(names, restoreMarkFile) {
		return true, nil
	}
	// A file system of its own has a directory of that name from the start.
	return !slices.ContainsFunc(names, func(name string) bool {
		return name != "lost+found" && name != restoreMarkLock && name != restoreMarkFile+".tmp"
	}), nil
}

// vacate takes the mark away: what is in the directory is a node. The lock is held until the
// mark is gone for good: whoever has it next finds no mark. Its file, if it stays, is no harm.
func vacate(f vfs.FS, dir string, unlock io.Closer) error {
	err := f.Remove(f.PathJoin(dir, restoreMarkFile))
	if err == nil {
		err = durable.SyncDir(f, dir)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("server: %w", err), unlock.Close())
	}
	if err := unlock.Close(); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	if err := f.Remove(f.PathJoin(dir, restoreMarkLock)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("server: %w", err)
	}
	return nil
}
