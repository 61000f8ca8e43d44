package fsm

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"ironman/wal/event"
)

// TestViewsAreMoments reads views, leaves and moments beside Apply: each view is
// one moment, whose digest is that of its rows.
func TestViewsAreMoments(t *testing.T) {
	w, want := recordedLog(t, 14, sample(1500, 400))
	m := memory(t, Options{Window: 150, Tune: small, FlushEvery: 100})
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					readMoment(t, m)
				}
			}
		})
	}
	w.feed(t, m, 0, len(w.log), rand.New(rand.NewPCG(14, 1)))
	close(done)
	readers.Wait()
	if a := m.Applied(); a != want.applied {
		t.Errorf("%+v, want %+v", a, want.applied)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err) // a view or an iterator was leaked
	}
}

func readMoment(t *testing.T, m *Machine) {
	v, err := m.View()
	if err != nil {
		t.Error(err)
		return
	}
	var sum StateDigest
	other := &Machine{} // rowHash has room for one at a time
	it, err := v.snap.NewIter(nil)
	if err != nil {
		t.Error(err)
		return
	}
	for ok := it.First(); ok; ok = it.Next() {
		if !tableOf(it.Key()).local() {
			sum.add(other.rowHash(it.Key(), it.Value()))
		}
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		t.Error(err)
	}
	if sum != v.Applied().Digest {
		t.Errorf("the view at %d holds rows of another moment", v.Applied().Next)
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
	leaves, err := m.Leaves(0, 10)
	if err == nil && len(leaves) > 5 {
		err = m.DropLeaves(0)
	}
	if err != nil {
		t.Error(err)
	}
	if f, err := m.Frontier(); err != nil || f.Size() > m.Applied().Next {
		t.Errorf("frontier %v, %v", f, err)
	}
}

func TestEdges(t *testing.T) {
	r := newRig(t, Options{})
	defer r.close()
	bucket := r.genesis(0)
	r.accept(r.put(bucket, "k", 10))
	r.accept(r.put(bucket, "k", 11))
	v := r.view()
	defer v.Close()
	for _, now := range []int64{-1, math.MinInt64} {
		if b, a, err := v.Due(now, 10); len(b)+len(a) > 0 || err != nil {
			t.Errorf("due at %d: %v, %v, %v", now, b, a, err)
		}
	}
	for _, limit := range []int{0, -1} {
		b, _, err := v.Due(math.MaxInt64, limit)
		p, err2 := v.Parts(&event.Version{}, 0, limit)
		l, err3 := v.ListBuckets(alice, "", "", limit)
		o, err4 := v.ListObjects(ListQuery{Bucket: bucket, Max: limit})
		u, _, err5 := v.ListUploads(UploadQuery{Bucket: bucket, Max: limit})
		if len(b)+len(p)+len(l)+len(o.Items)+len(u) > 0 || o.Truncated || errors.Join(err, err2, err3, err4, err5) != nil {
			t.Errorf("pages of %d: %v %v %v %v %v", limit, b, p, l, o, u)
		}
	}
	if b, _, err := v.Due(math.MaxInt64, 10); len(b) != 1 || err != nil {
		t.Errorf("due: %v, %v", b, err)
	}
	if parts, err := v.Parts(&event.Version{}, math.MaxUint32, 10); parts != nil || err != nil {
		t.Errorf("parts above all: %v, %v", parts, err)
	}
	for second, want := range map[int64]uint64{math.MinInt64: 0, -1: 0, 0: 0, math.MaxInt64: r.Applied().Next} {
		if seq, err := v.SeqAt(second); seq != want || err != nil {
			t.Errorf("at second %d: %d, %v", second, seq, err)
		}
	}
	if _, err := r.ViewAt(r.Applied().Next - 1); !errors.Is(err, ErrTrimmed) {
		t.Errorf("a view of a past that is not kept: %v", err)
	}
	disks, err := v.Disks()
	if err != nil || len(disks) != 6 || disks[5].Number != 6 {
		t.Errorf("disks %v, %v", disks, err)
	}
	if p, err := v.Pack(1, &event.PackID{Incarnation: 1, Counter: 1}); err != nil || p.GetLiveShards() != 2 {
		t.Errorf("pack %v, %v", p, err)
	}
	if p, err := v.Part(&event.Version{}, 1); p != nil || err != nil {
		t.Errorf("part %v, %v", p, err)
	}
	// An object whose body is gone: the rows contradict each other, and that is an error.
	if _, _, err := v.Body(&Object{Assembly: &event.Version{Seq: 77}}); err == nil {
		t.Error("the body of a missing assembly")
	}
}

// TestLargeEvents applies the largest events there are: an object of 10,000 parts,
// its copies and its release in steps, and a delete of 1,000 keys.
func TestLargeEvents(t *testing.T) {
	parts := sample(10_000, 1000)
	r := newRig(t, Options{})
	defer r.close()
	bucket := r.genesis(0)
	big := r.multipart(bucket, "big", parts)
	var names []string
	for i := range 1000 {
		names = append(names, fmt.Sprintf("copy-%03d", i))
		r.accept(event.NewDraft(r.header(), &event.Statement_ObjectPut{ObjectPut: &event.ObjectPut{
			Bucket: bucket, Source: &event.CopySource{Bucket: bucket, Version: big}, Size: uint64(parts) * 100, Etag: "c", Owner: alice, Acl: private(alice),
		}}).AddText(event.ItemKind_ITEM_KIND_KEY, 0, names[i]).AddText(event.ItemKind_ITEM_KIND_SOURCE_KEY, 0, "big"))
	}
	v := r.view()
	o, err := v.Object(bucket, names[999])
	if err != nil {
		t.Fatal(err)
	}
	segments, infos, err := v.Body(o)
	if err != nil || len(segments) != parts || len(infos) != parts || total(segments) != o.Size {
		t.Fatalf("%d segments, %d parts, %v", len(segments), len(infos), err)
	}
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if got := r.delete(bucket, append(names[1:], "big")...); len(got.Subs) != 1000 || got.Subs[999].Absent {
		t.Fatalf("%d outcomes", len(got.Subs))
	}
	leaves, err := r.Leaves(r.Applied().Next-1, 1)
	if err != nil || len(leaves) != 1 || len(leaves[0].Envelope) > 1000 || len(leaves[0].Outcome) <= event.MaxInlineOutcome {
		t.Fatalf("the leaf of a long outcome: %v, %v", leaves, err)
	}
	r.delete(bucket, names[0])
	r.stamp += 60e9
	release := func() event.Refusal {
		return r.accept(event.NewDraft(r.header(), &event.Statement_BlobsReleased{BlobsReleased: &event.BlobsReleased{
			Assemblies: []*event.AssemblyRelease{{Assembly: big, Segments: uint32(parts)*3/10 + 1}},
		}})).Subs[0].Refusal
	}
	for i := range 4 {
		if got := release(); got != none {
			t.Fatalf("step %d: %s", i, got)
		}
	}
	if got := release(); got != notFound {
		t.Errorf("a step too many: %s", got)
	}
	v = r.view()
	defer v.Close()
	if due, _, err := v.Due(math.MaxInt64, parts+1); err != nil || len(due) != parts {
		t.Errorf("%d blobs are due, %v", len(due), err)
	}
}

// multipart makes an object of parts of 100 bytes, and returns its version.
func (r *rig) multipart(bucket uint64, name string, parts int) *event.Version {
	r.t.Helper()
	key := event.ItemKind_ITEM_KIND_KEY
	up := r.accept(event.NewDraft(r.header(), &event.Statement_UploadCreated{UploadCreated: &event.UploadCreated{
		Bucket: bucket, Owner: alice, Acl: private(alice),
	}}).AddText(key, 0, name)).Version
	done := &event.UploadCompleted{Bucket: bucket, Upload: up, Size: uint64(parts) * 100, Etag: "big"}
	var entries []Entry
	for n := range parts {
		entries = append(entries, r.entry(event.NewDraft(r.header(), &event.Statement_PartPut{PartPut: &event.PartPut{
			Bucket: bucket, Upload: up, Number: uint32(n + 1), Blobs: []*event.Blob{r.blob(100)}, Size: 100, Etag: "p",
		}}).AddText(key, 0, name)))
	}
	for i, got := range r.Apply(entries) {
		if got.Outcome.Refusal != none {
			r.t.Fatalf("part %d: %v", i+1, got)
		}
		done.Parts = append(done.Parts, &event.CompletedPart{Number: uint32(i + 1), Seq: got.Seq})
	}
	return r.accept(event.NewDraft(r.header(), &event.Statement_UploadCompleted{UploadCompleted: done}).AddText(key, 0, name)).Version
}

// delete removes objects in one event.
func (r *rig) delete(bucket uint64, names ...string) *event.Outcome {
	r.t.Helper()
	b := &event.ObjectsDeleted{Bucket: bucket}
	d := event.NewDraft(r.header(), &event.Statement_ObjectsDeleted{ObjectsDeleted: b})
	for i, name := range names {
		b.Targets = append(b.Targets, &event.DeleteTarget{})
		d.AddText(event.ItemKind_ITEM_KIND_KEY, i, name)
	}
	return r.accept(d)
}

// TestEnvelopesFit: whatever an event holds, its leaf stays under 64 KiB.
func TestEnvelopesFit(t *testing.T) {
	r := newRig(t, Options{})
	defer r.close()
	bucket := r.genesis(0)
	d := r.put(bucket, strings.Repeat("k", 1024), 10)
	d.Statement.GetObjectPut().Etag = strings.Repeat("e", 1<<20)
	d.Statement.Header.Principal = strings.Repeat("p", event.MaxPrincipalBytes)
	r.accept(d)
	leaves, err := r.Leaves(r.Applied().Next-1, 1)
	if err != nil || len(leaves) != 1 || len(leaves[0].Envelope) > 4096 {
		t.Errorf("%d bytes, %v", len(leaves[0].Envelope), err)
	}
}
