package server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"ironman/s3api"
	"ironman/s3api/accesslog"
)

// Defaults of the gathering of access logs.
const (
	DefaultAccessLogEvery = 5 * time.Minute
	DefaultAccessLogBytes = 32 << 20
)

const (
	// pileBytes is how large a pile grows before it is delivered out of turn.
	pileBytes = 4 << 20
	// Chunks of a pile: the first is small, because many buckets may have few requests.
	firstChunk, lastChunk = 1 << 10, 64 << 10
	// pileOverhead is what a pile takes beside its lines.
	pileOverhead = 512
	// deliverLimit bounds one delivery, lastDeliveries those of a node that stops.
	deliverLimit, lastDeliveries = 30 * time.Second, 5 * time.Second
)

// What becomes of lines: the values of a metric's label.
const (
	linesDelivered = "delivered"
	linesFull      = "full"    // there was no room for them
	linesRefused   = "refused" // the target is gone, or does not take them
	linesStopped   = "stopped" // the node stopped before they were delivered
)

// accessLogs gathers the lines of access logs in memory, and delivers them every so often,
// as an object for each bucket that has any. It is best effort, as Amazon's is: what is
// gathered is lost when the node dies, what there is no room for is dropped and counted,
// and what may have been delivered is delivered again.
type accessLogs struct {
	deliver func(context.Context, *s3api.LogObject) error
	every   time.Duration
	limit   int
	log     *slog.Logger
	// lines is told what became of some.
	lines func(result string, n int)

	wake chan struct{} // holds one while there is something to deliver out of turn
	turn chan struct{} // holds one while somebody delivers

	mu sync.Mutex
	// open are the piles that still grow: one for each name, oldest first in order.
	open  map[pileName]*pile
	order []*pile
	ready []*pile // they grow no more; oldest first
	// bytes is what all piles take, those that are being delivered too.
	// Invariant: 0 <= bytes <= limit.
	bytes int
	// pressed: half of the limit was reached, and what there is was made ready for it.
	pressed bool
	stopped bool // nothing is delivered any more
	full    int  // lines without room since the last report
}

// pileName is what lines have in common that go into one object. Of the day because keys
// may bear that of the requests.
type pileName struct {
	of  accesslog.Source
	day int64 // since 1970, UTC
}

// pile is some lines in their order. It does not move what it has when it grows.
type pile struct {
	pileName
	chunks [][]byte
	lines  int
	size   int // of the lines
	cost   int // what the pile takes
}

func newAccessLogs(o *Options, deliver func(context.Context, *s3api.LogObject) error, lines func(string, int)) *accessLogs {
	return &accessLogs{
		deliver: deliver, every: o.AccessLogEvery, limit: o.AccessLogBytes, log: o.Logger, lines: lines,
		wake: make(chan struct{}, 1), turn: make(chan struct{}, 1), open: make(map[pileName]*pile),
	}
}

// Add implements s3api.AccessLog.
func (l *accessLogs) Add(of accesslog.Source, came time.Time, line []byte) {
	const day = int64(24 * time.Hour / time.Second)
	result := ""
	l.mu.Lock()
	switch {
	case l.stopped:
		result = linesStopped
	case !l.add(pileName{of, came.Unix() / day}, line):
		result = linesFull
		l.full++
	}
	l.mu.Unlock()
	if result != "" {
		l.lines(result, 1)
	}
}

// add reports whether there was room.
func (l *accessLogs) add(name pileName, line []byte) bool {
	p := l.open[name]
	if p == nil {
		cost := pileOverhead + len(name.of.Name) + len(name.of.Owner) + len(name.of.Config)
		if l.bytes+cost+p.grows(line) > l.limit {
			return false
		}
		p = &pile{pileName: name, cost: cost}
		l.bytes += cost
		l.open[name] = p
		l.order = append(l.order, p)
	}
	grows := p.grows(line)
	if l.bytes+grows > l.limit {
		return false
	}
	l.bytes += grows
	p.append(line, grows)
	switch {
	case p.size >= pileBytes:
		delete(l.open, name)
		l.order = without(l.order, p)
		l.ready = append(l.ready, p)
	case l.bytes >= l.limit/2 && !l.pressed:
		l.pressed = true
		l.shut()
	default:
		return true
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return true
}

func without(all []*pile, p *pile) []*pile {
	for i := range all {
		if all[i] == p {
			return append(all[:i], all[i+1:]...)
		}
	}
	return all
}

// shut makes everything ready.
func (l *accessLogs) shut() {
	l.ready = append(l.ready, l.order...)
	clear(l.open)
	l.order = nil
}

// grows is how many bytes more the pile takes for a line.
func (p *pile) grows(line []byte) int {
	next := firstChunk
	if p != nil && len(p.chunks) > 0 {
		last := p.chunks[len(p.chunks)-1]
		if len(line) <= cap(last)-len(last) {
			return 0
		}
		next = min(2*cap(last), lastChunk)
	}
	return max(next, len(line))
}

func (p *pile) append(line []byte, grows int) {
	if grows > 0 {
		p.chunks = append(p.chunks, make([]byte, 0, grows))
		p.cost += grows
	}
	last := &p.chunks[len(p.chunks)-1]
	*last = append(*last, line...)
	p.lines++
	p.size += len(line)
}

// object is the pile as it is delivered. It can be made again.
func (p *pile) object() *s3api.LogObject {
	readers := make([]io.Reader, len(p.chunks))
	for i, c := range p.chunks {
		readers[i] = bytes.NewReader(c)
	}
	return &s3api.LogObject{Of: p.of, Day: time.Unix(p.day*24*60*60, 0).UTC(), Size: int64(p.size), Body: io.MultiReader(readers...)}
}

// run delivers until ctx ends.
func (l *accessLogs) run(ctx context.Context) {
	tick := time.NewTicker(l.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			l.round(ctx, true)
		case <-l.wake:
			l.round(ctx, false)
		}
	}
}

// round delivers what is ready, or everything that there is, and says once what went
// wrong. After an error that may pass, what is left waits for the next round.
func (l *accessLogs) round(ctx context.Context, all bool) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return
	}
	var r roundReport
	piles := l.take(all)
	for i, p := range piles {
		err := l.deliverPile(ctx, p)
		switch {
		case err == nil:
			l.done(p, linesDelivered)
		case errors.Is(err, s3api.ErrLogRefused):
			l.done(p, linesRefused)
			r.refuse(p, err)
		default:
			r.waiting, r.late = len(piles)-i, err
			l.giveBack(append(piles[i+1:len(piles):len(piles)], p)) // another is tried first, the next time
		}
		if r.late != nil {
			break
		}
	}
	l.report(ctx, &r)
}

func (l *accessLogs) deliverPile(ctx context.Context, p *pile) error {
	ctx, cancel := context.WithTimeout(ctx, deliverLimit)
	defer cancel()
	return l.deliver(ctx, p.object())
}

func (l *accessLogs) take(all bool) []*pile {
	l.mu.Lock()
	defer l.mu.Unlock()
	if all {
		l.shut()
	}
	piles := l.ready
	l.ready = nil
	return piles
}

func (l *accessLogs) giveBack(piles []*pile) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ready = append(piles, l.ready...)
}

// done forgets a pile.
func (l *accessLogs) done(p *pile, result string) {
	l.lines(result, p.lines)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bytes -= p.cost; l.bytes < l.limit/2 {
		l.pressed = false
	}
}

// roundReport is what whoever is on call should know of a round.
type roundReport struct {
	refused int   // lines
	first   *pile // that was refused, and why
	why     error
	waiting int // piles that wait
	late    error
}

func (r *roundReport) refuse(p *pile, err error) {
	if r.refused += p.lines; r.first == nil {
		r.first, r.why = p, err
	}
}

func (l *accessLogs) report(ctx context.Context, r *roundReport) {
	l.mu.Lock()
	full := l.full
	l.full = 0
	l.mu.Unlock()
	if full > 0 {
		l.log.Warn("access logs: lines were dropped, for there was no room for them", "lines", full, "limit", l.limit)
	}
	if r.refused > 0 {
		l.log.Warn("access logs: lines were dropped, for their target does not take them", "lines", r.refused, "bucket", r.first.of.Name, "err", r.why)
	}
	if r.late != nil && ctx.Err() == nil {
		l.log.Warn("access logs: lines are not delivered, and will be tried again", "objects", r.waiting, "err", r.late)
	}
}

// stop delivers what there is, for as long as ctx lasts or a little while; what is left
// then is lost. Nothing is taken from then on.
func (l *accessLogs) stop(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lastDeliveries)
	defer cancel()
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	l.round(ctx, true)
	lost := 0
	for _, p := range l.take(true) {
		l.done(p, linesStopped)
		lost += p.lines
	}
	if lost > 0 {
		l.log.Warn("access logs: lines were lost, for the node stops", "lines", lost)
	}
}

// held is how many bytes lines take that are not delivered yet.
func (l *accessLogs) held() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return float64(l.bytes)
}
