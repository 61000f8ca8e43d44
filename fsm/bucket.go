package fsm

import (
	"unicode/utf8"

	"ironman/wal/event"
)

// maxNameBytes bounds the names of buckets, accounts and users. (Whoever proposes
// holds bucket names to S3's stricter rules.)
const maxNameBytes = 1024

// validName refuses what no row could hold: its text is UTF-8.
func validName(s string) bool { return len(s) <= maxNameBytes && utf8.ValidString(s) }

// bucketCreated makes a bucket; its id is the event's sequence.
func (t *tx) bucketCreated(p *event.Parsed, b *event.BucketCreated) *event.Outcome {
	name := p.Text(event.ItemKind_ITEM_KIND_BUCKET_NAME, 0)
	if name == "" || !validName(name) || b.Owner == "" || b.Acl == nil {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	if n := get[BucketName](t, keyText(tableBucketName, name)); n != nil {
		if n.Owner == b.Owner {
			return refuse(event.Refusal_REFUSAL_BUCKET_OWNED)
		}
		return refuse(event.Refusal_REFUSAL_BUCKET_EXISTS)
	}
	row := &Bucket{
		Bucket: t.seq, Name: name, Owner: b.Owner, Region: b.Region,
		Time: t.time, Acl: b.Acl, ObjectLock: b.ObjectLock,
	}
	if b.ObjectLock && t.level() >= 3 {
		row.Versioning = event.VersioningState_VERSIONING_STATE_ENABLED
	}
	if !t.firstDocuments(p, row) {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	t.set(keyText(tableBucketName, name), &BucketName{Bucket: t.seq, Owner: b.Owner, Time: t.time})
	t.set(key(tableBucket, t.seq), row)
	return &event.Outcome{Allocated: t.seq}
}

// listsDocuments: from feature level 3 on a bucket's row lists its documents, and the
// event that makes a bucket may bring some.
func listsDocuments(p *event.Parsed) bool { return p.Statement.GetHeader().GetFeatureLevel() >= 3 }

// firstDocuments stores the documents that a new bucket comes with.
func (t *tx) firstDocuments(p *event.Parsed, row *Bucket) bool {
	if !listsDocuments(p) {
		return true
	}
	for _, it := range p.Items {
		if it.Kind != event.ItemKind_ITEM_KIND_DOCUMENT {
			continue
		}
		kind := event.DocumentKind(it.Ordinal)
		if kind == event.DocumentKind_DOCUMENT_KIND_UNSPECIFIED || event.DocumentKind_name[int32(kind)] == "" {
			return false
		}
		row.list(kind, true)
		t.set(documentKey(row.Bucket, kind), &Document{Text: it.Value, Time: t.time})
	}
	return true
}

// maxDocumentKind is what the bits of Bucket.Documents can tell.
const maxDocumentKind = 63

// Lists tells whether a bucket has a document of a kind.
func (b *Bucket) Lists(kind event.DocumentKind) bool { return b.GetDocuments()>>uint(kind)&1 == 1 }

// list notes that there is, or is no, document of a kind. It reports whether that is new.
func (b *Bucket) list(kind event.DocumentKind, there bool) bool {
	if kind > maxDocumentKind || b.Lists(kind) == there {
		return false
	}
	b.Documents ^= 1 << uint(kind)
	return true
}

// bucketDeleted removes an empty bucket: without objects, versions, markers or uploads.
func (t *tx) bucketDeleted(b *event.BucketDeleted) *event.Outcome {
	bk := key(tableBucket, b.Bucket)
	row := get[Bucket](t, bk)
	if row == nil {
		return refuse(event.Refusal_REFUSAL_NO_SUCH_BUCKET)
	}
	for _, tb := range []table{tableObject, tableVersion, tableUpload} {
		if t.any(key(tb, b.Bucket)) {
			return refuse(event.Refusal_REFUSAL_BUCKET_NOT_EMPTY)
		}
	}
	t.delete(keyText(tableBucketName, row.Name))
	t.delete(bk)
	t.delete(key(tableUsage, b.Bucket))
	t.deleteAll(key(tableDocument, b.Bucket))
	t.deleteAll(key(tableCursor, b.Bucket))
	t.retainDeleted(b.Bucket)
	return accept()
}

func (t *tx) bucketACLSet(b *event.BucketACLSet) *event.Outcome {
	k := key(tableBucket, b.Bucket)
	row := get[Bucket](t, k)
	if row == nil {
		return refuse(event.Refusal_REFUSAL_NO_SUCH_BUCKET)
	}
	if b.Acl == nil || b.Acl.Owner != row.Owner {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	row.Acl = b.Acl
	t.set(k, row)
	return accept()
}

func (t *tx) bucketDocumentSet(p *event.Parsed, b *event.BucketDocumentSet) *event.Outcome {
	if b.Kind == event.DocumentKind_DOCUMENT_KIND_UNSPECIFIED {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	bk := key(tableBucket, b.Bucket)
	row := get[Bucket](t, bk)
	if row == nil {
		return refuse(event.Refusal_REFUSAL_NO_SUCH_BUCKET)
	}
	k := documentKey(b.Bucket, b.Kind)
	text, ok := p.Item(event.ItemKind_ITEM_KIND_DOCUMENT, 0)
	if listsDocuments(p) && row.list(b.Kind, ok) {
		t.set(bk, row)
	}
	if !ok {
		t.delete(k)
		return accept()
	}
	t.set(k, &Document{Text: text, Time: t.time, Confirmed: b.Confirmed})
	return accept()
}

// bucketVersioningSet enables or suspends versioning. It can never be as if it had not
// been, and object lock needs it.
func (t *tx) bucketVersioningSet(b *event.BucketVersioningSet) *event.Outcome {
	k := key(tableBucket, b.Bucket)
	row := get[Bucket](t, k)
	switch {
	case row == nil:
		return refuse(event.Refusal_REFUSAL_NO_SUCH_BUCKET)
	case b.State == event.VersioningState_VERSIONING_STATE_NEVER:
		return refuse(event.Refusal_REFUSAL_INVALID)
	case b.State == event.VersioningState_VERSIONING_STATE_SUSPENDED && row.ObjectLock:
		return refuse(event.Refusal_REFUSAL_BUCKET_STATE)
	}
	row.Versioning = b.State
	t.set(k, row)
	return accept()
}
