package server_test

import (
	"encoding/xml"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// bucketPage asks for a page of the buckets of an account.
func (c *client) bucketPage(t testing.TB, prefix, token string, max int) (names []string, next string) {
	t.Helper()
	q := url.Values{"max-buckets": {fmt.Sprint(max)}}
	for name, value := range map[string]string{"prefix": prefix, "continuation-token": token} {
		if value != "" {
			q.Set(name, value)
		}
	}
	a := c.must(t, 200, "GET", "/?"+q.Encode(), nil)
	var page struct {
		Prefix, ContinuationToken string
		Names                     []string `xml:"Buckets>Bucket>Name"`
	}
	if err := xml.Unmarshal(a.body, &page); err != nil || page.Prefix != prefix {
		t.Fatalf("%v: %s", err, a.body)
	}
	return page.Names, page.ContinuationToken
}

// TestListBucketsPages: pages hold what they may and no bucket of another account's, and
// the last one, full or not, has no token.
func TestListBucketsPages(t *testing.T) {
	v := newVictim(t)
	mine := []string{"many-1", "many-2", "many-3", "many-4", "many-5", "many-6"}
	for i, name := range mine {
		v.root.must(t, 200, "PUT", "/"+name, nil)
		v.alice.must(t, 200, "PUT", fmt.Sprintf("/many-%d-hers", i+1), nil)
	}
	for _, tc := range []struct {
		prefix string
		max    int
		pages  [][]string
	}{
		{"", 10_000, [][]string{append(slices.Clone(mine), "public", "vault")}},
		{"", 3, [][]string{mine[:3], mine[3:], {"public", "vault"}}},
		{"many-", 4, [][]string{mine[:4], mine[4:]}},
		{"many-", 3, [][]string{mine[:3], mine[3:]}},
		{"many-", 6, [][]string{mine}},
		{"many-", 5, [][]string{mine[:5], mine[5:]}},
		{"many-", 1, [][]string{mine[:1], mine[1:2], mine[2:3], mine[3:4], mine[4:5], mine[5:]}},
		{"many-4", 1, [][]string{mine[3:4]}},
		{"none", 1, [][]string{nil}},
	} {
		token := ""
		for i, want := range tc.pages {
			var got []string
			got, token = v.root.bucketPage(t, tc.prefix, token, tc.max)
			if !slices.Equal(got, want) || (token == "") != (i == len(tc.pages)-1) {
				t.Fatalf("page %d of %q, %d each: %q and token %q, want %q", i+1, tc.prefix, tc.max, got, token, want)
			}
		}
	}
	// A token is a place: its bucket may go, and it means as much with another prefix.
	_, token := v.root.bucketPage(t, "many-", "", 2)
	v.root.must(t, 204, "DELETE", "/many-2", nil)
	for prefix, want := range map[string]string{"many-": "many-3", "": "many-3", "many-5": "many-5", "public": "public"} {
		if got, _ := v.root.bucketPage(t, prefix, token, 1); !slices.Equal(got, []string{want}) {
			t.Errorf("%q behind the token: %q", prefix, got)
		}
	}
	if got, _ := v.root.bucketPage(t, "many-1", token, 1); got != nil {
		t.Errorf("before the token: %q", got)
	}
	for _, bad := range []string{"!", "many-2", "AA", token + "=", token[:len(token)-1] + "*", strings.Repeat("AQ", 3000)} {
		v.root.refused(t, 400, "InvalidArgument", "GET", "/?continuation-token="+url.QueryEscape(bad), nil)
	}
	v.alice.refused(t, 400, "InvalidArgument", "GET", "/?max-buckets=1&continuation-token=many-2", nil)
	v.root.nobody().refused(t, 403, "AccessDenied", "GET", "/?max-buckets=1", nil)
}

// TestMFADelete: nobody has such a device, so that nobody is left to believe that one is
// asked for.
func TestMFADelete(t *testing.T) {
	v := newVictim(t)
	c := v.root
	document := func(mfa, status string) []byte {
		return []byte(`<VersioningConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Status>` + status + `</Status>` + mfa + `</VersioningConfiguration>`)
	}
	enabled, disabled := "<MfaDelete>Enabled</MfaDelete>", "<MfaDelete>Disabled</MfaDelete>"
	device := header("X-Amz-Mfa", "arn:aws:iam::123456789012:mfa/user 123456")
	is := func(want string) {
		t.Helper()
		if a := c.must(t, 200, "GET", "/vault?versioning", nil); strings.Contains(string(a.body), "<Status>"+want+"</Status>") != (want != "") || strings.Contains(string(a.body), "Mfa") {
			t.Errorf("want %q: %s", want, a.body)
		}
	}
	refuse := func() {
		t.Helper()
		for _, status := range []string{"Enabled", "Suspended"} {
			for what, a := range map[string]*answer{
				"the document": c.refused(t, 501, "NotImplemented", "PUT", "/vault?versioning", document(enabled, status)),
				"the device":   c.refused(t, 501, "NotImplemented", "PUT", "/vault?versioning", document("", status), device),
				"both":         c.refused(t, 501, "NotImplemented", "PUT", "/vault?versioning", document(enabled, status), device),
				"its end":      c.refused(t, 501, "NotImplemented", "PUT", "/vault?versioning", document(disabled, status), device),
			} {
				if a != nil && !strings.Contains(string(a.body), "MFA delete") {
					t.Errorf("%s: it does not say what is refused: %s", what, a.body)
				}
			}
		}
	}
	refuse()
	is("")
	c.must(t, 200, "PUT", "/vault?versioning", document(disabled, "Enabled")) // asks for nothing
	is("Enabled")
	refuse()
	is("Enabled")
	c.refused(t, 400, "MalformedXML", "PUT", "/vault?versioning", document("<MfaDelete>enabled</MfaDelete>", "Suspended"))
	is("Enabled")
}
