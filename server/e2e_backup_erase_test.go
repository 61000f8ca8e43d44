package server_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/server"
	"ironman/server/backup"
)

// TestBackupErased: what was erased by law goes out of the ledger of a backup with the next
// run, and the points stay whole. While a point is kept, the erasure waits.
func TestBackupErased(t *testing.T) {
	t.Parallel()
	p := openInProcess(t, vfs.NewMem(), "/node", func(o *server.Options) { o.HistoryRetention = 0 })
	c := p.client()
	c.must(t, 200, "PUT", "/box", nil)
	const name = "name-of-a-person-to-be-erased"
	c.must(t, 200, "PUT", "/box/"+name, content(1, 10))
	for i := range 300 {
		c.must(t, 200, "PUT", fmt.Sprintf("/box/other-%d", i), content(1, 10))
	}
	c.must(t, 204, "DELETE", "/box/"+name, nil)
	await(t, "a bundle of the ledger", func() bool {
		s, err := p.node.Status()
		return err == nil && s.Archived > 0
	})
	to := backup.OpenDirectory(vfs.NewMem(), "/backup")
	p.backupTo(t, to)
	if told := toldOf(t, to, name); told == 0 {
		t.Error("the ledger of the backup does not tell the name: the test proves nothing")
	}
	admin := backup.NewAdmin(p.admin, p.cred.AccessKey, string(p.cred.Secret.Reveal()))
	run, err := admin.Begin(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	erase := &server.Erase{Bucket: "box", Keys: []string{name}}
	await(t, "the history to be trimmed", func() bool {
		_, err := p.node.Erase(t.Context(), erase, func(uint64, uint64) {})
		return err == nil
	})
	done := func() bool {
		x, err := p.node.Erasures(t.Context())
		return err == nil && len(x.Erasures) > 0 && x.Done()
	}
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if done() {
			t.Fatal("an erasure was carried out while the names were kept for a backup")
		}
	}
	if err := admin.End(t.Context(), run.Run); err != nil {
		t.Fatal(err)
	}
	await(t, "the erasure to be carried out", done)
	taken := p.backupTo(t, to)
	if told := toldOf(t, to, name); told != 0 {
		t.Errorf("the ledger of the backup tells the name %d times", told)
	}
	wholeBackup(t, to, 2)
	again := p.backupTo(t, to)
	if taken.LedgerFiles == 0 || again.LedgerFiles != 0 {
		t.Errorf("%d files of the ledger were sent after the erasure, and %d then", taken.LedgerFiles, again.LedgerFiles)
	}
}

// toldOf counts the records of the newest point's ledger that have a text.
func toldOf(t *testing.T, to backup.Target, text string) (n int) {
	t.Helper()
	err := eachRecord(extractPoint(t, to)+"/ledger", func(_ string, b []byte) {
		if bytes.Contains(b, []byte(text)) {
			n++
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
