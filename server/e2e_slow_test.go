package server_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/fsm"
	"ironman/s3api/sig"
	"ironman/server"
	"ironman/wal/event"
)

// TestSlowUpload: while a body is on its way, more events are applied than the
// window of deduplication remembers. The upload is none of their business.
func TestSlowUpload(t *testing.T) {
	if testing.Short() {
		t.Skip("many events")
	}
	t.Parallel()
	p := openInProcess(t, vfs.NewMem(), "/slow", func(o *server.Options) { o.SnapshotEntries = 1 << 20 })
	c := p.client()
	c.must(t, 200, "PUT", "/slow", nil)
	begun, rest := make(chan struct{}), make(chan struct{})
	body := content(1, 300_000)
	answered := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		r := c.request(ctx, "PUT", "/slow/object", nil)
		r.ContentLength = int64(len(body))
		r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body[:100_000]), &pausedReader{begun, rest}, bytes.NewReader(body[100_000:])))
		err := sig.SignV4(r, c.cred, region, sig.UnsignedPayload, time.Now())
		if err == nil {
			var a *answer
			if a, err = c.send(r); err == nil && a.status != 200 {
				t.Errorf("want 200, got %v", a)
			}
		}
		answered <- err
	}()
	<-begun
	passWindow(t, p.node)
	close(rest)
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
	if a := c.must(t, 200, "GET", "/slow/object", nil); !bytes.Equal(a.body, body) {
		t.Error("other bytes than were sent")
	}
}

// pausedReader is empty, but holds its reader up.
type pausedReader struct{ begun, rest chan struct{} }

func (p *pausedReader) Read([]byte) (int, error) {
	close(p.begun)
	<-p.rest
	return 0, io.EOF
}

// passWindow has as many events applied as the window remembers.
func passWindow(t testing.TB, n *server.Node) {
	t.Helper()
	var all sync.WaitGroup
	const writers = 256
	for range writers {
		all.Go(func() {
			for range fsm.DefaultWindow/writers + 1 {
				d := event.NewDraft(nil, &event.Statement_BlobsAbandoned{BlobsAbandoned: &event.BlobsAbandoned{}})
				if _, err := n.ProposeForTest(context.Background(), d); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
}

// TestResolve: a request whose outcome is unknown is cancelled under its own base,
// for under a later one it might be called cancelled although the window has
// forgotten that it was applied.
func TestResolve(t *testing.T) {
	p := openInProcess(t, vfs.NewMem(), "/resolve")
	id := make([]byte, event.RequestIDBytes)
	rand.Read(id)
	h := &event.Header{RequestId: id, Base: 1 << 40} // from the future: no cancel with it is accepted
	o, err := p.node.ResolveForTest(t.Context(), h)
	if err != nil || o.GetRefusal() != event.Refusal_REFUSAL_INVALID {
		t.Errorf("a cancel with the request's base: %v, %v", o, err)
	}
	h.Base = 0
	if o, err := p.node.ResolveForTest(t.Context(), h); err == nil {
		t.Errorf("an unknown request: %v, want that it was not done", o)
	}
}
