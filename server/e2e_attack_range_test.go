package server_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
	"testing"
)

// TestRanges: which bytes a Range means, as Amazon has it: what is no single range of
// bytes is passed over, what lies outside is refused. HEAD says what GET does.
func TestRanges(t *testing.T) {
	v := newVictim(t)
	b := content(1, 100)
	v.root.must(t, 200, "PUT", "/vault/hundred", b)
	v.root.must(t, 200, "PUT", "/vault/nothing", []byte{})
	const all, none = "all", "416"
	for _, tc := range []struct{ header, hundred, nothing string }{
		{"bytes=,", all, all}, {"bytes= -1", all, all}, {"bytes=--1", all, all}, {"bytes=0 -1", all, all}, {"bytes=0--1", all, all},
		{"bytes=10-5", all, all}, {"bytes=abc", all, all}, {"foo=0-1", all, all}, {"bytes=100-x", all, all}, {"bytes=0-0,1-2", all, all},
		{"bytes=-", all, all}, {"bytes=", all, all}, {"bytes", all, all}, {"bytes=+0-1", all, all}, {"bytes=0x0-1", all, all},
		{"bytes=00-01", "0-1", none}, {"bytes=-1", "99-99", all}, {"bytes=-100", "0-99", all}, {"bytes=-101", "0-99", all},
		{"bytes=0-0", "0-0", none}, {"bytes=0-999999", "0-99", none}, {"bytes=50-", "50-99", none}, {"bytes=0-", "0-99", none}, {"bytes=99-99", "99-99", none},
		{"bytes=0-99999999999999999999", "0-99", none}, {"bytes=-99999999999999999999", "0-99", all},
		{"bytes=-0", none, none}, {"bytes=100-100", none, none}, {"bytes=99999999999999999999-", none, none}, {"bytes=9223372036854775807-9223372036854775807", none, none},
	} {
		for key, want := range map[string]string{"hundred": tc.hundred, "nothing": tc.nothing} {
			size := map[string]int{"hundred": 100}[key]
			got := v.root.must(t, status(want), "GET", "/vault/"+key, nil, header("Range", tc.header))
			head := v.root.must(t, status(want), "HEAD", "/vault/"+key, nil, header("Range", tc.header))
			if want == none {
				if got.code() != "InvalidRange" || len(head.body) > 0 {
					t.Errorf("%s of %s: %v", tc.header, key, got)
				}
				continue
			}
			from, to, contentRange := 0, size, ""
			if want != all {
				if _, err := fmt.Sscanf(want, "%d-%d", &from, &to); err != nil {
					t.Fatal(err)
				}
				to++
				contentRange = "bytes " + want + "/" + fmt.Sprint(size)
			}
			if !bytes.Equal(got.body, b[from:to]) || got.header.Get("Content-Range") != contentRange {
				t.Errorf("%s of %s: %d bytes, %q", tc.header, key, len(got.body), got.header.Get("Content-Range"))
			}
			for _, name := range []string{"Content-Range", "Content-Length", "Etag", "Accept-Ranges", "Last-Modified"} {
				if head.header.Get(name) != got.header.Get(name) {
					t.Errorf("%s of %s: HEAD says %s: %q, GET %q", tc.header, key, name, head.header.Get(name), got.header.Get(name))
				}
			}
		}
	}
	v.root.must(t, 204, "DELETE", "/vault/hundred", nil)
	v.root.must(t, 204, "DELETE", "/vault/nothing", nil)
	v.unharmed()
}

func status(want string) int {
	switch want {
	case "all":
		return 200
	case "416":
		return 416
	}
	return 206
}

// TestIfRange: a range is of the version that the client has, or it gets the whole.
func TestIfRange(t *testing.T) {
	v := newVictim(t)
	a := v.root.must(t, 200, "GET", "/vault/secret", nil)
	tag, modified := a.header.Get("Etag"), a.header.Get("Last-Modified")
	for _, tc := range []struct {
		value string
		want  int
	}{
		{tag, 206}, {modified, 206}, {`"0"`, 200}, {"W/" + tag, 200},
		{"Thu, 01 Jan 1970 00:00:00 GMT", 200}, {"Fri, 01 Jan 2100 00:00:00 GMT", 200}, {"yesterday", 200},
	} {
		v.root.must(t, tc.want, "GET", "/vault/secret", nil, header("Range", "bytes=0-1"), header("If-Range", tc.value))
	}
	v.unharmed()
}

// partNumberError is what a refused partNumber says.
type partNumberError struct {
	PartNumberRequested, ActualPartCount int
}

// TestPartNumbers: reading an object by its parts. An object that was not uploaded in
// parts is one; beyond the last there is none.
func TestPartNumbers(t *testing.T) {
	v := newVictim(t)
	parts := [][]byte{content(1, 5<<20), content(2, 100), {}}
	id := v.root.begin(t, "/vault/parts")
	var tags []string
	for i, p := range parts {
		v.root.must(t, 200, "PUT", fmt.Sprintf("/vault/parts?partNumber=%d&uploadId=%s", i+1, id), p)
		tags = append(tags, etagXML(p))
	}
	// The last but one may not be small, so two objects: of parts 1, 2 and of 1, 3.
	v.root.must(t, 200, "POST", "/vault/parts?uploadId="+id, completion(tags[0], tags[1]))
	id = v.root.begin(t, "/vault/empty-end")
	v.root.must(t, 200, "PUT", "/vault/empty-end?partNumber=1&uploadId="+id, parts[0])
	v.root.must(t, 200, "PUT", "/vault/empty-end?partNumber=2&uploadId="+id, parts[2])
	v.root.must(t, 200, "POST", "/vault/empty-end?uploadId="+id, completion(tags[0], tags[2]))
	v.root.must(t, 200, "PUT", "/vault/nothing", []byte{})
	for _, tc := range []struct {
		key    string
		number string
		want   []byte
		rng    string
		count  string
	}{
		{"parts", "1", parts[0], "bytes 0-5242879/5242980", "2"}, {"parts", "2", parts[1], "bytes 5242880-5242979/5242980", "2"},
		{"empty-end", "1", parts[0], "bytes 0-5242879/5242880", "2"}, {"empty-end", "2", nil, "", "2"},
		{"secret", "1", []byte(secretBody), fmt.Sprintf("bytes 0-%d/%d", len(secretBody)-1, len(secretBody)), ""}, {"nothing", "1", nil, "", ""},
	} {
		want := 206
		if tc.rng == "" {
			want = 200
		}
		target := "/vault/" + tc.key + "?partNumber=" + tc.number
		got := v.root.must(t, want, "GET", target, nil)
		head := v.root.must(t, want, "HEAD", target, nil)
		if !bytes.Equal(got.body, tc.want) || got.header.Get("Content-Range") != tc.rng || got.header.Get("X-Amz-Mp-Parts-Count") != tc.count {
			t.Errorf("%s: %d bytes %v", target, len(got.body), got.header)
		}
		if head.header.Get("Content-Range") != tc.rng || head.header.Get("Content-Length") != fmt.Sprint(len(tc.want)) {
			t.Errorf("HEAD %s: %v", target, head.header)
		}
	}
	for _, tc := range []struct {
		key           string
		number, count int
	}{{"parts", 3, 2}, {"parts", 10000, 2}, {"secret", 2, 1}, {"nothing", 2, 1}} {
		target := fmt.Sprintf("/vault/%s?partNumber=%d", tc.key, tc.number)
		a := v.root.refused(t, 400, "InvalidPart", "GET", target, nil)
		var e partNumberError
		if err := xml.Unmarshal(a.body, &e); err != nil || e.PartNumberRequested != tc.number || e.ActualPartCount != tc.count {
			t.Errorf("%s: %s %v", target, a.body, err)
		}
		v.root.must(t, 400, "HEAD", target, nil)
	}
	for _, n := range []string{"0", "10001", "-1", "x", "", "1.0", "99999999999999999999"} {
		v.root.refused(t, 400, "InvalidArgument", "GET", "/vault/parts?partNumber="+n, nil)
	}
	v.root.refused(t, 400, "InvalidRequest", "GET", "/vault/parts?partNumber=1", nil, header("Range", "bytes=0-1"))
	for _, key := range []string{"parts", "empty-end", "nothing"} {
		v.root.must(t, 204, "DELETE", "/vault/"+key, nil)
	}
	v.unharmed()
}

// TestLargePartCopy: a part is at most 5 GiB, also one that is copied by reference.
func TestLargePartCopy(t *testing.T) {
	v := newVictim(t)
	const piece = 64 << 20
	v.root.must(t, 200, "PUT", "/public/piece", make([]byte, piece))
	source := header("X-Amz-Copy-Source", "/public/piece")
	id := v.root.begin(t, "/public/large")
	var tags []string
	for i := range 5<<30/piece + 1 {
		a := v.root.must(t, 200, "PUT", fmt.Sprintf("/public/large?partNumber=%d&uploadId=%s", i+1, id), []byte{}, source)
		_, tag, _ := strings.Cut(string(a.body), "<ETag>")
		tag, _, _ = strings.Cut(tag, "</ETag>")
		tags = append(tags, "<ETag>"+tag+"</ETag>")
	}
	v.root.must(t, 200, "POST", "/public/large?uploadId="+id, completion(tags...))
	source = header("X-Amz-Copy-Source", "/public/large")
	id = v.root.begin(t, "/public/copy")
	target := "/public/copy?partNumber=1&uploadId=" + id
	v.root.refused(t, 400, "InvalidRequest", "PUT", target, []byte{}, source)
	v.root.refused(t, 400, "InvalidRequest", "PUT", target, []byte{}, source, header("X-Amz-Copy-Source-Range", fmt.Sprintf("bytes=0-%d", 5<<30)))
	v.root.refused(t, 400, "InvalidRequest", "PUT", "/public/copy", []byte{}, source)
	v.root.must(t, 200, "PUT", target, []byte{}, source, header("X-Amz-Copy-Source-Range", fmt.Sprintf("bytes=1-%d", 5<<30)))
	v.root.must(t, 204, "DELETE", "/public/copy?uploadId="+id, nil)
	v.root.must(t, 204, "DELETE", "/public/large", nil)
	v.root.must(t, 204, "DELETE", "/public/piece", nil)
	v.unharmed()
}
