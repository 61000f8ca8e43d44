package server

import (
	"context"
	"errors"
	"fmt"

	"ironman/fsm"
	"ironman/server/audit"
	"ironman/wal"
	"ironman/wal/event"
	"ironman/wal/reads"
)

// eraseReads takes what this node's log of reads tells of the keys that erasures name, behind
// done, up to last.
//
// An erasure tells no names. They stand in the payloads that it is about, until this node
// takes them out of its log and ledger: so this comes first. Where one is gone already, because
// the record came from a node that has erased it, there is nothing to look for: then the
// reads go that found what the event made, and of its bucket all those that found nothing.
// That is more than was asked for, and never less. Bytes of keys that no event ever told of
// nobody can have read; that somebody asked for them is not found.
func (e *eraser) eraseReads(ctx context.Context, last, done uint64) error {
	l := e.n.reads
	if l == nil {
		return nil
	}
	for r, err := range l.log.Records(l.log.Kept()) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("the log of reads: %w", err)
		}
		d, err := reads.Decode(&r)
		if err != nil {
			return err
		}
		if d.Read.Kind == event.ReadKind_READ_KIND_ERASED && d.Read.From >= last {
			return nil // a crash came between
		}
	}
	names := audit.NewErasedNames()
	if err := e.findNames(ctx, names, last, done); err != nil {
		return err
	}
	if names.Empty() {
		return nil
	}
	n, err := l.log.Erase(ctx, names.Meant)
	if err != nil {
		return fmt.Errorf("the log of reads: %w", err)
	}
	if err := l.log.Erased(last, uint64(n)); err != nil {
		return err
	}
	e.n.opts.Logger.Info("an erasure was carried out in the log of reads", "event", last, "records", n)
	return nil
}

// findNames learns what erasures name.
func (e *eraser) findNames(ctx context.Context, names *audit.ErasedNames, last, done uint64) error {
	for from, more := uint64(0), true; more; {
		var some []fsm.ErasedPayload
		more = false
		err := e.n.machine.Erased(from, last, func(p fsm.ErasedPayload) bool {
			if len(some) == eraseTargets {
				more = true
				return false
			}
			if from = p.Seq + 1; p.By > done {
				some = append(some, p)
			}
			return true
		})
		if err != nil {
			return err
		}
		for _, p := range some {
			if err := ctx.Err(); err != nil {
				return err
			}
			r, err := e.n.log.Unerased(p.Seq)
			if errors.Is(err, wal.ErrNotHere) {
				// It is still to come from another node: the erasure waits for it anyway.
				return fmt.Errorf("%w: event %d is not here yet", errNotNow, p.Seq)
			}
			if err == nil {
				err = names.Learn(&r, p.Items)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}
