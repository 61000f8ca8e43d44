package fsm

import "ironman/wal/event"

// objectsDeleted removes up to 1,000 objects; each has its own outcome.
func (t *tx) objectsDeleted(p *event.Parsed, b *event.ObjectsDeleted) *event.Outcome {
	if !t.has(key(tableBucket, b.Bucket)) {
		return refuse(event.Refusal_REFUSAL_NO_SUCH_BUCKET)
	}
	keys := make([]string, len(b.Targets))
	for _, it := range p.Items {
		if it.Kind != event.ItemKind_ITEM_KIND_KEY {
			continue
		}
		if it.Ordinal >= uint32(len(keys)) {
			return refuse(event.Refusal_REFUSAL_INVALID)
		}
		keys[it.Ordinal] = string(it.Value)
	}
	if len(keys) == 0 {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	o := accept()
	for i, target := range b.Targets {
		if !validKey(keys[i]) {
			return refuse(event.Refusal_REFUSAL_INVALID)
		}
		o.Subs = append(o.Subs, t.deleteObject(b.Bucket, keys[i], target))
	}
	return o
}

// deleteObject removes one object, or the version that is named. That there is
// nothing to remove is a success, unless the client made a condition.
func (t *tx) deleteObject(bucket uint64, name string, target *event.DeleteTarget) *event.SubOutcome {
	k := objectKey(bucket, name)
	old, from := getFrom[Object](t, k)
	if old != nil && !names(target, old) {
		old = nil // another version than the only one there is
	}
	if r := condition(target.Condition, old); r != event.Refusal_REFUSAL_NONE {
		return &event.SubOutcome{Refusal: r}
	}
	if old == nil {
		return &event.SubOutcome{Absent: true}
	}
	t.putObject(bucket, k, old, from, nil)
	return &event.SubOutcome{Version: old.Version, NullVersion: old.NullVersion}
}

// names tells whether a target means this object.
func names(target *event.DeleteTarget, o *Object) bool {
	switch {
	case target.NullVersion:
		return o.NullVersion
	case target.Version != nil:
		return !o.NullVersion && o.Version.Same(target.Version)
	}
	return true
}
