package audit

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"ironman/wal/event"
	"ironman/wal/ledger"
)

// Filter says which entries are asked for. What is empty does not filter.
type Filter struct {
	From, To   uint64 // sequences; To is not among them, 0: to the end
	Bucket     string // its name, also of one that is gone, or "#" and its id; a copy's source counts, too
	Key        string
	Prefix     string // of keys
	Actor      string // an id, or a name that somebody has now; "anonymous", "system"
	Kinds      []string
	Operations []string
	Refused    bool // only what was refused, or had a refused part
}

// Takes tells whether an entry is asked for; it does not look at sequences.
func (f *Filter) Takes(e *Entry) bool {
	switch {
	case f.Bucket != "" && !names(f.Bucket, e.Name, e.Bucket) && !names(f.Bucket, e.SourceBucket, e.SourceID) &&
		!slices.ContainsFunc(e.Steps, func(s Step) bool { return names(f.Bucket, s.SourceBucket, s.SourceID) }):
	case f.Key != "" && !slices.Contains(e.allKeys(), f.Key):
	case f.Prefix != "" && !slices.ContainsFunc(e.allKeys(), func(k string) bool { return strings.HasPrefix(k, f.Prefix) }):
	case f.Actor != "" && f.Actor != e.Actor && f.Actor != e.ActorName:
	case len(f.Kinds) > 0 && !slices.Contains(f.Kinds, e.Kind):
	case len(f.Operations) > 0 && !slices.Contains(f.Operations, e.Operation):
	case f.Refused && e.Outcome == "accepted" && len(e.Subs) == 0:
	default:
		return true
	}
	return false
}

// allKeys are the keys that an entry is about, those of sources among them.
func (e *Entry) allKeys() []string {
	keys := append(slices.Clip(e.Keys), e.SourceKey)
	for _, s := range e.Steps {
		if s.SourceKey != "" {
			keys = append(keys, s.SourceKey)
		}
	}
	return keys
}

// names tells whether a bucket is asked for.
func names(asked, name string, id uint64) bool {
	return id != 0 && (asked == name || asked == "#"+strconv.FormatUint(id, 10))
}

// Log calls tell for each entry that the filter takes, in order, until it fails.
func (x *Reader) Log(ctx context.Context, f Filter, tell func(*Entry) error) error {
	to := x.Size()
	if f.To != 0 {
		to = min(to, f.To)
	}
	if f.From >= to {
		return nil
	}
	return x.words(func(w *Words) error {
		for r, err := range x.Records(f.From) {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return fmt.Errorf("audit: %w", err)
			}
			if r.Seq >= to {
				return nil
			}
			e, err := w.Entry(&r)
			if err != nil {
				return err
			}
			if !f.Takes(e) {
				continue
			}
			if err := tell(e); err != nil {
				return err
			}
		}
		return nil
	})
}

// Detail puts all of a record into words.
func (x *Reader) Detail(r *ledger.Record) (d *Detail, err error) {
	err = x.words(func(w *Words) error {
		d, err = w.Detail(r)
		return err
	})
	return d, err
}

// Moment reads a sequence or a time (RFC 3339): the number of events before it. A sequence
// names the moment before its event, "end" that behind the last.
func (x *Reader) Moment(s string) (uint64, error) {
	seq, t, err := ParseMoment(s, x.Size())
	if err != nil {
		return 0, err
	}
	if !t.IsZero() {
		return x.At(t)
	}
	if seq > x.Size() {
		return 0, fmt.Errorf("audit: %d events are recorded here, fewer than %d", x.Size(), seq)
	}
	return seq, nil
}

// ParseMoment reads a sequence, "end", which is size, or a time, which is not zero then.
func ParseMoment(s string, size uint64) (seq uint64, t time.Time, err error) {
	if s == "end" {
		return size, t, nil
	}
	if seq, err := strconv.ParseUint(s, 10, 64); err == nil {
		return seq, t, nil
	}
	if t, err = time.Parse(time.RFC3339Nano, s); err != nil || t.IsZero() {
		return 0, time.Time{}, fmt.Errorf("audit: %q is neither a sequence nor a time like 2026-01-02T03:04:05Z", s)
	}
	return 0, t, nil
}

// At finds the first of size events that is of a moment or later, by their envelopes;
// size, if all were before.
func At(size uint64, t time.Time, envelope func(seq uint64) ([]byte, error)) (uint64, error) {
	low, high := uint64(0), size
	for low < high {
		middle := low + (high-low)/2
		b, err := envelope(middle)
		if err != nil {
			return 0, err
		}
		var e event.Envelope
		if err := event.Decode(b, &e); err != nil {
			return 0, fmt.Errorf("audit: event %d: %w", middle, err)
		}
		if time.Unix(0, e.Time).Before(t) {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, nil
}

// CheckKinds refuses kinds that no entry can have.
func CheckKinds(kinds []string) error {
	for _, kind := range kinds {
		if !knownKind(kind) {
			return fmt.Errorf("audit: no kind of event is called %q; one is \"object_put\"", kind)
		}
	}
	return nil
}
