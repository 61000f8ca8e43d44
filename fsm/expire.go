package fsm

import "ironman/wal/event"

// objectsExpired removes what a rule of a bucket's life cycle named, each only if it
// still is what the rule saw. No rule bypasses a lock.
func (t *tx) objectsExpired(p *event.Parsed, b *event.ObjectsExpired) *event.Outcome {
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
		if !validKey(keys[i]) || target.Version == nil || target.Kind == event.ExpiredKind_EXPIRED_KIND_UNSPECIFIED {
			return refuse(event.Refusal_REFUSAL_INVALID)
		}
		o.Subs = append(o.Subs, t.expire(bucket, keys[i], i, target, b.View))
	}
	return o
}

// expire removes one version, or makes a marker in front of it, if it has been as it is
// since before the view.
func (t *tx) expire(b *Bucket, name string, i int, target *event.ExpiredTarget, view uint64) *event.SubOutcome {
	found := t.findVersion(b.Bucket, name, target.Version)
	still := false
	switch {
	case found == nil:
	case target.Kind == event.ExpiredKind_EXPIRED_KIND_CURRENT:
		still = found.current()
	case target.Kind == event.ExpiredKind_EXPIRED_KIND_NONCURRENT:
		still = !found.current() && (t.has(objectKey(b.Bucket, name)) || !t.isFirst(b.Bucket, name, found))
	case target.Kind == event.ExpiredKind_EXPIRED_KIND_MARKER:
		still = found.object.DeleteMarker && !t.has(objectKey(b.Bucket, name)) && t.isAlone(b.Bucket, name, found)
	}
	switch {
	case !still, view > 0 && found.from >= view:
		return &event.SubOutcome{Refusal: event.Refusal_REFUSAL_CONFLICT}
	case target.Kind == event.ExpiredKind_EXPIRED_KIND_CURRENT:
		return t.deleteCurrent(b, name, i, false)
	}
	return t.deleteVersion(b, name, found, false)
}
