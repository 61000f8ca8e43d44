package fsm

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/cockroachdb/pebble/v2"
	"google.golang.org/protobuf/proto"

	"ironman/wal/event"
)

// tx is one event being applied: it reads what earlier events of the batch wrote
// and collects its own writes, so that a refused event leaves nothing behind.
type tx struct {
	m      *Machine
	batch  *pebble.Batch // indexed; holds the earlier events of the batch
	digest StateDigest   // of the rows in batch
	seq    uint64        // of this event
	time   int64         // log time of this event, ns
	term   uint64

	writes map[string]*write
	order  []string // keys of writes in the order of their first touch
}

// write is one row as this event leaves it.
type write struct {
	value []byte // nil: deleted
	old   []byte // what stood there before this event; nil: nothing
}

func (t *tx) begin(seq uint64, time int64) {
	t.seq, t.time = seq, time
	t.drop()
}

// drop forgets the event's writes.
func (t *tx) drop() {
	clear(t.writes)
	t.order = t.order[:0]
}

// raw reads a row's bytes; nil if there is none. The result must not be changed.
func (t *tx) raw(key []byte) []byte {
	if w, ok := t.writes[string(key)]; ok {
		return w.value
	}
	return t.stored(key)
}

// stored reads a row as it was before this event.
func (t *tx) stored(key []byte) []byte {
	v, closer, err := t.batch.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil
	}
	if err != nil {
		t.m.fatal(err)
	}
	out := append(make([]byte, 0, len(v)), v...)
	if err := closer.Close(); err != nil {
		t.m.fatal(err)
	}
	return out
}

// setRaw writes a row; nil deletes it.
func (t *tx) setRaw(key, value []byte) {
	w, ok := t.writes[string(key)]
	if !ok {
		w = &write{old: t.stored(key)}
		t.writes[string(key)] = w
		t.order = append(t.order, string(key))
		t.supersede(key, w.old)
	}
	w.value = value
}

// supersede moves the value that stood before this event to history.
func (t *tx) supersede(key, old []byte) {
	if old == nil || !tableOf(key).historical() || !t.keepsHistory() {
		return
	}
	t.setRaw(historyKey(key, t.seq), old)
	t.setRaw(historyIndexKey(t.seq, key), []byte{})
}

// keepsHistory tells whether superseded rows are kept.
func (t *tx) keepsHistory() bool { return t.cluster().GetHistoryRetention() > 0 }

// set writes a message to a row.
func (t *tx) set(key []byte, m proto.Message) {
	if tableOf(key).historical() {
		b := binary.BigEndian.AppendUint64(make([]byte, 0, 256), t.seq)
		t.setRaw(key, event.AppendCanonical(b, m))
		return
	}
	// An empty message is an empty row, not a deleted one.
	t.setRaw(key, event.AppendCanonical([]byte{}, m))
}

func (t *tx) delete(key []byte) { t.setRaw(key, nil) }

// has tells whether a row is there.
func (t *tx) has(key []byte) bool { return t.raw(key) != nil }

// message is any protobuf message with its pointer type.
type message[T any] interface {
	*T
	proto.Message
}

// get reads a row; nil if there is none.
func get[T any, P message[T]](t *tx, key []byte) P {
	p, _ := getFrom[T, P](t, key)
	return p
}

// getFrom reads a row of a historical table and the sequence that wrote it.
func getFrom[T any, P message[T]](t *tx, key []byte) (P, uint64) {
	b := t.raw(key)
	if b == nil {
		return nil, 0
	}
	p, from, err := decodeRow[T, P](key, b)
	if err != nil {
		t.m.fatal(err)
	}
	return p, from
}

// commit moves the event's writes into the batch and the digest.
func (t *tx) commit() {
	for _, k := range t.order {
		w := t.writes[k]
		key := []byte(k)
		if w.value == nil && w.old == nil || w.value != nil && w.old != nil && bytes.Equal(w.value, w.old) {
			continue
		}
		if !tableOf(key).local() {
			if w.old != nil {
				t.digest.sub(rowHash(key, w.old))
			}
			if w.value != nil {
				t.digest.add(rowHash(key, w.value))
			}
		}
		var err error
		if w.value == nil {
			err = t.batch.Delete(key, pebble.NoSync)
		} else {
			err = t.batch.Set(key, w.value, pebble.NoSync)
		}
		if err != nil {
			t.m.fatal(err)
		}
	}
	t.drop()
}

// scan calls f for each row under prefix as it was before this event, in order,
// until f says stop. f must not keep what it is given.
func (t *tx) scan(prefix []byte, f func(key, value []byte) bool) {
	it, err := t.batch.NewIter(&pebble.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		t.m.fatal(err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		if !f(it.Key(), it.Value()) {
			break
		}
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		t.m.fatal(err)
	}
}

func (t *tx) cluster() *Cluster { return get[Cluster](t, key(tableCluster)) }
