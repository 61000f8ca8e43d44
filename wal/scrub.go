package wal

import (
	"context"
	"errors"
	"fmt"
	"time"

	"ironman/wal/ledger"
	"ironman/wal/segment"
)

// newMender makes the mender of a node. archive may be nil.
func (n *Node) newMender(others func() []string, archive envelopes) *mender {
	return &mender{
		others: others, ask: n.askEntry, answer: 5 * time.Second, retry: time.Second, patience: n.opts.MendPatience, log: n.opts.Log,
		leaves: &ownLeaves{state: n.opts.Machine, archive: archive, applied: n.opts.Machine.AppliedIndex},
	}
}

// mendAtStart is asked by the log for the entries of a hole, while it opens.
func (n *Node) mendAtStart(h *segment.Hole, whole func(uint64) (segment.Entry, error)) ([]segment.Entry, error) {
	var archive envelopes
	a, err := ledger.Open(ledger.Options{FS: n.opts.FS, Dir: n.opts.FS.PathJoin(n.opts.Dir, "ledger"), ReadOnly: true})
	if err == nil {
		archive = a
		defer a.Close()
	} else {
		n.opts.Log.Info("log: the ledger cannot help to mend the log", "err", err)
	}
	return n.newMender(n.opts.Others, archive).mend(n.live, h, whole)
}

// spare is the index up to which nobody needs the entries of the log: the newest
// snapshot, which ends at the given one, holds them, and so does the ledger.
func (n *Node) spare(snapshot uint64) (uint64, error) {
	edge, queued, err := n.opts.Machine.LedgerEdge()
	if err != nil {
		return 0, err
	}
	leaves, err := n.opts.Machine.Leaves(queued, 1)
	switch {
	case err != nil:
		return 0, err
	case len(leaves) > 0:
		return min(snapshot, leaves[0].Index-1), nil
	case queued < edge.Size():
		return 0, nil // they have just left the queue, and others are behind them
	}
	return min(snapshot, n.opts.Machine.AppliedIndex()), nil
}

// countMended counts what a start found and did.
func (n *Node) countMended(r segment.Recovery) {
	n.damaged.Add(uint64(r.Mended + r.Left))
	n.mended.Add(uint64(r.Mended))
	if r.Mended > 0 {
		n.opts.Log.Warn("log: damaged entries were written again", "entries", r.Mended)
	}
	if r.Left > 0 {
		n.opts.Log.Error("log: entries are damaged that nobody needs any more, for a snapshot and the ledger hold them: "+
			"the log begins behind them", "entries", r.Left, "begins", n.log.Floor()+1)
	}
}

// Damaged tells how many entries of the log were found damaged since the node started
// (again and again, as long as they are), and how many of these were written again.
func (n *Node) Damaged() (found, mended uint64) { return n.damaged.Load(), n.mended.Load() }

// scrubLog reads the sealed files of the log now and then, until ctx ends: what rots
// is to be found while others still have it. (A start reads all of them, too.)
func (n *Node) scrubLog(ctx context.Context) {
	tick := time.NewTicker(n.opts.ScrubEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			n.scrubOnce(ctx)
		}
	}
}

func (n *Node) scrubOnce(ctx context.Context) {
	holes, err := n.log.Scrub(func(bytes int) error { return n.slowly(ctx, bytes) })
	if ctx.Err() != nil || errors.Is(err, segment.ErrClosed) {
		return
	}
	if err != nil {
		n.damaged.Add(1)
		n.opts.Log.Error("log: sealed files cannot be read, or are damaged beyond mending", "err", err)
	}
	for i := range holes {
		if err := n.tend(ctx, &holes[i]); err != nil && ctx.Err() == nil {
			n.opts.Log.Error("log: damaged entries could not be mended: the next scrub, or start, will try again", "damaged", holes[i].String(), "err", err)
		}
	}
}

// slowly waits as long as that many bytes may take.
func (n *Node) slowly(ctx context.Context, bytes int) error {
	t := time.NewTimer(time.Duration(bytes) * time.Second / time.Duration(n.opts.ScrubBytes))
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// tend mends a hole that a scrub found, or sees that nobody needs what was in it.
func (n *Node) tend(ctx context.Context, h *segment.Hole) error {
	count := h.Last - h.First + 1
	n.damaged.Add(count)
	spare, err := n.spare(n.logs.snapshot.Load().Index)
	if err != nil {
		return err
	}
	if h.Last <= spare {
		n.opts.Log.Error("log: entries are damaged that nobody needs any more, for a snapshot and the ledger hold them", "damaged", h.String())
		return n.logs.forget(h.Last)
	}
	var archive envelopes
	if a := n.archiver.Load(); a != nil {
		archive = a.archive
	}
	entries, err := n.newMender(n.askable, archive).mend(ctx, h, n.log.ArchiveEntry)
	if err != nil {
		return err
	}
	if err := n.log.Mend(h, entries); err != nil {
		return fmt.Errorf("writing them again: %w", err)
	}
	n.mended.Add(count)
	n.opts.Log.Warn("log: damaged entries were written again", "entries", count)
	return nil
}
