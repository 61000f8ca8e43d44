package fsm

import (
	"errors"

	"ironman/wal/event"
)

// objectsDeleted removes up to 1,000 objects; each has its own outcome.
func (t *tx) objectsDeleted(p *event.Parsed, b *event.ObjectsDeleted) *event.Outcome {
	if !t.has(key(tableBucket, b.Bucket)) {
		return refuse(event.Refusal_REFUSAL_NO_SUCH_BUCKET)
	}
	keys := make(map[uint32]string, len(b.Targets))
	for _, it := range p.Items {
		if it.Kind == event.ItemKind_ITEM_KIND_KEY {
			keys[it.Ordinal] = string(it.Value)
		}
	}
	if len(keys) != len(b.Targets) {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	o := accept()
	for i, target := range b.Targets {
		o.Subs = append(o.Subs, t.deleteObject(b.Bucket, keys[uint32(i)], target))
	}
	return o
}

// deleteObject removes one object, or the version that is named. That there is
// nothing to remove is a success, unless the client made a condition.
func (t *tx) deleteObject(bucket uint64, name string, target *event.DeleteTarget) *event.SubOutcome {
	k := objectKey(bucket, name)
	old, from := getFrom[Object](t, k)
	if target.Version != nil && old != nil && !(old.Version.Same(target.Version) && !old.NullVersion) {
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

// undecodable sorts out why an item could not be read: newer than this binary is
// fatal, all else refuses the event.
func (t *tx) undecodable(err error) event.Refusal {
	if errors.Is(err, event.ErrNewer) {
		t.m.fatal(err)
	}
	return event.Refusal_REFUSAL_INVALID
}
