package server

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"ironman/wal/event"
)

func TestParseRetention(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "0s": 0, "0d": 0, "7d": 7 * day, "24h": day, "1d12h": 36 * time.Hour, "90m": 90 * time.Minute, "1h30m": 90 * time.Minute,
		"106751d": 106751 * day, "250ms": 250 * time.Millisecond,
	} {
		if got, err := ParseRetention(text); got != want || err != nil {
			t.Errorf("%s is %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "d", "7", "-7d", "-1h", "+1h", "1d-1h", "1d+1h", "7 d", "1.5d", "1d1d", "106752d", "106751d24h", "99999999999999999999d", "forever", "1w"} {
		if got, err := ParseRetention(text); !errors.Is(err, errBadAsk) {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
	for _, d := range []time.Duration{0, time.Second, 90 * time.Minute, day, day + time.Hour, 7 * day, math.MaxInt64} {
		if got, err := ParseRetention(retentionText(d)); got != d || err != nil {
			t.Errorf("%v is written %s, and reads %v, %v", d, retentionText(d), got, err)
		}
	}
}

func TestRetentionRefused(t *testing.T) {
	for r, want := range map[event.Refusal]string{
		event.Refusal_REFUSAL_NO_SUCH_BUCKET: "no bucket", event.Refusal_REFUSAL_FEATURE_LEVEL: "older release", event.Refusal_REFUSAL_INVALID: "refused",
	} {
		if err := retentionRefused("b", r); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", r, err)
		}
	}
	if err := retentionRefused("b", event.Refusal_REFUSAL_NONE); err != nil {
		t.Error(err)
	}
}

// TestKept: each step halves, down to the floor; what is strict, and what is kept for less
// than the floor, is not touched.
func TestKept(t *testing.T) {
	h := &trims{n: &Node{opts: Options{HistoryFloor: time.Hour}}}
	for squeezed, want := range []time.Duration{24 * time.Hour, 12 * time.Hour, 6 * time.Hour, 3 * time.Hour, 90 * time.Minute, time.Hour, time.Hour} {
		h.squeezed = squeezed
		if got := h.kept(day, false); got != want {
			t.Errorf("step %d: %v", squeezed, got)
		}
		if got := h.kept(day, true); got != day {
			t.Errorf("step %d, strict: %v", squeezed, got)
		}
		if got := h.kept(time.Minute, false); got != time.Minute {
			t.Errorf("step %d, a minute: %v", squeezed, got)
		}
	}
}
