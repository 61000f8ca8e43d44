package world

import (
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"
)

// An Action is a planned fault: all of them are known before the run begins, and each
// draws from a source of its own, so that one can be left out without changing the
// others.
type Action struct {
	N     int           `json:"n"`
	At    time.Duration `json:"at"`
	Lasts time.Duration `json:"lasts"`
	ID    string        `json:"id"`
	Name  string        `json:"name"`
	Node  int           `json:"node,omitempty"` // from 1
	// Leader: it befalls the node that leads when it begins; Node, if none has led yet.
	Leader bool `json:"leader,omitempty"`
	Peer   int  `json:"peer,omitempty"`
	Disk   int  `json:"disk,omitempty"` // of Node, from 1
}

// A fault is a kind of Action.
type fault struct {
	id, name string
	weight   int
	lasts    [2]time.Duration // at least, at most
	// where: it is about a node, a pair of nodes, a disk with shards, one of the node
	// whose disks may be damaged, that node, or all.
	where place
	// spoils: its node may never start again, and is then replaced.
	spoils bool
	// latency: only where disks have delays; plain: only where the link has no TLS.
	latency, plain bool
	begin          func(w *World, a *Action, rng *rand.Rand) (end func())
}

type place int

const (
	everywhere place = iota
	aNode
	aMember // a node, or the leader, whoever that is then
	aPair
	aDisk
	aBadDisk
	aBadNode
)

const ms = time.Millisecond

// faults is the list of what can befall the world.
func faults() []fault {
	return slices.Concat(processFaults(), networkFaults(), pathFaults(), diskFaults(), spaceFaults(), rotFaults(), plugFaults(), clockFaults(),
		installFaults(), memberFaults())
}

// maxSpoils is how many faults of a run may spoil a node, none of them in its first
// quarter: the others are to befall a cluster that is whole, too.
const maxSpoils = 3

// plan draws the actions of a run. What is damaged for good, shards, log or state, is
// that of one node only, the budget of every layout here: what is written while
// another node is down still has enough.
func (w *World) plan() []Action {
	rng := w.rng("plan", 0)
	machines, bad := nodeCount, 1+rng.IntN(nodeCount)
	if w.on("R1") { // those that are not there yet are others: see aimed
		machines, bad = nodeCount+spares, 1+rng.IntN(nodeCount+1)
	}
	var kinds []fault
	total := 0
	for _, f := range faults() {
		if w.on(f.id) && (w.cfg.Latency || !f.latency) && (!w.cfg.TLS || !f.plain) {
			kinds = append(kinds, f)
			total += f.weight
		}
	}
	if total == 0 {
		return nil
	}
	var out []Action
	spoils := 0
	gap := float64(800+rng.IntN(2500)) * float64(ms)
	for at := 500 * ms; ; {
		at += time.Duration(rng.ExpFloat64() * gap)
		if at >= w.cfg.Span {
			return out
		}
		pick := rng.IntN(total)
		i := slices.IndexFunc(kinds, func(f fault) bool { pick -= f.weight; return pick < 0 })
		f := kinds[i]
		if f.spoils {
			if spoils == maxSpoils || at < w.cfg.Span/4 {
				continue
			}
			spoils++
		}
		a := Action{N: len(out) + 1, At: at, ID: f.id, Name: f.name}
		a.Lasts = f.lasts[0] + time.Duration(rng.Float64()*float64(f.lasts[1]-f.lasts[0]))
		if f.where != everywhere {
			a.Node = 1 + rng.IntN(machines)
		}
		switch f.where {
		case aMember:
			a.Leader = rng.IntN(2) == 0
		case aPair:
			a.Peer = 1 + (a.Node-1+1+rng.IntN(machines-1))%machines
		case aBadDisk:
			a.Node = bad
			a.Disk = 1 + rng.IntN(disksPerNode)
		case aBadNode:
			a.Node = bad
		case aDisk:
			a.Disk = 1 + rng.IntN(disksPerNode)
		}
		out = append(out, a)
	}
}

// FaultIDs are the ids of all kinds of faults, in the order of the list.
func FaultIDs() []string {
	ids := []string{"H1"}
	for _, f := range faults() {
		if !slices.Contains(ids, f.id) {
			ids = append(ids, f.id)
		}
	}
	return ids
}

// DescribeFaults lists all kinds of faults.
func DescribeFaults(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%-4s a client hangs up\n", "H1")
	for _, f := range faults() {
		if _, e := fmt.Fprintf(w, "%-4s %s\n", f.id, f.name); e != nil {
			err = e
		}
	}
	return err
}

// AddFired adds counts of one run to those of others.
func AddFired(sum, more []Fired) []Fired {
	for _, m := range more {
		i := slices.IndexFunc(sum, func(f Fired) bool { return f.ID == m.ID && f.Name == m.Name })
		if i < 0 {
			sum = append(sum, m)
			continue
		}
		sum[i].Count += m.Count
	}
	return sum
}
