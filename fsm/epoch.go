package fsm

import (
	"bytes"
	"slices"

	"ironman/wal/event"
)

// epochBegun goes on with a cluster from a point of its past, on one node alone. All
// nodes before are shut out as nodeRemoved does it; the new one gets the next number,
// which no node of any other future of that point can believe to be its own, for its key
// is another. The ledger goes on under an origin that it never had and a new key.
//
// It may raise the feature level, and is then the one event that is written in a higher
// level than the cluster's: none of the nodes that could not read it is left.
func (t *tx) epochBegun(b *event.EpochBegun) *event.Outcome {
	if len(b.PublicKey) == 0 || len(b.PublicKey) > maxNodeKey || !validName(b.LinkAddress) || !validName(b.Remark) ||
		b.LedgerOrigin == "" || !validName(b.LedgerOrigin) || b.LedgerKey == "" || !validName(b.LedgerKey) {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	c := get[Cluster](t, key(tableCluster))
	var others []*Node
	highest := uint32(0)
	var known *Node
	t.eachNode(func(n *Node) bool {
		highest = max(highest, n.Node)
		if bytes.Equal(n.PublicKey, b.PublicKey) {
			known = n
		}
		if !n.Removed {
			others = append(others, n)
		}
		return true
	})
	switch {
	case known != nil && !known.Removed && c.LedgerOrigin == b.LedgerOrigin && c.LedgerKey == b.LedgerKey:
		return &event.Outcome{Refusal: event.Refusal_REFUSAL_EXISTS, Allocated: uint64(known.Node)}
	case known != nil || c.had(b.LedgerOrigin, b.LedgerKey):
		return refuse(event.Refusal_REFUSAL_CONFLICT)
	}
	for _, n := range others {
		t.remove(n)
	}
	n := &Node{Node: highest + 1, PublicKey: b.PublicKey, LinkAddress: b.LinkAddress}
	t.set(key32(tableNode, n.Node), n)
	c.PastEpochs = append(c.PastEpochs, &PastEpoch{LedgerOrigin: c.LedgerOrigin, LedgerKey: c.LedgerKey, End: t.seq})
	c.LedgerOrigin, c.LedgerKey = b.LedgerOrigin, b.LedgerKey
	if b.FeatureLevel > c.FeatureLevel {
		t.raise(c, b.FeatureLevel)
	}
	t.set(key(tableCluster), c)
	return &event.Outcome{Allocated: uint64(n.Node)}
}

// had tells whether the ledger has, or ever had, an origin or a key.
func (c *Cluster) had(origin, key string) bool {
	return c.LedgerOrigin == origin || c.LedgerKey == key || slices.ContainsFunc(c.PastEpochs, func(p *PastEpoch) bool {
		return p.LedgerOrigin == origin || p.LedgerKey == key
	})
}
