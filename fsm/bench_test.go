package fsm

import (
	"fmt"
	"testing"
)

// BenchmarkApply applies PUTs of one erasure-coded blob each.
func BenchmarkApply(b *testing.B) {
	for _, batch := range []int{1, 64} {
		b.Run(fmt.Sprintf("ObjectPut/batch=%d", batch), func(b *testing.B) {
			r := newRig(b, Options{})
			defer r.close()
			bucket := r.genesis(24 * 3600e9)
			entries := make([]Entry, b.N)
			for i := range entries {
				entries[i] = r.entry(r.put(bucket, fmt.Sprintf("photos/%d/%08d.jpg", i%100, i), 1<<20))
			}
			b.ReportAllocs()
			b.ResetTimer()
			for from := 0; from < b.N; from += batch {
				r.Apply(entries[from:min(from+batch, b.N)])
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N), "ns/event")
		})
	}
}
