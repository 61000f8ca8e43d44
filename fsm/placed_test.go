package fsm

import (
	"testing"

	"ironman/wal/event"
)

// TestLostBlobs: what is lost is found page by page, however few rows a page looks at, and
// nothing else is.
func TestLostBlobs(t *testing.T) {
	r := newRig(t, Options{})
	r.level = event.FeatureLevel
	defer r.close()
	bucket := r.genesis(0)
	var want []uint64
	for i := range 20 {
		d := r.put(bucket, string(rune('a'+i)), 100)
		b := d.Statement.GetObjectPut().Blobs[0]
		if i%3 == 0 { // on the node that stays
			b.K, b.M, b.Tolerance = 1, 1, 0
			b.Shards = b.Shards[:2]
		} else {
			want = append(want, b.Id.Counter)
		}
		r.accept(d)
	}
	page := func(after *event.BlobID, rows, max int) (found []*event.Blob, next *event.BlobID) {
		v := r.view()
		defer v.Close()
		found, next, err := v.LostBlobs(after, rows, max)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range found {
			if lost, err := v.Lost(b); err != nil || !lost {
				t.Errorf("blob %v: %v, %v", b.Id, lost, err)
			}
		}
		return found, next
	}
	if found, next := page(nil, 100, 100); len(found) > 0 || next != nil {
		t.Errorf("with all nodes there: %v, then %v", found, next)
	}
	for n := uint32(2); n <= 3; n++ {
		r.accept(event.NewDraft(r.header(), &event.Statement_NodeRemoved{NodeRemoved: &event.NodeRemoved{Node: n}}))
	}
	for _, c := range [][2]int{{100, 100}, {1, 100}, {3, 100}, {100, 1}, {7, 2}, {20, 20}} {
		var got []uint64
		var after *event.BlobID
		for pages := 0; ; pages++ {
			found, next := page(after, c[0], c[1])
			if len(found) > c[1] || pages > 25 {
				t.Fatalf("%v: page %d has %d", c, pages, len(found))
			}
			for _, b := range found {
				got = append(got, b.Id.Counter)
			}
			if after = next; next == nil {
				break
			}
		}
		if len(got) != len(want) {
			t.Fatalf("%v: found %v, want %v", c, got, want)
		}
		for i := range want {
			if got[i] != want[i] {
				t.Fatalf("%v: found %v, want %v", c, got, want)
			}
		}
	}
}

// TestBlobsPlacedBound: an event places no more than it may.
func TestBlobsPlacedBound(t *testing.T) {
	r := newRig(t, Options{})
	r.level = event.FeatureLevel
	defer r.close()
	r.genesis(0)
	for n, want := range map[int]event.Refusal{maxPlaced: event.Refusal_REFUSAL_NONE, maxPlaced + 1: event.Refusal_REFUSAL_INVALID} {
		b := &event.BlobsPlaced{}
		for range n {
			b.Blobs = append(b.Blobs, r.blob(10))
		}
		o := r.propose(event.NewDraft(r.header(), &event.Statement_BlobsPlaced{BlobsPlaced: b})).Outcome
		if o.Refusal != want || want == event.Refusal_REFUSAL_NONE && (len(o.Subs) != n || o.Subs[n-1].Refusal != event.Refusal_REFUSAL_NOT_FOUND) {
			t.Errorf("%d blobs: %v", n, o.Refusal)
		}
	}
}
