package fsm

import (
	"ironman/wal/event"
)

// adoptBlobs makes rows of new blobs, without references yet: the caller adds
// them. The bytes are durable already; what is checked is that the blobs may
// still be named, so that no collector has given up or freed what they hold.
func (t *tx) adoptBlobs(blobs []*event.Blob) event.Refusal {
	for _, b := range blobs {
		if r := t.adoptable(b); r != event.Refusal_REFUSAL_NONE {
			return r
		}
		for _, s := range b.Shards {
			if s.Disk == 0 {
				continue // given up while it was written, within the tolerance
			}
			if r := t.addShard(s, shardBytes(b)); r != event.Refusal_REFUSAL_NONE {
				return r
			}
		}
		t.set(blobKey(tableBlob, b.Id), &BlobRow{Blob: b})
	}
	return event.Refusal_REFUSAL_NONE
}

func (t *tx) adoptable(b *event.Blob) event.Refusal {
	if b.Id == nil || b.K == 0 || len(b.Shards) != int(b.K+b.M) || b.Cell == 0 || b.Size == 0 {
		return event.Refusal_REFUSAL_INVALID
	}
	missing := uint32(0)
	for _, s := range b.Shards {
		if s.Disk == 0 {
			missing++
		}
	}
	if missing+b.Tolerance > b.M {
		return event.Refusal_REFUSAL_PLACEMENT
	}
	if !t.has(key(tableIncarnation, b.Id.Incarnation)) ||
		t.has(blobKey(tableAbandoned, b.Id)) || t.has(blobKey(tableBlob, b.Id)) {
		return event.Refusal_REFUSAL_BLOB_FENCED
	}
	return event.Refusal_REFUSAL_NONE
}

// addShard counts a new shard in its pack. A pack takes new shards only in the
// incarnation of its disk's node that made it, and not once it is released.
func (t *tx) addShard(s *event.Shard, bytes uint64) event.Refusal {
	d := get[Disk](t, key32(tableDisk, s.Disk))
	if d == nil || s.Pack == nil {
		return event.Refusal_REFUSAL_NOT_FOUND
	}
	n := get[Node](t, key32(tableNode, d.Node))
	if n == nil || n.Incarnation != s.Pack.Incarnation {
		return event.Refusal_REFUSAL_BLOB_FENCED
	}
	k := packKey(s.Disk, s.Pack)
	p := get[Pack](t, k)
	if p == nil {
		p = &Pack{}
	}
	if p.Released {
		return event.Refusal_REFUSAL_PACK_RELEASED
	}
	p.LiveBytes += bytes
	p.LiveShards++
	t.set(k, p)
	return event.Refusal_REFUSAL_NONE
}

// dropShard takes a shard out of its pack's account.
func (t *tx) dropShard(s *event.Shard, bytes uint64) {
	if s.Disk == 0 {
		return
	}
	k := packKey(s.Disk, s.Pack)
	p := get[Pack](t, k)
	if p == nil {
		return
	}
	p.LiveBytes -= min(bytes, p.LiveBytes)
	p.LiveShards -= min(1, p.LiveShards)
	t.set(k, p)
}

// shardBytes is the plain length of one shard, for accounting: headers are not in it.
func shardBytes(b *event.Blob) uint64 {
	k := uint64(max(b.K, 1))
	return b.Size/k + min(b.Size%k, 1)
}

// body is what an object, part or assembly names.
type body struct {
	blob     *event.BlobID
	assembly *event.Version
}

func (o *Object) body() body { return body{o.GetBlob(), o.GetAssembly()} }

