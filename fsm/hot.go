package fsm

import (
	"github.com/cockroachdb/pebble/v2"
	"google.golang.org/protobuf/proto"
)

// Nearly every event reads the cluster, its bucket, and a node, a disk and a pack
// for each shard, and writes some of them. Those rows are kept in memory as the
// last event left them: Apply is their only writer, so they are never stale. What
// was written goes into the batch once, however many events of it wrote it.

// maxHotRows bounds the rows kept; above it, all are forgotten.
const maxHotRows = 8192

// hotRow is a row kept in memory.
type hotRow struct {
	key     []byte
	value   []byte        // nil: there is no such row
	message proto.Message // the value decoded, once somebody asked for it
	dirty   bool          // the value is not in the batch yet
}

// hotRows is the rows kept, and those of them that are dirty.
type hotRows struct {
	rows  map[string]*hotRow
	dirty []*hotRow
}

// hot tells whether the rows of a table are kept in memory.
func (t table) hot() bool {
	switch t {
	case tableCluster, tableNode, tableDisk, tableIncarnation, tablePack, tableBucket, tableUsage, tableHoldings, tableRetention:
		return true
	}
	return false
}

// hotRow returns a row as it was before the event.
func (t *tx) hotRow(key []byte) *hotRow {
	hot := &t.m.hot
	if h := hot.rows[string(key)]; h != nil {
		return h
	}
	if len(hot.rows) >= maxHotRows {
		t.settle()
		clear(hot.rows)
	}
	h := &hotRow{key: key, value: t.read(key)}
	hot.rows[string(key)] = h
	return h
}

// warm takes over what an event has written; message is nil or the value decoded.
func (t *tx) warm(key, value []byte, message proto.Message) {
	h := t.hotRow(key)
	h.value, h.message = value, message
	if !h.dirty {
		h.dirty = true
		t.m.hot.dirty = append(t.m.hot.dirty, h)
	}
}

// settle puts what is dirty into the batch.
func (t *tx) settle() {
	for _, h := range t.m.hot.dirty {
		t.put(h.key, h.value)
		h.dirty = false
	}
	t.m.hot.dirty = t.m.hot.dirty[:0]
}

// put writes a row of earlier events into the batch; nil deletes it.
func (t *tx) put(key, value []byte) {
	var err error
	t.fresh[string(key)] = value
	if value == nil {
		err = t.batch.Delete(key, pebble.NoSync)
	} else {
		err = t.batch.Set(key, value, pebble.NoSync)
	}
	if err != nil {
		t.m.fatal(err)
	}
}

// look reads a row of a hot table; nil if there is none. The message is shared: it
// must not be changed.
func look[T any, P message[T]](t *tx, key []byte) P {
	if i, ok := t.index[string(key)]; ok && t.rows[i].changed {
		return get[T, P](t, key)
	}
	return lookBefore[T, P](t, key)
}

// lookBefore reads a row of a hot table as it was before the event.
func lookBefore[T any, P message[T]](t *tx, key []byte) P {
	h := t.hotRow(key)
	if h.value == nil {
		return nil
	}
	if h.message == nil {
		p, _, err := decodeRow[T, P](key, h.value)
		if err != nil {
			t.m.fatal(err)
		}
		h.message = p
	}
	return h.message.(P)
}
