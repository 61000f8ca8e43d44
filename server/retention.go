package server

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"ironman/fsm"
	"ironman/wal/event"
)

// Retention is how long history is kept: of a bucket, or wherever a bucket does not say.
type Retention struct {
	Bucket   string `json:"bucket,omitempty"`    // empty: the cluster's, or a name that is not known any more
	BucketID uint64 `json:"bucket_id,omitempty"` // 0: the cluster's
	Deleted  bool   `json:"deleted,omitempty"`   // the bucket is; its history is kept by the retention that it had
	Inherits bool   `json:"inherits,omitempty"`  // a bucket's: the cluster's counts
	Seconds  int64  `json:"retention_seconds"`   // rounded down
	Text     string `json:"retention"`           // as SetRetention takes it
	Strict   bool   `json:"strict"`
	// The oldest moment that can be read: the state behind an event.
	OldestSeq  uint64    `json:"oldest_sequence"`
	OldestTime time.Time `json:"oldest_time"`
	// Rows of the index: of a bucket's own, or of all others. Nil: not counted yet.
	Rows *int64 `json:"rows,omitempty"`
}

// Retentions are the cluster's, and a page of the buckets that have, or had, their own.
type Retentions struct {
	Cluster Retention   `json:"cluster"`
	Buckets []Retention `json:"buckets"`
	More    bool        `json:"more"`
}

// RetentionPageMax is the most buckets that a page has.
const RetentionPageMax = 1000

// moment is the state behind an event.
type moment struct {
	seq  uint64
	time time.Time
}

// oldestMoment is the oldest that can be read of a bucket, or (0) wherever a bucket does
// not say.
func oldestMoment(v *fsm.View, bucket uint64) (moment, error) {
	next, err := v.OldestOf(bucket)
	if err != nil {
		return moment{}, err
	}
	m := moment{seq: max(next, 1) - 1}
	second, err := v.SecondOf(m.seq)
	m.time = time.Unix(second, 0).UTC()
	return m, err
}

// Retentions tells how long history is kept: the cluster's, and a page of buckets above an id.
func (n *Node) Retentions(ctx context.Context, above uint64) (*Retentions, error) {
	v, err := views{n}.View(ctx)
	if err != nil {
		return nil, err
	}
	defer v.Close()
	out := &Retentions{Buckets: []Retention{}}
	c, err := n.retention(v, 0)
	if err != nil {
		return nil, err
	}
	out.Cluster = *c
	entries, err := v.Retentions(above, RetentionPageMax)
	if err != nil {
		return nil, err
	}
	out.More = len(entries) == RetentionPageMax
	for _, e := range entries {
		r, err := n.retention(v, e.Bucket)
		if err != nil {
			return nil, err
		}
		out.Buckets = append(out.Buckets, *r)
	}
	return out, nil
}

// retention tells of a bucket, or (0) of the cluster.
func (n *Node) retention(v *fsm.View, bucket uint64) (*Retention, error) {
	c, err := v.Cluster()
	if err != nil {
		return nil, err
	}
	r := &Retention{BucketID: bucket, Strict: c.GetHistoryStrict()}
	kept := time.Duration(c.GetHistoryRetention())
	if bucket != 0 {
		if r.Bucket, r.Deleted, err = v.LastName(bucket); err != nil {
			return nil, err
		}
		own, err := v.Retention(bucket)
		if err != nil {
			return nil, err
		}
		r.Inherits = own == nil || own.Inherits
		if !r.Inherits {
			kept, r.Strict = time.Duration(own.History), own.Strict
		}
	}
	m, err := oldestMoment(v, bucket)
	if err != nil {
		return nil, err
	}
	r.Seconds, r.Text, r.OldestSeq, r.OldestTime = int64(kept/time.Second), retentionText(kept), m.seq, m.time
	if rows, known := n.machine.HistoryRows(bucket); known {
		r.Rows = &rows
	}
	return r, nil
}

// bucketNamed finds a bucket by its name or, behind "#", its id: that of one that is gone,
// too. 0 is the cluster, which "" names.
func bucketNamed(v *fsm.View, name string) (uint64, error) {
	if name == "" {
		return 0, nil
	}
	if digits, ok := strings.CutPrefix(name, "#"); ok {
		id, err := strconv.ParseUint(digits, 10, 64)
		if err != nil || id == 0 {
			return 0, fmt.Errorf("%w: %q is no bucket's id", errBadAsk, name)
		}
		return id, nil
	}
	b, err := v.BucketByName(name)
	if err == nil && b == nil {
		err = fmt.Errorf("%w: no bucket %q", errNoObject, name)
	}
	return b.GetBucket(), err
}

// SetRetention says how long history is kept from now on: in a bucket (by its name, or "#"
// and its id) or, without one, in the cluster. A nil retention is the cluster's again.
func (n *Node) SetRetention(ctx context.Context, bucket string, retention *time.Duration, strict bool) (*Retention, error) {
	switch {
	case retention == nil && bucket == "":
		return nil, fmt.Errorf("%w: the cluster's retention has no default: give a duration", errBadAsk)
	case retention == nil && strict:
		return nil, fmt.Errorf("%w: a bucket is strict about a retention of its own: give a duration", errBadAsk)
	case retention != nil && *retention < 0:
		return nil, fmt.Errorf("%w: a retention cannot be negative", errBadAsk)
	}
	b := &event.HistoryRetentionSet{Inherit: retention == nil, Strict: strict}
	if retention != nil {
		b.Retention = int64(*retention)
	}
	v, err := views{n}.View(ctx)
	if err != nil {
		return nil, err
	}
	b.Bucket, err = bucketNamed(v, bucket)
	if err := errors.Join(err, v.Close()); err != nil {
		return nil, err
	}
	r, err := n.tell(ctx, event.NewDraft(nil, &event.Statement_HistoryRetentionSet{HistoryRetentionSet: b}))
	if err == nil {
		err = retentionRefused(bucket, r)
	}
	if err != nil {
		return nil, err
	}
	if v, err = (views{n}).View(ctx); err != nil {
		return nil, err
	}
	defer v.Close()
	return n.retention(v, b.Bucket)
}

// retentionRefused tells why a retention was not set.
func retentionRefused(bucket string, r event.Refusal) error {
	switch r {
	case event.Refusal_REFUSAL_NONE:
		return nil
	case event.Refusal_REFUSAL_NO_SUCH_BUCKET:
		return fmt.Errorf("%w: no bucket %q", errNoObject, bucket)
	case event.Refusal_REFUSAL_FEATURE_LEVEL:
		return fmt.Errorf("%w: how long history is kept cannot be changed while a node of an older release is in the cluster", errBadAsk)
	}
	return fmt.Errorf("%w: the retention was refused: %s", errBadAsk, r)
}

const day = 24 * time.Hour

// ParseRetention reads a duration such as 7d, 36h, 1d12h or 90m; 0 keeps nothing.
func ParseRetention(s string) (time.Duration, error) {
	bad := fmt.Errorf("%w: %q is no duration such as 7d, 36h, 1d12h or 90m", errBadAsk, s)
	sum, rest := time.Duration(0), s
	if days, after, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 32)
		if err != nil || n > uint64(math.MaxInt64/day) {
			return 0, bad
		}
		sum, rest = time.Duration(n)*day, after
		if rest == "" {
			return sum, nil
		}
	}
	d, err := time.ParseDuration(rest)
	if err != nil || d < 0 || strings.HasPrefix(rest, "+") || d > math.MaxInt64-sum {
		return 0, bad
	}
	return sum + d, nil
}

// retentionText is a duration as ParseRetention reads it.
func retentionText(d time.Duration) string {
	if d < day {
		return d.String()
	}
	text := strconv.FormatInt(int64(d/day), 10) + "d"
	if d %= day; d > 0 {
		text += d.String()
	}
	return text
}

// history answers how long history is kept.
func (n *Node) history(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), accountLimit)
	defer cancel()
	above := uint64(0)
	var err error
	if text := r.URL.Query().Get("above"); text != "" {
		if above, err = strconv.ParseUint(text, 10, 64); err != nil {
			err = fmt.Errorf("%w: above=%q is no bucket's id", errBadAsk, text)
		}
	}
	var page *Retentions
	if err == nil {
		page, err = n.Retentions(ctx, above)
	}
	n.answerAdmin(w, page, err)
}

// setHistory changes it: bucket=NAME, retention=7d or default, strict=true.
func (n *Node) setHistory(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), accountLimit)
	defer cancel()
	q := r.URL.Query()
	var retention *time.Duration
	var strict bool
	var err error
	if text := q.Get("retention"); text != "default" {
		var d time.Duration
		d, err = ParseRetention(text)
		retention = &d
	}
	if text := q.Get("strict"); text != "" && err == nil {
		if strict, err = strconv.ParseBool(text); err != nil {
			err = fmt.Errorf("%w: strict=%q is neither true nor false", errBadAsk, text)
		}
	}
	var set *Retention
	if err == nil {
		set, err = n.SetRetention(ctx, q.Get("bucket"), retention, strict)
	}
	n.answerAdmin(w, set, err)
}
