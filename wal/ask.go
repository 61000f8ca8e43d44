package wal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"ironman/wal/event"
)

// ask sends a request to another node and returns the body of its answer. The error
// is ErrNotDone, with ErrOverloaded or ErrRefused where it is that, or ErrUnknown.
func (n *Node) ask(ctx context.Context, id string, kind byte, body []byte) ([]byte, error) {
	b, err := n.opts.Ask(ctx, id, request{kind: kind, body: body}.encode())
	switch {
	case errors.Is(err, ErrNotDone):
		return nil, fmt.Errorf("%s: %w", id, err)
	case err != nil:
		return nil, fmt.Errorf("%w: %s: %w", ErrUnknown, id, err)
	}
	a, err := decodeAnswer(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrUnknown, id, err)
	}
	if err := a.err(); err != nil {
		return nil, fmt.Errorf("%s: %w", id, err)
	}
	return a.body, nil
}

// Answer answers a request that the node called from made with its Ask. The error
// is that of bytes which are no request. Safe for concurrent use; what is asked of
// this node is never passed on to another.
func (n *Node) Answer(ctx context.Context, from string, b []byte) ([]byte, error) {
	r, err := decodeRequest(b)
	if errors.Is(err, event.ErrMalformed) {
		return nil, fmt.Errorf("wal: from %s: %w", from, err)
	}
	var body []byte
	switch {
	case err != nil: // newer than this release
	case !n.listensTo(from):
		err = fmt.Errorf("%w: %s is not a member of the cluster", ErrRefused, from)
	default:
		body, err = n.answer(ctx, from, r)
	}
	return answerOf(body, err).encode(), nil
}

func (n *Node) answer(ctx context.Context, from string, r request) ([]byte, error) {
	if r.kind == kindStatus {
		return nodeStatus{term: n.raft.CurrentTerm(), applied: n.opts.Machine.AppliedIndex()}.encode(), nil
	}
	ctx, cancel := n.untilClose(ctx)
	defer cancel()
	switch r.kind {
	case kindPropose:
		return n.answerProposal(ctx, r.body)
	case kindPoint:
		p, err := n.readPoint(ctx, from, binary.BigEndian.Uint64(r.body))
		return appendPoint(nil, p), err
	case kindAdd, kindRemove:
		return nil, n.changeHere(ctx, r.kind, string(r.body))
	case kindRecords:
		return n.answerRecords(r.body)
	case kindEntry:
		return n.answerEntry(binary.BigEndian.Uint64(r.body))
	}
	return nil, fmt.Errorf("request of kind %d: %w", r.kind, event.ErrNewer)
}

// bound is ctx, which also ends when patience or the node does.
func (n *Node) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	stop := context.AfterFunc(n.live, cancel)
	return ctx, func() { stop(); cancel() }
}

// untilClose is ctx, which also ends when the node does.
func (n *Node) untilClose(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(n.live, cancel)
	return ctx, func() { stop(); cancel() }
}

// pause waits a moment before the next try, or until another leader is known.
func (n *Node) pause(ctx context.Context, changed <-chan struct{}) error {
	wait := 20 * time.Millisecond
	if _, known := n.Leader(); !known {
		wait = 200 * time.Millisecond // changed will tell
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
		if n.live.Err() != nil { // it may have ended because the node did: see untilClose
			return ErrClosed
		}
		return ctx.Err()
	case <-n.closing:
		return ErrClosed
	case <-changed:
	case <-t.C:
	}
	return nil
}
