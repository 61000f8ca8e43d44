package fsm

import (
	"fmt"
	"testing"

	"ironman/wal/event"
)

// BenchmarkApply applies PUTs of one erasure-coded blob each: of new keys at the first
// level and at the newest, and of new versions of a hundred keys.
func BenchmarkApply(b *testing.B) {
	for _, batch := range []int{1, 64} {
		b.Run(fmt.Sprintf("ObjectPut/batch=%d", batch), func(b *testing.B) { benchmarkPuts(b, 1, batch, false) })
	}
	b.Run("ObjectPut/level=3/batch=64", func(b *testing.B) { benchmarkPuts(b, event.FeatureLevel, 64, false) })
	b.Run("ObjectPut/versions/batch=64", func(b *testing.B) { benchmarkPuts(b, event.FeatureLevel, 64, true) })
}

func benchmarkPuts(b *testing.B, level uint32, batch int, versions bool) {
	r := newRig(b, Options{})
	defer r.close()
	r.level = level
	bucket := r.genesis(24 * 3600e9)
	if versions {
		r.versioning(bucket, event.VersioningState_VERSIONING_STATE_ENABLED)
	}
	entries := make([]Entry, b.N)
	for i := range entries {
		name := fmt.Sprintf("photos/%d/%08d.jpg", i%100, i)
		if versions {
			name = fmt.Sprintf("photos/%d", i%100)
		}
		entries[i] = r.entry(r.put(bucket, name, 1<<20))
	}
	b.ReportAllocs()
	b.ResetTimer()
	for from := 0; from < b.N; from += batch {
		r.Apply(entries[from:min(from+batch, b.N)])
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N), "ns/event")
}
