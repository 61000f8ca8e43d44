package server_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// crashPlan is how often each kind of kill comes in one run.
type crashPlan struct {
	point string // of the failpoint; "": a kill from outside at a random moment
	kills int
	least int // of the operations after which it strikes
	most  int
}

func crashPlans() []crashPlan {
	if testing.Short() {
		return []crashPlan{{"log", 2, 1, 150}, {"pack", 1, 1, 200}, {"snapshot", 1, 1, 40}, {"", 2, 0, 0}}
	}
	return []crashPlan{
		{"log", 10, 1, 150}, {"pack", 9, 1, 300}, {"snapshot", 7, 1, 40}, {"ledger", 3, 1, 12}, {"state", 3, 1, 20},
		{"log-start", 2, 1, 30}, {"pack-start", 1, 1, 30}, {"snapshot-start", 1, 1, 2}, {"", 16, 0, 0},
	}
}

// TestKill kills a node under load, again and again, inside writes to each kind of
// file and at random moments, and checks after each restart that nothing that was
// acknowledged is lost, nothing is torn, and listings are exact. IRONMAN_LONG makes
// it ten runs, IRONMAN_SEED other ones (of when kills come; the load runs free).
func TestKill(t *testing.T) {
	t.Parallel()
	seed, runs := uint64(1), uint64(1)
	if v := os.Getenv("IRONMAN_SEED"); v != "" {
		if _, err := fmt.Sscan(v, &seed); err != nil {
			t.Fatal(err)
		}
	}
	if os.Getenv("IRONMAN_LONG") != "" {
		runs = 10
	}
	for s := seed; s < seed+runs; s++ {
		t.Run(fmt.Sprint(s), func(t *testing.T) { killRun(t, s) })
	}
}

func killRun(t *testing.T, seed uint64) {
	p := newProcess(t, "--log-segment-bytes", "262144", "--snapshot-entries", "100", "--pack-bytes", "1048576", "--history", "2s", "--release-grace", "1s")
	p.start()
	p.client().must(t, 200, "PUT", "/crash", nil)
	run := &crashRun{T: t, p: p, rng: rand.New(rand.NewPCG(seed, 2))}
	var seeds atomic.Uint64
	for i := range 4 {
		run.loaders = append(run.loaders, newLoader("crash", i, &seeds))
	}
	var kinds []crashPlan
	for _, plan := range crashPlans() {
		for range plan.kills {
			kinds = append(kinds, plan)
		}
	}
	run.rng.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	hits := make(map[string]int)
	begin := time.Now()
	for i, plan := range kinds {
		if !run.cycle(plan) {
			t.Fatalf("kill %d of %d (%q)", i+1, len(kinds), plan.point)
		}
		hits[plan.point]++
	}
	acked := 0
	for _, l := range run.loaders {
		acked += l.acked
	}
	t.Logf("%d kills in %v: %v; %d acknowledged requests", len(kinds), time.Since(begin).Round(time.Second), hits, acked)
	if inside := hits["log"] + hits["pack"] + hits["snapshot"]; inside < 20 && !testing.Short() {
		t.Errorf("only %d kills inside writes of log, packs and snapshots", inside)
	}
	if acked < 20*len(kinds) {
		t.Errorf("only %d requests were acknowledged: not much of a load", acked)
	}
	status := p.status()
	p.stop()
	checkReplay(t, p.dir, status)
}

// crashRun is a node, its load and the model of what it holds.
type crashRun struct {
	*testing.T
	p       *process
	rng     *rand.Rand
	loaders []*loader
}

// cycle loads the running node until it is killed, restarts it, and verifies.
func (c *crashRun) cycle(plan crashPlan) bool {
	c.Helper()
	point, early := strings.CutSuffix(plan.point, "-start")
	n := 0
	if plan.point != "" {
		n = plan.least + c.rng.IntN(plan.most-plan.least+1)
	}
	c.p.kill() // idle: what was verified stays so
	switch {
	case early:
		// The kill comes in the middle of recovery, and recovery begins again.
		err := c.p.tryStart("--failpoint", fmt.Sprintf("%s:%d:start", point, n))
		if err == nil {
			c.p.kill()
		} else if !c.p.killed() {
			c.Errorf("the start was not killed, but ended: %v\n%s", err, c.p.log.tail(3000))
		}
	case plan.point != "":
		c.p.start("--failpoint", fmt.Sprintf("%s:%d", point, n))
		c.load(0)
		if !strings.Contains(c.p.log.String(), fmt.Sprintf("failpoint %s:%d: killed in", point, n)) {
			c.Errorf("the failpoint %s:%d did not strike\n%s", point, n, c.p.log.tail(3000))
		}
	default:
		c.p.start()
		c.load(time.Duration(50+c.rng.IntN(600)) * time.Millisecond)
	}
	c.p.start()
	c.verify()
	return !c.Failed()
}

// load runs all loaders until the process is dead: killed from here after a while,
// or by itself if after is 0.
func (c *crashRun) load(after time.Duration) {
	c.Helper()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var wait sync.WaitGroup
	for _, l := range c.loaders {
		l.client = c.p.client()
		wait.Go(func() {
			if err := l.run(ctx); err != nil && !errors.Is(err, errCut) {
				c.Error(err)
				stop()
			}
		})
	}
	limit := 30 * time.Second
	if after > 0 {
		limit = after
	}
	select {
	case <-time.After(limit):
		if after == 0 {
			c.Error("the failpoint was not reached in 30 s")
		}
		c.p.kill()
	case err := <-c.p.exited:
		c.p.exited <- err
		if after > 0 {
			c.Errorf("the node ended by itself: %v\n%s", err, c.p.log.tail(3000))
		}
	case <-ctx.Done():
		c.p.kill()
	}
	_ = c.p.wait() // killed() tells
	if !c.p.killed() {
		c.Errorf("the node ended, but not by the kill: %v\n%s", c.p.cmd.ProcessState, c.p.log.tail(3000))
	}
	stop()
	wait.Wait()
}

// verify compares everything the node holds with the model.
func (c *crashRun) verify() {
	c.Helper()
	var wait sync.WaitGroup
	for _, l := range c.loaders {
		l.client = c.p.client()
		wait.Go(func() {
			if err := l.verify(); err != nil {
				c.Error(err)
			}
		})
	}
	wait.Wait()
	checkListing(c, c.p.client(), "crash", c.loaders)
}
