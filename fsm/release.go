package fsm

import (
	"ironman/sim/sabotage"
	"ironman/wal/event"
)

// blobsAbandoned fences blobs that no event has named.
func (t *tx) blobsAbandoned(b *event.BlobsAbandoned) *event.Outcome {
	for _, id := range b.Blobs {
		if look[Incarnation](t, key(tableIncarnation, id.Incarnation)) == nil || t.has(blobKey(tableBlob, id)) {
			continue // fenced already, or in use: then it is not abandoned
		}
		if sabotage.On(sabotage.X25) {
			continue // not fenced
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

// releaseAssembly gives up the references of the last segments. A blob that loses
// its last one here serves a grace of its own, for it may have been in another
// body until a moment ago.
func (t *tx) releaseAssembly(b *event.AssemblyRelease) event.Refusal {
	k, hk := assemblyKey(b.Assembly), holdersKey(b.Assembly)
	h := get[Holders](t, hk)
	if h == nil {
		return event.Refusal_REFUSAL_NOT_FOUND
	}
	if h.Refs > 0 || h.Due > t.time || b.Segments == 0 {
		return event.Refusal_REFUSAL_CONFLICT
	}
	a := get[Assembly](t, k)
	if a == nil {
		t.m.fatal(errReferences)
	}
	keep := len(a.Segments) - min(len(a.Segments), int(b.Segments))
	for _, s := range a.Segments[keep:] {
		t.unrefBlob(s.Blob)
	}
	if keep > 0 {
		a.Segments = a.Segments[:keep]
		t.set(k, a)
		return event.Refusal_REFUSAL_NONE
	}
	t.delete(releaseAssemblyKey(h.Due, b.Assembly))
	t.delete(hk)
	t.delete(k)
	return event.Refusal_REFUSAL_NONE
}
