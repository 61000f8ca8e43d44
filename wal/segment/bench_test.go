package segment

import (
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func benchOptions(b *testing.B) Options {
	return Options{FS: vfs.Default, Dir: b.TempDir(), Fatal: func(err error) { panic(err) }}
}

// Appends of 512-byte entries to a real disk, each group synced.
func BenchmarkAppend(b *testing.B) {
	for _, group := range []int{1, 16, 256} {
		b.Run(fmt.Sprint(group), func(b *testing.B) {
			l := open(b, benchOptions(b))
			entries := run(1, group, 1, 512)
			b.SetBytes(int64(group * 512))
			b.ReportAllocs()
			for b.Loop() {
				for i := range entries {
					entries[i].Index = l.tail() + 1 + uint64(i)
				}
				must(b, l.Append(entries))
			}
			b.ReportMetric(float64(group*b.N)/b.Elapsed().Seconds(), "entries/s")
			must(b, l.Close())
		})
	}
}

// Reads of entries that are no longer in memory.
func BenchmarkEntry(b *testing.B) {
	l := open(b, benchOptions(b))
	for i := uint64(1); i < 20000; i += 256 {
		must(b, l.Append(run(i, 256, 1, 512)))
	}
	b.ReportAllocs()
	i := uint64(0)
	for b.Loop() {
		_, err := l.Entry(i%10000 + 1)
		must(b, err)
		i += 7
	}
	must(b, l.Close())
}

// Opening a full segment of 64 MiB; the background's work is not counted.
func BenchmarkOpen(b *testing.B) {
	for _, full := range []bool{false, true} {
		b.Run(fmt.Sprintf("full=%v", full), func(b *testing.B) {
			o := benchOptions(b)
			l := open(b, o)
			for i := uint64(1); full && l.open().end < defaultSegmentBytes-1<<20; i += 256 {
				must(b, l.Append(run(i, 256, 1, 512)))
			}
			must(b, l.Close())
			for b.Loop() {
				l, err := Open(o)
				must(b, err)
				b.StopTimer()
				must(b, l.Close())
				b.StartTimer()
			}
		})
	}
}
