package server

import (
	"context"
	"time"

	"ironman/wal/event"
)

// ProposeForTest proposes an event of the store's own, such as no operation of this
// release makes, and returns how it was judged.
func (n *Node) ProposeForTest(ctx context.Context, d *event.Draft) (*event.Outcome, error) {
	a, err := n.proposeSystem(ctx, d)
	return a.Outcome, err
}

// ResolveForTest settles a request whose outcome is unknown.
func (n *Node) ResolveForTest(ctx context.Context, h *event.Header) (*event.Outcome, error) {
	a, err := n.resolve(ctx, h)
	return a.Outcome, err
}

// PackPassesForTest is a collector of a disk's packs that makes a pass when asked.
func (n *Node) PackPassesForTest(disk uint32, patience time.Duration) (pass, forget func(context.Context) error) {
	c := newPackCollector(n, disk)
	c.patience = patience
	return c.pass, c.forget
}

// PacksForTest counts the packs on a disk, and the rows of released ones.
func (n *Node) PacksForTest(disk uint32) (files, released int, err error) {
	packs, err := n.blobs.Packs(disk)
	if err != nil {
		return 0, 0, err
	}
	v, err := n.machine.View()
	if err != nil {
		return 0, 0, err
	}
	defer v.Close()
	rows, err := v.Packs(disk)
	for _, p := range rows {
		if p.Row.Released {
			released++
		}
	}
	return len(packs), released, err
}

// OpenPacksForTest counts the packs on a disk to which something is being written.
func (n *Node) OpenPacksForTest(disk uint32) (open int, err error) {
	packs, err := n.blobs.Packs(disk)
	for _, p := range packs {
		if !p.Sealed {
			open++
		}
	}
	return open, err
}

// LiveShardsForTest counts the shards on a disk that blobs name.
func (n *Node) LiveShardsForTest(disk uint32) (live uint64, err error) {
	v, err := n.machine.View()
	if err != nil {
		return 0, err
	}
	defer v.Close()
	rows, err := v.Packs(disk)
	for _, p := range rows {
		live += p.Row.LiveShards
	}
	return live, err
}
