package disk

import (
	"sync/atomic"
	"time"
)

// Fault is a kind of fault. The first ones strike by a Rule; the others are what a
// cut or a method of Volume does, and are counted only.
type Fault uint8

// The faults, with their ids in the fault table.
const (
	none              Fault = iota
	WriteError              // F-D4: EIO, nothing is changed
	ShortWrite              // F-D4: EIO after a part
	SyncError               // F-D3: EIO; a part is durable, the rest counts as clean and is lost
	ReadError               // F-D5: EIO
	NoSpace                 // F-D9: ENOSPC, nothing is changed
	LostWrite               // F-D8: acknowledged, and the old data stays
	LostSync                // F-D8: acknowledged; what was written is read until the next cut, and is then gone
	MisdirectedOffset       // F-D7: a write goes to another place of the file
	MisdirectedFile         // F-D7: a write goes to another file of the volume
	MisdirectedRead         // F-D7: a read returns what is elsewhere on the volume; what is stored is whole
	BitRot                  // F-D6: one bit of what is read is another, from now on
	SectorRot               // F-D6: a sector of what is read is garbage, from now on
	BlockRot                // F-D6: a block of what is read is garbage, from now on
	Slow                    // F-D10: the latency times Rule.Factor
	Stall                   // F-D10: the operation takes Rule.For longer
	Hang                    // F-D10: the operation does not return until Volume.Unhang

	full         // F-D9: the capacity is used up
	vanished     // F-D11: an operation on a disk that is gone
	unmounted    // F-D11
	readOnly     // F-D11: a change of a disk that can only be read
	emptied      // F-D11
	old          // F-D11, F-D13
	swapped      // F-D11
	killed       // F-P2
	powerCut     // F-P2
	blockLost    // F-D2
	blockTorn    // F-D1
	blockGarbage // F-D1
	sizeLost     // F-D2
	entryLost    // F-D2: a create, rename or unlink that was not synced is undone
	removalKept  // F-D2: an unlink or rename that was not synced is done
	faults
)

// ruled is the number of faults that a Rule may name.
const ruled = Hang + 1

// kindSet is a set of kinds of operations.
type kindSet uint32

func setOf(list ...Kind) (s kindSet) {
	for _, k := range list {
		s |= 1 << k
	}
	return s
}

// description of a fault; strikes are the operations it may strike.
type description struct {
	id, name string
	strikes  kindSet
}

func (f Fault) describe() description {
	changes := setOf(Create, Link, Remove, Rename, Mkdir, Write, Preallocate)
	syncs := setOf(Sync, SyncData, SyncTo, SyncDir)
	write, read, all := setOf(Write), setOf(Read), kindSet(1<<kinds-1)
	return [faults]description{
		WriteError:        {"F-D4", "write error", changes},
		ShortWrite:        {"F-D4", "short write", write},
		SyncError:         {"F-D3", "sync error", syncs},
		ReadError:         {"F-D5", "read error", setOf(Read, List)},
		NoSpace:           {"F-D9", "no space", changes &^ setOf(Remove)},
		LostWrite:         {"F-D8", "lost write", write},
		LostSync:          {"F-D8", "lost sync", setOf(Sync, SyncData)},
		MisdirectedOffset: {"F-D7", "write to another offset", write},
		MisdirectedFile:   {"F-D7", "write to another file", write},
		MisdirectedRead:   {"F-D7", "misdirected read", read},
		BitRot:            {"F-D6", "bit rot", read},
		SectorRot:         {"F-D6", "sector rot", read},
		BlockRot:          {"F-D6", "block rot", read},
		Slow:              {"F-D10", "slow", all},
		Stall:             {"F-D10", "stall", all},
		Hang:              {"F-D10", "hang", all},
		full:              {"F-D9", "full", 0},
		vanished:          {"F-D11", "vanished", 0},
		unmounted:         {"F-D11", "unmounted", 0},
		readOnly:          {"F-D11", "read-only", 0},
		emptied:           {"F-D11", "came back empty", 0},
		old:               {"F-D11", "came back old", 0},
		swapped:           {"F-D11", "swapped", 0},
		killed:            {"F-P2", "process killed", 0},
		powerCut:          {"F-P2", "power cut", 0},
		blockLost:         {"F-D2", "unsynced block lost", 0},
		blockTorn:         {"F-D1", "block torn", 0},
		blockGarbage:      {"F-D1", "block garbage", 0},
		sizeLost:          {"F-D2", "unsynced size lost", 0},
		entryLost:         {"F-D2", "unsynced entry lost", 0},
		removalKept:       {"F-D2", "unsynced removal kept", 0},
	}[f]
}

func (f Fault) String() string { return f.describe().name }

// Rule makes a fault strike by chance.
type Rule struct {
	Fault Fault
	P     float64 // of each operation that it may strike
	// Match narrows down which those are; nil: all that the fault can strike. It is
	// called under the lock of the disk.
	Match func(Op) bool
	// Times is how often it strikes at most; 0: always.
	Times  int
	Factor float64       // of Slow; without latency there is nothing to multiply
	For    time.Duration // of Stall

	struck int
}

// Count is how often a fault fired.
type Count struct {
	ID, Name string
	N        uint64
}

// tally counts for all incarnations of a machine's disk.
type tally [faults]atomic.Uint64

// Fired returns the counts of all faults, in the order of their constants, over all
// incarnations.
func (d *Disk) Fired() []Count {
	list := make([]Count, 0, faults-1)
	for f := none + 1; f < faults; f++ {
		x := f.describe()
		list = append(list, Count{ID: x.id, Name: x.name, N: d.tally[f].Load()})
	}
	return list
}

// verdict is what befalls an operation.
type verdict struct {
	wait time.Duration
	hang <-chan struct{} // it waits for this first
	// hit is the fault that changes what it does, if any, and roll a draw for it.
	hit   Fault
	roll  uint64
	rule  *Rule
	fired bool // it did something
}

// judge draws what befalls op, under the lock.
func (v *Volume) judge(op Op) verdict {
	d := v.disk
	x := verdict{wait: d.latency.draw(d.rng, op.Kind)}
	if v.factor > 0 {
		x.wait = time.Duration(float64(x.wait) * v.factor)
		d.tally[Slow].Add(1)
	}
	if !v.stalled.IsZero() {
		if rest := time.Until(v.stalled); rest > 0 {
			x.wait += rest
			d.tally[Stall].Add(1)
		}
	}
	if v.hung {
		x.hang = v.release
		d.tally[Hang].Add(1)
	}
	for i := range v.rules {
		r := &v.rules[i]
		if v.strikes[i]&(1<<op.Kind) == 0 || r.Times > 0 && r.struck >= r.Times || r.Match != nil && !r.Match(op) || !d.chance(r.P) {
			continue
		}
		switch {
		case r.Fault == Slow:
			x.wait = time.Duration(float64(x.wait) * r.Factor)
		case r.Fault == Stall:
			x.wait += r.For
		case r.Fault == Hang:
			x.hang = v.release
		case x.hit != none:
			continue // one is enough
		default:
			x.hit, x.roll, x.rule = r.Fault, d.rng.Uint64(), r
		}
		r.struck++
		if r.Fault >= Slow { // the others count when they did something
			d.tally[r.Fault].Add(1)
		}
	}
	return x
}
