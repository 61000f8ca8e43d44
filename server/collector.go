package server

import (
	"context"
	"time"

	"ironman/wal/event"
)

// The collector turns what may go into events, and unlinks what events released.
// It infers nothing: every deletion is named by a committed event first.
const (
	collectEvery    = time.Second
	collectBatch    = 1000
	packsEvery      = 30 * time.Second
	segmentsPerStep = 1000
	// A sealed pack may hold shards whose event is still on its way: one is
	// proposed for release only this long after it was first seen without live shards.
	packGrace = 15 * time.Minute
)

func (n *Node) collect(ctx context.Context) {
	tick := time.NewTicker(collectEvery)
	defer tick.Stop()
	seen := make(map[packRef]time.Time)
	var packsAt time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		n.proposeAbandoned(ctx)
		if err := n.releaseBodies(ctx); err != nil {
			n.opts.Logger.Warn("collector: releasing bodies", "err", err)
		}
		if err := n.trimHistory(ctx); err != nil {
			n.opts.Logger.Warn("collector: trimming history", "err", err)
		}
		if now := n.opts.Now(); now.Sub(packsAt) >= packsEvery {
			packsAt = now
			if err := n.releasePacks(ctx, seen); err != nil {
				n.opts.Logger.Warn("collector: releasing packs", "err", err)
			}
		}
	}
}

// proposeAbandoned fences the blobs that failed since the last time.
func (n *Node) proposeAbandoned(ctx context.Context) {
	ids := n.blobs.Abandoned()
	for len(ids) > 0 {
		some := ids[:min(len(ids), collectBatch)]
		_, err := n.proposeSystem(ctx, event.NewDraft(nil, &event.Statement_BlobsAbandoned{BlobsAbandoned: &event.BlobsAbandoned{Blobs: some}}))
		if err != nil {
			n.blobs.Abandon(ids...)
			return
		}
		ids = ids[len(some):]
	}
}

// releaseBodies forgets bodies without references whose grace is over by log time.
// The log's time stands still while nothing happens, so the node's clock is used
// to ask and apply, which knows the entry's stamp, decides.
func (n *Node) releaseBodies(ctx context.Context) error {
	for ctx.Err() == nil {
		v, err := n.machine.View()
		if err != nil {
			return err
		}
		blobs, assemblies, err := v.Due(n.opts.Now().UnixNano(), collectBatch)
		v.Close()
		if err != nil || len(blobs)+len(assemblies) == 0 {
			return err
		}
		b := &event.BlobsReleased{Blobs: blobs}
		for _, a := range assemblies {
			b.Assemblies = append(b.Assemblies, &event.AssemblyRelease{Assembly: a, Segments: segmentsPerStep})
			if len(b.Assemblies) == 10 {
				break
			}
		}
		a, err := n.proposeSystem(ctx, event.NewDraft(nil, &event.Statement_BlobsReleased{BlobsReleased: b}))
		if err != nil || !anyDone(a.Outcome.Subs) {
			return err
		}
	}
	return nil
}

func anyDone(subs []*event.SubOutcome) bool {
	for _, s := range subs {
		if s.Refusal == event.Refusal_REFUSAL_NONE {
			return true
		}
	}
	return false
}

// trimHistory drops history older than the retention, in bounded steps.
func (n *Node) trimHistory(ctx context.Context) error {
	for ctx.Err() == nil {
		v, err := n.machine.View()
		if err != nil {
			return err
		}
		c, err := v.Cluster()
		if err == nil && c.HistoryRetention == 0 {
			return v.Close()
		}
		var to, oldest uint64
		var any bool
		if err == nil {
			oldest, any, err = v.HistoryFrom()
		}
		if err == nil {
			to, err = v.SeqAt(n.opts.Now().Add(-time.Duration(c.HistoryRetention)).Unix())
		}
		v.Close()
		if err != nil || !any || oldest >= to {
			return err
		}
		a, err := n.proposeSystem(ctx, event.NewDraft(nil, &event.Statement_HistoryTrimmed{HistoryTrimmed: &event.HistoryTrimmed{To: to, Rows: collectBatch}}))
		if err != nil || a.Outcome.Allocated == 0 {
			return err
		}
	}
	return nil
}

type packRef struct {
	disk                 uint32
	incarnation, counter uint64
}

// releasePacks proposes sealed packs that hold nothing live and unlinks those that
// an event released.
func (n *Node) releasePacks(ctx context.Context, seen map[packRef]time.Time) error {
	for _, d := range n.blobs.Disks() {
		if d.Failure != nil {
			continue
		}
		disk := d.Identity.Number
		empty, err := n.emptyPacks(disk, seen)
		if err != nil {
			return err
		}
		if len(empty) == 0 {
			continue
		}
		a, err := n.proposeSystem(ctx, event.NewDraft(nil, &event.Statement_PacksReleased{PacksReleased: &event.PacksReleased{Disk: disk, Packs: empty}}))
		if err != nil {
			return err
		}
		var released []*event.PackID
		for i, sub := range a.Outcome.Subs {
			if sub.Refusal == event.Refusal_REFUSAL_NONE {
				released = append(released, empty[i])
			}
		}
		if err := n.blobs.Unlink(ctx, disk, released...); err != nil {
			return err
		}
	}
	return nil
}

// emptyPacks are the sealed packs of a disk that have had no live shard for the grace.
func (n *Node) emptyPacks(disk uint32, seen map[packRef]time.Time) ([]*event.PackID, error) {
	packs, err := n.blobs.Packs(disk)
	if err != nil {
		return nil, err
	}
	v, err := n.machine.View()
	if err != nil {
		return nil, err
	}
	defer v.Close()
	now := n.opts.Now()
	var empty []*event.PackID
	for _, p := range packs {
		ref := packRef{disk, p.Pack.Incarnation, p.Pack.Counter}
		row, err := v.Pack(disk, p.Pack.ID())
		if err != nil {
			return nil, err
		}
		if !p.Sealed || row.GetLiveShards() > 0 {
			delete(seen, ref)
			continue
		}
		first, ok := seen[ref]
		if !ok {
			seen[ref] = now
			continue
		}
		if now.Sub(first) >= packGrace && len(empty) < collectBatch {
			empty = append(empty, p.Pack.ID())
			delete(seen, ref)
		}
	}
	return empty, nil
}
