package wal

import (
	"context"
	"fmt"
	"time"

	"ironman/wal/event"
	"ironman/wal/ledger"
)

// archiveBatch is the number of leaves taken at a time: a few bundles, so that
// they share directory syncs.
const archiveBatch = 8 * ledger.BundleSize

// archiveLeaves writes the ledger behind the state machine: leaves from its
// queue, proposals from the log's files. What is not there yet stays in both.
func (n *Node) archiveLeaves(ctx context.Context) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		more, err := n.archiveSome()
		if err != nil {
			n.opts.Fatal(fmt.Errorf("wal: archive: %w", err))
		}
		if more && ctx.Err() == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// archiveSome moves whole bundles of leaves into the ledger and tells whether
// there may be more. The order matters: the ledger is durable before the leaves
// leave the queue and before the log's files may go.
func (n *Node) archiveSome() (more bool, err error) {
	leaves, err := n.opts.Machine.Leaves(n.archive.Size(), archiveBatch)
	if err != nil {
		return false, err
	}
	leaves = leaves[:len(leaves)/ledger.BundleSize*ledger.BundleSize]
	if len(leaves) == 0 {
		return false, nil
	}
	records := make([]ledger.Record, len(leaves))
	for i, l := range leaves {
		if records[i], err = n.record(l); err != nil {
			return false, err
		}
	}
	if err := n.archive.Append(records); err != nil {
		return false, err
	}
	last := leaves[len(leaves)-1]
	if err := n.opts.Machine.DropLeaves(last.Seq + 1); err != nil {
		return false, err
	}
	return len(leaves) == archiveBatch, n.log.SetArchived(last.Index)
}

// record joins a leaf with the proposal it is of.
func (n *Node) record(l Leaf) (ledger.Record, error) {
	e, err := n.log.ArchiveEntry(l.Index)
	if err != nil {
		return ledger.Record{}, fmt.Errorf("entry %d of event %d: %w", l.Index, l.Seq, err)
	}
	_, proposal, err := event.ParseEntry(e.Data)
	if err != nil {
		return ledger.Record{}, err
	}
	r := ledger.Record{Seq: l.Seq, Envelope: l.Envelope}
	statement, items := event.Split(proposal)
	r.Statement, r.Items, r.Outcome = statement, ledger.Present(items), l.Outcome
	if len(r.Outcome) == 0 {
		env := &event.Envelope{}
		if err := event.Decode(l.Envelope, env); err != nil {
			return ledger.Record{}, err
		}
		r.Outcome = env.Outcome
	}
	return r, nil
}
