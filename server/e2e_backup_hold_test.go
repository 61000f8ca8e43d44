package server_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/server"
	"ironman/server/backup"
	"ironman/wal/digest"
)

// packFiles counts the packs on the disks of a node of this process.
func packFiles(t testing.TB, fs vfs.FS, dir string) (n int) {
	t.Helper()
	for i := range 6 {
		names, err := fs.List(fmt.Sprintf("%s/disk%d/packs", dir, i+1))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, ".pack") {
				n++
			}
		}
	}
	return n
}

// TestBackupHold: bytes of a point can be read until its run is over, though everything was
// deleted and released meanwhile, and go then.
func TestBackupHold(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	p := openInProcess(t, fs, "/node", func(o *server.Options) {
		o.HistoryRetention, o.ReleaseGrace, o.PackGrace = time.Millisecond, time.Millisecond, 20*time.Millisecond
	})
	c := p.client()
	c.must(t, 200, "PUT", "/box", nil)
	body := bytes.Repeat([]byte("0123456789abcdef"), 600_000) // packs of its own
	c.must(t, 200, "PUT", "/box/large", body)
	admin := backup.NewAdmin(p.admin, p.cred.AccessKey, string(p.cred.Secret.Reveal()))
	run, err := admin.Begin(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	c.must(t, 204, "DELETE", "/box/large", nil)
	await(t, "the blob to be released", func() bool {
		c.must(t, 200, "PUT", "/box/tick", nil) // or the log's time stands still
		n := 0
		v, err := p.node.ViewForTest()
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		if err := eachBlob(v, func(backup.Blob) { n++ }); err != nil {
			t.Fatal(err)
		}
		return n == 0
	})
	before := packFiles(t, fs, "/node")
	time.Sleep(300 * time.Millisecond) // many passes of the collectors
	if now := packFiles(t, fs, "/node"); now != before {
		t.Errorf("there were %d packs, and there are %d: some went while a backup was taken", before, now)
	}
	s, err := p.node.Status()
	if err != nil {
		t.Fatal(err)
	}
	if s.Backups != 1 || s.PacksHeldUntil == nil {
		t.Errorf("the status tells of %d backups, and packs held until %v", s.Backups, s.PacksHeldUntil)
	}
	blobs, more, err := admin.Blobs(t.Context(), run.Run, nil)
	if err != nil || more || len(blobs) != 1 || blobs[0].Size != uint64(len(body)) {
		t.Fatalf("the point names %v, %v", blobs, err)
	}
	room := make([]byte, len(body))
	asks := []backup.Ask{{BlobID: blobs[0].BlobID, Length: uint32(len(body))}}
	err = admin.Pieces(t.Context(), run.Run, asks, func(int) []byte { return room }, func(_ int, why string) { t.Error(why) })
	if err != nil || digest.SHA256(room) != digest.SHA256(body) {
		t.Errorf("the bytes of the point: %v", err)
	}
	if err := admin.End(t.Context(), run.Run); err != nil {
		t.Fatal(err)
	}
	await(t, "the packs to go", func() bool { return packFiles(t, fs, "/node") < before })
	if _, _, err := admin.Blobs(t.Context(), run.Run, nil); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("a run that is over answered: %v", err)
	}
}

// TestBackupLease: what nobody asks for any more is given up, and no more than some may be
// begun.
func TestBackupLease(t *testing.T) {
	t.Parallel()
	var clock testClock
	p := openInProcess(t, vfs.NewMem(), "/node", func(o *server.Options) { o.Now = clock.now })
	admin := backup.NewAdmin(p.admin, p.cred.AccessKey, string(p.cred.Secret.Reveal()))
	var runs []string
	for range 4 {
		run, err := admin.Begin(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		runs = append(runs, run.Run)
	}
	if _, err := p.node.BeginBackupForTest(t.Context()); err == nil || !strings.Contains(err.Error(), "4 backups") {
		t.Errorf("a fifth run: %v", err)
	}
	clock.advance(90 * time.Second)
	if err := admin.Renew(t.Context(), runs[3]); err != nil {
		t.Error(err)
	}
	clock.advance(90 * time.Second)
	await(t, "three runs to be given up", func() bool {
		s, err := p.node.Status()
		return err == nil && s.Backups == 1
	})
	if err := admin.Renew(t.Context(), runs[0]); err == nil {
		t.Error("a run that was given up could be renewed")
	}
	if err := admin.Renew(t.Context(), runs[3]); err != nil {
		t.Error(err)
	}
	clock.advance(time.Hour)
	await(t, "all to be given up", func() bool {
		s, err := p.node.Status()
		return err == nil && s.Backups == 0 && s.PacksHeldUntil == nil
	})
}
