package fsm

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"ironman/sim/sabotage"
	"ironman/wal/event"
)

// The deduplication window remembers the last `size` events with their request
// ids and outcomes: in rows, and by id in memory. A proposal older than the window
// is refused by its base, so no request is ever applied twice.
type window struct {
	size uint64
	// seqs tells which event stands for a request id: the newest that does.
	seqs map[requestID]uint64
	// ring holds the event of sequence s at s % size.
	ring []request
	// cancelled holds the id that an event cancelled, by sequence; few do.
	cancelled map[uint64]requestID
}

type requestID [event.RequestIDBytes]byte

// request is what it takes to forget an event without reading its row.
type request struct {
	id   requestID
	hash StateDigest // of the row
}

// errWindow means that memory and rows disagree: the node stops.
var errWindow = errors.New("the deduplication window contradicts its rows")

func newWindow(size uint64) *window {
	return &window{size: size, seqs: make(map[requestID]uint64), ring: make([]request, size), cancelled: make(map[uint64]requestID)}
}

// add remembers the event at seq, whose row has the hash.
func (w *window) add(seq uint64, r *Request, hash StateDigest) {
	x := request{hash: hash}
	if len(r.RequestId) == event.RequestIDBytes && !sabotage.On(sabotage.X40) { // a malformed event has none
		x.id = requestID(r.RequestId)
		w.seqs[x.id] = seq
	}
	if len(r.Cancelled) == event.RequestIDBytes {
		w.cancelled[seq] = requestID(r.Cancelled)
		w.seqs[w.cancelled[seq]] = seq
	}
	w.ring[seq%w.size] = x
}

// drop forgets the event at seq and returns the hash of its row.
func (w *window) drop(seq uint64) StateDigest {
	x := w.ring[seq%w.size]
	ids := []requestID{x.id}
	if id, ok := w.cancelled[seq]; ok {
		ids = append(ids, id)
		delete(w.cancelled, seq)
	}
	for _, id := range ids {
		if at, ok := w.seqs[id]; ok && at == seq { // a later event may stand for it as well
			delete(w.seqs, id)
		}
	}
	return x.hash
}

// loadWindow reads the window back.
func (m *Machine) loadWindow() error {
	it, err := m.db.NewIter(&pebble.IterOptions{LowerBound: key(tableRequest), UpperBound: after(key(tableRequest))})
	if err != nil {
		return fmt.Errorf("fsm: %w", err)
	}
	want := m.meta.NextSeq - min(m.meta.NextSeq, m.window.size)
	for ok := it.First(); ok; ok = it.Next() {
		r, _, err := decodeRow[Request](it.Key(), it.Value())
		seq := binary.BigEndian.Uint64(it.Key()[1:])
		if err == nil && seq != want {
			err = fmt.Errorf("fsm: window of %d: request of event %d where %d should be", m.window.size, seq, want)
		}
		if err != nil {
			return errors.Join(err, it.Close())
		}
		m.window.add(seq, r, m.rowHash(it.Key(), it.Value()))
		want++
	}
	if want != m.meta.NextSeq {
		err = fmt.Errorf("fsm: window of %d: no request of event %d", m.window.size, want)
	}
	return errors.Join(err, it.Error(), it.Close())
}

// remember puts the event into the window, and what falls out of it out of the
// rows.
func (t *tx) remember(r *Request) {
	w := t.m.window
	if t.seq >= w.size {
		t.digest.sub(w.drop(t.seq - w.size))
		t.put(key(tableRequest, t.seq-w.size), nil)
	}
	k := key(tableRequest, t.seq)
	value := encodeRow(k, t.seq, r)
	hash := t.m.rowHash(k, value)
	t.digest.add(hash)
	t.put(k, value)
	w.add(t.seq, r, hash)
}

// remembered returns the event that a request id stands for and its outcome, if
// the window holds it.
func (t *tx) remembered(id []byte) (uint64, *event.Outcome) {
	if len(id) != event.RequestIDBytes {
		return 0, nil
	}
	seq, ok := t.m.window.seqs[requestID(id)]
	if !ok {
		return 0, nil
	}
	r := get[Request](t, key(tableRequest, seq))
	if r == nil {
		t.m.fatal(errWindow)
	}
	o := &event.Outcome{}
	if err := event.Decode(r.Outcome, o); err != nil {
		t.m.fatal(err)
	}
	return seq, o
}

// cancel answers with the outcome of the request, or makes sure that it never
// will have one but this. Its own base is that of the request it cancels: once the
// window has moved past it, nobody can tell, and the base refuses the cancel.
func (t *tx) cancel(b *event.Cancel) *event.Outcome {
	if len(b.RequestId) != event.RequestIDBytes {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	if _, o := t.remembered(b.RequestId); o != nil {
		return o
	}
	return refuse(event.Refusal_REFUSAL_CANCELLED)
}
