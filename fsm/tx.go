package fsm

import (
	"bytes"
	"errors"

	"github.com/cockroachdb/pebble/v2"
	"google.golang.org/protobuf/proto"
)

// tx is one event being applied: it reads what earlier events of the batch wrote
// and collects its own writes, so that a refused event leaves nothing behind.
type tx struct {
	m      *Machine
	batch  *pebble.Batch // indexed; holds the earlier events of the batch
	digest StateDigest   // of all rows, those of the batch among them
	seq    uint64        // of this event
	time   int64         // log time of this event, ns

	fresh map[string][]byte // rows that earlier events of the batch wrote; nil: deleted
	below *reader           // of the rows below the batch

	rows   []row          // in the order of their first touch
	index  map[string]int // key -> position in rows
	agreed *Cluster       // the cluster's row, once it was read; nil when it was written
	// What the event did in the table of versions, by the beginning of a key's rows.
	versions map[string]*versionWrites
	history  map[uint64]int64 // what the batch's events did to the number of history rows
}

// row is one row that the event has touched. A message that was read or written
// stands for its bytes until the event is over, so that a row that is changed
// several times is decoded and encoded once.
type row struct {
	key     []byte
	old     []byte        // before this event; nil: nothing
	value   []byte        // as the event leaves it; nil: nothing, or see message
	message proto.Message // the decoded value, if somebody asked
	from    uint64        // of a historical row: the event that wrote it
	changed bool          // it was written, maybe with what stood there
	encode  bool          // value is to be made of message
}

// bytes is the row's value; nil: there is no row.
func (r *row) bytes(seq uint64) []byte {
	if r.encode {
		r.value, r.encode = encodeRow(r.key, seq, r.message), false
	}
	return r.value
}

func (m *Machine) begin() *tx {
	return &tx{
		m: m, batch: m.db.NewIndexedBatch(), digest: m.digest, index: make(map[string]int),
		fresh: make(map[string][]byte), history: make(map[uint64]int64), below: &reader{db: m.db, tables: make(map[table]*tableReader)},
	}
}

// drop forgets the event's writes.
func (t *tx) drop() {
	clear(t.rows) // lets go of the values
	t.rows = t.rows[:0]
	clear(t.index)
	clear(t.versions)
	t.agreed = nil
}

// at is the touched row of a key, good until the next row is touched. The key is
// the tx's from here on.
func (t *tx) at(key []byte) *row {
	if i, ok := t.index[string(key)]; ok {
		return &t.rows[i]
	}
	return t.touch(key, t.stored(key))
}

func (t *tx) touch(key, old []byte) *row {
	t.index[string(key)] = len(t.rows)
	t.rows = append(t.rows, row{key: key, old: old, value: old})
	return &t.rows[len(t.rows)-1]
}

// raw reads a row's bytes; nil if there is none. The result must not be changed.
func (t *tx) raw(key []byte) []byte { return t.at(key).bytes(t.seq) }

// has tells whether a row is there.
func (t *tx) has(key []byte) bool {
	r := t.at(key)
	return r.encode || r.value != nil
}

// stored reads a row as it was before this event.
func (t *tx) stored(key []byte) []byte {
	if tableOf(key).hot() {
		return t.hotRow(key).value
	}
	return t.read(key)
}

// read reads a row as the batch has it so far.
func (t *tx) read(key []byte) []byte {
	if v, ok := t.fresh[string(key)]; ok {
		return v
	}
	v, err := t.below.read(key)
	if err != nil {
		t.m.fatal(err)
	}
	return v
}

// write readies a row for its new value. The first write moves the value that
// stood before this event to history.
func (t *tx) write(key []byte) *row {
	r := t.at(key)
	if !r.changed {
		r.changed = true
		t.supersede(key, r.old)
		r = t.at(key)
	}
	if tableOf(key) == tableCluster {
		t.agreed = nil
	}
	r.value, r.message, r.from, r.encode = nil, nil, t.seq, false
	return r
}

// setRaw writes a row's bytes. They are the tx's from here on.
func (t *tx) setRaw(key, value []byte) { t.write(key).value = value }

func (t *tx) delete(key []byte) { t.write(key) }

// set writes a message to a row. It is the tx's from here on; what is changed in
// it before the event is over counts.
func (t *tx) set(key []byte, m proto.Message) {
	r := t.write(key)
	r.message, r.encode = m, true
}

// create writes a row whose key holds this event's sequence, so that it cannot
// be there yet.
func (t *tx) create(key, value []byte) {
	r := t.touch(key, nil)
	r.value, r.changed = value, true
}

// supersede moves the value that stood before this event to history.
func (t *tx) supersede(key, old []byte) {
	if old == nil || !tableOf(key).historical() {
		return
	}
	if index := t.historyIndex(key, old); index != nil {
		t.create(historyKey(key, t.seq), old)
		t.create(index, []byte{})
	}
}

// message is any protobuf message with its pointer type.
type message[T any] interface {
	*T
	proto.Message
}

// get reads a row; nil if there is none. Whoever changes the message sets it or
// refuses the event: the row is read once, and later reads give the same message.
func get[T any, P message[T]](t *tx, key []byte) P {
	p, _ := getFrom[T, P](t, key)
	return p
}

// getFrom reads a row of a historical table and the sequence that wrote it.
func getFrom[T any, P message[T]](t *tx, key []byte) (P, uint64) {
	r := t.at(key)
	if r.message == nil && r.value == nil {
		return nil, 0
	}
	if r.message == nil {
		p, from, err := decodeRow[T, P](key, r.value)
		if err != nil {
			t.m.fatal(err)
		}
		r.message, r.from = p, from
	}
	return r.message.(P), r.from
}

// commit moves the event's writes into the batch and the digest.
func (t *tx) commit() {
	for i := range t.rows {
		r := &t.rows[i]
		if !r.changed {
			continue
		}
		value := r.bytes(t.seq)
		if (r.old == nil) == (value == nil) && bytes.Equal(r.old, value) {
			continue
		}
		if r.old != nil {
			t.digest.sub(t.m.rowHash(r.key, r.old))
			t.noteHistory(r.key, -1)
		}
		if value != nil {
			t.digest.add(t.m.rowHash(r.key, value))
			t.noteHistory(r.key, 1)
		}
		if tableOf(r.key).hot() {
			t.warm(r.key, value, r.message)
		} else {
			t.put(r.key, value)
		}
	}
	t.drop()
}

// scan calls f for each row under prefix as it was before this event, in order,
// until f says stop. f must not keep what it is given.
func (t *tx) scan(prefix []byte, f func(key, value []byte) bool) {
	t.scanFrom(prefix, prefix, f)
}

// scanFrom is scan from a key on.
func (t *tx) scanFrom(lower, prefix []byte, f func(key, value []byte) bool) {
	if tableOf(prefix).hot() {
		t.settle()
	}
	it, err := t.batch.NewIter(&pebble.IterOptions{LowerBound: lower, UpperBound: after(prefix)})
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

// any tells whether there was a row under prefix before this event.
func (t *tx) any(prefix []byte) bool {
	found := false
	t.scan(prefix, func(_, _ []byte) bool {
		found = true
		return false
	})
	return found
}

// deleteAll deletes every row under prefix.
func (t *tx) deleteAll(prefix []byte) {
	t.scan(prefix, func(k, _ []byte) bool {
		t.delete(bytes.Clone(k))
		return true
	})
}

// level is the feature level of the cluster.
func (t *tx) level() uint32 { return t.cluster().GetFeatureLevel() }

// bucket is a bucket's row; nil if there is none. It must not be changed.
func (t *tx) bucket(id uint64) *Bucket { return look[Bucket](t, key(tableBucket, id)) }

// cluster is what all nodes agreed on; nil before genesis. It must not be changed.
func (t *tx) cluster() *Cluster {
	if t.agreed == nil {
		t.agreed = look[Cluster](t, key(tableCluster))
	}
	return t.agreed
}
