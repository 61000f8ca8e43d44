package world

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"
)

func spaceFaults() []fault {
	return []fault{
		{id: "D9", name: "little space is left for log and state", weight: 2, lasts: [2]time.Duration{2 * time.Second, 9 * time.Second}, where: aNode, begin: (*World).squeeze},
		{id: "D9", name: "no space is left for log and state", weight: 2, lasts: [2]time.Duration{200 * ms, 3 * time.Second}, where: aNode, begin: (*World).choke},
	}
}

// noticed is how long a node may take to see that its reserve is touched: the longest
// that its disk stalls in here, and two measurements.
const noticed = 6 * time.Second

// squeeze has others use the disk of log and state until less than its reserve is
// left: what would be stored is refused, deletes go on, and no process ends.
func (w *World) squeeze(a *Action, rng *rand.Rand) (end func()) {
	if !w.occupy(a, uint64(8<<20+rng.IntN(30<<20))) {
		return nil
	}
	defer w.vacate(a)
	w.fired(a.ID, a.Name)
	began := time.Now()
	c := w.newClient(1000 + a.N)
	defer c.Close()
	const key = "squeezed"
	first := w.node(a.Node).serving()
	for ctx := context.Background(); time.Since(began) < a.Lasts; time.Sleep(500 * ms) {
		s := w.node(a.Node).serving()
		if s == nil {
			continue
		}
		put := c.Put(ctx, a.Node, key)
		switch {
		case put == http.StatusInsufficientStorage:
			w.fired(a.ID, "nothing new is stored where little space is left")
		case put == http.StatusOK && time.Since(began) > noticed && s == first && s == w.node(a.Node).serving():
			w.violated("D9", "node %d stores something new though its disk has been below its reserve for %v", a.Node, time.Since(began))
		}
		switch c.Delete(ctx, a.Node, key) {
		case http.StatusInsufficientStorage:
			w.violated("D9", "node %d deletes nothing because its disk is below its reserve", a.Node)
		case http.StatusNoContent:
			if put == http.StatusInsufficientStorage {
				w.fired(a.ID, "a delete is done where little space is left")
			}
		}
	}
	return nil
}

// choke leaves the disk of log and state next to no space: its node ends, and must
// come back with all that it acknowledged once there is some.
func (w *World) choke(a *Action, rng *rand.Rand) (end func()) {
	w.node(a.Node).excuse(a.Name)
	if !w.occupy(a, uint64(rng.IntN(200<<10))) {
		w.pardon(a)
		return nil
	}
	w.fired(a.ID, a.Name)
	return func() {
		w.vacate(a)
		w.pardon(a)
	}
}

// occupy has others leave so many bytes free of the disk of log and state; false:
// others do already.
func (w *World) occupy(a *Action, left uint64) bool {
	n := w.node(a.Node)
	n.mu.Lock()
	defer n.mu.Unlock()
	v := n.disk.Volume(volumeNode)
	if free := v.Free(); !n.tight && free > left {
		v.Occupy(free - left)
		n.tight = true
		return true
	}
	return false
}

func (w *World) vacate(a *Action) {
	n := w.node(a.Node)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.disk.Volume(volumeNode).Occupy(0)
	n.tight = false
}
