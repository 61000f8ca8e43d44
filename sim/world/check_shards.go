package world

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"ironman/erasure"
	"ironman/fsm"
	"ironman/sim/disk"
	"ironman/wal/event"
)

// checkShards reads every shard that the state names (C4): on disks that no fault
// damaged each must be there as it was written, and everywhere each blob must be
// readable, byte for byte. It also looks the other way round: at packs that no row
// names any more.
func (w *World) checkShards() {
	if err := w.verifyShards(); err != nil {
		w.violated("C4", "%v", err)
	}
}

func (w *World) verifyShards() (err error) {
	var disks []*disk.Disk
	for _, n := range w.nodes {
		d := n.disk.Kill()
		d.Detach()
		disks = append(disks, d)
	}
	m, err := fsm.Open(fsm.Options{FS: disks[0], Dir: volumeNode + "/dir/state", Fatal: func(err error) { panic(err) }})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	v, err := m.View()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	store, closeAll, err := w.openShards(v, disks)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeAll()) }()
	blobs, found := 0, 0
	err = v.Blobs(func(b *event.Blob) error {
		blobs++
		damage, err := store.Verify(context.Background(), b)
		for _, x := range damage {
			found++
			if node := nodeOf(v, x.Disk); w.mayBeDamaged(node) {
				continue
			}
			w.violated("C4", "%v, on a disk that nothing damaged", x)
		}
		if err != nil {
			w.violated("I1", "blob %v cannot be read any more: %v", b.Id, err)
		}
		return nil
	})
	w.trace.add("shards", blobs, found)
	return err
}

// openShards opens all disks of the cluster, those of each node as its own, and
// returns the store of the first node, which reads the others' through theirs.
func (w *World) openShards(v *fsm.View, disks []*disk.Disk) (first *erasure.Store, closeAll func() error, err error) {
	c, err := v.Cluster()
	if err != nil {
		return nil, nil, err
	}
	rows, err := v.Disks()
	if err != nil {
		return nil, nil, err
	}
	stores := make([]*erasure.Store, len(disks))
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
	for i, d := range disks {
		o := erasure.Options{
			ClusterID: [16]byte(c.ClusterId), Node: uint32(i + 1), Incarnation: 1 << 40, Now: time.Now, PackSize: packBytes,
			Topology: func() []erasure.Disk { return topology },
			Remote: func(disk uint32) erasure.ShardTarget {
				for _, s := range stores {
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
			d.Volume(volumeDisk(int(r.Slot) + 1)).Heal()
			o.Disks = append(o.Disks, erasure.DiskConfig{
				FS: d, Dir: volumeDisk(int(r.Slot)+1) + "/shards", Slot: r.Slot, Number: r.Number, ID: [16]byte(r.DiskId),
				Optional: w.mayBeDamaged(int(r.Node)), // its identity may be, too
			})
		}
		if stores[i], err = erasure.OpenStore(o); err != nil {
			return nil, nil, errors.Join(fmt.Errorf("the disks of node %d: %w", i+1, err), closeAll())
		}
	}
	return stores[0], closeAll, nil
}

func nodeOf(v *fsm.View, number uint32) int {
	d, err := v.Disk(number)
	if err != nil || d == nil {
		return 0
	}
	return int(d.Node)
}

// mayBeDamaged tells whether faults were injected that damage a node's shards for good.
func (w *World) mayBeDamaged(node int) bool {
	for _, a := range w.planned {
		if a.Node == node && a.Disk > 0 && strings.HasPrefix(a.ID, "D") {
			for _, f := range faults() {
				if f.id == a.ID && f.name == a.Name && f.where == aBadDisk {
					return true
				}
			}
		}
	}
	return false
}
