package fsm

import (
	"bytes"
	"encoding/binary"

	"ironman/wal/event"
)

// maxTrim bounds the rows that one event drops.
const maxTrim = 1 << 16

// historyTrimmed drops what was superseded before a sequence, in bounded steps.
// Views below the trimmed sequence are refused from then on. The outcome tells how
// many rows went: as many as were asked for means that there may be more.
func (t *tx) historyTrimmed(b *event.HistoryTrimmed) *event.Outcome {
	if b.To > t.seq || b.Rows == 0 {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	type dead struct {
		to  uint64
		row []byte
	}
	var rows []dead
	t.scan([]byte{byte(tableHistoryIndex)}, func(k, _ []byte) bool {
		to := binary.BigEndian.Uint64(k[1:])
		if to >= b.To || len(rows) >= int(min(b.Rows, maxTrim)) {
			return false
		}
		rows = append(rows, dead{to, bytes.Clone(k[9:])})
		return true
	})
	for _, d := range rows {
		hk := historyKey(d.row, d.to)
		if tb := tableOf(d.row); tb == tableObject || tb == tableVersion {
			o, _, err := decodeRow[Object](d.row, t.raw(hk))
			if err != nil {
				t.m.fatal(err)
			}
			t.unref(o.body())
		}
		t.delete(hk)
		t.delete(historyIndexKey(d.to, d.row))
	}
	c := get[Cluster](t, key(tableCluster))
	if c.HistoryTrimmed < b.To {
		c.HistoryTrimmed = b.To
		t.set(key(tableCluster), c)
	}
	return &event.Outcome{Allocated: uint64(len(rows))}
}
