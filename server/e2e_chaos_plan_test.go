package server_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// chaosAction is a planned fault. All of them are drawn from the seed before the run
// begins, and each has a source of randomness of its own. What comes of them is up to
// the machine: the schedule of a seed can be repeated, the run cannot.
type chaosAction struct {
	n     int // from 1
	at    time.Duration
	lasts time.Duration
	fault chaosFault
	node  int // from 0
	peer  int
	disk  int // from 0
}

func (a *chaosAction) String() string {
	s := fmt.Sprintf("#%d %s %s", a.n, a.fault.id, a.fault.name)
	switch a.fault.where {
	case aNode:
		return fmt.Sprintf("%s, node %d", s, a.node+1)
	case aPair:
		return fmt.Sprintf("%s, nodes %d and %d", s, a.node+1, a.peer+1)
	case aDisk, aBadDisk:
		return fmt.Sprintf("%s, node %d, disk %d", s, a.node+1, a.disk+1)
	}
	return s
}

// chaosFault is a kind of fault.
type chaosFault struct {
	id, name string
	weight   int
	lasts    [2]time.Duration // at least, at most
	where    chaosPlace
	// unsure: it may find nothing to act upon, once or twice.
	unsure bool
	// do carries it out, to its end.
	do func(c *chaos, a *chaosAction, rng *rand.Rand)
}

type chaosPlace int

const (
	everywhere chaosPlace = iota
	aNode
	aPair
	aDisk
	aBadDisk // of the one node whose shards may be damaged
)

const ms = time.Millisecond

func chaosFaults() []chaosFault {
	return slices.Concat(chaosProcessFaults(), chaosNetworkFaults(), chaosDiskFaults())
}

// chaosPlan draws the schedule. Kinds of faults are dealt like cards, so that a run
// that is long enough has all of them. Shards that are damaged for good are those of
// one node only: that is what every layout survives.
func chaosPlan(seed uint64, span time.Duration, only []string) []*chaosAction {
	rng := rand.New(rand.NewPCG(seed, 1))
	bad := rng.IntN(3)
	var deck, left []chaosFault
	for _, f := range chaosFaults() {
		for range f.weight {
			if only == nil || slices.Contains(only, f.id) {
				deck = append(deck, f)
			}
		}
	}
	gap := time.Duration(1200+rng.IntN(1600)) * ms
	var plan []*chaosAction
	for at := 300 * ms; len(deck) > 0; {
		at += time.Duration(rng.ExpFloat64() * float64(gap))
		if at >= span {
			break
		}
		if len(left) == 0 {
			left = slices.Clone(deck)
			rng.Shuffle(len(left), func(i, j int) { left[i], left[j] = left[j], left[i] })
		}
		f := left[0]
		left = left[1:]
		a := &chaosAction{n: len(plan) + 1, at: at, fault: f, node: rng.IntN(3), disk: rng.IntN(2)}
		a.lasts = f.lasts[0] + time.Duration(rng.Float64()*float64(f.lasts[1]-f.lasts[0]))
		a.peer = (a.node + 1 + rng.IntN(2)) % 3
		if f.where == aBadDisk {
			a.node = bad
		}
		plan = append(plan, a)
	}
	return plan
}

// chaosSpec is what a run is told from outside.
type chaosSpec struct {
	seed uint64
	span time.Duration
	only []string // ids of faults; nil: all
	old  string   // binary of an older release; empty: none
}

// chaosSpecOf reads it: IRONMAN_CHAOS is the minutes.
func chaosSpecOf(t *testing.T) chaosSpec {
	t.Helper()
	s := chaosSpec{seed: 1, span: 20 * time.Second, old: os.Getenv("IRONMAN_OLD_BINARY")}
	scan := func(name string, v any) {
		if text := os.Getenv(name); text != "" {
			if _, err := fmt.Sscan(text, v); err != nil {
				t.Fatalf("%s=%s: %v", name, text, err)
			}
		}
	}
	minutes := s.span.Minutes()
	scan("IRONMAN_CHAOS", &minutes)
	scan("IRONMAN_CHAOS_SEED", &s.seed)
	s.span = time.Duration(minutes * float64(time.Minute)).Round(time.Second)
	if text := os.Getenv("IRONMAN_CHAOS_FAULTS"); text != "" {
		s.only = strings.Split(text, ",")
	}
	return s
}

// command repeats the schedule.
func (s *chaosSpec) command() string {
	c := fmt.Sprintf("make chaos SEED=%d MINUTES=%v", s.seed, s.span.Minutes())
	if s.only != nil {
		c += " FAULTS=" + strings.Join(s.only, ",")
	}
	if s.old != "" {
		c = "IRONMAN_OLD_BINARY=" + s.old + " " + c
	}
	return c
}

// TestChaosPlan: a seed gives the same schedule always, another one another, and one of
// some minutes has every kind of fault, and no damage beyond the budget.
func TestChaosPlan(t *testing.T) {
	text := func(plan []*chaosAction) (s string) {
		for _, a := range plan {
			s += fmt.Sprintln(a, a.at, a.lasts)
		}
		return s
	}
	one := chaosPlan(1, 10*time.Minute, nil)
	if text(one) != text(chaosPlan(1, 10*time.Minute, nil)) {
		t.Error("two schedules of one seed")
	}
	if text(one) == text(chaosPlan(2, 10*time.Minute, nil)) {
		t.Error("one schedule of two seeds")
	}
	if !strings.HasPrefix(text(one), text(chaosPlan(1, time.Minute, nil))) {
		t.Error("a short schedule is not the beginning of a long one")
	}
	planned, bad := make(map[string]bool), -1
	for _, a := range one {
		planned[a.fault.name] = true
		if a.fault.where != aBadDisk {
			continue
		}
		if bad >= 0 && a.node != bad {
			t.Errorf("%v: shards of node %d are damaged, too", a, bad+1)
		}
		bad = a.node
	}
	for _, f := range chaosFaults() {
		if !planned[f.name] {
			t.Errorf("%s %s is never planned", f.id, f.name)
		}
	}
	for _, a := range chaosPlan(1, time.Minute, []string{"N1", "K1"}) {
		if a.fault.id != "N1" && a.fault.id != "K1" {
			t.Errorf("%v was not asked for", a)
		}
	}
}
