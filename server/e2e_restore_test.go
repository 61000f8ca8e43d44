package server_test

import (
	"cmp"
	"encoding/xml"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/server"
)

// restoreTo takes all steps of a restore through the node, and gives what they did.
func restoreTo(t testing.TB, n *server.Node, bucket, moment, prefix string) (p *server.RestorePlan, keys []server.RestoredKey) {
	t.Helper()
	p, err := n.PlanRestore(t.Context(), bucket, moment)
	if err != nil {
		t.Fatalf("restore of %s to %s: %v", bucket, moment, err)
	}
	if prefix == "" {
		made, err := n.RestoreSettings(t.Context(), bucket, p.To, p.Seen)
		if err != nil {
			t.Fatal(err)
		}
		if p.Bucket == 0 {
			p.Seen = made.Seen
		}
		if p.Bucket != 0 && !slices.Equal(p.Settings, made.Settings) {
			t.Errorf("%v was planned, and %v done", p.Settings, made.Settings)
		}
		p.Bucket = made.Bucket
	}
	ask := server.RestoreAsk{Bucket: p.Bucket, Source: p.Source, To: p.To, Seen: p.Seen, Prefix: prefix}
	for more := true; more; {
		ask.Dry = true
		dry, err := n.RestoreObjects(t.Context(), ask)
		if err != nil {
			t.Fatal(err)
		}
		ask.Dry = false
		s, err := n.RestoreObjects(t.Context(), ask)
		if err != nil {
			t.Fatal(err)
		}
		if len(dry.Keys) != len(s.Keys) || dry.Looked != s.Looked {
			t.Errorf("%d keys were to be restored, and %d were", len(dry.Keys), len(s.Keys))
		}
		for i, k := range dry.Keys {
			if d := s.Keys[i]; d.Key != k.Key || d.Kind != k.Kind || d.Failure != k.Failure || d.Kind != "removed" && d.Size != k.Size {
				t.Errorf("%+v was to be done, and %+v was", k, d)
			}
		}
		keys = append(keys, s.Keys...)
		ask.After, more = string(s.After), s.More
	}
	return p, keys
}

var ofNow = regexp.MustCompile(`X-Amz-Delete-Marker:\[[^]]*\] ?|Last-Modified:\[[^]]*\] ?|X-Amz-Version-Id:\[[^]]*\] ?|X-Amz-Expiration:\[[^]]*\] ?|<LastModified>[^<]*</LastModified>|<VersionId>[^<]*</VersionId>`)

// lasting is what a portrait shows but for what a restore makes new: dates, versions, and
// the state of versioning.
func lasting(shown map[string]string) map[string]string {
	out := make(map[string]string)
	for what, s := range shown {
		if !strings.Contains(what, "?version") {
			out[what] = ofNow.ReplaceAllString(s, "")
		}
	}
	return out
}

func (r *pastRun) compareRestored(want map[string]string, what string) {
	r.Helper()
	now := lasting(r.portrait("", ""))
	for asked, w := range lasting(want) {
		if now[asked] != w {
			r.Errorf("%s: %s shows\n%.900s\nnot\n%.900s", what, asked, now[asked], w)
		}
	}
}

// TestRestore: buckets restored to random moments show what they showed then; restored to
// the moment before, they show what they showed before; and the past stays what it was.
func TestRestore(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		r := newPastRun(t, 40+seed)
		r.begin()
		last := r.moments[len(r.moments)-1]
		for range 4 {
			m := r.moments[1+r.rng.IntN(len(r.moments)-1)]
			changed := 0
			var plans []*server.RestorePlan
			for _, bucket := range []string{"plain", "kept"} {
				p, keys := restoreTo(t, r.p.node, bucket, fmt.Sprint(m.seq), "")
				plans, changed = append(plans, p), changed+len(keys)
				for _, k := range keys {
					if k.Failure != "" {
						t.Errorf("%+v", k)
					}
				}
				if _, again := restoreTo(t, r.p.node, bucket, fmt.Sprint(m.seq), ""); len(again) != 0 {
					t.Errorf("a restore that is repeated changes %v", again)
				}
			}
			if changed == 0 && m.seq+10 < last.seq {
				t.Errorf("behind %q nothing was to be restored", m.step)
			}
			r.compareRestored(m.shown, fmt.Sprintf("seed %d, restored behind %q (%d)", seed, m.step, m.seq))
			for i, bucket := range []string{"plain", "kept"} {
				restoreTo(t, r.p.node, bucket, fmt.Sprint(plans[i].Seen-1), "")
			}
			r.compareRestored(last.shown, fmt.Sprintf("seed %d, restored back from %q (%d)", seed, m.step, m.seq))
			r.sees(m, "", fmt.Sprint(m.seq))
			if t.Failed() {
				return
			}
		}
		r.p.close(t)
	}
}

// TestRestoreOfADeletedBucket: it comes back with its settings, its versioning and its objects.
func TestRestoreOfADeletedBucket(t *testing.T) {
	t.Parallel()
	r := newPastRun(t, 50)
	r.do(200, "PUT", "/gone", nil)
	r.do(200, "PUT", "/gone?versioning", []byte("<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"))
	r.do(200, "PUT", "/gone?tagging", fmt.Appendf(nil, taggingXML, "kept"), header("Content-Md5", contentMD5(fmt.Appendf(nil, taggingXML, "kept"))))
	r.do(200, "PUT", "/gone?acl", []byte{}, header("X-Amz-Acl", "public-read"))
	large := content(7, 300_000)
	r.do(200, "PUT", "/gone/a", large, header("X-Amz-Meta-Of", "a"))
	r.do(200, "PUT", "/gone/dir/b", []byte("b"), header("X-Amz-Tagging", "t=b"))
	then := r.do(200, "PUT", "/other", nil)
	for _, l := range idsOfVersions(t, r.c, "gone") {
		r.do(204, "DELETE", "/gone/"+l[0]+"?versionId="+l[1], nil)
	}
	r.do(204, "DELETE", "/gone", nil)
	if _, err := r.p.node.PlanRestore(t.Context(), "never", fmt.Sprint(then)); err == nil || !strings.Contains(err.Error(), "there was no bucket") {
		t.Error(err)
	}
	p, err := r.p.node.PlanRestore(t.Context(), "gone", fmt.Sprint(then))
	if err != nil || p.Bucket != 0 || !slices.Contains(p.Settings, "versioning") || !slices.Contains(p.Settings, "tagging") {
		t.Fatalf("%+v, %v", p, err)
	}
	_, keys := restoreTo(t, r.p.node, "gone", fmt.Sprint(then), "")
	if len(keys) != 2 {
		t.Errorf("%v", keys)
	}
	if a := r.c.must(t, 200, "GET", "/gone/a", nil); string(a.body) != string(large) || a.header.Get("X-Amz-Meta-Of") != "a" || a.header.Get("X-Amz-Version-Id") == "" {
		t.Errorf("%v %v", a.status, a.header)
	}
	if a := r.c.must(t, 200, "GET", "/gone/dir/b?tagging", nil); !strings.Contains(string(a.body), "<Value>b</Value>") {
		t.Error(a)
	}
	for q, want := range map[string]string{"?versioning": "Enabled", "?tagging": "kept", "?acl": "AllUsers"} {
		if a := r.c.must(t, 200, "GET", "/gone"+q, nil); !strings.Contains(string(a.body), want) {
			t.Errorf("%s: %s", q, a.body)
		}
	}
	// A name that somebody else has taken meanwhile stays theirs.
	for _, l := range idsOfVersions(t, r.c, "gone") {
		r.do(204, "DELETE", "/gone/"+l[0]+"?versionId="+l[1], nil)
	}
	r.do(204, "DELETE", "/gone", nil)
	r.alice.must(t, 200, "PUT", "/gone", nil)
	if _, err := r.p.node.PlanRestore(t.Context(), "gone", fmt.Sprint(then)); err == nil || !strings.Contains(err.Error(), "another account") {
		t.Error(err)
	}
}

// TestRestoreOfHistoryOfItsOwn: a deleted bucket comes back in a cluster that keeps no history,
// if it kept its own; and a request for what never was changes nothing.
func TestRestoreOfHistoryOfItsOwn(t *testing.T) {
	t.Parallel()
	p := openInProcess(t, vfs.NewMem(), "/own", func(o *server.Options) { o.HistoryRetention = 0 })
	c := p.client()
	c.must(t, 200, "PUT", "/own", nil)
	hour := time.Hour
	if _, err := p.node.SetRetention(t.Context(), "own", &hour, false); err != nil {
		t.Fatal(err)
	}
	c.must(t, 200, "PUT", "/own/a", []byte("a"))
	then := c.must(t, 200, "PUT", "/own/b", []byte("b")).header.Get(sequence)
	c.must(t, 204, "DELETE", "/own/a", nil)
	c.must(t, 204, "DELETE", "/own/b", nil)
	c.must(t, 204, "DELETE", "/own", nil)
	plan, keys := restoreTo(t, p.node, "own", then, "")
	if len(keys) != 2 || plan.Bucket == plan.Source {
		t.Errorf("%+v %+v", plan, keys)
	}
	if a := c.must(t, 200, "GET", "/own/a", nil); string(a.body) != "a" {
		t.Error(a)
	}
	c.must(t, 204, "DELETE", "/own/a", nil) // the new bucket keeps its history as long
	restoreTo(t, p.node, "own", fmt.Sprint(plan.Seen+1), "")
	s, err := p.node.RestoreObjects(t.Context(), server.RestoreAsk{Bucket: plan.Bucket, Source: 4711, To: plan.To, Seen: plan.Seen + 1})
	if err == nil {
		t.Errorf("of a bucket that never was: %+v", s)
	}
	c.must(t, 200, "GET", "/own/b", nil)
}

// idsOfVersions are keys and ids of all versions and markers.
func idsOfVersions(t testing.TB, c *client, bucket string) (all [][2]string) {
	t.Helper()
	a := c.must(t, 200, "GET", "/"+bucket+"?versions", nil)
	for _, m := range regexp.MustCompile(`<Key>([^<]*)</Key><VersionId>([^<]*)</VersionId>`).FindAllStringSubmatch(string(a.body), -1) {
		all = append(all, [2]string{m[1], m[2]})
	}
	return all
}

// TestRestoreBesideWriters: what is written after a restore has begun is not undone, a
// prefix keeps all else out, and a quota leaves what it has no room for.
func TestRestoreBesideWriters(t *testing.T) {
	t.Parallel()
	r := newPastRun(t, 51)
	r.do(200, "PUT", "/box", nil)
	r.do(200, "PUT", "/box/in/a", []byte("a1"))
	r.do(200, "PUT", "/box/in/c", []byte("c1"))
	r.do(200, "PUT", "/box/in/d", content(3, 5000))
	then := r.do(200, "PUT", "/box/out", []byte("o1"))
	for _, key := range []string{"in/a", "out"} {
		r.do(200, "PUT", "/box/"+key, []byte("later"))
	}
	r.do(204, "DELETE", "/box/in/c", nil)
	r.do(204, "DELETE", "/box/in/d", nil)
	p, err := r.p.node.PlanRestore(t.Context(), "box", fmt.Sprint(then))
	if err != nil {
		t.Fatal(err)
	}
	r.do(200, "PUT", "/box/in/a", []byte("meanwhile"))
	quota := uint64(1000)
	if _, err := r.p.node.SetQuota(t.Context(), server.QuotaOf{Bucket: "box"}, server.Bounds{Bytes: &quota}); err != nil {
		t.Fatal(err)
	}
	ask := server.RestoreAsk{Bucket: p.Bucket, Source: p.Source, To: p.To, Seen: p.Seen, Prefix: "in/"}
	s, err := r.p.node.RestoreObjects(t.Context(), ask)
	if err != nil || s.More || len(s.Keys) != 3 {
		t.Fatalf("%+v, %v", s, err)
	}
	for i, want := range []string{"changed since", "", "quota"} {
		if k := s.Keys[i]; (k.Failure == "") != (want == "") || !strings.Contains(k.Failure, want) {
			t.Errorf("%+v", k)
		}
	}
	for key, want := range map[string]string{"in/a": "meanwhile", "in/c": "c1", "out": "later"} {
		if a := r.c.must(t, 200, "GET", "/box/"+key, nil); string(a.body) != want {
			t.Errorf("%s holds %q", key, a.body)
		}
	}
	r.c.refused(t, 404, "NoSuchKey", "GET", "/box/in/d", nil)
	// Settings that somebody changed meanwhile stay, too.
	r.do(204, "PUT", "/box?policy", rules(rule("Allow", everybody, "s3:GetObject", "box/meanwhile", "")))
	settings, err := r.p.node.RestoreSettings(t.Context(), "box", p.To, p.Seen)
	if err != nil || len(settings.Settings) != 0 || !slices.Equal(settings.Left, []string{"policy"}) {
		t.Errorf("%+v, %v", settings, err)
	}
	r.c.must(t, 200, "GET", "/box?policy", nil)
	// A moment that is not kept, or has not come.
	if _, err := r.p.node.PlanRestore(t.Context(), "box", "1000000"); err == nil || !strings.Contains(err.Error(), "has not happened yet") {
		t.Error(err)
	}
	if _, err := r.p.node.PlanRestore(t.Context(), "box", "yesterday"); err == nil || !strings.Contains(err.Error(), "It must be a number") {
		t.Error(err)
	}
	// The record tells that it was root.
	e := r.p.adminGet(t, "/-/feed?kind=objects_restored")
	if !strings.Contains(string(e), `"RestoreBucket"`) || !strings.Contains(string(e), `"root"`) {
		t.Errorf("%s", e)
	}
}

// TestRestoreCommand runs the command against three nodes, one of which is dead.
func TestRestoreCommand(t *testing.T) {
	t.Parallel()
	c := startTrio(t)
	c.settled()
	cl := c.nodes[1].client()
	cl.must(t, 200, "PUT", "/box", nil)
	const n = 700
	put := func(i int, text string) {
		cl.must(t, 200, "PUT", fmt.Sprintf("/box/%04d", i), []byte(text))
	}
	for i := range n {
		put(i, "first")
	}
	to := cl.must(t, 204, "PUT", "/box?policy", rules(rule("Allow", everybody, "s3:GetObject", "box/x", ""))).header.Get(sequence)
	for i := range n / 2 {
		put(i, "second")
	}
	cl.must(t, 204, "DELETE", "/box?policy", nil)
	for i := n - 50; i < n; i++ {
		cl.must(t, 204, "DELETE", fmt.Sprintf("/box/%04d", i), nil)
	}
	put(5000, "later")
	var admins []string
	for _, p := range c.nodes {
		admins = append(admins, p.admin)
	}
	run := func(ok bool, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program(c), append([]string{"restore", "box", "--to", to, "--admin", strings.Join(admins, ",")}, args...)...)
		cmd.Env = append(os.Environ(), c.nodes[0].env...)
		out, err := cmd.CombinedOutput()
		if (err == nil) != ok {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	if out := run(true, "--dry-run", "--json"); !strings.Contains(out, `"put":400,"removed":1,"changed":0,"failed":0`) || !strings.Contains(out, `"settings":["policy"]`) {
		t.Fatal(out)
	}
	view := exec.CommandContext(t.Context(), program(c), "admin", "view", "box", to, "--admin", c.nodes[0].admin)
	view.Env = append(os.Environ(), c.nodes[0].env...)
	if out, err := view.CombinedOutput(); err != nil || string(out) != "box--at-s"+to+"\n" {
		t.Errorf("%s, %v", out, err)
	} else if a := cl.must(t, 200, "GET", "/"+strings.TrimSpace(string(out))+"/0000", nil); string(a.body) != "first" {
		t.Errorf("%q", a.body)
	}
	if out := run(false); !strings.Contains(out, "nothing was changed: give --yes") {
		t.Fatal(out)
	}
	c.nodes[0].kill()
	out := run(true, "--yes")
	for _, want := range []string{"400", "To undo it: ironman restore box --to ", "policy"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	for _, i := range []int{0, n/2 - 1, n / 2, n - 1} {
		if a := cl.must(t, 200, "GET", fmt.Sprintf("/box/%04d", i), nil); string(a.body) != "first" {
			t.Errorf("%d holds %q", i, a.body)
		}
	}
	cl.refused(t, 404, "NoSuchKey", "GET", "/box/5000", nil)
	cl.must(t, 200, "GET", "/box?policy", nil)
	_, undo, _ := strings.Cut(out, "--to ")
	to = strings.TrimSpace(undo)
	if out := run(true, "--yes", "--verbose"); strings.Count(out, "\nput ") != 351 || strings.Count(out, "\nremove ") != 50 {
		t.Error(out)
	}
	if a := cl.must(t, 200, "GET", "/box/0000", nil); string(a.body) != "second" {
		t.Errorf("%q", a.body)
	}
	cl.refused(t, 404, "NoSuchBucketPolicy", "GET", "/box?policy", nil)
}

// manyWrite is what an event made of a key.
type manyWrite struct {
	seq  uint64
	key  int
	etag string // "": it was deleted
}

// manyRun is a bucket of many objects, and all that was done to them.
type manyRun struct {
	*testing.T
	c      *client
	mu     sync.Mutex
	writes []manyWrite
	rules  []manyRule
}

// manyRule is what an event made of the bucket's policy and ACL.
type manyRule struct {
	seq         uint64
	policy, acl string
}

// each does something to keys, by many clients at once.
func (m *manyRun) each(keys []int, do func(key int) (*answer, string)) {
	m.Helper()
	var wg sync.WaitGroup
	work := make(chan int)
	for range 16 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for key := range work {
				a, etag := do(key)
				seq, err := strconv.ParseUint(a.header.Get(sequence), 10, 64)
				if err != nil || a.status >= 300 {
					m.Errorf("%v: %v", a, err)
				}
				m.mu.Lock()
				m.writes = append(m.writes, manyWrite{seq, key, etag})
				m.mu.Unlock()
			}
		}()
	}
	for _, key := range keys {
		work <- key
	}
	close(work)
	wg.Wait()
}

func manyName(key int) string { return fmt.Sprintf("/many/%02d/%07d", key%100, key) }

func (m *manyRun) put(key int, text string) (*answer, string) {
	body := []byte(text)
	a, err := m.c.try("PUT", manyName(key), body)
	if err != nil {
		m.Fatal(err)
	}
	return a, etag(body)
}

func (m *manyRun) remove(key int) (*answer, string) {
	a, err := m.c.try("DELETE", manyName(key), nil)
	if err != nil {
		m.Fatal(err)
	}
	return a, ""
}

func (m *manyRun) rule(policy, acl string) {
	m.Helper()
	m.c.must(m, 204, "PUT", "/many?policy", rules(rule("Allow", everybody, "s3:GetObject", "many/"+policy, "")))
	a := m.c.must(m, 200, "PUT", "/many?acl", []byte{}, header("X-Amz-Acl", acl))
	seq, err := strconv.ParseUint(a.header.Get(sequence), 10, 64)
	if err != nil {
		m.Fatal(err)
	}
	m.rules = append(m.rules, manyRule{seq, policy, acl})
}

// at is the model: what there was behind an event.
func (m *manyRun) at(seq uint64) (objects map[string]string, rule manyRule) {
	objects = make(map[string]string)
	for _, w := range m.writes {
		switch name := manyName(w.key)[len("/many/"):]; {
		case w.seq > seq:
		case w.etag == "":
			delete(objects, name)
		default:
			objects[name] = w.etag
		}
	}
	for _, r := range m.rules {
		if r.seq <= seq {
			rule = r
		}
	}
	return objects, rule
}

// compare reads the whole bucket, as of a moment or now, and compares it with the model.
func (m *manyRun) compare(seq uint64, change ...func(*http.Request)) {
	m.Helper()
	want, rule := m.at(seq)
	after, n := "", 0
	for more := true; more; {
		a := m.c.must(m, 200, "GET", "/many?list-type=2&start-after="+url.QueryEscape(after), nil, change...)
		var page struct {
			IsTruncated bool
			Contents    []struct{ Key, ETag string }
		}
		if err := xml.Unmarshal(a.body, &page); err != nil {
			m.Fatal(err)
		}
		for _, o := range page.Contents {
			if want[o.Key] != o.ETag {
				m.Errorf("behind %d, %s is %s, not %s", seq, o.Key, o.ETag, want[o.Key])
			}
			after = o.Key
			n++
		}
		more = page.IsTruncated
	}
	if n != len(want) {
		m.Errorf("behind %d, %d objects are listed, not %d", seq, n, len(want))
	}
	sampled := 0
	for name, tag := range want { // in no order
		if a := m.c.must(m, 200, "GET", "/many/"+name, nil, change...); etag(a.body) != tag {
			m.Errorf("behind %d, %s holds %q", seq, name, a.body)
		}
		if sampled++; sampled == 10 {
			break
		}
	}
	if a := m.c.must(m, 200, "GET", "/many?policy", nil, change...); !strings.Contains(string(a.body), "many/"+rule.policy+`"`) {
		m.Errorf("behind %d, the policy is %s, not of %s", seq, a.body, rule.policy)
	}
	if a := m.c.must(m, 200, "GET", "/many?acl", nil, change...); strings.Contains(string(a.body), "AllUsers") != (rule.acl == "public-read") {
		m.Errorf("behind %d, the ACL is %s, not %s", seq, a.body, rule.acl)
	}
	if m.Failed() {
		m.FailNow()
	}
}

// TestRestoreMany: a bucket of IRONMAN_RESTORED objects of which 30 of 100 are overwritten
// and 20 deleted, with ACL and policy changed, as of random moments against a model; then
// it is restored to one, and back.
func TestRestoreMany(t *testing.T) {
	t.Parallel()
	n, moments := 400, 10
	if s := os.Getenv("IRONMAN_RESTORED"); s != "" {
		var err error
		if n, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
		moments = 100
	}
	p := openInProcess(t, vfs.Default, t.TempDir())
	m := &manyRun{T: t, c: p.client()}
	m.c.must(t, 200, "PUT", "/many", nil)
	random := rand.New(rand.NewPCG(6, uint64(n)))
	m.rule("first", "private")
	m.each(random.Perm(n), func(key int) (*answer, string) { return m.put(key, fmt.Sprintf("first of %d", key)) })
	m.rule("second", "public-read")
	first := m.rules[0].seq
	m.each(random.Perm(n)[:n*3/10], func(key int) (*answer, string) { return m.put(key, fmt.Sprintf("second of %d", key)) })
	m.rule("third", "private")
	m.each(random.Perm(n)[:n*2/10], m.remove)
	m.rule("fourth", "public-read")
	slices.SortFunc(m.writes, func(a, b manyWrite) int { return cmp.Compare(a.seq, b.seq) })
	last := m.rules[len(m.rules)-1].seq
	pick := func() uint64 { return first + 1 + random.Uint64N(last-first) }
	for i := range moments {
		seq := pick()
		m.compare(seq, header(asOf, fmt.Sprint(seq)))
		if i%10 == 9 {
			t.Logf("%d moments", i+1)
		}
	}
	for range 2 {
		seq := m.writes[random.IntN(len(m.writes))].seq
		begin := time.Now()
		plan, keys := restoreTo(t, p.node, "many", fmt.Sprint(seq), "")
		t.Logf("restored behind %d in %v: %d keys", seq, time.Since(begin).Round(time.Millisecond), len(keys))
		m.compare(seq)
		restoreTo(t, p.node, "many", fmt.Sprint(plan.Seen-1), "")
		m.compare(last)
	}
}
