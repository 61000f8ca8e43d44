package fsm

import (
	"errors"
	"slices"
	"strings"
	"time"

	"ironman/sim/sabotage"
	"ironman/wal/event"
)

// maxKeyBytes is S3's longest key. A key is bytes: it need not be UTF-8.
const maxKeyBytes = 1024

func validKey(k string) bool { return len(k) > 0 && len(k) <= maxKeyBytes }

// objectPut makes the current version of a key: of new bytes, or by reference to
// the body of another object.
func (t *tx) objectPut(p *event.Parsed, b *event.ObjectPut) *event.Outcome {
	o, r := t.newObject(p, 0, b, nil)
	if r == event.Refusal_REFUSAL_NONE {
		r = t.withinQuota(t.bucket(b.Bucket))
	}
	if r != event.Refusal_REFUSAL_NONE {
		return refuse(r)
	}
	return made(o)
}

// newObject makes the current version of the key of operation i of an event, whatever the
// quota says. Of a copy, src is the source if it has been looked for.
func (t *tx) newObject(p *event.Parsed, i int, b *event.ObjectPut, src *Object) (*Object, event.Refusal) {
	name := p.Text(event.ItemKind_ITEM_KIND_KEY, i)
	if !validKey(name) || b.Acl == nil || b.Owner == "" {
		return nil, event.Refusal_REFUSAL_INVALID
	}
	bucket := t.bucket(b.Bucket)
	if bucket == nil {
		return nil, event.Refusal_REFUSAL_NO_SUCH_BUCKET
	}
	old := get[Object](t, objectKey(b.Bucket, name))
	if r := condition(b.Condition, old); r != event.Refusal_REFUSAL_NONE {
		return nil, r
	}
	o := &Object{
		Version: t.version(i), Size: b.Size, Etag: b.Etag, Time: t.lastModified(old), Owner: b.Owner, Acl: b.Acl,
		StorageClass: b.StorageClass, Checksum: b.Checksum, Encryption: b.Encryption, Lock: b.Lock,
	}
	if r := t.describe(p, i, &o.Headers, &o.Tags); r != event.Refusal_REFUSAL_NONE {
		return nil, r
	}
	if b.Source != nil && src == nil {
		src = t.source(p, i, b.Source)
	}
	if r := t.objectBody(b, src, o); r != event.Refusal_REFUSAL_NONE {
		return nil, r
	}
	if r := t.store(bucket, name, o); r != event.Refusal_REFUSAL_NONE {
		return nil, r
	}
	if b.Source != nil && sabotage.On(sabotage.X51) {
		t.unref(o.body()) // the source's reference is to do for both
	}
	return o, event.Refusal_REFUSAL_NONE
}

// version is what operation i of this event makes.
func (t *tx) version(i int) *event.Version { return &event.Version{Seq: t.seq, Ordinal: uint32(i)} }

// store makes o, whose body the event has settled, the current object of a key, under the
// bucket's retention. Whoever has stored all that the event stores asks withinQuota.
func (t *tx) store(b *Bucket, name string, o *Object) event.Refusal {
	if r := t.lockNew(b, o); r != event.Refusal_REFUSAL_NONE {
		return r
	}
	return t.putCurrent(b, name, o)
}

// made is the outcome of a put, copy or completion.
func made(o *Object) *event.Outcome {
	return &event.Outcome{Version: o.Version, NullVersion: o.NullVersion, Etag: o.Etag}
}

// lastModified never decreases for a key, and is never before the log's time.
func (t *tx) lastModified(old *Object) int64 { return max(t.time, old.GetTime()) }

// describe reads the headers and tags that a client stores beside the bytes of operation i.
func (t *tx) describe(p *event.Parsed, i int, h **event.Headers, g **event.Tags) event.Refusal {
	if b, ok := p.Item(event.ItemKind_ITEM_KIND_HEADERS, i); ok {
		*h = &event.Headers{}
		if err := event.Decode(b, *h); err != nil {
			return t.undecodable(err)
		}
	}
	if b, ok := p.Item(event.ItemKind_ITEM_KIND_TAGS, i); ok {
		*g = &event.Tags{}
		if err := event.Decode(b, *g); err != nil {
			return t.undecodable(err)
		}
		sabotage.Shuffle(sabotage.X37, (*g).GetTags())
	}
	return event.Refusal_REFUSAL_NONE
}

// undecodable sorts out why an item could not be read: newer than this binary is
// fatal, all else refuses the event.
func (t *tx) undecodable(err error) event.Refusal {
	if errors.Is(err, event.ErrNewer) {
		t.m.fatal(err)
	}
	return event.Refusal_REFUSAL_INVALID
}

// objectBody settles what bytes an object is made of: those of another object (src; nil: it
// is not there any more), one whole new blob, or ranges of blobs, which make an assembly.
func (t *tx) objectBody(b *event.ObjectPut, src, o *Object) event.Refusal {
	if b.Source != nil {
		if len(b.Blobs) > 0 || len(b.Segments) > 0 {
			return event.Refusal_REFUSAL_INVALID
		}
		if src == nil || src.Size != b.Size {
			return event.Refusal_REFUSAL_SOURCE_CHANGED
		}
		o.Blob, o.Assembly = src.Blob, src.Assembly
		return t.copiedKeys(o, src)
	}
	if r := t.adoptBlobs(b.Blobs); r != event.Refusal_REFUSAL_NONE {
		return r
	}
	segments, sealing := b.Segments, t.sealing(b.Encryption)
	if len(segments) == 0 {
		segments = wholes(sealing, b.Blobs)
	}
	switch {
	case total(segments) != b.Size || !hasKeys(sealing, segments):
		return event.Refusal_REFUSAL_INVALID
	case len(b.Segments) == 0 && len(b.Blobs) == 1:
		o.Blob = b.Blobs[0].Id
		return event.Refusal_REFUSAL_NONE
	case len(segments) == 0:
		return event.Refusal_REFUSAL_NONE
	}
	if r := t.refSegments(sealing, b.Blobs, segments); r != event.Refusal_REFUSAL_NONE {
		return r
	}
	t.assemble(o, &Assembly{Segments: segments})
	return event.Refusal_REFUSAL_NONE
}

// assemble makes an object's body of an assembly, each segment of which holds a reference.
func (t *tx) assemble(o *Object, a *Assembly) {
	o.Assembly = o.Version
	t.set(assemblyKey(o.Assembly), a)
	t.set(holdersKey(o.Assembly), &Holders{})
}

// source finds the object that the copy of operation i pinned, current or not; nil if there
// is no such version any more.
func (t *tx) source(p *event.Parsed, i int, s *event.CopySource) *Object {
	found := t.findVersion(s.Bucket, p.Text(event.ItemKind_ITEM_KIND_SOURCE_KEY, i), s.Version)
	if found == nil || found.object.DeleteMarker {
		return nil
	}
	return found.object
}

// refSegments takes a reference for each segment. Each new blob must be in one, or
// nobody would ever release it.
func (t *tx) refSegments(e *event.Encryption, blobs []*event.Blob, segments []*event.Segment) event.Refusal {
	for _, s := range segments {
		if !t.refSegment(e, s) {
			return event.Refusal_REFUSAL_SOURCE_CHANGED
		}
	}
	for _, b := range blobs {
		if get[BlobRow](t, blobKey(tableBlob, b.Id)).Refs == 0 {
			return event.Refusal_REFUSAL_INVALID
		}
	}
	return event.Refusal_REFUSAL_NONE
}

// refSegment takes a reference to the blob of a segment that lies inside it.
func (t *tx) refSegment(e *event.Encryption, s *event.Segment) bool {
	r := get[BlobRow](t, blobKey(tableBlob, s.Blob))
	size := e.PlainBytes(r.GetBlob().GetSize())
	if r == nil || s.Length == 0 || s.Offset > size || s.Length > size-s.Offset {
		return false
	}
	return t.refBlob(s.Blob)
}

func wholes(e *event.Encryption, blobs []*event.Blob) []*event.Segment {
	var segments []*event.Segment
	for _, b := range blobs {
		segments = append(segments, &event.Segment{Blob: b.Id, Length: e.PlainBytes(b.Size)})
	}
	return segments
}

func total(segments []*event.Segment) uint64 {
	var n uint64
	for _, s := range segments {
		n += s.Length
	}
	return n
}

// putRow writes a row that holds a version, or deletes it (nil), counts it, and
// settles the references: the new row takes one; the old row's moves to history with
// it, or is given up.
func (t *tx) putRow(bucket uint64, k []byte, old *Object, from uint64, o *Object) {
	if o != nil && !t.ref(o.body()) {
		t.m.fatal(errReferences) // checked before: the body was read in this event
	}
	if old != nil && (from == t.seq || !t.keepsHistory(bucket)) {
		t.unref(old.body())
	}
	if tableOf(k) == tableVersion {
		t.noteVersion(k)
	}
	if o == nil {
		t.delete(k)
	} else {
		t.set(k, o)
	}
	var c change
	c.add(k, o, 1)
	c.add(k, old, -1)
	t.count(bucket, c)
}

// condition judges a write's conditions against the current object (nil: none).
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
func condition(c *event.Condition, o *Object) event.Refusal {
	if c == nil {
		return event.Refusal_REFUSAL_NONE
	}
	if o == nil {
		if len(c.IfMatch) > 0 || c.IfSize != nil || c.IfModifiedTime != nil {
			return event.Refusal_REFUSAL_NO_SUCH_KEY
		}
		return event.Refusal_REFUSAL_NONE
	}
	failed := c.IfAbsent && !sabotage.On(sabotage.X21) ||
		len(c.IfMatch) > 0 && !matches(c.IfMatch, o.Etag) ||
		len(c.IfNoneMatch) > 0 && matches(c.IfNoneMatch, o.Etag) && !sabotage.On(sabotage.X21) ||
		c.IfSize != nil && *c.IfSize != o.Size ||
		c.IfModifiedTime != nil && *c.IfModifiedTime != o.Time/int64(time.Second)
	if failed {
		return event.Refusal_REFUSAL_PRECONDITION_FAILED
	}
	return event.Refusal_REFUSAL_NONE
}

func matches(tags []string, etag string) bool {
	return slices.Contains(tags, "*") || slices.ContainsFunc(tags, func(s string) bool { return strings.EqualFold(s, etag) })
}

// objectACLSet replaces an object's access control list, on the version that was judged.
func (t *tx) objectACLSet(p *event.Parsed, b *event.ObjectACLSet) *event.Outcome {
	found, r := t.judged(p, b.Bucket, b.Version)
	if r != event.Refusal_REFUSAL_NONE {
		return refuse(r)
	}
	if b.Acl == nil || b.Acl.Owner != found.object.Owner {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	found.object.Acl = b.Acl
	return t.rewrite(b.Bucket, found)
}

// objectTagsSet replaces the tags of a version; without an item it has none.
func (t *tx) objectTagsSet(p *event.Parsed, b *event.ObjectTagsSet) *event.Outcome {
	found, r := t.judged(p, b.Bucket, b.Version)
	if r != event.Refusal_REFUSAL_NONE {
		return refuse(r)
	}
	var headers *event.Headers // of an object: they stay
	found.object.Tags = nil
	if r := t.describe(p, 0, &headers, &found.object.Tags); r != event.Refusal_REFUSAL_NONE {
		return refuse(r)
	}
	return t.rewrite(b.Bucket, found)
}

// judged finds the version that an event is about, by its item KEY. A marker is no
// object.
func (t *tx) judged(p *event.Parsed, bucket uint64, v *event.Version) (*placed, event.Refusal) {
	name := p.Text(event.ItemKind_ITEM_KIND_KEY, 0)
	found := t.findVersion(bucket, name, v)
	switch {
	case found != nil && !found.object.DeleteMarker:
		return found, event.Refusal_REFUSAL_NONE
	case t.bucket(bucket).GetVersioning() != event.VersioningState_VERSIONING_STATE_NEVER:
		return nil, event.Refusal_REFUSAL_NO_SUCH_VERSION
	case t.has(objectKey(bucket, name)):
		return nil, event.Refusal_REFUSAL_CONFLICT
	}
	return nil, event.Refusal_REFUSAL_NO_SUCH_KEY
}

// rewrite writes a version that was changed where it lies. The row's own bytes go to
// history.
func (t *tx) rewrite(bucket uint64, p *placed) *event.Outcome {
	t.putRow(bucket, p.key, p.object, p.from, p.object)
	return &event.Outcome{Version: p.object.Version, NullVersion: p.object.NullVersion}
}
