package fsm

import "ironman/wal/event"

const maxPartNumber = 10000

// uploadCreated begins a multipart upload; its id is (seq, 0).
func (t *tx) uploadCreated(p *event.Parsed, b *event.UploadCreated) *event.Outcome {
	name := p.Text(event.ItemKind_ITEM_KIND_KEY, 0)
	if !validKey(name) || b.Acl == nil || b.Owner == "" {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	if !t.has(key(tableBucket, b.Bucket)) {
		return refuse(event.Refusal_REFUSAL_NO_SUCH_BUCKET)
	}
	u := &Upload{
		Upload: &event.Version{Seq: t.seq}, Key: name, Owner: b.Owner, Initiator: b.Initiator,
		Acl: b.Acl, StorageClass: b.StorageClass, ChecksumAlgorithm: b.ChecksumAlgorithm,
		ChecksumComposite: b.ChecksumComposite, Encryption: b.Encryption, Lock: b.Lock, Time: t.time,
	}
	if r := t.describe(p, &u.Headers, &u.Tags); r != event.Refusal_REFUSAL_NONE {
		return refuse(r)
	}
	t.set(uploadKey(b.Bucket, name, u.Upload), u)
	t.count(b.Bucket, 0, 0, 1)
	return &event.Outcome{Version: u.Upload}
}

// partPut stores or replaces a part.
func (t *tx) partPut(p *event.Parsed, b *event.PartPut) *event.Outcome {
	if b.Number == 0 || b.Number > maxPartNumber {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	if !t.has(uploadKey(b.Bucket, p.Text(event.ItemKind_ITEM_KIND_KEY, 0), b.Upload)) {
		return refuse(event.Refusal_REFUSAL_NO_SUCH_UPLOAD)
	}
	if r := t.adoptBlobs(b.Blobs); r != event.Refusal_REFUSAL_NONE {
		return refuse(r)
	}
	segments := b.Segments
	if b.Source == nil {
		segments = wholes(b.Blobs)
	} else if t.source(p, b.Source) == nil {
		return refuse(event.Refusal_REFUSAL_SOURCE_CHANGED)
	}
	if total(segments) != b.Size {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	for _, s := range segments {
		if !t.refSegment(s) {
			return refuse(event.Refusal_REFUSAL_SOURCE_CHANGED)
		}
	}
	k := partKey(b.Upload, b.Number)
	t.unrefPart(get[Part](t, k))
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

// uploadCompleted makes an object of parts. The parts' references become the
// assembly's; parts that are not part of it give theirs up.
func (t *tx) uploadCompleted(p *event.Parsed, b *event.UploadCompleted) *event.Outcome {
	name := p.Text(event.ItemKind_ITEM_KIND_KEY, 0)
	uk := uploadKey(b.Bucket, name, b.Upload)
	u := get[Upload](t, uk)
	k := objectKey(b.Bucket, name)
	old, from := getFrom[Object](t, k)
	if u == nil {
		if old != nil && b.Upload != nil && old.Upload.Same(b.Upload) {
			return made(old) // completed before: the same answer
		}
		return refuse(event.Refusal_REFUSAL_NO_SUCH_UPLOAD)
	}
	if r := condition(b.Condition, old); r != event.Refusal_REFUSAL_NONE {
		return refuse(r)
	}
	stored := t.parts(u.Upload)
	segments, infos, size, ok := choose(stored, b.Parts)
	if !ok {
		return refuse(event.Refusal_REFUSAL_INVALID_PART)
	}
	if size != b.Size {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	o := &Object{
		Version: &event.Version{Seq: t.seq}, NullVersion: true,
		Size: size, Etag: b.Etag, Time: t.lastModified(old), Owner: u.Owner, Acl: u.Acl,
		StorageClass: u.StorageClass, Checksum: b.Checksum, Encryption: u.Encryption, Lock: u.Lock,
		Headers: u.Headers, Tags: u.Tags, Upload: u.Upload,
	}
	o.Assembly = o.Version
	t.set(assemblyKey(o.Assembly), &Assembly{Segments: segments, Parts: infos})
	for _, part := range stored { // what was not chosen gives up its references
		t.unrefPart(part)
	}
	t.dropUpload(b.Bucket, uk, u)
	t.putObject(b.Bucket, k, old, from, o)
	return made(o)
}

// choose takes the completed parts out of those stored: their segments in order.
// What remains in stored was not chosen.
func choose(stored map[uint32]*Part, chosen []*event.CompletedPart) (segments []*event.Segment, infos []*PartInfo, size uint64, ok bool) {
	last := uint32(0)
	for _, c := range chosen {
		part := stored[c.Number]
		if part == nil || part.Seq != c.Seq || c.Number <= last {
			return nil, nil, 0, false
		}
		last = c.Number
		segments = append(segments, part.Segments...)
		infos = append(infos, &PartInfo{Number: c.Number, Size: part.Size, Checksum: part.Checksum})
		size += part.Size
		delete(stored, c.Number)
	}
	return segments, infos, size, len(chosen) > 0
}

// parts reads the parts of an upload.
func (t *tx) parts(upload *event.Version) map[uint32]*Part {
	parts := make(map[uint32]*Part)
	t.scan(appendVersion([]byte{byte(tablePart)}, upload), func(k, v []byte) bool {
		p, _, err := decodeRow[Part](k, v)
		if err != nil {
			t.m.fatal(err)
		}
		parts[p.Number] = p
		return true
	})
	return parts
}

// dropUpload removes the rows of an upload and its parts.
func (t *tx) dropUpload(bucket uint64, uk []byte, u *Upload) {
	var keys [][]byte
	t.scan(appendVersion([]byte{byte(tablePart)}, u.Upload), func(k, _ []byte) bool {
		keys = append(keys, append([]byte(nil), k...))
		return true
	})
	for _, k := range keys {
		t.delete(k)
	}
	t.delete(uk)
	t.count(bucket, 0, 0, -1)
}

// uploadAborted forgets an upload and gives up its parts.
func (t *tx) uploadAborted(p *event.Parsed, b *event.UploadAborted) *event.Outcome {
	uk := uploadKey(b.Bucket, p.Text(event.ItemKind_ITEM_KIND_KEY, 0), b.Upload)
	u := get[Upload](t, uk)
	if u == nil {
		return refuse(event.Refusal_REFUSAL_NO_SUCH_UPLOAD)
	}
	for _, part := range t.parts(u.Upload) {
		t.unrefPart(part)
	}
	t.dropUpload(b.Bucket, uk, u)
	return accept()
}
