package server_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ironman/server"
	judge "ironman/sim/history"
	"ironman/sim/load"
)

// chaos is a run: three processes with two disks each, clients, and a schedule of
// faults. The clients and the judge are those of the simulator.
type chaos struct {
	*trio
	spec       chaosSpec
	began      time.Time
	plan       []*chaosAction
	load       *load.Cluster
	chaosNodes []*chaosNode
	oldMarks   bool // the older release knows marks
	base       [3]usage
	healing    atomic.Bool    // every start is one of this tree
	damaged    [3]atomic.Bool // nodes whose shards were damaged
	answered   atomic.Int64
	agreed     *server.Status // what all nodes came to; nil: they did not

	pathsMu sync.Mutex
	paths   [3][3]pathFaults // from, to

	mu         sync.Mutex
	fires      map[firedFault]int
	violations []string
}

type firedFault struct{ id, name string }

const (
	chaosClients = 5
	chaosThink   = 40 * ms
	// chaosEpoch is how long keys are hot: the judge's work grows faster than a key's
	// history, most of all with requests that had no answer.
	chaosEpoch = 8 * time.Second
	chaosPack  = 4 << 20
	// chaosLeast is how many answers a second the clients must get, on average, all
	// faults included; with fewer a run has not shown much.
	chaosLeast = 10
)

// TestChaos lives through faults on real processes, a schedule that a seed determines:
//
//	make chaos MINUTES=30 SEED=7
//
// Without IRONMAN_CHAOS it takes some seconds of faults.
func TestChaos(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	t.Parallel()
	spec := chaosSpecOf(t)
	c := newChaos(t, spec)
	defer func() {
		c.table()
		if t.Failed() {
			t.Logf("the schedule again: %s", spec.command())
		}
	}()
	c.birth()
	c.live()
	if c.heal() {
		c.readAll()
		c.agree()
		c.noLeftovers()
	}
	for _, n := range c.chaosNodes {
		n.finish()
	}
	c.checkOffline()
	c.judge()
}

func newChaos(t *testing.T, spec chaosSpec) *chaos {
	c := &chaos{
		trio: prepareTrio(t, "--log-segment-bytes", "262144", "--pack-bytes", fmt.Sprint(chaosPack), "--snapshot-entries", "400", "--history", "3s", "--release-grace", "2s"),
		spec: spec, began: time.Now(), plan: chaosPlan(spec.seed, spec.span, spec.only), fires: make(map[firedFault]int),
	}
	if spec.old != "" {
		c.oldMarks = exec.Command(spec.old, "server", "--disk-marks", "--help").Run() == nil
	}
	for i, p := range c.nodes {
		c.chaosNodes = append(c.chaosNodes, &chaosNode{c: c, n: i, p: p, rng: rand.New(rand.NewPCG(spec.seed, uint64(100+i)))})
	}
	c.load = &load.Cluster{
		Nodes: 3, Address: func(node int) string { return c.nodes[node-1].s3 }, Credential: c.cred, Think: chaosThink,
		Now: func() int64 { return int64(time.Since(c.began)) }, Wall: time.Now,
		Epoch: func() int { return int(time.Since(c.began) / chaosEpoch) },
		Later: spec.old == "", Admin: c.clientAdmin, Kept: func(int64) bool { return false },
		Did:     func(what string) { c.fired("load", what) },
		HangUps: true, Fired: c.fired, ClocksJump: c.clocksJump, History: load.NewLog(), Violated: c.violated,
		Answered: func(counts bool) {
			if counts {
				c.answered.Add(1)
			}
		},
		Trace: func(string, ...any) {},
	}
	t.Logf("seed %d, %v of faults, %d of them", spec.seed, spec.span, len(c.plan))
	return c
}

// client is client n; no two have the same number.
func (c *chaos) client(n int) *load.Client {
	var d net.Dialer
	return c.load.Client(n, rand.New(rand.NewPCG(c.spec.seed, uint64(1000+n))), func(ctx context.Context, address string) (net.Conn, error) {
		return d.DialContext(ctx, "tcp", address)
	})
}

// clientAdmin asks a node's admin listener for a client.
func (c *chaos) clientAdmin(ctx context.Context, node int, method, path string, body []byte) (status int, answer []byte, err error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://"+c.nodes[node-1].admin+path, bytes.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	r.SetBasicAuth(c.cred.AccessKey, string(c.cred.Secret.Reveal()))
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, nil, err
	}
	answer, err = io.ReadAll(resp.Body)
	return resp.StatusCode, answer, errors.Join(err, resp.Body.Close())
}

func (c *chaos) clocksJump() bool {
	wrong := false
	for _, n := range c.chaosNodes {
		wrong = n.clockWrong() || wrong
	}
	return wrong
}

func (c *chaos) moment(format string, args ...any) {
	c.Logf("%8.3f s  %s", time.Since(c.began).Seconds(), fmt.Sprintf(format, args...))
}

func (c *chaos) violated(checker, format string, args ...any) {
	c.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	v := fmt.Sprintf("%8.3f s  %s: %s", time.Since(c.began).Seconds(), checker, fmt.Sprintf(format, args...))
	if c.violations = append(c.violations, v); len(c.violations) <= 50 {
		c.Error(v)
	}
}

func (c *chaos) fired(id, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fires[firedFault{id, name}]++
}

// birth starts the nodes, and makes the buckets.
func (c *chaos) birth() {
	c.Helper()
	client := c.client(900)
	defer client.Close()
	for i, n := range c.chaosNodes {
		n.start()
		c.await("the first start of a node", func() error {
			if !n.serving() || !client.Serves(context.Background(), i+1) {
				return fmt.Errorf("node %d does not serve", i+1)
			}
			return nil
		})
	}
	if err := client.MakeBuckets(context.Background(), 1, 0); err != nil {
		c.Fatal(err)
	}
	c.settled()
	client.Close()
	for i, n := range c.chaosNodes {
		c.await("what an idle node has open", func() (err error) {
			c.base[i], err = n.usage()
			return err
		})
	}
}

// live carries the schedule out, under load, until all its faults have ended.
func (c *chaos) live() {
	ctx, stop := context.WithCancel(context.Background())
	var clients, running sync.WaitGroup
	for n := range chaosClients {
		clients.Go(func() {
			client := c.client(n + 1)
			defer client.Close()
			client.Run(ctx)
		})
	}
	began := time.Now()
	for _, a := range c.plan {
		time.Sleep(time.Until(began.Add(a.at)))
		c.moment("%v, for %v", a, a.lasts.Round(ms))
		running.Go(func() {
			a.fault.do(c, a, rand.New(rand.NewPCG(c.spec.seed, uint64(1_000_000+a.n))))
		})
	}
	time.Sleep(time.Until(began.Add(c.spec.span)))
	running.Wait()
	took := time.Since(began)
	stop()
	clients.Wait()
	rate := float64(c.answered.Load()) / took.Seconds()
	c.moment("the faults are over: %.0f answers a second", rate)
	if rate < chaosLeast {
		c.violated("C7", "only %.1f answers a second: not much of a load", rate)
	}
}

// judge judges what clients were answered (C1), and wants every kind of fault that was
// planned to have happened (C7), unless it was planned so rarely that the node may have
// been down each time.
func (c *chaos) judge() {
	ops, open := c.load.History.All()
	began := time.Now()
	for _, v := range judge.Judge(ops, time.Minute) {
		c.violated("C1", "%s: %s", v.Key, v.Text)
	}
	c.moment("%d requests, %d of them with an open outcome, are judged after %v", len(ops), open, time.Since(began).Round(ms))
	planned := c.planned()
	for _, f := range chaosFaults() {
		key := firedFault{f.id, f.name}
		if n := planned[key]; c.fires[key] == 0 && (n > 3 || n > 1 && !f.unsure) {
			c.violated("C7", "%s %s was planned %d times and never happened", f.id, f.name, n)
		}
	}
}

// planned counts the faults of the schedule.
func (c *chaos) planned() map[firedFault]int {
	planned := make(map[firedFault]int)
	for _, a := range c.plan {
		planned[firedFault{a.fault.id, a.fault.name}]++
	}
	return planned
}

// table prints how often each fault was planned, and how often it happened: one that
// is planned may do its work several times, or find nothing to act upon.
func (c *chaos) table() {
	c.mu.Lock()
	defer c.mu.Unlock()
	planned := c.planned()
	var keys []firedFault
	for _, counts := range []map[firedFault]int{planned, c.fires} {
		for k := range counts {
			if !slices.Contains(keys, k) {
				keys = append(keys, k)
			}
		}
	}
	slices.SortFunc(keys, func(a, b firedFault) int { return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.name, b.name)) })
	text := fmt.Sprintf("%d answers, %d violations\n       planned  happened\n", c.answered.Load(), len(c.violations))
	for _, k := range keys {
		text += fmt.Sprintf("  %-4s %8d  %8d  %s\n", k.id, planned[k], c.fires[k], k.name)
	}
	c.Log(text)
}
