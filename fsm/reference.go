package fsm

import (
	"encoding/binary"
	"errors"
	"math"

	"ironman/wal/event"
)

// errReferences means that the rows contradict themselves: the node stops.
var errReferences = errors.New("a body lost more references than it had")

// ref adds a reference to a body. It is false if the body is not there.
func (t *tx) ref(b body) bool {
	switch {
	case b.blob != nil:
		return t.refBlob(b.blob)
	case b.assembly != nil:
		return t.refAssembly(b.assembly)
	}
	return true
}

// unref takes a reference away. The last one puts the body into the queue of
// releases, due after the grace.
func (t *tx) unref(b body) {
	switch {
	case b.blob != nil:
		t.unrefBlob(b.blob)
	case b.assembly != nil:
		t.unrefAssembly(b.assembly)
	}
}

func (t *tx) refBlob(id *event.BlobID) bool {
	k := blobKey(tableBlob, id)
	r := get[BlobRow](t, k)
	if r == nil {
		return false
	}
	if r.Due != 0 {
		t.delete(releaseBlobKey(r.Due, id))
		r.Due = 0
	}
	r.Refs++
	t.set(k, r)
	return true
}

func (t *tx) unrefBlob(id *event.BlobID) {
	k := blobKey(tableBlob, id)
	r := get[BlobRow](t, k)
	if r == nil || r.Refs == 0 {
		t.m.fatal(errReferences)
	}
	if r.Refs--; r.Refs == 0 {
		r.Due = t.due()
		t.setRaw(releaseBlobKey(r.Due, id), []byte{})
	}
	t.set(k, r)
}

func (t *tx) refAssembly(v *event.Version) bool {
	k := assemblyKey(v)
	a := get[Assembly](t, k)
	if a == nil {
		return false
	}
	if a.Due != 0 {
		t.delete(releaseAssemblyKey(a.Due, v))
		a.Due = 0
	}
	a.Refs++
	t.set(k, a)
	return true
}

func (t *tx) unrefAssembly(v *event.Version) {
	k := assemblyKey(v)
	a := get[Assembly](t, k)
	if a == nil || a.Refs == 0 {
		t.m.fatal(errReferences)
	}
	if a.Refs--; a.Refs == 0 {
		a.Due = t.due()
		t.setRaw(releaseAssemblyKey(a.Due, v), []byte{})
	}
	t.set(k, a)
}

// due is the log time from which a body that loses its last reference now may be released.
func (t *tx) due() int64 {
	grace := t.cluster().GetReleaseGrace()
	if t.time > math.MaxInt64-grace {
		return math.MaxInt64
	}
	return t.time + grace
}

// blobsAbandoned fences blobs that no event has named.
func (t *tx) blobsAbandoned(b *event.BlobsAbandoned) *event.Outcome {
	for _, id := range b.Blobs {
		if !t.has(key(tableIncarnation, id.GetIncarnation())) || t.has(blobKey(tableBlob, id)) {
			continue // fenced already, or in use: then it is not abandoned
		}
		t.setRaw(blobKey(tableAbandoned, id), []byte{})
	}
	return accept()
}

// blobsReleased forgets what has no reference and whose grace is over. What is
// referenced again, not yet due or gone is passed over, and says so in its sub-outcome.
func (t *tx) blobsReleased(b *event.BlobsReleased) *event.Outcome {
	o := accept()
	for _, id := range b.Blobs {
		o.Subs = append(o.Subs, &event.SubOutcome{Refusal: t.releaseBlob(id)})
	}
	for _, a := range b.Assemblies {
		o.Subs = append(o.Subs, &event.SubOutcome{Refusal: t.releaseAssembly(a)})
	}
	return o
}

func (t *tx) releaseBlob(id *event.BlobID) event.Refusal {
	k := blobKey(tableBlob, id)
	r := get[BlobRow](t, k)
	if r == nil {
		return event.Refusal_REFUSAL_NOT_FOUND
	}
	if r.Refs > 0 || r.Due > t.time {
		return event.Refusal_REFUSAL_CONFLICT
	}
	for _, s := range r.Blob.Shards {
		t.dropShard(s, shardBytes(r.Blob))
	}
	t.delete(releaseBlobKey(r.Due, id))
	t.delete(k)
	return event.Refusal_REFUSAL_NONE
}

// releaseAssembly gives up the references of the last segments. The grace was
// served by the assembly, so its blobs are due at once.
func (t *tx) releaseAssembly(b *event.AssemblyRelease) event.Refusal {
	k := assemblyKey(b.Assembly)
	a := get[Assembly](t, k)
	if a == nil {
		return event.Refusal_REFUSAL_NOT_FOUND
	}
	if a.Refs > 0 || a.Due > t.time || b.Segments == 0 {
		return event.Refusal_REFUSAL_CONFLICT
	}
	keep := len(a.Segments) - min(len(a.Segments), int(b.Segments))
	for _, s := range a.Segments[keep:] {
		t.unrefBlob(s.Blob)
	}
	if a.Segments = a.Segments[:keep]; keep > 0 {
		t.set(k, a)
		return event.Refusal_REFUSAL_NONE
	}
	t.delete(releaseAssemblyKey(a.Due, b.Assembly))
	t.delete(k)
	return event.Refusal_REFUSAL_NONE
}

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
	d := get[Disk](t, key32(tableDisk, b.Disk))
	if d == nil {
		return refuse(event.Refusal_REFUSAL_NOT_FOUND)
	}
	n := get[Node](t, key32(tableNode, d.Node))
	o := accept()
	for _, id := range b.Packs {
		k := packKey(b.Disk, id)
		p := get[Pack](t, k)
		switch {
		case p != nil && p.LiveShards > 0:
			o.Subs = append(o.Subs, &event.SubOutcome{Refusal: event.Refusal_REFUSAL_PACK_IN_USE})
			continue
		case n != nil && n.Incarnation == id.GetIncarnation():
			t.set(k, &Pack{Released: true})
		default:
			t.delete(k)
		}
		o.Subs = append(o.Subs, &event.SubOutcome{})
	}
	return o
}

// historyTrimmed drops what was superseded before a sequence, in bounded steps.
// Views below the trimmed sequence are refused from then on.
func (t *tx) historyTrimmed(b *event.HistoryTrimmed) *event.Outcome {
	if b.To > t.seq || b.Rows == 0 {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	type dead struct {
		to  uint64
		row []byte
	}
	var rows []dead
	t.scan([]byte{byte(tableHistoryIndex)}, func(k, _ []byte) bool {
		to := binary.BigEndian.Uint64(k[1:])
		if to >= b.To || len(rows) >= int(b.Rows) {
			return false
		}
		rows = append(rows, dead{to, append([]byte(nil), k[9:]...)})
		return true
	})
	for _, d := range rows {
		hk := historyKey(d.row, d.to)
		if tb := tableOf(d.row); tb == tableObject || tb == tableVersion {
			o, _, err := decodeRow[Object](d.row, t.raw(hk))
			if err != nil {
				t.m.fatal(err)
			}
			t.unref(o.body())
		}
		t.delete(hk)
		t.delete(historyIndexKey(d.to, d.row))
	}
	c := t.cluster()
	if c.HistoryTrimmed < b.To {
		c.HistoryTrimmed = b.To
		t.set(key(tableCluster), c)
	}
	return &event.Outcome{Allocated: uint64(len(rows))}
}
