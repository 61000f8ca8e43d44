package server

import (
	"context"
	"errors"
	"time"

	"ironman/erasure"
	"ironman/sim/sabotage"
	"ironman/wal/event"
)

const (
	// packsEvery is the longest pause between two passes.
	packsEvery = 30 * time.Second
	// unlinkPatience is how long one pass waits for those who still read a pack.
	unlinkPatience = 5 * time.Second
)

// packCollector releases the packs of one disk that hold nothing live, and unlinks
// them. Each disk has its own: one that hangs, or whose pack is read by a client that
// takes hours, holds up nothing else.
type packCollector struct {
	n        *Node
	disk     uint32
	patience time.Duration

	// since tells of each sealed pack without live shards when it was first seen so.
	since map[erasure.PackKey]time.Time
	// released are packs that an event released and that may still be on the disk.
	released []*event.PackID
}

func newPackCollector(n *Node, disk uint32) *packCollector {
	return &packCollector{n: n, disk: disk, patience: unlinkPatience, since: make(map[erasure.PackKey]time.Time)}
}

// run works until ctx ends.
func (c *packCollector) run(ctx context.Context) {
	tick := time.NewTicker(min(packsEvery, c.n.opts.PackGrace))
	defer tick.Stop()
	err := c.forget(ctx)
	for ctx.Err() == nil {
		if err = errors.Join(err, c.pass(ctx)); err != nil {
			c.n.opts.Logger.Warn("collector: releasing packs", "disk", c.disk, "err", err)
		}
		err = nil
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// pass releases what has been empty for the grace, and unlinks what is released.
func (c *packCollector) pass(ctx context.Context) error {
	if c.failed() || !c.n.holds.held(c.n.opts.Now()).IsZero() {
		return nil
	}
	empty, err := c.empty()
	if err != nil {
		return err
	}
	return c.release(ctx, empty)
}

// release has packs released that were seen to be empty, and unlinks what is. Since
// they were seen an event may have named a shard in one: apply knows, and refuses it.
func (c *packCollector) release(ctx context.Context, empty []*event.PackID) error {
	if len(empty) > 0 {
		done, err := c.propose(ctx, empty)
		if err != nil {
			return err
		}
		c.released = append(c.released, done...)
	}
	return c.unlink(ctx)
}

func (c *packCollector) failed() bool {
	for _, d := range c.n.blobs.Disks() {
		if d.Identity.Number == c.disk {
			return d.Failure != nil
		}
	}
	return true
}

// empty are the sealed packs that have had no live shard for the grace.
func (c *packCollector) empty() ([]*event.PackID, error) {
	packs, err := c.n.blobs.Packs(c.disk)
	if err != nil {
		return nil, err
	}
	v, err := c.n.machine.View()
	if err != nil {
		return nil, err
	}
	defer v.Close()
	now := c.n.opts.Now()
	released := make(map[erasure.PackKey]bool)
	for _, id := range c.released {
		released[erasure.PackKeyOf(id)] = true
	}
	since := make(map[erasure.PackKey]time.Time)
	var empty []*event.PackID
	for _, p := range packs {
		row, err := v.Pack(c.disk, p.Pack.ID())
		if err != nil {
			return nil, err
		}
		if p.Sealed && row == nil && sabotage.On(sabotage.X30) {
			c.released = append(c.released, p.Pack.ID()) // by no event
		}
		if !p.Sealed || row.GetLiveShards() > 0 || released[p.Pack] {
			continue
		}
		first, ok := c.since[p.Pack]
		if !ok || first.After(now) { // or the clock was set back
			first = now
		}
		if now.Sub(first) >= c.n.opts.PackGrace && len(empty) < collectBatch {
			empty = append(empty, p.Pack.ID())
			continue
		}
		since[p.Pack] = first
	}
	c.since = since
	return empty, nil
}

// propose has packs released and returns those of which apply allowed it.
func (c *packCollector) propose(ctx context.Context, packs []*event.PackID) (done []*event.PackID, err error) {
	a, err := c.n.proposeSystem(ctx, event.NewDraft(nil, &event.Statement_PacksReleased{
		PacksReleased: &event.PacksReleased{Disk: c.disk, Packs: packs},
	}))
	if err != nil {
		return nil, err
	}
	for i, sub := range a.Outcome.Subs {
		if sub.Refusal == event.Refusal_REFUSAL_NONE {
			done = append(done, packs[i])
		}
	}
	return done, nil
}

// unlink removes the files of released packs. One that is still read stays until a
// later pass.
func (c *packCollector) unlink(ctx context.Context) error {
	if len(c.released) == 0 || !c.n.holds.held(c.n.opts.Now()).IsZero() { // since the pass began
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, c.patience)
	defer cancel()
	err := c.n.blobs.Unlink(limited, c.disk, c.released...)
	if err == nil {
		c.released = nil
	}
	return err
}

// forget drops the rows of released packs that an older incarnation made: apply
// kept them because that one could still have named shards in them.
func (c *packCollector) forget(ctx context.Context) error {
	for ctx.Err() == nil {
		v, err := c.n.machine.View()
		if err != nil {
			return err
		}
		packs, err := v.ReleasedPacks(c.disk, c.n.incarnation, collectBatch)
		if err := errors.Join(err, v.Close()); err != nil || len(packs) == 0 {
			return err
		}
		done, err := c.propose(ctx, packs)
		if err != nil || len(done) == 0 {
			return err
		}
	}
	return nil
}
