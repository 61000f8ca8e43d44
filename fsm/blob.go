package fsm

import "ironman/wal/event"

// maxBlobBytes is far above S3's largest part and keeps sums of sizes from
// running over.
const maxBlobBytes = 1 << 43

// maxShards is what Reed-Solomon over bytes can do.
const maxShards = 256

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
	if r := coded(b); r != event.Refusal_REFUSAL_NONE {
		return r
	}
	if look[Incarnation](t, key(tableIncarnation, b.Id.Incarnation)) == nil ||
		t.has(blobKey(tableAbandoned, b.Id)) || t.has(blobKey(tableBlob, b.Id)) {
		return event.Refusal_REFUSAL_BLOB_FENCED
	}
	return event.Refusal_REFUSAL_NONE
}

// coded tells whether a blob could be as it says that it was coded.
func coded(b *event.Blob) event.Refusal {
	shards := uint64(b.K) + uint64(b.M)
	if b.Id == nil || b.K == 0 || shards > maxShards || uint64(len(b.Shards)) != shards ||
		b.Cell == 0 || b.Size == 0 || b.Size > maxBlobBytes {
		return event.Refusal_REFUSAL_INVALID
	}
	spare := b.M // shards that may go
	for _, s := range b.Shards {
		if s.Disk != 0 {
			continue
		}
		if spare == 0 {
			return event.Refusal_REFUSAL_PLACEMENT
		}
		spare--
	}
	if b.Tolerance > spare {
		return event.Refusal_REFUSAL_PLACEMENT
	}
	return event.Refusal_REFUSAL_NONE
}

// addShard counts a new shard in its pack.
func (t *tx) addShard(s *event.Shard, bytes uint64) event.Refusal {
	if r := t.takes(s); r != event.Refusal_REFUSAL_NONE {
		return r
	}
	k := packKey(s.Disk, s.Pack)
	p := look[Pack](t, k)
	t.set(k, &Pack{LiveBytes: p.GetLiveBytes() + bytes, LiveShards: p.GetLiveShards() + 1})
	return event.Refusal_REFUSAL_NONE
}

// takes tells whether a shard may be named where it is. A pack takes new shards only in
// the incarnation of its disk's node that made it, and not once it is released.
func (t *tx) takes(s *event.Shard) event.Refusal {
	d := look[Disk](t, key32(tableDisk, s.Disk))
	if d == nil || s.Pack == nil {
		return event.Refusal_REFUSAL_NOT_FOUND
	}
	n := look[Node](t, key32(tableNode, d.Node))
	if n == nil || n.Incarnation != s.Pack.Incarnation {
		return event.Refusal_REFUSAL_BLOB_FENCED
	}
	if look[Pack](t, packKey(s.Disk, s.Pack)).GetReleased() {
		return event.Refusal_REFUSAL_PACK_RELEASED
	}
	return event.Refusal_REFUSAL_NONE
}

// dropShard takes a shard out of its pack's account.
func (t *tx) dropShard(s *event.Shard, bytes uint64) {
	if s.Disk == 0 {
		return
	}
	k := packKey(s.Disk, s.Pack)
	p := look[Pack](t, k)
	if p == nil || p.Released || p.LiveShards == 0 || p.LiveBytes < bytes {
		t.m.fatal(errReferences)
	}
	t.set(k, &Pack{LiveBytes: p.LiveBytes - bytes, LiveShards: p.LiveShards - 1})
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
