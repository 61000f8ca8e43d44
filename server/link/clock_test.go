package link

import (
	"math"
	"sync/atomic"
	"testing"
	"time"
)

// Clocks that are far apart are measured over the link, from both sides, and a step
// of one is seen soon.
func TestClocks(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		var skew atomic.Int64
		skew.Store(int64(365 * 24 * time.Hour))
		a := r.start(1, 1, nil)
		b := r.start(2, 1, func(o *Options) { o.Now = func() time.Time { return time.Now().Add(time.Duration(skew.Load())) } })
		r.reaches(a, 2)
		right := func(n *testNode, want time.Duration) bool {
			s := n.Peers()
			if len(s) != 1 || !s[0].Measured {
				return false
			}
			off := (s[0].Offset - want).Abs()
			return off <= s[0].RoundTrip/2+time.Millisecond && s[0].RoundTrip > 0 && s[0].RoundTrip < time.Second
		}
		for _, want := range []time.Duration{365 * 24 * time.Hour, -24 * time.Hour, 700 * time.Millisecond, 0} {
			skew.Store(int64(want))
			eventually(t, "measured at the node that dialed", func() bool { return right(a, want) })
			eventually(t, "measured at the other", func() bool { return right(b, -want) })
		}
		if h := a.Peers()[0].Heard; time.Since(h) > 10*time.Second || time.Since(h) < 0 {
			t.Error(h)
		}
	})
}

func TestClock(t *testing.T) {
	var c clock
	if _, ok := c.best(0); ok {
		t.Fatal("a sample out of nothing")
	}
	// The other clock is 100 s ahead; the way there takes longer than the way back in
	// all samples but one.
	const ahead = int64(100 * time.Second)
	ping := func(at, there, back int64, now time.Duration) {
		c.add(time.Duration(there+back), at, at+there+ahead, at+there+ahead, at+there+back, now)
	}
	for i := range int64(5) {
		ping(i*1e9, 40e6, 10e6, time.Duration(i)*time.Second)
	}
	ping(6e9, 1e6, 1e6, 6*time.Second)
	for i := range int64(5) {
		ping((7+i)*1e9, 40e6, 10e6, time.Duration(7+i)*time.Second)
	}
	s, ok := c.best(12 * time.Second)
	if !ok || s.offset != 100*time.Second || s.delay != 2*time.Millisecond {
		t.Fatalf("%+v", s)
	}
	// The best one leaves the window, and then all of them are too old.
	for i := range int64(samples) {
		ping((20+i)*1e9, 40e6, 10e6, time.Duration(20+i)*time.Second)
	}
	if s, _ = c.best(28 * time.Second); s.offset != 100*time.Second+15*time.Millisecond {
		t.Fatalf("%+v", s)
	}
	if _, ok = c.best(60 * time.Second); ok {
		t.Fatal("a stale sample")
	}
	// Stamps that make no sense, and a clock of this node that was set during a ping.
	before := len(c.last)
	c.add(10, 0, 20, 10, 10, 0)
	c.add(10, 0, 0, 20, 10, 0)
	c.add(time.Millisecond, 0, 0, 0, int64(time.Second), 0)
	if len(c.last) != before {
		t.Fatal("a wrong sample was taken")
	}
	// A step drops what was known before it.
	c.add(2e6, 0, 1e6+5e9, 1e6+5e9, 2e6, 61*time.Second)
	if s, _ = c.best(61 * time.Second); s.offset != 5*time.Second || len(c.last) != 1 {
		t.Fatalf("%+v", s)
	}
}

func TestDifference(t *testing.T) {
	for _, c := range []struct {
		a, b int64
		want time.Duration
	}{
		{3, 1, 2}, {1, 3, -2}, {math.MaxInt64, -1, math.MaxInt64}, {math.MinInt64, 1, math.MinInt64}, {math.MinInt64, math.MinInt64, 0},
	} {
		if got := difference(c.a, c.b); got != c.want {
			t.Errorf("%d - %d = %d", c.a, c.b, got)
		}
	}
	if differ(math.MaxInt64, math.MinInt64) != math.MaxInt64 || differ(-3, 4) != 7 {
		t.Error("differ")
	}
	var c clock // no stamp of another node makes this one panic or believe in a small offset
	c.add(2, 0, math.MaxInt64, math.MaxInt64, 2, 0)
	if s, ok := c.best(0); !ok || s.offset < 1<<62 {
		t.Errorf("%+v", s)
	}
}

// TestClockIsSet: of a node whose clock is set the offsets of others are right at once, by samples
// from before.
func TestClockIsSet(t *testing.T) {
	var c clock
	const ahead = int64(3 * time.Second)
	c.add(2e6, 500e9, 500e9+1e6+ahead, 500e9+1e6+ahead, 500e9+2e6, 10*time.Second)
	s, ok := c.best(11 * time.Second)
	if !ok || s.offset != time.Duration(ahead) {
		t.Fatalf("%+v", s)
	}
	wall := int64(501e9 + 2e6) // a second later
	for _, set := range []time.Duration{0, time.Hour, -time.Hour, 290 * 365 * 24 * time.Hour} {
		if got, want := s.now(wall+int64(set), 11*time.Second), time.Duration(ahead)-set; got != want {
			t.Errorf("set by %v the other is %v ahead, want %v", set, got, want)
		}
	}
}
