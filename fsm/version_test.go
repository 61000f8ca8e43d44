package fsm

import (
	"fmt"
	"math"
	"testing"

	"ironman/wal/event"
)

// TestDeleteThousandVersions deletes a thousand versions of a key in one event, in
// every order, so that each time another one becomes current.
func TestDeleteThousandVersions(t *testing.T) {
	orders := map[string]func(i int) int{
		"newest first":    func(i int) int { return 999 - i },
		"oldest first":    func(i int) int { return i },
		"from the middle": func(i int) int { return (i*617 + 500) % 1000 },
	}
	for name, order := range orders {
		for _, markers := range []int{1000, 7, 1} { // one of so many is an object
			r := newRig(t, Options{})
			r.level = 3
			bucket := r.genesis(0)
			r.versioning(bucket, event.VersioningState_VERSIONING_STATE_ENABLED)
			versions := make([]*event.Version, 1000)
			var entries []Entry
			for i := range versions {
				d := r.put(bucket, "k", 1)
				if i%markers > 0 {
					d = r.deletion(bucket, &event.DeleteTarget{})
				}
				entries = append(entries, r.entry(d))
			}
			for i, got := range r.Apply(entries) {
				versions[i] = got.Outcome.Version
				if versions[i] == nil {
					versions[i] = got.Outcome.Subs[0].Version
				}
			}
			var targets []*event.DeleteTarget
			for i := range versions {
				targets = append(targets, &event.DeleteTarget{Version: versions[order(i)]})
			}
			for i, sub := range r.accept(r.deletion(bucket, targets...)).Subs {
				if sub.Refusal != none || sub.Absent || !sub.Version.Same(targets[i].Version) {
					t.Fatalf("%s, target %d: %v", name, i, sub)
				}
			}
			r.accept(event.NewDraft(r.header(), &event.Statement_BucketDeleted{BucketDeleted: &event.BucketDeleted{Bucket: bucket}}))
			if d := recomputed(t, r.Machine); d != r.Applied().Digest {
				t.Errorf("%s: the digest is not that of the rows", name)
			}
			r.close()
		}
	}
}

// deletion deletes the key k, in one event as often as there are targets.
func (r *rig) deletion(bucket uint64, targets ...*event.DeleteTarget) *event.Draft {
	d := event.NewDraft(r.header(), &event.Statement_ObjectsDeleted{ObjectsDeleted: &event.ObjectsDeleted{Bucket: bucket, Targets: targets}})
	for i := range targets {
		d.AddText(event.ItemKind_ITEM_KIND_KEY, i, "k")
	}
	return d
}

// TestListVersionsCost: a page costs what it returns, however many versions a key has
// and whatever is under a common prefix, now and in the past.
func TestListVersionsCost(t *testing.T) {
	r := newRig(t, Options{})
	defer r.close()
	r.level = 3
	bucket := r.genesis(3600e9)
	r.versioning(bucket, event.VersioningState_VERSIONING_STATE_ENABLED)
	for round := range 100 {
		for _, name := range []string{"a/1", "a/2", "b", "c"} {
			if r.accept(r.put(bucket, name, 1)); round == 50 {
				r.delete(bucket, name)
			}
		}
	}
	moment := r.Applied().Next
	for _, name := range []string{"a/1", "a/2", "b", "c"} {
		r.accept(r.put(bucket, name, 2))
		r.delete(bucket, name)
	}
	for _, next := range []uint64{moment, r.Applied().Next} {
		v, err := r.ViewAt(next)
		if err != nil {
			t.Fatal(err)
		}
		checkCost(t, v, bucket)
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func checkCost(t *testing.T, v *View, bucket uint64) {
	for _, c := range []struct {
		q     VersionQuery
		lines int
	}{
		{VersionQuery{Max: 10}, 10},
		{VersionQuery{Delimiter: "/", Max: 3}, 3},
		{VersionQuery{Delimiter: "/", After: "a/"}, 10},
		{VersionQuery{After: "b", AfterVersion: &event.Version{Seq: 100}, Max: 10}, 10},
		{VersionQuery{After: "b"}, 10},
	} {
		if c.q.Max == 0 {
			c.q.Max = 10
		}
		c.q.Bucket = bucket
		steps := v.Steps()
		items, more, err := v.ListVersions(c.q)
		// A past view takes a step in the present, one in history and one beyond the
		// row's history.
		if n := v.Steps() - steps; err != nil || len(items) != c.lines || !more || n > 3*c.lines+16 {
			t.Errorf("%+v: %d lines, more %v, took %d steps, %v", c.q, len(items), more, n, err)
		}
	}
}

// TestAppendLimits: an object grows to ten thousand segments and to 50 TiB.
func TestAppendLimits(t *testing.T) {
	r := newRig(t, Options{})
	defer r.close()
	r.level = 3
	bucket := r.genesis(0)
	grow := func(name string, v *event.Version, offset uint64, blobs ...*event.Blob) *event.Outcome {
		return r.propose(event.NewDraft(r.header(), &event.Statement_ObjectAppended{ObjectAppended: &event.ObjectAppended{
			Bucket: bucket, Version: v, Blobs: blobs, Offset: offset, Size: offset + total(wholes(nil, blobs)), Owner: alice, Acl: private(alice),
		}}).AddText(event.ItemKind_ITEM_KIND_KEY, 0, name)).Outcome
	}
	const parts = maxAppendedSegments - 1
	v := r.multipart(bucket, "many", parts)
	o := grow("many", v, parts*100, r.blob(1))
	if o.Refusal != none {
		t.Fatalf("segment %d: %s", parts+1, o.Refusal)
	}
	if o := grow("many", o.Version, parts*100+1, r.blob(1)); o.Refusal != event.Refusal_REFUSAL_LIMIT_EXCEEDED {
		t.Errorf("segment %d: %s", parts+2, o.Refusal)
	}
	var large []*event.Blob
	for range 6 {
		large = append(large, r.blob(maxBlobBytes))
	}
	o = grow("large", nil, 0, large...)
	for _, c := range []struct {
		size uint64
		want event.Refusal
	}{{2<<40 + 1, event.Refusal_REFUSAL_LIMIT_EXCEEDED}, {2 << 40, none}} {
		if o := grow("large", o.Version, 48<<40, r.blob(c.size)); o.Refusal != c.want {
			t.Errorf("%d bytes more: %s", c.size, o.Refusal)
		}
	}
	if d := recomputed(t, r.Machine); d != r.Applied().Digest {
		t.Error("the digest is not that of the rows")
	}
}

// TestDefaultUntil: no clock makes a default retention end before it began.
func TestDefaultUntil(t *testing.T) {
	b := &Bucket{DefaultYears: maxRetentionYears}
	for _, now := range []int64{0, 1_800_000_000e9, maxStamp, math.MaxInt64} {
		if until := b.defaultUntil(now); until < now || now < 1<<62 && until != now+100*365*24*3600e9 {
			t.Errorf("at %d: %d", now, until)
		}
	}
}

// TestRaiseCounts: the rise to level 3 counts the parts that older levels stored.
func TestRaiseCounts(t *testing.T) {
	r := newRig(t, Options{})
	defer r.close()
	bucket := r.genesis(0)
	key := event.ItemKind_ITEM_KIND_KEY
	for i := range 3 {
		name := fmt.Sprint("k", i)
		up := r.accept(event.NewDraft(r.header(), &event.Statement_UploadCreated{UploadCreated: &event.UploadCreated{
			Bucket: bucket, Owner: alice, Acl: private(alice),
		}}).AddText(key, 0, name)).Version
		for n := range i {
			r.accept(event.NewDraft(r.header(), &event.Statement_PartPut{PartPut: &event.PartPut{
				Bucket: bucket, Upload: up, Number: uint32(n + 1), Blobs: []*event.Blob{r.blob(100)}, Size: 100, Etag: "p",
			}}).AddText(key, 0, name))
		}
	}
	usage := func() *Usage {
		v := r.view()
		defer v.Close()
		u, err := v.Usage(bucket)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	if u := usage(); u.Uploads != 3 || u.PartBytes != 0 {
		t.Errorf("at level 1: %v", u)
	}
	for n := uint32(1); n <= 3; n++ {
		r.accept(event.NewDraft(r.header(), &event.Statement_NodeStarted{NodeStarted: &event.NodeStarted{Node: n, PublicKey: []byte{byte(n)}, Boot: 2, FeatureLevel: 3}}))
	}
	r.raise(3)
	if u := usage(); u.Uploads != 3 || u.PartBytes != 300 {
		t.Errorf("at level 3: %v", u)
	}
}
