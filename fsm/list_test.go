package fsm

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"ironman/wal/event"
)

// TestListMillion loads a million keys in ten prefixes through Apply and counts
// what listings cost.
func TestListMillion(t *testing.T) {
	if testing.Short() {
		t.Skip("a million keys")
	}
	const keys, batch = 1_000_000, 1000
	r := newRig(t, Options{})
	defer r.close()
	bucket := r.genesis(3600e9)
	acl := private(alice)
	start, applying := time.Now(), time.Duration(0)
	for from := 0; from < keys; from += batch {
		entries := make([]Entry, batch)
		for i := range entries {
			n := (from + i) * 7919 % keys // not in the order of the keys
			entries[i] = r.entry(event.NewDraft(r.header(), &event.Statement_ObjectPut{ObjectPut: &event.ObjectPut{
				Bucket: bucket, Etag: "d41d8cd98f00b204e9800998ecf8427e", Owner: alice, Acl: acl,
			}}).AddText(event.ItemKind_ITEM_KIND_KEY, 0, millionth(n)))
		}
		began := time.Now()
		for _, res := range r.Apply(entries) {
			if res.Outcome.Refusal != event.Refusal_REFUSAL_NONE {
				t.Fatal(res.Outcome)
			}
		}
		applying += time.Since(began)
		if err := r.DropLeaves(r.Applied().Next); err != nil { // as the archiver does
			t.Fatal(err)
		}
	}
	t.Logf("%d keys in %v, of which %v in Apply: %v an event", keys, time.Since(start), applying, applying/keys)

	v := r.view()
	defer v.Close()
	if u, err := v.Usage(bucket); err != nil || u.Objects != keys {
		t.Fatalf("usage %v, %v", u, err)
	}
	steps := v.Steps()
	l, err := v.ListObjects(ListQuery{Bucket: bucket, Delimiter: "/", Max: 1000})
	if err != nil || len(l.Items) != 10 || l.Truncated {
		t.Fatalf("%d prefixes, %v", len(l.Items), err)
	}
	if n := v.Steps() - steps; n > 2*10 {
		t.Errorf("10 common prefixes took %d steps", n)
	}
	pages(t, v, bucket, keys)
	asOf(t, r, v, bucket)
}

func millionth(n int) string { return fmt.Sprintf("prefix-%d/%07d", n%10, n) }

// pages reads one prefix of the million page by page.
func pages(t *testing.T, v *View, bucket uint64, keys int) {
	after, n := "", 0
	for {
		steps := v.Steps()
		l, err := v.ListObjects(ListQuery{Bucket: bucket, Prefix: "prefix-3/", Delimiter: "/", After: after, Max: 1000})
		if err != nil {
			t.Fatal(err)
		}
		if s := v.Steps() - steps; s > len(l.Items)+1 {
			t.Fatalf("a page of %d took %d steps", len(l.Items), s)
		}
		for _, it := range l.Items {
			if want := millionth(3 + 10*n); it.Key != want || it.Object == nil {
				t.Fatalf("key %d is %s, not %s", n, it.Key, want)
			}
			n++
		}
		if !l.Truncated {
			break
		}
		after = l.Items[len(l.Items)-1].Key
	}
	if n != keys/10 {
		t.Errorf("%d keys", n)
	}
}

// asOf compares the cost of a listing of the present with one as of before half of
// a prefix was deleted.
func asOf(t *testing.T, r *rig, v *View, bucket uint64) {
	moment := v.Applied().Next
	for from := 0; from < 50_000; from += 1000 {
		names := make([]string, 1000)
		for i := range names {
			names[i] = millionth(10 * (from + i))
		}
		if o := r.delete(bucket, names...); len(o.Subs) != 1000 || o.Subs[999].Absent {
			t.Fatalf("%d outcomes", len(o.Subs))
		}
	}
	now := r.view()
	defer now.Close()
	l, err := now.ListObjects(ListQuery{Bucket: bucket, Max: 100})
	if n := now.Steps(); err != nil || n > 101 || l.Items[0].Key != millionth(500_000) {
		t.Errorf("a page above 50,000 deleted keys took %d steps and begins with %s, %v", n, l.Items[0].Key, err)
	}
	then, err := r.ViewAt(moment)
	if err != nil {
		t.Fatal(err)
	}
	defer then.Close()
	l, err = then.ListObjects(ListQuery{Bucket: bucket, Max: 100})
	if n := then.Steps(); err != nil || n > 3*101 || l.Items[0].Key != millionth(0) {
		t.Errorf("the page as of before took %d steps and begins with %s, %v", n, l.Items[0].Key, err)
	}
	steps := then.Steps()
	l, err = then.ListObjects(ListQuery{Bucket: bucket, Delimiter: "/", Max: 100})
	if n := then.Steps() - steps; err != nil || n > 4*11 || len(l.Items) != 10 {
		t.Errorf("10 common prefixes as of before took %d steps: %d, %v", n, len(l.Items), err)
	}
}

// TestMomentsOfSeconds: a view of the past within a snapshot, and the second of an event.
func TestMomentsOfSeconds(t *testing.T) {
	r := newRig(t, Options{})
	defer r.close()
	bucket := r.genesis(3600e9)
	seconds := make(map[uint64]int64)
	for i := range 20 {
		r.stamp += int64(i%4) * 700e6
		r.accept(r.put(bucket, "k", uint64(i+1)))
		seconds[r.Applied().Next-1] = r.Applied().Time / 1e9
	}
	v := r.view()
	defer v.Close()
	first := r.Applied().Next - 20
	for seq, second := range seconds {
		if got, err := v.SecondOf(seq); got != second || err != nil {
			t.Errorf("event %d happened in second %d, not %d, %v", seq, second, got, err)
		}
		then, err := v.At(seq + 1)
		if err != nil || then.Next() != seq+1 {
			t.Fatal(then, err)
		}
		if o, err := then.Object(bucket, "k"); err != nil || o.GetSize() != seq-first+1 {
			t.Errorf("behind event %d: %v, %v", seq, o, err)
		}
	}
	if o, err := v.Object(bucket, "k"); err != nil || o.GetSize() != 20 || v.Next() != r.Applied().Next {
		t.Errorf("the present: %v, %v", o, err)
	}
	if oldest, err := v.Oldest(); oldest != 0 || err != nil {
		t.Errorf("oldest %d, %v", oldest, err)
	}
	r.accept(event.NewDraft(r.header(), &event.Statement_HistoryTrimmed{HistoryTrimmed: &event.HistoryTrimmed{To: first + 5, Rows: 100}}))
	now := r.view()
	defer now.Close()
	if oldest, err := now.Oldest(); oldest != first+5 || err != nil {
		t.Errorf("oldest %d, %v", oldest, err)
	}
	if _, err := now.At(first + 4); !errors.Is(err, ErrTrimmed) {
		t.Error(err)
	}
	if _, err := now.At(now.Next() + 1); !errors.Is(err, ErrTrimmed) {
		t.Error(err)
	}
	if then, err := now.At(first + 5); err != nil {
		t.Error(err)
	} else if o, err := then.Object(bucket, "k"); err != nil || o.GetSize() != 5 {
		t.Errorf("%v, %v", o, err)
	}
}

// A listing that looks at an earlier moment costs what it returns, too.
func TestListPast(t *testing.T) {
	r := newRig(t, Options{})
	defer r.close()
	bucket := r.genesis(3600e9)
	moments := make([]uint64, 0, 50)
	for i := range 50 {
		for _, name := range []string{"a/1", "a/2", "b/1", "c"} {
			r.accept(r.put(bucket, name, uint64(i+1)))
		}
		moments = append(moments, r.Applied().Next)
	}
	for i, next := range moments {
		v, err := r.ViewAt(next)
		if err != nil {
			t.Fatal(err)
		}
		l, err := v.ListObjects(ListQuery{Bucket: bucket, Max: 10})
		if err != nil || len(l.Items) != 4 {
			t.Fatalf("%d: %v, %v", next, l, err)
		}
		for _, it := range l.Items {
			if it.Object.Size != uint64(i+1) {
				t.Errorf("at %d %s has the size %d", next, it.Key, it.Object.Size)
			}
		}
		if n := v.Steps(); n > 4*5 {
			t.Errorf("4 keys of 50 versions each took %d steps", n)
		}
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNewestPast: the newest version of a key as of a moment costs the same, however many
// came later.
func TestNewestPast(t *testing.T) {
	r := newRig(t, Options{})
	defer r.close()
	r.level = event.FeatureLevel
	bucket := r.genesis(3600e9)
	r.versioning(bucket, event.VersioningState_VERSIONING_STATE_ENABLED)
	r.accept(r.put(bucket, "k", 1))
	r.accept(r.put(bucket, "k", 2))
	next := r.Applied().Next
	for i := range 300 {
		r.accept(r.put(bucket, "k", uint64(10+i)))
	}
	v, err := r.ViewAt(next)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	o, err := v.Older(bucket, "k", &event.Version{Seq: next + 1000})
	if err != nil || o.GetSize() != 2 || v.Steps() > 20 {
		t.Errorf("%v, %v, in %d steps", o, err, v.Steps())
	}
}
