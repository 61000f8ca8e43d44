package world

import (
	"math/rand/v2"
	"path"
	"strings"
	"time"

	"ironman/sim/disk"
	"ironman/wal/segment"
)

const (
	dirNode = volumeNode + "/dir"
	dirLog  = dirNode + "/wal/log"
)

// rotFaults damage what a node keeps beside shards: all of it on the node whose
// shards may be damaged, too. What cannot be mended from the others must end in a
// refusal to start, never in a shorter log or in other rows.
func rotFaults() []fault {
	lasts := [2]time.Duration{0, 500 * ms}
	below := func(dir string) func(string) bool {
		return func(p string) bool { return strings.HasPrefix(p, dirNode+dir) }
	}
	strike := func(files func(string) bool) func(*World, *Action, *rand.Rand) func() {
		return func(w *World, a *Action, rng *rand.Rand) func() {
			return w.rotNode(a, rng, func(v *disk.Volume) bool {
				hit := false
				for range 1 + rng.IntN(3) {
					_, ok := v.DamageAny(rng, files, anyRot(rng))
					hit = hit || ok
				}
				return hit
			})
		}
	}
	kind := func(weight int, name string, begin func(*World, *Action, *rand.Rand) func()) fault {
		return fault{id: "D6", name: name, weight: weight, lasts: lasts, where: aBadNode, spoils: true, begin: begin}
	}
	return []fault{
		kind(7, "the log rots", (*World).rotLog),
		kind(1, "the log's list of files, or term and vote, rot", strike(func(p string) bool {
			return p == dirLog+"/MANIFEST" || p == dirNode+"/wal/stable"
		})),
		kind(2, "the state rots", strike(below("/state/"))),
		kind(2, "the state's MANIFEST rots", strike(below("/state/MANIFEST"))),
		kind(2, "snapshots rot", strike(below("/wal/snapshots/"))),
		kind(9, "the ledger rots", strike(below("/wal/ledger/"))),
		kind(2, "a node's own files rot", strike(func(p string) bool {
			return path.Dir(p) == dirNode && strings.HasSuffix(p, ".json")
		})),
		kind(2, "log and state rot under a read", (*World).rotUnderRead),
		{id: "D6", name: "the identity of a disk rots", weight: 1, where: aBadDisk, begin: inItsSlot(func(w *World, a *Action, rng *rand.Rand) func() {
			if _, ok := w.volume(a).DamageAny(rng, func(p string) bool { return path.Base(p) == "identity" }, anyRot(rng)); ok {
				w.fired(a.ID, a.Name)
			}
			return nil
		})},
	}
}

func anyRot(rng *rand.Rand) disk.Rot {
	return []disk.Rot{disk.Bit, disk.Sector, disk.Block}[rng.IntN(3)]
}

// rotNode damages the volume of log and state. Half of the time the node starts anew
// at once, and finds it then; else it finds it when it reads it.
func (w *World) rotNode(a *Action, rng *rand.Rand, strike func(*disk.Volume) bool) (end func()) {
	n := w.node(a.Node)
	n.mu.Lock()
	hit := strike(n.disk.Volume(volumeNode))
	if hit {
		n.spoils = append(n.spoils, a.Name)
	}
	n.mu.Unlock()
	if !hit {
		return nil
	}
	w.fired(a.ID, a.Name)
	if rng.IntN(2) == 0 {
		return nil
	}
	n.kill(false, rng)
	return n.start
}

func (w *World) rotUnderRead(a *Action, rng *rand.Rand) (end func()) {
	f := []disk.Fault{disk.BitRot, disk.SectorRot, disk.BlockRot}[rng.IntN(3)]
	p := 0.01 + rng.Float64()/10
	n := w.node(a.Node)
	n.spoil(a.Name)
	w.volume(a).Faults(disk.Rule{Fault: f, P: p, Times: 1})
	w.fired(a.ID, a.Name)
	n.kill(false, rng) // it reads when it starts
	n.start()
	return func() { w.volume(a).Heal() }
}

// rotLog damages one place of a file of the log. A log that still opens, without any
// mending, must reach as far as the node had applied it: what was acknowledged is
// never taken for a torn tail.
func (w *World) rotLog(a *Action, rng *rand.Rand) (end func()) {
	n := w.node(a.Node)
	applied := n.applied()
	return w.rotNode(a, rng, func(v *disk.Volume) bool {
		name, offset, ok := aimAtLog(n.disk, rng)
		if !ok {
			return false
		}
		if _, err := v.Damage(name, offset, anyRot(rng)); err != nil {
			return false
		}
		log, err := segment.Open(segment.Options{FS: lookAt(n.disk), Dir: dirLog, SegmentBytes: segmentBytes, Fatal: func(err error) { panic(err) }})
		if err != nil {
			return true
		}
		if last := log.Last(); last < applied {
			w.violated("I1", "node %d: with the damage at %d of %s its log seems to end at entry %d, but it had applied entry %d", n.n, offset, name, last, applied)
		}
		if err := log.Close(); err != nil {
			w.violated("I1", "node %d: closing a copy of its log: %v", n.n, err)
		}
		return true
	})
}

// applied is the last entry that the node's process has applied; 0: none runs.
func (n *node) applied() uint64 {
	st, err := n.status()
	if err != nil {
		return 0
	}
	return st.AppliedIndex
}

// aimAtLog chooses a place in the log's files: near the end of what was written,
// anywhere in it, or behind it.
func aimAtLog(d *disk.Disk, rng *rand.Rand) (name string, offset int64, ok bool) {
	var files []disk.FileSize
	for _, f := range d.Files(dirLog) {
		if strings.HasSuffix(f.Path, ".wal") && f.Size > 0 {
			files = append(files, f)
		}
	}
	if len(files) == 0 {
		return "", 0, false
	}
	f := files[rng.IntN(len(files))]
	b, err := d.ReadFile(f.Path)
	if err != nil {
		return "", 0, false
	}
	written := int64(len(strings.TrimRight(string(b), "\x00")))
	const near = 12 << 10
	switch rng.IntN(5) {
	case 0, 1:
		from := max(0, written-near)
		offset = from + rng.Int64N(max(1, written-from))
	case 2:
		offset = written + rng.Int64N(max(1, f.Size-written))
	default:
		offset = rng.Int64N(max(1, written))
	}
	return f.Path, min(offset, f.Size-1), true
}
