package load

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Follower reads the feed, of the cluster or of a bucket, going on at any node behind what
// it was told last, or where its cursor stands. One goroutine may use it.
type Follower struct {
	c *Client
	// of is the bucket whose feed it is; "": the cluster's.
	of   string
	next uint64 // it has been told all that there is to tell below it
	// told are the lines of JSON, by the sequence that each tells of.
	told  []Told
	lines map[uint64]string

	stands uint64   // where its cursor was found last
	open   []uint64 // where it may have been moved to
}

// Told is an event as the feed tells of it.
type Told struct {
	Seq  uint64
	Line string // of JSON
}

const (
	feedCursor = "follower"
	feedMost   = 300 // events of an answer
	feedWait   = 3 * time.Second
)

// Follower reads the feed of the cluster.
func (c *Client) Follower() *Follower { return &Follower{c: c, lines: make(map[uint64]string)} }

// BucketFollower reads the feed of one of the buckets.
func (c *Client) BucketFollower() *Follower {
	f := c.Follower()
	f.of = []string{bucket, keptBucket}[c.rng.IntN(2)]
	return f
}

// Bucket is the bucket whose feed it is; "": the cluster's.
func (f *Follower) Bucket() string { return f.of }

// Told are all events that it was told of, in order.
func (f *Follower) Told() []Told { return f.told }

// Run reads until ctx ends.
func (f *Follower) Run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := f.step(context.WithoutCancel(ctx)); err != nil {
			pause(ctx, 300*time.Millisecond)
		}
		pause(ctx, time.Duration(f.c.rng.ExpFloat64()*float64(f.c.of.Think)))
	}
}

// CatchUp reads until it has been told of all events below one, and reports whether it came
// so far: an error says why it did not get on this time.
func (f *Follower) CatchUp(ctx context.Context, until uint64) error {
	for f.next < until {
		before := f.next
		if err := f.read(ctx, f.next); err != nil {
			return err
		}
		if f.next == before {
			return fmt.Errorf("load: nothing comes behind event %d", before)
		}
	}
	return nil
}

// step reads once. An error says that nothing was answered.
func (f *Follower) step(ctx context.Context) error {
	switch n := f.c.rng.IntN(8); {
	case n == 0:
		return f.moveCursor(ctx)
	case n == 1 && f.stands > 0:
		return f.readByCursor(ctx)
	case n < 4 && f.of != "":
		return f.stream(ctx)
	}
	return f.read(ctx, f.next)
}

// fail reports what a feed must never tell.
func (f *Follower) fail(format string, args ...any) {
	name := "the cluster"
	if f.of != "" {
		name = "the bucket " + f.of
	}
	f.c.of.Violated("I19", "the feed of "+name+": "+format, args...)
}

// ask asks a node for the feed, or about the cursor.
func (f *Follower) ask(ctx context.Context, node int, method, what string, q url.Values) (status int, text []byte, err error) {
	if f.of == "" {
		path := "/-/feed" + what
		return f.c.of.Admin(ctx, node, method, path+"?"+q.Encode(), nil)
	}
	if what != "" {
		q.Set("feedCursor", feedCursor)
	} else {
		q.Set("feed", "")
	}
	a := f.c.send(ctx, node, ask{method: method, path: "/" + f.of, query: q.Encode()})
	if a.err == nil && a.status == http.StatusForbidden {
		f.c.refuseOdd(a, "GetBucketFeed")
		return 0, nil, errNotConnected
	}
	return a.status, a.body, a.err
}

const cursorPath = "/cursors/" + feedCursor

// read reads lines from an event on.
func (f *Follower) read(ctx context.Context, from uint64) error {
	text, err := f.page(ctx, strconv.FormatUint(from, 10))
	if err != nil {
		return err
	}
	return f.lineByLine(text, from)
}

// readByCursor reads lines from where the cursor stands.
func (f *Follower) readByCursor(ctx context.Context) error {
	text, err := f.page(ctx, "cursor:"+feedCursor)
	if err != nil {
		return err
	}
	from, ok := f.firstOf(text)
	if !ok {
		return nil
	}
	if f.of == "" && !f.found(from) { // of a bucket, the next event need not be told
		return nil
	}
	if f.of != "" {
		from = f.stands
	}
	return f.lineByLine(text, from)
}

// firstOf is the sequence of the first line that is one of an event.
func (f *Follower) firstOf(text []byte) (uint64, bool) {
	line, _, whole := bytes.Cut(text, []byte{'\n'})
	var e struct{ Seq *uint64 }
	if !whole || json.Unmarshal(line, &e) != nil || e.Seq == nil {
		return 0, false
	}
	return *e.Seq, true
}

func (f *Follower) page(ctx context.Context, from string) ([]byte, error) {
	node := f.c.node()
	q := url.Values{"from": {from}, "max": {strconv.Itoa(1 + f.c.rng.IntN(feedMost))}, "wait": {feedWait.String()}}
	status, text, err := f.ask(ctx, node, http.MethodGet, "", q)
	switch {
	case err != nil:
		return nil, err
	case status >= 500:
		return nil, fmt.Errorf("load: the feed of node %d: %d %.200q", node, status, text)
	case status != http.StatusOK:
		f.fail("node %d answers %d when it is read from %s on: %.300q", node, status, from, text)
		return nil, errNotConnected
	}
	return text, nil
}

// lineByLine takes lines of an answer that begins at an event, up to where it broke off.
func (f *Follower) lineByLine(text []byte, from uint64) error {
	at := from
	for len(text) > 0 {
		line, rest, whole := bytes.Cut(text, []byte{'\n'})
		if !whole {
			break
		}
		text = rest
		var e struct{ Seq, Next *uint64 }
		if err := json.Unmarshal(line, &e); err != nil {
			f.fail("%v: %.200q", err, line)
			return err
		}
		switch {
		case e.Seq != nil:
			if !f.tell(at, *e.Seq, string(line)) {
				return nil
			}
			at = *e.Seq + 1
		case e.Next != nil:
			if *e.Next < at || f.of == "" && *e.Next > at {
				f.fail("an answer that was read up to event %d says to go on with %d", at, *e.Next)
				return nil
			}
			f.next = max(f.next, *e.Next)
		}
	}
	f.next = max(f.next, at)
	return nil
}

// tell notes what is told of an event by an answer that has come so far. It is false where that must
// not be.
func (f *Follower) tell(at, seq uint64, line string) bool {
	if seq < at || f.of == "" && seq > at {
		f.fail("event %d is told where %d comes next", seq, at)
		return false
	}
	before, again := f.lines[seq]
	switch {
	case again && !sameTold(before, line):
		f.fail("event %d was %s, and is %s", seq, before, line)
		return false
	case again:
		return true
	case seq < f.next:
		f.fail("event %d is told now, and was not when what is below %d was", seq, f.next)
		return false
	}
	f.lines[seq] = line
	f.told = append(f.told, Told{seq, line})
	f.next = seq + 1
	f.c.of.Did(ToldOf)
	return true
}

// sameTold compares what is told of one event, of which something may have been erased.
func sameTold(a, b string) bool {
	return a == b || strings.Contains(b, `"erased":`) && !strings.Contains(a, `"erased":`)
}

// stream follows the feed by server-sent events for a while, and hangs up.
func (f *Follower) stream(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(1+f.c.rng.IntN(int(2*requestLimit))))
	defer cancel()
	q := ask{method: http.MethodGet, path: "/" + f.of, query: "feed=&from=0", header: http.Header{"Accept": {"text/event-stream"}}}
	if f.next > 0 {
		q.header.Set("Last-Event-Id", strconv.FormatUint(f.next-1, 10))
	}
	resp, err := f.c.begin(ctx, f.c.node(), q)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, err := io.ReadAll(resp.Body)
		a := answer{status: resp.StatusCode, body: text, err: err}
		f.c.refuseOdd(a, "GetBucketFeed")
		return errNotConnected
	}
	f.c.of.Did(Streamed)
	in, at := bufio.NewReader(resp.Body), f.next
	for {
		m, err := nextMessage(in)
		if err != nil {
			return nil // it was hung up, by either side
		}
		switch m.event {
		case "":
			if !f.tell(at, m.id, m.data) {
				return nil
			}
			at = m.id + 1
		case "progress":
			if at = max(at, m.id+1); m.hasID {
				f.next = max(f.next, at)
			}
		default:
			f.fail("a stream has the message %+v", m)
			return nil
		}
	}
}

// message is one of a stream.
type message struct {
	id          uint64
	hasID       bool
	event, data string
}

// nextMessage reads up to the end of a message. What is broken off is none.
func nextMessage(in *bufio.Reader) (m message, err error) {
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return m, err
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "id":
			if m.id, err = strconv.ParseUint(value, 10, 64); err != nil {
				return m, err
			}
			m.hasID = true
		case "event":
			m.event = value
		case "data":
			m.data = value
		case "":
			if m.data != "" {
				return m, nil
			}
		}
	}
}

// found notes that the cursor stands at an event. It is false where it must not.
func (f *Follower) found(at uint64) bool {
	if at != f.stands && !slices.Contains(f.open, at) {
		f.fail("the cursor is at %d; it was at %d, and may have been moved to %v", at, f.stands, f.open)
		return false
	}
	if at != f.stands { // whatever else was to move it from there does not any more
		f.stands, f.open = at, nil
	}
	return true
}

// moveCursor moves the cursor to behind what was told.
func (f *Follower) moveCursor(ctx context.Context) error {
	if len(f.open) > 0 {
		if err := f.lookAtCursor(ctx); err != nil {
			return err
		}
	}
	to := f.next
	if to <= f.stands {
		return nil
	}
	q := url.Values{"from": {strconv.FormatUint(f.stands, 10)}, "to": {strconv.FormatUint(to, 10)}}
	f.open = append(f.open, to)
	status, text, err := f.ask(ctx, f.c.node(), http.MethodPut, cursorPath, q)
	switch {
	case err != nil || status >= 500:
		return f.lookAtCursor(ctx)
	case status == http.StatusOK:
		f.found(to)
		f.c.of.Did(Moved)
	case status == http.StatusConflict && len(f.open) > 1: // an earlier one came first
		return f.lookAtCursor(ctx)
	default:
		f.fail("the cursor is not moved from %d to %d: %d %.300q", f.stands, to, status, text)
	}
	return nil
}

// lookAtCursor looks where the cursor stands. A move without an answer may come later.
func (f *Follower) lookAtCursor(ctx context.Context) error {
	status, text, err := f.ask(ctx, f.c.node(), http.MethodGet, cursorPath, url.Values{})
	switch {
	case err != nil:
		return err
	case status >= 500:
		return errNotConnected
	case status == http.StatusNotFound:
		f.found(0)
		return nil
	}
	var row struct{ Next uint64 }
	if err := json.Unmarshal(text, &row); status != http.StatusOK || err != nil {
		f.fail("the cursor: %d %v %.300q", status, err, text)
		return nil
	}
	f.found(row.Next)
	return nil
}
