package bench

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestHistogram compares quantiles with those of the sorted values.
func TestHistogram(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(0, 1<<41), 1, 200).Draw(t, "values")
		var a, b histogram
		for i, v := range values {
			h := &a
			if i%2 == 0 {
				h = &b
			}
			h.record(time.Duration(v))
		}
		a.merge(&b)
		slices.Sort(values)
		if a.count != uint64(len(values)) || int64(a.max) != values[len(values)-1] {
			t.Fatalf("count %d, max %d", a.count, a.max)
		}
		for _, q := range []float64{0, 0.01, 0.5, 0.9, 0.99, 1} {
			rank := max(int(math.Ceil(q*float64(len(values)))), 1)
			want := values[rank-1]
			if got := int64(a.quantile(q)); got < want || float64(got) > float64(want)*(1+1.0/fine)+1 {
				t.Fatalf("quantile %v of %v is %d, not %d", q, values, got, want)
			}
		}
	})
}

func TestHistogramBuckets(t *testing.T) {
	for i := range (topBits - fineBits + 1) * fine {
		if got := bucketOf(highest(i)); got != i {
			t.Fatalf("the highest value of bucket %d is in bucket %d", i, got)
		}
		if i > 0 && bucketOf(highest(i-1)+1) != i {
			t.Fatalf("bucket %d does not begin where the one before ends", i)
		}
	}
	var h histogram
	h.record(-time.Second)
	h.record(1 << 62)
	if h.quantile(0.5) != 0 || h.quantile(1) >= 1<<62 || h.max != 1<<62 {
		t.Errorf("out of range: %v, %v, %v", h.quantile(0.5), h.quantile(1), h.max)
	}
	if (&histogram{}).quantile(0.5) != 0 {
		t.Error("nothing has a median")
	}
}

func TestRatioSpread(t *testing.T) {
	nan := math.NaN()
	tests := []struct {
		name string
		a, b []float64
		want *Spread
	}{
		{"none", nil, nil, nil},
		{"one", []float64{6}, []float64{3}, &Spread{2, 2, 2, 1}},
		{"geometric", []float64{1, 16}, []float64{1, 1}, &Spread{4, 1, 16, 2}},
		{"inverse", []float64{2, 1}, []float64{1, 2}, &Spread{1, 0.5, 2, 2}},
		{"zero does not count", []float64{0, 4}, []float64{1, 2}, &Spread{2, 2, 2, 1}},
		{"nor a zero below", []float64{4, 4}, []float64{0, 2}, &Spread{2, 2, 2, 1}},
		{"nor the unknown", []float64{nan, 4}, []float64{1, nan}, nil},
		{"lengths differ", []float64{2, 9}, []float64{1}, &Spread{2, 2, 2, 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ratioSpread(tt.a, tt.b)
			if (got == nil) != (tt.want == nil) {
				t.Fatalf("%v, not %v", got, tt.want)
			}
			if got != nil && (math.Abs(got.Mean-tt.want.Mean) > 1e-12 || got.Min != tt.want.Min || got.Max != tt.want.Max || got.Rounds != tt.want.Rounds) {
				t.Errorf("%+v, not %+v", *got, *tt.want)
			}
		})
	}
}

// oneRun makes a result of n operations of 1 ms each.
func oneRun(n int, seconds, serverSeconds float64) *result {
	nan := math.NaN()
	r := &result{seconds: seconds, used: costs{serverSeconds, nan, nan, nan, nan, 1000, 2000}}
	for range n {
		r.latency.record(time.Millisecond)
	}
	return r
}

func TestFigures(t *testing.T) {
	f := newFigures("A", []*result{oneRun(100, 2, 0.5), oneRun(300, 2, 0.5)})
	if f.Operations != 400 || f.OpsPerSec != 100 || !slices.Equal(f.RoundRates, []float64{50, 150}) || f.P50ms != 1 {
		t.Errorf("%+v", f)
	}
	if f.ServerCPUms == nil || *f.ServerCPUms != 2.5 || f.ClientCPUms != nil || *f.RSSBytes != 1000 || *f.PeakRSSBytes != 2000 {
		t.Errorf("%+v", f)
	}
}

// TestRatioOfRounds: only rounds that both have done to the end are compared.
func TestRatioOfRounds(t *testing.T) {
	a := []*result{oneRun(200, 1, 1), oneRun(800, 1, 1), oneRun(7, 1, 1), oneRun(1, 1, 1)}
	b := []*result{oneRun(100, 1, 1), oneRun(100, 1, 1), oneRun(100, 1, 1)}
	a[2].cut = true
	r := newRatio(a, b)
	if s := r.OpsPerSec; s.Rounds != 2 || math.Abs(s.Mean-4) > 1e-12 || s.Min != 2 || s.Max != 8 {
		t.Errorf("rates: %+v", s)
	}
	if s := r.ServerCPU; math.Abs(s.Mean-0.25) > 1e-12 {
		t.Errorf("processor time: %+v", s)
	}
	if s := r.P50; s.Mean != 1 {
		t.Errorf("median: %+v", s)
	}
}

// TestContent: what a reader gives out is what verify accepts, and what is read from
// any other place or key is not.
func TestContent(t *testing.T) {
	c := newContent(3)
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, 3*mib).Draw(t, "size")
		key := rapid.StringMatching(`[a-z0-9/-]{1,40}`).Draw(t, "key")
		buf := make([]byte, rapid.IntRange(1, 2*window).Draw(t, "buffer")+1)
		e := c.of(key, size)
		if err := c.verify(c.reader(e), key, e, buf); err != nil {
			t.Fatal(err)
		}
		shift := int64(1) << rapid.IntRange(0, 30).Draw(t, "shift")
		if size < 16 {
			return // may be alike by chance
		}
		if err := c.verify(c.reader(e.part(shift, size)), key, e, buf); !isCorruption(err) {
			t.Fatalf("shifted by %d: %v", shift, err)
		}
	})
	if other := newContent(4); other.block[0] == c.block[0] && other.block[1] == c.block[1] && other.block[2] == c.block[2] {
		t.Error("two seeds have the same content")
	}
}

// TestContentSpread: large objects of one size do not all hold the same.
func TestContentSpread(t *testing.T) {
	c := newContent(1)
	starts := make(map[int64]bool)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		starts[c.of(string(rune('a'+rng.IntN(26)))+time.Duration(rng.Int64()).String(), 64*mib).start] = true
	}
	if len(starts) != 8 {
		t.Errorf("%d contents, not 8", len(starts))
	}
}
