package server_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"hash"
	"io"
	"maps"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/s3api/sig"
)

// uploadForm is a browser's form on its way to a bucket.
type uploadForm struct {
	fields sig.Fields
	// conditions, where they are not nil, are those of a policy that is signed.
	conditions []string
	version    int           // of the signature; 0: none
	life       time.Duration // of the policy; 0: a minute
	fileName   string
	file       string
	after      string // raw parts behind the file
}

const formBoundary = "----WebKitFormBoundary7MA4YWxkTrZu0gW"

// signed gives the fields with policy and signature.
func (f uploadForm) signed(cred sig.Credential) sig.Fields {
	fields := maps.Clone(f.fields)
	if f.version == 0 {
		return fields
	}
	now := time.Now()
	conditions := slices.Clone(f.conditions)
	if f.version == 4 {
		credential, date := sig.PostScopeV4(cred, region, now)
		conditions = append(conditions, fmt.Sprintf(`{"x-amz-credential": %q}, {"x-amz-date": %q}, {"x-amz-algorithm": "AWS4-HMAC-SHA256"}`, credential, date))
	}
	life := f.life
	if life == 0 {
		life = time.Minute
	}
	document := fmt.Sprintf(`{"expiration": %q, "conditions": [%s]}`, now.Add(life).UTC().Format("2006-01-02T15:04:05.000Z"), strings.Join(conditions, ", "))
	if f.version == 4 {
		sig.SignPostV4(fields, cred, region, []byte(document), now)
	} else {
		sig.SignPostV2(fields, cred, []byte(document))
	}
	return fields
}

// encode writes fields and file as a browser does.
func (f uploadForm) encode(fields sig.Fields) []byte {
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		fmt.Fprintf(&b, "--%s\r\nContent-Disposition: form-data; name=%q\r\n\r\n%s\r\n", formBoundary, name, fields[name])
	}
	fmt.Fprintf(&b, "--%s\r\nContent-Disposition: form-data; name=\"file\"; filename=%q\r\nContent-Type: text/plain\r\n\r\n%s\r\n", formBoundary, f.fileName, f.file)
	b.WriteString(f.after + "--" + formBoundary + "--\r\n")
	return b.Bytes()
}

// post sends a form, without any credentials beside it.
func post(t testing.TB, c *client, target string, body []byte, change ...func(*http.Request)) *answer {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r := c.request(ctx, "POST", target, body)
	r.Header.Set("Content-Type", "multipart/form-data; boundary="+formBoundary)
	for _, f := range change {
		f(r)
	}
	a, err := c.send(r)
	if err != nil {
		t.Fatalf("POST %s: %v", target, err)
	}
	return a
}

func (v *victim) post(f uploadForm, change ...func(*http.Request)) *answer {
	v.Helper()
	return post(v, v.root, "/vault", f.encode(f.signed(v.root.cred)), change...)
}

// usualForm is one that is taken.
func usualForm(version int) uploadForm {
	return uploadForm{
		version: version, fileName: "photo.txt", file: "what is in the file",
		fields:     sig.Fields{"key": "user/${filename}", "acl": "private", "Content-Type": "text/plain"},
		conditions: []string{`{"bucket": "vault"}`, `["starts-with", "$key", "user/"]`, `{"acl": "private"}`, `["starts-with", "$Content-Type", "text/"]`, `["content-length-range", 1, 1024]`},
	}
}

// What a form stores, by both versions of signature, is an object like any other.
func TestPostObject(t *testing.T) {
	v := newVictim(t)
	for _, version := range []int{2, 4} {
		f := usualForm(version)
		f.fields["x-amz-meta-color"], f.fields["Cache-Control"], f.fields["x-ignore-me"] = "blue", "no-cache", "x"
		f.fields["tagging"] = "<Tagging><TagSet><Tag><Key>a b</Key><Value>1&amp;2</Value></Tag><Tag><Key>c</Key><Value></Value></Tag></TagSet></Tagging>"
		f.fields["x-amz-checksum-crc32"] = "cq1wUg=="
		f.conditions = append(f.conditions, `{"x-amz-meta-color": "blue"}`, `["eq", "$cache-control", "no-cache"]`, `["starts-with", "$tagging", ""]`)
		wrong := v.post(f)
		checkRefused(t, "a wrong checksum", wrong, nil, 400, "BadDigest")
		delete(f.fields, "x-amz-checksum-crc32")
		a := v.post(f)
		sum := md5.Sum([]byte(f.file))
		etag := `"` + hex.EncodeToString(sum[:]) + `"`
		if a.status != 204 || len(a.body) != 0 || a.header.Get("Etag") != etag || a.header.Get("Location") != v.root.base+"/vault/user/photo.txt" ||
			a.header.Get("X-Ironman-Sequence") == "" {
			t.Fatalf("v%d: %v %v", version, a, a.header)
		}
		got := v.root.must(t, 200, "GET", "/vault/user/photo.txt", nil)
		h := got.header
		if string(got.body) != f.file || h.Get("Content-Type") != "text/plain" || h.Get("X-Amz-Meta-Color") != "blue" || h.Get("Cache-Control") != "no-cache" ||
			h.Get("X-Amz-Tagging-Count") != "2" || h.Get("Etag") != etag {
			t.Fatalf("v%d: %v %v", version, got, h)
		}
		v.root.must(t, 204, "DELETE", "/vault/user/photo.txt", nil)
	}
	v.unharmed()
}

func TestPostAnswers(t *testing.T) {
	v := newVictim(t)
	also := func(name, value string) uploadForm {
		f := usualForm(4)
		f.fields[name] = value
		f.conditions = append(f.conditions, fmt.Sprintf(`["starts-with", "$%s", ""]`, name))
		return f
	}
	for value, status := range map[string]int{"200": 200, "201": 201, "204": 204, "404": 204, "": 204} {
		a := v.post(also("success_action_status", value))
		if a.status != status || (len(a.body) > 0) != (status == 201) {
			t.Errorf("%s: %v", value, a)
		}
		if status != 201 {
			continue
		}
		var x struct {
			XMLName                     xml.Name
			Location, Bucket, Key, ETag string
		}
		if err := xml.Unmarshal(a.body, &x); err != nil || x.XMLName.Local != "PostResponse" || x.XMLName.Space != "" || x.Location != v.root.base+"/vault/user/photo.txt" ||
			x.Bucket != "vault" || x.Key != "user/photo.txt" || x.ETag != a.header.Get("Etag") {
			t.Errorf("%+v %v %s", x, err, a.body)
		}
	}
	etag := url.QueryEscape(v.root.must(t, 200, "HEAD", "/vault/user/photo.txt", nil).header.Get("Etag"))
	told := "bucket=vault&key=user%2Fphoto.txt&etag=" + etag
	v.root.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for _, field := range []string{"success_action_redirect", "redirect"} {
		for to, want := range map[string]string{
			"http://example.com/done": "http://example.com/done?" + told, "https://example.com/done?x=1#part": "https://example.com/done?x=1&" + told + "#part",
			"/done": "", "javascript:alert(1)": "", "//example.com/": "", "http://[": "", "": "",
		} {
			a := v.post(also(field, to))
			if want == "" && a.status != 204 || want != "" && (a.status != 303 || a.header.Get("Location") != want) {
				t.Errorf("%s %s: %v %q, want %q", field, to, a, a.header.Get("Location"), want)
			}
		}
		checkRefused(t, field, v.post(also(field, "http://example.com/\r\nSet-Cookie: a=b")), nil, 400, "InvalidArgument")
	}
}

// An anonymous form is taken where everybody may write, and nowhere else.
func TestPostAnonymous(t *testing.T) {
	v := newVictim(t)
	v.root.must(t, 200, "PUT", "/drop", nil, header("X-Amz-Acl", "public-read-write"))
	v.state = v.see()
	f := uploadForm{fields: sig.Fields{"key": "foo.txt", "acl": "public-read", "Content-Type": "text/plain", "submit": "before"}, file: "bar", after: formPart("submit", "Upload")}
	if a := post(t, v.root, "/drop", f.encode(f.fields)); a.status != 204 {
		t.Fatal(a)
	}
	anonymous := *v.root
	anonymous.cred = sig.Credential{}
	if a := anonymous.must(t, 200, "GET", "/drop/foo.txt", nil); string(a.body) != "bar" || a.header.Get("Content-Type") != "text/plain" {
		t.Error(a)
	}
	for _, bucket := range []string{"/vault", "/public"} {
		checkRefused(t, bucket, post(t, v.root, bucket, f.encode(f.fields)), nil, 403, "AccessDenied")
	}
	checkRefused(t, "no bucket", post(t, v.root, "/none-such", f.encode(f.fields)), nil, 404, "NoSuchBucket")
	v.unharmed()
}

// Alice's signature does not let her into root's bucket.
func TestPostOfAnotherAccount(t *testing.T) {
	v := newVictim(t)
	for _, version := range []int{2, 4} {
		f := usualForm(version)
		checkRefused(t, "alice", post(t, v.root, "/vault", f.encode(f.signed(v.alice.cred))), nil, 403, "AccessDenied")
	}
	v.unharmed()
}

// The file streams: however long it is, the node holds little of it.
func TestPostMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("a quarter of a gibibyte")
	}
	const size = 256 << 20
	p := newProcess(t)
	p.start()
	c := p.client()
	c.must(t, 200, "PUT", "/memory", nil)
	f := uploadForm{version: 4, fields: sig.Fields{"key": "large"}, conditions: []string{`{"bucket": "memory"}`, `{"key": "large"}`}}
	a, sum := postStream(t, c, "/memory", f.signed(c.cred), size)
	if a.status != 204 || a.header.Get("Etag") != `"`+sum+`"` {
		t.Fatal(a, a.header)
	}
	peak := peakMemory(t, p.cmd.Process.Pid)
	t.Logf("most memory resident: %d MB", peak/1e6)
	if peak >= 250e6 {
		t.Errorf("%d MB were resident", peak/1e6)
	}
	if got, _ := getStream(t, c, "/memory/large", size); got != sum {
		t.Errorf("the bytes that came back have MD5 %s, those that were sent %s", got, sum)
	}
}

// postStream sends a form with a large file, as a standard writer of forms makes it.
func postStream(t testing.TB, c *client, target string, fields sig.Fields, size int64) (*answer, string) {
	t.Helper()
	pr, pw := io.Pipe()
	w := multipart.NewWriter(pw)
	sent := make(chan hash.Hash, 1)
	go func() {
		for name, value := range fields {
			_ = w.WriteField(name, value)
		}
		part, _ := w.CreateFormFile("file", "large")
		h := md5.New()
		_, _ = io.Copy(io.MultiWriter(part, h), io.LimitReader(contentReader(7), size))
		_ = pw.CloseWithError(w.Close())
		sent <- h
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	r := c.request(ctx, "POST", target, nil)
	r.Body, r.ContentLength = pr, -1
	r.Header.Set("Content-Type", w.FormDataContentType())
	begin := time.Now()
	a, err := c.send(r)
	_ = pr.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("POST of %d MiB: %.0f MB/s", size>>20, float64(size)/1e6/time.Since(begin).Seconds())
	return a, hex.EncodeToString((<-sent).Sum(nil))
}

// Virtual-hosted, the address is the bucket's own.
func TestPostVirtualHosted(t *testing.T) {
	p := openInProcess(t, vfs.NewMem(), "/", withDomains)
	c := p.client()
	c.must(t, 200, "PUT", "/vault", nil)
	f := usualForm(4)
	f.fields["key"] = "user/a b"
	a := post(t, c, "/", f.encode(f.signed(c.cred)), func(r *http.Request) { r.Host = "vault.s3.example" })
	if a.status != 204 || a.header.Get("Location") != "http://vault.s3.example/user/a%20b" {
		t.Fatal(a, a.header)
	}
}

// TestPostFileName: every field may ask for the file's name, and the policy sees it.
func TestPostFileName(t *testing.T) {
	v := newVictim(t)
	f := usualForm(4)
	f.fields["x-amz-meta-name"] = "of ${filename}"
	f.fields["success_action_redirect"] = "http://example.com/${filename}"
	f.conditions = append(f.conditions, `{"x-amz-meta-name": "of photo.txt"}`, `{"success_action_redirect": "http://example.com/photo.txt"}`)
	v.root.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if a := v.post(f); a.status != 303 || !strings.HasPrefix(a.header.Get("Location"), "http://example.com/photo.txt?") {
		t.Fatal(a, a.header)
	}
	if a := v.root.must(t, 200, "HEAD", "/vault/user/photo.txt", nil); a.header.Get("X-Amz-Meta-Name") != "of photo.txt" {
		t.Error(a.header)
	}
	f.fields["x-amz-meta-name"] = strings.Repeat("${filename}", 1000)
	f.fileName = strings.Repeat("n", 200)
	checkRefused(t, "a field that grows", v.post(f), nil, 400, "MaxPostPreDataLengthExceeded")
}
