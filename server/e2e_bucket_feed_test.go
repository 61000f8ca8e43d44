package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/fsm"
	"ironman/s3api"
	"ironman/s3api/s3err"
	"ironman/s3api/sig"
	"ironman/server"
	"ironman/server/audit"
)

// feeds is a node with two tenants, who read the feeds of buckets.
type feeds struct {
	*testing.T
	*inProcess
	root, alice, bob *client
}

const bobAccount = `{"AWS":"000000000003"}`

func newFeeds(t *testing.T) *feeds {
	keys := []server.KeySpec{randomKey("alice"), randomKey("bob")}
	p := openInProcess(t, vfs.NewMem(), "/feed", func(o *server.Options) { o.Keys = keys })
	as := func(k server.KeySpec) *client {
		c := p.client()
		c.cred = sig.Credential{AccessKey: k.AccessKey, Secret: sig.NewSecret(k.SecretKey)}
		return c
	}
	return &feeds{T: t, inProcess: p, root: p.client(), alice: as(keys[0]), bob: as(keys[1])}
}

// read reads the feed of a bucket.
func (f *feeds) read(c *client, bucket, query string) ([]audit.Entry, uint64) {
	f.Helper()
	entries, next, _ := lines(f, c.must(f, 200, "GET", "/"+bucket+"?feed&"+query, nil))
	return entries, next
}

// listen opens a stream of the feed of a bucket.
func (f *feeds) listen(c *client, bucket, query string, change ...func(*http.Request)) *listening {
	f.Helper()
	ctx, stop := context.WithCancel(context.Background())
	r := c.request(ctx, "GET", "/"+bucket+"?feed&"+query, nil)
	r.Header.Set("Accept", "text/event-stream")
	for _, g := range change {
		g(r)
	}
	c.sign(r, nil)
	return f.heard(f, r, stop)
}

func kinds(entries []audit.Entry) (out []string) {
	for _, e := range entries {
		out = append(out, e.Kind)
	}
	return out
}

// TestBucketFeed: the feed of a bucket tells what happened in it and nothing else: not what
// happened to others, or to one that had its name before, nor what was refused.
func TestBucketFeed(t *testing.T) {
	t.Parallel()
	f := newFeeds(t)
	f.bob.must(t, 200, "PUT", "/shared", nil) // a bucket of the name, of somebody else
	f.bob.must(t, 200, "PUT", "/shared/of-bob", []byte("x"))
	f.bob.must(t, 204, "DELETE", "/shared/of-bob", nil)
	f.bob.must(t, 204, "DELETE", "/shared", nil)
	f.alice.must(t, 200, "PUT", "/shared", nil)
	f.bob.must(t, 200, "PUT", "/private", nil)
	f.bob.must(t, 200, "PUT", "/private/secret-source", []byte("secret"))
	f.bob.must(t, 204, "PUT", "/private?policy", rules(rule("Allow", aliceAccount, "s3:GetObject", "private/*", "")))
	f.alice.must(t, 200, "PUT", "/shared/a", []byte("one"))
	f.alice.must(t, 200, "PUT", "/shared/copy", []byte{}, header("X-Amz-Copy-Source", "/private/secret-source"))
	f.alice.must(t, 200, "PUT", "/shared/inner", []byte{}, header("X-Amz-Copy-Source", "/shared/a"))
	f.alice.refused(t, 412, "PreconditionFailed", "PUT", "/shared/a", []byte("two"), header("If-None-Match", "*"))
	f.alice.must(t, 200, "PUT", "/shared?feedCursor=c&from=0&to=1", nil)
	f.alice.must(t, 204, "DELETE", "/shared/a", nil)
	f.alice.must(t, 204, "DELETE", "/shared/a", nil) // of what is not there: nothing happens
	f.bob.must(t, 200, "PUT", "/private/more", []byte("more"))
	f.alice.must(t, 204, "PUT", "/shared?policy", rules(rule("Allow", bobAccount, "s3:GetBucketFeed", "shared", ""), rule("Allow", bobAccount, "s3:GetObject", "shared/*", "")))
	f.bob.must(t, 200, "PUT", "/private/outward", []byte{}, header("X-Amz-Copy-Source", "/shared/inner"))

	want := []string{"bucket_created", "object_put", "object_put", "object_put", "objects_deleted", "bucket_document_set"}
	all, next := f.read(f.alice, "shared", "")
	if got := kinds(all); !slices.Equal(got, want) {
		t.Fatalf("%q, want %q", got, want)
	}
	if next < all[len(all)-1].Seq+1 {
		t.Errorf("after %d the feed goes on with %d", all[len(all)-1].Seq, next)
	}
	for _, e := range all {
		if e.Actor == "" || e.ActorName != "alice" || e.Request == "" || e.Name != "shared" || e.Client != nil || e.Why != (audit.Why{}) || e.Node != 0 {
			t.Errorf("the owner is told %+v", e)
		}
	}
	if e := all[2]; e.SourceKey != "" || e.SourceBucket != "" || e.SourceID != 0 {
		t.Errorf("where a copy came from: %+v", e)
	}
	if e := all[3]; e.SourceKey != "a" || e.SourceBucket != "shared" {
		t.Errorf("where a copy within the bucket came from: %+v", e)
	}
	// Another account, by the policy, is not told who did it.
	theirs, _ := f.read(f.bob, "shared", "")
	if len(theirs) != len(all) {
		t.Fatalf("%d events, the owner is told %d", len(theirs), len(all))
	}
	for i, e := range theirs {
		if e.Actor != "" || e.ActorName != "" || e.Request != "" || e.Seq != all[i].Seq || !slices.Equal(e.Keys, all[i].Keys) {
			t.Errorf("by the policy one is told %+v", e)
		}
	}
	body := string(f.bob.must(t, 200, "GET", "/shared?feed", nil).body)
	for _, word := range []string{"secret-source", "127.0.0.1", f.alice.cred.AccessKey, "outward", "of-bob"} {
		if strings.Contains(body, word) {
			t.Errorf("the feed tells %q", word)
		}
	}
	// What a filter does not take is not told by its absence either.
	if got, _ := f.read(f.alice, "shared", "key=secret-source"); len(got) != 0 {
		t.Errorf("where a copy came from is found by a filter: %+v", got)
	}
	if got, _ := f.read(f.alice, "shared", "kind=object_put&prefix=c"); len(got) != 1 || got[0].Keys[0] != "copy" {
		t.Errorf("%+v", got)
	}
	if got, next := f.read(f.alice, "shared", fmt.Sprintf("from=%d&max=1", all[2].Seq)); len(got) != 1 || got[0].Seq != all[2].Seq || next != all[2].Seq+1 {
		t.Errorf("%+v, %d", got, next)
	}
	// Of others' users the owner is told that it was somebody, and not who.
	f.alice.must(t, 204, "PUT", "/shared?policy", rules(rule("Allow", bobAccount, "s3:GetBucketFeed", "shared", ""), rule("Allow", bobAccount, "s3:PutObject", "shared/*", "")))
	f.bob.must(t, 200, "PUT", "/shared/by-bob", []byte("x"))
	if got, _ := f.read(f.alice, "shared", "key=by-bob"); len(got) != 1 || got[0].Actor == "" || got[0].ActorName != "" {
		t.Errorf("of another account's: %+v", got)
	}
	f.refuses()
}

// refuses asks for what nobody may, or what is not understood.
func (f *feeds) refuses() {
	f.Helper()
	const feed = "/shared?feed&from=0"
	f.alice.nobody().refused(f, 403, "AccessDenied", "GET", feed, nil)
	f.bob.refused(f, 403, "AccessDenied", "PUT", "/shared?feedCursor=c&from=0&to=1", nil)
	f.bob.refused(f, 404, "NoSuchBucket", "GET", "/no-such-bucket?feed", nil)
	for _, q := range []string{"bucket=private", "actor=root", "refused=true", "nonsense=1", "from=yesterday", "max=0", "kind=none", "wait=1h", "from=1&from=2"} {
		f.alice.refused(f, 400, "InvalidArgument", "GET", "/shared?feed&"+q, nil)
	}
	f.alice.refused(f, 404, "NoSuchFeedCursor", "GET", "/shared?feed&from=cursor:none", nil)
	f.alice.refused(f, 400, "InvalidArgument", "GET", "/shared?feed&max=1", nil, header("Accept", "text/event-stream"))
	f.alice.refused(f, 400, "InvalidArgument", "GET", feed, nil, header("X-Ironman-As-Of", "1"))
	// Everybody is not nobody: a policy for all lets in who says who he is.
	f.alice.must(f, 204, "PUT", "/shared?policy", rules(rule("Allow", everybody, "s3:GetBucketFeed", "shared", "")))
	f.alice.nobody().refused(f, 403, "AccessDenied", "GET", feed, nil)
	f.bob.must(f, 200, "GET", feed, nil)
	f.alice.must(f, 204, "PUT", "/shared?policy", rules(rule("Allow", everybody, "s3:ListBucket*", "shared", "")))
	f.bob.refused(f, 403, "AccessDenied", "GET", feed, nil)
	f.root.must(f, 200, "GET", feed, nil)
}

// TestBucketFeedSDK: a request that Amazon's SDK signs, in a header or in a URL, is answered,
// also where the bucket is in the host's name.
func TestBucketFeedSDK(t *testing.T) {
	t.Parallel()
	p := openInProcess(t, vfs.NewMem(), "/feed", func(o *server.Options) { o.Domains = []string{"s3.example"} })
	p.client().must(t, 200, "PUT", "/bkt", nil)
	who := aws.Credentials{AccessKeyID: p.cred.AccessKey, SecretAccessKey: string(p.cred.Secret.Reveal())}
	for _, tc := range []struct{ path, host string }{{"/bkt?feed&from=0&kind=bucket_created", ""}, {"/?feed&from=0&kind=bucket_created", "bkt.s3.example"}} {
		for _, presigned := range []bool{false, true} {
			r, err := http.NewRequestWithContext(t.Context(), "GET", p.endpoint+tc.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if r.Host = r.URL.Host; tc.host != "" {
				r.Host = tc.host
			}
			const empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
			if presigned {
				r.URL.RawQuery += "&X-Amz-Expires=60"
				var signed string
				signed, _, err = v4.NewSigner().PresignHTTP(t.Context(), who, r, "UNSIGNED-PAYLOAD", "s3", region, time.Now())
				if err == nil {
					r.URL, err = url.Parse(signed)
				}
				r.URL.Host = strings.TrimPrefix(p.endpoint, "http://")
			} else {
				r.Header.Set("X-Amz-Content-Sha256", empty)
				err = v4.NewSigner().SignHTTP(t.Context(), who, r, empty, "s3", region, time.Now())
			}
			if err != nil {
				t.Fatal(err)
			}
			a, err := p.client().send(r)
			if err != nil {
				t.Fatal(err)
			}
			if got, _, _ := lines(t, a); len(got) != 1 || got[0].Name != "bkt" {
				t.Errorf("%+v, presigned %v: %+v", tc, presigned, got)
			}
		}
	}
}

// TestBucketFeedStream: a stream gives each event once, goes on behind the last one that its
// reader knows, and ends with the right to it.
func TestBucketFeedStream(t *testing.T) {
	t.Parallel()
	f := newFeeds(t)
	f.node.PaceChangesForTest(30*time.Second, 100*ms, 50*ms)
	f.alice.must(t, 200, "PUT", "/bkt", nil)
	f.alice.must(t, 204, "PUT", "/bkt?policy", rules(rule("Allow", bobAccount, "s3:GetBucketFeed", "bkt", "")))
	f.bob.must(t, 200, "PUT", "/noise", nil)
	l := f.listen(f.bob, "bkt", "from=end")
	var last audit.Entry
	for i := range 50 {
		f.alice.must(t, 200, "PUT", fmt.Sprintf("/bkt/%d", i), nil)
		f.bob.must(t, 200, "PUT", "/noise/k", nil)
		e := l.event(t)
		if len(e.Keys) != 1 || e.Keys[0] != fmt.Sprint(i) || e.Seq <= last.Seq {
			t.Fatalf("%+v comes after %+v", e, last)
		}
		last = e
	}
	l.stop()
	f.alice.must(t, 200, "PUT", "/bkt/next", nil)
	l = f.listen(f.bob, "bkt", "from=0", header("Last-Event-ID", fmt.Sprint(last.Seq)))
	if e := l.event(t); e.Keys[0] != "next" {
		t.Errorf("%+v", e)
	}
	// What comes behind the end of the right is not told, and the stream ends by itself.
	f.alice.must(t, 204, "DELETE", "/bkt?policy", nil)
	f.alice.must(t, 200, "PUT", "/bkt/unseen", nil)
	l.ends(t, "AccessDenied", "unseen")
	f.bob.refused(t, 403, "AccessDenied", "GET", "/bkt?feed", nil, header("Accept", "text/event-stream"))
}

// ends wants a stream to end with a reason, and not to tell a word before.
func (l *listening) ends(t *testing.T, code, word string) {
	t.Helper()
	for {
		m := l.next(t)
		if strings.Contains(m.data, word) {
			t.Errorf("without the right one is told %+v", m)
		}
		if m.kind == "end" {
			if !strings.Contains(m.data, `"code":"`+code+`"`) {
				t.Errorf("the stream ends with %+v, want %s", m, code)
			}
			break
		}
	}
	if m, ok := <-l.messages; ok {
		t.Errorf("behind the end comes %+v", m)
	}
}

// TestBucketFeedRevoked: a stream ends with the key that began it, with a policy of its user, with the
// bucket, with the URL that was signed for it; and idle as it is.
func TestBucketFeedRevoked(t *testing.T) {
	t.Parallel()
	f := newFeeds(t)
	f.node.PaceChangesForTest(30*time.Second, 100*ms, 50*ms)
	f.alice.must(t, 200, "PUT", "/bkt", nil)
	api := iam.New(iam.Options{Region: region, BaseEndpoint: &f.endpoint, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(f.alice.cred.AccessKey, string(f.alice.cred.Secret.Reveal()), "")})
	name := aws.String("ada")
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := api.CreateUser(t.Context(), &iam.CreateUserInput{UserName: name})
	ok(err)
	let := func(actions ...string) {
		t.Helper()
		_, err := api.PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{UserName: name, PolicyName: aws.String("own"), PolicyDocument: aws.String(allowing(actions, []string{"*"}))})
		ok(err)
	}
	user := func() *client {
		t.Helper()
		key, err := api.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: name})
		ok(err)
		c := f.client()
		c.cred = sig.Credential{AccessKey: *key.AccessKey.AccessKeyId, Secret: sig.NewSecret(*key.AccessKey.SecretAccessKey)}
		return c
	}
	let("s3:GetBucketFeed")
	ada := user()
	begin := func(c *client) *listening {
		t.Helper()
		l := f.listen(c, "bkt", "from=end")
		l.next(t)
		return l
	}
	l := begin(ada)
	let("s3:GetObject")
	f.alice.must(t, 200, "PUT", "/bkt/unseen", nil)
	l.ends(t, "AccessDenied", "unseen")

	let("s3:GetBucketFeed")
	l = begin(ada)
	_, err = api.DeleteAccessKey(t.Context(), &iam.DeleteAccessKeyInput{UserName: name, AccessKeyId: &ada.cred.AccessKey})
	ok(err)
	l.ends(t, "InvalidAccessKeyId", "unseen")

	ctx, stop := context.WithCancel(context.Background())
	r := f.alice.request(ctx, "GET", "/bkt?feed&from=end", nil)
	r.Header.Set("Accept", "text/event-stream")
	ok(sig.PresignV4(r, f.alice.cred, region, 2*time.Second, time.Now()))
	f.heard(t, r, stop).ends(t, "AccessDenied", "unseen")

	l = begin(f.alice)
	f.alice.must(t, 204, "DELETE", "/bkt/unseen", nil)
	f.alice.must(t, 204, "DELETE", "/bkt", nil)
	f.bob.must(t, 200, "PUT", "/bkt", nil)
	f.bob.must(t, 200, "PUT", "/bkt/of-bob", nil)
	for range l.messages { // of the bucket that is gone nothing is told any more, nor of bob's
		continue
	}
}

// TestBucketFeedSessionExpires: a stream ends with the session that began it, and says so.
func TestBucketFeedSessionExpires(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	p := openInProcess(t, vfs.NewMem(), "/feed", func(o *server.Options) {
		o.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	f := &feeds{T: t, inProcess: p, root: p.client()}
	f.node.PaceChangesForTest(30*time.Second, 100*ms, 50*ms)
	f.root.must(t, 200, "PUT", "/bkt", nil)
	api := iam.New(iam.Options{Region: region, BaseEndpoint: &p.endpoint, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(p.cred.AccessKey, string(p.cred.Secret.Reveal()), "")})
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	name := aws.String("ada")
	_, err := api.CreateUser(t.Context(), &iam.CreateUserInput{UserName: name})
	ok(err)
	_, err = api.PutUserPolicy(t.Context(), &iam.PutUserPolicyInput{UserName: name, PolicyName: name, PolicyDocument: aws.String(allowing([]string{"s3:GetBucketFeed"}, []string{"*"}))})
	ok(err)
	key, err := api.CreateAccessKey(t.Context(), &iam.CreateAccessKeyInput{UserName: name})
	ok(err)
	tokens := sts.New(sts.Options{Region: region, BaseEndpoint: &p.endpoint, RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(*key.AccessKey.AccessKeyId, *key.AccessKey.SecretAccessKey, "")})
	got, err := tokens.GetSessionToken(t.Context(), &sts.GetSessionTokenInput{DurationSeconds: aws.Int32(900)})
	ok(err)
	c := p.client()
	c.cred = sig.Credential{AccessKey: *got.Credentials.AccessKeyId, Secret: sig.NewSecret(*got.Credentials.SecretAccessKey), Session: sig.NewSecret(*got.Credentials.SessionToken)}
	l := f.listen(c, "bkt", "from=end")
	l.next(t)
	ahead.Store(int64(time.Hour))
	l.ends(t, "ExpiredToken", "unseen")
}

// TestBucketFeedCursors: a cursor is its account's; it is moved by whoever knows where it
// stands, and there may be so many.
func TestBucketFeedCursors(t *testing.T) {
	t.Parallel()
	f := newFeeds(t)
	f.alice.must(t, 200, "PUT", "/bkt", nil)
	f.alice.must(t, 204, "PUT", "/bkt?policy", rules(rule("Allow", bobAccount, "s3:GetBucketFeed", "bkt", ""), rule("Allow", bobAccount, "s3:PutBucketFeedCursor", "bkt", "")))
	path := "/bkt?feedCursor=" + url.QueryEscape("a consumer/of mine")
	move := func(c *client, status int, code string, from, to uint64) *answer {
		t.Helper()
		target := fmt.Sprintf("%s&from=%d&to=%d", path, from, to)
		if status == 200 {
			return c.must(t, 200, "PUT", target, nil)
		}
		return c.refused(t, status, code, "PUT", target, nil)
	}
	move(f.alice, 409, "FeedCursorMoved", 1, 2)
	move(f.alice, 200, "", 0, 2)
	if a := move(f.alice, 409, "FeedCursorMoved", 0, 3); !bytes.Contains(a.body, []byte("<Next>2</Next>")) {
		t.Errorf("%v", a)
	}
	move(f.alice, 400, "InvalidArgument", 2, 2)
	move(f.alice, 400, "InvalidArgument", 2, f.events(t)+1000)
	move(f.alice, 200, "", 2, 4)
	move(f.bob, 200, "", 0, 3) // his own, of the same name
	for _, q := range []string{"&from=4", "&to=5", "&from=4&to=x", "&from=4&from=4&to=5"} {
		f.alice.refused(t, 400, "InvalidArgument", "PUT", path+q, nil)
	}
	f.alice.refused(t, 400, "InvalidArgument", "PUT", "/bkt?feedCursor=&from=0&to=1", nil)
	f.alice.refused(t, 400, "InvalidArgument", "PUT", "/bkt?feedCursor="+strings.Repeat("n", 257)+"&from=0&to=1", nil)
	var c server.Cursor
	if err := json.Unmarshal(f.alice.must(t, 200, "GET", path, nil).body, &c); err != nil || c.Name != "a consumer/of mine" || c.Next != 4 || c.Time.IsZero() {
		t.Errorf("%+v, %v", c, err)
	}
	var list []server.Cursor
	if err := json.Unmarshal(f.bob.must(t, 200, "GET", "/bkt?feedCursor", nil).body, &list); err != nil || len(list) != 1 || list[0].Next != 3 {
		t.Errorf("%+v, %v", list, err)
	}
	f.alice.must(t, 200, "PUT", "/bkt/k", nil)
	if got, _ := f.read(f.alice, "bkt", "from="+url.QueryEscape("cursor:a consumer/of mine")); len(got) == 0 || got[0].Seq < 4 {
		t.Errorf("%+v", got)
	}
	all, _ := f.read(f.alice, "bkt", "")
	f.alice.must(t, 200, "PUT", fmt.Sprintf("/bkt?feedCursor=until&from=0&to=%d", all[1].Seq), nil)
	if got, next := f.read(f.alice, "bkt", "to=cursor:until"); len(got) != 1 || next != all[1].Seq {
		t.Errorf("to where the cursor stands: %+v, %d, of %+v", got, next, all)
	}
	f.alice.must(t, 204, "DELETE", "/bkt?feedCursor=until", nil)
	// The cluster's cursors are not for tenants: neither where they stand, nor that there are any.
	if _, err := f.node.MoveCursor(t.Context(), "of-root", 0, 3); err != nil {
		t.Fatal(err)
	}
	for _, q := range []string{"from=cursor:of-root", "to=cursor:of-root", "to=cursor:none", "from=0&to=cursor:of-root"} {
		f.alice.refused(t, 404, "NoSuchFeedCursor", "GET", "/bkt?feed&"+q, nil)
	}
	if err := f.node.DeleteCursor(t.Context(), "of-root"); err != nil {
		t.Fatal(err)
	}
	f.bob.must(t, 204, "DELETE", path, nil)
	f.bob.must(t, 204, "DELETE", path, nil)
	f.bob.refused(t, 404, "NoSuchFeedCursor", "GET", path, nil)
	f.alice.must(t, 200, "GET", path, nil)
	for i := range 99 {
		f.alice.must(t, 200, "PUT", fmt.Sprintf("/bkt?feedCursor=c%d&from=0&to=1", i), nil)
	}
	f.alice.refused(t, 400, "InvalidRequest", "PUT", "/bkt?feedCursor=more&from=0&to=1", nil)
	f.bob.must(t, 200, "PUT", "/bkt?feedCursor=more&from=0&to=1", nil)
	// They go with the bucket.
	f.alice.must(t, 204, "DELETE", "/bkt/k", nil)
	f.alice.must(t, 204, "DELETE", "/bkt", nil)
	await(t, "the cursors of a bucket that is gone are gone", func() bool {
		v, err := f.node.ViewForTest()
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		left := 0
		if err := v.EachCursor(func(bucket uint64, _ fsm.CursorEntry) bool { left++; return true }); err != nil {
			t.Fatal(err)
		}
		return left == 0
	})
}

// TestBucketFeedKnowsNoCursors: behind the front that resolves cursors the feed of a bucket knows none.
func TestBucketFeedKnowsNoCursors(t *testing.T) {
	t.Parallel()
	f := newFeeds(t)
	if _, err := f.node.MoveCursor(t.Context(), "of-root", 0, 1); err != nil {
		t.Fatal(err)
	}
	for _, q := range []url.Values{{"from": {"cursor:of-root"}}, {"to": {"cursor:of-root"}}} {
		_, err := f.node.BucketFeedForTest().Open(t.Context(), &s3api.FeedQuery{Bucket: 1, Account: "a", Query: q})
		if err == nil || s3err.From(err).Code != "InvalidArgument" {
			t.Errorf("%v: %v", q, err)
		}
	}
}

// TestBucketFeedReaders: an account has room for so many, which others do not take.
func TestBucketFeedReaders(t *testing.T) {
	t.Parallel()
	f := newFeeds(t)
	f.alice.must(t, 200, "PUT", "/bkt", nil)
	f.bob.must(t, 200, "PUT", "/his", nil)
	var all []*listening
	for range 32 {
		l := f.listen(f.alice, "bkt", "from=end")
		l.next(t)
		all = append(all, l)
	}
	f.alice.refused(t, 503, "SlowDown", "GET", "/bkt?feed", nil)
	f.bob.must(t, 200, "GET", "/his?feed", nil)
	if got, _, _ := f.feed(t, "from=0&max=1"); len(got) != 1 {
		t.Errorf("%+v", got)
	}
	all[7].stop()
	f.awaitReaders(t, 31)
	f.alice.must(t, 200, "GET", "/bkt?feed", nil)
	// A node that closes ends them at once.
	began := time.Now()
	f.close(t)
	if took := time.Since(began); took > 20*time.Second {
		t.Errorf("the node took %v to close", took)
	}
	for _, l := range all {
		for range l.messages { // its end
			continue
		}
	}
}

// TestBucketFeedOfTransactions: of a transaction a bucket's feed tells each operation, but
// not where in other buckets a copy came from; and what a restore did.
func TestBucketFeedOfTransactions(t *testing.T) {
	t.Parallel()
	f := newFeeds(t)
	f.bob.must(t, 200, "PUT", "/private", nil)
	f.bob.must(t, 200, "PUT", "/private/secret-source", []byte("secret"))
	f.bob.must(t, 204, "PUT", "/private?policy", rules(rule("Allow", aliceAccount, "s3:GetObject", "private/*", "")))
	f.alice.must(t, 200, "PUT", "/shared", nil)
	f.alice.must(t, 200, "PUT", "/shared/a", []byte("one"))
	then := f.alice.must(t, 200, "PUT", "/shared/b", []byte("two")).header.Get(sequence)
	f.alice.must(t, 200, "POST", "/shared?transaction", []byte(`{"operations":[
		{"copy":{"key":"from-bob","source":{"bucket":"private","key":"secret-source"}}},
		{"copy":{"key":"inner","source":{"bucket":"shared","key":"a"}}},
		{"delete":{"key":"b"}}]}`))
	restoreTo(t, f.node, "shared", then, "")
	all, _ := f.read(f.alice, "shared", "")
	if got, want := kinds(all), []string{"bucket_created", "object_put", "object_put", "transaction_committed", "objects_restored"}; !slices.Equal(got, want) {
		t.Fatalf("%q, want %q", got, want)
	}
	steps := all[3].Steps
	if len(steps) != 3 || steps[0].What != "copy" || steps[0].Key != "from-bob" || steps[0].SourceKey != "" || steps[0].SourceID != 0 ||
		steps[1].SourceKey != "a" || steps[2].What != "delete" || steps[2].Key != "b" {
		t.Errorf("%+v", steps)
	}
	if keys := slices.Sorted(slices.Values(all[4].Keys)); !slices.Equal(keys, []string{"b", "from-bob", "inner"}) {
		t.Errorf("%+v", all[4])
	}
	body := string(f.alice.must(t, 200, "GET", "/shared?feed", nil).body)
	for _, word := range []string{"secret-source", "private", `"by"`} {
		if strings.Contains(body, word) {
			t.Errorf("the feed tells %q: %s", word, body)
		}
	}
}
