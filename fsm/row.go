package fsm

import (
	"encoding/binary"
	"fmt"
	"sync"

	"google.golang.org/protobuf/proto"

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

// schema is that of the rows.
var schema = sync.OnceValue(func() *event.Schema { return event.NewSchema(File_fsm_row_proto) })

// encodeRow gives the bytes of a row that the event at seq writes. They are never
// nil: an empty message is an empty row, not a deleted one.
func encodeRow(key []byte, seq uint64, m proto.Message) []byte {
	b := make([]byte, 0, 256)
	if tableOf(key).historical() {
		b = binary.BigEndian.AppendUint64(b, seq)
	}
	return event.AppendCanonical(b, m)
}

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
	if err := schema().Decode(b, p); err != nil {
		return nil, 0, fmt.Errorf("fsm: row %x: %w", key, err)
	}
	return p, from, nil
}
