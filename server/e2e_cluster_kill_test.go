package server_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// rounds is how often something is done in a run: short, as it is, or with
// IRONMAN_LONG.
func rounds(short, standard, long int) int {
	switch {
	case os.Getenv("IRONMAN_LONG") != "":
		return long
	case testing.Short():
		return short
	}
	return standard
}

// TestClusterKillOne kills one node of three under load, often the leader, again
// and again. The other two go on after a moment and hold everything that was
// acknowledged; the dead one comes back by itself and is then equal to them.
func TestClusterKillOne(t *testing.T) {
	c := newClusterRun(t, 1)
	var pauses []time.Duration
	leaders := 0
	for n := range rounds(2, 6, 20) {
		lead := c.leader(all()...)
		victim := lead
		if n%2 == 1 {
			victim = c.rng.IntN(3)
		}
		if victim == lead {
			leaders++
		}
		c.load()
		time.Sleep(time.Duration(200+c.rng.IntN(600)) * time.Millisecond)
		c.pause.begin()
		c.nodes[victim].kill()
		c.awaitWrites(fmt.Sprintf("kill %d", n+1))
		longest, _ := c.pause.soFar()
		pauses = append(pauses, longest)
		t.Logf("kill %d: node %d, leader %v: %v without an acknowledged change", n+1, victim+1, victim == lead, longest.Round(time.Millisecond))
		c.stop()
		c.agree(others(victim)...)
		c.verify(others(victim)...)
		c.load()
		c.restart(victim)
		c.settled()
		c.stop()
		c.agree(all()...)
		if t.Failed() {
			return
		}
	}
	c.verify(0, 1, 2)
	c.judge(pauses)
	if acked := c.acked(); acked < 100*len(pauses) {
		t.Errorf("only %d requests were acknowledged: not much of a load", acked)
	}
	t.Logf("%d kills, %d of the leader; %d acknowledged changes", len(pauses), leaders, c.acked())
}

// awaitWrites returns when changes have been acknowledged for a while again.
func (c *clusterRun) awaitWrites(what string) {
	c.Helper()
	time.Sleep(1200 * time.Millisecond) // a pause may also begin late
	_, before := c.pause.soFar()
	c.await(what+": changes are acknowledged again", func() error {
		if _, now := c.pause.soFar(); now < before+20 {
			return fmt.Errorf("%d changes", now-before)
		}
		return nil
	})
}

// judge wants writes to resume soon. The machine may be busy with other things, so
// the promised figures are for long runs.
func (c *clusterRun) judge(pauses []time.Duration) {
	c.Helper()
	slices.Sort(pauses)
	p95, longest := pauses[(len(pauses)*95-1)/100], pauses[len(pauses)-1]
	c.Logf("without an acknowledged change: median %v, p95 %v, at most %v", pauses[len(pauses)/2], p95, longest)
	limit := 10 * time.Second
	if os.Getenv("IRONMAN_LONG") != "" {
		limit = 6 * time.Second
	}
	if longest >= limit {
		c.Errorf("no change was acknowledged for %v", longest)
	}
}

// TestClusterKillAll kills all three nodes at one moment under load: nothing that
// was acknowledged is lost, and they come back as equals.
func TestClusterKillAll(t *testing.T) {
	c := newClusterRun(t, 2)
	n := rounds(1, 4, 20)
	for i := range n {
		c.load()
		time.Sleep(time.Duration(200+c.rng.IntN(800)) * time.Millisecond)
		for _, p := range c.nodes {
			_ = p.cmd.Process.Kill()
		}
		for _, p := range c.nodes {
			_ = p.wait()
			if !p.killed() {
				t.Errorf("a node ended by itself before it was killed: %v", p.cmd.ProcessState)
			}
		}
		c.stop()
		c.restart(all()...)
		c.settled()
		c.verify(i%3, (i+1)%3)
		c.agree(all()...)
		if t.Failed() {
			t.Fatalf("kill %d", i+1)
		}
	}
	if acked := c.acked(); acked < 40*n {
		t.Errorf("only %d changes were acknowledged: not much of a load", acked)
	}
	t.Logf("%d kills of all; %d acknowledged changes", n, c.acked())
}

// TestClusterWaits: a node that starts without a majority waits for one, however long
// that takes, and says what it waits for.
func TestClusterWaits(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes longer than a node waits in one go")
	}
	t.Parallel()
	c := startTrio(t)
	c.clients[0].must(t, 200, "PUT", "/kept", nil)
	for _, p := range c.nodes {
		p.kill()
	}
	started := make(chan error, 1)
	go func() { started <- c.nodes[1].tryStart() }()
	c.await("it says what it waits for", func() error {
		if !strings.Contains(c.nodes[1].log.String(), "waiting for a leader, which takes a majority of the nodes") {
			return errors.New("it does not")
		}
		return nil
	})
	c.restart(0)
	if err := <-started; err != nil {
		t.Fatalf("the node did not wait: %v\n%s", err, c.nodes[1].log.tail(3000))
	}
	c.clients[1].must(t, 200, "GET", "/kept", nil)
	c.restart(2)
	c.settled()
	c.agree(all()...)
}
