package fsm

import (
	"sync"
	"testing"

	"ironman/wal/event"
)

// TestRetentionViews: whatever becomes of retentions, buckets and objects, at any time each
// bucket's views of every moment that its own retention keeps are the model's, every other
// is refused, and no row or reference is left behind.
func TestRetentionViews(t *testing.T) {
	seen := make(map[string]int)
	for seed := range uint64(sample(60, 4)) {
		w := newWorldAt(t, event.FeatureLevel, seeded(seed), 1000, int64(seed%3)*1800e9)
		w.g.keys = []string{"a", "b", "b/c", "d"}
		w.m = memory(t, Options{Window: 1000})
		fed := 0
		for step := range 300 {
			d := event.NewDraft(w.g.request(), nil)
			switch w.g.choose(10) {
			default:
				w.g.put(d)
			case 0, 1:
				w.g.delete(d)
			case 2, 3, 4:
				w.g.retention(d)
			case 5:
				w.g.bucketEvent(d)
			case 6:
				w.g.versionEvent(d)
			case 7:
				d.Statement.Body = &event.Statement_HistoryTrimmed{HistoryTrimmed: &event.HistoryTrimmed{To: uint64(w.g.choose(int(w.g.m.seq) + 1)), Rows: uint32(1 + w.g.choose(6))}}
			}
			d.Statement.Header.FeatureLevel = event.FeatureLevel
			w.next(d)
			for ; fed < len(w.log); fed++ {
				if got := w.m.Apply(w.log[fed : fed+1])[0]; !sameResult(got, w.want[fed]) {
					t.Fatalf("seed %d, entry %d: %v, want %v", seed, fed, got, w.want[fed])
				}
			}
			for _, r := range w.g.m.retentions {
				count(seen, "own", r.owned())
				count(seen, "none", r.owned() && r.History == 0)
				count(seen, "inherits", r.Inherits)
				count(seen, "gathering", r.Gathering && r.Gathered != nil)
			}
			for _, h := range w.g.m.history {
				_, there := w.g.m.buckets[h.bucket]
				_, isName := h.row.(*BucketName)
				count(seen, "apart", h.apart)
				count(seen, "deleted", h.apart && !there)
				count(seen, "name", h.apart && isName)
			}
			if step%20 != 19 {
				continue
			}
			if d := diffRows(scanned(t, w.m), w.g.m.rows()); d != "" {
				t.Fatalf("seed %d, step %d, rows differ:\n%s", seed, step, d)
			}
			checkHistoryRows(t, w.m, step == 99)
			for range 4 {
				next := uint64(w.g.choose(int(w.g.m.seq) + 1))
				w.comparePasts(w.at(next), next)
				w.compareView(next)
			}
		}
		if got := w.m.Applied(); got.Digest != recomputed(t, w.m) {
			t.Fatalf("seed %d: the digest is not that of the rows", seed)
		}
		if err := w.m.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, what := range []string{"own", "none", "inherits", "gathering", "apart", "deleted", "name"} {
		if seen[what] < 20 && !testing.Short() {
			t.Errorf("%s came only %d times", what, seen[what])
		}
	}
}

func count(seen map[string]int, what string, is bool) {
	if is {
		seen[what]++
	}
}

// checkHistoryRows compares the counters with the rows.
func checkHistoryRows(t *testing.T, m *Machine, count bool) {
	t.Helper()
	if count {
		if err := m.CountHistory(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	want, all := make(map[uint64]int64), int64(0)
	for k := range allRows(t, m) {
		switch tableOf([]byte(k)) {
		case tableHistoryIndex:
			want[0]++
		case tableBucketIndex:
			want[bucketIn([]byte(k))]++
		case tableHistory:
			all++
		}
	}
	got, known := m.AllHistoryRows()
	if !known {
		return
	}
	for bucket := range uint64(400) {
		if n, _ := m.HistoryRows(bucket); n != want[bucket] {
			t.Fatalf("%d rows of %d are counted as %d", want[bucket], bucket, n)
		}
	}
	if got != all {
		t.Fatalf("%d rows are counted as %d", all, got)
	}
}

// TestHistoryRows counts beside Apply, in a state that was opened again.
func TestHistoryRows(t *testing.T) {
	r := newRig(t, Options{})
	defer r.close()
	bucket := r.genesis(3600e9)
	for i := range 200 {
		r.accept(r.put(bucket, "k", uint64(i+1)))
	}
	if _, known := r.HistoryRows(0); known {
		t.Error("nobody has counted yet")
	}
	var counting sync.WaitGroup
	counting.Go(func() {
		if err := r.CountHistory(t.Context()); err != nil {
			t.Error(err)
		}
	})
	for i := range 200 {
		r.accept(r.put(bucket, "k", uint64(i+1)))
	}
	counting.Wait()
	checkHistoryRows(t, r.Machine, false)
	if n, known := r.HistoryRows(0); n != 399 || !known {
		t.Errorf("%d rows, %v", n, known)
	}
}

// TestRetentionBounded: no event goes through more rows than it is told, however many the
// bucket and others have, and what is a bucket's own is found without wading.
func TestRetentionBounded(t *testing.T) {
	r := newRig(t, Options{})
	defer r.close()
	r.level = event.FeatureLevel
	bucket := r.genesis(3600e9)
	for range 1000 {
		r.accept(r.put(bucket, "k", 1))
	}
	set := func(b *event.HistoryRetentionSet) {
		t.Helper()
		r.accept(event.NewDraft(r.header(), &event.Statement_HistoryRetentionSet{HistoryRetentionSet: b}))
	}
	trim := func(b *event.HistoryTrimmed) uint64 {
		t.Helper()
		return r.accept(event.NewDraft(r.header(), &event.Statement_HistoryTrimmed{HistoryTrimmed: b})).Allocated
	}
	set(&event.HistoryRetentionSet{Bucket: bucket, Retention: 0})
	steps := 0
	for trim(&event.HistoryTrimmed{Bucket: bucket, Rows: 100}) == 100 {
		steps++
	}
	if steps != 9 && steps != 10 {
		t.Errorf("999 rows went in %d steps of 100", steps)
	}
	if n := len(scannedTable(t, r.Machine, tableHistory)); n != 0 {
		t.Errorf("%d rows are left", n)
	}
	// Nothing is written for what is not kept.
	for range 10 {
		r.accept(r.put(bucket, "k", 1))
	}
	if n := len(scannedTable(t, r.Machine, tableHistory)) + len(scannedTable(t, r.Machine, tableBucketIndex)); n != 0 {
		t.Errorf("%d rows of history where none is kept", n)
	}
}

func scannedTable(t *testing.T, m *Machine, tb table) (keys []string) {
	for k := range allRows(t, m) {
		if tableOf([]byte(k)) == tb {
			keys = append(keys, k)
		}
	}
	return keys
}
