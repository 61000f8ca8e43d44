package server_test

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/s3api/sig"
	"ironman/server"
)

const asOf = "X-Ironman-As-Of"

// stillClock stands still until it is moved, so that a test knows the second of each event.
type stillClock struct{ nanoseconds atomic.Int64 }

func (c *stillClock) now() time.Time          { return time.Unix(0, c.nanoseconds.Load()) }
func (c *stillClock) advance(d time.Duration) { c.nanoseconds.Add(int64(d)) }

// pastRun is a node, a random workload on it, and what was to be seen behind each step.
type pastRun struct {
	*testing.T
	rng     *rand.Rand
	clock   *stillClock
	p       *inProcess
	c       *client
	alice   *client
	bodies  uint64
	state   map[string]map[string]pastObject // what was written, by bucket and key
	moments []*pastMoment
}

// pastObject is the current object of a key, as the model has it.
type pastObject struct {
	body []byte
	tags string
}

// pastMoment is what was to be seen behind a step.
type pastMoment struct {
	step   string
	seq    uint64
	second int64
	state  map[string]map[string]pastObject
	shown  map[string]string // answers, by what was asked
}

func newPastRun(t *testing.T, seed uint64) *pastRun {
	r := &pastRun{T: t, rng: rand.New(rand.NewPCG(seed, 31)), clock: &stillClock{}, state: make(map[string]map[string]pastObject)}
	r.clock.nanoseconds.Store(time.Now().UnixNano())
	key := randomKey("alice")
	r.p = openInProcess(t, vfs.NewMem(), "/", withDomains, func(o *server.Options) {
		o.Now, o.HistoryRetention, o.Keys = r.clock.now, time.Hour, []server.KeySpec{key}
	})
	r.c, r.alice = r.p.client(), r.p.client()
	r.alice.cred = sig.Credential{AccessKey: key.AccessKey, Secret: sig.NewSecret(key.SecretKey)}
	return r
}

// pass lets time go by, and the clients' clocks with it.
func (r *pastRun) pass(d time.Duration) {
	r.clock.advance(d)
	r.c.ahead = time.Until(r.clock.now())
	r.alice.ahead = r.c.ahead
}

// do makes a change and returns its sequence.
func (r *pastRun) do(status int, method, target string, body []byte, change ...func(*http.Request)) uint64 {
	r.Helper()
	a := r.c.must(r, status, method, target, body, change...)
	n, err := strconv.ParseUint(a.header.Get(sequence), 10, 64)
	if err != nil {
		r.Fatalf("%s %s: %v", method, target, err)
	}
	return n
}

const taggingXML = "<Tagging><TagSet><Tag><Key>t</Key><Value>%s</Value></Tag></TagSet></Tagging>"

// pastDocuments are what a bucket is told, with TEXT in it.
var pastDocuments = []struct{ query, body string }{
	{"tagging", "<Tagging><TagSet><Tag><Key>t</Key><Value>TEXT</Value></Tag></TagSet></Tagging>"},
	{"cors", "<CORSConfiguration><CORSRule><AllowedOrigin>https://TEXT.example</AllowedOrigin><AllowedMethod>GET</AllowedMethod></CORSRule></CORSConfiguration>"},
	{"lifecycle", "<LifecycleConfiguration><Rule><ID>TEXT</ID><Filter/><Status>Enabled</Status><Expiration><Days>3</Days></Expiration></Rule></LifecycleConfiguration>"},
	{"requestPayment", "<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>"},
	{"website", "<WebsiteConfiguration><IndexDocument><Suffix>TEXT</Suffix></IndexDocument></WebsiteConfiguration>"},
	{"ownershipControls", "<OwnershipControls><Rule><ObjectOwnership>BucketOwnerPreferred</ObjectOwnership></Rule></OwnershipControls>"},
	{"publicAccessBlock", "<PublicAccessBlockConfiguration><IgnorePublicAcls>true</IgnorePublicAcls></PublicAccessBlockConfiguration>"},
	{"encryption", "<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>AES256</SSEAlgorithm></ApplyServerSideEncryptionByDefault></Rule></ServerSideEncryptionConfiguration>"},
}

var pastKeys = []string{"a", "dir/b", "dir/c", "e e"}

func escapedKey(key string) string { return strings.ReplaceAll(key, " ", "%20") }

// step does one thing that may fail for want of an object, and then is none.
func (r *pastRun) step() {
	bucket, key := []string{"plain", "kept"}[r.rng.IntN(2)], pastKeys[r.rng.IntN(len(pastKeys))]
	target, objects := "/"+bucket+"/"+escapedKey(key), r.state[bucket]
	o, there := objects[key]
	text := fmt.Sprint(r.rng.IntN(1000))
	var name string
	var seq uint64
	switch n := r.rng.IntN(14); {
	case n < 4 || !there:
		name = "put"
		r.bodies++
		o = pastObject{content(r.bodies, 1+r.rng.IntN(50_000)), text}
		seq = r.do(200, "PUT", target, o.body, header("X-Amz-Tagging", "t="+text), header("X-Amz-Meta-Of", text), header("Content-Type", "text/"+text))
		objects[key] = o
	case n == 4:
		name = "delete"
		seq = r.do(204, "DELETE", target, nil)
		delete(objects, key)
	case n == 5:
		name = "copy"
		to := []string{"plain", "kept"}[r.rng.IntN(2)]
		seq = r.do(200, "PUT", "/"+to+"/dir/c", []byte{}, header("X-Amz-Copy-Source", target), header("X-Amz-Acl", "public-read"), header("X-Amz-Storage-Class", "REDUCED_REDUNDANCY"),
			header("X-Amz-Metadata-Directive", "REPLACE"), header("X-Amz-Meta-Of", text))
		r.state[to]["dir/c"] = o
	case n == 6:
		name, o.tags = "tag", text
		seq = r.do(200, "PUT", target+"?tagging", fmt.Appendf(nil, taggingXML, text))
		objects[key] = o
	case n == 7:
		name = "list of an object"
		seq = r.do(200, "PUT", target+"?acl", []byte{}, header("X-Amz-Acl", []string{"private", "public-read", "authenticated-read"}[r.rng.IntN(3)]))
	case n == 8:
		name = "policy"
		seq = r.do(204, "PUT", "/"+bucket+"?policy", rules(rule("Allow", everybody, "s3:GetObject", bucket+"/"+text, "")))
	case n == 9 || n == 13:
		d := pastDocuments[r.rng.IntN(len(pastDocuments))]
		name = d.query
		body := []byte(strings.ReplaceAll(d.body, "TEXT", text))
		seq = r.do(200, "PUT", "/"+bucket+"?"+d.query, body, header("Content-Md5", contentMD5(body)))
		if r.rng.IntN(3) == 0 && d.query != "requestPayment" {
			seq = r.do(204, "DELETE", "/"+bucket+"?"+d.query, nil)
		}
	case n == 10:
		name = "list of a bucket"
		seq = r.do(200, "PUT", "/"+bucket+"?acl", []byte{}, header("X-Amz-Acl", []string{"private", "public-read"}[r.rng.IntN(2)]))
	case n == 11:
		name = "versioning"
		seq = r.do(200, "PUT", "/kept?versioning", []byte("<VersioningConfiguration><Status>"+[]string{"Enabled", "Suspended"}[r.rng.IntN(2)]+"</Status></VersioningConfiguration>"))
	default:
		name = "parts"
		id, part := r.c.begin(r, target), content(r.bodies, 5<<10)
		r.c.must(r, 200, "PUT", target+"?partNumber=1&uploadId="+id, part)
		seq = r.do(200, "POST", target+"?uploadId="+id, completion(etagXML(part)))
		objects[key] = pastObject{body: part}
	}
	r.note(name+" "+target, seq)
}

// note remembers what there is behind an event.
func (r *pastRun) note(step string, seq uint64) {
	m := &pastMoment{step: step, seq: seq, second: r.clock.now().Unix(), state: make(map[string]map[string]pastObject)}
	for bucket, objects := range r.state {
		m.state[bucket] = maps.Clone(objects)
	}
	m.shown = r.portrait("", "")
	r.moments = append(r.moments, m)
}

// portrait is what reads answer, as of a moment: by the name of the bucket, or a header.
func (r *pastRun) portrait(suffix, at string) map[string]string {
	r.Helper()
	out := make(map[string]string)
	ask := func(method, bucket, rest string, change ...func(*http.Request)) {
		name, what := bucket+suffix, fmt.Sprint(method, " ", bucket, rest, " with ", len(change), " headers")
		if at != "" {
			change = append(change, header(asOf, at))
		}
		a, err := r.c.try(method, "/"+name+rest, nil, change...)
		if err != nil {
			r.Fatal(err)
		}
		if a.status == 400 {
			r.Fatalf("%s %s as of %q: %v", method, name+rest, at, a)
		}
		if suffix+at != "" && a.header.Get(asOf) == "" {
			r.Errorf("%s %s as of %q does not tell its moment", method, name+rest, at)
		}
		if varies := strings.EqualFold(a.header.Get("Vary"), asOf); varies != (at != "") {
			r.Errorf("%s %s as of %q: Vary is %q", method, name+rest, at, a.header.Get("Vary"))
		}
		h := a.header.Clone()
		for _, own := range []string{"Date", "X-Amz-Request-Id", "Vary", asOf} {
			h.Del(own)
		}
		if method != "HEAD" {
			h.Del("Content-Length") // of documents with names in them
		}
		body := strings.ReplaceAll(string(a.body), "<Name>"+name+"<", "<Name>"+bucket+"<")
		if code := a.code(); code != "" {
			body = code
		}
		out[what] = fmt.Sprintf("%d %v %q", a.status, h, body)
	}
	for bucket := range r.state {
		ask("HEAD", bucket, "")
		for _, q := range []string{"", "?list-type=2", "?list-type=2&fetch-owner=true&delimiter=%2F", "?prefix=dir%2F", "?versions", "?versions&max-keys=2&key-marker=a", "?acl",
			"?tagging", "?policy", "?policyStatus", "?versioning", "?location", "?cors", "?lifecycle", "?ownershipControls", "?logging", "?notification", "?requestPayment", "?object-lock", "?website", "?publicAccessBlock", "?encryption", "?replication"} {
			ask("GET", bucket, q)
		}
		for _, key := range pastKeys {
			key = "/" + escapedKey(key)
			ask("HEAD", bucket, key)
			ask("GET", bucket, key+"?partNumber=1", header("X-Amz-Checksum-Mode", "ENABLED"))
			ask("GET", bucket, key, header("Range", "bytes=3-9"))
			ask("GET", bucket, key+"?attributes", header("X-Amz-Object-Attributes", "ETag,Checksum,ObjectParts,StorageClass,ObjectSize"))
			ask("GET", bucket, key+"?versionId=null")
			for _, q := range []string{"", "?tagging", "?acl"} {
				ask("GET", bucket, key+q)
			}
		}
	}
	return out
}

// sees compares what is shown as of a moment with what was shown then, and with the model.
func (r *pastRun) sees(m *pastMoment, suffix, at string) {
	r.Helper()
	now := r.portrait(suffix, at)
	for what, want := range m.shown {
		if now[what] != want {
			r.Errorf("behind %q (%d), asked by %q%q: %s shows\n%.700s\nnot\n%.700s", m.step, m.seq, suffix, at, what, now[what], want)
		}
	}
	for bucket, objects := range m.state {
		var change []func(*http.Request)
		if at != "" {
			change = append(change, header(asOf, at))
		}
		for _, key := range pastKeys {
			target := "/" + bucket + suffix + "/" + escapedKey(key)
			o, there := objects[key]
			if !there {
				r.c.refused(r, 404, "NoSuchKey", "GET", target, nil, change...)
				continue
			}
			if a := r.c.must(r, 200, "GET", target, nil, change...); !bytes.Equal(a.body, o.body) {
				r.Errorf("behind %q, %s holds other bytes", m.step, target)
			}
			a := r.c.must(r, 200, "GET", target+"?tagging", nil, change...)
			if o.tags != "" && !strings.Contains(string(a.body), "<Value>"+o.tags+"</Value>") || o.tags == "" && strings.Contains(string(a.body), "<Value>") {
				r.Errorf("behind %q, %s has the tags %s, not %s", m.step, target, a.body, o.tags)
			}
		}
		if at != "" {
			continue
		}
		var keys []string
		for _, l := range r.c.list(r, bucket+suffix, 1) {
			keys = append(keys, l.Key)
		}
		if want := slices.Sorted(maps.Keys(objects)); !slices.Equal(keys, want) {
			r.Errorf("behind %q, page by page %s holds %q, not %q", m.step, bucket+suffix, keys, want)
		}
	}
}

// begin makes the two buckets.
func (r *pastRun) begin() {
	for _, bucket := range []string{"plain", "kept"} {
		r.do(200, "PUT", "/"+bucket, nil)
		r.state[bucket] = make(map[string]pastObject)
	}
	r.note("versioning", r.do(200, "PUT", "/kept?versioning", []byte("<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")))
	for len(r.moments) < 32 {
		r.pass(time.Duration(r.rng.IntN(3)) * 700 * time.Millisecond)
		r.step()
	}
	r.pass(40 * time.Second) // or the last seconds may not be over
}

// last is the last moment up to a second.
func (r *pastRun) last(second int64) *pastMoment {
	for i := len(r.moments) - 1; i >= 0; i-- {
		if r.moments[i].second <= second {
			return r.moments[i]
		}
	}
	return nil
}

// TestPast: as of any earlier moment, told by a sequence or by a time, in a header or in
// the name of the bucket, reads show what they showed then. What is trimmed is refused.
func TestPast(t *testing.T) {
	t.Parallel()
	r := newPastRun(t, 1)
	r.begin()
	for range 6 {
		m := r.moments[r.rng.IntN(len(r.moments))]
		r.sees(m, "", fmt.Sprint(m.seq))
		r.sees(m, fmt.Sprintf("--at-s%d", m.seq), "")
		second := m.second + int64(r.rng.IntN(2))
		m, at := r.last(second), time.Unix(second, 0).In(time.FixedZone("", 5400))
		r.sees(m, "", at.Format(time.RFC3339))
		r.sees(m, at.UTC().Format("--at-20060102t150405z"), "")
		if t.Failed() {
			return
		}
	}
	// What is older than the history is told to be, and from when on there is some.
	half := r.moments[len(r.moments)/2]
	r.pass(time.Hour - r.clock.now().Sub(time.Unix(half.second, 0)) + 2*time.Second)
	r.p.node.CollectForTest(t.Context())
	first := r.moments[0]
	a := r.c.refused(t, 400, "InvalidArgument", "GET", "/plain", nil, header(asOf, fmt.Sprint(first.seq)))
	var oldest uint64
	var second string
	_, told, _ := strings.Cut(string(a.body), "The oldest that can be read is that of sequence ")
	if _, err := fmt.Sscanf(told, "%d, at %s", &oldest, &second); err != nil || oldest <= first.seq {
		t.Fatalf("%v: %v", a, err)
	}
	r.c.refused(t, 400, "InvalidArgument", "GET", "/plain", nil, header(asOf, fmt.Sprint(oldest-1)))
	r.c.refused(t, 400, "InvalidArgument", "GET", fmt.Sprintf("/plain--at-s%d/a", oldest-1), nil)
	r.c.refused(t, 400, "InvalidArgument", "GET", "/plain", nil, header(asOf, time.Unix(first.second-1, 0).UTC().Format(time.RFC3339)))
	at, err := time.Parse(time.RFC3339, strings.TrimSuffix(strings.SplitN(second, "<", 2)[0], "."))
	if err != nil {
		t.Fatal(err)
	}
	r.c.must(t, 200, "GET", "/plain", nil, header(asOf, at.Format(time.RFC3339)))
	kept := 0
	for _, m := range r.moments {
		if m.seq >= oldest {
			kept++
			if m.seq == oldest || kept%6 == 0 {
				r.sees(m, "", fmt.Sprint(m.seq))
			}
		}
	}
	if kept < 5 || kept == len(r.moments) {
		t.Errorf("%d of %d moments are kept", kept, len(r.moments))
	}
}

// TestPastIsNotYet: a second is shown once it is over, and then always the same.
func TestPastIsNotYet(t *testing.T) {
	r := newPastRun(t, 2)
	r.do(200, "PUT", "/plain", nil)
	made := r.do(200, "PUT", "/plain/a", []byte("one"))
	now := header(asOf, r.clock.now().UTC().Format(time.RFC3339))
	r.c.refused(t, 400, "InvalidArgument", "GET", "/plain/a", nil, now)
	last := r.do(200, "PUT", "/plain/a", []byte("two"))
	r.pass(time.Second)
	r.c.refused(t, 400, "InvalidArgument", "GET", "/plain/a", nil, now) // an event may be on its way
	r.pass(30 * time.Second)
	a := r.c.must(t, 200, "GET", "/plain/a", nil, now)
	if seen, err := strconv.ParseUint(a.header.Get(asOf), 10, 64); string(a.body) != "two" || err != nil || seen < last {
		t.Errorf("%v %v", a, a.header)
	}
	if b := r.c.must(t, 200, "GET", "/plain/a", nil, header(asOf, a.header.Get(asOf))); string(b.body) != "two" {
		t.Error(b)
	}
	if b := r.c.must(t, 200, "GET", "/plain/a", nil, header(asOf, fmt.Sprint(made))); string(b.body) != "one" || b.header.Get(asOf) != fmt.Sprint(made) {
		t.Error(b, b.header)
	}
	r.c.refused(t, 404, "NoSuchKey", "GET", "/plain/a", nil, header(asOf, fmt.Sprint(made-1)))
}

// TestPastOfAnotherBucket: a name stands for the bucket that has it now. One that was
// there before, or is gone, is not to be seen, whoever asks.
func TestPastOfAnotherBucket(t *testing.T) {
	r := newPastRun(t, 3)
	r.do(200, "PUT", "/plain", nil)
	then := r.do(200, "PUT", "/plain/a", []byte("of the old bucket"), header("X-Amz-Acl", "public-read"))
	r.do(204, "DELETE", "/plain/a", nil)
	r.do(204, "DELETE", "/plain", nil)
	at := header(asOf, fmt.Sprint(then))
	r.c.refused(t, 404, "NoSuchBucket", "GET", "/plain/a", nil, at)
	r.alice.must(t, 200, "PUT", "/plain", nil)
	for _, c := range []*client{r.c, r.alice} {
		for _, q := range []string{"", "?versions", "?acl", "?tagging", "/a", "/a?acl", "/a?versionId=null"} {
			c.refused(t, 404, "NoSuchBucket", "GET", "/plain"+q, nil, at)
		}
	}
	r.alice.nobody().refused(t, 403, "AccessDenied", "GET", "/plain/a", nil, at)
	r.alice.nobody().refused(t, 403, "AccessDenied", "GET", "/plain", nil, at)
}

// TestPastAccess: who may read is a matter of now, whatever was so then.
func TestPastAccess(t *testing.T) {
	r := newPastRun(t, 4)
	alice, nobody := r.alice, r.c.nobody()
	r.do(200, "PUT", "/plain", nil)
	public, private := header("X-Amz-Acl", "public-read"), header("X-Amz-Acl", "private")
	r.do(200, "PUT", "/plain/was", []byte("was public"), public)
	r.do(200, "PUT", "/plain/gone", []byte("was public, and is gone"), public)
	r.do(200, "PUT", "/plain/tagged", []byte("was open"), header("X-Amz-Tagging", "t=open"))
	r.do(200, "PUT", "/plain/retagged", []byte("was open"), header("X-Amz-Tagging", "t=open"))
	open := r.do(200, "PUT", "/plain/is", []byte("was private"))
	r.do(200, "PUT", "/plain/was?acl", nil, private)
	r.do(200, "PUT", "/plain/is?acl", nil, public)
	r.do(204, "DELETE", "/plain/gone", nil)
	at := header(asOf, fmt.Sprint(open))
	for _, c := range []*client{nobody, alice} {
		for key, status := range map[string]int{"was": 403, "is": 200, "gone": 403, "tagged": 403, "none": 403} {
			if a := c.must(t, status, "GET", "/plain/"+key, nil, at); status != 200 && a.header.Get(asOf) != "" && c == nobody {
				t.Errorf("a stranger is told the moment: %v", a.header)
			}
			c.must(t, status, "HEAD", fmt.Sprintf("/plain--at-s%d/%s", open, key), nil)
		}
		c.refused(t, 403, "AccessDenied", "GET", "/plain", nil, at)
		c.refused(t, 403, "AccessDenied", "GET", "/plain/is?acl", nil, at)
	}
	r.c.must(t, 200, "GET", "/plain/gone", nil, at)

	// Of an object that was replaced, what has its name now says nothing.
	r.do(200, "PUT", "/plain/was", []byte("another"), public)
	nobody.refused(t, 403, "AccessDenied", "GET", "/plain/was", nil, at)

	// The bucket's list, and what it shows.
	listed := r.do(200, "PUT", "/plain?acl", nil, public)
	nobody.must(t, 200, "GET", "/plain?list-type=2", nil, at)
	nobody.refused(t, 404, "NoSuchKey", "GET", "/plain/none", nil, at)
	r.do(200, "PUT", "/plain?acl", nil, private)
	nobody.refused(t, 403, "AccessDenied", "GET", "/plain?list-type=2", nil, header(asOf, fmt.Sprint(listed)))

	// The bucket's policy: of what is gone, and by tags as they are now.
	tagged := `{"StringEquals":{"s3:ExistingObjectTag/t":"open"}}`
	r.do(204, "PUT", "/plain?policy", rules(rule("Allow", everybody, "s3:GetObject*", "plain/*", tagged)))
	then := header(asOf, fmt.Sprint(open))
	nobody.must(t, 200, "GET", "/plain/tagged", nil, then)
	nobody.must(t, 200, "GET", "/plain/retagged", nil, then)
	r.do(200, "PUT", "/plain/retagged?tagging", fmt.Appendf(nil, taggingXML, "closed"))
	nobody.refused(t, 403, "AccessDenied", "GET", "/plain/retagged", nil, then)
	r.do(204, "DELETE", "/plain/tagged", nil) // nobody can say what tags it would have
	nobody.refused(t, 403, "AccessDenied", "GET", "/plain/tagged", nil, then)
	r.do(204, "PUT", "/plain?policy", rules(rule("Allow", everybody, "s3:GetObject", "plain/*", "")))
	nobody.must(t, 200, "GET", "/plain/retagged", nil, then)
	nobody.refused(t, 403, "AccessDenied", "GET", "/plain/gone", nil, then) // what is not current is a version
	r.do(204, "PUT", "/plain?policy", rules(rule("Allow", everybody, "s3:GetObject*", "plain/*", "")))
	nobody.must(t, 200, "GET", "/plain/tagged", nil, then)
	nobody.must(t, 200, "GET", "/plain/gone", nil, then)
	r.do(204, "PUT", "/plain?policy", rules(rule("Allow", everybody, "s3:GetObject*", "plain/*", ""), rule("Deny", everybody, "s3:GetObject", "plain/*", tagged)))
	nobody.refused(t, 403, "AccessDenied", "GET", "/plain/tagged", nil, then)
	r.c.refused(t, 403, "AccessDenied", "GET", "/plain/tagged", nil, then) // as the bucket's policy says
	nobody.must(t, 200, "GET", "/plain/gone", nil, then)
	policed := r.do(204, "DELETE", "/plain?policy", nil)
	nobody.refused(t, 403, "AccessDenied", "GET", "/plain/gone", nil, header(asOf, fmt.Sprint(policed-1)))

	// Tags that a version got later still count when it is gone.
	r.do(200, "PUT", "/plain/marked", []byte("marked"))
	untagged := r.do(200, "PUT", "/plain/marked?acl", nil, private)
	r.do(200, "PUT", "/plain/marked?tagging", fmt.Appendf(nil, taggingXML, "open"))
	r.do(204, "DELETE", "/plain/marked", nil)
	r.do(204, "PUT", "/plain?policy", rules(rule("Allow", everybody, "s3:GetObject*", "plain/*", ""), rule("Deny", everybody, "s3:GetObject*", "plain/*", tagged)))
	nobody.refused(t, 403, "AccessDenied", "GET", "/plain/marked", nil, header(asOf, fmt.Sprint(untagged)))
	nobody.must(t, 200, "GET", "/plain/gone", nil, then)

	// A list of then shows what is no longer current: that takes the right to versions.
	r.do(204, "PUT", "/plain?policy", rules(rule("Allow", everybody, "s3:ListBucket", "plain", "")))
	nobody.must(t, 200, "GET", "/plain?list-type=2", nil)
	nobody.must(t, 200, "HEAD", "/plain", nil, then)
	nobody.refused(t, 403, "AccessDenied", "GET", "/plain?list-type=2", nil, then)
	r.do(204, "PUT", "/plain?policy", rules(rule("Allow", everybody, "s3:ListBucket*", "plain", "")))
	nobody.must(t, 200, "GET", "/plain?list-type=2", nil, then)
	r.do(204, "DELETE", "/plain?policy", nil)

	// As a parameter it would be passed over.
	r.c.refused(t, 400, "InvalidArgument", "GET", "/plain/is?X-Ironman-As-Of=1", nil)

	// A public access block of now.
	r.do(200, "PUT", "/plain/is?acl", nil, public)
	nobody.must(t, 200, "GET", "/plain/is", nil, at)
	r.do(200, "PUT", "/plain?publicAccessBlock", []byte("<PublicAccessBlockConfiguration><IgnorePublicAcls>true</IgnorePublicAcls></PublicAccessBlockConfiguration>"), func(q *http.Request) {
		q.Header.Set("Content-Md5", contentMD5([]byte("<PublicAccessBlockConfiguration><IgnorePublicAcls>true</IgnorePublicAcls></PublicAccessBlockConfiguration>")))
	})
	nobody.refused(t, 403, "AccessDenied", "GET", "/plain/is", nil, at)
}

// TestPastVersions: a list of an older version counts while that is there.
func TestPastVersions(t *testing.T) {
	r := newPastRun(t, 5)
	nobody := r.c.nobody()
	r.do(200, "PUT", "/kept", nil)
	r.do(200, "PUT", "/kept?versioning", []byte("<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"))
	a := r.c.must(t, 200, "PUT", "/kept/k", []byte("one"), header("X-Amz-Acl", "public-read"))
	one, at := a.header.Get("X-Amz-Version-Id"), header(asOf, a.header.Get(sequence))
	r.do(200, "PUT", "/kept/k", []byte("two"))
	hidden := r.do(204, "DELETE", "/kept/k", nil)
	nobody.must(t, 200, "GET", "/kept/k", nil, at) // it is there, and public
	nobody.must(t, 200, "GET", "/kept/k?versionId="+one, nil, at)
	r.do(200, "PUT", "/kept/k?acl&versionId="+one, nil, header("X-Amz-Acl", "private"))
	nobody.refused(t, 403, "AccessDenied", "GET", "/kept/k", nil, at)
	r.do(200, "PUT", "/kept/k?acl&versionId="+one, nil, header("X-Amz-Acl", "public-read"))
	r.do(204, "DELETE", "/kept/k?versionId="+one, nil)
	for _, q := range []string{"", "?versionId=" + one} {
		nobody.refused(t, 403, "AccessDenied", "GET", "/kept/k"+q, nil, at)
		if a := r.c.must(t, 200, "GET", "/kept/k"+q, nil, at); string(a.body) != "one" || a.header.Get("X-Amz-Version-Id") != one {
			t.Error(a, a.header)
		}
	}
	r.c.refused(t, 404, "NoSuchVersion", "GET", "/kept/k?versionId="+one, nil)
	if a := r.c.must(t, 404, "GET", "/kept/k", nil, header(asOf, fmt.Sprint(hidden))); a.header.Get("X-Amz-Delete-Marker") != "true" {
		t.Error(a, a.header)
	}
	var l struct {
		Version      []struct{ VersionId, IsLatest string }
		DeleteMarker []struct{ IsLatest string }
	}
	b := r.c.must(t, 200, "GET", fmt.Sprintf("/kept--at-s%d?versions", hidden), nil)
	if err := xml.Unmarshal(b.body, &l); err != nil || len(l.Version) != 2 || l.Version[1].VersionId != one || len(l.DeleteMarker) != 1 || l.DeleteMarker[0].IsLatest != "true" {
		t.Errorf("%v %s", err, b.body)
	}

	// A page that begins behind the null version, which is not there any more.
	r.do(200, "PUT", "/kept?versioning", []byte("<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>"))
	null := r.do(200, "PUT", "/kept/k", []byte("null"))
	r.do(204, "DELETE", "/kept/k?versionId=null", nil)
	page := r.c.must(t, 200, "GET", fmt.Sprintf("/kept--at-s%d?versions&key-marker=k&version-id-marker=null", null), nil)
	if n := strings.Count(string(page.body), "<VersionId>"); n != 2 { // a marker and the second version
		t.Errorf("%d versions are behind the null version: %s", n, page.body)
	}
}

// TestPastOwnership: whose an object was, and its list, are shown by the ownership of
// then; who may see them is decided by that of now.
func TestPastOwnership(t *testing.T) {
	r := newPastRun(t, 7)
	r.do(200, "PUT", "/plain", nil, header("X-Amz-Grant-Write", "id="+r.canonical(r.alice)))
	alices := r.alice.must(t, 200, "PUT", "/plain/a", []byte("alice's"), header("X-Amz-Acl", "bucket-owner-full-control"))
	then := header(asOf, alices.header.Get(sequence))
	shown := func(change ...func(*http.Request)) (out []string) {
		for _, q := range []string{"/a?acl", "?list-type=2&fetch-owner=true", "?versions"} {
			out = append(out, string(r.c.must(t, 200, "GET", "/plain"+q, nil, change...).body))
		}
		return out
	}
	before := shown()
	r.alice.must(t, 200, "GET", "/plain/a", nil, then)
	r.do(200, "PUT", "/plain?acl", nil, header("X-Amz-Acl", "private"))
	enforced := []byte("<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule></OwnershipControls>")
	r.do(200, "PUT", "/plain?ownershipControls", enforced, header("Content-Md5", contentMD5(enforced)))
	after := shown()
	for i, now := range shown(then) {
		if now != before[i] || now == after[i] {
			t.Errorf("shown as of then:\n%s\nand then:\n%s\nand now:\n%s", now, before[i], after[i])
		}
	}
	r.alice.refused(t, 403, "AccessDenied", "GET", "/plain/a", nil, then) // it is the bucket owner's now
	last := r.do(204, "DELETE", "/plain?ownershipControls", nil)
	for i, now := range shown(header(asOf, fmt.Sprint(last-1))) {
		if now != after[i] {
			t.Errorf("shown as of when lists were disabled:\n%s\nnot\n%s", now, after[i])
		}
	}
	r.alice.must(t, 200, "GET", "/plain/a", nil, then)
}

// canonical is the canonical id of who asks.
func (r *pastRun) canonical(c *client) string {
	r.Helper()
	a := c.must(r, 200, "GET", "/", nil)
	_, id, _ := strings.Cut(string(a.body), "<ID>")
	id, _, _ = strings.Cut(id, "</ID>")
	return id
}

// TestPastLocks: locks, and what the bucket says of them, are shown as of then.
func TestPastLocks(t *testing.T) {
	r := newPastRun(t, 8)
	r.do(200, "PUT", "/locked", nil, header("X-Amz-Bucket-Object-Lock-Enabled", "true"))
	held := r.do(200, "PUT", "/locked/a", []byte("a"), header("X-Amz-Object-Lock-Legal-Hold", "ON"), header("X-Amz-Object-Lock-Mode", "GOVERNANCE"),
		header("X-Amz-Object-Lock-Retain-Until-Date", "2099-01-01T00:00:00Z"))
	targets := []string{"/locked/a?legal-hold", "/locked/a?retention", "/locked?object-lock"}
	var before []string
	for _, target := range targets {
		before = append(before, string(r.c.must(t, 200, "GET", target, nil).body))
	}
	r.do(200, "PUT", "/locked/a?legal-hold", []byte("<LegalHold><Status>OFF</Status></LegalHold>"))
	r.do(200, "PUT", "/locked/a?retention", []byte("<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2099-02-02T00:00:00Z</RetainUntilDate></Retention>"))
	r.do(200, "PUT", "/locked?object-lock", []byte("<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>"))
	at := header(asOf, fmt.Sprint(held))
	for i, target := range targets {
		if a := r.c.must(t, 200, "GET", target, nil, at); string(a.body) != before[i] {
			t.Errorf("%s: %v, not %s", target, a, before[i])
		}
		if a := r.c.must(t, 200, "GET", target, nil); string(a.body) == before[i] {
			t.Errorf("%s: %v did not change", target, a)
		}
	}
	if a := r.c.must(t, 200, "HEAD", "/locked/a", nil, at); a.header.Get("X-Amz-Object-Lock-Legal-Hold") != "ON" || a.header.Get("X-Amz-Object-Lock-Retain-Until-Date") != "2099-01-01T00:00:00.000Z" {
		t.Error(a.header)
	}
}

// TestPastSettings: what a bucket's settings put on an answer is by those of then.
func TestPastSettings(t *testing.T) {
	r := newPastRun(t, 9)
	r.do(200, "PUT", "/plain", nil)
	then := r.do(200, "PUT", "/plain/a", []byte("a"), header("X-Amz-Tagging", "t=1"))
	rule := []byte("<LifecycleConfiguration><Rule><ID>r</ID><Filter/><Status>Enabled</Status><Expiration><Days>3</Days></Expiration></Rule></LifecycleConfiguration>")
	r.do(200, "PUT", "/plain?lifecycle", rule, header("Content-Md5", contentMD5(rule)))
	now := r.do(200, "PUT", "/plain?versioning", []byte("<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"))
	r.do(200, "PUT", "/logs", nil, header("X-Amz-Acl", "log-delivery-write"))
	for q, doc := range map[string]string{
		"requestPayment": "<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>",
		"logging":        "<BucketLoggingStatus><LoggingEnabled><TargetBucket>logs</TargetBucket><TargetPrefix>p/</TargetPrefix></LoggingEnabled></BucketLoggingStatus>",
	} {
		before := r.c.must(t, 200, "GET", "/plain?"+q, nil).body
		r.do(200, "PUT", "/plain?"+q, []byte(doc), header("Content-Md5", contentMD5([]byte(doc))))
		if a := r.c.must(t, 200, "GET", "/plain?"+q, nil, header(asOf, fmt.Sprint(then))); !bytes.Equal(a.body, before) {
			t.Errorf("%s: %v, not %s", q, a, before)
		}
		if a := r.c.must(t, 200, "GET", "/plain?"+q, nil); bytes.Equal(a.body, before) {
			t.Errorf("%s: %v did not change", q, a)
		}
	}
	attributes := header("X-Amz-Object-Attributes", "ETag")
	for at, has := range map[uint64]bool{then: false, now: true} {
		for _, q := range []string{"", "?tagging", "?attributes"} {
			h := r.c.must(t, 200, "GET", "/plain/a"+q, nil, header(asOf, fmt.Sprint(at)), attributes).header
			if (h.Get("X-Amz-Version-Id") != "") != has || q == "" && (h.Get("X-Amz-Expiration") != "") != has {
				t.Errorf("GET %s as of %d: %v", q, at, h)
			}
		}
	}
}

// TestPastWithoutHistory: a cluster that keeps none shows the present, and nothing else.
func TestPastWithoutHistory(t *testing.T) {
	p := openInProcess(t, vfs.NewMem(), "/", func(o *server.Options) { o.HistoryRetention = 0 })
	c := p.client()
	first := c.must(t, 200, "PUT", "/plain", nil).header.Get(sequence)
	last := c.must(t, 200, "PUT", "/plain/a", []byte("a")).header.Get(sequence)
	c.must(t, 200, "GET", "/plain/a", nil, header(asOf, last))
	c.refused(t, 400, "InvalidArgument", "GET", "/plain", nil, header(asOf, first))
}
