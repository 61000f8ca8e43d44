package server_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"ironman/s3api/policy"
	"ironman/s3api/sig"
)

// rule is a statement of a bucket's policy, and rules a policy of them.
func rule(effect, principal, action, resource, condition string) string {
	if condition != "" {
		condition = `,"Condition":` + condition
	}
	return fmt.Sprintf(`{"Effect":%q,"Principal":%s,"Action":%q,"Resource":"arn:aws:s3:::%s"%s}`, effect, principal, action, resource, condition)
}

func rules(statements ...string) []byte {
	return []byte(`{"Version":"2012-10-17","Statement":[` + strings.Join(statements, ",\n") + `]}`)
}

const (
	everybody    = `"*"`
	aliceAccount = `{"AWS":"000000000002"}`
)

// nobody is the same client without credentials.
func (c *client) nobody() *client {
	out := *c
	out.cred = sig.Credential{}
	return &out
}

func (v *victim) policy(bucket string, statements ...string) {
	v.Helper()
	v.root.must(v, 204, "PUT", "/"+bucket+"?policy", rules(statements...))
}

func TestBucketPolicyRoundTrip(t *testing.T) {
	v := newVictim(t)
	text := append(rules(rule("Allow", aliceAccount, "s3:ListBucket", "vault", "")), " \n\t"...)
	v.root.refused(t, 404, "NoSuchBucketPolicy", "GET", "/vault?policy", nil)
	v.root.must(t, 204, "DELETE", "/vault?policy", nil)
	v.root.must(t, 204, "PUT", "/vault?policy", text)
	if a := v.root.must(t, 200, "GET", "/vault?policy", nil); !bytes.Equal(a.body, text) || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("%q, %v", a.body, a.header)
	}
	status := func(want string) {
		t.Helper()
		if a := v.root.must(t, 200, "GET", "/vault?policyStatus", nil); !bytes.Contains(a.body, []byte("<IsPublic>"+want+"</IsPublic>")) {
			t.Errorf("%s", a.body)
		}
	}
	status("false")
	v.root.must(t, 204, "PUT", "/vault?policy", rules(rule("Allow", everybody, "s3:GetObject", "vault/page", "")))
	status("true")
	for _, c := range []*client{v.alice, v.root.nobody()} {
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			c.refused(t, 403, "AccessDenied", method, "/vault?policy", text)
		}
		c.refused(t, 403, "AccessDenied", "GET", "/vault?policyStatus", nil)
	}
	v.root.refused(t, 404, "NoSuchBucket", "PUT", "/nowhere?policy", text)
	v.root.must(t, 204, "DELETE", "/vault?policy", nil)
	v.root.refused(t, 404, "NoSuchBucketPolicy", "GET", "/vault?policy", nil)
	// A new bucket of the name does not inherit it.
	v.root.must(t, 200, "PUT", "/again", nil)
	v.policy("again", rule("Allow", everybody, "s3:ListBucket", "again", ""))
	v.root.must(t, 204, "DELETE", "/again", nil)
	v.root.must(t, 200, "PUT", "/again", nil)
	v.root.refused(t, 404, "NoSuchBucketPolicy", "GET", "/again?policy", nil)
	v.root.must(t, 204, "DELETE", "/again", nil)
	v.unharmed()
}

func TestBucketPolicyRefused(t *testing.T) {
	v := newVictim(t)
	for _, tc := range []struct{ text, message string }{
		{"", "first byte must be"},
		{"{", "invalid Json"},
		{string(rules(rule("Allow", everybody, "s3:GetObject", "public/*", ""))), "Policy has invalid resource"},
		{string(rules(rule("Allow", everybody, "s3:GetObject", "vault2/*", ""))), "Policy has invalid resource"},
		{string(rules(rule("Allow", everybody, "s3:ListBucket", "vault/*", ""))), "Action does not apply to any resource(s) in statement"},
		{string(rules(rule("Allow", everybody, "s3:GetThings", "vault/*", ""))), "Policy has invalid action"},
		{string(rules(rule("Allow", `{"AWS":"999999999999"}`, "s3:GetObject", "vault/*", ""))), "Invalid principal in policy"},
		{string(rules(rule("Allow", `{"CanonicalUser":"`+strings.Repeat("0", 64)+`"}`, "s3:GetObject", "vault/*", ""))), "Invalid principal in policy"},
	} {
		a, err := v.root.try("PUT", "/vault?policy", []byte(tc.text))
		checkRefused(t, tc.text, a, err, 400, "MalformedPolicy")
		if err == nil && !bytes.Contains(a.body, []byte(strings.ReplaceAll(tc.message, "'", "&#39;"))) {
			t.Errorf("%s: %s, want %s", tc.text, a.body, tc.message)
		}
	}
	exact := rules(rule("Allow", aliceAccount, "s3:ListBucket", "vault", ""))
	exact = append(exact, bytes.Repeat([]byte(" "), policy.MaxBucket-len(exact))...)
	v.root.must(t, 204, "PUT", "/vault?policy", exact)
	v.root.refused(t, 400, "MaxMessageLengthExceeded", "PUT", "/vault?policy", append(exact, ' '))
	if a := v.root.must(t, 200, "GET", "/vault?policy", nil); !bytes.Equal(a.body, exact) {
		t.Error("what was refused changed the policy")
	}
	v.root.must(t, 204, "DELETE", "/vault?policy", nil)
	v.unharmed()
}

// An account gets what the policy gives it, nobody else does, and no more of it: nor
// after the policy is gone.
func TestBucketPolicyGrants(t *testing.T) {
	v := newVictim(t)
	nobody := v.root.nobody()
	v.policy("vault",
		rule("Allow", aliceAccount, "s3:GetObject", "vault/sec*", ""),
		rule("Allow", aliceAccount, "s3:PutObject", "vault/in/*", ""),
		rule("Allow", everybody, "s3:GetObject", "vault/open/*", ""))
	v.root.must(t, 200, "PUT", "/vault/open/page", []byte("read me"))
	v.root.must(t, 200, "PUT", "/vault/private", []byte("x"))
	v.alice.must(t, 200, "GET", "/vault/secret", nil)
	v.alice.must(t, 200, "HEAD", "/vault/secret", nil)
	nobody.refused(t, 403, "AccessDenied", "GET", "/vault/secret", nil)
	for _, c := range []*client{v.alice, nobody} {
		if a := c.must(t, 200, "GET", "/vault/open/page", nil); string(a.body) != "read me" {
			t.Errorf("%s", a.body)
		}
		for _, r := range []route{
			{"GET", "/vault", "", nil}, {"GET", "/vault/private", "", nil}, {"GET", "/vault/open", "", nil}, {"PUT", "/vault/open/new", "x", nil},
			{"GET", "/vault/open/page?acl", "", nil}, {"GET", "/vault/open/page?versionId=null", "", nil}, {"DELETE", "/vault/open/page", "", nil},
			{"GET", "/vault/open/missing", "", nil}, {"PUT", "/vault/open/page?acl", "", []string{"X-Amz-Acl", "private"}},
		} {
			c.refused(t, 403, "AccessDenied", r.method, r.target, []byte(r.body), r.change()...)
		}
	}
	// What alice puts is hers, and what she may not read she may not copy.
	v.alice.must(t, 200, "PUT", "/vault/in/hers", []byte("hers"))
	v.alice.must(t, 200, "PUT", "/vault/in/copy", []byte{}, header("X-Amz-Copy-Source", "/vault/secret"))
	v.alice.must(t, 200, "GET", "/vault/in/copy", nil)
	v.alice.refused(t, 403, "AccessDenied", "PUT", "/vault/in/stolen", []byte{}, header("X-Amz-Copy-Source", "/vault/private"))
	v.alice.must(t, 200, "PUT", "/alices", nil)
	v.alice.must(t, 200, "PUT", "/alices/copy", []byte{}, header("X-Amz-Copy-Source", "/vault/secret"))
	a := v.alice.must(t, 200, "POST", "/alices/parts?uploads", []byte{})
	_, id, _ := strings.Cut(string(a.body), "<UploadId>")
	id, _, _ = strings.Cut(id, "</UploadId>")
	v.alice.must(t, 200, "PUT", "/alices/parts?partNumber=1&uploadId="+id, []byte{}, header("X-Amz-Copy-Source", "/vault/secret"))
	v.alice.refused(t, 403, "AccessDenied", "PUT", "/alices/parts?partNumber=2&uploadId="+id, []byte{}, header("X-Amz-Copy-Source", "/vault/private"))
	v.root.must(t, 204, "DELETE", "/vault?policy", nil)
	v.alice.refused(t, 403, "AccessDenied", "GET", "/vault/secret", nil)
	nobody.refused(t, 403, "AccessDenied", "GET", "/vault/open/page", nil)
}

// A denial beats an allowance, a grant and ownership; but the owner's account keeps the
// policy itself.
func TestBucketPolicyDenies(t *testing.T) {
	v := newVictim(t)
	nobody := v.root.nobody()
	nobody.must(t, 200, "GET", "/public/page", nil)
	v.policy("public", rule("Allow", everybody, "s3:GetObject", "public/*", ""), rule("Deny", everybody, "s3:GetObject", "public/pa*", ""))
	for _, c := range []*client{nobody, v.alice, v.root} {
		c.refused(t, 403, "AccessDenied", "GET", "/public/page", nil)
		c.refused(t, 403, "AccessDenied", "GET", "/public/pa-missing", nil)
		c.must(t, 200, "GET", "/public/hidden", nil)
	}
	v.root.must(t, 200, "PUT", "/alices-to-be", nil)
	v.policy("public", `{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::public","arn:aws:s3:::public/*"]}`)
	v.root.refused(t, 403, "AccessDenied", "GET", "/public", nil)
	v.root.refused(t, 403, "AccessDenied", "DELETE", "/public", nil)
	v.root.refused(t, 403, "AccessDenied", "GET", "/public?policyStatus", nil)
	v.root.must(t, 200, "GET", "/public?policy", nil)
	v.root.must(t, 204, "PUT", "/public?policy", rules(rule("Deny", everybody, "s3:*", "public", "")))
	v.root.must(t, 204, "DELETE", "/public?policy", nil)

	// The cluster's root may do all in a bucket of alice's, until a policy denies it; and
	// nobody locks itself out by mistake.
	v.alice.must(t, 200, "PUT", "/alices", nil)
	deny := rules(rule("Deny", everybody, "s3:PutBucketPolicy", "alices", ""))
	v.root.refused(t, 403, "AccessDenied", "PUT", "/alices?policy", deny)
	v.root.must(t, 204, "PUT", "/alices?policy", deny, header("X-Amz-Confirm-Remove-Self-Bucket-Access", "true"))
	v.root.refused(t, 403, "AccessDenied", "PUT", "/alices?policy", deny)
	v.alice.must(t, 204, "PUT", "/alices?policy", deny)
	v.alice.must(t, 204, "DELETE", "/alices?policy", nil)
	v.alice.must(t, 204, "DELETE", "/alices", nil)
	v.root.must(t, 204, "DELETE", "/alices-to-be", nil)
	v.unharmed()
}

// Conditions see the request as it is: S-D6.
func TestBucketPolicyConditions(t *testing.T) {
	v := newVictim(t)
	nobody := v.root.nobody()
	v.root.must(t, 200, "PUT", "/vault/red", []byte("x"), header("X-Amz-Tagging", "colour=red"))
	v.root.must(t, 200, "PUT", "/vault/blue", []byte("x"), header("X-Amz-Tagging", "colour=blue&other=red"))
	for _, tc := range []struct {
		name, statement string
		yes, no         []route
	}{
		{"prefix", rule("Allow", everybody, "s3:ListBucket", "vault", `{"StringLike":{"s3:prefix":["tenant1/*"]}}`),
			[]route{{"GET", "/vault?prefix=tenant1/", "", nil}, {"GET", "/vault?list-type=2&prefix=tenant1/x", "", nil}},
			[]route{{"GET", "/vault", "", nil}, {"GET", "/vault?prefix=", "", nil}, {"GET", "/vault?prefix=tenant10/", "", nil},
				{"GET", "/vault?prefix=tenant10/&prefix=tenant1/", "", nil}, {"GET", "/vault?versions&prefix=tenant1/", "", nil}}},
		{"address", rule("Allow", everybody, "s3:GetObject", "vault/*", `{"IpAddress":{"aws:SourceIp":"127.0.0.0/8"}}`),
			[]route{{"GET", "/vault/red", "", []string{"X-Forwarded-For", "192.0.2.1"}}}, nil},
		{"another address", rule("Allow", everybody, "s3:GetObject", "vault/*", `{"IpAddress":{"aws:SourceIp":"192.0.2.0/24"}}`),
			nil, []route{{"GET", "/vault/red", "", []string{"X-Forwarded-For", "192.0.2.1"}}, {"GET", "/vault/red", "", []string{"Sourceip", "192.0.2.1"}},
				{"GET", "/vault/red?aws:SourceIp=192.0.2.1", "", nil}}},
		{"tag", rule("Allow", everybody, "s3:GetObject", "vault/*", `{"StringEquals":{"s3:ExistingObjectTag/colour":"red"}}`),
			[]route{{"GET", "/vault/red", "", nil}}, []route{{"GET", "/vault/blue", "", nil}, {"GET", "/vault/secret", "", nil}, {"GET", "/vault/secret", "", []string{"X-Amz-Tagging", "colour=red"}}}},
		{"referer", rule("Allow", everybody, "s3:GetObject", "vault/*", `{"StringLike":{"aws:Referer":"http://www.example.com/*"}}`),
			[]route{{"GET", "/vault/red", "", []string{"Referer", "http://www.example.com/x"}}}, []route{{"GET", "/vault/red", "", nil}, {"GET", "/vault/red", "", []string{"Referer", "http://example.com/"}}}},
		{"a name in a header", rule("Allow", everybody, "s3:GetObject", "vault/*", `{"StringEquals":{"aws:username":"ann"}}`),
			nil, []route{{"GET", "/vault/red", "", []string{"Aws-Username", "ann"}}, {"GET", "/vault/red?aws:username=ann", "", nil}, {"GET", "/vault/red", "", []string{"Username", "ann"}}}},
		{"signed only", rule("Allow", everybody, "s3:GetObject", "vault/*", `{"StringEquals":{"s3:signatureversion":"AWS4-HMAC-SHA256"}}`),
			nil, []route{{"GET", "/vault/red", "", nil}}},
		{"plain only", rule("Allow", everybody, "s3:GetObject", "vault/*", `{"Bool":{"aws:SecureTransport":"false"}}`),
			[]route{{"GET", "/vault/red", "", nil}}, nil},
		{"tls only", rule("Allow", everybody, "s3:GetObject", "vault/*", `{"Bool":{"aws:SecureTransport":"true"}}`),
			nil, []route{{"GET", "/vault/red", "", []string{"X-Forwarded-Proto", "https"}}}},
	} {
		v.policy("vault", tc.statement)
		for _, r := range tc.yes {
			if a, err := nobody.try(r.method, r.target, nil, r.change()...); err != nil || a.status != 200 && a.status != 404 {
				t.Errorf("%s: %s %s: %v %v", tc.name, r.method, r.target, a, err)
			}
		}
		for _, r := range tc.no {
			a, err := nobody.try(r.method, r.target, nil, r.change()...)
			checkRefused(t, tc.name+": "+r.target, a, err, 403, "AccessDenied")
		}
	}
	// A missing key is told to whom a listing would show it.
	v.policy("vault", rule("Allow", everybody, "s3:ListBucket", "vault", `{"StringLike":{"s3:prefix":"open/*"}}`))
	nobody.refused(t, 404, "NoSuchKey", "GET", "/vault/open/missing", nil)
	nobody.refused(t, 403, "AccessDenied", "GET", "/vault/private/missing", nil)
	nobody.refused(t, 403, "AccessDenied", "GET", "/vault/missing?prefix=open/", nil)
}

// Conditions on what a request would write.
func TestBucketPolicyWrites(t *testing.T) {
	v := newVictim(t)
	put := func(want int, headers ...string) {
		t.Helper()
		r := route{headers: headers}
		body := []byte("x")
		if strings.Contains(fmt.Sprint(headers), "Copy-Source") {
			body = []byte{}
		}
		if a, err := v.alice.try("PUT", "/vault/in/x", body, r.change()...); err != nil || a.status != want {
			t.Errorf("%v: %v %v", headers, a, err)
		}
	}
	allow := rule("Allow", aliceAccount, "s3:PutObject", "vault/in/*", "")
	v.policy("vault", allow, rule("Deny", everybody, "s3:PutObject", "vault/*", `{"StringLike":{"s3:x-amz-acl":"public*"}}`))
	put(200)
	put(200, "X-Amz-Acl", "private")
	put(403, "X-Amz-Acl", "public-read")
	v.policy("vault", allow, rule("Deny", everybody, "s3:PutObjectAcl", "vault/*", ""))
	put(200)
	put(403, "X-Amz-Acl", "private")
	put(403, "X-Amz-Grant-Read", `uri="http://acs.amazonaws.com/groups/global/AllUsers"`)
	v.policy("vault", rule("Allow", aliceAccount, "s3:PutObject", "vault/in/*", `{"StringEquals":{"s3:RequestObjectTag/security":"public"}}`))
	put(200, "X-Amz-Tagging", "security=public&foo=bar")
	put(403, "X-Amz-Tagging", "security=private")
	put(403)
	v.policy("vault", allow, rule("Deny", everybody, "s3:PutObjectTagging", "vault/*", ""))
	put(403, "X-Amz-Tagging", "security=public")

	v.alice.must(t, 200, "PUT", "/alices", nil)
	v.alice.must(t, 200, "PUT", "/alices/public/x", []byte("x"))
	v.alice.must(t, 200, "PUT", "/alices/private/x", []byte("x"))
	v.policy("vault", rule("Allow", aliceAccount, "s3:PutObject", "vault/in/*", `{"StringLike":{"s3:x-amz-copy-source":"alices/public/*"}}`))
	put(200, "X-Amz-Copy-Source", "/alices/public/x")
	put(200, "X-Amz-Copy-Source", "alices/public/x")
	put(403, "X-Amz-Copy-Source", "/alices/private/x")
	put(403)
	v.policy("vault", allow, rule("Deny", everybody, "s3:PutObject", "vault/*", `{"StringLike":{"s3:x-amz-copy-source":"alices/private/*"}}`))
	put(200, "X-Amz-Copy-Source", "/alices/public/x")
	put(403, "X-Amz-Copy-Source", "/alices/%70rivate/x")
}

// Each key of a list of deletions is judged for itself.
func TestBucketPolicyDeleteObjects(t *testing.T) {
	v := newVictim(t)
	for _, key := range []string{"in/a", "in/b", "out"} {
		v.root.must(t, 200, "PUT", "/vault/"+key, []byte("x"))
	}
	v.policy("vault", rule("Allow", aliceAccount, "s3:DeleteObject", "vault/in/*", ""), rule("Deny", everybody, "s3:DeleteObject", "vault/in/b", ""))
	body := []byte("<Delete><Object><Key>in/a</Key></Object><Object><Key>in/b</Key></Object><Object><Key>out</Key></Object>" +
		"<Object><Key>in/a</Key><VersionId>null</VersionId></Object><Object><Key>out-missing</Key></Object></Delete>")
	a := v.alice.must(t, 200, "POST", "/vault?delete", body, header("Content-Md5", contentMD5(body)))
	if got := bytes.Count(a.body, []byte("<Deleted>")); got != 1 || bytes.Count(a.body, []byte("AccessDenied")) != 4 {
		t.Errorf("%s", a.body)
	}
	a = v.root.nobody().must(t, 200, "POST", "/vault?delete", body, header("Content-Md5", contentMD5(body)))
	if bytes.Contains(a.body, []byte("<Deleted>")) {
		t.Errorf("%s", a.body)
	}
	v.root.refused(t, 404, "NoSuchKey", "GET", "/vault/in/a", nil)
	v.root.must(t, 200, "GET", "/vault/in/b", nil)
	v.root.must(t, 200, "GET", "/vault/out", nil)

	// A condition on what an object is takes the right to read that object.
	v.root.must(t, 200, "PUT", "/vault/in/a", []byte("x"))
	v.policy("vault", rule("Allow", aliceAccount, "s3:DeleteObject", "vault/in/*", ""), rule("Allow", aliceAccount, "s3:GetObject", "vault/in/a", ""))
	body = []byte(`<Delete><Object><Key>in/a</Key><ETag>"0"</ETag></Object><Object><Key>in/b</Key><ETag>"0"</ETag></Object></Delete>`)
	a = v.alice.must(t, 200, "POST", "/vault?delete", body, header("Content-Md5", contentMD5(body)))
	if bytes.Count(a.body, []byte("<Code>PreconditionFailed<")) != 1 || bytes.Count(a.body, []byte("<Code>AccessDenied<")) != 1 {
		t.Errorf("%s", a.body)
	}
}
