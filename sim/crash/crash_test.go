package crash

import (
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"ironman/sim/disk"
)

// What the environment asks for; nothing: a sample.
const (
	seedEnv = "IRONMAN_CRASH_SEED"
	fullEnv = "IRONMAN_CRASH_FULL"
	// wayEnv is one way to repeat, and logEnv what the nodes say.
	wayEnv = "IRONMAN_CRASH_WAY"
	logEnv = "IRONMAN_CRASH_LOG"
)

// extent is how much a campaign tries.
type extent struct {
	// perKind of file: so many single crashes; 0: at every operation, in both ways to
	// lose power.
	perKind int
	// every operation of so many recoveries.
	recoveries int
	// deeper is the number of ways with two ends of the node, and as many with three.
	deeper int
}

// TestCrash ends a node at every file operation of its life, or at a sample of them,
// and again while it recovers, and demands that it is whole afterwards (F-P1, F-P3).
func TestCrash(t *testing.T) {
	// One thread: then the same seed is the same run.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	c := newCampaign(t)
	if v := os.Getenv(wayEnv); v != "" {
		c.repeat(v)
		return
	}
	e := extent{perKind: 6, deeper: 8}
	if os.Getenv(fullEnv) != "" {
		e = extent{recoveries: 6, deeper: 500}
	}
	c.survey()
	c.singly(e.perKind)
	c.throughout(e.recoveries)
	c.repeatedly(e.deeper)
	c.tell(e)
}

// singly ends the node once: perKind points of each kind of file, or all.
func (c *campaign) singly(perKind int) {
	var points []*point
	if perKind == 0 {
		points = c.record(func(int, disk.Op) []loss { return []loss{lostAll, lostSome} })
	} else {
		points = c.record(c.sample(perKind))
	}
	c.plan("once", len(points))
	for i, p := range points {
		points[i] = nil // and its disk can go
		c.verify(p, never, nil)
	}
}

// sample chooses operations of each kind of file, and how to end before them. It counts
// each kind for itself: so it has enough of each, though a turn of the scheduler may
// change the order of operations on different files.
func (c *campaign) sample(perKind int) choice {
	rng := c.rng("sample", nil)
	chosen := make(map[string]map[int]loss)
	for _, kind := range kinds() {
		chosen[kind] = make(map[int]loss)
		total := len(c.surveyed.at[kind])
		for _, i := range rng.Perm(total)[:min(perKind, total)] {
			chosen[kind][i] = anyLoss(rng)
		}
	}
	seen := make(map[string]int)
	return func(_ int, op disk.Op) []loss {
		kind := kindOf(op)
		how, ok := chosen[kind][seen[kind]]
		if seen[kind]++; !ok {
			return nil
		}
		return []loss{how}
	}
}

func anyLoss(rng *rand.Rand) loss { return []loss{lostAll, lostSome, lostNone}[rng.IntN(3)] }

// throughout ends the node at every operation of some of its recoveries.
func (c *campaign) throughout(recoveries int) {
	for _, at := range c.some(recoveries, "throughout") {
		rng := c.rng("throughout", at.way)
		var points []*point
		every := func(int, disk.Op) []loss { return []loss{anyLoss(rng)} }
		if !c.verify(at, every, func(p *point) { points = append(points, p) }) {
			continue
		}
		c.plan("twice, everywhere in the recovery from "+at.way.String(), 1+len(points))
		for _, p := range points {
			c.verify(p, never, nil)
		}
	}
}

// repeatedly ends the node two and three times, anywhere.
func (c *campaign) repeatedly(n int) {
	for _, steps := range []int{2, 3} {
		c.plan([]string{2: "twice", 3: "three times"}[steps], steps*n)
		for _, at := range c.some(n, "repeatedly") {
			for at != nil && len(at.way) < steps {
				at = c.descend(at)
			}
			if at != nil {
				c.verify(at, never, nil)
			}
		}
	}
}

// some points of the first run, chosen by the seed.
func (c *campaign) some(n int, purpose string) []*point {
	if n == 0 {
		return nil
	}
	rng := c.rng(purpose, nil)
	chosen := make(map[int][]loss)
	for range n {
		at := 1 + rng.IntN(c.surveyed.total)
		chosen[at] = append(chosen[at], anyLoss(rng))
	}
	points := c.record(func(n int, _ disk.Op) []loss { return chosen[n] })
	rng.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
	return points
}

// descend recovers from a point and chooses one of that recovery; nil if it failed.
func (c *campaign) descend(at *point) (next *point) {
	rng := c.rng("descend", at.way)
	// Of all operations alike, though nobody knows yet how many there are.
	choose := func(n int, _ disk.Op) []loss {
		if rng.IntN(n) > 0 {
			return nil
		}
		return []loss{anyLoss(rng)}
	}
	if !c.verify(at, choose, func(p *point) { next = p }) {
		return nil
	}
	return next
}

// repeat goes one way.
func (c *campaign) repeat(text string) {
	w, err := parseWay(text)
	if err != nil {
		c.t.Fatalf("%s: %v", wayEnv, err)
	}
	var at *point
	only := func(s step) choice {
		return func(n int, _ disk.Op) []loss {
			if n == s.n {
				return []loss{s.how}
			}
			return nil
		}
	}
	if points := c.record(only(w[0])); len(points) > 0 {
		at = points[0]
	}
	for _, s := range append(slices.Clone(w[1:]), step{}) {
		if at == nil {
			c.t.Fatalf("%s: there are not so many operations", text)
		}
		c.t.Logf("%s: the node ends before %q", at.way, at.op)
		here := at
		at = nil
		if !c.verify(here, only(s), func(p *point) { at = p }) {
			return
		}
	}
}

// plan says what comes next: n ends of the node.
func (c *campaign) plan(what string, n int) {
	c.planned += n
	c.t.Logf("%v: %s: %d ends of the node", time.Since(c.began).Round(time.Second), what, n)
}
