package fsm

import (
	"bytes"
	"testing"

	"ironman/wal/event"
)

// TestPortrait: whatever a change replaces makes another portrait, and nothing else does:
// who joins a group meanwhile is not in a change's way.
func TestPortrait(t *testing.T) {
	full := func() *Principal {
		return &Principal{
			Principal: "AROA1", Account: "1", Name: "n", Path: "/p/", Description: "d", Trust: []byte("t"), MaxSession: 3600, Boundary: "b",
			Tags: &event.Tags{Tags: []*event.Tag{{Key: "k", Value: "v"}}}, Groups: []string{"g"}, Policies: []string{"p"}, InlineBytes: 1,
		}
	}
	was := full().Portrait()
	for name, change := range map[string]func(*Principal){
		"name": func(x *Principal) { x.Name = "N" }, "path": func(x *Principal) { x.Path = "/" }, "description": func(x *Principal) { x.Description = "" },
		"trust": func(x *Principal) { x.Trust = []byte("u") }, "session": func(x *Principal) { x.MaxSession++ }, "boundary": func(x *Principal) { x.Boundary = "" },
		"tags": func(x *Principal) { x.Tags.Tags[0].Value = "w" },
	} {
		x := full()
		if change(x); bytes.Equal(x.Portrait(), was) {
			t.Errorf("%s is not seen", name)
		}
	}
	x := full()
	x.Groups, x.Policies, x.InlineBytes = nil, nil, 9
	if !bytes.Equal(x.Portrait(), was) {
		t.Error("what no change replaces is in its way")
	}
}

// TestPolicyPortrait: other tags make another portrait of a policy, and nothing else does:
// a new version is not in the way of a change of tags.
func TestPolicyPortrait(t *testing.T) {
	full := func() *Policy {
		return &Policy{Policy: "ANPA1", Name: "n", Path: "/p/", DefaultVersion: 1, Tags: &event.Tags{Tags: []*event.Tag{{Key: "k", Value: "v"}}}}
	}
	was := full().Portrait()
	for name, change := range map[string]func(*event.Tags){
		"key": func(t *event.Tags) { t.Tags[0].Key = "K" }, "value": func(t *event.Tags) { t.Tags[0].Value = "w" }, "none": func(t *event.Tags) { t.Tags = nil },
		"more": func(t *event.Tags) { t.Tags = append(t.Tags, &event.Tag{Key: "l"}) },
	} {
		x := full()
		if change(x.Tags); bytes.Equal(x.Portrait(), was) {
			t.Errorf("%s is not seen", name)
		}
	}
	x := full()
	x.DefaultVersion, x.Updated, x.Attachments, x.Versions = 2, 9, 1, []uint32{1, 2}
	if !bytes.Equal(x.Portrait(), was) {
		t.Error("what no change replaces is in its way")
	}
}
