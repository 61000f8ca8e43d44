package transaction

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

const all = `{"operations":[
 {"put":{"key":"a","uploadId":"u","parts":[{"partNumber":1,"etag":"\"e\"","checksumCRC32C":"AAAAAA=="},{"partNumber":2,"etag":"f"}],
   "checksumSHA256":"s","checksumType":"COMPOSITE","size":7,"ifMatch":"\"x\""}},
 {"copy":{"key":"é\u0000","source":{"bucket":"b","key":"k","versionId":"null","ifMatch":"y","ifNoneMatch":"z"},"metadataDirective":"REPLACE",
   "metadata":{"Camera":"x","parts":"y"},"cacheControl":"c","contentDisposition":"d","contentEncoding":"e","contentLanguage":"l","contentType":"t","expires":"0",
   "taggingDirective":"REPLACE","tagging":"a=b","storageClass":"STANDARD","acl":"private","objectLockMode":"GOVERNANCE",
   "objectLockRetainUntilDate":"2030-01-01T00:00:00Z","objectLockLegalHold":"ON","ifNoneMatch":"*"}},
 {"delete":{"key":"c","versionId":"v","ifMatch":"*","ifMatchSize":0,"ifMatchLastModifiedTime":"t","bypassGovernanceRetention":true}}
]}`

// TestDecode: a document that has every field is read whole, and is the same again when
// it is written.
func TestDecode(t *testing.T) {
	doc, err := Decode([]byte(all))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"a", "é\x00", "c"} {
		if got := doc.Operations[i].Key(); got != want {
			t.Errorf("operation %d is of %q", i, got)
		}
	}
	if p := doc.Operations[0].Put; p.Parts[0].CRC32C != "AAAAAA==" || *p.Size != 7 || p.SHA256 != "s" || p.Parts[1].ETag != "f" {
		t.Errorf("the put is %+v", p)
	}
	if c := doc.Operations[1].Copy; c.Metadata["parts"] != "y" || c.Source.VersionID != "null" {
		t.Errorf("the copy is %+v", c)
	}
	if d := doc.Operations[2].Delete; d.IfMatchSize == nil || *d.IfMatchSize != 0 || !d.BypassGovernance {
		t.Errorf("the delete is %+v", d)
	}
	b, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Decode(b)
	if err != nil || !reflect.DeepEqual(doc, again) {
		t.Errorf("%s\nis read as %+v, %v", b, again, err)
	}
}

// TestDecodeRefuses: whatever is not known, not there or there twice is told, with the
// operation that it is about.
func TestDecodeRefuses(t *testing.T) {
	op := func(s string) string { return `{"operations":[{"delete":{"key":"first"}},` + s + `]}` }
	many := func(n int, f func(i int) string) string {
		var out []string
		for i := range n {
			out = append(out, f(i))
		}
		return strings.Join(out, ",")
	}
	part := func(int) string { return `{"partNumber":1,"etag":"e"}` }
	deletes := func(i int) string { return fmt.Sprintf(`{"delete":{"key":"k%d"}}`, i) }
	put := func(key string, parts int) string {
		return `{"put":{"key":"` + key + `","uploadId":"u","parts":[` + many(parts, part) + `]}}`
	}
	const half = "An escape in the document is half a character: a surrogate without the other of its pair."
	space := func(field string) string {
		return `The field "` + field + `" begins or ends with white space, or has a control character.`
	}
	for _, c := range []struct {
		text      string
		operation int
		message   string
	}{
		{"", -1, "The document is not valid JSON in UTF-8."},
		{`{"operations":[]}`, -1, "There is no operation."},
		{`{}`, -1, "There is no operation."},
		{`{"operations":[{"delete":{"key":"` + "\xff" + `"}}]}`, -1, "The document is not valid JSON in UTF-8."},
		{`{"operations":[{"delete":{"key":"a"}}]}{}`, -1, "The document is not valid JSON in UTF-8."},
		{`{"operations":null}`, -1, "null is no value."},
		{`[]`, -1, "The document cannot be an array."},
		{`[[]]`, -1, `The field "" is no list.`},
		{op(`{"remove":{"key":"a"}}`), 1, `There is no field "remove".`},
		{op(`{"delete":{"Key":"a"}}`), 1, `There is no field "Key".`},
		{op(`{"` + strings.Repeat("x", 100) + `":1}`), 1, `There is no field "` + strings.Repeat("x", 64) + `…".`},
		{op(`{"delete":{"key":"a","key":"b"}}`), 1, `The field "key" stands twice.`},
		{op(`{"copy":{"key":"a","source":{"bucket":"b","key":"k"},"metadata":{"x":"1","X":"2"}}}`), 1, `The field "X" stands twice.`},
		{op(`{"delete":{"key":"a","uploadId":"u"}}`), -1, `There is no field "uploadId" there.`},
		{op(`{"delete":{"key":null}}`), 1, "null is no value."},
		{op(`{"delete":{"key":7}}`), -1, "operations.delete.key cannot be a number."},
		{op(`{"delete":{"key":""}}`), 1, "It has no key."},
		{op(`{}`), 1, "It must be one put, one copy or one delete."},
		{op(`{"delete":{"key":"a"},"copy":{"key":"a","source":{"bucket":"b","key":"k"}}}`), 1, "It must be one put, one copy or one delete."},
		{op(`{"delete":{"key":"first"}}`), 1, "An operation before it has the same key."},
		{op(`{"put":{"key":"a","uploadId":"u","parts":[]}}`), 1, "A put needs an uploadId and parts."},
		{op(`{"put":{"key":"a","parts":[` + part(0) + `]}}`), 1, "A put needs an uploadId and parts."},
		{op(`{"copy":{"key":"a","source":{"key":"k"}}}`), 1, "A copy needs a source with bucket and key."},
		{op(`{"copy":{"key":"a","source":{"bucket":"b","key":"k"},"metadata":{"x:y":"v"}}}`), 1, "A name of metadata cannot be part of a header's."},
		{op(`{"copy":{"key":"a","source":{"bucket":"b","key":"k"},"metadata":{"":"v"}}}`), 1, "A name of metadata cannot be part of a header's."},
		{op(`{"delete":{"key":"a","ifMatchSize":-1}}`), 1, "A size is not negative."},
		{op(`{"copy":{"key":"a","source":{"bucket":"b","key":"k"},"acl":"public-read "}}`), 1, space("acl")},
		{op(`{"copy":{"key":"a","source":{"bucket":"b","key":"k"},"acl":"\u00a0public-read"}}`), 1, space("acl")},
		{op(`{"copy":{"key":"a","source":{"bucket":"b","key":"k"},"acl":"public-read\n"}}`), 1, space("acl")},
		{op(`{"copy":{"key":"a","source":{"bucket":"b ","key":"k"}}}`), 1, space("bucket")},
		{op(`{"copy":{"key":"a","source":{"bucket":"b","key":"k"},"contentType":"a\u0085b"}}`), 1, space("contentType")},
		{op(`{"delete":{"key":"a","versionId":"\t"}}`), 1, space("versionId")},
		{op(`{"delete":{"key":"\ud800"}}`), -1, half},
		{op(`{"delete":{"key":"\uDC00\uD800"}}`), -1, half},
		{op(`{"delete":{"key":"\ud83d\ud83d\ude00"}}`), -1, half},
		{op(`{"delete":{"key":"\ud83dx"}}`), -1, half},
		{op(`{"delete":{"key":"\\\ud83d\n"}}`), -1, half},
		{op(`{"delete":{"key":"a","versionId":""}}`), 1, `The field "versionId" is empty. Leave it out.`},
		{op(`{"delete":{"key":"a","ifMatch":""}}`), 1, `The field "ifMatch" is empty. Leave it out.`},
		{op(`{"copy":{"key":"a","source":{"bucket":"b","key":"k","versionId":""}}}`), 1, `The field "versionId" is empty. Leave it out.`},
		{op(`{"copy":{"key":"a","source":{"bucket":"b","key":"k"},"ifNoneMatch":" "}}`), 1, space("ifNoneMatch")},
		{op(`{"put":{"key":"a","uploadId":"u","parts":[{"partNumber":1,"etag":""}]}}`), 1, `The field "etag" is empty. Leave it out.`},
		{op(`{"delete":{"key":[[[[[[[]]]]]]]}}`), 1, `The field "key" is no list.`},
		{`{"operations":[` + many(101, deletes) + `]}`, -1, "There are more than 100 operations."},
		{`{"operations":[` + put("a", 5000) + "," + put("b", 5001) + `]}`, 1, "There are more than 10000 parts in all operations together."},
		{`{"operations":[` + strings.Repeat(" ", MaxBytes) + `]}`, -1, "The document is larger than 2097152 bytes."},
		{strings.Repeat(`{"source":`, 9) + `""` + strings.Repeat(`}`, 9), -1, "The document is nested too deep."},
	} {
		_, err := Decode([]byte(c.text))
		var e *Error
		if !errors.As(err, &e) || e.Operation != c.operation || e.Message != c.message {
			t.Errorf("%.100s\n got %+v\nwant %d %s", c.text, err, c.operation, c.message)
		}
	}
	for _, text := range []string{
		`{"operations":[` + many(100, deletes) + `]}`, `{"operations":[` + put("a", 5000) + "," + put("b", 5000) + `]}`,
		op(`{"delete":{"key":"\ud83d\ude00\\ud800\ufffd"}}`),
		op(`{"copy":{"key":" a\n","source":{"bucket":"b","key":"\u00a0k"},"metadata":{"acl":" ","key":"\t","ifMatch":""},"tagging":"a=b "}}`), op(`{"copy":{"key":"a","source":{"bucket":"b","key":"k"},"tagging":""}}`),
	} {
		if _, err := Decode([]byte(text)); err != nil {
			t.Errorf("%.100s: %v", text, err)
		}
	}
}

// FuzzDecode: whatever is read is within its bounds, and means the same once it is
// written again.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{all, `{}`, `{"operations":[{"delete":{"key":"a"}}]}`, `{"operations":[{"put":{"key":"a","uploadId":"u","parts":[{"partNumber":1e0}]}}]}`,
		`{"operations":[{"delete":{"key":"\ud800"}}]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		doc, err := Decode(text)
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || e.Message == "" || e.Operation >= MaxOperations {
				t.Fatalf("%q: %v", text, err)
			}
			return
		}
		parts := 0
		seen := make(map[string]bool)
		for i := range doc.Operations {
			key := doc.Operations[i].Key()
			if p := doc.Operations[i].Put; p != nil {
				parts += len(p.Parts)
			}
			if key == "" || seen[key] {
				t.Fatalf("%q: key %q", text, key)
			}
			seen[key] = true
		}
		if n := len(doc.Operations); n == 0 || n > MaxOperations || parts > MaxParts {
			t.Fatalf("%q: %d operations of %d parts", text, n, parts)
		}
		b, err := json.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Decode(b)
		if err != nil && len(b) <= MaxBytes || err == nil && !same(doc, again) {
			t.Fatalf("%q\nis written as %q\nand read as %+v, %v", text, b, again, err)
		}
	})
}

// same compares documents; of an object without names nothing is written.
func same(a, b *Document) bool {
	for _, d := range []*Document{a, b} {
		for i := range d.Operations {
			if c := d.Operations[i].Copy; c != nil && len(c.Metadata) == 0 {
				c.Metadata = nil
			}
		}
	}
	return reflect.DeepEqual(a, b)
}
