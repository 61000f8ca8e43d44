package fsm

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"ironman/wal/event"
)

// world is a machine and its model, fed with the same log.
type world struct {
	t     rapid.TB
	g     *generator
	m     *Machine
	log   []Entry
	stamp int64
	past  []*model // before each event
	want  []Result // of each entry
}

// next draws an entry and has the model judge it.
func (w *world) next(d *event.Draft) Entry {
	b, err := d.Marshal()
	if err != nil {
		w.t.Fatal(err)
	}
	p, err := event.Parse(b)
	if err != nil {
		w.t.Fatal(err)
	}
	stamp := w.stamp
	switch w.g.choose(60) {
	case 0:
		b, p = b[:len(b)-1], nil // malformed
	case 1:
		stamp = int64(w.g.choose(2)) - 1 // a clock that has not been set
	case 2:
		if w.g.odds(20) {
			stamp = 1<<63 - 1 // a clock gone mad: all time from here on is a nanosecond an event
		}
	case 3:
		if w.g.odds(4) {
			w.stamp += 100 * 24 * 3600e9 // retentions pass
		}
	}
	e := Entry{Index: uint64(len(w.log)) + 1, Term: 1, Data: event.AppendEntry(nil, stamp, b)}
	w.past = append(w.past, w.g.m.clone())
	w.want = append(w.want, w.g.m.apply(stamp, p))
	w.stamp += int64(w.g.choose(4)-1) * 3e8
	w.log = append(w.log, e)
	return e
}

func newWorld(t rapid.TB, choose chooser, window uint64, retention int64) *world {
	return newWorldAt(t, []uint32{1, 1, 3, 3, 3}[choose(5)], choose, window, retention)
}

// newWorldAt begins at a feature level.
func newWorldAt(t rapid.TB, level uint32, choose chooser, window uint64, retention int64) *world {
	w := &world{t: t, g: &generator{choose: choose, m: newModel(window), level: level}, stamp: 1_800_000_000e9}
	for _, d := range w.g.begin(retention) {
		w.next(d)
	}
	return w
}

// grow draws n more entries.
func (w *world) grow(n int) {
	for range n {
		w.next(w.g.draft())
	}
}

func sameResult(got, want Result) bool {
	return got.Seq == want.Seq && got.Duplicate == want.Duplicate && proto.Equal(got.Outcome, want.Outcome)
}

// TestModel feeds random events, valid and not, to a machine and to a model.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		window := uint64(rapid.SampledFrom([]int{5, 30, 1000}).Draw(t, "window"))
		retention := rapid.SampledFrom([]int64{0, 3600e9, 3600e9}).Draw(t, "retention")
		w := newWorld(t, rapidly(t), window, retention)
		w.grow(rapid.IntRange(0, 150).Draw(t, "events"))
		w.check(t, window)
	})
}

// TestModelLong is TestModel with longer histories than rapid would shrink. It
// counts what became of the events, so that it cannot pass by refusing them all.
func TestModelLong(t *testing.T) {
	seeds := sample(120, 2)
	outcomes, duplicates, trimmed := make(map[string]int), 0, 0
	for seed := range uint64(seeds) {
		w := newWorld(t, seeded(seed), 200, int64(seed%3)*3600e9)
		w.grow(1000)
		w.check(t, 200)
		for i, r := range w.want {
			_, proposal, _ := event.ParseEntry(w.log[i].Data)
			p, _ := event.Parse(proposal)
			if r.Duplicate {
				duplicates++
			} else if p != nil {
				outcomes[event.KindName(p.Statement.Kind())+" "+r.Outcome.Refusal.String()]++
				if b := p.Statement.GetHistoryTrimmed(); b.GetBucket() != 0 && r.Outcome.Allocated > 0 {
					trimmed++
				}
			}
			for _, s := range r.Outcome.Subs {
				if p.Statement.GetBlobsPlaced() != nil && !r.Duplicate {
					outcomes["placed "+s.Refusal.String()]++
				}
				outcomes["sub "+s.Refusal.String()]++
				outcomes["restored "+s.Restored.String()]++
			}
		}
	}
	if !testing.Short() {
		vacuous(t, outcomes, duplicates)
		if trimmed < 20 {
			t.Errorf("history of a bucket of its own was trimmed only %d times", trimmed)
		}
	}
}

// ofTheVault are the kinds that a generator of their own makes (TestVault).
var ofTheVault = []string{
	"principal_created", "principal_changed", "principal_deleted", "members_changed", "policy_created", "policy_version_created",
	"policy_version_deleted", "policy_default_set", "policy_tags_set", "policy_deleted", "inline_policy_set", "policies_attached",
	"account_changed", "account_deleted", "access_key_sealed",
}

// vacuous complains of kinds that were never accepted and of refusals that never came.
func vacuous(t *testing.T, outcomes map[string]int, duplicates int) {
	if duplicates < 50 {
		t.Errorf("only %d duplicates", duplicates)
	}
	fields := (&event.Statement{}).ProtoReflect().Descriptor().Oneofs().ByName("body").Fields()
	for i := range fields.Len() {
		name := string(fields.Get(i).Name())
		if slices.Contains(ofTheVault, name) {
			continue
		}
		if n := outcomes[name+" REFUSAL_NONE"]; n < 10 {
			t.Errorf("%s was accepted only %d times", name, n)
		}
	}
	for _, name := range event.RestoredKind_name {
		if n := outcomes["restored "+name]; n < 10 {
			t.Errorf("%s came only %d times", name, n)
		}
	}
	for _, r := range []event.Refusal{none, invalid, notFound, exists, conflict, event.Refusal_REFUSAL_PLACEMENT} {
		if n := outcomes["placed "+r.String()]; n < 10 {
			t.Errorf("of blobs to place, %s came only %d times", r, n)
		}
	}
	for n, name := range event.Refusal_name {
		sum := 0
		for k, v := range outcomes {
			if strings.HasSuffix(k, " "+name) {
				sum += v
			}
		}
		// What nothing refuses for until all kinds are applied.
		if r := event.Refusal(n); sum < 10 && r != event.Refusal_REFUSAL_IN_USE && // of the vault
			r != event.Refusal_REFUSAL_LIMIT_EXCEEDED { // TestAppendLimits, TestTransactionLimits
			t.Errorf("%s came only %d times", name, sum)
		}
	}
	if t.Failed() {
		for _, k := range slices.Sorted(maps.Keys(outcomes)) {
			t.Logf("%6d %s", outcomes[k], k)
		}
	}
}

// check applies the log in random batches and compares everything.
func (w *world) check(t rapid.TB, window uint64) {
	r := memory(t, Options{Window: window})
	defer r.Close()
	w.m = r
	for at := 0; at < len(w.log); {
		n := min(1+w.g.choose(8), len(w.log)-at)
		for i, got := range r.Apply(w.log[at : at+n]) {
			if !sameResult(got, w.want[at+i]) {
				t.Fatalf("entry %d %v\n got %v\nwant %v", at+i, w.log[at+i], got, w.want[at+i])
			}
		}
		at += n
	}
	if d := diffRows(scanned(t, r), w.g.m.rows()); d != "" {
		t.Fatalf("rows differ:\n%s", d)
	}
	if got := r.Applied(); got.Digest != recomputed(t, r) || got.Next != w.g.m.seq || got.Time != w.g.m.now {
		t.Fatalf("applied %+v", got)
	}
	w.compareView(present)
	for range 6 {
		w.compareView(uint64(w.g.choose(int(w.g.m.seq) + 1)))
	}
}

// at is the model as the events below next left it.
func (w *world) at(next uint64) *model {
	for _, m := range w.past {
		if m.seq == next {
			return m
		}
	}
	return w.g.m
}

// compareView compares what a view shows with the model of its moment.
func (w *world) compareView(next uint64) {
	now := w.g.m
	v, err := w.m.ViewAt(min(next, now.seq))
	if next == present {
		v, err = w.m.View()
	}
	if kept := next >= now.oldestShared(); (err == nil) != kept {
		w.t.Fatalf("view at %d of %d, trimmed below %d: %v", next, now.seq, now.oldestShared(), err)
	}
	m := w.at(next)
	w.comparePasts(m, min(next, now.seq))
	if err != nil {
		return
	}
	defer v.Close()
	for _, name := range []string{"one", "two", "three"} {
		id := m.names[name].row.GetBucket()
		b, err := v.BucketByName(name)
		if id != 0 && next < now.oldestIn(id) {
			if !errors.Is(err, ErrTrimmed) {
				w.t.Fatalf("at %d bucket %s, kept from %d: %v, %v", next, name, now.oldestIn(id), b, err)
			}
			continue
		}
		if err != nil || !proto.Equal(b, m.buckets[id].row) {
			w.t.Fatalf("at %d bucket %s is %v, %v", next, name, b, err)
		}
	}
	for id := range m.buckets {
		if next >= now.oldestIn(id) {
			w.compareBucket(v, m, id)
		}
	}
	w.compareBuckets(v, m)
	if next == present {
		w.compareDifferences(v)
		w.compareCursors(v)
	}
}

// comparePasts compares what is seen of each bucket there ever was, by its own retention.
func (w *world) comparePasts(m *model, next uint64) {
	ids := make(map[uint64]bool)
	for _, past := range w.past {
		for id := range past.buckets {
			ids[id] = true
		}
	}
	now := w.g.m
	for _, id := range slices.Sorted(maps.Keys(ids)) {
		v, err := w.m.View()
		if err != nil {
			w.t.Fatal(err)
		}
		oldest, err := v.OldestOf(id)
		if err != nil || oldest != now.oldestIn(id) {
			w.t.Fatalf("the oldest of %d is %d, %v, want %d", id, oldest, err, now.oldestIn(id))
		}
		then, err := v.AtIn(id, next)
		if (err == nil) != (next >= oldest) {
			w.t.Fatalf("bucket %d at %d of %d, kept from %d: %v", id, next, now.seq, oldest, err)
		}
		if err == nil {
			b, err := then.Bucket(id)
			if err != nil || !proto.Equal(b, m.buckets[id].row) {
				w.t.Fatalf("at %d bucket %d is %v, %v, want %v", next, id, b, err, m.buckets[id].row)
			}
			if n := m.buckets[id].row.GetName(); n != "" {
				if b, err := then.BucketByName(n); err != nil || b.GetBucket() != id {
					w.t.Fatalf("at %d bucket %q is %v, %v, want %d", next, n, b, err, id)
				}
			}
			w.compareBucket(then, m, id)
			for _, name := range []string{"one", "two", "three"} {
				want := m.names[name].row.GetBucket()
				past, b, err := v.AtName(name, next)
				kept := want == 0 && next >= now.oldestShared() || want != 0 && next >= now.oldestIn(want)
				if want != 0 && !kept || err != nil { // where nothing tells, it is refused
					if kept || !errors.Is(err, ErrTrimmed) {
						w.t.Fatalf("at %d bucket %q is %v, %v", next, name, b, err)
					}
				} else if b.GetBucket() != want || (past == nil) != (want == 0) {
					w.t.Fatalf("at %d bucket %q is %v, want %d", next, name, b, want)
				}
			}
		} else if w.g.odds(4) {
			if v, err := w.m.ViewAt(next); err == nil {
				if _, err := v.ListObjects(ListQuery{Bucket: id, Max: 1}); !errors.Is(err, ErrTrimmed) {
					w.t.Fatalf("a list of %d at %d: %v", id, next, err)
				}
				if _, err := v.Object(id, w.g.key()); !errors.Is(err, ErrTrimmed) {
					w.t.Fatalf("an object of %d at %d: %v", id, next, err)
				}
				v.Close()
			}
		}
		if err := v.Close(); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) compareBucket(v *View, m *model, id uint64) {
	for kind := event.DocumentKind(1); kind < 5; kind++ {
		d, err := v.Document(id, kind)
		if want := m.documents[documentPlace{id, kind}].row; err != nil || !proto.Equal(d, want) {
			w.t.Fatalf("document %d/%s is %v, %v, want %v", id, kind, d, err, want)
		}
	}
	if u, err := v.Usage(id); err != nil || !proto.Equal(u, w.g.m.usage(id)) {
		w.t.Fatalf("usage of %d is %v, %v, want %v", id, u, err, w.g.m.usage(id))
	}
	for range 3 {
		at := objectPlace{id, w.g.key()}
		o, err := v.Object(at.bucket, at.name)
		if want := m.objects[at].row; err != nil || !proto.Equal(o, want) {
			w.t.Fatalf("object %v is %v, %v, want %v", at, o, err, want)
		}
		w.compareBody(v, o)
	}
	for range 6 {
		q := ListQuery{
			Bucket: id, Prefix: w.g.one("", "", "a", "a/", "b", "\xff", "z", "a\x00"), Delimiter: w.g.one("", "", "/", "/", "b", "//", "\xff"),
			After: w.g.one("", "", w.g.key(), w.g.key(), w.g.key()+"/"), Max: w.g.choose(8),
		}
		got, err := v.ListObjects(q)
		want := m.list(q)
		if err != nil || !sameListing(got, want) {
			w.t.Fatalf("%+v lists\n%v, %v, want\n%v", q, lines(got), err, lines(want))
		}
		u := UploadQuery{Bucket: id, Prefix: q.Prefix, Delimiter: q.Delimiter, After: q.After, Max: q.Max}
		if w.g.odds(2) {
			u.AfterUpload = &event.Version{Seq: uint64(w.g.choose(int(m.seq) + 1))}
		}
		w.compareUploads(v, u)
	}
	w.compareVersions(v, m, id)
}

// compareBody holds the segments of an object to its size, and each to a live blob.
func (w *world) compareBody(v *View, o *Object) {
	if o == nil {
		return
	}
	segments, parts, err := v.Body(o)
	if err != nil || total(segments) != o.Size {
		w.t.Fatalf("body of %v is %v, %v", o, segments, err)
	}
	size := uint64(0)
	for _, p := range parts {
		size += p.Size
	}
	if parts != nil && size != o.Size {
		w.t.Fatalf("parts of %v are %v", o, parts)
	}
	for _, s := range segments {
		if b, err := v.Blob(s.Blob); err != nil || b == nil || s.Offset+s.Length > b.Size {
			w.t.Fatalf("segment %v of a live object lies in %v, %v", s, b, err)
		}
	}
}

// list is a listing the slow way: all keys in order, rolled up, cut to the page.
func (m *model) list(q ListQuery) *Listing {
	var all []Item
	for at, o := range m.objects {
		if at.bucket == q.Bucket && strings.HasPrefix(at.name, q.Prefix) {
			all = append(all, Item{Key: at.name, Object: o.row})
		}
	}
	slices.SortFunc(all, func(a, b Item) int { return strings.Compare(a.Key, b.Key) })
	page := &Listing{}
	for _, it := range all {
		if i := strings.Index(it.Key[len(q.Prefix):], q.Delimiter); q.Delimiter != "" && i >= 0 {
			it = Item{Key: it.Key[:len(q.Prefix)+i+len(q.Delimiter)]}
		}
		rolled := it.Object == nil
		seen := slices.ContainsFunc(page.Items, func(x Item) bool { return rolled && x.Object == nil && x.Key == it.Key })
		if it.Key <= q.After || seen || page.Truncated {
			continue
		}
		if len(page.Items) == q.Max {
			page.Truncated = q.Max > 0
			continue
		}
		page.Items = append(page.Items, it)
	}
	return page
}

func sameListing(a, b *Listing) bool {
	return a.Truncated == b.Truncated && slices.EqualFunc(a.Items, b.Items, func(x, y Item) bool {
		return x.Key == y.Key && proto.Equal(x.Object, y.Object)
	})
}

func lines(l *Listing) string {
	if l == nil {
		return "nothing"
	}
	var b strings.Builder
	for _, it := range l.Items {
		fmt.Fprintf(&b, "%q %v\n", it.Key, it.Object.GetVersion())
	}
	return b.String() + fmt.Sprint(l.Truncated)
}

// compareUploads compares a page of the open uploads, which are as of now.
func (w *world) compareUploads(v *View, q UploadQuery) {
	var all []uploadPlace
	for at := range w.g.m.uploads {
		if at.bucket == q.Bucket && strings.HasPrefix(at.name, q.Prefix) {
			all = append(all, at)
		}
	}
	slices.SortFunc(all, func(a, b uploadPlace) int {
		return strings.Compare(a.name+"\x00"+number(a.upload.seq), b.name+"\x00"+number(b.upload.seq))
	})
	slices.SortStableFunc(all, func(a, b uploadPlace) int { return strings.Compare(a.name, b.name) })
	var want []string
	truncated := false
	for _, at := range all {
		line := fmt.Sprintf("%q %d", at.name, at.upload.seq)
		if i := strings.Index(at.name[len(q.Prefix):], q.Delimiter); q.Delimiter != "" && i >= 0 {
			prefix := at.name[:len(q.Prefix)+i+len(q.Delimiter)]
			line = fmt.Sprintf("%q", prefix)
			if prefix <= q.After || slices.Contains(want, line) {
				continue
			}
		} else if at.name < q.After || at.name == q.After && q.After != "" && (q.AfterUpload == nil || at.upload.seq <= q.AfterUpload.Seq) {
			continue
		}
		if len(want) == q.Max {
			truncated = q.Max > 0
			break
		}
		want = append(want, line)
	}
	items, more, err := v.ListUploads(q)
	var got []string
	for _, it := range items {
		if it.Upload == nil {
			got = append(got, fmt.Sprintf("%q", it.Prefix))
			continue
		}
		got = append(got, fmt.Sprintf("%q %d", it.Upload.Key, it.Upload.Upload.Seq))
		if u, err := v.Upload(q.Bucket, it.Upload.Key, it.Upload.Upload); err != nil || !proto.Equal(u, it.Upload) {
			w.t.Fatalf("upload %v reads %v, %v", it.Upload, u, err)
		}
	}
	if err != nil || more != truncated || !slices.Equal(got, want) {
		w.t.Fatalf("%+v lists uploads\n%v %v, %v, want\n%v %v", q, got, more, err, want, truncated)
	}
}

// compareBuckets compares the buckets of each owner.
func (w *world) compareBuckets(v *View, m *model) {
	for _, owner := range []string{alice, bob} {
		prefix, above, limit := w.g.one("", "t", "th"), w.g.one("", "one", "three"), 1+w.g.choose(4)
		var want []string
		for _, name := range []string{"one", "three", "two"} {
			n := m.names[name].row
			if n.GetOwner() == owner && strings.HasPrefix(name, prefix) && name > above && len(want) < limit {
				want = append(want, fmt.Sprint(name, n.Bucket))
			}
		}
		entries, err := v.ListBuckets(owner, prefix, above, limit)
		var got []string
		for _, e := range entries {
			got = append(got, fmt.Sprint(e.Name, e.Row.Bucket))
		}
		if err != nil || !slices.Equal(got, want) {
			w.t.Fatalf("buckets %q above %q: %v, %v, want %v", prefix, above, got, err, want)
		}
	}
}
