package s3api

import (
	"testing"
	"time"

	"ironman/fsm"
	"ironman/s3api/access"
	"ironman/s3api/iam"
	"ironman/s3api/sig"
	"ironman/wal/event"
)

// TestRequester: logs name an account by its canonical id, others by their ARN, and nobody
// whose signature was not verified.
func TestRequester(t *testing.T) {
	account := &fsm.Account{Account: "111122223333", CanonicalId: "canonical"}
	principal := func(kind event.PrincipalKind, name string) *fsm.Principal {
		return &fsm.Principal{Kind: kind, Account: "111122223333", Name: name, Path: "/"}
	}
	user := principal(event.PrincipalKind_PRINCIPAL_KIND_USER, "ada")
	signed := &sig.Identity{AccessKey: "AKIA"}
	for name, c := range map[string]struct {
		identity *sig.Identity
		who      *iam.Caller
		want     string
	}{
		"nobody":             {&sig.Identity{}, nil, ""},
		"a bad signature":    {nil, &iam.Caller{Account: account}, ""},
		"an account":         {signed, &iam.Caller{Account: account}, "canonical"},
		"an account's token": {signed, &iam.Caller{Account: account, Session: &iam.Session{Kind: iam.KeySession}}, "canonical"},
		"a user":             {signed, &iam.Caller{Account: account, User: user}, "arn:aws:iam::111122223333:user/ada"},
		"a role's session": {signed, &iam.Caller{Account: account, Role: principal(event.PrincipalKind_PRINCIPAL_KIND_ROLE, "r"), Session: &iam.Session{Name: "s"}},
			"arn:aws:sts::111122223333:assumed-role/r/s"},
	} {
		r := &Request{identity: c.identity, who: c.who, principal: access.Principal{CanonicalID: "canonical"}}
		if got := r.requester(); got != c.want {
			t.Errorf("%s is %q, not %q", name, got, c.want)
		}
	}
}

// TestTurnAround: it is counted from the end of the body, where there is one and all of
// it came.
func TestTurnAround(t *testing.T) {
	at := func(ms int64) time.Time { return time.UnixMilli(1_000_000 + ms) }
	for name, c := range map[string]struct {
		in    incoming
		began time.Time
		want  time.Duration
	}{
		"no body":          {incoming{ended: true}, at(5), 5 * time.Millisecond},
		"a body":           {incoming{ended: true, end: at(3)}, at(5), 2 * time.Millisecond},
		"a body left over": {incoming{}, at(5), -1},
		"no answer":        {incoming{ended: true}, time.Time{}, -1},
		"a clock set back": {incoming{ended: true, end: at(9)}, at(5), 0},
	} {
		r := &Request{incoming: &c.in}
		if got := r.turnAround(&answer{began: c.began}, at(0)); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
