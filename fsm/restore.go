package fsm

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/cockroachdb/pebble/v2"
	"google.golang.org/protobuf/proto"

	"ironman/sim/sabotage"
	"ironman/wal/event"
)

// A restore makes keys what they were at an earlier moment. Apply itself looks both up,
// what is there and what was: of two restores, or a restore and a PUT, each sees what
// the one before it in the log has left.

// MaxRestored bounds the keys of one event.
const MaxRestored = 1000

// objectsRestored makes up to 1,000 keys of a bucket what they were; each has its own
// outcome. Only a quota refuses all of them together.
func (t *tx) objectsRestored(p *event.Parsed, b *event.ObjectsRestored) *event.Outcome {
	bucket := t.bucket(b.Bucket)
	if bucket == nil {
		return refuse(event.Refusal_REFUSAL_NO_SUCH_BUCKET)
	}
	keys, ok := keysOf(p, int(min(b.Keys, MaxRestored)))
	if !ok || b.Keys > MaxRestored || b.To == 0 || b.To > b.Seen || b.Seen > t.seq {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	// What the bucket itself does not keep cannot tell when a key was last changed.
	if b.To < t.oldestOf(b.Source) || b.Seen < t.oldestOf(b.Bucket) {
		return refuse(event.Refusal_REFUSAL_NOT_KEPT)
	}
	if t.before(key(tableBucket, b.Source), b.To) == nil {
		return refuse(event.Refusal_REFUSAL_NOT_FOUND) // or all there is would be removed
	}
	o := accept()
	for i, name := range keys {
		if !validKey(name) {
			return refuse(event.Refusal_REFUSAL_INVALID)
		}
		sub, r := t.restoreKey(bucket, name, i, b)
		if r != event.Refusal_REFUSAL_NONE {
			return refuse(r)
		}
		o.Subs = append(o.Subs, sub)
	}
	if r := t.withinQuota(bucket); r != event.Refusal_REFUSAL_NONE {
		return refuse(r)
	}
	return o
}

// restoreKey makes one key what it was, unless somebody has changed it since the restore
// began. A key that is as it was was not changed, or by this very restore.
func (t *tx) restoreKey(b *Bucket, name string, ordinal int, r *event.ObjectsRestored) (*event.SubOutcome, event.Refusal) {
	none := event.Refusal_REFUSAL_NONE
	k := objectKey(b.Bucket, name)
	then := t.past(objectKey(r.Source, name), r.To)
	if sabotage.On(sabotage.X65) {
		then = t.past(objectKey(r.Source, name), r.To+1)
	}
	now, from := getFrom[Object](t, k)
	kind := restoring(now, then)
	if kind == event.RestoredKind_RESTORED_KIND_UNSPECIFIED {
		return &event.SubOutcome{Absent: true}, none
	}
	if t.lastChange(b, name) >= r.Seen || t.lastRemoval(r.Source, name, then) >= r.Seen {
		return &event.SubOutcome{Refusal: event.Refusal_REFUSAL_CONFLICT}, none
	}
	switch kind {
	case event.RestoredKind_RESTORED_KIND_REMOVED:
		sub := t.deleteCurrent(b, name, ordinal, false)
		if sub.Refusal == none {
			sub.Restored = kind
		}
		return sub, none
	case event.RestoredKind_RESTORED_KIND_CHANGED:
		now.Acl, now.Tags = then.Acl, then.Tags
		t.putRow(b.Bucket, k, now, from, now)
		return restored(now, kind), none
	}
	o := proto.Clone(then).(*Object)
	o.Version = &event.Version{Seq: t.seq, Ordinal: uint32(ordinal)}
	o.Time, o.Lock, o.Upload, o.Transaction = t.lastModified(now), nil, nil, nil
	if refusal := t.lockNew(b, o); refusal != none {
		return nil, refusal
	}
	switch refusal := t.putCurrent(b, name, o); refusal {
	case none:
		return restored(o, kind), none
	case event.Refusal_REFUSAL_OBJECT_LOCKED: // judged before anything is written
		return &event.SubOutcome{Refusal: refusal}, none
	default:
		return nil, refusal
	}
}

func restored(o *Object, kind event.RestoredKind) *event.SubOutcome {
	return &event.SubOutcome{Version: o.Version, NullVersion: o.NullVersion, Restored: kind, Size: o.Size, Etag: o.Etag}
}

// restoring tells what makes the current object of a key what it was; unspecified: it is
// that already. After a restore it is, though its version is another.
func restoring(now, then *Object) event.RestoredKind {
	switch {
	case then == nil && now == nil:
		return event.RestoredKind_RESTORED_KIND_UNSPECIFIED
	case then == nil:
		return event.RestoredKind_RESTORED_KIND_REMOVED
	case now != nil && proto.Equal(content(now), content(then)):
		return event.RestoredKind_RESTORED_KIND_UNSPECIFIED
	case now.GetVersion().Same(then.Version):
		return event.RestoredKind_RESTORED_KIND_CHANGED
	}
	return event.RestoredKind_RESTORED_KIND_PUT
}

// content is what a restore gives back of an object.
func content(o *Object) *Object {
	return &Object{
		Size: o.Size, Etag: o.Etag, Owner: o.Owner, Acl: o.Acl, StorageClass: o.StorageClass, Checksum: o.Checksum,
		Encryption: o.Encryption, Headers: o.Headers, Tags: o.Tags, Blob: o.Blob, Assembly: o.Assembly,
	}
}

// past is a current object as it was before a sequence, by what stood before this event;
// nil if there was none. A row of a past that is still kept holds a reference to its
// body, here or in history.
func (t *tx) past(k []byte, next uint64) *Object {
	b := t.before(k, next)
	if b == nil {
		return nil
	}
	return t.objectIn(k, b)
}

// before is a row of a historical table as it was before a sequence; nil if there was none.
func (t *tx) before(k []byte, next uint64) (row []byte) {
	if b := t.stored(k); b != nil && seen(b, next) {
		return b
	}
	t.scanFrom(historyKey(k, next), historyOf(k), func(_, b []byte) bool {
		if seen(b, next) {
			row = bytes.Clone(b)
		}
		return false
	})
	return row
}

func (t *tx) objectIn(k, b []byte) *Object {
	o, _, err := decodeRow[Object](k, b)
	if err != nil {
		t.m.fatal(err)
	}
	return o
}

// lastChange is the event that last changed a key, this one included; 0 if history tells
// of none. Where there are versions a marker may be new although the object is not: it
// lies in front of all other versions.
func (t *tx) lastChange(b *Bucket, name string) uint64 {
	seq := t.lastWrite(objectKey(b.Bucket, name))
	if b.Versioning != event.VersioningState_VERSIONING_STATE_NEVER {
		if first := t.firstVersion(b.Bucket, name); first != nil {
			seq = max(seq, t.lastWrite(first.key))
		}
	}
	return seq
}

// lastRemoval is the event that removed a version for good; 0 if it is there, or history does
// not tell.
func (t *tx) lastRemoval(bucket uint64, name string, o *Object) uint64 {
	if o == nil {
		return 0
	}
	k := versionKey(bucket, name, o.Version)
	if t.has(k) {
		return 0
	}
	return t.lastWrite(k)
}

// lastWrite is the event that last wrote or deleted a row, this one included; 0 if history
// tells of none.
func (t *tx) lastWrite(k []byte) (seq uint64) {
	if r := t.at(k); r.changed {
		return t.seq
	} else if r.old != nil {
		return writtenBy(r.old)
	}
	it, err := t.batch.NewIter(&pebble.IterOptions{LowerBound: historyOf(k), UpperBound: after(historyOf(k))})
	if err != nil {
		t.m.fatal(err)
	}
	if it.Last() {
		seq = supersededBy(it.Key())
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		t.m.fatal(err)
	}
	return seq
}

// writtenBy is the event that wrote a row of a historical table.
func writtenBy(value []byte) uint64 { return binary.BigEndian.Uint64(value) }

// historyOf begins the rows of one row's history.
func historyOf(k []byte) []byte {
	b := historyKey(k, 0)
	return b[:len(b)-8]
}

// supersededBy is the event that superseded what a row of history holds.
func supersededBy(k []byte) uint64 { return binary.BigEndian.Uint64(k[len(k)-8:]) }
