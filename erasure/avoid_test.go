package erasure

import (
	"fmt"
	"testing"
	"time"
)

// TestAvoid: a disk that failed is left alone for seconds, that of a node which is about
// to serve for a moment, and one without space only by what needs some.
func TestAvoid(t *testing.T) {
	for _, c := range []struct {
		why   error
		full  bool // asked as by what needs no space
		after time.Duration
		want  bool
	}{
		{ErrDiskFailed, false, avoidFor - 1, true},
		{ErrDiskFailed, false, avoidFor, false},
		{ErrNoSpace, false, avoidFor - 1, true},
		{ErrNoSpace, true, 0, false},
		{fmt.Errorf("%w: %w", ErrUnavailable, ErrNotServing), false, avoidStarting - 1, true},
		{fmt.Errorf("%w: %w", ErrUnavailable, ErrNotServing), false, avoidStarting, false},
	} {
		var a avoidedDisks
		now := time.Unix(1000, 0)
		a.add(3, c.why, now)
		if got := a.is(3, c.full, now.Add(c.after)); got != c.want {
			t.Errorf("%v behind %q it is avoided: %v", c.after, c.why, got)
		}
	}
}
