package crash

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	"ironman/sim/disk"
)

// A loss is what becomes of that which was not durable when the node ended.
type loss byte

const (
	lostAll  loss = 'n' // the power is cut, and nothing of it is left
	lostSome loss = 's' // the power is cut, and chance decides of each block, size and name
	lostNone loss = 'k' // the process is killed: all is there, and not more durable than it was
)

// A step is one end of the node: before which operation of the run it came, counted
// from 1, and how. A way is one after the other: those behind the first come in a start
// on what the one before left.
type step struct {
	n   int
	how loss
}

type way []step

// String is what parseWay reads: "120n,33s".
func (w way) String() string {
	var all []string
	for _, s := range w {
		all = append(all, fmt.Sprintf("%d%c", s.n, s.how))
	}
	return strings.Join(all, ",")
}

func parseWay(text string) (w way, err error) {
	for s := range strings.SplitSeq(text, ",") {
		if s == "" {
			return nil, fmt.Errorf("%q is no way: 120n,33s is one", text)
		}
		last := len(s) - 1
		n, err := strconv.Atoi(s[:last])
		if how := loss(s[last]); err != nil || how != lostAll && how != lostSome && how != lostNone {
			return nil, fmt.Errorf("%q is no step: 120n is one", s)
		}
		w = append(w, step{n, loss(s[last])})
	}
	return w, nil
}

// then is the way with one step more.
func (w way) then(s step) way { return append(w[:len(w):len(w)], s) }

// point is a node that has ended: what its disks hold, and what clients know.
type point struct {
	way   way
	op    disk.Op // that was never done
	disk  *disk.Disk
	facts []fact
	at    time.Time // on the clock of the machine
	open  int       // requests without an answer
}

// A choice tells how the node is to end before operation n; mostly it is not to.
type choice func(n int, op disk.Op) []loss

func never(int, disk.Op) []loss { return nil }

// cutter makes points of a run, which goes on unharmed.
type cutter struct {
	process *process
	way     way // of the point on which the run began
	choose  choice
	rng     func(way) *rand.Rand
	take    func(*point)

	mu sync.Mutex
	n  int
}

func (c *cutter) before(op disk.Op) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	for _, how := range c.choose(c.n, op) {
		c.take(c.cut(c.way.then(step{c.n, how}), how, op))
	}
	return nil
}

// cut ends the node. Other goroutines go on meanwhile: what was answered before it
// began is on the disk, and what was asked before it ended may be.
func (c *cutter) cut(w way, how loss, op disk.Op) *point {
	p := &point{way: w, op: op, at: c.process.clock.now(), facts: c.process.history.now()}
	rng := c.rng(w)
	switch d := c.process.disk; how {
	case lostAll:
		p.disk = d.Cut(rng, disk.Keep(0))
	case lostSome:
		p.disk = d.Cut(rng, chooseLoss(rng))
	default:
		p.disk = d.Kill()
	}
	for _, f := range c.process.history.now()[len(p.facts):] {
		if f.asked != nil {
			p.facts = append(p.facts, f)
		}
	}
	p.open = len(know(p.facts).open)
	return p
}

func chooseLoss(rng *rand.Rand) disk.Loss {
	if rng.IntN(4) == 0 {
		return disk.Keep(1 + rng.IntN(100))
	}
	return disk.Loss{Blocks: rng.Float64(), Sizes: rng.Float64(), Entries: rng.Float64(), Torn: rng.Float64() / 2, Garbage: rng.Float64() / 4}
}
