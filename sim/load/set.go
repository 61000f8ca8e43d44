package load

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"ironman/sim/history"
)

// A set is keys that transactions alone write, each of them all of the keys, with bodies
// of one value. So it is one register to the judge, as which requests to any of its keys
// are recorded; and who sees two values of it in one moment has seen a part of a transaction.
const (
	sets    = 2 // of an epoch
	members = 3 // keys of a set
)

func setName(epoch, i int) string { return fmt.Sprintf("set/%d/%d", epoch, i) }

func setKey(set string, member int) string { return set + "/" + string(rune('a'+member)) }

func isSet(key string) bool { return strings.HasPrefix(key, "set/") }

func (c *Client) someSet() string { return setName(c.of.Epoch(), c.rng.IntN(sets)) }

// setReading is a set as a client has seen it: one value, and the entity tag of each key.
type setReading struct {
	value string
	tags  [members]string
}

// readSet reads a set: all of it in one listing, or one of its keys.
func (c *Client) readSet(ctx context.Context) {
	set, node := c.someSet(), c.node()
	if c.rng.IntN(2) == 0 {
		c.ReadSet(ctx, node, set)
		return
	}
	key := setKey(set, c.rng.IntN(members))
	a := c.send(ctx, node, ask{method: "GET", path: path(key)})
	c.refuseOdd(a, "GET "+key, 200, 404)
	if v, ok := c.bodyOf(a, "GET "+key); ok {
		c.record(node, a, history.Op{Kind: history.Get, Key: set, Read: v})
	}
}

// ReadSets reads all sets of an epoch. It reports whether all answers count.
func (c *Client) ReadSets(ctx context.Context, node, epoch int) bool {
	all := true
	for i := range sets {
		all = c.ReadSet(ctx, node, setName(epoch, i)) && all
	}
	return all
}

// ReadSet reads a set by a listing, which is of one moment. It reports whether there was an
// answer that counts.
func (c *Client) ReadSet(ctx context.Context, node int, set string) bool {
	a, seen, ok := c.listSet(ctx, node, "/"+keptBucket, set, nil)
	if ok {
		c.sets[set] = seen
		c.record(node, a, history.Op{Kind: history.Get, How: "list", Key: set, Read: seen.value, Status: 200})
	}
	return a.err == nil && a.status < 500
}

// listSet lists a set, of the present or the past. ok: there is a listing, and it is one of a whole
// set.
func (c *Client) listSet(ctx context.Context, node int, where, set string, header http.Header) (a answer, seen setReading, ok bool) {
	q := url.Values{"list-type": {"2"}, "prefix": {set + "/"}}
	a = c.send(ctx, node, ask{method: "GET", path: where, query: q.Encode(), header: header})
	if header == nil {
		c.refuseOdd(a, "ListObjectsV2", 200)
	}
	if a.err != nil || a.status != 200 {
		return a, seen, false
	}
	what := fmt.Sprintf("a listing of %s at %s through node %d at %v", set, where, node, time.Duration(a.call))
	if header != nil {
		what += fmt.Sprintf(", as of %v", header)
	}
	page, err := parseListing(a.body)
	if err != nil || page.IsTruncated {
		c.of.Violated("I3", "%s: %v: %.200q", what, err, a.body)
		return a, seen, false
	}
	if n := len(page.Contents); n != 0 && n != members {
		c.of.Violated("I15", "%s has %d of its keys", what, n)
		return a, seen, false
	}
	for i, line := range page.Contents {
		v, known := c.of.History.valueOf(strings.Trim(line.ETag, `"`))
		switch {
		case line.Key != setKey(set, i) || !known:
			c.of.Violated("I3", "%s shows %q with the entity tag %s, which is of %q", what, line.Key, line.ETag, v)
			return a, seen, false
		case i > 0 && v != seen.value:
			c.of.Violated("I15", "%s shows %q beside %q", what, v, seen.value)
			return a, seen, false
		}
		seen.value, seen.tags[i] = v, strings.Trim(line.ETag, `"`)
	}
	return a, seen, true
}

// bodyOf is the value of a body that was answered; "" where the key is not there. It is
// false without an answer of either kind.
func (c *Client) bodyOf(a answer, what string) (value string, ok bool) {
	switch a.told() {
	case 404:
		return "", true
	case 200:
	default:
		return "", false
	}
	v, err := valueOf(a.body)
	if err != nil {
		c.of.Violated("I4", "%s at %v: %v", what, time.Duration(a.call), err)
		return "", false
	}
	if got, _ := c.of.History.valueOf(tag(a.header)); got != v {
		c.of.Violated("I4", "%s: the body of %s with the entity tag of %q", what, v, got)
	}
	return v, true
}
