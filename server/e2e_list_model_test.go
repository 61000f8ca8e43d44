package server_test

import (
	"encoding/xml"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// listPage is a page of any listing of objects.
type listPage struct {
	IsTruncated                                                bool
	KeyCount                                                   int
	NextMarker, NextContinuationToken, NextKeyMarker           string
	NextVersionIdMarker, Prefix, Delimiter, Marker, StartAfter string
	Contents, Version                                          []struct{ Key string }
	CommonPrefixes                                             []struct{ Prefix string }
}

// listCase is one way to ask for a listing.
type listCase struct {
	prefix, delimiter string
	max               int
	encoded           bool
}

// expected is what a listing of keys has to show, in order: keys, and common prefixes.
func (lc *listCase) expected(keys []string) (out []string) {
	for _, k := range keys {
		rest, ok := strings.CutPrefix(k, lc.prefix)
		if !ok {
			continue
		}
		if i := strings.Index(rest, lc.delimiter); lc.delimiter != "" && i >= 0 {
			k = lc.prefix + rest[:i+len(lc.delimiter)]
			if len(out) > 0 && out[len(out)-1] == k {
				continue
			}
		}
		out = append(out, k)
	}
	return out
}

// page asks for one page, and gives its lines in order.
func (lc *listCase) page(t *testing.T, c *client, form string, from url.Values) ([]string, *listPage) {
	t.Helper()
	q := url.Values{"prefix": {lc.prefix}, "delimiter": {lc.delimiter}, "max-keys": {fmt.Sprint(lc.max)}}
	for k, v := range from {
		q[k] = v
	}
	if form != "v1" {
		q.Set(map[string]string{"v2": "list-type", "versions": "versions"}[form], map[string]string{"v2": "2"}[form])
	}
	if lc.encoded {
		q.Set("encoding-type", "url")
	}
	a := c.must(t, 200, "GET", "/lists?"+strings.ReplaceAll(q.Encode(), "+", "%20"), nil)
	p := &listPage{}
	if err := xml.Unmarshal(a.body, p); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	var lines []string
	decode := func(s string) string {
		if !lc.encoded {
			return s
		}
		s, err := url.QueryUnescape(s)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for _, o := range append(p.Contents, p.Version...) {
		lines = append(lines, decode(o.Key))
	}
	for _, o := range p.CommonPrefixes {
		lines = append(lines, decode(o.Prefix))
	}
	slices.Sort(lines)
	p.NextMarker, p.NextKeyMarker = decode(p.NextMarker), decode(p.NextKeyMarker)
	if decode(p.Delimiter) != lc.delimiter || form != "v1" && decode(p.Prefix) != lc.prefix {
		t.Errorf("%+v: %s", lc, a.body)
	}
	return lines, p
}

// all goes through a listing page by page, as clients do.
func (lc *listCase) all(t *testing.T, c *client, form string) (out []string) {
	t.Helper()
	from := url.Values{}
	for {
		lines, p := lc.page(t, c, form, from)
		out = append(out, lines...)
		if len(lines) > lc.max || p.IsTruncated && len(lines) != lc.max || form == "v2" && p.KeyCount != len(lines) {
			t.Errorf("%s %+v: a page of %d, truncated %v, KeyCount %d", form, lc, len(lines), p.IsTruncated, p.KeyCount)
		}
		if !p.IsTruncated {
			if p.NextMarker+p.NextContinuationToken+p.NextKeyMarker != "" {
				t.Errorf("%s %+v: the last page names a next one: %+v", form, lc, p)
			}
			return out
		}
		switch form {
		case "v1":
			next := p.NextMarker
			if (next != "") != (lc.delimiter != "") {
				t.Errorf("%+v: NextMarker %q", lc, next)
			}
			if next == "" {
				next = lines[len(lines)-1]
			}
			from = url.Values{"marker": {next}}
		case "v2":
			from = url.Values{"continuation-token": {p.NextContinuationToken}}
		case "versions":
			from = url.Values{"key-marker": {p.NextKeyMarker}}
			if p.NextVersionIdMarker != "" {
				from.Set("version-id-marker", p.NextVersionIdMarker)
			}
		}
	}
}

// TestListingModel: every form of listing, by every prefix, delimiter and page length,
// shows exactly what a plain sorted list of the keys would.
func TestListingModel(t *testing.T) {
	v := newVictim(t)
	c := v.root
	c.must(t, 200, "PUT", "/lists", nil)
	keys := strings.Fields(`a a/ a/b a/b/ a/b/c a/c a//b b b/ b// b//c ba bb/a + a+b a%20b %2F %00 ü ü/ü ü/v z/😀 z/\u202e ~ . .. ./a ../b`)
	keys = append(keys, "a b", "a /b", "<&>'\"/x", "<&>'\"", strings.Repeat("k", 1024), strings.Repeat("k", 1023)+"/", "\ufffd", "\U0010ffff")
	for _, k := range keys {
		c.must(t, 200, "PUT", "/lists/"+escape(k), []byte("x"))
	}
	slices.Sort(keys)
	for _, prefix := range []string{"", "a", "a/", "a/b", "b/", "b//", "ü", "k", "nothing", "\U0010ffff", "<&>"} {
		for _, delimiter := range []string{"", "/", "b", "//", "/b", " ", "ü", "k", "nothing"} {
			for _, max := range []int{1, 2, 3, 1000} {
				for _, encoded := range []bool{true, false} {
					lc := &listCase{prefix, delimiter, max, encoded}
					if !encoded && max < 1000 {
						continue // control characters are not of this test
					}
					want := lc.expected(keys)
					for _, form := range []string{"v1", "v2", "versions"} {
						if got := lc.all(t, c, form); !slices.Equal(got, want) {
							t.Errorf("%s %+v:\ngot  %q\nwant %q", form, lc, got, want)
						}
					}
				}
			}
		}
	}
	// From anywhere on.
	for _, after := range append([]string{"\x01", "aa", "z", "zz", "\U0010ffff\U0010ffff"}, keys...) {
		lc := &listCase{"", "", 1000, true}
		var want []string
		for _, k := range keys {
			if k > after {
				want = append(want, k)
			}
		}
		for form, name := range map[string]string{"v1": "marker", "v2": "start-after", "versions": "key-marker"} {
			if got, p := lc.page(t, c, form, url.Values{name: {after}}); !slices.Equal(got, want) || p.IsTruncated {
				t.Errorf("%s after %q: %q", form, after, got)
			}
		}
	}
}
