package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ironman/s3api/sig"
	"ironman/server"
)

// trio is a cluster of three processes with two disks each. Every node reaches
// every other one through a proxy of the test. Nodes are counted from 0 here; the
// number that the cluster gives is one more.
type trio struct {
	testing.TB
	nodes   [3]*process
	proxies [3]*proxy
	clients [3]*client
	cred    sig.Credential
	secret  string // file of the join secret
}

// startTrio starts a cluster and waits until all three vote.
func startTrio(t testing.TB, flags ...string) *trio {
	t.Helper()
	c := prepareTrio(t, flags...)
	for i := range c.nodes {
		c.nodes[i].start()
	}
	c.settled()
	return c
}

// prepareTrio prepares a cluster; its nodes are started one after the other.
func prepareTrio(t testing.TB, flags ...string) *trio {
	t.Helper()
	key := randomKey("root")
	c := &trio{TB: t, cred: sig.Credential{AccessKey: key.AccessKey, Secret: sig.NewSecret(key.SecretKey)}}
	c.secret = writeJoinSecret(t, "a secret of this test only, "+key.AccessKey)
	for i := range c.nodes {
		p := c.prepareNode(i, flags...)
		p.env = []string{"IRONMAN_ROOT_ACCESS_KEY=" + key.AccessKey, "IRONMAN_ROOT_SECRET_KEY=" + key.SecretKey}
		c.nodes[i], c.clients[i] = p, p.client()
	}
	return c
}

// prepareNode prepares node i, which keeps its addresses when it starts again.
func (c *trio) prepareNode(i int, flags ...string) *process {
	link := freeAddress(c)
	c.proxies[i] = newProxy(c, link)
	p := newProcess(c, "--admin", freeAddress(c), "--link", link, "--link-advertise", c.proxies[i].address(),
		"--link-source", sourceOf(i), "--join-secret-file", c.secret)
	if i > 0 {
		p.flags = append(p.flags, "--join", c.proxies[0].address())
	}
	p.flags = append(p.flags, flags...)
	p.admin = p.flags[1]
	p.disks, p.s3, p.cred = p.disks[:2], freeAddress(c), c.cred
	p.endpoint = "http://" + p.s3
	return p
}

func writeJoinSecret(t testing.TB, secret string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "join-secret")
	if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// ports counts those that freeAddress has given.
var ports atomic.Int64

// freeAddress finds a port below those that the system gives to connections, and
// that no other test was given, so that nobody takes it while the node that has it is
// dead.
func freeAddress(t testing.TB) string {
	t.Helper()
	for range 1000 {
		address := fmt.Sprintf("127.0.0.1:%d", 12000+(int64(os.Getpid())*1000+ports.Add(1))%20000) // processes at once begin apart
		if l, err := net.Listen("tcp", address); err == nil {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			return address
		}
	}
	t.Fatal("no free port")
	return ""
}

// askAdmin sends a request to a node's admin listener.
func (c *trio) askAdmin(i int, method, path string) (*answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://"+c.nodes[i].admin+path, nil)
	if err != nil {
		return nil, err
	}
	r.SetBasicAuth(c.cred.AccessKey, string(c.cred.Secret.Reveal()))
	return c.clients[i].send(r)
}

// fetchAdmin decodes what a node's admin listener says.
func (c *trio) fetchAdmin(i int, path string, v any) error {
	a, err := c.askAdmin(i, "GET", path)
	if err != nil {
		return err
	}
	if a.status != 200 {
		return fmt.Errorf("node %d, %s: %v", i+1, path, a)
	}
	return json.Unmarshal(a.body, v)
}

// await waits until check is content, and fails the test after a while.
func (c *trio) await(what string, check func() error) {
	c.Helper()
	limit := time.Now().Add(40 * time.Second)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(limit) {
			c.Fatalf("%s: %v", what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// settled waits until every node is connected with the others, knows their disks, and
// sees three voters, one of which leads.
func (c *trio) settled() {
	c.Helper()
	for i := range c.nodes {
		c.await("three voters", func() error {
			var nodes []server.NodeState
			if err := c.fetchAdmin(i, "/-/nodes", &nodes); err != nil {
				return err
			}
			roles := ""
			for _, n := range nodes {
				roles += n.Role + " "
				if !n.Connected || n.Disks != 2 {
					return fmt.Errorf("node %d sees %+v", i+1, n)
				}
			}
			if strings.Count(roles, "voter") != 2 || strings.Count(roles, "leader") != 1 || strings.Contains(roles, "non") {
				return fmt.Errorf("node %d sees %s", i+1, roles)
			}
			return nil
		})
	}
}

// leader waits until these nodes agree on who leads, and returns it.
func (c *trio) leader(among ...int) int {
	c.Helper()
	found := -1
	c.await("one leader", func() error {
		named := ""
		for _, i := range among {
			var s server.Status
			if err := c.fetchAdmin(i, "/-/status", &s); err != nil {
				return err
			}
			if s.Leader == "" || named != "" && s.Leader != named {
				return fmt.Errorf("node %d says %q, another one %q", i+1, s.Leader, named)
			}
			named = s.Leader
		}
		_, err := fmt.Sscanf(named, "node-%d", &found)
		return err
	})
	return found - 1
}

// agree waits until these nodes have applied the same events, and compares what
// came of them.
func (c *trio) agree(among ...int) {
	c.Helper()
	c.await("equal states", func() error {
		var first server.Status
		for n, i := range among {
			var s server.Status
			if err := c.fetchAdmin(i, "/-/status", &s); err != nil {
				return err
			}
			if n == 0 {
				first = s
			}
			if s.Events != first.Events {
				return fmt.Errorf("node %d stands at event %d, node %d at %d", i+1, s.Events, among[0]+1, first.Events)
			}
			if s.LedgerRoot != first.LedgerRoot || s.StateDigest != first.StateDigest {
				c.Fatalf("behind %d events: node %d has %s and %s, node %d has %s and %s", s.Events,
					i+1, s.LedgerRoot, s.StateDigest, among[0]+1, first.LedgerRoot, first.StateDigest)
			}
		}
		return nil
	})
}

func all() []int { return []int{0, 1, 2} }

func others(i int) []int { return []int{(i + 1) % 3, (i + 2) % 3} }

// restart starts nodes that are down, all at once.
func (c *trio) restart(which ...int) {
	c.Helper()
	errs := make([]error, len(which))
	var wait sync.WaitGroup
	for n, i := range which {
		wait.Go(func() {
			if err := c.nodes[i].tryStart(); err != nil {
				errs[n] = fmt.Errorf("node %d did not start: %w\n%s", i+1, err, c.nodes[i].log.tail(3000))
			}
		})
	}
	wait.Wait()
	if err := errors.Join(errs...); err != nil {
		c.Fatal(err)
	}
}

// signal sends a signal to a node's process.
func (c *trio) signal(i int, s os.Signal) {
	c.Helper()
	if err := c.nodes[i].cmd.Process.Signal(s); err != nil {
		c.Fatal(err)
	}
}

// cutOff cuts a node from another one: what the first sends, what the second does,
// or both.
func (c *trio) cutOff(a, b int, sent, received bool) {
	c.proxies[a].set(b, cut{in: received, out: sent})
	c.proxies[b].set(a, cut{in: sent, out: received})
}

// heal ends all cuts.
func (c *trio) heal() {
	for a := range c.nodes {
		for b := range c.nodes {
			c.proxies[a].set(b, cut{})
		}
	}
}

// reads wants an object from a node, byte for byte.
func (c *trio) reads(i int, target string, want []byte) {
	c.Helper()
	a, err := c.clients[i].try("GET", target, nil)
	if err != nil || a.status != 200 || !bytes.Equal(a.body, want) {
		c.Errorf("GET %s of node %d: want %d bytes, got %s, %v", target, i+1, len(want), brief(a), err)
	}
}

// brief tells of an answer without its body, unless that is an error's.
func brief(a *answer) string {
	switch {
	case a == nil:
		return "nothing"
	case a.status >= 300:
		return a.String()
	}
	return fmt.Sprintf("%d, %d bytes", a.status, len(a.body))
}
