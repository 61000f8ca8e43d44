package fsm

import (
	"math"

	"ironman/sim/sabotage"
	"ironman/wal/event"
)

// Object lock keeps versions from being removed for good. A lock binds in buckets that
// have it on, which is for good and needs versioning, so that no overwrite and no
// plain DELETE ever removes a version there. It is judged by log time and by nothing
// else, whoever asks.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-lock.html

// Amazon's longest default retention.
const (
	maxRetentionDays  = 36500
	maxRetentionYears = 100
)

// lockable refuses a lock where it would not bind, or that contradicts itself. (Older
// levels stored it without a word.)
func (t *tx) lockable(b *Bucket, l *event.Lock) event.Refusal {
	switch {
	case l == nil || t.level() < 3:
		return event.Refusal_REFUSAL_NONE
	case !validRetention(l):
		return event.Refusal_REFUSAL_INVALID
	case !b.ObjectLock:
		return event.Refusal_REFUSAL_BUCKET_STATE
	}
	return event.Refusal_REFUSAL_NONE
}

// validRetention tells whether mode and date come together.
func validRetention(l *event.Lock) bool {
	return l.RetainUntil >= 0 && (l.Mode == event.RetentionMode_RETENTION_MODE_NONE) == (l.RetainUntil == 0)
}

// lockNew gives a new version the bucket's default retention, counted from now, unless
// it brings its own. One that has passed already, of an object that is renamed or of an
// upload that was long under way, is none.
func (t *tx) lockNew(b *Bucket, o *Object) event.Refusal {
	if r := t.lockable(b, o.Lock); r != event.Refusal_REFUSAL_NONE {
		return r
	}
	none := event.RetentionMode_RETENTION_MODE_NONE
	if b.DefaultMode != none && (o.Lock.GetMode() == none || t.level() >= 3 && !t.retained(o.Lock)) {
		o.Lock = &event.Lock{Mode: b.DefaultMode, RetainUntil: b.defaultUntil(t.time), LegalHold: o.Lock.GetLegalHold()}
	}
	return event.Refusal_REFUSAL_NONE
}

// defaultUntil is when the default retention of what is put at a log time ends.
func (b *Bucket) defaultUntil(now int64) int64 {
	period := (int64(b.DefaultDays) + 365*int64(b.DefaultYears)) * 24 * 3600e9
	if now > math.MaxInt64-period {
		return math.MaxInt64
	}
	return now + period
}

// retained tells whether the retention of a lock has not passed.
func (t *tx) retained(l *event.Lock) bool {
	now := t.time
	if sabotage.On(sabotage.X39) {
		now = sabotage.Now()
	}
	return l.GetMode() != event.RetentionMode_RETENTION_MODE_NONE && l.RetainUntil > now
}

// Holds tells whether a lock keeps a version at a log time, whoever would remove it.
// Apply decides; this is for who need not even ask.
func (b *Bucket) Holds(o *Object, now int64) bool {
	return b.ObjectLock && o.Lock != nil && (o.Lock.LegalHold || o.Lock.Mode != event.RetentionMode_RETENTION_MODE_NONE && o.Lock.RetainUntil > now)
}

// locked tells whether a version must not be removed.
func (t *tx) locked(b *Bucket, o *Object, bypass bool) bool {
	if o.Lock == nil || !b.ObjectLock || t.level() < 3 {
		return false
	}
	governed := o.Lock.Mode == event.RetentionMode_RETENTION_MODE_GOVERNANCE && bypass
	return o.Lock.LegalHold || t.retained(o.Lock) && !governed
}

// bucketLockSet turns object lock on and sets the default retention.
func (t *tx) bucketLockSet(b *event.BucketLockSet) *event.Outcome {
	k := key(tableBucket, b.Bucket)
	row := get[Bucket](t, k)
	none := b.Mode == event.RetentionMode_RETENTION_MODE_NONE
	switch {
	case row == nil:
		return refuse(event.Refusal_REFUSAL_NO_SUCH_BUCKET)
	case b.Days > maxRetentionDays, b.Years > maxRetentionYears, b.Days > 0 && b.Years > 0, none != (b.Days == 0 && b.Years == 0):
		return refuse(event.Refusal_REFUSAL_INVALID)
	case row.Versioning != event.VersioningState_VERSIONING_STATE_ENABLED:
		return refuse(event.Refusal_REFUSAL_BUCKET_STATE)
	}
	row.ObjectLock, row.DefaultMode, row.DefaultDays, row.DefaultYears = true, b.Mode, b.Days, b.Years
	t.set(k, row)
	return accept()
}

// objectLockSet changes a version's retention, its legal hold, or both.
func (t *tx) objectLockSet(p *event.Parsed, b *event.ObjectLockSet) *event.Outcome {
	bucket := t.bucket(b.Bucket)
	switch {
	case bucket == nil:
		return refuse(event.Refusal_REFUSAL_NO_SUCH_BUCKET)
	case b.Lock == nil || !b.Retention && !b.LegalHold || b.Retention && !validRetention(b.Lock):
		return refuse(event.Refusal_REFUSAL_INVALID)
	case !bucket.ObjectLock:
		return refuse(event.Refusal_REFUSAL_BUCKET_STATE)
	}
	found, r := t.judged(p, b.Bucket, b.Version)
	if r != event.Refusal_REFUSAL_NONE {
		return refuse(r)
	}
	old := found.object.Lock
	next := &event.Lock{Mode: old.GetMode(), RetainUntil: old.GetRetainUntil(), LegalHold: old.GetLegalHold()}
	if b.Retention {
		if !t.mayRetain(old, b.Lock, b.BypassGovernance) {
			return refuse(event.Refusal_REFUSAL_OBJECT_LOCKED)
		}
		next.Mode, next.RetainUntil = b.Lock.Mode, b.Lock.RetainUntil
	}
	if b.LegalHold {
		next.LegalHold = b.Lock.LegalHold
	}
	found.object.Lock = next
	return t.rewrite(b.Bucket, found)
}

// mayRetain tells whether a retention may take the place of another. One that has not
// passed can be made longer by anyone. All else is for those who may bypass
// governance, and for nobody where it is compliance.
func (t *tx) mayRetain(old, next *event.Lock, bypass bool) bool {
	if !t.retained(old) || next.Mode == old.Mode && next.RetainUntil >= old.RetainUntil {
		return true
	}
	return bypass && old.Mode == event.RetentionMode_RETENTION_MODE_GOVERNANCE
}
