package world

import (
	"math/rand/v2"
	"testing"
)

// TestInItsSlot: what does lasting damage to a disk, and what moves disks about, keep
// away from each other: seed 30113 damaged a disk of another node that was in the slot.
func TestInItsSlot(t *testing.T) {
	w := newWorld(Config{Seed: 1}, Outlets{})
	began := 0
	damage := inItsSlot(func(*World, *Action, *rand.Rand) func() {
		began++
		return func() {}
	})
	n, a := w.node(2), &Action{Node: 2}
	free, ok := w.handle(n)
	if !ok || damage(w, a, nil) != nil || began != 0 {
		t.Fatalf("a disk that is moved about is damaged (%v, %d)", ok, began)
	}
	free()
	one, two := damage(w, a, nil), damage(w, a, nil)
	if one == nil || two == nil || began != 2 {
		t.Fatalf("two faults of one node: %d began", began)
	}
	one()
	if _, ok := w.handle(n); ok {
		t.Error("a disk is moved about while it is damaged")
	}
	two()
	if _, ok := w.handle(n); !ok {
		t.Error("a disk cannot be moved about when its damage is over")
	}
}
