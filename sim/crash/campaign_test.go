package crash

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"ironman/sim/disk"
	"ironman/wal/digest"
)

// A campaign is all runs of one seed. It is for a process with one thread: only there
// the same seed makes the same operations in the same order, but for rare exceptions.
type campaign struct {
	t     *testing.T
	seed  uint64
	logs  io.Writer // of the nodes; nil: nobody reads them
	began time.Time

	surveyed *surveyed
	planned  int
	done     int // ends of the node
	open     int // of them with requests that were not answered
	failed   int
	tried    map[string]int // ends by the kind of file
	told     time.Time      // when progress was last told
	disks    []*disk.Disk   // of the runs from the first start on
}

// number is drawn from the seed, for one purpose and one run.
func (c *campaign) number(purpose string, w way) uint64 {
	sum := digest.SHA256(fmt.Appendf(nil, "%d/%s/%s", c.seed, purpose, w))
	return binary.LittleEndian.Uint64(sum[:])
}

func (c *campaign) rng(purpose string, w way) *rand.Rand {
	return rand.New(rand.NewPCG(c.number(purpose, w), 1))
}

const (
	// bubbleLimit is how long a run may take in virtual time, and realLimit in real
	// time, which passes while somebody waits for ever for a lock.
	bubbleLimit = time.Hour
	realLimit   = 2 * time.Minute
)

var errStands = errors.New("I12: it stands still")

// run is one start of the node, or several, in a bubble of virtual time, on what a
// point left. What must not be leaves the bubble behind as it is.
func (c *campaign) run(at *point, choose choice, take func(*point), script func(*process) error) error {
	cryptotest.SetGlobalRandom(c.t, c.number("random", at.way))
	ended, outside := make(chan error, 2), make(chan struct{})
	go func() {
		defer func() {
			if r := recover(); r != nil {
				ended <- fmt.Errorf("I14: %v", r) // goroutines are left
				return
			}
			ended <- nil
		}()
		synctest.Test(c.t, func(*testing.T) {
			p := &process{disk: at.disk.Kill(), clock: newClock(at.at), history: since(at.facts), logger: c.logger(), depth: len(at.way), outside: outside}
			p.failed = func(err error) {
				select {
				case ended <- err:
				default: // one is enough
				}
			}
			cut := &cutter{process: p, way: at.way, choose: choose, take: take, rng: func(w way) *rand.Rand { return c.rng("cut", w) }}
			p.disk.Watch(disk.Hooks{Before: cut.before})
			late := time.AfterFunc(bubbleLimit, func() { p.fail(errStands) })
			if err := script(p); err != nil {
				p.fail(err)
			}
			late.Stop()
		})
	}()
	select {
	case err := <-ended:
		return err
	case <-time.After(realLimit):
		return errStands
	}
}

func (c *campaign) logger() *slog.Logger {
	if c.logs == nil {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(c.logs, nil))
}

// record runs the clients' script from the first start of a node on, and ends it
// where it is chosen to.
func (c *campaign) record(choose choice) (points []*point) {
	first := newDisk(c.rng("disk", nil))
	c.disks = append(c.disks, first)
	begin := &point{disk: first, at: epoch()}
	err := c.run(begin, choose, func(p *point) { points = append(points, p) }, func(p *process) error {
		for _, do := range []func() error{p.start, p.script, p.close, p.start, p.again} {
			if err := do(); err != nil {
				return err
			}
		}
		seen, err := p.look()
		if err != nil {
			return err
		}
		return errors.Join(know(p.history.now()).allows(seen), p.close())
	})
	if err != nil {
		c.t.Fatalf("without any crash: %v", err)
	}
	return points
}

func epoch() time.Time { return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC) }

// recover starts a node on what a point left, and checks it; further points are
// made of that start.
func (c *campaign) recover(at *point, choose choice, take func(*point)) error {
	return c.run(at, choose, take, func(p *process) error {
		if err := p.start(); err != nil {
			return err
		}
		if err := p.serves(); err != nil {
			return err
		}
		return p.settles()
	})
}

// verify is recover, and tells of a failure.
func (c *campaign) verify(at *point, choose choice, take func(*point)) bool {
	if c.logs != nil {
		fmt.Fprintf(c.logs, "%s, before %s\n", at.way, at.op)
	}
	err := c.recover(at, choose, take)
	c.done++
	c.tried[kindOf(at.op)]++
	if at.open > 0 {
		c.open++
	}
	if time.Since(c.told) > progressEvery {
		c.told = time.Now()
		c.t.Logf("%v: %d of %d ends of the node, %d failures", time.Since(c.began).Round(time.Second), c.done, c.planned, c.failed)
	}
	if err == nil {
		return true
	}
	c.failed++
	c.t.Errorf("%s: the node ended before %q: %v\nto repeat it: make crash SEED=%d WAY=%s", at.way, at.op, err, c.seed, at.way)
	if c.failed >= maxFailures {
		c.t.Fatal("these are enough")
	}
	return false
}

const (
	progressEvery = 10 * time.Second
	maxFailures   = 30
)

func newCampaign(t *testing.T) *campaign {
	c := &campaign{t: t, seed: 1, tried: make(map[string]int), began: time.Now(), told: time.Now()}
	if v := os.Getenv(seedEnv); v != "" {
		if _, err := fmt.Sscan(v, &c.seed); err != nil {
			t.Fatalf("%s: %v", seedEnv, err)
		}
	}
	if os.Getenv(logEnv) != "" {
		c.logs = os.Stderr
	}
	return c
}
