package server

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestJudgeClock(t *testing.T) {
	const year = 365 * 24 * time.Hour
	s := func(n int) time.Duration { return time.Duration(n) * time.Second }
	for _, c := range []struct {
		name    string
		offsets []time.Duration // of the others that are seen
		voters  int
		problem string
	}{
		{"alone", nil, 1, ""},
		{"nobody seen", nil, 3, "only 1 of 3"},
		{"one of two unseen", nil, 2, "only 1 of 2"},
		{"two agree", []time.Duration{s(1)}, 3, ""},
		{"two agree, of two", []time.Duration{-s(1)}, 2, ""},
		{"two differ", []time.Duration{year}, 3, "no majority"},
		{"another is a year ahead", []time.Duration{0, year}, 3, ""},
		{"another is a day behind", []time.Duration{s(1), -s(24 * 3600)}, 3, ""},
		{"we are a year ahead", []time.Duration{-year, -year + s(1)}, 3, "ahead"},
		{"we are a day behind", []time.Duration{s(24 * 3600), s(24*3600 + 1)}, 3, "behind"},
		{"all differ", []time.Duration{year, -year}, 3, ""}, // we are the median
		{"all differ, and we are first", []time.Duration{year, 2 * year}, 3, "behind"},
		{"within the bound", []time.Duration{s(4), s(5)}, 3, ""},
		{"beyond it", []time.Duration{s(6), s(6)}, 3, "behind"},
		{"five, two of them wild", []time.Duration{0, s(1), year, -year}, 5, ""},
		{"five, two unseen, two against us", []time.Duration{year, year}, 5, "behind"},
		{"five, one unseen, halves", []time.Duration{0, year, year}, 5, "no majority"},
	} {
		err := judgeClock(c.offsets, c.voters)
		if (err == nil) != (c.problem == "") || err != nil && !strings.Contains(err.Error(), c.problem) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestClockVerdict: a verdict is of the clock that was judged: when somebody sets it, it is judged anew.
func TestClockVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := &clockVerdict{at: time.Now(), wall: time.Now().Add(time.Hour)}
		time.Sleep(clockVerdictEvery / 2)
		right := time.Now().Add(time.Hour)
		for _, c := range []struct {
			set   time.Duration
			holds bool
		}{{0, true}, {clockSet / 2, true}, {-clockSet / 2, true}, {time.Second, false}, {-time.Second, false}, {365 * 24 * time.Hour, false}} {
			if v.holds(right.Add(c.set)) != c.holds {
				t.Errorf("set by %v: it holds: %v", c.set, !c.holds)
			}
		}
		time.Sleep(clockVerdictEvery)
		if v.holds(time.Now().Add(time.Hour)) {
			t.Error("it holds for ever")
		}
	})
}
