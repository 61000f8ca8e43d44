package fsm

import (
	"bytes"
	"errors"

	"ironman/sim/sabotage"
	"ironman/wal/event"
)

// The versions of a key lie in two tables: the current object, and every other
// version and every marker. Their order is that of the log.
//
//   - A key's newest version is the object row if there is one, else the first row
//     of the table of versions, which then is a marker.
//   - A key has at most one null version. It is the object row, or the null row
//     leads to it.
//   - A bucket that never had versioning has object rows only, all of them null versions.

// errVersions means that the rows contradict themselves: the node stops.
var errVersions = errors.New("the rows of versions contradict each other")

// placed is a version and the row it lies in.
type placed struct {
	key    []byte
	object *Object
	from   uint64 // the event that wrote the row
}

func (p *placed) current() bool { return tableOf(p.key) == tableObject }

// placedAt is the version that lies in a row; nil if there is none.
func (t *tx) placedAt(k []byte) *placed {
	o, from := getFrom[Object](t, k)
	if o == nil {
		return nil
	}
	return &placed{k, o, from}
}

// findVersion finds one version of a key, current or not, marker or not; nil if
// there is none.
func (t *tx) findVersion(bucket uint64, name string, v *event.Version) *placed {
	if v == nil {
		return nil
	}
	if p := t.placedAt(objectKey(bucket, name)); p != nil && p.object.Version.Same(v) {
		return p
	}
	return t.placedAt(versionKey(bucket, name, v))
}

// findNull finds a key's null version, marker or not; nil if there is none.
func (t *tx) findNull(bucket uint64, name string) *placed {
	if p := t.placedAt(objectKey(bucket, name)); p != nil && p.object.NullVersion {
		return p
	}
	v := get[event.Version](t, nullKey(bucket, name))
	if v == nil {
		return nil
	}
	p := t.placedAt(versionKey(bucket, name, v))
	if p == nil {
		t.m.fatal(errVersions)
	}
	return p
}

// putCurrent makes o a key's newest version. Where versioning is enabled, what was
// current becomes a version of its own; elsewhere o takes the place of the null
// version, wherever that is.
func (t *tx) putCurrent(b *Bucket, name string, o *Object) event.Refusal {
	k := objectKey(b.Bucket, name)
	old, from := getFrom[Object](t, k)
	var replaced *placed
	switch b.Versioning {
	case event.VersioningState_VERSIONING_STATE_ENABLED:
		o.NullVersion = false
	case event.VersioningState_VERSIONING_STATE_SUSPENDED:
		o.NullVersion = true
		replaced = t.findNull(b.Bucket, name)
	default:
		o.NullVersion = true
		if old != nil {
			replaced = &placed{k, old, from}
		}
	}
	if replaced != nil && t.locked(b, replaced.object, false) {
		return event.Refusal_REFUSAL_OBJECT_LOCKED
	}
	if old != nil && (replaced == nil || !replaced.current()) {
		t.addVersion(b.Bucket, name, old)
	}
	t.putRow(b.Bucket, k, old, from, o)
	if replaced != nil && !replaced.current() {
		t.dropVersion(b.Bucket, name, replaced)
	}
	return event.Refusal_REFUSAL_NONE
}

// addVersion writes a row of the table of versions. The reference to its body is its
// own: that of an object row goes with that row.
func (t *tx) addVersion(bucket uint64, name string, o *Object) {
	t.putRow(bucket, versionKey(bucket, name, o.Version), nil, 0, o)
	if o.NullVersion {
		t.set(nullKey(bucket, name), &event.Version{Seq: o.Version.Seq, Ordinal: o.Version.Ordinal})
	}
}

// dropVersion deletes a row of the table of versions.
func (t *tx) dropVersion(bucket uint64, name string, p *placed) {
	t.putRow(bucket, p.key, p.object, p.from, nil)
	if p.object.NullVersion {
		t.delete(nullKey(bucket, name))
	}
}

// deleteCurrent is a DELETE that names no version. Where the bucket has, or had,
// versioning, a marker becomes the newest version, also of a key that is not there.
// race tells whether somebody wrote the key after the request had looked.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/DeleteMarkers.html
func (t *tx) deleteCurrent(b *Bucket, name string, ordinal int, race bool) *event.SubOutcome {
	k := objectKey(b.Bucket, name)
	old, from := getFrom[Object](t, k)
	if b.Versioning == event.VersioningState_VERSIONING_STATE_NEVER {
		switch {
		case old == nil:
			return &event.SubOutcome{Absent: true}
		case t.locked(b, old, false):
			return &event.SubOutcome{Refusal: event.Refusal_REFUSAL_OBJECT_LOCKED}
		}
		t.putRow(b.Bucket, k, old, from, nil)
		return &event.SubOutcome{Version: old.Version, NullVersion: old.NullVersion}
	}
	var replaced *placed
	if b.Versioning == event.VersioningState_VERSIONING_STATE_SUSPENDED {
		replaced = t.findNull(b.Bucket, name)
	}
	if replaced != nil && t.locked(b, replaced.object, false) {
		return &event.SubOutcome{Refusal: event.Refusal_REFUSAL_OBJECT_LOCKED}
	}
	if old != nil && (replaced == nil || !replaced.current()) {
		t.addVersion(b.Bucket, name, old)
	}
	if old != nil {
		t.putRow(b.Bucket, k, old, from, nil)
	}
	if replaced != nil && !replaced.current() {
		t.dropVersion(b.Bucket, name, replaced)
	}
	marker := &Object{
		Version: &event.Version{Seq: t.seq, Ordinal: uint32(ordinal)}, DeleteMarker: true, Time: t.time, Owner: b.Owner,
		NullVersion: b.Versioning == event.VersioningState_VERSIONING_STATE_SUSPENDED,
	}
	if !race || !sabotage.On(sabotage.X44) {
		t.addVersion(b.Bucket, name, marker)
	}
	return &event.SubOutcome{Version: marker.Version, NullVersion: marker.NullVersion, DeleteMarker: true}
}

// deleteVersion removes a version for good. Behind the newest, the next one becomes
// current, if it is an object.
func (t *tx) deleteVersion(b *Bucket, name string, p *placed, bypass bool) *event.SubOutcome {
	if t.locked(b, p.object, bypass) {
		return &event.SubOutcome{Refusal: event.Refusal_REFUSAL_OBJECT_LOCKED}
	}
	if p.current() {
		t.putRow(b.Bucket, p.key, p.object, p.from, nil)
	} else {
		t.dropVersion(b.Bucket, name, p)
	}
	if b.Versioning != event.VersioningState_VERSIONING_STATE_NEVER && (p.current() || p.object.DeleteMarker) {
		t.promote(b.Bucket, name)
	}
	return &event.SubOutcome{Version: p.object.Version, NullVersion: p.object.NullVersion, DeleteMarker: p.object.DeleteMarker}
}

// promote makes a key's newest version current, if it is an object.
func (t *tx) promote(bucket uint64, name string) {
	k := objectKey(bucket, name)
	if t.has(k) {
		return
	}
	p := t.firstVersion(bucket, name)
	if p == nil || p.object.DeleteMarker {
		return
	}
	t.putRow(bucket, k, nil, 0, p.object)
	t.dropVersion(bucket, name, p)
}

// versionWrites is what the event did to the rows of a key in the table of versions.
type versionWrites struct {
	written [][]byte // the rows it wrote; they may be gone again
	start   []byte   // every row that was there below it has been written by the event
}

// noteVersion remembers that the event writes a row of the table of versions.
func (t *tx) noteVersion(k []byte) {
	prefix := k[:len(k)-versionBytes]
	w := t.versions[string(prefix)]
	if w == nil {
		w = &versionWrites{start: prefix}
		if t.versions == nil {
			t.versions = make(map[string]*versionWrites)
		}
		t.versions[string(prefix)] = w
	}
	w.written = append(w.written, k)
}

// firstVersion finds the first row of a key in the table of versions, as the event
// has left it so far; nil if there is none. An event that deletes a thousand versions
// of a key passes over each of them once.
func (t *tx) firstVersion(bucket uint64, name string) *placed {
	return t.versionFrom(versionsOf(bucket, name), nil)
}

// versionFrom finds the first row of those that begin with prefix, but for one.
func (t *tx) versionFrom(prefix, but []byte) *placed {
	w := t.versions[string(prefix)]
	if w == nil {
		w = &versionWrites{start: prefix} // the event did nothing there
	}
	var first []byte
	gone := true // so far, every row was written by the event
	t.scanFrom(w.start, prefix, func(k, _ []byte) bool {
		if i, ok := t.index[string(k)]; ok && t.rows[i].changed {
			if gone {
				w.start = append(bytes.Clone(k), 0)
			}
			return true
		}
		gone = false
		if bytes.Equal(k, but) {
			return true
		}
		first = bytes.Clone(k)
		return false
	})
	for _, k := range w.written {
		if !bytes.Equal(k, but) && (first == nil || bytes.Compare(k, first) < 0) && t.has(k) {
			first = k
		}
	}
	if first == nil {
		return nil
	}
	return t.placedAt(first)
}

// isFirst tells whether a version lies in the first row of its key in the table of versions.
func (t *tx) isFirst(bucket uint64, name string, p *placed) bool {
	first := t.firstVersion(bucket, name)
	return first != nil && bytes.Equal(first.key, p.key)
}

// isAlone tells whether a version lies in the only row of its key in the table of versions.
func (t *tx) isAlone(bucket uint64, name string, p *placed) bool {
	return t.versionFrom(versionsOf(bucket, name), p.key) == nil
}
