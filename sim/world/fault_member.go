package world

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/wal/durable"
)

// Members come and go (R1). The shards of a node that is removed are lost for good, for
// nothing heals yet: so it is the node whose shards may be damaged, and only once.
func memberFaults() []fault {
	return []fault{
		{id: "R1", name: "a fresh node joins", weight: 6, where: everywhere, begin: func(w *World, _ *Action, _ *rand.Rand) func() {
			w.letJoin()
			return nil
		}},
		{id: "R1", name: "a node is removed for good", weight: 4, lasts: [2]time.Duration{500 * ms, 6 * time.Second}, where: aBadNode,
			begin: (*World).removeNode},
		{id: "R1", name: "a node is wiped, and joins as a new one", weight: 2, where: aBadNode, begin: (*World).wipeNode},
		{id: "R1", name: "a node comes back without its log", weight: 4, lasts: [2]time.Duration{0, 2 * time.Second}, where: aNode,
			begin: (*World).forgetLog},
	}
}

// letJoin switches the next fresh machine on, which joins as `ironman server --join`
// does, unless another is about to.
func (w *World) letJoin() {
	for _, n := range w.nodes {
		if n.is() == joining {
			return
		}
	}
	for _, n := range w.nodes {
		if n.become(joining, spare) {
			w.fired("R1", "a fresh node joins")
			n.start()
			return
		}
	}
}

// removeLimit is how long the operator insists while faults go on.
const removeLimit = 20 * time.Second

// mayLose begins to give up a node and its shards; false where that would be too much:
// another was given up, or too few are left.
func (w *World) mayLose(n *node, from ...standing) bool {
	others := 0
	for _, o := range w.nodes {
		if o != n && o.is() == member {
			others++
		}
	}
	w.mu.Lock()
	may := others >= 2 && !w.losing
	w.losing = w.losing || may
	w.mu.Unlock()
	if may && !n.become(leaving, from...) {
		w.keep()
		return false
	}
	return may
}

// keep takes mayLose back.
func (w *World) keep() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.losing = false
}

// removeNode removes a node, which may lead, or still be about to join; a fresh one
// takes its place before or behind. What was removed is started again in the end.
func (w *World) removeNode(a *Action, rng *rand.Rand) (end func()) {
	n := w.node(a.Node)
	first := rng.IntN(2) == 0
	if !w.mayLose(n, joining, member) {
		return nil
	}
	if first {
		w.letJoin()
	}
	ctx, cancel := context.WithTimeout(context.Background(), removeLimit)
	defer cancel()
	n.mu.Lock()
	number := n.number
	n.mu.Unlock()
	if number == 0 {
		if number = w.numberAt(ctx, n); number == 0 {
			n.become(joining, leaving) // it is none of them yet
			w.keep()
			return nil
		}
		n.mu.Lock()
		n.number = number
		n.mu.Unlock()
	}
	if w.shutOut(ctx, w.depart(number)) {
		n.become(removed, leaving)
	}
	if !first {
		w.letJoin()
	}
	return func() {
		n.kill(rng.IntN(2) == 0, rng)
		n.start()
	}
}

// wipeNode empties all disks of a node, which joins again as a new one; its old number
// is removed.
func (w *World) wipeNode(a *Action, rng *rand.Rand) (end func()) {
	n := w.node(a.Node)
	free, ok := w.handle(n)
	if !ok {
		return nil
	}
	defer free()
	if !w.mayLose(n, member) {
		return nil
	}
	n.mu.Lock()
	n.down = true
	n.mu.Unlock()
	n.kill(true, rng)
	n.mu.Lock()
	number := n.number
	n.wipe()
	n.mu.Unlock()
	w.fired("R1", "a node is wiped")
	n.start()
	ctx, cancel := context.WithTimeout(context.Background(), removeLimit)
	defer cancel()
	w.shutOut(ctx, w.depart(number))
	return nil
}

// forgetLog brings a node back with nothing but its identity, as from a backup: it must
// not start. Then its own disk comes back.
func (w *World) forgetLog(a *Action, rng *rand.Rand) (end func()) {
	n := w.node(a.Node)
	free, ok := w.handle(n)
	if !ok {
		return nil
	}
	n.mu.Lock()
	if n.standing != member || n.down || n.forgetful {
		n.mu.Unlock()
		free()
		return nil
	}
	n.down, n.forgetful = true, true
	n.mu.Unlock()
	n.kill(true, rng)
	n.mu.Lock()
	was := n.disk.Volume(volumeNode).Remember()
	err := n.forget("identity.json", "keyring.json", "members.json", "disks.json")
	n.refused, n.down = false, err != nil
	n.mu.Unlock()
	n.start()
	return func() {
		defer free()
		w.until(5*time.Second, func() bool { return err != nil || n.wasRefused() })
		n.mu.Lock()
		n.down = true
		n.mu.Unlock()
		n.kill(true, rng)
		n.mu.Lock()
		if err == nil && n.refused {
			n.w.fired("R1", "a node without its log is refused")
		}
		n.disk.Volume(volumeNode).Restore(was)
		n.forgetful, n.refused, n.down = false, false, false
		n.mu.Unlock()
		n.start()
	}
}

func (n *node) wasRefused() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.refused
}

// forget leaves of the node's volume some files of its directory; n.mu is held. It works
// on a copy that no fault concerns: the disk itself may hang until somebody who waits for
// n.mu has it go on.
func (n *node) forget(but ...string) error {
	d := lookAt(n.disk)
	v := d.Volume(volumeNode)
	if err := forgetAllBut(d, v.Format, but...); err != nil {
		return err
	}
	n.disk.Volume(volumeNode).Restore(v.Remember())
	return nil
}

// forgetAllBut wipes a disk but for some files of the node's directory.
func forgetAllBut(fs vfs.FS, wipe func(), names ...string) error {
	const dir = volumeNode + "/dir"
	kept := make(map[string][]byte)
	for _, name := range names {
		f, err := fs.Open(dir + "/" + name)
		if err != nil {
			return err
		}
		b, err := io.ReadAll(f)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		kept[name] = b
	}
	wipe()
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, name := range names {
		f, err := fs.Create(dir+"/"+name, vfs.WriteCategoryUnspecified)
		if err != nil {
			return err
		}
		_, err = f.Write(kept[name])
		if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return errors.Join(durable.SyncDir(fs, dir), durable.SyncDir(fs, volumeNode))
}
