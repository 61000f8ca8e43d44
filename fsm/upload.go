package fsm

import (
	"math"

	"ironman/sim/sabotage"
	"ironman/wal/event"
)

const maxPartNumber = 10000

// uploadCreated begins a multipart upload; its id is (seq, 0).
func (t *tx) uploadCreated(p *event.Parsed, b *event.UploadCreated) *event.Outcome {
	name := p.Text(event.ItemKind_ITEM_KIND_KEY, 0)
	if !validKey(name) || b.Acl == nil || b.Owner == "" {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	bucket := t.bucket(b.Bucket)
	if bucket == nil {
		return refuse(event.Refusal_REFUSAL_NO_SUCH_BUCKET)
	}
	if r := t.lockable(bucket, b.Lock); r != event.Refusal_REFUSAL_NONE {
		return refuse(r)
	}
	u := &Upload{
		Upload: &event.Version{Seq: t.seq}, Owner: b.Owner, Initiator: b.Initiator,
		Acl: b.Acl, StorageClass: b.StorageClass, ChecksumAlgorithm: b.ChecksumAlgorithm,
		ChecksumComposite: b.ChecksumComposite, Encryption: b.Encryption, Lock: b.Lock, Time: t.time,
	}
	if r := t.describe(p, 0, &u.Headers, &u.Tags); r != event.Refusal_REFUSAL_NONE {
		return refuse(r)
	}
	t.set(uploadKey(b.Bucket, name, u.Upload), u)
	t.count(b.Bucket, change{uploads: 1})
	return &event.Outcome{Version: u.Upload}
}

// partPut stores or replaces a part.
func (t *tx) partPut(p *event.Parsed, b *event.PartPut) *event.Outcome {
	if b.Number == 0 || b.Number > maxPartNumber {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	u := get[Upload](t, uploadKey(b.Bucket, p.Text(event.ItemKind_ITEM_KIND_KEY, 0), b.Upload))
	if u == nil {
		return refuse(event.Refusal_REFUSAL_NO_SUCH_UPLOAD)
	}
	if b.Source != nil && t.source(p, 0, b.Source) == nil {
		return refuse(event.Refusal_REFUSAL_SOURCE_CHANGED)
	}
	segments, sealing := b.Segments, t.sealing(b.Encryption)
	if len(b.Blobs) > 0 {
		segments = wholes(sealing, b.Blobs)
	}
	if sealing.GetKind() != t.sealing(u.Encryption).GetKind() || !hasKeys(sealing, segments) {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	// Ranges of blobs come from a source, and nothing else comes beside them.
	if len(b.Segments) > 0 && (b.Source == nil || len(b.Blobs) > 0) || total(segments) != b.Size {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	if r := t.adoptBlobs(b.Blobs); r != event.Refusal_REFUSAL_NONE {
		return refuse(r)
	}
	if r := t.refSegments(sealing, b.Blobs, segments); r != event.Refusal_REFUSAL_NONE {
		return refuse(r)
	}
	k := partKey(b.Upload, b.Number)
	old := get[Part](t, k)
	t.unrefPart(old)
	if t.countsParts() {
		t.count(b.Bucket, change{parts: int64(b.Size) - int64(old.GetSize())})
		if r := t.withinQuota(t.bucket(b.Bucket)); r != event.Refusal_REFUSAL_NONE {
			return refuse(r)
		}
	}
	t.set(k, &Part{
		Number: b.Number, Seq: t.seq, Size: b.Size, Etag: b.Etag, Checksum: b.Checksum,
		Encryption: b.Encryption, Time: t.time, Segments: segments,
	})
	return &event.Outcome{Etag: b.Etag}
}

func (t *tx) unrefPart(p *Part) {
	for _, s := range p.GetSegments() {
		t.unrefBlob(s.Blob)
	}
}

// uploadCompleted makes an object of parts.
func (t *tx) uploadCompleted(p *event.Parsed, b *event.UploadCompleted) *event.Outcome {
	name := p.Text(event.ItemKind_ITEM_KIND_KEY, 0)
	if !t.has(uploadKey(b.Bucket, name, b.Upload)) {
		old := get[Object](t, objectKey(b.Bucket, name))
		if old != nil && b.Upload != nil && old.Upload.Same(b.Upload) {
			return made(old) // completed before: the same answer
		}
		return refuse(event.Refusal_REFUSAL_NO_SUCH_UPLOAD)
	}
	o, _, r := t.complete(p, 0, b, math.MaxInt)
	if r == event.Refusal_REFUSAL_NONE {
		r = t.withinQuota(t.bucket(b.Bucket))
	}
	if r != event.Refusal_REFUSAL_NONE {
		return refuse(r)
	}
	return made(o)
}

// complete makes the object of operation i of an event of parts, whatever the quota says.
// The parts' references become the assembly's; parts that are not part of it give theirs
// up. Of all of them together it tells the number of pieces, which is what it costs.
func (t *tx) complete(p *event.Parsed, i int, b *event.UploadCompleted, limit int) (o *Object, pieces int, r event.Refusal) {
	name := p.Text(event.ItemKind_ITEM_KIND_KEY, i)
	uk := uploadKey(b.Bucket, name, b.Upload)
	u := get[Upload](t, uk)
	if u == nil {
		return nil, 0, event.Refusal_REFUSAL_NO_SUCH_UPLOAD
	}
	old := get[Object](t, objectKey(b.Bucket, name))
	ignored := len(b.Condition.GetIfMatch()) > 0 && sabotage.On(sabotage.X22)
	if r := condition(b.Condition, old); r != event.Refusal_REFUSAL_NONE && !ignored {
		return nil, 0, r
	}
	body, ok := t.choose(u.Upload, b.Parts, limit)
	if body.pieces > limit {
		return nil, body.pieces, event.Refusal_REFUSAL_LIMIT_EXCEEDED
	}
	if !ok {
		return nil, body.pieces, event.Refusal_REFUSAL_INVALID_PART
	}
	if body.size != b.Size {
		return nil, body.pieces, event.Refusal_REFUSAL_INVALID
	}
	o = &Object{
		Version: t.version(i), Size: b.Size, Etag: b.Etag, Time: t.lastModified(old), Owner: u.Owner, Acl: u.Acl,
		StorageClass: u.StorageClass, Checksum: b.Checksum, Encryption: u.Encryption, Lock: u.Lock,
		Headers: u.Headers, Tags: u.Tags, Upload: u.Upload,
	}
	a := &Assembly{Segments: body.segments, Parts: body.parts}
	if body.sealed {
		a.Keys = body.keys
	} else if o.Encryption != nil {
		o.Encryption.Keys = body.keys
	}
	t.assemble(o, a)
	t.dropUpload(b.Bucket, uk, u, body.stored)
	return o, body.pieces, t.store(t.bucket(b.Bucket), name, o)
}

// completed is what the parts of an upload make together.
type completed struct {
	segments []*event.Segment
	parts    []*PartInfo
	sealed   bool                // keys are an assembly's, not an object's
	keys     []*event.WrappedKey // of its blobs, each once
	known    map[[16]byte]bool   // those that keys has
	size     uint64
	stored   uint64 // bytes of all parts, chosen or not
	pieces   int    // of all parts that were looked at: their segments, and one at least
}

func (c *completed) add(p *Part) {
	c.segments = append(c.segments, p.Segments...)
	c.parts = append(c.parts, &PartInfo{Number: p.Number, Size: p.Size, Checksum: p.Checksum})
	c.addKeys(p.Encryption)
	c.size += p.Size
}

// choose puts the chosen parts together and gives up those that are stored beside
// them. It is false if a chosen part is not stored, or is another than the proposer
// saw; the event is to be refused then, and so if the parts have more pieces than limit: it
// looks at no part beyond. Of those given up one is in memory at a time.
func (t *tx) choose(upload *event.Version, chosen []*event.CompletedPart, limit int) (body completed, ok bool) {
	ok, body.sealed = true, t.knowsSealed()
	t.eachPart(upload, func(p *Part) bool {
		body.stored += p.Size
		if body.pieces += p.pieces(); body.pieces > limit {
			return false
		}
		if len(chosen) == 0 || chosen[0].Number != p.Number {
			t.unrefPart(p)
			return true
		}
		if ok = chosen[0].Seq == p.Seq; ok {
			body.add(p)
			chosen = chosen[1:]
		}
		return ok
	})
	return body, ok && len(chosen) == 0 && len(body.parts) > 0
}

// pieces is what a part costs whoever takes or gives up all of its upload.
func (p *Part) pieces() int { return max(1, len(p.GetSegments())) }

// eachPart calls f for the parts of an upload, ascending, until it says stop.
func (t *tx) eachPart(upload *event.Version, f func(*Part) bool) {
	t.scan(appendVersion([]byte{byte(tablePart)}, upload), func(k, v []byte) bool {
		p, _, err := decodeRow[Part](k, v)
		if err != nil {
			t.m.fatal(err)
		}
		return f(p)
	})
}

// dropUpload removes the rows of an upload and its parts, of so many bytes.
func (t *tx) dropUpload(bucket uint64, uk []byte, u *Upload, stored uint64) {
	t.deleteAll(appendVersion([]byte{byte(tablePart)}, u.Upload))
	t.delete(uk)
	c := change{uploads: -1}
	if t.countsParts() {
		c.parts = -int64(stored)
	}
	t.count(bucket, c)
}

// uploadAborted forgets an upload and gives up its parts.
func (t *tx) uploadAborted(p *event.Parsed, b *event.UploadAborted) *event.Outcome {
	uk := uploadKey(b.Bucket, p.Text(event.ItemKind_ITEM_KIND_KEY, 0), b.Upload)
	u := get[Upload](t, uk)
	if u == nil {
		return refuse(event.Refusal_REFUSAL_NO_SUCH_UPLOAD)
	}
	stored := uint64(0)
	t.eachPart(u.Upload, func(p *Part) bool {
		t.unrefPart(p)
		stored += p.Size
		return true
	})
	t.dropUpload(b.Bucket, uk, u, stored)
	return accept()
}
