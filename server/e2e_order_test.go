package server_test

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

var update = flag.Bool("update", false, "rewrite golden files")

// recorder notes what changes files, in order.
type recorder struct {
	vfs.FS
	mu  sync.Mutex
	ops []fileOp
}

type fileOp struct{ what, path string }

func (r *recorder) note(what, path string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, fileOp{what, path})
}

func (r *recorder) take() []fileOp {
	r.mu.Lock()
	defer r.mu.Unlock()
	ops := r.ops
	r.ops = nil
	return ops
}

func (r *recorder) wrap(name string, f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return &recordedFile{File: f, r: r, path: name}, nil
}

func (r *recorder) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	r.note("create", name)
	f, err := r.FS.Create(name, c)
	return r.wrap(name, f, err)
}

func (r *recorder) OpenReadWrite(name string, c vfs.DiskWriteCategory, o ...vfs.OpenOption) (vfs.File, error) {
	if _, err := r.FS.Stat(name); err != nil {
		r.note("create", name)
	}
	f, err := r.FS.OpenReadWrite(name, c, o...)
	return r.wrap(name, f, err)
}

func (r *recorder) OpenDir(name string) (vfs.File, error) {
	f, err := r.FS.OpenDir(name)
	return r.wrap(name+"/", f, err)
}

func (r *recorder) Rename(from, to string) error {
	r.note("rename", to)
	return r.FS.Rename(from, to)
}

func (r *recorder) Remove(name string) error {
	r.note("remove", name)
	return r.FS.Remove(name)
}

func (r *recorder) Link(from, to string) error {
	r.note("link", to)
	return r.FS.Link(from, to)
}

func (r *recorder) Unwrap() vfs.FS { return r.FS }

type recordedFile struct {
	vfs.File
	r    *recorder
	path string
}

func (f *recordedFile) Write(b []byte) (int, error) {
	f.r.note("write", f.path)
	return f.File.Write(b)
}

func (f *recordedFile) WriteAt(b []byte, at int64) (int, error) {
	f.r.note("write", f.path)
	return f.File.WriteAt(b, at)
}

func (f *recordedFile) Sync() error {
	f.r.note("sync", f.path)
	return f.File.Sync()
}

func (f *recordedFile) SyncData() error {
	f.r.note("sync", f.path)
	return f.File.SyncData()
}

// TestGoldenOrder pins what a request writes and syncs, and in which order: bytes
// before their event, the event before the answer. What several disks do side by
// side is sorted; nothing else is. The write after the log's sync is the mark that
// says what was acknowledged; it is not waited for.
func TestGoldenOrder(t *testing.T) {
	r := &recorder{FS: vfs.NewMem()}
	p := openInProcess(t, r, "/")
	p.client().must(t, 200, "PUT", "/order", nil)
	r.awaitPacks(t)
	g := &orders{T: t, r: r, c: p.client()}
	g.step("PUT of 1,000 bytes", 200, "PUT", "/order/small", content(1, 1000))
	g.step("PUT of 1,000 bytes over it", 200, "PUT", "/order/small", content(2, 1000))
	g.step("PUT of no bytes", 200, "PUT", "/order/empty", []byte{})
	g.step("PUT of 100 KiB", 200, "PUT", "/order/coded", content(3, 100<<10))
	g.step("the first PUT of 2 MiB", 200, "PUT", "/order/medium", content(4, 2<<20))
	g.step("the next PUT of 2 MiB", 200, "PUT", "/order/medium", content(5, 2<<20))
	g.step("PUT of 8 MiB", 200, "PUT", "/order/large", content(6, 8<<20))
	g.step("PUT that If-None-Match refuses", 412, "PUT", "/order/small", content(7, 1000), header("If-None-Match", "*"))
	g.step("GET of 8 MiB", 200, "GET", "/order/large", nil)
	g.step("copy", 200, "PUT", "/order/copy", []byte{}, header("X-Amz-Copy-Source", "/order/large"))
	g.step("PUT of an access control list", 200, "PUT", "/order/small?acl", []byte{}, header("X-Amz-Acl", "public-read"))
	created := g.step("create a multipart upload", 200, "POST", "/order/parts?uploads", []byte{})
	_, id, _ := strings.Cut(string(created.body), "<UploadId>")
	id, _, _ = strings.Cut(id, "</UploadId>")
	part := content(8, 5<<20)
	g.step("PUT of a part of 5 MiB", 200, "PUT", "/order/parts?partNumber=1&uploadId="+id, part)
	g.step("complete the multipart upload", 200, "POST", "/order/parts?uploadId="+id, fmt.Appendf(nil,
		"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>%s</ETag></Part></CompleteMultipartUpload>", etag(part)))
	g.step("DELETE", 204, "DELETE", "/order/large", nil)
	g.step("DELETE of what is not there", 204, "DELETE", "/order/large", nil)
	// Last: what it abandons becomes an event, at a time of the collector's own.
	g.step("PUT whose Content-MD5 is wrong", 400, "PUT", "/order/wrong", content(7, 100), header("Content-Md5", contentMD5(nil)))

	path := filepath.Join("testdata", "order.txt")
	if *update {
		if err := os.WriteFile(path, g.out.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(want, g.out.Bytes()) {
		t.Errorf("not as in %s (%v):\n%s", path, err, g.out.Bytes())
	}
}

// awaitPacks waits until every disk has made the pack that it begins with durable.
func (r *recorder) awaitPacks(t testing.TB) {
	t.Helper()
	limit := time.After(time.Minute)
	ready := make(map[string]bool)
	for len(ready) < 6 {
		for _, op := range r.take() {
			if op.what == "sync" && strings.HasSuffix(op.path, "/packs/") {
				ready[op.path] = true
			}
		}
		select {
		case <-limit:
			t.Fatalf("packs are ready on %v only", ready)
		case <-time.After(time.Millisecond):
		}
	}
	r.take()
}

// orders writes the transcript.
type orders struct {
	*testing.T
	r   *recorder
	c   *client
	out bytes.Buffer
}

// step sends one request and writes down what it did to packs and log. Snapshots,
// ledger and the state's own files follow behind and are no part of a request.
func (g *orders) step(name string, status int, method, target string, body []byte, change ...func(*http.Request)) *answer {
	g.Helper()
	g.r.take()
	a := g.c.must(g, status, method, target, body, change...)
	fmt.Fprintf(&g.out, "%s\n", name)
	disks := make(map[string][]string)
	for _, op := range g.r.take() {
		switch disk, name, isDisk := strings.Cut(op.path, "/packs/"); {
		case isDisk && name == "":
			disks[disk] = appendOnce(disks[disk], op.what+" directory")
		case isDisk:
			disks[disk] = appendOnce(disks[disk], op.what+" pack")
		case strings.HasSuffix(op.path, "/wal/log/0000000000000001.wal"): // the next is being prepared beside
			g.flush(disks)
			fmt.Fprintf(&g.out, "  log: %s segment\n", op.what)
		}
	}
	g.flush(disks)
	return a
}

// flush writes what the disks did since the last line, alike ones together.
func (g *orders) flush(disks map[string][]string) {
	count := make(map[string]int)
	for disk, ops := range disks {
		count[strings.Join(ops, ", ")]++
		delete(disks, disk)
	}
	for _, ops := range slices.Sorted(maps.Keys(count)) {
		fmt.Fprintf(&g.out, "  %d disks: %s\n", count[ops], ops)
	}
}

// appendOnce leaves out repetitions: how many writes a pack takes is not the point.
func appendOnce(ops []string, op string) []string {
	if len(ops) > 0 && ops[len(ops)-1] == op {
		return ops
	}
	return append(ops, op)
}
