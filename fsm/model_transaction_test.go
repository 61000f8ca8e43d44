package fsm

import (
	"slices"

	"google.golang.org/protobuf/proto"

	"ironman/wal/event"
)

// transact is each operation on what the one before it has left, but for the sources of
// copies, which are those of the beginning.
func (m *model) transact(p *event.Parsed, b *event.TransactionCommitted) *event.Outcome {
	n := len(b.Operations)
	keys, r := m.keysOf(p, b.Bucket, n)
	if r != none {
		return refuse(r)
	}
	if sorted := slices.Sorted(slices.Values(keys)); n > 100 || len(b.Request) > 32 || len(slices.Compact(sorted)) < n {
		return refuse(invalid)
	}
	refused := func(i int, r event.Refusal) *event.Outcome {
		o := &event.Outcome{Refusal: r, Subs: make([]*event.SubOutcome, n)}
		for j := range o.Subs {
			o.Subs[j] = &event.SubOutcome{}
		}
		o.Subs[i].Refusal = r
		return o
	}
	for i, op := range b.Operations {
		kinds := 0
		for _, there := range []bool{op.Completed != nil, op.Copied != nil, op.Deleted != nil} {
			if there {
				kinds++
			}
		}
		c := op.Copied
		switch {
		case kinds != 1, keys[i] == "", len(keys[i]) > 1024, op.Completed != nil && op.Completed.Bucket != b.Bucket:
			return refused(i, invalid)
		case c != nil && (c.Bucket != b.Bucket || c.Source == nil || len(c.Blobs)+len(c.Segments) > 0):
			return refused(i, invalid)
		}
	}
	before := m.clone()
	for i, op := range b.Operations {
		if op.Copied != nil && before.pinned(p, i, op.Copied.Source) == nil {
			return refused(i, changed)
		}
	}
	out := &event.Outcome{}
	for i, op := range b.Operations {
		at := objectPlace{b.Bucket, keys[i]}
		if op.Deleted != nil {
			sub := m.deleteOne(at, i, op.Deleted)
			if sub.Refusal != none {
				return refused(i, sub.Refusal)
			}
			out.Subs = append(out.Subs, sub)
			continue
		}
		var o *event.Outcome
		if op.Completed != nil {
			o = m.completeOne(i, op.Completed, at)
		} else {
			o = m.putOne(p, i, op.Copied, at, func() *Object { return before.pinned(p, i, op.Copied.Source) })
		}
		if o.Refusal != none {
			return refused(i, o.Refusal)
		}
		made := m.objects[at]
		made.row = proto.CloneOf(made.row)
		made.row.Transaction = b.Request
		m.objects[at] = made
		out.Subs = append(out.Subs, &event.SubOutcome{Version: o.Version, NullVersion: o.NullVersion})
	}
	return out
}
