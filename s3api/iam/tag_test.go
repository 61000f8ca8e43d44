package iam

import (
	"errors"
	"net/url"
	"slices"
	"testing"

	"ironman/fsm"
	"ironman/s3api/policy"
	"ironman/wal/event"
)

// TestTagsWithoutCase: keys that differ in case only are one key, as conditions have it.
func TestTagsWithoutCase(t *testing.T) {
	twice := url.Values{"Tags.member.1.Key": {"Team"}, "Tags.member.1.Value": {"a"}, "Tags.member.2.Key": {"tEAM"}, "Tags.member.2.Value": {"b"}}
	for service, code := range map[string]string{ServiceIAM: "InvalidInput", ServiceSTS: "InvalidParameterValue"} {
		f := form{values: twice, service: service}
		f.tags()
		if e := (*Error)(nil); !errors.As(f.err, &e) || e.Code != code {
			t.Errorf("%s: %v, want %s", service, f.err, code)
		}
	}
	f := form{values: url.Values{"Tags.member.1.Key": {"AWS:Team"}, "Tags.member.1.Value": {"a"}}}
	if f.tags(); f.err == nil {
		t.Error("a key of Amazon's own was let")
	}
	tags := &event.Tags{}
	put(tags, "Team", "a")
	put(tags, "tEAM", "b")
	if len(tags.Tags) != 1 || tags.Tags[0].Key != "tEAM" || tags.Tags[0].Value != "b" {
		t.Errorf("put: %v", tags)
	}
	c := &Caller{
		Account: &fsm.Account{Account: "1"}, Session: &Session{Kind: RoleSession, Tags: []SessionTag{{"TEAM", "session"}}},
		Role: &fsm.Principal{Tags: &event.Tags{Tags: []*event.Tag{{Key: "team", Value: "role"}, {Key: "other", Value: "x"}}}},
	}
	if got := c.Tags(); !slices.Equal(got, []policy.Tag{{Key: "TEAM", Value: "session"}, {Key: "other", Value: "x"}}) {
		t.Errorf("of a session: %v", got)
	}
}

// TestBoundaryInQuestion: a condition on the boundary sees what is asked for only where
// the call sets one; else what the user or role has.
func TestBoundaryInQuestion(t *testing.T) {
	const asked, has = "arn:aws:iam::1:policy/asked", fsm.BuiltinPolicy + "ReadOnlyAccess"
	bounded := &fsm.Principal{Kind: user, Name: "u", Boundary: has}
	for i := range table {
		op := &table[i]
		want, free := "", ""
		switch op.name {
		case "CreateRole", "CreateUser", "PutRolePermissionsBoundary", "PutUserPermissionsBoundary":
			want, free = asked, asked
		case "AttachRolePolicy", "AttachUserPolicy", "DetachRolePolicy", "DetachUserPolicy", "DeleteRolePermissionsBoundary",
			"DeleteUserPermissionsBoundary", "DeleteRolePolicy", "DeleteUserPolicy", "PutRolePolicy", "PutUserPolicy":
			want = has
		}
		for subject, want := range map[*fsm.Principal]string{bounded: want, {Kind: user}: free, nil: free} {
			r := &Request{Context: new(policy.Context)}
			c := &call{op: op, request: r, subject: subject, form: form{values: url.Values{"PermissionsBoundary": {asked}}}}
			if got, err := c.boundaryInQuestion(); err != nil || got != want {
				t.Errorf("%s: %q, %v, want %q", op.name, got, err, want)
			}
		}
	}
}

// TestFederatedCaller: a federated user is known by the user that vouched for it, too; a
// session of its own key is the user, and has no other name.
func TestFederatedCaller(t *testing.T) {
	u := &fsm.Principal{Kind: user, Account: "1", Path: "/", Name: "u"}
	c := &Caller{Account: &fsm.Account{Account: "1"}, User: u, Session: &Session{Kind: FederatedSession, Name: "f"}}
	if p := c.Policy(); p.User != "arn:aws:iam::1:user/u" || p.ARN != "arn:aws:sts::1:federated-user/f" {
		t.Errorf("%+v", p)
	}
	c.Session.Kind = KeySession
	if p := c.Policy(); p.User != "" || p.ARN != "arn:aws:iam::1:user/u" {
		t.Errorf("%+v", p)
	}
}

// TestTagging: what is made with tags takes the right to tag it, by a name that policies know.
func TestTagging(t *testing.T) {
	var got []string
	for i := range table {
		if action := table[i].tagging(); action != "" {
			got = append(got, table[i].name)
			if !policy.KnownAction(action) {
				t.Errorf("no policy can name %s", action)
			}
		}
	}
	if !slices.Equal(got, []string{"CreateOpenIDConnectProvider", "CreatePolicy", "CreateRole", "CreateUser", "GetFederationToken"}) {
		t.Error(got)
	}
}
