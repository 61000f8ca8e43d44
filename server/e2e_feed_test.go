package server_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/s3api/sig"
	"ironman/server"
	"ironman/server/audit"
)

// adminAsk sends a request to the admin listener, as root unless it is changed.
func (p *inProcess) adminAsk(t testing.TB, method, path string, change ...func(*http.Request)) *answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, p.admin+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(p.cred.AccessKey, string(p.cred.Secret.Reveal()))
	for _, f := range change {
		f(r)
	}
	a, err := p.client().send(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// lines are the events of an answer of the feed, and its last line.
func lines(t testing.TB, a *answer) (entries []audit.Entry, next uint64, more bool) {
	t.Helper()
	if a.status != 200 || a.header.Get("Content-Type") != "application/x-ndjson" {
		t.Fatalf("%v, %v", a, a.header)
	}
	all := strings.Split(strings.TrimSuffix(string(a.body), "\n"), "\n")
	for _, line := range all[:len(all)-1] {
		var e audit.Entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		entries = append(entries, e)
	}
	var tail struct {
		Next *uint64
		More bool
	}
	if err := json.Unmarshal([]byte(all[len(all)-1]), &tail); err != nil || tail.Next == nil {
		t.Fatalf("the last line is %q: %v", all[len(all)-1], err)
	}
	return entries, *tail.Next, tail.More
}

func (p *inProcess) feed(t testing.TB, query string) ([]audit.Entry, uint64, bool) {
	t.Helper()
	return lines(t, p.adminAsk(t, "GET", "/-/feed?"+query))
}

// sent is one message of a stream; the kind of a comment is ":".
type sent struct {
	kind, data string
	id         string
}

// listening is a stream of the feed.
type listening struct {
	messages chan sent // closed at its end
	stop     context.CancelFunc
}

func (p *inProcess) listen(t testing.TB, query, last string) *listening {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	r, err := http.NewRequestWithContext(ctx, "GET", p.admin+"/-/feed?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(p.cred.AccessKey, string(p.cred.Secret.Reveal()))
	r.Header.Set("Accept", "text/event-stream")
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	return p.heard(t, r, stop)
}

// heard sends a request that a stream answers.
func (p *inProcess) heard(t testing.TB, r *http.Request, stop context.CancelFunc) *listening {
	t.Helper()
	resp, err := (&http.Client{Transport: p.transport}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%s %v", resp.Status, resp.Header)
	}
	l := &listening{messages: make(chan sent, 10000), stop: stop}
	go func() {
		defer close(l.messages)
		defer resp.Body.Close()
		lines := bufio.NewScanner(resp.Body)
		lines.Buffer(nil, 1<<20)
		var m sent
		for lines.Scan() {
			field, value, _ := strings.Cut(lines.Text(), ":")
			value = strings.TrimPrefix(value, " ")
			switch {
			case lines.Text() == "":
				l.messages <- m
				m = sent{}
			case field == "":
				m.kind = ":"
			case field == "id":
				m.id = value
			case field == "event":
				m.kind = value
			case field == "data":
				m.data = value
			}
		}
	}()
	t.Cleanup(stop)
	return l
}

// next is the next message.
func (l *listening) next(t testing.TB) sent {
	t.Helper()
	select {
	case m, ok := <-l.messages:
		if !ok {
			t.Fatal("the stream has ended")
		}
		return m
	case <-time.After(30 * time.Second):
		t.Fatal("the stream says nothing")
	}
	return sent{}
}

// event is the next event, past progress and comments.
func (l *listening) event(t testing.TB) audit.Entry {
	t.Helper()
	for {
		m := l.next(t)
		if m.kind != "" {
			continue
		}
		var e audit.Entry
		if err := json.Unmarshal([]byte(m.data), &e); err != nil || strconv.FormatUint(e.Seq, 10) != m.id {
			t.Fatalf("%+v: %v", m, err)
		}
		return e
	}
}

// dense wants entries of all sequences from one on.
func dense(t testing.TB, entries []audit.Entry, from uint64) {
	t.Helper()
	for i := range entries {
		if entries[i].Seq != from+uint64(i) {
			t.Fatalf("entry %d is event %d, want %d", i, entries[i].Seq, from+uint64(i))
		}
	}
}

// TestFeedLines: the feed gives what a stopped node's record says, in pages, by filters,
// and from any moment.
func TestFeedLines(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	p := openInProcess(t, fs, "/feed")
	c := p.client()
	c.must(t, 200, "PUT", "/books", nil)
	for i := range 300 { // more than a bundle of the ledger
		c.must(t, 200, "PUT", fmt.Sprintf("/books/k%d", i), []byte("text"))
	}
	c.must(t, 204, "PUT", "/books?policy", rules(rule("Allow", everybody, "s3:PutObject", "books/open", "")))
	anybody := *c
	anybody.cred = sig.Credential{}
	anybody.must(t, 200, "PUT", "/books/open", []byte("by anybody"))
	c.must(t, 200, "PUT", "/gone", nil)
	c.must(t, 204, "DELETE", "/gone", nil)

	var all []audit.Entry
	for from, more := uint64(0), true; more; {
		var page []audit.Entry
		page, from, more = p.feed(t, fmt.Sprintf("from=%d&max=100", from))
		if more && len(page) != 100 || len(page) > 0 && from != page[len(page)-1].Seq+1 {
			t.Fatalf("a page of %d events, then %d", len(page), from)
		}
		all = append(all, page...)
	}
	dense(t, all, 0)
	count := func(query string, want int) []audit.Entry {
		t.Helper()
		got, next, _ := p.feed(t, query)
		if len(got) != want || next < uint64(len(all)) {
			t.Errorf("%s: %d entries up to %d, want %d", query, len(got), next, want)
		}
		return got
	}
	open := count("key=open", 1)[0]
	if open.Actor != "anonymous" || open.Why.By != "bucket_policy" || open.Name != "books" {
		t.Errorf("%+v", open)
	}
	count("kind=object_put", 301)
	count("kind=object_put,bucket_created&kind=bucket_deleted", 304)
	count("operation=CreateBucket&actor=root", 2)
	count("bucket=gone", 2)
	count("bucket=%23"+strconv.FormatUint(open.Bucket, 10)+"&prefix=k1", 111)
	count("refused=true", 0)
	count("from="+open.Time.Format(time.RFC3339Nano)+"&kind=object_put", 1)
	count("from=end", 0)
	if got, next, more := p.feed(t, "from=3&to=10"); len(got) != 7 || next != 10 || more {
		t.Errorf("%d events, next %d, more %v", len(got), next, more)
	}
	if got, next, _ := p.feed(t, "from=1000000"); len(got) != 0 || next != 1000000 {
		t.Errorf("events that have not happened: %d of them, next %d", len(got), next)
	}
	var detail audit.Detail
	if err := json.Unmarshal(p.adminGet(t, fmt.Sprintf("/-/events/%d", open.Seq)), &detail); err != nil || !strings.Contains(string(detail.Statement), `"size": "10"`) {
		t.Errorf("%s, %v", detail.Statement, err)
	}

	p.close(t)
	n, err := audit.Open(audit.Options{FS: fs, Dir: "/feed/node"})
	if err != nil {
		t.Fatal(err)
	}
	var offline []audit.Entry
	if err := n.Log(t.Context(), audit.Filter{To: uint64(len(all))}, func(e *audit.Entry) error { offline = append(offline, *e); return nil }); err != nil {
		t.Fatal(err)
	}
	same := func(a, b any) {
		t.Helper()
		x, err1 := json.Marshal(a)
		y, err2 := json.Marshal(b)
		if err1 != nil || err2 != nil || !bytes.Equal(x, y) {
			t.Errorf("the node that ran says\n%s\nits record\n%s", x, y)
		}
	}
	same(all, offline)
	rec, err := n.Record(open.Seq)
	if err != nil {
		t.Fatal(err)
	}
	d, err := n.Detail(&rec)
	if err != nil {
		t.Fatal(err)
	}
	same(compact(t, detail), compact(t, *d))
	closed(t, n)
}

// compact takes white space out of what was JSON before.
func compact(t *testing.T, d audit.Detail) audit.Detail {
	t.Helper()
	for _, raw := range []*json.RawMessage{&d.Statement, &d.Decided} {
		var b bytes.Buffer
		if err := json.Compact(&b, *raw); err != nil {
			t.Fatal(err)
		}
		*raw = b.Bytes()
	}
	d.Items = nil
	return d
}

// TestFeedRefuses: what is not understood is refused, and nobody but root is told.
func TestFeedRefuses(t *testing.T) {
	t.Parallel()
	p := openInProcess(t, vfs.NewMem(), "/feed")
	for path, want := range map[string]int{
		"/-/feed?from=-1":                      400,
		"/-/feed?from=yesterday":               400,
		"/-/feed?from=0&from=1":                400,
		"/-/feed?from=99999999999999999999":    400,
		"/-/feed?from=cursor:none":             404,
		"/-/feed?max=0":                        400,
		"/-/feed?max=10001":                    400,
		"/-/feed?wait=61s":                     400,
		"/-/feed?wait=5":                       400,
		"/-/feed?kind=object_eaten":            400,
		"/-/feed?refused=perhaps":              400,
		"/-/feed?buckets=b":                    400,
		"/-/events/x":                          400,
		"/-/events/100000":                     404,
		"/-/feed/cursors/none":                 404,
		"/-/feed?from=end&refused=false&max=1": 200,
	} {
		if a := p.adminAsk(t, "GET", path); a.status != want {
			t.Errorf("%s: %v, want %d", path, a, want)
		}
		if a := p.adminAsk(t, "GET", path, func(r *http.Request) { r.SetBasicAuth(p.cred.AccessKey, "wrong") }); a.status != 401 {
			t.Errorf("%s with a wrong key: %v", path, a)
		}
		if a := p.adminAsk(t, "GET", path, func(r *http.Request) { r.Header.Del("Authorization") }); a.status != 401 {
			t.Errorf("%s by nobody: %v", path, a)
		}
	}
	stream := header("Accept", "text/event-stream")
	for _, query := range []string{"max=1", "wait=1s", "to=5"} {
		if a := p.adminAsk(t, "GET", "/-/feed?"+query, stream); a.status != 400 {
			t.Errorf("a stream with %s: %v", query, a)
		}
	}
	for _, last := range []string{"x", "-1", "18446744073709551615"} {
		if a := p.adminAsk(t, "GET", "/-/feed", stream, header("Last-Event-ID", last)); a.status != 400 {
			t.Errorf("Last-Event-ID %s: %v", last, a)
		}
	}
	if a := p.adminAsk(t, "HEAD", "/-/feed", stream); a.status != 405 {
		t.Errorf("HEAD: %v", a)
	}
	for _, method := range []string{"PUT", "DELETE"} {
		if a := p.adminAsk(t, method, "/-/feed/cursors/c?from=0&to=1", func(r *http.Request) { r.Header.Del("Authorization") }); a.status != 401 {
			t.Errorf("%s of a cursor by nobody: %v", method, a)
		}
	}
}

// TestFeedWaits: a long poll is answered by the first event that it wants, and no sooner.
func TestFeedWaits(t *testing.T) {
	t.Parallel()
	p := openInProcess(t, vfs.NewMem(), "/feed")
	c := p.client()
	c.must(t, 200, "PUT", "/bkt", nil)
	_, end, _ := p.feed(t, "from=end")
	answers := make(chan *answer)
	go func() {
		answers <- p.adminAsk(t, "GET", fmt.Sprintf("/-/feed?from=%d&wait=60s&key=wanted", end))
	}()
	for i := range 20 {
		c.must(t, 200, "PUT", fmt.Sprintf("/bkt/other%d", i), nil)
	}
	select {
	case a := <-answers:
		t.Fatalf("answered without an event that is wanted: %v", a)
	default:
	}
	c.must(t, 200, "PUT", "/bkt/wanted", nil)
	got, next, _ := lines(t, <-answers)
	if len(got) != 1 || got[0].Keys[0] != "wanted" || next != got[0].Seq+1 {
		t.Errorf("%+v, next %d", got, next)
	}
	// An event far ahead is waited for, and what comes before it is not told.
	far := next + 3
	go func() { answers <- p.adminAsk(t, "GET", fmt.Sprintf("/-/feed?from=%d&wait=60s", far)) }()
	for p.events(t) <= far {
		c.must(t, 200, "PUT", "/bkt/more", nil)
	}
	if got, _, _ := lines(t, <-answers); len(got) == 0 || got[0].Seq != far {
		t.Errorf("%+v, want event %d first", got, far)
	}
	if got, next, _ := p.feed(t, fmt.Sprintf("from=%d&wait=10ms", p.events(t)+50)); len(got) != 0 || next < far {
		t.Errorf("%+v, %d: nothing came, and that is no answer", got, next)
	}
}

// TestFeedStream: a stream gives each event once, in order, goes on behind the last one
// that its reader knows, and tells of progress where a filter passes much.
func TestFeedStream(t *testing.T) {
	t.Parallel()
	p := openInProcess(t, vfs.NewMem(), "/feed")
	p.node.PaceChangesForTest(30*time.Second, 50*ms, 20*ms)
	c := p.client()
	c.must(t, 200, "PUT", "/bkt", nil)
	l := p.listen(t, "", "")
	filtered := p.listen(t, "from=end&kind=bucket_deleted", "")
	first := filtered.next(t)
	if first.kind != "progress" || first.id == "" || first.data != fmt.Sprintf(`{"next":%d}`, must(strconv.ParseUint(first.id, 10, 64))+1) {
		t.Fatalf("a stream begins with %+v", first)
	}
	if m := filtered.next(t); m.kind != ":" {
		t.Errorf("a stream without events says %+v", m)
	}
	const writers, each = 8, 40
	var wait sync.WaitGroup
	for w := range writers {
		wait.Go(func() {
			for i := range each {
				if a, err := c.try("PUT", fmt.Sprintf("/bkt/%d-%d", w, i), nil); err != nil || a.status != 200 {
					t.Errorf("%v, %v", a, err)
				}
			}
		})
	}
	var got []audit.Entry
	keys := map[string]int{}
	for len(keys) < writers*each {
		e := l.event(t)
		got = append(got, e)
		for _, k := range e.Keys {
			keys[k]++
		}
	}
	wait.Wait()
	dense(t, got, 0)
	l.stop()
	// Behind any event it goes on with the next.
	for _, last := range []uint64{0, got[len(got)/2].Seq, got[len(got)-2].Seq} {
		again := p.listen(t, "from=end", strconv.FormatUint(last, 10))
		if e := again.event(t); e.Seq != last+1 {
			t.Errorf("behind %d comes %d", last, e.Seq)
		}
		again.stop()
	}
	for {
		m := filtered.next(t)
		if m.kind == "" {
			t.Fatalf("an event that is not wanted: %+v", m)
		}
		if m.kind == "progress" && must(strconv.ParseUint(m.id, 10, 64)) >= got[len(got)-1].Seq {
			break
		}
	}
	c.must(t, 200, "PUT", "/other", nil)
	c.must(t, 204, "DELETE", "/other", nil)
	if e := filtered.event(t); e.Kind != "bucket_deleted" || e.Name != "other" {
		t.Errorf("%+v", e)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestFeedEnds: a node that closes ends its streams and polls at once, also those whose
// readers take nothing.
func TestFeedEnds(t *testing.T) {
	t.Parallel()
	p := openInProcess(t, vfs.NewMem(), "/feed")
	c := p.client()
	c.must(t, 200, "PUT", "/bkt", nil)
	idle := p.listen(t, "from=end", "")
	idle.next(t)
	poll := make(chan *answer, 1)
	before := p.events(t)
	go func() { poll <- p.adminAsk(t, "GET", fmt.Sprintf("/-/feed?from=%d&wait=60s", before+1000)) }()
	fill(t, c)
	defer p.stuck(t).Close()
	for {
		if e := idle.event(t); e.Seq+1 >= p.events(t)-1 {
			break
		}
	}
	p.awaitReaders(t, 3)
	began := time.Now()
	p.close(t)
	if took := time.Since(began); took > 20*time.Second { // a stuck reader alone would be given 30
		t.Errorf("the node took %v to close", took)
	}
	if _, next, _ := lines(t, <-poll); next != before+1000 {
		t.Errorf("a poll of event %d is to go on with %d", before+1000, next)
	}
	for range idle.messages { // its end
	}
}

// fill makes events of more bytes than there is room for between a node and a reader.
func fill(t *testing.T, c *client) {
	t.Helper()
	// Every deletion makes a marker, and is told.
	c.must(t, 200, "PUT", "/bkt?versioning", []byte("<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"))
	long := strings.Repeat("k", 900)
	for i := range 200 { // 18 MB: the kernel keeps 4 MB for a connection, unless it is tuned
		var keys strings.Builder
		for n := range 100 {
			fmt.Fprintf(&keys, "<Object><Key>%s%d-%d</Key></Object>", long, i, n)
		}
		body := []byte("<Delete>" + keys.String() + "</Delete>")
		c.must(t, 200, "POST", "/bkt?delete", body, header("Content-Md5", contentMD5(body)))
	}
}

// stuck opens a stream whose reader takes nothing.
func (p *inProcess) stuck(t *testing.T) net.Conn {
	t.Helper()
	address := strings.TrimPrefix(p.admin, "http://")
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequest("GET", p.admin+"/-/feed", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.SetBasicAuth(p.cred.AccessKey, string(p.cred.Secret.Reveal()))
	r.Header.Set("Accept", "text/event-stream")
	if err := errors.Join(conn.(*net.TCPConn).SetReadBuffer(4096), r.Write(conn)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// awaitReaders waits until so many read the feed.
func (p *inProcess) awaitReaders(t *testing.T, n int) {
	t.Helper()
	want := fmt.Sprintf("ironman_feed_readers %d\n", n)
	for end := time.Now().Add(30 * time.Second); !strings.Contains(string(p.adminGet(t, "/-/metrics")), want); time.Sleep(ms) {
		if time.Now().After(end) {
			t.Fatalf("there are not %d readers", n)
		}
	}
}

// TestFeedStuck: a reader that takes nothing holds nobody up, and is let go.
func TestFeedStuck(t *testing.T) {
	t.Parallel()
	p := openInProcess(t, vfs.NewMem(), "/feed")
	p.node.PaceChangesForTest(500*ms, time.Second, time.Second)
	c := p.client()
	c.must(t, 200, "PUT", "/bkt", nil)
	fill(t, c)
	defer p.stuck(t).Close()
	p.awaitReaders(t, 1)
	if got, _, _ := p.feed(t, "from=0"); len(got) < 60 {
		t.Errorf("beside a reader that is stuck another gets %d events", len(got))
	}
	p.awaitReaders(t, 0)
}

// TestFeedReaders: there is room for so many readers, and for the next once one has gone.
func TestFeedReaders(t *testing.T) {
	t.Parallel()
	p := openInProcess(t, vfs.NewMem(), "/feed")
	var all []*listening
	for range 64 {
		l := p.listen(t, "from=end", "")
		l.next(t)
		all = append(all, l)
	}
	a := p.adminAsk(t, "GET", "/-/feed")
	if a.status != 503 || a.header.Get("Retry-After") == "" {
		t.Errorf("one reader more than there is room for: %v", a)
	}
	all[5].stop()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(ms) {
		if a := p.adminAsk(t, "GET", "/-/feed"); a.status == 200 {
			break
		} else if time.Now().After(end) {
			t.Fatalf("a reader has gone, and its place is not free: %v", a)
		}
	}
}

// TestFeedCursors: a cursor is moved by whoever knows where it stands, and a reading may
// begin there.
func TestFeedCursors(t *testing.T) {
	t.Parallel()
	p := openInProcess(t, vfs.NewMem(), "/feed")
	p.client().must(t, 200, "PUT", "/bkt", nil)
	path := "/-/feed/cursors/" + url.PathEscape("a consumer/of mine")
	move := func(status int, from, to uint64) {
		t.Helper()
		if a := p.adminAsk(t, "PUT", fmt.Sprintf("%s?from=%d&to=%d", path, from, to)); a.status != status {
			t.Errorf("from %d to %d: %v, want %d", from, to, a, status)
		}
	}
	move(409, 1, 2) // there is none
	move(200, 0, 2)
	move(409, 0, 3)
	move(200, 2, 3)
	move(409, 2, 4)
	move(400, 3, 3)
	move(400, 3, 1)
	move(400, 3, p.events(t)+1000)
	for _, q := range []string{"?from=3", "?to=4", "?from=3&to=x"} {
		if a := p.adminAsk(t, "PUT", path+q); a.status != 400 {
			t.Errorf("%s: %v", q, a)
		}
	}
	var c server.Cursor
	if err := json.Unmarshal(p.adminGet(t, path), &c); err != nil || c.Name != "a consumer/of mine" || c.Next != 3 || c.Time.IsZero() {
		t.Errorf("%+v, %v", c, err)
	}
	if a := p.adminAsk(t, "PUT", "/-/feed/cursors/another?from=0&to=1"); a.status != 200 {
		t.Error(a)
	}
	var list []server.Cursor
	if err := json.Unmarshal(p.adminGet(t, "/-/feed/cursors"), &list); err != nil || len(list) != 2 || list[0] != c || list[1].Name != "another" {
		t.Errorf("%+v, %v", list, err)
	}
	if got, _, _ := p.feed(t, "max=2&from="+url.QueryEscape("cursor:a consumer/of mine")); len(got) != 2 || got[0].Seq != 3 {
		t.Errorf("%+v", got)
	}
	// Of many who move it from one place one does.
	var wait sync.WaitGroup
	var mu sync.Mutex
	var statuses []int
	for range 8 {
		wait.Go(func() {
			a := p.adminAsk(t, "PUT", path+"?from=3&to=5")
			mu.Lock()
			defer mu.Unlock()
			statuses = append(statuses, a.status)
		})
	}
	wait.Wait()
	slices.Sort(statuses)
	if !slices.Equal(statuses, []int{200, 409, 409, 409, 409, 409, 409, 409}) {
		t.Error(statuses)
	}
	if a := p.adminAsk(t, "DELETE", path); a.status != 200 {
		t.Error(a)
	}
	if a := p.adminAsk(t, "DELETE", path); a.status != 404 {
		t.Error(a)
	}
	move(200, 0, 4)
}

// TestFeedSlow: a reader that is slow gets an event that takes it longer than the stall limit.
func TestFeedSlow(t *testing.T) {
	t.Parallel()
	p := openInProcess(t, vfs.NewMem(), "/feed")
	const stall = time.Second
	p.node.PaceChangesForTest(stall, time.Second, time.Second)
	c := p.client()
	c.must(t, 200, "PUT", "/bkt", nil)
	c.must(t, 200, "PUT", "/bkt?versioning", []byte("<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"))
	for i := range 2 { // of 6 MB each: a character takes six in JSON
		var keys strings.Builder
		for n := range 1000 {
			fmt.Fprintf(&keys, "<Object><Key>%s%d-%d</Key></Object>", strings.Repeat("&lt;", 1000), i, n)
		}
		body := []byte("<Delete>" + keys.String() + "</Delete>")
		c.must(t, 200, "POST", "/bkt?delete", body, header("Content-Md5", contentMD5(body)))
	}
	conn := p.stuck(t) // but it is not
	defer conn.Close()
	if err := conn.(*net.TCPConn).SetReadBuffer(128 << 10); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	began := time.Now()
	if err := conn.SetReadDeadline(began.Add(40 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for piece := make([]byte, 64<<10); bytes.Count(got.Bytes(), []byte(`"kind":"objects_deleted"`)) < 2 || got.Len() < 12_000_000; time.Sleep(25 * ms) {
		n, err := conn.Read(piece)
		got.Write(piece[:n])
		if err != nil {
			t.Fatalf("the reader is let go after %d bytes and %v: %v", got.Len(), time.Since(began), err)
		}
	}
	if took := time.Since(began); took < 2*stall {
		t.Errorf("%d bytes were read in %v: nothing was slow", got.Len(), took)
	}
}

// BenchmarkFeedFollowers is what writers pay for those who follow what they do.
func BenchmarkFeedFollowers(b *testing.B) {
	for _, followers := range []int{0, 60} {
		b.Run(fmt.Sprint(followers), func(b *testing.B) {
			p := openInProcess(b, vfs.NewMem(), "/feed")
			p.client().must(b, 200, "PUT", "/bkt", nil)
			for range followers {
				l := p.listen(b, "from=end&kind=bucket_deleted", "")
				go func() {
					for range l.messages {
						continue
					}
				}()
			}
			b.SetParallelism(8)
			b.RunParallel(func(pb *testing.PB) {
				for c := p.client(); pb.Next(); {
					if a, err := c.try("PUT", "/bkt/k", []byte("text")); err != nil || a.status != 200 {
						b.Errorf("%v, %v", a, err)
					}
				}
			})
		})
	}
}
