package policy

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ironman/s3api/access"
)

const (
	one1  = "111122223333"
	two2  = "444455556666"
	user1 = "arn:aws:iam::111122223333:user/div/ann"
)

func ann() Caller { return Caller{Account: one1, CanonicalID: strings.Repeat("a", 64), ARN: user1} }
func root() Caller {
	return Caller{Account: one1, CanonicalID: strings.Repeat("a", 64), ARN: "arn:aws:iam::111122223333:root"}
}
func session() Caller {
	return Caller{Account: one1, ARN: "arn:aws:sts::111122223333:assumed-role/r/s", Role: "arn:aws:iam::111122223333:role/r"}
}

func federated() Caller {
	return Caller{Account: one1, ARN: "arn:aws:sts::111122223333:federated-user/f", User: user1}
}

func parse(t testing.TB, k Kind, text string) *Policy {
	t.Helper()
	p, err := Parse([]byte(text), k)
	if err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return p
}

func evaluate(p *Policy, c Caller, action, resource string, context *Context) access.Verdict {
	return Evaluate([]Named{{"p", p}}, &Request{Caller: c, Action: action, Resource: "arn:aws:s3:::" + resource, Context: context}).Verdict
}

func TestPrincipals(t *testing.T) {
	type who struct {
		name string
		Caller
	}
	everyone := []who{{"nobody", Caller{}}, {"root", root()}, {"ann", ann()}, {"session", session()}, {"federated", federated()}, {"stranger", Caller{Account: two2, ARN: "arn:aws:iam::444455556666:user/div/ann"}}}
	for principal, want := range map[string]string{
		`"*"`:                    "nobody root ann session federated stranger",
		`{"AWS":"*"}`:            "nobody root ann session federated stranger",
		`{"AWS":"` + one1 + `"}`: "root ann session federated",
		`{"AWS":"arn:aws:iam::111122223333:root"}`:             "root ann session federated",
		`{"AWS":["` + user1 + `","` + two2 + `"]}`:             "ann federated stranger",
		`{"AWS":"arn:aws:iam::111122223333:user/ann"}`:         "",
		`{"AWS":"arn:aws:iam::111122223333:role/r"}`:           "session",
		`{"AWS":"arn:aws:sts::111122223333:assumed-role/r/s"}`: "session",
		`{"AWS":"arn:aws:sts::111122223333:assumed-role/r/t"}`: "",
		`{"AWS":"arn:aws:sts::111122223333:federated-user/f"}`: "federated",
		`{"CanonicalUser":"` + strings.Repeat("A", 64) + `"}`:  "root ann",
		`{"Service":"logging.s3.amazonaws.com"}`:               "",
		`{"Federated":"x"}`:                                    "",
	} {
		p := parse(t, Bucket, statements(`{"Effect":"Allow","Principal":`+principal+`,"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}`))
		var got []string
		for _, w := range everyone {
			if evaluate(p, w.Caller, "s3:GetObject", "b/k", nil) == access.Allow {
				got = append(got, w.name)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", principal, got, want)
		}
	}
	// NotPrincipal spares only whoever stands there with all its names.
	for principal, want := range map[string]string{
		`{"AWS":"` + one1 + `"}`:                                      "nobody ann session federated stranger",
		`{"AWS":["` + one1 + `","` + user1 + `"]}`:                    "nobody session federated stranger",
		`{"AWS":"` + user1 + `"}`:                                     "nobody root ann session federated stranger",
		`{"AWS":["` + one1 + `","arn:aws:iam::111122223333:role/r"]}`: "nobody ann session federated stranger",
		`{"AWS":["` + one1 + `","arn:aws:iam::111122223333:role/r","arn:aws:sts::111122223333:assumed-role/r/s"]}`: "nobody ann federated stranger",
		`"*"`: "",
	} {
		p := parse(t, Bucket, statements(`{"Effect":"Deny","NotPrincipal":`+principal+`,"Action":"s3:*","Resource":"arn:aws:s3:::b/*"}`))
		var got []string
		for _, w := range everyone {
			if evaluate(p, w.Caller, "s3:GetObject", "b/k", nil) == access.Deny {
				got = append(got, w.name)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("not %s: %v, want %s", principal, got, want)
		}
	}
}

// The opinion points at the statement that decides: a denial first, else an allowance
// of the caller itself, else the first.
func TestOpinion(t *testing.T) {
	rule := func(sid, effect, principal, action string) string {
		return fmt.Sprintf(`{"Sid":%q,"Effect":%q,"Principal":%s,"Action":%q,"Resource":"arn:aws:s3:::b/*"}`, sid, effect, principal, action)
	}
	p := parse(t, Bucket, statements(
		rule("all", "Allow", `"*"`, "s3:GetObject"),
		rule("account", "Allow", `{"AWS":"`+one1+`"}`, "s3:GetObject"),
		rule("ann", "Allow", `{"AWS":"`+user1+`"}`, "s3:GetObject"),
		rule("no", "Deny", `{"AWS":"`+two2+`"}`, "s3:Get*"),
	))
	for _, tc := range []struct {
		c      Caller
		action string
		want   access.Opinion
	}{
		{Caller{}, "s3:GetObject", access.Opinion{Verdict: access.Allow, Policy: "p", Statement: "all"}},
		{root(), "s3:GetObject", access.Opinion{Verdict: access.Allow, Policy: "p", Statement: "all"}},
		{ann(), "s3:GetObject", access.Opinion{Verdict: access.Allow, Policy: "p", Statement: "ann", Position: 2, Direct: true}},
		{Caller{Account: two2}, "s3:GetObject", access.Opinion{Verdict: access.Deny, Policy: "p", Statement: "no", Position: 3}},
		{ann(), "s3:PutObject", access.Opinion{}},
	} {
		got := Evaluate([]Named{{"p", p}}, &Request{Caller: tc.c, Action: tc.action, Resource: "arn:aws:s3:::b/k"})
		if got != tc.want {
			t.Errorf("%+v %s: %+v", tc.c, tc.action, got)
		}
	}
	// A denial in a later policy counts.
	deny := parse(t, Identity, statements(`{"Effect":"Deny","Action":"s3:*","Resource":"*"}`))
	if got := Evaluate([]Named{{"p", p}, {"q", deny}}, &Request{Caller: ann(), Action: "s3:GetObject", Resource: "arn:aws:s3:::b/k"}); got.Verdict != access.Deny || got.Policy != "q" {
		t.Errorf("%+v", got)
	}
}

func TestActionsAndResources(t *testing.T) {
	for _, tc := range []struct {
		statement, action, resource string
		want                        access.Verdict
	}{
		{`"Action":"s3:get*","Resource":"arn:aws:s3:::b/*"`, "s3:GetObject", "b/k", access.Allow},
		{`"Action":"s3:Get?bject","Resource":"arn:aws:s3:::b/*"`, "s3:GetObject", "b/k", access.Allow},
		{`"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"`, "s3:GetObjectVersion", "b/k", access.Silent},
		{`"Action":"*","Resource":"*"`, "s3:ListBucket", "b", access.Allow},
		{`"NotAction":"s3:Put*","Resource":"*"`, "s3:GetObject", "b/k", access.Allow},
		{`"NotAction":"s3:Put*","Resource":"*"`, "s3:PutObject", "b/k", access.Silent},
		{`"NotAction":"s3:Put*","Resource":"*"`, "iam:CreateUser", "b/k", access.Allow},
		{`"Action":"s3:*","NotResource":["arn:aws:s3:::b/secret/*","arn:aws:s3:::c"]`, "s3:GetObject", "b/k", access.Allow},
		{`"Action":"s3:*","NotResource":["arn:aws:s3:::b/secret/*","arn:aws:s3:::c"]`, "s3:GetObject", "b/secret/k", access.Silent},
		{`"Action":"s3:*","Resource":"arn:aws:s3:::b/${aws:username}/*"`, "s3:GetObject", "b/ann/k", access.Allow},
		{`"Action":"s3:*","Resource":"arn:aws:s3:::b/${aws:username}/*"`, "s3:GetObject", "b/bob/k", access.Silent},
		{`"Action":"s3:*","Resource":"arn:aws:s3:::b/${aws:absent}/*"`, "s3:GetObject", "b//k", access.Silent},
		// Without its variable a statement must not allow more.
		{`"Action":"s3:*","NotResource":"arn:aws:s3:::b/${aws:absent}/*"`, "s3:GetObject", "b/x", access.Silent},
		{`"Action":"s3:*","Resource":"*","Condition":{"StringNotEquals":{"aws:userid":"${aws:absent}"}}`, "s3:GetObject", "b/x", access.Silent},
		{`"Action":"s3:*","Resource":"*","Condition":{"StringNotEquals":{"aws:userid":["$","{x","${aws:absent}"]}}`, "s3:GetObject", "b/x", access.Silent},
		{`"Action":"s3:*","Resource":"*","Condition":{"StringNotEquals":{"aws:userid":"${aws:absent, 'x'}"}}`, "s3:GetObject", "b/x", access.Allow},
	} {
		p := parse(t, Identity, statements(`{"Effect":"Allow",`+tc.statement+`}`))
		if got := evaluate(p, ann(), tc.action, tc.resource, context("aws:username=ann")); got != tc.want {
			t.Errorf("%s on %s %s: %v", tc.statement, tc.action, tc.resource, got)
		}
	}
	// But it must deny no less.
	for _, statement := range []string{
		`"Action":"s3:*","NotResource":"arn:aws:s3:::b/${aws:absent}/*"`,
		`"Action":"s3:*","Resource":"*","Condition":{"StringNotEquals":{"aws:userid":"${aws:absent}"}}`,
	} {
		p := parse(t, Identity, statements(`{"Effect":"Deny",`+statement+`}`))
		if got := evaluate(p, ann(), "s3:GetObject", "b/x", nil); got != access.Deny {
			t.Errorf("%s: %v", statement, got)
		}
	}
}

// Policies of Amazon's user guide, as they are used.
func TestExamples(t *testing.T) {
	facts := func(change func(*Facts)) *Context {
		f := Facts{Action: "s3:GetObject", Now: time.Unix(1700000000, 0), Peer: netip.MustParseAddr("192.0.2.7"), Header: http.Header{}, Caller: ann(), UserName: "ann"}
		change(&f)
		return NewContext(&f)
	}
	with := func(name, value string) *Context {
		return facts(func(f *Facts) { f.Header = http.Header{name: {value}} })
	}
	list := func(prefix string) *Context {
		return facts(func(f *Facts) { f.Action, f.Query = "s3:ListBucket", map[string][]string{"prefix": {prefix}} })
	}
	nothing := facts(func(*Facts) {})
	for _, tc := range []struct {
		name, rest, action, resource string
		hold, fail                   []*Context // the statement applies, or does not
	}{
		{"encryption in transit", `"Condition":{"Bool":{"aws:SecureTransport":"false"}}`, "s3:GetObject", "b/k",
			[]*Context{nothing}, []*Context{facts(func(f *Facts) { f.Secure = true })}},
		{"canned ACL", `"Condition":{"StringEquals":{"s3:x-amz-acl":"bucket-owner-full-control"}}`, "s3:PutObject", "b/k",
			[]*Context{with("X-Amz-Acl", "bucket-owner-full-control")}, []*Context{nothing, with("X-Amz-Acl", "private")}},
		{"tags", `"Condition":{"StringEquals":{"s3:ExistingObjectTag/environment":"production"}}`, "s3:GetObject", "b/k",
			[]*Context{facts(func(f *Facts) { f.ExistingTags = []Tag{{"environment", "production"}} })},
			[]*Context{nothing, facts(func(f *Facts) { f.ExistingTags = []Tag{{"environment", "test"}, {"x", "production"}} })}},
		{"allowed tag keys", `"Condition":{"ForAllValues:StringLike":{"s3:RequestObjectTagKeys":["Owner","CreationDate"]}}`, "s3:PutObjectTagging", "b/k",
			[]*Context{nothing, facts(func(f *Facts) { f.RequestTags = []Tag{{"Owner", "x"}} })}, []*Context{facts(func(f *Facts) { f.RequestTags = []Tag{{"Owner", "x"}, {"Other", "y"}} })}},
		{"addresses", `"Condition":{"NotIpAddress":{"aws:SourceIp":"192.0.2.0/24"}}`, "s3:GetObject", "b/k",
			[]*Context{facts(func(f *Facts) { f.Peer = netip.MustParseAddr("203.0.113.1") })}, []*Context{nothing, facts(func(f *Facts) { f.Peer = netip.MustParseAddr("::ffff:192.0.2.1") })}},
		{"referer", `"Condition":{"StringLike":{"aws:Referer":["http://www.example.com/*"]}}`, "s3:GetObject", "b/k",
			[]*Context{with("Referer", "http://www.example.com/x")}, []*Context{nothing, with("Referer", "http://example.com/")}},
		{"prefix", `"Condition":{"StringLike":{"s3:prefix":["","home/","home/${aws:username}/*"]}}`, "s3:ListBucket", "b",
			[]*Context{list(""), list("home/ann/x")}, []*Context{nothing, list("home/bob/"), list("home/annette/")}},
		{"max keys", `"Condition":{"NumericGreaterThan":{"s3:max-keys":"10"}}`, "s3:ListBucket", "b",
			[]*Context{facts(func(f *Facts) { f.Action, f.Query = "s3:ListBucket", map[string][]string{"max-keys": {"11"}} })}, []*Context{nothing}},
		{"old signatures", `"Condition":{"NumericGreaterThan":{"s3:signatureAge":600000}}`, "s3:GetObject", "b/k",
			[]*Context{facts(func(f *Facts) { f.Signed = f.Now.Add(-11 * time.Minute) })}, []*Context{nothing, facts(func(f *Facts) { f.Signed = f.Now.Add(-time.Minute) })}},
		{"retention", `"Condition":{"NumericGreaterThan":{"s3:object-lock-remaining-retention-days":"100"}}`, "s3:PutObjectRetention", "b/k",
			[]*Context{facts(func(f *Facts) { f.RetainUntil = f.Now.Add(2401 * time.Hour) })}, []*Context{nothing, facts(func(f *Facts) { f.RetainUntil = f.Now.Add(2400 * time.Hour) })}},
		{"version", `"Condition":{"StringEquals":{"s3:VersionId":"v1"}}`, "s3:GetObjectVersion", "b/k",
			[]*Context{facts(func(f *Facts) { f.Version = "v1" })}, []*Context{nothing}},
		{"copy source", `"Condition":{"StringLike":{"s3:x-amz-copy-source":"c/public/*"}}`, "s3:PutObject", "b/k",
			[]*Context{facts(func(f *Facts) { f.CopySource = "c/public/x" })}, []*Context{nothing, facts(func(f *Facts) { f.CopySource = "c/private/x" }), with("X-Amz-Copy-Source", "c/public/x")}},
		{"no second factor", `"Condition":{"Null":{"aws:MultiFactorAuthPresent":true}}`, "s3:GetObject", "b/k",
			[]*Context{nothing}, []*Context{facts(func(f *Facts) { f.TokenIssued = f.Now })}},
		{"until", `"Condition":{"DateGreaterThan":{"aws:CurrentTime":"2023-11-14T00:00:00Z"},"DateLessThan":{"aws:CurrentTime":"2023-11-15T00:00:00Z"}}`, "s3:GetObject", "b/k",
			[]*Context{nothing}, []*Context{facts(func(f *Facts) { f.Now = f.Now.Add(24 * time.Hour) })}},
	} {
		p := parse(t, Bucket, statements(`{"Effect":"Deny","Principal":"*","Action":"`+tc.action+`","Resource":"arn:aws:s3:::`+tc.resource+`",`+tc.rest+`}`))
		for i, c := range tc.hold {
			if evaluate(p, ann(), tc.action, tc.resource, c) != access.Deny {
				t.Errorf("%s: %d does not apply", tc.name, i)
			}
		}
		for i, c := range tc.fail {
			if evaluate(p, ann(), tc.action, tc.resource, c) != access.Silent {
				t.Errorf("%s: %d applies", tc.name, i)
			}
		}
	}
}

// S-D6: no header or parameter becomes a key by its name.
func TestReservedKeys(t *testing.T) {
	h, q := http.Header{}, map[string][]string{}
	for _, name := range []string{
		"userid", "username", "aws:username", "aws:userid", "Aws:Sourceip", "aws:SourceIp", "aws:PrincipalArn", "aws:PrincipalTag/x", "aws:SecureTransport",
		"s3:prefix", "s3:authType", "s3:ResourceAccount", "X-Forwarded-For", "Forwarded", "X-Real-Ip", "X-Amz-Security-Token", "s3:ExistingObjectTag/x", "aws:MultiFactorAuthPresent",
	} {
		h[name], h[http.CanonicalHeaderKey(name)], q[name] = []string{"forged"}, []string{"forged"}, []string{"forged"}
	}
	c := NewContext(&Facts{Action: "s3:ListBucket", Header: h, Query: q, Peer: netip.MustParseAddr("192.0.2.1")})
	for key, values := range c.byKey {
		if strings.Contains(strings.Join(values, ","), "forged") {
			t.Errorf("%s is %q", key, values)
		}
	}
	if got := c.values("aws:sourceip"); len(got) != 1 || got[0] != "192.0.2.1" {
		t.Errorf("the address is %q", got)
	}
}

func TestPublic(t *testing.T) {
	for _, tc := range []struct {
		rest string
		want bool
	}{
		{`"Principal":"*"`, true},
		{`"Principal":{"AWS":["111122223333","*"]}`, true},
		{`"Principal":{"AWS":"111122223333"}`, false},
		{`"Principal":{"Service":"logging.s3.amazonaws.com"}`, false},
		{`"Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/32"}}`, false},
		{`"Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":["203.0.113.0/24","0.0.0.0/1"]}}`, true},
		{`"Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":"8.0.0.0/7"}}`, true},
		{`"Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":"8.0.0.0/8"}}`, false},
		{`"Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":"2001::/31"}}`, true},
		{`"Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":"2001:db8::/32"}}`, false},
		{`"Principal":"*","Condition":{"IpAddress":{"aws:SourceIp":"fd00::/8"}}`, false},
		{`"Principal":"*","Condition":{"NotIpAddress":{"aws:SourceIp":"203.0.113.0/24"}}`, true},
		{`"Principal":"*","Condition":{"IpAddressIfExists":{"aws:SourceIp":"203.0.113.0/24"}}`, true},
		{`"Principal":"*","Condition":{"StringLike":{"aws:SourceVpc":"vpc-*"}}`, true},
		{`"Principal":"*","Condition":{"StringEquals":{"aws:SourceVpc":"vpc-91237329"}}`, false},
		{`"Principal":"*","Condition":{"StringEquals":{"aws:PrincipalAccount":["111122223333","${aws:username}"]}}`, true},
		{`"Principal":"*","Condition":{"ForAllValues:StringEquals":{"aws:PrincipalAccount":"111122223333"}}`, true},
		{`"Principal":"*","Condition":{"StringEquals":{"aws:PrincipalOrgID":"o-1"}}`, false},
		{`"Principal":"*","Condition":{"StringEquals":{"s3:prefix":"x"}}`, true},
		{`"Principal":"*","Condition":{"StringEquals":{"aws:Referer":"x"}}`, true},
		{`"Principal":"*","Condition":{"StringLike":{"aws:userid":"AROAX:*"}}`, false},
		{`"Principal":"*","Condition":{"StringLike":{"aws:userid":"*"}}`, true},
		{`"Principal":"*","Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:sns:*:111122223333:*"}}`, false},
		{`"Principal":"*","Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:sns:*:*:*"}}`, true},
		{`"Principal":"*","Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:s3:::c*"}}`, true},
		{`"Principal":"*","Condition":{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::111122223333:role/r"}}`, false},
	} {
		text := `{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/*",` + tc.rest + `}`
		if got := parse(t, Bucket, statements(text)).Public(); got != tc.want {
			t.Errorf("%s: %v", tc.rest, got)
		}
		if parse(t, Bucket, statements(strings.Replace(text, "Allow", "Deny", 1))).Public() {
			t.Errorf("%s: a denial is public", tc.rest)
		}
		private := strings.Replace(statements(text, `{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/*","Principal":"*"}`), tc.rest, `"Principal":{"AWS":"111122223333"}`, 1)
		if !parse(t, Bucket, private).Public() {
			t.Error("one public statement is enough")
		}
	}
}

func BenchmarkEvaluate(b *testing.B) {
	p := parse(b, Bucket, statements(
		`{"Effect":"Allow","Principal":"*","Action":["s3:GetObject","s3:GetObjectVersion"],"Resource":"arn:aws:s3:::b/public/*"}`,
		`{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::b","arn:aws:s3:::b/*"],"Condition":{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}}`))
	f := Facts{Action: "s3:GetObject", Now: time.Unix(1700000000, 0), Peer: netip.MustParseAddr("192.0.2.7"), Header: http.Header{"User-Agent": {"x"}}, Caller: ann()}
	b.ReportAllocs()
	for b.Loop() {
		if evaluate(p, f.Caller, f.Action, "b/public/k", NewContext(&f)) != access.Allow {
			b.Fatal("refused")
		}
	}
}
