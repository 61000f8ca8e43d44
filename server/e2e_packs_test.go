package server_test

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/server"
)

// testClock is a wall clock that can be set.
type testClock struct{ ahead atomic.Int64 }

func (c *testClock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *testClock) advance(d time.Duration) { c.ahead.Add(int64(d)) }

// TestPacksAreReleased deletes objects and sees their packs go; a client that is
// still reading keeps its packs, and nothing else waits for it.
func TestPacksAreReleased(t *testing.T) {
	t.Parallel()
	clock := &testClock{}
	mem := vfs.NewMem()
	open := func() *inProcess {
		return openInProcess(t, mem, "/packs", func(o *server.Options) {
			o.Now, o.HistoryRetention, o.ReleaseGrace = clock.now, 0, 0
		})
	}
	p := open()
	c := p.client()
	c.must(t, 200, "PUT", "/packs", nil)
	c.must(t, 200, "PUT", "/packs/read", content(1, 64<<20)) // more than sockets hold
	c.must(t, 200, "PUT", "/packs/gone", content(2, 8<<20))
	reading := beginGet(t, c, "/packs/read")
	defer reading.Close()
	c.must(t, 204, "DELETE", "/packs/read", nil)
	c.must(t, 204, "DELETE", "/packs/gone", nil)
	pass, _ := p.node.PackPassesForTest(1, 50*time.Millisecond)
	shared := awaitEmpty(t, p.node, 1, pass, clock)

	// Both are released by an event; one file has to stay.
	if err := pass(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a pack that is read: %v", err)
	}
	if files, released, err := p.node.PacksForTest(1); err != nil || files != shared+1 || released != 2 {
		t.Errorf("%d packs beside %d shared ones, %d rows: %v", files, shared, released, err)
	}
	reading.Close()
	for range 500 { // until the server sees that the client is gone
		if err := pass(t.Context()); err == nil {
			break
		}
	}
	if files, released, err := p.node.PacksForTest(1); err != nil || files != shared || released != 2 {
		t.Errorf("afterwards %d packs beside %d shared ones, %d rows: %v", files, shared, released, err)
	}

	// The rows go with the incarnation whose packs they fence.
	p.close(t)
	p = open()
	_, forget := p.node.PackPassesForTest(1, time.Second)
	if err := forget(t.Context()); err != nil {
		t.Error(err)
	}
	if _, released, err := p.node.PacksForTest(1); err != nil || released != 0 {
		t.Errorf("%d rows of released packs are left: %v", released, err)
	}
}

// TestUnknownPacksStay: packs that no row names are not rubbish because a node thinks
// so. An upload that failed leaves some; they go like all others, by an event, after
// the grace, in which an upload whose event is on its way would name its own.
func TestUnknownPacksStay(t *testing.T) {
	t.Parallel()
	clock := &testClock{}
	p := openInProcess(t, vfs.NewMem(), "/unknown", func(o *server.Options) { o.Now = clock.now })
	c := p.client()
	c.must(t, 200, "PUT", "/unknown", nil)
	pass, _ := p.node.PackPassesForTest(1, time.Second)
	count := func() (files, released int) {
		files, released, err := p.node.PacksForTest(1)
		if err != nil {
			t.Fatal(err)
		}
		return files, released
	}
	before, _ := count()
	r := c.request(t.Context(), "PUT", "/unknown/failed", content(1, 8<<20))
	r.Header.Set("Content-Md5", contentMD5(nil))
	c.sign(r, content(1, 8<<20))
	if a, err := c.send(r); err != nil || a.status != 400 {
		t.Fatalf("an upload with a wrong digest: %v %v", a, err)
	}
	for open := before + 1; open > before; time.Sleep(time.Millisecond) { // its writers are still giving up
		var err error
		if open, err = p.node.OpenPacksForTest(1); err != nil {
			t.Fatal(err)
		}
	}
	files, _ := count()
	if files <= before {
		t.Fatalf("%d packs, and before the upload %d: this test shows nothing", files, before)
	}
	for range 3 {
		if err := pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		if now, released := count(); now != files || released != 0 {
			t.Fatalf("%d packs, %d of them released: there were %d, and no event has released one", now, released, files)
		}
		clock.advance(7 * time.Minute)
	}
	if err := pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	if now, released := count(); now != before || released != files-before {
		t.Errorf("after the grace there are %d packs, and %d were released; there were %d before the upload, and %d after it", now, released, before, files)
	}
}

// beginGet reads the first byte of an object.
func beginGet(t testing.TB, c *client, target string) io.Closer {
	t.Helper()
	r := c.request(context.Background(), "GET", target, nil)
	c.sign(r, nil)
	resp, err := c.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return resp.Body
}

// awaitEmpty waits until no shard is live, and for the grace of packs. It returns
// the number of packs that are open.
func awaitEmpty(t testing.TB, n *server.Node, disk uint32, pass func(context.Context) error, clock *testClock) (open int) {
	t.Helper()
	before, _, err := n.PacksForTest(disk)
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		live, err := n.LiveShardsForTest(disk)
		if err != nil {
			t.Fatal(err)
		}
		if live > 0 {
			time.Sleep(10 * time.Millisecond)
			continue
		}
		if err := pass(t.Context()); err != nil {
			t.Fatal(err)
		}
		clock.advance(16 * time.Minute)
		return before - 2
	}
	t.Fatal("the bodies are not released")
	return 0
}
