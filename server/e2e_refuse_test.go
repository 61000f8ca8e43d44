package server_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestRefusesToStart changes the files of a stopped node as mishaps do. A node that
// cannot prove what it acknowledged must not serve; nothing is "repaired" away.
func TestRefusesToStart(t *testing.T) {
	p := newProcess(t, "--log-segment-bytes", "65536", "--snapshot-entries", "50")
	p.start()
	c := p.client()
	c.must(t, 200, "PUT", "/refuse", nil)
	for i := range 200 {
		c.must(t, 200, "PUT", fmt.Sprintf("/refuse/%d", i), content(uint64(i), 100))
	}
	awaitSnapshot(t, p)
	p.stop()
	for _, tc := range []struct {
		name   string
		change func(*testing.T, *process)
		says   string
		undo   string // the file or directory that makes it whole again
	}{
		{"term and vote are gone", remove("wal/stable"), "term and vote are gone", "wal/stable"},
		{"the keyring is gone", remove("keyring.json"), "keyring", "keyring.json"},
		{"another keyring", replaceKeyring, "keyring is not the one", "keyring.json"},
		{"a keyring that others may read", mode("keyring.json", 0o644), "chmod 600", ""},
		{"credentials that others may read", mode("root-credentials.json", 0o644), "chmod 600", ""},
		{"an identity that others may read", mode("identity.json", 0o640), "chmod 600", ""},
		{"the log is gone", remove("wal/log"), "there is no log", "wal/log"},
		{"the state is gone", remove("state"), "refusing to start", "state"},
		{"log and state are gone", removeAll("wal", "state"), "must not go on under its name", ""},
		{"log, state and disks are gone", func(t *testing.T, p *process) {
			removeAll("wal", "state", "disks.json")(t, p)
			for _, d := range p.disks {
				emptyDirectory(t, d)
			}
		}, "must not go on under its name", ""},
		{"a disk is not named", func(_ *testing.T, p *process) { p.disks = p.disks[:5] }, "6 disks, but 5 are given", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			q := copyProcess(t, p)
			tc.change(t, q)
			before := tree(t, q)
			if err := q.tryStart(); err == nil {
				t.Fatal("it started")
			}
			if q.killed() || !strings.Contains(q.log.String(), tc.says) {
				t.Errorf("it does not say %q:\n%s", tc.says, q.log.tail(2000))
			}
			if after := tree(t, q); after != before {
				t.Errorf("it changed files:\nbefore\n%s\nafter\n%s", before, after)
			}
			if tc.undo == "" {
				return
			}
			putBack(t, filepath.Join(p.dir, tc.undo), filepath.Join(q.dir, tc.undo))
			q.start()
			for i := range 200 {
				if got := q.client().must(t, 200, "GET", fmt.Sprintf("/refuse/%d", i), nil); !bytes.Equal(got.body, content(uint64(i), 100)) {
					t.Errorf("object %d has other bytes", i)
				}
			}
			q.stop()
		})
	}
}

// TestSetBack: D13. The node's directory is that of an old backup, its disks are
// not. What the node acknowledged since then is not in its log any more: it must
// not serve as if it had never been.
func TestSetBack(t *testing.T) {
	p := newProcess(t)
	p.start()
	p.client().must(t, 200, "PUT", "/setback", nil)
	p.stop()
	backup := copyProcess(t, p)
	for range 2 {
		p.start()
		for i := range 50 {
			p.client().must(t, 200, "PUT", fmt.Sprintf("/setback/%d", i), content(uint64(i), 100))
		}
		p.stop()
	}
	backup.disks = p.disks
	if err := backup.tryStart(); err == nil {
		t.Fatal("it serves an older state")
	}
	if backup.killed() || !strings.Contains(backup.log.String(), "older than the disks") {
		t.Errorf("it does not say why:\n%s", backup.log.tail(2000))
	}
}

// putBack copies a file or directory over what is there.
func putBack(t *testing.T, from, to string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(from)
	if err != nil {
		t.Fatal(err)
	}
	if info.IsDir() {
		err = os.CopyFS(to, os.DirFS(from))
	} else {
		var b []byte
		if b, err = os.ReadFile(from); err == nil {
			err = os.WriteFile(to, b, 0o600)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestStrangeDisks: a disk that is not what it was is left alone, and the others
// serve. An empty mount point is not an empty disk.
func TestStrangeDisks(t *testing.T) {
	p := newProcess(t)
	p.start()
	c := p.client()
	c.must(t, 200, "PUT", "/disks", nil)
	b := content(1, 300_000)
	c.must(t, 200, "PUT", "/disks/object", b)
	p.stop()
	for _, tc := range []struct {
		name   string
		change func(*testing.T, *process)
		failed int
	}{
		{"an empty mount point", func(t *testing.T, p *process) { emptyDirectory(t, p.disks[2]) }, 1},
		{"two disks swapped", func(_ *testing.T, p *process) { p.disks[0], p.disks[1] = p.disks[1], p.disks[0] }, 2},
		{"two empty mount points", func(t *testing.T, p *process) {
			emptyDirectory(t, p.disks[0])
			emptyDirectory(t, p.disks[5])
		}, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			q := copyProcess(t, p)
			tc.change(t, q)
			q.start()
			failed := 0
			for _, d := range q.status().Disks {
				if d.Failure != "" {
					failed++
				}
			}
			if failed != tc.failed {
				t.Errorf("%d disks are out of service, not %d: %+v", failed, tc.failed, q.status().Disks)
			}
			if got := q.client().must(t, 200, "GET", "/disks/object", nil); !bytes.Equal(got.body, b) {
				t.Error("wrong bytes")
			}
			a, err := q.client().try("PUT", "/disks/new", b)
			if err != nil || a.status != 200 && a.status != 503 {
				t.Errorf("PUT on the disks that are left: %v %v", a, err)
			}
			q.stop()
			for _, d := range q.disks {
				if names, err := os.ReadDir(d); err == nil && len(names) == 1 {
					t.Errorf("something was written to %s, which is not a disk: %v", d, names)
				}
			}
		})
	}
}

// awaitSnapshot waits until the node has taken a snapshot and cut its log by it.
func awaitSnapshot(t *testing.T, p *process) {
	t.Helper()
	for range 1000 {
		names, err := os.ReadDir(filepath.Join(p.dir, "wal", "snapshots"))
		if err == nil && slices.ContainsFunc(names, func(e os.DirEntry) bool { return !strings.HasPrefix(e.Name(), "tmp-") }) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("there is no snapshot")
}

// TestStateIsRebuilt: while the log is whole, the state is only a copy of it.
func TestStateIsRebuilt(t *testing.T) {
	p := newProcess(t)
	p.start()
	c := p.client()
	c.must(t, 200, "PUT", "/rebuilt", nil)
	for i := range 300 {
		c.must(t, 200, "PUT", fmt.Sprintf("/rebuilt/%d", i%50), content(uint64(i), 100*i))
	}
	before := p.status()
	list := c.list(t, "rebuilt", 7)
	p.stop()
	remove("state")(t, p)
	p.start()
	if after := p.client().list(t, "rebuilt", 7); !slices.Equal(after, list) {
		t.Errorf("the listing was %v and is %v", list, after)
	}
	for i := range 50 {
		if got := p.client().must(t, 200, "GET", fmt.Sprintf("/rebuilt/%d", i), nil); !bytes.Equal(got.body, content(uint64(i+250), 100*(i+250))) {
			t.Errorf("object %d has other bytes", i)
		}
	}
	after := p.status()
	if after.Archived < before.Archived || after.Events <= before.Events {
		t.Errorf("before %+v, after %+v", before, after)
	}
	p.stop()
	checkReplay(t, p.dir, after)
}

func remove(name string) func(*testing.T, *process) {
	return func(t *testing.T, p *process) {
		if _, err := os.Stat(filepath.Join(p.dir, name)); err != nil {
			t.Fatal(err)
		}
		if err := os.RemoveAll(filepath.Join(p.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// removeAll is what is left of a node's directory after a mishap, or after somebody
// made room on it.
func removeAll(names ...string) func(*testing.T, *process) {
	return func(t *testing.T, p *process) {
		for _, name := range names {
			remove(name)(t, p)
		}
	}
}

func mode(name string, m os.FileMode) func(*testing.T, *process) {
	return func(t *testing.T, p *process) {
		if err := os.Chmod(filepath.Join(p.dir, name), m); err != nil {
			t.Fatal(err)
		}
	}
}

// replaceKeyring puts the keyring of another cluster in place.
func replaceKeyring(t *testing.T, p *process) {
	dir := t.TempDir()
	openInProcess(t, vfs.Default, dir).close(t)
	b, err := os.ReadFile(filepath.Join(dir, "node", "keyring.json"))
	if err == nil {
		err = os.WriteFile(filepath.Join(p.dir, "keyring.json"), b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func emptyDirectory(t *testing.T, dir string) {
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}

// copyProcess copies a stopped process with all its files.
func copyProcess(t *testing.T, p *process) *process {
	t.Helper()
	q := newProcess(t, p.flags...)
	for i, d := range append([]string{p.dir}, p.disks...) {
		to := q.dir
		if i > 0 {
			to = q.disks[i-1]
		}
		if err := os.CopyFS(to, os.DirFS(d)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"keyring.json", "root-credentials.json", "identity.json"} {
		if err := os.Chmod(filepath.Join(q.dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return q
}

// tree lists the files of a process, with their sizes, but for the one file that
// every start writes (the boot counter rises before anything else), Pebble's own,
// which opening it renews, and the log's, of which opening it drops a prepared spare.
func tree(t *testing.T, p *process) string {
	t.Helper()
	var out strings.Builder
	for _, dir := range append([]string{p.dir}, p.disks...) {
		err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
			if err != nil || e.IsDir() || strings.Contains(path, "/state/") || strings.HasSuffix(path, ".wal") || strings.HasSuffix(path, "identity.json") {
				return err
			}
			info, err := e.Info()
			if err == nil {
				fmt.Fprintf(&out, "%s %d\n", strings.TrimPrefix(path, filepath.Dir(p.dir)), info.Size())
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return out.String()
}
