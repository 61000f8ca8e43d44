package server_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/server/backup"
)

// unsyncedDirs is a file system on which a process is killed before each sync of a directory.
type unsyncedDirs struct{ vfs.FS }

func (u unsyncedDirs) OpenDir(name string) (vfs.File, error) {
	f, err := u.FS.OpenDir(name)
	return unsyncedDir{f}, err
}

type unsyncedDir struct{ vfs.File }

func (unsyncedDir) Sync() error { return nil }

// noPoint puts all but points.
type noPoint struct{ backup.Target }

func (n noPoint) Put(ctx context.Context, name string, c backup.Content) error {
	if strings.HasPrefix(name, "points/") {
		return fmt.Errorf("%w: %w", backup.ErrNotFound, errBackupCut)
	}
	return n.Target.Put(ctx, name, c)
}

// TestBackupSettled: names that a run which was killed has given and not made durable are durable
// before a point of a later one needs them.
func TestBackupSettled(t *testing.T) {
	t.Parallel()
	p := openInProcess(t, vfs.NewMem(), "/node")
	c := p.client()
	c.must(t, 200, "PUT", "/box", nil)
	for i := range 300 {
		c.must(t, 200, "PUT", fmt.Sprintf("/box/%d", i), bytes.Repeat([]byte{byte(i)}, 500))
	}
	await(t, "a bundle of the ledger", func() bool {
		s, err := p.node.Status()
		return err == nil && s.Archived > 0
	})
	fs := vfs.NewCrashableMem()
	if _, err := p.tryBackup(t.Context(), noPoint{backup.OpenDirectory(unsyncedDirs{fs}, "/backup")}); !errors.Is(err, errBackupCut) {
		t.Fatal(err)
	}
	if lost, err := backup.OpenDirectory(fs.CrashClone(vfs.CrashCloneCfg{}), "/backup").List(t.Context(), ""); err != nil || len(lost) != 0 {
		t.Fatalf("names were durable: %v %v: the test proves nothing", lost, err)
	}
	taken := p.backupTo(t, backup.OpenDirectory(fs, "/backup"))
	if taken.Blobs != 0 || taken.LedgerFiles != 0 {
		t.Fatalf("%+v was sent again: the test proves nothing", taken)
	}
	wholeBackup(t, backup.OpenDirectory(fs.CrashClone(vfs.CrashCloneCfg{}), "/backup"), 1)
}
