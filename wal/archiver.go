package wal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"ironman/wal/event"
	"ironman/wal/ledger"
	"ironman/wal/merkle"
	"ironman/wal/segment"
)

const (
	// archiveBatch is the number of leaves taken at a time: a few bundles, so that
	// they share directory syncs.
	archiveBatch = 8 * ledger.BundleSize
	// archiveBytes of records in memory are enough to archive the bundles that are
	// whole, even if there are fewer.
	archiveBytes = 16 << 20
)

// ledgerState is what the archiver needs of the Machine.
type ledgerState interface {
	LedgerEdge() (edge *merkle.Frontier, queued uint64, err error)
	Leaves(from uint64, max int) ([]Leaf, error)
	DropLeaves(seq uint64) error
	Erased(from, to uint64) ([]ledger.Target, error)
}

// ledgerLog is what the archiver needs of the log's files.
type ledgerLog interface {
	ArchiveEntry(index uint64) (segment.Entry, error)
	SetArchived(index uint64) error
}

// archiver writes the ledger behind the state machine, bundle by bundle in order:
// leaves from the state's queue, proposals from the log's files. A bundle that
// cannot be made of these comes from peers (backfill.go). What is not there yet
// stays in queue and log. For one goroutine, but for reach and archive.
type archiver struct {
	state   ledgerState
	log     ledgerLog
	archive *ledger.Archive
	peers   ledgerPeers
	pace    pace
	now     func() time.Time
	logger  *slog.Logger

	// reach is where the back-fill under way ends; 0: there is none.
	reach  atomic.Uint64
	pauses map[string]pause // of peers, by name
	quiet  time.Time        // until then it is not said that nobody serves
}

// archiveLeaves archives until ctx ends.
func (n *Node) archiveLeaves(ctx context.Context, a *archiver) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		more, err := a.step(ctx)
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

// step moves some whole bundles into the ledger and tells whether there may be
// more. The edge is read before the queue, so that every whole bundle of its tree
// that is queued at all is seen.
func (a *archiver) step(ctx context.Context) (more bool, err error) {
	edge, queued, err := a.state.LedgerEdge()
	if err != nil {
		return false, err
	}
	whole, size := edge.Whole(ledger.TileHeight), a.archive.Size()
	if err := a.dropAgain(queued, min(edge.Size(), size)); err != nil {
		return false, err
	}
	if whole.Size() <= size {
		return false, nil
	}
	if queued <= size {
		leaves, err := a.state.Leaves(size, archiveBatch)
		if err != nil {
			return false, err
		}
		records, err := a.join(leaves)
		if err != nil {
			return false, err
		}
		if len(records) > 0 {
			if err := a.agrees(records, whole); err != nil {
				return false, err
			}
			return true, a.put(records, leaves[len(records)-1].Index)
		}
	}
	err = a.backfill(ctx, whole, queued)
	if ctx.Err() != nil {
		return false, nil
	}
	return err == nil, err
}

// dropAgain drops leaves that are archived, if a crash has brought them back, and
// tells the log, which does not remember.
func (a *archiver) dropAgain(queued, archived uint64) error {
	if queued >= archived {
		return nil
	}
	last, err := a.state.Leaves(archived-1, 1)
	if err != nil || len(last) == 0 {
		return err
	}
	if err := a.state.DropLeaves(archived); err != nil {
		return err
	}
	return a.log.SetArchived(last[0].Index)
}

// agrees checks, where records end with the state's last whole bundle, that archive
// and records make the state's own tree. They do unless the archive is another
// ledger's, or damaged; a checkpoint of that must never be signed.
func (a *archiver) agrees(records []ledger.Record, whole *merkle.Frontier) error {
	if records[len(records)-1].Seq+1 != whole.Size() {
		return nil
	}
	edge := a.archive.Frontier()
	for i := range records {
		edge.Append(records[i].Envelope)
	}
	if edge.Root() != whole.Root() {
		return fmt.Errorf("the ledger's %d events and the leaves behind them do not make the tree that the state has of the first %d",
			a.archive.Size(), whole.Size())
	}
	return nil
}

// put archives records, the last of which is the event of the entry at index (0:
// that is not known). The order matters: the ledger is durable before the leaves
// leave the queue and before the log's files may go.
func (a *archiver) put(records []ledger.Record, index uint64) error {
	if err := a.erase(records); err != nil {
		return err
	}
	if err := a.archive.Append(records); err != nil {
		return err
	}
	if err := a.state.DropLeaves(records[len(records)-1].Seq + 1); err != nil {
		return err
	}
	if index == 0 {
		return nil
	}
	return a.log.SetArchived(index)
}

// erase takes out of records, dense ones, what the state says was erased: the log holds it
// until it is truncated, and so may the ledgers of others.
func (a *archiver) erase(records []ledger.Record) error {
	if len(records) == 0 {
		return nil
	}
	first := records[0].Seq
	targets, err := a.state.Erased(first, first+uint64(len(records)))
	if err != nil {
		return err
	}
	for _, t := range targets {
		if _, err := records[t.Seq-first].Erase(t); err != nil {
			return fmt.Errorf("event %d: %w", t.Seq, err)
		}
	}
	return nil
}

// join makes the records of whole bundles of leaves, up to the first one that the
// log does not hold all entries of.
func (a *archiver) join(leaves []Leaf) ([]ledger.Record, error) {
	var records []ledger.Record
	bytes := 0
	for len(leaves) >= ledger.BundleSize && bytes < archiveBytes {
		for _, l := range leaves[:ledger.BundleSize] {
			r, err := a.record(l)
			if errors.Is(err, segment.ErrNotFound) {
				return records[:len(records)/ledger.BundleSize*ledger.BundleSize], nil
			}
			if err != nil {
				return nil, fmt.Errorf("entry %d of event %d: %w", l.Index, l.Seq, err)
			}
			records = append(records, r)
			bytes += r.Bytes()
		}
		leaves = leaves[ledger.BundleSize:]
	}
	return records, nil
}

// record joins a leaf with the proposal it is of.
func (a *archiver) record(l Leaf) (ledger.Record, error) {
	e, err := a.log.ArchiveEntry(l.Index)
	if err != nil {
		return ledger.Record{}, err
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
