package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// overrideHeaders are the headers that response-* parameters replace, and values for them.
var overrideHeaders = map[string]string{
	"Cache-Control": "no-store, max-age=0", "Content-Disposition": `attachment; filename="a b & c.txt"`, "Content-Encoding": "x-own",
	"Content-Language": "de, fr", "Content-Type": "text/x-other; charset=utf-8", "Expires": "Thu, 01 Jan 2037 00:00:00 GMT",
}

func overrideQuery(name string) string {
	return "response-" + strings.ToLower(name) + "=" + strings.ReplaceAll(url.QueryEscape(overrideHeaders[name]), "+", "%20")
}

// TestResponseOverrides: each response-* parameter of a signed read replaces its header,
// one that was stored and one that was not, and no other.
func TestResponseOverrides(t *testing.T) {
	v := newVictim(t)
	stored := make(map[string]string)
	for name := range overrideHeaders {
		stored[name] = "x-stored"
	}
	stored["Expires"] = "Wed, 01 Jan 2031 00:00:00 GMT"
	v.root.must(t, 200, "PUT", "/vault/described", []byte("bytes"), withHeaders(stored))
	v.root.must(t, 200, "PUT", "/vault/plain", []byte("bytes"), header("Content-Type", "x-stored"))
	plain := map[string]string{"Content-Type": "x-stored"}
	check := func(what string, a *answer, kept map[string]string, over ...string) {
		t.Helper()
		want := make(map[string]string)
		for _, name := range over {
			want[name] = overrideHeaders[name]
		}
		for name := range overrideHeaders {
			w, ok := want[name]
			if !ok {
				w = kept[name]
			}
			if got := a.header.Get(name); got != w {
				t.Errorf("%s: %s is %q, want %q", what, name, got, w)
			}
		}
	}
	var all []string
	query := "?"
	for name := range overrideHeaders {
		all = append(all, name)
		query += "&" + overrideQuery(name)
	}
	for key, kept := range map[string]map[string]string{"described": stored, "plain": plain} {
		target := "/vault/" + key
		for _, method := range []string{"GET", "HEAD"} {
			check(method, v.root.must(t, 200, method, target, nil), kept)
			for name := range overrideHeaders {
				check(method+" "+key, v.root.must(t, 200, method, target+"?"+overrideQuery(name), nil), kept, name)
			}
			check(method+" with all", v.root.must(t, 200, method, target+query, nil), kept, all...)
			check(method+" of a range", v.root.must(t, 206, method, target+query, nil, header("Range", "bytes=1-2")), kept, all...)
			r := v.presigned(v.root, method, target+query, time.Minute, time.Now())
			a, err := v.root.send(r)
			if err != nil || a.status != 200 {
				t.Fatalf("presigned: %v, %v", a, err)
			}
			check(method+" presigned", a, kept, all...)
		}
	}
	// An error is XML, whatever was asked for.
	v.root.refused(t, 404, "NoSuchKey", "GET", "/vault/none"+query, nil)
	v.alice.refused(t, 403, "AccessDenied", "GET", "/vault/plain"+query, nil)
}

// TestAnonymousOverrides: who does not sign may not choose headers, of what everybody may
// read either: a link to it would else be a page of somebody else's making.
func TestAnonymousOverrides(t *testing.T) {
	v := newVictim(t)
	nobody := v.root.nobody()
	for name := range overrideHeaders {
		for _, target := range []string{"/public/page", "/public/none", "/vault/secret"} {
			nobody.refused(t, 400, "InvalidRequest", "GET", target+"?"+overrideQuery(name), nil)
			if a := nobody.must(t, 400, http.MethodHead, target+"?"+overrideQuery(name), nil); a.header.Get(name) == overrideHeaders[name] {
				t.Errorf("HEAD %s: %v", target, a.header)
			}
		}
	}
	nobody.must(t, 200, "GET", "/public/page?response-x=y", nil) // means nothing
	v.unharmed()
}
