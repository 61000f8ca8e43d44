package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// procfs is where Linux shows its processes.
const procfs = "/proc"

// side is one of the endpoints of a session, and what is known of its server.
type side struct {
	name     string // A or B
	endpoint Endpoint
	admin    []*url.URL
	asker    *http.Client // of admin
	client   *client
	prefix   string // of everything that the session stores
	opened   bool   // the bucket is there
	created  bool   // the bucket is ours
	syncs    bool   // the server counts its syncs
	warnings []string
	expires  int // objects that a rule removes beside each run; 0: nothing goes on beside
}

func newSide(name string, e Endpoint, bucket, prefix string, o *Options) (*side, error) {
	bases, err := parseAddresses(e.URLs, o.AllowRemote)
	if err != nil {
		return nil, err
	}
	s := &side{name: name, endpoint: e, prefix: prefix, client: newClient(e, bases, bucket, o)}
	if s.admin, err = parseAddresses(e.Admin, o.AllowRemote); err != nil {
		return nil, err
	}
	s.asker = &http.Client{
		Transport:     s.client.transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return s, nil
}

// open makes sure that the endpoint is there and has the bucket.
func (s *side) open(ctx context.Context) error {
	for _, u := range s.client.bases {
		if err := dialTarget(u); err != nil {
			return err
		}
	}
	if len(s.endpoint.PIDs) > 0 {
		u, err := readUsage(procfs, s.endpoint.PIDs)
		if err != nil {
			return err
		}
		if !u.io {
			s.warnings = append(s.warnings, "the processes' io cannot be read: no figures of writes")
		}
	}
	s.openAdmin(ctx)
	// Some stores let an owner create a bucket again: whether it was there must be
	// known, or the session would delete it.
	if _, err := s.client.discard(ctx, &call{method: http.MethodHead}); err != nil {
		if _, err := s.client.discard(ctx, s.createBucket()); err != nil {
			return fmt.Errorf("cannot create bucket %s: %w", s.client.bucket, err)
		}
		s.created = true
	}
	s.opened = true
	return nil
}

func (s *side) createBucket() *call {
	q := call{method: http.MethodPut}
	if r := s.endpoint.Region; r != "us-east-1" {
		q = q.withBody([]byte("<CreateBucketConfiguration><LocationConstraint>" + escapeXML(r) +
			"</LocationConstraint></CreateBucketConfiguration>"))
	}
	return &q
}

func (s *side) openAdmin(ctx context.Context) {
	if len(s.admin) == 0 {
		return
	}
	_, err := readSyncs(ctx, s.asker, s.admin, s.endpoint.Credential)
	if s.syncs = err == nil; !s.syncs {
		s.warnings = append(s.warnings, "no figures of syncs: "+clip(err.Error(), 300))
	}
}

// retry calls f until it succeeds, five times at most, unless the endpoint refuses
// for good.
func retry(ctx context.Context, f func() error) error {
	for n := 1; ; n++ {
		err := f()
		var no *refusal
		if err == nil || n == 5 || ctx.Err() != nil || isCorruption(err) || errors.As(err, &no) && no.status < 500 {
			return err
		}
		pause(ctx, 6+n, time.Now().Add(time.Second))
	}
}

// fill stores the objects that a stage needs.
func (s *stage) fill(ctx context.Context, progress func(done int64)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, time.Hour, errors.New("took more than an hour"))
	defer cancel()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var next, done atomic.Int64
	var all sync.WaitGroup
	for i := range max(s.conns, min(64, int(256*mib/max(s.work.sent, kib)))) {
		all.Go(func() {
			w := s.newWorker(i, "fill", 0)
			for n := int(next.Add(1) - 1); n < s.objects && ctx.Err() == nil; n = int(next.Add(1) - 1) {
				key := s.key(n)
				if err := retry(ctx, func() error { return w.put(ctx, key, s.work.sizeOf(key)) }); err != nil {
					fail(err)
					return
				}
				progress(done.Add(1))
			}
		})
	}
	all.Wait()
	if ctx.Err() != nil {
		return fmt.Errorf("storing the %d objects that %s needs: %w", s.objects, s.work.name, context.Cause(ctx))
	}
	return nil
}

// clear deletes everything under a prefix.
func (s *side) clear(ctx context.Context, prefix string) error {
	var page bytes.Buffer
	for last, again := "", 0; ; {
		err := retry(ctx, func() error {
			_, err := s.client.listPage(ctx, 0, prefix, "", &page)
			return err
		})
		if err != nil {
			return fmt.Errorf("listing what is to be deleted: %w", err)
		}
		keys := listedKeys(page.Bytes())
		if len(keys) == 0 {
			return nil
		}
		for _, k := range keys {
			if !strings.HasPrefix(k, prefix) {
				return fmt.Errorf("the listing of %s has %s: nothing more is deleted", prefix, clip(k, 200))
			}
		}
		if again++; keys[0] != last {
			last, again = keys[0], 0
		}
		if again == 5 {
			return fmt.Errorf("%s was deleted and is still listed", clip(last, 200))
		}
		if err := retry(ctx, func() error { return s.client.removeAll(ctx, 0, keys, &page) }); err != nil {
			return fmt.Errorf("deleting: %w", err)
		}
	}
}

// listedKeys returns the keys of a listing. Those made here need no decoding.
func listedKeys(page []byte) []string {
	var keys []string
	for {
		_, rest, ok := bytes.Cut(page, []byte("<Key>"))
		if !ok {
			return keys
		}
		key, rest, ok := bytes.Cut(rest, []byte("</Key>"))
		if !ok {
			return keys
		}
		keys = append(keys, string(key))
		page = rest
	}
}

// close deletes what the session has stored, and the bucket if it made it.
func (s *side) close(ctx context.Context) error {
	defer s.client.transport.CloseIdleConnections()
	if err := s.clear(ctx, s.prefix); err != nil {
		return err
	}
	if !s.created {
		return nil
	}
	drop := func() error {
		_, err := s.client.discard(ctx, &call{method: http.MethodDelete})
		return err
	}
	err := retry(ctx, drop)
	var no *refusal
	if errors.As(err, &no) && no.code == "BucketNotEmpty" {
		// A request that was cut off may have been carried out since.
		if err := s.clear(ctx, s.prefix); err != nil {
			return err
		}
		err = retry(ctx, drop)
	}
	return err
}

// costs are what the servers and the generator have used up to a moment. NaN: unknown.
type costs struct {
	server, generator   float64 // seconds of processor time
	dirtied, writes     float64
	syncs               float64
	residentMax, peakOf float64 // bytes
}

// readCosts looks at all sources of figures.
func (s *side) readCosts(ctx context.Context) costs {
	nan := math.NaN()
	c := costs{nan, nan, nan, nan, nan, nan, nan}
	if u, err := readUsage(procfs, []int{os.Getpid()}); err == nil {
		c.generator = u.cpu.Seconds()
	}
	if len(s.endpoint.PIDs) > 0 {
		if u, err := readUsage(procfs, s.endpoint.PIDs); err == nil {
			c.server, c.residentMax, c.peakOf = u.cpu.Seconds(), float64(u.resident), float64(u.peak)
			if u.io {
				c.dirtied, c.writes = float64(u.dirtied), float64(u.writes)
			}
		}
	}
	if s.syncs {
		if n, err := readSyncs(ctx, s.asker, s.admin, s.endpoint.Credential); err == nil {
			c.syncs = n
		}
	}
	return c
}

// since returns what was used between an earlier moment and this one; memory is not
// a difference.
func (c costs) since(e costs) costs {
	c.server -= e.server
	c.generator -= e.generator
	c.dirtied -= e.dirtied
	c.writes -= e.writes
	c.syncs -= e.syncs
	return c
}
