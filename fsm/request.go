package fsm

import (
	"encoding/binary"

	"ironman/wal/event"
)

// The deduplication window remembers the request ids of the last `window` events
// with their outcomes: in rows, and by id in memory. A proposal older than the
// window is refused by its base, so no request is ever applied twice.

func requestSeq(key []byte) uint64 { return binary.BigEndian.Uint64(key[1:]) }

func (m *Machine) remember(seq uint64, r *Request) {
	m.requests[[event.RequestIDBytes]byte(r.RequestId)] = seq
	if len(r.Cancelled) == event.RequestIDBytes {
		m.requests[[event.RequestIDBytes]byte(r.Cancelled)] = seq
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
		return
	}
	for _, id := range [][]byte{r.RequestId, r.Cancelled} {
		if len(id) != event.RequestIDBytes {
			continue
		}
		if at, ok := m.requests[[event.RequestIDBytes]byte(id)]; ok && at == seq {
			delete(m.requests, [event.RequestIDBytes]byte(id))
		}
	}
	t.delete(k)
}

// remembered returns the outcome of the event at seq.
func (t *tx) remembered(seq uint64) *event.Outcome {
	r := get[Request](t, key(tableRequest, seq))
	if r == nil {
		return nil
	}
	o := &event.Outcome{}
	if err := event.Decode(r.Outcome, o); err != nil {
		t.m.fatal(err)
	}
	return o
}

// cancel answers with the outcome of the request, or makes sure that it never
// will have one but this.
func (t *tx) cancel(b *event.Cancel) *event.Outcome {
	if len(b.RequestId) != event.RequestIDBytes {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	if seq, ok := t.m.requests[[event.RequestIDBytes]byte(b.RequestId)]; ok {
		if o := t.remembered(seq); o != nil {
			return o
		}
	}
	return refuse(event.Refusal_REFUSAL_CANCELLED)
}
