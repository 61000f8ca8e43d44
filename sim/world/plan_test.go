package world

import (
	"slices"
	"testing"
	"time"
)

// TestPlan: a plan is that of its seed; damage that lasts is done to one node, which is
// the one that may be removed; only what was asked for is planned.
func TestPlan(t *testing.T) {
	planOf := func(c Config) []Action {
		c.Span = 5 * time.Minute
		return newWorld(c, Outlets{}).plan()
	}
	kinds := make(map[string]bool)
	for seed := range uint64(40) {
		plan := planOf(Config{Seed: seed, Latency: true})
		if again := planOf(Config{Seed: seed, Latency: true}); !slices.Equal(plan, again) {
			t.Fatalf("seed %d has two plans", seed)
		}
		bad := 0
		for i, a := range plan {
			kinds[a.ID+a.Name] = true
			if a.N != i+1 || a.At < 0 || a.At >= 5*time.Minute || a.Peer == a.Node && a.Peer != 0 {
				t.Fatalf("seed %d: %+v", seed, a)
			}
			if lastingDamage(a) {
				if bad != 0 && bad != a.Node {
					t.Fatalf("seed %d damages shards of nodes %d and %d", seed, bad, a.Node)
				}
				bad = a.Node
			}
		}
	}
	for _, f := range faults() {
		if !kinds[f.id+f.name] {
			t.Errorf("%s %s is never planned", f.id, f.name)
		}
	}
	for _, a := range planOf(Config{Seed: 1, Faults: []string{"K1"}}) {
		if a.ID != "K1" {
			t.Errorf("%s was not asked for", a)
		}
	}
	if p := planOf(Config{Seed: 1, Faults: []string{}}); len(p) != 0 {
		t.Errorf("a run without faults has %d", len(p))
	}
	for _, a := range planOf(Config{Seed: 1}) {
		if a.ID == "D10" {
			t.Errorf("%s without latency", a)
		}
	}
}

func lastingDamage(a Action) bool {
	i := slices.IndexFunc(faults(), func(f fault) bool { return f.id == a.ID && f.name == a.Name })
	return faults()[i].where == aBadDisk || faults()[i].where == aBadNode
}
