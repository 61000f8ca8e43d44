package server_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"ironman/s3api/sig"
)

const corsRules = `<CORSConfiguration>
	<CORSRule><AllowedOrigin>*suffix</AllowedOrigin><AllowedMethod>GET</AllowedMethod><ExposeHeader>ETag</ExposeHeader><ExposeHeader>x-amz-meta-a</ExposeHeader><MaxAgeSeconds>60</MaxAgeSeconds></CORSRule>
	<CORSRule><AllowedOrigin>start*end</AllowedOrigin><AllowedMethod>GET</AllowedMethod><AllowedMethod>HEAD</AllowedMethod></CORSRule>
	<CORSRule><AllowedOrigin>*.put</AllowedOrigin><AllowedMethod>PUT</AllowedMethod><AllowedHeader>x-amz-*</AllowedHeader><AllowedHeader>Content-Type</AllowedHeader></CORSRule>
	<CORSRule><AllowedOrigin>*</AllowedOrigin><AllowedMethod>DELETE</AllowedMethod><AllowedHeader>*</AllowedHeader></CORSRule>
</CORSConfiguration>`

// shared is what an answer tells a browser: origin and methods, "" for nothing.
func shared(a *answer) string {
	h := a.header
	return strings.TrimSpace(h.Get("Access-Control-Allow-Origin") + " " + h.Get("Access-Control-Allow-Methods"))
}

// TestCORS: every answer to a page of another origin says whether it may see it.
func TestCORS(t *testing.T) {
	v := newVictim(t)
	v.root.must(t, 200, "PUT", "/public?cors", []byte(corsRules))
	nobody := *v.root
	nobody.cred = sig.Credential{}
	for _, tc := range []struct {
		method, target, origin, asked string
		status                        int
		want                          string
	}{
		{"GET", "/public", "", "", 200, ""},
		{"GET", "/public", "foo.suffix", "", 200, "foo.suffix GET"},
		{"GET", "/public", "foo.bar", "", 200, ""},
		{"GET", "/public", "startend", "", 200, "startend GET, HEAD"},
		{"GET", "/public", "start1end", "", 200, "start1end GET, HEAD"},
		{"GET", "/public", "starend", "", 200, ""},
		{"GET", "/public", "0start1end", "", 200, ""},
		{"GET", "/public/page", "suffix", "", 200, "suffix GET"},
		{"GET", "/public/hidden", "a.suffix", "", 403, "a.suffix GET"},
		{"GET", "/public/missing", "a.suffix", "", 404, "a.suffix GET"},
		{"GET", "/public?accelerate", "a.suffix", "", 501, "a.suffix GET"},
		{"PUT", "/public/new", "a.put", "", 403, "a.put PUT"},
		{"PUT", "/public/new", "a.suffix", "", 403, ""},
		{"PUT", "/public/new", "a.suffix", "GET", 403, "a.suffix GET"},
		{"DELETE", "/public/new", "anyone", "", 403, "* DELETE"},
		{"GET", "/vault/secret", "a.suffix", "", 403, ""},
		{"GET", "/no-such-bucket", "a.suffix", "", 404, ""},
		{"GET", "/", "a.suffix", "", 403, ""},
		{"OPTIONS", "/public", "", "", 400, ""},
		{"OPTIONS", "/public", "a.suffix", "", 400, ""},
		{"OPTIONS", "/public", "a.suffix", "BREW", 400, ""},
		{"OPTIONS", "/public", "a.suffix", "GET", 200, "a.suffix GET"},
		{"OPTIONS", "/public/new?tagging", "a.put", "PUT", 200, "a.put PUT"},
		{"OPTIONS", "/public/new", "a.put", "GET", 403, ""},
		{"OPTIONS", "/public/new", "x", "DELETE", 200, "* DELETE"},
		{"OPTIONS", "/vault/secret", "a.suffix", "GET", 403, ""},
		{"OPTIONS", "/no-such-bucket/k", "a.suffix", "GET", 403, ""},
		{"OPTIONS", "/", "a.suffix", "GET", 405, ""},
	} {
		what := fmt.Sprintf("%s %s of %q for %q", tc.method, tc.target, tc.origin, tc.asked)
		a, err := nobody.try(tc.method, tc.target, nil, func(r *http.Request) {
			if tc.origin != "" {
				r.Header.Set("Origin", tc.origin)
			}
			if tc.asked != "" {
				r.Header.Set("Access-Control-Request-Method", tc.asked)
			}
		})
		if err != nil || a.status != tc.status || shared(a) != tc.want {
			t.Errorf("%s: %v %v %q, want %d %q", what, err, a, shared(a), tc.status, tc.want)
			continue
		}
		v.noLeak(what, a)
		h := a.header
		if credentials := h.Get("Access-Control-Allow-Credentials"); (credentials == "true") != (tc.want != "" && !strings.HasPrefix(tc.want, "*")) { // S-E5
			t.Errorf("%s: credentials %q", what, credentials)
		}
		if tc.want != "" && !strings.Contains(h.Get("Vary"), "Origin") {
			t.Errorf("%s: Vary %q", what, h.Get("Vary"))
		}
		if strings.HasSuffix(tc.want, "suffix GET") && (h.Get("Access-Control-Expose-Headers") != "ETag, x-amz-meta-a" || h.Get("Access-Control-Max-Age") != "60") {
			t.Errorf("%s: %v", what, h)
		}
	}
	v.unharmed()
}

// TestPreflightHeaders: each header that a page wants to send must be allowed.
func TestPreflightHeaders(t *testing.T) {
	v := newVictim(t)
	v.root.must(t, 200, "PUT", "/public?cors", []byte(corsRules))
	for asked, want := range map[string]string{
		"":                                 "",
		"x-amz-meta-a":                     "x-amz-meta-a",
		"X-Amz-Date, content-type":         "x-amz-date, content-type",
		"X-AMZ-DATE,,":                     "x-amz-date",
		"authorization":                    "refused",
		"x-amz-date,authorization":         "refused",
		"x-amz-evil\tname":                 "refused",
		strings.Repeat("x-amz-a,", 500):    strings.Repeat("x-amz-a, ", 499) + "x-amz-a",
		"x-amz-date; access-control-allow": "refused",
	} {
		a, err := v.root.try("OPTIONS", "/public/new", nil, header("Origin", "a.put"), header("Access-Control-Request-Method", "PUT"), header("Access-Control-Request-Headers", asked))
		if err != nil {
			t.Fatal(err)
		}
		if want == "refused" {
			checkRefused(t, asked, a, err, 403, "AccessForbidden")
		} else if a.status != 200 || a.header.Get("Access-Control-Allow-Headers") != want {
			t.Errorf("%q: %v %q", asked, a, a.header.Get("Access-Control-Allow-Headers"))
		}
	}
	// A presigned URL is asked for without its signature being anybody's business.
	a := v.root.must(t, 200, "OPTIONS", "/vault/secret?X-Amz-Signature=00&X-Amz-Credential=x", nil, func(r *http.Request) {
		r.URL.Path = "/public/page"
		r.Header.Set("Origin", "a.suffix")
		r.Header.Set("Access-Control-Request-Method", "GET")
	})
	if len(a.body) != 0 {
		t.Errorf("%s", a.body)
	}
	v.unharmed()
}

// TestAttackDocuments: S-E4 and S-E5. Documents that must not be stored.
func TestAttackDocuments(t *testing.T) {
	v := newVictim(t)
	cors := func(inside string) string {
		return "<CORSConfiguration><CORSRule>" + inside + "</CORSRule></CORSConfiguration>"
	}
	get := "<AllowedMethod>GET</AllowedMethod>"
	for _, tc := range []struct{ sub, doc, code string }{
		{"cors", cors(get + "<AllowedOrigin>a&#13;&#10;Set-Cookie: x</AllowedOrigin>"), "InvalidRequest"},
		{"cors", cors(get + "<AllowedOrigin>a</AllowedOrigin><ExposeHeader>a&#13;&#10;X: y</ExposeHeader>"), "InvalidRequest"},
		{"cors", cors(get + "<AllowedOrigin>a</AllowedOrigin><AllowedHeader>a&#10;b</AllowedHeader>"), "InvalidRequest"},
		{"cors", cors(get + "<AllowedOrigin>a*b*</AllowedOrigin>"), "InvalidRequest"},
		{"cors", `<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>` + cors(get+"<AllowedOrigin>&e;</AllowedOrigin>"), "MalformedXML"},
		{"cors", "<CORSConfiguration>" + strings.Repeat("<CORSRule>", 100), "MalformedXML"},
		{"cors", cors(get + "<AllowedOrigin>" + strings.Repeat("a", 70<<10) + "</AllowedOrigin>"), "MaxMessageLengthExceeded"},
		{"tagging", "<Tagging><TagSet><Tag><Key>aws:x</Key><Value/></Tag></TagSet></Tagging>", "InvalidTag"},
		{"tagging", "<Tagging><TagSet><Tag><Key>a</Key><Value/></Tag><Tag><Key>a</Key><Value/></Tag></TagSet></Tagging>", "InvalidTag"},
		{"tagging", "<Tagging><TagSet><Tag><Key>a&#10;b</Key><Value/></Tag></TagSet></Tagging>", "InvalidTag"},
		{"tagging", "<Tagging><TagSet>" + numbered(51, "<Tag><Key>%d</Key><Value/></Tag>") + "</TagSet></Tagging>", "BadRequest"},
		{"lifecycle", "<LifecycleConfiguration><TransitionDefaultMinimumObjectSize>x</TransitionDefaultMinimumObjectSize></LifecycleConfiguration>", "MalformedXML"},
		{"website", "<WebsiteConfiguration><RedirectAllRequestsTo><HostName>evil&#13;&#10;X: y</HostName></RedirectAllRequestsTo></WebsiteConfiguration>", "MalformedXML"},
		{"website", "<WebsiteConfiguration><RedirectAllRequestsTo><HostName>h</HostName><Protocol>javascript</Protocol></RedirectAllRequestsTo></WebsiteConfiguration>", "InvalidRequest"},
		{"publicAccessBlock", `<PublicAccessBlockConfiguration xmlns="urn:other"/>`, "MalformedXML"},
		{"requestPayment", "<RequestPaymentConfiguration><Payer>Nobody</Payer></RequestPaymentConfiguration>", "MalformedXML"},
		{"notification", "<NotificationConfiguration><QueueConfiguration><Queue>http://169.254.169.254/</Queue><Event>s3:ObjectCreated:*</Event></QueueConfiguration></NotificationConfiguration>", "InvalidArgument"},
	} {
		v.root.refused(t, 400, tc.code, "PUT", "/vault?"+tc.sub, []byte(tc.doc))
		// Nor is a good one that comes with the wrong digest.
		if tc.code == "MaxMessageLengthExceeded" {
			continue // which was not read as far as that
		}
		v.root.refused(t, 400, "BadDigest", "PUT", "/vault?"+tc.sub, []byte(tc.doc), header("Content-Md5", contentMD5([]byte("other"))))
		v.root.refused(t, 400, "MissingRequestBodyError", "PUT", "/vault?"+tc.sub, []byte{})
	}
	// A document without any digest could be anything.
	doc := []byte(cors(get + "<AllowedOrigin>a</AllowedOrigin>"))
	v.root.refused(t, 400, "InvalidRequest", "PUT", "/vault?cors", doc, header("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"))
	v.root.refused(t, 404, "NoSuchCORSConfiguration", "GET", "/vault?cors", nil)
	v.root.must(t, 200, "PUT", "/vault?cors", doc, header("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD"), header("Content-Md5", contentMD5(doc)))
	// What is stored is what was meant, not what was sent.
	sent := "<?xml version='1.0'?>\n<!-- mine --><c:CORSConfiguration xmlns:c='http://s3.amazonaws.com/doc/2006-03-01/'>" +
		"<c:CORSRule>\n<c:AllowedMethod><![CDATA[GET]]></c:AllowedMethod><c:AllowedOrigin>a</c:AllowedOrigin></c:CORSRule></c:CORSConfiguration>"
	v.root.must(t, 200, "PUT", "/vault?cors", []byte(sent))
	want := `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<CORSConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><CORSRule>` +
		`<AllowedOrigin>a</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>`
	if a := v.root.must(t, 200, "GET", "/vault?cors", nil); string(a.body) != want {
		t.Errorf("%s", a.body)
	}
	v.root.must(t, 204, "DELETE", "/vault?cors", nil)
	v.unharmed()
}

// numbered repeats a format with the numbers below n.
func numbered(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// TestCORSFormError: a page may see why its form was refused, even where that shows before
// anybody is asked for.
func TestCORSFormError(t *testing.T) {
	v := newVictim(t)
	v.root.must(t, 200, "PUT", "/public?cors", []byte(strings.Replace(corsRules, "<AllowedMethod>DELETE", "<AllowedMethod>POST", 1)))
	form := "--x\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\nbytes\r\n--x--\r\n"
	a, err := v.root.nobody().try("POST", "/public", []byte(form), header("Content-Type", "multipart/form-data; boundary=x"), header("Origin", "https://page.example"))
	if err != nil || a.status != 400 || shared(a) != "* POST" {
		t.Errorf("%v, %v, %q", a, err, shared(a))
	}
}
