package s3xml

import (
	"encoding/xml"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// fill sets v to arbitrary values. Strings are of characters that XML 1.0 can
// hold, so that encoding/xml can be the judge; times are whole seconds.
func fill(t *rapid.T, v reflect.Value) {
	switch v.Interface().(type) {
	case xml.Name:
		return
	case Time:
		v.SetInt(rapid.Int64Range(-1<<32, 1<<32).Draw(t, "time") * 1e9)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i))
		}
	case reflect.Pointer:
		if rapid.Bool().Draw(t, "present") {
			v.Set(reflect.New(v.Type().Elem()))
			fill(t, v.Elem())
		}
	case reflect.Slice:
		if n := rapid.IntRange(0, 3).Draw(t, "len"); n > 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
		}
		for i := range v.Len() {
			fill(t, v.Index(i))
		}
	case reflect.String:
		v.SetString(rapid.StringOf(rapid.OneOf(
			rapid.SampledFrom([]rune("ab/<>&'\"\n\t\r %+~é日😀\ufffd]")), rapid.RuneFrom(nil, printable))).Draw(t, "string"))
	case reflect.Bool:
		v.SetBool(rapid.Bool().Draw(t, "bool"))
	case reflect.Int, reflect.Int64:
		v.SetInt(rapid.Int64().Draw(t, "int"))
	default:
		t.Fatalf("no generator for %v", v.Type())
	}
}

// printable are the characters of XML 1.0's production Char, without the low ones.
var printable = &unicode.RangeTable{
	R16: []unicode.Range16{{Lo: 0x20, Hi: 0xD7FF, Stride: 1}, {Lo: 0xE000, Hi: 0xFFFD, Stride: 1}},
	R32: []unicode.Range32{{Lo: 0x10000, Hi: 0x10FFFF, Stride: 1}},
}

// libraryXML is what encoding/xml makes of v, with its quotes as Amazon's.
func libraryXML(v any, root string) (string, error) {
	var b strings.Builder
	enc := xml.NewEncoder(&b)
	err := enc.EncodeElement(v, xml.StartElement{Name: xml.Name{Space: Namespace, Local: root}})
	return strings.ReplaceAll(b.String(), "&#34;", "&quot;"), err
}

// Every response, filled at random, is byte for byte what encoding/xml writes.
func TestAppendXMLEqualsEncodingXML(t *testing.T) {
	for _, r := range []struct {
		root string
		of   Response
	}{
		{"ListAllMyBucketsResult", new(ListAllMyBucketsResult)},
		{"ListBucketResult", new(ListBucketResult)},
		{"ListBucketResult", new(ListBucketResultV2)},
		{"CopyObjectResult", new(CopyObjectResult)},
		{"CopyPartResult", new(CopyPartResult)},
		{"DeleteResult", new(DeleteResult)},
		{"InitiateMultipartUploadResult", new(InitiateMultipartUploadResult)},
		{"CompleteMultipartUploadResult", new(CompleteMultipartUploadResult)},
		{"ListPartsResult", new(ListPartsResult)},
		{"ListMultipartUploadsResult", new(ListMultipartUploadsResult)},
		{"GetObjectAttributesResponse", new(GetObjectAttributesResponse)},
		{"Tagging", new(Tagging)},
		{"VersioningConfiguration", new(VersioningConfiguration)},
		{"PolicyStatus", new(PolicyStatus)},
	} {
		t.Run(reflect.TypeOf(r.of).Elem().Name(), rapid.MakeCheck(func(t *rapid.T) {
			v := reflect.New(reflect.TypeOf(r.of).Elem())
			fill(t, v.Elem())
			if e := v.Elem().FieldByName("EncodingType"); e.IsValid() && e.String() == EncodingURL {
				e.SetString("")
			}
			want, err := libraryXML(v.Interface(), r.root)
			if err != nil {
				t.Fatal(err)
			}
			got := string(v.Interface().(Response).AppendXML(nil))
			if got != want {
				t.Fatalf("got  %s\nwant %s", got, want)
			}
			back := reflect.New(v.Type().Elem())
			if err := xml.Unmarshal([]byte(got), back.Interface()); err != nil {
				t.Fatal(err)
			}
			if name := back.Elem().FieldByName("XMLName"); name.IsValid() {
				name.SetZero()
			}
			if !reflect.DeepEqual(v.Interface(), back.Interface()) {
				t.Fatalf("wrote %+v\nread  %+v", v.Interface(), back.Interface())
			}
		}))
	}
}

// versionTwin and markerTwin spell entries of ListVersionsResult for encoding/xml.
type versionTwin struct {
	XMLName xml.Name
	ObjectVersion
}

type markerTwin struct {
	XMLName      xml.Name
	Key          string
	VersionID    string `xml:"VersionId"`
	IsLatest     bool
	LastModified Time
	Owner        *Owner
}

func TestListVersionsResultEqualsEncodingXML(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var r ListVersionsResult
		fill(t, reflect.ValueOf(&r).Elem())
		r.EncodingType = ""
		var entries strings.Builder
		enc := xml.NewEncoder(&entries)
		for _, v := range r.Entries {
			var err error
			if v.DeleteMarker {
				err = enc.Encode(markerTwin{xml.Name{Local: "DeleteMarker"}, v.Key, v.VersionID, v.IsLatest, v.LastModified, v.Owner})
			} else {
				err = enc.Encode(versionTwin{xml.Name{Local: "Version"}, v})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		want, err := libraryXML(&r, "ListVersionsResult")
		if err != nil {
			t.Fatal(err)
		}
		const before = "</IsTruncated>"
		want = strings.Replace(want, before, before+strings.ReplaceAll(entries.String(), "&#34;", "&quot;"), 1)
		if got := string(r.AppendXML(nil)); got != want {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
	})
}

// An AccessControlPolicy is read back, by us and by encoding/xml, as it was.
func TestAccessControlPolicyRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p, ours, theirs AccessControlPolicy
		fill(t, reflect.ValueOf(&p).Elem())
		doc := string(Encode(&p))
		if err := Decode(strings.NewReader(doc), MaxBody, &ours); err != nil {
			t.Fatalf("%v: %s", err, doc)
		}
		if err := xml.Unmarshal([]byte(doc), &theirs); err != nil {
			t.Fatal(err)
		}
		theirs.XMLName = xml.Name{}
		if !reflect.DeepEqual(p, ours) || !reflect.DeepEqual(p, theirs) {
			t.Fatalf("wrote %+v\nread  %+v\nand   %+v", p, ours, theirs)
		}
	})
}

// Every key goes out and comes back unchanged, control characters and all.
func TestTextRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		key := rapid.String().Draw(t, "key")
		doc := string(AppendText([]byte("<Delete><Object><Key>"), key)) + "</Key></Object></Delete>"
		d, err := decodeDelete(doc)
		if key == "" {
			return
		}
		if err != nil || d.Objects[0].Key != key {
			t.Fatalf("%q came back as %+v, %v", key, d, err)
		}
	})
}

func TestAppendText(t *testing.T) {
	for in, want := range map[string]string{
		"":                 "",
		"plain":            "plain",
		`<a href='x'>&"`:   "&lt;a href=&#39;x&#39;&gt;&amp;&quot;",
		"\x00\x01\x1f\x7f": "&#x0;&#x1;&#x1F;\x7f",
		"\t\n\r":           "&#x9;&#xA;&#xD;",
		"é日😀":              "é日😀",
		"a\xffb\xc3":       "a\ufffdb\ufffd",
		"\ufffd":           "\ufffd",
		"\ufffe\uffff\x02": "&#xFFFE;&#xFFFF;&#x2;",
		"\xed\xa0\x80":     "\ufffd\ufffd\ufffd",
	} {
		if got := string(AppendText(nil, in)); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestAppendURL(t *testing.T) {
	for in, want := range map[string]string{
		"asdf+b":       "asdf%2Bb",
		"foo+1/":       "foo%2B1/",
		"quux ab/":     "quux%20ab/",
		"a-b_c.d*e/~f": "a-b_c.d*e/%7Ef",
		"%2F&<\"":      "%252F%26%3C%22",
		"é\x00\xff":    "%C3%A9%00%FF",
	} {
		if got := string(AppendURL(nil, in)); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestEncodingTypeURL(t *testing.T) {
	start := "a b"
	v1 := &ListBucketResult{Prefix: "p ", Marker: "m ", NextMarker: "n ", Delimiter: " ", EncodingType: EncodingURL,
		Contents: []Object{{Key: "k +<\x01"}}, CommonPrefixes: []CommonPrefix{{Prefix: "c /"}}}
	v2 := &ListBucketResultV2{StartAfter: &start, ContinuationToken: &start, NextContinuationToken: "t+", EncodingType: EncodingURL}
	versions := &ListVersionsResult{KeyMarker: "k ", NextKeyMarker: "n ", EncodingType: EncodingURL,
		Entries: []ObjectVersion{{Key: "v "}, {Key: "d ", DeleteMarker: true}}}
	uploads := &ListMultipartUploadsResult{KeyMarker: "k ", NextKeyMarker: "n ", Prefix: "p ", Delimiter: " ", EncodingType: EncodingURL,
		Uploads: []MultipartUpload{{Key: "u "}}}
	for _, tc := range []struct {
		r    Response
		want []string
	}{
		{v1, []string{"<Prefix>p </Prefix>", "<Marker>m%20<", "<NextMarker>n%20<", "<Delimiter>%20<", "<Key>k%20%2B%3C%01<", "<Prefix>c%20/<", "<EncodingType>url<"}},
		{v2, []string{"<StartAfter>a%20b<", "<ContinuationToken>a b<", "<NextContinuationToken>t+<", "<Prefix></Prefix>"}},
		{versions, []string{"<KeyMarker>k%20<", "<NextKeyMarker>n%20<", "<Version><Key>v%20<", "<DeleteMarker><Key>d%20<"}},
		{uploads, []string{"<KeyMarker>k%20<", "<NextKeyMarker>n%20<", "<Prefix>p%20<", "<Delimiter>%20<", "<Key>u%20<"}},
	} {
		doc := string(Encode(tc.r))
		for _, want := range tc.want {
			if !strings.Contains(doc, want) {
				t.Errorf("%T: no %s in %s", tc.r, want, doc)
			}
		}
	}
}

// Any bytes at all give a document that is valid UTF-8 and that Decode's scanner reads.
func FuzzAppendText(f *testing.F) {
	f.Add("a\x00\xff<&>\ufffe")
	f.Fuzz(func(t *testing.T, s string) {
		doc := string(AppendText([]byte("<a>"), s)) + "</a>"
		if !utf8.ValidString(doc) {
			t.Fatalf("%q: not UTF-8", doc)
		}
		sc, err := newScanner(doc)
		for err == nil {
			var tok token
			if tok, err = sc.next(); tok.kind == tokenEOF {
				return
			}
		}
		t.Fatalf("%q: %v", doc, err)
	})
}

func TestTime(t *testing.T) {
	for ns, want := range map[Time]string{
		0:                    "1970-01-01T00:00:00.000Z",
		1767323045_999999999: "2026-01-02T03:04:05.000Z",
		-1:                   "1969-12-31T23:59:59.000Z",
	} {
		if got, _ := ns.MarshalText(); string(got) != want {
			t.Errorf("%d: %s, want %s", ns, got, want)
		}
	}
	var at Time
	if err := at.UnmarshalText([]byte("2026-01-02T03:04:05.678Z")); err != nil || at != 1767323045_678000000 {
		t.Errorf("read %d, %v", at, err)
	}
}

func listing() *ListBucketResultV2 {
	r := &ListBucketResultV2{Name: "bucket", MaxKeys: 1000, KeyCount: 1000}
	for range 1000 {
		r.Contents = append(r.Contents, Object{Key: "photos/2026/01/02/IMG_1234567.jpeg", LastModified: 1767323045e9,
			ETag: "d41d8cd98f00b204e9800998ecf8427e", Size: 1234567, StorageClass: "STANDARD"})
	}
	return r
}

func BenchmarkListing(b *testing.B) {
	r := listing()
	buf := r.AppendXML(nil)
	b.ReportAllocs()
	for b.Loop() {
		buf = r.AppendXML(buf[:0])
	}
}

func BenchmarkListingEncodingXML(b *testing.B) {
	r := listing()
	for b.Loop() {
		if _, err := libraryXML(r, "ListBucketResult"); err != nil {
			b.Fatal(err)
		}
	}
}
