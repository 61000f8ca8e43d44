package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ironman/s3api"
	"ironman/s3api/accesslog"
)

// delivery is where the lines of a test go.
type delivery struct {
	*accessLogs
	said strings.Builder // by the log

	mu      sync.Mutex
	answers []error // of the next deliveries; then there are no errors
	objects []string
	results map[string]int
}

func newDelivery(limit int) *delivery {
	d := &delivery{results: make(map[string]int)}
	d.accessLogs = newAccessLogs(&Options{AccessLogEvery: time.Hour, AccessLogBytes: limit, Logger: slog.New(slog.NewTextHandler(&d.said, nil))}, d.take1, func(result string, n int) {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.results[result] += n
	})
	return d
}

func (d *delivery) take1(_ context.Context, o *s3api.LogObject) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.answers) > 0 {
		err := d.answers[0]
		d.answers = d.answers[1:]
		if err != nil {
			return err
		}
	}
	b, err := io.ReadAll(o.Body)
	if int64(len(b)) != o.Size {
		err = fmt.Errorf("%d bytes, not %d", len(b), o.Size)
	}
	d.objects = append(d.objects, o.Of.Name+" "+o.Day.Format(time.DateOnly)+" "+strings.ReplaceAll(string(b), "\n", ";"))
	return err
}

// taken are the objects that were delivered since the last time.
func (d *delivery) taken() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := d.objects
	d.objects = nil
	return all
}

func source(name string) accesslog.Source {
	return accesslog.Source{Name: name, Owner: "o", Config: "<BucketLoggingStatus/>"}
}

// TestAccessLogsObjects: an object has the lines of one bucket, of one configuration and
// day, in the order in which they came; the piles that are oldest go first.
func TestAccessLogsObjects(t *testing.T) {
	d := newDelivery(1 << 20)
	midnight := time.Date(2026, 2, 7, 0, 0, 0, 0, time.FixedZone("utc", 0))
	d.Add(source("b"), midnight, []byte("1\n"))
	d.Add(source("a"), midnight.Add(-1), []byte("2\n"))
	d.Add(source("b"), midnight.Add(time.Hour), []byte("3\n"))
	d.Add(source("a"), midnight, []byte("4\n"))
	other := source("a")
	other.Config = "other"
	d.Add(other, midnight, []byte("5\n"))
	d.round(t.Context(), false)
	if got := d.taken(); len(got) > 0 {
		t.Errorf("delivered out of turn: %q", got)
	}
	d.round(t.Context(), true)
	want := []string{"b 2026-02-07 1;3;", "a 2026-02-06 2;", "a 2026-02-07 4;", "a 2026-02-07 5;"}
	if got := d.taken(); !slices.Equal(got, want) {
		t.Errorf("delivered %q", got)
	}
	d.round(t.Context(), true)
	if got := d.taken(); len(got) > 0 || d.held() != 0 || d.results[linesDelivered] != 5 {
		t.Errorf("then %q, %v bytes held, %v", got, d.held(), d.results)
	}
}

// TestAccessLogsErrors: what is refused is dropped and counted, and said once; after what
// may pass everything that is left waits, what failed behind the others.
func TestAccessLogsErrors(t *testing.T) {
	d := newDelivery(1 << 20)
	now := time.Unix(0, 0)
	for _, name := range []string{"a", "b", "c", "d"} {
		d.Add(source(name), now, []byte(name+"\n"))
	}
	refused := fmt.Errorf("%w: no such bucket", s3api.ErrLogRefused)
	d.answers = []error{refused, errors.New("no leader")}
	d.round(t.Context(), true)
	if got := d.taken(); len(got) > 0 || d.results[linesRefused] != 1 || d.held() == 0 {
		t.Errorf("delivered %q, %v", got, d.results)
	}
	if said := d.said.String(); strings.Count(said, "\n") != 2 || !strings.Contains(said, "bucket=a") || !strings.Contains(said, "no such bucket") || !strings.Contains(said, "objects=3") {
		t.Error(said)
	}
	d.Add(source("e"), now, []byte("e\n"))
	d.answers = []error{nil, nil, refused}
	d.round(t.Context(), true)
	if got := d.taken(); !slices.Equal(got, []string{"c 1970-01-01 c;", "d 1970-01-01 d;", "e 1970-01-01 e;"}) || d.results[linesRefused] != 2 || d.held() != 0 {
		t.Errorf("then %q, %v, %v bytes held", got, d.results, d.held())
	}
}

// TestAccessLogsBound: lines never take more than the limit, those that are under way
// included; the others are dropped and counted, and nobody waits.
func TestAccessLogsBound(t *testing.T) {
	const limit, writers, each = 64 << 10, 8, 400
	d := newDelivery(limit)
	d.answers = []error{errors.New("no leader")}
	line := []byte(strings.Repeat("x", 99) + "\n")
	var wait sync.WaitGroup
	for i := range writers {
		wait.Go(func() {
			for n := range each {
				d.Add(source(fmt.Sprint(i)), time.Unix(0, 0), line)
				if n == each/2 && i == 0 {
					d.round(t.Context(), true)
				}
				if held := d.held(); held > limit {
					t.Errorf("%v bytes are held", held)
				}
			}
		})
	}
	wait.Wait()
	held, capacity := 0, 0
	for _, p := range append(slices.Clone(d.ready), d.order...) {
		held += p.lines
		for _, c := range p.chunks {
			capacity += cap(c)
		}
	}
	// Piles that were shut may have an almost empty last chunk, which is half of a pile: what
	// is held depends on who came first, but is more than a fifth.
	if capacity > limit || held*len(line) < limit/5 || held+d.results[linesFull] != writers*each {
		t.Errorf("%d lines are held in %d bytes, %d were dropped", held, capacity, d.results[linesFull])
	}
	before := d.results[linesFull]
	d.Add(source("large"), time.Unix(0, 0), make([]byte, limit))
	d.Add(source(strings.Repeat("n", limit)), time.Unix(0, 0), line)
	if d.results[linesFull] != before+2 {
		t.Error("there was room for more than there is")
	}
	d.round(t.Context(), true)
	d.Add(source("0"), time.Unix(0, 0), line)
	if d.results[linesDelivered] != held || len(d.order) != 1 || !strings.Contains(d.said.String(), "no room") {
		t.Errorf("%d of %d lines were delivered, %d piles are left\n%s", d.results[linesDelivered], held, len(d.order), &d.said)
	}
}

// TestAccessLogsOutOfTurn: much is delivered before its time.
func TestAccessLogsOutOfTurn(t *testing.T) {
	for name, c := range map[string]struct {
		limit, lines, buckets int
		some                  bool // is delivered
	}{
		"little":           {1 << 30, 20, 20, false},
		"a large pile":     {1 << 30, 200, 1, true},
		"many small piles": {1 << 20, 40, 40, true},
	} {
		d := newDelivery(c.limit)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			d.run(ctx)
		}()
		for i := range c.lines {
			d.Add(source(fmt.Sprint(i%c.buckets)), time.Unix(0, 0), make([]byte, 32<<10))
		}
		delivered := func() bool {
			d.mu.Lock()
			defer d.mu.Unlock()
			return d.results[linesDelivered] > 0
		}
		for end := time.Now().Add(10 * time.Second); c.some && !delivered() && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		cancel()
		<-done
		if delivered() != c.some {
			t.Errorf("%s: %v", name, d.results)
		}
	}
}

// TestAccessLogsStop: a node that stops delivers what there is, and says what it could not.
func TestAccessLogsStop(t *testing.T) {
	d := newDelivery(1 << 20)
	d.Add(source("a"), time.Unix(0, 0), []byte("a\n"))
	d.Add(source("b"), time.Unix(0, 0), []byte("b\n"))
	d.answers = []error{nil, errors.New("no leader")}
	d.stop(t.Context())
	d.Add(source("c"), time.Unix(0, 0), []byte("c\n"))
	if got := d.taken(); len(got) != 1 || d.results[linesDelivered] != 1 || d.results[linesStopped] != 2 || d.held() != 0 || !strings.Contains(d.said.String(), "lines=1") {
		t.Errorf("%q, %v, %v bytes held\n%s", got, d.results, d.held(), &d.said)
	}
	d = newDelivery(1 << 20)
	d.Add(source("a"), time.Unix(0, 0), []byte("a\n"))
	d.turn <- struct{}{} // a delivery hangs
	over, cancel := context.WithCancel(t.Context())
	cancel()
	d.stop(over)
	if d.results[linesStopped] != 1 {
		t.Errorf("%v", d.results)
	}
}

// BenchmarkAccessLogsAdd is what a request pays for a place in the log, beside others.
func BenchmarkAccessLogsAdd(b *testing.B) {
	d := newDelivery(64 << 20)
	d.deliver = func(context.Context, *s3api.LogObject) error { return nil }
	ctx, cancel := context.WithCancel(b.Context())
	var done sync.WaitGroup
	done.Go(func() { d.run(ctx) })
	defer done.Wait()
	defer cancel()
	line := []byte(strings.Repeat("x", 499) + "\n")
	of := source("bucket")
	of.Config = strings.Repeat("c", 300)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			d.Add(of, time.Unix(0, 0), line)
		}
	})
}
