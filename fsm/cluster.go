package fsm

import "ironman/wal/event"

// clusterInitialized is genesis: legal once, as the first event.
func (t *tx) clusterInitialized(b *event.ClusterInitialized) *event.Outcome {
	if t.cluster() != nil {
		return refuse(event.Refusal_REFUSAL_EXISTS)
	}
	if len(b.ClusterId) != 16 || b.FeatureLevel == 0 || b.FeatureLevel > event.FeatureLevel ||
		b.HistoryRetention < 0 || b.ReleaseGrace < 0 {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	t.set(key(tableCluster), &Cluster{
		ClusterId: b.ClusterId, Region: b.Region, KeyringFingerprint: b.KeyringFingerprint,
		LedgerOrigin: b.LedgerOrigin, LedgerKey: b.LedgerKey, FeatureLevel: b.FeatureLevel,
		HistoryRetention: b.HistoryRetention, ReleaseGrace: b.ReleaseGrace,
	})
	return accept()
}

// nodeStarted begins an incarnation, whose number is the event's sequence. Blobs
// of the node's older incarnation that no row names can never be named again, so
// the list of those it abandoned is dropped.
func (t *tx) nodeStarted(b *event.NodeStarted) *event.Outcome {
	if b.Node == 0 || len(b.PublicKey) == 0 {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	k := key32(tableNode, b.Node)
	n := get[Node](t, k)
	if n != nil {
		if b.Boot <= n.Boot {
			return refuse(event.Refusal_REFUSAL_CONFLICT) // a clone, or an old backup
		}
		if string(n.PublicKey) != string(b.PublicKey) {
			return refuse(event.Refusal_REFUSAL_CONFLICT)
		}
		t.delete(key(tableIncarnation, n.Incarnation))
		t.scan(key(tableAbandoned, n.Incarnation), func(k, _ []byte) bool {
			t.delete(append([]byte(nil), k...))
			return true
		})
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
	if !t.has(key32(tableNode, b.Node)) {
		return refuse(event.Refusal_REFUSAL_NOT_FOUND)
	}
	idKey := append([]byte{byte(tableDiskID)}, b.DiskId...)
	if d := get[Disk](t, idKey); d != nil {
		if d.Node != b.Node || d.Slot != b.Slot {
			return refuse(event.Refusal_REFUSAL_CONFLICT)
		}
		return &event.Outcome{Refusal: event.Refusal_REFUSAL_EXISTS, Allocated: uint64(d.Number)}
	}
	c := t.cluster()
	c.Disks++
	d := &Disk{Number: c.Disks, DiskId: b.DiskId, Node: b.Node, Slot: b.Slot}
	t.set(key(tableCluster), c)
	t.set(key32(tableDisk, d.Number), d)
	t.set(idKey, d)
	return &event.Outcome{Allocated: uint64(d.Number)}
}

// featureLevelRaised is refused unless every node supports the level.
func (t *tx) featureLevelRaised(b *event.FeatureLevelRaised) *event.Outcome {
	c := t.cluster()
	if b.FeatureLevel <= c.FeatureLevel {
		return refuse(event.Refusal_REFUSAL_EXISTS)
	}
	all := true
	t.scan(key(tableNode), func(k, v []byte) bool {
		n, _, err := decodeRow[Node](k, v)
		if err != nil {
			t.m.fatal(err)
		}
		all = n.FeatureLevel >= b.FeatureLevel
		return all
	})
	if !all {
		return refuse(event.Refusal_REFUSAL_FEATURE_LEVEL)
	}
	c.FeatureLevel = b.FeatureLevel
	t.set(key(tableCluster), c)
	return accept()
}
