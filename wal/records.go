package wal

import (
	"errors"
	"fmt"

	"ironman/wal/ledger"
	"ironman/wal/segment"
)

// recordsBytes bounds what one call of Records holds in memory, but for its first event.
const recordsBytes = 8 << 20

// Records returns what is recorded of the events from a sequence on, dense and in
// order: at most max of them, and about 8 MiB. None means that this node has not applied
// the event at from yet. It reads the ledger, and behind its end the queue of leaves
// and the log, so that an event is seen as soon as it is applied. Safe for concurrent use.
//
// ErrNotHere says that the state came by snapshot and the records of the events before
// it are still being fetched from other nodes; ErrClosed that there is no ledger yet,
// or no more.
func (n *Node) Records(from uint64, max int) ([]ledger.Record, error) {
	a := n.archiver.Load()
	if a == nil {
		return nil, ErrClosed
	}
	return a.records(from, max)
}

// Unerased returns what is recorded of one event, with what erasures name and is still in
// this node's ledger or log: for who carries them out, and has to know what to look for.
func (n *Node) Unerased(seq uint64) (ledger.Record, error) {
	a := n.archiver.Load()
	if a == nil {
		return ledger.Record{}, ErrClosed
	}
	records, err := a.unerased(seq, 1)
	if err == nil && len(records) == 0 {
		err = fmt.Errorf("%w: event %d", ErrNotHere, seq)
	}
	if err != nil {
		return ledger.Record{}, err
	}
	return records[0], nil
}

func (a *archiver) records(from uint64, max int) ([]ledger.Record, error) {
	records, err := a.unerased(from, max)
	return records, errors.Join(err, a.erase(records))
}

func (a *archiver) unerased(from uint64, max int) ([]ledger.Record, error) {
	for {
		if from < a.archive.Size() {
			return a.archivedRecords(from, max)
		}
		records, err := a.queuedRecords(from, max)
		// A leaf leaves the queue, and its entry the log, only behind its bundle's way
		// into the ledger: what is missing in either is looked for there again.
		if len(records) > 0 || from >= a.archive.Size() {
			return records, err
		}
	}
}

func (a *archiver) archivedRecords(from uint64, max int) (records []ledger.Record, err error) {
	bytes := 0
	for r, err := range a.archive.Records(from) {
		if err != nil {
			return nil, fmt.Errorf("ledger: %w", err)
		}
		records = append(records, r)
		if bytes += r.Bytes(); len(records) >= max || bytes >= recordsBytes {
			break
		}
	}
	return records, nil
}

// queuedRecords makes records of leaves that are not in the ledger yet.
func (a *archiver) queuedRecords(from uint64, max int) (records []ledger.Record, err error) {
	edge, queued, err := a.state.LedgerEdge()
	if err != nil {
		return nil, err
	}
	if from >= edge.Size() {
		return nil, nil
	}
	if from < queued {
		return nil, fmt.Errorf("%w: events %d to %d", ErrNotHere, from, queued-1)
	}
	leaves, err := a.state.Leaves(from, max)
	if err != nil {
		return nil, err
	}
	bytes := 0
	for _, l := range leaves {
		r, err := a.record(l)
		if errors.Is(err, segment.ErrNotFound) {
			if len(records) == 0 {
				return nil, fmt.Errorf("%w: event %d", ErrNotHere, l.Seq)
			}
			return records, nil
		}
		if err != nil {
			return nil, fmt.Errorf("entry %d of event %d: %w", l.Index, l.Seq, err)
		}
		records = append(records, r)
		if bytes += r.Bytes(); bytes >= recordsBytes {
			break
		}
	}
	return records, nil
}
