package backup

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/s3api/sig"
)

// TestBrokenAnswers: what a store's answers broke off of is asked for again, and what was
// replaced meanwhile is not taken for it.
func TestBrokenAnswers(t *testing.T) {
	body := make([]byte, 100_000)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range body {
		body[i] = byte(rng.Uint32())
	}
	var asked atomic.Int64
	tag := `"one"`
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/box/some/where/x/") {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("ETag", tag)
		if asked.Add(1)%2 == 1 {
			w = &breakingWriter{w, 1 + rng.IntN(20_000)}
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	}))
	defer store.Close()
	b, err := OpenS3(S3{Endpoint: store.URL, Region: "r", Bucket: "box", Prefix: "/some/where/", Cred: sig.Credential{AccessKey: "a", Secret: sig.NewSecret("s")}})
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		off := rng.Int64N(int64(len(body)))
		length := rng.Int64N(int64(len(body)) - off + 1)
		want := body[off:][:length]
		if rng.IntN(3) == 0 {
			length, want = -1, body[off:]
		}
		r, err := b.Open(t.Context(), "x/1", off, length)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		if err := errors.Join(err, r.Close()); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d+%d: %d bytes, want %d: %v", off, length, len(got), len(want), err)
		}
	}
	if asked.Load() < 70 {
		t.Errorf("the answers broke off %d times in all", asked.Load()-50)
	}
	if _, err := b.Open(t.Context(), "y", 0, -1); !errors.Is(err, ErrNotFound) {
		t.Errorf("what is not there: %v", err)
	}
	asked.Store(0)
	r, err := b.Open(t.Context(), "x/1", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	tag = `"another"`
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	r.(*resuming).ctx = ctx
	if _, err := io.ReadAll(r); err == nil {
		t.Error("what was replaced meanwhile was taken for the rest")
	}
}

// breakingWriter breaks an answer off.
type breakingWriter struct {
	http.ResponseWriter
	left int
}

func (b *breakingWriter) Write(p []byte) (int, error) {
	n, err := b.ResponseWriter.Write(p[:min(len(p), b.left)])
	if b.left -= n; b.left == 0 {
		_ = http.NewResponseController(b.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	return n, err
}

// TestDirectory: what is put is there, whole, or nothing is; what is not as announced gets no
// name.
func TestDirectory(t *testing.T) {
	fs := vfs.NewCrashableMem()
	d := OpenDirectory(fs, "/a/b")
	for _, name := range []string{"packs/x", "points/2", "points/1"} {
		if err := d.Put(t.Context(), name, contentOf([]byte(name))); err != nil {
			t.Fatal(err)
		}
	}
	for what, c := range map[string]Content{
		"too long":  {Size: 3, Sum: contentOf([]byte("abcd")).Sum, Open: contentOf([]byte("abcd")).Open},
		"too short": {Size: 5, Sum: contentOf([]byte("abcd")).Sum, Open: contentOf([]byte("abcd")).Open},
		"another":   {Size: 4, Sum: contentOf([]byte("abcd")).Sum, Open: contentOf([]byte("abce")).Open},
	} {
		if err := d.Put(t.Context(), "points/1", c); err == nil {
			t.Errorf("%s was put", what)
		}
	}
	if err := d.Put(t.Context(), "../out", contentOf(nil)); err == nil {
		t.Error("a name that leads out was put")
	}
	after := OpenDirectory(fs.CrashClone(vfs.CrashCloneCfg{}), "/a/b")
	items, err := after.List(t.Context(), "")
	if want := []Item{{"packs/x", 7}, {"points/1", 8}, {"points/2", 8}}; err != nil || !slices.Equal(items, want) {
		t.Errorf("behind a power cut there are %v, %v", items, err)
	}
	if b, err := readAll(t.Context(), after, "points/1", 8); err != nil || string(b) != "points/1" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := readAll(t.Context(), after, "points/1", 7); !errors.Is(err, ErrDamaged) {
		t.Errorf("beyond the limit: %v", err)
	}
	if _, err := after.Open(t.Context(), "points/3", 0, -1); !errors.Is(err, ErrNotFound) {
		t.Errorf("what is not there: %v", err)
	}
	if some, err := after.List(t.Context(), "points/"); err != nil || len(some) != 2 {
		t.Errorf("a list: %v, %v", some, err)
	}
}

// TestClaim: a target is one cluster's, in one epoch of its ledger.
func TestClaim(t *testing.T) {
	d := OpenDirectory(vfs.NewMem(), "/a")
	mine := testPoint().Source
	for range 2 {
		if err := claim(t.Context(), d, mine); err != nil {
			t.Fatal(err)
		}
	}
	for what, change := range map[string]func(*Source){
		"another cluster": func(s *Source) { s.Cluster = strings.Repeat("cd", 16) },
		"another epoch":   func(s *Source) { s.Origin += "/2" },
		"another key":     func(s *Source) { s.Key += "A" },
	} {
		s := mine
		change(&s)
		if err := claim(t.Context(), d, s); err == nil {
			t.Errorf("%s was let in", what)
		}
	}
	orphan := OpenDirectory(vfs.NewMem(), "/a")
	if err := putSealed(t.Context(), orphan, PointName(300), testPoint()); err != nil {
		t.Fatal(err)
	}
	if err := claim(t.Context(), orphan, mine); !errors.Is(err, ErrDamaged) {
		t.Errorf("a target with points and without identity: %v", err)
	}
}
