package wal

import (
	"errors"
	"reflect"
	"strings"
	"sync"
	"testing"

	"ironman/wal/ledger"
)

// TestRecords reads events from every place on: of the ledger, across its end, of the
// queue, and where there is nothing yet.
func TestRecords(t *testing.T) {
	h := newHistory(t, "c", 700)
	f := newFiller(t, h, 512, 512, 700, since(512))
	for from := range 701 {
		var got []ledger.Record
		for {
			next, err := f.records(uint64(from+len(got)), 100)
			if err != nil {
				t.Fatal(err)
			}
			if len(next) == 0 {
				break
			}
			if len(next) > 100 {
				t.Fatalf("%d records instead of 100 at most", len(next))
			}
			got = append(got, next...)
		}
		if len(got) != 700-from {
			t.Fatalf("from %d: %d records", from, len(got))
		}
		if from%50 != 0 {
			continue
		}
		for i, r := range got {
			if want := h.records[from+i]; !reflect.DeepEqual(r, want) {
				t.Fatalf("record %d is\n%+v instead of\n%+v", from+i, r, want)
			}
		}
	}
}

// TestRecordsGap: between the ledger and the queue of a state that came by snapshot there
// is nothing, which is said; behind the gap all is as ever.
func TestRecordsGap(t *testing.T) {
	h := newHistory(t, "c", 700)
	f := newFiller(t, h, 256, 600, 700, since(600))
	for _, from := range []uint64{256, 599} {
		if r, err := f.records(from, 10); !errors.Is(err, ErrNotHere) || !strings.Contains(err.Error(), "599") {
			t.Errorf("from %d: %d records, %v", from, len(r), err)
		}
	}
	if r, err := f.records(600, 10); err != nil || len(r) != 10 {
		t.Errorf("behind the gap: %d records, %v", len(r), err)
	}
	// The log may lack entries whose leaves are queued.
	f = newFiller(t, h, 256, 256, 700, since(300))
	if r, err := f.records(256, 10); !errors.Is(err, ErrNotHere) {
		t.Errorf("%d records, %v", len(r), err)
	}
}

// TestRecordsWhileArchived reads again and again while bundles move into the ledger.
func TestRecordsWhileArchived(t *testing.T) {
	h := newHistory(t, "c", 4096)
	f := newFiller(t, h, 0, 0, 4096, since(0))
	f.state.applied = 0
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for from := uint64(0); from < 4096; {
				got, err := f.records(from, 50)
				if err != nil {
					t.Error(err)
					return
				}
				for i, r := range got {
					if r.Seq != from+uint64(i) {
						t.Errorf("record %d instead of %d", r.Seq, from+uint64(i))
						return
					}
				}
				from += uint64(len(got))
			}
		})
	}
	for n := 0; n <= 4096; n += 64 {
		f.state.grow(n)
		f.run(t.Context())
	}
	readers.Wait()
}
