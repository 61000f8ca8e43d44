package server

import (
	"context"

	"ironman/s3api"
	"ironman/wal/event"
)

// InterposeForTest has f called before each event that a client's request proposes; nil: no more.
func (n *Node) InterposeForTest(f func(context.Context)) {
	n.s3.Log = interposed{proposer{n}, f}
}

type interposed struct {
	s3api.Log
	before func(context.Context)
}

func (i interposed) Propose(ctx context.Context, d *event.Draft) (uint64, *event.Outcome, error) {
	if i.before != nil {
		i.before(ctx)
	}
	return i.Log.Propose(ctx, d)
}
