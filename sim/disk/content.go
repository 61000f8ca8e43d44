package disk

import (
	"bytes"
	"maps"
	"slices"
)

const (
	blockBytes  = 4096
	sectorBytes = 512
)

type block [blockBytes]byte

// content is the bytes of a file, as they are and as they are durable. Files do not
// shrink: a vfs.File cannot be truncated.
type content struct {
	// durableSize <= size.
	size, durableSize int64
	// blocks as they are; nil, or absent at the end: zeros. A block that is not dirty
	// never changes. Bytes beyond size are zeros.
	blocks []*block
	// shared: a fork has the same array of blocks.
	shared bool
	// dirty are the blocks that differ from what is durable and will be written by
	// the next sync.
	dirty map[int64]dirty
	// forsaken are the durable versions of blocks that a sync failed to write: they
	// count as clean. A block is never both dirty and forsaken.
	forsaken map[int64]*block
	// epoch grows with each sync and each fork.
	epoch uint64
}

// dirty is what is known of a block that is not durable.
type dirty struct {
	was *block // the durable version
	// since is the epoch in which this version became the durable one: a sync that
	// began before knows no better.
	since uint64
	// own is the epoch in which the block was made. It is written in place in that
	// epoch only; later a sync under way or a fork may have it.
	own uint64
}

func newContent() *content { return &content{epoch: 1} }

func (c *content) at(i int64) *block {
	if i < int64(len(c.blocks)) {
		return c.blocks[i]
	}
	return nil
}

func (c *content) set(i int64, b *block) {
	if i >= int64(len(c.blocks)) && b == nil {
		return
	}
	if c.shared {
		c.blocks, c.shared = append(make([]*block, 0, max(int64(len(c.blocks)), i+1)), c.blocks...), false
	}
	for i >= int64(len(c.blocks)) {
		c.blocks = append(c.blocks, nil)
	}
	c.blocks[i] = b
}

// zeros tells whether p is all zeros; most that are not differ at once.
func zeros(p []byte) bool {
	var none block
	return bytes.Equal(p, none[:len(p)])
}

// mark says that block i no longer is what is durable.
func (c *content) mark(i int64, own uint64) {
	d, ok := c.dirty[i]
	if !ok {
		d = dirty{was: c.at(i), since: c.epoch}
		if was, lost := c.forsaken[i]; lost {
			d.was = was
			delete(c.forsaken, i)
		}
	}
	d.own = own
	if c.dirty == nil {
		c.dirty = map[int64]dirty{}
	}
	c.dirty[i] = d
}

// write puts p, which lies within one block, at from in block i.
func (c *content) write(i int64, from int, p []byte) {
	b := c.at(i)
	if d, ok := c.dirty[i]; ok && d.own == c.epoch && b != nil {
		copy(b[from:], p)
		return
	}
	switch {
	case len(p) == blockBytes && zeros(p):
		c.mark(i, 0)
		c.set(i, nil)
		return
	case b == nil && zeros(p):
		c.mark(i, 0)
		return
	}
	next := new(block)
	if b != nil && len(p) < blockBytes {
		*next = *b
	}
	copy(next[from:], p)
	c.mark(i, c.epoch)
	c.set(i, next)
}

// writeAt writes p; the size grows with it.
func (c *content) writeAt(p []byte, off int64) {
	c.grow(off + int64(len(p)))
	for len(p) > 0 {
		from := int(off % blockBytes)
		n := min(len(p), blockBytes-from)
		c.write(off/blockBytes, from, p[:n])
		p, off = p[n:], off+int64(n)
	}
}

func (c *content) grow(to int64) { c.size = max(c.size, to) }

// readAt reads what there is of p.
func (c *content) readAt(p []byte, off int64) int {
	if off >= c.size {
		return 0
	}
	p = p[:min(int64(len(p)), c.size-off)]
	for done := 0; done < len(p); {
		at := off + int64(done)
		from := int(at % blockBytes)
		n := min(len(p)-done, blockBytes-from)
		if b := c.at(at / blockBytes); b != nil {
			copy(p[done:], b[from:from+n])
		} else {
			clear(p[done : done+n])
		}
		done += n
	}
	return len(p)
}

// fork is the same content for another disk: they share blocks until one changes them.
func (c *content) fork() *content {
	c.epoch++
	c.shared = true
	f := *c
	f.dirty, f.forsaken = nil, nil
	if len(c.dirty) > 0 {
		f.dirty = maps.Clone(c.dirty)
	}
	if len(c.forsaken) > 0 {
		f.forsaken = maps.Clone(c.forsaken)
	}
	return &f
}

// flush is a sync under way: what it will have made durable.
type flush struct {
	epoch  uint64
	size   int64
	blocks []flushed
}

type flushed struct {
	i int64
	b *block
}

func (c *content) begin() flush {
	c.epoch++
	f := flush{epoch: c.epoch, size: c.size, blocks: make([]flushed, 0, len(c.dirty))}
	for i := range c.dirty {
		f.blocks = append(f.blocks, flushed{i, c.at(i)})
	}
	// Whoever draws lots for them does so in their order.
	slices.SortFunc(f.blocks, func(a, b flushed) int { return int(a.i - b.i) })
	return f
}

// finish makes durable what was begun, but for the blocks that written refuses,
// which it forsakes. Without sized the size is not durable.
func (c *content) finish(f flush, written func() bool, sized bool) {
	for _, x := range f.blocks {
		d, ok := c.dirty[x.i]
		if !ok || d.since >= f.epoch {
			continue // a later sync wrote it
		}
		same, ok := c.at(x.i) == x.b, written()
		switch {
		case same && ok:
			delete(c.dirty, x.i)
		case same:
			delete(c.dirty, x.i)
			if c.forsaken == nil {
				c.forsaken = map[int64]*block{}
			}
			c.forsaken[x.i] = d.was
		case ok: // it was written again since, and that is not durable
			d.was, d.since = x.b, f.epoch
			c.dirty[x.i] = d
		}
	}
	if sized {
		c.durableSize = max(c.durableSize, f.size)
	}
	if len(c.dirty) == 0 && len(f.blocks) > 64 {
		c.dirty = nil // an emptied map keeps its size
	}
}

// strike changes what is stored of block i, as it is and as it is durable.
func (c *content) strike(i int64, change func(*block)) {
	struck := func(b *block) *block {
		next := *orZeros(b)
		change(&next)
		return &next
	}
	if d, ok := c.dirty[i]; ok {
		d.was = struck(d.was)
		c.dirty[i] = d
	}
	if was, ok := c.forsaken[i]; ok {
		c.forsaken[i] = struck(was)
	}
	c.set(i, struck(c.at(i)))
}
