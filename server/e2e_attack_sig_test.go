package server_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"ironman/s3api/sig"
	"ironman/wal/event"
)

const emptySHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// TestAttackSignature: A1 to A12. Whoever did not sign exactly this gets nothing.
func TestAttackSignature(t *testing.T) {
	v := newVictim(t)
	for _, part := range []struct {
		name string
		run  func(*victim)
	}{
		{"changed", (*victim).changedRequests}, {"keys", (*victim).wrongKeys}, {"dates", (*victim).wrongDates}, {"scopes", (*victim).wrongScopes},
		{"unsigned headers", (*victim).unsignedHeaders}, {"two ways", (*victim).twoWays}, {"v2", (*victim).changedV2}, {"tokens", (*victim).tokens},
		{"no fall-through", (*victim).noFallThrough}, {"raw", (*victim).rawHeaders}, {"replay", (*victim).replay},
	} {
		t.Run(part.name, func(t *testing.T) {
			w := v.as(t)
			part.run(w)
			w.unharmed()
		})
	}
}

// A1: one thing is changed after it was signed.
func (v *victim) changedRequests() {
	const code = "SignatureDoesNotMatch"
	for _, tc := range []struct {
		name   string
		method string
		target string
		change func(*http.Request)
	}{
		{"method", "GET", "/vault/secret", func(r *http.Request) { r.Method = "DELETE" }},
		{"method to HEAD", "GET", "/vault/secret", func(r *http.Request) { r.Method = "HEAD" }},
		{"key", "GET", "/vault/secret", func(r *http.Request) { r.URL.Path = "/vault/secre" }},
		{"bucket", "GET", "/vault/page", func(r *http.Request) { r.URL.Path = "/public/page" }},
		{"a slash more", "GET", "/vault/secret", func(r *http.Request) { r.URL.Path = "/vault//secret" }},
		{"a slash at the end", "GET", "/vault/secret", func(r *http.Request) { r.URL.Path = "/vault/secret/" }},
		{"a sub-resource more", "GET", "/vault/secret", func(r *http.Request) { r.URL.RawQuery = "acl" }},
		{"a sub-resource less", "GET", "/vault/secret?acl", func(r *http.Request) { r.URL.RawQuery = "" }},
		{"a query value", "GET", "/vault?list-type=2&prefix=a", func(r *http.Request) { r.URL.RawQuery = "list-type=2&prefix=s" }},
		{"a query value twice", "GET", "/vault?list-type=2", func(r *http.Request) { r.URL.RawQuery = "list-type=2&list-type=2" }},
		{"plus for a space", "GET", "/vault?list-type=2&prefix=a%20b", func(r *http.Request) { r.URL.RawQuery = "list-type=2&prefix=a%2Bb" }},
		{"host", "GET", "/vault/secret", func(r *http.Request) { r.Host = "elsewhere" }},
		{"a signed header", "PUT", "/vault/new", func(r *http.Request) { r.Header.Set("X-Amz-Acl", "public-read") }},
		{"a signed header less", "PUT", "/vault/new", func(r *http.Request) { r.Header.Del("X-Amz-Acl") }},
		{"the hash of the body", "PUT", "/vault/new", func(r *http.Request) { r.Header.Set("X-Amz-Content-Sha256", sig.UnsignedPayload) }},
		{"the date", "GET", "/vault/secret", func(r *http.Request) {
			r.Header.Set("X-Amz-Date", time.Now().Add(time.Minute).UTC().Format("20060102T150405Z"))
		}},
		{"one digit of the signature", "GET", "/vault/secret", func(r *http.Request) {
			a := r.Header.Get("Authorization")
			last := "0"
			if strings.HasSuffix(a, "0") {
				last = "1"
			}
			r.Header.Set("Authorization", a[:len(a)-1]+last)
		}},
	} {
		r := v.request(tc.method, tc.target, []byte{}, header("X-Amz-Acl", "private"))
		if tc.method == "GET" {
			r.Body = nil
		}
		tc.change(r)
		v.refuses(tc.name, 403, code, r)
	}
	wrong := *v.root
	wrong.cred.Secret = sig.NewSecret("0123456789012345678901234567890123456789")
	wrong.refused(v, 403, code, "GET", "/vault/secret", nil)
	wrong.refused(v, 403, code, "PUT", "/vault/new", []byte("x"))
	wrong.refused(v, 403, code, "DELETE", "/vault/secret", nil)
}

// A2: keys that are unknown, switched off or deleted.
func (v *victim) wrongKeys() {
	const code = "InvalidAccessKeyId"
	unknown := *v.root
	unknown.cred.AccessKey = "NOSUCHKEY0000000000"
	unknown.refused(v, 403, code, "GET", "/vault/secret", nil)
	off := randomKey("off")
	off.AccessKey = "OFF" + off.AccessKey
	propose := func(d *event.Draft) {
		v.Helper()
		o, err := v.p.node.ProposeForTest(context.Background(), d)
		if err != nil || o.Refusal != event.Refusal_REFUSAL_NONE {
			v.Fatal(o, err)
		}
	}
	status := func(active bool) *event.Draft {
		return event.NewDraft(nil, &event.Statement_AccessKeyStatusSet{AccessKeyStatusSet: &event.AccessKeyStatusSet{AccessKey: v.alice.cred.AccessKey, Active: active}})
	}
	own := "/alices-own"
	v.alice.must(v, 200, "PUT", own, nil)
	u := v.presigned(v.alice, "GET", own, time.Hour, time.Now())
	propose(status(false))
	v.alice.refused(v, 403, code, "GET", own, nil)
	v.alice.refused(v, 403, code, "PUT", own+"/new", []byte("x"))
	v.refuses("presigned before the key was switched off", 403, code, u.Clone(context.Background())) // C3
	propose(status(true))
	v.alice.must(v, 200, "GET", own, nil)
	v.alice.must(v, 204, "DELETE", own, nil)
}

// A3: dates.
func (v *victim) wrongDates() {
	at := func(d time.Duration) *http.Request {
		r := v.root.request(context.Background(), "GET", "/vault/secret", nil)
		if err := sig.SignV4(r, v.root.cred, region, emptySHA256, time.Now().Add(d)); err != nil {
			v.Fatal(err)
		}
		return r
	}
	v.refuses("15 min and a little late", 403, "RequestTimeTooSkewed", at(-15*time.Minute-2*time.Second))
	v.refuses("15 min and a little early", 403, "RequestTimeTooSkewed", at(15*time.Minute+2*time.Second))
	r := at(0)
	r.Header.Del("X-Amz-Date")
	v.refuses("no date", 403, "AccessDenied", r)
	r = at(0)
	r.Header.Set("X-Amz-Date", "yesterday")
	v.refuses("a date that is none", 403, "AccessDenied", r)
	if a, err := v.root.send(at(-14 * time.Minute)); err != nil || a.status != 200 {
		v.Errorf("14 min late: %v %v", a, err)
	}
}

// A4: scopes and shapes of the Authorization header.
func (v *victim) wrongScopes() {
	const code = "AuthorizationHeaderMalformed"
	r := v.root.request(context.Background(), "GET", "/vault/secret", nil)
	if err := sig.SignV4(r, v.root.cred, "eu-west-1", emptySHA256, time.Now()); err != nil {
		v.Fatal(err)
	}
	v.refuses("another region", 400, code, r)
	for name, change := range map[string]func(string) string{
		"another service":    func(a string) string { return strings.Replace(a, "/s3/", "/ec2/", 1) },
		"another terminator": func(a string) string { return strings.Replace(a, "aws4_request", "aws3_request", 1) },
		"no scope":           func(a string) string { return strings.Replace(a, "/"+region+"/s3/aws4_request", "", 1) },
		"a long scope":       func(a string) string { return strings.Replace(a, "/s3/", "/s3/s3/", 1) },
		"no credential":      func(a string) string { return a[:17] + a[strings.Index(a, "SignedHeaders"):] },
		"no signature":       func(a string) string { return a[:strings.Index(a, ", Signature")] },
		"no signed headers":  func(a string) string { return strings.Replace(a, "SignedHeaders", "Other", 1) },
		"two signatures":     func(a string) string { return a + ", Signature=" + strings.Repeat("0", 64) },
		"two credentials":    func(a string) string { return a + ", Credential=a/20260101/us-east-1/s3/aws4_request" },
	} {
		r := v.request("GET", "/vault/secret", nil)
		a := r.Header.Get("Authorization")
		b := change(a)
		if a == b {
			v.Fatalf("%s changes nothing in %q", name, a)
		}
		r.Header.Set("Authorization", b)
		v.refuses(name, 400, code, r)
	}
}

// A5: what is sent but not signed.
func (v *victim) unsignedHeaders() {
	for name, value := range map[string]string{
		"X-Amz-Copy-Source": "/vault/secret", "X-Amz-Acl": "public-read", "X-Amz-Tagging": "a=b", "X-Amz-Storage-Class": "STANDARD",
		"X-Amz-Website-Redirect-Location": "/x", "X-Amz-Meta-Color": "red", "X-Amz-Grant-Read": `uri="` + allUsers + `"`, "X-Amz-Unheard-Of": "1",
	} {
		r := v.request("PUT", "/vault/new", []byte("x"))
		r.Header.Set(name, value)
		v.refuses(name+" in the header form", 403, "AccessDenied", r)
		r = v.presigned(v.root, "PUT", "/vault/new", time.Hour, time.Now())
		r.Header.Set(name, value)
		v.refuses(name+" with a presigned URL", 403, "AccessDenied", r)
	}
}

// A6: two ways of signing at once.
func (v *victim) twoWays() {
	q := v.presigned(v.root, "GET", "/vault/secret", time.Hour, time.Now())
	r := v.request("GET", "/vault/secret", nil)
	r.URL.RawQuery = q.URL.RawQuery
	v.refuses("header and query of v4", 400, "InvalidArgument", r)
	q = v.root.request(context.Background(), "GET", "/vault/secret", nil)
	if err := sig.PresignV2(q, v.root.cred, "", time.Now().Add(time.Hour)); err != nil {
		v.Fatal(err)
	}
	r = v.request("GET", "/vault/secret", nil)
	r.URL.RawQuery = q.URL.RawQuery
	v.refuses("header of v4, query of v2", 400, "InvalidArgument", r)
}

// presigned makes a presigned request.
func (v *victim) presigned(c *client, method, target string, life time.Duration, now time.Time) *http.Request {
	v.Helper()
	r := c.request(context.Background(), method, target, nil)
	if err := sig.PresignV4(r, c.cred, region, life, now); err != nil {
		v.Fatal(err)
	}
	return r
}

// A9: Version 2 by the same rules.
func (v *victim) changedV2() {
	signed := func(method, target string, at time.Time) *http.Request {
		v.Helper()
		r := v.root.request(context.Background(), method, target, nil)
		if err := sig.SignV2(r, v.root.cred, "", at); err != nil {
			v.Fatal(err)
		}
		return r
	}
	if a, err := v.root.send(signed("GET", "/vault/secret", time.Now())); err != nil || string(a.body) != secretBody {
		v.Errorf("a good one: %v %v", a, err)
	}
	v.refuses("too late", 403, "RequestTimeTooSkewed", signed("GET", "/vault/secret", time.Now().Add(-16*time.Minute)))
	v.refuses("too early", 403, "RequestTimeTooSkewed", signed("GET", "/vault/secret", time.Now().Add(16*time.Minute)))
	for _, q := range []string{"acl", "uploadId=1&partNumber=1", "versionId=null", "response-content-type=a", "partNumber=1", "delete", "location"} {
		r := signed("GET", "/vault/secret", time.Now())
		r.URL.RawQuery = q
		v.refuses("?"+q+" after signing", 403, "SignatureDoesNotMatch", r)
	}
	r := signed("GET", "/vault/secret", time.Now())
	r.Method = "DELETE"
	v.refuses("another method", 403, "SignatureDoesNotMatch", r)
	r = signed("PUT", "/vault/new", time.Now())
	r.Header.Set("X-Amz-Acl", "public-read")
	v.refuses("a header more", 403, "SignatureDoesNotMatch", r)
	r = signed("GET", "/vault/secret", time.Now())
	r.Header.Del("Date")
	r.Header.Del("X-Amz-Date")
	v.refuses("no date", 403, "AccessDenied", r)
}

// A11: session tokens, of which there are none.
func (v *victim) tokens() {
	r := v.request("GET", "/vault/secret", nil, header("X-Amz-Security-Token", "eyJhbGciOiJub25lIn0.e30."))
	v.refuses("a token", 400, "InvalidToken", r)
	r = v.root.request(context.Background(), "GET", "/vault/secret?X-Amz-Security-Token=x", nil)
	if err := sig.PresignV4(r, v.root.cred, region, time.Hour, time.Now()); err != nil {
		v.Fatal(err)
	}
	v.refuses("a token in the query", 400, "InvalidToken", r)
}

// A12: bad credentials never become anonymous, not even where anonymous may.
func (v *victim) noFallThrough() {
	wrong := *v.root
	wrong.cred.Secret = sig.NewSecret("0123456789012345678901234567890123456789")
	for _, method := range []string{"GET", "HEAD"} {
		for _, target := range []string{"/public/page", "/public"} {
			r := wrong.request(context.Background(), method, target, nil)
			wrong.sign(r, nil)
			v.refuses(method+" "+target, 403, "SignatureDoesNotMatch", r)
		}
	}
	for _, authorization := range []string{"", " ", "Basic cm9vdDpyb290", "Bearer x", "AWS", "AWS x", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256 ", "aws4-hmac-sha256 Credential=x"} {
		r := v.root.request(context.Background(), "GET", "/public/page", nil)
		r.Header["Authorization"] = []string{authorization}
		a, err := v.root.send(r)
		if err != nil || a.status < 400 || a.status > 403 {
			v.Errorf("Authorization %q: %v %v", authorization, a, err)
		}
	}
	for _, method := range []string{"OPTIONS", "PATCH", "TRACE", "CONNECT", "BREW", "POST"} {
		for _, target := range []string{"/public/page", "/vault/secret", "/vault"} {
			r := wrong.request(context.Background(), method, target, nil)
			wrong.sign(r, nil)
			if method == "CONNECT" {
				continue // clients cannot send it to a path
			}
			a, err := wrong.send(r)
			if err != nil || a.status < 400 || a.status >= 500 {
				v.Errorf("%s %s: %v %v", method, target, a, err)
			}
			v.noLeak(method, a)
		}
	}
}

// A8: what only a raw connection can send.
func (v *victim) rawHeaders() {
	get := v.request("GET", "/vault/secret", nil)
	put := v.request("PUT", "/vault/new", []byte("x"))
	after := func(line, more string) func(string) string {
		return func(head string) string { return strings.Replace(head, line, line+more, 1) }
	}
	for _, tc := range []struct {
		name   string
		r      *http.Request
		body   string
		change func(string) string
		status int
	}{
		{"two Authorization headers", get, "", func(h string) string {
			return strings.Replace(h, "\r\n\r\n", "\r\nAuthorization: "+get.Header.Get("Authorization")+"\r\n\r\n", 1)
		}, 400},
		{"two Host headers", get, "", after("HTTP/1.1\r\n", "Host: other\r\n"), 400},
		{"no Host header", get, "", func(h string) string { return strings.Replace(h, "Host: "+get.Host+"\r\n", "", 1) }, 400},
		{"two x-amz-date headers", get, "", after("HTTP/1.1\r\n", "X-Amz-Date: 20200101T000000Z\r\n"), 400},
		{"a folded header that was signed otherwise", get, "", after("X-Amz-Date: ", "\r\n 2020"), 403},
		{"a bare CR", get, "", after("HTTP/1.1\r\n", "X-Other: a\rb\r\n"), 400},
		{"a space before the colon", get, "", after("HTTP/1.1\r\n", "X-Other : a\r\n"), 400},
		{"a NUL in a header", get, "", after("HTTP/1.1\r\n", "X-Other: a\x00b\r\n"), 400},
		{"two lengths", put, "x", after("HTTP/1.1\r\n", "Content-Length: 2\r\n"), 400},
		{"a negative length", put, "x", func(h string) string { return strings.Replace(h, "Content-Length: 1", "Content-Length: -1", 1) }, 400},
		{"an unknown transfer encoding", put, "x", after("HTTP/1.1\r\n", "Transfer-Encoding: gzip\r\n"), 501},
		{"a space in the path", get, "", func(h string) string { return strings.Replace(h, "/vault/secret", "/vault/sec ret", 1) }, 400},
	} {
		head := wire(tc.r, []byte(tc.body), tc.change)
		a, err := v.raw(head)
		if err != nil {
			v.Errorf("%s: %v", tc.name, err)
			continue
		}
		if a.status != tc.status {
			v.Errorf("%s: want %d, got %v", tc.name, tc.status, a)
		}
		v.noLeak(tc.name, a)
	}
	v.smuggled(put)
}

// smuggled: with a length and a transfer encoding both, the encoding counts, and
// what follows is never taken for a request.
func (v *victim) smuggled(put *http.Request) {
	v.Helper()
	del := v.request("DELETE", "/vault/secret", nil)
	second := wire(del, nil, func(h string) string { return h })
	b := wire(put, append([]byte("1\r\nx\r\n0\r\n\r\n"), second...), func(h string) string {
		return strings.Replace(h, "HTTP/1.1\r\n", "HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", 1)
	})
	a, err := v.raw(b)
	if err != nil || a.status == 200 && a.header.Get("Connection") != "close" {
		v.Errorf("a length and a transfer encoding: %v %v %v", a, a.header, err)
	}
	v.root.must(v, 200, "GET", "/vault/secret", nil)
	v.root.must(v, 204, "DELETE", "/vault/new", nil)
}

// A10: a captured request can be sent again for 15 minutes, as with Amazon.
func (v *victim) replay() {
	r := v.request("GET", "/vault/secret", nil)
	for range 2 {
		a, err := v.root.send(r.Clone(context.Background()))
		if err != nil || string(a.body) != secretBody {
			v.Errorf("%v %v", a, err)
		}
	}
}

// TestAttackPresigned: C1, C2 and C4.
func TestAttackPresigned(t *testing.T) {
	v := newVictim(t)
	const query = "AuthorizationQueryParametersError"
	v.refuses("expired", 403, "AccessDenied", v.presigned(v.root, "GET", "/vault/secret", time.Second, time.Now().Add(-3*time.Second)))
	v.refuses("from the future", 403, "AccessDenied", v.presigned(v.root, "GET", "/vault/secret", time.Hour, time.Now().Add(16*time.Minute)))
	for _, tc := range []struct {
		expires string
		status  int
		code    string
	}{
		{"0", 403, "AccessDenied"}, {"-1", 403, "AccessDenied"}, {"604801", 403, "AccessDenied"},
		{"soon", 400, query}, {"", 400, query}, {"1e3", 400, query}, {"99999999999999999999", 400, query},
	} {
		r := v.presigned(v.root, "GET", "/vault/secret", time.Hour, time.Now())
		r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "X-Amz-Expires=3600", "X-Amz-Expires="+tc.expires, 1)
		v.refuses("Expires="+tc.expires, tc.status, tc.code, r)
	}
	for _, missing := range []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders"} {
		r := v.presigned(v.root, "GET", "/vault/secret", time.Hour, time.Now())
		q := r.URL.Query()
		q.Del(missing)
		r.URL.RawQuery = q.Encode()
		v.refuses("without "+missing, 400, query, r)
	}
	for name, change := range map[string]func(*http.Request){
		"for HEAD":      func(r *http.Request) { r.Method = "HEAD" },
		"for PUT":       func(r *http.Request) { r.Method = "PUT" },
		"for DELETE":    func(r *http.Request) { r.Method = "DELETE" },
		"another key":   func(r *http.Request) { r.URL.Path = "/vault/other" },
		"a version":     func(r *http.Request) { r.URL.RawQuery += "&versionId=null" },
		"?acl":          func(r *http.Request) { r.URL.RawQuery += "&acl" },
		"an override":   func(r *http.Request) { r.URL.RawQuery += "&response-content-type=text%2Fhtml" },
		"another host":  func(r *http.Request) { r.Host = "vault.example.com" },
		"a longer life": func(r *http.Request) { r.URL.RawQuery = strings.Replace(r.URL.RawQuery, "=3600", "=7200", 1) },
	} {
		r := v.presigned(v.root, "GET", "/vault/secret", time.Hour, time.Now())
		change(r)
		v.refuses("a GET's URL "+name, 403, "SignatureDoesNotMatch", r)
	}
	// Overrides are for those who sign, and end no header line.
	nobody := *v.root
	nobody.cred = sig.Credential{}
	nobody.refused(t, 400, "InvalidRequest", "GET", "/public/page?response-content-type=text/html", nil)
	v.root.refused(t, 400, "InvalidArgument", "GET", "/vault/secret?response-content-disposition="+url.QueryEscape("a\r\nSet-Cookie: b"), nil)
	v.unharmed()
	// And a good one works.
	r := v.presigned(v.root, "GET", "/vault/secret", time.Hour, time.Now())
	if a, err := v.root.send(r); err != nil || string(a.body) != secretBody {
		t.Errorf("%v %v", a, err)
	}
}
