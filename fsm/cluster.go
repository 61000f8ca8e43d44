package fsm

import (
	"bytes"
	"fmt"

	"ironman/sim/sabotage"
	"ironman/wal/event"
)

// errLevel means that the cluster has gone on to a level this binary does not know.
var errLevel = fmt.Errorf("%w: feature level above %d", event.ErrNewer, event.FeatureLevel)

// clusterInitialized is genesis: legal once. Until then all else is refused.
func (t *tx) clusterInitialized(b *event.ClusterInitialized) *event.Outcome {
	if t.cluster() != nil {
		return refuse(event.Refusal_REFUSAL_EXISTS)
	}
	if len(b.ClusterId) != 16 || b.FeatureLevel == 0 || b.HistoryRetention < 0 || b.ReleaseGrace < 0 {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	if b.FeatureLevel > event.FeatureLevel {
		t.m.fatal(errLevel)
	}
	t.set(key(tableCluster), &Cluster{
		ClusterId: b.ClusterId, Region: b.Region, KeyringFingerprint: b.KeyringFingerprint,
		LedgerOrigin: b.LedgerOrigin, LedgerKey: b.LedgerKey, FeatureLevel: b.FeatureLevel,
		HistoryRetention: b.HistoryRetention, ReleaseGrace: b.ReleaseGrace,
	})
	return accept()
}

// nodeAdded gives a node the next number. Rows of nodes are never deleted, so that
// no number and no key is ever used again.
func (t *tx) nodeAdded(b *event.NodeAdded) *event.Outcome {
	if len(b.PublicKey) == 0 || len(b.PublicKey) > maxNodeKey || !validName(b.LinkAddress) {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	var known *Node
	highest := uint32(0)
	t.eachNode(func(n *Node) bool {
		highest = max(highest, n.Node)
		if bytes.Equal(n.PublicKey, b.PublicKey) {
			known = n
		}
		return true
	})
	switch {
	case known != nil && known.Removed:
		return refuse(event.Refusal_REFUSAL_CONFLICT)
	case known != nil:
		return &event.Outcome{Refusal: event.Refusal_REFUSAL_EXISTS, Allocated: uint64(known.Node)}
	}
	n := &Node{Node: highest + 1, PublicKey: b.PublicKey, LinkAddress: b.LinkAddress}
	t.set(key32(tableNode, n.Node), n)
	return &event.Outcome{Allocated: uint64(n.Node)}
}

// nodeRemoved ends a node. Its row stays, so that neither its number nor its key
// can come back; what its disks hold is for others to heal.
func (t *tx) nodeRemoved(b *event.NodeRemoved) *event.Outcome {
	n := get[Node](t, key32(tableNode, b.Node))
	if n == nil || n.Removed {
		return refuse(event.Refusal_REFUSAL_NOT_FOUND)
	}
	t.remove(n)
	return accept()
}

func (t *tx) remove(n *Node) {
	t.fence(n)
	n.Removed, n.Incarnation = true, 0
	t.set(key32(tableNode, n.Node), n)
}

// fence ends a node's incarnation: blobs of it that no row names can never be
// named again, so the list of those it abandoned is dropped.
func (t *tx) fence(n *Node) {
	if n.Incarnation == 0 {
		return // it never started
	}
	t.delete(key(tableIncarnation, n.Incarnation))
	t.deleteAll(key(tableAbandoned, n.Incarnation))
}

// eachNode calls f for every node that was ever added or started, until it says stop.
func (t *tx) eachNode(f func(*Node) bool) {
	t.scan([]byte{byte(tableNode)}, func(k, v []byte) bool {
		n, _, err := decodeRow[Node](k, v)
		if err != nil {
			t.m.fatal(err)
		}
		return f(n)
	})
}

// maxNodeKey bounds a node's public key in PKIX form (Ed25519 takes 44 bytes).
const maxNodeKey = 1024

// nodeStarted begins an incarnation, whose number is the event's sequence. From
// level 2 on a node that nobody added is refused, but for the first of a cluster.
func (t *tx) nodeStarted(b *event.NodeStarted) *event.Outcome {
	if b.Node == 0 || len(b.PublicKey) == 0 {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	k := key32(tableNode, b.Node)
	n := get[Node](t, k)
	switch {
	case n == nil && t.cluster().FeatureLevel >= 2 && (b.Node != 1 || t.any([]byte{byte(tableNode)})):
		return refuse(event.Refusal_REFUSAL_NOT_FOUND)
	case n.GetRemoved():
		return refuse(event.Refusal_REFUSAL_NOT_FOUND)
	case n != nil:
		if b.Boot <= n.Boot && !sabotage.On(sabotage.X48) || !bytes.Equal(n.PublicKey, b.PublicKey) {
			return refuse(event.Refusal_REFUSAL_CONFLICT) // a clone, an old backup, an impostor
		}
		t.fence(n)
	}
	t.set(key(tableIncarnation, t.seq), &Incarnation{Node: b.Node})
	t.set(k, &Node{
		Node: b.Node, PublicKey: b.PublicKey, Boot: b.Boot, Incarnation: t.seq,
		LinkAddress: b.LinkAddress, Version: b.Version, FeatureLevel: b.FeatureLevel,
	})
	return &event.Outcome{Allocated: t.seq}
}

// diskAdded gives a disk its number. A disk that has one keeps it.
func (t *tx) diskAdded(b *event.DiskAdded) *event.Outcome {
	if len(b.DiskId) != 16 {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	if n := look[Node](t, key32(tableNode, b.Node)); n == nil || n.Removed {
		return refuse(event.Refusal_REFUSAL_NOT_FOUND)
	}
	idKey := append([]byte{byte(tableDiskID)}, b.DiskId...)
	if d := get[Disk](t, idKey); d != nil {
		if d.Node != b.Node || d.Slot != b.Slot {
			return refuse(event.Refusal_REFUSAL_CONFLICT)
		}
		return &event.Outcome{Refusal: event.Refusal_REFUSAL_EXISTS, Allocated: uint64(d.Number)}
	}
	c := get[Cluster](t, key(tableCluster))
	c.Disks++
	d := &Disk{Number: c.Disks, DiskId: b.DiskId, Node: b.Node, Slot: b.Slot}
	t.set(key(tableCluster), c)
	t.set(key32(tableDisk, d.Number), d)
	t.set(idKey, d)
	return &event.Outcome{Allocated: uint64(d.Number)}
}

// featureLevelRaised is refused unless every node supports the level.
func (t *tx) featureLevelRaised(b *event.FeatureLevelRaised) *event.Outcome {
	c := get[Cluster](t, key(tableCluster))
	if b.FeatureLevel <= c.FeatureLevel {
		return refuse(event.Refusal_REFUSAL_EXISTS)
	}
	lowest := uint32(0) // of all nodes; without nodes nobody supports anything
	t.eachNode(func(n *Node) bool {
		if n.Removed {
			return true
		}
		if lowest == 0 || n.FeatureLevel < lowest {
			lowest = n.FeatureLevel
		}
		return lowest > 0
	})
	if lowest < b.FeatureLevel {
		return refuse(event.Refusal_REFUSAL_FEATURE_LEVEL)
	}
	t.raise(c, b.FeatureLevel)
	t.set(key(tableCluster), c)
	return accept()
}

// raise takes the cluster, whose row the caller writes, to a higher level.
func (t *tx) raise(c *Cluster, level uint32) {
	if level > event.FeatureLevel {
		t.m.fatal(errLevel)
	}
	if c.FeatureLevel < 3 && level >= 3 {
		t.countParts()
		t.indexVault()
	}
	c.FeatureLevel = level
}
