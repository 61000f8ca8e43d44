package iam

import (
	"slices"
	"strings"
	"testing"
	"time"

	"ironman/s3api/policy"
	"ironman/s3api/sig"
	"ironman/wal/event"
)

// TestTable: actions stand in byte order, each once and whole, under the name that
// policies know it by.
func TestTable(t *testing.T) {
	names := make([]string, len(table))
	for i := range table {
		op := &table[i]
		names[i] = op.name
		if op.on == nil || op.handle == nil || op.service != ServiceIAM && op.service != ServiceSTS || find(op.name) != op {
			t.Errorf("%s is not whole", op.name)
		}
		if !policy.KnownAction(op.service + ":" + op.name) {
			t.Errorf("no policy can name %s:%s", op.service, op.name)
		}
	}
	if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) {
		t.Error("the table is not in order")
	}
	for _, name := range []string{"", "createUser", "CreateUserX", "GetCallerIdentity\x00"} {
		if find(name) != nil {
			t.Errorf("found %q", name)
		}
	}
}

// TestBuiltins: every policy that all clusters have can be read.
func TestBuiltins(t *testing.T) {
	for i := range builtins {
		b := &builtins[i]
		if _, err := policy.Parse([]byte(b.text), policy.Identity); err != nil || builtinByARN(b.arn()) != b {
			t.Errorf("%s: %v", b.name, err)
		}
	}
}

// TestRefusals: every refusal of an event has a code of Amazon's.
func TestRefusals(t *testing.T) {
	for n := range event.Refusal_name {
		if e := refusal(event.Refusal(n), "It"); e.Code == "" || e.Status < 400 || e.Message == "" {
			t.Errorf("%v: %v", event.Refusal(n), e)
		} else if want := event.Refusal(n) == event.Refusal_REFUSAL_CONFLICT; Overtaken(e) != want {
			t.Errorf("%v is to be tried again: %v", event.Refusal(n), !want)
		}
	}
}

func TestSessionRoundTrip(t *testing.T) {
	in := &Session{
		Kind: RoleSession, Account: "1", Principal: "AROA", Name: "n", Issued: 5, Expires: 10, Policy: "{}", Policies: []string{"p"},
		Tags: []SessionTag{{"k", "v"}}, secret: sig.NewSecret("a secret of a session"),
	}
	b, err := in.marshal()
	if err != nil {
		t.Fatal(err)
	}
	out, err := ParseSession(b)
	if err != nil || !out.Secret().Equal(in.secret) || out.Name != "n" || out.Tags[0] != in.Tags[0] || out.Policies[0] != "p" || out.Kind != RoleSession {
		t.Errorf("%+v, %v", out, err)
	}
	if !out.Expired(time.Unix(10, 0)) || out.Expired(time.Unix(9, 999)) {
		t.Error("it ends at another time")
	}
}

// FuzzSession: what is no session is refused, and what is one reads again as itself.
func FuzzSession(f *testing.F) {
	good, err := (&Session{Kind: KeySession, Account: "1", Key: "k", secret: sig.NewSecret("s")}).marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"Kind":9,"Secret":"cw=="}`))
	f.Add([]byte(`{"Kind":1}`))
	f.Add([]byte(`{`))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := ParseSession(b)
		if err != nil {
			return
		}
		again, err := s.marshal()
		if err != nil {
			t.Fatal(err)
		}
		if s2, err := ParseSession(again); err != nil || !s2.Secret().Equal(s.Secret()) || s2.Kind != s.Kind || s2.Expires != s.Expires {
			t.Fatalf("%+v is %+v again, %v", s, s2, err)
		}
	})
}

// TestSecretsAreShownOnce: an answer prints its secret in XML and nowhere else.
func TestSecretsAreShownOnce(t *testing.T) {
	secret := shown{sig.NewSecret("the-secret-itself")}
	out := keyResult{keyXML{"u", "AKIA", "Active", &secret, "d"}}
	if xml := string(document(answer{"CreateAccessKey", ServiceIAM, "id", out})); !strings.Contains(xml, "<SecretAccessKey>the-secret-itself</SecretAccessKey>") {
		t.Error(xml)
	}
	if s := secret.String(); strings.Contains(s, "the-secret") {
		t.Error(s)
	}
}
