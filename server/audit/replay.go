package audit

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"time"

	"ironman/fsm"
	"ironman/wal/event"
	"ironman/wal/ledger"
)

// replayBatch is how many events are applied at a time.
const replayBatch = 256

// ErrErased says that a replay cannot go on: what an event needs was erased by law.
var ErrErased = errors.New("audit: the payload of an event was erased by law: replay it from the directory of a node, which has a snapshot to begin at")

// Mismatch says that a replay came to something else than what is recorded.
type Mismatch struct {
	Seq  uint64
	What string
}

func (m *Mismatch) Error() string { return fmt.Sprintf("audit: event %d: %s", m.Seq, m.What) }

// Replayer applies records to a state machine, from behind what was applied to it on, and
// compares each step with what the cluster recorded: outcome, time, and the digest of the
// whole state, all of which an envelope holds. For one goroutine.
type Replayer struct {
	m       *fsm.Machine
	base    fsm.Applied // what was applied before
	next    uint64
	records []ledger.Record // taken, not applied yet
	entries []fsm.Entry
}

// NewReplayer begins a replay on a state machine: one to which nothing was applied yet, or
// one that Reader.Base made.
func NewReplayer(m *fsm.Machine) *Replayer {
	a := m.Applied()
	return &Replayer{m: m, base: a, next: a.Next}
}

// Next is the sequence of the event that comes next.
func (p *Replayer) Next() uint64 { return p.next }

// Add takes the next record.
func (p *Replayer) Add(r ledger.Record) error {
	if r.Seq != p.next {
		return &Mismatch{p.next, fmt.Sprintf("the record here says that it is %d", r.Seq)}
	}
	env := &event.Envelope{}
	if err := event.Decode(r.Envelope, env); err != nil {
		return fmt.Errorf("audit: event %d: %w", r.Seq, err)
	}
	if env.Seq != r.Seq {
		return &Mismatch{r.Seq, fmt.Sprintf("its envelope says that it is %d", env.Seq)}
	}
	proposal := &event.Proposal{Statement: r.Statement}
	for i := range r.Items {
		if r.Items[i].Erased {
			return fmt.Errorf("%w: event %d, item %d", ErrErased, r.Seq, i)
		}
		proposal.Items = append(proposal.Items, r.Items[i].Bytes)
	}
	data := event.Canonical(proposal)
	if env.Kind == 0 && len(r.Items) == 0 {
		// Either its statement could not be read, or it was no proposal at all and its
		// bytes stand for the statement. Whichever is refused as it was is right.
		if _, err := event.Parse(data); err == nil || errors.Is(err, event.ErrNewer) {
			data = r.Statement
		}
	}
	p.records = append(p.records, r)
	p.entries = append(p.entries, fsm.Entry{Index: p.base.Index + 1 + r.Seq - p.base.Next, Term: max(1, p.base.Term), Data: event.AppendEntry(nil, env.Time, data)})
	p.next++
	if len(p.entries) < replayBatch {
		return nil
	}
	return p.Flush()
}

// Flush applies what was taken, and compares.
func (p *Replayer) Flush() error {
	if len(p.entries) == 0 {
		return nil
	}
	first := p.records[0].Seq
	for i, res := range p.m.Apply(p.entries) {
		if res.Seq != first+uint64(i) || res.Duplicate {
			return &Mismatch{first + uint64(i), fmt.Sprintf("it became event %d (of a request that was there: %v)", res.Seq, res.Duplicate)}
		}
	}
	leaves, err := p.m.Leaves(first, len(p.records))
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	for i := range p.records {
		if r := &p.records[i]; i >= len(leaves) || !bytes.Equal(leaves[i].Envelope, r.Envelope) {
			return &Mismatch{r.Seq, p.differs(r, leaves[i:])}
		}
	}
	if err := p.m.DropLeaves(p.next); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	p.records, p.entries = p.records[:0], p.entries[:0]
	return nil
}

// differs says in what a replayed event is not what was recorded.
func (p *Replayer) differs(r *ledger.Record, leaves []fsm.Leaf) string {
	var was, is event.Envelope
	if len(leaves) == 0 || event.Decode(r.Envelope, &was) != nil || event.Decode(leaves[0].Envelope, &is) != nil {
		return "it has another envelope than the replay makes"
	}
	switch {
	case was.Refusal != is.Refusal:
		return fmt.Sprintf("recorded as %s, replayed as %s", outcome(was.Refusal), outcome(is.Refusal))
	case !bytes.Equal(was.Outcome, is.Outcome) || !bytes.Equal(was.OutcomeHash, is.OutcomeHash):
		return "the replay comes to another outcome"
	case !bytes.Equal(was.StateDigest, is.StateDigest):
		return fmt.Sprintf("the replay leaves the state %x, recorded is %x", is.StateDigest, was.StateDigest)
	}
	return "it has another envelope than the replay makes"
}

// Replayed is what a replay came to, and what that was compared with.
type Replayed struct {
	// From is the first event that was replayed: those before are in the snapshot that it
	// began at.
	From        uint64        `json:"from"`
	Events      uint64        `json:"events"` // with those in the snapshot
	StateDigest string        `json:"state_digest"`
	LedgerRoot  string        `json:"ledger_root"`
	Took        time.Duration `json:"took_ns"`
}

// Replay applies the records before event to, to a state machine (NewReplayer), and compares every outcome, state digest and the ledger's root with what is
// recorded.
func (x *Reader) Replay(ctx context.Context, m *fsm.Machine, to uint64, progress func(done, total uint64)) (*Replayed, error) {
	began := time.Now()
	p := NewReplayer(m)
	from := p.next
	if err := p.run(ctx, x.Records(from), to, progress); err != nil {
		return nil, err
	}
	f, err := m.Frontier()
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	root := f.Root()
	recorded, ok, err := x.source.root(to)
	if err != nil {
		return nil, err
	}
	if ok && recorded != root {
		return nil, &Mismatch{to - 1, fmt.Sprintf("the replay makes the root %v, recorded is %v", root, recorded)}
	}
	a := m.Applied()
	return &Replayed{
		From: from, Events: a.Next, StateDigest: hex.EncodeToString(a.Digest.Bytes()), LedgerRoot: hex.EncodeToString(root[:]), Took: time.Since(began),
	}, m.Flush()
}

// run takes the records before event to.
func (p *Replayer) run(ctx context.Context, records iter.Seq2[ledger.Record, error], to uint64, progress func(done, total uint64)) error {
	for r, err := range records {
		if err != nil {
			return fmt.Errorf("audit: %w", err)
		}
		if r.Seq >= to {
			break
		}
		if err := p.Add(r); err != nil {
			return err
		}
		if r.Seq%replayBatch == 0 {
			if err := ctx.Err(); err != nil {
				return err
			}
			if progress != nil {
				progress(r.Seq, to)
			}
		}
	}
	if err := p.Flush(); err != nil {
		return err
	}
	if p.next != to {
		return fmt.Errorf("audit: %d events are recorded, fewer than %d", p.next, to)
	}
	if progress != nil {
		progress(to, to)
	}
	return nil
}
