package bench

import (
	"math/bits"
	"time"
)

const (
	// fineBits is how many bits of a value its bucket keeps: an error below 1/128.
	fineBits = 7
	fine     = 1 << fineBits
	// topBits bounds the values: 2^42 ns is more than an hour.
	topBits = 42
)

// histogram counts durations in buckets whose width grows with the value: the first
// 128 are one nanosecond wide, then each power of two has 128. Not safe for
// concurrent use: each worker has its own, merged at the end.
type histogram struct {
	buckets [(topBits - fineBits + 1) * fine]uint64
	count   uint64
	max     time.Duration
}

// record counts one duration. Negative ones are zero.
func (h *histogram) record(d time.Duration) {
	d = max(d, 0)
	h.buckets[bucketOf(uint64(d))]++
	h.count++
	h.max = max(h.max, d)
}

func bucketOf(v uint64) int {
	v = min(v, 1<<topBits-1)
	if v < fine {
		return int(v)
	}
	shift := bits.Len64(v) - fineBits - 1
	return (shift+1)*fine + int(v>>shift) - fine
}

// highest returns the largest value of a bucket.
func highest(bucket int) uint64 {
	if bucket < fine {
		return uint64(bucket)
	}
	shift := bucket/fine - 1
	return uint64(bucket%fine+fine+1)<<shift - 1
}

// merge adds what o counted.
func (h *histogram) merge(o *histogram) {
	for i, n := range o.buckets {
		h.buckets[i] += n
	}
	h.count += o.count
	h.max = max(h.max, o.max)
}

// quantile returns a duration that the share q (0 to 1) of all durations does not
// exceed; zero if nothing was counted.
func (h *histogram) quantile(q float64) time.Duration {
	if h.count == 0 {
		return 0
	}
	rank := uint64(q * float64(h.count))
	if float64(rank) < q*float64(h.count) || rank == 0 {
		rank++
	}
	var seen uint64
	for i, n := range h.buckets {
		if seen += n; seen >= rank {
			return min(time.Duration(highest(i)), h.max)
		}
	}
	return h.max
}
