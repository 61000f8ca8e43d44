package bench

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"
)

// ran runs a session and returns the only work's figures.
func ran(t *testing.T, o Options) Figures {
	t.Helper()
	r, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Works) != 1 || len(r.Works[0].Sides) != 1 {
		t.Fatalf("works: %+v", r.Works)
	}
	return r.Works[0].Sides[0]
}

func TestEveryWork(t *testing.T) {
	tests := []struct {
		work         string
		objects      int
		requests     int64
		ops          uint64 // over two rounds
		bytes, items bool
		counts       string // a request that must have been made
		concurrency  int
	}{
		{work: "put-4k", requests: 30, ops: 60, bytes: true, counts: "put"},
		{work: "get-4k", requests: 30, ops: 60, bytes: true, counts: "GET"},
		{work: "put-1m", requests: 6, ops: 12, bytes: true, counts: "put"},
		{work: "get-1m", requests: 6, ops: 12, bytes: true, counts: "GET"},
		{work: "multipart-64m", requests: 1, ops: 2, bytes: true, counts: "complete"},
		{work: "list", objects: 2500, requests: 30, ops: 60, items: true, counts: "list"},
		{work: "delete", objects: 2500, requests: 30, ops: 6, items: true, counts: "DeleteObjects"},
		{work: "mixed", requests: 300, ops: 600, bytes: true, counts: "HEAD"},
	}
	for _, tt := range tests {
		t.Run(tt.work, func(t *testing.T) {
			t.Parallel()
			f := newFakeS3(t)
			o := f.options(tt.work)
			o.Requests = tt.requests
			if tt.objects > 0 {
				o.Objects = tt.objects
			}
			got := ran(t, o)
			if got.Operations != tt.ops || got.Errors != 0 || got.Rounds != 2 || len(got.RoundRates) != 2 {
				t.Errorf("figures: %+v", got)
			}
			if got.OpsPerSec <= 0 || got.P50ms <= 0 || got.P99ms < got.P50ms || got.MaxMs < got.P99ms {
				t.Errorf("rates and latencies: %+v", got)
			}
			if (got.MiBPerSec > 0) != tt.bytes || (got.ItemsPerSec > 0) != tt.items {
				t.Errorf("MiB/s %v, items/s %v", got.MiBPerSec, got.ItemsPerSec)
			}
			if f.count(tt.counts) == 0 {
				t.Errorf("no %s: %v", tt.counts, f.counts)
			}
			if len(f.buckets) != 0 || len(f.uploads) != 0 {
				t.Errorf("left behind: %d buckets, %d uploads", len(f.buckets), len(f.uploads))
			}
		})
	}
}

func TestUnsignedPayload(t *testing.T) {
	f := newFakeS3(t)
	unsigned := 0
	f.refuse = func(r *http.Request) bool {
		if r.Method == http.MethodPut && r.Header.Get("X-Amz-Content-Sha256") == "UNSIGNED-PAYLOAD" {
			unsigned++
		}
		return false
	}
	o := f.options("put-4k")
	o.UnsignedPayload, o.Concurrency = true, 1
	if got := ran(t, o); got.Errors != 0 || unsigned != 60 {
		t.Errorf("%d unsigned of 60, %d errors", unsigned, got.Errors)
	}
}

// TestWrongBytes: whatever a store gets wrong must be counted as wrong bytes.
func TestWrongBytes(t *testing.T) {
	flip := func(at int) func(string, []byte) []byte {
		return func(_ string, b []byte) []byte {
			b[(at+len(b))%len(b)] ^= 1
			return b
		}
	}
	tests := []struct {
		name, work string
		lie        func(string, []byte) []byte
		tweak      func(*fakeS3)
		want       string
	}{
		{name: "first byte", work: "get-4k", lie: flip(0), want: "differs at byte 0 of 4096"},
		{name: "last byte", work: "get-4k", lie: flip(-1), want: "differs at byte 4095 of 4096"},
		{name: "deep inside", work: "get-1m", lie: flip(700_001), want: "differs at byte 700001 of 1048576"},
		{name: "too short", work: "get-4k", lie: func(_ string, b []byte) []byte { return b[:4000] }, want: "ends after 4000 of 4096"},
		{name: "too long", work: "get-4k", lie: func(_ string, b []byte) []byte { return append(b, 0) }, want: "more than its 4096"},
		{name: "empty", work: "get-4k", lie: func(_ string, b []byte) []byte { return nil }, want: "ends after 0 of 4096"},
		{name: "cells swapped", work: "get-1m", lie: func(_ string, b []byte) []byte {
			return append(append(append([]byte{}, b[131072:262144]...), b[:131072]...), b[262144:]...)
		}, want: "differs at byte 0"},
		{name: "put read back", work: "put-4k", lie: flip(5), want: "reading back: wrong bytes"},
		{name: "mixed", work: "mixed", lie: flip(5), want: "differs at byte 5"},
		{name: "listing", work: "list", tweak: func(f *fakeS3) { f.hideKey = "07" }, want: "has 19 keys, not 20"},
		{name: "not deleted", work: "delete", tweak: func(f *fakeS3) { f.keepDeleted = true }, want: "was deleted and is not gone"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFakeS3(t)
			f.lie = tt.lie
			if tt.tweak != nil {
				tt.tweak(f)
			}
			o := f.options(tt.work)
			o.Keep, o.Requests = true, 6
			r, err := Run(context.Background(), o)
			if err != nil {
				t.Fatal(err)
			}
			got := r.Works[0].Sides[0]
			failed, corrupt := r.Failed()
			if corrupt == 0 || failed != corrupt || got.Corrupt != corrupt {
				t.Errorf("%d failed, %d corrupt", failed, corrupt)
			}
			found := false
			for m := range got.Messages {
				found = found || strings.Contains(m, tt.want)
			}
			if !found {
				t.Errorf("no error says %q: %v", tt.want, got.Messages)
			}
		})
	}
}

// TestRefusals: errors are counted and told apart, and do not count for rates.
func TestRefusals(t *testing.T) {
	f := newFakeS3(t)
	n := 0
	f.refuse = func(r *http.Request) bool {
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/round") {
			n++
			return n%3 == 0
		}
		return false
	}
	o := f.options("put-4k")
	o.Concurrency = 1
	got := ran(t, o)
	if got.Operations != 40 || got.Errors != 20 || got.Corrupt != 0 {
		t.Errorf("figures: %+v", got)
	}
	if got.Messages["503 SlowDown: Please reduce your request rate."] != 20 {
		t.Errorf("messages: %v", got.Messages)
	}
}

func TestFailedUploadIsAborted(t *testing.T) {
	f := newFakeS3(t)
	f.refuse = func(r *http.Request) bool { return r.URL.Query().Get("partNumber") == "2" }
	o := f.options("multipart-64m")
	o.Requests, o.Rounds, o.UnsignedPayload = 1, 1, true
	got := ran(t, o)
	if got.Operations != 0 || got.Errors != 1 || got.ServerCPUms != nil || got.ClientCPUms != nil {
		t.Errorf("figures: %+v", got)
	}
	if f.count("abort") != 1 || len(f.uploads) != 0 {
		t.Errorf("%d aborted, %d left", f.count("abort"), len(f.uploads))
	}
}

func TestSessionErrors(t *testing.T) {
	f := newFakeS3(t)
	badKey := f.options("put-4k")
	badKey.Endpoint.Credential = credential("AKIAOTHER", testSecret, "")
	nobody := f.options("put-4k")
	nobody.Endpoint.URLs = []string{"http://127.0.0.1:1"}
	noProcess := f.options("put-4k")
	noProcess.Endpoint.PIDs = []int{1 << 30}
	for _, tt := range []struct {
		o    Options
		want string
	}{
		{badKey, "endpoint A: cannot create bucket"},
		{nobody, "endpoint A: nothing answers at http://127.0.0.1:1"},
		{noProcess, "endpoint A: process 1073741824"},
	} {
		_, err := Run(context.Background(), tt.o)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error %v, not %q", err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), testSecret) {
			t.Error("the error has the secret in it")
		}
	}
}

// TestBucketThatWasThere: the session's objects go, all others and the bucket stay.
func TestBucketThatWasThere(t *testing.T) {
	f := newFakeS3(t)
	f.buckets["mine"] = map[string][]byte{"precious": []byte("1")}
	o := f.options("put-4k", "get-4k")
	o.Bucket = "mine"
	if _, err := Run(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	if b := f.buckets["mine"]; len(b) != 1 || string(b["precious"]) != "1" {
		t.Errorf("left: %d objects", len(b))
	}
	delete(f.buckets["mine"], "precious")
	if _, err := Run(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	if f.buckets["mine"] == nil {
		t.Error("an empty bucket was deleted that was there before")
	}
}

func TestKeep(t *testing.T) {
	f := newFakeS3(t)
	o := f.options("put-4k")
	o.Keep, o.Bucket = true, "kept"
	if _, err := Run(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	if len(f.buckets["kept"]) != 60 {
		t.Errorf("%d objects kept, not 60", len(f.buckets["kept"]))
	}
}

// TestInterrupt: a session that is stopped reports what it has, and cleans up.
func TestInterrupt(t *testing.T) {
	f := newFakeS3(t)
	ctx, cancel := context.WithCancelCause(context.Background()) // as signal.NotifyContext does
	n := 0
	f.refuse = func(r *http.Request) bool {
		if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/round2/") {
			if n++; n == 10 {
				cancel(errors.New("interrupt signal received"))
			}
		}
		return false
	}
	o := f.options("put-4k", "get-4k")
	o.Concurrency = 1
	r, err := Run(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Interrupted || len(r.Works) != 1 || r.Works[0].Sides[0].Rounds != 2 {
		t.Fatalf("report: %+v", r)
	}
	if got := r.Works[0].Sides[0]; got.Errors != 0 || got.Operations < 39 || got.Operations > 40 {
		t.Errorf("figures: %+v", got)
	}
	if len(f.buckets) != 0 {
		t.Error("the bucket was left behind")
	}
}

func TestLimits(t *testing.T) {
	f := newFakeS3(t)
	o := f.options("put-4k")
	o.Requests, o.MaxBytes, o.Concurrency, o.Warmup = 0, 40*kib, 1, time.Minute
	if got := ran(t, o); got.Operations != 20 || got.Errors != 0 {
		t.Errorf("10 objects of 4 KiB in each of two rounds, not %+v", got)
	}
	if n := f.count("put"); n != 20+2 { // the warm-up stores an eighth: 5 KiB
		t.Errorf("%d puts", n)
	}
	o.MaxBytes, o.Duration, o.Warmup = 1<<30, 20*time.Millisecond, 0
	if got := ran(t, o); got.Rounds != 2 || got.Errors != 0 {
		t.Errorf("a run that ends by its time: %+v", got)
	}
}

// TestAgainst: two endpoints are loaded in turn, A B B A A B.
func TestAgainst(t *testing.T) {
	a, b := newFakeS3(t), newFakeS3(t)
	var sequence []string
	note := func(name string) func(*http.Request) bool {
		return func(r *http.Request) bool {
			if i := strings.Index(r.URL.Path, "/round"); i > 0 && r.Method == http.MethodPut {
				if s := name + r.URL.Path[i+6:i+7]; len(sequence) == 0 || sequence[len(sequence)-1] != s {
					sequence = append(sequence, s)
				}
			}
			return false
		}
	}
	a.refuse, b.refuse = note("A"), note("B")
	o := a.options("put-4k")
	o.Rounds, o.Concurrency = 3, 1
	against := b.options().Endpoint
	o.Against = &against
	r, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(sequence, " "); got != "A1 B1 B2 A2 A3 B3" {
		t.Errorf("sequence %s", got)
	}
	w := r.Works[0]
	if w.Ratio == nil || w.Ratio.OpsPerSec == nil || w.Ratio.OpsPerSec.Rounds != 3 || w.Ratio.ServerCPU != nil {
		t.Errorf("ratio: %+v", w.Ratio)
	}
	if len(r.Endpoints) != 2 || r.Endpoints[1].Server != "FakeS3/1" {
		t.Errorf("endpoints: %+v", r.Endpoints)
	}
}

// TestAgainstItself: both may be one store, and one bucket.
func TestAgainstItself(t *testing.T) {
	for _, bucket := range []string{"", "one"} {
		f := newFakeS3(t)
		o := f.options("get-4k", "delete")
		against := o.Endpoint
		o.Against, o.Bucket = &against, bucket
		r, err := Run(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		if failed, _ := r.Failed(); failed != 0 {
			t.Errorf("%d errors: %+v", failed, r.Works)
		}
		if len(f.buckets) != 0 {
			t.Error("a bucket was left behind")
		}
	}
}

// TestForeignListing: a store that lists more than it was asked for must not make
// the session delete it.
func TestForeignListing(t *testing.T) {
	f := newFakeS3(t)
	o := f.options("put-4k")
	s, err := newSide("A", o.Endpoint, "b", "bench-x/", &o)
	if err != nil {
		t.Fatal(err)
	}
	f.buckets["b"] = map[string][]byte{"precious": nil}
	f.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if q.Has("prefix") {
			r2 := r.Clone(r.Context())
			r2.URL.RawQuery = "list-type=2&max-keys=1000"
			f.mu.Lock()
			defer f.mu.Unlock()
			f.list(w, r2, f.buckets["b"])
			return
		}
		f.ServeHTTP(w, r)
	})
	if err := s.clear(context.Background(), "bench-x/"); err == nil || !strings.Contains(err.Error(), "precious") {
		t.Errorf("error %v", err)
	}
	if len(f.buckets["b"]) != 1 {
		t.Error("it was deleted")
	}
}

// TestExpiry: the endpoint is compared with itself, as A while objects expire.
func TestExpiry(t *testing.T) {
	for _, all := range []bool{false, true} {
		f := newFakeS3(t)
		f.expires = all
		o := f.options("put-4k")
		o.Expire, o.Rounds = 20, 3
		r, err := Run(context.Background(), o)
		if err != nil {
			t.Fatal(err)
		}
		a, b := r.Works[0].Sides[0], r.Works[0].Sides[1]
		if a.ItemsPerSec <= 0 || b.ItemsPerSec != 0 || a.Operations != 90 || b.Operations != 90 || r.Works[0].Ratio.P99 == nil {
			t.Errorf("%+v, %+v, %+v", a, b, r.Works[0].Ratio)
		}
		if e := r.Endpoints; !strings.Contains(e[0].Beside, "20 objects") || e[1].Beside != "" || len(e[1].Warnings) > 0 || (len(e[0].Warnings) == 3) != all {
			t.Errorf("%+v", e)
		}
		if n, m := f.count("PUT lifecycle"), f.count("DELETE lifecycle"); n != 3 || m != 3 {
			t.Errorf("%d rules, %d taken away", n, m)
		}
		if len(f.buckets) != 0 {
			t.Errorf("left behind: %d buckets", len(f.buckets))
		}
	}
}
