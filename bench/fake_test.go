package bench

import (
	"context"
	"crypto/rand"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"ironman/s3api/sig"
)

const (
	testAccess = "AKIATEST"
	testSecret = "a-secret-that-must-not-be-printed"
)

// fakeS3 is a store in memory that verifies signatures, and lies where it is told to.
type fakeS3 struct {
	*httptest.Server
	verifier sig.Verifier

	// lie changes an object on its way out; nil: it is honest.
	lie func(key string, content []byte) []byte
	// refuse answers a request with 503 where it says so; nil: never.
	refuse func(r *http.Request) bool
	// keepDeleted makes DeleteObjects do nothing.
	keepDeleted bool
	// expires has a rule remove all objects of its prefix at once, not only half of them.
	expires bool
	// hideKey is left out of listings.
	hideKey string

	mu      sync.Mutex
	buckets map[string]map[string][]byte
	uploads map[string]map[int][]byte
	counts  map[string]int // of requests, by what they are
}

func newFakeS3(t *testing.T) *fakeS3 {
	f := &fakeS3{
		buckets: make(map[string]map[string][]byte), uploads: make(map[string]map[int][]byte), counts: make(map[string]int),
		verifier: sig.Verifier{Region: "us-east-1", Now: time.Now,
			Lookup: func(_ context.Context, key, _ string) (sig.Secret, bool, error) {
				return sig.NewSecret(testSecret), key == testAccess, nil
			}},
	}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeS3) options(works ...string) Options {
	return Options{
		Endpoint: Endpoint{URLs: []string{f.URL}, Region: "us-east-1", Credential: credential(testAccess, testSecret, "")},
		Works:    works, Concurrency: 3, Objects: 20, Duration: time.Minute, Rounds: 2, Requests: 30, MaxBytes: 1 << 30, Seed: 7,
	}
}

func (f *fakeS3) count(what string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.counts[what]
}

func (f *fakeS3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", "FakeS3/1")
	id, err := f.verifier.Verify(r.Context(), r)
	if err != nil {
		f.fail(w, 403, "SignatureDoesNotMatch", err.Error())
		return
	}
	b, err := id.Body(r)
	if err != nil {
		f.fail(w, 400, "BadRequest", err.Error())
		return
	}
	body, err := io.ReadAll(b)
	if err != nil {
		f.fail(w, 400, "XAmzContentSHA256Mismatch", err.Error())
		return
	}
	if f.refuse != nil && f.refuse(r) {
		f.fail(w, 503, "SlowDown", "Please reduce your request rate.")
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	bucket, key, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if key == "" {
		f.serveBucket(w, r, bucket, body)
		return
	}
	if f.buckets[bucket] == nil {
		f.fail(w, 404, "NoSuchBucket", "")
		return
	}
	f.serveObject(w, r, bucket, key, body)
}

func (f *fakeS3) fail(w http.ResponseWriter, status int, code, message string) {
	w.WriteHeader(status)
	fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", code, escapeXML(message))
}

func (f *fakeS3) serveBucket(w http.ResponseWriter, r *http.Request, bucket string, body []byte) {
	objects := f.buckets[bucket]
	switch {
	case r.URL.Query().Has("lifecycle"):
		f.lifecycle(w, r, objects, body)
	case r.Method == http.MethodPut && objects != nil:
		// as Amazon's oldest region: no error
	case r.Method == http.MethodPut:
		f.buckets[bucket] = make(map[string][]byte)
	case objects == nil:
		f.fail(w, 404, "NoSuchBucket", "")
	case r.Method == http.MethodHead:
	case r.Method == http.MethodDelete && len(objects) > 0:
		f.fail(w, 409, "BucketNotEmpty", "")
	case r.Method == http.MethodDelete:
		delete(f.buckets, bucket)
		w.WriteHeader(204)
	case r.Method == http.MethodPost && r.URL.Query().Has("delete"):
		f.deleteAll(w, r, objects, body)
	case r.Method == http.MethodGet:
		f.list(w, r, objects)
	}
}

// lifecycle carries a rule out as soon as it is there.
func (f *fakeS3) lifecycle(w http.ResponseWriter, r *http.Request, objects map[string][]byte, body []byte) {
	if f.counts[r.Method+" lifecycle"]++; r.Method == http.MethodDelete {
		w.WriteHeader(204)
		return
	}
	var c struct {
		Rule []struct {
			Filter     struct{ Prefix string }
			Status     string
			Expiration struct{ Date time.Time }
		}
	}
	if err := xml.Unmarshal(body, &c); err != nil || len(c.Rule) != 1 || c.Rule[0].Status != "Enabled" || c.Rule[0].Expiration.Date.After(time.Now()) {
		f.fail(w, 400, "MalformedXML", "")
		return
	}
	keys, prefix := slices.Sorted(maps.Keys(objects)), c.Rule[0].Filter.Prefix
	keys = slices.DeleteFunc(keys, func(k string) bool { return prefix == "" || !strings.HasPrefix(k, prefix) })
	for i, k := range keys {
		if i%2 == 0 || f.expires {
			delete(objects, k)
		}
	}
}

func (f *fakeS3) deleteAll(w http.ResponseWriter, r *http.Request, objects map[string][]byte, body []byte) {
	var d struct {
		Object []struct{ Key string }
	}
	if err := xml.Unmarshal(body, &d); err != nil || r.Header.Get("Content-Md5") == "" {
		f.fail(w, 400, "MalformedXML", "")
		return
	}
	f.counts["DeleteObjects"]++
	for _, o := range d.Object {
		if _, ok := objects[o.Key]; ok && !f.keepDeleted {
			delete(objects, o.Key)
			f.counts["deleted"]++
		}
	}
	fmt.Fprint(w, "<DeleteResult/>")
}

func (f *fakeS3) list(w http.ResponseWriter, r *http.Request, objects map[string][]byte) {
	f.counts["list"]++
	q := r.URL.Query()
	limit, _ := strconv.Atoi(q.Get("max-keys"))
	fmt.Fprint(w, "<ListBucketResult>")
	last, n := "", 0
	for _, k := range slices.Sorted(maps.Keys(objects)) {
		if !strings.HasPrefix(k, q.Get("prefix")) || k <= q.Get("continuation-token") || f.hideKey != "" && strings.HasSuffix(k, f.hideKey) {
			continue
		}
		if n == limit {
			fmt.Fprintf(w, "<NextContinuationToken>%s</NextContinuationToken><IsTruncated>true</IsTruncated></ListBucketResult>", last)
			return
		}
		fmt.Fprintf(w, "<Contents><Key>%s</Key><Size>%d</Size></Contents>", k, len(objects[k]))
		last, n = k, n+1
	}
	fmt.Fprint(w, "<IsTruncated>false</IsTruncated></ListBucketResult>")
}

func (f *fakeS3) serveObject(w http.ResponseWriter, r *http.Request, bucket, key string, body []byte) {
	objects, q := f.buckets[bucket], r.URL.Query()
	id := q.Get("uploadId")
	content, ok := objects[key]
	switch {
	case r.Method == http.MethodPost && q.Has("uploads"):
		id = rand.Text() + "/+&"
		f.uploads[id] = make(map[int][]byte)
		fmt.Fprintf(w, "<R><UploadId>%s</UploadId></R>", escapeXML(id))
	case id != "" && f.uploads[id] == nil:
		f.fail(w, 404, "NoSuchUpload", "")
	case r.Method == http.MethodPut && id != "":
		n, _ := strconv.Atoi(q.Get("partNumber"))
		f.uploads[id][n] = body
		w.Header().Set("ETag", fmt.Sprintf(`"part%d"`, n))
	case r.Method == http.MethodPost:
		f.complete(w, id, objects, key, body)
	case r.Method == http.MethodDelete && id != "":
		delete(f.uploads, id)
		f.counts["abort"]++
	case r.Method == http.MethodPut:
		f.counts["put"]++
		objects[key] = body
	case r.Method == http.MethodDelete:
		f.counts["delete"]++
		delete(objects, key)
		w.WriteHeader(204)
	case !ok:
		f.fail(w, 404, "NoSuchKey", "")
	default:
		f.counts[r.Method]++
		if f.lie != nil {
			content = f.lie(key, slices.Clone(content))
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(content)))
		_, _ = w.Write(content)
	}
}

func (f *fakeS3) complete(w http.ResponseWriter, id string, objects map[string][]byte, key string, body []byte) {
	var c struct {
		Part []struct {
			PartNumber int
			ETag       string
		}
	}
	if err := xml.Unmarshal(body, &c); err != nil {
		f.fail(w, 400, "MalformedXML", "")
		return
	}
	var whole []byte
	for _, p := range c.Part {
		part, ok := f.uploads[id][p.PartNumber]
		if !ok || p.ETag != fmt.Sprintf(`"part%d"`, p.PartNumber) {
			f.fail(w, 200, "InvalidPart", "") // as Amazon does: the status went out before
			return
		}
		whole = append(whole, part...)
	}
	delete(f.uploads, id)
	objects[key] = whole
	f.counts["complete"]++
	fmt.Fprint(w, "<CompleteMultipartUploadResult/>")
}
