package server_test

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/server/backup"
	"ironman/wal/digest"
)

// backupCommand runs `ironman backup`, and gives what it printed.
func backupCommand(p *process, env []string, args ...string) (string, error) {
	c := exec.Command(program(p.t), append([]string{"backup"}, args...)...)
	c.Env = append(append(os.Environ(), p.env...), env...)
	out, err := c.CombinedOutput()
	return string(out), err
}

// TestClusterBackup: from each node of a cluster that is written to and deleted from, to a
// directory and to a bucket of another cluster.
func TestClusterBackup(t *testing.T) {
	t.Parallel()
	c := startTrio(t, "--history", "1s", "--release-grace", "1s")
	c.clients[0].must(t, 200, "PUT", "/box", nil)
	kept := make(map[string][]byte)
	for i := range 40 {
		key := fmt.Sprintf("kept-%d", i)
		kept[key] = content(uint64(i), 1+i*20_000)
		c.clients[i%3].must(t, 200, "PUT", "/box/"+key, kept[key])
	}
	stop := make(chan struct{})
	var writing sync.WaitGroup
	var wrote atomic.Int64
	for i := range 3 {
		writing.Go(func() {
			for rng := rand.New(rand.NewPCG(uint64(i), 7)); ; {
				select {
				case <-stop:
					return
				default:
				}
				target := fmt.Sprintf("/box/%d-%d", i, rng.IntN(50))
				method, body := "PUT", content(uint64(i), 1+rng.IntN(30_000))
				if rng.IntN(2) == 0 {
					method, body = "DELETE", nil
				}
				a, err := c.clients[i].try(method, target, body)
				if err != nil || a.status/100 != 2 {
					t.Errorf("%s %s: %v %v", method, target, a, err)
					return
				}
				wrote.Add(1)
			}
		})
	}
	dir := filepath.Join(t.TempDir(), "backup")
	for round := range 2 {
		for _, n := range c.nodes {
			before := wrote.Load()
			if out, err := backupCommand(n, nil, "--admin", "http://"+n.admin, "--to", dir); err != nil || !strings.Contains(out, "point") {
				t.Fatalf("round %d: %v: %s", round, err, out)
			}
			c.await("writes beside the backup", func() error {
				if wrote.Load() == before {
					return errors.New("nothing was written")
				}
				return nil
			})
		}
	}
	to := backup.OpenDirectory(vfs.Default, dir)
	points, err := backup.Points(t.Context(), to)
	if err != nil || len(points) != 6 {
		t.Errorf("the points are %d: %v", points, err)
	}
	for _, seq := range points {
		holdsAll(t, to, seq, kept)
	}
	if out, err := backupCommand(c.nodes[0], nil, "verify", dir); err != nil || !strings.Contains(out, "6 points are whole") {
		t.Errorf("verify: %v: %s", err, out)
	}
	if out, err := backupCommand(c.nodes[0], nil, "list", dir); err != nil || strings.Count(out, "\n") != 7 {
		t.Errorf("list: %v: %s", err, out)
	}

	other := newProcess(t)
	other.start()
	other.client().must(t, 200, "PUT", "/backups", nil)
	env := []string{"IRONMAN_BACKUP_ACCESS_KEY=" + other.cred.AccessKey, "IRONMAN_BACKUP_SECRET_KEY=" + string(other.cred.Secret.Reveal()), "AWS_REGION=" + region}
	bucket := []string{"--s3-endpoint", other.endpoint}
	for _, n := range c.nodes[:2] {
		if out, err := backupCommand(n, env, append(bucket, "--admin", "http://"+n.admin, "--to", "s3://backups/of/trio")...); err != nil {
			t.Fatalf("to a bucket: %v: %s", err, out)
		}
	}
	close(stop)
	writing.Wait()
	if out, err := backupCommand(c.nodes[0], env, append(bucket, "verify", "s3://backups/of/trio")...); err != nil || !strings.Contains(out, "2 points are whole") {
		t.Errorf("verify: %v: %s", err, out)
	}
	s3, err := backup.OpenS3(backup.S3{Endpoint: other.endpoint, Region: region, Bucket: "backups", Prefix: "of/trio/", Cred: other.cred})
	if err != nil {
		t.Fatal(err)
	}
	holdsAll(t, s3, backup.Newest, kept)
	other.client().must(t, 204, "DELETE", "/backups/of/trio/"+firstOf(t, s3, "packs/"), nil)
	if out, err := backupCommand(c.nodes[0], env, append(bucket, "verify", "--quick", "s3://backups/of/trio")...); err == nil || !strings.Contains(out, "points that are not whole: [") {
		t.Errorf("verify of a bucket without one of its packs: %v: %s", err, out)
	}

	if out, err := backupCommand(other, nil, "--admin", "http://"+other.admin, "--dir", other.dir, "--to", dir); err == nil || !strings.Contains(out, "another") {
		t.Errorf("a backup of another cluster to the same place: %v: %s", err, out)
	}
	r, err := http.Post("http://"+c.nodes[0].admin+"/-/backups", "", nil)
	if err != nil || r.StatusCode != http.StatusUnauthorized {
		t.Errorf("whoever has no key was answered %v %v", r, err)
	}
}

// holdsAll checks a point, and that the bytes of objects are in it.
func holdsAll(t testing.TB, to backup.Target, seq uint64, objects map[string][]byte) {
	t.Helper()
	_, have := wholePoint(t, to, seq)
	for key, b := range objects {
		if have[digest.SHA256(b)] == 0 {
			t.Errorf("the bytes of %q are not in the point %d", key, seq)
		}
	}
}

func firstOf(t testing.TB, to backup.Target, prefix string) string {
	t.Helper()
	items, err := to.List(t.Context(), prefix)
	if err != nil || len(items) == 0 {
		t.Fatalf("the list of %s: %v %v", prefix, items, err)
	}
	return items[0].Name
}

// extractPoint writes the files of the newest point into a directory, as a node has them.
func extractPoint(t testing.TB, to backup.Target) (dir string) {
	t.Helper()
	r, err := backup.OpenPoint(t.Context(), to, backup.Newest)
	if err != nil {
		t.Fatal(err)
	}
	dir = filepath.Join(t.TempDir(), "point")
	write := func(name string, open func() (io.ReadCloser, error)) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		copyOut(t, vfs.Default, path, open)
	}
	for _, f := range r.Point.State.Files {
		write("state/"+f.Name, func() (io.ReadCloser, error) { return r.StateFile(t.Context(), f) })
	}
	for name := range r.LedgerFiles() {
		write("ledger/"+name, func() (io.ReadCloser, error) { return r.LedgerFile(t.Context(), name) })
	}
	write("ledger/checkpoint", func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(r.Point.Ledger.Checkpoint)), nil
	})
	return dir
}
