package server

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/fsm"
	"ironman/wal"
	"ironman/wal/ledger"
)

// TestFeedNotHere: a node that still fetches the records of older events says so, and
// passes none of them.
func TestFeedNotHere(t *testing.T) {
	m, err := fsm.Open(fsm.Options{FS: vfs.NewMem(), Dir: "state", Fatal: func(err error) { panic(err) }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, accept := range []string{"application/x-ndjson", "text/event-stream"} {
		n := &Node{changes: &changes{
			machine: m, scans: make(chan struct{}, 1),
			records: func(uint64, int) ([]ledger.Record, error) { return nil, wal.ErrNotHere },
			places:  make(chan struct{}, 1), ending: context.Background(), stall: time.Second,
		}}
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/-/feed?from=7", nil)
		r.Header.Set("Accept", accept)
		w := httptest.NewRecorder()
		n.serveChanges(w, r)
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" || !strings.Contains(w.Body.String(), "still fetching") {
			t.Errorf("%s: %d %v %s", accept, w.Code, w.Header(), w.Body)
		}
		if len(n.changes.places) != 0 {
			t.Error("the place of a reader that has gone is taken")
		}
	}
}
