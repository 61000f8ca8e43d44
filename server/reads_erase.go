package server

import (
	"context"
	"errors"
	"fmt"

	"ironman/fsm"
	"ironman/server/audit"
	"ironman/wal"
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
//
// Where the log of reads is damaged, everything that can be read is done, and the rest told of:
// errReadsDamaged. Then it is tried again, for the same names, since nobody else knows them.
func (e *eraser) eraseReads(ctx context.Context, last, done uint64) error {
	l := e.n.reads
	switch {
	case e.n.readsProblem != nil:
		return fmt.Errorf("%w: %w", errReadsDamaged, e.n.readsProblem)
	case l == nil:
		return nil
	}
	if e.names == nil {
		e.names, e.known = audit.NewErasedNames(), done
	}
	if e.known < last {
		if err := e.findNames(ctx, e.names, last, e.known); err != nil {
			e.names = nil
			return err
		}
		e.known = last
	}
	if !e.names.Empty() {
		if err := e.eraseNames(ctx, last); err != nil {
			return err
		}
	}
	e.names = nil
	return nil
}

// errReadsDamaged says that an erasure is carried out but in the log of reads.
var errReadsDamaged = errors.New("the log of reads is damaged, so that an erasure cannot be carried out in all of it; elsewhere on this node it is. Stop the node and take its directory of reads away, or put a whole one back")

func (e *eraser) eraseNames(ctx context.Context, last uint64) error {
	log := e.n.reads.log
	through, err := log.ErasedThrough(ctx)
	if err != nil {
		return fmt.Errorf("the log of reads: %w", err)
	}
	if through >= last {
		return nil // a crash came between
	}
	n, err := log.Erase(ctx, e.names.Meant)
	if errors.Is(err, reads.ErrUnreadable) {
		return fmt.Errorf("%w: %w", errReadsDamaged, err)
	}
	if err != nil {
		return fmt.Errorf("the log of reads: %w", err)
	}
	if err := log.Erased(last, uint64(n)); err != nil {
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
