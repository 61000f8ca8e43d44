package server_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

// TestLimits: section 3.7, each limit at it and one beyond.
func TestLimits(t *testing.T) {
	v := newVictim(t)
	c := v.root
	id := c.begin(t, "/vault/parts")
	part := []byte("part")
	c.must(t, 200, "PUT", "/vault/parts?partNumber=1&uploadId="+id, part)
	c.must(t, 200, "PUT", "/vault/parts?partNumber=10000&uploadId="+id, part)
	list := "/vault/parts?uploadId=" + id
	for _, tc := range []struct{ target, name string }{
		{"/vault?list-type=2", "max-keys"}, {"/vault?x=1", "max-keys"}, {"/vault?versions", "max-keys"}, {"/vault?uploads", "max-uploads"},
		{list, "max-parts"}, {list, "part-number-marker"},
	} {
		for _, value := range []string{"-1", "x", "1.5", "2147483648", "99999999999999999999", "0x1", "%201"} {
			c.refused(t, 400, "InvalidArgument", "GET", tc.target+"&"+tc.name+"="+value, nil)
		}
		for _, value := range []string{"0", "1", "1000", "1001", "2147483647", ""} {
			c.must(t, 200, "GET", tc.target+"&"+tc.name+"="+value, nil)
		}
	}
	for _, value := range []string{"0", "-1", "x", "2147483648"} {
		c.refused(t, 400, "InvalidArgument", "GET", "/?max-buckets="+value, nil)
	}
	if a := c.must(t, 200, "GET", list+"&max-parts=5000", nil); !bytes.Contains(a.body, []byte("<MaxParts>1000</MaxParts>")) {
		t.Errorf("max-parts is not clamped: %s", a.body)
	}
	if a := c.must(t, 200, "GET", "/vault?uploads&max-uploads=5000", nil); !bytes.Contains(a.body, []byte("<MaxUploads>1000</MaxUploads>")) {
		t.Errorf("max-uploads is not clamped: %s", a.body)
	}
	if a := c.must(t, 200, "GET", list+"&max-parts=1", nil); !bytes.Contains(a.body, []byte("<IsTruncated>true")) || !bytes.Contains(a.body, []byte("<NextPartNumberMarker>1<")) {
		t.Errorf("a page of parts: %s", a.body)
	}
	if a := c.must(t, 200, "GET", list+"&max-parts=1&part-number-marker=1", nil); !bytes.Contains(a.body, []byte("<IsTruncated>false")) || !bytes.Contains(a.body, []byte("<PartNumber>10000<")) {
		t.Errorf("the last page of parts: %s", a.body)
	}
	c.refused(t, 400, "InvalidArgument", "GET", "/vault?uploads&key-marker=parts&upload-id-marker=no-such-thing", nil)
	v.documents(id, part)
	c.must(t, 204, "DELETE", "/vault/parts?uploadId="+id, nil)
	v.unharmed()
}

// documents checks the limits of a completion.
func (v *victim) documents(id string, part []byte) {
	v.Helper()
	c, target := v.root, "/vault/parts?uploadId="+id
	var b strings.Builder
	for range 10_001 {
		b.WriteString("<Part><PartNumber>1</PartNumber><ETag>x</ETag></Part>")
	}
	for _, tc := range []struct{ parts, code string }{
		{b.String(), "MalformedXML"},
		{b.String()[len("<Part><PartNumber>1</PartNumber><ETag>x</ETag></Part>"):], "InvalidPart"},
		{strings.Repeat(" ", 9<<20), "MaxMessageLengthExceeded"},
		{"", "MalformedXML"}, {"<Part><PartNumber>1</PartNumber></Part>", "MalformedXML"}, {"<Part><ETag>x</ETag></Part>", "MalformedXML"},
		{"<Part><PartNumber>x</PartNumber><ETag>x</ETag></Part>", "MalformedXML"}, {"<Part><PartNumber>99999999999999999999</PartNumber><ETag>x</ETag></Part>", "MalformedXML"},
		{"<Part><PartNumber>0</PartNumber>" + etagXML(part) + "</Part>", "InvalidArgument"}, {"<Part><PartNumber>-1</PartNumber>" + etagXML(part) + "</Part>", "InvalidArgument"},
		{"<Part><PartNumber>10001</PartNumber>" + etagXML(part) + "</Part>", "InvalidPart"}, {"<Part><PartNumber>2</PartNumber>" + etagXML(part) + "</Part>", "InvalidPart"},
		{"<Part><PartNumber>10000</PartNumber>" + etagXML(part) + "</Part><Part><PartNumber>1</PartNumber>" + etagXML(part) + "</Part>", "InvalidPartOrder"},
		{"<Part><PartNumber>1</PartNumber>" + etagXML(part) + "</Part><Part><PartNumber>1</PartNumber>" + etagXML([]byte("other")) + "</Part>", "InvalidPart"},
		{"<Part><PartNumber>1</PartNumber>" + etagXML(part) + "</Part><Part><PartNumber>10000</PartNumber>" + etagXML(part) + "</Part>", "EntityTooSmall"},
		{"<Part><PartNumber>1</PartNumber>" + etagXML([]byte("other")) + "</Part>", "InvalidPart"},
	} {
		a, err := c.try("POST", target, []byte("<CompleteMultipartUpload>"+tc.parts+"</CompleteMultipartUpload>"))
		checkRefused(v, fmt.Sprintf("%.100s", tc.parts), a, err, 400, tc.code)
	}
}

// TestDeleteLimit: a thousand of the longest keys fit, however they must be written.
func TestDeleteLimit(t *testing.T) {
	v := newVictim(t)
	c := v.root
	var doc strings.Builder
	doc.WriteString("<Delete><Quiet>true</Quiet>")
	for i := range 1000 {
		key := fmt.Sprintf("%04d%s", i, strings.Repeat(`"`, 1020))
		if i%100 == 0 {
			c.must(t, 200, "PUT", "/vault/"+escape(key), []byte("x"))
		}
		doc.WriteString("<Object><Key>" + strings.ReplaceAll(key, `"`, "&quot;") + "</Key></Object>")
	}
	doc.WriteString("</Delete>")
	if a := c.must(t, 200, "POST", "/vault?delete", []byte(doc.String())); bytes.Contains(a.body, []byte("<Error>")) {
		t.Errorf("%v", a)
	}
	v.unharmed()
}

// TestStoredLimits: the limits of what is stored beside the bytes, on each route that
// stores.
func TestStoredLimits(t *testing.T) {
	v := newVictim(t)
	c := v.root
	ten := "a=1&b=2&c=3&d=4&e=5&f=6&g=7&h=8&i=9&j=10"
	for _, store := range []func(status int, code string, change ...func(*http.Request)){
		func(status int, code string, change ...func(*http.Request)) {
			if code == "" {
				c.must(t, status, "PUT", "/vault/new", []byte("x"), change...)
				c.must(t, 204, "DELETE", "/vault/new", nil)
				return
			}
			c.refused(t, status, code, "PUT", "/vault/new", []byte("x"), change...)
		},
		func(status int, code string, change ...func(*http.Request)) {
			if code == "" {
				c.must(t, 204, "DELETE", "/vault/new?uploadId="+c.begin(t, "/vault/new", change...), nil)
				return
			}
			c.refused(t, status, code, "POST", "/vault/new?uploads", []byte{}, change...)
		},
		func(status int, code string, change ...func(*http.Request)) {
			change = append(change, header("X-Amz-Copy-Source", "/vault/secret"), header("X-Amz-Metadata-Directive", "REPLACE"), header("X-Amz-Tagging-Directive", "REPLACE"))
			if code == "" {
				c.must(t, status, "PUT", "/vault/new", []byte{}, change...)
				c.must(t, 204, "DELETE", "/vault/new", nil)
				return
			}
			c.refused(t, status, code, "PUT", "/vault/new", []byte{}, change...)
		},
	} {
		store(200, "", header("X-Amz-Meta-A", strings.Repeat("x", 2047)))
		store(400, "MetadataTooLarge", header("X-Amz-Meta-A", strings.Repeat("x", 2048)))
		store(400, "MetadataTooLarge", header("X-Amz-Meta-A", strings.Repeat("x", 1000)), header("X-Amz-Meta-B", strings.Repeat("x", 1047)))
		store(200, "", header("X-Amz-Tagging", ten))
		store(400, "BadRequest", header("X-Amz-Tagging", ten+"&k=11"))
		store(400, "InvalidTag", header("X-Amz-Tagging", "a=1&a=2"))
		store(400, "InvalidTag", header("X-Amz-Tagging", strings.Repeat("k", 129)+"=v"))
		store(200, "", header("X-Amz-Tagging", strings.Repeat("k", 128)+"="+strings.Repeat("v", 256)))
		store(400, "InvalidTag", header("X-Amz-Tagging", "k="+strings.Repeat("v", 257)))
		store(400, "InvalidTag", header("X-Amz-Tagging", "=v"))
		store(400, "InvalidArgument", header("X-Amz-Tagging", "%zz=v"))
		store(400, "InvalidStorageClass", header("X-Amz-Storage-Class", "PLATINUM"))
		store(400, "InvalidArgument", header("X-Amz-Acl", "public"))
		store(400, "InvalidRequest", header("X-Amz-Acl", "private"), header("X-Amz-Grant-Read", `uri="`+allUsers+`"`))
	}
	v.unharmed()
}
