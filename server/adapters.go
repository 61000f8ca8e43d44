package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"time"

	"ironman/erasure"
	"ironman/fsm"
	"ironman/s3api/s3err"
	"ironman/s3api/sig"
	"ironman/s3api/sse"
	"ironman/server/audit"
	"ironman/sim/sabotage"
	"ironman/wal"
	"ironman/wal/digest"
	"ironman/wal/event"
	"ironman/wal/ledger"
)

// machine is the state machine as the log wants it.
type machine struct{ *fsm.Machine }

func (m machine) Apply(in []wal.Committed) []wal.Applied {
	entries := make([]fsm.Entry, len(in))
	for i, c := range in {
		entries[i] = fsm.Entry{Index: c.Index, Term: c.Term, Data: c.Data}
	}
	results := m.Machine.Apply(entries)
	out := make([]wal.Applied, len(results))
	for i, r := range results {
		out[i] = wal.Applied{Seq: r.Seq, Outcome: r.Outcome, Duplicate: r.Duplicate}
	}
	return out
}

func (m machine) AppliedIndex() uint64 { return m.Machine.Applied().Index }

func (m machine) Checkpoint(dir string) (uint64, error) {
	a, err := m.Machine.Checkpoint(dir)
	return a.Index, err
}

// Erased tells the log what was erased of the events from one sequence to below another.
func (m machine) Erased(from, to uint64) ([]ledger.Target, error) {
	return audit.Erased(m.Machine, from, to)
}

func (m machine) Leaves(from uint64, max int) ([]wal.Leaf, error) {
	leaves, err := m.Machine.Leaves(from, max)
	out := make([]wal.Leaf, len(leaves))
	for i, l := range leaves {
		out[i] = wal.Leaf{Seq: l.Seq, Index: l.Index, Envelope: l.Envelope, Outcome: l.Outcome}
	}
	return out, err
}

// proposer proposes the S3 front's events.
type proposer struct{ n *Node }

// proposeTimeout bounds how long an outcome is waited for. It does not end with
// the client's request: whether the event took effect must be known here.
const proposeTimeout = 10 * time.Second

func (p proposer) Propose(ctx context.Context, d *event.Draft) (uint64, *event.Outcome, error) {
	if err := p.n.clockProblem(); err != nil {
		return 0, nil, s3err.New("ServiceUnavailable").Because(err)
	}
	if grows(d.Statement) {
		if err := p.n.room(); err != nil {
			return 0, nil, err
		}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), proposeTimeout)
	defer cancel()
	h := d.Statement.Header
	if o := tooEarly(d.Statement); o != nil {
		return 0, o, nil
	}
	h.Node = p.n.identity.Node
	// Of now, not of when the request came: its id was never proposed before, and
	// a body may take longer than the window of deduplication lasts.
	h.Base = p.n.machine.Applied().Next
	b, err := d.Marshal()
	if err != nil {
		return 0, nil, s3err.New("EntityTooLarge").Because(err)
	}
	a, err := p.n.log.Propose(ctx, b)
	if errors.Is(err, wal.ErrUnknown) {
		a, err = p.n.resolve(ctx, h)
	}
	switch {
	case errors.Is(err, wal.ErrOverloaded):
		return 0, nil, s3err.New("SlowDown").Because(err)
	case err != nil:
		return 0, nil, s3err.New("ServiceUnavailable").Because(err)
	}
	return a.Seq, a.Outcome, nil
}

// resolve settles a request whose outcome is unknown, given its header: it was
// applied, or it never will be, which is ErrNotDone. The cancel has the base of what it
// cancels: where the window has gone past that, nobody can tell any more, and it is
// refused. Whatever else becomes of the cancel leaves the outcome unknown.
func (n *Node) resolve(ctx context.Context, h *event.Header) (wal.Applied, error) {
	d := event.NewDraft(nil, &event.Statement_Cancel{Cancel: &event.Cancel{RequestId: h.RequestId}})
	a, err := n.proposeSystemFrom(ctx, d, h.Base)
	switch {
	case err != nil && !errors.Is(err, wal.ErrUnknown):
		return a, fmt.Errorf("%w: it could not be cancelled: %v", wal.ErrUnknown, err) // not %w: only the cancel was not done
	case err == nil && a.Outcome.Refusal == event.Refusal_REFUSAL_CANCELLED:
		return a, wal.ErrNotDone
	}
	return a, err
}

// agreePause is how long a step of a start waits before it proposes again.
const agreePause = 500 * time.Millisecond

// agree proposes one of the store's own events until its outcome is known, or ctx
// ends: for what a start cannot go on without.
func (n *Node) agree(ctx context.Context, d *event.Draft) (wal.Applied, error) {
	return settle(ctx, func() (wal.Applied, error) {
		return n.proposeSystem(ctx, d)
	}, func() (wal.Applied, error) {
		return n.resolveNow(ctx, d)
	})
}

// agreeAsRoot is agree for what the root account has asked for on the admin listener: the
// record tells by whom, and by which operation.
func (n *Node) agreeAsRoot(ctx context.Context, operation string, d *event.Draft) (wal.Applied, error) {
	root, err := n.rootPrincipal()
	if err != nil {
		return wal.Applied{}, err
	}
	return settle(ctx, func() (wal.Applied, error) {
		base := n.machine.Applied().Next
		return n.proposeFor(ctx, &event.Header{
			Principal: root, Base: base, Reason: &event.Reason{Kind: event.ReasonKind_REASON_KIND_ROOT, View: base}, Operation: operation,
		}, d)
	}, func() (wal.Applied, error) {
		return n.resolveNow(ctx, d)
	})
}

func (n *Node) rootPrincipal() (string, error) {
	v, err := n.machine.View()
	if err != nil {
		return "", err
	}
	a, err := v.AccountByID(rootAccount)
	return a.GetCanonicalId(), errors.Join(err, v.Close())
}

// resolveNow asks what became of a draft that was proposed.
func (n *Node) resolveNow(ctx context.Context, d *event.Draft) (wal.Applied, error) {
	a, err := n.resolve(ctx, d.Statement.Header)
	n.opts.Logger.Info("what became of a proposal was asked", "event", event.KindName(d.Statement.Kind()), "err", err)
	return a, err
}

// settle proposes until an outcome is known. It proposes again only when it knows that
// nothing will come of what it proposed before: of two the second would be judged in
// the light of the first.
func settle(ctx context.Context, propose, resolve func() (wal.Applied, error)) (wal.Applied, error) {
	next := propose
	for {
		a, err := next()
		switch {
		case err == nil || ctx.Err() != nil:
			return a, err
		case errors.Is(err, wal.ErrUnknown):
			next = resolve
		case errors.Is(err, wal.ErrNotDone):
			next = propose
		default:
			return a, err
		}
		select {
		case <-ctx.Done():
			return a, err
		case <-time.After(agreePause):
		}
	}
}

// proposeSystem proposes one of the store's own events.
func (n *Node) proposeSystem(ctx context.Context, d *event.Draft) (wal.Applied, error) {
	return n.proposeSystemFrom(ctx, d, n.machine.Applied().Next)
}

func (n *Node) proposeSystemFrom(ctx context.Context, d *event.Draft, base uint64) (wal.Applied, error) {
	return n.proposeFor(ctx, &event.Header{
		Principal: event.System, Base: base, Reason: &event.Reason{Kind: event.ReasonKind_REASON_KIND_SYSTEM, View: base},
	}, d)
}

// proposeFor proposes for whom a header names; the rest of the header is filled in.
func (n *Node) proposeFor(ctx context.Context, h *event.Header, d *event.Draft) (wal.Applied, error) {
	h.RequestId = make([]byte, event.RequestIDBytes)
	rand.Read(h.RequestId) // never fails (crypto/rand)
	h.FeatureLevel, h.Node = max(n.members.level(), d.Statement.GetEpochBegun().GetFeatureLevel()), n.identity.Node
	d.Statement.Header = h
	return n.proposeDraft(ctx, d)
}

// proposeDraft proposes what has its header.
func (n *Node) proposeDraft(ctx context.Context, d *event.Draft) (wal.Applied, error) {
	if o := tooEarly(d.Statement); o != nil {
		return wal.Applied{Outcome: o}, nil
	}
	b, err := d.Marshal()
	if err != nil {
		return wal.Applied{}, err
	}
	return n.log.Propose(ctx, b)
}

// tooEarly refuses an event that needs more than the level it is written in, which is the
// cluster's: as apply would, but apply may not even meet it. A node of an older release
// that is still in the cluster cannot read it, and would have to stop.
func tooEarly(s *event.Statement) *event.Outcome {
	if s.Level() <= s.GetHeader().GetFeatureLevel() {
		return nil
	}
	return &event.Outcome{Refusal: event.Refusal_REFUSAL_FEATURE_LEVEL}
}

// views shows the state at a linearizable point.
type views struct{ n *Node }

func (v views) View(ctx context.Context) (*fsm.View, error) {
	// Signatures are judged by this clock, too.
	if err := v.n.clockProblem(); err != nil {
		return nil, s3err.New("ServiceUnavailable").Because(err)
	}
	ctx, cancel := context.WithTimeout(ctx, proposeTimeout)
	defer cancel()
	if sabotage.On(sabotage.X61) {
		return v.n.machine.View()
	}
	if err := v.n.log.Barrier(ctx); err != nil {
		return nil, s3err.New("ServiceUnavailable").Because(err)
	}
	return v.n.machine.View()
}

// Recent shows the state as this node has it.
func (v views) Recent() (*fsm.View, error) {
	if !v.n.serving.Load() { // a request that outlived its connection
		return nil, errors.New("server: the node stops")
	}
	return v.n.machine.View()
}

// blobs is the store of bytes as the S3 front wants it.
type blobs struct{ n *Node }

func (b blobs) Put(ctx context.Context, r io.Reader, size int64) (*event.Blob, error) {
	// The event that is to name the blob would be refused.
	if err := b.n.room(); err != nil {
		return nil, err
	}
	blob, err := b.n.blobs.Put(ctx, r, size, erasure.PutOptions{})
	return blob, storageError(err)
}

func (b blobs) Abandon(blob *event.Blob) { b.n.blobs.Abandon(blob.GetId()) }

func (b blobs) Open(ctx context.Context, blob *event.Blob, offset, length int64) (io.ReadCloser, error) {
	r, err := b.n.blobs.Open(ctx, blob, uint64(offset), uint64(length))
	if errors.Is(err, erasure.ErrUnavailable) {
		return nil, b.n.whyUnread(blob, err)
	}
	return r, storageError(err)
}

// storageError gives the store's own errors their S3 codes; a reader's error
// passes as it is.
func storageError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, erasure.ErrNoSpace):
		return s3err.New("InsufficientStorage").Because(err)
	case errors.Is(err, erasure.ErrTolerance), errors.Is(err, erasure.ErrUnavailable), errors.Is(err, erasure.ErrClosed):
		return s3err.New("ServiceUnavailable").Because(err)
	}
	return err
}

// secrets seals and opens secrets under the keyring.
type secrets struct{ k *keyring }

func (s secrets) Open(accessKey string, sealed []byte) (sig.Secret, error) {
	return s.k.openSecret(accessKey, sealed)
}

func (s secrets) Masters() *sse.Masters { return s.k.masters }

func (s secrets) Seal(accessKey string, secret sig.Secret) []byte {
	return s.k.sealSecret(accessKey, secret)
}

func (s secrets) Recognize(asked []byte) digest.Sum { return s.k.recognize(asked) }

func (s secrets) SealSession(accessKey string, plain []byte) string {
	return s.k.sealSession(accessKey, plain)
}

func (s secrets) OpenSession(accessKey, token string) ([]byte, error) {
	return s.k.openSession(accessKey, token)
}
