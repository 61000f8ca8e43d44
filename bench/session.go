package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
)

// clearTime is how long removing objects may take at once.
const clearTime = 10 * time.Minute

// session is one call of Run.
type session struct {
	opts    *Options
	works   []work
	sides   []*side // A, or A and B
	content *content
	line    *progressLine
	report  *Report
}

// Run puts the endpoints under load and reports. It blocks until all works are done,
// or ctx ends: then the report has what was measured, and Interrupted is set. An
// error means that the session could not go on: the report, if not nil, has what was
// measured before. Whatever was stored is deleted on every way out, unless o.Keep.
func Run(ctx context.Context, o Options) (*Report, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	s, err := newSession(&o)
	if err != nil {
		return nil, err
	}
	defer s.line.clear()
	err = s.open(ctx)
	for i := 0; i < len(s.works) && err == nil; i++ {
		var r *WorkReport
		if r, err = s.measure(ctx, s.works[i]); r != nil {
			s.report.Works = append(s.report.Works, *r)
		}
	}
	if ctx.Err() != nil {
		s.report.Interrupted, err = true, nil
	}
	s.describe()
	return s.report, errors.Join(err, s.close(ctx))
}

func newSession(o *Options) (*session, error) {
	works, err := worksNamed(o.Works)
	if err != nil {
		return nil, err
	}
	id := strings.ToLower(rand.Text()[:10])
	s := &session{opts: o, works: works, content: newContent(o.Seed), line: &progressLine{out: o.Progress}}
	s.report = &Report{
		Date: time.Now().UTC().Truncate(time.Second), Machine: readMachine(procfs), Seed: o.Seed, Rounds: o.Rounds,
		RunSeconds: o.Duration.Seconds(), SignedPayload: !o.UnsignedPayload,
	}
	endpoints := []Endpoint{o.Endpoint}
	if o.Against != nil {
		endpoints = append(endpoints, *o.Against)
	}
	if o.Expire > 0 {
		endpoints = append(endpoints, o.Endpoint)
	}
	for i, e := range endpoints {
		name := string(rune('A' + i))
		own := id + "-" + strings.ToLower(name) // both may be the same store
		bucket := o.Bucket
		if bucket == "" {
			bucket = "ironman-bench-" + own
		}
		side, err := newSide(name, e, bucket, "bench-"+own+"/", o)
		if err != nil {
			return nil, err
		}
		s.sides = append(s.sides, side)
	}
	s.sides[0].expires = o.Expire
	return s, nil
}

func (s *session) open(ctx context.Context) error {
	for _, side := range s.sides {
		if err := side.open(ctx); err != nil {
			return fmt.Errorf("endpoint %s: %w", side.name, err)
		}
	}
	return nil
}

// close removes everything, in a time of its own even where ctx is over.
func (s *session) close(ctx context.Context) error {
	if s.opts.Keep {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), clearTime)
	defer cancel()
	var errs []error
	for _, side := range slices.Backward(s.sides) { // A made the bucket that both may use
		if !side.opened {
			continue
		}
		s.line.show("%s: removing objects", side.name)
		if err := side.close(ctx); err != nil {
			errs = append(errs, fmt.Errorf("endpoint %s: objects are left in bucket %s: %w", side.name, side.client.bucket, err))
		}
	}
	return errors.Join(errs...)
}

// describe adds to the report what the session learned of the endpoints.
func (s *session) describe() {
	for _, side := range s.sides {
		d := EndpointReport{Name: side.name, URLs: side.endpoint.URLs, Durability: side.endpoint.Durability, Warnings: side.warnings}
		if side.expires > 0 {
			d.Beside = fmt.Sprintf("a lifecycle rule removes up to %d objects in each round, in the bucket of the load (items/s)", side.expires)
		}
		if h := side.client.server.Load(); h != nil {
			d.Server = clip(*h, 100)
		}
		s.report.Endpoints = append(s.report.Endpoints, d)
	}
}

// order returns the sides in the order of a round: A B, B A, A B, ...
func order(sides []*side, round int) []int {
	out := make([]int, len(sides))
	for i := range sides {
		out[i] = i
		if round%2 == 1 {
			out[i] = len(sides) - 1 - i
		}
	}
	return out
}

// measure does all rounds of one work. The report is nil if there is nothing to tell.
func (s *session) measure(ctx context.Context, w work) (*WorkReport, error) {
	stages, err := s.prepare(ctx, w)
	if err != nil {
		return nil, err
	}
	results := make([][]*result, len(s.sides))
	for round := range s.opts.Rounds {
		for _, i := range order(s.sides, round) {
			r, err := s.runOnce(ctx, stages[i], round)
			if r != nil {
				results[i] = append(results[i], r)
			}
			if err == nil && ctx.Err() == nil {
				continue
			}
			if len(results[0]) == 0 && len(results[len(results)-1]) == 0 {
				return nil, err
			}
			return newWorkReport(w.name, stages, results), err
		}
	}
	for _, st := range stages {
		if err := s.remove(ctx, st.side, w.name+"/"); err != nil {
			return newWorkReport(w.name, stages, results), err
		}
	}
	return newWorkReport(w.name, stages, results), nil
}

// prepare stores what a work needs on both sides, and warms up.
func (s *session) prepare(ctx context.Context, w work) ([]*stage, error) {
	if !s.opts.UnsignedPayload && w.sent > 0 {
		s.content.warm(max(w.size, w.sent), w.sent)
	}
	var stages []*stage
	for _, side := range s.sides {
		st := &stage{work: w, side: side, content: s.content, conns: w.concurrency, objects: w.objects}
		if s.opts.Concurrency > 0 {
			st.conns = s.opts.Concurrency
		}
		if s.opts.Objects > 0 && w.objects > 0 {
			st.objects = s.opts.Objects
		}
		stages = append(stages, st)
		if w.fresh {
			continue
		}
		if err := s.fill(ctx, st, "have"); err != nil {
			return nil, err
		}
		if err := s.warm(ctx, st); err != nil {
			return nil, err
		}
	}
	return stages, nil
}

func (s *session) fill(ctx context.Context, st *stage, tag string) error {
	st.have = st.side.prefix + st.work.name + "/" + tag + "/"
	if st.objects == 0 {
		return nil
	}
	err := st.fill(ctx, func(done int64) {
		if done%64 == 0 {
			s.line.show("%s %s: storing objects, %d of %d", st.work.name, st.side.name, done, st.objects)
		}
	})
	if err != nil {
		return fmt.Errorf("endpoint %s: %w", st.side.name, err)
	}
	return nil
}

// warm does a short run that does not count.
func (s *session) warm(ctx context.Context, st *stage) error {
	if s.opts.Warmup == 0 {
		return nil
	}
	l := s.limits()
	l.duration, l.store = s.opts.Warmup, max(l.store/8, 1)
	r := &run{stage: st, tag: "warm", limits: l}
	s.line.show("%s %s: warming up", st.work.name, st.side.name)
	r.do(ctx, s.opts.Seed)
	return s.remove(ctx, st.side, st.work.name+"/warm/")
}

func (s *session) limits() limits {
	l := limits{duration: s.opts.Duration, requests: s.opts.Requests, store: s.opts.MaxBytes}
	if l.requests == 0 {
		l.requests = math.MaxInt64 / 2
	}
	return l
}

// remove deletes what lies under a prefix of the session's.
func (s *session) remove(ctx context.Context, side *side, prefix string) error {
	if s.opts.Keep || ctx.Err() != nil {
		return nil
	}
	s.line.show("%s: removing objects", side.name)
	limited, cancel := context.WithTimeout(ctx, clearTime)
	defer cancel()
	if err := side.clear(limited, side.prefix+prefix); err != nil && ctx.Err() == nil {
		return fmt.Errorf("endpoint %s: %w", side.name, err)
	}
	return nil
}

// runOnce does one run of one round on one side, checks what it left behind, and
// removes it. The result is nil if the run was not begun.
func (s *session) runOnce(ctx context.Context, st *stage, round int) (*result, error) {
	tag := fmt.Sprintf("round%d", round+1)
	if st.work.fresh {
		if err := s.fill(ctx, st, tag); err != nil {
			return nil, err
		}
	}
	beside, err := s.newExpiry(ctx, st, tag)
	if err != nil {
		return nil, err
	}
	sleep(ctx, s.opts.Pause)
	if ctx.Err() != nil {
		return nil, nil
	}
	if err := beside.begin(ctx); err != nil {
		return nil, err
	}
	r := &run{stage: st, tag: tag, limits: s.limits()}
	before := st.side.readCosts(ctx)
	w := s.watch(r, round)
	r.do(ctx, s.opts.Seed+uint64(round))
	resident := w.stop()
	used := st.side.readCosts(context.WithoutCancel(ctx)).since(before)
	if resident > 0 {
		used.residentMax = max(used.residentMax, resident)
	}
	res := newResult(r, used)
	gone, err := beside.end(context.WithoutCancel(ctx), round)
	res.moved.items += gone
	if res.cut = ctx.Err() != nil; err != nil {
		return res, err
	}
	if st.work.check != nil && ctx.Err() == nil {
		checker := st.newWorker(0, tag, 0)
		if err := st.work.check(ctx, r, checker); err != nil && ctx.Err() == nil {
			checker.fail(err)
			res.addErrors(checker)
		}
	}
	return res, errors.Join(s.remove(ctx, st.side, "expire/"), s.remove(ctx, st.side, st.work.name+"/"+tag+"/"))
}

// watcher looks at a run while it goes on.
type watcher struct {
	quit     chan struct{}
	ended    sync.WaitGroup
	resident float64 // bytes, the most that was seen
}

// watch begins to sample the server's memory, and to show how the run goes.
func (s *session) watch(r *run, round int) *watcher {
	w := &watcher{quit: make(chan struct{})}
	pids := r.stage.side.endpoint.PIDs
	w.ended.Go(func() {
		tick := time.NewTicker(250 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-w.quit:
				return
			case <-tick.C:
			}
			s.line.show("%s %s: round %d of %d, %d operations, %d errors", r.stage.work.name, r.stage.side.name,
				round+1, s.opts.Rounds, r.done.Load(), r.failed.Load())
			if len(pids) == 0 {
				continue
			}
			if u, err := readUsage(procfs, pids); err == nil {
				w.resident = max(w.resident, float64(u.resident))
			}
		}
	})
	return w
}

// stop ends the watcher and returns the most memory that it saw, in bytes.
func (w *watcher) stop() float64 {
	close(w.quit)
	w.ended.Wait()
	return w.resident
}
