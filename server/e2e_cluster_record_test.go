package server_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ironman/server"
)

// recordWriter makes events of mixed kinds.
type recordWriter struct {
	c   *client
	rng *rand.Rand
	n   int // which writer it is
}

// write makes one event, or a few.
func (w *recordWriter) write() error {
	key := fmt.Sprintf("/record-%d/%d/%04d", w.rng.IntN(2), w.n, w.rng.IntN(2000))
	ask := func(method, target string, body []byte, change ...func(*http.Request)) (*answer, error) {
		a, err := w.c.try(method, target, body, change...)
		if err == nil && a.status >= 500 {
			err = fmt.Errorf("%s %s: %v", method, target, a)
		}
		return a, err
	}
	var err error
	switch n := w.rng.IntN(100); {
	case n < 45:
		_, err = ask("PUT", key, content(w.rng.Uint64(), w.rng.IntN(200)), header("X-Amz-Meta-Of", "record"), header("X-Amz-Tagging", "a=b"))
	case n < 60:
		_, err = ask("DELETE", key, nil)
	case n < 75:
		_, err = ask("PUT", key+"?tagging", fmt.Appendf(nil, taggingXML, fmt.Sprint(n)))
	case n < 85:
		_, err = ask("PUT", key+"?acl", []byte{}, header("X-Amz-Acl", []string{"private", "public-read"}[n%2]))
	case n < 95:
		_, err = ask("PUT", key+"x", []byte{}, header("X-Amz-Copy-Source", key))
	case n < 97:
		_, err = ask("PUT", "/record-1?policy", rules(rule("Allow", everybody, "s3:GetObject", fmt.Sprintf("record-1/%d", w.rng.IntN(1000)), "")))
	default:
		err = w.parts(key, ask)
	}
	return err
}

func (w *recordWriter) parts(key string, ask func(string, string, []byte, ...func(*http.Request)) (*answer, error)) error {
	a, err := ask("POST", key+"?uploads", nil)
	if err != nil {
		return err
	}
	_, rest, _ := strings.Cut(string(a.body), "<UploadId>")
	id, _, _ := strings.Cut(rest, "<")
	part := content(uint64(w.n), 300)
	if _, err := ask("PUT", key+"?partNumber=1&uploadId="+id, part); err != nil {
		return err
	}
	if w.rng.IntN(3) == 0 {
		_, err = ask("DELETE", key+"?uploadId="+id, nil)
	} else {
		_, err = ask("POST", key+"?uploadId="+id, completion(etagXML(part)))
	}
	return err
}

// TestClusterRecord: behind IRONMAN_RECORDED events of mixed kinds and at least three
// snapshots with truncations of the log, the record of each of three nodes verifies with
// the same root, and the state made anew from it is the one that the nodes had.
func TestClusterRecord(t *testing.T) {
	t.Parallel()
	events := 1500
	if s := os.Getenv("IRONMAN_RECORDED"); s != "" {
		var err error
		if events, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	c := startTrio(t, "--snapshot-entries", strconv.Itoa(events/8), "--log-segment-bytes", strconv.Itoa(max(65536, min(events*16, 64<<20)>>16<<16)))
	c.clients[0].must(t, 200, "PUT", "/record-0", nil)
	c.clients[0].must(t, 200, "PUT", "/record-1", nil)
	c.clients[0].must(t, 200, "PUT", "/record-1?versioning", []byte("<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"))
	var done atomic.Bool
	var wg sync.WaitGroup
	for n := range 24 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			w := &recordWriter{c: c.clients[n%3], rng: rand.New(rand.NewPCG(uint64(n), 8)), n: n}
			for !done.Load() {
				if err := w.write(); err != nil {
					t.Error(err)
					return
				}
			}
		}()
	}
	snapshots := make([]map[string]bool, 3)
	for i := range snapshots {
		snapshots[i] = make(map[string]bool)
	}
	enough := func(made uint64) bool {
		for _, names := range snapshots {
			if len(names) < 3 && made < 20*uint64(events) {
				return false
			}
		}
		return made >= uint64(events)
	}
	for made := uint64(0); !enough(made) && !t.Failed(); time.Sleep(50 * time.Millisecond) {
		var s server.Status
		if err := c.fetchAdmin(0, "/-/status", &s); err != nil {
			t.Error(err)
		}
		made = s.Events
		for i, p := range c.nodes {
			names, err := filepath.Glob(filepath.Join(p.dir, "wal", "snapshots", "0*"))
			if err != nil {
				t.Error(err)
			}
			for _, name := range names {
				snapshots[i][name] = true
			}
		}
	}
	done.Store(true)
	wg.Wait()
	c.agree(all()...)
	var s server.Status
	if err := c.fetchAdmin(0, "/-/status", &s); err != nil {
		t.Fatal(err)
	}
	c.nodes[0].stop()
	c.nodes[1].stop()
	c.nodes[2].stop()
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(program(c), args...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("ironman %v: %v\n%s", args, err, out)
		}
		t.Logf("ironman %v prints\n%s", args[:2], out)
		return string(out)
	}
	for i, p := range c.nodes {
		if len(snapshots[i]) < 3 {
			t.Errorf("node %d has taken %d snapshots only", i+1, len(snapshots[i]))
		}
		out := run("audit", "verify", "--dir", p.dir)
		if !strings.Contains(out, s.LedgerRoot) {
			t.Errorf("node %d does not have the root %s", i+1, s.LedgerRoot)
		}
		out = run("audit", "replay", "--dir", p.dir)
		if !strings.Contains(out, s.StateDigest) {
			t.Errorf("node %d does not replay to the state %s", i+1, s.StateDigest)
		}
		run("audit", "verify", "--dir", p.dir, "--root", s.LedgerRoot)
		out = run("audit", "consistency", "1000", strconv.FormatUint(s.Events, 10), "--dir", p.dir)
		_, early, _ := strings.Cut(out, "1000 events  root ")
		early, _, _ = strings.Cut(early, "\n")
		run("audit", "consistency", "1000", strconv.FormatUint(s.Events, 10), "--dir", p.dir, "--root", early)
		for _, args := range [][]string{
			{"verify", "--root", early}, {"verify", "--root", "ab"}, {"consistency", "1001", strconv.FormatUint(s.Events, 10), "--root", early},
		} {
			cmd := exec.Command(program(c), append([]string{"audit", "--dir", p.dir}, args...)...)
			if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "root") {
				t.Errorf("ironman audit %v: %v\n%s", args, err, out)
			}
		}
	}
}
