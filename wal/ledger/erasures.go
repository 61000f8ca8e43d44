package ledger

import (
	"errors"
	"fmt"
	"iter"
	"slices"

	"ironman/wal/event"
)

// Erased is what of a ledger was erased, by its own word.
type Erased struct {
	Items  uint64   `json:"items"`
	Events []uint64 `json:"events"` // the erasures that took them, ascending
}

// ErrMissing says that items of a payload are gone, and that no erasure names them.
var ErrMissing = errors.New("payload items are missing, and no erasure that was accepted names them")

// erasures judges records, shown in order, by whether an event of the ledger itself had
// erased what is gone: the hash of an item alone says nothing of why its bytes are not there.
type erasures struct {
	// open are the items that are gone and that no erasure has named so far, by sequence, as
	// event.ErasedPayload has them. An erasure is always behind what it erases.
	open  map[uint64][]byte
	found Erased
}

// add looks at the next record, whose payload is what its envelope commits to.
func (e *erasures) add(r *Record, env *event.Envelope) error {
	for i := range r.Items {
		if r.Items[i].Erased {
			e.missing(r.Seq, i)
		}
	}
	if env.Kind != (&event.Statement{Body: &event.Statement_PayloadsErased{}}).Kind() || env.Refusal != event.Refusal_REFUSAL_NONE {
		return nil
	}
	s := &event.Statement{}
	if err := event.Decode(r.Statement, s); err != nil {
		return err
	}
	e.name(r.Seq, s.GetPayloadsErased().GetPayloads())
	return nil
}

func (e *erasures) missing(seq uint64, item int) {
	if e.open == nil {
		e.open = make(map[uint64][]byte)
	}
	set := e.open[seq]
	for len(set) <= item/8 {
		set = append(set, 0)
	}
	set[item/8] |= 1 << (item % 8)
	e.open[seq] = set
	e.found.Items++
}

// name takes what an erasure names for erased.
func (e *erasures) name(by uint64, payloads []*event.ErasedPayload) {
	took := false
	for _, p := range payloads {
		set, ok := e.open[p.Seq]
		if !ok {
			continue
		}
		left := false
		for i := range set {
			named := byte(0xff) // none named: all are
			if len(p.Items) > 0 {
				named = 0
			}
			if i < len(p.Items) {
				named = p.Items[i]
			}
			took = took || set[i]&named != 0
			set[i] &^= named
			left = left || set[i] != 0
		}
		if !left {
			delete(e.open, p.Seq)
		}
	}
	if took {
		e.found.Events = append(e.found.Events, by)
	}
}

// finish looks for what is still open behind the records that were shown, if there is
// something behind (nil: there is not), and returns the first sequence of which nothing
// tells why items are gone.
func (e *erasures) finish(behind iter.Seq2[Record, error]) (seq uint64, err error) {
	if len(e.open) > 0 && behind != nil {
		for r, err := range behind {
			env := &event.Envelope{}
			if err == nil {
				if err = r.Check(); err == nil {
					err = event.Decode(r.Envelope, env)
				}
			}
			if err != nil {
				return r.Seq, err
			}
			r.Items = nil // only what it names counts: it is no part of what is judged
			if err := e.add(&r, env); err != nil {
				return r.Seq, err
			}
			if len(e.open) == 0 {
				break
			}
		}
	}
	if len(e.open) == 0 {
		return 0, nil
	}
	first := true
	for s := range e.open {
		if first || s < seq {
			seq, first = s, false
		}
	}
	var items []int
	for i := range 8 * len(e.open[seq]) {
		if e.open[seq][i/8]>>(i%8)&1 == 1 {
			items = append(items, i)
		}
	}
	return seq, fmt.Errorf("%w: items %v", ErrMissing, slices.Clip(items))
}
