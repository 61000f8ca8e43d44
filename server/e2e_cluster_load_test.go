package server_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// roamer is a loader that sends each request to another node. A change whose outcome
// is not known may take effect later, or never: its key is not written any more, and
// all further requests go to fresh keys.
type roamer struct {
	*loader
	n          int
	clients    []*client
	generation int
	left       map[string]bool // keys with unknown changes
}

func newRoamer(bucket string, n int, clients []*client, seeds *atomic.Uint64) *roamer {
	r := &roamer{loader: newLoader(bucket, n, seeds), n: n, clients: clients, left: make(map[string]bool)}
	r.patient = true
	return r
}

// run sends requests until ctx ends between two of them. Any answer but the right
// one, an error of the server's, or none, is an error.
func (r *roamer) run(ctx context.Context) error {
	for ctx.Err() == nil {
		r.client = r.clients[r.rng.IntN(len(r.clients))]
		err := r.step()
		if err == nil {
			continue
		}
		if !errors.Is(err, errCut) {
			return err
		}
		r.leave(err)
		time.Sleep(5 * time.Millisecond) // a dead node refuses at once
	}
	return nil
}

// leave forgets a change that surely was not made, and leaves alone the keys of one
// that may have been.
func (r *roamer) leave(err error) {
	var op *net.OpError
	never := errors.As(err, &op) && op.Op == "dial"
	fresh := false
	for key, o := range r.objects {
		switch {
		case len(o.maybe) == 0 || r.left[key]:
		case never:
			o.maybe = nil
		default:
			r.left[key], fresh = true, true
		}
	}
	if u := r.upload; u != nil && u.completed {
		if u.completed = false; !never {
			r.upload = nil
			r.unknown++
		}
	}
	if fresh {
		r.generation++
		r.prefix = fmt.Sprintf("client-%d/after-%d/", r.n, r.generation)
	}
}

// retire deletes the objects of former generations, once they were verified.
func (r *roamer) retire() error {
	for key, o := range r.objects {
		if strings.HasPrefix(key, r.prefix) {
			continue
		}
		if o.known.seed != 0 {
			if err := r.remove(key); err != nil {
				return err
			}
		}
		delete(r.objects, key)
		delete(r.left, key)
	}
	return nil
}

// pause measures for how long nobody's change was acknowledged.
type pause struct {
	mu      sync.Mutex
	last    time.Time
	longest time.Duration
	count   int
}

func (p *pause) wrote() {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	p.longest = max(p.longest, now.Sub(p.last))
	p.last = now
	p.count++
}

func (p *pause) begin() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last, p.longest, p.count = time.Now(), 0, 0
}

// so far: the longest pause, and how many changes were acknowledged.
func (p *pause) soFar() (time.Duration, int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(p.longest, time.Since(p.last)), p.count
}

// clusterRun is a cluster under load, and the model of what it holds.
type clusterRun struct {
	*trio
	rng     *rand.Rand
	roamers []*roamer
	pause   *pause
	stop    func() // ends the load and waits for its end
}

func newClusterRun(t testing.TB, seed uint64, flags ...string) *clusterRun {
	flags = append([]string{"--log-segment-bytes", "1048576", "--pack-bytes", "4194304", "--history", "2s", "--release-grace", "1s"}, flags...)
	c := &clusterRun{trio: startTrio(t, flags...), rng: rand.New(rand.NewPCG(seed, 9)), pause: &pause{}}
	c.clients[0].must(t, 200, "PUT", "/load", nil)
	seeds := new(atomic.Uint64)
	for n := range 5 {
		r := newRoamer("load", n, c.clients[:], seeds)
		r.wrote = c.pause.wrote
		c.roamers = append(c.roamers, r)
	}
	return c
}

// load begins the load; stop ends it.
func (c *clusterRun) load() {
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	for _, r := range c.roamers {
		wait.Go(func() {
			if err := r.run(ctx); err != nil {
				c.Error(err)
			}
		})
	}
	c.stop = func() { cancel(); wait.Wait() }
}

// verify compares everything with the model, through each of these nodes.
func (c *clusterRun) verify(through ...int) {
	c.Helper()
	var models []*loader
	for _, r := range c.roamers {
		models = append(models, r.loader)
	}
	for _, i := range through {
		c.each(func(r *roamer) error {
			r.client = c.clients[i]
			if err := r.verify(); err != nil {
				return fmt.Errorf("through node %d: %w", i+1, err)
			}
			return nil
		})
		checkListing(c, c.clients[i], "load", models)
	}
	c.each((*roamer).retire)
}

// each does something for all roamers at once.
func (c *clusterRun) each(f func(*roamer) error) {
	c.Helper()
	var wait sync.WaitGroup
	for _, r := range c.roamers {
		wait.Go(func() {
			if err := f(r); err != nil {
				c.Error(err)
			}
		})
	}
	wait.Wait()
}

func (c *clusterRun) acked() int {
	n := 0
	for _, r := range c.roamers {
		n += r.acked
	}
	return n
}
