package disk

import (
	"math/rand/v2"
	"slices"
)

// fork is the same disk for another incarnation, with chances of its own.
func (d *Disk) fork(rng *rand.Rand) *Disk {
	if rng == nil {
		rng = d.rng
	}
	next := &Disk{
		tally: d.tally, ended: make(chan struct{}), latency: d.latency, handles: make(map[*file]struct{}),
		rng: rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64())),
	}
	for _, v := range d.volumes {
		w := *v
		w.disk, w.tree, w.release = next, v.tree.fork(), make(chan struct{})
		w.rules = slices.Clone(v.rules)
		next.volumes = append(next.volumes, &w)
	}
	return next
}

// fork is a copy that shares the blocks of files. Nothing of it is open or locked.
func (t *tree) fork() *tree {
	f := &forking{copies: map[*node]*node{}}
	next := &tree{root: f.node(t.root), seq: t.seq, locked: map[*node]bool{}}
	next.pending = make([]change, len(t.pending))
	for i, c := range t.pending {
		c.dir, c.from, c.node = f.node(c.dir), f.node(c.from), f.node(c.node)
		next.pending[i] = c
	}
	next.used = f.used
	return next
}

type forking struct {
	copies map[*node]*node // links stay links
	used   int64
}

func (f *forking) node(n *node) *node {
	if n == nil || f.copies[n] != nil {
		return f.copies[n]
	}
	c := &node{names: n.names, reserved: n.reserved}
	f.copies[n] = c
	if !n.isDir() {
		c.content = n.content.fork()
		if c.names > 0 {
			f.used += c.blocks()
		}
		return c
	}
	c.entries = make(map[string]entry, len(n.entries))
	for name, e := range n.entries { // in no order: nothing is drawn
		c.entries[name] = entry{f.node(e.live), f.node(e.durable)}
	}
	return c
}
