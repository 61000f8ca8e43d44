package server_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/server"
	"ironman/server/audit"
	"ironman/server/backup"
	"ironman/sim/disk"
)

func pointContent(b []byte) func(context.Context) (io.ReadCloser, error) {
	return func(context.Context) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(string(b))), nil }
}

// restoreOptions restore a point into fs:/restored under the keyring of the old node.
func restoreOptions(t testing.TB, fs vfs.FS, from *backup.Reader) server.ClusterRestore {
	return server.ClusterRestore{
		From: from, FS: fs, Dir: "/restored", Keyring: "/old/node/keyring.json", Now: time.Now,
		Fatal: func(err error) { t.Helper(); t.Errorf("fatal: %v", err); panic(err) },
	}
}

// oldCluster makes a cluster of one node with more than 700 events, stops it, and backs it up.
func oldCluster(t testing.TB, fs vfs.FS, change ...func(*backup.Point)) (*inProcess, *backup.Reader) {
	t.Helper()
	p := openInProcess(t, fs, "/old")
	c := p.client()
	c.must(t, 200, "PUT", "/photos", nil)
	for i := range 700 {
		c.must(t, 200, "PUT", fmt.Sprintf("/photos/%03d", i%650), fmt.Appendf(nil, "photo %d", i))
	}
	awaitArchived(t, p, 512)
	p.close(t)
	return p, backUpStopped(t, fs, "/old/node", "/backup", change...)
}

// awaitArchived waits until so many events are in the ledger's files.
func awaitArchived(t testing.TB, p *inProcess, events uint64) {
	t.Helper()
	for limit := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		s, err := p.node.Status()
		if err != nil {
			t.Fatal(err)
		}
		if s.Archived >= events {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("only %d events are archived", s.Archived)
		}
	}
}

// asOldRoot is a node that was restored as a client of the old root.
func asOldRoot(p *inProcess, old *inProcess) *client {
	c := p.client()
	c.cred = old.cred
	return c
}

// TestRestoreCluster: a node that is restored has the state and the ledger of the point, and
// goes on with them alone, under a number, an origin and a key that are new.
func TestRestoreCluster(t *testing.T) {
	fs := vfs.NewMem()
	old, from := oldCluster(t, fs)
	was := old.rootOf(t, fs, "/old/node", from.Point.Seq)
	var told []string
	o := restoreOptions(t, fs, from)
	o.Progress = func(what string, done, total uint64, _ string) {
		if done == total {
			told = append(told, what)
		}
	}
	r, err := server.RestoreCluster(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Node != 2 || r.Seq != from.Point.Seq || r.Cluster != from.Point.Cluster || r.Key == r.OldKey || r.Root != was ||
		r.Origin != "ironman/"+r.Cluster+"/2" || r.OldOrigin != "ironman/"+r.Cluster+"/1" || !r.Credentials {
		t.Errorf("restored %+v", r)
	}
	for _, what := range []string{"verifying the state", "copying the ledger", "verifying the ledger"} {
		if !strings.Contains(strings.Join(told, "\n"), what) {
			t.Errorf("it was not told of %q", what)
		}
	}
	if _, err := server.RestoreCluster(t.Context(), o); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("restored twice: %v", err)
	}
	for life := range 2 {
		p := openInProcess(t, fs, "/new", restoredNode)
		c := asOldRoot(p, old)
		a := c.must(t, 200, "GET", "/photos?list-type=2&max-keys=1000", nil)
		if n := strings.Count(string(a.body), "<Key>"); n != 650+life {
			t.Errorf("%d keys are listed", n)
		}
		if a, err := c.try("GET", "/photos/007", nil); err != nil || a.status != 503 {
			t.Errorf("the bytes are not there, and a GET says %v, %v", a, err)
		}
		a = c.must(t, 200, "PUT", fmt.Sprintf("/photos/new-%d", life), []byte("as ever"))
		if seq := a.header.Get("X-Ironman-Sequence"); seq == "" {
			t.Errorf("no sequence in %v", a.header)
		}
		if a := c.must(t, 200, "GET", fmt.Sprintf("/photos/new-%d", life), nil); string(a.body) != "as ever" {
			t.Errorf("%q was written and %q is read", "as ever", a.body)
		}
		p.close(t)
	}
	if got := old.rootOf(t, fs, "/restored", from.Point.Seq); got != was {
		t.Errorf("the root of the first %d events is %s, and was %s", from.Point.Seq, got, was)
	}
}

// restoredNode opens what was restored, with disks that are new.
func restoredNode(o *server.Options) { o.Dir = "/restored" }

// rootOf verifies what a stopped node recorded, and tells the root of its first events.
func (p *inProcess) rootOf(t testing.TB, fs vfs.FS, dir string, size uint64) string {
	t.Helper()
	n, err := audit.Open(audit.Options{FS: fs, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	v, err := n.Verify(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	before, _, _, err := n.Consistent(size, uint64(v.Tree.N))
	if err != nil {
		t.Fatal(err)
	}
	return before.Hash.String()
}

// TestRestoreClusterCutShort: the power goes at operations all over a restoration. What is left
// is no node, whoever starts one, and is restored by the next try; or it is whole.
func TestRestoreClusterCutShort(t *testing.T) {
	machine := disk.New(nil, disk.Config{})
	old, from := oldCluster(t, machine)
	target := machine // the backup is on the same machine, and its reader follows the cut
	rng := rand.New(rand.NewPCG(5, 6))
	operations := 0
	count := machine.Cut(rng, disk.Keep(100))
	count.Watch(disk.Hooks{Before: func(disk.Op) error { operations++; return nil }})
	if _, err := server.RestoreCluster(t.Context(), restoreOptions(t, count, reopen(t, count, from))); err != nil {
		t.Fatal(err)
	}
	count.Watch(disk.Hooks{})
	cuts := 8
	if testing.Short() {
		cuts = 4
	}
	refused := 0
	for i := range cuts {
		at := operations * i / cuts
		var left *disk.Disk
		n := 0
		cut := target.Cut(rng, disk.Keep(100))
		cut.Watch(disk.Hooks{Before: func(disk.Op) error {
			if n++; n == at+1 {
				left = cut.Cut(rng, disk.Keep([]int{0, 50, 100}[i%3]))
			}
			return nil
		}})
		if _, err := server.RestoreCluster(t.Context(), restoreOptions(t, cut, reopen(t, cut, from))); err != nil {
			t.Fatal(err)
		}
		cut.Watch(disk.Hooks{})
		if left == nil {
			continue // a run takes more or fewer operations than another
		}
		if err := startAnyhow(t, left); err != nil && !strings.Contains(err.Error(), "has not come to its end") {
			t.Errorf("operation %d: %v", at, err)
		} else if err != nil {
			refused++
			if _, err := server.RestoreCluster(t.Context(), restoreOptions(t, left, reopen(t, left, from))); err != nil {
				t.Fatalf("operation %d: restored once more: %v", at, err)
			}
		} else {
			continue // the mark was not made yet: what started is a cluster of its own
		}
		p := openInProcess(t, left, "/new", restoredNode)
		a := asOldRoot(p, old).must(t, 200, "GET", "/photos?list-type=2", nil)
		if n := strings.Count(string(a.body), "<Key>"); n != 650 {
			t.Errorf("operation %d: %d keys are listed", at, n)
		}
		p.close(t)
	}
	if refused < cuts/2 {
		t.Errorf("only %d of %d restorations were cut short", refused, cuts)
	}
}

// startAnyhow starts a node where a cluster was being restored.
func startAnyhow(t testing.TB, fs vfs.FS) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	n, err := server.Open(ctx, server.Options{
		FS: fs, Dir: "/restored", Disks: []string{"/other"}, S3: []net.Listener{l}, Now: time.Now, Fatal: func(err error) { panic(err) }, SegmentBytes: 1 << 20,
	})
	if err != nil {
		return errors.Join(err, l.Close())
	}
	return n.Close(ctx)
}

// reopen reads the same point on another machine.
func reopen(t testing.TB, fs vfs.FS, r *backup.Reader) *backup.Reader {
	t.Helper()
	got, err := backup.OpenPoint(t.Context(), backup.OpenDirectory(fs, "/backup"), r.Point.Seq)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// TestRestoreClusterRefused: what is of another cluster, or is not what it was, makes no node;
// what was left by such a try is no harm to the next one, also of another point.
func TestRestoreClusterRefused(t *testing.T) {
	fs := vfs.NewMem()
	old, first := oldCluster(t, fs)
	p := openInProcess(t, fs, "/old")
	c := p.client()
	for i := range 300 {
		c.must(t, 204, "DELETE", fmt.Sprintf("/photos/%03d", i), nil)
	}
	awaitArchived(t, p, 768)
	p.close(t)
	second := backUpStopped(t, fs, "/old/node", "/backup")
	if second.Point.Ledger.Size <= first.Point.Ledger.Size {
		t.Fatal("the ledger did not grow")
	}
	other := openInProcess(t, fs, "/else")
	other.close(t)
	refused := func(say string, o server.ClusterRestore) {
		t.Helper()
		if _, err := server.RestoreCluster(t.Context(), o); err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%v instead of: %s", err, say)
		}
		if err := startAnyhow(t, fs); err == nil || !strings.Contains(err.Error(), "has not come to its end") {
			t.Errorf("%s: a node started: %v", say, err)
		}
	}
	o := restoreOptions(t, fs, second)
	o.Keyring = "/else/node/keyring.json"
	refused("is not the one of the cluster that was backed up", o)
	o.Keyring = "/old/forged.json"
	writeText(t, fs, o.Keyring, otherLedgerKey(t, fs, "/old/node/keyring.json"))
	refused("it is of another epoch of the cluster, or the backup is not what the cluster has recorded", o)
	o.Keyring = "/old/node/keyring.json"

	damage := func(path string) { // in its middle
		t.Helper()
		info, err := fs.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		at := info.Size() / 2
		f, err := fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 1)
		if _, err := f.ReadAt(b, at); err != nil {
			t.Fatal(err)
		}
		b[0] ^= 1
		if _, err := f.WriteAt(b, at); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	var largest backup.File
	for _, f := range second.Point.State.Files {
		if f.Size > largest.Size {
			largest = f
		}
	}
	for _, d := range []struct {
		path, say string
	}{
		{"/backup/files/" + largest.Sum[:2] + "/" + largest.Sum, "another SHA-256"},
		{"/backup/files/" + second.Point.Log.File.Sum[:2] + "/" + second.Point.Log.File.Sum, "another SHA-256"},
		{"/backup/ledger/tile/0/001", "the root"},
		{"/backup/ledger/payload/002", "ledger: first bad sequence"},
		{"/backup/ledger/tile/entries/000", "ledger: first bad sequence"},
	} {
		if err := fs.RemoveAll("/restored"); err != nil { // what was whole is not read again
			t.Fatal(err)
		}
		damage(d.path)
		refused(d.say, o)
		damage(d.path)
		// Where the damaged backup was restored the mended one is, too.
		if r, err := server.RestoreCluster(t.Context(), o); err != nil || r.Seq != second.Point.Seq {
			t.Errorf("%s: once it is mended: %+v, %v", d.path, r, err)
		}
	}
	if err := fs.RemoveAll("/restored"); err != nil {
		t.Fatal(err)
	}
	damage("/backup/ledger/payload/002")
	refused("ledger: first bad sequence", o)
	damage("/backup/ledger/payload/002")
	// This try has left files of the later point.
	r, err := server.RestoreCluster(t.Context(), restoreOptions(t, fs, first))
	if err != nil {
		t.Fatal(err)
	}
	if r.Seq != first.Point.Seq {
		t.Errorf("restored %+v", r)
	}
	p = openInProcess(t, fs, "/new", restoredNode)
	if n := strings.Count(string(asOldRoot(p, old).must(t, 200, "GET", "/photos?list-type=2", nil).body), "<Key>"); n != 650 {
		t.Errorf("%d keys are listed", n)
	}
	p.close(t)
}

func readText(t testing.TB, fs vfs.FS, path string) []byte {
	t.Helper()
	f, err := fs.Open(path)
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

func writeText(t testing.TB, fs vfs.FS, path string, b []byte) {
	t.Helper()
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(b)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		t.Fatal(err)
	}
}

// otherLedgerKey is a keyring that opens what another one does, and signs under another key:
// to it a ledger that was signed under the other one is forged.
func otherLedgerKey(t testing.TB, fs vfs.FS, path string) []byte {
	t.Helper()
	k := make(map[string]any)
	if err := json.Unmarshal(readText(t, fs, path), &k); err != nil {
		t.Fatal(err)
	}
	k["ledger_key"] = base64.StdEncoding.EncodeToString([]byte(strings.Repeat("f", 32)))
	b, err := json.Marshal(k)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestRestoreClusterStaleKeyring: a keyring from before a master secret was added to it opens
// all but what was encrypted since, and is refused, wherever the one key stands that needs more.
func TestRestoreClusterStaleKeyring(t *testing.T) {
	fs := vfs.NewMem()
	seal := func(r *http.Request) { r.Header.Set("X-Amz-Server-Side-Encryption", "AES256") }
	old := openInProcess(t, fs, "/old")
	old.client().must(t, 200, "PUT", "/photos", nil)
	old.client().must(t, 200, "PUT", "/photos/a", []byte("first"), seal)
	old.close(t)
	stale := readText(t, fs, "/old/node/keyring.json")
	ids, err := server.RotateSSE(fs, "/old/node", false)
	if err != nil {
		t.Fatal(err)
	}
	p := openInProcess(t, fs, "/old")
	p.close(t)
	o := restoreOptions(t, fs, backUpStopped(t, fs, "/old/node", "/unused"))
	writeText(t, fs, "/stale.json", stale)
	o.Keyring = "/stale.json"
	if _, err := server.RestoreCluster(t.Context(), o); err != nil {
		t.Errorf("nothing was wrapped under the new master secret: %v", err)
	}

	p = openInProcess(t, fs, "/old")
	p.client().must(t, 200, "PUT", "/photos/b", []byte("second"), seal)
	p.client().must(t, 204, "DELETE", "/photos/b", nil) // it is in the history alone
	p.close(t)
	o = restoreOptions(t, fs, backUpStopped(t, fs, "/old/node", "/backup"))
	o.Dir, o.Keyring = "/again", "/stale.json"
	_, err = server.RestoreCluster(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "is older than the backup") || !strings.Contains(err.Error(), ids[1]) || strings.Contains(err.Error(), ids[0]) {
		t.Errorf("a keyring without %s: %v", ids[1], err)
	}
	o.Keyring = "/old/node/keyring.json"
	if _, err := server.RestoreCluster(t.Context(), o); err != nil {
		t.Error(err)
	}
}
