package load

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"ironman/sim/history"
)

// own is keys that one client alone changes, one after the other, so that it knows what
// all of them were as of each of its changes: that is what a restore has to make of them.
// Where a change has an open outcome it gives them up for others, of the next number: nobody
// knows when that change may still come.
type own struct {
	number int
	now    map[string]string // value by key; never empty values
	past   []ownMoment
}

// ownMoment is what all keys were as of an event.
type ownMoment struct {
	seq    uint64
	values map[string]string
}

const (
	ownKeys = 6
	// longAgo is how many changes back a restore goes at most.
	longAgo = 12
	// restoreTries is how often a step of a restore is tried, each time at another node.
	restoreTries = 8
)

func (c *Client) ownPrefix() string   { return fmt.Sprintf("own/%d/%d/", c.n, c.own.number) }
func (c *Client) ownKey(i int) string { return fmt.Sprintf("%s%d", c.ownPrefix(), i) }
func (c *Client) giveUpOwn()          { c.own = own{number: c.own.number + 1} }
func (o *own) happened(seq uint64)    { o.past = append(o.past, ownMoment{seq, maps.Clone(o.now)}) }
func sequenceOf(a answer) (uint64, bool) {
	n, err := strconv.ParseUint(a.header.Get(sequenceHeader), 10, 64)
	return n, err == nil
}

// changeOwn writes or deletes one of the client's own keys.
func (c *Client) changeOwn(ctx context.Context) {
	if c.own.now == nil {
		c.own.now = make(map[string]string)
	}
	key, node := c.ownKey(c.rng.IntN(ownKeys)), c.node()
	o := history.Op{Kind: history.Put, How: "own", Key: key}
	q, want := ask{method: "DELETE", path: path(key)}, 204
	if c.rng.IntN(3) > 0 {
		o.Value = c.value()
		q, want = ask{method: "PUT", path: path(key), body: body(o.Value)}, 200
	} else {
		o.Kind = history.Delete
	}
	a := c.send(ctx, node, q)
	c.refuseOdd(a, q.method+" "+key, want)
	c.record(node, a, o)
	switch {
	case a.told() == want:
	case a.unsent || a.told() == http.StatusForbidden:
		return
	default:
		c.giveUpOwn()
		return
	}
	c.noteChange(a, key, o.Value)
	if c.own.now[key] = o.Value; o.Value == "" {
		delete(c.own.now, key)
	}
	if seq, ok := sequenceOf(a); ok {
		c.own.happened(seq)
	}
}

// plan is what a restore asks for with each step.
type plan struct{ Bucket, Source, To, Seen uint64 }

// restore makes the client's own keys what they were some changes ago, and looks at what has
// become of them: what they were, as of then, and nothing else.
func (c *Client) restore(ctx context.Context) {
	past := c.own.past[max(0, len(c.own.past)-longAgo):]
	if len(past) < 2 {
		c.changeOwn(ctx)
		return
	}
	m := past[c.rng.IntN(len(past))]
	call := c.of.Now()
	p := new(plan)
	q := url.Values{"bucket": {keptBucket}, "to": {strconv.FormatUint(m.seq, 10)}}
	if !c.askRestore(ctx, http.MethodGet, "/-/restore?"+q.Encode(), p) {
		return
	}
	if p.Bucket != p.Source || p.To != m.seq+1 || p.Seen < p.To {
		c.of.Violated("I18", "a restore to event %d is planned as %+v", m.seq, *p)
		return
	}
	done := c.restoreOwn(ctx, p)
	a := answer{call: call, back: c.of.Now(), status: 200}
	if !done {
		a.status = 500
	}
	for i := range ownKeys {
		key := c.ownKey(i)
		switch value := m.values[key]; {
		case value == c.own.now[key]: // whether or not the restore came to it
		case value == "":
			c.record(0, a, history.Op{Kind: history.Delete, How: "restore", Key: key})
		default:
			c.record(0, a, history.Op{Kind: history.Put, How: "restore", Key: key, Value: value})
		}
	}
	if !done {
		c.giveUpOwn()
		return
	}
	c.own.now = maps.Clone(m.values)
	c.of.Did(Restored)
	c.lookAtOwn(ctx, m, nil)
	c.lookAtOwn(ctx, m, http.Header{asOfHeader: {strconv.FormatUint(m.seq, 10)}})
}

// restoreOwn takes all steps of a restore. It is false where one was not answered.
func (c *Client) restoreOwn(ctx context.Context, p *plan) bool {
	after := ""
	for {
		q := url.Values{"prefix": {c.ownPrefix()}, "after": {after}}
		for name, n := range map[string]uint64{"bucket": p.Bucket, "source": p.Source, "to": p.To, "seen": p.Seen} {
			q.Set(name, strconv.FormatUint(n, 10))
		}
		var step struct {
			Keys  []struct{ Key, Kind, Failure string }
			After []byte
			More  bool
		}
		if !c.askRestore(ctx, http.MethodPost, "/-/restore/objects?"+q.Encode(), &step) {
			return false
		}
		for _, k := range step.Keys {
			if k.Failure != "" || !strings.HasPrefix(k.Key, c.ownPrefix()) {
				c.of.Violated("I18", "a restore to what was before event %d left %q: %q", p.To, k.Key, k.Failure)
			}
		}
		if !step.More {
			return true
		}
		after = string(step.After)
	}
}

// askRestore asks for a plan or a step of a restore, at one node after the other: each may
// be taken again.
func (c *Client) askRestore(ctx context.Context, method, path string, out any) bool {
	node := c.node()
	for range restoreTries {
		status, text, err := c.of.Admin(ctx, node, method, path, nil)
		switch {
		case err == nil && status == http.StatusOK:
			if err := json.Unmarshal(text, out); err != nil {
				c.of.Violated("I18", "%s %s says %v: %.200q", method, path, err, text)
				return false
			}
			return true
		case err == nil && status < 500:
			c.of.Violated("I18", "%s %s through node %d was answered %d: %.300q", method, path, node, status, text)
			return false
		}
		node = 1 + node%c.of.Nodes
		pause(ctx, 200*time.Millisecond)
	}
	return false
}

// lookAtOwn lists the client's own keys as they are, or were, and compares.
func (c *Client) lookAtOwn(ctx context.Context, m ownMoment, header http.Header) {
	node := c.node()
	q := url.Values{"list-type": {"2"}, "prefix": {c.ownPrefix()}}
	a := c.send(ctx, node, ask{method: "GET", path: "/" + keptBucket, query: q.Encode(), header: header})
	c.refuseOdd(a, "ListObjectsV2", 200)
	if a.told() != 200 {
		return
	}
	page, err := parseListing(a.body)
	if err != nil || page.IsTruncated {
		c.of.Violated("I3", "ListObjectsV2: %v: %.200q", err, a.body)
		return
	}
	found := make(map[string]string)
	for _, line := range page.Contents {
		found[line.Key], _ = c.of.History.valueOf(strings.Trim(line.ETag, `"`))
	}
	if !maps.Equal(found, m.values) {
		c.of.Violated("I18", "behind a restore to event %d a listing through node %d at %v, %v, shows %v instead of %v", m.seq, node, time.Duration(a.call), header, found, m.values)
	}
}
