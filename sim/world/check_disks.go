package world

import (
	"errors"
	"fmt"
	"strings"

	"ironman/sim/disk"
	"ironman/sim/offline"
)

// checkDisks is what is checked where no process runs any more.
func (w *World) checkDisks() {
	if w.agreed == nil {
		return // that was found already
	}
	for _, n := range w.members() {
		w.feed(n.n, n.disk)
		if stray := n.disk.Volume("/").Files(); len(stray) > 0 {
			w.violated("I9", "node %d wrote to where its disks were to be mounted: %v", n.n, stray)
		}
		w.checkReplay(n)
		w.checkErased(n)
	}
	w.checkShards()
	w.checkFeed()
}

// checkReplay replays what a node has in its ledger and log (C2, I6).
func (w *World) checkReplay(n *node) {
	want := offline.Agreed{Events: w.agreed.Events, StateDigest: w.agreed.StateDigest, LedgerRoot: w.agreed.LedgerRoot}
	if len(w.buried) > 0 {
		err := offline.ReplayErased(lookAt(n.disk), volumeNode+"/dir", want)
		switch {
		case err == nil:
			w.did("a record of which something was erased is replayed")
		case errors.Is(err, offline.ErrUnreadable) && (n.spoiled() || n.installed()):
			w.moment(n.n, "cannot be replayed", err.Error())
		default:
			w.violated("C2", "replay of node %d: %v", n.n, err)
		}
		return
	}
	fatal := func(err error) { panic(fmt.Sprintf("world: a replay: %v", err)) }
	r, err := offline.Replay(lookAt(n.disk), volumeNode+"/dir", want, n.installed(), fatal)
	if errors.Is(err, offline.ErrUnreadable) && n.spoiled() {
		w.moment(n.n, "cannot be replayed", err.Error()) // the damage is seen, as it must be
	} else if err != nil {
		w.violated("C2", "replay of node %d: %v", n.n, err)
	}
	w.trace.add("replayed", n.n, r.Archived, r.FromLog)
}

// checkShards reads all shards of all blobs (C4).
func (w *World) checkShards() {
	var machines []offline.Machine
	for _, n := range w.members() {
		m := offline.Machine{FS: lookAt(n.disk), Node: n.number, Dir: volumeNode + "/dir", Damaged: w.mayBeDamaged(n.n), Spoiled: n.spoiled()}
		for i := range disksPerNode {
			m.Disks = append(m.Disks, volumeDisk(i+1)+"/shards")
		}
		machines = append(machines, m)
	}
	for _, number := range w.gone() {
		machines = append(machines, offline.Machine{Node: number, Gone: true})
	}
	blobs, damaged, err := offline.Shards(machines, packBytes, w.violated)
	if err != nil {
		w.violated("C4", "%v", err)
	}
	w.trace.add("shards", blobs, damaged)
}

// lookAt is a copy of a disk that nothing befalls any more, and that has room.
func lookAt(of *disk.Disk) *disk.Disk {
	d := of.Kill()
	d.Detach()
	for _, v := range d.Volumes() {
		v.Heal()
		v.SetCapacity(0)
	}
	return d
}

// mayBeDamaged tells whether faults were injected that damage a node's shards for good.
func (w *World) mayBeDamaged(node int) bool {
	for _, a := range w.planned {
		if a.Node == node && strings.HasPrefix(a.ID, "D") {
			for _, f := range faults() {
				if f.id == a.ID && f.name == a.Name && (f.where == aBadDisk || f.where == aBadNode) {
					return true
				}
			}
		}
	}
	return false
}
