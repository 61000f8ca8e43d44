package server

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/fsm"
	"ironman/s3api/s3err"
	"ironman/server/audit"
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
			machine: m, applied: func() uint64 { return 10_000 }, scans: newChangesScans(),
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

// TestFeedFromTheEndOfNumbers: a stream that begins where no event will ever be waits; it does not look
// again and again.
func TestFeedFromTheEndOfNumbers(t *testing.T) {
	m, err := fsm.Open(fsm.Options{FS: vfs.NewMem(), Dir: "state", Fatal: func(err error) { panic(err) }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, from := range []uint64{math.MaxUint64, math.MaxUint64 - 1, math.MaxUint64 - changesBatch + 1, 1000} {
		asked := 0
		c := &changes{
			machine: m, applied: func() uint64 { asked++; return 7 }, scans: newChangesScans(),
			records: func(uint64, int) ([]ledger.Record, error) { return nil, nil },
			places:  make(chan struct{}, 1), ending: context.Background(), stall: time.Second, heartbeat: 50 * time.Millisecond, progress: time.Second,
		}
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("/-/feed?from=%d", from), nil)
		r.Header.Set("Accept", "text/event-stream")
		(&Node{changes: c}).serveChanges(deadlined{httptest.NewRecorder()}, r)
		cancel()
		if asked > 100 {
			t.Errorf("from %d it looked %d times in a moment", from, asked)
		}
		if asked < 4 {
			t.Errorf("from %d it looked %d times: it did not go on", from, asked)
		}
	}
}

// TestFeedScans: who looks through what is long past waits for others of the account, and for as many
// as may at once; the admin listener has its own places, and who has caught up needs none.
func TestFeedScans(t *testing.T) {
	const end = 100_000
	entered, leave := make(chan struct{}, 10), make(chan struct{})
	c := &changes{
		applied: func() uint64 { return end }, scans: newChangesScans(),
		records: func(uint64, int) ([]ledger.Record, error) {
			entered <- struct{}{}
			<-leave
			return nil, nil
		},
	}
	var wait sync.WaitGroup
	scan := func(ctx context.Context, account string) {
		wait.Go(func() { _, _ = c.read(ctx, account, 1, 1) }) // it finds nothing, or its context ends
	}
	enters := func(what string, want bool) {
		t.Helper()
		limit := 5 * time.Second
		if !want {
			limit = 50 * time.Millisecond
		}
		select {
		case <-entered:
			if !want {
				t.Error(what)
			}
		case <-time.After(limit):
			if want {
				t.Error(what)
			}
		}
	}
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	scan(t.Context(), "alice")
	enters("alice does not read", true)
	scan(short, "alice")
	enters("alice reads twice", false)
	scan(t.Context(), "bob")
	enters("alice keeps bob from it", true)
	scan(short, "carol")
	enters("there are more than may", false)
	scan(t.Context(), "")
	enters("those who read buckets keep the admin listener from it", true)
	scan(t.Context(), "")
	enters("one keeps the other from it", true)
	scan(short, "")
	enters("there are more than may by the admin listener", false)
	for _, account := range []string{"", "alice", "dora"} {
		if entries, err := c.read(short, account, end, 1); err != nil || entries != nil {
			t.Errorf("%q has caught up: %v, %v", account, entries, err)
		}
	}
	<-short.Done()
	close(leave)
	wait.Wait()
	if len(c.scans.of) != 0 || len(c.scans.admin) != 0 || len(c.scans.buckets) != 0 {
		t.Error("a place was not given back")
	}
}

// deadlined is a recorder that knows deadlines.
type deadlined struct{ *httptest.ResponseRecorder }

func (deadlined) SetWriteDeadline(time.Time) error { return nil }

// TestFeedBreaksOff: an answer that could not even begin has no last line, by which its reader would ask
// for the same at once.
func TestFeedBreaksOff(t *testing.T) {
	entries := []*audit.Entry{{Seq: 7}, {Seq: 8}}
	for _, tc := range []struct {
		name  string
		ahead []*audit.Entry
		fails error // the right to it
		tail  bool
	}{
		{"nothing can be read", nil, nil, false},
		{"something was told", entries, nil, true},
		{"nothing may be told", entries, s3err.New("ExpiredToken"), false},
	} {
		c := &changes{
			applied: func() uint64 { return 100_000 }, scans: newChangesScans(), stall: time.Second, ending: context.Background(),
			records: func(uint64, int) ([]ledger.Record, error) { return nil, wal.ErrNotHere },
		}
		w := httptest.NewRecorder()
		p := &changesReading{changes: c, query: &changesQuery{max: 100}, next: 7, to: math.MaxUint64, ahead: tc.ahead, tell: func(e *audit.Entry) *audit.Entry { return e }}
		p.may = func() error { return tc.fails }
		err := p.send(t.Context(), deadlined{w}, false)
		if (err == nil) != tc.tail || strings.Contains(w.Body.String(), `"next":`) != tc.tail {
			t.Errorf("%s: %v, %q", tc.name, err, w.Body)
		}
	}
}

// TestFeedHead: all who follow share what is put into words, wherever near the end they are;
// what they get is dense, and is forgotten after a moment.
func TestFeedHead(t *testing.T) {
	var h changesHead
	end, asked := uint64(1000), 0
	words := func(from uint64, max int) (out []*audit.Entry, err error) {
		for seq := from; seq < end && len(out) < max; seq++ {
			asked++
			out = append(out, &audit.Entry{Seq: seq, Keys: []string{"key"}})
		}
		return out, nil
	}
	follow := func(from uint64) {
		t.Helper()
		for next := from; next < end; {
			entries, err := h.read(next, 100, words)
			if err != nil || len(entries) == 0 || len(entries) > 100 {
				t.Fatalf("%d entries at %d, %v", len(entries), next, err)
			}
			for _, e := range entries {
				if e.Seq != next {
					t.Fatalf("event %d at %d", e.Seq, next)
				}
				next++
			}
		}
	}
	for range 100 {
		follow(500)
		follow(777)
	}
	if asked != 500 {
		t.Errorf("500 events were put into words %d times", asked)
	}
	follow(300) // somebody behind them has the rest of a chunk again
	if asked > 500+200+268 {
		t.Errorf("%d events were put into words for one who is behind", asked-500)
	}
	asked, end = 0, 1010
	for range 100 {
		follow(1000)
	}
	if asked != 10 {
		t.Errorf("10 new events were put into words %d times", asked)
	}
	if entries, err := h.read(end, 100, words); err != nil || len(entries) != 0 {
		t.Errorf("behind the end: %v, %v", entries, err)
	}
	for _, c := range h.chunks {
		c.begun = c.begun.Add(-changesHeadLasts - time.Second)
	}
	asked = 0
	follow(500)
	if asked != 510 {
		t.Errorf("after a moment %d events were put into words anew, want 510", asked)
	}
	for _, c := range h.chunks {
		c.bytes = changesHeadBytes
	}
	h.forget()
	if len(h.chunks) != 0 {
		t.Error("too much is kept")
	}
}
