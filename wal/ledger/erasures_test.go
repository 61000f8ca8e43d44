package ledger

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/note"

	"ironman/wal/event"
)

// erasure makes the record of an erasure of targets, whose times are those of the other
// records.
func erasure(t testing.TB, seq uint64, refusal event.Refusal, targets ...Target) Record {
	t.Helper()
	sets := make(map[uint64][]byte)
	for _, target := range targets {
		set := sets[target.Seq]
		for _, i := range target.Items {
			for len(set) <= i/8 {
				set = append(set, 0)
			}
			set[i/8] |= 1 << (i % 8)
		}
		sets[target.Seq] = set
	}
	b := &event.PayloadsErased{}
	for s, set := range sets {
		b.Payloads = append(b.Payloads, &event.ErasedPayload{Seq: s, Items: set})
	}
	slices.SortFunc(b.Payloads, func(a, b *event.ErasedPayload) int { return int(a.Seq) - int(b.Seq) })
	s := &event.Statement{Header: &event.Header{}, Body: &event.Statement_PayloadsErased{PayloadsErased: b}}
	r := Record{Seq: seq, Payload: Payload{Statement: event.Canonical(s), Outcome: event.Canonical(&event.Outcome{Time: int64(seq+1) * 1000, Refusal: refusal})}}
	statement, items := event.StatementHash(r.Statement), r.itemsHash()
	env := &event.Envelope{
		Seq: seq, Time: int64(seq+1) * 1000, Kind: s.Kind(), StatementHash: statement[:], ItemsHash: items[:], StateDigest: make([]byte, 32),
		Outcome: r.Outcome, Refusal: refusal,
	}
	r.Envelope = event.Canonical(env)
	return r
}

// erasedBehind is an event right behind what is verified that erased targets.
func erasedBehind(t testing.TB, targets ...Target) func(from uint64) iter.Seq2[Record, error] {
	return func(from uint64) iter.Seq2[Record, error] {
		return func(yield func(Record, error) bool) {
			yield(erasure(t, from, event.Refusal_REFUSAL_NONE, targets...), nil)
		}
	}
}

// verifyErased verifies an archive, of which an event right behind its end erased targets.
func verifyErased(t testing.TB, a *Archive, targets ...Target) {
	t.Helper()
	v, err := a.VerifyBefore(context.Background(), erasedBehind(t, targets...), nil)
	if err != nil || v.Erased.Items == 0 || !slices.Equal(v.Erased.Events, []uint64{a.Size()}) {
		t.Fatalf("%+v, %v", v.Erased, err)
	}
}

// TestVerifyErased: items whose bytes are gone verify only if an event of the same ledger
// that was accepted has erased them, wherever it is; so does an export, which has to hold it.
func TestVerifyErased(t *testing.T) {
	const none = event.Refusal_REFUSAL_NONE
	gone := []Target{{Seq: 7, Items: []int{0, 2}}, {Seq: 303}}
	for _, c := range []struct {
		name     string
		erasures []Record
		bad      int // the first bad sequence; -1: it verifies
		by       []uint64
	}{
		{"nobody", nil, 7, nil},
		{"all by one", []Record{erasure(t, 500, none, gone...)}, -1, []uint64{500}},
		{"by two, and one that comes too late", []Record{
			erasure(t, 310, none, gone[1]), erasure(t, 400, none, Target{Seq: 8}), erasure(t, 500, none, gone[0]), erasure(t, 501, none, gone...),
		}, -1, []uint64{310, 500}},
		{"an item is left", []Record{erasure(t, 500, none, Target{Seq: 7, Items: []int{0, 1}}, gone[1])}, 7, nil},
		{"items piece by piece", []Record{
			erasure(t, 20, none, Target{Seq: 7, Items: []int{0}}), erasure(t, 500, none, Target{Seq: 7, Items: []int{2, 9}}, gone[1]),
		}, -1, []uint64{20, 500}},
		{"a payload is left", []Record{erasure(t, 500, none, gone[0])}, 303, nil},
		{"refused", []Record{erasure(t, 500, event.Refusal_REFUSAL_INVALID, gone...)}, 7, nil},
		{"only before it", []Record{erasure(t, 5, none, gone...), erasure(t, 500, none, gone[1])}, 7, nil},
	} {
		all := records(0, 512)
		for _, e := range c.erasures {
			all[e.Seq] = e
		}
		a := open(t, options(t, vfs.NewMem()))
		mustAppend(t, a, all)
		if err := a.Verify(context.Background(), nil); err != nil {
			t.Fatal(err)
		}
		if err := a.Erase(gone); err != nil {
			t.Fatal(err)
		}
		v, err := a.VerifyBefore(context.Background(), nil, nil)
		var d *Damage
		switch {
		case c.bad < 0 && (err != nil || v.Erased.Items != 5 || !slices.Equal(v.Erased.Events, c.by)):
			t.Errorf("%s: %+v, %v", c.name, v.Erased, err)
		case c.bad >= 0 && (!errors.As(err, &d) || d.Seq != uint64(c.bad) || !errors.Is(err, ErrMissing)):
			t.Errorf("%s: %v", c.name, err)
		}
		out := vfs.NewMem()
		err = a.Export(context.Background(), Export{FS: out, Dir: "x", Payloads: true})
		if (err != nil) != (c.bad >= 0) || c.bad >= 0 && !strings.Contains(err.Error(), fmt.Sprintf("event %d:", c.bad)) {
			t.Errorf("%s: an export: %v", c.name, err)
		}
		if err := a.Export(context.Background(), Export{FS: out, Dir: "bare"}); err != nil {
			t.Errorf("%s: envelopes alone: %v", c.name, err)
		}
		if c.bad >= 0 {
			continue
		}
		_, key := testKey(t, 1)
		o := VerifyOptions{FS: out, Dir: "x", Origin: testOrigin, Verifiers: note.VerifierList(key), Export: true}
		if x, err := Verify(context.Background(), o); err != nil || x.Erased.Items != 5 {
			t.Errorf("%s: the export: %+v, %v", c.name, x.Erased, err)
		}
		// Of fewer events, the erasure is not among them.
		if err := a.Export(context.Background(), Export{FS: out, Dir: "short", Size: c.by[len(c.by)-1], Payloads: true}); !errors.Is(err, ErrMissing) {
			t.Errorf("%s: an export without the erasure: %v", c.name, err)
		}
	}
}

// TestVerifyBehindFails: why what is behind the ledger's end cannot be read is told, and what
// is there and does not agree with itself is not believed.
func TestVerifyBehindFails(t *testing.T) {
	_, a := filled(t, 256)
	gone := Target{Seq: 7}
	if err := a.Erase([]Target{gone}); err != nil {
		t.Fatal(err)
	}
	failed := errors.New("it cannot be read")
	other := erasure(t, 256, event.Refusal_REFUSAL_NONE, gone)
	other.Statement = erasure(t, 256, event.Refusal_REFUSAL_NONE, Target{Seq: 8}).Statement
	for name, c := range map[string]struct {
		r   Record
		err error
	}{"unreadable": {err: failed}, "another statement": {r: other}} {
		_, err := a.VerifyBefore(context.Background(), func(uint64) iter.Seq2[Record, error] {
			return func(yield func(Record, error) bool) { yield(c.r, c.err) }
		}, nil)
		if err == nil || errors.Is(err, ErrMissing) || c.err != nil && !errors.Is(err, failed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
