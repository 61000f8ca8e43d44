package access

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"ironman/s3api/s3err"
	"ironman/s3api/s3xml"
	"ironman/wal/event"
)

// directory is Accounts of a few; "broken" stands for a lookup that fails.
type directory map[string]Account

var errLookup = errors.New("lookup failed")

func (d directory) ByCanonicalID(id string) (Account, bool, error) {
	if id == "broken" {
		return Account{}, false, errLookup
	}
	a, ok := d[id]
	return a, ok, nil
}

func (d directory) ByEmail(address string) (Account, bool, error) {
	if address == "broken@x" {
		return Account{}, false, errLookup
	}
	for id, a := range d {
		if id+"@x" == address {
			return a, true, nil
		}
	}
	return Account{}, false, nil
}

var accounts = directory{bb: {bb, "bob"}, oo: {oo, "olga"}, xx: {xx, "xaver"}}

func nameOf(id string) string { return accounts[id].DisplayName }

// show writes an ACL as "owner| grantee:PERMISSION ...".
func show(acl *event.ACL) string {
	if acl == nil {
		return "nil"
	}
	s := acl.Owner + "|"
	for _, g := range acl.Grants {
		who := g.Grantee
		if g.Group != event.Group_GROUP_UNSPECIFIED {
			who += strings.TrimPrefix(g.Group.String(), "GROUP_")
		}
		s += " " + who + ":" + permissionName(g.Permission)
	}
	return s
}

// outcome is an ACL or the code of an error.
func outcome(acl *event.ACL, err error) string {
	if err != nil {
		return s3err.From(err).Code
	}
	return show(acl)
}

func TestCanned(t *testing.T) {
	for _, tc := range []struct{ name, bucket, own, foreign string }{
		{"private", "bbbb| bbbb:FULL_CONTROL", "bbbb| bbbb:FULL_CONTROL", "oooo| oooo:FULL_CONTROL"},
		{"aws-exec-read", "bbbb| bbbb:FULL_CONTROL", "bbbb| bbbb:FULL_CONTROL", "oooo| oooo:FULL_CONTROL"},
		{"public-read", "bbbb| bbbb:FULL_CONTROL ALL_USERS:READ", "bbbb| bbbb:FULL_CONTROL ALL_USERS:READ", "oooo| oooo:FULL_CONTROL ALL_USERS:READ"},
		{"public-read-write", "bbbb| bbbb:FULL_CONTROL ALL_USERS:READ ALL_USERS:WRITE", "bbbb| bbbb:FULL_CONTROL ALL_USERS:READ ALL_USERS:WRITE", "oooo| oooo:FULL_CONTROL ALL_USERS:READ ALL_USERS:WRITE"},
		{"authenticated-read", "bbbb| bbbb:FULL_CONTROL AUTHENTICATED_USERS:READ", "bbbb| bbbb:FULL_CONTROL AUTHENTICATED_USERS:READ", "oooo| oooo:FULL_CONTROL AUTHENTICATED_USERS:READ"},
		{"bucket-owner-read", "bbbb| bbbb:FULL_CONTROL", "bbbb| bbbb:FULL_CONTROL", "oooo| oooo:FULL_CONTROL bbbb:READ"},
		{"bucket-owner-full-control", "bbbb| bbbb:FULL_CONTROL", "bbbb| bbbb:FULL_CONTROL", "oooo| oooo:FULL_CONTROL bbbb:FULL_CONTROL"},
		{"log-delivery-write", "bbbb| bbbb:FULL_CONTROL LOG_DELIVERY:WRITE LOG_DELIVERY:READ_ACP", "InvalidArgument", "InvalidArgument"},
		{"Private", "InvalidArgument", "InvalidArgument", "InvalidArgument"},
		{"", "InvalidArgument", "InvalidArgument", "InvalidArgument"},
	} {
		if got := outcome(Canned(tc.name, Subject{Bucket, bb, bb})); got != tc.bucket {
			t.Errorf("%s of a bucket: %s", tc.name, got)
		}
		if got := outcome(Canned(tc.name, Subject{Object, bb, bb})); got != tc.own {
			t.Errorf("%s of an object: %s", tc.name, got)
		}
		if got := outcome(Canned(tc.name, Subject{Object, oo, bb})); got != tc.foreign {
			t.Errorf("%s of a foreign object: %s", tc.name, got)
		}
	}
}

func TestFromHeaders(t *testing.T) {
	many := func(n int) string { return strings.Repeat("id=xxxx,", n-1) + "id=xxxx" }
	type headers = http.Header
	for _, tc := range []struct {
		h    headers
		want string
	}{
		{headers{}, "nil"},
		{headers{"X-Amz-Acl": {""}, "X-Amz-Grant-Read": {" "}}, "nil"},
		{headers{"X-Amz-Acl": {"private"}}, "oooo| oooo:FULL_CONTROL"},
		{headers{"X-Amz-Acl": {"bucket-owner-read"}}, "oooo| oooo:FULL_CONTROL bbbb:READ"},
		{headers{"X-Amz-Acl": {"private", "public-read"}}, "InvalidArgument"},
		{headers{"X-Amz-Acl": {"secret"}}, "InvalidArgument"},
		{headers{"X-Amz-Acl": {"public-read "}}, "InvalidArgument"},
		{headers{"X-Amz-Acl": {"\u00a0public-read"}}, "InvalidArgument"},
		{headers{"X-Amz-Acl": {"public-read\n"}}, "InvalidArgument"},
		{headers{"X-Amz-Grant-Read": {"id=xxxx"}}, "oooo| xxxx:READ"},
		{headers{"X-Amz-Grant-Read": {`id="xxxx"`}}, "oooo| xxxx:READ"},
		{headers{"X-Amz-Grant-Read": {` ID = "xxxx" , emailAddress="bbbb@x",uri="http://acs.amazonaws.com/groups/global/AllUsers" `}}, "oooo| xxxx:READ bbbb:READ ALL_USERS:READ"},
		{headers{"X-Amz-Grant-Read": {"id=xxxx", "emailaddress=bbbb@x"}}, "oooo| xxxx:READ bbbb:READ"},
		{headers{"X-Amz-Grant-Read": {"uri=http://acs.amazonaws.com/groups/global/AuthenticatedUsers"}}, "oooo| AUTHENTICATED_USERS:READ"},
		{headers{"X-Amz-Grant-Write": {"uri=http://acs.amazonaws.com/groups/s3/LogDelivery"}}, "oooo| LOG_DELIVERY:WRITE"},
		{headers{"X-Amz-Grant-Full-Control": {"id=xxxx"}, "X-Amz-Grant-Write-Acp": {"id=xxxx"}, "X-Amz-Grant-Read-Acp": {"id=xxxx"}, "X-Amz-Grant-Write": {"id=xxxx"}, "X-Amz-Grant-Read": {"id=xxxx"}},
			"oooo| xxxx:READ xxxx:WRITE xxxx:READ_ACP xxxx:WRITE_ACP xxxx:FULL_CONTROL"},
		{headers{"X-Amz-Acl": {"private"}, "X-Amz-Grant-Read": {"id=xxxx"}}, "InvalidRequest"},
		{headers{"X-Amz-Grant-Read": {"id=_foo"}}, "InvalidArgument"},
		{headers{"X-Amz-Grant-Read": {"id=broken"}}, "InternalError"},
		{headers{"X-Amz-Grant-Read": {"emailAddress=nobody@x"}}, "UnresolvableGrantByEmailAddress"},
		{headers{"X-Amz-Grant-Read": {"emailAddress=broken@x"}}, "InternalError"},
		{headers{"X-Amz-Grant-Read": {"uri=http://acs.amazonaws.com/groups/global/Everybody"}}, "InvalidArgument"},
		{headers{"X-Amz-Grant-Read": {"xxxx"}}, "InvalidArgument"},
		{headers{"X-Amz-Grant-Read": {"name=xxxx"}}, "InvalidArgument"},
		{headers{"X-Amz-Grant-Read": {"id="}}, "InvalidArgument"},
		{headers{"X-Amz-Grant-Read": {`id=""`}}, "InvalidArgument"},
		{headers{"X-Amz-Grant-Read": {`id="xxxx`}}, "InvalidArgument"},
		{headers{"X-Amz-Grant-Read": {`id=xx"xx`}}, "InvalidArgument"},
		{headers{"X-Amz-Grant-Read": {`id="xxxx"bbbb`}}, "InvalidArgument"},
		{headers{"X-Amz-Grant-Read": {"id=xxxx,"}}, "InvalidArgument"},
		{headers{"X-Amz-Grant-Read": {",id=xxxx"}}, "InvalidArgument"},
		{headers{"X-Amz-Grant-Read": {"id=xxxx id=bbbb"}}, "InvalidArgument"},
		{headers{"X-Amz-Grant-Read": {many(101)}}, "InvalidRequest"},
		{headers{"X-Amz-Grant-Read": {many(60)}, "X-Amz-Grant-Write": {many(41)}}, "InvalidRequest"},
		{headers{"X-Amz-Grant-Read": {strings.Repeat("id=xxxx,", 5000)}}, "InvalidRequest"},
		{headers{"X-Amz-Grant-Read": {many(60)}, "X-Amz-Grant-Write": {many(40)}}, "oooo|" + strings.Repeat(" xxxx:READ", 60) + strings.Repeat(" xxxx:WRITE", 40)},
	} {
		if got := outcome(FromHeaders(tc.h, Subject{Object, oo, bb}, accounts)); got != tc.want {
			t.Errorf("%v: got %s, want %s", tc.h, got, tc.want)
		}
	}
}

func TestHeaderErrorsSayWhat(t *testing.T) {
	_, err := FromHeaders(http.Header{"X-Amz-Grant-Read-Acp": {"id=_foo"}}, Subject{Object, oo, bb}, accounts)
	e := s3err.From(err)
	if e.Status != 400 || e.Message != "Invalid id" || fmt.Sprint(e.Fields) != "[{ArgumentName x-amz-grant-read-acp} {ArgumentValue _foo}]" {
		t.Errorf("%+v", e)
	}
	_, err = FromHeaders(http.Header{"X-Amz-Acl": {"private"}, "X-Amz-Grant-Read": {"id=xxxx"}}, Subject{Object, oo, bb}, accounts)
	if e := s3err.From(err); e.Message != "Specifying both Canned ACLs and Header Grants is not allowed" {
		t.Errorf("%+v", e)
	}
}

func TestForCreateAndForPut(t *testing.T) {
	s := Subject{Object, oo, bb}
	doc := &s3xml.AccessControlPolicy{Owner: &s3xml.Owner{ID: oo}}
	canned := http.Header{"X-Amz-Acl": {"public-read"}}
	for name, got := range map[string][2]string{
		"create, nothing":   {outcome(ForCreate(http.Header{}, s, accounts)), "oooo| oooo:FULL_CONTROL"},
		"create, canned":    {outcome(ForCreate(canned, s, accounts)), "oooo| oooo:FULL_CONTROL ALL_USERS:READ"},
		"create, wrong":     {outcome(ForCreate(http.Header{"X-Amz-Acl": {"x"}}, s, accounts)), "InvalidArgument"},
		"put, nothing":      {outcome(ForPut(http.Header{}, nil, s, accounts)), "MissingSecurityHeader"},
		"put, canned":       {outcome(ForPut(canned, nil, s, accounts)), "oooo| oooo:FULL_CONTROL ALL_USERS:READ"},
		"put, document":     {outcome(ForPut(http.Header{}, doc, s, accounts)), "oooo|"},
		"put, both":         {outcome(ForPut(canned, doc, s, accounts)), "UnexpectedContent"},
		"put, wrong header": {outcome(ForPut(http.Header{"X-Amz-Grant-Read": {"x"}}, doc, s, accounts)), "InvalidArgument"},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: got %s, want %s", name, got[0], got[1])
		}
	}
}

const (
	head = `<AccessControlPolicy xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Owner><ID>oooo</ID><DisplayName>x</DisplayName></Owner><AccessControlList>`
	tail = `</AccessControlList></AccessControlPolicy>`
)

func grant(kind, inner, permission string) string {
	return `<Grant><Grantee xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:type="` + kind + `">` + inner + `</Grantee><Permission>` + permission + `</Permission></Grant>`
}

func TestFromDocument(t *testing.T) {
	for _, tc := range []struct{ doc, want string }{
		{head + tail, "oooo|"},
		{head + grant("CanonicalUser", "<ID>xxxx</ID><DisplayName>any</DisplayName>", "READ") + tail, "oooo| xxxx:READ"},
		{head + grant("AmazonCustomerByEmail", "<EmailAddress>xxxx@x</EmailAddress>", "WRITE_ACP") + tail, "oooo| xxxx:WRITE_ACP"},
		{head + grant("Group", "<URI>http://acs.amazonaws.com/groups/global/AllUsers</URI>", "FULL_CONTROL") + grant("CanonicalUser", "<ID>bbbb</ID>", "READ_ACP") + tail, "oooo| ALL_USERS:FULL_CONTROL bbbb:READ_ACP"},
		{head + strings.Repeat(grant("CanonicalUser", "<ID>xxxx</ID>", "READ"), 100) + tail, "oooo|" + strings.Repeat(" xxxx:READ", 100)},
		{head + strings.Repeat(grant("CanonicalUser", "<ID>xxxx</ID>", "READ"), 101) + tail, "MalformedACLError"},
		{head + grant("CanonicalUser", "<ID>_foo</ID>", "READ") + tail, "InvalidArgument"},
		{head + grant("CanonicalUser", "<ID>broken</ID>", "READ") + tail, "InternalError"},
		{head + grant("AmazonCustomerByEmail", "<EmailAddress>nobody@x</EmailAddress>", "READ") + tail, "UnresolvableGrantByEmailAddress"},
		{head + grant("Group", "<URI>http://example.com/</URI>", "READ") + tail, "InvalidArgument"},
		{head + grant("CanonicalUser", "<ID>xxxx</ID>", "LIST") + tail, "MalformedACLError"},
		{head + grant("CanonicalUser", "<ID>xxxx</ID>", "") + tail, "MalformedACLError"},
		{head + grant("CanonicalUser", "", "READ") + tail, "MalformedACLError"},
		{head + grant("CanonicalUser", "<ID>xxxx</ID><URI>u</URI>", "READ") + tail, "MalformedACLError"},
		{head + grant("CanonicalUser", "<EmailAddress>xxxx@x</EmailAddress>", "READ") + tail, "MalformedACLError"},
		{head + grant("Group", "<ID>xxxx</ID>", "READ") + tail, "MalformedACLError"},
		{head + grant("User", "<ID>xxxx</ID>", "READ") + tail, "MalformedACLError"},
		{strings.ReplaceAll(head, "oooo", "xxxx") + tail, "AccessDenied"},
		{`<AccessControlPolicy><AccessControlList/></AccessControlPolicy>`, "MalformedACLError"},
		{`<AccessControlPolicy><Owner><ID/></Owner><AccessControlList/></AccessControlPolicy>`, "MalformedACLError"},
		{`<AccessControlPolicy><Owner><ID>oooo</ID></Owner></AccessControlPolicy>`, "MalformedACLError"},
		{`<Tagging/>`, "MalformedACLError"},
		{`x`, "MalformedACLError"},
		{head + strings.Repeat(" ", 1<<16) + tail, "MaxMessageLengthExceeded"},
		{"", "MissingSecurityHeader"},
	} {
		got := ""
		if doc, err := Decode(strings.NewReader(tc.doc), 1<<16); err != nil {
			got = s3err.From(err).Code
		} else {
			got = outcome(ForPut(http.Header{}, doc, Subject{Object, oo, bb}, accounts))
		}
		if got != tc.want {
			t.Errorf("%s: got %s, want %s", tc.doc, got, tc.want)
		}
	}
}

// The answer has groups first, display names where they are known, and the list
// element even if it is empty.
func TestDocument(t *testing.T) {
	acl := &event.ACL{Owner: oo, Grants: []*event.Grant{
		{Grantee: oo, Permission: event.Permission_PERMISSION_FULL_CONTROL},
		{Group: event.Group_GROUP_ALL_USERS, Permission: read},
		{Grantee: "gone", Permission: read},
		{Group: event.Group_GROUP_LOG_DELIVERY, Permission: write},
	}}
	got := string(Document(acl, nameOf).AppendXML(nil))
	want := `<AccessControlPolicy xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Owner><ID>oooo</ID><DisplayName>olga</DisplayName></Owner><AccessControlList>` +
		grant("Group", "<URI>http://acs.amazonaws.com/groups/global/AllUsers</URI>", "READ") +
		grant("Group", "<URI>http://acs.amazonaws.com/groups/s3/LogDelivery</URI>", "WRITE") +
		grant("CanonicalUser", "<ID>oooo</ID><DisplayName>olga</DisplayName>", "FULL_CONTROL") +
		grant("CanonicalUser", "<ID>gone</ID>", "READ") + tail
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := string(Document(&event.ACL{Owner: oo}, nameOf).AppendXML(nil)); !strings.HasSuffix(got, "<AccessControlList></AccessControlList></AccessControlPolicy>") {
		t.Error(got)
	}
	if len(acl.Grants) != 4 || acl.Grants[0].Grantee != oo {
		t.Error("Document changed the list")
	}
}

// drawACL draws a list over the known accounts and groups, groups first.
func drawACL(t *rapid.T) *event.ACL {
	acl := &event.ACL{Owner: oo}
	permission := rapid.Map(rapid.Int32Range(1, 5), func(n int32) event.Permission { return event.Permission(n) })
	for range rapid.IntRange(0, 10).Draw(t, "groups") {
		acl.Grants = append(acl.Grants, &event.Grant{Group: event.Group(rapid.Int32Range(1, 3).Draw(t, "group")), Permission: permission.Draw(t, "permission")})
	}
	for range rapid.IntRange(0, 10).Draw(t, "accounts") {
		acl.Grants = append(acl.Grants, &event.Grant{Grantee: rapid.SampledFrom([]string{bb, oo, xx}).Draw(t, "account"), Permission: permission.Draw(t, "permission")})
	}
	return acl
}

// A list that is read and put back, as every editor of lists does, stays the same.
func TestDocumentRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		acl := drawACL(t)
		body := string(s3xml.Encode(Document(acl, nameOf)))
		doc, err := Decode(strings.NewReader(body), s3xml.MaxBody)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ForPut(http.Header{}, doc, Subject{Object, oo, bb}, accounts)
		if err != nil || !proto.Equal(acl, back) {
			t.Fatalf("%s became %s, %v", show(acl), outcome(back, err), err)
		}
	})
}

// A list written as grant headers, in any spelling, is read back; grants come in the
// order of the headers.
func TestHeaderRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		acl := drawACL(t)
		h := http.Header{}
		want := &event.ACL{Owner: oo}
		for _, header := range grantHeaders {
			for _, g := range acl.Grants {
				if g.Permission != header.permission {
					continue
				}
				item := "uri=" + groupURI(g.Group)
				if g.Grantee != "" {
					item = rapid.SampledFrom([]string{"id=" + g.Grantee, `Id = "` + g.Grantee + `" `, `emailAddress="` + g.Grantee + `@x"`}).Draw(t, "spelling")
				}
				if rapid.Bool().Draw(t, "line") || len(h[header.name]) == 0 {
					h.Add(header.name, item)
				} else {
					h[header.name][len(h[header.name])-1] += rapid.SampledFrom([]string{",", ", ", " ,"}).Draw(t, "comma") + item
				}
				want.Grants = append(want.Grants, g)
			}
		}
		back, err := FromHeaders(h, Subject{Object, oo, bb}, accounts)
		if len(want.Grants) == 0 {
			want = nil
		}
		if err != nil || show(back) != show(want) {
			t.Fatalf("%v became %s, want %s", h, outcome(back, err), show(want))
		}
	})
}

// FuzzParseGrantees: whatever is accepted says the same when it is written plainly.
func FuzzParseGrantees(f *testing.F) {
	f.Add(`id="xxxx", emailAddress="a@b", uri="http://acs.amazonaws.com/groups/global/AllUsers"`)
	f.Add("id=xxxx,ID = y , uri= z")
	f.Add(`id="a,b"`)
	f.Fuzz(func(t *testing.T, value string) {
		first, ok := parseGrantees(value)
		if !ok {
			return
		}
		if len(first) == 0 || len(first) > MaxGrants+1 {
			t.Fatalf("%q: %d grantees", value, len(first))
		}
		plain := ""
		for i, g := range first {
			if i > 0 {
				plain += ","
			}
			switch {
			case g.id != "" && g.email == "" && g.uri == "":
				plain += `id="` + g.id + `"`
			case g.email != "" && g.id == "" && g.uri == "":
				plain += `emailAddress="` + g.email + `"`
			case g.uri != "" && g.id == "" && g.email == "":
				plain += `uri="` + g.uri + `"`
			default:
				t.Fatalf("%q: grantee %+v", value, g)
			}
		}
		second, ok := parseGrantees(plain)
		if !ok || fmt.Sprint(first) != fmt.Sprint(second) {
			t.Fatalf("%q: %v, then %v", value, first, second)
		}
	})
}

// FuzzDecode: a document is refused with a code of the client's, or gives a list that
// can be answered and put back.
func FuzzDecode(f *testing.F) {
	f.Add(head + grant("CanonicalUser", "<ID>xxxx</ID>", "READ") + tail)
	f.Add(head + grant("Group", "<URI>http://acs.amazonaws.com/groups/global/AllUsers</URI>", "WRITE") + tail)
	f.Add(head + tail)
	f.Fuzz(func(t *testing.T, body string) {
		doc, err := Decode(strings.NewReader(body), 1<<16)
		var acl *event.ACL
		if err == nil {
			acl, err = ForPut(http.Header{}, doc, Subject{Object, oo, bb}, accounts)
		}
		if err != nil {
			if e := s3err.From(err); e.Status/100 != 4 && !errors.Is(err, errLookup) {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		again, err := FromDocument(Document(acl, nameOf), Subject{Object, oo, bb}, accounts)
		if err != nil || len(again.Grants) != len(acl.Grants) || again.Owner != oo {
			t.Fatalf("%q: %s, then %s", body, show(acl), outcome(again, err))
		}
	})
}

func TestTargetsOfGroups(t *testing.T) {
	for n := range event.Group_name {
		g := event.Group(n)
		if g != event.Group_GROUP_UNSPECIFIED && groupByURI(groupURI(g)) != g {
			t.Errorf("%v has no name", g)
		}
	}
	for n := range event.Permission_name {
		p := event.Permission(n)
		if p != none && permissionByName(permissionName(p)) != p {
			t.Errorf("%v has no name", p)
		}
	}
}
