package fsm

import (
	"bytes"
	"math/big"
	"slices"

	"ironman/wal/event"
)

func (m *model) erase(b *event.PayloadsErased) *event.Outcome {
	if len(b.Payloads) == 0 {
		if m.erasures[b.Fills] == nil {
			return refuse(notFound)
		}
		return nil
	}
	if b.Fills > 0 || len(b.Payloads) > 10_000 {
		return refuse(invalid)
	}
	for i, p := range b.Payloads {
		if p.Seq >= m.seq || i > 0 && b.Payloads[i-1].Seq >= p.Seq || len(p.Items) > 512 || bytes.HasSuffix(p.Items, []byte{0}) {
			return refuse(invalid)
		}
		items := new(big.Int).SetBytes(reversed(p.Items))
		if before := m.erased[p.Seq]; before != nil && len(before.Items)*len(p.Items) == 0 {
			items = new(big.Int)
		} else if before != nil {
			items.Or(items, new(big.Int).SetBytes(reversed(before.Items)))
		}
		m.erased[p.Seq] = &Erased{By: m.seq, Items: reversed(items.Bytes())}
	}
	m.erasures[m.seq] = &Erasure{Payloads: uint64(len(b.Payloads)), Time: m.now}
	return nil
}

func reversed(b []byte) []byte {
	b = slices.Clone(b)
	slices.Reverse(b)
	return b
}

func (g *generator) erase(d *event.Draft) {
	b := &event.PayloadsErased{}
	d.Statement.Body = &event.Statement_PayloadsErased{PayloadsErased: b}
	last, known := pick(g, g.m.erasures, number)
	if known && g.odds(4) {
		b.Fills = last + uint64(g.choose(4)/3)
		return
	}
	for seq := uint64(g.choose(int(g.m.seq) + 1)); seq < g.m.seq+uint64(g.choose(20)/19) && len(b.Payloads) < 4; seq += 1 + uint64(g.choose(5)) {
		p := &event.ErasedPayload{Seq: seq}
		for g.choose(3) > 0 {
			p.Items = append(p.Items, byte(1+g.choose(255)))
		}
		b.Payloads = append(b.Payloads, p)
	}
	switch g.choose(15) {
	case 0:
		slices.Reverse(b.Payloads)
	case 1:
		b.Fills = last
	case 2:
		for _, p := range b.Payloads {
			p.Items = append(p.Items, make([]byte, 1+600*g.choose(2))...)
		}
	}
}
