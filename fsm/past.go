package fsm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// AtIn is At for what is of one bucket, by the retention of that bucket: it may be kept
// when the rest is not, and the other way round.
func (v *View) AtIn(bucket, next uint64) (*View, error) {
	oldest, err := v.OldestOf(bucket)
	return v.at(next, oldest, err)
}

// AtName finds the bucket that had a name at a moment, maybe one that is gone now, and is
// AtIn for that. Without such a bucket (nil) nothing is opened; where that cannot be told
// any more it is ErrTrimmed.
func (v *View) AtName(name string, next uint64) (*View, *Bucket, error) {
	past, err := v.at(next, 0, nil)
	if err != nil {
		return nil, nil, err
	}
	b, err := past.BucketByName(name)
	if err != nil || b == nil {
		return nil, nil, err
	}
	return past, b, nil
}

func (v *View) at(next, oldest uint64, err error) (*View, error) {
	if err == nil && (next > v.applied.Next || next < oldest) {
		err = trimmed(next)
	}
	if err != nil {
		return nil, err
	}
	return &View{snap: v.snap, closed: v.closed, next: next, applied: v.applied}, nil
}

func trimmed(next uint64) error { return fmt.Errorf("fsm: sequence %d: %w", next, ErrTrimmed) }

// Oldest returns the smallest next of a view of the past; that of the present where no
// history is kept. Buckets with a retention of their own have another: OldestOf.
func (v *View) Oldest() (uint64, error) {
	c, err := v.Cluster()
	if err == nil && c.GetHistoryRetention() == 0 {
		return v.applied.Next, nil
	}
	return c.GetHistoryTrimmed(), err
}

// OldestOf returns the smallest next of a view of the past of a bucket, which need not be
// there any more.
func (v *View) OldestOf(bucket uint64) (uint64, error) {
	shared, err := v.Oldest()
	if err != nil {
		return 0, err
	}
	r, err := v.Retention(bucket)
	return r.oldest(shared, v.applied.Next), err
}

// Retention returns how long the history of a bucket is kept; nil: as long as the cluster
// says.
func (v *View) Retention(bucket uint64) (*Retention, error) {
	return read[Retention](v, key(tableRetention, bucket))
}

// RetentionEntry is a bucket that has, or had, a retention of its own. It may be gone.
type RetentionEntry struct {
	Bucket uint64
	Row    *Retention
}

// Retentions returns the buckets above a number that have, or had, a retention of their
// own, at most max of them.
func (v *View) Retentions(above uint64, max int) (out []RetentionEntry, err error) {
	if max <= 0 || above+1 == 0 {
		return nil, nil
	}
	err = v.scan(key(tableRetention, above+1), after(key(tableRetention)), func(k, b []byte) (bool, error) {
		r, _, err := decodeRow[Retention](k, b)
		out = append(out, RetentionEntry{binary.BigEndian.Uint64(k[1:]), r})
		return len(out) < max, err
	})
	return out, err
}

// HistoryFrom returns the sequence that ended the oldest row of an index of history, if
// there is one: of a bucket with a retention of its own, or (0) of all others.
func (v *View) HistoryFrom(bucket uint64) (to uint64, ok bool, err error) {
	index := key(tableHistoryIndex)
	if bucket != 0 {
		index = key(tableBucketIndex, bucket)
	}
	err = v.scan(index, after(index), func(k, _ []byte) (bool, error) {
		to, ok = binary.BigEndian.Uint64(k[len(index):]), true
		return false, nil
	})
	return to, ok, err
}

// kept is ErrTrimmed if what a view of the past asks for, rows whose keys begin so, is not
// whole at its moment.
func (v *View) kept(prefix []byte) error {
	if tableOf(prefix) == tableBucketName {
		oldest, err := v.Oldest()
		if err == nil && v.next < oldest {
			err = trimmed(v.next)
		}
		return err
	}
	bucket := bucketIn(prefix)
	if bucket != 0 && bucket == v.whole {
		return nil
	}
	oldest, err := v.OldestOf(bucket)
	if err == nil && v.next < oldest {
		err = fmt.Errorf("fsm: bucket %d at sequence %d: %w", bucket, v.next, ErrTrimmed)
	}
	if err == nil {
		v.whole = bucket
	}
	return err
}

// pastName reads what a name stood for; now is what it stands for. A row that is found is
// right however old it is: but that there is none can only be told where all are kept.
func (v *View) pastName(key, now []byte) ([]byte, error) {
	if seen(now, v.next) {
		return now, nil
	}
	b, err := v.superseded(key)
	if b == nil && err == nil {
		err = v.kept(key)
	}
	return b, err
}

// LastName is the name of a bucket, or that which it had until it was deleted; "" if history
// does not keep it any more.
func (v *View) LastName(bucket uint64) (name string, deleted bool, err error) {
	b, err := v.Bucket(bucket)
	if b != nil || err != nil {
		return b.GetName(), false, err
	}
	row := key(tableBucket, bucket)
	it, err := v.iterate(historyPrefix(row))
	if err != nil {
		return "", true, err
	}
	if it.Last() {
		b, _, err = decodeRow[Bucket](row, bytes.Clone(it.Value()))
	}
	return b.GetName(), true, errors.Join(err, it.Error(), it.Close())
}
