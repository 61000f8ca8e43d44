package fsm

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"google.golang.org/protobuf/proto"

	"ironman/wal/event"
)

func (m *model) beginEpoch(b *event.EpochBegun) *event.Outcome {
	if len(b.PublicKey) == 0 || len(b.PublicKey) > 1024 || b.LedgerOrigin == "" || b.LedgerKey == "" ||
		!text(b.LinkAddress) || !text(b.LedgerOrigin) || !text(b.LedgerKey) || !text(b.Remark) {
		return refuse(invalid)
	}
	sameOrigin, sameKey := b.LedgerOrigin == m.cluster.LedgerOrigin, b.LedgerKey == m.cluster.LedgerKey
	for number, n := range m.nodes {
		if !bytes.Equal(n.PublicKey, b.PublicKey) {
			continue
		}
		if sameOrigin && sameKey && !n.Removed {
			return &event.Outcome{Refusal: exists, Allocated: uint64(number)}
		}
		return refuse(conflict)
	}
	for _, p := range m.cluster.PastEpochs {
		sameOrigin, sameKey = sameOrigin || p.LedgerOrigin == b.LedgerOrigin, sameKey || p.LedgerKey == b.LedgerKey
	}
	if sameOrigin || sameKey {
		return refuse(conflict)
	}
	next := uint32(0)
	for _, number := range slices.Sorted(maps.Keys(m.nodes)) {
		m.removeNode(number)
		next = number
	}
	next++
	m.nodes[next] = &Node{Node: next, PublicKey: b.PublicKey, LinkAddress: b.LinkAddress}
	m.cluster = proto.CloneOf(m.cluster)
	m.cluster.PastEpochs = append(m.cluster.PastEpochs, &PastEpoch{LedgerOrigin: m.cluster.LedgerOrigin, LedgerKey: m.cluster.LedgerKey, End: m.seq})
	m.cluster.LedgerOrigin, m.cluster.LedgerKey = b.LedgerOrigin, b.LedgerKey
	if b.FeatureLevel > m.cluster.FeatureLevel {
		if b.FeatureLevel >= vaultLevel && m.cluster.FeatureLevel < vaultLevel {
			m.openVault()
		}
		m.cluster.FeatureLevel = b.FeatureLevel
	}
	return &event.Outcome{Allocated: uint64(next)}
}

func (m *model) placeBlobs(b *event.BlobsPlaced) *event.Outcome {
	if len(b.Blobs) > 1000 {
		return refuse(invalid)
	}
	o := &event.Outcome{}
	for _, blob := range b.Blobs {
		o.Subs = append(o.Subs, &event.SubOutcome{Refusal: m.placeBlob(blob)})
	}
	return o
}

func (m *model) placeBlob(b *event.Blob) event.Refusal {
	if r := m.coded(b); r != none {
		return r
	}
	r, ok := m.blobs[b.Id.Key()]
	if !ok {
		return notFound
	}
	if r.blob.Size != b.Size {
		return invalid
	}
	if m.readable(r.blob) {
		return exists
	}
	packs := maps.Clone(m.packs)
	for _, s := range b.Shards {
		refusal := none
		for _, old := range r.blob.Shards {
			if s.Generation <= old.Generation {
				refusal = conflict
			}
		}
		switch {
		case refusal != none || s.Disk == 0:
		case s.Pack.GetIncarnation() == 0:
			refusal = fenced
		default:
			refusal = m.open(s)
		}
		if refusal != none {
			m.packs = packs
			return refusal
		}
	}
	r.blob = b
	m.blobs[b.Id.Key()] = r
	return none
}

// readable tells whether enough shards are on disks of nodes that are there.
func (m *model) readable(b *event.Blob) bool {
	there := 0
	for _, s := range b.Shards {
		if s.Disk != 0 && !m.nodes[m.disks[s.Disk].Node].Removed {
			there++
		}
	}
	return there >= int(b.K)
}

// public is the key of a node.
func (g *generator) public(node uint32) []byte {
	if n := g.m.nodes[node]; n != nil {
		return n.PublicKey
	}
	return []byte{byte(node)}
}

// revive gives a cluster that lost all its nodes to an epoch a start and a disk, mostly:
// most of the rest needs them.
func (g *generator) revive(d *event.Draft) bool {
	var last *Node // that is not removed
	started, disk := false, false
	for _, number := range slices.Sorted(maps.Keys(g.m.nodes)) {
		if n := g.m.nodes[number]; !n.Removed {
			last, started = n, started || n.Incarnation != 0
		}
	}
	for _, x := range g.m.disks {
		disk = disk || !g.m.nodes[x.Node].Removed
	}
	switch {
	case last == nil || started && disk || g.odds(4):
		return false
	case !started:
		d.Statement.Body = &event.Statement_NodeStarted{NodeStarted: &event.NodeStarted{Node: last.Node, PublicKey: last.PublicKey, Boot: 1, FeatureLevel: 4}}
	default:
		id := make([]byte, 16)
		id[0], id[1] = byte(g.choose(200)), 1
		d.Statement.Body = &event.Statement_DiskAdded{DiskAdded: &event.DiskAdded{DiskId: id, Node: last.Node}}
	}
	return true
}

// epoch begins one, mostly; sometimes the last one once more.
func (g *generator) epoch(d *event.Draft) {
	b := &event.EpochBegun{
		PublicKey: []byte{byte(g.choose(250)), 1}, LinkAddress: "a", Remark: "r",
		LedgerOrigin: fmt.Sprintf("o%d", g.choose(100)), LedgerKey: fmt.Sprintf("k%d", g.choose(100)),
	}
	if level := g.m.cluster.GetFeatureLevel(); level < 4 && g.odds(3) {
		b.FeatureLevel = uint32(3 + g.choose(2))
	}
	switch g.choose(12) {
	case 0:
		b.LedgerKey = ""
	case 1:
		b.PublicKey = nil
	case 2:
		b.Remark = string(make([]byte, 1025))
	case 3:
		b.PublicKey = g.public(g.node())
	case 4:
		b.PublicKey, b.LedgerOrigin, b.LedgerKey = g.public(g.node()), g.m.cluster.GetLedgerOrigin(), g.m.cluster.GetLedgerKey()
	}
	d.Statement.Body = &event.Statement_EpochBegun{EpochBegun: b}
}

// placeBlobs draws new places for blobs that are lost, if there are any.
func (g *generator) placeBlobs(d *event.Draft) {
	lost := maps.Clone(g.m.blobs)
	maps.DeleteFunc(lost, func(_ [16]byte, b modelBlob) bool { return g.m.readable(b.blob) })
	from := lost
	if len(from) == 0 || g.odds(6) {
		from = g.m.blobs
	}
	p := &event.BlobsPlaced{}
	for range 1 + g.choose(12) {
		k, ok := pick(g, from, func(k [16]byte) string { return string(k[:]) })
		if !ok {
			break
		}
		old := g.m.blobs[k].blob
		b := g.blob()
		if !g.odds(20) {
			b.Id = old.Id
		}
		if !g.odds(20) {
			b.Size = old.Size
		}
		next := Generation(old) + uint32(min(g.choose(8), 1))
		for _, s := range b.Shards {
			s.Generation = next
		}
		p.Blobs = append(p.Blobs, b)
	}
	d.Statement.Body = &event.Statement_BlobsPlaced{BlobsPlaced: p}
}
