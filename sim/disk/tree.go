package disk

import (
	"slices"
	"strings"
	"syscall"
)

// maxPending is of how many changes of directories a volume loses some with a cut.
const maxPending = 4096

// tree is one file system: what a disk carries, wherever it is plugged in.
type tree struct {
	root *node
	// pending are the changes of directories that are not durable, in the order in
	// which they happened.
	pending []change
	seq     uint64 // of the latest change
	used    int64  // blocks of the files that have a name or are open
	locked  map[*node]bool
}

// node is a file or a directory: an inode.
type node struct {
	entries map[string]entry // nil: a file
	content *content         // nil: a directory
	// reserved bytes are allocated, whatever the size.
	reserved int64
	// names that it has now, and handles open.
	names, opens int
}

// entry is what a name stands for, now and durably. One of them is not nil.
type entry struct{ live, durable *node }

// change makes name in dir stand for node (nil: nothing), and, as one with it, away
// in from for nothing (from nil: no rename).
type change struct {
	seq        uint64
	dir, from  *node
	name, away string
	node       *node
	forsaken   bool // a sync failed to write it
}

func newTree() *tree {
	root := newDir()
	root.names = 1
	return &tree{root: root, locked: map[*node]bool{}}
}

func newDir() *node         { return &node{entries: map[string]entry{}} }
func newFile() *node        { return &node{content: newContent()} }
func (n *node) isDir() bool { return n.entries != nil }

// blocks that the file takes of the capacity. Holes count.
func (n *node) blocks() int64 {
	if n.isDir() {
		return 0
	}
	return blocksOf(max(n.content.size, n.reserved))
}

func blocksOf(size int64) int64 { return (size + blockBytes - 1) / blockBytes }

func (n *node) sorted() []string { // sorted
	var names []string
	for name, e := range n.entries {
		if e.live != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (n *node) empty() bool {
	for _, e := range n.entries {
		if e.live != nil {
			return false
		}
	}
	return true
}

func (n *node) put(name string, e entry) {
	if e.live == nil && e.durable == nil {
		delete(n.entries, name)
	} else {
		n.entries[name] = e
	}
}

// find returns what is at a clean path without a leading slash; "" is the root.
func (t *tree) find(rel string) (*node, error) {
	n := t.root
	for rel != "" {
		var elem string
		elem, rel, _ = strings.Cut(rel, "/")
		if !n.isDir() {
			return nil, syscall.ENOTDIR
		}
		if n = n.entries[elem].live; n == nil {
			return nil, syscall.ENOENT
		}
	}
	return n, nil
}

// place returns the directory of a path, its last element, and what is there, if any.
func (t *tree) place(rel string) (dir *node, base string, n *node, err error) {
	if rel == "" {
		return nil, "", nil, syscall.EBUSY // where it is mounted
	}
	parent := ""
	base = rel
	if i := strings.LastIndexByte(rel, '/'); i >= 0 {
		parent, base = rel[:i], rel[i+1:]
	}
	if dir, err = t.find(parent); err != nil {
		return nil, "", nil, err
	}
	if !dir.isDir() {
		return nil, "", nil, syscall.ENOTDIR
	}
	return dir, base, dir.entries[base].live, nil
}

// change does c now; it is not durable.
func (t *tree) change(c change) {
	t.seq++
	c.seq = t.seq
	if c.node != nil {
		c.node.names++
	}
	t.leave(c.dir, c.name, c.node)
	if c.from != nil {
		t.leave(c.from, c.away, nil)
	}
	if len(t.pending) >= maxPending {
		t.settle(t.pending[:maxPending/2])
		t.pending = append([]change(nil), t.pending[maxPending/2:]...)
	}
	t.pending = append(t.pending, c)
}

// leave makes a name stand for n, and what had it lose it.
func (t *tree) leave(dir *node, name string, n *node) {
	e := dir.entries[name]
	old := e.live
	e.live = n
	dir.put(name, e)
	if old != nil {
		old.names--
		t.release(old)
	}
}

// release frees the blocks of a file that nobody can reach any more.
func (t *tree) release(n *node) {
	if n.names == 0 && n.opens == 0 {
		t.used -= n.blocks()
	}
}

// settle makes changes durable, in their order.
func (t *tree) settle(list []change) {
	for _, c := range list {
		if !c.forsaken {
			c.settle()
		}
	}
}

func (c change) settle() {
	e := c.dir.entries[c.name]
	e.durable = c.node
	c.dir.put(c.name, e)
	if c.from != nil {
		e := c.from.entries[c.away]
		e.durable = nil
		c.from.put(c.away, e)
	}
}

type spot struct {
	dir  *node
	name string
}

// persist makes durable what happened in dir until seq, and earlier changes of the
// names that this touched elsewhere; failed forsakes it instead.
func (t *tree) persist(dir *node, seq uint64, failed bool) {
	needed := map[spot]bool{}
	var chosen, rest []change
	for _, c := range slices.Backward(t.pending) {
		in := c.dir == dir || c.from == dir || needed[spot{c.dir, c.name}] || c.from != nil && needed[spot{c.from, c.away}]
		if c.seq > seq || !in {
			rest = append(rest, c)
			continue
		}
		needed[spot{c.dir, c.name}] = true
		if c.from != nil {
			needed[spot{c.from, c.away}] = true
		}
		if failed {
			c.forsaken = true
			rest = append(rest, c)
		}
		chosen = append(chosen, c)
	}
	slices.Reverse(chosen)
	slices.Reverse(rest)
	t.settle(chosen)
	t.pending = rest
}
