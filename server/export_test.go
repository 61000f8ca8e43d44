package server

import (
	"context"

	"ironman/wal/event"
)

// ProposeForTest proposes an event of the store's own, such as no operation of this
// release makes, and returns how it was judged.
func (n *Node) ProposeForTest(ctx context.Context, d *event.Draft) (*event.Outcome, error) {
	a, err := n.proposeSystem(ctx, d)
	return a.Outcome, err
}

// ResolveForTest settles a request whose outcome is unknown.
func (n *Node) ResolveForTest(ctx context.Context, h *event.Header) (*event.Outcome, error) {
	a, err := n.resolve(ctx, h)
	return a.Outcome, err
}
