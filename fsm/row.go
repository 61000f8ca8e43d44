package fsm

import (
	"encoding/binary"
	"fmt"

	"ironman/wal/event"
)

// A row of a historical table:
//
//	+----------------+---------------------+
//	| from, 8 bytes  | canonical message   |
//	+----------------+---------------------+
//
// from is the sequence that wrote the row. Rows of other tables are the canonical
// message alone. A history row holds the superseded row's bytes unchanged.
const fromBytes = 8

func decodeRow[T any, P message[T]](key, b []byte) (P, uint64, error) {
	var from uint64
	if tableOf(key).historical() {
		if len(b) < fromBytes {
			return nil, 0, fmt.Errorf("fsm: row %x: %w: %d bytes", key, event.ErrMalformed, len(b))
		}
		from = binary.BigEndian.Uint64(b)
		b = b[fromBytes:]
	}
	p := P(new(T))
	if err := event.Decode(b, p); err != nil {
		return nil, 0, fmt.Errorf("fsm: row %x: %w", key, err)
	}
	return p, from, nil
}
