package server_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/erasure"
	"ironman/s3api/sig"
	"ironman/server"
)

// TestDiskFull: the rest of D9. Without a reserve, log, state or ledger meet a full
// disk: the node stops, and once there is space it has all it acknowledged.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	// Where log, state and ledger are, in turn, the first to notice.
	quotas := []int64{2200 << 10, 2700 << 10, 3300 << 10, 4300 << 10, 5500 << 10}
	if testing.Short() {
		quotas = quotas[:1]
	}
	for _, quota := range quotas {
		dir := t.TempDir()
		n := startQuotaNode(t, dir, quota)
		acked := n.fill(t)
		said := n.died(t)
		if !strings.Contains(said, "no space left") {
			t.Errorf("quota %d: it says %q", quota, said)
		}
		t.Logf("quota %d: %d objects, then %s", quota, len(acked), strings.TrimSpace(said))
		if len(acked) < 50 {
			t.Errorf("quota %d: only %d objects", quota, len(acked))
		}
		n = startQuotaNode(t, dir, quota+64<<20)
		have := make(map[string]bool)
		for _, o := range n.client.list(t, "full", 1000) {
			have["/full/"+o.Key] = true
		}
		for _, name := range acked {
			if !have[name] {
				t.Fatalf("quota %d: %s was acknowledged and is gone", quota, name)
			}
		}
		n.client.must(t, 200, "PUT", "/full/after", content(1, 300_000))
		n.stop(t)
	}
}

// quotaNodeEnv makes a test binary run a node on a quotaFS instead of tests.
const quotaNodeEnv = "IRONMAN_TEST_QUOTA_NODE"

// quotaSpec is what such a node is told.
type quotaSpec struct {
	Dir   string
	Quota int64
}

// quotaReady is what it says once it serves.
type quotaReady struct{ Endpoint, AccessKey, SecretKey string }

// runQuotaNode serves until its standard input ends.
func runQuotaNode(spec string) int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 3
	}
	var s quotaSpec
	if err := json.Unmarshal([]byte(spec), &s); err != nil {
		return fail(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fail(err)
	}
	disk, err := newQuotaFS(vfs.Default, s.Dir, s.Quota)
	if err != nil {
		return fail(err)
	}
	n, err := server.Open(context.Background(), server.Options{
		FS: disk, Dir: filepath.Join(s.Dir, "node"), Disks: []string{filepath.Join(s.Dir, "disk")}, S3: []net.Listener{l}, Now: time.Now,
		Reserve: erasure.NoReserve, SegmentBytes: 64 << 10, PackBytes: 64 << 10, SnapshotEntries: 100,
		Fatal: func(err error) { os.Exit(fail(err)) },
	})
	if err != nil {
		return fail(err)
	}
	access, secret := n.Credentials()
	b, err := json.Marshal(quotaReady{"http://" + l.Addr().String(), access, secret})
	if err != nil {
		return fail(err)
	}
	fmt.Println(string(b))
	_, _ = io.Copy(io.Discard, os.Stdin)
	if err := n.Close(context.Background()); err != nil {
		return fail(err)
	}
	return 0
}

// quotaNode is such a process.
type quotaNode struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	stderr *bytes.Buffer
	client *client
}

func startQuotaNode(t *testing.T, dir string, quota int64) *quotaNode {
	t.Helper()
	spec, err := json.Marshal(quotaSpec{dir, quota})
	if err != nil {
		t.Fatal(err)
	}
	n := &quotaNode{cmd: exec.Command(os.Args[0]), stderr: &bytes.Buffer{}}
	n.cmd.Env, n.cmd.Stderr = append(os.Environ(), quotaNodeEnv+"="+string(spec)), n.stderr
	stdin, err1 := n.cmd.StdinPipe()
	stdout, err2 := n.cmd.StdoutPipe()
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	n.stdin = stdin
	if err := n.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.cmd.Process.Kill() }) // it may have ended
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	var ready quotaReady
	if err == nil {
		err = json.Unmarshal(line, &ready)
	}
	if err != nil {
		_ = n.cmd.Wait()
		t.Fatalf("the node did not start: %v\n%s", err, n.stderr)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 8}
	t.Cleanup(transport.CloseIdleConnections)
	n.client = &client{
		http: &http.Client{Transport: transport}, base: ready.Endpoint,
		cred: sig.Credential{AccessKey: ready.AccessKey, Secret: sig.NewSecret(ready.SecretKey)},
	}
	return n
}

// fill puts empty objects, which need space in log, state and ledger only, until
// the node is gone. It returns the names that were acknowledged.
func (n *quotaNode) fill(t *testing.T) (acked []string) {
	t.Helper()
	n.client.must(t, 200, "PUT", "/full", nil)
	begin := time.Now()
	var mu sync.Mutex
	var clients sync.WaitGroup
	for w := range 8 {
		clients.Go(func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("/full/%d-%d", w, i)
				a, err := n.client.try("PUT", name, []byte{}, header("X-Amz-Meta-Filler", hex.EncodeToString(content(uint64(i*8+w), 900))))
				if err != nil {
					return // it is gone
				}
				if a.status == 200 {
					mu.Lock()
					acked = append(acked, name)
					mu.Unlock()
				} else if time.Since(begin) > time.Minute {
					_ = n.cmd.Process.Kill()
				}
			}
		})
	}
	clients.Wait()
	return acked
}

// died waits for the end of a node that must stop by itself, and returns what it said.
func (n *quotaNode) died(t *testing.T) string {
	t.Helper()
	_ = n.cmd.Wait()
	if code := n.cmd.ProcessState.ExitCode(); code != 3 {
		t.Errorf("the node ended with %d", code)
	}
	return n.stderr.String()
}

func (n *quotaNode) stop(t *testing.T) {
	t.Helper()
	n.stdin.Close()
	if err := n.cmd.Wait(); err != nil {
		t.Errorf("the node did not stop cleanly: %v\n%s", err, n.stderr)
	}
}
