package server_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/s3api/sig"
	"ironman/server"
)

func withDomains(o *server.Options) {
	o.Domains, o.WebsiteDomains = []string{"s3.example"}, []string{"web.example"}
}

const siteDocument = `<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix></IndexDocument><ErrorDocument><Key>error.html</Key></ErrorDocument>
<RoutingRules><RoutingRule><Condition><KeyPrefixEquals>docs/</KeyPrefixEquals></Condition><Redirect><ReplaceKeyPrefixWith>documents/</ReplaceKeyPrefixWith></Redirect></RoutingRule></RoutingRules></WebsiteConfiguration>`

// openSites opens a node with a site, a bucket that is none, and a visitor.
func openSites(t *testing.T, change ...func(*server.Options)) (p *inProcess, root *client, visit func(method, host, path string, change ...func(*http.Request)) *answer) {
	p = openInProcess(t, vfs.NewMem(), "/", append(change, withDomains)...)
	root = p.client()
	for _, bucket := range []string{"/site", "/none"} {
		root.must(t, 200, "PUT", bucket, nil)
	}
	public, html := header("X-Amz-Acl", "public-read"), header("Content-Type", "text/html")
	root.must(t, 200, "PUT", "/site/index.html", []byte("<h1>home</h1>"), public, html)
	root.must(t, 200, "PUT", "/site/photos/index.html", []byte("photos"), public, html)
	root.must(t, 200, "PUT", "/site/private", []byte("private"))
	root.must(t, 200, "PUT", "/site/moved", []byte("the old page"), public, header("X-Amz-Website-Redirect-Location", "/new"))
	if err := p.node.SetWebsiteForTest(context.Background(), "site", siteDocument); err != nil {
		t.Fatal(err)
	}
	visitor := p.client()
	visitor.cred = sig.Credential{}
	visitor.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return p, root, func(method, host, path string, change ...func(*http.Request)) *answer {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		r := visitor.request(ctx, method, path, nil)
		r.Host = host
		for _, f := range change {
			f(r)
		}
		a, err := visitor.send(r)
		if err != nil {
			t.Fatalf("%s %s: %v", method, path, err)
		}
		return a
	}
}

func TestWebsite(t *testing.T) {
	_, root, visit := openSites(t)
	const site = "site.web.example"
	for _, tc := range []struct {
		method, host, path string
		status             int
		holds, location    string
	}{
		{"GET", site, "/", 200, "<h1>home</h1>", ""},
		{"GET", "SITE.web.example:9000", "/index.html", 200, "<h1>home</h1>", ""},
		{"GET", site, "/photos/", 200, "photos", ""},
		{"GET", site, "/photos", 302, "", "/photos/"},
		{"GET", site, "/docs/a?x=1", 301, "", "http://site.web.example/documents/a?x=1"},
		{"GET", site, "/moved", 301, "", "/new"},
		{"GET", site, "/?versionId=null&response-content-type=a&acl", 200, "<h1>home</h1>", ""},
		{"GET", site, "/private", 403, "Custom Error Document", ""},
		{"GET", site, "/missing%3Cscript%3E", 403, "Key: missing&lt;script&gt;", ""}, // not everybody may list
		{"GET", "none.web.example", "/", 404, "Code: NoSuchWebsiteConfiguration", ""},
		{"GET", "nobody.web.example", "/", 404, "Code: NoSuchBucket", ""},
		{"PUT", site, "/index.html", 405, "Code: MethodNotAllowed", ""},
		{"POST", site, "/", 405, "Code: MethodNotAllowed", ""},
		{"DELETE", site, "/index.html", 405, "Code: MethodNotAllowed", ""},
		{"GET", site, "/" + strings.Repeat("k", 1020), 403, "AccessDenied", ""}, // with the index it is too long
		{"GET", site, "/" + strings.Repeat("k", 1025), 400, "Code: KeyTooLongError", ""},
	} {
		a := visit(tc.method, tc.host, tc.path)
		if a.status != tc.status || !strings.Contains(string(a.body), tc.holds) || a.header.Get("Location") != tc.location {
			t.Errorf("%s %s%s: %v %q", tc.method, tc.host, tc.path, a, a.header.Get("Location"))
		}
		if a.status >= 400 && (a.header.Get("Content-Type") != "text/html; charset=utf-8" || a.header.Get("X-Amz-Error-Code") == "" || a.header.Get("X-Amz-Request-Id") == "") {
			t.Errorf("%s: %v", tc.path, a.header)
		}
		head := visit("HEAD", tc.host, tc.path)
		if tc.method == "GET" && (head.status != tc.status || len(head.body) != 0 || head.header.Get("Location") != tc.location) {
			t.Errorf("HEAD %s: %v", tc.path, head)
		}
		if tc.method == "GET" && tc.status < 300 && head.header.Get("Content-Length") != a.header.Get("Content-Length") {
			t.Errorf("HEAD %s: %v", tc.path, head.header)
		}
	}
	// The error page, once there is one that everybody may read.
	root.must(t, 200, "PUT", "/site/error.html", []byte("our own page"), header("X-Amz-Acl", "public-read"), header("Content-Type", "text/html"))
	a := visit("GET", site, "/missing", header("If-None-Match", "*"), header("Range", "bytes=0-1"))
	if a.status != 403 || string(a.body) != "our own page" || a.header.Get("X-Amz-Error-Code") != "AccessDenied" {
		t.Error(a, a.header)
	}
	root.must(t, 200, "PUT", "/site?acl", nil, header("X-Amz-Acl", "public-read"))
	if a := visit("GET", site, "/missing"); a.status != 404 || a.header.Get("X-Amz-Error-Code") != "NoSuchKey" {
		t.Error(a, a.header)
	}
}

func TestWebsiteRequests(t *testing.T) {
	p, root, visit := openSites(t)
	const site = "site.web.example"
	tag := visit("GET", site, "/").header.Get("Etag")
	if a := visit("GET", site, "/", header("If-None-Match", tag)); a.status != 304 || len(a.body) != 0 {
		t.Error(a)
	}
	if a := visit("GET", site, "/", header("Range", "bytes=0-3")); a.status != 206 || string(a.body) != "<h1>" {
		t.Error(a)
	}
	if a := visit("GET", site, "/", header("If-Match", `"other"`)); a.status != 412 || !strings.Contains(string(a.body), "<h1>412 Precondition Failed</h1>") {
		t.Error(a)
	}
	// Nobody signs here: a signature opens nothing.
	r := root.request(context.Background(), "GET", "/private", nil)
	r.Host = site
	root.sign(r, nil)
	if a, err := root.send(r); err != nil || a.status != 403 {
		t.Error(a, err)
	}
	// The redirect of an object is for visitors, not for clients.
	if a := root.must(t, 200, "GET", "/site/moved", nil); string(a.body) != "the old page" || a.header.Get("X-Amz-Website-Redirect-Location") != "/new" {
		t.Error(a, a.header)
	}
	// A stored configuration that cannot be followed is our fault, and says no more.
	if err := p.node.SetWebsiteForTest(context.Background(), "site", "<Unheard/>"); err != nil {
		t.Fatal(err)
	}
	if a := visit("GET", site, "/"); a.status != 500 || strings.Contains(string(a.body), "Unheard") {
		t.Error(a)
	}
}

// TestWebsiteStored: what is taken as a site can be followed by the site.
func TestWebsiteStored(t *testing.T) {
	_, root, visit := openSites(t)
	put := func(rule string) []byte {
		return []byte(`<WebsiteConfiguration><IndexDocument><Suffix>index.html</Suffix></IndexDocument><RoutingRules><RoutingRule>` + rule + `</RoutingRule></RoutingRules></WebsiteConfiguration>`)
	}
	for rule, want := range map[string]int{
		`<Condition><KeyPrefixEquals></KeyPrefixEquals></Condition><Redirect><HostName>other</HostName></Redirect>`: 301,
		`<Redirect><HostName>other</HostName><HttpRedirectCode>304</HttpRedirectCode></Redirect>`:                   0,
		`<Redirect><HostName>a%b</HostName></Redirect>`:                                                             0,
		`<Redirect><HostName>a?b</HostName></Redirect>`:                                                             0,
	} {
		b := put(rule)
		if want == 0 {
			root.refused(t, 400, "InvalidArgument", "PUT", "/site?website", b, header("Content-MD5", contentMD5(b)))
			continue
		}
		root.must(t, 200, "PUT", "/site?website", b, header("Content-MD5", contentMD5(b)))
		if a := visit("GET", "site.web.example", "/any"); a.status != want || a.header.Get("Location") != "http://other/any" {
			t.Errorf("%s: %v %v", rule, a, a.header)
		}
	}
}

// TestWebsiteOrigins: pages of other origins may see a site as its bucket's rules say, and
// nobody sees one whose visitors would have to pay.
func TestWebsiteOrigins(t *testing.T) {
	_, root, visit := openSites(t)
	const site = "site.web.example"
	cors := []byte(`<CORSConfiguration><CORSRule><AllowedOrigin>http://page.example</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>`)
	root.must(t, 200, "PUT", "/site?cors", cors, header("Content-MD5", contentMD5(cors)))
	from := header("Origin", "http://page.example")
	for path, status := range map[string]int{"/": 200, "/private": 403} {
		if a := visit("GET", site, path, from); a.status != status || a.header.Get("Access-Control-Allow-Origin") != "http://page.example" {
			t.Errorf("%s: %v %v", path, a, a.header)
		}
	}
	if a := visit("OPTIONS", site, "/", from, header("Access-Control-Request-Method", "GET")); a.status != 200 || a.header.Get("Access-Control-Allow-Origin") != "http://page.example" {
		t.Errorf("preflight: %v %v", a, a.header)
	}
	if a := visit("OPTIONS", site, "/", from, header("Access-Control-Request-Method", "PUT")); a.status != 403 || a.header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("preflight of a PUT: %v %v", a, a.header)
	}
	payer := []byte("<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>")
	root.must(t, 200, "PUT", "/site?requestPayment", payer, header("Content-MD5", contentMD5(payer)))
	if a := visit("GET", site, "/"); a.status != 403 {
		t.Errorf("a visitor who does not pay: %v", a)
	}
}
