package reads

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"ironman/wal/event"
	"ironman/wal/ledger"
)

// Entry is a record and what it says.
type Entry struct {
	ledger.Record
	Envelope *event.Envelope
	Read     *event.Read
	Items    []*event.Item // by place; nil: it is erased
}

// Decode reads what a record says.
func Decode(r *ledger.Record) (*Entry, error) {
	e := &Entry{Record: *r, Envelope: &event.Envelope{}, Read: &event.Read{}, Items: make([]*event.Item, len(r.Items))}
	if err := event.Decode(r.Envelope, e.Envelope); err != nil {
		return nil, fmt.Errorf("reads: record %d: %w", r.Seq, err)
	}
	if err := event.Decode(r.Statement, e.Read); err != nil {
		return nil, fmt.Errorf("reads: record %d: %w", r.Seq, err)
	}
	for i := range r.Items {
		if r.Items[i].Erased {
			continue
		}
		e.Items[i] = &event.Item{}
		if err := event.Decode(r.Items[i].Bytes, e.Items[i]); err != nil {
			return nil, fmt.Errorf("reads: record %d: %w", r.Seq, err)
		}
	}
	return e, nil
}

// Item is the value of the item of a kind; false: there is none, or it is erased.
func (e *Entry) Item(kind event.ItemKind) ([]byte, bool) {
	for _, it := range e.Items {
		if it.GetKind() == kind {
			return it.Value, true
		}
	}
	return nil, false
}

// ErrUnreadable says that bundles are damaged: nobody can tell what they have of what is meant.
var ErrUnreadable = errors.New("reads: bundles of the log of reads cannot be read, and so nothing in them be erased")

// Erase takes the payload items of all records away that are meant, those that are added
// until it returns among them, and leaves their hashes: no root and no proof changes. It
// tells of how many records. It may be done again. Bundles that cannot be read are passed
// over, and told of at the end: ErrUnreadable.
//
// Reads that began before and end later are not meant by it: Options.Erased tells of them.
func (l *Log) Erase(ctx context.Context, meant func(*Entry) bool) (erased int, err error) {
	l.whole.Lock()
	defer l.whole.Unlock()
	var bad []error
	n, from, err := l.eraseBundles(ctx, l.archive.Kept(), meant, &bad)
	if err != nil {
		return n, err
	}
	// What is left is little: what was gathered and written meanwhile.
	l.write.Lock()
	defer l.write.Unlock()
	if err := l.flush(); err != nil {
		return n, err
	}
	l.erasedAt = l.now()
	more, _, err := l.eraseBundles(ctx, from, meant, &bad)
	if n += more; err != nil {
		return n, err
	}
	more, err = l.eraseTail(meant)
	if n += more; err != nil {
		return n, err
	}
	// Nobody can tell what a damaged tail has of what is meant.
	if removed, err := ledger.RemoveAside(l.o.FS, l.o.Dir); err != nil {
		return n, l.fail(err)
	} else if removed > 0 {
		l.o.Logger.Info("damaged tails of the log of reads that were kept aside are gone, for something was erased", "files", removed)
	}
	if len(bad) > 0 {
		return n, fmt.Errorf("%w: %d of them, the first: %w", ErrUnreadable, len(bad), bad[0])
	}
	return n, nil
}

// eraseBundles erases in the bundles that there are now, and tells where they end.
func (l *Log) eraseBundles(ctx context.Context, from uint64, meant func(*Entry) bool, bad *[]error) (erased int, end uint64, err error) {
	end = l.archive.Size()
	for ; from < end; from += ledger.BundleSize {
		if err := ctx.Err(); err != nil {
			return erased, end, err
		}
		targets, err := l.meantIn(from, meant)
		if err == nil {
			err = l.archive.Erase(targets)
		}
		if err != nil {
			*bad = append(*bad, fmt.Errorf("records %d to %d: %w", from, from+ledger.BundleSize-1, err))
			continue
		}
		erased += len(targets)
	}
	return erased, end, nil
}

// meantIn looks for what is meant in the bundle that begins with a record.
func (l *Log) meantIn(first uint64, meant func(*Entry) bool) (targets []ledger.Target, err error) {
	for r, err := range l.bundle(first) {
		if err != nil {
			return nil, err
		}
		if err := r.Check(); err != nil {
			return nil, fmt.Errorf("record %d: %w", r.Seq, err)
		}
		hit, err := isMeant(&r, meant)
		if err != nil {
			return nil, err
		}
		if hit {
			targets = append(targets, ledger.Target{Seq: r.Seq})
		}
	}
	return targets, nil
}

// bundle reads the records of the bundle that begins with one.
func (l *Log) bundle(first uint64) iter.Seq2[ledger.Record, error] {
	return func(yield func(ledger.Record, error) bool) {
		for r, err := range l.archive.Records(first) {
			if !yield(r, err) || err != nil || r.Seq == first+ledger.BundleSize-1 {
				return
			}
		}
	}
}

// eraseTail erases behind the bundles; l.write is held.
func (l *Log) eraseTail(meant func(*Entry) bool) (erased int, err error) {
	s := *l.state.Load()
	s.tail = append([]ledger.Record(nil), s.tail...)
	for i := range s.tail {
		r := &s.tail[i]
		hit, err := isMeant(r, meant)
		if err != nil {
			return 0, err
		}
		if !hit {
			continue
		}
		r.Items = append([]ledger.Item(nil), r.Items...) // others read it
		if _, err := r.Erase(ledger.Target{Seq: r.Seq}); err != nil {
			return 0, err
		}
		erased++
	}
	if erased == 0 {
		return 0, nil
	}
	if err := l.tail.Rewrite(s.base, s.tail); err != nil {
		return 0, l.fail(err)
	}
	l.state.Store(&s)
	return erased, nil
}

// isMeant tells whether something is to be erased of a record.
func isMeant(r *ledger.Record, meant func(*Entry) bool) (bool, error) {
	left := false
	for i := range r.Items {
		left = left || !r.Items[i].Erased
	}
	if !left {
		return false, nil
	}
	e, err := Decode(r)
	if err != nil {
		return false, err
	}
	return meant(e), nil
}

// Erased records that an erasure by law, the event of a sequence, was carried out here.
func (l *Log) Erased(by, records uint64) error {
	return l.note(&event.Read{Kind: event.ReadKind_READ_KIND_ERASED, From: by, Records: records})
}

// ErasedThrough is the newest erasure by law that the log says was carried out here. Bundles
// that cannot be read say nothing.
func (l *Log) ErasedThrough(ctx context.Context) (by uint64, err error) {
	look := func(r *ledger.Record) error {
		d := &event.Read{}
		if err := event.Decode(r.Statement, d); err != nil {
			return err
		}
		if d.Kind == event.ReadKind_READ_KIND_ERASED {
			by = max(by, d.From)
		}
		return nil
	}
	s := l.state.Load()
	for first := l.archive.Kept(); first < s.base; first += ledger.BundleSize {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		for r, err := range l.bundle(first) {
			if err != nil || look(&r) != nil {
				break
			}
		}
	}
	for i := range s.tail {
		if err := look(&s.tail[i]); err != nil {
			return 0, err
		}
	}
	return by, nil
}
