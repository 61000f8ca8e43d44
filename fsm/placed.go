package fsm

import "ironman/wal/event"

// maxPlaced bounds the blobs of one BlobsPlaced.
const maxPlaced = 1000

// blobsPlaced names where lost blobs were coded anew. Each is judged by itself.
func (t *tx) blobsPlaced(b *event.BlobsPlaced) *event.Outcome {
	if len(b.Blobs) > maxPlaced {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	o := accept()
	for _, blob := range b.Blobs {
		o.Subs = append(o.Subs, &event.SubOutcome{Refusal: t.placeBlob(blob)})
	}
	return o
}

// placeBlob gives a blob that is lost its new geometry and places. References stay: it is
// the same bytes. The old shards, which nobody will ever read or unlink any more, leave
// the accounts of their packs. What is refused has written nothing.
func (t *tx) placeBlob(b *event.Blob) event.Refusal {
	if r := coded(b); r != event.Refusal_REFUSAL_NONE {
		return r
	}
	r := get[BlobRow](t, blobKey(tableBlob, b.Id))
	switch {
	case r == nil:
		return event.Refusal_REFUSAL_NOT_FOUND
	case r.Blob.Size != b.Size:
		return event.Refusal_REFUSAL_INVALID
	case !t.lost(r.Blob):
		return event.Refusal_REFUSAL_EXISTS
	}
	newest := Generation(r.Blob)
	for _, s := range b.Shards {
		if s.Generation <= newest { // of shards given up, too: what heals them goes on from there
			return event.Refusal_REFUSAL_CONFLICT
		}
		if s.Disk == 0 {
			continue
		}
		if s.Pack.GetIncarnation() == 0 { // as of a node that is removed, or never started
			return event.Refusal_REFUSAL_BLOB_FENCED
		}
		if refusal := t.takes(s); refusal != event.Refusal_REFUSAL_NONE {
			return refusal
		}
	}
	for _, s := range r.Blob.Shards {
		t.dropShard(s, shardBytes(r.Blob))
	}
	for _, s := range b.Shards {
		if s.Disk != 0 {
			t.addShard(s, shardBytes(b))
		}
	}
	r.Blob = b
	t.set(blobKey(tableBlob, b.Id), r)
	return event.Refusal_REFUSAL_NONE
}

// lost tells whether too few shards of a blob are on disks of nodes that are not removed.
func (t *tx) lost(b *event.Blob) bool {
	there := uint32(0)
	for _, s := range b.Shards {
		if s.Disk == 0 {
			continue
		}
		if n := look[Node](t, key32(tableNode, look[Disk](t, key32(tableDisk, s.Disk)).GetNode())); n != nil && !n.Removed {
			there++
		}
	}
	return there < b.K
}

// Generation is the highest of a blob's shards.
func Generation(b *event.Blob) uint32 {
	newest := uint32(0)
	for _, s := range b.Shards {
		newest = max(newest, s.Generation)
	}
	return newest
}
