package mirror

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"ironman/s3api/sig"
	"ironman/wal/event"
)

// TestParsePage: an answer of the feed without its last line is none.
func TestParsePage(t *testing.T) {
	const event = `{"seq":7,"kind":"object_put","keys":["k"],"bucket_id":3}` + "\n"
	events, next, err := parsePage([]byte(event + `{"next":9,"more":true}` + "\n"))
	if err != nil || next != 9 || len(events) != 1 || events[0].Seq != 7 || !slices.Equal(events[0].Keys, []string{"k"}) {
		t.Errorf("%+v, %d, %v", events, next, err)
	}
	for _, broken := range []string{"", event, event + `{"next":`, event + `{"seq":8,`} {
		if _, _, err := parsePage([]byte(broken)); err == nil {
			t.Errorf("%q is taken for an answer", broken)
		}
	}
	if !passing(errBrokeOff) {
		t.Error("an answer that broke off is not asked for again")
	}
}

// TestPassing: what another try may change is tried again.
func TestPassing(t *testing.T) {
	for _, tc := range []struct {
		err  error
		want bool
	}{
		{&refusal{status: 503}, true}, {&refusal{status: 500}, true}, {&refusal{status: 408}, true}, {errors.New("connection refused"), true},
		{&refusal{status: 501}, false}, {&refusal{status: 403}, false}, {&refusal{status: 412}, false}, {final("no"), false},
		{moved(&refusal{status: 412}), false}, {forgotten(&refusal{status: 400, message: "it is not kept any more"}), false},
	} {
		if passing(tc.err) != tc.want {
			t.Errorf("%v: %v", tc.err, !tc.want)
		}
	}
	if err := forgotten(&refusal{status: 400, message: "another"}); errors.Is(err, errForgotten) {
		t.Error("any refusal is taken for a moment that is not kept")
	}
	if got := escape("a b/ü+%~"); got != "a%20b/%C3%BC%2B%25~" {
		t.Errorf("a key is written %s", got)
	}
}

// TestKinds: of each kind of event that is about a bucket somebody has decided what it does to objects. One
// that is not decided has the whole bucket compared whenever it comes.
func TestKinds(t *testing.T) {
	changes := []string{"object_put", "objects_deleted", "object_tags_set", "object_renamed", "object_appended", "objects_expired", "objects_restored", "transaction_committed", "upload_completed"}
	hardly := []string{"object_acl_set", "object_lock_set"} // they name keys, of which the mirror shows nothing that they change
	fields := (&event.Statement{}).ProtoReflect().Descriptor().Oneofs().ByName("body").Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		kind := string(f.Name())
		if f.Message().Fields().ByName("bucket") == nil && kind != "bucket_created" {
			continue
		}
		n := 0
		for _, is := range []bool{slices.Contains(changes, kind), slices.Contains(hardly, kind), keepsObjects(kind)} {
			if is {
				n++
			}
		}
		if n != 1 || slices.Contains(changes, kind) && !changesObjects(kind) || slices.Contains(hardly, kind) && changesObjects(kind) {
			t.Errorf("it is not decided what %s does", kind)
		}
	}
}

// TestNoProgress: a feed that gives nothing and goes nowhere is not asked all the time.
func TestNoProgress(t *testing.T) {
	var asked atomic.Int64
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch q := r.URL.Query(); {
		case q.Get("from") == "end":
			_, _ = w.Write([]byte(`{"next":20}`))
		case q.Has("kind"):
			_, _ = w.Write([]byte(`{"seq":3,"kind":"bucket_created","time":"` + r.URL.Path + `"}` + "\n" + `{"next":4}`))
		case q.Has("feed"):
			asked.Add(1)
			_, _ = w.Write([]byte(`{"next":5,"more":true}`))
		case q.Has("feedCursor"):
			_, _ = w.Write([]byte(`{"next":5}`))
		case q.Has("list-type"):
			_, _ = w.Write([]byte("<ListBucketResult/>"))
		}
	}))
	defer s.Close()
	c, err := NewClient([]string{s.URL}, sig.Credential{AccessKey: "KEY", Secret: sig.NewSecret("a secret of a test")}, "us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	for _, follow := range []bool{false, true} {
		asked.Store(0)
		ctx, cancel := context.WithTimeout(t.Context(), 2*idlePause)
		m := &Mirror{Source: c, From: "from", Target: c, To: "to", Cursor: "c"}
		if err := m.Run(ctx, follow); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		cancel()
		if n := asked.Load(); n < 1 || n > 4 {
			t.Errorf("it was asked %d times", n)
		}
	}
}

// TestUnknownEvents: an event that names no key and of which nobody knows what it does has the
// whole bucket compared; one that is known to leave objects as they are has not.
func TestUnknownEvents(t *testing.T) {
	for kind, want := range map[string]bool{"bucket_acl_set": false, "upload_aborted": false, "history_trimmed": false, "history_retention_set": false, "bucket_from_the_future": true, "objects_deleted": true} {
		var mu sync.Mutex
		listed := false
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			defer mu.Unlock()
			switch q := r.URL.Query(); {
			case q.Has("feed"):
				_, _ = w.Write([]byte(`{"next":20}`))
			case q.Has("list-type"):
				listed = true
				_, _ = w.Write([]byte("<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"))
			case q.Has("feedCursor") && r.Method == http.MethodPut:
				_, _ = w.Write([]byte("{}"))
			default:
				http.Error(w, r.URL.String(), http.StatusBadRequest)
			}
		}))
		c, err := NewClient([]string{s.URL}, sig.Credential{AccessKey: "KEY", Secret: sig.NewSecret("a secret of a test")}, "us-east-1")
		if err != nil {
			t.Fatal(err)
		}
		m := &Mirror{Source: c, From: "from", Target: c, To: "to", Cursor: "c"}
		at, err := m.batch(context.Background(), 5, []Event{{Seq: 7, Kind: kind}}, 8)
		if err != nil || listed != want || at != map[bool]uint64{true: 20, false: 8}[want] {
			t.Errorf("%s: the cursor is at %d, the bucket was compared: %v; %v", kind, at, listed, err)
		}
		s.Close()
	}
	if !changesObjects("object_from_the_future") || changesObjects("part_put") || !strings.HasPrefix(markHeader, "X-Amz-Meta-") {
		t.Error("an event of a later release that names keys is passed over")
	}
}

// TestGone: that there is no such bucket, or an answer that nobody understands, removes nothing.
func TestGone(t *testing.T) {
	for code, want := range map[string]bool{"NoSuchKey": true, "NoSuchVersion": true, "NoSuchBucket": false, "": false} {
		var removed atomic.Bool
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case strings.HasPrefix(r.URL.Path, "/from/"):
				w.WriteHeader(http.StatusNotFound)
				_, _ = w.Write([]byte("<Error><Code>" + code + "</Code></Error>"))
			case r.Method == http.MethodHead:
				w.Header().Set("Etag", `"e"`)
				w.Header().Set(markHeader, `4 "e" `+(&Mirror{}).proof("k"))
			case r.Method == http.MethodDelete:
				removed.Store(true)
				w.WriteHeader(http.StatusNoContent)
			}
		}))
		c, err := NewClient([]string{s.URL}, sig.Credential{AccessKey: "KEY", Secret: sig.NewSecret("a secret of a test")}, "us-east-1")
		if err != nil {
			t.Fatal(err)
		}
		m := &Mirror{Source: c, From: "from", Target: c, To: "to"}
		err = m.bring(t.Context(), "k", 9, 8)
		if removed.Load() != want || (err == nil) != want {
			t.Errorf("%q: removed: %v, %v", code, removed.Load(), err)
		}
		if r := asRefusal(err); !want && (r == nil || passing(err) || r.code != code) {
			t.Errorf("%q: %v", code, err)
		}
		s.Close()
	}
}

// bodies counts the bodies of answers that were not closed.
type bodies struct {
	http.RoundTripper
	open atomic.Int64
}

type counted struct {
	io.ReadCloser
	once sync.Once
	of   *bodies
}

func (c *counted) Close() error {
	c.once.Do(func() { c.of.open.Add(-1) })
	return c.ReadCloser.Close()
}

func (b *bodies) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		b.open.Add(1)
		resp.Body = &counted{ReadCloser: resp.Body, of: b}
	}
	return resp, err
}

// TestAbortCloses: an upload that is aborted leaves no answer open, and with it no connection.
func TestAbortCloses(t *testing.T) {
	var aborted atomic.Bool
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch q := r.URL.Query(); {
		case q.Has("uploads"):
			_, _ = w.Write([]byte("<R><UploadId>u</UploadId></R>"))
		case r.Method == http.MethodDelete:
			aborted.Store(true)
		default:
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	defer s.Close()
	c, err := NewClient([]string{s.URL}, sig.Credential{AccessKey: "KEY", Secret: sig.NewSecret("a secret of a test")}, "us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	b := &bodies{RoundTripper: c.http.Transport}
	c.http.Transport = b
	m := &Mirror{Source: c, From: "from", Target: c, To: "to"}
	if err := m.putParts(t.Context(), "k", shown{}, []part{{0, 1}}, http.Header{}, 9); err == nil {
		t.Error("it was put")
	}
	if !aborted.Load() || b.open.Load() != 0 {
		t.Errorf("aborted: %v, %d bodies are open", aborted.Load(), b.open.Load())
	}
}

// TestNoHistory: a source whose past is not kept is told at the start.
func TestNoHistory(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch q := r.URL.Query(); {
		case q.Has("kind"):
			_, _ = w.Write([]byte(`{"seq":3,"kind":"bucket_created","time":"` + r.URL.Path + `"}` + "\n" + `{"next":4}`))
		case q.Has("feed"):
			_, _ = w.Write([]byte(`{"next":5}`))
		case q.Has("list-type") && r.Header.Get("X-Ironman-As-Of") != "":
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte("<Error><Code>InvalidArgument</Code><Message>The state at that moment is not kept any more.</Message></Error>"))
		default:
			t.Errorf("it goes on with %s %s", r.Method, r.URL)
		}
	}))
	defer s.Close()
	c, err := NewClient([]string{s.URL}, sig.Credential{AccessKey: "KEY", Secret: sig.NewSecret("a secret of a test")}, "us-east-1")
	if err != nil {
		t.Fatal(err)
	}
	err = (&Mirror{Source: c, From: "from", Target: c, To: "to", Cursor: "c"}).Run(t.Context(), true)
	if err == nil || !strings.Contains(err.Error(), "set a retention") {
		t.Errorf("%v", err)
	}
}
