package fsm

import (
	"bytes"
	"encoding/binary"

	"ironman/sim/sabotage"
	"ironman/wal/event"
)

// maxTrim bounds the rows that one event drops.
const maxTrim = 1 << 16

// indexed is an entry of an index of history: a row, and the sequence that ended it.
type indexed struct {
	to  uint64
	row []byte
}

// historyTrimmed drops what was superseded before a sequence, in bounded steps.
// Views below the trimmed sequence are refused from then on. The outcome tells how
// many rows it has been through: as many as were asked for means that there may be more.
func (t *tx) historyTrimmed(b *event.HistoryTrimmed) *event.Outcome {
	if b.To > t.seq || b.Rows == 0 {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	limit := int(min(b.Rows, maxTrim))
	if b.Bucket != 0 {
		return t.bucketHistoryTrimmed(b, limit)
	}
	c := get[Cluster](t, key(tableCluster))
	if c.HistoryStrict && b.To > c.HistoryTrimmed && !t.expired(c.HistoryRetention, b.To) {
		return refuse(event.Refusal_REFUSAL_CONFLICT)
	}
	rows, _ := t.listed([]byte{byte(tableHistoryIndex)}, b.To, limit)
	for _, d := range rows {
		bucket := t.bucketOf(d.row, t.raw(historyKey(d.row, d.to)))
		t.keepOrForget(bucket, d, t.retention(bucket))
	}
	if c.HistoryTrimmed < b.To {
		c.HistoryTrimmed = b.To
		t.set(key(tableCluster), c)
	}
	return &event.Outcome{Allocated: uint64(len(rows))}
}

// listed reads an index up to a sequence, at most limit rows, and tells whether it has more
// than those.
func (t *tx) listed(index []byte, to uint64, limit int) (rows []indexed, more bool) {
	t.scan(index, func(k, _ []byte) bool {
		k = k[len(index):]
		d := indexed{to: binary.BigEndian.Uint64(k)}
		if d.to >= to || len(rows) >= limit {
			more = true
			return false
		}
		d.row = bytes.Clone(k[8:])
		rows = append(rows, d)
		return true
	})
	return rows, more
}

// keepOrForget takes a row out of the cluster's index: into that of its bucket, if the
// bucket keeps it, or out of history.
func (t *tx) keepOrForget(bucket uint64, d indexed, r *Retention) (kept bool) {
	t.delete(historyIndexKey(d.to, d.row))
	if !r.own() || r.History == 0 || d.to < r.Trimmed {
		t.forget(d)
		return false
	}
	t.setRaw(bucketIndexKey(bucket, d.to, d.row), []byte{})
	return true
}

// forget drops a row of history, and its reference. Its index is the caller's.
func (t *tx) forget(d indexed) {
	hk := historyKey(d.row, d.to)
	if tb := tableOf(d.row); tb == tableObject || tb == tableVersion {
		o, _, err := decodeRow[Object](d.row, t.raw(hk))
		if err != nil {
			t.m.fatal(err)
		}
		t.unref(o.body())
	}
	t.delete(hk)
}

// bucketHistoryTrimmed is historyTrimmed for a bucket that has, or had, a retention of its own.
// First what the cluster's index still has of the bucket comes into the bucket's. The
// bucket's row goes with the last that it is needed for.
func (t *tx) bucketHistoryTrimmed(b *event.HistoryTrimmed, limit int) *event.Outcome {
	k, c := key(tableRetention, b.Bucket), t.cluster()
	r := get[Retention](t, k)
	if r == nil {
		return refuse(event.Refusal_REFUSAL_NOT_FOUND)
	}
	retention, strict := c.HistoryRetention, c.HistoryStrict
	if r.own() && !sabotage.On(sabotage.X66) {
		retention, strict = r.History, r.Strict
	}
	// What no view can read any more may go, strict or not.
	if strict && b.To > r.oldest(t.oldest(), t.seq) && !t.expired(retention, b.To) {
		return refuse(event.Refusal_REFUSAL_CONFLICT)
	}
	r.Trimmed = max(r.Trimmed, b.To)
	seen, kept := t.gather(b.Bucket, r, limit)
	rows, more := t.listed(key(tableBucketIndex, b.Bucket), r.Trimmed, limit-seen)
	for _, d := range rows {
		t.delete(bucketIndexKey(b.Bucket, d.to, d.row))
		t.forget(d)
	}
	needed := more || kept || r.Gathering || r.Trimmed > t.oldest() || r.own() && t.bucket(b.Bucket) != nil
	if needed {
		t.set(k, r)
	} else {
		t.delete(k)
	}
	return &event.Outcome{Allocated: uint64(seen + len(rows))}
}

// gather looks at the next rows of a bucket's history, at most limit of them, and takes
// those out of the cluster's index that are in it. It tells how many it has seen, and
// whether the bucket keeps any of them.
func (t *tx) gather(bucket uint64, r *Retention, limit int) (seen int, kept bool) {
	if !r.Gathering {
		return 0, false
	}
	for _, tb := range []table{tableBucket, tableDocument, tableObject, tableVersion, tableNull} {
		prefix := historyPrefix(key(tb, bucket))
		if bytes.Compare(r.Gathered, after(prefix)) >= 0 {
			continue
		}
		from := prefix
		if bytes.Compare(r.Gathered, prefix) >= 0 {
			from = append(bytes.Clone(r.Gathered), 0)
		}
		full := false
		var found []indexed
		t.scanFrom(from, prefix, func(k, _ []byte) bool {
			if full = seen == limit; full {
				return false
			}
			seen++
			r.Gathered = bytes.Clone(k)
			row, rest, ok := cutEscaped(k[1:])
			if !ok || len(rest) != 8 {
				t.m.fatal(errHistory)
			}
			found = append(found, indexed{binary.BigEndian.Uint64(rest), row})
			return true
		})
		for _, d := range found {
			if t.has(historyIndexKey(d.to, d.row)) {
				kept = t.keepOrForget(bucket, d, r) || kept
			}
		}
		if full {
			return seen, kept
		}
	}
	r.Gathering, r.Gathered = false, nil
	return seen, kept
}
