package fsm

import (
	"testing"

	"ironman/wal/event"
)

// TestTrace: a key that a row still tells is found, whatever the row is, and no other one.
func TestTrace(t *testing.T) {
	const name = "a\x00k"
	for _, c := range []struct {
		what string
		make func(r *rig, bucket uint64)
	}{
		{"", func(*rig, uint64) {}},
		{"object", func(r *rig, bucket uint64) { r.accept(r.put(bucket, name, 0)) }},
		{"version", func(r *rig, bucket uint64) {
			r.versioning(bucket, event.VersioningState_VERSIONING_STATE_ENABLED)
			r.delete(bucket, name) // a marker alone
		}},
		{"upload", func(r *rig, bucket uint64) {
			r.accept(event.NewDraft(r.header(), &event.Statement_UploadCreated{UploadCreated: &event.UploadCreated{
				Bucket: bucket, Owner: alice, Initiator: alice, Acl: private(alice),
			}}).AddText(event.ItemKind_ITEM_KIND_KEY, 0, name))
		}},
		{"history", func(r *rig, bucket uint64) {
			r.accept(r.put(bucket, name, 0))
			r.delete(bucket, name)
		}},
	} {
		r := newRig(t, Options{})
		r.level = 4
		bucket := r.genesis(3600e9)
		for _, other := range []string{"a", "a\x00", "a\x00k\x00", "a\x00kk", "b"} {
			r.accept(r.put(bucket, other, 0))
			r.delete(bucket, other)
			r.accept(r.put(bucket, other, 0))
		}
		c.make(r, bucket)
		v := r.view()
		for _, ask := range []struct {
			bucket   uint64
			name     string
			isPrefix bool
			want     string
		}{
			{bucket, name, false, c.what}, {bucket + 1, name, false, ""}, {bucket, "a\x00j", false, ""}, {bucket, "c", true, ""}, {bucket, "a\x00k", true, "object"},
		} {
			found, err := v.Trace(ask.bucket, ask.name, ask.isPrefix)
			if err != nil || found == nil && ask.want != "" || found != nil && found.What != ask.want {
				t.Errorf("%s: of %q in %d there is %+v, %v; want %q", c.what, ask.name, ask.bucket, found, err, ask.want)
			}
			if found != nil && !ask.isPrefix && (found.Key != name || (found.To > 0) != (found.What == "history")) {
				t.Errorf("%s: it is told as %+v", c.what, found)
			}
		}
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
		if c.what == "history" {
			r.accept(event.NewDraft(r.header(), &event.Statement_HistoryTrimmed{HistoryTrimmed: &event.HistoryTrimmed{To: r.Applied().Next, Rows: 1000}}))
			v := r.view()
			if found, err := v.Trace(bucket, name, false); found != nil || err != nil {
				t.Errorf("after the history was trimmed: %+v, %v", found, err)
			}
			if err := v.Close(); err != nil {
				t.Fatal(err)
			}
		}
		r.close()
	}
}

// TestTraceGathering: a key whose history is gone, and at which the gathering of its bucket's
// history stands, is found until that has gone on.
func TestTraceGathering(t *testing.T) {
	r := newRig(t, Options{})
	defer r.close()
	r.level = 4
	bucket := r.genesis(3600e9)
	names := []string{"a", "b\x00b", "c"}
	for _, name := range names {
		r.accept(r.put(bucket, name, 0))
		r.delete(bucket, name)
	}
	r.accept(event.NewDraft(r.header(), &event.Statement_HistoryRetentionSet{HistoryRetentionSet: &event.HistoryRetentionSet{Bucket: bucket, Retention: 1800e9}}))
	to := r.Applied().Next
	told := ""
	for step := 0; ; step++ {
		if step > 100 {
			t.Fatal("the gathering does not end")
		}
		r.accept(event.NewDraft(r.header(), &event.Statement_HistoryTrimmed{HistoryTrimmed: &event.HistoryTrimmed{Bucket: bucket, To: to, Rows: 1}}))
		v := r.view()
		row, err := v.Retention(bucket)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			for _, isPrefix := range []bool{false, true} {
				ask := name
				if isPrefix {
					ask = name[:1]
				}
				found, err := v.Trace(bucket, ask, isPrefix)
				if err != nil {
					t.Fatal(err)
				}
				if found != nil && found.What == "gathering" {
					if found.Key != name || found.To == 0 {
						t.Errorf("%q is told as %+v", name, found)
					}
					told += found.Key
				}
			}
		}
		if err := v.Close(); err != nil {
			t.Fatal(err)
		}
		if !row.Gathering {
			break
		}
	}
	if told != "aab\x00bb\x00b" { // behind the last there is nothing to go on with
		t.Errorf("at the gathering were found %q", told)
	}
	v := r.view()
	defer v.Close()
	for _, name := range names {
		if found, err := v.Trace(bucket, name, true); found != nil || err != nil {
			t.Errorf("in the end: %+v, %v", found, err)
		}
	}
}
