package server_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/server"
	"ironman/server/backup"
)

// TestBackupWithoutLost: where the cluster has lost blobs, a point is taken only by whoever says that it may
// be without them. It lists them, and whoever verifies or reads it is told.
func TestBackupWithoutLost(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	old, from := oldCluster(t, fs)
	if _, err := server.RestoreCluster(t.Context(), restoreOptions(t, fs, from)); err != nil {
		t.Fatal(err)
	}
	p := openInProcess(t, fs, "/new", restoredNode) // all blobs of before are lost
	p.cred = old.cred
	c := asOldRoot(p, old)
	await(t, "the node to serve", func() bool {
		a, err := c.try("PUT", "/photos/kept", content(1, 777))
		return err == nil && a.status == 200
	})
	to := backup.OpenDirectory(vfs.NewMem(), "/other")
	begun := time.Now()
	if _, err := p.tryBackup(t.Context(), to); err == nil || !strings.Contains(err.Error(), "--without-lost") {
		t.Fatalf("a backup of a cluster that has lost blobs: %v", err)
	}
	wholeBackup(t, to, 0)
	warned := ""
	taken, err := backup.Take{
		From: backup.NewAdmin(p.admin, p.cred.AccessKey, string(p.cred.Secret.Reveal())), To: to, WithoutLost: true, Warn: func(text string) { warned += text },
	}.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("took %v", time.Since(begun))
	r := wholeBackup(t, to, 1)
	if r.Absent == 0 || r.Absent != taken.Point.Blobs.Count-1 || !strings.Contains(warned, "has lost") {
		t.Errorf("%d of %d blobs are absent; warned: %s", r.Absent, taken.Point.Blobs.Count, warned)
	}
	point, err := backup.OpenPoint(t.Context(), to, backup.Newest)
	if err != nil {
		t.Fatal(err)
	}
	there := 0
	for b, err := range point.Blobs(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		body, err := point.OpenBlob(t.Context(), b)
		switch {
		case err == nil:
			there++
			if b.Size != 777 {
				t.Errorf("the blob %v is there", b)
			}
			if err := body.Close(); err != nil {
				t.Error(err)
			}
		case !errors.Is(err, backup.ErrNotFound):
			t.Error(err)
		}
	}
	if there != 1 {
		t.Errorf("%d blobs are there, want 1", there)
	}
}
