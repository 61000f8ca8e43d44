package offline

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/erasure"
	"ironman/fsm"
	"ironman/wal/event"
)

// Machine is a node's disks.
type Machine struct {
	FS   vfs.FS
	Node uint32
	Dir  string // of the node
	// Disks are the directories of its disks, by slot.
	Disks []string
	// Damaged: faults may have damaged its shards, the identities of its disks too.
	Damaged bool
	// Gone: it was removed, and nothing of it can be read any more. Not the first one.
	Gone bool
	// Spoiled: its state may be damaged, and is not read.
	Spoiled bool
}

// newest is the machine whose state has applied most. While the others were stopped it may
// have released what they still name, and unlinked it.
func newest(machines []Machine) (Machine, error) {
	var best Machine
	var most uint64
	for _, m := range machines {
		if m.Gone || m.Spoiled {
			continue
		}
		a, err := fsm.ReadApplied(m.FS, m.FS.PathJoin(m.Dir, "state"))
		if err != nil {
			return best, err
		}
		if best.FS == nil || a.Index > most {
			best, most = m, a.Index
		}
	}
	return best, nil
}

// Shards reads every shard that the newest state names (CK-C4): on disks
// that nothing damaged each must be there as it was written, and everywhere each blob
// must be readable, byte for byte. It tells violated what is not so, by the invariant,
// and returns how many blobs there are, and how many damaged shards.
func Shards(machines []Machine, packBytes uint64, violated func(checker, format string, args ...any)) (blobs, damaged int, err error) {
	var state error // why the state could not go on
	last, err := newest(machines)
	if err != nil {
		return 0, 0, err
	}
	m, err := fsm.Open(fsm.Options{FS: last.FS, Dir: last.FS.PathJoin(last.Dir, "state"), Fatal: func(err error) { state = errors.Join(state, err) }})
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	v, err := m.View()
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	store, closeAll, err := openShards(v, machines, packBytes)
	if err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	spared := make(map[uint32]bool) // nodes whose shards may be damaged
	for _, m := range machines {
		spared[m.Node] = m.Damaged || m.Gone
	}
	err = v.Blobs(func(b *event.Blob) error {
		blobs++
		found, err := store.Verify(context.Background(), b)
		for _, x := range found {
			damaged++
			if !spared[nodeOf(v, x.Disk)] {
				violated("C4", "%v, on a disk that nothing damaged", x)
			}
		}
		if err != nil {
			violated("I1", "blob %v cannot be read any more: %v", b.Id, err)
		}
		return nil
	})
	return blobs, damaged, errors.Join(err, state)
}

// openShards opens all disks of the cluster, those of each node as its own, and
// returns the store of the first node, which reads the others' through theirs.
func openShards(v *fsm.View, machines []Machine, packBytes uint64) (first *erasure.Store, closeAll func() error, err error) {
	c, err := v.Cluster()
	if err != nil {
		return nil, nil, err
	}
	rows, err := v.Disks()
	if err != nil {
		return nil, nil, err
	}
	stores := make([]*erasure.Store, len(machines))
	closeAll = func() error {
		var errs []error
		for _, s := range stores {
			if s != nil {
				errs = append(errs, s.Close())
			}
		}
		return errors.Join(errs...)
	}
	topology := make([]erasure.Disk, len(rows))
	for i, r := range rows {
		topology[i] = erasure.Disk{Number: r.Number, Node: r.Node, Live: true}
	}
	for i, m := range machines {
		if m.Gone {
			continue
		}
		o := erasure.Options{
			ClusterID: [16]byte(c.ClusterId), Node: m.Node, Incarnation: 1 << 40, Now: time.Now, PackSize: packBytes,
			Topology: func() []erasure.Disk { return topology },
			Remote: func(disk uint32) erasure.ShardTarget {
				for _, s := range stores {
					if s == nil {
						continue
					}
					if t, ok := s.Target(disk); ok {
						return t
					}
				}
				return nil
			},
		}
		for _, r := range rows {
			if r.Node != o.Node {
				continue
			}
			o.Disks = append(o.Disks, erasure.DiskConfig{
				FS: m.FS, Dir: m.Disks[r.Slot], Slot: r.Slot, Number: r.Number, ID: [16]byte(r.DiskId),
				Optional: m.Damaged,
			})
		}
		if stores[i], err = erasure.OpenStore(o); err != nil {
			return nil, nil, errors.Join(fmt.Errorf("the disks of node %d: %w", m.Node, err), closeAll())
		}
	}
	return stores[0], closeAll, nil
}

func nodeOf(v *fsm.View, number uint32) uint32 {
	d, err := v.Disk(number)
	if err != nil || d == nil {
		return 0
	}
	return d.Node
}
