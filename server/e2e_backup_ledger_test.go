package server_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/note"

	"ironman/server"
	"ironman/server/backup"
	"ironman/wal/ledger"
)

// TestBackupLedgerDamaged: bytes of the ledger that an earlier run has put, and no point names
// yet, are verified before a point does.
func TestBackupLedgerDamaged(t *testing.T) {
	t.Parallel()
	p := openInProcess(t, vfs.NewMem(), "/node")
	c := p.client()
	c.must(t, 200, "PUT", "/box", nil)
	fs := vfs.NewMem()
	to := backup.OpenDirectory(fs, "/backup")
	fill := func(archived uint64) {
		for i := range 300 {
			c.must(t, 200, "PUT", fmt.Sprintf("/box/%d", i), content(uint64(i), 10))
		}
		await(t, "bundles of the ledger", func() bool {
			s, err := p.node.Status()
			return err == nil && s.Archived >= archived
		})
	}
	fill(256)
	first := p.backupTo(t, to).Point
	fill(512)
	second := p.backupTo(t, to).Point
	if first.Ledger.Size == 0 || second.Ledger.Size == first.Ledger.Size {
		t.Fatalf("the points have %d and %d events of the ledger: the test proves nothing", first.Ledger.Size, second.Ledger.Size)
	}
	writeAt(t, fs, backup.PointName(second.Seq), nil)
	n := second.Ledger.Size/256 - 1
	for _, name := range []string{ledger.EntriesPath(n, 256), ledger.PayloadPath(n, 256), ledger.TilePath(0, n, 256)} {
		name = "ledger/" + name
		old := readAt(t, fs, name)
		hurt := bytes.Clone(old)
		hurt[len(hurt)/2] ^= 1
		writeAt(t, fs, name, hurt)
		if _, err := p.tryBackup(t.Context(), to); !errors.Is(err, backup.ErrDamaged) {
			t.Errorf("%s is damaged, and the backup: %v", name, err)
		}
		wholeBackup(t, to, 1)
		writeAt(t, fs, name, old)
	}
	p.backupTo(t, to)
	wholeBackup(t, to, 2)
}

// TestBackupNotBeforeErasure: no point is offered by a node that has to carry out an erasure by
// law, and a bundle of which the place has erased more than the node is not replaced.
func TestBackupNotBeforeErasure(t *testing.T) {
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
	admin := backup.NewAdmin(p.admin, p.cred.AccessKey, string(p.cred.Secret.Reveal()))
	run, err := admin.Begin(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the history to be trimmed", func() bool {
		_, err := p.node.Erase(t.Context(), &server.Erase{Bucket: "box", Keys: []string{name}}, func(uint64, uint64) {})
		return err == nil
	})
	if _, err := p.node.BeginBackupForTest(t.Context()); err == nil {
		t.Error("a point was offered while an erasure was to be carried out")
	}
	if err := admin.End(t.Context(), run.Run); err != nil {
		t.Fatal(err)
	}
	await(t, "the erasure to be carried out", func() bool {
		x, err := p.node.Erasures(t.Context())
		return err == nil && len(x.Erasures) > 0 && x.Done()
	})
	fs := vfs.NewMem()
	to := backup.OpenDirectory(fs, "/backup")
	point := p.backupTo(t, to).Point
	more := eraseMore(t, to, point, 0)
	path := "ledger/" + ledger.PayloadPath(0, 256)
	if bytes.Equal(more, readAt(t, fs, path)) {
		t.Fatal("nothing more was erased: the test proves nothing")
	}
	writeAt(t, fs, path, more)
	if again := p.backupTo(t, to); again.LedgerFiles != 0 || !bytes.Equal(more, readAt(t, fs, path)) {
		t.Error("a bundle of which more was erased was replaced")
	}
	wholeBackup(t, to, 1)
}

// eraseMore gives a bundle of a backup's ledger with nothing left of its first events.
func eraseMore(t testing.TB, to backup.Target, point *backup.Point, bundle uint64) []byte {
	t.Helper()
	dir := extractPoint(t, to) + "/ledger"
	key, err := note.NewVerifier(point.Key)
	if err != nil {
		t.Fatal(err)
	}
	a, err := ledger.Open(ledger.Options{
		FS: vfs.Default, Dir: dir, Origin: point.Origin, Verifiers: note.VerifierList(key), Fatal: func(err error) { t.Error(err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	var targets []ledger.Target
	for seq := range uint64(200) {
		targets = append(targets, ledger.Target{Seq: bundle*256 + seq})
	}
	if err := a.Erase(targets); err != nil {
		t.Fatal(err)
	}
	f, err := vfs.Default.Open(dir + "/" + ledger.PayloadPath(bundle, 256))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
