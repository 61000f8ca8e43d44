package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"ironman/s3api/s3err"
	"ironman/server/audit"
	"ironman/sim/sabotage"
)

// Bounds of one answer. Whoever reaches one is told with what to go on.
const (
	changesMax      = 1000   // events, if nothing else is asked for
	changesMostMax  = 10_000 // events
	changesBytes    = 8 << 20
	changesLooks    = 100_000 // events that are looked at
	changesLookFor  = 5 * time.Second
	changesMostWait = time.Minute
)

// changesSkip is after how many events that a stream passes it says how far it has come.
const changesSkip = 1000

// changesQuery is what is asked of the feed.
type changesQuery struct {
	from, to string // moments; to may be ""
	max      int
	wait     time.Duration
	least    uint64       // it does not begin before it
	filter   audit.Filter // without its sequences
}

// parseChanges reads a query. What it does not know it refuses: a filter that nobody
// applies would give somebody more than he asked for.
func parseChanges(q url.Values, stream bool) (*changesQuery, error) {
	x := &changesQuery{from: "0", max: changesMax}
	for name, values := range q {
		if len(values) > 1 && name != "kind" && name != "operation" {
			return nil, fmt.Errorf("%w: %s is given twice", errBadAsk, name)
		}
		if err := x.set(name, values, stream); err != nil {
			return nil, fmt.Errorf("%w: %w", errBadAsk, err)
		}
	}
	return x, nil
}

func (x *changesQuery) set(name string, values []string, stream bool) (err error) {
	value := values[0]
	switch name {
	case "from":
		x.from = value
	case "bucket":
		x.filter.Bucket = value
	case "prefix":
		x.filter.Prefix = value
	case "key":
		x.filter.Key = value
	case "actor":
		x.filter.Actor = value
	case "operation":
		x.filter.Operations = words(values)
	case "kind":
		x.filter.Kinds = words(values)
		return audit.CheckKinds(x.filter.Kinds)
	case "refused":
		if x.filter.Refused, err = strconv.ParseBool(value); err != nil {
			return fmt.Errorf("refused=%q is neither true nor false", value)
		}
	case "to", "max", "wait":
		if stream {
			return fmt.Errorf("a stream has no %s", name)
		}
		return x.setBound(name, value)
	default:
		return fmt.Errorf("the feed knows no %q", name)
	}
	return nil
}

func (x *changesQuery) setBound(name, value string) (err error) {
	switch name {
	case "to":
		x.to = value
	case "max":
		if x.max, err = strconv.Atoi(value); err != nil || x.max < 1 || x.max > changesMostMax {
			return fmt.Errorf("max=%q is not a number from 1 to %d", value, changesMostMax)
		}
	case "wait":
		if x.wait, err = time.ParseDuration(value); err != nil || x.wait < 0 || x.wait > changesMostWait {
			return fmt.Errorf("wait=%q is not a duration from 0 to %v", value, changesMostWait)
		}
	}
	return nil
}

// words are values that may be repeated, or joined by commas.
func words(values []string) (out []string) {
	for _, v := range values {
		out = append(out, strings.Split(v, ",")...)
	}
	return out
}

// serveChanges answers with events as lines of JSON, or as a stream that goes on.
func (n *Node) serveChanges(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet { // HEAD, for which a stream would have no end
		http.Error(w, "the feed is read by GET", http.StatusMethodNotAllowed)
		return
	}
	c := n.changes
	select {
	case c.places <- struct{}{}:
		defer func() { <-c.places }()
	default:
		n.changesError(w, fmt.Errorf("%w: %d read the change feed of this node already", errNotNow, changesReaders))
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(c.ending, cancel)()
	stream := slices.ContainsFunc(r.Header.Values("Accept"), func(s string) bool { return strings.Contains(s, "text/event-stream") })
	q, err := parseChanges(r.URL.Query(), stream)
	if err != nil {
		n.changesError(w, err)
		return
	}
	if stream {
		if err := q.after(r.Header.Get("Last-Event-Id")); err != nil {
			n.changesError(w, err)
			return
		}
	}
	p, err := c.begin(ctx, q, "")
	if err != nil {
		n.changesError(w, err)
		return
	}
	p.tell = func(e *audit.Entry) *audit.Entry {
		if q.filter.Takes(e) {
			return e
		}
		return nil
	}
	h := w.Header()
	h.Set("Content-Type", "application/x-ndjson")
	if stream {
		h.Set("Content-Type", "text/event-stream")
		h.Set("Cache-Control", "no-store")
		h.Set("X-Accel-Buffering", "no")
	}
	_ = p.send(ctx, w, stream) // an answer that broke off has no last line
}

// begin finds where a reading begins, and reads what it begins with. The account is that of who
// reads; "": by the admin listener.
func (c *changes) begin(ctx context.Context, q *changesQuery, account string) (p *changesReading, err error) {
	p = &changesReading{changes: c, query: q, account: account, to: math.MaxUint64}
	if p.next, err = c.moment(ctx, q.from); err != nil {
		return nil, err
	}
	if q.to != "" {
		if p.to, err = c.moment(ctx, q.to); err != nil {
			return nil, err
		}
	}
	p.next = max(p.next, q.least)
	p.ahead, err = p.batch(ctx)
	return p, err
}

// after has a stream go on behind the last id that its reader knows.
func (x *changesQuery) after(last string) error {
	if last == "" {
		return nil
	}
	seq, err := strconv.ParseUint(last, 10, 64)
	if err != nil || seq == math.MaxUint64 {
		return fmt.Errorf("%w: Last-Event-ID: %q is not a sequence", errBadAsk, last)
	}
	if sabotage.On(sabotage.X71) {
		seq++
	}
	x.from = strconv.FormatUint(seq+1, 10)
	return nil
}

// changesReading is one reading of the feed: of the events from next on, before to.
type changesReading struct {
	*changes
	query   *changesQuery
	account string // of who reads; "": by the admin listener
	// tell is what the reader is told of an event; nil: nothing.
	tell func(*audit.Entry) *audit.Entry
	// may decides again whether the reader may be told; nil: always. Invariant: it is asked
	// after a batch was read, and before anything of it is told.
	may      func() error
	next, to uint64
	ahead    []*audit.Entry // the first batch, until it is told
	out      *changesWriter
	judged   bool      // may was asked since the last batch was read
	looked   time.Time // when that was
	passed   int       // events since the reader was told how far it has come
	told     time.Time // when that was
}

// send answers.
func (p *changesReading) send(ctx context.Context, w http.ResponseWriter, stream bool) error {
	p.out = newChangesWriter(w, p.stall)
	defer p.out.clear()
	defer context.AfterFunc(p.ending, p.out.cut)()
	if !stream {
		return p.lines(ctx)
	}
	err := p.stream(ctx)
	var denied *changesDenied
	if errors.As(err, &denied) {
		return p.endStream(denied)
	}
	return err
}

// batch is what comes next.
func (p *changesReading) batch(ctx context.Context) ([]*audit.Entry, error) {
	if b := p.ahead; b != nil {
		p.ahead = nil
		return b, nil
	}
	p.judged, p.looked = false, time.Now()
	return p.changes.read(ctx, p.account, p.next, changesBatch)
}

// changesDenied says that the reader may not be told any more.
type changesDenied struct{ error }

// judge decides whether the reader may still be told.
func (p *changesReading) judge() error {
	if p.may == nil || p.judged {
		return nil
	}
	switch err := p.may(); {
	case err == nil:
	case s3err.From(err).Status < http.StatusInternalServerError:
		return &changesDenied{err}
	default:
		return err
	}
	p.judged = true
	return nil
}

// awaitNext waits for the next event. One that has just looked waits a little longer, so
// that what comes all the time costs a look for each pause, and not for each event.
func (p *changesReading) awaitNext(ctx context.Context) error {
	if err := p.await(ctx, p.next); err != nil {
		return err
	}
	pause := p.pace - time.Since(p.looked)
	if pause <= 0 {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(pause):
		return nil
	}
}

// changesTail is the last line of an answer. An answer without it broke off.
type changesTail struct {
	Next uint64 `json:"next"`           // go on from here
	More bool   `json:"more,omitempty"` // there is more already
}

// lines answers with what is there, or with the first that comes. An error that comes before it has got
// anywhere breaks it off: whoever was sent on from where he is would ask again at once.
func (p *changesReading) lines(ctx context.Context) error {
	q := p.query
	wait, cancel := context.WithTimeout(ctx, q.wait)
	defer cancel()
	given, began := 0, p.next
	// A reader that is given nothing for long takes the node for dead.
	end := time.Now().Add(max(changesLookFor, q.wait))
read:
	for looked := 0; p.next < p.to && given < q.max && looked < changesLooks && p.out.bytes < changesBytes && time.Now().Before(end) && ctx.Err() == nil; {
		entries, err := p.batch(ctx)
		if err != nil && p.next == began {
			return err
		}
		if err != nil {
			break // with what is there; whoever goes on is told
		}
		if len(entries) == 0 {
			if given > 0 || q.wait == 0 || p.awaitNext(wait) != nil {
				break
			}
			continue
		}
		for _, e := range entries {
			if e.Seq >= p.to || given == q.max || p.out.bytes >= changesBytes {
				break
			}
			if told := p.tell(e); told != nil {
				if err := p.judge(); err != nil && p.next == began {
					return err
				} else if err != nil {
					break read // who goes on is told
				}
				given++
				if err := p.out.json("", told, "\n"); err != nil {
					return err
				}
			}
			p.next = e.Seq + 1
			looked++
		}
	}
	if sabotage.On(sabotage.X75) {
		p.next++
	}
	if err := p.out.json("", changesTail{Next: p.next, More: p.next < min(p.to, p.applied())}, "\n"); err != nil {
		return err
	}
	return p.out.flush()
}

// stream sends events as they come, until ctx ends or the reader is gone. The id of what
// it sends is the last sequence that the reader need not be sent again.
func (p *changesReading) stream(ctx context.Context) error {
	for first := true; ; first = false {
		entries, err := p.batch(ctx)
		if err != nil {
			return err
		}
		if first {
			// Where "end" is must be known before the connection is lost for the first time.
			if err := p.tellProgress(); err != nil {
				return err
			}
		}
		for _, e := range entries {
			if err := p.sendEvent(e); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if p.passed > 0 && time.Since(p.told) >= p.progress {
			if err := p.tellProgress(); err != nil {
				return err
			}
		}
		if err := p.out.flush(); err != nil {
			return err
		}
		if p.caughtUp() {
			if err := p.rest(ctx); err != nil {
				return err
			}
		}
	}
}

// caughtUp tells whether there is less than a batch to tell. A reading may begin anywhere, so that
// nothing is added to where it is.
func (p *changesReading) caughtUp() bool {
	end := p.applied()
	return p.next >= end || end-p.next < changesBatch
}

// sendEvent sends an event if it is for the reader.
func (p *changesReading) sendEvent(e *audit.Entry) error {
	if told := p.tell(e); told != nil {
		if err := p.judge(); err != nil {
			return err
		}
		p.next, p.passed, p.told = e.Seq+1, 0, time.Now()
		return p.out.json(fmt.Sprintf("id: %d\ndata: ", e.Seq), told, "\n\n")
	}
	p.next = e.Seq + 1
	if p.passed++; p.passed >= changesSkip {
		return p.tellProgress()
	}
	return nil
}

// tellProgress says how far the stream has come.
func (p *changesReading) tellProgress() error {
	if err := p.judge(); err != nil {
		return err
	}
	p.passed, p.told = 0, time.Now()
	id := ""
	if p.next > 0 {
		id = fmt.Sprintf("id: %d\n", p.next-1)
	}
	return p.out.json(id+"event: progress\ndata: ", changesTail{Next: p.next}, "\n\n")
}

// endStream is the last message of a stream whose reader may not be told any more.
func (p *changesReading) endStream(why *changesDenied) error {
	e := s3err.From(why.error)
	err := p.out.json("event: end\ndata: ", struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}{e.Code, e.Message}, "\n\n")
	if err != nil {
		return err
	}
	return p.out.flush()
}

// rest waits for the next event. If none comes for long it shows that it is still there.
func (p *changesReading) rest(ctx context.Context) error {
	pause := p.heartbeat
	if p.passed > 0 {
		pause = p.progress
	}
	wait, cancel := context.WithTimeout(ctx, pause)
	defer cancel()
	if p.awaitNext(wait) == nil {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	p.judged = false
	if p.passed > 0 {
		return p.tellProgress()
	}
	if err := p.judge(); err != nil {
		return err
	}
	return p.out.comment()
}

// changesWriter writes to a reader that may be slow: one that takes nothing for a while
// is let go. Once it is cut a write has a moment left, also one that is under way.
type changesWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	stall   time.Duration
	bytes   int

	mu      sync.Mutex
	cutOff  bool
	touched time.Time
}

func newChangesWriter(w http.ResponseWriter, stall time.Duration) *changesWriter {
	return &changesWriter{w: w, control: http.NewResponseController(w), stall: stall}
}

// touch gives the reader the whole time again, unless it is cut.
func (x *changesWriter) touch() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.cutOff {
		return nil
	}
	// The connection's deadline is the kernel's clock, not the node's.
	now := time.Now()
	if now.Sub(x.touched) < x.stall/10 {
		return nil
	}
	x.touched = now
	return x.control.SetWriteDeadline(now.Add(x.stall))
}

// cut ends the writing: what waits for the reader fails in a moment.
func (x *changesWriter) cut() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.cutOff = true
	_ = x.control.SetWriteDeadline(time.Now().Add(changesLast))
}

// changesLast is how long an answer may still take that is under way when the node stops.
const changesLast = 100 * time.Millisecond

// clear takes the deadline off, for what follows on the connection.
func (x *changesWriter) clear() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.cutOff {
		_ = x.control.SetWriteDeadline(time.Time{})
	}
}

// json writes a value between two texts.
func (x *changesWriter) json(before string, v any, after string) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	b = append(append([]byte(before), b...), after...)
	for len(b) > 0 { // in pieces: a slow reader of a large event shows by each that it is there
		if err := x.touch(); err != nil {
			return err
		}
		n, err := x.w.Write(b[:min(len(b), changesPiece)])
		if x.bytes += n; err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

// changesPiece is what a reader must take within the stall limit, in bytes.
const changesPiece = 16 << 10

// comment writes what readers of streams pass over.
func (x *changesWriter) comment() error {
	if err := x.touch(); err != nil {
		return err
	}
	_, err := io.WriteString(x.w, ":\n\n")
	return err
}

func (x *changesWriter) flush() error {
	if err := x.touch(); err != nil {
		return err
	}
	return x.control.Flush()
}
