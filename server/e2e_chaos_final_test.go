package server_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/server"
	"ironman/sim/load"
	"ironman/sim/offline"
)

// healLimit is how long a healed cluster may take until it serves through every node (I12).
const healLimit = 30 * time.Second

// heal restarts what would not come back by itself, as an operator would: disks that
// have failed are used again from a start on. Then all nodes must serve, writes and
// reads.
func (c *chaos) heal() bool {
	c.healing.Store(true)
	began := time.Now()
	for i, n := range c.chaosNodes {
		if why := n.ails(); why != "" {
			c.moment("node %d is restarted: %s", i+1, why)
			n.bounce()
		}
	}
	client := c.client(901)
	defer client.Close()
	ctx := context.Background()
	for _, n := range c.chaosNodes {
		limit := time.Now().Add(healLimit)
		key := fmt.Sprintf("healed/%d", n.n)
		for !n.serving() || client.Write(ctx, n.n+1, key) != nil || !client.Read(ctx, n.n+1, key) {
			if time.Now().After(limit) {
				c.violated("I12", "node %d does not serve %v after everything has healed; its log ends:\n%s", n.n+1, healLimit, n.p.log.tail(3000))
				return false
			}
			time.Sleep(50 * ms)
		}
	}
	c.moment("all nodes serve %v after everything has healed", time.Since(began).Round(ms))
	return true
}

// ails says why a node has to be started anew; empty: it has not.
func (n *chaosNode) ails() string {
	r := n.current(false)
	switch {
	case r == nil:
		return ""
	case r.failpoint != "":
		return "its failpoint was not met yet"
	case r.clock != 0:
		return "its clock is wrong"
	case r.old:
		return "it is of the older release"
	}
	a, err := n.c.askAdmin(n.n, "GET", "/-/metrics")
	if err != nil || strings.Contains(string(a.body), "\nironman_disks_failed 0\n") {
		return "" // or it is starting, and finds its disks whole
	}
	return "a disk has failed"
}

// readAll reads every key that anybody wrote, through each node in turn.
func (c *chaos) readAll() {
	keys := c.load.History.Keys()
	const readers = 4
	var all sync.WaitGroup
	for r := range readers {
		all.Go(func() {
			client := c.client(910 + r)
			defer client.Close()
			for i := r; i < len(keys); i += readers {
				c.readKey(client, 1+i/readers%3, keys[i])
			}
		})
	}
	all.Wait()
	lister := c.client(902)
	defer lister.Close()
	for epoch := range c.load.Epoch() + 1 {
		lister.List(context.Background(), epoch)
		for node := 1; node <= 3 && c.load.Later; node++ {
			lister.ReadSets(context.Background(), node, epoch)
		}
	}
	c.moment("%d keys are read", len(keys))
}

func (c *chaos) readKey(client *load.Client, node int, key string) {
	limit := time.Now().Add(10 * time.Second)
	for !client.Read(context.Background(), node, key) {
		if time.Now().After(limit) {
			c.violated("I1", "%s cannot be read through node %d, though everything has healed", key, node)
			return
		}
		time.Sleep(50 * ms)
	}
}

// agree waits until all nodes have applied the same number of events, and compares
// what they made of them (I5, I6).
func (c *chaos) agree() {
	var s [3]server.Status
	limit := time.Now().Add(healLimit)
	for {
		var errs []error
		for i := range s {
			errs = append(errs, c.fetchAdmin(i, "/-/status", &s[i]))
		}
		if errors.Join(errs...) == nil && s[0].Events == s[1].Events && s[0].Events == s[2].Events {
			break
		}
		if time.Now().After(limit) {
			c.violated("I12", "the nodes do not come to the same number of events: %d, %d, %d; %v", s[0].Events, s[1].Events, s[2].Events, errors.Join(errs...))
			return
		}
		time.Sleep(50 * ms)
	}
	for i := range s {
		if s[i].StateDigest != s[0].StateDigest || s[i].LedgerRoot != s[0].LedgerRoot {
			c.violated("I5", "behind %d events node %d has state %s and ledger %s, node 1 %s and %s",
				s[i].Events, i+1, s[i].StateDigest, s[i].LedgerRoot, s[0].StateDigest, s[0].LedgerRoot)
		}
	}
	c.agreed = &s[0]
	c.moment("all nodes agree on %d events", s[0].Events)
}

// usage is what a process has in use.
type usage struct{ sockets, files, goroutines int }

// Room for what an idle node may have more of than at its first rest: connections that
// others keep open, files of a state or a ledger under way.
const (
	moreSockets    = 8
	moreFiles      = 12
	moreGoroutines = 40
)

func (u usage) exceeds(base usage) bool {
	return u.sockets > base.sockets+moreSockets || u.files > base.files+moreFiles || u.goroutines > base.goroutines+moreGoroutines
}

// leftoverLimit is longer than anything waits in an idle node: it has idle connections
// of clients for two minutes.
const leftoverLimit = 150 * time.Second

// noLeftovers wants connections, files and goroutines of all nodes to be about as many
// as before the load (I14).
func (c *chaos) noLeftovers() {
	limit := time.Now().Add(leftoverLimit)
	for i, n := range c.chaosNodes {
		c.clients[i].http.CloseIdleConnections()
		for {
			now, err := n.usage()
			if err == nil && !now.exceeds(c.base[i]) {
				c.moment("node %d at rest: %+v, at its first: %+v", i+1, now, c.base[i])
				break
			}
			if time.Now().After(limit) {
				c.violated("I14", "node %d at rest: %+v, at its first: %+v; %v\n%s", i+1, now, c.base[i], err, c.goroutines(i))
				break
			}
			time.Sleep(200 * ms)
		}
	}
}

func (c *chaos) goroutines(i int) string {
	a, err := c.askAdmin(i, "GET", "/-/pprof/goroutine?debug=1")
	if err != nil {
		return err.Error()
	}
	return string(a.body[:min(len(a.body), 6000)])
}

// usage counts what the process has open: sockets, and other files than those of log,
// state and packs, whose number goes with what is stored.
func (n *chaosNode) usage() (u usage, err error) {
	r := n.current(false)
	if r == nil {
		return u, errors.New("it does not run")
	}
	dir := fmt.Sprintf("/proc/%d/fd", r.cmd.Process.Pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return u, err
	}
	for _, e := range entries {
		switch to, err := os.Readlink(dir + "/" + e.Name()); {
		case err != nil: // closed meanwhile
		case strings.HasPrefix(to, "socket:"):
			u.sockets++
		case !strings.Contains(to, "/packs/") && !strings.Contains(to, "/wal/log/") && !strings.HasSuffix(to, ".sst"):
			u.files++
		}
	}
	a, err := n.c.askAdmin(n.n, "GET", "/-/pprof/goroutine?debug=1")
	if err == nil {
		_, err = fmt.Sscanf(string(a.body), "goroutine profile: total %d", &u.goroutines)
	}
	return u, err
}

// checkOffline replays the ledgers of the stopped nodes (C2) and reads all shards of
// all blobs (C4).
func (c *chaos) checkOffline() {
	if c.agreed == nil {
		return // that was found already
	}
	var machines []offline.Machine
	for i, p := range c.nodes {
		checkReplay(c, p.dir, c.agreed)
		machines = append(machines, offline.Machine{FS: vfs.Default, Node: uint32(i + 1), Dir: p.dir, Disks: p.disks, Damaged: c.damaged[i].Load()})
	}
	blobs, damaged, err := offline.Shards(machines, chaosPack, c.violated)
	if err != nil {
		c.violated("C4", "%v", err)
	}
	c.moment("%d blobs are whole or can be made so, %d of their shards are damaged", blobs, damaged)
}
