package wal

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/wal/segment"
)

// CheckPresent makes sure that a directory holds what every opened log has. A node
// that had a log and has it no more, or that lost term and vote, has forgotten what it
// acknowledged and for whom it voted: it must not be opened.
func CheckPresent(f vfs.FS, dir string) error {
	for _, part := range []struct{ path, gone string }{
		{segment.ManifestPath(f, f.PathJoin(dir, "log")), "there is no log in it any more"},
		{f.PathJoin(dir, "stable"), "term and vote are gone"},
	} {
		_, err := f.Stat(part.path)
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%s: %s: refusing to start", dir, part.gone)
		}
		if err != nil {
			return fmt.Errorf("wal: %w", err)
		}
	}
	return nil
}
