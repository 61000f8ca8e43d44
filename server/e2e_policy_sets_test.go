package server_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// Conditions on what an operation sets see what it sets: of the document where that is
// one, whatever the headers say, to deny and to allow by.
func TestBucketPolicySets(t *testing.T) {
	v := newVictim(t)
	v.root.must(t, 200, "PUT", "/locked", nil, header("X-Amz-Bucket-Object-Lock-Enabled", "true"))
	v.root.must(t, 200, "PUT", "/locked/k", []byte("x"))
	tags := func(value string) string {
		return "<Tagging><TagSet><Tag><Key>class</Key><Value>" + value + "</Value></Tag></TagSet></Tagging>"
	}
	keep := func(mode string, days int) string {
		return "<Retention><Mode>" + mode + "</Mode><RetainUntilDate>" + time.Now().AddDate(0, 0, days).UTC().Format(time.RFC3339) + "</RetainUntilDate></Retention>"
	}
	hold := func(s string) string { return "<LegalHold><Status>" + s + "</Status></LegalHold>" }
	for _, tc := range []struct {
		name, sub, action, condition, yes, no string
		header                                []string // that says what the condition wants
	}{
		{"tag", "tagging", "s3:PutObjectTagging", `{"StringEquals":{"s3:RequestObjectTag/class":"open"}}`, tags("open"), tags("closed"), []string{"X-Amz-Tagging", "class=open"}},
		{"tag keys", "tagging", "s3:PutObjectTagging", `{"ForAnyValue:StringEquals":{"s3:RequestObjectTagKeys":"class"}}`, tags("open"), "<Tagging><TagSet></TagSet></Tagging>", []string{"X-Amz-Tagging", "class=open"}},
		{"mode", "retention", "s3:PutObjectRetention", `{"StringEquals":{"s3:object-lock-mode":"GOVERNANCE"}}`, keep("GOVERNANCE", 1), keep("COMPLIANCE", 1), []string{"X-Amz-Object-Lock-Mode", "GOVERNANCE"}},
		{"days", "retention", "s3:PutObjectRetention", `{"NumericLessThan":{"s3:object-lock-remaining-retention-days":"10"}}`, keep("GOVERNANCE", 2), keep("GOVERNANCE", 90),
			[]string{"X-Amz-Object-Lock-Retain-Until-Date", time.Now().AddDate(0, 0, 2).UTC().Format(time.RFC3339)}},
		{"hold", "legal-hold", "s3:PutObjectLegalHold", `{"StringEquals":{"s3:object-lock-legal-hold":"OFF"}}`, hold("OFF"), hold("ON"), []string{"X-Amz-Object-Lock-Legal-Hold", "OFF"}},
	} {
		target := "/locked/k?" + tc.sub
		put := func(what string, want int, doc string, change ...func(*http.Request)) {
			t.Helper()
			change = append(change, header("Content-Md5", contentMD5([]byte(doc))))
			if a, err := v.alice.try("PUT", target, []byte(doc), change...); err != nil || a.status != want {
				t.Errorf("%s, %s: %v, %v, want %d", tc.name, what, a, err, want)
			}
		}
		said := route{headers: tc.header}.change()
		v.root.must(t, 204, "PUT", "/locked?policy", rules(rule("Allow", aliceAccount, tc.action, "locked/*", tc.condition)))
		put("allowed", 200, tc.yes)
		put("not allowed", 403, tc.no)
		put("not allowed, said in a header", 403, tc.no, said...)
		put("not to be read", 403, "<Nothing/>", said...)
		v.root.must(t, 204, "PUT", "/locked?policy", rules(rule("Allow", aliceAccount, tc.action, "locked/*", ""), rule("Deny", aliceAccount, tc.action, "locked/*", tc.condition)))
		put("denied", 403, tc.yes)
		if tc.sub != "retention" { // which cannot be taken back
			put("not denied, said in a header", 200, tc.no, said...)
		}
		put("not to be read", 400, "<Nothing/>")
	}
}

// A copy has its source's tags unless it replaces them: conditions see those, and to keep
// them takes the right to read and to set them. So it is with a rename, which sets none.
func TestBucketPolicyCopiedTags(t *testing.T) {
	v := newVictim(t)
	v.alice.must(t, 200, "PUT", "/alices", nil)
	v.alice.must(t, 200, "PUT", "/alices/tagged", []byte("x"), header("X-Amz-Tagging", "class=closed"))
	copied := func(what string, want int, headers ...string) {
		t.Helper()
		r := route{headers: append(headers, "X-Amz-Copy-Source", "/alices/tagged")}
		if a, err := v.alice.try("PUT", "/vault/in/x", []byte{}, r.change()...); err != nil || a.status != want {
			t.Errorf("%s: %v, %v, want %d", what, a, err, want)
		}
	}
	open := `{"StringEquals":{"s3:RequestObjectTag/class":"open"}}`
	allow, tagging := rule("Allow", aliceAccount, "s3:PutObject", "vault/*", ""), rule("Allow", aliceAccount, "s3:PutObjectTagging", "vault/*", "")
	v.policy("vault", rule("Allow", aliceAccount, "s3:PutObject", "vault/in/*", open), tagging)
	copied("with the source's tags", 403)
	copied("said in a header that does not count", 403, "X-Amz-Tagging", "class=open")
	copied("replaced", 200, "X-Amz-Tagging", "class=open", "X-Amz-Tagging-Directive", "REPLACE")
	v.policy("vault", allow, rule("Deny", everybody, "s3:PutObject", "vault/in/*", `{"StringEquals":{"s3:RequestObjectTag/class":"closed"}}`))
	copied("denied by the source's tags", 403, "X-Amz-Tagging", "class=open")
	v.policy("vault", allow, rule("Deny", everybody, "s3:PutObjectTagging", "vault/*", ""))
	copied("without the right to tag", 403)
	copied("without tags", 200, "X-Amz-Tagging-Directive", "REPLACE")
	v.policy("vault", allow)
	copied("with it", 200)
	v.alice.must(t, 204, "PUT", "/alices?policy", rules(rule("Deny", everybody, "s3:GetObjectTagging", "alices/*", "")))
	copied("without the right to read tags", 403)
	copied("without tags", 200, "X-Amz-Tagging-Directive", "REPLACE")
	v.alice.must(t, 204, "PUT", "/alices?policy", rules(rule("Deny", everybody, "s3:PutObject", "alices/open/*", `{"StringEquals":{"s3:RequestObjectTag/class":"closed"}}`)))
	v.alice.refused(t, 403, "AccessDenied", "PUT", "/alices/open/x?renameObject", []byte{}, header("X-Amz-Rename-Source", "tagged"))
	v.alice.must(t, 200, "PUT", "/alices/x?renameObject", []byte{}, header("X-Amz-Rename-Source", "tagged"))
}

// Conditions see how a body is protected where no header says it, whether there will be
// an object, and the region; a header that stands twice is not guessed at.
func TestBucketPolicyRequest(t *testing.T) {
	v := newVictim(t)
	v.root.must(t, 200, "PUT", "/vault/k", []byte("x"))
	v.policy("vault", rule("Allow", aliceAccount, "s3:GetObject", "vault/*", `{"StringNotEquals":{"s3:x-amz-content-sha256":"UNSIGNED-PAYLOAD"}}`))
	v.alice.must(t, 200, "GET", "/vault/k", nil)
	v.refuses("presigned", 403, "AccessDenied", v.presigned(v.alice, "GET", "/vault/k", time.Hour, time.Now()))

	for _, tc := range []struct {
		condition     string
		put, initiate int
	}{
		{`{"Bool":{"s3:ObjectCreationOperation":"true"}}`, 200, 403},
		{`{"Bool":{"s3:ObjectCreationOperation":"false"}}`, 403, 200},
		{`{"StringEquals":{"aws:RequestedRegion":"` + region + `"}}`, 200, 200},
		{`{"StringEquals":{"aws:RequestedRegion":"mars-north-1"}}`, 403, 403},
	} {
		v.policy("vault", rule("Allow", aliceAccount, "s3:PutObject", "vault/*", tc.condition))
		for target, want := range map[string]int{"PUT /vault/new": tc.put, "POST /vault/new?uploads": tc.initiate} {
			method, path, _ := strings.Cut(target, " ")
			if a, err := v.alice.try(method, path, nil); err != nil || a.status != want {
				t.Errorf("%s, %s: %v, %v, want %d", tc.condition, target, a, err, want)
			}
		}
	}
	twice := func(name, one, two string) func(*http.Request) {
		return func(r *http.Request) { r.Header[name] = []string{one, two} }
	}
	v.root.refused(t, 400, "InvalidArgument", "PUT", "/vault/k", []byte("x"), twice("X-Amz-Storage-Class", "STANDARD", "GLACIER"))
	v.root.refused(t, 400, "InvalidArgument", "PUT", "/vault/k", []byte("x"), twice("X-Amz-Tagging", "a=1", "b=2"))
	v.root.must(t, 200, "PUT", "/vault/k", []byte("x"), twice("X-Amz-Meta-Colour", "red", "blue"))
	v.refuses("a parameter for a header, twice", 400, "InvalidArgument",
		v.presigned(v.root, "PUT", "/vault/k?x-amz-storage-class=STANDARD&X-Amz-Storage-Class=GLACIER", time.Hour, time.Now()))
}
