package server_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestAttackConditions: a condition on an entity tag tells of the object, so it takes
// the right to read it: who may only write learns neither tags nor what is there.
func TestAttackConditions(t *testing.T) {
	v := newVictim(t)
	v.drop(header("X-Amz-Grant-Write", `uri="`+allUsers+`"`))
	v.root.must(t, 200, "PUT", "/drop/key", []byte("unread"))
	v.alice.must(t, 200, "PUT", "/drop/hers", []byte("hers"))
	tag := etag([]byte("unread"))
	for _, key := range []string{"key", "missing"} {
		for _, c := range []struct{ name, value string }{{"If-Match", tag}, {"If-Match", `"0"`}, {"If-None-Match", tag}, {"If-None-Match", `"0"`}} {
			v.alice.refused(t, 403, "AccessDenied", "PUT", "/drop/"+key, []byte("x"), header(c.name, c.value))
			if c.name == "If-Match" {
				v.alice.refused(t, 403, "AccessDenied", "DELETE", "/drop/"+key, nil, header(c.name, c.value))
			}
		}
		doc := fmt.Appendf(nil, "<Delete><Object><Key>%s</Key><ETag>%s</ETag></Object></Delete>", key, tag)
		a := v.alice.must(t, 200, "POST", "/drop?delete", doc, header("Content-Md5", contentMD5(doc)))
		if !bytes.Contains(a.body, []byte("<Code>AccessDenied</Code>")) {
			t.Errorf("%s: %s", key, a.body)
		}
	}
	id := v.alice.begin(t, "/drop/key")
	part := []byte("part")
	v.alice.must(t, 200, "PUT", "/drop/key?partNumber=1&uploadId="+id, part)
	v.alice.refused(t, 403, "AccessDenied", "POST", "/drop/key?uploadId="+id, completion(etagXML(part)), header("If-Match", tag))
	v.alice.refused(t, 403, "AccessDenied", "PUT", "/drop/key", []byte{}, header("X-Amz-Copy-Source", "/drop/hers"), header("If-Match", tag))
	if a := v.root.must(t, 200, "GET", "/drop/key", nil); string(a.body) != "unread" {
		t.Errorf("the object is %q", a.body)
	}
	// What she may read she may make conditions on; and that there be nothing yet
	// tells no more than a plain PUT would.
	v.alice.must(t, 200, "PUT", "/drop/hers", []byte("hers again"), header("If-Match", etag([]byte("hers"))))
	v.alice.must(t, 200, "PUT", "/drop/first", []byte("x"), header("If-None-Match", "*"))
	v.alice.refused(t, 412, "PreconditionFailed", "PUT", "/drop/key", []byte("x"), header("If-None-Match", "*"))
	v.unharmed()
}

// TestConditionModel: the conditions of reads and copies in the order of RFC 9110,
// section 13.2.2, each that is there, right or wrong, with each other.
func TestConditionModel(t *testing.T) {
	v := newVictim(t)
	a := v.root.must(t, 200, "GET", "/vault/secret", nil)
	tag := a.header.Get("Etag")
	modified, err := http.ParseTime(a.header.Get("Last-Modified"))
	if err != nil {
		t.Fatal(err)
	}
	before, at := modified.Add(-time.Second).Format(http.TimeFormat), modified.Format(http.TimeFormat)
	tags := []string{"", tag, strings.Trim(tag, `"`), `"0"`, "*", `"0", ` + tag, `"0", "1"`, "W/" + tag}
	matches := func(s string) bool { return s == "*" || strings.Contains(s, strings.Trim(tag, `"`)) }
	for _, match := range tags {
		for _, none := range tags {
			for _, since := range []string{"", before, at, "yesterday"} {
				for _, unmodified := range []string{"", before, at, "yesterday"} {
					var set, copied []string
					for name, value := range map[string]string{"If-Match": match, "If-None-Match": none, "If-Modified-Since": since, "If-Unmodified-Since": unmodified} {
						if value != "" {
							set, copied = append(set, name, value), append(copied, "X-Amz-Copy-Source-"+name, value)
						}
					}
					want := 200
					switch {
					case match != "" && !matches(match), match == "" && unmodified == before:
						want = 412
					case none != "" && matches(none), none == "" && since == at:
						want = 304
					}
					what := fmt.Sprint(set)
					for _, method := range []string{"GET", "HEAD"} {
						a, err := v.root.try(method, "/vault/secret", nil, route{headers: set}.change()...)
						if err != nil || a.status != want || want == 304 && (a.header.Get("Etag") != tag || len(a.body) > 0) {
							t.Errorf("%s %s: want %d, got %v %v", method, what, want, a, err)
						}
					}
					if want == 304 {
						want = 412 // a copy knows no other refusal
					}
					copied = append(copied, "X-Amz-Copy-Source", "/vault/secret")
					if a, err := v.root.try("PUT", "/public/copy", []byte{}, route{headers: copied}.change()...); err != nil || a.status != want {
						t.Errorf("copy %s: want %d, got %v %v", what, want, a, err)
					}
				}
			}
		}
	}
	// Several lines are one list.
	several := func(r *http.Request) { r.Header["If-None-Match"] = []string{`"0"`, tag} }
	if a, err := v.root.try("GET", "/vault/secret", nil, several); err != nil || a.status != 304 {
		t.Errorf("two lines of If-None-Match: %v %v", a, err)
	}
	several = func(r *http.Request) { r.Header["If-Match"] = []string{`"0"`, `"1"`} }
	v.root.refused(t, 412, "PreconditionFailed", "DELETE", "/vault/secret", nil, several)
	several = func(r *http.Request) { r.Header["If-None-Match"] = []string{`"0"`, "*"} }
	v.root.refused(t, 412, "PreconditionFailed", "PUT", "/vault/secret", []byte("x"), several)
	v.root.must(t, 204, "DELETE", "/public/copy", nil)
	v.unharmed()
}

// TestDeleteConditions: a condition that no object meets deletes none.
func TestDeleteConditions(t *testing.T) {
	v := newVictim(t)
	c := v.root
	c.must(t, 200, "PUT", "/vault/nothing", []byte{})
	for _, tc := range []struct{ condition, code string }{
		{"<Size>-1</Size>", "InvalidArgument"}, {"<Size>1</Size>", "PreconditionFailed"}, {"<ETag>0</ETag>", "PreconditionFailed"}, {"<ETag></ETag>", "PreconditionFailed"},
		{"<LastModifiedTime>2001-01-01T00:00:00Z</LastModifiedTime>", "PreconditionFailed"},
	} {
		doc := []byte("<Delete><Object><Key>nothing</Key>" + tc.condition + "</Object></Delete>")
		if a := c.must(t, 200, "POST", "/vault?delete", doc); !bytes.Contains(a.body, []byte("<Code>"+tc.code+"<")) {
			t.Errorf("%s: %s", tc.condition, a.body)
		}
	}
	for name, value := range map[string]string{"X-Amz-If-Match-Size": "-1", "X-Amz-If-Match-Last-Modified-Time": "yesterday"} {
		c.refused(t, 400, "InvalidArgument", "DELETE", "/vault/nothing", nil, header(name, value))
	}
	c.refused(t, 412, "PreconditionFailed", "DELETE", "/vault/nothing", nil, header("X-Amz-If-Match-Size", "1"))
	c.refused(t, 404, "NoSuchKey", "DELETE", "/vault/missing", nil, header("If-Match", "*"))
	c.must(t, 204, "DELETE", "/vault/nothing", nil, header("X-Amz-If-Match-Size", "0"))
	v.unharmed()
}

// TestExpectedOwner: D9. A bucket that is not whose the client believes is left
// alone, on every route, in the header and in a presigned query.
func TestExpectedOwner(t *testing.T) {
	v := newVictim(t)
	for _, r := range routes("vault", "secret") {
		if r.method == "PUT" && r.target == "/vault" {
			continue
		}
		change := append(r.change(), header("X-Amz-Expected-Bucket-Owner", "999999999999"))
		a, err := v.root.try(r.method, r.target, []byte(r.body), change...)
		checkRefused(t, r.method+" "+r.target, a, err, 403, "AccessDenied")
	}
	v.root.refused(t, 403, "AccessDenied", "GET", "/vault/secret", nil, header("X-Amz-Expected-Bucket-Owner", "root")) // no account at all
	v.root.refused(t, 403, "AccessDenied", "PUT", "/vault/new", []byte{}, header("X-Amz-Copy-Source", "/vault/secret"),
		header("X-Amz-Source-Expected-Bucket-Owner", "999999999999"))
	r := v.presigned(v.root, "GET", "/vault/secret?X-Amz-Expected-Bucket-Owner=999999999999", hour, now())
	v.refuses("in a presigned query", 403, "AccessDenied", r)
	r = v.presigned(v.root, "PUT", "/vault/new?x-amz-expected-bucket-owner=999999999999", hour, now())
	v.refuses("in a presigned query of a PUT", 403, "AccessDenied", r.WithContext(context.Background()))
	v.unharmed()
}
