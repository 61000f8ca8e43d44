package disk

import "testing"

// A log: 1 MiB in pieces of a block, each synced, in a file that was filled with
// zeros before.
func BenchmarkSyncedAppends(b *testing.B) {
	for _, filled := range []int{0, 8 << 20} {
		b.Run(map[bool]string{false: "new", true: "filled"}[filled > 0], func(b *testing.B) {
			p := make([]byte, 4096)
			for b.Loop() {
				d := New(nil, Config{})
				f, _ := d.Create("log", "")
				_, _ = f.WriteAt(make([]byte, filled), 0)
				for range 256 {
					p[7]++
					_, _ = f.Write(p)
					_ = f.SyncData()
				}
				_ = f.Close()
			}
		})
	}
}

// A cut of a machine with 64 MiB in 64 files.
func BenchmarkCut(b *testing.B) {
	d := New(nil, Config{})
	p := make([]byte, 1<<20)
	for i := range p {
		p[i] = byte(i >> 4)
	}
	for i := range 64 {
		f, _ := d.Create(string(rune('a'+i)), "")
		_, _ = f.WriteAt(p, 0)
		_ = f.Sync()
		_ = f.Close()
	}
	_ = syncDir(d, "/")
	for b.Loop() {
		d.Cut(nil, Keep(0))
	}
}
