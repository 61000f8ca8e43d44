package fsm

import (
	"ironman/sim/sabotage"
	"ironman/wal/event"
)

// Bounds of a transaction.
const (
	MaxTransactionOperations = 100
	// MaxTransactionPieces is how many pieces the parts of all its uploads may have
	// together, chosen or not. An upload alone may have more.
	MaxTransactionPieces = 10_000
	// maxTransactionRequest is a SHA-256: every object that the event makes keeps it.
	maxTransactionRequest = 32
)

// transactionCommitted does operations on different keys of a bucket, or none of them:
// the first that is refused refuses the event, whose writes are dropped whole. A copy
// reads what was there before the event, whatever the event does to its source, so that
// two objects can change places. The quota is judged by what all of them leave.
func (t *tx) transactionCommitted(p *event.Parsed, b *event.TransactionCommitted) *event.Outcome {
	bucket := t.bucket(b.Bucket)
	if bucket == nil {
		return refuse(event.Refusal_REFUSAL_NO_SUCH_BUCKET)
	}
	n := len(b.Operations)
	keys, ok := keysOf(p, n)
	if !ok || n > MaxTransactionOperations || len(b.Request) > maxTransactionRequest || !allDiffer(keys) {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	for i, op := range b.Operations {
		if !validKey(keys[i]) || !operable(op, b.Bucket) {
			return refuseOne(n, i, event.Refusal_REFUSAL_INVALID)
		}
	}
	sources := make([]*Object, n)
	for i, op := range b.Operations {
		if op.Copied == nil {
			continue
		}
		// The reference keeps the body while the event is under way.
		if sources[i] = t.source(p, i, op.Copied.Source); sources[i] == nil || !t.ref(sources[i].body()) {
			return refuseOne(n, i, event.Refusal_REFUSAL_SOURCE_CHANGED)
		}
	}
	o, pieces := accept(), 0
	for i, op := range b.Operations {
		sub, more := t.operate(p, i, bucket, op, sources[i], b.Request, MaxTransactionPieces-pieces)
		pieces += more
		if sub.Refusal != event.Refusal_REFUSAL_NONE && !sabotage.On(sabotage.X64) {
			return refuseOne(n, i, sub.Refusal)
		}
		o.Subs = append(o.Subs, sub)
	}
	for _, src := range sources {
		if src != nil {
			t.unref(src.body())
		}
	}
	if r := t.withinQuota(bucket); r != event.Refusal_REFUSAL_NONE {
		return refuse(r)
	}
	return o
}

// operable tells whether an operation is one of the three, in the bucket of its transaction.
func operable(op *event.TransactionOperation, bucket uint64) bool {
	switch c, o, d := op.Completed, op.Copied, op.Deleted; {
	case c != nil:
		return o == nil && d == nil && c.Bucket == bucket
	case o != nil:
		return d == nil && o.Bucket == bucket && o.Source != nil && len(o.Blobs) == 0 && len(o.Segments) == 0
	default:
		return d != nil
	}
}

// operate does operation i of a transaction. pieces is what it costs, of limit at most.
func (t *tx) operate(p *event.Parsed, i int, b *Bucket, op *event.TransactionOperation, src *Object, request []byte, limit int) (sub *event.SubOutcome, pieces int) {
	if op.Deleted != nil {
		name := p.Text(event.ItemKind_ITEM_KIND_KEY, i)
		return t.deleteObject(b, name, i, op.Deleted, p.Statement.Header.Base), 0
	}
	var o *Object
	var r event.Refusal
	if op.Completed != nil {
		o, pieces, r = t.complete(p, i, op.Completed, limit)
	} else {
		o, r = t.newObject(p, i, op.Copied, src)
	}
	if r != event.Refusal_REFUSAL_NONE {
		return &event.SubOutcome{Refusal: r}, pieces
	}
	o.Transaction = request
	return &event.SubOutcome{Version: o.Version, NullVersion: o.NullVersion}, pieces
}

// refuseOne is the outcome of a transaction of n operations of which operation i was
// refused.
func refuseOne(n, i int, r event.Refusal) *event.Outcome {
	o := refuse(r)
	for range n {
		o.Subs = append(o.Subs, &event.SubOutcome{})
	}
	o.Subs[i].Refusal = r
	return o
}

func allDiffer(keys []string) bool {
	seen := make(map[string]bool, len(keys))
	for _, k := range keys {
		if seen[k] {
			return false
		}
		seen[k] = true
	}
	return true
}
