package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"ironman/s3api/sig"
	"ironman/server"
)

// Each line of S-C5, and what else must not pass.
func TestPostAttacks(t *testing.T) {
	v := newVictim(t)
	for name, tc := range map[string]struct {
		change func(*uploadForm, sig.Fields) // before it is signed, if the fields are nil; else after
		code   string
		status int
	}{
		"policy expired":       {func(f *uploadForm, s sig.Fields) { f.life = -time.Second }, "AccessDenied", 403},
		"condition failed":     {func(f *uploadForm, s sig.Fields) { f.fields["acl"] = "public-read" }, "AccessDenied", 403},
		"other bucket":         {func(f *uploadForm, s sig.Fields) { f.conditions[0] = `{"bucket": "public"}` }, "AccessDenied", 403},
		"no bucket":            {func(f *uploadForm, s sig.Fields) { f.conditions = f.conditions[1:] }, "AccessDenied", 403},
		"form names bucket":    {func(f *uploadForm, s sig.Fields) { f.fields["bucket"] = "public" }, "AccessDenied", 403},
		"extra field":          {func(f *uploadForm, s sig.Fields) { f.fields["x-amz-meta-a"] = "b" }, "AccessDenied", 403},
		"extra redirect":       {func(f *uploadForm, s sig.Fields) { f.fields["success_action_redirect"] = "http://evil.example/" }, "AccessDenied", 403},
		"key by another name":  {func(f *uploadForm, s sig.Fields) { f.fields["key"] = "users/x" }, "AccessDenied", 403},
		"key by the file name": {func(f *uploadForm, s sig.Fields) { f.fields["key"], f.fileName = "${filename}", "user/x" }, "AccessDenied", 403},
		"wrong field":          {func(f *uploadForm, s sig.Fields) { f.conditions[1] = `["starts-with", "$keys", ""]` }, "AccessDenied", 403},
		"too short":            {func(f *uploadForm, s sig.Fields) { f.file = "" }, "EntityTooSmall", 400},
		"too long":             {func(f *uploadForm, s sig.Fields) { f.file = strings.Repeat("x", 1025) }, "EntityTooLarge", 400},
		"much too long":        {func(f *uploadForm, s sig.Fields) { f.file = strings.Repeat("x", 3<<20) }, "EntityTooLarge", 400},
		"two keys":             {func(f *uploadForm, s sig.Fields) { f.fields["KEY"] = "user/other" }, "MalformedPOSTRequest", 400},
		"key after the file":   {func(f *uploadForm, s sig.Fields) { f.after = formPart("key", "user/other") }, "MalformedPOSTRequest", 400},
		"acl after the file":   {func(f *uploadForm, s sig.Fields) { f.after = formPart("acl", "public-read") }, "MalformedPOSTRequest", 400},
		"two files":            {func(f *uploadForm, s sig.Fields) { f.after = formPart("file", "other") }, "IncorrectNumberOfFilesInPostRequest", 400},
		"long form":            {func(f *uploadForm, s sig.Fields) { f.fields["x-ignore-a"] = strings.Repeat("x", 20<<10) }, "MaxPostPreDataLengthExceeded", 400},
		"very long form":       {func(f *uploadForm, s sig.Fields) { f.fields["x-ignore-a"] = strings.Repeat("x", 4<<20) }, "MaxPostPreDataLengthExceeded", 400},
		"no key":               {func(f *uploadForm, s sig.Fields) { delete(f.fields, "key") }, "InvalidArgument", 400},
		"empty key":            {func(f *uploadForm, s sig.Fields) { f.fields["key"] = "" }, "InvalidArgument", 400},
		"long key":             {func(f *uploadForm, s sig.Fields) { f.fields["key"] = "user/" + strings.Repeat("k", 1020) }, "KeyTooLongError", 400},
		"bad policy":           {func(f *uploadForm, s sig.Fields) { f.conditions[0] = `{}` }, "InvalidPolicyDocument", 400},
		"header in metadata":   {func(f *uploadForm, s sig.Fields) { f.fields["Content-Type"] = "text/a\r\nX: y" }, "InvalidArgument", 400},
		"unknown amz field": {func(f *uploadForm, s sig.Fields) {
			f.fields["x-amz-copy-source"] = "/vault/secret"
			f.conditions = append(f.conditions, `["starts-with", "$x-amz-copy-source", ""]`)
		}, "NotImplemented", 501},
		"bad tagging": {func(f *uploadForm, s sig.Fields) {
			f.fields["tagging"] = "a=b"
			f.conditions = append(f.conditions, `["starts-with", "$tagging", ""]`)
		}, "MalformedXML", 400},
		"bad checksum": {func(f *uploadForm, s sig.Fields) { f.fields["x-amz-checksum-sha256"] = "sailorjerry" }, "BadDigest", 400},
		"no signature": {func(f *uploadForm, s sig.Fields) { delete(s, "x-amz-signature"); delete(s, "signature") }, "InvalidArgument", 400},
		"no policy":    {func(f *uploadForm, s sig.Fields) { delete(s, "policy") }, "InvalidArgument", 400},
		"other signature": {func(f *uploadForm, s sig.Fields) {
			for _, name := range []string{"x-amz-signature", "signature"} {
				if s[name] != "" {
					s[name] = "0" + s[name][1:] + "0"
				}
			}
		}, "SignatureDoesNotMatch", 403},
		"session token": {func(f *uploadForm, s sig.Fields) { s["x-amz-security-token"] = "token" }, "InvalidToken", 400},
		"nobody's key": {func(f *uploadForm, s sig.Fields) {
			for _, name := range []string{"x-amz-credential", "awsaccesskeyid"} {
				s[name] = strings.Replace(s[name], v.root.cred.AccessKey, "NOBODY", 1)
			}
			for name, value := range s {
				if value == "" {
					delete(s, name)
				}
			}
		}, "InvalidAccessKeyId", 403},
		"all credentials taken away": {func(f *uploadForm, s sig.Fields) {
			for _, name := range []string{"x-amz-credential", "awsaccesskeyid", "x-amz-signature", "signature", "policy", "x-amz-algorithm", "x-amz-date"} {
				delete(s, name)
			}
		}, "AccessDenied", 403},
	} {
		for _, version := range []int{2, 4} {
			t.Run(fmt.Sprintf("%s v%d", name, version), func(t *testing.T) {
				v := v.as(t)
				f := usualForm(version)
				tc.change(&f, sig.Fields{})
				fields := f.signed(v.root.cred)
				tc.change(&f, fields)
				a := post(t, v.root, "/vault", f.encode(fields))
				checkRefused(t, name, a, nil, tc.status, tc.code)
				v.noLeak(name, a)
			})
		}
	}
	v.unharmed()
}

func formPart(name, value string) string {
	return fmt.Sprintf("--%s\r\nContent-Disposition: form-data; name=%q\r\n\r\n%s\r\n", formBoundary, name, value)
}

// What is not in the form itself.
func TestPostRequestAttacks(t *testing.T) {
	v := newVictim(t)
	f := usualForm(4)
	body := f.encode(f.signed(v.root.cred))
	for name, tc := range map[string]struct {
		target string
		body   []byte
		change func(*http.Request)
		code   string
		status int
	}{
		"a header too":      {"/vault", body, header("Authorization", "AWS K:s"), "InvalidArgument", 400},
		"a query too":       {"/vault?X-Amz-Signature=0", body, nil, "InvalidArgument", 400},
		"other type":        {"/vault", body, header("Content-Type", "text/plain"), "PreconditionFailed", 412},
		"no boundary":       {"/vault", body, header("Content-Type", "multipart/form-data"), "MalformedPOSTRequest", 400},
		"conditional":       {"/vault", body, header("If-None-Match", "*"), "NotImplemented", 501},
		"no such bucket":    {"/vault-none", body, nil, "AccessDenied", 403}, // the policy is another bucket's
		"on a key":          {"/vault/key", body, nil, "MethodNotAllowed", 405},
		"sub-resource":      {"/vault?policy", body, nil, "NotImplemented", 501},
		"another's bucket":  {"/vault", body, header("X-Amz-Expected-Bucket-Owner", "000000000000"), "AccessDenied", 403},
		"cut at the end":    {"/vault", body[:len(body)-4], nil, "MalformedPOSTRequest", 400},
		"cut in the file":   {"/vault", body[:len(body)-60], nil, "MalformedPOSTRequest", 400},
		"cut in the fields": {"/vault", body[:200], nil, "MalformedPOSTRequest", 400},
		"empty":             {"/vault", []byte{}, nil, "MalformedPOSTRequest", 400},
	} {
		change := []func(*http.Request){}
		if tc.change != nil {
			change = append(change, tc.change)
		}
		checkRefused(t, name, post(t, v.root, tc.target, tc.body, change...), nil, tc.status, tc.code)
	}
	v.unharmed()
	// A connection that ends within the file leaves nothing behind.
	head := fmt.Sprintf("POST /vault HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=%s\r\nContent-Length: %d\r\n\r\n", formBoundary, len(body))
	a, err := v.rawHalfClosed(append([]byte(head), body[:len(body)-65]...))
	checkRefused(t, "a short body", a, err, 400, "IncompleteBody")
	v.unharmed()
	// Headers of the request say nothing of the object: no policy has seen them.
	if a := post(t, v.root, "/vault", body, header("X-Amz-Acl", "public-read"), header("X-Amz-Meta-A", "b"), header("Content-Encoding", "gzip"),
		header("X-Amz-Website-Redirect-Location", "/evil")); a.status != 204 {
		t.Fatal(a)
	}
	got := v.root.must(t, 200, "GET", "/vault/user/photo.txt", nil)
	for _, name := range []string{"X-Amz-Meta-A", "Content-Encoding", "X-Amz-Website-Redirect-Location"} {
		if got.header.Get(name) != "" {
			t.Errorf("%s: %q", name, got.header.Get(name))
		}
	}
	anonymous := *v.root
	anonymous.cred = sig.Credential{}
	anonymous.refused(t, 403, "AccessDenied", "GET", "/vault/user/photo.txt", nil)
}

// Fields that come byte by byte hold nobody's connection for long.
func TestPostSlowFields(t *testing.T) {
	v := newVictim(t, func(o *server.Options) { o.BodyIdle = time.Second })
	conn := v.dial()
	begin := time.Now()
	conn.say(t, fmt.Appendf(nil, "POST /vault HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=%s\r\nContent-Length: 100000\r\n\r\n", formBoundary))
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
				if _, err := conn.Write([]byte("x")); err != nil {
					return
				}
			}
		}
	}()
	a := conn.hear(t, &http.Request{Method: "POST"})
	close(stop)
	<-stopped
	checkRefused(t, "slow fields", a, nil, 400, "RequestTimeout")
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
	v.unharmed()
}
