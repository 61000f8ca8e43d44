package fsm

import (
	"encoding/binary"
	"errors"
	"math"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"ironman/sim/sabotage"
	"ironman/wal/digest"
	"ironman/wal/event"
)

// Entry is a committed entry of the log.
type Entry struct {
	Index, Term uint64
	// Data is the entry of a proposal (event.ParseEntry); nil for an entry that
	// holds no event (a configuration), which only moves the applied index.
	Data []byte
}

// Result is what came of an entry.
type Result struct {
	// Seq of the event; of the first of its kind for a duplicate.
	Seq       uint64
	Outcome   *event.Outcome // nil for an entry without an event, or one applied before
	Duplicate bool
}

// maxStamp bounds what a leader's clock is believed (the year 2262), so that log
// time can go on rising a nanosecond an event behind any stamp.
const maxStamp = math.MaxInt64 - 1<<48

// Apply applies entries in order as one atomic batch and returns one result for
// each. Entries at or below the applied index are skipped. It never fails: what
// it cannot do is fatal.
func (m *Machine) Apply(entries []Entry) []Result {
	results := make([]Result, len(entries))
	m.mu.Lock()
	meta := &Meta{AppliedIndex: m.meta.AppliedIndex, AppliedTerm: m.meta.AppliedTerm, NextSeq: m.meta.NextSeq, Time: m.meta.Time}
	m.mu.Unlock()
	t := m.begin()
	fresh := false
	for i, e := range entries {
		if e.Index <= meta.AppliedIndex && !sabotage.On(sabotage.X15) {
			continue
		}
		fresh = true
		if e.Data != nil {
			results[i] = m.applyOne(t, meta, e)
		}
		meta.AppliedIndex, meta.AppliedTerm = e.Index, e.Term
	}
	if fresh {
		m.commit(t, meta)
	}
	if err := errors.Join(t.below.close(), t.batch.Close()); err != nil {
		m.fatal(err)
	}
	return results
}

// commit writes the batch and publishes the new moment.
func (m *Machine) commit(t *tx, meta *Meta) {
	t.settle()
	m.digest = t.digest
	meta.Digest = m.digest.Bytes()
	meta.Frontier = m.frontier.Marshal()
	write := t.batch.Set
	if sabotage.On(sabotage.X16) {
		write = m.db.Set
	}
	if err := write(key(tableMeta), event.Canonical(meta), pebble.NoSync); err != nil {
		m.fatal(err)
	}
	if err := m.db.Apply(t.batch, pebble.NoSync); err != nil {
		m.fatal(err)
	}
	if m.unflushed >= m.opts.FlushEvery {
		m.unflushed = 0
		if _, err := m.db.AsyncFlush(); err != nil {
			m.fatal(err)
		}
	}
	m.mu.Lock()
	m.meta = meta
	m.rows.add(t.history)
	close(m.changed)
	m.changed = make(chan struct{})
	m.mu.Unlock()
}

// applyOne applies one event into the batch.
func (m *Machine) applyOne(t *tx, meta *Meta, e Entry) Result {
	stamp, p := m.parse(e)
	if seq, o := t.remembered(p.Statement.GetHeader().GetRequestId()); o != nil {
		t.drop()
		return Result{Seq: seq, Outcome: o, Duplicate: true}
	}
	t.seq, t.time = meta.NextSeq, max(min(stamp, maxStamp), meta.Time+1)
	if sabotage.On(sabotage.X36) {
		t.time = max(sabotage.Now(), meta.Time+1)
	}
	if sabotage.On(sabotage.X38) {
		t.time = min(stamp, maxStamp)
	}
	outcome := t.execute(p)
	if outcome.Refusal != event.Refusal_REFUSAL_NONE && !sabotage.On(sabotage.X42) {
		t.drop()
	}
	if outcome.Time == 0 { // unless a cancel answers with the outcome of another
		outcome.Time = t.time
	}
	m.record(t, p, outcome, meta.Time, e.Index)
	meta.NextSeq, meta.Time = t.seq+1, t.time
	m.unflushed++
	return Result{Seq: t.seq, Outcome: outcome}
}

// parse reads an entry. What is newer than this binary is fatal: it must not be
// skipped. What is malformed becomes an event without header and body, which is
// refused: no proposer writes that, but the entry's own checksum held, so every
// node sees the same bytes.
func (m *Machine) parse(e Entry) (stamp int64, p *event.Parsed) {
	stamp, proposal, err := event.ParseEntry(e.Data)
	if err == nil {
		p, err = event.Parse(proposal)
	}
	if errors.Is(err, event.ErrNewer) {
		m.fatal(err)
	}
	if err != nil {
		p = &event.Parsed{Statement: &event.Statement{}}
		p.StatementBytes, p.ItemBytes = event.Split(proposal)
	}
	return stamp, p
}

// record writes what every event leaves, refused or not: its place in the
// deduplication window and in time, and its leaf. last is the log time of the
// event before.
func (m *Machine) record(t *tx, p *event.Parsed, o *event.Outcome, last int64, index uint64) {
	header := p.Statement.GetHeader()
	outcome := event.Canonical(o)
	req := &Request{RequestId: header.GetRequestId(), Outcome: outcome}
	if c := p.Statement.GetCancel(); c != nil && o.Refusal == event.Refusal_REFUSAL_CANCELLED {
		req.Cancelled = c.RequestId
	}
	if second := t.time / int64(time.Second); t.seq == 0 || second > last/int64(time.Second) {
		t.create(key(tableTime, uint64(second)), binary.BigEndian.AppendUint64(nil, t.seq))
	}
	t.commit()
	t.remember(req)

	statement, items := event.StatementHash(p.StatementBytes), p.ItemsHash()
	env := &event.Envelope{
		Seq: t.seq, Time: t.time, Kind: p.Statement.Kind(),
		RequestId: req.RequestId, Principal: header.GetPrincipal(),
		Refusal: o.Refusal, StatementHash: statement[:], ItemsHash: items[:],
		StateDigest: t.digest.Bytes(),
	}
	leaf := Leaf{Index: index}
	if len(outcome) <= event.MaxInlineOutcome {
		env.Outcome = outcome
	} else {
		h := event.OutcomeHash(outcome)
		env.OutcomeHash, leaf.Outcome = h[:], outcome
	}
	leaf.Envelope = event.Canonical(env)
	m.frontier.Append(leaf.Envelope)
	m.milestones.pass(m.frontier)
	if err := t.batch.Set(key(tableLeaf, t.seq), leaf.encode(), pebble.NoSync); err != nil {
		m.fatal(err)
	}
}

// execute dispatches an event to the function of its kind.
func (t *tx) execute(p *event.Parsed) *event.Outcome {
	if b := p.Statement.GetClusterInitialized(); b != nil {
		return t.clusterInitialized(b)
	}
	h, c := p.Statement.GetHeader(), t.cluster()
	switch {
	case h == nil || c == nil || h.Base > t.seq: // malformed; before genesis; from the future
		return refuse(event.Refusal_REFUSAL_INVALID)
	case h.FeatureLevel > max(c.FeatureLevel, p.Statement.GetEpochBegun().GetFeatureLevel()), h.FeatureLevel < p.Statement.Level():
		return refuse(event.Refusal_REFUSAL_FEATURE_LEVEL)
	case t.seq-h.Base > t.m.window.size:
		return refuse(event.Refusal_REFUSAL_STALE_BASE)
	}
	switch b := p.Statement.Body.(type) {
	case *event.Statement_NodeAdded:
		return t.nodeAdded(b.NodeAdded)
	case *event.Statement_NodeRemoved:
		return t.nodeRemoved(b.NodeRemoved)
	case *event.Statement_EpochBegun:
		return t.epochBegun(b.EpochBegun)
	case *event.Statement_NodeStarted:
		return t.nodeStarted(b.NodeStarted)
	case *event.Statement_DiskAdded:
		return t.diskAdded(b.DiskAdded)
	case *event.Statement_FeatureLevelRaised:
		return t.featureLevelRaised(b.FeatureLevelRaised)
	case *event.Statement_Cancel:
		return t.cancel(b.Cancel)
	case *event.Statement_BlobsAbandoned:
		return t.blobsAbandoned(b.BlobsAbandoned)
	case *event.Statement_BlobsReleased:
		return t.blobsReleased(b.BlobsReleased)
	case *event.Statement_ShardsPlaced:
		return t.shardsPlaced(b.ShardsPlaced)
	case *event.Statement_BlobsPlaced:
		return t.blobsPlaced(b.BlobsPlaced)
	case *event.Statement_PacksReleased:
		return t.packsReleased(b.PacksReleased)
	case *event.Statement_HistoryTrimmed:
		return t.historyTrimmed(b.HistoryTrimmed)
	case *event.Statement_PayloadsErased:
		return t.payloadsErased(b.PayloadsErased)
	case *event.Statement_ReadsNoted:
		return t.readsNoted(b.ReadsNoted)
	case *event.Statement_AccountCreated:
		return t.accountCreated(p, b.AccountCreated)
	case *event.Statement_UserCreated:
		return t.userCreated(p, b.UserCreated)
	case *event.Statement_AccessKeyCreated:
		return t.accessKeyCreated(b.AccessKeyCreated)
	case *event.Statement_AccessKeyStatusSet:
		return t.accessKeyStatusSet(b.AccessKeyStatusSet)
	case *event.Statement_AccessKeyDeleted:
		return t.accessKeyDeleted(b.AccessKeyDeleted)
	}
	if o, ok := t.executeVault(p); ok {
		return o
	}
	return t.executeS3(p)
}

// executeS3 dispatches the events of buckets and uploads.
func (t *tx) executeS3(p *event.Parsed) *event.Outcome {
	switch b := p.Statement.Body.(type) {
	case *event.Statement_BucketCreated:
		return t.bucketCreated(p, b.BucketCreated)
	case *event.Statement_BucketDeleted:
		return t.bucketDeleted(b.BucketDeleted)
	case *event.Statement_BucketAclSet:
		return t.bucketACLSet(b.BucketAclSet)
	case *event.Statement_BucketDocumentSet:
		return t.bucketDocumentSet(p, b.BucketDocumentSet)
	case *event.Statement_BucketVersioningSet:
		return t.bucketVersioningSet(b.BucketVersioningSet)
	case *event.Statement_BucketLockSet:
		return t.bucketLockSet(b.BucketLockSet)
	case *event.Statement_BucketQuotaSet:
		return t.bucketQuotaSet(b.BucketQuotaSet)
	case *event.Statement_HistoryRetentionSet:
		return t.historyRetentionSet(b.HistoryRetentionSet)
	case *event.Statement_AccountQuotaSet:
		return t.accountQuotaSet(b.AccountQuotaSet)
	case *event.Statement_CursorSet:
		return t.cursorSet(p, b.CursorSet)
	case *event.Statement_CursorDeleted:
		return t.cursorDeleted(p, b.CursorDeleted)
	case *event.Statement_UploadCreated:
		return t.uploadCreated(p, b.UploadCreated)
	case *event.Statement_PartPut:
		return t.partPut(p, b.PartPut)
	case *event.Statement_UploadCompleted:
		return t.uploadCompleted(p, b.UploadCompleted)
	case *event.Statement_UploadAborted:
		return t.uploadAborted(p, b.UploadAborted)
	}
	return t.executeObject(p)
}

// executeObject dispatches the events of objects.
func (t *tx) executeObject(p *event.Parsed) *event.Outcome {
	switch b := p.Statement.Body.(type) {
	case *event.Statement_ObjectPut:
		return t.objectPut(p, b.ObjectPut)
	case *event.Statement_ObjectsDeleted:
		return t.objectsDeleted(p, b.ObjectsDeleted)
	case *event.Statement_ObjectAclSet:
		return t.objectACLSet(p, b.ObjectAclSet)
	case *event.Statement_ObjectTagsSet:
		return t.objectTagsSet(p, b.ObjectTagsSet)
	case *event.Statement_ObjectLockSet:
		return t.objectLockSet(p, b.ObjectLockSet)
	case *event.Statement_ObjectRenamed:
		return t.objectRenamed(p, b.ObjectRenamed)
	case *event.Statement_ObjectAppended:
		return t.objectAppended(p, b.ObjectAppended)
	case *event.Statement_ObjectsExpired:
		return t.objectsExpired(p, b.ObjectsExpired)
	case *event.Statement_ObjectsRestored:
		return t.objectsRestored(p, b.ObjectsRestored)
	case *event.Statement_TransactionCommitted:
		return t.transactionCommitted(p, b.TransactionCommitted)
	}
	return refuse(event.Refusal_REFUSAL_INVALID)
}

func refuse(r event.Refusal) *event.Outcome { return &event.Outcome{Refusal: r} }

func accept() *event.Outcome { return &event.Outcome{} }

// ReplayDigest is the SHA-256 of the state digest and the ledger's root: what two
// replays must agree on.
func (m *Machine) ReplayDigest() (digest.Sum, error) {
	f, err := m.Frontier()
	if err != nil {
		return digest.Sum{}, err
	}
	root := f.Root()
	d := m.Applied().Digest
	return digest.SHA256(d.Bytes(), root[:]), nil
}
