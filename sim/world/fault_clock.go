package world

import (
	"math/rand/v2"
	"time"
)

func clockFaults() []fault {
	set := func(w *World, a *Action, d time.Duration) func() {
		n := w.node(a.Node)
		w.mu.Lock()
		w.jumped = time.Now()
		w.mu.Unlock()
		n.mu.Lock()
		n.offset = d
		n.mu.Unlock()
		w.fired(a.ID, a.Name)
		return func() {
			n.mu.Lock()
			n.offset = 0
			n.mu.Unlock()
		}
	}
	sign := func(rng *rand.Rand) time.Duration { return time.Duration(1 - 2*rng.IntN(2)) }
	lasts := [2]time.Duration{time.Second, 8 * time.Second}
	return []fault{
		{id: "K1", name: "a clock is off by seconds", weight: 3, lasts: lasts, where: aNode, begin: func(w *World, a *Action, rng *rand.Rand) func() {
			return set(w, a, sign(rng)*time.Duration(rng.IntN(int(8*time.Second))))
		}},
		{id: "K1", name: "a clock is off by far", weight: 3, lasts: lasts, where: aNode, begin: func(w *World, a *Action, rng *rand.Rand) func() {
			return set(w, a, sign(rng)*time.Duration(rng.Int64N(int64(365*24*time.Hour))))
		}},
	}
}

// clocksJump tells whether a clock has jumped a short while ago.
func (w *World) clocksJump() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.jumped.IsZero() && time.Since(w.jumped) < 10*time.Second
}
