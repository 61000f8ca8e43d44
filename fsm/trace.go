package fsm

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"ironman/wal/event"
)

// Trace is a row in which a key's name still stands.
type Trace struct {
	// What it is: "object", "version" (or a delete marker), "upload", "history", what one of
	// these was before, or "gathering": how far the bucket's history has been gathered.
	What string
	Key  string
	To   uint64 // of history: the event that ended it
}

// Trace finds a row of a bucket, which may be gone, that still tells a key, or (isPrefix) any
// key that begins so; nil: there is none. As of now in every view.
func (v *View) Trace(bucket uint64, name string, isPrefix bool) (*Trace, error) {
	for _, in := range []struct {
		table   table
		what    string
		escaped bool
	}{
		{tableObject, "object", false}, {tableVersion, "version", true}, {tableNull, "version", false}, {tableUpload, "upload", true},
	} {
		from := append(key(in.table, bucket), name...)
		if in.escaped {
			from = appendEscaped(key(in.table, bucket), name)
			if isPrefix {
				from = from[:len(from)-2] // without the end mark
			}
		}
		exact := !isPrefix && !in.escaped
		found, err := v.traceIn(in.table, from, exact, in.what)
		if found != nil || err != nil {
			return found, err
		}
		if !in.table.historical() {
			continue
		}
		from = historyPrefix(from)
		if exact {
			from = append(from, 0, 1)
		}
		if found, err = v.traceIn(tableHistory, from, false, "history"); found != nil || err != nil {
			return found, err
		}
	}
	return v.traceGathered(bucket, name, isPrefix)
}

// traceGathered looks at where the gathering of a bucket's history stands: at a row of that,
// which may be gone.
func (v *View) traceGathered(bucket uint64, name string, isPrefix bool) (*Trace, error) {
	r, err := v.Retention(bucket)
	if err != nil || len(r.GetGathered()) == 0 {
		return nil, err
	}
	row, rest, ok := cutEscaped(r.Gathered[1:])
	if !ok || len(rest) != 8 {
		return nil, fmt.Errorf("fsm: the history row %x: %w", r.Gathered, event.ErrMalformed)
	}
	switch tableOf(row) {
	case tableObject, tableVersion, tableNull:
	default:
		return nil, nil
	}
	found := keyIn(row)
	if found != name && !(isPrefix && strings.HasPrefix(found, name)) {
		return nil, nil
	}
	return &Trace{What: "gathering", Key: found, To: binary.BigEndian.Uint64(rest)}, nil
}

// traceIn finds the first row of a table that begins with prefix, or (exact) is of that key.
func (v *View) traceIn(t table, prefix []byte, exact bool, what string) (found *Trace, err error) {
	upper := after(prefix)
	if exact {
		upper = append(bytes.Clone(prefix), 0)
	}
	err = v.scan(prefix, upper, func(k, _ []byte) (bool, error) {
		found = &Trace{What: what}
		row := k
		if t == tableHistory {
			var rest []byte
			var ok bool
			if row, rest, ok = cutEscaped(k[1:]); !ok || len(rest) != 8 {
				return false, fmt.Errorf("fsm: row %x: %w", k, event.ErrMalformed)
			}
			found.To = binary.BigEndian.Uint64(rest)
		}
		found.Key = keyIn(row)
		return false, nil
	})
	return found, err
}

// keyIn is the object key in the key of a row.
func keyIn(row []byte) string {
	if len(row) < 9 {
		return ""
	}
	if t := tableOf(row); t == tableVersion || t == tableUpload {
		s, _, _ := cutEscaped(row[9:])
		return string(s)
	}
	return string(row[9:])
}
