package fsm

import "ironman/wal/event"

// objectsDeleted removes up to 1,000 objects; each has its own outcome.
func (t *tx) objectsDeleted(p *event.Parsed, b *event.ObjectsDeleted) *event.Outcome {
	bucket := t.bucket(b.Bucket)
	if bucket == nil {
		return refuse(event.Refusal_REFUSAL_NO_SUCH_BUCKET)
	}
	keys, ok := keysOf(p, len(b.Targets))
	if !ok {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	o := accept()
	for i, target := range b.Targets {
		if !validKey(keys[i]) {
			return refuse(event.Refusal_REFUSAL_INVALID)
		}
		o.Subs = append(o.Subs, t.deleteObject(bucket, keys[i], i, target, p.Statement.Header.Base))
	}
	return o
}

// keysOf reads the keys of an event of n targets, n > 0; false if one is of no target.
func keysOf(p *event.Parsed, n int) ([]string, bool) {
	keys := make([]string, n)
	for _, it := range p.Items {
		if it.Kind != event.ItemKind_ITEM_KIND_KEY {
			continue
		}
		if it.Ordinal >= uint32(n) {
			return nil, false
		}
		keys[it.Ordinal] = string(it.Value)
	}
	return keys, n > 0
}

// deleteObject removes the current object of a key, or the version that is named. That
// there is nothing to remove is a success, unless the client made a condition. It is
// judged against what is to be removed; a marker is no object.
func (t *tx) deleteObject(b *Bucket, name string, i int, target *event.DeleteTarget, base uint64) *event.SubOutcome {
	if !target.NullVersion && target.Version == nil {
		old := get[Object](t, objectKey(b.Bucket, name))
		if r := condition(target.Condition, old); r != event.Refusal_REFUSAL_NONE {
			return &event.SubOutcome{Refusal: r}
		}
		return t.deleteCurrent(b, name, i, old.GetVersion().GetSeq() >= base)
	}
	found := t.named(b.Bucket, name, target)
	var object *Object
	if found != nil && !found.object.DeleteMarker {
		object = found.object
	}
	if r := condition(target.Condition, object); r != event.Refusal_REFUSAL_NONE {
		return &event.SubOutcome{Refusal: r}
	}
	if found == nil {
		return &event.SubOutcome{Absent: true}
	}
	return t.deleteVersion(b, name, found, target.BypassGovernance)
}

// named finds the version that a target names. The null version goes by no other name.
func (t *tx) named(bucket uint64, name string, target *event.DeleteTarget) *placed {
	if target.NullVersion {
		return t.findNull(bucket, name)
	}
	p := t.findVersion(bucket, name, target.Version)
	if p == nil || p.object.NullVersion {
		return nil
	}
	return p
}
