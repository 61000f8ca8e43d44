package server_test

import (
	"errors"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/server"
	"ironman/server/backup"
)

// TestBackupListed: a point gives blobs of its own lists alone, though an index that it names tells
// of others, too.
func TestBackupListed(t *testing.T) {
	t.Parallel()
	p := openInProcess(t, vfs.NewMem(), "/node", func(o *server.Options) {
		o.HistoryRetention, o.ReleaseGrace, o.PackGrace = time.Millisecond, time.Millisecond, time.Millisecond
	})
	c := p.client()
	c.must(t, 200, "PUT", "/box", nil)
	c.must(t, 200, "PUT", "/box/kept", content(1, 5000))
	c.must(t, 200, "PUT", "/box/gone", content(2, 6000))
	to := backup.OpenDirectory(vfs.NewMem(), "/backup")
	p.backupTo(t, to)
	old, _ := wholePoint(t, to, backup.Newest)
	var gone backup.Blob
	for b, err := range old.Blobs(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if b.Size == 6000 {
			gone = b
		}
	}
	c.must(t, 204, "DELETE", "/box/gone", nil)
	await(t, "the blob to be released", func() bool {
		c.must(t, 200, "PUT", "/box/tick", nil) // or the log's time stands still
		v, err := p.node.ViewForTest()
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		n := 0
		return eachBlob(v, func(backup.Blob) { n++ }) == nil && n == 1
	})
	p.backupTo(t, to)
	now, _ := wholePoint(t, to, backup.Newest)
	if len(now.Point.Blobs.Indexes) != 1 || now.Point.Blobs.Indexes[0] != old.Point.Blobs.Indexes[0] {
		t.Fatal("the points do not share an index: the test proves nothing")
	}
	if _, err := old.OpenBlob(t.Context(), gone); err != nil {
		t.Error(err)
	}
	if _, err := now.OpenBlob(t.Context(), gone); !errors.Is(err, backup.ErrNotFound) {
		t.Errorf("a blob that the point does not name: %v", err)
	}
}
