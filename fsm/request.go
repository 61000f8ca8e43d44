package fsm

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"ironman/wal/event"
)

// The deduplication window remembers the last `window` events with their request
// ids and outcomes: in rows, and by id in memory. A proposal older than the window
// is refused by its base, so no request is ever applied twice.

// errWindow means that memory and rows disagree: the node stops.
var errWindow = errors.New("the deduplication window contradicts its rows")

// loadRequests reads the window back.
func (m *Machine) loadRequests() error {
	it, err := m.db.NewIter(&pebble.IterOptions{LowerBound: key(tableRequest), UpperBound: after(key(tableRequest))})
	if err != nil {
		return fmt.Errorf("fsm: %w", err)
	}
	want := m.meta.NextSeq - min(m.meta.NextSeq, m.window)
	for ok := it.First(); ok; ok = it.Next() {
		r, _, err := decodeRow[Request](it.Key(), it.Value())
		seq := binary.BigEndian.Uint64(it.Key()[1:])
		if err == nil && seq != want {
			err = fmt.Errorf("fsm: window of %d: request of event %d where %d should be", m.window, seq, want)
		}
		if err != nil {
			return errors.Join(err, it.Close())
		}
		m.remember(seq, r)
		want++
	}
	if want != m.meta.NextSeq {
		err = fmt.Errorf("fsm: window of %d: no request of event %d", m.window, want)
	}
	return errors.Join(err, it.Error(), it.Close())
}

// ids are the request ids that a row stands for.
func (r *Request) ids() [][event.RequestIDBytes]byte {
	ids := make([][event.RequestIDBytes]byte, 0, 2)
	for _, id := range [...][]byte{r.RequestId, r.Cancelled} {
		if len(id) == event.RequestIDBytes {
			ids = append(ids, [event.RequestIDBytes]byte(id))
		}
	}
	return ids
}

func (m *Machine) remember(seq uint64, r *Request) {
	for _, id := range r.ids() {
		m.requests[id] = seq
	}
}

// forget drops the request that leaves the window with this event.
func (m *Machine) forget(t *tx) {
	if t.seq < m.window {
		return
	}
	seq := t.seq - m.window
	k := key(tableRequest, seq)
	r := get[Request](t, k)
	if r == nil {
		m.fatal(errWindow)
	}
	for _, id := range r.ids() {
		if at, ok := m.requests[id]; ok && at == seq { // a later event may stand for it as well
			delete(m.requests, id)
		}
	}
	t.delete(k)
}

// remembered returns the event that a request id stands for and its outcome, if
// the window holds it.
func (t *tx) remembered(id []byte) (uint64, *event.Outcome) {
	if len(id) != event.RequestIDBytes {
		return 0, nil
	}
	seq, ok := t.m.requests[[event.RequestIDBytes]byte(id)]
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
