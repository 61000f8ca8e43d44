package fsm

import (
	"bytes"

	"ironman/wal/event"
)

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

// lost is Lost at this event.
func (t *tx) lost(b *event.Blob) bool {
	return lost(b, func(disk uint32) bool {
		n := look[Node](t, key32(tableNode, look[Disk](t, key32(tableDisk, disk)).GetNode()))
		return n != nil && !n.Removed
	})
}

// lost tells whether fewer shards are there than the blob is read from.
func lost(b *event.Blob, there func(disk uint32) bool) bool {
	left := uint32(0)
	for _, s := range b.GetShards() {
		if s.Disk != 0 && there(s.Disk) {
			left++
		}
	}
	return left < b.GetK()
}

// disksThere tells of each disk whether its node is not removed.
func (v *View) disksThere() (func(disk uint32) bool, error) {
	nodes, err := v.Nodes()
	if err != nil {
		return nil, err
	}
	disks, err := v.Disks()
	if err != nil {
		return nil, err
	}
	here := make(map[uint32]bool)
	for _, n := range nodes {
		here[n.Node] = !n.Removed
	}
	there := make(map[uint32]bool)
	for _, d := range disks {
		there[d.Number] = here[d.Node]
	}
	return func(disk uint32) bool { return there[disk] }, nil
}

// Generation is the highest of a blob's shards.
func Generation(b *event.Blob) uint32 {
	newest := uint32(0)
	for _, s := range b.Shards {
		newest = max(newest, s.Generation)
	}
	return newest
}

// Lost tells whether too few shards of a blob are on disks of nodes that are not removed:
// then only BlobsPlaced can bring its bytes back.
func (v *View) Lost(b *event.Blob) (bool, error) {
	there, err := v.disksThere()
	return err == nil && lost(b, there), err
}

// LostBlobs looks for lost blobs behind one (nil: from the first on), in the order of
// their ids, among at most rows blobs, and finds at most max. next is the one to go on
// behind; nil: there are no more blobs.
func (v *View) LostBlobs(after *event.BlobID, rows, max int) (found []*event.Blob, next *event.BlobID, err error) {
	there, err := v.disksThere()
	if err != nil {
		return nil, nil, err
	}
	lower := key(tableBlob)
	if after != nil {
		lower = append(blobKey(tableBlob, after), 0) // all keys have the same length
	}
	more := false
	err = v.scan(lower, key(tableBlob+1), func(k, value []byte) (bool, error) {
		if more = rows == 0 || len(found) == max; more {
			return false, nil
		}
		rows--
		r, _, err := decodeRow[BlobRow](bytes.Clone(k), bytes.Clone(value))
		if err != nil {
			return false, err
		}
		next = r.Blob.Id
		if lost(r.Blob, there) {
			found = append(found, r.Blob)
		}
		return true, nil
	})
	if !more {
		next = nil
	}
	return found, next, err
}
