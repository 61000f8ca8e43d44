package fsm

import (
	"ironman/sim/sabotage"
	"ironman/wal/event"
)

// shardsPlaced names new places of shards. A shard that is not where the event
// believes it to be is passed over.
func (t *tx) shardsPlaced(b *event.ShardsPlaced) *event.Outcome {
	o := accept()
	for _, p := range b.Placements {
		o.Subs = append(o.Subs, &event.SubOutcome{Refusal: t.placeShard(p)})
	}
	return o
}

func (t *tx) placeShard(p *event.Placement) event.Refusal {
	k := blobKey(tableBlob, p.Blob)
	r := get[BlobRow](t, k)
	if r == nil || int(p.Index) >= len(r.Blob.Shards) {
		return event.Refusal_REFUSAL_NOT_FOUND
	}
	old := r.Blob.Shards[p.Index]
	if p.Shard.GetDisk() == 0 || p.Shard.GetPack() == nil {
		return event.Refusal_REFUSAL_INVALID
	}
	if old.Generation != p.FromGeneration || p.Shard.Generation <= old.Generation {
		return event.Refusal_REFUSAL_CONFLICT
	}
	if refusal := t.addShard(p.Shard, shardBytes(r.Blob)); refusal != event.Refusal_REFUSAL_NONE {
		return refusal
	}
	t.dropShard(old, shardBytes(r.Blob))
	r.Blob.Shards[p.Index] = p.Shard
	t.set(k, r)
	return event.Refusal_REFUSAL_NONE
}

// packsReleased allows packs to be unlinked. The row stays, marked, while the
// node could still name the pack; a second release in a later incarnation drops it.
func (t *tx) packsReleased(b *event.PacksReleased) *event.Outcome {
	d := look[Disk](t, key32(tableDisk, b.Disk))
	if d == nil {
		return refuse(event.Refusal_REFUSAL_NOT_FOUND)
	}
	n := look[Node](t, key32(tableNode, d.Node))
	o := accept()
	for _, id := range b.Packs {
		k := packKey(b.Disk, id)
		p := get[Pack](t, k)
		switch {
		case p != nil && p.LiveShards > 0 && !sabotage.On(sabotage.X26):
			o.Subs = append(o.Subs, &event.SubOutcome{Refusal: event.Refusal_REFUSAL_PACK_IN_USE})
			continue
		case n != nil && n.Incarnation == id.Incarnation && !sabotage.On(sabotage.X59):
			t.set(k, &Pack{Released: true})
		default:
			t.delete(k)
		}
		o.Subs = append(o.Subs, &event.SubOutcome{})
	}
	return o
}
