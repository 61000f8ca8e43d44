package server_test

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// cutPlan is how one node is cut off from the others.
type cutPlan struct {
	name           string
	leader         bool // it is the leader
	sent, received bool // what does not pass
	partial        bool // it is cut off from one of the others only
	flapping       bool
	stopped        bool // its process stands still, and goes on
}

func cutPlans() []cutPlan {
	plans := []cutPlan{
		{name: "a leader", leader: true, sent: true, received: true},
		{name: "a leader that stands still", leader: true, stopped: true},
		{name: "a leader that is not heard, now and then", leader: true, sent: true, flapping: true},
		{name: "a follower that hears nothing", received: true},
		{name: "a leader that hears nothing", leader: true, received: true},
		{name: "a follower", sent: true, received: true},
		{name: "a follower that is not heard", sent: true},
		{name: "a leader that is not heard", leader: true, sent: true},
		{name: "a leader, from one follower", leader: true, sent: true, received: true, partial: true},
		{name: "a leader, now and then", leader: true, sent: true, received: true, flapping: true},
		{name: "a follower, now and then", sent: true, received: true, flapping: true},
	}
	return plans[:rounds(1, 3, len(plans))]
}

// TestClusterCutOff cuts one node off, in many ways. Nobody ever reads something
// older than what was acknowledged before, through whatever node; nothing that was
// acknowledged is lost; the others go on; and once the cut heals all is well by itself.
func TestClusterCutOff(t *testing.T) {
	c := newClusterRun(t, 3)
	for _, client := range c.clients {
		client.limit = 3 * time.Second
	}
	for _, plan := range cutPlans() {
		t.Run(plan.name, func(t *testing.T) {
			in := *c
			in.trio = &trio{TB: t, nodes: c.nodes, proxies: c.proxies, clients: c.clients, cred: c.cred, secret: c.secret}
			in.cut(plan)
		})
		if t.Failed() {
			return
		}
	}
}

func (c *clusterRun) cut(plan cutPlan) {
	lead := c.leader(all()...)
	victim := lead
	if !plan.leader {
		victim = (lead + 1 + c.rng.IntN(2)) % 3
	}
	through := others(victim)
	if plan.partial { // the one that does not hear the leader, and is held back from electing another, is out
		through = []int{through[1], victim}
	}
	w := c.watch(victim, through)
	c.load()
	time.Sleep(300 * time.Millisecond)
	before := w.written.Load()
	c.pause.begin()
	if plan.flapping {
		for range 5 {
			c.separate(victim, plan)
			time.Sleep(time.Duration(200+c.rng.IntN(1300)) * time.Millisecond)
			c.rejoin(victim, plan)
			time.Sleep(time.Duration(100+c.rng.IntN(400)) * time.Millisecond)
		}
	} else {
		c.separate(victim, plan)
		c.await("the others go on", func() error {
			if n := w.written.Load() - before; n < 20 || w.read.Load() < 20 {
				return fmt.Errorf("%d writes, %d reads", n, w.read.Load())
			}
			return nil
		})
		if a, err := c.clients[victim].try("GET", w.acked.Load().target, nil); err == nil && a.status < 500 && !plan.partial {
			c.Errorf("node %d was cut off, but answers %v", victim+1, a)
		}
	}
	longest, _ := c.pause.soFar()
	c.rejoin(victim, plan)
	healed := time.Now()
	time.Sleep(300 * time.Millisecond) // what it answers first
	c.stop()
	w.stop()
	if c.Failed() {
		return
	}
	c.await("the cluster is whole again", func() error {
		for i, client := range c.clients {
			if a, err := client.try("PUT", fmt.Sprintf("/load/healed-%d", i), nil); err != nil || a.status != 200 {
				return fmt.Errorf("node %d: %s, %v", i+1, brief(a), err)
			}
		}
		return nil
	})
	whole := time.Since(healed)
	c.settled()
	c.agree(all()...)
	for i, client := range c.clients {
		client.must(c, 204, "DELETE", fmt.Sprintf("/load/healed-%d", i), nil)
	}
	c.verify(victim, (victim+1)%3)
	c.Logf("node %d: %d writes and %d reads through the others, %d reads through it; at most %v without a change; whole %v after healing",
		victim+1, w.written.Load(), w.read.Load(), w.cutRead.Load(), longest.Round(time.Millisecond), whole.Round(time.Millisecond))
}

// separate cuts a node off from the others, or from one of them.
func (c *clusterRun) separate(victim int, plan cutPlan) {
	if plan.stopped {
		c.signal(victim, syscall.SIGSTOP)
	}
	for n, other := range others(victim) {
		if n == 0 || !plan.partial {
			c.cutOff(victim, other, plan.sent, plan.received)
		}
	}
}

// rejoin undoes it.
func (c *clusterRun) rejoin(victim int, plan cutPlan) {
	if plan.stopped {
		c.signal(victim, syscall.SIGCONT)
	}
	c.heal()
}

// watch writes rising numbers to a key through the nodes that are not cut off, and
// reads it through all. A number whose outcome is not known may be written later: it
// goes on with another key then.
type watch struct {
	c                      *clusterRun
	acked                  atomic.Pointer[watched]
	written, read, cutRead atomic.Int64
	stop                   func()
}

// watched is a key and the highest number in it that was acknowledged.
type watched struct {
	target string
	number int64
}

func (c *clusterRun) watch(victim int, through []int) *watch {
	w := &watch{c: c}
	c.await("a bucket", func() error {
		a, err := c.clients[through[0]].try("PUT", "/watched", nil)
		if err != nil || a.status != 200 && a.code() != "BucketAlreadyOwnedByYou" {
			return fmt.Errorf("%s, %v", brief(a), err)
		}
		return nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	var wait sync.WaitGroup
	wait.Go(func() { w.write(ctx, through) })
	for i := range c.nodes {
		count := &w.read
		if i == victim {
			count = &w.cutRead
		}
		for range 2 {
			wait.Go(func() {
				for ctx.Err() == nil {
					w.check(i, count)
					time.Sleep(2 * time.Millisecond)
				}
			})
		}
	}
	w.stop = func() { cancel(); wait.Wait() }
	return w
}

func (w *watch) write(ctx context.Context, through []int) {
	fresh := func(n int64) string { return fmt.Sprintf("/watched/%d-%d", time.Now().UnixNano(), n) }
	target := fresh(0)
	for n := int64(1); ctx.Err() == nil; n++ {
		i := through[n%2]
		a, err := w.c.clients[i].try("PUT", target, []byte(strconv.FormatInt(n, 10)))
		switch {
		case err == nil && a.status == 200:
			w.acked.Store(&watched{target, n})
			w.written.Add(1)
		case err == nil && a.status < 500:
			w.c.Errorf("write through node %d: %v", i+1, a)
		default:
			target = fresh(n)
		}
	}
}

// check reads once.
func (w *watch) check(through int, count *atomic.Int64) {
	least := w.acked.Load()
	if least == nil {
		return
	}
	a, err := w.c.clients[through].try("GET", least.target, nil)
	if err != nil || a.status >= 500 {
		return
	}
	n, err := strconv.ParseInt(string(a.body), 10, 64)
	if a.status != 200 || err != nil || n < least.number {
		w.c.Errorf("a stale read through node %d: %d was acknowledged before, it answers %v", through+1, least.number, a)
	}
	count.Add(1)
}
