package server_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/s3api/sig"
	"ironman/server"
)

// strangeKeys are keys that must be kept byte for byte, and lead nowhere.
func strangeKeys() []string {
	return []string{
		"../secret", "../../../../etc/passwd", "a/../../vault/secret", "..", ".", "./a", "a/./b", "..\\..\\a", "/", "//", "/a", "//a", "a//b", "a/", "a//",
		"a b", "a+b", "a%20b", "%2e%2e/x", "%2F", "%00", "%", "a?b", "a#b", "a&b=c", "a;b", "a:b", "*", "\u202egnp.exe", "ü", "u\u0308", "日本", "😀",
		"\x01", "\t", "\n", "a\r\nSet-Cookie: x", "\x7f", "?acl", "acl", "favicon.ico", "-", "~", "'\"", "<>&", strings.Repeat("k", 1024), strings.Repeat("/", 1024),
		strings.Repeat("ü", 512), ".sys", "node/keyring.json", "CON", "a|b", "a\\", "$(id)", "`id`",
		"\u0080", "\ufffd", "\uffff",
	}
}

// escape writes a key as a path, every byte but the plainest escaped.
func escape(key string) string {
	var out strings.Builder
	for _, b := range []byte(key) {
		if 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || b == '/' || b == '-' || b == '_' || b == '.' || b == '~' {
			out.WriteByte(b)
		} else {
			fmt.Fprintf(&out, "%%%02X", b)
		}
	}
	return out.String()
}

// TestAttackKeys: E1. Keys are opaque: kept, listed and found as they were given.
func TestAttackKeys(t *testing.T) {
	fs := vfs.NewMem()
	p := openInProcess(t, fs, "/box")
	c := p.client()
	c.must(t, 200, "PUT", "/keys", nil)
	want := make(map[string]bool)
	for i, key := range strangeKeys() {
		want[key] = true
		body := fmt.Appendf(nil, "%d", i)
		target := "/keys/" + escape(key)
		c.must(t, 200, "PUT", target, body)
		if got := c.must(t, 200, "GET", target, nil); !bytes.Equal(got.body, body) {
			t.Errorf("%q holds %q", key, got.body)
		}
	}
	got := make(map[string]bool)
	for _, encoded := range c.listEncoded(t, "keys") {
		key, err := url.QueryUnescape(encoded)
		if err != nil {
			t.Fatal(err)
		}
		got[key] = true
	}
	for key := range want {
		if !got[key] {
			t.Errorf("%q is not listed", key)
		}
		delete(got, key)
	}
	if len(got) > 0 {
		t.Errorf("listed, but never put: %v", got)
	}
	for i, key := range strangeKeys() { // all still there, none took another's place
		if got := c.must(t, 200, "GET", "/keys/"+escape(key), nil); string(got.body) != fmt.Sprint(i) {
			t.Errorf("%q holds %q, not %d", key, got.body, i)
		}
	}
	for _, key := range []string{strings.Repeat("k", 1025), strings.Repeat("ü", 513)} {
		c.refused(t, 400, "KeyTooLongError", "PUT", "/keys/"+escape(key), []byte("x"))
		c.refused(t, 400, "KeyTooLongError", "GET", "/keys/"+escape(key), nil)
	}
	for _, bucket := range []string{"..", ".sys", "a", "A-bucket", "ab_c", "192.168.0.1", "-ab", "ab-", "a..b", strings.Repeat("b", 64), "xn--a", "b-s3alias", "past--at-1", "%2e%2e", "a%00b", "ü"} {
		a, err := c.try("PUT", "/"+escape(bucket), nil)
		if err != nil || a.status != 400 || a.code() != "InvalidBucketName" {
			t.Errorf("bucket %q: %v %v", bucket, a, err)
		}
	}
	names, err := fs.List("/")
	if err != nil || len(names) != 1 || names[0] != "box" {
		t.Errorf("beside the node's directories there is %q, %v", names, err)
	}
}

// listEncoded lists keys as encoding-type=url shows them.
func (c *client) listEncoded(t testing.TB, bucket string) (keys []string) {
	t.Helper()
	a := c.must(t, 200, "GET", "/"+bucket+"?list-type=2&encoding-type=url", nil)
	var l struct{ Contents []struct{ Key string } }
	if err := xml.Unmarshal(a.body, &l); err != nil {
		t.Fatal(err)
	}
	for _, o := range l.Contents {
		keys = append(keys, o.Key)
	}
	return keys
}

// TestAttackPaths: E2. Bucket and key are the same for who authorises and who stores,
// however they are written.
func TestAttackPaths(t *testing.T) {
	fs := vfs.NewMem()
	p := openInProcess(t, fs, "/", func(o *server.Options) { o.Domains = []string{"s3.example.com"} })
	c := p.client()
	c.must(t, 200, "PUT", "/paths", nil)
	c.must(t, 200, "PUT", "/other", nil)
	c.must(t, 200, "PUT", "/paths/other/key", []byte("in paths"))
	c.must(t, 200, "PUT", "/other/key", []byte("in other"))
	v := &victim{T: t, p: p, root: c, alice: c}
	read := func(head, host, path string) string {
		t.Helper()
		r := c.request(context.Background(), "GET", path, nil)
		r.Host = host
		c.sign(r, nil)
		a, err := v.raw(wire(r, nil, func(h string) string {
			_, rest, _ := strings.Cut(h, "\r\n")
			return head + "\r\n" + rest
		}))
		if err != nil {
			t.Fatal(err)
		}
		if a.status == 200 {
			return string(a.body)
		}
		return fmt.Sprintf("%d %s", a.status, a.code())
	}
	here := strings.TrimPrefix(p.endpoint, "http://")
	for _, tc := range []struct{ head, host, signed, want string }{
		{"GET /paths/other/key HTTP/1.1", here, "/paths/other/key", "in paths"},
		{"GET /paths/../other/key HTTP/1.1", here, "/paths/../other/key", "404 NoSuchKey"},
		{"GET /paths//other/key HTTP/1.1", here, "/paths//other/key", "404 NoSuchKey"},
		{"GET //paths/other/key HTTP/1.1", here, "//paths/other/key", "404 NoSuchBucket"},
		{"GET /paths/./other/key HTTP/1.1", here, "/paths/./other/key", "404 NoSuchKey"},
		{"GET /%70aths/other/key HTTP/1.1", here, "/paths/other/key", "in paths"},
		{"GET /paths%2Fother/key HTTP/1.1", here, "/paths/other/key", "in paths"},
		{"GET /key HTTP/1.1", "other.s3.example.com", "/key", "in other"},
		{"GET /key HTTP/1.1", "OTHER.S3.EXAMPLE.COM:80", "/key", "in other"},
		{"GET /other/key HTTP/1.1", "paths.s3.example.com", "/other/key", "in paths"},
		{"GET /other/key HTTP/1.1", "s3.example.com", "/other/key", "in other"},
		{"GET /other/key HTTP/1.1", "s3.example.com.evil.com", "/other/key", "in other"},
		{"GET http://" + here + "/other/key HTTP/1.1", here, "/other/key", "in other"},
		{"GET http://paths.s3.example.com/other/key HTTP/1.1", "paths.s3.example.com", "/other/key", "in paths"},
		{"GET http://other.s3.example.com/key HTTP/1.1", here, "/key", "403 SignatureDoesNotMatch"}, // the target's host counts, which was not signed
		{"GET /other/key HTTP/1.1", "paths.s3.example.com", "/other/keys", "403 SignatureDoesNotMatch"},
	} {
		if got := read(tc.head, tc.host, tc.signed); got != tc.want {
			t.Errorf("%s with Host %s: %q, want %q", tc.head, tc.host, got, tc.want)
		}
	}
	for _, head := range []string{"GET other/key HTTP/1.1", "GET * HTTP/1.1", "GET /%zz HTTP/1.1", "GET / HTTP/3.0", "GET /", "\x16\x03\x01", "GET /" + strings.Repeat("a", 20_000) + " HTTP/1.1", "CONNECT other:80 HTTP/1.1"} {
		a, err := v.raw([]byte(head + "\r\nHost: " + here + "\r\n\r\n"))
		if err == nil && (a.status < 400 || a.status > 505 || a.status == 500) {
			t.Errorf("%.60q: %v", head, a)
		}
	}
}

// TestAttackXML: E4 and part of H3.
func TestAttackXML(t *testing.T) {
	v := newVictim(t)
	a := v.root.must(t, 200, "POST", "/vault/parts?uploads", []byte{})
	_, id, _ := strings.Cut(string(a.body), "<UploadId>")
	id, _, _ = strings.Cut(id, "</UploadId>")
	deep := strings.Repeat("<Object>", 10_000)
	var many strings.Builder
	many.WriteString("<Delete>")
	for i := range 1001 {
		fmt.Fprintf(&many, "<Object><Key>%d</Key></Object>", i)
	}
	many.WriteString("</Delete>")
	docs := map[string]string{
		"nothing": "", "no XML": "hello", "cut": "<Delete><Object>", "another document": "<Other/>", "empty": "<Delete></Delete>",
		"a DTD":           `<!DOCTYPE d [<!ENTITY e "secret">]><Delete><Object><Key>&e;</Key></Object></Delete>`,
		"a file":          `<!DOCTYPE d [<!ENTITY e SYSTEM "file:///etc/passwd">]><Delete><Object><Key>&e;</Key></Object></Delete>`,
		"a billion":       `<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><Delete><Object><Key>&b;</Key></Object></Delete>`,
		"deep":            "<Delete>" + deep + "</Delete>",
		"two roots":       "<Delete><Object><Key>secret</Key></Object></Delete><Delete/>",
		"another charset": `<?xml version="1.0" encoding="UTF-16"?><Delete><Object><Key>secret</Key></Object></Delete>`,
		"no UTF-8":        "<Delete><Object><Key>\xff</Key></Object></Delete>",
		"too many":        many.String(),
		"another space":   `<Delete xmlns="http://example.com/"><Object><Key>secret</Key></Object></Delete>`,
	}
	for name, doc := range docs {
		md5 := header("Content-Md5", contentMD5([]byte(doc)))
		v.badXML(name, "POST", "/vault?delete", doc, md5)
		if name == "nothing" {
			continue
		}
		v.badXML(name, "POST", "/vault/parts?uploadId="+id, doc)
		v.badXML(name, "PUT", "/vault?acl", doc)
		v.badXML(name, "PUT", "/vault/secret?acl", doc)
		v.badXML(name, "PUT", "/a-new-bucket", doc)
	}
	large := "<Delete>" + strings.Repeat(" ", 9<<20) + "</Delete>"
	v.badXML("9 MiB", "POST", "/vault?delete", large, header("Content-Md5", contentMD5([]byte(large))))
	v.badXML("1 MiB and a byte", "PUT", "/vault?acl", large[:1<<20+1])
	v.root.refused(t, 400, "InvalidRequest", "POST", "/vault?delete", []byte("<Delete><Object><Key>secret</Key></Object></Delete>"),
		header("X-Amz-Content-Sha256", sig.UnsignedPayload))
	v.root.must(t, 204, "DELETE", "/vault/parts?uploadId="+id, nil)
	v.unharmed()
}

// badXML sends a document that has to be refused as such.
func (v *victim) badXML(name, method, target, doc string, change ...func(*http.Request)) {
	v.Helper()
	a, err := v.root.try(method, target, []byte(doc), change...)
	if err != nil || a.status != 400 {
		v.Errorf("%s to %s %s: %v %v", name, method, target, a, err)
		return
	}
	switch code := a.code(); code {
	case "MalformedXML", "MaxMessageLengthExceeded", "MissingRequestBodyError", "MalformedACLError", "InvalidRequest", "MissingSecurityHeader":
	default:
		v.Errorf("%s to %s %s: %v", name, method, target, a)
	}
	v.noLeak(name, a)
}

// TestAttackHeaders: the rest of H3, the limits of what a request may say.
func TestAttackHeaders(t *testing.T) {
	v := newVictim(t)
	c := v.root
	put := func(change ...func(*http.Request)) *answer {
		t.Helper()
		a, err := c.try("PUT", "/vault/new", []byte("x"), change...)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	if a := put(header("X-Amz-Meta-A", strings.Repeat("x", 2048))); a.code() != "MetadataTooLarge" || a.status != 400 {
		t.Errorf("2 KiB and a byte of metadata: %v", a)
	}
	if a := put(header("X-Amz-Meta-A", strings.Repeat("x", 2047))); a.status != 200 {
		t.Errorf("2 KiB of metadata: %v", a)
	}
	c.must(t, 204, "DELETE", "/vault/new", nil)
	if a := put(header("X-Amz-Tagging", "a=1&b=2&c=3&d=4&e=5&f=6&g=7&h=8&i=9&j=10&k=11")); a.status != 400 {
		t.Errorf("eleven tags: %v", a)
	}
	for name, value := range map[string]string{
		"X-Amz-Storage-Class": "PLATINUM", "X-Amz-Acl": "public", "X-Amz-Grant-Read": "nobody", "X-Amz-Server-Side-Encryption": "AES257",
		"X-Amz-Object-Lock-Mode": "COMPLIANCE", "X-Amz-Write-Offset-Bytes": "-1",
	} {
		if a := put(header(name, value)); a.status != 400 && a.status != 501 || a.code() == "" {
			t.Errorf("%s: %s: %v", name, value, a)
		}
	}
	for _, tag := range []string{`""`, ",", "W/", `"" , ""`} { // an empty tag is a condition all the same
		c.refused(t, 412, "PreconditionFailed", "PUT", "/vault/secret", []byte("x"), header("If-Match", tag))
		c.refused(t, 412, "PreconditionFailed", "DELETE", "/vault/secret", nil, header("If-Match", tag))
		c.refused(t, 400, "InvalidArgument", "PUT", "/vault/secret", []byte("x"), header("If-None-Match", tag))
		c.refused(t, 400, "InvalidArgument", "PUT", "/vault/copied", []byte{}, header("X-Amz-Copy-Source", "/vault/secret"), header("X-Amz-Copy-Source-If-None-Match", tag))
	}
	for _, q := range []string{"max-keys=-1", "max-keys=2147483648", "max-keys=x", "max-keys=1.5", "encoding-type=xml", "continuation-token=!", "prefix=%ff", "delimiter=%ff"} {
		c.refused(t, 400, "InvalidArgument", "GET", "/vault?list-type=2&"+q, nil)
	}
	c.refused(t, 400, "InvalidArgument", "GET", "/vault?list-type=3", nil)
	if got := c.must(t, 200, "GET", "/vault?list-type=2&max-keys=100000", nil); !bytes.Contains(got.body, []byte("<MaxKeys>1000</MaxKeys>")) {
		t.Errorf("max-keys is not clamped: %s", got.body)
	}
	if got := c.must(t, 200, "GET", "/vault?list-type=2&max-keys=0", nil); bytes.Contains(got.body, []byte("<Key>")) || !bytes.Contains(got.body, []byte("<IsTruncated>false")) {
		t.Errorf("max-keys=0: %s", got.body)
	}
	r := v.request("GET", "/vault/secret", nil)
	a, err := v.raw(wire(r, nil, func(h string) string {
		return strings.Replace(h, "\r\n\r\n", "\r\nX-Large: "+strings.Repeat("x", 64<<10)+"\r\n\r\n", 1)
	}))
	if err == nil && (a.status < 400 || a.status > 499) {
		t.Errorf("a header of 64 KiB: %v", a)
	}
	for _, rg := range []string{"bytes=0-0,2-2", "bytes=5-1", "bytes=", "bytes=-", "bytes=a-b", "lines=0-1", "bytes=-0", "bytes=25-", "bytes=99999999999999999999-"} {
		a, err := c.try("GET", "/vault/secret", nil, header("Range", rg))
		if err != nil || !(a.status == 200 && string(a.body) == secretBody) && !(a.status == 416 && a.code() == "InvalidRange") {
			t.Errorf("Range: %s: %v %v", rg, a, err)
		}
	}
	v.unharmed()
}

// TestDisconnect: H1. A PUT that breaks at any place leaves nothing; later requests
// are not disturbed.
func TestDisconnect(t *testing.T) {
	v := newVictim(t)
	for _, kind := range []sig.PayloadKind{sig.PayloadStreamSigned, sig.PayloadStreamUnsignedTrailer, sig.PayloadStreamSignedTrailer} {
		r, framed := v.chunked(kind, content(1, 300_000))
		r.URL.Path = "/vault/new"
		whole := wire(r, framed, func(h string) string { return h })
		head := bytes.Index(whole, []byte("\r\n\r\n")) + 4
		at := []int{1, head / 2, head - 1, head, head + 1, head + 10, head + 100, head + 8192, len(whole) / 2, len(whole) - 300, len(whole) - 60, len(whole) - 3, len(whole) - 2, len(whole) - 1}
		for _, n := range at {
			conn, err := net.Dial("tcp", strings.TrimPrefix(v.p.endpoint, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Write(whole[:n]); err != nil {
				t.Fatal(err)
			}
			conn.Close()
		}
	}
	v.unharmed()
	r, framed := v.chunked(sig.PayloadStreamUnsignedTrailer, content(1, 300_000))
	if a, err := v.root.send(sendFramed(r, framed)); err != nil || a.status != 200 {
		t.Errorf("a whole one afterwards: %v %v", a, err)
	}
	v.root.must(t, 204, "DELETE", "/vault/new", nil)
	v.unharmed()
}

// TestSlowClients: H2. Clients that do nothing are let go, and nobody waits for them.
func TestSlowClients(t *testing.T) {
	if testing.Short() {
		t.Skip("10 s")
	}
	t.Parallel()
	v := newVictim(t)
	var idle []net.Conn
	begin := time.Now()
	for i := range 200 {
		conn, err := net.Dial("tcp", strings.TrimPrefix(v.p.endpoint, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write([]byte("GET /vault/secret HTTP/1.1\r\nHost: x\r\nX-Slow: ")[:1+i%40]); err != nil {
			t.Fatal(err)
		}
		idle = append(idle, conn)
	}
	for range 50 {
		v.root.must(t, 200, "GET", "/vault/secret", nil)
	}
	for _, conn := range idle {
		_ = conn.SetReadDeadline(begin.Add(30 * time.Second))
		b := make([]byte, 1000)
		for {
			_, err := conn.Read(b)
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				t.Fatal("a connection that says nothing is still open after 30 s")
			}
			if err != nil {
				break
			}
		}
	}
	v.unharmed()
}
