package load

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// What a key, or a set, was as of an event is always the same, whoever is asked, and when:
// what was first found there is remembered. An answer that acknowledges a change and names its
// event says what is found as of that one.

const (
	asOfHeader     = "X-Ironman-As-Of"
	sequenceHeader = "X-Ironman-Sequence"
)

// place is a key, or a set, as of an event.
type place struct {
	seq uint64
	key string
}

// moment is a place whose value is known.
type moment struct {
	place
	value string
	at    int64 // when that was known
}

// latest is how many moments are asked about: those of which most is kept still.
const latest = 60

// remember keeps what a key was as of an event, and returns what is known of that: what was
// kept before comes first.
func (l *Log) remember(seq uint64, key, value string, at int64) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := place{seq, key}
	if was, ok := l.past[p]; ok {
		return was
	}
	l.past[p] = value
	l.moments = append(l.moments, moment{p, value, at})
	l.newest = max(l.newest, seq)
	return value
}

// someMoment is one of the latest, or a long past one of the bucket that is kept.
func (l *Log) someMoment(rng *rand.Rand) (m moment, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.moments) == 0 {
		return m, false
	}
	m = l.moments[max(0, len(l.moments)-1-rng.IntN(latest))]
	if long := l.moments[rng.IntN(len(l.moments))]; rng.IntN(3) == 0 && bucketOf(long.key) == keptBucket {
		m = long
	}
	return m, true
}

// between is a sequence from one on that somebody was told of.
func (l *Log) between(from uint64, rng *rand.Rand) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return from + rng.Uint64N(max(l.newest, from)-from+1)
}

// noteChange remembers what an acknowledged change has left, if its answer says which
// event it was: one that changed nothing was none.
func (c *Client) noteChange(a answer, key, value string) {
	seq, err := strconv.ParseUint(a.header.Get(sequenceHeader), 10, 64)
	if err != nil || !c.of.Later {
		return
	}
	if was := c.of.History.remember(seq, key, value, a.back); was != value {
		c.of.Violated("I16", "%s was answered at %v that event %d left %q there, and was %q as of that before", key, time.Duration(a.back), seq, value, was)
	}
}

// readPast reads a key, or a set, as of an event.
func (c *Client) readPast(ctx context.Context) {
	m, ok := c.of.History.someMoment(c.rng)
	if !ok {
		return
	}
	if c.rng.IntN(4) == 0 && isSet(m.key) { // as of any event: what nobody was told about, too
		m.seq, m.at = c.of.History.between(m.seq, c.rng), c.of.Now()
	}
	if isSet(m.key) {
		c.readSetPast(ctx, m)
		return
	}
	node := c.node()
	a, what := c.askPast(ctx, node, m, m.key)
	if v, ok := c.bodyOf(a, what); ok {
		c.compare(a, m, v, what)
	}
}

// askPast asks for a key as of an event, by the header or by the name of the bucket.
func (c *Client) askPast(ctx context.Context, node int, m moment, key string) (a answer, what string) {
	q := ask{method: "GET", path: path(key), header: http.Header{asOfHeader: {strconv.FormatUint(m.seq, 10)}}}
	if c.rng.IntN(2) == 0 {
		q.path, q.header = fmt.Sprintf("/%s--at-s%d/%s", bucketOf(key), m.seq, key), nil
	}
	what = fmt.Sprintf("GET %s as of event %d through node %d", key, m.seq, node)
	a = c.send(ctx, node, q)
	c.refusePast(a, m, what)
	return a, what
}

// readSetPast reads a set as of an event: in one listing, or its keys through any nodes.
func (c *Client) readSetPast(ctx context.Context, m moment) {
	if c.rng.IntN(2) == 0 {
		header := http.Header{asOfHeader: {strconv.FormatUint(m.seq, 10)}}
		a, seen, ok := c.listSet(ctx, c.node(), "/"+keptBucket, m.key, header)
		what := fmt.Sprintf("a listing of %s as of event %d", m.key, m.seq)
		c.refusePast(a, m, what)
		if ok {
			c.compare(a, m, seen.value, what)
		}
		return
	}
	for i := range members {
		node := c.node()
		a, what := c.askPast(ctx, node, m, setKey(m.key, i))
		if v, ok := c.bodyOf(a, what); ok {
			c.compare(a, m, v, what)
		}
	}
}

// compare compares what is found at a place with what is known of it.
func (c *Client) compare(a answer, m moment, value, what string) {
	c.of.Did(ReadPast)
	if was := c.of.History.remember(m.seq, m.key, value, m.at); was != value {
		c.of.Violated("I16", "%s at %v finds %q: it was %q (known at %v)", what, time.Duration(a.call), value, was, time.Duration(m.at))
	}
}

// refusePast reports an answer that a read of the past never gets. What is not kept any
// more may be refused, and what is to be kept may not.
func (c *Client) refusePast(a answer, m moment, what string) {
	if a.told() != 400 || !strings.Contains(string(a.body), "is not kept any more") {
		c.refuseOdd(a, what, 200, 404)
		return
	}
	c.of.Did(NotKept)
	if bucketOf(m.key) == keptBucket || c.of.Kept(m.at) {
		c.of.Violated("I17", "%s at %v, of what was known at %v, was refused: %.300q", what, time.Duration(a.call), time.Duration(m.at), a.body)
	}
}
