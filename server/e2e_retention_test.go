package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/s3api/sig"
	"ironman/server"
)

// retained is a node whose clock stands still, with buckets of different retentions.
type retained struct {
	quotas
	clock *stillClock
	c     *client
	bytes uint64
	each  uint64 // shards of a body
}

func newRetained(t *testing.T, fs vfs.FS, change ...func(*server.Options)) *retained {
	r := &retained{clock: &stillClock{}}
	r.clock.nanoseconds.Store(time.Now().Truncate(time.Second).UnixNano())
	change = append(change, func(o *server.Options) { o.Now, o.ReleaseGrace = r.clock.now, time.Second })
	r.quotas = quotas{t, openInProcess(t, fs, "/", append([]func(*server.Options){func(o *server.Options) { o.HistoryRetention = 2 * time.Second }}, change...)...)}
	r.c = r.p.client()
	return r
}

// pass lets time go by, and the collector see it.
func (r *retained) pass(d time.Duration) {
	r.clock.advance(d)
	r.c.ahead = time.Until(r.clock.now())
	r.p.node.CollectForTest(r.Context())
}

// put stores the next bytes and returns the sequence.
func (r *retained) put(target string) string {
	r.Helper()
	r.bytes++
	return r.c.must(r, 200, "PUT", target, content(r.bytes, 1000)).header.Get(sequence)
}

// reads wants the n-th bytes as of a moment.
func (r *retained) reads(target, at string, n uint64) {
	r.Helper()
	if a := r.c.must(r, 200, "GET", target, nil, header(asOf, at)); !bytes.Equal(a.body, content(n, 1000)) {
		r.Errorf("%s as of %s is something else", target, at)
	}
}

// gone wants that a moment is not kept, and that the oldest that is said to be can be read.
func (r *retained) gone(target, at string) (oldest string) {
	r.Helper()
	a := r.c.must(r, 400, "GET", target, nil, header(asOf, at))
	_, text, ok := strings.Cut(string(a.body), "The oldest that can be read is that of sequence ")
	oldest, _, _ = strings.Cut(text, ",")
	if seq, err := strconv.ParseUint(oldest, 10, 64); !ok || err != nil {
		r.Fatalf("%s as of %s: %v", target, at, a)
	} else if was, _ := strconv.ParseUint(at, 10, 64); seq <= was {
		r.Errorf("%s as of %s: the oldest is %d", target, at, seq)
	}
	bucket, _, _ := strings.Cut(target[1:], "/")
	r.c.must(r, 200, "GET", "/"+bucket, nil, header(asOf, oldest))
	return oldest
}

// set changes a retention and returns what the node says of it.
func (r *retained) set(bucket, retention string, strict bool) (got server.Retention) {
	r.Helper()
	q := url.Values{"bucket": {bucket}, "retention": {retention}, "strict": {fmt.Sprint(strict)}}
	a := r.ask("POST", "/-/history/set?"+q.Encode())
	if a.status != 200 || json.Unmarshal(a.body, &got) != nil {
		r.Fatalf("set %s %s: %v", bucket, retention, a)
	}
	return got
}

func (r *retained) list() (page server.Retentions) {
	r.Helper()
	if a := r.ask("GET", "/-/history"); a.status != 200 || json.Unmarshal(a.body, &page) != nil {
		r.Fatal(a)
	}
	return page
}

// live counts the bodies whose shards blobs name on the disks: each has the same number.
func (r *retained) live() uint64 {
	r.Helper()
	sum := uint64(0)
	for disk := range uint32(6) {
		n, err := r.p.node.LiveShardsForTest(disk + 1)
		if err != nil {
			r.Fatal(err)
		}
		sum += n
	}
	if r.each == 0 {
		r.each = sum // of the first
	}
	return sum / r.each
}

// recorded tells whether there is an event of a kind that says something.
func (r *retained) recorded(kind, says string) bool {
	r.Helper()
	var s server.Status
	if err := json.Unmarshal(r.p.adminGet(r, "/-/status"), &s); err != nil {
		r.Fatal(err)
	}
	for seq := range s.Events {
		text := strings.ReplaceAll(string(r.p.adminGet(r, fmt.Sprint("/-/events/", seq))), " ", "")
		if strings.Contains(text, `"kind":"`+kind+`"`) && strings.Contains(text, says) {
			return true
		}
	}
	return false
}

// TestRetentions: a bucket that keeps nothing, one that keeps an hour and the cluster's two
// seconds, each to the second; changed at runtime; a bucket that is deleted.
func TestRetentions(t *testing.T) {
	t.Parallel()
	r := newRetained(t, vfs.NewMem())
	for _, b := range []string{"none", "hour", "plain"} {
		r.c.must(t, 200, "PUT", "/"+b, nil)
	}
	if got := r.set("none", "0", false); got.Text != "0s" || got.Bucket != "none" {
		t.Errorf("%+v", got)
	}
	if got := r.set("hour", "1h", true); got.Text != "1h0m0s" || !got.Strict || got.Seconds != 3600 {
		t.Errorf("%+v", got)
	}
	first := r.put("/none/k")
	if r.live() != 1 {
		t.Fatal("the first body")
	}
	r.put("/hour/k")
	last := r.put("/plain/k") // 1, 2, 3
	r.pass(10 * time.Second)
	for _, b := range []string{"none", "hour", "plain"} { // 4, 5, 6
		r.put("/" + b + "/k")
	}
	r.gone("/none/k", first)
	for range 2 { // to the second
		r.reads("/hour/k", last, 2)
		r.reads("/plain/k", last, 3)
		r.pass(time.Second)
	}
	r.reads("/plain/k", last, 3)
	r.pass(time.Second)
	r.gone("/plain/k", last)
	r.reads("/hour/k", last, 2)

	// At runtime: longer, shorter, the cluster's again.
	r.set("plain", "1d", false)
	kept := r.put("/plain/k") // 7
	r.pass(time.Minute)
	r.put("/plain/k") // 8
	r.pass(time.Hour - 80*time.Second)
	r.reads("/plain/k", kept, 7)
	r.reads("/hour/k", last, 2)
	r.pass(30 * time.Second)
	r.gone("/hour/k", last)
	r.reads("/plain/k", kept, 7)
	if l := r.list(); len(l.Buckets) != 3 || l.Cluster.Text != "2s" || l.Buckets[2].Bucket != "plain" || *l.Buckets[2].Rows != 2 || *l.Buckets[1].Rows != 0 {
		t.Errorf("%s", r.ask("GET", "/-/history").body)
	}
	if got := r.set("plain", "default", false); got.Text != "2s" || !got.Inherits {
		t.Errorf("%+v", got)
	}
	r.pass(time.Second)
	r.gone("/plain/k", kept)
	for _, bad := range []string{"bucket=x&retention=1h", "bucket=plain", "bucket=plain&retention=-1h", "bucket=plain&retention=default&strict=true", "retention=default", "bucket=%230&retention=1h", "bucket=%2399&retention=1h"} {
		if a := r.ask("POST", "/-/history/set?"+bad); a.status != 400 && a.status != 404 {
			t.Errorf("%s: %v", bad, a)
		}
	}

	// A deleted bucket keeps what it has by its own retention.
	r.c.must(t, 204, "DELETE", "/hour/k", nil)
	r.c.must(t, 204, "DELETE", "/hour", nil)
	r.pass(time.Minute)
	l := r.list()
	i := len(l.Buckets) - 1
	for l.Buckets[i].Bucket != "hour" {
		i--
	}
	if h := l.Buckets[i]; !h.Deleted || h.Text != "1h0m0s" || *h.Rows == 0 {
		t.Errorf("%+v", h)
	}
	if n := r.live(); n != 3 {
		t.Errorf("%d bodies, of two objects and of one that is deleted", n)
	}
	r.set("#"+strconv.FormatUint(l.Buckets[i].BucketID, 10), "10m", false)
	r.pass(10 * time.Minute)
	r.pass(2 * time.Second)
	if n := r.live(); n != 2 {
		t.Errorf("%d bodies, of two objects", n)
	}
	// Nothing is left of what is not needed any more.
	r.c.must(t, 204, "DELETE", "/none/k", nil)
	r.c.must(t, 204, "DELETE", "/plain/k", nil)
	r.c.must(t, 204, "DELETE", "/none", nil)
	r.pass(time.Minute)
	r.pass(time.Minute)
	if l := r.list(); len(l.Buckets) != 0 || *l.Cluster.Rows != 0 || r.live() != 0 {
		t.Errorf("%+v, %d bodies", l, r.live())
	}

	if !r.recorded("history_retention_set", `"bucket":"hour"`) {
		t.Error("no event tells of the bucket's retention")
	}
	for _, path := range []string{"/-/history", "/-/history/set?retention=1h"} {
		method := "GET"
		if strings.Contains(path, "set") {
			method = "POST"
		}
		q, err := http.NewRequestWithContext(t.Context(), method, r.p.admin+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if a, err := r.c.send(q); err != nil || a.status != 401 {
			t.Errorf("%s, asked by nobody: %v, %v", path, a, err)
		}
	}

	// The cluster's.
	if got := r.set("", "1h", false); got.Text != "1h0m0s" || got.BucketID != 0 {
		t.Errorf("%+v", got)
	}
	at := r.put("/plain/k")
	n := r.bytes
	r.put("/plain/k")
	r.pass(time.Hour - time.Second)
	r.reads("/plain/k", at, n)
	r.set("", "0", false)
	r.gone("/plain/k", at)
	r.pass(time.Second)
	r.pass(2 * time.Second)
	if l := r.list(); *l.Cluster.Rows != 0 || r.live() != 1 {
		t.Errorf("%+v, %d bodies", l, r.live())
	}
	r.set("", "1h", false)
	r.gone("/plain/k", at)
}

// TestRetentionIsTold only to those who may read the bucket.
func TestRetentionIsTold(t *testing.T) {
	t.Parallel()
	key := randomKey("alice")
	r := newRetained(t, vfs.NewMem(), func(o *server.Options) { o.Keys = []server.KeySpec{key} })
	r.c.must(t, 200, "PUT", "/private", nil)
	at := r.put("/private/k")
	r.set("private", "0", false)
	r.put("/private/k")
	r.c.must(t, 204, "DELETE", "/private/k", nil)
	r.gone("/private/k", at) // though there is no such key now
	stranger := r.p.client()
	for _, cred := range []sig.Credential{{}, {AccessKey: key.AccessKey, Secret: sig.NewSecret(key.SecretKey)}} {
		stranger.cred = cred
		for _, target := range []string{"/private/k", "/private"} {
			stranger.refused(t, 403, "AccessDenied", "GET", target, nil, header(asOf, at))
		}
	}
}

// fullFS tells how much is free.
type fullFS struct {
	vfs.FS
	free atomic.Uint64
}

func (f *fullFS) GetDiskUsage(string) (vfs.DiskUsage, error) {
	free := f.free.Load()
	return vfs.DiskUsage{TotalBytes: 1 << 30, AvailBytes: free, UsedBytes: 1<<30 - free}, nil
}

// TestRetentionEarly: where there is little free space the oldest history goes early, step
// by step, but for that of strict buckets and what is young; it is said, counted and in the
// ledger, and it stops when there is space.
func TestRetentionEarly(t *testing.T) {
	t.Parallel()
	full := &fullFS{FS: vfs.NewMem()}
	full.free.Store(800 << 20)
	var said logBuffer
	r := newRetained(t, full, func(o *server.Options) {
		o.HistoryRetention, o.HistoryMark, o.HistoryFloor, o.PackGrace = time.Hour, 500<<20, 5*time.Minute, time.Second
		o.Logger = slog.New(slog.NewTextHandler(&said, nil))
	})
	for _, b := range []string{"plain", "own", "strict"} {
		r.c.must(t, 200, "PUT", "/"+b, nil)
	}
	r.set("own", "2h", false)
	r.set("strict", "1h", true)
	at := map[string]string{}
	for _, b := range []string{"plain", "own", "strict"} {
		at[b] = r.put("/" + b + "/k") // 1, 2, 3
	}
	r.pass(time.Minute)
	for _, b := range []string{"plain", "own", "strict"} {
		r.put("/" + b + "/k") // 4, 5, 6
	}
	r.pass(33 * time.Minute)
	r.reads("/plain/k", at["plain"], 1)
	young := r.put("/plain/k") // 7
	r.put("/plain/k")          // 8
	full.free.Store(400 << 20)
	deadline := time.Now().Add(20 * time.Second) // until the free space is measured
	for !strings.Contains(said.String(), "there is little free space") && time.Now().Before(deadline) {
		r.pass(0)
		time.Sleep(20 * time.Millisecond)
	}
	r.gone("/plain/k", at["plain"]) // half an hour
	r.reads("/own/k", at["own"], 2) // an hour
	r.pass(30 * time.Second)
	r.gone("/own/k", at["own"]) // half an hour
	for range 8 {
		r.pass(12 * time.Second)
	}
	r.reads("/strict/k", at["strict"], 3)
	r.reads("/plain/k", young, 7)
	if m := string(r.p.adminGet(t, "/-/metrics")); !strings.Contains(m, "\nironman_history_early_rows_total 2\n") || !strings.Contains(m, "\nironman_history_rows 3\n") {
		t.Errorf("%s", grepLines(m, "ironman_history"))
	}
	if !r.recorded("history_trimmed", `"early":true`) {
		t.Error("no event says that history went early")
	}
	full.free.Store(800 << 20)
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(said.String(), "there is more free space") && time.Now().Before(deadline); {
		r.pass(0)
		time.Sleep(20 * time.Millisecond)
		r.pass(13 * time.Second)
	}
	if !strings.Contains(said.String(), "there is more free space") {
		t.Error("it did not end")
	}
}

func grepLines(text, part string) (out string) {
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			out += line
		}
	}
	return out
}

// TestLedgerStatus: the size of the ledger that a node tells is that of its files.
func TestLedgerStatus(t *testing.T) {
	t.Parallel()
	fs := vfs.NewMem()
	open := func() (*inProcess, func() server.LedgerStatus) {
		p := openInProcess(t, fs, "/")
		return p, func() server.LedgerStatus {
			var s server.Status
			if err := json.Unmarshal(p.adminGet(t, "/-/status"), &s); err != nil {
				t.Fatal(err)
			}
			return s.Ledger
		}
	}
	p, status := open()
	c := p.client()
	c.must(t, 200, "PUT", "/ledger", nil)
	for i := range 300 {
		c.must(t, 200, "PUT", fmt.Sprint("/ledger/", i), nil)
	}
	check := func() {
		t.Helper()
		s := status()
		for deadline := time.Now().Add(20 * time.Second); (s.Archived < 256 || s.Bytes == nil) && time.Now().Before(deadline); s = status() {
			time.Sleep(20 * time.Millisecond)
		}
		var want server.LedgerBytes
		add := func(dir string, to *int64) {
			names, err := fs.List(dir)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range names {
				info, err := fs.Stat(fs.PathJoin(dir, name))
				if err != nil {
					t.Fatal(err)
				}
				*to += info.Size()
			}
		}
		add("/node/wal/ledger/tile/0", &want.Tiles)
		add("/node/wal/ledger/tile/entries", &want.Entries)
		add("/node/wal/ledger/payload", &want.Payloads)
		if s.Bytes == nil || *s.Bytes != want || want.Payloads == 0 || s.Retention != "kept for ever" || s.Events < 300 || s.Archived != 256 {
			t.Errorf("%+v, bytes %+v, want %+v", s, s.Bytes, want)
		}
		m := string(p.adminGet(t, "/-/metrics"))
		for of, n := range map[string]int64{"tiles": want.Tiles, "entries": want.Entries, "payloads": want.Payloads} {
			if line := fmt.Sprintf("ironman_ledger_bytes{of=%q} %d\n", of, n); !strings.Contains(m, line) {
				t.Errorf("no %s in %s", line, grepLines(m, "ironman_ledger"))
			}
		}
	}
	check()
	p.close(t)
	p, status = open()
	check()
}

// TestRetentionFreesPacks: when a bucket's own retention is over, and not before, the files
// that hold what it kept go.
func TestRetentionFreesPacks(t *testing.T) {
	t.Parallel()
	clock := &testClock{}
	p := openInProcess(t, vfs.NewMem(), "/packs", func(o *server.Options) {
		o.Now, o.HistoryRetention, o.ReleaseGrace = clock.now, 0, 0
	})
	r := &retained{quotas: quotas{t, p}}
	c := p.client()
	c.must(t, 200, "PUT", "/kept", nil)
	r.set("kept", "10m", false)
	c.must(t, 200, "PUT", "/kept/k", content(1, 8<<20))
	c.must(t, 204, "DELETE", "/kept/k", nil)
	before, _, err := p.node.PacksForTest(1)
	if err != nil {
		t.Fatal(err)
	}
	pass, _ := p.node.PackPassesForTest(1, time.Second)
	turn := func(d time.Duration) (files int) {
		t.Helper()
		clock.advance(d)
		for range 3 {
			p.node.CollectForTest(t.Context())
			if err := pass(t.Context()); err != nil {
				t.Fatal(err)
			}
			clock.advance(time.Nanosecond)
		}
		files, _, err := p.node.PacksForTest(1)
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	if files := turn(9 * time.Minute); files != before {
		t.Errorf("%d packs of %d while history is kept", files, before)
	}
	turn(2 * time.Minute) // it is over: nothing names the pack
	if files := turn(16 * time.Minute); files != before-1 {
		t.Errorf("%d packs of %d are left", files, before)
	}
}
