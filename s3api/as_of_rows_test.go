package s3api

import (
	"net/http/httptest"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/fsm"
	"ironman/s3api/s3err"
	"ironman/wal/event"
)

// TestBytesNoLongerStored: an object of the past whose bytes are gone is not found. One of
// the present would be a contradiction, and no client's matter.
func TestBytesNoLongerStored(t *testing.T) {
	m, err := fsm.Open(fsm.Options{FS: vfs.NewMem(), Dir: "state", Fatal: func(err error) { panic(err) }})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	v, err := m.View()
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	for _, then := range []*past{nil, {view: v}} {
		r := &Request{view: v, past: then, Key: "k"}
		_, err := r.pieces([]*event.Segment{{Blob: &event.BlobID{Incarnation: 1, Counter: 1}, Length: 1}}, byteRange{length: 1})
		if err == nil || s3err.Is(err, "NoSuchKey") != (then != nil) {
			t.Errorf("a blob: %v", err)
		}
		_, _, err = r.body(&fsm.Object{Assembly: &event.Version{Seq: 1}})
		if err == nil || s3err.Is(err, "NoSuchKey") != (then != nil) {
			t.Errorf("an assembly: %v", err)
		}
	}
}

// TestPresentCostsNothing: who asks for no moment pays for none.
func TestPresentCostsNothing(t *testing.T) {
	r := &Request{HTTP: httptest.NewRequest("GET", "/b/k", nil), op: &operation{name: "GetObject", method: "GET", needs: needObject}}
	n := testing.AllocsPerRun(100, func() {
		b, at, err := cutMoment("a-bucket")
		if b != "a-bucket" || at != nil || err != nil {
			t.Fatal(b, at, err)
		}
		if r.takeMoment() != nil || r.openPast() != nil || r.past != nil {
			t.Fatal("a moment that nobody asked for")
		}
	})
	if n > 0 {
		t.Errorf("%v allocations", n)
	}
}
