package checksum

import (
	"io"
	"testing"

	"ironman/wal/digest"
	"ironman/wal/event"
)

// source gives n bytes without cost.
type source struct{ left int }

func (s *source) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), s.left)
	s.left -= n
	return n, nil
}

// How far a whole body is from MD5 alone, with the buffer of a stripe encoder.
func BenchmarkReader(b *testing.B) {
	stripe := make([]byte, 1<<20)
	for _, size := range []int{4 << 10, 64 << 10, 1 << 20, 64 << 20} {
		b.Run("md5 alone/"+label(size), func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				h := digest.NewMD5()
				for left := size; left > 0; left -= min(left, len(stripe)) {
					h.Write(stripe[:min(left, len(stripe))])
				}
				h.Sum(nil)
			}
		})
		for _, a := range []event.ChecksumAlgorithm{none, crc32, sha256} {
			b.Run("reader "+Name(a)+"/"+label(size), func(b *testing.B) {
				pool := &Pool{}
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					r := NewReader(&source{size}, Want{Algorithm: a, Size: int64(size)}, pool)
					for {
						if _, err := io.ReadFull(r, stripe); err != nil {
							break
						}
					}
					r.Sums()
				}
			})
		}
		b.Run("begin crc32/"+label(size), func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				d := New(Want{Algorithm: crc32})
				var t Ticket
				for left := size; left > 0; left -= min(left, len(stripe)) {
					t.Wait()
					t = d.Begin(stripe[:min(left, len(stripe))])
				}
				d.Sums()
			}
		})
	}
}

func label(size int) string {
	if size >= 1<<20 {
		return string(rune('0'+size>>20/10)) + string(rune('0'+size>>20%10)) + "MiB"
	}
	return string(rune('0'+size>>10/10)) + string(rune('0'+size>>10%10)) + "KiB"
}

func BenchmarkFullObject(b *testing.B) {
	parts := make([]Part, 10_000)
	for i := range parts {
		parts[i] = Part{make([]byte, 8), uint64(5<<20 + i)}
	}
	for b.Loop() {
		if _, err := FullObject(crc64nvme, parts); err != nil {
			b.Fatal(err)
		}
	}
}
