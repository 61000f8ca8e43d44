package lifecycle

import (
	"fmt"
	"strings"
	"testing"

	"ironman/s3api/s3err"
	"ironman/s3api/s3xml"
)

// rules makes a document of rules, each the inside of a Rule.
func rules(inside ...string) string {
	return "<LifecycleConfiguration><Rule>" + strings.Join(inside, "</Rule><Rule>") + "</Rule></LifecycleConfiguration>"
}

func parse(doc string) (*Configuration, error) {
	var x s3xml.LifecycleConfiguration
	if err := s3xml.Decode(strings.NewReader(doc), s3xml.MaxBody, &x); err != nil {
		return nil, err
	}
	return Parse(&x)
}

const (
	on      = "<Status>Enabled</Status>"
	all     = "<Filter/>" + on
	oneDay  = "<Expiration><Days>1</Days></Expiration>"
	abort3  = "<AbortIncompleteMultipartUpload><DaysAfterInitiation>3</DaysAfterInitiation></AbortIncompleteMultipartUpload>"
	markers = "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"
)

func expiration(inside string) string { return all + "<Expiration>" + inside + "</Expiration>" }

func filter(inside string) string { return "<Filter>" + inside + "</Filter>" + on + oneDay }

func noncurrent(inside string) string {
	return all + "<NoncurrentVersionExpiration>" + inside + "</NoncurrentVersionExpiration>"
}

const tagA = "<Tag><Key>a</Key><Value>1</Value></Tag>"

func TestParse(t *testing.T) {
	id := func(n int) string { return "<ID>" + strings.Repeat("i", n) + "</ID>" }
	for _, tc := range []struct{ doc, want string }{
		{rules(all + oneDay), ""},
		{rules("<Prefix/>" + on + oneDay), ""},
		{rules("<Prefix>a</Prefix>"+on+oneDay, "<Prefix>b</Prefix><Status>Disabled</Status>"+oneDay), ""},
		{"<LifecycleConfiguration/>", "MalformedXML"},
		{rules(strings.Split(strings.Repeat(all+oneDay+"|", 1000), "|")[:1000]...), ""},
		{rules(strings.Split(strings.Repeat(all+oneDay+"|", 1001), "|")[:1001]...), "InvalidRequest"},
		{rules(on + oneDay), "MalformedXML"},
		{rules("<Filter/>" + oneDay), "MalformedXML"},
		{rules("<Filter/><Status>enabled</Status>" + oneDay), "MalformedXML"},
		{rules("<Filter/><Prefix/>" + on + oneDay), "InvalidRequest"},
		{rules(all+oneDay, "<Prefix/>"+on+oneDay), "InvalidRequest"},
		{rules(all), "InvalidRequest"},
		{rules(id(255) + all + oneDay), ""},
		{rules(id(256) + all + oneDay), "InvalidArgument"},
		{rules(id(1)+all+oneDay, id(1)+all+oneDay), "InvalidArgument"},
		{rules(all+oneDay, all+oneDay), ""},
		{rules(all + "<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>"), "NotImplemented"},
		{rules(all + oneDay + "<NoncurrentVersionTransition><NoncurrentDays>1</NoncurrentDays><StorageClass>GLACIER</StorageClass></NoncurrentVersionTransition>"), "NotImplemented"},
		{rules(expiration("<Days>0</Days>")), "InvalidArgument"},
		{rules(expiration("<Days>-1</Days>")), "InvalidArgument"},
		{rules(expiration("<Days>99999999</Days>")), "InvalidArgument"},
		{rules(expiration("<Days>x</Days>")), "MalformedXML"},
		{rules(expiration("")), "MalformedXML"},
		{rules(expiration("<Days>1</Days><Date>2030-01-01T00:00:00Z</Date>")), "MalformedXML"},
		{rules(expiration("<Date>2030-01-01T00:00:00.000Z</Date>")), ""},
		{rules(expiration("<Date>2030-01-01</Date>")), ""},
		{rules(expiration("<Date>2030-01-01T02:00:00+02:00</Date>")), ""},
		{rules(expiration("<Date>2030-01-01T00:00:00.001Z</Date>")), "InvalidArgument"},
		{rules(expiration("<Date>2030-01-01T00:00:01Z</Date>")), "InvalidArgument"},
		{rules(expiration("<Date>20300101</Date>")), "MalformedXML"},
		{rules(expiration("<Date>9999-01-01</Date>")), "InvalidArgument"},
		{rules(expiration("<Date>0001-01-01</Date>")), "InvalidArgument"},
		{rules(all + markers), ""},
		{rules("<Filter>" + tagA + "</Filter>" + on + markers), "InvalidRequest"},
		{rules("<Filter><ObjectSizeGreaterThan>1</ObjectSizeGreaterThan></Filter>" + on + markers), "InvalidRequest"},
		{rules(all + abort3), ""},
		{rules(all + strings.Replace(abort3, "3", "0", 1)), "InvalidArgument"},
		{rules(all + "<AbortIncompleteMultipartUpload/>"), "MalformedXML"},
		{rules("<Filter>" + tagA + "</Filter>" + on + abort3), "InvalidRequest"},
		{rules("<Filter><ObjectSizeLessThan>9</ObjectSizeLessThan></Filter>" + on + abort3), "InvalidRequest"},
		{rules(noncurrent("<NoncurrentDays>1</NoncurrentDays>")), ""},
		{rules(noncurrent("<NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>100</NewerNoncurrentVersions>")), ""},
		{rules(noncurrent("<NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>101</NewerNoncurrentVersions>")), "InvalidArgument"},
		{rules(noncurrent("<NoncurrentDays>1</NoncurrentDays><NewerNoncurrentVersions>0</NewerNoncurrentVersions>")), "InvalidArgument"},
		{rules(noncurrent("<NewerNoncurrentVersions>5</NewerNoncurrentVersions>")), "MalformedXML"},
		{rules(noncurrent("<NoncurrentDays>0</NoncurrentDays>")), "InvalidArgument"},
		{rules(filter(tagA)), ""},
		{rules(filter("<Prefix>a</Prefix>" + tagA)), "MalformedXML"},
		{rules(filter("<And><Prefix>a</Prefix></And>")), "MalformedXML"},
		{rules(filter("<And>" + tagA + "</And>")), "MalformedXML"},
		{rules(filter("<And><Prefix>a</Prefix>" + tagA + "</And>")), ""},
		{rules(filter("<Prefix>b</Prefix><And><Prefix>a</Prefix>" + tagA + "</And>")), "MalformedXML"},
		{rules(filter("<And>" + tagA + tagA + "</And>")), "InvalidRequest"},
		{rules(filter("<Tag><Key/><Value/></Tag>")), "InvalidTag"},
		{rules(filter("<Prefix>" + strings.Repeat("p", 1025) + "</Prefix>")), "InvalidRequest"},
		{rules(filter("<And><ObjectSizeGreaterThan>10</ObjectSizeGreaterThan><ObjectSizeLessThan>12</ObjectSizeLessThan></And>")), ""},
		{rules(filter("<And><ObjectSizeGreaterThan>10</ObjectSizeGreaterThan><ObjectSizeLessThan>10</ObjectSizeLessThan></And>")), "InvalidRequest"},
		{rules(filter("<ObjectSizeGreaterThan>-1</ObjectSizeGreaterThan>")), "InvalidRequest"},
		{rules(filter("<ObjectSizeLessThan>0</ObjectSizeLessThan>")), "InvalidRequest"},
	} {
		_, err := parse(tc.doc)
		if code := s3err.From(err); err == nil && tc.want != "" || err != nil && code.Code != tc.want {
			t.Errorf("%.300s: %v, want %q", tc.doc, err, tc.want)
		}
	}
}

// at is a moment: days and hours after an epoch that is a midnight.
func at(days, hours int) int64 { return int64(20000+days)*day + int64(hours)*3600*second }

func tagged(key, value string) func(string) (string, bool) {
	return func(k string) (string, bool) { return value, k == key }
}

func TestDecide(t *testing.T) {
	object := Subject{Key: "logs/a", Size: 100, Created: at(0, 5)}
	with := func(change func(*Subject)) *Subject {
		s := object
		change(&s)
		return &s
	}
	marker := func(alone bool) *Subject {
		return with(func(s *Subject) { s.DeleteMarker, s.Alone, s.Size = true, alone, 0 })
	}
	old := func(newer int) *Subject {
		return with(func(s *Subject) { s.Noncurrent, s.Superseded, s.Newer = true, at(1, 0), newer })
	}
	upload := with(func(s *Subject) { s.Upload, s.Size = true, 0 })
	size := func(n int64) *Subject { return with(func(s *Subject) { s.Size = n }) }
	keep3 := "<NoncurrentDays>2</NoncurrentDays><NewerNoncurrentVersions>3</NewerNoncurrentVersions>"
	between := "<And><ObjectSizeGreaterThan>10</ObjectSizeGreaterThan><ObjectSizeLessThan>20</ObjectSizeLessThan></And>"
	for _, tc := range []struct {
		what string
		doc  string
		s    *Subject
		now  int64
		want Action
	}{
		{"before its midnight", rules(all + oneDay), &object, at(2, 0) - 1, Keep},
		{"at its midnight", rules(all + oneDay), &object, at(2, 0), Expire},
		{"made at midnight", rules(all + oneDay), with(func(s *Subject) { s.Created = at(0, 0) }), at(1, 0), Expire},
		{"disabled", rules("<Filter/><Status>Disabled</Status>" + oneDay), &object, at(99, 0), Keep},
		{"by date, before", rules(expiration("<Date>2024-10-06</Date>")), &object, at(2, 0) - 1, Keep},
		{"by date", rules(expiration("<Date>2024-10-06</Date>")), &object, at(2, 0), Expire},
		{"base prefix", rules("<Prefix>logs/</Prefix>" + on + oneDay), &object, at(9, 0), Expire},
		{"another prefix", rules("<Prefix>log/</Prefix>" + on + oneDay), &object, at(9, 0), Keep},
		{"filter's prefix", rules(filter("<Prefix>logs/</Prefix>")), &object, at(9, 0), Expire},
		{"without the tag", rules(filter(tagA)), &object, at(9, 0), Keep},
		{"with the tag", rules(filter(tagA)), with(func(s *Subject) { s.Tag = tagged("a", "1") }), at(9, 0), Expire},
		{"with another value", rules(filter(tagA)), with(func(s *Subject) { s.Tag = tagged("a", "2") }), at(9, 0), Keep},
		{"all of And but one", rules(filter("<And><Prefix>logs/</Prefix>" + tagA + "<Tag><Key>b</Key><Value/></Tag></And>")), with(func(s *Subject) { s.Tag = tagged("a", "1") }), at(9, 0), Keep},
		{"size at the lower bound", rules(filter(between)), size(10), at(9, 0), Keep},
		{"size above it", rules(filter(between)), size(11), at(9, 0), Expire},
		{"size below the upper bound", rules(filter(between)), size(19), at(9, 0), Expire},
		{"size at the upper bound", rules(filter(between)), size(20), at(9, 0), Keep},
		{"empty, above 0", rules(filter("<ObjectSizeGreaterThan>0</ObjectSizeGreaterThan>")), size(0), at(9, 0), Keep},
		{"empty, no bounds", rules(all + oneDay), size(0), at(9, 0), Expire},
		{"an upload is no object", rules(all + oneDay), upload, at(99, 0), Keep},
		{"upload, early", rules(all + abort3), upload, at(4, 0) - 1, Keep},
		{"upload", rules(all + abort3), upload, at(4, 0), Abort},
		{"an object is no upload", rules(all + abort3), &object, at(99, 0), Keep},
		{"noncurrent, early", rules(noncurrent("<NoncurrentDays>2</NoncurrentDays>")), old(0), at(3, 0) - 1, Keep},
		{"noncurrent", rules(noncurrent("<NoncurrentDays>2</NoncurrentDays>")), old(0), at(3, 0), RemoveVersion},
		{"among the newest three", rules(noncurrent(keep3)), old(2), at(99, 0), Keep},
		{"behind the newest three", rules(noncurrent(keep3)), old(3), at(3, 0), RemoveVersion},
		{"current, rule of noncurrent", rules(noncurrent(keep3)), &object, at(99, 0), Keep},
		{"noncurrent, rule of current", rules(all + oneDay), old(0), at(99, 0), Keep},
		{"a marker that hides", rules(all + markers), marker(false), at(99, 0), Keep},
		{"a marker alone", rules(all + markers), marker(true), at(0, 6), RemoveMarker},
		{"a marker alone, by days, early", rules(all + oneDay), marker(true), at(2, 0) - 1, Keep},
		{"a marker alone, by days", rules(all + oneDay), marker(true), at(2, 0), RemoveMarker},
		{"a marker that hides, by days", rules(all + oneDay), marker(false), at(99, 0), Keep},
		{"markers false", rules(all + strings.Replace(markers, "true", "false", 1)), marker(true), at(99, 0), Keep},
		{"the second rule", rules("<ID>1</ID>"+expiration("<Days>90</Days>"), "<ID>2</ID>"+all+oneDay), &object, at(2, 0), Expire},
	} {
		c, err := parse(tc.doc)
		if err != nil {
			t.Errorf("%s: %v", tc.what, err)
			continue
		}
		got, by := c.Decide(tc.s, tc.now)
		if got != tc.want || (by == nil) != (got == Keep) {
			t.Errorf("%s: %v by %v, want %v", tc.what, got, by, tc.want)
		}
	}
}

// TestExpiry: what is told is the earliest of all rules.
func TestExpiry(t *testing.T) {
	c, err := parse(rules("<ID>far</ID>"+expiration("<Days>90</Days>"), "<ID>near</ID>"+expiration("<Days>9</Days>"), "<ID>other</ID>"+filter("<Prefix>x</Prefix>")))
	if err != nil {
		t.Fatal(err)
	}
	due, by := c.Expiry(&Subject{Key: "a", Created: at(0, 1)})
	if due != at(10, 0) || by.ID != "near" {
		t.Error(due, by)
	}
	if _, by := c.Expiry(&Subject{Key: "a", Upload: true}); by != nil {
		t.Error(by)
	}
	if _, by := c.AbortDate(&Subject{Key: "a", Upload: true}); by != nil {
		t.Error(by)
	}
}

// TestAbortDate: of an upload, the rule about uploads that comes first.
func TestAbortDate(t *testing.T) {
	abort := func(days string) string {
		return all + "<AbortIncompleteMultipartUpload><DaysAfterInitiation>" + days + "</DaysAfterInitiation></AbortIncompleteMultipartUpload>"
	}
	c, err := parse(rules("<ID>far</ID>"+abort("9"), "<ID>near</ID>"+abort("2")))
	if err != nil {
		t.Fatal(err)
	}
	due, by := c.AbortDate(&Subject{Key: "a", Created: at(0, 1), Upload: true})
	if due != at(3, 0) || by.ID != "near" {
		t.Error(due, by)
	}
	if _, by := c.AbortDate(&Subject{Key: "a", Created: at(0, 1)}); by != nil {
		t.Error(by)
	}
}

// FuzzParse: what is accepted is written and read as the same rules.
func FuzzParse(f *testing.F) {
	for _, doc := range []string{rules(all + oneDay), rules(filter("<And><Prefix>a</Prefix>" + tagA + "</And>")), rules(expiration("<Date>2030-01-01</Date>")), rules(all + abort3 + markers), rules(noncurrent("<NoncurrentDays>1</NoncurrentDays>"))} {
		f.Add(doc)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		var x s3xml.LifecycleConfiguration
		if s3xml.Decode(strings.NewReader(doc), s3xml.MaxBody, &x) != nil {
			return
		}
		c, err := Parse(&x)
		if err != nil {
			return
		}
		again, err := parse(string(s3xml.Encode(&x)))
		if err != nil {
			t.Fatalf("%q: %v", doc, err)
		}
		if fmt.Sprintf("%+v", c) != fmt.Sprintf("%+v", again) {
			t.Fatalf("%q: %+v, then %+v", doc, c, again)
		}
	})
}
