package server

import (
	"slices"
	"testing"

	"ironman/server/audit"
	"ironman/wal/event"
)

// TestFeedToldOfBucket: of each kind of event that is about a bucket somebody has decided whether the
// bucket's feed tells it.
func TestFeedToldOfBucket(t *testing.T) {
	not := []string{"history_trimmed", "cursor_set", "cursor_deleted"}
	fields := (&event.Statement{}).ProtoReflect().Descriptor().Oneofs().ByName("body").Fields()
	seen := 0
	for i := range fields.Len() {
		f := fields.Get(i)
		kind := string(f.Name())
		if f.Message().Fields().ByName("bucket") == nil && kind != "bucket_created" {
			if toldOfBucket(kind) {
				t.Errorf("%s is of no bucket, and told", kind)
			}
			continue
		}
		seen++
		if toldOfBucket(kind) == slices.Contains(not, kind) {
			t.Errorf("%s: told: %v", kind, toldOfBucket(kind))
		}
		e := &audit.Entry{Bucket: 7, Kind: kind, Outcome: "accepted"}
		if told := ofBucket(e, 7, ""); (told != nil) != toldOfBucket(kind) {
			t.Errorf("%s: %+v", kind, told)
		}
	}
	if seen < 22 {
		t.Errorf("%d kinds are of a bucket", seen)
	}
	if toldOfBucket("of_a_later_release") {
		t.Error("what nobody knows is told")
	}
}

// TestFeedTellsNoActors: the owner of a bucket is told the names of his own users and sessions; of others
// an id, and no session's name.
func TestFeedTellsNoActors(t *testing.T) {
	for _, tc := range []struct{ account, actor, name, wantActor, wantName string }{
		{"owner", "AROLE:ada", "job/ada", "AROLE:ada", "job/ada"},
		{"owner", "AUSER", "bea", "AUSER", "bea"},
		{"other", "AROLE:ada", "job/ada", "AROLE", ""},
		{"other", "AUSER", "bea", "AUSER", ""},
		{"", "AROLE:ada", "job/ada", "AROLE", ""},
		{"", "system", "", "system", ""},
	} {
		e := &audit.Entry{Bucket: 7, Kind: "object_put", Outcome: "accepted", Actor: tc.actor, ActorName: tc.name, ActorAccount: tc.account}
		if told := ofBucket(e, 7, "owner"); told.Actor != tc.wantActor || told.ActorName != tc.wantName {
			t.Errorf("%+v: %q, %q", tc, told.Actor, told.ActorName)
		}
		if told := ofBucket(e, 7, ""); told.Actor != "" || told.ActorName != "" {
			t.Errorf("%+v: to another account: %q, %q", tc, told.Actor, told.ActorName)
		}
	}
}

// TestFeedTellsNoIdleKeys: of several keys those are told to which something happened.
func TestFeedTellsNoIdleKeys(t *testing.T) {
	e := &audit.Entry{Bucket: 7, Kind: "objects_deleted", Outcome: "accepted", Keys: []string{"a", "b", "c"}, Subs: []string{"accepted", "conflict", "accepted"}}
	e.Idle = []bool{false, true, false}
	if told := ofBucket(e, 7, ""); !slices.Equal(told.Keys, []string{"a", "c"}) || told.Subs != nil {
		t.Errorf("%+v", told)
	}
	e.Idle = []bool{true, true, true}
	if told := ofBucket(e, 7, ""); told != nil {
		t.Errorf("nothing happened, and is told: %+v", told)
	}
	e.Erased = 1
	if told := ofBucket(e, 7, ""); told == nil || len(told.Keys) != 0 {
		t.Errorf("a key that was erased is not told of: %+v", told)
	}
	e = &audit.Entry{Bucket: 7, Kind: "transaction_committed", Outcome: "accepted", Keys: []string{"a", "b"}, Idle: []bool{false, true}}
	e.Steps = []audit.Step{{What: "put", Key: "a"}, {What: "delete", Key: "b", Idle: true}}
	if told := ofBucket(e, 7, ""); !slices.Equal(told.Keys, []string{"a"}) || len(told.Steps) != 1 || told.Steps[0].Key != "a" {
		t.Errorf("%+v", told)
	}
}
