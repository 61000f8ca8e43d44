package fsm

import (
	"bytes"

	"ironman/wal/event"
)

func (m *model) noteReads(b *event.ReadsNoted) *event.Outcome {
	n, was := m.nodes[b.Node], m.reads[b.Node]
	switch {
	case b.Size == 0, b.Size > 1<<62, len(b.Root) != 32:
		return refuse(invalid)
	case n == nil, n.Removed:
		return refuse(notFound)
	case n.Incarnation == 0, n.Incarnation != b.Incarnation:
		return refuse(conflict)
	case was != nil && (was.Size > b.Size || was.Size == b.Size && !bytes.Equal(was.Root, b.Root)):
		return refuse(conflict)
	}
	m.reads[b.Node] = &ReadsHead{Size: b.Size, Root: b.Root, Incarnation: b.Incarnation, Seq: m.seq, Time: m.now}
	return nil
}

// noteReads draws what a node notes: mostly more than before, of the incarnation that it has.
func (g *generator) noteReads(d *event.Draft) {
	node := uint32(g.choose(5))
	was := g.m.reads[node]
	b := &event.ReadsNoted{Node: node, Incarnation: g.m.nodes[node].GetIncarnation(), Size: was.GetSize() + uint64(g.choose(4)), Root: bytes.Repeat([]byte{byte(g.choose(3))}, 32)}
	switch g.choose(12) {
	case 0:
		b.Size = max(b.Size, 4) - 4
	case 1:
		b.Root = was.GetRoot()
	case 2:
		b.Root = b.Root[1:]
	case 3:
		b.Incarnation -= min(b.Incarnation, uint64(g.choose(3)))
	case 4:
		b.Size |= 1 << 63
	}
	d.Statement.Body = &event.Statement_ReadsNoted{ReadsNoted: b}
}
