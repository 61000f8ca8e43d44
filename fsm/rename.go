package fsm

import "ironman/wal/event"

// objectRenamed gives the current object of a key another key in its bucket. Its body
// stays where it is. Where the bucket has versioning, the new key gets a new version
// and the old one is deleted as any DELETE would: its versions stay behind a marker.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_RenameObject.html
func (t *tx) objectRenamed(p *event.Parsed, b *event.ObjectRenamed) *event.Outcome {
	name, from := p.Text(event.ItemKind_ITEM_KIND_KEY, 0), p.Text(event.ItemKind_ITEM_KIND_SOURCE_KEY, 0)
	if !validKey(name) || !validKey(from) || name == from {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	bucket := t.bucket(b.Bucket)
	if bucket == nil {
		return refuse(event.Refusal_REFUSAL_NO_SUCH_BUCKET)
	}
	source, old := get[Object](t, objectKey(b.Bucket, from)), get[Object](t, objectKey(b.Bucket, name))
	if source == nil {
		return refuse(event.Refusal_REFUSAL_NO_SUCH_KEY)
	}
	if !source.Version.Same(b.Version) {
		return refuse(event.Refusal_REFUSAL_CONFLICT)
	}
	if r := condition(b.SourceCondition, source); r != event.Refusal_REFUSAL_NONE {
		return refuse(r)
	}
	if r := condition(b.Condition, old); r != event.Refusal_REFUSAL_NONE {
		return refuse(r)
	}
	o := &Object{
		Version: &event.Version{Seq: t.seq}, Size: source.Size, Etag: source.Etag, Time: t.lastModified(old),
		Owner: source.Owner, Acl: source.Acl, StorageClass: source.StorageClass, Checksum: source.Checksum,
		Encryption: source.Encryption, Lock: source.Lock, Headers: source.Headers, Tags: source.Tags,
		Blob: source.Blob, Assembly: source.Assembly,
	}
	if !bucket.ObjectLock {
		o.Lock = nil // one that an older level stored; it binds nothing
	}
	// The new row first: its reference keeps the body.
	if r := t.lockNew(bucket, o); r != event.Refusal_REFUSAL_NONE {
		return refuse(r)
	}
	if r := t.putCurrent(bucket, name, o); r != event.Refusal_REFUSAL_NONE {
		return refuse(r)
	}
	if sub := t.deleteCurrent(bucket, from, 1, false); sub.Refusal != event.Refusal_REFUSAL_NONE {
		return refuse(sub.Refusal)
	}
	if r := t.withinQuota(bucket); r != event.Refusal_REFUSAL_NONE {
		return refuse(r)
	}
	return made(o)
}
