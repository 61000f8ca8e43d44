package server_test

import (
	"crypto/sha256"
	"encoding/xml"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"ironman/s3api/sig"
)

// portrayed is a cluster with something of everything in it, and who may see it.
type portrayed struct {
	testing.TB
	customer map[string]string // headers of the key of objects that begin with "customer/"
	user     sig.Credential    // may read what begins with "open/" in the first bucket
	upload   string            // one that is open
	part     []byte            // its first
	moments  []uint64          // sequences, of each of which there is something to see
}

// portraitBuckets hold what is portrayed: the first has versions, the second object lock,
// the third neither.
func portraitBuckets() []string { return []string{"past-versions", "past-locked", "past-plain"} }

// makePortrayed makes buckets, a user, and an upload that stays open.
func makePortrayed(t *testing.T, p *process) *portrayed {
	t.Helper()
	w := &portrayed{TB: t, customer: customer(customerHeader, content(77, 32)), part: content(78, 5<<20+100)}
	c := p.client()
	for _, b := range portraitBuckets() {
		var lock []func(*http.Request)
		if b == "past-locked" {
			lock = append(lock, header("X-Amz-Bucket-Object-Lock-Enabled", "true"))
		}
		c.must(t, 200, "PUT", "/"+b, nil, lock...)
		c.must(t, 200, "PUT", "/"+b+"?tagging", fmt.Appendf(nil, taggingXML, b))
	}
	c.must(t, 200, "PUT", "/past-versions?versioning", []byte(versioned))
	c.must(t, 204, "PUT", "/past-versions?policy", rules(rule("Allow", everybody, "s3:GetObject", "past-versions/public/*", "")))
	v := p.vault(t, credentials.NewStaticCredentialsProvider(c.cred.AccessKey, string(c.cred.Secret.Reveal()), ""))
	name := aws.String("reader")
	_, err := v.iam.CreateUser(v.ctx, &iam.CreateUserInput{UserName: name})
	v.ok(err)
	key, err := v.iam.CreateAccessKey(v.ctx, &iam.CreateAccessKeyInput{UserName: name})
	v.ok(err)
	v.let("reader", "reads", []string{"s3:GetObject"}, []string{"arn:aws:s3:::past-versions/open/*"})
	w.user = sig.Credential{AccessKey: *key.AccessKey.AccessKeyId, Secret: sig.NewSecret(*key.AccessKey.SecretAccessKey)}
	a := c.must(t, 200, "POST", "/past-plain/unfinished?uploads", nil)
	_, rest, _ := strings.Cut(string(a.body), "<UploadId>")
	w.upload, _, _ = strings.Cut(rest, "<")
	c.must(t, 200, "PUT", "/past-plain/unfinished?partNumber=1&uploadId="+w.upload, w.part)
	return w
}

// write writes objects of all kinds; what an earlier generation wrote is replaced or
// deleted in part.
func (w *portrayed) write(c *client, generation uint64) {
	w.Helper()
	t := w.TB
	seed := func(i int) uint64 { return generation*10_000 + uint64(i) }
	for i := range 120 {
		size := []int{0, 10, 3000, 70_000, 300_000}[i%5]
		c.must(t, 200, "PUT", fmt.Sprintf("/past-versions/open/%03d", i), content(seed(i), size), header("X-Amz-Meta-Generation", fmt.Sprint(generation)), header("X-Amz-Tagging", "a=b"))
		c.must(t, 200, "PUT", fmt.Sprintf("/past-plain/%03d", i), content(seed(i)+1, size/2))
		if i%4 == int(generation%4) {
			c.must(t, 204, "DELETE", fmt.Sprintf("/past-versions/open/%03d", i), nil)
			c.must(t, 204, "DELETE", fmt.Sprintf("/past-plain/%03d", i), nil)
		}
	}
	for i := range 10 {
		c.must(t, 200, "PUT", fmt.Sprintf("/past-versions/public/%d-%d", generation, i), content(seed(300+i), 500))
		c.must(t, 200, "PUT", fmt.Sprintf("/past-plain/sse/%d", i), content(seed(400+i), 9000*i), header("X-Amz-Server-Side-Encryption", "AES256"))
		c.must(t, 200, "PUT", fmt.Sprintf("/past-plain/customer/%d", i), content(seed(500+i), 11_000*i), withHeaders(w.customer))
		c.must(t, 200, "PUT", fmt.Sprintf("/past-locked/%d", i), content(seed(600+i), 2000),
			header("X-Amz-Object-Lock-Mode", "GOVERNANCE"), header("X-Amz-Object-Lock-Retain-Until-Date", time.Now().Add(24*time.Hour).UTC().Format(time.RFC3339)))
	}
	a := c.must(t, 200, "POST", "/past-versions/parts?uploads", nil)
	_, rest, _ := strings.Cut(string(a.body), "<UploadId>")
	id, _, _ := strings.Cut(rest, "<")
	first, second := content(seed(700), 5<<20), content(seed(701), 333_333)
	c.must(t, 200, "PUT", "/past-versions/parts?partNumber=1&uploadId="+id, first)
	c.must(t, 200, "PUT", "/past-versions/parts?partNumber=2&uploadId="+id, second)
	c.must(t, 200, "POST", "/past-versions/parts?uploadId="+id, completion(etagXML(first), etagXML(second)))
	a = c.must(t, 200, "PUT", "/past-plain/moment", fmt.Appendf(nil, "generation %d", generation))
	var seq uint64
	if _, err := fmt.Sscan(a.header.Get("X-Ironman-Sequence"), &seq); err != nil {
		t.Fatal(err)
	}
	w.moments = append(w.moments, seq)
}

// listedVersions are all versions and markers of a bucket.
type listedVersions struct {
	Version, DeleteMarker []struct{ Key, VersionId string }
	IsTruncated           bool
}

// portrait is all that can be seen through a client, also of the first moments, by what was
// asked.
func (w *portrayed) portrait(c *client, moments int) map[string]string {
	w.Helper()
	seen := make(map[string]string)
	see := func(c *client, method, target string, change ...func(*http.Request)) *answer {
		w.Helper()
		a, err := c.try(method, target, nil, change...)
		if err != nil {
			w.Fatalf("%s %s: %v", method, target, err)
		}
		name := method + " " + target
		if c.cred.AccessKey != "" && c.cred.AccessKey == w.user.AccessKey {
			name = "user: " + name
		}
		for seen[name] != "" {
			name += "'"
		}
		seen[name] = describe(a)
		return a
	}
	see(c, "GET", "/")
	for _, b := range portraitBuckets() {
		for _, q := range []string{"versioning", "policy", "acl", "tagging", "object-lock", "uploads"} {
			see(c, "GET", "/"+b+"?"+q)
		}
		a := see(c, "GET", "/"+b+"?versions")
		var l listedVersions
		if err := xml.Unmarshal(a.body, &l); err != nil || l.IsTruncated {
			w.Fatal(err, l.IsTruncated)
		}
		for _, v := range l.Version {
			at := "/" + b + "/" + (&url.URL{Path: v.Key}).EscapedPath() + "?versionId=" + url.QueryEscape(v.VersionId)
			if strings.HasPrefix(v.Key, "customer/") {
				see(c, "GET", at, withHeaders(w.customer))
				continue
			}
			see(c, "GET", at)
			see(c, "GET", at+"&tagging")
			if b == "past-locked" {
				see(c, "GET", at+"&retention")
				see(c, "DELETE", at) // which the lock forbids
			}
		}
	}
	user := *c
	user.cred = w.user
	see(&user, "GET", "/past-versions/open/001")
	see(&user, "GET", "/past-versions/open/006")
	see(&user, "GET", "/past-plain/001")
	anonymous := *c
	anonymous.cred = sig.Credential{}
	see(&anonymous, "GET", "/past-versions/public/1-3")
	see(&anonymous, "GET", "/past-versions/open/001")
	see(c, "GET", "/past-plain/unfinished?uploadId="+w.upload)
	for _, seq := range w.moments[:moments] {
		at := header(asOf, fmt.Sprint(seq))
		for _, target := range []string{"/past-plain/moment", "/past-plain/007", "/past-plain/004", "/past-versions/open/003", "/past-plain?list-type=2"} {
			see(c, "GET", target, at)
		}
	}
	return seen
}

// describe is what of an answer must stay as it is.
func describe(a *answer) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s", a.status, a.code())
	for _, name := range slices.Sorted(maps.Keys(a.header)) {
		switch {
		case strings.HasPrefix(name, "X-Amz-Request-Id"), name == "X-Amz-Id-2", name == "Date", name == "X-Ironman-Sequence", name == "Server", name == "Content-Length":
		default:
			fmt.Fprintf(&b, " %s=%q", name, a.header[name])
		}
	}
	if a.code() == "" {
		fmt.Fprintf(&b, " %d bytes, %x", len(a.body), sha256.Sum256(a.body))
	}
	return b.String()
}

// same compares two portraits.
func (w *portrayed) same(what string, want, got map[string]string) {
	w.Helper()
	names := slices.Sorted(maps.Keys(want))
	if len(want) < 700 {
		w.Errorf("%s: only %d answers", what, len(want))
	}
	wrong := 0
	for _, n := range names {
		if want[n] != got[n] {
			if wrong++; wrong <= 10 {
				w.Errorf("%s: %s:\nwas %s\nis  %s", what, n, want[n], got[n])
			}
		}
	}
	if len(got) != len(want) || wrong > 0 {
		w.Errorf("%s: %d of %d answers are others, %d are there now", what, wrong, len(want), len(got))
	}
}
