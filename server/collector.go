package server

import (
	"context"
	"time"

	"ironman/wal/event"
)

// abandonLimit bounds the last proposal of a node that stops; what it cannot fence
// then, its next start does.
const abandonLimit = 2 * time.Second

// The collector turns what may go into events. It infers nothing: every deletion is
// named by a committed event first. What has to wait for a disk or for a reader is
// done elsewhere (packCollector), so that nothing else waits with it.
const (
	collectEvery    = time.Second
	collectBatch    = 1000
	segmentsPerStep = 1000
)

// collect releases what no row refers to any more, until ctx ends.
func (n *Node) collect(ctx context.Context) {
	tick := time.NewTicker(collectEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		n.proposeAbandoned(ctx)
		if n.log.Leads() { // one node is enough for what is not a node's own
			n.collectShared(ctx)
		}
	}
}

// collectShared does what the cluster as a whole is due.
func (n *Node) collectShared(ctx context.Context) {
	if err := n.releaseBodies(ctx); err != nil {
		n.opts.Logger.Warn("collector: releasing bodies", "err", err)
	}
	if err := n.trims.pass(ctx); err != nil {
		n.opts.Logger.Warn("collector: trimming history", "err", err)
	}
	if err := n.raiseLevel(ctx); err != nil {
		n.opts.Logger.Warn("collector: raising the feature level", "err", err)
	}
}

// raiseLevel announces the newest feature level that every node understands.
func (n *Node) raiseLevel(ctx context.Context) error {
	level := n.members.level()
	if level >= event.FeatureLevel || n.members.lowestLevel() <= level {
		return nil
	}
	a, err := n.proposeSystem(ctx, event.NewDraft(nil, &event.Statement_FeatureLevelRaised{FeatureLevelRaised: &event.FeatureLevelRaised{
		FeatureLevel: min(event.FeatureLevel, n.members.lowestLevel()),
	}}))
	if err == nil && a.Outcome.Refusal == event.Refusal_REFUSAL_NONE {
		n.opts.Logger.Info("the cluster's feature level was raised", "from", level)
	}
	return err
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
