package fsm

import (
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"ironman/wal/event"
)

// TestHangingDisk: D10. A flush that does not come back ends the node: Apply would
// wait for it for ever, and nobody would be told.
func TestHangingDisk(t *testing.T) {
	var hang atomic.Bool
	release, said := make(chan struct{}), make(chan error, 10)
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if hang.Load() && op.Kind == errorfs.OpFileWrite && strings.HasSuffix(op.Path, ".sst") {
			<-release
		}
		return nil
	}))
	m := memory(t, Options{FS: fs, StallLimit: 100 * time.Millisecond, Fatal: func(err error) {
		select {
		case said <- err:
		default:
		}
		runtime.Goexit()
	}})
	d := event.NewDraft(&event.Header{RequestId: make([]byte, event.RequestIDBytes)}, &event.Statement_BlobsAbandoned{BlobsAbandoned: &event.BlobsAbandoned{}})
	b, err := d.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	m.Apply([]Entry{{Index: 1, Term: 1, Data: event.AppendEntry(nil, 1, b)}})
	hang.Store(true)
	flushed := make(chan error, 1)
	go func() { flushed <- m.Flush() }()
	select {
	case err := <-said:
		if !strings.Contains(err.Error(), "the disk hangs") {
			t.Errorf("it says %v", err)
		}
	case <-flushed:
		t.Error("the flush came back")
	case <-time.After(30 * time.Second):
		t.Error("nobody noticed")
	}
	close(release)
	if err := <-flushed; err != nil {
		t.Error(err)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
}
