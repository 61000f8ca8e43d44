package world

import (
	"math/rand/v2"
	"slices"
	"time"

	"ironman/sim/disk"
)

// plugFaults take disks out of their slots, and put others into them.
func plugFaults() []fault {
	lasts := [2]time.Duration{time.Second, 8 * time.Second}
	return []fault{
		{id: "D11", name: "two disks of a node are swapped", weight: 2, lasts: lasts, where: aNode, begin: func(w *World, a *Action, rng *rand.Rand) func() {
			return w.swap(a, rng, slot{w.node(a.Node), 1}, slot{w.node(a.Node), 2})
		}},
		{id: "D11", name: "disks of two nodes are swapped", weight: 2, lasts: lasts, where: aPair, begin: func(w *World, a *Action, rng *rand.Rand) func() {
			return w.swap(a, rng, slot{w.node(a.Node), 1 + rng.IntN(disksPerNode)}, slot{w.node(a.Peer), 1 + rng.IntN(disksPerNode)})
		}},
		{id: "D11", name: "a disk comes back empty", weight: 2, lasts: lasts, where: aBadDisk, begin: (*World).blank},
		{id: "D11", name: "a disk comes back as it was", weight: 2, lasts: [2]time.Duration{time.Second, 20 * time.Second}, where: aBadDisk, begin: (*World).age},
		{id: "D13", name: "a node is restored from an old copy", weight: 4, lasts: [2]time.Duration{time.Second, 15 * time.Second}, where: aBadNode, spoils: true, begin: (*World).setBack},
	}
}

// slot is a place for a disk, from 1.
type slot struct {
	node *node
	disk int
}

func (s slot) volume() *disk.Volume { return s.node.disk.Volume(volumeDisk(s.disk)) }

// handle claims nodes whose disks are moved about; false: somebody else does that.
func (w *World) handle(nodes ...*node) (free func(), ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range nodes {
		if w.handled[n.n] || w.spoiling[n.n] > 0 {
			return nil, false
		}
	}
	set := func(to bool) {
		for _, n := range nodes {
			w.handled[n.n] = to
		}
	}
	set(true)
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		set(false)
	}, true
}

// inItsSlot is for damage that lasts: while the node's disks are moved about another's
// may be there, so they are not, then. More than one such fault may last at a time.
func inItsSlot(begin func(*World, *Action, *rand.Rand) func()) func(*World, *Action, *rand.Rand) func() {
	return func(w *World, a *Action, rng *rand.Rand) func() {
		w.mu.Lock()
		if w.handled[a.Node] {
			w.mu.Unlock()
			return nil
		}
		w.spoiling[a.Node]++
		w.mu.Unlock()
		done := func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.spoiling[a.Node]--
		}
		end := begin(w, a, rng)
		if end == nil {
			done()
			return nil
		}
		return func() {
			end()
			done()
		}
	}
}

// whileOff cuts the power of nodes, does something to their disks, and starts them.
func (w *World) whileOff(rng *rand.Rand, change func(), nodes ...*node) {
	slices.SortFunc(nodes, func(a, b *node) int { return a.n - b.n })
	nodes = slices.Compact(nodes)
	for {
		for _, n := range nodes {
			n.kill(true, rng)
		}
		off := true
		for _, n := range nodes {
			n.mu.Lock()
			off = off && n.process == nil
		}
		if off {
			change()
		}
		for _, n := range nodes {
			n.mu.Unlock()
		}
		if off { // else a supervisor was faster
			break
		}
	}
	for _, n := range nodes {
		n.start()
	}
}

// swap puts each of two disks into the slot of the other, and back at the end. Where
// they do not belong they must stay as they are, to the last file.
func (w *World) swap(a *Action, rng *rand.Rand, x, y slot) (end func()) {
	free, ok := w.handle(slices.Compact([]*node{x.node, y.node})...)
	if !ok {
		return nil
	}
	var ofX, ofY []disk.FileSize
	w.whileOff(rng, func() {
		ofX, ofY = x.volume().Files(), y.volume().Files()
		if len(ofX) > 0 && len(ofY) > 0 { // else they are fresh, and belong nowhere yet
			disk.Swap(x.volume(), y.volume())
		}
	}, x.node, y.node)
	if len(ofX) == 0 || len(ofY) == 0 {
		free()
		return nil
	}
	w.fired(a.ID, a.Name)
	return func() {
		w.whileOff(rng, func() {
			for _, s := range []struct {
				slot slot
				had  []disk.FileSize
			}{{x, ofY}, {y, ofX}} {
				if has := s.slot.volume().Files(); !slices.Equal(has, s.had) {
					w.violated("I9", "node %d changed a disk in slot %d that belonged elsewhere: it had %v, and has %v", s.slot.node.n, s.slot.disk, s.had, has)
				}
			}
			disk.Swap(x.volume(), y.volume())
		}, x.node, y.node)
		free()
	}
}

// plug puts something else into a slot, while the node runs (hot) or not.
func (w *World) plug(hot bool, rng *rand.Rand, s slot, change func(v *disk.Volume)) {
	if !hot {
		w.whileOff(rng, func() { change(s.volume()) }, s.node)
		return
	}
	s.node.mu.Lock()
	defer s.node.mu.Unlock()
	change(s.volume())
}

// blank puts an empty disk into a slot, for good or until the one before comes back.
// Nothing may be written to it: it might be a mount point.
func (w *World) blank(a *Action, rng *rand.Rand) (end func()) {
	s := slot{w.node(a.Node), a.Disk}
	free, ok := w.handle(s.node)
	if !ok {
		return nil
	}
	var before *disk.Image
	w.plug(rng.IntN(2) == 0, rng, s, func(v *disk.Volume) {
		if len(v.Files()) > 0 { // else it is fresh, and may be formatted
			before = v.Remember()
			v.Format()
		}
	})
	if before == nil {
		free()
		return nil
	}
	w.fired(a.ID, a.Name)
	return func() {
		defer free()
		w.plug(rng.IntN(2) == 0, rng, s, func(v *disk.Volume) {
			if has := v.Files(); len(has) > 0 {
				w.violated("I9", "node %d took an empty mount point for a disk: it made %v", s.node.n, has)
			}
			if rng.IntN(2) == 0 {
				v.Restore(before)
			}
		})
	}
}

// age puts a disk back that is as it was some time ago.
func (w *World) age(a *Action, rng *rand.Rand) (end func()) {
	s := slot{w.node(a.Node), a.Disk}
	free, ok := w.handle(s.node)
	if !ok {
		return nil
	}
	var before *disk.Image
	w.plug(true, rng, s, func(v *disk.Volume) { before = v.Remember() })
	free()
	return func() {
		free, ok := w.handle(s.node)
		if !ok {
			return
		}
		defer free()
		w.plug(rng.IntN(2) == 0, rng, s, func(v *disk.Volume) { v.Restore(before) })
		w.fired(a.ID, a.Name)
	}
}

// setBack restores all volumes of a node from a copy that was made before its newest
// start. It has forgotten what it acknowledged and for whom it voted: it must not take
// part again. A copy of the newest start itself is not told from a power cut whose
// losses the disk had denied, and one that is put back before the others have heard of
// a newer start is not told by those who have not: neither is done here.
func (w *World) setBack(a *Action, rng *rand.Rand) (end func()) {
	n := w.node(a.Node)
	free, ok := w.handle(n)
	if !ok {
		return nil
	}
	defer free()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.setBack || n.standing != member || n.number == 0 {
		return nil
	}
	starts, number := n.starts, n.number
	var images []*disk.Image
	for _, v := range n.disk.Volumes() {
		images = append(images, v.Remember())
	}
	return func() {
		free, ok := w.handle(n)
		if !ok {
			return
		}
		defer free()
		if !w.servesAnew(n, starts, rng) {
			return
		}
		done := false
		w.whileOff(rng, func() {
			if n.number != number || n.standing != member {
				return // it is another by now, or about to go
			}
			done = true
			for i, v := range n.disk.Volumes() {
				v.Restore(images[i])
			}
			n.setBack = true
			n.spoils = append(n.spoils, a.Name)
		}, n)
		if done {
			w.fired(a.ID, a.Name)
		}
	}
}

// servesAnew sees to it that the node has begun anew since a start, and that all the
// others know.
func (w *World) servesAnew(n *node, since int, rng *rand.Rand) bool {
	newer := func() bool {
		n.mu.Lock()
		p := n.process
		n.mu.Unlock()
		return p != nil && p.number > since && n.serving() != nil
	}
	if !newer() && n.kill(true, rng) {
		n.start()
	}
	return w.until(10*time.Second, func() bool { return newer() && w.knownStart(n) })
}

// knownStart tells whether all nodes know of the same start of one as its newest.
func (w *World) knownStart(n *node) bool {
	var boots []uint64
	all := w.members()
	n.mu.Lock()
	number := n.number
	n.mu.Unlock()
	for _, o := range all {
		s := o.serving()
		if s == nil {
			return false
		}
		for _, m := range s.Nodes() {
			if m.Node == number {
				boots = append(boots, m.Boot)
			}
		}
	}
	return len(boots) == len(all) && len(slices.Compact(boots)) == 1
}

// mustNot reports what a process does whose disks are old copies.
func (n *node) mustNot(p *process, what string) {
	p.mu.Lock()
	ended := p.ended
	p.mu.Unlock()
	n.mu.Lock()
	old := n.setBack
	n.mu.Unlock()
	if old && !ended {
		n.w.violated("I10", "node %d %s, though it was restored from an old copy", n.n, what)
	}
}
