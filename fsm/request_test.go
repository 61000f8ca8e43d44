package fsm

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"

	"ironman/wal/event"
)

// again proposes a draft whose request id and base are given.
func (r *rig) again(id, base uint64, body func(*event.Header) *event.Draft) Result {
	r.t.Helper()
	return r.propose(body(&event.Header{FeatureLevel: 1, RequestId: id16(id), Base: base}))
}

func document(bucket uint64) func(*event.Header) *event.Draft {
	return func(h *event.Header) *event.Draft {
		return event.NewDraft(h, &event.Statement_BucketDocumentSet{BucketDocumentSet: &event.BucketDocumentSet{Bucket: bucket, Kind: 1}}).
			AddText(event.ItemKind_ITEM_KIND_DOCUMENT, 0, fmt.Sprint(h.RequestId))
	}
}

func cancelOf(id uint64) func(*event.Header) *event.Draft {
	return func(h *event.Header) *event.Draft {
		return event.NewDraft(h, &event.Statement_Cancel{Cancel: &event.Cancel{RequestId: id16(id)}})
	}
}

// TestWindow remembers exactly the last W requests, on a machine that stays open
// and on one that is opened again after each event.
func TestWindow(t *testing.T) {
	const size = 16
	for _, reopen := range []bool{false, true} {
		r := newRig(t, Options{Window: size})
		bucket := r.genesis(0)
		turn := func() {
			if !reopen {
				return
			}
			if err := r.Flush(); err != nil {
				t.Fatal(err)
			}
			r.close()
			r.Machine = memory(t, r.options)
		}
		base := r.Applied().Next
		first := r.again(1000, base, document(bucket))
		if first.Outcome.Refusal != none || first.Seq != base {
			t.Fatal(first)
		}
		for i := uint64(1); i < 3*size; i++ {
			turn()
			before := r.Applied()
			got := r.again(1000, base, document(bucket))
			switch {
			case i <= size: // it is one of the last W
				if !got.Duplicate || got.Seq != first.Seq || !proto.Equal(got.Outcome, first.Outcome) || r.Applied().Next != before.Next || r.Applied().Digest != before.Digest {
					t.Fatalf("reopen=%v: after %d events the request came as %v", reopen, i-1, got)
				}
				r.accept(document(bucket)(r.header()))
			case got.Duplicate && i > size+1: // the stale one is remembered now
			default:
				if got.Duplicate || got.Outcome.Refusal != event.Refusal_REFUSAL_STALE_BASE {
					t.Fatalf("reopen=%v: after %d events the request came as %v", reopen, i-1, got)
				}
			}
			if n := len(r.window.seqs); n > size {
				t.Fatalf("%d requests are remembered", n)
			}
		}
		r.close()
	}
}

// TestCancel resolves requests whose outcome is unknown: those that were applied,
// and those that must never be.
func TestCancel(t *testing.T) {
	r := newRig(t, Options{Window: 8})
	defer r.close()
	bucket := r.genesis(0)
	base := r.Applied().Next
	done := r.again(1, base, document(bucket))
	if got := r.again(2, base, cancelOf(1)); got.Duplicate || !proto.Equal(got.Outcome, done.Outcome) || got.Seq == done.Seq {
		t.Errorf("cancel of what was applied: %v, not %v", got, done)
	}
	never := r.again(3, base, cancelOf(4))
	if never.Outcome.Refusal != event.Refusal_REFUSAL_CANCELLED {
		t.Errorf("cancel of what never came: %v", never)
	}
	if got := r.again(4, base, document(bucket)); !got.Duplicate || got.Outcome.Refusal != event.Refusal_REFUSAL_CANCELLED {
		t.Errorf("what was cancelled came as %v", got)
	}
	if got := r.again(5, base, cancelOf(4)); got.Outcome.Refusal != event.Refusal_REFUSAL_CANCELLED {
		t.Errorf("a second cancel: %v", got)
	}
	// The first cancel leaves the window, the second still stands.
	for r.Applied().Next <= never.Seq+8 {
		r.accept(document(bucket)(r.header()))
	}
	if got := r.again(4, r.Applied().Next, document(bucket)); !got.Duplicate {
		t.Errorf("what was cancelled twice came as %v", got)
	}
	if got := r.again(6, base, cancelOf(4)); got.Outcome.Refusal != event.Refusal_REFUSAL_STALE_BASE {
		t.Errorf("a cancel that is too late to tell: %v", got)
	}
}

func TestBases(t *testing.T) {
	r := newRig(t, Options{Window: 8})
	defer r.close()
	bucket := r.genesis(0)
	next := r.Applied().Next
	for i, c := range []struct {
		base uint64
		want event.Refusal
	}{
		{next, none},
		{next + 1 - 8, none},
		{next + 2 - 9, event.Refusal_REFUSAL_STALE_BASE},
		{next + 3 + 1, invalid}, // from the future
		{1<<64 - 1, invalid},
		{0, event.Refusal_REFUSAL_STALE_BASE},
	} {
		if got := r.again(uint64(100+i), c.base, document(bucket)).Outcome.Refusal; got != c.want {
			t.Errorf("base %d at %d: %s, want %s", c.base, next+uint64(i), got, c.want)
		}
	}
}
