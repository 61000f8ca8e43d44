package server_test

import (
	"bytes"
	"context"
	"encoding/xml"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/server"
	"ironman/server/mirror"
)

const (
	mirrorMark = "X-Amz-Meta-Ironman-Mirror"
	versioned  = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
)

// mirrored is a bucket and its mirror in one node.
type mirrored struct {
	*testing.T
	p *inProcess
	c *client
}

func newMirrored(t *testing.T) *mirrored {
	p := openInProcess(t, vfs.NewMem(), "/mirror", func(o *server.Options) { o.LifecycleDay, o.AllowInsecureSSEC = time.Second, true })
	m := &mirrored{t, p, p.client()}
	m.c.must(t, 200, "PUT", "/source", nil)
	m.c.must(t, 200, "PUT", "/target", nil)
	m.c.must(t, 200, "PUT", "/target?versioning", []byte(versioned)) // so that what was written twice is seen
	return m
}

// mirror is one life of a mirror.
func (m *mirrored) mirror(ctx context.Context, follow bool, change ...func(*mirror.Mirror)) error {
	m.Helper()
	c, err := mirror.NewClient([]string{m.p.endpoint}, m.p.cred, region)
	if err != nil {
		m.Fatal(err)
	}
	x := &mirror.Mirror{Source: c, From: "source", Target: c, To: "target", Cursor: "m"}
	for _, f := range change {
		f(x)
	}
	return x.Run(ctx, follow)
}

// once runs it to the end.
func (m *mirrored) once() {
	m.Helper()
	if err := m.mirror(m.Context(), false); err != nil {
		m.Fatal(err)
	}
}

func keyPath(bucket, key string) string {
	return "/" + bucket + "/" + strings.ReplaceAll(strings.ReplaceAll(url.PathEscape(key), "%2F", "/"), "+", "%2B")
}

// seenObject is all that a mirror is to show of an object.
type seenObject struct{ head, body, tags string }

func see(t testing.TB, c *client, bucket string) map[string]seenObject {
	t.Helper()
	all := make(map[string]seenObject)
	for _, l := range c.list(t, bucket, 1000) {
		path := keyPath(bucket, l.Key)
		a := c.must(t, 200, "GET", path, nil)
		var head []string
		for name, values := range a.header {
			if strings.HasPrefix(name, "X-Amz-Meta-") && name != mirrorMark || slices.Contains([]string{"Content-Type", "Cache-Control", "Content-Disposition", "Content-Encoding", "Content-Language", "Content-Length", "Expires"}, name) {
				head = append(head, name+": "+strings.Join(values, ","))
			}
		}
		slices.Sort(head)
		_, tags, _ := strings.Cut(string(c.must(t, 200, "GET", path+"?tagging", nil).body), "<TagSet>")
		all[l.Key] = seenObject{l.ETag + " " + strings.Join(head, "; "), string(a.body), tags}
	}
	return all
}

// checksum is what a store verified of an object's bytes.
func checksum(t testing.TB, c *client, target string) string {
	t.Helper()
	h := c.must(t, 200, "HEAD", target, nil, header("X-Amz-Checksum-Mode", "ENABLED")).header
	return h.Get("X-Amz-Checksum-Crc32c") + h.Get("X-Amz-Checksum-Crc64nvme") + h.Get("X-Amz-Checksum-Type")
}

// equal wants a bucket and its mirror to be alike.
func equal(t testing.TB, source, target *client, from, to string, loose ...string) {
	t.Helper()
	want, got := see(t, source, from), see(t, target, to)
	if len(want) == 0 || !slices.Equal(slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got))) {
		t.Fatalf("the mirror has %q\nwant %q", slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
	}
	for key, w := range want {
		g := got[key]
		if slices.Contains(loose, key) { // its parts cannot be uploaded as they are
			_, w.head, _ = strings.Cut(w.head, " ")
			_, g.head, _ = strings.Cut(g.head, " ")
		}
		if g.head != w.head || g.tags != w.tags || g.body != w.body {
			t.Errorf("%q: the mirror has %s, %s, %d bytes\nwant %s, %s, %d bytes", key, g.head, g.tags, len(g.body), w.head, w.tags, len(w.body))
		}
	}
}

// versionsOf counts the versions of each key, with those that are markers.
func versionsOf(t testing.TB, c *client, bucket string) map[string]int {
	t.Helper()
	n := make(map[string]int)
	key, version := "", ""
	for {
		a := c.must(t, 200, "GET", "/"+bucket+"?versions&key-marker="+url.QueryEscape(key)+"&version-id-marker="+url.QueryEscape(version), nil)
		var l struct {
			IsTruncated                        bool
			NextKeyMarker, NextVersionIdMarker string
			Version, DeleteMarker              []struct{ Key string }
		}
		if err := xml.Unmarshal(a.body, &l); err != nil {
			t.Fatal(err)
		}
		for _, v := range append(l.Version, l.DeleteMarker...) {
			n[v.Key]++
		}
		if key, version = l.NextKeyMarker, l.NextVersionIdMarker; !l.IsTruncated {
			return n
		}
	}
}

var mirrorKeys = []string{
	"plain", "a b", "ü/ö/\U0001F600", "a+b", "dir/", "..", "a/../b", "./x", "%41", `k"q'<&>`, "x//y", "/lead", "#?&=;:@$,", "tab\tnew\nline", "~*()!", strings.Repeat("l", 1000),
}

// TestMirror: what can happen to objects is mirrored: first what is there, then what happens.
func TestMirror(t *testing.T) {
	t.Parallel()
	m := newMirrored(t)
	for i, key := range mirrorKeys {
		m.c.must(t, 200, "PUT", keyPath("source", key), content(uint64(i), 10*i), header("X-Amz-Meta-N", fmt.Sprint(i)), header("X-Amz-Tagging", "a=b%20c&k%2B=%C3%BC"),
			header("Content-Type", "text/x-test"), header("Cache-Control", "no-cache"), header("Content-Disposition", `attachment; filename="f"`), header("Content-Encoding", "gzip"),
			header("Content-Language", "de"))
	}
	m.c.must(t, 200, "PUT", "/source/summed", []byte("123456789"), header("X-Amz-Checksum-Crc32c", "4waSgw=="))
	m.once()
	equal(t, m.c, m.c, "source", "target")
	if sum := checksum(t, m.c, "/target/summed"); sum != "4waSgw==FULL_OBJECT" || sum != checksum(t, m.c, "/source/summed") {
		t.Errorf("the mirror has the checksum %s", sum)
	}
	changes := func(of string) {
		m.c.must(t, 200, "PUT", "/source/"+of+"empty", []byte{})
		m.c.must(t, 200, "PUT", "/source/"+of+"grown", []byte("12345"))
		m.c.must(t, 200, "PUT", "/source/"+of+"grown", []byte("678"), header("X-Amz-Write-Offset-Bytes", "5"))
		first, second := content(1, 5<<20), content(2, 1000)
		id := m.c.begin(t, "/source/"+of+"parts", header("X-Amz-Meta-Of", "parts"), header("X-Amz-Tagging", "p=q"))
		m.c.must(t, 200, "PUT", "/source/"+of+"parts?partNumber=1&uploadId="+id, first)
		m.c.must(t, 200, "PUT", "/source/"+of+"parts?partNumber=2&uploadId="+id, second)
		m.c.must(t, 200, "POST", "/source/"+of+"parts?uploadId="+id, completion(etagXML(first), etagXML(second)))
		m.c.must(t, 200, "PUT", "/source/"+of+"old", []byte("renamed"), header("X-Amz-Meta-A", "1"))
		m.c.must(t, 200, "PUT", "/source/"+of+"new?renameObject", []byte{}, header("X-Amz-Rename-Source", of+"old"))
		m.c.must(t, 200, "PUT", "/source/"+of+"copy", []byte{}, header("X-Amz-Copy-Source", "/source/plain"))
		m.c.must(t, 200, "PUT", "/source/"+of+"copy", []byte{}, header("X-Amz-Copy-Source", "/source/"+of+"copy"), header("X-Amz-Metadata-Directive", "REPLACE"), header("X-Amz-Meta-N", of))
		m.c.must(t, 200, "PUT", "/source/"+of+"tagged", []byte("tagged"), header("X-Amz-Tagging", "a=1"))
		m.c.must(t, 200, "PUT", "/source/"+of+"tagged?tagging", []byte("<Tagging><TagSet><Tag><Key>b</Key><Value>2</Value></Tag></TagSet></Tagging>"), header("Content-Md5", contentMD5([]byte("<Tagging><TagSet><Tag><Key>b</Key><Value>2</Value></Tag></TagSet></Tagging>"))))
		m.c.must(t, 200, "PUT", "/source/"+of+"untagged", []byte("untagged"), header("X-Amz-Tagging", "a=1"))
		m.c.must(t, 204, "DELETE", "/source/"+of+"untagged?tagging", nil)
		var list strings.Builder
		for i := range 300 {
			m.c.must(t, 200, "PUT", fmt.Sprintf("/source/%smany/%d", of, i), []byte("x"))
			if i%3 > 0 {
				fmt.Fprintf(&list, "<Object><Key>%smany/%d</Key></Object>", of, i)
			}
		}
		body := []byte("<Delete>" + list.String() + "</Delete>")
		m.once() // so that there is something to delete
		m.c.must(t, 200, "POST", "/source?delete", body, header("Content-Md5", contentMD5(body)))
		m.c.must(t, 204, "DELETE", "/source/"+of+"empty", nil)
		m.c.must(t, 200, "PUT", "/source/"+of+"again", []byte("1"))
		m.c.must(t, 204, "DELETE", "/source/"+of+"again", nil)
		m.c.must(t, 200, "PUT", "/source/"+of+"again", []byte("2"))
		m.once()
		equal(t, m.c, m.c, "source", "target", "first-grown", "versioned-grown")
	}
	changes("first-")
	m.c.must(t, 200, "PUT", "/source?versioning", []byte(versioned))
	changes("versioned-")
	// The newest version goes, and the one before it is back.
	m.c.must(t, 200, "PUT", "/source/plain", []byte("newer"))
	m.once()
	version := m.c.must(t, 200, "HEAD", "/source/plain", nil).header.Get("X-Amz-Version-Id")
	m.c.must(t, 204, "DELETE", "/source/plain?versionId="+version, nil)
	m.once()
	equal(t, m.c, m.c, "source", "target", "first-grown", "versioned-grown")
	// And what lifecycle rules remove.
	rule := []byte("<LifecycleConfiguration><Rule><Filter><Prefix>first-many/</Prefix></Filter><Status>Enabled</Status><Expiration><Days>1</Days></Expiration></Rule></LifecycleConfiguration>")
	m.c.must(t, 200, "PUT", "/source?lifecycle", rule, header("Content-Md5", contentMD5(rule)))
	await(t, "what is to expire is gone", func() bool {
		return !strings.Contains(string(m.c.must(t, 200, "GET", "/source?list-type=2&prefix=first-many/", nil).body), "<Key>")
	})
	m.once()
	equal(t, m.c, m.c, "source", "target", "first-grown", "versioned-grown")
	before := m.p.events(t)
	m.once()
	if n := m.p.events(t); n != before {
		t.Errorf("%d events though nothing had happened", n-before)
	}
}

// TestMirrorKilled: a mirror that is killed again and again while the source changes is equal to it in the
// end, and of what was written once there is one version.
func TestMirrorKilled(t *testing.T) {
	t.Parallel()
	m := newMirrored(t)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 150 {
		m.c.must(t, 200, "PUT", fmt.Sprintf("/source/before/%d", i), content(uint64(i), 100))
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		rng := rand.New(rand.NewPCG(3, 4))
		for i := range 1200 {
			method, target, body := "PUT", fmt.Sprintf("/source/unique/%d", i), content(uint64(i), 50)
			switch rng.IntN(4) {
			case 0:
				target = fmt.Sprintf("/source/key/%d", rng.IntN(10))
			case 1:
				method, target, body = "DELETE", fmt.Sprintf("/source/key/%d", rng.IntN(10)), nil
			}
			if a, err := m.c.try(method, target, body, header("X-Amz-Meta-I", fmt.Sprint(i))); err != nil || a.status >= 300 {
				t.Errorf("%v, %v", a, err)
			}
		}
	}()
	lives := 0
	for running := true; running; lives++ {
		select {
		case <-written:
			running = false
		default:
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(10+rng.IntN(200))*ms)
		if err := m.mirror(ctx, true); ctx.Err() == nil {
			t.Fatalf("the mirror ended by itself: %v", err)
		}
		cancel()
	}
	m.once()
	equal(t, m.c, m.c, "source", "target")
	for key, n := range versionsOf(t, m.c, "target") {
		if n != 1 && !strings.HasPrefix(key, "key/") {
			t.Errorf("%s was written %d times", key, n)
		}
	}
	if lives < 4 {
		t.Errorf("%d lives: it was hardly killed", lives)
	}
}

// TestMirrorKeepsOthers: what is not the mirror's it does not touch; of two mirrors one finds out.
func TestMirrorKeepsOthers(t *testing.T) {
	t.Parallel()
	m := newMirrored(t)
	m.c.must(t, 200, "PUT", "/source/a", []byte("mirrored"))
	m.c.must(t, 200, "PUT", "/target/foreign", []byte("not of the mirror"))
	m.once()
	if a := m.c.must(t, 200, "GET", "/target/foreign", nil); string(a.body) != "not of the mirror" {
		t.Errorf("%v", a)
	}
	m.c.must(t, 200, "PUT", "/source/foreign", []byte("mirrored"))
	if err := m.mirror(t.Context(), false); err == nil || !strings.Contains(err.Error(), "not of this mirror") {
		t.Errorf("what is not the mirror's was replaced: %v", err)
	}
	m.c.must(t, 204, "DELETE", "/source/foreign", nil)
	m.once()
	if a := m.c.must(t, 200, "GET", "/target/foreign", nil); string(a.body) != "not of the mirror" {
		t.Errorf("%v", a)
	}
	// Somebody else moves the cursor while a batch is done.
	m.c.must(t, 200, "PUT", "/source/b", []byte("more"))
	err := m.mirror(t.Context(), false, func(x *mirror.Mirror) {
		x.Tell = func(d mirror.Done) {
			if d.What == "put" {
				if err := m.mirror(t.Context(), false); err != nil {
					t.Error(err)
				}
			}
		}
	})
	if err == nil || !strings.Contains(err.Error(), "another mirror has it") {
		t.Errorf("another mirror has moved the cursor: %v", err)
	}
	if a := m.c.must(t, 200, "GET", "/target/b", nil); !bytes.Equal(a.body, []byte("more")) {
		t.Errorf("%v", a)
	}
	if n := versionsOf(t, m.c, "target")["b"]; n != 1 {
		t.Errorf("%d versions", n)
	}
	// What needs a key that the mirror has not got stops it, and it says why.
	key := content(9, 32)
	sealed := func(r *http.Request) {
		for name, value := range customer(customerHeader, key) {
			r.Header.Set(name, value)
		}
	}
	m.c.must(t, 200, "PUT", "/source/sealed", []byte("sealed"), sealed)
	if err := m.mirror(t.Context(), false); err == nil || !strings.Contains(err.Error(), `"sealed"`) || !strings.Contains(err.Error(), "400 Invalid") || strings.Contains(err.Error(), "not kept") {
		t.Errorf("what is encrypted under a client's key: %v", err)
	}
	m.c.must(t, 204, "DELETE", "/source/sealed", nil)
	m.once()
	// Without the right to the source nothing is done.
	m.c.must(t, 204, "PUT", "/source?policy", rules(rule("Deny", everybody, "s3:GetObject*", "source/*", "")))
	m.c.must(t, 200, "PUT", "/source/c", []byte("closed"))
	if err := m.mirror(t.Context(), false); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("what may not be read was mirrored: %v", err)
	}
	m.c.refused(t, 404, "NoSuchKey", "GET", "/target/c", nil)
	m.c.must(t, 204, "DELETE", "/source?policy", nil)
	m.once()
	if a := m.c.must(t, 200, "GET", "/target/c", nil); string(a.body) != "closed" {
		t.Errorf("%v", a)
	}
}

// TestMirrorKnowsItsOwn: a mark proves which source an object shows, and at which key: an object with the
// mark of another source of the same name, or of another key, is not the mirror's.
func TestMirrorKnowsItsOwn(t *testing.T) {
	t.Parallel()
	m := newMirrored(t)
	m.c.must(t, 200, "PUT", "/source/a", []byte("mirrored"))
	m.once()
	// A copy has the mark, too.
	m.c.must(t, 200, "PUT", "/target/copied", []byte{}, header("X-Amz-Copy-Source", "/target/a"))
	m.c.must(t, 200, "PUT", "/source/copied", []byte("of the source"))
	if err := m.mirror(t.Context(), false); err == nil || !strings.Contains(err.Error(), "not of this mirror") {
		t.Errorf("a copy with another key's mark was replaced: %v", err)
	}
	m.c.must(t, 204, "DELETE", "/source/copied", nil)
	m.once()
	m.c.must(t, 200, "GET", "/target/copied", nil)
	// Another source of the name, in another cluster, whose sequences mean nothing here.
	other := openInProcess(t, vfs.NewMem(), "/other")
	other.client().must(t, 200, "PUT", "/source", nil)
	other.client().must(t, 200, "PUT", "/source/a", []byte("of another"))
	from := func(x *mirror.Mirror) {
		c, err := mirror.NewClient([]string{other.endpoint}, other.cred, region)
		if err != nil {
			t.Fatal(err)
		}
		x.Source = c
	}
	if err := m.mirror(t.Context(), false, from); err == nil || !strings.Contains(err.Error(), "not of this mirror") {
		t.Errorf("another source's object was replaced, or taken for its own: %v", err)
	}
	if a := m.c.must(t, 200, "GET", "/target/a", nil); string(a.body) != "mirrored" {
		t.Errorf("%v", a)
	}
}

// TestMirrorTargetAnew: a target that was deleted and made anew, and another one, are filled, though
// the mirror had come far.
func TestMirrorTargetAnew(t *testing.T) {
	t.Parallel()
	m := newMirrored(t)
	m.c.must(t, 200, "PUT", "/source/a", []byte("one"))
	m.c.must(t, 200, "PUT", "/source/b", []byte("two"))
	m.c.must(t, 200, "PUT", "/target?versioning", []byte("<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>"))
	m.once()
	equal(t, m.c, m.c, "source", "target")
	for key := range versionsOf(t, m.c, "target") {
		for _, l := range []string{"a", "b"} {
			if key == l {
				m.c.must(t, 204, "DELETE", "/target/"+key+"?versionId=null", nil)
			}
		}
	}
	m.c.must(t, 204, "DELETE", "/target", nil)
	m.c.must(t, 200, "PUT", "/target", nil)
	m.once()
	equal(t, m.c, m.c, "source", "target")
	m.c.must(t, 200, "PUT", "/elsewhere", nil)
	if err := m.mirror(t.Context(), false, func(x *mirror.Mirror) { x.To = "elsewhere" }); err != nil {
		t.Fatal(err)
	}
	equal(t, m.c, m.c, "source", "elsewhere")
	if err := m.mirror(t.Context(), false, func(x *mirror.Mirror) {
		c, err := mirror.NewClient([]string{m.p.endpoint}, m.p.cred, region)
		if err != nil {
			t.Fatal(err)
		}
		x.Target, x.To = c, "source"
	}); err == nil || !strings.Contains(err.Error(), "its own mirror") {
		t.Errorf("a bucket is its own mirror: %v", err)
	}
}

// TestMirrorPassesOver: an object whose metadata leaves no room for the mark does not stop the mirror: all else
// is mirrored, and in the end it is named.
func TestMirrorPassesOver(t *testing.T) {
	t.Parallel()
	m := newMirrored(t)
	full := header("X-Amz-Meta-Long", strings.Repeat("x", 2040))
	m.c.must(t, 200, "PUT", "/source/a-full", []byte("x"), full)
	for i := range 20 {
		m.c.must(t, 200, "PUT", fmt.Sprintf("/source/%d", i), []byte("x"))
	}
	passes := func() {
		t.Helper()
		if err := m.mirror(t.Context(), false); err == nil || !strings.Contains(err.Error(), `["a-full"]`) {
			t.Errorf("not all could be mirrored: %v", err)
		}
		for i := range 20 {
			m.c.must(t, 200, "GET", fmt.Sprintf("/target/%d", i), nil)
		}
		m.c.refused(t, 404, "NoSuchKey", "GET", "/target/a-full", nil)
	}
	passes()
	m.once() // it was told
	m.c.must(t, 200, "PUT", "/source/a-full", []byte("y"), full)
	m.c.must(t, 200, "PUT", "/source/after", []byte("x"))
	passes()
	m.c.must(t, 200, "GET", "/target/after", nil)
	m.c.must(t, 200, "PUT", "/source/a-full", []byte("z"))
	m.once()
	equal(t, m.c, m.c, "source", "target")
}

// TestMirrorElsewhere: the target may be of another cluster.
func TestMirrorElsewhere(t *testing.T) {
	t.Parallel()
	m := newMirrored(t)
	other := openInProcess(t, vfs.NewMem(), "/other")
	other.client().must(t, 200, "PUT", "/target", nil)
	there := func(x *mirror.Mirror) {
		c, err := mirror.NewClient([]string{"http://127.0.0.1:9", other.endpoint}, other.cred, region) // nobody answers at the first
		if err != nil {
			t.Fatal(err)
		}
		x.Target = c
	}
	for i := range 1100 { // more than a page of a list
		m.c.must(t, 200, "PUT", fmt.Sprintf("/source/%d", i), content(uint64(i), i))
	}
	if err := m.mirror(t.Context(), false, there); err != nil {
		t.Fatal(err)
	}
	equal(t, m.c, other.client(), "source", "target")
	m.c.must(t, 204, "DELETE", "/source/7", nil)
	m.c.must(t, 200, "PUT", "/source/8", []byte("changed"))
	if err := m.mirror(t.Context(), false, there); err != nil {
		t.Fatal(err)
	}
	equal(t, m.c, other.client(), "source", "target")
	m.c.refused(t, 404, "NoSuchKey", "GET", "/target/8", nil)
}
