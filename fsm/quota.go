package fsm

import (
	"encoding/binary"

	"ironman/wal/event"
)

// What a bucket holds is counted in its usage row by every event that changes it. From
// the first quota of an account on, its holdings row counts all its buckets together.
// Quotas are judged by those rows when an event has done all it does: what made
// neither grow is always within them.

// change is what an event changes of what a bucket holds.
type change struct {
	objects, bytes, uploads     int64
	noncurrent, noncurrentBytes int64
	parts                       int64 // bytes of the parts of open uploads
}

// add counts a version that comes to a row (sign 1) or goes from it (-1).
func (c *change) add(k []byte, o *Object, sign int64) {
	switch {
	case o == nil || o.DeleteMarker:
	case tableOf(k) == tableObject:
		c.objects, c.bytes = c.objects+sign, c.bytes+sign*int64(o.Size)
	default:
		c.noncurrent, c.noncurrentBytes = c.noncurrent+sign, c.noncurrentBytes+sign*int64(o.Size)
	}
}

// plus is a count after a change that it allows for.
func plus(n uint64, d int64) uint64 { return n + uint64(d) }

// count changes what a bucket is known to hold, and its owner.
func (t *tx) count(bucket uint64, c change) {
	if c == (change{}) {
		return
	}
	k := key(tableUsage, bucket)
	u := look[Usage](t, k)
	t.set(k, &Usage{
		Objects: plus(u.GetObjects(), c.objects), Bytes: plus(u.GetBytes(), c.bytes), Uploads: plus(u.GetUploads(), c.uploads),
		Noncurrent: plus(u.GetNoncurrent(), c.noncurrent), NoncurrentBytes: plus(u.GetNoncurrentBytes(), c.noncurrentBytes),
		PartBytes: plus(u.GetPartBytes(), c.parts),
	})
	if t.level() < 3 {
		return
	}
	k = keyText(tableHoldings, t.bucket(bucket).GetOwner())
	if h := look[Holdings](t, k); h != nil {
		t.set(k, &Holdings{
			Quota: h.Quota, Objects: plus(h.Objects, c.objects+c.noncurrent),
			Bytes: plus(h.Bytes, c.bytes+c.noncurrentBytes+c.parts),
		})
	}
}

// held is what a quota bounds.
type held struct{ objects, bytes uint64 }

func (u *Usage) held() held {
	return held{u.GetObjects() + u.GetNoncurrent(), u.GetBytes() + u.GetNoncurrentBytes() + u.GetPartBytes()}
}

// Counted is what quotas count of what a bucket holds: all versions, and the parts of
// open uploads.
func (u *Usage) Counted() (objects, bytes uint64) {
	h := u.held()
	return h.objects, h.bytes
}

func (h *Holdings) held() held { return held{h.GetObjects(), h.GetBytes()} }

// allows tells whether an event may leave now where there was before.
func allows(q *event.Quota, before, now held) bool {
	return (q.GetBytes() == 0 || now.bytes <= q.GetBytes() || now.bytes <= before.bytes) &&
		(q.GetObjects() == 0 || now.objects <= q.GetObjects() || now.objects <= before.objects)
}

// withinQuota refuses an event that made a bucket, or all buckets of its owner
// together, grow above their quota.
func (t *tx) withinQuota(b *Bucket) event.Refusal {
	if t.level() < 3 {
		return event.Refusal_REFUSAL_NONE
	}
	if b.Quota != nil {
		k := key(tableUsage, b.Bucket)
		if !allows(b.Quota, lookBefore[Usage](t, k).held(), look[Usage](t, k).held()) {
			return event.Refusal_REFUSAL_QUOTA_EXCEEDED
		}
	}
	k := keyText(tableHoldings, b.Owner)
	if h := look[Holdings](t, k); h != nil && !allows(h.Quota, lookBefore[Holdings](t, k).held(), h.held()) {
		return event.Refusal_REFUSAL_QUOTA_EXCEEDED
	}
	return event.Refusal_REFUSAL_NONE
}

// BeyondQuota tells whether a bucket, or all buckets of its owner together, would be
// beyond their quota if it held so much more.
func (v *View) BeyondQuota(b *Bucket, objects, bytes uint64) (bool, error) {
	beyond := func(q *event.Quota, h held) bool {
		return !allows(q, h, held{h.objects + objects, h.bytes + bytes})
	}
	if b.Quota != nil {
		u, err := v.Usage(b.Bucket)
		if err != nil || beyond(b.Quota, u.held()) {
			return err == nil, err
		}
	}
	h, err := v.Holdings(b.Owner)
	return h != nil && beyond(h.Quota, h.held()), err
}

// bucketQuotaSet bounds what a bucket may hold. What it holds already may be more.
func (t *tx) bucketQuotaSet(b *event.BucketQuotaSet) *event.Outcome {
	k := key(tableBucket, b.Bucket)
	row := get[Bucket](t, k)
	if row == nil {
		return refuse(event.Refusal_REFUSAL_NO_SUCH_BUCKET)
	}
	row.Quota = bound(b.Quota)
	t.set(k, row)
	return accept()
}

// bound is a quota that bounds something; nil if it does not.
func bound(q *event.Quota) *event.Quota {
	if q.GetBytes() == 0 && q.GetObjects() == 0 {
		return nil
	}
	return q
}

// accountQuotaSet bounds what all buckets of an account may hold together. The first
// one counts it, which takes a look at every bucket there is.
func (t *tx) accountQuotaSet(b *event.AccountQuotaSet) *event.Outcome {
	owner := string(t.raw(keyText(tableAccountID, b.Account)))
	if owner == "" {
		return refuse(event.Refusal_REFUSAL_NOT_FOUND)
	}
	k := keyText(tableHoldings, owner)
	next := &Holdings{Quota: bound(b.Quota)}
	if h := look[Holdings](t, k); h != nil {
		next.Objects, next.Bytes = h.Objects, h.Bytes
	} else {
		now := t.holdings(owner)
		next.Objects, next.Bytes = now.objects, now.bytes
	}
	t.set(k, next)
	return accept()
}

// holdings counts what all buckets of an owner hold.
func (t *tx) holdings(owner string) held {
	var ids []uint64
	t.scan([]byte{byte(tableBucket)}, func(k, v []byte) bool {
		b, _, err := decodeRow[Bucket](k, v)
		if err != nil {
			t.m.fatal(err)
		}
		if b.Owner == owner {
			ids = append(ids, b.Bucket)
		}
		return true
	})
	var sum held
	for _, id := range ids {
		h := look[Usage](t, key(tableUsage, id)).held()
		sum.objects, sum.bytes = sum.objects+h.objects, sum.bytes+h.bytes
	}
	return sum
}

// countsParts tells whether the usage rows count the parts of open uploads.
func (t *tx) countsParts() bool { return t.level() >= 3 }

// countParts is what the rise to level 3 does: it counts the parts of the uploads that
// are open.
func (t *tx) countParts() {
	bytes := make(map[[versionBytes]byte]uint64) // of an upload
	t.scan([]byte{byte(tablePart)}, func(k, v []byte) bool {
		p, _, err := decodeRow[Part](k, v)
		if err != nil {
			t.m.fatal(err)
		}
		bytes[[versionBytes]byte(k[1:])] += p.Size
		return true
	})
	var buckets []uint64 // ascending, as the uploads are
	parts := make(map[uint64]uint64)
	t.scan([]byte{byte(tableUpload)}, func(k, _ []byte) bool {
		bucket := binary.BigEndian.Uint64(k[1:])
		if n := len(buckets); n == 0 || buckets[n-1] != bucket {
			buckets = append(buckets, bucket)
		}
		parts[bucket] += bytes[[versionBytes]byte(k[len(k)-versionBytes:])]
		return true
	})
	for _, b := range buckets {
		t.count(b, change{parts: int64(parts[b])})
	}
}
