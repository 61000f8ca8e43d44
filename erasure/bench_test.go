package erasure

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/wal/event"
)

// benchStore is a store of six disks in a real directory.
func benchStore(b *testing.B) *Store {
	dir := b.TempDir()
	o := Options{
		ClusterID: testCluster, Node: 1, Incarnation: 1, Now: time.Now,
		Topology: func() []Disk { return cluster(2, 2, 2) },
	}
	for i := range uint32(6) {
		d := vfs.Default.PathJoin(dir, diskDir(i+1))
		if err := Format(vfs.Default, d, Identity{testCluster, diskID(i + 1), 1, i, i + 1}); err != nil {
			b.Fatal(err)
		}
		o.Disks = append(o.Disks, DiskConfig{FS: vfs.Default, Dir: d, Slot: i})
	}
	s, err := OpenStore(o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s
}

func BenchmarkPut(b *testing.B) {
	for _, c := range []struct{ size, writers int }{{4 << 10, 1}, {4 << 10, 64}, {1 << 20, 16}, {64 << 20, 4}} {
		b.Run(fmt.Sprintf("%dKiB/%d", c.size>>10, c.writers), func(b *testing.B) {
			s := benchStore(b)
			body := bytesOf(1, c.size)
			b.SetBytes(int64(c.size))
			b.ReportAllocs()
			b.SetParallelism((c.writers + 1) / 2)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := s.Put(context.Background(), bytes.NewReader(body), int64(c.size), PutOptions{}); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}

func BenchmarkGet(b *testing.B) {
	for _, c := range []struct{ size, readers int }{{4 << 10, 1}, {4 << 10, 64}, {1 << 20, 16}, {64 << 20, 4}} {
		b.Run(fmt.Sprintf("%dKiB/%d", c.size>>10, c.readers), func(b *testing.B) {
			s := benchStore(b)
			var blobs []*event.Blob
			for i := range uint64(4) {
				blob, err := s.Put(context.Background(), bytes.NewReader(bytesOf(i, c.size)), int64(c.size), PutOptions{})
				if err != nil {
					b.Fatal(err)
				}
				blobs = append(blobs, blob)
			}
			b.SetBytes(int64(c.size))
			b.ReportAllocs()
			b.SetParallelism((c.readers + 1) / 2)
			b.ResetTimer()
			var turn atomic.Uint64
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					blob := blobs[turn.Add(1)%4]
					rd, err := s.Open(context.Background(), blob, 0, blob.Size)
					if err != nil {
						b.Error(err)
						return
					}
					if _, err := rd.(io.WriterTo).WriteTo(io.Discard); err != nil {
						b.Error(err)
					}
					rd.Close()
				}
			})
		})
	}
}
