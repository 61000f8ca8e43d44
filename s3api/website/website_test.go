package website

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// wrap makes the document of a site.
func wrap(inner string) string {
	return `<WebsiteConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">` + inner + `</WebsiteConfiguration>`
}

const index = `<IndexDocument><Suffix>index.html</Suffix></IndexDocument>`

func rules(inner string) string { return wrap(index + `<RoutingRules>` + inner + `</RoutingRules>`) }

// Amazon's examples of "Configuring advanced conditional redirects".
var (
	renamed = `<RoutingRule><Condition><KeyPrefixEquals>docs/</KeyPrefixEquals></Condition>` +
		`<Redirect><ReplaceKeyPrefixWith>documents/</ReplaceKeyPrefixWith></Redirect></RoutingRule>`
	deleted = `<RoutingRule><Condition><KeyPrefixEquals>images/</KeyPrefixEquals></Condition>` +
		`<Redirect><ReplaceKeyWith>folderdeleted.html</ReplaceKeyWith></Redirect></RoutingRule>`
	report = `<RoutingRule><Condition><HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals></Condition>` +
		`<Redirect><HostName>ec2-11-22-333-44.compute-1.amazonaws.com</HostName><ReplaceKeyPrefixWith>report-404/</ReplaceKeyPrefixWith></Redirect></RoutingRule>`
)

// show writes an answer as a line.
func show(a *Answer) string {
	switch {
	case a.Location != "":
		return fmt.Sprintf("%d -> %s", a.Status, a.Location)
	case a.Status == 200:
		return "200 " + a.Key
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s %s %s %s", a.Status, a.Code, a.Failed, a.Key, a.PageCode))
}

func TestDecide(t *testing.T) {
	errorPage := wrap(index + `<ErrorDocument><Key>errors/404.html</Key></ErrorDocument>`)
	plain := wrap(index)
	for _, tc := range []struct{ site, path, holds, want string }{
		// The index document, at the root and below.
		{plain, "", "index.html", "200 index.html"},
		{plain, "photos/", "photos/index.html", "200 photos/index.html"},
		{plain, "photos", "photos/index.html", "302 -> /photos/"},
		{plain, "photos", "photos|photos/index.html", "200 photos"},
		{plain, "sample.jpg", "sample.jpg", "200 sample.jpg"},
		{plain, "a//b/", "a//b/index.html", "200 a//b/index.html"},
		{plain, "a b&ü?", "a b&ü?/index.html", "302 -> /a%20b&%C3%BC%3F/"},
		{plain, "/evil.example", "/evil.example/index.html", "302 -> /%2Fevil.example/"},
		{plain, "", "", "404 NoSuchKey index.html"},
		{plain, "none", "", "404 NoSuchKey none"},
		{plain, "secret", "!secret", "403 AccessDenied secret"},
		{plain, "secret", "!secret|!secret/index.html", "403 AccessDenied secret"},
		// The error document.
		{errorPage, "none", "errors/404.html", "404 NoSuchKey none errors/404.html"},
		{errorPage, "secret", "!secret|errors/404.html", "403 AccessDenied secret errors/404.html"},
		{errorPage, "none", "", "404 NoSuchKey none  NoSuchKey"},
		{errorPage, "none", "!errors/404.html", "404 NoSuchKey none  AccessDenied"},
		// Objects that redirect.
		{plain, "old", "old>/new", "301 -> /new"},
		{plain, "old", "old>https://example.com/x?y", "301 -> https://example.com/x?y"},
		{plain, "old/", "old/index.html>/new", "301 -> /new"},
		// Everything redirected.
		{wrap(`<RedirectAllRequestsTo><HostName>example.com</HostName></RedirectAllRequestsTo>`), "a/b c", "a/b c", "301 -> http://example.com/a/b%20c"},
		{wrap(`<RedirectAllRequestsTo><HostName>example.com</HostName><Protocol>https</Protocol></RedirectAllRequestsTo>`), "", "", "301 -> https://example.com/"},
		// Rules.
		{rules(renamed), "docs/a/b.html", "docs/a/b.html", "301 -> http://site/documents/a/b.html"},
		{rules(renamed), "docs/", "", "301 -> http://site/documents/"},
		{rules(renamed), "docs", "docs", "200 docs"},
		{rules(deleted), "images/x.png", "images/x.png", "301 -> http://site/folderdeleted.html"},
		{rules(report), "ExamplePage.html", "", "301 -> http://ec2-11-22-333-44.compute-1.amazonaws.com/report-404/ExamplePage.html"},
		{rules(report), "ExamplePage.html", "ExamplePage.html", "200 ExamplePage.html"},
		{rules(report), "secret", "!secret", "403 AccessDenied secret"},
		{rules(renamed + deleted + report), "images/", "", "301 -> http://site/folderdeleted.html"},
		{rules(renamed + deleted + report), "none", "", "301 -> http://ec2-11-22-333-44.compute-1.amazonaws.com/report-404/none"},
		{rules(`<RoutingRule><Redirect><HostName>other</HostName><HttpRedirectCode>307</HttpRedirectCode><Protocol>https</Protocol></Redirect></RoutingRule>`), "a", "a", "307 -> https://other/a"},
		{rules(`<RoutingRule><Condition><HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals><KeyPrefixEquals>app/</KeyPrefixEquals></Condition>` +
			`<Redirect><ReplaceKeyWith></ReplaceKeyWith></Redirect></RoutingRule>`), "app/x", "", "301 -> http://site/"},
		{rules(`<RoutingRule><Condition><HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals><KeyPrefixEquals>app/</KeyPrefixEquals></Condition>` +
			`<Redirect><ReplaceKeyPrefixWith>#/</ReplaceKeyPrefixWith></Redirect></RoutingRule>`), "app/x", "", "301 -> http://site/%23/x"},
		{rules(`<RoutingRule><Condition><HttpErrorCodeReturnedEquals>404</HttpErrorCodeReturnedEquals><KeyPrefixEquals>app/</KeyPrefixEquals></Condition>` +
			`<Redirect><ReplaceKeyWith>x</ReplaceKeyWith></Redirect></RoutingRule>`), "other", "", "404 NoSuchKey other"},
	} {
		c, err := Parse([]byte(tc.site))
		if err != nil {
			t.Fatalf("%s: %v", tc.site, err)
		}
		a, err := Decide(c, &Request{Protocol: "http", Host: "site", Key: tc.path}, holding(tc.holds))
		if err != nil || show(a) != tc.want {
			t.Errorf("/%s where there is %q: %s %v, want %s\n%s", tc.path, tc.holds, show(a), err, tc.want, tc.site)
		}
	}
}

// holding is a bucket of keys: !key is forbidden, key>to redirects.
func holding(keys string) Look {
	states := make(map[string]State)
	for f := range strings.SplitSeq(keys, "|") {
		forbidden, is := strings.CutPrefix(f, "!")
		key, to, _ := strings.Cut(f, ">")
		if is {
			states[forbidden] = State{Status: 403, Code: "AccessDenied"}
		} else {
			states[key] = State{Status: 200, Redirect: to}
		}
	}
	return func(key string) (State, error) {
		if s, ok := states[key]; ok {
			return s, nil
		}
		return State{Status: 404, Code: "NoSuchKey"}, nil
	}
}

func TestQueryIsKept(t *testing.T) {
	c, err := Parse([]byte(rules(renamed)))
	if err != nil {
		t.Fatal(err)
	}
	a, err := Decide(c, &Request{Protocol: "https", Host: "site:8443", Key: "docs/a", Query: "x=1&y"}, holding(""))
	if err != nil || show(a) != "301 -> https://site:8443/documents/a?x=1&y" {
		t.Fatalf("%s %v", show(a), err)
	}
}

// A bucket that cannot be read is no bucket without the key.
func TestLookFails(t *testing.T) {
	broken := errors.New("broken")
	c := &Config{Index: "index.html", Error: "error.html"}
	for fails := range 3 {
		n := 0
		_, err := Decide(c, &Request{Key: "a"}, func(string) (State, error) {
			if n++; n > fails {
				return State{}, broken
			}
			return State{Status: 404, Code: "NoSuchKey"}, nil
		})
		if !errors.Is(err, broken) {
			t.Errorf("look %d: %v", fails, err)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	all := `<RedirectAllRequestsTo><HostName>a</HostName></RedirectAllRequestsTo>`
	for _, doc := range []string{
		"", "x", wrap(""), wrap(all + index), wrap(index + index), wrap(`<IndexDocument><Suffix></Suffix></IndexDocument>`),
		wrap(`<IndexDocument><Suffix>a/b</Suffix></IndexDocument>`), wrap(index + `<ErrorDocument><Key></Key></ErrorDocument>`), wrap(index + `<New/>`),
		wrap(`<RedirectAllRequestsTo><HostName>a</HostName><Protocol>ftp</Protocol></RedirectAllRequestsTo>`),
		wrap(`<RedirectAllRequestsTo><HostName>a/b</HostName></RedirectAllRequestsTo>`),
		wrap(`<RedirectAllRequestsTo><HostName>a&#13;&#10;X: y</HostName></RedirectAllRequestsTo>`),
		wrap(`<RedirectAllRequestsTo><HostName></HostName></RedirectAllRequestsTo>`),
		rules(`<RoutingRule></RoutingRule>`), rules(`<RoutingRule><Redirect></Redirect></RoutingRule>`),
		rules(`<RoutingRule><Condition></Condition><Redirect><HostName>a</HostName></Redirect></RoutingRule>`),
		rules(`<RoutingRule><Redirect><HttpRedirectCode>200</HttpRedirectCode></Redirect></RoutingRule>`),
		rules(`<RoutingRule><Redirect><HttpRedirectCode>304</HttpRedirectCode></Redirect></RoutingRule>`),
		rules(`<RoutingRule><Redirect><HttpRedirectCode>+301</HttpRedirectCode></Redirect></RoutingRule>`),
		rules(`<RoutingRule><Condition><HttpErrorCodeReturnedEquals>200</HttpErrorCodeReturnedEquals></Condition><Redirect><HostName>a</HostName></Redirect></RoutingRule>`),
		rules(`<RoutingRule><Redirect><ReplaceKeyWith>a</ReplaceKeyWith><ReplaceKeyPrefixWith>b</ReplaceKeyPrefixWith></Redirect></RoutingRule>`),
	} {
		if c, err := Parse([]byte(doc)); err == nil {
			t.Errorf("%s: %+v", doc, c)
		}
	}
}

func TestPage(t *testing.T) {
	const want = `<html>
<head><title>404 Not Found</title></head>
<body>
<h1>404 Not Found</h1>
<ul>
<li>Code: NoSuchKey</li>
<li>Message: The specified key does not exist.</li>
<li>Key: &lt;script&gt;</li>
<li>RequestId: R1</li>
<li>HostId: H1</li>
</ul>
<h3>An Error Occurred While Attempting to Retrieve a Custom Error Document</h3>
<ul>
<li>Code: AccessDenied</li>
<li>Message: Access Denied</li>
<li>Key: e&amp;.html</li>
</ul>
<hr/>
</body>
</html>
`
	got := string(Page(404, Fault{"NoSuchKey", "The specified key does not exist.", "<script>"}, &Fault{"AccessDenied", "Access Denied", "e&.html"}, "R1", "H1"))
	if got != want {
		t.Errorf("got %s", got)
	}
	if got := string(Page(403, Fault{Code: "AccessDenied", Message: "Access Denied"}, nil, "R", "H")); strings.Contains(got, "Key:") || strings.Contains(got, "h3") {
		t.Error(got)
	}
}

// FuzzDecide: whatever a site and its visitor say, a Location is one line, and one that
// names no host stays on the site.
func FuzzDecide(f *testing.F) {
	f.Add(rules(renamed+deleted+report), "docs/a", "x=1", "docs/a")
	f.Add(wrap(index), "//evil", "", "//evil/index.html")
	f.Add(wrap(`<RedirectAllRequestsTo><HostName>example.com</HostName></RedirectAllRequestsTo>`), "a\r\nb", "", "")
	f.Fuzz(func(t *testing.T, doc, key, query, exists string) {
		c, err := Parse([]byte(doc))
		if err != nil {
			return
		}
		a, err := Decide(c, &Request{Protocol: "http", Host: "site", Key: key, Query: url.QueryEscape(query)}, func(k string) (State, error) {
			if k == exists {
				return State{Status: 200}, nil
			}
			return State{Status: 404, Code: "NoSuchKey"}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(a.Location, "\r\n\x00 ") || strings.HasPrefix(a.Location, "//") || a.Location == "" && a.Status/100 == 3 {
			t.Fatalf("%d %q", a.Status, a.Location)
		}
	})
}
