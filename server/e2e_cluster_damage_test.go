package server_test

import (
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"ironman/server"
)

// TestClusterDamage spoils any two of an object's six shards, or takes a whole node
// away: every node that is left reads it byte for byte. Two nodes' worth is a clear
// error, never a wrong byte.
func TestClusterDamage(t *testing.T) {
	t.Parallel()
	c := startTrio(t)
	c.clients[0].must(t, 200, "PUT", "/damage", nil)
	sizes := []int{100 << 10, 5 << 20}
	for n, size := range sizes {
		key, b := fmt.Sprintf("object-%d", size), content(uint64(size), size)
		c.clients[n].must(t, 200, "PUT", "/damage/"+key, b)
		c.agree(all()...)
		shards := c.locate(key)
		if len(shards) != 6 || shards[0].K != 4 || shards[0].M != 2 {
			t.Fatalf("not 4+2 shards: %+v", shards)
		}
		d := c.damaged(t)
		pairs := pairsOf(6)
		if size > 1<<20 || testing.Short() {
			pairs = pairs[:3]
		}
		for i, pair := range pairs {
			kind := damages()[i%len(damages())]
			restore := d[0].spoil(shards, kind, pair...)
			for _, in := range d {
				in.reads(fmt.Sprintf("%d bytes, shards %v: %s", size, pair, kind.name), key, b)
			}
			restore()
		}
		two := c.ofNodes(shards, 0, 1)
		restore := d[0].spoil(shards, damages()[2], two...)
		for _, in := range d {
			in.fails(fmt.Sprintf("%d bytes, shards of two nodes", size), key, b)
		}
		restore()
		d[2].reads("made whole again", key, b)
	}
	t.Run("a node away", func(t *testing.T) { c.nodeAway(t, sizes) })
}

// damaged is what spoils and reads through each of the nodes.
func (c *trio) damaged(t *testing.T) (out []*damaged) {
	for _, p := range c.nodes {
		out = append(out, &damaged{T: t, p: p, rng: rand.New(rand.NewPCG(3, 4))})
	}
	return out
}

// locate tells where all shards lie, each as its own node says: others do not know
// the path.
func (c *trio) locate(key string, of ...int) (shards []server.ShardLocation) {
	c.Helper()
	if len(of) == 0 {
		of = all()
	}
	for _, i := range of {
		var seen []server.ShardLocation
		c.nodes[i].ask(&seen, "locate", "damage", key)
		for _, s := range seen {
			if s.Node == uint32(i+1) {
				shards = append(shards, s)
			}
		}
	}
	return shards
}

// ofNodes are the shards that lie on these nodes.
func (c *trio) ofNodes(shards []server.ShardLocation, nodes ...uint32) (out []int) {
	for i, s := range shards {
		for _, n := range nodes {
			if s.Node == n+1 {
				out = append(out, i)
			}
		}
	}
	return out
}

// nodeAway stops one node, by a signal that leaves its connections open, and by one
// that ends it, and then a second one.
func (c *trio) nodeAway(t *testing.T, sizes []int) {
	lead := c.leader(all()...)
	victim := others(lead)[0]
	read := func(what string, through ...int) {
		t.Helper()
		for _, i := range through {
			d := c.damaged(t)[i]
			for _, size := range sizes {
				began := time.Now()
				d.reads(fmt.Sprintf("%s: node %d", what, i+1), fmt.Sprintf("object-%d", size), content(uint64(size), size))
				t.Logf("%s: %d bytes through node %d: %v for five reads", what, size, i+1, time.Since(began).Round(time.Millisecond))
			}
		}
	}
	c.signal(victim, syscall.SIGSTOP)
	read("a stopped node", others(victim)...)
	c.signal(victim, syscall.SIGCONT)
	c.nodes[victim].kill()
	read("a dead node", others(victim)...)
	if testing.Short() {
		return // it takes as long as a request waits for a leader
	}
	second := others(lead)[1]
	c.nodes[second].kill()
	began := time.Now()
	a, err := c.clients[lead].try("GET", fmt.Sprintf("/damage/object-%d", sizes[0]), nil)
	if err != nil || a.status != 503 || a.code() != "ServiceUnavailable" {
		t.Errorf("one node of three answers %v, %v", a, err)
	}
	t.Logf("one node of three says so after %v", time.Since(began).Round(time.Millisecond))
	c.restart(victim, second)
	c.settled()
	read("all are back", all()...)
}

// TestClusterDegraded: with one node down, writes go to the disks that are left, and
// survive the loss of any two of those.
func TestClusterDegraded(t *testing.T) {
	t.Parallel()
	c := startTrio(t)
	c.clients[0].must(t, 200, "PUT", "/damage", nil)
	victim := c.leader(all()...)
	left := others(victim)
	c.nodes[victim].kill()
	c.leader(left...)
	sizes := map[string]int{"small": 1000, "large": 3 << 20}
	for key, size := range sizes {
		for n, writer := range left {
			k := fmt.Sprintf("%s-%d", key, n)
			b := content(uint64(size+n), size)
			c.clients[writer].must(t, 200, "PUT", "/damage/"+k, b)
			c.agree(left...) // a node tells where things lie as far as it has applied them
			shards := c.locate(k, left...)
			want := map[string][2]uint32{"small": {1, 2}, "large": {2, 2}}[key]
			count := map[string]int{"small": 3, "large": 4}[key]
			if len(shards) != count || shards[0].K != want[0] || shards[0].M != want[1] {
				t.Errorf("%s: %d shards of %d+%d: %+v", k, len(shards), shards[0].K, shards[0].M, shards)
			}
			for _, i := range left {
				c.reads(i, "/damage/"+k, b)
			}
			d := c.damaged(t)
			for _, pair := range pairsOf(len(shards)) {
				restore := d[left[0]].spoil(shards, damages()[2], pair...)
				c.reads(left[1-n], "/damage/"+k, b)
				restore()
			}
		}
	}
	c.restart(victim)
	c.settled()
	for key, size := range sizes {
		for n := range left {
			c.reads(victim, fmt.Sprintf("/damage/%s-%d", key, n), content(uint64(size+n), size))
		}
	}
	c.await("new objects are spread over all nodes", func() error {
		c.clients[victim].must(t, 200, "PUT", "/damage/again", content(9, 1<<20))
		c.agree(all()...)
		if shards := c.locate("again"); len(shards) != 6 || shards[0].K != 4 {
			return fmt.Errorf("%+v", shards)
		}
		return nil
	})
	c.agree(all()...)
}
