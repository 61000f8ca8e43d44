package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"ironman/server"
)

// TestClusterClock: a node with a wrong clock neither leads nor takes writes, says
// why, and moves nobody's time. With a right clock it is one of them again.
func TestClusterClock(t *testing.T) {
	t.Parallel()
	c := startTrio(t)
	c.clients[0].must(t, 200, "PUT", "/time", nil)
	c.clients[0].must(t, 200, "PUT", "/time/before", []byte("b"))
	before := c.lastModified(0, "/time/before")
	for n, tc := range []struct {
		offset time.Duration
		say    string
	}{{8760 * time.Hour, " ahead of the median"}, {-24 * time.Hour, " behind the median"}} {
		t.Run(tc.offset.String(), func(t *testing.T) {
			victim := c.leader(all()...)
			p := c.nodes[victim]
			p.kill()
			c.leader(others(victim)...)
			if err := p.tryStart("--clock-offset", tc.offset.String()); err != nil {
				t.Fatalf("a node with a wrong clock cannot be asked what is wrong: %v\n%s", err, p.log.tail(3000))
			}
			c.wrongClock(t, victim, tc.offset, tc.say)
			target := fmt.Sprintf("/time/during-%d", n)
			for _, i := range others(victim) {
				c.clients[i].must(t, 200, "PUT", target, []byte("d"))
				if off := time.Until(c.lastModified(i, target)); off > 5*time.Second || off < -5*time.Second {
					t.Errorf("an object written now was modified %v from now", off)
				}
			}
			p.kill()
			p.start()
			c.settled()
			c.clients[victim].must(t, 200, "PUT", target, []byte("after"))
			for i := range c.nodes {
				c.reads(i, target, []byte("after"))
				if m := c.lastModified(i, "/time/before"); !m.Equal(before) {
					t.Errorf("node %d: the old object was modified at %v, not %v", i+1, m, before)
				}
			}
			c.agree(all()...)
		})
	}
}

// wrongClock wants a node to refuse and to say why, for a while.
func (c *trio) wrongClock(t *testing.T, victim int, offset time.Duration, say string) {
	t.Helper()
	own := *c.clients[victim]
	own.ahead = offset // or its signatures are refused before anything is looked at
	until := time.Now().Add(1500 * time.Millisecond)
	for n := 0; time.Now().Before(until); n++ {
		own.refused(t, 503, "ServiceUnavailable", "PUT", fmt.Sprintf("/time/wrong-%d", n), []byte("w"))
		a, err := c.clients[victim].try("PUT", "/time/wrong", []byte("w"))
		if err != nil || a.status != 503 {
			t.Errorf("a write by the right clock: %v, %v", a, err)
		}
		for _, i := range others(victim) {
			var s server.Status
			if err := c.fetchAdmin(i, "/-/status", &s); err != nil || s.Leader == fmt.Sprintf("node-%d", victim+1) {
				t.Fatalf("node %d: %v, the leader is %s", i+1, err, s.Leader)
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	a, err := c.askAdmin(victim, "GET", "/-/health/ready")
	if err != nil || a.status != 503 || !strings.Contains(string(a.body), say) {
		t.Errorf("ready: %v, %v; want 503 and %q", a, err, say)
	}
	var nodes []server.NodeState
	c.nodes[victim].ask(&nodes, "nodes")
	if !strings.Contains(nodes[victim].Problem, say) {
		t.Errorf("admin nodes of the node itself: %+v; want %q", nodes[victim], say)
	}
	for _, i := range others(victim) {
		c.nodes[i].ask(&nodes, "nodes")
		s := nodes[victim]
		if off := time.Duration(s.ClockOffset*float64(time.Millisecond)) - offset; off > time.Second || off < -time.Second {
			t.Errorf("node %d measures %v ms", i+1, s.ClockOffset)
		}
		if !strings.Contains(s.Problem, "clock") {
			t.Errorf("node %d sees no problem with the other one's clock: %+v", i+1, s)
		}
	}
}

func (c *trio) lastModified(i int, target string) time.Time {
	c.Helper()
	a := c.clients[i].must(c, 200, "GET", target, nil)
	m, err := http.ParseTime(a.header.Get("Last-Modified"))
	if err != nil {
		c.Fatal(err)
	}
	return m
}
