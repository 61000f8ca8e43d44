package server_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"ironman/s3api/sig"
)

// TestNothingLeaks opens a node, uses and misuses it, closes it: no goroutine of it
// runs on and none of its files stays open.
func TestNothingLeaks(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		p := openInProcess(t, vfs.Default, dir)
		c := p.client()
		c.must(t, 200, "PUT", "/leaks", nil)
		var wait sync.WaitGroup
		for i := range 16 {
			wait.Go(func() {
				target := fmt.Sprintf("/leaks/%d", i)
				for n, size := range []int{100, 200_000, 3 << 20} {
					c.must(t, 200, "PUT", target, content(uint64(n+1), size))
					c.must(t, 200, "GET", target, nil)
					cutOff(t, p, target+"/cut", 3<<20, 1<<20)
					leaveEarly(t, c, target)
				}
			})
		}
		wait.Wait()
		for i := range 16 {
			c.refused(t, 404, "NoSuchKey", "GET", fmt.Sprintf("/leaks/%d/cut", i), nil)
		}
		p.close(t)
		awaitQuiet(t, dir)
	}
}

// cutOff begins a PUT and breaks the connection in its body.
func cutOff(t testing.TB, p *inProcess, target string, size, sent int) {
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.endpoint, "http://"))
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	r := p.client().request(context.Background(), "PUT", target, nil)
	r.ContentLength = int64(size)
	if err := sig.SignV4(r, p.cred, region, sig.UnsignedPayload, time.Now()); err != nil {
		t.Error(err)
		return
	}
	if err := writeHead(conn, r); err != nil {
		t.Error(err)
	}
	_, _ = conn.Write(content(9, sent)) // the node may have had enough
}

// writeHead writes a request without its body.
func writeHead(w io.Writer, r *http.Request) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", r.Method, r.URL.RequestURI(), r.Host, r.ContentLength)
	if err := r.Header.WriteSubset(&b, map[string]bool{"Host": true, "Content-Length": true}); err != nil {
		return err
	}
	b.WriteString("\r\n")
	_, err := w.Write(b.Bytes())
	return err
}

// leaveEarly reads a little of a body and goes away.
func leaveEarly(t testing.TB, c *client, target string) {
	r := c.request(t.Context(), "GET", target, nil)
	c.sign(r, nil)
	resp, err := c.http.Do(r)
	if err != nil {
		t.Error(err)
		return
	}
	_, _ = io.ReadFull(resp.Body, make([]byte, 10))
	resp.Body.Close()
}

// awaitQuiet waits until no goroutine and no open file reminds of a node.
func awaitQuiet(t testing.TB, dir string) {
	t.Helper()
	var left string
	for range 500 {
		if left = goroutinesOfNode() + filesBelow(t, dir); left == "" {
			return
		}
		time.Sleep(10 * time.Millisecond) // goroutines that are ending
	}
	t.Errorf("after Close there is still:\n%s", left)
}

// goroutinesOfNode are the stacks of goroutines that run, or were begun by, the store.
func goroutinesOfNode() string {
	b := make([]byte, 16<<20)
	var out strings.Builder
	for stack := range strings.SplitSeq(string(b[:runtime.Stack(b, true)]), "\n\n") {
		if strings.Contains(stack, "server_test.") || strings.Contains(stack, "testing.") {
			continue
		}
		for _, of := range []string{"ironman/", "hashicorp/raft", "cockroachdb/pebble", "klauspost/"} {
			if strings.Contains(stack, of) {
				out.WriteString(stack + "\n\n")
				break
			}
		}
	}
	return out.String()
}

// filesBelow lists the open files below dir.
func filesBelow(t testing.TB, dir string) string {
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("no /proc: %v", err)
	}
	var out strings.Builder
	for _, fd := range fds {
		if path, err := os.Readlink(filepath.Join("/proc/self/fd", fd.Name())); err == nil && strings.HasPrefix(path, dir) {
			out.WriteString(path + "\n")
		}
	}
	return out.String()
}

// TestTwoNodesShareNothing runs two nodes in one process.
func TestTwoNodesShareNothing(t *testing.T) {
	fs := vfs.NewMem()
	a, b := openInProcess(t, fs, "/a"), openInProcess(t, fs, "/b")
	for _, p := range []*inProcess{a, b} {
		p.client().must(t, 200, "PUT", "/shared", nil)
	}
	for i := range 20 {
		a.client().must(t, 200, "PUT", fmt.Sprintf("/shared/a-%d", i), content(uint64(i), 5000*i))
		b.client().must(t, 200, "PUT", "/shared/b", content(uint64(i+100), 70_000))
	}
	if n := len(b.client().list(t, "shared", 1000)); n != 1 {
		t.Errorf("%d keys on b", n)
	}
	stranger := a.client()
	stranger.cred = b.cred
	stranger.refused(t, 403, "InvalidAccessKeyId", "GET", "/shared/a-1", nil)
	sa, err1 := a.node.Status()
	sb, err2 := b.node.Status()
	if err1 != nil || err2 != nil || sa.StateDigest == sb.StateDigest || sa.LedgerRoot == sb.LedgerRoot {
		t.Errorf("%+v %+v %v %v", sa, sb, err1, err2)
	}
	if n := requestsCounted(t, b); n != 22 {
		t.Errorf("b counted %v requests, not its own 22", n)
	}
	a.close(t)
	if got := b.client().must(t, 200, "GET", "/shared/b", nil); !bytes.Equal(got.body, content(119, 70_000)) {
		t.Error("b lost its object when a closed")
	}
}

// requestsCounted sums the requests that a node's metrics know of.
func requestsCounted(t testing.TB, p *inProcess) (sum float64) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", p.admin+"/-/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(p.cred.AccessKey, string(p.cred.Secret.Reveal()))
	a, err := p.client().send(r)
	if err != nil || a.status != 200 {
		t.Fatalf("metrics: %v %v", a, err)
	}
	for line := range strings.Lines(string(a.body)) {
		var n float64
		if _, v, ok := strings.Cut(line, "} "); ok && strings.HasPrefix(line, "ironman_s3_requests_total{") {
			if _, err := fmt.Sscan(v, &n); err != nil {
				t.Fatal(err)
			}
			sum += n
		}
	}
	return sum
}

// TestTerminate ends a node by SIGTERM while a PUT and a GET are under way: both
// finish, new connections are refused, and the process ends cleanly.
func TestTerminate(t *testing.T) {
	p := newProcess(t)
	p.start()
	c := p.client()
	c.must(t, 200, "PUT", "/stop", nil)
	large := content(1, 40<<20)
	c.must(t, 200, "PUT", "/stop/large", large)

	body, feed := io.Pipe()
	put := c.request(t.Context(), "PUT", "/stop/late", nil)
	put.Body, put.ContentLength = body, 2<<20
	// The body is asked for by the handler: a node that has not yet read the head of a
	// request takes its connection for an idle one and closes it.
	put.Header.Set("Expect", "100-continue")
	p.transport.ExpectContinueTimeout = time.Minute
	if err := sig.SignV4(put, c.cred, region, sig.UnsignedPayload, time.Now()); err != nil {
		t.Fatal(err)
	}
	answered := make(chan *answer, 1)
	go func() {
		a, err := c.send(put)
		if err != nil {
			a = &answer{body: []byte(err.Error())}
		}
		answered <- a
	}()
	late := content(2, 2<<20)
	if _, err := feed.Write(late[:1<<20]); err != nil {
		t.Fatal(err)
	}
	get := c.request(t.Context(), "GET", "/stop/large", nil)
	c.sign(get, nil)
	resp, err := c.http.Do(get)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()

	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	awaitRefusal(t, strings.TrimPrefix(p.endpoint, "http://"))
	if _, err := feed.Write(late[1<<20:]); err != nil {
		t.Fatal(err, <-answered)
	}
	feed.Close()
	if a := <-answered; a.status != 200 {
		t.Errorf("the PUT that was under way: %v", a)
	}
	if got, err := io.ReadAll(resp.Body); err != nil || !bytes.Equal(got, large) {
		t.Errorf("the GET that was under way: %d bytes, %v", len(got), err)
	}
	if err := p.wait(); err != nil {
		t.Fatalf("the end: %v", err)
	}
	p.start()
	if got := p.client().must(t, 200, "GET", "/stop/late", nil); !bytes.Equal(got.body, late) {
		t.Error("the PUT was acknowledged, but its bytes are not there")
	}
	p.stop()
}

// awaitRefusal waits until nobody listens any more.
func awaitRefusal(t testing.TB, address string) {
	t.Helper()
	for range 1000 {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return
		}
		conn.Close()
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("the node still takes connections")
}

// TestTerminateInTime: a client that never finishes does not keep the node.
func TestTerminateInTime(t *testing.T) {
	p := newProcess(t, "--stop-timeout", "500ms")
	p.start()
	c := p.client()
	c.must(t, 200, "PUT", "/stop", nil)
	conn, err := net.Dial("tcp", strings.TrimPrefix(p.endpoint, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := c.request(t.Context(), "PUT", "/stop/never", nil)
	r.ContentLength = 1 << 20
	if err := sig.SignV4(r, c.cred, region, sig.UnsignedPayload, time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := writeHead(conn, r); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(content(1, 1000)); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	p.stop()
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("it took %v to stop", took)
	}
	p.start()
	p.client().refused(t, 404, "NoSuchKey", "GET", "/stop/never", nil)
	p.stop()
}

// TestCloseOfHangingDisk: a disk that hangs does not keep a node from ending.
func TestCloseOfHangingDisk(t *testing.T) {
	t.Parallel()
	var hang, hangs atomic.Bool
	release := make(chan struct{})
	p := openInProcess(t, errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if hang.Load() && op.Kind == errorfs.OpFileWriteAt && strings.Contains(op.Path, "disk3/packs") {
			hangs.Store(true)
			<-release
		}
		return nil
	})), "/hanging")
	c := p.client()
	c.must(t, 200, "PUT", "/hanging", nil)
	c.must(t, 200, "PUT", "/hanging/warm", content(1, 200_000))
	hang.Store(true)
	put := make(chan struct{})
	go func() {
		defer close(put)
		_, _ = c.try("PUT", "/hanging/object", content(1, 200_000)) // its connection is cut
	}()
	for !hangs.Load() {
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- p.node.Close(ctx) }()
	select {
	case err := <-ended:
		if err == nil || !strings.Contains(err.Error(), "hang") {
			t.Errorf("Close: %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Error("Close waits for the disk")
	}
	close(release)
	<-put
	p.closed = true
}

// TestCloseTwice: a node that is closed by several at once is closed once.
func TestCloseTwice(t *testing.T) {
	p := openInProcess(t, vfs.NewMem(), "/twice")
	p.client().must(t, 200, "PUT", "/twice", nil)
	var wait sync.WaitGroup
	for range 3 {
		wait.Go(func() {
			if err := p.node.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	p.close(t)
}
