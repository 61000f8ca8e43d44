package reads

import (
	"context"
	"fmt"

	"ironman/wal/event"
	"ironman/wal/ledger"
)

// eraseAtOnce is how many records are erased in the bundles at a time.
const eraseAtOnce = 10_000

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

// Erase takes the payload items of all records away that are meant, those that are added
// until it returns among them, and leaves their hashes: no root and no proof changes. It
// tells of how many records. It may be done again.
func (l *Log) Erase(ctx context.Context, meant func(*Entry) bool) (erased int, err error) {
	l.whole.Lock()
	defer l.whole.Unlock()
	from := l.archive.Kept()
	n, from, err := l.eraseBundles(ctx, from, meant)
	if err != nil {
		return n, err
	}
	// What is left is little: what was gathered and written meanwhile.
	l.write.Lock()
	defer l.write.Unlock()
	if err := l.flush(); err != nil {
		return n, err
	}
	more, _, err := l.eraseBundles(ctx, from, meant)
	if n += more; err != nil {
		return n, err
	}
	more, err = l.eraseTail(meant)
	return n + more, err
}

// eraseBundles erases in the bundles that there are now, and tells where they end.
func (l *Log) eraseBundles(ctx context.Context, from uint64, meant func(*Entry) bool) (erased int, end uint64, err error) {
	end = l.archive.Size()
	var targets []ledger.Target
	for r, err := range l.archive.Records(from) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return erased, end, err
		}
		if r.Seq >= end {
			break
		}
		hit, err := isMeant(&r, meant)
		if err != nil {
			return erased, end, err
		}
		if hit {
			targets = append(targets, ledger.Target{Seq: r.Seq})
			erased++
		}
		if len(targets) == eraseAtOnce {
			if err := l.archive.Erase(targets); err != nil {
				return erased, end, err
			}
			targets = nil
		}
	}
	return erased, end, l.archive.Erase(targets)
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
