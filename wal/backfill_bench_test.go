package wal

import (
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// BenchmarkBackfill fills 64 bundles from one peer, in memory.
func BenchmarkBackfill(b *testing.B) {
	const size = 64 * 256
	h := newHistory(b, "here", size)
	peer := newPeer(b, h, size)
	b.ReportAllocs()
	for b.Loop() {
		f := newFiller(b, h, 0, size, size, since(size))
		f.fs = vfs.NewMem()
		f.add(peer)
		f.run(b.Context())
		if f.archive.Size() != size {
			b.Fatal(f.archive.Size())
		}
	}
	b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "events/s")
}
