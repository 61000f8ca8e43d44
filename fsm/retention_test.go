package fsm

import (
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
