package wal

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// powerDisk is a disk in memory whose power can be cut. What was not synced may be
// there afterwards or not: each block of a file and each change of a directory for
// itself, removals among them, but a rename as a whole. The same seed leaves the
// same disk.
type powerDisk struct {
	mu   sync.Mutex
	root *powerNode
	// pending are the changes of directories that are not durable, in their order.
	pending []entryChange
	// before is told of each operation that changes something; its error fails it.
	before func(op string) error
	locked map[string]bool
	free   uint64 // 0: it cannot tell
}

type powerNode struct {
	// entries of a directory as they are, and as they were made durable; nil: a file.
	live, durable map[string]*powerNode
	data, synced  []byte
}

// entryChange makes name stand for node (nil: nothing), and away for nothing.
type entryChange struct {
	dir        *powerNode
	name, away string
	node       *powerNode
}

func (c entryChange) apply(entries map[string]*powerNode) {
	if c.away != "" {
		delete(entries, c.away)
	}
	if c.node == nil {
		delete(entries, c.name)
	} else {
		entries[c.name] = c.node
	}
}

func newPowerDisk() *powerDisk { return &powerDisk{root: newPowerDir(), locked: map[string]bool{}} }

func newPowerDir() *powerNode {
	return &powerNode{live: map[string]*powerNode{}, durable: map[string]*powerNode{}}
}

// cut is the disk after the power was cut now. Of what was not synced about percent
// are there.
func (d *powerDisk) cut(percent int, rng *rand.Rand) *powerDisk {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cutLocked(percent, rng)
}

func (d *powerDisk) cutLocked(percent int, rng *rand.Rand) *powerDisk {
	there := func() bool { return percent == 100 || percent > 0 && rng.IntN(100) < percent }
	entries := map[*powerNode]map[string]*powerNode{}
	of := func(n *powerNode) map[string]*powerNode {
		if entries[n] == nil {
			entries[n] = map[string]*powerNode{}
			for name, child := range n.durable {
				entries[n][name] = child
			}
		}
		return entries[n]
	}
	for _, c := range d.pending {
		if there() {
			c.apply(of(c.dir))
		}
	}
	copies := map[*powerNode]*powerNode{} // links stay links
	var clone func(n *powerNode) *powerNode
	clone = func(n *powerNode) *powerNode {
		if copies[n] != nil {
			return copies[n]
		}
		if n.live == nil {
			b := n.mixed(there)
			copies[n] = &powerNode{data: b, synced: slices.Clone(b)}
			return copies[n]
		}
		c := newPowerDir()
		copies[n] = c
		for _, name := range sortedNames(of(n)) {
			child := clone(of(n)[name])
			c.live[name], c.durable[name] = child, child
		}
		return c
	}
	return &powerDisk{root: clone(d.root), locked: map[string]bool{}, free: d.free}
}

// mixed is a file of which some blocks that were not synced are there.
func (n *powerNode) mixed(there func() bool) []byte {
	const block = 4096
	out := slices.Clone(n.synced)
	for at := 0; at < len(n.data); at += block {
		b := n.data[at:min(at+block, len(n.data))]
		if !there() {
			continue
		}
		if grow := at + len(b) - len(out); grow > 0 {
			out = append(out, make([]byte, grow)...)
		}
		copy(out[at:], b)
	}
	return out
}

func sortedNames[V any](m map[string]V) []string {
	names := make([]string, 0, len(m))
	for name := range m {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

func (d *powerDisk) listen(before func(op string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.before = before
}

func (d *powerDisk) tell(format string, args ...any) error {
	if d.before == nil {
		return nil
	}
	return d.before(fmt.Sprintf(format, args...))
}

func notThere(op, name string) error {
	return &os.PathError{Op: op, Path: name, Err: iofs.ErrNotExist}
}

// find returns the directory of a path, its last element and what is there.
func (d *powerDisk) find(name string) (dir *powerNode, base string, n *powerNode) {
	n = d.root
	for _, elem := range strings.Split(strings.Trim(path.Clean(name), "/"), "/") {
		if elem == "." || elem == "" {
			return nil, "", d.root
		}
		if n == nil || n.live == nil {
			return nil, "", nil
		}
		dir, base, n = n, elem, n.live[elem]
	}
	return dir, base, n
}

func (d *powerDisk) change(c entryChange) {
	c.apply(c.dir.live)
	d.pending = append(d.pending, c)
}

func (d *powerDisk) create(name string) (*powerNode, error) {
	dir, base, n := d.find(name)
	if dir == nil || n != nil && n.live != nil {
		return nil, notThere("create", name)
	}
	if err := d.tell("create %s", name); err != nil {
		return nil, err
	}
	n = &powerNode{}
	d.change(entryChange{dir: dir, name: base, node: n})
	return n, nil
}

func (d *powerDisk) Create(name string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n, err := d.create(name)
	if err != nil {
		return nil, err
	}
	return &powerFile{d: d, n: n, name: name}, nil
}

func (d *powerDisk) Link(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, _, n := d.find(from)
	dir, base, other := d.find(to)
	if n == nil || n.live != nil || dir == nil {
		return notThere("link", from)
	}
	if other != nil {
		return &os.LinkError{Op: "link", Old: from, New: to, Err: iofs.ErrExist}
	}
	if err := d.tell("link %s %s", from, to); err != nil {
		return err
	}
	d.change(entryChange{dir: dir, name: base, node: n})
	return nil
}

func (d *powerDisk) Open(name string, _ ...vfs.OpenOption) (vfs.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, _, n := d.find(name)
	if n == nil {
		return nil, notThere("open", name)
	}
	return &powerFile{d: d, n: n, name: name}, nil
}

func (d *powerDisk) OpenDir(name string) (vfs.File, error) { return d.Open(name) }

func (d *powerDisk) OpenReadWrite(name string, c vfs.DiskWriteCategory, _ ...vfs.OpenOption) (vfs.File, error) {
	f, err := d.Open(name)
	if errors.Is(err, iofs.ErrNotExist) {
		return d.Create(name, c)
	}
	return f, err
}

func (d *powerDisk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	dir, base, n := d.find(name)
	if dir == nil || n == nil {
		return notThere("remove", name)
	}
	if len(n.live) > 0 {
		return fmt.Errorf("%s is not empty", name)
	}
	if err := d.tell("remove %s", name); err != nil {
		return err
	}
	d.change(entryChange{dir: dir, name: base})
	return nil
}

// RemoveAll removes one thing after the other, as a real one does.
func (d *powerDisk) RemoveAll(name string) error {
	names, err := d.List(name)
	if err == nil {
		slices.Sort(names)
		for _, n := range names {
			if err := d.RemoveAll(path.Join(name, n)); err != nil {
				return err
			}
		}
	}
	if err := d.Remove(name); !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	return nil
}

func (d *powerDisk) Rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	source, away, n := d.find(from)
	dir, base, other := d.find(to)
	if n == nil || dir == nil {
		return notThere("rename", from)
	}
	if source != dir {
		return fmt.Errorf("rename %s %s: between directories", from, to)
	}
	if other != nil && len(other.live) > 0 {
		return fmt.Errorf("%s is not empty", to)
	}
	if err := d.tell("rename %s %s", from, to); err != nil {
		return err
	}
	d.change(entryChange{dir: dir, name: base, away: away, node: n})
	return nil
}

func (d *powerDisk) ReuseForWrite(from, to string, _ vfs.DiskWriteCategory) (vfs.File, error) {
	if err := d.Rename(from, to); err != nil {
		return nil, err
	}
	return d.Open(to)
}

func (d *powerDisk) MkdirAll(name string, _ os.FileMode) error {
	if parent := path.Dir(name); parent != "." && parent != "/" {
		if err := d.MkdirAll(parent, 0); err != nil {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	dir, base, n := d.find(name)
	if n != nil {
		return nil
	}
	if err := d.tell("mkdir %s", name); err != nil {
		return err
	}
	d.change(entryChange{dir: dir, name: base, node: newPowerDir()})
	return nil
}

func (d *powerDisk) Lock(name string) (io.Closer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.locked[name] {
		return nil, fmt.Errorf("%s is locked", name)
	}
	if _, _, n := d.find(name); n == nil {
		if _, err := d.create(name); err != nil {
			return nil, err
		}
	}
	d.locked[name] = true
	return powerLock{d, name}, nil
}

type powerLock struct {
	d    *powerDisk
	name string
}

func (l powerLock) Close() error {
	l.d.mu.Lock()
	defer l.d.mu.Unlock()
	delete(l.d.locked, l.name)
	return nil
}

func (d *powerDisk) List(name string) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, _, n := d.find(name)
	if n == nil || n.live == nil {
		return nil, notThere("list", name)
	}
	return sortedNames(n.live), nil
}

func (d *powerDisk) Stat(name string) (vfs.FileInfo, error) {
	f, err := d.Open(name)
	if err != nil {
		return nil, err
	}
	return f.Stat()
}

func (d *powerDisk) PathBase(p string) string       { return path.Base(p) }
func (d *powerDisk) PathJoin(elem ...string) string { return path.Join(elem...) }
func (d *powerDisk) PathDir(p string) string        { return path.Dir(p) }
func (d *powerDisk) Unwrap() vfs.FS                 { return nil }

func (d *powerDisk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	if d.free == 0 {
		return vfs.DiskUsage{}, vfs.ErrUnsupported
	}
	return vfs.DiskUsage{AvailBytes: d.free, TotalBytes: 2 * d.free}, nil
}
