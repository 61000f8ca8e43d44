package fsm

import (
	"encoding/binary"
	"time"

	"ironman/wal/event"
)

// How long history is kept is said by the cluster's row and, for a bucket that has a
// retention of its own, by a row that is keyed by the bucket's id: it goes on to count when
// the bucket is deleted. What is superseded in such a bucket has its index to itself, so
// that neither trimming passes over what is the other's.
//
//   - A history row is in exactly one index: its bucket's or the cluster's.
//   - A bucket's history is whole for views at or above what oldestOf says, whichever index
//     its rows are in.
//   - Names of buckets are kept as long as either the cluster or their bucket keeps them.

// own tells whether a bucket has a retention of its own.
func (r *Retention) own() bool { return r != nil && !r.Inherits }

// retention is a bucket's row; nil if there never was, or need not be, one. It must not
// be changed.
func (t *tx) retention(bucket uint64) *Retention {
	if t.level() < 4 {
		return nil
	}
	return look[Retention](t, key(tableRetention, bucket))
}

// keepsHistory tells whether superseded rows of a bucket are kept.
func (t *tx) keepsHistory(bucket uint64) bool {
	if r := t.retention(bucket); r.own() {
		return r.History > 0
	}
	return t.cluster().GetHistoryRetention() > 0
}

// historyIndex is the key that lists a row which is superseded now; nil if the row is not kept.
func (t *tx) historyIndex(row, value []byte) []byte {
	bucket := t.bucketOf(row, value)
	r, shared := t.retention(bucket), t.cluster().GetHistoryRetention() > 0
	switch {
	case r.own() && !(shared && tableOf(row) == tableBucketName):
		if r.History == 0 {
			return nil
		}
		return bucketIndexKey(bucket, t.seq, row)
	case shared:
		return historyIndexKey(t.seq, row)
	}
	return nil
}

// bucketOf is the bucket that a row of a historical table belongs to.
func (t *tx) bucketOf(row, value []byte) uint64 {
	if tableOf(row) != tableBucketName {
		return bucketIn(row)
	}
	n, _, err := decodeRow[BucketName](row, value)
	if err != nil {
		t.m.fatal(err)
	}
	return n.Bucket
}

// bucketIn is the bucket in the key of any historical row but a name's.
func bucketIn(row []byte) uint64 { return binary.BigEndian.Uint64(row[1:]) }

// oldest is the smallest next of a view of the past, by the cluster's retention.
func (t *tx) oldest() uint64 {
	if c := t.cluster(); c.GetHistoryRetention() > 0 {
		return c.HistoryTrimmed
	}
	return t.seq
}

// oldestOf is the smallest next of a view of the past of a bucket.
func (t *tx) oldestOf(bucket uint64) uint64 {
	return t.retention(bucket).oldest(t.oldest(), t.seq)
}

// oldest is the smallest next of a view of a bucket's past: shared is that by the cluster's
// retention, now that of the present.
func (r *Retention) oldest(shared, now uint64) uint64 {
	switch {
	case r == nil:
		return shared
	case r.Inherits:
		return max(r.Trimmed, shared)
	case r.History == 0:
		return now
	}
	return r.Trimmed
}

// historyRetentionSet says how long history is kept from now on. Nothing that is gone comes
// back: what was not kept before the event is not whole after it either.
func (t *tx) historyRetentionSet(b *event.HistoryRetentionSet) *event.Outcome {
	if b.Retention < 0 || b.Inherit && (b.Bucket == 0 || b.Retention != 0 || b.Strict) {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	if b.Bucket != 0 {
		return t.bucketRetentionSet(b)
	}
	c := get[Cluster](t, key(tableCluster))
	if c.HistoryRetention == 0 || b.Retention == 0 {
		c.HistoryTrimmed = t.seq
	}
	c.HistoryRetention, c.HistoryStrict = b.Retention, b.Strict
	t.set(key(tableCluster), c)
	return accept()
}

func (t *tx) bucketRetentionSet(b *event.HistoryRetentionSet) *event.Outcome {
	k := key(tableRetention, b.Bucket)
	was := t.retention(b.Bucket)
	if was == nil && t.bucket(b.Bucket) == nil {
		return refuse(event.Refusal_REFUSAL_NO_SUCH_BUCKET)
	}
	if was == nil && b.Inherit {
		return accept()
	}
	r := &Retention{Inherits: b.Inherit, History: b.Retention, Strict: b.Strict, Trimmed: t.oldestOf(b.Bucket)}
	if !b.Inherit {
		// What the cluster's index has of the bucket moves.
		r.Gathering, r.Gathered = !was.own() || was.Gathering, nil
		if was.own() {
			r.Gathered = was.Gathered
		}
		if b.Retention == 0 {
			r.Trimmed = t.seq
		}
	}
	t.set(k, r)
	return accept()
}

// retainDeleted notes what a bucket that keeps nothing loses by being deleted, so that the
// cluster's row does not say later that it was never there.
func (t *tx) retainDeleted(bucket uint64) {
	if r := t.retention(bucket); !r.own() || r.History > 0 {
		return
	}
	k := key(tableRetention, bucket)
	r := get[Retention](t, k)
	r.Trimmed = t.seq + 1
	t.set(k, r)
}

// expired tells whether all that was superseded below a sequence is older than a retention.
func (t *tx) expired(retention int64, to uint64) bool {
	first := t.seq
	if retention == 0 {
		return true
	}
	t.scanFrom(key(tableTime, uint64(max(t.time-retention, 0)/int64(time.Second))), key(tableTime), func(_, b []byte) bool {
		first = binary.BigEndian.Uint64(b)
		return false
	})
	return to <= first
}
