package fsm

import (
	"slices"

	"ironman/wal/event"
)

// Bounds of an object that grows.
const (
	maxAppendedBytes    = 50 << 40
	maxAppendedSegments = 10_000
)

// objectAppended puts new bytes behind those of a key's current object, or makes the
// object. What it makes is a new version like that of any PUT: the older one, where it
// stays, keeps its own list of the blobs that both hold. An append to an object of n
// segments takes n references.
func (t *tx) objectAppended(p *event.Parsed, b *event.ObjectAppended) *event.Outcome {
	name := p.Text(event.ItemKind_ITEM_KIND_KEY, 0)
	bucket := t.bucket(b.Bucket)
	if !validKey(name) {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	if bucket == nil {
		return refuse(event.Refusal_REFUSAL_NO_SUCH_BUCKET)
	}
	old := get[Object](t, objectKey(b.Bucket, name))
	if !b.Version.Same(old.GetVersion()) {
		return refuse(event.Refusal_REFUSAL_CONFLICT)
	}
	if r := condition(b.Condition, old); r != event.Refusal_REFUSAL_NONE {
		return refuse(r)
	}
	switch {
	case b.Offset != old.GetSize():
		return refuse(event.Refusal_REFUSAL_OFFSET)
	case b.Size != b.Offset+total(wholes(t.sealing(b.Encryption), b.Blobs)):
		return refuse(event.Refusal_REFUSAL_INVALID)
	case b.Size > maxAppendedBytes:
		return refuse(event.Refusal_REFUSAL_LIMIT_EXCEEDED)
	}
	o, r := t.grown(p, b, old)
	if r == event.Refusal_REFUSAL_NONE {
		r = t.growBody(t.sealing(b.Encryption), b.Blobs, old, o)
	}
	if r == event.Refusal_REFUSAL_NONE {
		r = t.store(bucket, name, o)
	}
	if r == event.Refusal_REFUSAL_NONE {
		r = t.withinQuota(bucket)
	}
	if r != event.Refusal_REFUSAL_NONE {
		return refuse(r)
	}
	return made(o)
}

// grown is the object that an append makes, but for its body. What stood beside the
// old bytes stands beside all of them.
func (t *tx) grown(p *event.Parsed, b *event.ObjectAppended, old *Object) (*Object, event.Refusal) {
	o := &Object{Version: &event.Version{Seq: t.seq}, Size: b.Size, Etag: b.Etag, Checksum: b.Checksum, Time: t.lastModified(old)}
	if old == nil {
		if b.Acl == nil || b.Owner == "" {
			return nil, event.Refusal_REFUSAL_INVALID
		}
		o.Owner, o.Acl, o.StorageClass, o.Encryption = b.Owner, b.Acl, b.StorageClass, b.Encryption
		return o, t.describe(p, 0, &o.Headers, &o.Tags)
	}
	o.Owner, o.Acl, o.StorageClass, o.Headers, o.Tags = old.Owner, old.Acl, old.StorageClass, old.Headers, old.Tags
	switch {
	case b.Encryption.GetKind() != old.Encryption.GetKind(), b.Encryption.GetKeyId() != old.Encryption.GetKeyId():
		return nil, event.Refusal_REFUSAL_INVALID // one object is sealed in one way
	case old.Encryption != nil:
		o.Encryption = withKeys(old.Encryption, slices.Concat(t.keys(old), b.Encryption.GetKeys()))
	}
	return o, event.Refusal_REFUSAL_NONE
}

// growBody makes the body of an append: what the old object has, and the new blobs.
func (t *tx) growBody(e *event.Encryption, blobs []*event.Blob, old, o *Object) event.Refusal {
	if r := t.adoptBlobs(blobs); r != event.Refusal_REFUSAL_NONE {
		return r
	}
	segments := slices.Concat(t.segments(old), wholes(e, blobs))
	switch {
	case len(segments) > maxAppendedSegments:
		return event.Refusal_REFUSAL_LIMIT_EXCEEDED
	case !hasKeys(t.sealing(o.Encryption), segments):
		return event.Refusal_REFUSAL_INVALID
	case len(segments) == 0:
		return event.Refusal_REFUSAL_NONE
	case len(blobs) == 0:
		o.Blob, o.Assembly = old.Blob, old.Assembly // nothing was added
		if o.Encryption != nil && t.knowsSealed() {
			o.Encryption = old.Encryption // and the keys stay where they are
		}
		return event.Refusal_REFUSAL_NONE
	case len(segments) == 1:
		o.Blob = blobs[0].Id
		return event.Refusal_REFUSAL_NONE
	}
	if r := t.refSegments(e, blobs, segments); r != event.Refusal_REFUSAL_NONE {
		return r
	}
	a := &Assembly{Segments: segments}
	if t.knowsSealed() && o.Encryption.Sealed() {
		a.Keys, o.Encryption = o.Encryption.Keys, withKeys(o.Encryption, nil) // listings read an object's row
	}
	t.assemble(o, a)
	return event.Refusal_REFUSAL_NONE
}

// segments is an object's body as ranges of blobs; they must not be changed.
func (t *tx) segments(o *Object) []*event.Segment {
	switch {
	case o.GetBlob() != nil:
		return []*event.Segment{{Blob: o.Blob, Length: o.Size}}
	case o.GetAssembly() != nil:
		a := get[Assembly](t, assemblyKey(o.Assembly))
		if a == nil {
			t.m.fatal(errReferences)
		}
		return a.Segments
	}
	return nil
}
