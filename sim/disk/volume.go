package disk

import (
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Volume is one file system of a machine, at its path. It belongs to one incarnation.
type Volume struct {
	disk *Disk
	path string

	// All below is under the lock of the disk.
	tree     *tree
	capacity int64 // in blocks; negative: without end
	occupied int64 // of the capacity, in blocks, by the files of others

	rules   []Rule
	strikes []kindSet // of each rule

	factor  float64   // of the latency; 0: none
	stalled time.Time // until then
	hung    bool
	release chan struct{} // closed by Unhang, and then another

	gone, unmounted, readOnly bool
}

func newVolume(d *Disk, m Mount) *Volume {
	return &Volume{disk: d, path: m.Path, tree: newTree(), capacity: blocksOfCapacity(m.Capacity), release: make(chan struct{})}
}

func blocksOfCapacity(bytes uint64) int64 {
	if bytes == 0 {
		return -1
	}
	return int64(bytes / blockBytes)
}

// Volume returns the volume that is mounted at a path; nil: none is.
func (d *Disk) Volume(at string) *Volume {
	at = clean(at)
	for _, v := range d.volumes {
		if v.path == at {
			return v
		}
	}
	return nil
}

// Volumes returns all of them, in the order of their paths.
func (d *Disk) Volumes() []*Volume {
	list := slices.Clone(d.volumes)
	slices.SortFunc(list, func(a, b *Volume) int { return strings.Compare(a.path, b.path) })
	return list
}

// Path is where it is mounted.
func (v *Volume) Path() string { return v.path }

func (v *Volume) has(name string) bool {
	return v.path == "/" || strings.HasPrefix(name, v.path) && (len(name) == len(v.path) || name[len(v.path)] == '/')
}

// rel is a clean path within the tree.
func (v *Volume) rel(name string) string {
	if v.path == "/" {
		return name[1:]
	}
	return strings.TrimPrefix(name[len(v.path):], "/")
}

// mountPoint makes the directory at which it is mounted, durably, in the volume above.
func (v *Volume) mountPoint() {
	if v.path == "/" {
		return
	}
	above := path.Dir(v.path)
	t := v.disk.volumeOf(above)
	n := t.tree.root
	for _, elem := range strings.Split(strings.Trim(t.rel(v.path), "/"), "/") {
		e := n.entries[elem]
		if e.live == nil {
			dir := newDir()
			dir.names = 1
			e = entry{dir, dir}
			n.entries[elem] = e
		}
		n = e.live
	}
}

// refuses an operation because of the state of the volume.
func (v *Volume) refuses(k Kind) error {
	switch {
	case v.disk.detached:
		return nil
	case v.gone:
		v.disk.tally[vanished].Add(1)
		return syscall.EIO
	case v.readOnly && k.Changes():
		v.disk.tally[readOnly].Add(1)
		return syscall.EROFS
	}
	return nil
}

// room returns how many more blocks fit.
func (v *Volume) room() int64 {
	if v.capacity < 0 {
		return 1 << 50
	}
	return max(0, v.capacity-v.occupied-v.tree.used)
}

// with does f under the lock.
func (v *Volume) with(f func()) {
	v.disk.mu.Lock()
	defer v.disk.mu.Unlock()
	f()
}

// Faults replaces the rules. They apply in their order; of those that change what an
// operation does the first that strikes is alone.
func (v *Volume) Faults(rules ...Rule) {
	v.with(func() {
		v.rules, v.strikes = nil, nil
		for _, r := range rules {
			if r.Fault > none && r.Fault < ruled {
				r.struck = 0
				v.rules = append(v.rules, r)
				v.strikes = append(v.strikes, r.Fault.describe().strikes)
			}
		}
	})
}

// Hang lets no operation that begins from now on return before Unhang (F-D10).
func (v *Volume) Hang() { v.with(func() { v.hung = true }) }

// Unhang lets those go on that hang, by Hang or by a rule.
func (v *Volume) Unhang() { v.with(v.unhang) }

func (v *Volume) unhang() {
	v.hung = false
	close(v.release)
	v.release = make(chan struct{})
}

// Stall lets operations that begin within d take until its end (F-D10).
func (v *Volume) Stall(d time.Duration) { v.with(func() { v.stalled = time.Now().Add(d) }) }

// Slow multiplies the latency (F-D10); 1 ends it.
func (v *Volume) Slow(factor float64) {
	if factor == 1 {
		factor = 0
	}
	v.with(func() { v.factor = factor })
}

// Vanish makes every operation fail with EIO (F-D11).
func (v *Volume) Vanish() { v.with(func() { v.gone = true }) }

// Unmount lets the empty directory show at which it was mounted (F-D11). Files that
// are open stay so. It cannot be done to "/".
func (v *Volume) Unmount() {
	v.with(func() {
		v.unmounted = v.path != "/"
		v.disk.tally[unmounted].Add(1)
	})
}

// ReadOnly makes changes fail with EROFS (F-D11).
func (v *Volume) ReadOnly(on bool) { v.with(func() { v.readOnly = on }) }

// SetCapacity in bytes; 0: without end (F-D9). It may be less than what is used.
func (v *Volume) SetCapacity(bytes uint64) {
	v.with(func() { v.capacity = blocksOfCapacity(bytes) })
}

// Occupy has others use bytes of the capacity, beside the files (F-D9); 0: none.
func (v *Volume) Occupy(bytes uint64) {
	v.with(func() { v.occupied = blocksOf(int64(bytes)) })
}

// Free returns the bytes of the capacity that nobody uses.
func (v *Volume) Free() (n uint64) {
	v.with(func() { n = uint64(v.room()) * blockBytes })
	return n
}

// Used returns the bytes that files take of the capacity.
func (v *Volume) Used() (n uint64) {
	v.with(func() { n = uint64(v.tree.used) * blockBytes })
	return n
}

// Heal ends the rules and every state that the methods above set, but the capacity.
func (v *Volume) Heal() {
	v.with(func() {
		v.rules, v.strikes = nil, nil
		v.factor, v.stalled = 0, time.Time{}
		v.gone, v.unmounted, v.readOnly = false, false, false
		v.unhang()
	})
}

// Image is what a volume held at a moment. It does not change.
type Image struct {
	mu   sync.Mutex // a fork changes what it is made of
	tree *tree
}

// Remember returns what it holds now, and what of that is durable.
func (v *Volume) Remember() (m *Image) {
	v.with(func() { m = &Image{tree: v.tree.fork()} })
	return m
}

// Format empties it: the disk was replaced by a new one (F-D11).
func (v *Volume) Format() { v.plug(newTree(), emptied) }

// Restore makes it hold what it did at a moment, or what another did (F-D11, F-D13).
// The image can be used again.
func (v *Volume) Restore(m *Image) {
	m.mu.Lock()
	t := m.tree.fork()
	m.mu.Unlock()
	v.plug(t, old)
}

// plug puts another disk into the slot. Files that are open of the one before fail
// with EIO from now on.
func (v *Volume) plug(t *tree, f Fault) {
	v.with(func() {
		v.tree = t
		v.disk.tally[f].Add(1)
	})
}

// Swap puts each of two disks into the slot of the other (F-D11), of one machine or
// of two.
func Swap(a, b *Volume) {
	x, y := a.Remember(), b.Remember()
	a.plug(y.tree, swapped)
	b.plug(x.tree, swapped)
}
