package fsm

import (
	"errors"
	"fmt"
	"testing"

	"pgregory.net/rapid"

	"ironman/wal/event"
)

// TestTransactions feeds transactions about a few keys to a machine, among what else
// changes versions, and holds it to the model.
func TestTransactions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := transactedWorld(t, rapidly(t), rapid.SampledFrom([]int64{0, 3600e9}).Draw(t, "retention"))
		w.growTransactions(rapid.IntRange(0, 120).Draw(t, "events"))
		w.check(t, 100)
	})
}

// TestTransactionsLong is TestTransactions with longer histories than rapid would shrink.
// It counts what became of transactions.
func TestTransactionsLong(t *testing.T) {
	done, late := make(map[string]int), 0
	for seed := range uint64(sample(20, 3)) {
		w := transactedWorld(t, seeded(seed), int64(seed%3)*3600e9)
		w.growTransactions(600)
		w.check(t, 100)
		for i, r := range w.want {
			_, proposal, _ := event.ParseEntry(w.log[i].Data)
			p, err := event.Parse(proposal)
			if err != nil || r.Duplicate || p.Statement.GetTransactionCommitted() == nil {
				continue
			}
			ops := p.Statement.GetTransactionCommitted().Operations
			if r.Outcome.Refusal != none {
				for j, sub := range r.Outcome.Subs {
					if sub.Refusal != none && j > 0 {
						late++
					}
				}
				continue
			}
			if len(ops) > 1 {
				done["several"]++
			}
			for _, op := range ops {
				switch {
				case op.Completed != nil:
					done["completed"]++
				case op.Copied != nil:
					done["copied"]++
				case op.Deleted != nil:
					done["deleted"]++
				}
			}
		}
	}
	least := 20
	if testing.Short() {
		least = 1
	}
	for _, what := range []string{"several", "completed", "copied", "deleted"} {
		if done[what] < least {
			t.Errorf("%s: only %d", what, done[what])
		}
	}
	if late < least {
		t.Errorf("only %d were refused behind an operation that would have been done", late)
	}
}

// transactedWorld is versionedWorld at the level that has transactions.
func transactedWorld(t rapid.TB, choose chooser, retention int64) *world {
	w := versionedWorld(t, choose, retention)
	for node := uint32(1); node <= 2; node++ {
		boot := w.g.m.nodes[node].GetBoot() + 1
		w.next(event.NewDraft(w.header(), &event.Statement_NodeStarted{NodeStarted: &event.NodeStarted{
			Node: node, PublicKey: []byte{byte(node)}, Boot: boot, FeatureLevel: 4,
		}}))
	}
	w.next(event.NewDraft(w.header(), &event.Statement_FeatureLevelRaised{FeatureLevelRaised: &event.FeatureLevelRaised{FeatureLevel: 4}}))
	return w
}

// growTransactions draws n events about a few keys.
func (w *world) growTransactions(n int) {
	g := w.g
	g.keys = []string{"a", "a/b", "a\x00", "b"}
	for range n {
		h := w.header()
		h.FeatureLevel = 4
		d := event.NewDraft(h, nil)
		switch g.choose(12) {
		case 0, 1:
			g.put(d)
		case 2:
			at := objectPlace{g.bucket(), g.key()}
			d.Statement.Body = &event.Statement_UploadCreated{UploadCreated: &event.UploadCreated{Bucket: at.bucket, Owner: alice, Initiator: "i", Acl: private(alice)}}
			g.describe(d.AddText(event.ItemKind_ITEM_KIND_KEY, 0, at.name))
		case 3, 4:
			g.part(d)
		case 5:
			g.settings(d)
		case 6:
			g.versionEvent(d)
		default:
			g.transact(d)
		}
		w.next(d)
	}
}

// TestUploadPieces: pieces are counted of all parts, and not beyond what is asked for.
func TestUploadPieces(t *testing.T) {
	r := newRig(t, Options{})
	defer r.close()
	b := r.genesis(0)
	source := r.accept(r.put(b, "source", 1)).Version
	v := r.view()
	o, err := v.Object(b, "source")
	if err := errors.Join(err, v.Close()); err != nil {
		t.Fatal(err)
	}
	item := event.ItemKind_ITEM_KIND_KEY
	begin := func() *event.Version {
		return r.accept(event.NewDraft(r.header(), &event.Statement_UploadCreated{UploadCreated: &event.UploadCreated{
			Bucket: b, Owner: alice, Acl: private(alice),
		}}).AddText(item, 0, "k")).Version
	}
	id, empty := begin(), begin()
	for number, pieces := range []int{3, 0, 4, 5} { // of no bytes: one all the same
		part := &event.PartPut{Bucket: b, Upload: id, Number: uint32(number + 1), Size: uint64(pieces), Source: &event.CopySource{Bucket: b, Version: source}}
		for range pieces {
			part.Segments = append(part.Segments, &event.Segment{Blob: o.Blob, Length: 1})
		}
		if pieces == 0 {
			part.Source = nil
		}
		put := event.NewDraft(r.header(), &event.Statement_PartPut{PartPut: part}).AddText(item, 0, "k")
		if pieces > 0 {
			put.AddText(event.ItemKind_ITEM_KIND_SOURCE_KEY, 0, "source")
		}
		if got := r.propose(put).Outcome; got.Refusal != none {
			t.Fatal(got)
		}
	}
	for _, c := range []struct {
		upload *event.Version
		limit  int
		pieces int
		stored uint64
		parts  int // that are read
	}{
		{id, 100, 13, 12, 4}, {id, 13, 13, 12, 4}, {id, 8, 13, 12, 4}, {id, 7, 8, 7, 3}, {id, 3, 4, 3, 2}, {id, 2, 3, 3, 1}, {empty, 100, 0, 0, 0},
	} {
		v := r.view()
		pieces, stored, err := v.UploadPieces(c.upload, c.limit)
		read := v.steps
		if err := errors.Join(err, v.Close()); err != nil || pieces != c.pieces || stored != c.stored || int(read) != c.parts {
			t.Errorf("up to %d: %d pieces, %d bytes of %d parts, %v", c.limit, pieces, stored, read, err)
		}
	}
}

// TestTransactionLimits: a transaction has a bound of operations, and one of the pieces
// of all its uploads; what is at the bound is done.
func TestTransactionLimits(t *testing.T) {
	r := newRig(t, Options{})
	defer r.close()
	r.level = 4
	b := r.genesis(0)
	transact := func(ops []*event.TransactionOperation, keys ...string) *event.Outcome {
		d := event.NewDraft(r.header(), &event.Statement_TransactionCommitted{TransactionCommitted: &event.TransactionCommitted{Bucket: b, Operations: ops}})
		for i, k := range keys {
			d.AddText(event.ItemKind_ITEM_KIND_KEY, i, k)
		}
		return r.propose(d).Outcome
	}
	var deletes []*event.TransactionOperation
	var keys []string
	for i := range MaxTransactionOperations + 1 {
		deletes = append(deletes, &event.TransactionOperation{Deleted: &event.DeleteTarget{}})
		keys = append(keys, fmt.Sprint("k", i))
	}
	if o := transact(deletes, keys...); o.Refusal != invalid || len(o.Subs) > 0 {
		t.Errorf("101 operations: %v", o)
	}
	if o := transact(deletes[:100], keys[:100]...); o.Refusal != none || len(o.Subs) != 100 {
		t.Errorf("100 operations: %v", o)
	}

	source := r.accept(r.put(b, "source", 1)).Version
	v := r.view()
	o, err := v.Object(b, "source")
	if err := errors.Join(err, v.Close()); err != nil {
		t.Fatal(err)
	}
	// An upload of two parts of the same byte, over and over, of which one is chosen.
	upload := func(key string, chosen, other int) *event.TransactionOperation {
		item := event.ItemKind_ITEM_KIND_KEY
		id := r.accept(event.NewDraft(r.header(), &event.Statement_UploadCreated{UploadCreated: &event.UploadCreated{
			Bucket: b, Owner: alice, Acl: private(alice),
		}}).AddText(item, 0, key)).Version
		done := &event.UploadCompleted{Bucket: b, Upload: id, Size: uint64(chosen)}
		for number, pieces := range []int{other, chosen} {
			part := &event.PartPut{
				Bucket: b, Upload: id, Number: uint32(number + 1), Size: uint64(pieces), Source: &event.CopySource{Bucket: b, Version: source},
			}
			for range pieces {
				part.Segments = append(part.Segments, &event.Segment{Blob: o.Blob, Length: 1})
			}
			put := r.propose(event.NewDraft(r.header(), &event.Statement_PartPut{PartPut: part}).AddText(item, 0, key).AddText(event.ItemKind_ITEM_KIND_SOURCE_KEY, 0, "source"))
			if put.Outcome.Refusal != none {
				t.Fatal(put.Outcome)
			}
			done.Parts = []*event.CompletedPart{{Number: part.Number, Seq: put.Seq}}
		}
		return &event.TransactionOperation{Completed: done}
	}
	const half = MaxTransactionPieces / 2
	x, y := upload("x", 1, half-1), upload("y", half, 1)
	if o := transact([]*event.TransactionOperation{x, y}, "x", "y"); o.Refusal != event.Refusal_REFUSAL_LIMIT_EXCEEDED || o.Subs[1].Refusal != o.Refusal {
		t.Errorf("one piece too many: %v", o)
	}
	w := upload("w", 1, half)
	w.Completed.Parts[0].Seq++ // beyond the limit no part is looked at
	if o := transact([]*event.TransactionOperation{x, w}, "x", "w"); o.Refusal != event.Refusal_REFUSAL_LIMIT_EXCEEDED || o.Subs[1].Refusal != o.Refusal {
		t.Errorf("too many pieces before a part that is another: %v", o)
	}
	z := upload("z", half-1, 1)
	if o := transact([]*event.TransactionOperation{x, z}, "x", "z"); o.Refusal != none {
		t.Errorf("as many pieces as there may be: %v", o)
	}
}
