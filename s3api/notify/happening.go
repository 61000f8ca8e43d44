package notify

import (
	"fmt"

	"ironman/wal/event"
	"ironman/wal/ledger"
)

// Names of notifications, without the "s3:" of configurations.
const (
	createdPut      = "ObjectCreated:Put"
	createdPost     = "ObjectCreated:Post"
	createdCopy     = "ObjectCreated:Copy"
	createdComplete = "ObjectCreated:CompleteMultipartUpload"
	removed         = "ObjectRemoved:Delete"
	removedMarker   = "ObjectRemoved:DeleteMarkerCreated"
	expired         = "LifecycleExpiration:Delete"
	expiredMarker   = "LifecycleExpiration:DeleteMarkerCreated"
	tagged          = "ObjectTagging:Put"
	untagged        = "ObjectTagging:Delete"
	aclPut          = "ObjectAcl:Put"
)

// Happening is one change to one object.
type Happening struct {
	// Name as messages have it: "ObjectCreated:Put".
	Name    string
	Bucket  uint64
	Key     string
	Version string // its id; "" where the bucket has none, or the null version's
	ETag    string // of what was created
	Size    uint64 // likewise

	Seq       uint64 // of the event
	Ordinal   int    // of several of one event
	Time      int64  // ns of log time
	Principal string // who did it: an opaque id; "": nobody signed
	Address   string // of the client
	RequestID []byte
}

// Of reads what an event did to objects, in its order: nothing, if it is of another kind
// or was refused. An event of which the key was erased tells nothing any more.
func Of(r *ledger.Record) ([]Happening, error) {
	var e event.Envelope
	if err := event.Decode(r.Envelope, &e); err != nil {
		return nil, fmt.Errorf("notify: event %d: %w", r.Seq, err)
	}
	if e.Refusal != event.Refusal_REFUSAL_NONE || !concerns(e.Kind) {
		return nil, nil
	}
	var s event.Statement
	var o event.Outcome
	if err := event.Decode(r.Statement, &s); err != nil {
		return nil, fmt.Errorf("notify: event %d: %w", r.Seq, err)
	}
	if err := event.Decode(r.Outcome, &o); err != nil {
		return nil, fmt.Errorf("notify: event %d: %w", r.Seq, err)
	}
	p := &event.Parsed{Statement: &s}
	for i := range r.Items {
		if r.Items[i].Erased {
			continue
		}
		it := new(event.Item)
		if err := event.Decode(r.Items[i].Bytes, it); err != nil {
			return nil, fmt.Errorf("notify: event %d: %w", r.Seq, err)
		}
		p.Items = append(p.Items, it)
	}
	d := &decoding{p: p, o: &o, base: Happening{Seq: r.Seq, Time: e.Time, Principal: e.Principal, RequestID: e.RequestId}}
	if b, ok := p.Item(event.ItemKind_ITEM_KIND_CLIENT, 0); ok {
		var c event.Client
		if err := event.Decode(b, &c); err != nil {
			return nil, fmt.Errorf("notify: event %d: %w", r.Seq, err)
		}
		d.base.Address = c.Address
	}
	d.read()
	return d.out, nil
}

// The kinds of events that change objects: the numbers of their fields.
var kinds = func() map[uint32]bool {
	out := make(map[uint32]bool)
	for _, s := range []*event.Statement{
		{Body: &event.Statement_ObjectPut{}}, {Body: &event.Statement_ObjectAppended{}}, {Body: &event.Statement_UploadCompleted{}},
		{Body: &event.Statement_ObjectsDeleted{}}, {Body: &event.Statement_ObjectsExpired{}}, {Body: &event.Statement_ObjectTagsSet{}},
		{Body: &event.Statement_ObjectAclSet{}}, {Body: &event.Statement_ObjectRenamed{}}, {Body: &event.Statement_ObjectsRestored{}},
		{Body: &event.Statement_TransactionCommitted{}},
	} {
		out[s.Kind()] = true
	}
	return out
}()

func concerns(kind uint32) bool { return kinds[kind] }

type decoding struct {
	p    *event.Parsed
	o    *event.Outcome
	base Happening
	out  []Happening
}

func (d *decoding) read() {
	switch b := d.p.Statement.Body.(type) {
	case *event.Statement_ObjectPut:
		d.created(b.ObjectPut.Bucket, d.putName(), b.ObjectPut.Size, b.ObjectPut.Etag)
	case *event.Statement_ObjectAppended:
		d.created(b.ObjectAppended.Bucket, createdPut, b.ObjectAppended.Size, b.ObjectAppended.Etag)
	case *event.Statement_UploadCompleted:
		d.created(b.UploadCompleted.Bucket, createdComplete, b.UploadCompleted.Size, b.UploadCompleted.Etag)
	case *event.Statement_ObjectRenamed:
		d.created(b.ObjectRenamed.Bucket, createdCopy, 0, "")
		d.add(Happening{Name: removed, Bucket: b.ObjectRenamed.Bucket, Ordinal: 1}, event.ItemKind_ITEM_KIND_SOURCE_KEY, 0)
	case *event.Statement_ObjectsDeleted:
		d.removed(b.ObjectsDeleted.Bucket, removed, removedMarker, func(i int) bool {
			t := b.ObjectsDeleted.Targets[i]
			return t.Version == nil && !t.NullVersion
		}, len(b.ObjectsDeleted.Targets))
	case *event.Statement_ObjectsExpired:
		d.removed(b.ObjectsExpired.Bucket, expired, expiredMarker, func(i int) bool {
			return b.ObjectsExpired.Targets[i].Kind == event.ExpiredKind_EXPIRED_KIND_CURRENT
		}, len(b.ObjectsExpired.Targets))
	case *event.Statement_ObjectsRestored:
		d.restored(b.ObjectsRestored.Bucket)
	case *event.Statement_TransactionCommitted:
		d.transacted(b.TransactionCommitted)
	case *event.Statement_ObjectTagsSet:
		name := tagged
		if t, ok := d.p.Item(event.ItemKind_ITEM_KIND_TAGS, 0); !ok || len(t) == 0 {
			name = untagged
		}
		d.changed(name, b.ObjectTagsSet.Bucket, b.ObjectTagsSet.Version)
	case *event.Statement_ObjectAclSet:
		d.changed(aclPut, b.ObjectAclSet.Bucket, b.ObjectAclSet.Version)
	}
}

// changed tells of something beside an object's bytes.
func (d *decoding) changed(name string, bucket uint64, version *event.Version) {
	h := Happening{Name: name, Bucket: bucket}
	if !d.o.NullVersion {
		h.Version = version.ID()
	}
	d.add(h, event.ItemKind_ITEM_KIND_KEY, 0)
}

// putName: three operations are one event.
func (d *decoding) putName() string {
	switch d.p.Statement.GetHeader().GetOperation() {
	case "CopyObject":
		return createdCopy
	case "PostObject":
		return createdPost
	}
	return createdPut
}

func (d *decoding) created(bucket uint64, name string, size uint64, etag string) {
	h := Happening{Name: name, Bucket: bucket, Size: size, ETag: etag}
	if !d.o.NullVersion {
		h.Version = d.o.Version.ID()
	}
	if d.o.Etag != "" {
		h.ETag = d.o.Etag
	}
	d.add(h, event.ItemKind_ITEM_KIND_KEY, 0)
}

// transacted tells of what each operation did.
func (d *decoding) transacted(b *event.TransactionCommitted) {
	for i, op := range b.Operations {
		if i >= len(d.o.Subs) {
			return
		}
		sub := d.o.Subs[i]
		h := Happening{Bucket: b.Bucket, Ordinal: i}
		switch {
		case op.Completed != nil:
			h.Name, h.Size, h.ETag = createdComplete, op.Completed.Size, op.Completed.Etag
		case op.Copied != nil:
			h.Name, h.Size, h.ETag = createdCopy, op.Copied.Size, op.Copied.Etag
		case sub.Absent && !sub.DeleteMarker:
			continue
		case sub.DeleteMarker && op.Deleted.GetVersion() == nil && !op.Deleted.GetNullVersion():
			h.Name = removedMarker
		default:
			h.Name = removed
		}
		if !sub.NullVersion {
			h.Version = sub.Version.ID()
		}
		d.add(h, event.ItemKind_ITEM_KIND_KEY, i)
	}
}

// removed tells of every target that was there. current says whether a target names no
// version: a marker is made then, where there are versions.
func (d *decoding) removed(bucket uint64, gone, marker string, current func(i int) bool, n int) {
	for i := range n {
		if i >= len(d.o.Subs) {
			return
		}
		sub := d.o.Subs[i]
		if sub.Refusal != event.Refusal_REFUSAL_NONE || sub.Absent && !sub.DeleteMarker {
			continue
		}
		h := Happening{Name: gone, Bucket: bucket, Ordinal: i}
		if sub.DeleteMarker && current(i) {
			h.Name = marker
		}
		if !sub.NullVersion {
			h.Version = sub.Version.ID()
		}
		d.add(h, event.ItemKind_ITEM_KIND_KEY, i)
	}
}

// restored tells of every key that a restore changed: what it gave back is a copy of what
// was there, and what there was not goes as by a DELETE. Who had only its ACL or its tags
// given back got both, so both are told.
func (d *decoding) restored(bucket uint64) {
	for i, sub := range d.o.Subs {
		if sub.Refusal != event.Refusal_REFUSAL_NONE {
			continue
		}
		h := Happening{Bucket: bucket, Ordinal: i}
		if !sub.NullVersion {
			h.Version = sub.Version.ID()
		}
		var names []string
		switch sub.Restored {
		case event.RestoredKind_RESTORED_KIND_PUT:
			names, h.Size, h.ETag = []string{createdCopy}, sub.Size, sub.Etag
		case event.RestoredKind_RESTORED_KIND_REMOVED:
			names = []string{removed}
			if sub.DeleteMarker {
				names = []string{removedMarker}
			}
		case event.RestoredKind_RESTORED_KIND_CHANGED:
			names = []string{aclPut, tagged}
		}
		for _, name := range names {
			h.Name = name
			d.add(h, event.ItemKind_ITEM_KIND_KEY, i)
		}
	}
}

// add completes one, unless its key was erased.
func (d *decoding) add(h Happening, key event.ItemKind, ordinal int) {
	b, ok := d.p.Item(key, ordinal)
	if !ok {
		return
	}
	h.Key = string(b)
	h.Seq, h.Time, h.Principal, h.Address, h.RequestID = d.base.Seq, d.base.Time, d.base.Principal, d.base.Address, d.base.RequestID
	d.out = append(d.out, h)
}
