package server

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// TestExpirerRests: an event that removes is followed by a rest of three times as long,
// and by a short one where the clock was set meanwhile.
func TestExpirerRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for took, want := range map[time.Duration]time.Duration{
			10 * time.Millisecond: 30 * time.Millisecond, time.Second: 3 * time.Second, time.Hour: 5 * time.Second, -time.Hour: 0,
		} {
			began := time.Now()
			if err := rest(t.Context(), took); err != nil || time.Since(began) != want {
				t.Errorf("after %v it rests %v, not %v: %v", took, time.Since(began), want, err)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := rest(ctx, time.Second); err != context.Canceled {
			t.Errorf("at the end: %v", err)
		}
	})
}
