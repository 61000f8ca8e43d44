package fsm

import (
	"encoding/binary"
	"errors"

	"ironman/sim/sabotage"
	"ironman/wal/event"
)

// A cursor tells how far a consumer of events has come. It is moved by an event once
// the consumer has done its work, so that the next node to serve it goes on from there:
// of two that both do, one is refused.

// cursorSet moves a cursor forward, or makes it.
func (t *tx) cursorSet(p *event.Parsed, b *event.CursorSet) *event.Outcome {
	name := p.Text(event.ItemKind_ITEM_KIND_NAME, 0)
	if name == "" || !validName(name) || b.Kind == event.CursorKind_CURSOR_KIND_UNSPECIFIED || b.To <= b.From || b.To > t.seq {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	if b.Bucket != 0 && t.bucket(b.Bucket) == nil {
		return refuse(event.Refusal_REFUSAL_NO_SUCH_BUCKET)
	}
	k := cursorKey(b.Bucket, b.Kind, name)
	if get[Cursor](t, k).GetNext() != b.From && !sabotage.On(sabotage.X73) {
		return refuse(event.Refusal_REFUSAL_CONFLICT)
	}
	t.set(k, &Cursor{Next: b.To, Time: t.time})
	return accept()
}

// cursorDeleted forgets a cursor.
func (t *tx) cursorDeleted(p *event.Parsed, b *event.CursorDeleted) *event.Outcome {
	k := cursorKey(b.Bucket, b.Kind, p.Text(event.ItemKind_ITEM_KIND_NAME, 0))
	if !t.has(k) {
		return refuse(event.Refusal_REFUSAL_NOT_FOUND)
	}
	t.delete(k)
	return accept()
}

// CursorEntry is one cursor of a list.
type CursorEntry struct {
	Kind event.CursorKind
	Name string
	Row  *Cursor
}

// Cursor returns where a consumer stands, as of now in every view; nil if it never
// moved. Bucket 0: a consumer of no bucket.
func (v *View) Cursor(bucket uint64, kind event.CursorKind, name string) (*Cursor, error) {
	return read[Cursor](v, cursorKey(bucket, kind, name))
}

// Cursors returns the cursors of a bucket (0: those of none), by kind and name.
func (v *View) Cursors(bucket uint64) ([]CursorEntry, error) {
	var out []CursorEntry
	err := v.cursors(key(tableCursor, bucket), func(_ uint64, c CursorEntry) bool {
		out = append(out, c)
		return true
	})
	return out, err
}

// EachCursor calls f for the cursors of all buckets, by bucket, kind and name, until it
// returns false.
func (v *View) EachCursor(f func(bucket uint64, c CursorEntry) bool) error {
	return v.cursors(key(tableCursor), f)
}

func (v *View) cursors(prefix []byte, f func(bucket uint64, c CursorEntry) bool) error {
	return v.scan(prefix, after(prefix), func(k, b []byte) (bool, error) {
		row, _, err := decodeRow[Cursor](k, b)
		if err != nil || len(k) < 1+8+4 {
			return false, errors.Join(err, event.ErrMalformed)
		}
		bucket, kind := binary.BigEndian.Uint64(k[1:]), event.CursorKind(binary.BigEndian.Uint32(k[1+8:]))
		return f(bucket, CursorEntry{Kind: kind, Name: string(k[1+8+4:]), Row: row}), nil
	})
}
