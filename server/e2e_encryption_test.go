package server_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/server"
	"ironman/wal/event"
)

// sealed is a way to encrypt, as headers say it.
type sealed struct {
	name                string
	write, read, source map[string]string
	answer              map[string]string // what every answer says
	md5                 bool              // the entity tag is the MD5 of the bytes
}

const (
	customerHeader = "X-Amz-Server-Side-Encryption-Customer-"
	sourceHeader   = "X-Amz-Copy-Source-Server-Side-Encryption-Customer-"
)

// customer are the three headers of a client's key.
func customer(prefix string, key []byte) map[string]string {
	return map[string]string{
		prefix + "Algorithm": "AES256", prefix + "Key": base64.StdEncoding.EncodeToString(key), prefix + "Key-Md5": contentMD5(key),
	}
}

func withHeaders(sets ...map[string]string) func(*http.Request) {
	return func(r *http.Request) {
		for _, set := range sets {
			for name, value := range set {
				r.Header.Set(name, value)
			}
		}
	}
}

func sealedByKey(name string, seed uint64) sealed {
	key := content(seed, 32)
	headers := customer(customerHeader, key)
	return sealed{
		name: name, write: headers, read: headers, source: customer(sourceHeader, key),
		answer: map[string]string{customerHeader + "Algorithm": "AES256", customerHeader + "Key-Md5": contentMD5(key)},
	}
}

func sealedByKMS(name, id string, more map[string]string) sealed {
	s := sealed{name: name, answer: map[string]string{"X-Amz-Server-Side-Encryption": "aws:kms", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": id}}
	s.write = map[string]string{"X-Amz-Server-Side-Encryption": "aws:kms", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": id}
	for k, v := range more {
		s.write[k] = v
	}
	return s
}

// waysToSeal are all kinds, and those that differ in the key only.
func waysToSeal() []sealed {
	s3 := map[string]string{"X-Amz-Server-Side-Encryption": "AES256"}
	context := base64.StdEncoding.EncodeToString([]byte(`{"department":"x","a":"b"}`))
	return []sealed{
		{name: "plain", md5: true},
		{name: "s3", write: s3, answer: s3, md5: true},
		sealedByKMS("kms", "testkey-1", nil),
		sealedByKMS("kms-other", "alias/two", map[string]string{"X-Amz-Server-Side-Encryption-Context": context}),
		sealedByKey("customer", 100),
		sealedByKey("customer-other", 101),
	}
}

// openSealing is a node that takes every kind of encryption over plain HTTP.
func openSealing(t *testing.T) *inProcess {
	p := openInProcess(t, vfs.NewMem(), "/", func(o *server.Options) {
		o.AllowInsecureSSEC, o.KMSKeys = true, []string{"testkey-*", "alias/two"}
	})
	p.client().must(t, 200, "PUT", "/sealed", nil)
	return p
}

func (s *sealed) answers(t *testing.T, what string, a *answer) {
	t.Helper()
	for _, name := range []string{"X-Amz-Server-Side-Encryption", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id", customerHeader + "Algorithm", customerHeader + "Key-Md5"} {
		if got := a.header.Get(name); got != s.answer[name] {
			t.Errorf("%s, %s: %s is %q, want %q", s.name, what, name, got, s.answer[name])
		}
	}
}

// holds reads an object whole, in ranges, and its headers.
func (s *sealed) holds(t *testing.T, c *client, target string, b []byte) {
	t.Helper()
	read := withHeaders(s.read)
	a := c.must(t, 200, "GET", target, nil, read)
	if !bytes.Equal(a.body, b) {
		t.Errorf("%s, %s: %d bytes that are not the %d that were written", s.name, target, len(a.body), len(b))
	}
	s.answers(t, "GET", a)
	a = c.must(t, 200, "HEAD", target, nil, read)
	s.answers(t, "HEAD", a)
	if got := a.header.Get("Content-Length"); got != fmt.Sprint(len(b)) {
		t.Errorf("%s, %s: HEAD tells of %s bytes", s.name, target, got)
	}
	for _, at := range []int{0, 1, 65535, 65536, 65537, len(b) / 2, len(b) - 1} {
		for _, n := range []int{1, 16, 65536, 70000} {
			if at < 0 || at >= len(b) {
				continue
			}
			want := b[at:min(at+n, len(b))]
			a := c.must(t, 206, "GET", target, nil, read, header("Range", fmt.Sprintf("bytes=%d-%d", at, at+n-1)))
			if !bytes.Equal(a.body, want) {
				t.Errorf("%s, %s: range %d+%d is wrong", s.name, target, at, n)
			}
		}
	}
}

// TestEncryption writes and reads every kind at every size that matters.
func TestEncryption(t *testing.T) {
	c := openSealing(t).client()
	for _, s := range waysToSeal() {
		for i, size := range []int{0, 1, 65536, 65537, 1 << 20, 3<<20 + 7} {
			target, b := fmt.Sprintf("/sealed/%s-%d", s.name, size), content(uint64(i), size)
			a := c.must(t, 200, "PUT", target, b, withHeaders(s.write), header("Content-MD5", contentMD5(b)))
			s.answers(t, "PUT", a)
			if got := a.header.Get("Etag"); (got == etag(b)) != s.md5 || len(got) != 34 {
				t.Errorf("%s: the entity tag is %s, the MD5 %s", s.name, got, etag(b))
			}
			s.holds(t, c, target, b)
		}
		// Of a length that is not said.
		a, err := c.try("PUT", "/sealed/chunked", content(7, 200_000), withHeaders(s.write), func(r *http.Request) { r.ContentLength = -1 })
		if err != nil || a.status != 200 {
			t.Fatalf("of a length that is not said: %v, %v", a, err)
		}
		s.holds(t, c, "/sealed/chunked", content(7, 200_000))
	}
	if got := c.list(t, "sealed", 100); !slices.ContainsFunc(got, func(l listed) bool { return l.Key == "customer-65537" && l.Size == 65537 }) {
		t.Errorf("listed: %v", got)
	}
}

// TestCopyEncrypted copies between all kinds, whole and in parts.
func TestCopyEncrypted(t *testing.T) {
	c := openSealing(t).client()
	b, large := content(1, 150_000), content(2, 5<<20+70_000)
	ways := waysToSeal()
	for i, from := range ways {
		c.must(t, 200, "PUT", "/sealed/"+from.name, b, withHeaders(from.write))
		c.must(t, 200, "PUT", "/sealed/large-"+from.name, large, withHeaders(from.write))
		for j, to := range ways {
			t.Run(from.name+" to "+to.name, func(t *testing.T) {
				target := "/sealed/copy-" + from.name + "-" + to.name
				a := c.must(t, 200, "PUT", target, []byte{}, header("X-Amz-Copy-Source", "/sealed/"+from.name), withHeaders(from.source, to.write))
				to.answers(t, "copy", a)
				to.holds(t, c, target, b)
				again := c.must(t, 200, "PUT", target+"-2", []byte{}, header("X-Amz-Copy-Source", target), withHeaders(to.source, to.write))
				to.answers(t, "copy of a copy", again)
				to.holds(t, c, target+"-2", b)
				if i == j || i+1 == j || i == 0 || j == 0 { // each way, each change of key, with and without moving bytes
					copySealedParts(t, c, target+"-parts", from, to, large)
				}
			})
		}
	}
	// What a copy refers to outlives the source.
	for _, s := range ways {
		c.must(t, 204, "DELETE", "/sealed/"+s.name, nil)
		s.holds(t, c, "/sealed/copy-"+s.name+"-"+s.name, b)
	}
}

// copySealedParts makes an object of a copied range and an uploaded part.
func copySealedParts(t *testing.T, c *client, target string, from, to sealed, b []byte) {
	t.Helper()
	id := c.begin(t, target, withHeaders(to.write))
	partOf := func(n int) string { return fmt.Sprintf("%s?partNumber=%d&uploadId=%s", target, n, id) }
	source := header("X-Amz-Copy-Source", "/sealed/large-"+from.name)
	first := c.must(t, 200, "PUT", partOf(1), []byte{}, source, withHeaders(from.source, to.read), header("X-Amz-Copy-Source-Range", "bytes=65000-5308000"))
	to.answers(t, "UploadPartCopy", first)
	last := content(3, 70_001)
	second := c.must(t, 200, "PUT", partOf(2), last, withHeaders(to.read))
	to.answers(t, "UploadPart", second)
	_, copied, _ := strings.Cut(string(first.body), "<ETag>")
	copied, _, _ = strings.Cut(copied, "</ETag>")
	list := completion("<ETag>"+copied+"</ETag>", "<ETag>"+second.header.Get("Etag")+"</ETag>")
	wrong := withHeaders(customer(customerHeader, content(55, 32)))
	c.refused(t, 400, "InvalidRequest", "PUT", partOf(2), last, wrong)
	c.refused(t, 400, "InvalidRequest", "POST", target+"?uploadId="+id, list, wrong)
	if to.read != nil {
		c.refused(t, 400, "InvalidRequest", "PUT", partOf(2), last)
	}
	to.answers(t, "completion", c.must(t, 200, "POST", target+"?uploadId="+id, list, withHeaders(to.read)))
	whole := slices.Concat(b[65000:5308001], last)
	to.holds(t, c, target, whole)
	if part := c.must(t, 206, "GET", target+"?partNumber=2", nil, withHeaders(to.read)); !bytes.Equal(part.body, last) {
		t.Error("part 2 is another")
	}
	// An object of parts is copied by its references, too.
	c.must(t, 200, "PUT", target+"-copy", []byte{}, header("X-Amz-Copy-Source", target), withHeaders(to.source, to.write))
	to.holds(t, c, target+"-copy", whole)
}

// TestEncryptionHeaders refuses what is incomplete, contradictory or not called for.
func TestEncryptionHeaders(t *testing.T) {
	p := openSealing(t)
	c := p.client()
	const sse = "X-Amz-Server-Side-Encryption"
	right, wrong := customer(customerHeader, content(1, 32)), customer(customerHeader, content(2, 32))
	without := func(name string) map[string]string {
		m := make(map[string]string)
		for k, v := range right {
			if k != customerHeader+name {
				m[k] = v
			}
		}
		return m
	}
	with := func(name, value string) map[string]string {
		m := without("")
		m[name] = value
		return m
	}
	for _, r := range []struct {
		name, code string
		headers    map[string]string
	}{
		{"no algorithm", "InvalidArgument", without("Algorithm")},
		{"no key", "InvalidArgument", without("Key")},
		{"no MD5", "InvalidArgument", without("Key-Md5")},
		{"another algorithm", "InvalidEncryptionAlgorithmError", with(customerHeader+"Algorithm", "AES192")},
		{"another MD5", "InvalidArgument", with(customerHeader+"Key-Md5", contentMD5([]byte("x")))},
		{"no MD5 at all", "InvalidArgument", with(customerHeader+"Key-Md5", "!")},
		{"a short key", "InvalidArgument", customer(customerHeader, content(1, 16))},
		{"no base64", "InvalidArgument", with(customerHeader+"Key", "!!!")},
		{"customer and S3", "InvalidArgument", with(sse, "AES256")},
		{"customer and KMS", "InvalidArgument", with(sse, "aws:kms")},
		{"an unknown method", "InvalidArgument", map[string]string{sse: "aes:kms"}},
		{"S3 and a KMS key", "InvalidArgument", map[string]string{sse: "AES256", sse + "-Aws-Kms-Key-Id": "testkey-1"}},
		{"a KMS key alone", "InvalidArgument", map[string]string{sse + "-Aws-Kms-Key-Id": "testkey-1"}},
		{"an unknown KMS key", "KMS.NotFoundException", map[string]string{sse: "aws:kms", sse + "-Aws-Kms-Key-Id": "nokey"}},
		{"only the pattern's beginning", "KMS.NotFoundException", map[string]string{sse: "aws:kms", sse + "-Aws-Kms-Key-Id": "testkey-"}},
		{"a context that is none", "InvalidArgument", map[string]string{sse: "aws:kms", sse + "-Context": "e30x"}},
		{"a context of numbers", "InvalidArgument", map[string]string{sse: "aws:kms", sse + "-Context": base64.StdEncoding.EncodeToString([]byte(`{"a":1}`))}},
	} {
		c.refused(t, 400, r.code, "PUT", "/sealed/refused", []byte("x"), withHeaders(r.headers))
		c.refused(t, 400, r.code, "POST", "/sealed/refused?uploads", []byte{}, withHeaders(r.headers))
	}
	c.refused(t, 501, "NotImplemented", "PUT", "/sealed/refused", []byte("x"), header(sse, "aws:kms:dsse"))
	c.must(t, 404, "HEAD", "/sealed/refused", nil)
	c.must(t, 200, "PUT", "/sealed/customer", []byte("x"), withHeaders(right))
	c.must(t, 200, "PUT", "/sealed/s3", []byte("x"), header(sse, "AES256"))
	a := c.must(t, 200, "PUT", "/sealed/kms", []byte("x"), withHeaders(map[string]string{sse: "aws:kms", sse + "-Bucket-Key-Enabled": "true"}))
	if a.header.Get(sse+"-Aws-Kms-Key-Id") != "alias/aws/s3" || a.header.Get(sse+"-Bucket-Key-Enabled") != "true" {
		t.Errorf("the default key: %v", a.header)
	}
	for _, method := range []string{"GET", "HEAD"} {
		c.must(t, 400, method, "/sealed/customer", nil)
		c.must(t, 400, method, "/sealed/customer", nil, withHeaders(wrong))
		c.must(t, 400, method, "/sealed/customer", nil, withHeaders(without("Key")))
		c.must(t, 400, method, "/sealed/s3", nil, withHeaders(right))
		c.must(t, 400, method, "/sealed/s3", nil, header(sse, "AES256"))
		c.must(t, 400, method, "/sealed/kms", nil, header(sse+"-Aws-Kms-Key-Id", "alias/aws/s3"))
	}
	source := header("X-Amz-Copy-Source", "/sealed/customer")
	c.refused(t, 400, "InvalidRequest", "PUT", "/sealed/copy", []byte{}, source)
	c.refused(t, 400, "InvalidRequest", "PUT", "/sealed/copy", []byte{}, source, withHeaders(customer(sourceHeader, content(2, 32))))
	c.refused(t, 400, "InvalidRequest", "PUT", "/sealed/copy", []byte{}, source, withHeaders(right)) // the copy's key, not the source's
	c.refused(t, 400, "InvalidRequest", "PUT", "/sealed/copy", []byte{}, header("X-Amz-Copy-Source", "/sealed/s3"), withHeaders(customer(sourceHeader, content(1, 32))))
	// Onto itself: to change the encryption is a change.
	c.refused(t, 400, "InvalidRequest", "PUT", "/sealed/s3", []byte{}, header("X-Amz-Copy-Source", "/sealed/s3"))
	c.must(t, 200, "PUT", "/sealed/s3", []byte{}, header("X-Amz-Copy-Source", "/sealed/s3"), header(sse, "aws:kms"))
}

// TestInsecureCustomerKey: a key is not taken where others may read it.
func TestInsecureCustomerKey(t *testing.T) {
	p := openInProcess(t, vfs.NewMem(), "/")
	c := p.client()
	c.must(t, 200, "PUT", "/sealed", nil)
	c.refused(t, 400, "InvalidRequest", "PUT", "/sealed/a", []byte("x"), withHeaders(customer(customerHeader, content(1, 32))))
	c.must(t, 200, "PUT", "/sealed/a", []byte("x"), header("X-Amz-Server-Side-Encryption", "AES256"))
	c.refused(t, 400, "InvalidRequest", "GET", "/sealed/a", nil, withHeaders(customer(customerHeader, content(1, 32))))
	c.refused(t, 400, "KMS.NotFoundException", "PUT", "/sealed/a", []byte("x"), withHeaders(map[string]string{
		"X-Amz-Server-Side-Encryption": "aws:kms", "X-Amz-Server-Side-Encryption-Aws-Kms-Key-Id": "testkey-1"}))
}

// TestBucketEncryption applies a bucket's default to what does not say otherwise.
func TestBucketEncryption(t *testing.T) {
	p := openSealing(t)
	c := p.client()
	set := func(text string) {
		t.Helper()
		v, err := p.node.ViewForTest()
		if err != nil {
			t.Fatal(err)
		}
		bucket, err := v.BucketByName("sealed")
		v.Close()
		if err != nil {
			t.Fatal(err)
		}
		d := event.NewDraft(nil, &event.Statement_BucketDocumentSet{BucketDocumentSet: &event.BucketDocumentSet{
			Bucket: bucket.Bucket, Kind: event.DocumentKind_DOCUMENT_KIND_ENCRYPTION,
		}}).AddText(event.ItemKind_ITEM_KIND_DOCUMENT, 0, text)
		if o, err := p.node.ProposeForTest(context.Background(), d); err != nil || o.Refusal != 0 {
			t.Fatalf("%v, %v", o, err)
		}
	}
	doc := func(inside string) string {
		return `<?xml version="1.0" encoding="UTF-8"?>` + "\n" + `<ServerSideEncryptionConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Rule>` + inside + `</Rule></ServerSideEncryptionConfiguration>`
	}
	ways := waysToSeal()
	b := content(1, 100_000)
	for _, d := range []struct {
		text string
		way  sealed
	}{
		{doc("<ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault>"), ways[1]},
		{doc("<ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms</SSEAlgorithm><KMSMasterKeyID>testkey-1</KMSMasterKeyID></ApplyServerSideEncryptionByDefault><BucketKeyEnabled>true</BucketKeyEnabled>"), ways[2]},
	} {
		set(d.text)
		d.way.answers(t, "PUT", c.must(t, 200, "PUT", "/sealed/default", b))
		d.way.holds(t, c, "/sealed/default", b)
		id := c.begin(t, "/sealed/parts")
		part := c.must(t, 200, "PUT", "/sealed/parts?partNumber=1&uploadId="+id, b)
		d.way.answers(t, "UploadPart", part)
		c.must(t, 200, "POST", "/sealed/parts?uploadId="+id, completion("<ETag>"+part.header.Get("Etag")+"</ETag>"))
		d.way.holds(t, c, "/sealed/parts", b)
		for _, way := range ways[1:] { // what a request says goes before
			c.must(t, 200, "PUT", "/sealed/told", b, withHeaders(way.write))
			way.holds(t, c, "/sealed/told", b)
		}
		d.way.answers(t, "copy", c.must(t, 200, "PUT", "/sealed/copy", []byte{}, header("X-Amz-Copy-Source", "/sealed/default")))
		d.way.holds(t, c, "/sealed/copy", b)
	}
	// A rule that names no algorithm means AES256; what it blocks is refused.
	c.must(t, 200, "PUT", "/sealed?encryption", []byte(doc("<BlockedEncryptionTypes><EncryptionType>SSE-C</EncryptionType></BlockedEncryptionTypes><BucketKeyEnabled>true</BucketKeyEnabled>")))
	if a := string(c.must(t, 200, "GET", "/sealed?encryption", nil).body); !strings.Contains(a, "<SSEAlgorithm>AES256</SSEAlgorithm>") ||
		!strings.Contains(a, "<EncryptionType>SSE-C</EncryptionType>") || !strings.Contains(a, "<BucketKeyEnabled>true</BucketKeyEnabled>") {
		t.Error(a)
	}
	c.must(t, 200, "PUT", "/sealed/default", b)
	ways[1].holds(t, c, "/sealed/default", b)
	c.refused(t, 403, "AccessDenied", "PUT", "/sealed/blocked", b, withHeaders(ways[4].write))
	c.refused(t, 403, "AccessDenied", "POST", "/sealed/blocked?uploads", []byte{}, withHeaders(ways[4].write))
	// Nothing is stored plain because a document cannot be read.
	set("<Other/>")
	c.refused(t, 500, "InternalError", "PUT", "/sealed/unread", b)
	c.must(t, 404, "HEAD", "/sealed/unread", nil)
}

// TestEncryptedDamage reads encrypted objects of which two shards are spoiled, and after a restart.
func TestEncryptedDamage(t *testing.T) {
	p := newProcess(t, "--allow-insecure-sse-c", "--kms-keys", "testkey-*,alias/two")
	p.start()
	c := p.client()
	c.must(t, 200, "PUT", "/damage", nil)
	b := content(1, 3<<20+11)
	d := &damaged{T: t, p: p}
	for _, way := range waysToSeal()[1:] {
		target := "/damage/" + way.name
		c.must(t, 200, "PUT", target, b, withHeaders(way.write))
		shards := d.locate(way.name)
		restore := d.spoil(shards, damages()[0], 0, 1)
		way.holds(t, c, target, b)
		restore()
	}
	p.stop()
	p.start()
	for _, way := range waysToSeal()[1:] {
		way.holds(t, p.client(), "/damage/"+way.name, b)
	}
	var kms server.KMS
	p.ask(&kms, "kms")
	if len(kms.Masters) != 1 || !slices.Contains(kms.Keys, "alias/two") {
		t.Errorf("admin kms: %+v", kms)
	}
	p.stop()
}

// BenchmarkEncryption compares objects of 1 MiB, plain and encrypted, on real files.
func BenchmarkEncryption(b *testing.B) {
	p := openInProcess(b, vfs.Default, b.TempDir(), func(o *server.Options) { o.AllowInsecureSSEC, o.KMSKeys = true, []string{"testkey-1"} })
	c := p.client()
	c.must(b, 200, "PUT", "/bench", nil)
	body := content(1, 1<<20)
	for _, s := range waysToSeal() {
		if strings.HasSuffix(s.name, "-other") {
			continue
		}
		target := "/bench/" + s.name
		b.Run("put-1m/"+s.name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				c.must(b, 200, "PUT", target, body, withHeaders(s.write))
			}
		})
		b.Run("get-1m/"+s.name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				c.must(b, 200, "GET", target, nil, withHeaders(s.read))
			}
		})
	}
}

// TestAttributesEncrypted: the attributes of an object under a client's key are for who
// has the key, as its bytes are.
func TestAttributesEncrypted(t *testing.T) {
	c := openSealing(t).client()
	own, other := sealedByKey("customer", 100), sealedByKey("customer-other", 101)
	c.must(t, 200, "PUT", "/sealed/own", []byte("bytes"), withHeaders(own.write))
	c.must(t, 200, "PUT", "/sealed/plain", []byte("bytes"))
	asked := header("X-Amz-Object-Attributes", "ETag,ObjectSize")
	if a := c.must(t, 200, "GET", "/sealed/own?attributes", nil, asked, withHeaders(own.read)); !strings.Contains(string(a.body), "<ObjectSize>5</ObjectSize>") {
		t.Errorf("%s", a.body)
	}
	c.refused(t, 400, "InvalidRequest", "GET", "/sealed/own?attributes", nil, asked)
	c.refused(t, 400, "InvalidRequest", "GET", "/sealed/own?attributes", nil, asked, withHeaders(other.read))
	c.refused(t, 400, "InvalidRequest", "GET", "/sealed/plain?attributes", nil, asked, withHeaders(own.read))
}
