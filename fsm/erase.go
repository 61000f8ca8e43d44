package fsm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"ironman/wal/event"
)

// MaxErasedPayloads bounds one erasure.
const MaxErasedPayloads = 10_000

// payloadsErased notes what every node is to take away of the payloads of earlier events,
// so that also a node learns of it that was away or joins later.
//
// It knows sequences, and cannot know what stands in their payloads. That the keys named
// there exist no more, in no version, upload or history, the proposer has seen at a
// linearizable point. Whatever happens to such a key between that view and this event is
// an event of its own, with a later sequence, a payload of its own and rows of its own:
// nothing of that is among the sequences here. And no row goes by this event: of all that
// a node serves nothing depends on a payload, which only a replay from before it needs.
func (t *tx) payloadsErased(b *event.PayloadsErased) *event.Outcome {
	if len(b.Payloads) == 0 {
		if !t.has(key(tableErasure, b.Fills)) {
			return refuse(event.Refusal_REFUSAL_NOT_FOUND)
		}
		return accept()
	}
	if b.Fills != 0 || !erasable(b.Payloads, t.seq) {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	for _, p := range b.Payloads {
		k := key(tableErased, p.Seq)
		row := &Erased{By: t.seq, Items: p.Items}
		if before := get[Erased](t, k); before != nil {
			row.Items = bothItems(before.Items, p.Items)
		}
		t.set(k, row)
	}
	t.set(key(tableErasure, t.seq), &Erasure{Payloads: uint64(len(b.Payloads)), Time: t.time})
	return accept()
}

// erasable tells whether payloads ascend, are of events before seq, and are within bounds.
func erasable(payloads []*event.ErasedPayload, seq uint64) bool {
	if len(payloads) > MaxErasedPayloads {
		return false
	}
	for i, p := range payloads {
		if p.Seq >= seq || i > 0 && p.Seq <= payloads[i-1].Seq {
			return false
		}
		if n := len(p.Items); n > event.MaxItems/8 || n > 0 && p.Items[n-1] == 0 {
			return false
		}
	}
	return true
}

// bothItems is what either of two sets of items has; an empty one is of all items.
func bothItems(a, b []byte) []byte {
	if len(a) == 0 || len(b) == 0 {
		return nil
	}
	if len(a) < len(b) {
		a, b = b, a
	}
	both := slices.Clone(a)
	for i := range b {
		both[i] |= b[i]
	}
	return both
}

// ItemSet is a set of items of a payload, by place, as events hold it; nil: of all.
func ItemSet(places []int) []byte {
	var set []byte
	for _, i := range places {
		for len(set) <= i/8 {
			set = append(set, 0)
		}
		set[i/8] |= 1 << (i % 8)
	}
	return set
}

// places is the inverse of ItemSet.
func places(set []byte) (places []int) {
	for i := range 8 * len(set) {
		if set[i/8]>>(i%8)&1 == 1 {
			places = append(places, i)
		}
	}
	return places
}

// ErasureEntry is one erasure of a list.
type ErasureEntry struct {
	Seq uint64
	Row *Erasure
}

// Erasures returns the erasures from a sequence on, at most max of them, as of now in
// every view.
func (v *View) Erasures(from uint64, max int) ([]ErasureEntry, error) {
	var out []ErasureEntry
	err := v.scan(key(tableErasure, from), after(key(tableErasure)), func(k, b []byte) (bool, error) {
		row, _, err := decodeRow[Erasure](k, b)
		if err != nil || len(k) != 9 {
			return false, errors.Join(err, event.ErrMalformed)
		}
		out = append(out, ErasureEntry{Seq: binary.BigEndian.Uint64(k[1:]), Row: row})
		return len(out) < max, nil
	})
	return out, err
}

// LastErasure is the newest erasure; 0: there was none.
func (m *Machine) LastErasure() (seq uint64, err error) {
	it, err := m.db.NewIter(rowsOf(tableErasure, 0, math.MaxUint64))
	if err != nil {
		return 0, fmt.Errorf("fsm: %w", err)
	}
	if it.Last() {
		if k := it.Key(); len(k) == 9 {
			seq = binary.BigEndian.Uint64(k[1:])
		}
	}
	return seq, errors.Join(it.Error(), it.Close())
}

// ErasedPayload is what was erased of the payload of an event.
type ErasedPayload struct {
	Seq   uint64
	By    uint64 // the newest erasure that took of it
	Items []int  // by place; nil: every item
}

// Erased calls f for what was erased of the events from one sequence to below another, in
// order, until it returns false.
func (m *Machine) Erased(from, to uint64, f func(ErasedPayload) bool) error {
	it, err := m.db.NewIter(rowsOf(tableErased, from, to))
	if err != nil {
		return fmt.Errorf("fsm: %w", err)
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		var row *Erased
		if row, _, err = decodeRow[Erased](it.Key(), it.Value()); err != nil || len(it.Key()) != 9 {
			err = errors.Join(err, event.ErrMalformed)
			break
		}
		if !f(ErasedPayload{Seq: binary.BigEndian.Uint64(it.Key()[1:]), By: row.By, Items: places(row.Items)}) {
			break
		}
	}
	return errors.Join(err, it.Error(), it.Close())
}

// Cleaned is the newest erasure that the node of this number has carried out, by its own
// note; 0: none. Whatever state came from another node holds that one's note, if any, and
// says nothing of this node's disk.
func (m *Machine) Cleaned(node uint32) (through uint64, err error) {
	row, err := m.cleanedRow()
	if row.GetNode() != node {
		return 0, err
	}
	return row.GetThrough(), err
}

// SetCleaned notes, durably, how far a node has carried erasures out.
func (m *Machine) SetCleaned(node uint32, through uint64) error {
	if err := m.setCleaned(&Cleaned{Node: node, Through: through}); err != nil {
		return err
	}
	return m.Flush()
}
