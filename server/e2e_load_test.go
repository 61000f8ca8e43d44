package server_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"ironman/s3api/sig"
)

// value is what a key may hold: size bytes of content(seed). A zero seed: nothing.
type value struct {
	seed uint64
	size int
}

// object is what the model knows of a key: the last acknowledged value, and those
// whose requests were cut off, each of which may have taken effect.
type object struct {
	known value
	maybe []value
}

// openUpload is a multipart upload that was acknowledged and not completed yet.
type openUpload struct {
	key, id   string
	value     value
	etags     map[int]string // acknowledged parts
	completed bool           // the completion was sent
}

// loader writes to keys that nobody else writes to, one request at a time: so the
// model is exact but for the request that was cut off.
type loader struct {
	client  *client
	bucket  string
	prefix  string
	rng     *rand.Rand
	seeds   *atomic.Uint64 // shared: every write has bytes of its own
	objects map[string]*object
	upload  *openUpload
	acked   int
	unknown int // uploads that may have been created without our knowing their id

	patient bool   // an answer of 5xx is as good as none
	wrote   func() // called after each acknowledged change; may be nil
}

// errCut says that the connection broke before the answer.
var errCut = errors.New("no answer")

const bigPart = 5 << 20

func newLoader(bucket string, n int, seeds *atomic.Uint64) *loader {
	return &loader{
		bucket: bucket, prefix: fmt.Sprintf("client-%d/", n), seeds: seeds,
		rng: rand.New(rand.NewPCG(uint64(n), 4711)), objects: make(map[string]*object),
	}
}

// run sends requests until one is cut off or ctx ends between two of them. Any
// other outcome than the expected one is an error.
func (l *loader) run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := l.step(); err != nil {
			return err
		}
	}
	return nil
}

func (l *loader) step() error {
	switch n := l.rng.IntN(100); {
	case n < 50:
		return l.put(l.key("small", 12), l.rng.IntN(64<<10))
	case n < 62:
		return l.put(l.key("medium", 3), 1<<20)
	case n < 74:
		return l.remove(l.key("small", 12))
	case n < 78:
		return l.removeMany()
	case n < 90:
		return l.check(l.key("small", 12))
	case n < 94:
		return l.overwriteIfSame(l.key("small", 12))
	}
	return l.multipart()
}

func (l *loader) key(kind string, n int) string {
	return fmt.Sprintf("%s%s-%d", l.prefix, kind, l.rng.IntN(n))
}

func (l *loader) object(key string) *object {
	o := l.objects[key]
	if o == nil {
		o = &object{}
		l.objects[key] = o
	}
	return o
}

func (l *loader) path(key string) string { return "/" + l.bucket + "/" + key }

// send sends one request and wants one status.
func (l *loader) send(want int, method, target string, body []byte, headers ...string) (*answer, error) {
	ctx, cancel := context.WithTimeout(context.Background(), cmp.Or(l.client.limit, time.Minute))
	defer cancel()
	r := l.client.request(ctx, method, target, body)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	if err := sig.SignV4(r, l.client.cred, region, sig.UnsignedPayload, time.Now()); err != nil {
		return nil, err
	}
	a, err := l.client.send(r)
	if err != nil {
		return nil, fmt.Errorf("%w: %s %s: %w", errCut, method, target, err)
	}
	if l.patient && a.status >= 500 {
		return nil, fmt.Errorf("%w: %s %s: %v", errCut, method, target, a)
	}
	if a.status != want {
		return nil, fmt.Errorf("%s %s: want %d, got %v", method, target, want, a)
	}
	l.acked++
	if l.wrote != nil {
		l.wrote()
	}
	return a, nil
}

func (l *loader) put(key string, size int, headers ...string) error {
	v := value{l.seeds.Add(1), size}
	o := l.object(key)
	o.maybe = append(o.maybe, v)
	if _, err := l.send(200, "PUT", l.path(key), content(v.seed, v.size), headers...); err != nil {
		return err
	}
	o.known, o.maybe = v, nil
	return nil
}

// overwriteIfSame overwrites what the model believes is there.
func (l *loader) overwriteIfSame(key string) error {
	o := l.object(key)
	if o.known.seed == 0 {
		return l.put(key, 100, "If-None-Match", "*")
	}
	return l.put(key, l.rng.IntN(64<<10), "If-Match", etag(content(o.known.seed, o.known.size)))
}

func (l *loader) remove(key string) error {
	o := l.object(key)
	o.maybe = append(o.maybe, value{})
	if _, err := l.send(204, "DELETE", l.path(key), nil); err != nil {
		return err
	}
	o.known, o.maybe = value{}, nil
	return nil
}

// removeMany deletes several keys by one request.
func (l *loader) removeMany() error {
	var doc strings.Builder
	doc.WriteString("<Delete>")
	keys := make(map[string]bool)
	for range 4 {
		keys[l.key("small", 12)] = true
	}
	for key := range keys {
		o := l.object(key)
		o.maybe = append(o.maybe, value{})
		doc.WriteString("<Object><Key>" + key + "</Key></Object>")
	}
	doc.WriteString("</Delete>")
	body := []byte(doc.String())
	a, err := l.send(200, "POST", "/"+l.bucket+"?delete", body, "Content-Md5", contentMD5(body))
	if err != nil {
		return err
	}
	if n := bytes.Count(a.body, []byte("<Deleted>")); n != len(keys) {
		return fmt.Errorf("DeleteObjects of %d keys answered %s", len(keys), a.body)
	}
	for key := range keys {
		o := l.object(key)
		o.known, o.maybe = value{}, nil
	}
	return nil
}

// check reads a key. Afterwards the model knows what it holds.
func (l *loader) check(key string) error {
	o := l.object(key)
	a, err := l.client.try("GET", l.path(key), nil)
	if err != nil {
		return fmt.Errorf("%w: GET %s: %w", errCut, key, err)
	}
	if l.patient && a.status >= 500 {
		return fmt.Errorf("%w: GET %s: %v", errCut, key, a)
	}
	for _, v := range append([]value{o.known}, o.maybe...) {
		if v.seed == 0 && a.status == 404 && a.code() == "NoSuchKey" || v.seed != 0 && a.status == 200 && bytes.Equal(a.body, content(v.seed, v.size)) {
			o.known, o.maybe = v, nil
			return nil
		}
	}
	return fmt.Errorf("GET %s: status %d and %d bytes are none of %v or %v", key, a.status, len(a.body), o.known, o.maybe)
}

// multipart takes the next step of an upload of 8 MiB in two parts.
func (l *loader) multipart() error {
	if l.upload == nil {
		return l.createUpload()
	}
	for n := 1; n <= 2; n++ {
		if l.upload.etags[n] == "" {
			return l.putPart(n)
		}
	}
	return l.completeUpload()
}

func (l *loader) createUpload() error {
	key := l.key("big", 1)
	l.unknown++
	a, err := l.send(200, "POST", l.path(key)+"?uploads", []byte{})
	if err != nil {
		return err
	}
	l.unknown--
	var created struct{ UploadId string }
	if err := xml.Unmarshal(a.body, &created); err != nil || created.UploadId == "" {
		return fmt.Errorf("CreateMultipartUpload answered %s", a.body)
	}
	l.upload = &openUpload{key: key, id: created.UploadId, value: value{l.seeds.Add(1), 8 << 20}, etags: make(map[int]string)}
	return nil
}

func (l *loader) putPart(n int) error {
	u := l.upload
	b := content(u.value.seed, u.value.size)
	if n == 1 {
		b = b[:bigPart]
	} else {
		b = b[bigPart:]
	}
	a, err := l.send(200, "PUT", fmt.Sprintf("%s?partNumber=%d&uploadId=%s", l.path(u.key), n, u.id), b)
	if err != nil {
		return err
	}
	if u.etags[n] = a.header.Get("Etag"); u.etags[n] != etag(b) {
		return fmt.Errorf("part %d has the entity tag %s, not %s", n, u.etags[n], etag(b))
	}
	return nil
}

func (l *loader) completeUpload() error {
	u, o := l.upload, l.object(l.upload.key)
	u.completed = true
	o.maybe = append(o.maybe, u.value)
	body := fmt.Sprintf("<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>%s</ETag></Part><Part><PartNumber>2</PartNumber><ETag>%s</ETag></Part></CompleteMultipartUpload>",
		u.etags[1], u.etags[2])
	if _, err := l.send(200, "POST", l.path(u.key)+"?uploadId="+u.id, []byte(body)); err != nil {
		return err
	}
	o.known, o.maybe = u.value, nil
	l.upload = nil
	return nil
}

// verify reads everything back after a restart, and goes on with the upload that
// was open: no acknowledged part may be missing.
func (l *loader) verify() error {
	for key := range l.objects {
		if err := l.check(key); err != nil {
			return err
		}
	}
	if l.upload == nil {
		return nil
	}
	a, err := l.client.try("GET", l.path(l.upload.key)+"?uploadId="+l.upload.id, nil)
	if err != nil {
		return err
	}
	// Only an upload whose completion was sent may be gone; it is repeated then.
	if a.status != 200 && !(l.upload.completed && a.code() == "NoSuchUpload") {
		return fmt.Errorf("the open upload %+v: %v", l.upload, a)
	}
	for _, tag := range l.upload.etags {
		if a.status == 200 && !bytes.Contains(a.body, []byte(strings.Trim(tag, `"`))) {
			return fmt.Errorf("the open upload %+v misses a part: %v", l.upload, a)
		}
	}
	if l.upload.completed {
		if err := l.completeUpload(); err != nil {
			return err
		}
		return l.check(l.key("big", 1))
	}
	return nil
}

// listing is what a listing of the loader's keys must show.
func (l *loader) listing() map[string]listed {
	out := make(map[string]listed)
	for key, o := range l.objects {
		if v := o.known; v.seed != 0 {
			out[key] = listed{Key: key, Size: int64(v.size), ETag: etag(content(v.seed, v.size))}
			if strings.Contains(key, "big") {
				b := content(v.seed, v.size)
				out[key] = listed{Key: key, Size: int64(v.size), ETag: etag(b[:bigPart], b[bigPart:])}
			}
		}
	}
	return out
}

// checkListing compares a bucket's listing and its open uploads with the models of
// all who write to it.
func checkListing(t testing.TB, c *client, bucket string, loaders []*loader) {
	t.Helper()
	want := make(map[string]listed)
	uploads, unknown := 0, 0
	for _, l := range loaders {
		for k, v := range l.listing() {
			want[k] = v
		}
		if l.upload != nil {
			uploads++
		}
		unknown += l.unknown
	}
	got := c.list(t, bucket, 7)
	if !slices.IsSortedFunc(got, func(a, b listed) int { return strings.Compare(a.Key, b.Key) }) || len(got) != len(want) {
		t.Errorf("the listing has %d keys, the model %d", len(got), len(want))
	}
	for _, g := range got {
		if w := want[g.Key]; g != w {
			t.Errorf("the listing says %+v, the model %+v", g, w)
		}
	}
	a := c.must(t, 200, "GET", "/"+bucket+"?uploads", nil)
	var open struct{ Upload []struct{ UploadId string } }
	if err := xml.Unmarshal(a.body, &open); err != nil {
		t.Fatal(err)
	}
	if n := len(open.Upload); n < uploads || n > uploads+unknown {
		t.Errorf("%d uploads are open; the model has %d, and %d that may be", n, uploads, unknown)
	}
}
