package disk

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// Loss says what a power cut does to what is not durable: the chance of each block,
// size and directory change to be there afterwards.
type Loss struct {
	Blocks, Sizes, Entries float64
	// Torn and Garbage are the chances of a block that is not there whole to be there
	// by some of its sectors, or to have garbage where it was being changed.
	Torn, Garbage float64
}

// Keep is a loss that is the same for everything, and tears nothing.
func Keep(percent int) Loss {
	p := float64(percent) / 100
	return Loss{Blocks: p, Sizes: p, Entries: p}
}

// Cut returns the disk after the power was cut now (F-D1, F-D2, F-P2). The same seed
// on the same disk leaves the same. It can be nil where nothing is left to chance.
// This one goes on unharmed, for whoever still has it open.
func (d *Disk) Cut(rng *rand.Rand, loss Loss) *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := d.fork(rng)
	for _, v := range slices.Backward(next.volumes) {
		(&cut{loss: loss, rng: next.lots(rng), tally: d.tally}).tree(v.tree)
	}
	d.tally[powerCut].Add(1)
	return next
}

// lots is what a cut draws from.
func (d *Disk) lots(rng *rand.Rand) *rand.Rand {
	if rng == nil {
		return d.rng
	}
	return rng
}

// Kill returns the disk after the process was killed now (F-P2): all is there, what
// was not durable is not yet so.
func (d *Disk) Kill() *Disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tally[killed].Add(1)
	return d.fork(nil)
}

// cut decides what is there afterwards.
type cut struct {
	loss  Loss
	rng   *rand.Rand
	tally *tally
	seen  map[*node]bool
	used  int64
}

func (c *cut) there(p float64) bool { return p >= 1 || p > 0 && c.rng.Float64() < p }

// tree makes of a fork what the cut left: all that is there is durable.
func (c *cut) tree(t *tree) {
	for _, x := range t.pending {
		switch removal := x.node == nil || x.from != nil; {
		case x.forsaken || !c.there(c.loss.Entries):
			c.tally[entryLost].Add(1)
		default:
			x.settle()
			if removal {
				c.tally[removalKept].Add(1)
			}
		}
	}
	c.seen = map[*node]bool{t.root: true}
	c.dir(t.root)
	t.root.names = 1
	t.pending, t.used = nil, c.used
}

func (c *cut) dir(n *node) {
	for _, name := range slices.Sorted(maps.Keys(n.entries)) {
		child := n.entries[name].durable
		// Lost renames may leave a directory in two places, or within itself: it stays
		// in the first.
		if child == nil || child.isDir() && c.seen[child] {
			delete(n.entries, name)
			continue
		}
		n.entries[name] = entry{child, child}
		if c.seen[child] {
			child.names++
			continue
		}
		c.seen[child] = true
		child.names = 1
		if child.isDir() {
			c.dir(child)
		} else {
			c.content(child.content)
			child.reserved = 0
			c.used += child.blocks()
		}
	}
}

// content makes of a file what is left of it.
func (c *cut) content(f *content) {
	for _, i := range slices.Sorted(maps.Keys(f.dirty)) {
		f.set(i, c.block(f.dirty[i].was, f.at(i)))
	}
	for i, was := range f.forsaken { // in no order: nothing is drawn
		f.set(i, was)
		c.tally[blockLost].Add(1)
	}
	f.dirty, f.forsaken = nil, nil
	if f.size > f.durableSize && !c.there(c.loss.Sizes) {
		c.tally[sizeLost].Add(1)
		size := f.durableSize
		if first := size/blockBytes + 1; c.loss.Sizes > 0 {
			if n := c.rng.Int64N(blocksOf(f.size) - first + 1); n > 0 {
				size = (first + n - 1) * blockBytes
			}
		}
		f.truncate(size)
	}
	f.durableSize = f.size
}

// block is what is there of a block that was was, and should be is.
func (c *cut) block(was, is *block) *block {
	if c.there(c.loss.Blocks) || was == is {
		return is
	}
	// One draw for both: with Torn 0 and Garbage 0 there is none.
	if c.loss.Torn+c.loss.Garbage > 0 {
		switch r := c.rng.Float64(); {
		case r < c.loss.Torn:
			c.tally[blockTorn].Add(1)
			return c.torn(orZeros(was), orZeros(is))
		case r < c.loss.Torn+c.loss.Garbage:
			c.tally[blockGarbage].Add(1)
			return c.garbage(orZeros(was), orZeros(is))
		}
	}
	c.tally[blockLost].Add(1)
	return was
}

func orZeros(b *block) *block {
	if b == nil {
		return new(block)
	}
	return b
}

// torn has the first sectors of one, the last, or any.
func (c *cut) torn(was, is *block) *block {
	const sectors = blockBytes / sectorBytes
	var mask uint
	switch k := 1 + c.rng.IntN(sectors-1); c.rng.IntN(3) {
	case 0:
		mask = 1<<k - 1
	case 1:
		mask = ^uint(0) << k
	default:
		mask = uint(c.rng.Uint32())
	}
	out := *was
	for i := range sectors {
		if mask>>i&1 == 1 {
			copy(out[i*sectorBytes:(i+1)*sectorBytes], is[i*sectorBytes:])
		}
	}
	return &out
}

// garbage is in some of the bytes that were being changed, sector by sector.
func (c *cut) garbage(was, is *block) *block {
	first, last := 0, blockBytes
	for first < last && was[first] == is[first] {
		first++
	}
	for last > first && was[last-1] == is[last-1] {
		last--
	}
	out := *was
	for at := first; at < last; {
		end := min(last, at/sectorBytes*sectorBytes+sectorBytes)
		switch c.rng.IntN(3) {
		case 0:
			scribble(c.rng, out[at:end])
		case 1:
			copy(out[at:end], is[at:end])
		}
		at = end
	}
	return &out
}

// scribble fills p with garbage.
func scribble(rng *rand.Rand, p []byte) {
	for i := range p {
		p[i] = byte(rng.Uint32())
	}
}

// truncate cuts a fork to its durable size.
func (c *content) truncate(size int64) {
	c.size = size
	if n := blocksOf(size); n < int64(len(c.blocks)) {
		c.blocks = append([]*block(nil), c.blocks[:n]...)
		c.shared = false
	}
	if from, b := size%blockBytes, c.at(size/blockBytes); from > 0 && b != nil && !zeros(b[from:]) {
		next := *b
		clear(next[from:])
		c.set(size/blockBytes, &next)
	}
}
