package fsm

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"ironman/wal/event"
)

// TestVersions feeds what changes versions to a machine, few keys and many versions,
// and holds every view of it, now and then, to lists of versions.
func TestVersions(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		choose := rapidly(t)
		w := versionedWorld(t, choose, rapid.SampledFrom([]int64{0, 3600e9}).Draw(t, "retention"))
		w.growVersions(rapid.IntRange(0, 120).Draw(t, "events"))
		w.check(t, 100)
	})
}

// TestVersionsLong is TestVersions with longer histories than rapid would shrink.
func TestVersionsLong(t *testing.T) {
	for seed := range uint64(sample(20, 3)) {
		w := versionedWorld(t, seeded(seed), int64(seed%3)*3600e9)
		w.growVersions(600)
		w.check(t, 100)
	}
}

// versionedWorld begins with a bucket in each state of versioning.
func versionedWorld(t rapid.TB, choose chooser, retention int64) *world {
	w := newWorldAt(t, 3, choose, 100, retention)
	for i, name := range []string{"two", "three"} {
		w.next(event.NewDraft(w.header(), &event.Statement_BucketCreated{BucketCreated: &event.BucketCreated{Owner: bob, Acl: private(bob), ObjectLock: i == 1}}).
			AddText(event.ItemKind_ITEM_KIND_BUCKET_NAME, 0, name))
	}
	return w
}

func (w *world) header() *event.Header {
	w.g.ids++
	return &event.Header{FeatureLevel: 3, RequestId: id16(w.g.ids), Principal: "p", Base: w.g.m.seq}
}

// growVersions draws n events about a few keys.
func (w *world) growVersions(n int) {
	g := w.g
	g.keys = []string{"a", "a/b", "a\x00"}
	for range n {
		d := event.NewDraft(w.header(), nil)
		switch g.choose(12) {
		default:
			g.put(d)
		case 0, 1, 2:
			g.delete(d)
		case 3, 4, 5, 6:
			g.versionEvent(d)
		case 7:
			g.settings(d)
		case 8:
			if g.odds(3) {
				g.release(d)
			} else {
				g.put(d)
			}
		}
		w.next(d)
	}
}

// compareVersions compares what a view shows of the versions of a bucket.
func (w *world) compareVersions(v *View, m *model, id uint64) {
	for range 3 {
		at := objectPlace{id, w.g.key()}
		if p, ok := pick(w.g, m.versions, func(p versionPlace) string {
			return number(p.bucket) + p.name + "\x00" + number(p.version.seq) + number(uint64(p.version.ordinal))
		}); ok && p.bucket == id {
			at = p.objectPlace
		}
		w.compareChain(v, at, m.chain(at))
	}
	for range 6 {
		q := VersionQuery{
			Bucket: id, Prefix: w.g.one("", "", "a", "a/", "b", "\xff", "z", "a\x00"), Delimiter: w.g.one("", "", "", "/", "b", "//", "\xff"),
			After: w.g.one("", w.g.key(), w.g.key(), w.g.key()+"/"), Max: w.g.choose(8),
		}
		if w.g.odds(2) {
			q.AfterVersion = &event.Version{Seq: uint64(w.g.choose(int(m.seq) + 2)), Ordinal: uint32(w.g.choose(2))}
		}
		items, more, err := v.ListVersions(q)
		want, truncated := m.listVersions(q)
		if got := versionLines(items); err != nil || more != truncated || !slices.Equal(got, versionLines(want)) {
			w.t.Fatalf("%+v lists\n%q %v, %v, want\n%q %v", q, got, more, err, versionLines(want), truncated)
		}
		for i, it := range items {
			if !proto.Equal(it.Object, want[i].Object) {
				w.t.Fatalf("%+v lists %v, want %v", q, it.Object, want[i].Object)
			}
		}
	}
	w.comparePages(v, m, id)
}

// compareChain compares the views of one key with the list of its versions.
func (w *world) compareChain(v *View, at objectPlace, chain []*Object) {
	same := func(what string, got *Object, err error, want *Object) {
		w.t.Helper()
		if err != nil || !proto.Equal(got, want) {
			w.t.Fatalf("%s of %v is %v, %v, want %v", what, at, got, err, want)
		}
	}
	var newest *Object
	if len(chain) > 0 {
		newest = chain[0]
	}
	got, err := v.Newest(at.bucket, at.name)
	same("the newest", got, err, newest)
	got, err = v.NullVersion(at.bucket, at.name)
	same("the null version", got, err, nullOf(chain))
	got, err = v.Version(at.bucket, at.name, &event.Version{Seq: 1 << 50})
	same("no version", got, err, nil)
	for i, o := range chain {
		got, err := v.Version(at.bucket, at.name, o.Version)
		same("a version", got, err, o)
		w.compareBody(v, got)
		var older, younger *Object
		if i > 0 {
			younger = chain[i-1]
		}
		if i+1 < len(chain) {
			older = chain[i+1]
		}
		got, err = v.Older(at.bucket, at.name, o.Version)
		same("the older", got, err, older)
		got, err = v.Newer(at.bucket, at.name, o.Version)
		same("the newer", got, err, younger)
	}
}

// comparePages reads all versions of a bucket page by page.
func (w *world) comparePages(v *View, m *model, id uint64) {
	q := VersionQuery{Bucket: id, Max: 1 + w.g.choose(4), Delimiter: w.g.one("", "/")}
	all, _ := m.listVersions(VersionQuery{Bucket: id, Max: 1 << 30, Delimiter: q.Delimiter})
	var got []VersionItem
	for {
		items, more, err := v.ListVersions(q)
		if err != nil {
			w.t.Fatal(err)
		}
		got = append(got, items...)
		if !more {
			break
		}
		last := items[len(items)-1]
		q.After, q.AfterVersion = last.Key, last.Object.GetVersion()
	}
	if g, want := versionLines(got), versionLines(all); !slices.Equal(g, want) {
		w.t.Fatalf("pages of %d list\n%q, want\n%q", q.Max, g, want)
	}
}

// listVersions is a listing the slow way.
func (m *model) listVersions(q VersionQuery) (page []VersionItem, truncated bool) {
	seen := map[string]bool{}
	var names []string
	collect := func(at objectPlace) {
		if at.bucket == q.Bucket && strings.HasPrefix(at.name, q.Prefix) && !seen[at.name] {
			seen[at.name] = true
			names = append(names, at.name)
		}
	}
	for at := range m.objects {
		collect(at)
	}
	for at := range m.versions {
		collect(at.objectPlace)
	}
	slices.Sort(names)
	var all []VersionItem
	rolled := map[string]bool{}
	for _, name := range names {
		if i := strings.Index(name[len(q.Prefix):], q.Delimiter); q.Delimiter != "" && i >= 0 {
			if p := name[:len(q.Prefix)+i+len(q.Delimiter)]; p > q.After && !rolled[p] {
				rolled[p] = true
				all = append(all, VersionItem{Key: p})
			}
			continue
		}
		for i, o := range m.chain(objectPlace{q.Bucket, name}) {
			inside := name == q.After && q.AfterVersion != nil && newer(q.AfterVersion, o.Version)
			if name > q.After || inside {
				all = append(all, VersionItem{Key: name, Object: o, Latest: i == 0})
			}
		}
	}
	if q.Max <= 0 {
		return nil, false
	}
	n := min(q.Max, len(all))
	return all[:n], n < len(all)
}

func versionLines(items []VersionItem) []string {
	var out []string
	for _, it := range items {
		line := it.Key
		if it.Object != nil {
			line = fmt.Sprintf("%s@%s latest=%v marker=%v", it.Key, describeVersion(it.Object.Version), it.Latest, it.Object.DeleteMarker)
		}
		out = append(out, line)
	}
	return out
}

// compareCursors compares the cursors of every bucket, and of none.
func (w *world) compareCursors(v *View) {
	for bucket := range w.g.m.seq {
		entries, err := v.Cursors(bucket)
		var got, want []string
		for _, e := range entries {
			got = append(got, fmt.Sprintf("%d %s %d", e.Kind, e.Name, e.Row.Next))
			if c, err := v.Cursor(bucket, e.Kind, e.Name); err != nil || !proto.Equal(c, e.Row) {
				w.t.Fatalf("cursor %v reads %v, %v", e, c, err)
			}
		}
		for at, c := range w.g.m.cursors {
			if at.bucket == bucket {
				want = append(want, fmt.Sprintf("%d %s %d", at.kind, at.name, c.Next))
			}
		}
		if slices.Sort(want); err != nil || !slices.Equal(got, want) {
			w.t.Fatalf("cursors of %d are %q, %v, want %q", bucket, got, err, want)
		}
	}
}
