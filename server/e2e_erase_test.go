package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/server"
)

// eraseRig is a cluster in which something is to be erased.
type eraseRig struct {
	*trio
	names  canaries
	bucket string
	stay   int // objects that stay
}

const (
	eraseKey    = "people/kim-canary-of-a-key-that-must-go"
	eraseCopy   = "people/kim-canary-of-a-copied-key-that-must-go"
	eraseHeader = "canary-of-user-metadata-that-must-go"
	eraseTag    = "canary-of-a-tag-value-that-must-go"
	eraseStays  = "planted-name-that-stays-in-the-record"
)

// startErase starts a cluster of small segments whose history is short, with names in
// every kind of file: what is to go, and what stays.
func startErase(t *testing.T, flags ...string) *eraseRig {
	r := &eraseRig{bucket: "erase"}
	for name, text := range map[string]string{"key": eraseKey, "copied key": eraseCopy, "metadata": eraseHeader, "tag": eraseTag} {
		r.names.keep(t, name, []byte(text))
	}
	r.trio = startTrio(t, append([]string{"--history", "2s", "--log-segment-bytes", "65536", "--snapshot-entries", "150"}, flags...)...)
	r.await("the newest feature level", func() error {
		_, out, err := r.run(0, "audit", "erase", r.bucket, "none", "--dry-run")
		if strings.Contains(out, "no bucket") {
			return nil
		}
		return fmt.Errorf("%v: %s", err, out)
	})
	r.clients[0].must(t, 200, "PUT", "/"+r.bucket, nil)
	return r
}

// run runs `ironman` against a node.
func (r *eraseRig) run(i int, args ...string) (out, said string, err error) {
	r.Helper()
	if args[1] != "verify" && !slices.Contains(args, "--dir") && !slices.Contains(args, "--admin") {
		args = append(args, "--admin", "http://"+r.nodes[i].admin)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Second)
	defer cancel()
	c := exec.CommandContext(ctx, program(r), args...)
	c.Env = append(os.Environ(), r.nodes[0].env...)
	var stdout, stderr bytes.Buffer
	c.Stdout, c.Stderr = &stdout, &stderr
	err = c.Run()
	return stdout.String(), stderr.String(), err
}

func (r *eraseRig) mustRun(i int, args ...string) string {
	r.Helper()
	out, said, err := r.run(i, args...)
	if err != nil {
		r.Fatalf("ironman %v: %v: %s", args, err, said)
	}
	return out
}

// others puts n objects that stay, through the nodes that are named.
func (r *eraseRig) others(n int, through ...int) {
	r.Helper()
	for range n {
		r.stay++
		r.clients[through[r.stay%len(through)]].must(r, 200, "PUT", fmt.Sprintf("/%s/%s-%d", r.bucket, eraseStays, r.stay), content(uint64(r.stay), 20))
	}
}

// plant puts what is to be erased, with a copy of it, an upload and a listing's worth of
// others around, and deletes it.
func (r *eraseRig) plant(through ...int) {
	r.Helper()
	c := r.clients[through[0]]
	path := "/" + r.bucket + "/" + eraseKey
	r.others(100, through...)
	c.must(r, 200, "PUT", path, content(1, 5000), header("X-Amz-Meta-Person", eraseHeader), header("X-Amz-Tagging", "who="+eraseTag))
	c.must(r, 200, "PUT", "/"+r.bucket+"/"+eraseCopy, nil, header("X-Amz-Copy-Source", path))
	r.others(30, through...)
	c.must(r, 200, "PUT", path, content(2, 100), header("X-Amz-Meta-Person", eraseHeader))
	c.must(r, 200, "PUT", "/"+r.bucket+"/copy-that-stays", nil, header("X-Amz-Copy-Source", path), header("X-Amz-Metadata-Directive", "REPLACE"))
	started := c.must(r, 200, "POST", path+"?uploads", nil)
	id, _, _ := strings.Cut(string(started.body[bytes.Index(started.body, []byte("<UploadId>"))+len("<UploadId>"):]), "<")
	c.must(r, 204, "DELETE", path+"?uploadId="+id, nil)
	r.others(150, through...) // so that a bundle of the ledger is full
	c.must(r, 204, "DELETE", path, nil)
	c.must(r, 204, "DELETE", "/"+r.bucket+"/"+eraseCopy, nil)
}

// forgotten waits until no history holds the names.
func (r *eraseRig) forgotten(i int) {
	r.Helper()
	r.await("the history is trimmed", func() error {
		_, said, err := r.run(i, "audit", "erase", r.bucket, eraseKey, eraseCopy, "--dry-run")
		if err != nil && !strings.Contains(said, "history") {
			r.Fatalf("a dry run: %v: %s", err, said)
		}
		return err
	})
}

// left tells where on a node's disks a name is, of any file: as it is, in what is
// compressed, and in the blocks of Pebble's tables.
func (r *eraseRig) left(i int) (found []string) {
	r.Helper()
	planted := 0
	look := func(where string, b []byte) {
		for _, s := range r.names.find(b) {
			found = append(found, fmt.Sprintf("node %d, %s: %s %s", i+1, where, s.name, s.how))
		}
		if bytes.Contains(b, []byte(eraseStays)) {
			planted++
		}
	}
	for _, dir := range append([]string{r.nodes[i].dir}, r.nodes[i].disks...) {
		// Files come and go while the node runs.
		var err error
		for range 50 {
			before := len(found)
			err = errors.Join(eachFile(dir, look), eachBlock(dir, look))
			if err == nil || !errors.Is(err, os.ErrNotExist) && !strings.Contains(err.Error(), "invalid table") {
				break
			}
			found = found[:before]
		}
		if err != nil {
			r.Fatal(err)
		}
	}
	if planted == 0 {
		r.Fatalf("node %d: what stays was not found either: the search proves nothing", i+1)
	}
	return found
}

// eachBlock shows what the blocks of all of Pebble's tables below a directory say, those of
// the index among them.
func eachBlock(dir string, show func(where string, b []byte)) error {
	return filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Ext(path) != ".sst" {
			return err
		}
		f, err := vfs.Default.Open(path)
		if err != nil {
			return err
		}
		readable, err := sstable.NewSimpleReadable(f)
		if err != nil {
			return errors.Join(err, f.Close())
		}
		o := &pebble.Options{}
		o.EnsureDefaults()
		table, err := sstable.NewReader(context.Background(), readable, o.MakeReaderOptions())
		if err != nil {
			return errors.Join(err, readable.Close())
		}
		layout, err := table.Layout()
		if err == nil {
			show("blocks of "+path, []byte(layout.Describe(true, table, nil)))
		}
		return errors.Join(err, table.Close())
	})
}

// gone waits until nothing is left on a node, of which the files may still be unlinked.
func (r *eraseRig) gone(i int) {
	r.Helper()
	r.await("nothing is left", func() error {
		if found := r.left(i); len(found) > 0 {
			return errors.New(strings.Join(found, "\n"))
		}
		return nil
	})
}

// done tells which nodes have carried everything out.
func (r *eraseRig) done(i int) (done []bool) {
	r.Helper()
	var x server.Erasures
	if err := r.fetchAdmin(i, "/-/erasures", &x); err != nil {
		r.Fatal(err)
	}
	for _, n := range x.Nodes {
		done = append(done, n.Done)
	}
	return done
}

// audited stops all nodes and audits each: it verifies, exports without what was erased,
// and replays, all to the same state.
func (r *eraseRig) audited() {
	r.Helper()
	r.agree(all()...)
	states := make(map[string]bool)
	verified := func(i int, args ...string) {
		r.Helper()
		if out := r.mustRun(i, append([]string{"audit", "verify"}, args...)...); !strings.Contains(out, "erased  ") || !strings.Contains(out, " items, by event") {
			r.Errorf("node %d: verify %v does not tell what was erased: %s", i+1, args, out)
		}
	}
	for i := range r.nodes {
		verified(i, "--admin", "http://"+r.nodes[i].admin)
	}
	for i := range r.nodes {
		r.nodes[i].stop()
	}
	for i := range r.nodes {
		dir := r.nodes[i].dir
		verified(i, "--dir", dir)
		out, said, err := r.run(i, "audit", "replay", "--dir", dir, "--json")
		if err != nil || !strings.Contains(said, "begins at this node's snapshot") {
			r.Errorf("node %d: replay: %v: %s", i+1, err, said)
			continue
		}
		var x struct {
			From        uint64 `json:"from"`
			Events      uint64 `json:"events"`
			StateDigest string `json:"state_digest"`
		}
		if err := json.Unmarshal([]byte(out), &x); err != nil || x.From == 0 {
			r.Errorf("node %d: replay said %s, %v", i+1, out, err)
		}
		// A node that stops may add an event behind what the others saw.
		states[fmt.Sprint(x.Events, x.StateDigest)] = true
		if _, said, err := r.run(i, "audit", "replay", "--dir", dir, "--to", "150"); err == nil || !strings.Contains(said, "erased") {
			r.Errorf("node %d: a replay to before what was erased: %v: %s", i+1, err, said)
		}
		export := filepath.Join(r.TempDir(), "export")
		r.mustRun(i, "audit", "export", export, "--dir", dir)
		verified(i, export)
		if err := eachFile(export, func(where string, b []byte) {
			for _, s := range r.names.find(b) {
				r.Errorf("an export has %s %s in %s", s.name, s.how, where)
			}
		}); err != nil {
			r.Fatal(err)
		}
		if _, said, err := r.run(i, "audit", "replay", "--dir", export); err == nil || !strings.Contains(said, "erased by law") {
			r.Errorf("a replay of the export: %v: %s", err, said)
		}
	}
	r.Logf("the nodes replay to %v", states)
}

// TestErase: of keys that are gone nothing is left on any node's disks, and the record
// verifies and replays.
func TestErase(t *testing.T) {
	t.Parallel()
	r := startErase(t)
	r.plant(all()...)

	// What cannot go is told, and nothing changes.
	path := "/" + r.bucket + "/" + eraseKey
	refused := func(want string, args ...string) {
		t.Helper()
		if out, said, err := r.run(1, append([]string{"audit", "erase", r.bucket, "--yes"}, args...)...); err == nil || !strings.Contains(said, want) {
			t.Errorf("%v, which is to be refused for its %s: %v: %s%s", args, want, err, out, said)
		}
	}
	refused("history", eraseKey)
	refused("history", "--prefix", "people/")
	refused("exists", eraseStays+"-1")
	refused("name a key or a prefix")
	if _, said, err := r.run(0, "audit", "erase", "no-such-bucket", eraseKey, "--yes"); err == nil || !strings.Contains(said, "no bucket") {
		t.Errorf("a bucket that never was: %v: %s", err, said)
	}
	var before server.Erasures
	if err := r.fetchAdmin(0, "/-/erasures", &before); err != nil || len(before.Erasures) != 0 {
		t.Fatalf("after refusals: %+v, %v", before, err)
	}
	r.forgotten(1)
	r.clients[1].must(t, 200, "POST", path+"?uploads", nil)
	refused("upload", eraseKey)
	r.abortUploads()
	for i := range r.nodes {
		found := strings.Join(r.left(i), "\n")
		for _, where := range []string{"/wal/log/", "row of", "ledger: a payload item", "file"} {
			if !strings.Contains(found, where) {
				t.Errorf("node %d: nothing was in any %s before: nothing is proven of it", i+1, where)
			}
		}
	}
	plan := r.mustRun(2, "audit", "erase", r.bucket, eraseKey, eraseCopy, "--dry-run")
	for _, want := range []string{"object_put", "objects_deleted", "upload_created", "upload_aborted", eraseKey, eraseCopy} {
		if !strings.Contains(plan, want) {
			t.Errorf("a dry run does not tell of %s:\n%s", want, plan)
		}
	}
	began := time.Now()
	said := r.mustRun(2, "audit", "erase", r.bucket, eraseKey, "--prefix", "people/", "--yes", "--wait", "--timeout", "90s")
	t.Logf("%v: %s", time.Since(began), said)
	for i := range r.nodes {
		r.gone(i)
	}
	if out := r.mustRun(0, "audit", "erasures"); strings.Count(out, "done") != 3 || strings.Contains(out, "not done") {
		t.Errorf("the erasures are:\n%s", out)
	}
	if out := r.mustRun(1, "audit", "erase", r.bucket, eraseKey, eraseCopy, "--dry-run"); !strings.Contains(out, "nothing is recorded") {
		t.Errorf("a second time there is left:\n%s", out)
	}
	// What stays is told as before, and so is that something was erased.
	log := r.mustRun(0, "audit", "log", "--bucket", r.bucket, "--json")
	if strings.Count(log, eraseStays) != r.stay || !strings.Contains(log, `"erased":`) {
		t.Errorf("the record tells %d names of %d", strings.Count(log, eraseStays), r.stay)
	}
	if log := r.mustRun(0, "audit", "log", "--kind", "payloads_erased", "--operation", "EraseRecords", "--json"); !strings.Contains(log, `"by":"root"`) {
		t.Errorf("who erased is not told: %s", log)
	}
	r.others(50, all()...)
	r.clients[1].must(t, 404, "GET", path, nil)
	if got := r.clients[2].must(t, 200, "GET", "/"+r.bucket+"/copy-that-stays", nil); !bytes.Equal(got.body, content(2, 100)) {
		t.Error("a copy of what was erased has other bytes")
	}
	// The name may be used again, and is a name like any other.
	r.clients[0].must(t, 200, "PUT", path, content(3, 10))
	r.clients[0].must(t, 204, "DELETE", path, nil)
	r.forgotten(0)
	r.mustRun(0, "audit", "erase", r.bucket, eraseKey, "--yes", "--wait", "--timeout", "90s")
	for i := range r.nodes {
		r.gone(i)
	}
	r.audited()
}

// uploads aborts what is open for a key.
func (r *eraseRig) abortUploads() {
	r.Helper()
	list := string(r.clients[0].must(r, 200, "GET", "/"+r.bucket+"?uploads", nil).body)
	for {
		_, rest, ok := strings.Cut(list, "<UploadId>")
		if !ok {
			return
		}
		id, after, _ := strings.Cut(rest, "<")
		r.clients[0].must(r, 204, "DELETE", "/"+r.bucket+"/"+eraseKey+"?uploadId="+id, nil)
		list = after
	}
}

// TestEraseAway: a node that was away while the others erased is told of. When it is back it is
// sent a snapshot, since the others have no log from before any more, fetches what its
// ledger lacks, and carries the erasure out, too.
func TestEraseAway(t *testing.T) {
	t.Parallel()
	r := startErase(t)
	r.plant(all()...)
	victim := others(r.leader(all()...))[0]
	stay := others(victim)
	r.forgotten(stay[0])
	r.nodes[victim].kill()
	if len(r.left(victim)) == 0 {
		t.Fatal("there is nothing to erase on it")
	}
	out, said, err := r.run(stay[0], "audit", "erase", r.bucket, eraseKey, eraseCopy, "--yes", "--wait", "--timeout", "15s")
	if err == nil || !strings.Contains(said, fmt.Sprintf("not done yet on node %d:", victim+1)) {
		t.Errorf("with a node away: %v: %s%s", err, out, said)
	}
	for _, i := range stay {
		r.gone(i)
	}
	if done := r.done(stay[1]); done[victim] || !done[stay[0]] || !done[stay[1]] {
		t.Errorf("done are %v, node %d is away", done, victim+1)
	}
	if _, said, err := r.run(stay[0], "audit", "erasures"); err == nil || !strings.Contains(said, "not done") {
		t.Errorf("audit erasures: %v: %s", err, said)
	}
	r.others(40, stay...)
	r.nodes[victim].start()
	r.settled()
	r.await("it erases, too", func() error {
		if done := r.done(stay[0]); !done[victim] {
			return fmt.Errorf("done are %v", done)
		}
		return nil
	})
	if !strings.Contains(r.nodes[victim].log.String(), "the state of a snapshot was put in place") {
		t.Error("it came by the log, which the others do not have any more")
	}
	for i := range r.nodes {
		r.gone(i)
	}
	r.audited()
}

// TestEraseKilled: nodes that are killed in the middle of an erasure carry it out after all.
func TestEraseKilled(t *testing.T) {
	t.Parallel()
	r := startErase(t)
	r.plant(all()...)
	r.forgotten(0)
	if _, said, err := r.run(0, "audit", "erase", r.bucket, eraseKey, eraseCopy, "--yes"); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	// All nodes are killed again and again, at moments that move through all they do.
	kills := 0
	for n := range 30 {
		time.Sleep(time.Duration(n*50) * time.Millisecond)
		if n > 0 {
			var x server.Erasures
			if err := r.fetchAdmin(n%3, "/-/erasures", &x); err == nil && x.Done() {
				break
			}
		}
		for i := range r.nodes {
			r.nodes[i].kill()
		}
		kills++
		r.restart(all()...)
	}
	t.Logf("killed %d times before it was done", kills)
	if kills < 3 {
		t.Errorf("only %d times before it was done: nothing is proven", kills)
	}
	r.await("all have erased", func() error {
		if done := r.done(0); slices.Contains(done, false) {
			return fmt.Errorf("done are %v", done)
		}
		return nil
	})
	for i := range r.nodes {
		r.gone(i)
	}
	r.audited()
}
