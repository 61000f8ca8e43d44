package segment

import (
	"errors"
	iofs "io/fs"

	"github.com/cockroachdb/pebble/v2/vfs"
)

const (
	// blockBytes is the unit in which a disk may tear a write.
	blockBytes = 4096
	// writeCategory names our writes to the file system's statistics.
	writeCategory vfs.DiskWriteCategory = "raft-log"
)

func blockUp(n int64) int64 { return (n + blockBytes - 1) &^ (blockBytes - 1) }

// writeNew creates a file with its bytes and syncs it, but not its name.
func writeNew(fs vfs.FS, path string, b []byte) error {
	f, err := fs.Create(path, writeCategory)
	if err != nil {
		return err
	}
	if _, err = f.Write(b); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func missing(err error) bool { return errors.Is(err, iofs.ErrNotExist) }
