package world

import (
	"math/rand/v2"
	"strings"
	"time"

	"ironman/sim/disk"
)

func diskFaults() []fault {
	short := [2]time.Duration{200 * ms, 4 * time.Second}
	rule := func(f disk.Fault, most float64) func(*World, *Action, *rand.Rand) func() {
		return func(w *World, a *Action, rng *rand.Rand) func() {
			return w.diskRule(a, disk.Rule{Fault: f, P: rng.Float64() * most})
		}
	}
	// What lasts is done to a disk that stays in its slot meanwhile.
	spoiling := func(id, name string, weight int, f disk.Fault, most float64) fault {
		return fault{id: id, name: name, weight: weight, lasts: short, where: aBadDisk, begin: inItsSlot(rule(f, most))}
	}
	return []fault{
		{id: "D3", name: "a sync of log or state fails", weight: 3, lasts: short, where: aNode, begin: func(w *World, a *Action, rng *rand.Rand) func() {
			return w.diskRule(a, disk.Rule{Fault: disk.SyncError, P: 0.05 + rng.Float64()/4, Times: 1, Match: endsOrderly})
		}},
		{id: "D3", name: "a sync of shards fails", weight: 3, lasts: short, where: aDisk, begin: rule(disk.SyncError, 0.5)},
		{id: "D4", name: "a write of log or state fails", weight: 2, lasts: short, where: aNode, begin: func(w *World, a *Action, rng *rand.Rand) func() {
			return w.diskRule(a, disk.Rule{Fault: disk.WriteError, P: 0.02 + rng.Float64()/10, Times: 1})
		}},
		{id: "D4", name: "writes of shards fail", weight: 3, lasts: short, where: aDisk, begin: rule(disk.WriteError, 0.5)},
		{id: "D4", name: "writes of shards are short", weight: 2, lasts: short, where: aDisk, begin: rule(disk.ShortWrite, 0.5)},
		{id: "D5", name: "reads of shards fail", weight: 3, lasts: short, where: aDisk, begin: rule(disk.ReadError, 1)},
		{id: "D6", name: "shards rot", weight: 4, where: aBadDisk, begin: inItsSlot((*World).rot)},
		spoiling("D6", "shards rot under a read", 2, disk.SectorRot, 0.2),
		spoiling("D7", "writes of shards go astray", 4, disk.MisdirectedOffset, 0.5),
		spoiling("D7", "writes of shards go to another file", 4, disk.MisdirectedFile, 0.5),
		{id: "D7", name: "reads of shards go astray", weight: 3, lasts: short, where: aDisk, begin: rule(disk.MisdirectedRead, 0.6)},
		spoiling("D8", "writes of shards are lost", 3, disk.LostWrite, 0.4),
		spoiling("D8", "syncs of shards are lost", 3, disk.LostSync, 0.5),
		{id: "D9", name: "a disk is full", weight: 3, lasts: short, where: aDisk, begin: (*World).fill},
		{id: "D10", latency: true, name: "a slow disk", weight: 3, lasts: short, where: aDisk, begin: func(w *World, a *Action, rng *rand.Rand) func() {
			return w.diskRule(a, disk.Rule{Fault: disk.Slow, P: 1, Factor: 2 + rng.Float64()*50})
		}},
		{id: "D10", latency: true, name: "a disk stalls", weight: 3, lasts: [2]time.Duration{500 * ms, 6 * time.Second}, where: aDisk, begin: (*World).stall},
		{id: "D10", latency: true, name: "the disk of log and state stalls", weight: 3, lasts: [2]time.Duration{200 * ms, 4 * time.Second}, where: aNode, begin: (*World).stall},
		{id: "D10", latency: true, name: "a disk hangs", weight: 2, lasts: [2]time.Duration{time.Second, 10 * time.Second}, where: aDisk, begin: func(w *World, a *Action, _ *rand.Rand) func() {
			w.volume(a).Hang()
			return func() { w.volume(a).Unhang() }
		}},
		{id: "D11", name: "a disk vanishes", weight: 2, lasts: short, where: aDisk, begin: func(w *World, a *Action, _ *rand.Rand) func() {
			w.volume(a).Vanish()
			return func() { w.volume(a).Heal() }
		}},
		{id: "D11", name: "a disk is not mounted", weight: 2, lasts: short, where: aDisk, begin: func(w *World, a *Action, _ *rand.Rand) func() {
			if w.node(a.Node).is() != member {
				return nil // it would take the empty directory for the disk
			}
			w.volume(a).Unmount()
			return func() { w.volume(a).Heal() }
		}},
		{id: "D11", name: "a disk is read-only", weight: 2, lasts: short, where: aDisk, begin: func(w *World, a *Action, _ *rand.Rand) func() {
			w.volume(a).ReadOnly(true)
			return func() { w.volume(a).Heal() }
		}},
	}
}

// endsOrderly: where the directory of a state, or of a copy of one, cannot be synced,
// Pebble panics, which ends the process as it should, but here it would end the world.
func endsOrderly(op disk.Op) bool { return !strings.HasSuffix(op.Path, "/state") }

// volume is where the action is: that of the node's newest disk.
func (w *World) volume(a *Action) *disk.Volume {
	n := w.node(a.Node)
	n.mu.Lock()
	defer n.mu.Unlock()
	if a.Disk == 0 {
		return n.disk.Volume(volumeNode)
	}
	return n.disk.Volume(volumeDisk(a.Disk))
}

// diskRule is a fault by chance. One of log or state may end the process, and keep it
// from starting, while it lasts.
func (w *World) diskRule(a *Action, r disk.Rule) (end func()) {
	if a.Disk == 0 {
		w.node(a.Node).excuse(a.Name)
	}
	w.volume(a).Faults(r)
	return func() {
		w.volume(a).Heal()
		w.pardon(a)
	}
}

// pardon ends an excuse.
func (w *World) pardon(a *Action) {
	if a.Disk > 0 {
		return
	}
	n := w.node(a.Node)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.process != nil {
		n.process.pardonStart()
	}
	for i, e := range n.excuses {
		if e == a.Name {
			n.excuses = append(n.excuses[:i], n.excuses[i+1:]...)
			return
		}
	}
}

// rot damages what is stored on a disk.
func (w *World) rot(a *Action, rng *rand.Rand) (end func()) {
	v := w.volume(a)
	for range 1 + rng.IntN(6) {
		kind := []disk.Rot{disk.Bit, disk.Sector, disk.Block}[rng.IntN(3)]
		v.DamageAny(rng, func(p string) bool { return strings.HasSuffix(p, ".pack") }, kind)
	}
	return nil
}

// fill leaves a disk little space.
func (w *World) fill(a *Action, rng *rand.Rand) (end func()) {
	v := w.volume(a)
	v.SetCapacity(v.Used() + uint64(rng.IntN(100<<10)))
	return func() { w.volume(a).SetCapacity(diskCapacity) }
}

func (w *World) stall(a *Action, _ *rand.Rand) (end func()) {
	w.volume(a).Stall(a.Lasts)
	return nil
}
