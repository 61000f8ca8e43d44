package server_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/server"
)

// TestReserve: D9. Clients fill a file system that everything is on. New objects are
// refused before it is full; what takes away from it goes on, and makes room.
// Nothing ever meets a full disk.
func TestReserve(t *testing.T) {
	t.Parallel()
	disk, err := newQuotaFS(vfs.NewMem(), "/full", 100<<20)
	if err != nil {
		t.Fatal(err)
	}
	clock := &testClock{}
	p := openInProcess(t, disk, "/full", func(o *server.Options) {
		o.Now, o.HistoryRetention, o.ReleaseGrace = clock.now, 0, 0
		o.Reserve, o.PackBytes, o.SegmentBytes, o.SnapshotEntries = 24<<20, 1<<20, 1<<20, 50
	})
	c := p.client()
	c.must(t, 200, "PUT", "/full", nil)
	a := c.must(t, 200, "POST", "/full/upload?uploads", nil)
	var upload struct{ UploadId string }
	if err := xml.Unmarshal(a.body, &upload); err != nil {
		t.Fatal(err)
	}
	c.must(t, 200, "PUT", "/full/first", content(1, 5<<20)) // those below may each be refused: they come at once
	n := fillUp(t, p, "/full/large-%d", 5<<20)
	n2 := fillUp(t, p, "/full/small-%d", 3000) // refused at once, or nearly so

	awaitStatus(t, c, 507, "/full/empty", []byte{})
	body := content(1, 100)
	for _, target := range []string{"/full/new", "/full/upload?partNumber=1&uploadId=" + upload.UploadId, "/full/first"} {
		c.refused(t, 507, "InsufficientStorage", "PUT", target, body)
	}
	c.refused(t, 507, "InsufficientStorage", "PUT", "/full/empty", []byte{})
	c.refused(t, 507, "InsufficientStorage", "PUT", "/another", nil)
	c.refused(t, 507, "InsufficientStorage", "PUT", "/full/copy", nil, header("X-Amz-Copy-Source", "/full/first"))
	if got := c.must(t, 200, "GET", "/full/first", nil); len(got.body) != 5<<20 {
		t.Error("a short body")
	}
	metrics := string(p.adminGet(t, "/-/metrics"))
	if !strings.Contains(metrics, `ironman_free_bytes{disk="",role="node"} `) || strings.Count(metrics, `role="disk"} `) != 6 {
		t.Errorf("metrics:\n%s", metrics)
	}

	c.must(t, 204, "DELETE", "/full/upload?uploadId="+upload.UploadId, nil)
	c.must(t, 204, "DELETE", "/full/first", nil)
	for i := range n {
		c.must(t, 204, "DELETE", fmt.Sprintf("/full/large-%d", i), nil)
	}
	for i := range n2 {
		c.must(t, 204, "DELETE", fmt.Sprintf("/full/small-%d", i), nil)
	}
	freePacks(t, p, clock)
	awaitStatus(t, c, 200, "/full/again", content(2, 5<<20))
	if got := c.must(t, 200, "GET", "/full/again", nil); !bytes.Equal(got.body, content(2, 5<<20)) {
		t.Error("wrong bytes")
	}
	if _, refused := disk.state(); len(refused) > 0 {
		t.Errorf("%d writes met a full disk: %v", len(refused), refused[0])
	}
}

// fillUp puts objects, several at a time, until each client was told that there is
// no space. It returns how many names were used.
func fillUp(t *testing.T, p *inProcess, name string, size int) int {
	t.Helper()
	var next atomic.Int64
	var clients sync.WaitGroup
	for range 8 {
		clients.Go(func() {
			c := p.client()
			for !t.Failed() {
				target := fmt.Sprintf(name, next.Add(1)-1)
				a, err := c.try("PUT", target, content(1, size))
				if err != nil || a.status != 200 && a.status != 507 {
					t.Errorf("%s: %v %v", target, a, err)
				}
				if err == nil && a.status == 507 {
					return
				}
			}
		})
	}
	clients.Wait()
	return int(next.Load())
}

// freePacks has the packs of deleted objects unlinked.
func freePacks(t *testing.T, p *inProcess, clock *testClock) {
	t.Helper()
	for disk := uint32(1); disk <= 6; disk++ {
		pass, _ := p.node.PackPassesForTest(disk, time.Second)
		awaitEmpty(t, p.node, disk, pass, clock)
		if err := pass(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	clock.ahead.Store(0) // signatures are of the real time
}

// awaitStatus repeats a PUT until it is answered with a status.
func awaitStatus(t *testing.T, c *client, status int, target string, body []byte) {
	t.Helper()
	for range 500 {
		a, err := c.try("PUT", target, body)
		if err != nil {
			t.Fatal(err)
		}
		if a.status == status {
			return
		}
		time.Sleep(20 * time.Millisecond) // free space is measured once a second
	}
	t.Fatalf("%s is not answered with %d", target, status)
}
