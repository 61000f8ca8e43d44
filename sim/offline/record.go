package offline

import (
	"context"
	"errors"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/server/audit"
)

// Entries puts all events below one that a node has recorded into words.
func Entries(files vfs.FS, dir string, until uint64) (all []*audit.Entry, err error) {
	n, err := audit.Open(audit.Options{FS: files, Dir: dir})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	err = n.Log(context.Background(), audit.Filter{To: until}, func(e *audit.Entry) error {
		all = append(all, e)
		return nil
	})
	return all, err
}
