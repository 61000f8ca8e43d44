package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"ironman/wal/digest"
	"ironman/wal/event"
)

// Limits of one record.
const (
	// MaxEnvelopeBytes is the longest envelope that an entry bundle can hold.
	MaxEnvelopeBytes = 1<<16 - 1
	// MaxProposalBytes bounds the statement and items of one event together. It is
	// far above event.MaxProposalBytes, because a proposal above that limit is
	// refused by an event that the ledger keeps.
	MaxProposalBytes = 8 * event.MaxProposalBytes
	// MaxOutcomeBytes bounds the canonical outcome of one event.
	MaxOutcomeBytes = 2 << 20
)

// Record is all that the ledger keeps of one event.
type Record struct {
	Seq      uint64
	Envelope []byte // the leaf: a canonical event.Envelope
	Payload
}

// Payload is what an envelope commits to by hash.
type Payload struct {
	Statement []byte // of the proposal, as proposed
	Items     []Item // of the proposal, in its order
	Outcome   []byte // the canonical event.Outcome in full
}

// Item is one payload item: its bytes, or its hash once it is erased.
type Item struct {
	Bytes  []byte // the marshalled event.Item; nil once erased
	Erased bool
	Hash   digest.Sum // its event.ItemHash; set only once erased
}

// Present makes the items of a payload of which nothing is erased. They alias items.
func Present(items [][]byte) []Item {
	if len(items) == 0 {
		return nil
	}
	out := make([]Item, len(items))
	for i, b := range items {
		out[i].Bytes = b
	}
	return out
}

// Sum is the item's salted hash.
func (it *Item) Sum() digest.Sum {
	if it.Erased {
		return it.Hash
	}
	return event.ItemHash(it.Bytes)
}

// itemsHash is what the envelope commits to.
func (p *Payload) itemsHash() digest.Sum {
	sums := make([]digest.Sum, len(p.Items))
	for i := range p.Items {
		sums[i] = p.Items[i].Sum()
	}
	return event.ItemsHash(sums)
}

// Check checks the payload against what the envelope commits to, and the envelope against
// the sequence.
func (r *Record) Check() error {
	if err := r.fits(); err != nil {
		return err
	}
	_, err := r.check(math.MinInt64)
	return err
}

// fits refuses a payload above the limits.
func (p *Payload) fits() error {
	n := len(p.Statement)
	for i := range p.Items {
		n += len(p.Items[i].Bytes)
	}
	switch {
	case n > MaxProposalBytes:
		return fmt.Errorf("statement and items of %d bytes exceed %d", n, MaxProposalBytes)
	case len(p.Items) > event.MaxItems:
		return fmt.Errorf("%d items exceed %d", len(p.Items), event.MaxItems)
	case len(p.Outcome) > MaxOutcomeBytes:
		return fmt.Errorf("outcome of %d bytes exceeds %d", len(p.Outcome), MaxOutcomeBytes)
	}
	return nil
}

// differs tells in what p is not q, or "". An item and its own hash are the same.
func (p *Payload) differs(q *Payload) string {
	switch {
	case !bytes.Equal(p.Statement, q.Statement):
		return "statement"
	case !bytes.Equal(p.Outcome, q.Outcome):
		return "outcome"
	case len(p.Items) != len(q.Items):
		return "number of items"
	}
	for i := range p.Items {
		a, b := &p.Items[i], &q.Items[i]
		if !a.Erased && !b.Erased && bytes.Equal(a.Bytes, b.Bytes) {
			continue
		}
		if a.Sum() != b.Sum() {
			return fmt.Sprintf("item %d", i)
		}
	}
	return ""
}

// Bytes is about the memory that a record takes: its encoded length in an extract.
func (r *Record) Bytes() int {
	n := 2 + len(r.Envelope) + 4 + len(r.Statement) + 2 + 4 + len(r.Outcome)
	for i := range r.Items {
		if it := &r.Items[i]; it.Erased {
			n += 1 + len(it.Hash)
		} else {
			n += 1 + 4 + len(it.Bytes)
		}
	}
	return n
}

// check checks the envelope against its place and the payload. It returns its log
// time. An envelope of a newer release is event.ErrNewer.
func (r *Record) check(before int64) (int64, error) {
	env, err := r.follows(before)
	if err != nil {
		return 0, err
	}
	return env.Time, r.matches(env)
}

// follows decodes the envelope and checks it against its place: its sequence, and
// the log time of the event before (math.MinInt64: none).
func (r *Record) follows(before int64) (*event.Envelope, error) {
	env := &event.Envelope{}
	if err := event.Decode(r.Envelope, env); err != nil {
		return nil, err
	}
	if env.Seq != r.Seq {
		return nil, fmt.Errorf("envelope says sequence %d", env.Seq)
	}
	if env.Time <= before {
		return nil, fmt.Errorf("log time %d does not follow %d", env.Time, before)
	}
	return env, nil
}

// matches checks the payload against what the envelope commits to.
func (r *Record) matches(env *event.Envelope) error {
	if sum := event.StatementHash(r.Statement); !bytes.Equal(env.StatementHash, sum[:]) {
		return errors.New("statement is not the one the envelope commits to")
	}
	if sum := r.itemsHash(); !bytes.Equal(env.ItemsHash, sum[:]) {
		return errors.New("payload items are not the ones the envelope commits to")
	}
	if len(env.OutcomeHash) == 0 {
		if !bytes.Equal(env.Outcome, r.Outcome) {
			return errors.New("outcome is not the envelope's")
		}
		return nil
	}
	if len(env.Outcome) != 0 {
		return errors.New("envelope holds both an outcome and its hash")
	}
	if sum := event.OutcomeHash(r.Outcome); !bytes.Equal(env.OutcomeHash, sum[:]) {
		return errors.New("outcome is not the one the envelope commits to")
	}
	return nil
}
