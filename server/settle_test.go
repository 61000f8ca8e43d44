package server

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"ironman/wal"
)

// TestSettle: what a start needs is proposed again only when it is known that nothing
// will come of what was proposed before. A node that could not cancel its start
// proposed another, which was refused because of the first, and took itself for a copy.
func TestSettle(t *testing.T) {
	odd := errors.New("odd")
	for _, c := range []struct {
		name    string
		answers []error // of the steps, in order
		steps   string  // p: it proposes, r: it resolves
		err     error
	}{
		{"known at once", []error{nil}, "p", nil},
		{"not done", []error{wal.ErrNotDone, wal.ErrNotDone, nil}, "ppp", nil},
		{"unknown, and it was done", []error{wal.ErrUnknown, nil}, "pr", nil},
		{"unknown for long", []error{wal.ErrUnknown, wal.ErrUnknown, wal.ErrUnknown, nil}, "prrr", nil},
		{"unknown, and it never will be", []error{wal.ErrUnknown, wal.ErrUnknown, wal.ErrNotDone, wal.ErrUnknown, nil}, "prrpr", nil},
		{"something else", []error{odd}, "p", odd},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var steps strings.Builder
				step := func(name string) func() (wal.Applied, error) {
					return func() (wal.Applied, error) {
						steps.WriteString(name)
						n := steps.Len()
						return wal.Applied{Seq: uint64(n)}, c.answers[n-1]
					}
				}
				a, err := settle(t.Context(), step("p"), step("r"))
				if steps.String() != c.steps || !errors.Is(err, c.err) || err == nil && a.Seq != uint64(len(c.steps)) {
					t.Errorf("steps %q, %v, %+v", steps.String(), err, a)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		never := func() (wal.Applied, error) { cancel(); return wal.Applied{}, wal.ErrUnknown }
		if _, err := settle(ctx, never, never); !errors.Is(err, wal.ErrUnknown) {
			t.Error(err)
		}
	})
}
