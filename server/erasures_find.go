package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"ironman/fsm"
	"ironman/server/audit"
	"ironman/wal"
	"ironman/wal/event"
)

// Erase is a request to erase, by law, what the record tells of keys that exist no more.
type Erase struct {
	Bucket string   `json:"bucket"` // its name, also of one that is gone, or "#" and its id
	Keys   []string `json:"keys,omitempty"`
	Prefix string   `json:"prefix,omitempty"` // all keys that begin so
	// DryRun finds, and erases nothing.
	DryRun bool `json:"dry_run,omitempty"`
}

// Bounds of a request, and of what is told of it.
const (
	mostErasedKeys = 1000
	mostFound      = 1000
	mostKeysTold   = 1000 // of all events together
	keysTold       = 5    // of one event
	// mostPayloads bounds what one request may find, in memory.
	mostPayloads = 1_000_000
	// payloadsAnEvent keeps an event well below what a proposal may hold.
	payloadsAnEvent = 4000
)

// ErasePlan is what was found, and what became of it.
type ErasePlan struct {
	Buckets  []uint64 `json:"buckets"` // ids of those that ever had the name
	Payloads uint64   `json:"payloads"`
	Items    uint64   `json:"items"`
	// Contexts is how many of the events tell of an encryption context, which cannot be erased.
	Contexts uint64        `json:"contexts"`
	Found    []audit.Found `json:"found"`              // the first of them, with some of their keys
	Erasures []uint64      `json:"erasures,omitempty"` // the events; none of a dry run
}

func (e *Erase) check() error {
	switch {
	case e.Bucket == "":
		return fmt.Errorf("%w: name a bucket", errBadAsk)
	case len(e.Keys) == 0 && e.Prefix == "":
		return fmt.Errorf("%w: name a key or a prefix", errBadAsk)
	case len(e.Keys) > mostErasedKeys:
		return fmt.Errorf("%w: at most %d keys at a time", errBadAsk, mostErasedKeys)
	}
	for _, k := range e.Keys {
		if k == "" {
			return fmt.Errorf("%w: no key is empty", errBadAsk)
		}
	}
	return nil
}

// Erase finds every event that tells of the keys, and, unless it is a dry run, has every
// node take what they tell out of its files. Keys that exist, or did within the history that is
// kept, are refused, and then nothing has changed.
func (n *Node) Erase(ctx context.Context, e *Erase, progress func(done, total uint64)) (*ErasePlan, error) {
	if err := e.check(); err != nil {
		return nil, err
	}
	if n.members.level() < event.LevelOf((&event.Statement{Body: &event.Statement_PayloadsErased{}}).Kind()) {
		return nil, errErasing("not every node of the cluster runs a release that can erase")
	}
	select {
	case n.erasing <- struct{}{}:
		defer func() { <-n.erasing }()
	default:
		return nil, fmt.Errorf("%w: this node is searching for what another erasure is to take", errNotNow)
	}
	v, err := n.changes.view(ctx)
	if err != nil {
		return nil, err
	}
	end := v.Applied().Next
	if err := v.Close(); err != nil { // a search takes long, and a view keeps what is deleted
		return nil, err
	}
	scope := &audit.Scope{Bucket: e.Bucket, Keys: e.Keys, Prefix: e.Prefix}
	plan, payloads, err := n.find(ctx, scope, end, progress)
	if err != nil {
		return nil, err
	}
	if err := n.mayErase(ctx, e, plan.Buckets); err != nil || e.DryRun {
		return plan, err
	}
	for len(payloads) > 0 {
		some := payloads[:min(len(payloads), payloadsAnEvent)]
		seq, err := n.proposeErasure(ctx, some)
		if err != nil {
			return plan, fmt.Errorf("after %d events of erasure: %w", len(plan.Erasures), err)
		}
		plan.Erasures = append(plan.Erasures, seq)
		payloads = payloads[len(some):]
	}
	return plan, nil
}

// find looks at every event below end.
func (n *Node) find(ctx context.Context, scope *audit.Scope, end uint64, progress func(done, total uint64)) (*ErasePlan, []*event.ErasedPayload, error) {
	plan, told := &ErasePlan{Found: []audit.Found{}}, 0
	var payloads []*event.ErasedPayload
	for next := uint64(0); next < end; {
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		records, err := n.changes.records(next, changesBatch)
		if err == nil && len(records) == 0 {
			err = fmt.Errorf("%w: event %d is not here yet", errNotNow, next)
		}
		if err != nil {
			return nil, nil, err
		}
		for i := range records {
			r := &records[i]
			if err := r.Check(); err != nil {
				return nil, nil, fmt.Errorf("event %d is damaged on this node: %w", r.Seq, err)
			}
			f, err := scope.Look(r)
			if err != nil {
				return nil, nil, err
			}
			if f == nil || r.Seq >= end {
				continue
			}
			if len(payloads) == mostPayloads {
				return nil, nil, fmt.Errorf("%w: more than %d events tell of these keys: name fewer at a time", errBadAsk, mostPayloads)
			}
			payloads = append(payloads, &event.ErasedPayload{Seq: f.Seq, Items: fsm.ItemSet(f.Places)})
			plan.Items += uint64(f.Items)
			if f.Context {
				plan.Contexts++
			}
			if len(plan.Found) < mostFound {
				f.Keys = slices.Clone(f.Keys[:min(len(f.Keys), keysTold, mostKeysTold-told)])
				told += len(f.Keys)
				plan.Found = append(plan.Found, *f)
			}
		}
		next = records[len(records)-1].Seq + 1
		progress(min(next, end), end)
	}
	plan.Buckets, plan.Payloads = scope.Buckets(), uint64(len(payloads))
	if len(plan.Buckets) == 0 {
		return nil, nil, fmt.Errorf("%w: no bucket ever had the name %q", errNoObject, scope.Bucket)
	}
	return plan, payloads, nil
}

// mayErase refuses keys that a row of the state still tells: their names could not go.
// It looks behind the search, so that what is made meanwhile is seen, too; what is made
// behind it is an event of its own, which the erasure does not name.
func (n *Node) mayErase(ctx context.Context, e *Erase, buckets []uint64) (err error) {
	v, err := n.changes.view(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	for _, bucket := range buckets {
		for _, k := range e.Keys {
			if err := mayEraseKey(v, bucket, k, false); err != nil {
				return err
			}
		}
		if e.Prefix == "" {
			continue
		}
		if err := mayEraseKey(v, bucket, e.Prefix, true); err != nil {
			return err
		}
	}
	return nil
}

func mayEraseKey(v *fsm.View, bucket uint64, name string, isPrefix bool) error {
	t, err := v.Trace(bucket, name, isPrefix)
	if t == nil || err != nil {
		return err
	}
	switch t.What {
	case "object":
		return errErasing("%q exists: delete it first", t.Key)
	case "version":
		return errErasing("%q has versions or delete markers: delete all of them first", t.Key)
	case "upload":
		return errErasing("%q has an upload that is open: abort it first", t.Key)
	case "gathering":
		return errErasing("a new retention of the bucket's history is being put into effect, and that has just come to %q: try again in a few seconds", t.Key)
	}
	c, err := v.Cluster()
	if err != nil {
		return err
	}
	second, err := v.SecondOf(t.To)
	if err != nil {
		return err
	}
	ended := time.Unix(second, 0).UTC()
	return errErasing("%q is in the history that is kept: it was deleted or replaced at %s (event %d), and history is kept for %v: try again after %s",
		t.Key, ended.Format(time.RFC3339), t.To, time.Duration(c.GetHistoryRetention()),
		ended.Add(time.Duration(c.GetHistoryRetention())+time.Minute).Format(time.RFC3339))
}

// proposeErasure has payloads erased, in the name of the root account.
func (n *Node) proposeErasure(ctx context.Context, payloads []*event.ErasedPayload) (uint64, error) {
	d := event.NewDraft(nil, &event.Statement_PayloadsErased{PayloadsErased: &event.PayloadsErased{Payloads: payloads}})
	a, err := settle(ctx, func() (wal.Applied, error) {
		return n.proposeRoot(ctx, d, "EraseRecords")
	}, func() (wal.Applied, error) { return n.resolve(ctx, d.Statement.Header) })
	if errors.Is(err, wal.ErrUnknown) {
		return 0, err
	}
	if err != nil {
		return 0, fmt.Errorf("%w: %w", errNotNow, err)
	}
	if r := a.Outcome.GetRefusal(); r != event.Refusal_REFUSAL_NONE {
		return 0, errErasing("the erasure was refused: %s", r)
	}
	return a.Seq, nil
}

// proposeRoot proposes an event of whoever administers the cluster.
func (n *Node) proposeRoot(ctx context.Context, d *event.Draft, operation string) (wal.Applied, error) {
	id := make([]byte, event.RequestIDBytes)
	rand.Read(id) // never fails (crypto/rand)
	base := n.machine.Applied().Next
	d.Statement.Header = &event.Header{
		FeatureLevel: n.members.level(), RequestId: id, Principal: rootAccount, Base: base, Operation: operation,
		Reason: &event.Reason{Kind: event.ReasonKind_REASON_KIND_ROOT, View: base}, Node: n.identity.Node,
	}
	return n.proposeDraft(ctx, d)
}

// fill proposes events that do nothing, as many as a bundle of the ledger lacks.
func (e *eraser) fill(ctx context.Context, erasure, events uint64) error {
	errs := make(chan error, events)
	for range events {
		go func() {
			a, err := e.n.proposeSystem(ctx, event.NewDraft(nil, &event.Statement_PayloadsErased{PayloadsErased: &event.PayloadsErased{Fills: erasure}}))
			if r := a.Outcome.GetRefusal(); err == nil && r != event.Refusal_REFUSAL_NONE {
				err = fmt.Errorf("an event that fills a bundle was refused: %s", r)
			}
			errs <- err
		}()
	}
	var failed error
	for range events {
		failed = errors.Join(failed, <-errs)
	}
	return failed
}
