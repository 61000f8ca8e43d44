package sig

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// signedWires makes one request of every form, as bytes on the wire.
func signedWires(t *testing.T, c Credential) map[Form]string {
	t.Helper()
	wires := map[Form]string{}
	for _, form := range []Form{FormV4Header, FormV4Query, FormV2Header, FormV2Query} {
		r := newRequest(t, "PUT", "http://bucket.s3.amazonaws.com/a%20b/c%2B", "the body",
			"x-amz-acl", "private", "Content-Type", "text/plain", "x-amz-meta-m", "v1")
		r.URL.RawQuery = "versionId=v1&acl&prefix=p%20q"
		var err error
		switch form {
		case FormV4Header:
			err = SignV4(r, c, "us-east-1", hexSHA256("the body"), exampleTime)
		case FormV4Query:
			err = PresignV4(r, c, "us-east-1", time.Hour, exampleTime)
		case FormV2Header:
			err = SignV2(r, c, "bucket", exampleTime)
		case FormV2Query:
			err = PresignV2(r, c, "bucket", exampleTime.Add(time.Hour))
		}
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := r.Write(&b); err != nil {
			t.Fatal(err)
		}
		wires[form] = b.String()
	}
	return wires
}

// meaning is what a signature of a form protects, as a handler would read it.
func meaning(form Form, id *Identity, r *http.Request, body string) string {
	h := r.Header.Clone()
	for _, name := range []string{"Authorization", "User-Agent", "Content-Length"} {
		h.Del(name)
	}
	q := r.URL.Query()
	path := r.URL.Path
	if form == FormV2Header || form == FormV2Query {
		for name := range q {
			if !IsSubResource(name) && !hasAmzPrefix(name) && name != paramExpiresV2 {
				q.Del(name)
			}
		}
		bucket, _, _ := strings.Cut(r.Host, ".")
		for name := range h {
			if !hasAmzPrefix(name) && !slices.Contains([]string{"Content-Md5", "Content-Type", "Date"}, name) {
				h.Del(name)
			}
		}
		return fmt.Sprint(id.AccessKey, r.Method, bucket, path, q.Encode(), h)
	}
	for name := range h {
		if !hasAmzPrefix(name) && !slices.Contains(id.SignedHeaders, strings.ToLower(name)) {
			h.Del(name)
		}
	}
	if form == FormV4Query {
		body = ""
	}
	return fmt.Sprint(id.AccessKey, r.Method, r.Host, path, q.Encode(), h, body)
}

// Every byte of a signed request is changed, dropped and doubled. What is still
// accepted must mean the same.
func TestEveryChangedByteIsRefusedOrMeansTheSame(t *testing.T) {
	c := randomCredential()
	v := verifierOf(c, exampleTime)
	for form, wire := range signedWires(t, c) {
		id, body, _, err := readAll(v, received(t, wire))
		if err != nil || id.Form != form {
			t.Fatalf("%v: %v %v", form, id, err)
		}
		want := meaning(form, id, received(t, wire), string(body))
		refused := map[string]int{}
		for i := range len(wire) {
			for _, with := range []string{string(wire[i] ^ 1), string(wire[i] ^ 0x20), "", wire[i:i+1] + wire[i:i+1], "%", "+"} {
				mutant := wire[:i] + with + wire[i+1:]
				if mutant == wire {
					continue
				}
				code := tryMutant(t, v, form, mutant, want)
				refused[code]++
			}
		}
		if refused[CodeSignatureDoesNotMatch] < 300 || refused["accepted"] > len(wire)*3 {
			t.Errorf("%v: %v", form, refused)
		}
	}
}

// tryMutant returns the code that refuses a changed request, "unreadable" where
// net/http refuses it, "anonymous" where no credentials are left, or "accepted".
func tryMutant(t *testing.T, v *Verifier, form Form, mutant, want string) string {
	t.Helper()
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(mutant)))
	if err != nil {
		return "unreadable"
	}
	id, err := v.Verify(context.Background(), r)
	if err == nil && id.Form == FormAnonymous {
		return "anonymous"
	}
	var body []byte
	if err == nil {
		b, berr := id.Body(r)
		if berr != nil {
			t.Fatal(berr)
		}
		body, err = io.ReadAll(b)
	}
	if e, ok := err.(*Error); ok {
		return e.Code
	}
	if err != nil {
		t.Fatalf("%v is no *Error\n%s", err, mutant)
	}
	if id.Form != form {
		t.Fatalf("became %v\n%s", id.Form, mutant)
	}
	r2 := received(t, mutant)
	if got := meaning(form, id, r2, string(body)); got != want {
		t.Fatalf("accepted with another meaning\n%s\n%s\n%s", mutant, got, want)
	}
	return "accepted"
}

// Each part of a request that is changed gets the refusal that a client expects.
func TestChangedPartsAreRefused(t *testing.T) {
	c := randomCredential()
	v := verifierOf(c, exampleTime)
	wires := signedWires(t, c)
	for _, m := range []struct {
		name, old, with string
		forms           []Form
		code            string
	}{
		{"method", "PUT ", "GET ", []Form{FormV4Header, FormV4Query, FormV2Header, FormV2Query}, CodeSignatureDoesNotMatch},
		{"method DELETE", "PUT ", "DELETE ", []Form{FormV4Header, FormV4Query, FormV2Header, FormV2Query}, CodeSignatureDoesNotMatch},
		{"key", "/a%20b", "/a%20c", []Form{FormV4Header, FormV4Query, FormV2Header, FormV2Query}, CodeSignatureDoesNotMatch},
		{"doubled slash", "/a%20b/", "/a%20b//", []Form{FormV4Header, FormV4Query, FormV2Header, FormV2Query}, CodeSignatureDoesNotMatch},
		{"dot segment", "/a%20b/", "/a%20b/./", []Form{FormV4Header, FormV4Query, FormV2Header, FormV2Query}, CodeSignatureDoesNotMatch},
		{"dot-dot segments", "/a%20b/", "/x/../a%20b/", []Form{FormV4Header, FormV4Query, FormV2Header, FormV2Query}, CodeSignatureDoesNotMatch},
		{"escaped twice", "/a%20b", "/a%2520b", []Form{FormV4Header, FormV4Query, FormV2Header, FormV2Query}, CodeSignatureDoesNotMatch},
		{"plus for space in the path", "/a%20b", "/a+b", []Form{FormV4Header, FormV4Query, FormV2Header, FormV2Query}, CodeSignatureDoesNotMatch},
		{"version", "versionId=v1", "versionId=v2", []Form{FormV4Header, FormV4Query, FormV2Header, FormV2Query}, CodeSignatureDoesNotMatch},
		{"version dropped", "versionId=v1&", "", []Form{FormV4Header, FormV4Query, FormV2Header, FormV2Query}, CodeSignatureDoesNotMatch},
		{"sub-resource", "&acl&", "&tagging&", []Form{FormV4Header, FormV4Query, FormV2Header, FormV2Query}, CodeSignatureDoesNotMatch},
		{"sub-resource added", "&acl&", "&acl&uploads&", []Form{FormV4Header, FormV4Query, FormV2Header, FormV2Query}, CodeSignatureDoesNotMatch},
		{"override added", "&acl&", "&acl&response-content-type=text/html&", []Form{FormV4Header, FormV4Query, FormV2Header, FormV2Query}, CodeSignatureDoesNotMatch},
		{"parameter", "prefix=p", "prefix=q", []Form{FormV4Header, FormV4Query}, CodeSignatureDoesNotMatch},
		{"parameter twice", "prefix=p", "prefix=p&prefix=p", []Form{FormV4Header, FormV4Query}, CodeSignatureDoesNotMatch},
		{"acl", "X-Amz-Acl: private", "X-Amz-Acl: public-read", []Form{FormV4Header, FormV4Query, FormV2Header, FormV2Query}, CodeSignatureDoesNotMatch},
		{"metadata", "X-Amz-Meta-M: v1", "X-Amz-Meta-M: v2", []Form{FormV4Header, FormV4Query, FormV2Header, FormV2Query}, CodeSignatureDoesNotMatch},
		{"metadata dropped", "X-Amz-Meta-M: v1\r\n", "", []Form{FormV4Header, FormV4Query, FormV2Header, FormV2Query}, CodeSignatureDoesNotMatch},
		{"header twice", "X-Amz-Meta-M: v1\r\n", "X-Amz-Meta-M: v1\r\nX-Amz-Meta-M: v1\r\n", []Form{FormV4Header, FormV4Query, FormV2Header, FormV2Query}, CodeSignatureDoesNotMatch},
		{"type", "text/plain", "text/html", []Form{FormV4Header, FormV4Query, FormV2Header, FormV2Query}, CodeSignatureDoesNotMatch},
		{"host", "Host: bucket.", "Host: tekcub.", []Form{FormV4Header, FormV4Query, FormV2Header, FormV2Query}, CodeSignatureDoesNotMatch},
		{"payload hash", hexSHA256("the body"), hexSHA256("The body"), []Form{FormV4Header}, CodeSignatureDoesNotMatch},
		{"payload unsigned", hexSHA256("the body"), unsignedPayload, []Form{FormV4Header}, CodeSignatureDoesNotMatch},
		{"body", "the body", "The body", []Form{FormV4Header}, CodeXAmzContentSHA256Mismatch},
		{"key id", c.AccessKey, "TEST" + strings.Repeat("0", 16), []Form{FormV4Header, FormV4Query, FormV2Header, FormV2Query}, CodeInvalidAccessKeyID},
		{"header added", "Content-Type:", "X-Amz-Storage-Class: GLACIER\r\nContent-Type:", []Form{FormV2Header, FormV2Query}, CodeSignatureDoesNotMatch},
		{"life", "X-Amz-Expires=3600", "X-Amz-Expires=3601", []Form{FormV4Query}, CodeSignatureDoesNotMatch},
		{"life, version 2", "Expires=13", "Expires=14", []Form{FormV2Query}, CodeSignatureDoesNotMatch},
	} {
		for _, form := range m.forms {
			t.Run(m.name+"/"+form.String(), func(t *testing.T) {
				mutant := strings.Replace(wires[form], m.old, m.with, 1)
				if mutant == wires[form] {
					t.Fatalf("%q is not in\n%s", m.old, mutant)
				}
				_, _, _, err := readAll(v, received(t, mutant))
				wantCode(t, err, m.code)
			})
		}
	}
}
