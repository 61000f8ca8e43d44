package load

import (
	"context"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"ironman/sim/history"
	"ironman/wal/digest"
)

// Bucket is where most requests go.
const Bucket = "world"

const (
	bucket = Bucket
	// keptBucket keeps its history for longer than any run.
	keptBucket = "kept"

	hotKeys  = 5 // of an epoch
	maxOpen  = 3 // uploads of one client
	pageSize = 7 // keys of a page of a listing, so that there are several
)

// Run makes requests until ctx ends; the one under way comes to its end.
func (c *Client) Run(ctx context.Context) {
	steps := []step{
		{22, c.put}, {10, c.putNew}, {8, c.create}, {8, c.replace}, {24, c.get}, {5, c.head}, {9, c.remove},
		{4, c.list}, {6, c.upload}, {3, c.removeSeveral}, {4, c.copy}, {3, c.race}, {2, c.tag},
	}
	if c.of.Later {
		steps = append(steps, c.laterSteps()...)
	}
	total := 0
	for _, s := range steps {
		total += s.weight
	}
	for ctx.Err() == nil {
		pick := c.rng.IntN(total)
		for _, s := range steps {
			if pick -= s.weight; pick < 0 {
				s.do(context.WithoutCancel(ctx))
				break
			}
		}
		pause(ctx, time.Duration(c.rng.ExpFloat64()*float64(c.of.Think)))
	}
}

type step struct {
	weight int
	do     func(context.Context)
}

// laterSteps are of what came after the first releases.
func (c *Client) laterSteps() []step {
	return []step{{6, c.transact}, {1, c.raceSets}, {7, c.readSet}, {10, c.readPast}, {12, c.changeOwn}, {2, c.restore}}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

func (c *Client) node() int      { return 1 + c.rng.IntN(c.of.Nodes) }
func (c *Client) hotKey() string { return hotKey(c.of.Epoch(), c.rng.IntN(hotKeys)) }

func hotKey(epoch, i int) string { return fmt.Sprintf("%s%d", hotPrefix(epoch), i) }
func hotPrefix(epoch int) string { return fmt.Sprintf("hot/%d/", epoch) }

func path(key string) string { return "/" + bucketOf(key) + "/" + key }

// bucketOf is the bucket that a key is in.
func bucketOf(key string) string {
	if kind, _, _ := strings.Cut(key, "/"); kind == "set" || kind == "source" || kind == "own" {
		return keptBucket
	}
	return bucket
}

// size of a body: mostly of those that are stored as copies, some that are coded.
func (c *Client) size() int {
	switch n := c.rng.IntN(100); {
	case n < 3:
		return 0x10000 + c.rng.IntN(0x60000)
	case n < 15:
		return 30_000 + c.rng.IntN(20_000)
	}
	return 64 + c.rng.IntN(3000)
}

func (c *Client) value() string {
	c.number++
	v := newValue(c.n, c.number, c.size())
	c.of.History.name(entityTag(v), v)
	return v
}

// hangUp is now and then a client that goes away in the middle (F-H1).
func (c *Client) hangUp() time.Duration {
	if !c.of.HangUps || c.rng.IntN(40) != 0 {
		return 0
	}
	c.of.Fired("H1", "a client hangs up")
	return time.Duration(1 + c.rng.IntN(int(20*time.Millisecond)))
}

func (c *Client) write(ctx context.Context, kind, key string, header http.Header, match string) {
	v, node := c.value(), c.node()
	a := c.send(ctx, node, ask{method: "PUT", path: path(key), header: header, body: body(v), hangUp: c.hangUp()})
	c.refuseOdd(a, "PUT "+key, 200, 412, 404)
	c.record(node, a, history.Op{Kind: kind, Key: key, Value: v, Match: match})
	if a.err == nil && a.status == 200 {
		c.checkTag(a, v)
		c.seen[key] = reading{v, tag(a.header)}
		c.noteChange(a, key, v)
	}
}

func tag(h http.Header) string { return strings.Trim(h.Get("Etag"), `"`) }

func (c *Client) checkTag(a answer, value string) {
	if got, ok := c.of.History.valueOf(tag(a.header)); !ok || got != value {
		c.of.Violated("I4", "%s is said to have the entity tag %s, which is of %q", value, tag(a.header), got)
	}
}

func (c *Client) put(ctx context.Context) { c.write(ctx, history.Put, c.hotKey(), nil, "") }

// putNew writes a key that nobody writes again: what is acknowledged stays.
func (c *Client) putNew(ctx context.Context) {
	key := fmt.Sprintf("once/%d/%d", c.n, len(c.once)+1)
	c.once = append(c.once, key)
	c.write(ctx, history.Put, key, nil, "")
}

func (c *Client) create(ctx context.Context) {
	c.write(ctx, history.Create, c.hotKey(), http.Header{"If-None-Match": {"*"}}, "")
}

func (c *Client) replace(ctx context.Context) {
	key := c.hotKey()
	seen, ok := c.seen[key]
	if !ok || seen.value == "" {
		c.get(ctx)
		return
	}
	c.write(ctx, history.Replace, key, http.Header{"If-Match": {`"` + seen.tag + `"`}}, seen.value)
}

// tag sets the tags of an object, an event that came later than the first releases: while
// one of those is in the cluster it is refused, and no node must ever meet it.
func (c *Client) tag(ctx context.Context) {
	key := c.hotKey()
	text := fmt.Sprintf("<Tagging><TagSet><Tag><Key>by</Key><Value>%d</Value></Tag></TagSet></Tagging>", c.n)
	a := c.send(ctx, c.node(), ask{method: "PUT", path: path(key), query: "tagging=", body: []byte(text), hangUp: c.hangUp()})
	c.refuseOdd(a, "PUT "+key+"?tagging", 200, 404, 501)
}

// racers are those that make conditional requests at one moment.
const racers = 3

// race lets several create, or replace, one key at once, through all nodes: at most
// one may win.
func (c *Client) race(ctx context.Context) {
	key := c.hotKey()
	kind, header := history.Create, http.Header{"If-None-Match": {"*"}}
	if seen := c.seen[key]; seen.value != "" && c.rng.IntN(2) == 0 {
		kind, header = history.Replace, http.Header{"If-Match": {`"` + seen.tag + `"`}}
	}
	match := c.seen[key].value
	if kind == history.Create {
		match = ""
		c.remove(ctx) // of some hot key: now and then of this one
	}
	var all sync.WaitGroup
	for i := range racers {
		v, node := c.value(), 1+(c.n+i)%c.of.Nodes
		all.Go(func() {
			a := c.send(ctx, node, ask{method: "PUT", path: path(key), header: header.Clone(), body: body(v)})
			c.refuseOdd(a, "PUT "+key, 200, 412, 404)
			c.recordAs(100*c.n+i, node, a, history.Op{Kind: kind, How: "race", Key: key, Value: v, Match: match})
		})
	}
	all.Wait()
	delete(c.seen, key)
}

// someKey is a hot one, or one that was written once.
func (c *Client) someKey() string {
	if len(c.once) > 0 && c.rng.IntN(4) == 0 {
		return c.once[c.rng.IntN(len(c.once))]
	}
	return c.hotKey()
}

func (c *Client) get(ctx context.Context) { c.Read(ctx, c.node(), c.someKey()) }

// Read gets a key's body. It reports whether there was an answer that counts.
func (c *Client) Read(ctx context.Context, node int, key string) bool {
	a := c.send(ctx, node, ask{method: "GET", path: path(key)})
	c.refuseOdd(a, "GET "+key, 200, 404)
	o := history.Op{Kind: history.Get, Key: key}
	if a.err == nil && a.status == 200 {
		v, err := valueOf(a.body)
		if err != nil {
			c.of.Violated("I4", "GET %s through node %d at %v: %v", key, node, time.Duration(a.call), err)
			return true
		}
		if got, _ := c.of.History.valueOf(tag(a.header)); got != v {
			c.of.Violated("I4", "GET %s: the body of %s with the entity tag of %q", key, v, got)
		}
		o.Read = v
		c.seen[key] = reading{v, tag(a.header)}
	} else if a.err == nil && a.status == 404 {
		c.seen[key] = reading{}
	}
	c.record(node, a, o)
	return a.err == nil && a.status < 500
}

// Write writes a small body of its own to a key. The error says why that was not
// acknowledged.
func (c *Client) Write(ctx context.Context, node int, key string) error {
	a := c.putSmall(ctx, node, key)
	if a.err == nil && a.status == http.StatusOK {
		return nil
	}
	return fmt.Errorf("load: PUT %s: %d %.200q: %w", key, a.status, a.body, a.err)
}

// Put is Write that tells the status; 0: there was no answer.
func (c *Client) Put(ctx context.Context, node int, key string) (status int) {
	a := c.putSmall(ctx, node, key)
	return a.told()
}

func (c *Client) putSmall(ctx context.Context, node int, key string) answer {
	c.number++
	v := newValue(c.n, c.number, 100)
	c.of.History.name(entityTag(v), v)
	a := c.send(ctx, node, ask{method: "PUT", path: path(key), body: body(v)})
	c.record(node, a, history.Op{Kind: history.Put, Key: key, Value: v})
	return a
}

// Delete deletes a key and tells the status; 0: there was no answer.
func (c *Client) Delete(ctx context.Context, node int, key string) (status int) {
	a := c.send(ctx, node, ask{method: "DELETE", path: path(key)})
	c.record(node, a, history.Op{Kind: history.Delete, Key: key})
	return a.told()
}

// MakeBuckets makes the buckets of the run, and has one of them keep its history. own is how
// long the other keeps it; 0: as long as the cluster says.
func (c *Client) MakeBuckets(ctx context.Context, node int, own time.Duration) error {
	for _, name := range []string{bucket, keptBucket} {
		a := c.send(ctx, node, ask{method: "PUT", path: "/" + name})
		if a.err != nil || a.status != http.StatusOK {
			return fmt.Errorf("load: CreateBucket: %d %.200q: %w", a.status, a.body, a.err)
		}
	}
	if !c.of.Later {
		return nil
	}
	if own > 0 {
		if err := c.keep(ctx, node, bucket, own, false); err != nil {
			return err
		}
	}
	return c.keep(ctx, node, keptBucket, time.Hour, c.rng.IntN(2) == 0)
}

// Serves tells whether a node answers.
func (c *Client) Serves(ctx context.Context, node int) bool {
	a := c.send(ctx, node, ask{method: "GET", path: "/"})
	return a.err == nil && a.status == http.StatusOK
}

func (c *Client) head(ctx context.Context) {
	key, node := c.someKey(), c.node()
	a := c.send(ctx, node, ask{method: "HEAD", path: path(key)})
	c.refuseOdd(a, "HEAD "+key, 200, 404)
	o := history.Op{Kind: history.Get, How: "head", Key: key}
	if a.err == nil && a.status == 200 {
		v, ok := c.of.History.valueOf(tag(a.header))
		if !ok {
			c.of.Violated("I4", "HEAD %s: the entity tag %s is of nothing", key, tag(a.header))
			return
		}
		o.Read = v
	}
	c.record(node, a, o)
}

func (c *Client) remove(ctx context.Context) {
	key, node := c.hotKey(), c.node()
	a := c.send(ctx, node, ask{method: "DELETE", path: path(key), hangUp: c.hangUp()})
	c.refuseOdd(a, "DELETE "+key, 204)
	c.record(node, a, history.Op{Kind: history.Delete, Key: key})
	if a.told() == 204 {
		c.noteChange(a, key, "")
	}
}

// removeSeveral deletes two keys in one request.
func (c *Client) removeSeveral(ctx context.Context) {
	epoch := c.of.Epoch()
	keys, node := []string{hotKey(epoch, 0), hotKey(epoch, 1)}, c.node()
	doc := fmt.Appendf(nil, "<Delete><Quiet>true</Quiet><Object><Key>%s</Key></Object><Object><Key>%s</Key></Object></Delete>", keys[0], keys[1])
	h := digest.NewMD5()
	h.Write(doc)
	a := c.send(ctx, node, ask{method: "POST", path: "/" + bucket, query: "delete=", body: doc, header: http.Header{"Content-Md5": {base64(h.Sum(nil))}}})
	c.refuseOdd(a, "DeleteObjects", 200)
	var result struct {
		Error []struct{ Key, Code string }
	}
	if a.err == nil && a.status == 200 {
		if err := xml.Unmarshal(a.body, &result); err != nil {
			c.of.Violated("I4", "DeleteObjects: %v: %.200q", err, a.body)
		}
	}
	for _, key := range keys {
		o := history.Op{Kind: history.Delete, How: "several", Key: key}
		for _, e := range result.Error {
			if e.Key == key {
				o.Status = 500 // its outcome is open
			}
		}
		c.record(node, a, o)
	}
}

// copy copies a body that never changes to a hot key.
func (c *Client) copy(ctx context.Context) {
	var from string
	for range 5 {
		if k := c.someKey(); strings.HasPrefix(k, "once/") && c.seen[k].value != "" {
			from = k
		}
	}
	if from == "" {
		c.get(ctx)
		return
	}
	key, node := c.hotKey(), c.node()
	a := c.send(ctx, node, ask{method: "PUT", path: path(key), header: http.Header{"X-Amz-Copy-Source": {path(from)}}})
	c.refuseOdd(a, "CopyObject "+key, 200)
	o := history.Op{Kind: history.Put, How: "copy", Key: key, Value: c.seen[from].value}
	if a.err == nil && a.status == 200 && !strings.Contains(string(a.body), "<CopyObjectResult") {
		o.Status = 500 // an error in a document that began as a success
	}
	c.record(node, a, o)
}

func (c *Client) list(ctx context.Context) { c.List(ctx, c.of.Epoch()) }

// List reads all pages of a listing of an epoch's hot keys. Each line, and each key
// that is not there, is a read of that key; pages are taken to be of different moments.
func (c *Client) List(ctx context.Context, epoch int) {
	node := c.node()
	token, from := "", ""
	for {
		q := url.Values{"list-type": {"2"}, "prefix": {hotPrefix(epoch)}, "max-keys": {fmt.Sprint(pageSize)}}
		if token != "" {
			q.Set("continuation-token", token)
		}
		a := c.send(ctx, node, ask{method: "GET", path: "/" + bucket, query: q.Encode()})
		c.refuseOdd(a, "ListObjectsV2", 200)
		if a.err != nil || a.status != 200 {
			return
		}
		page, err := parseListing(a.body)
		if err != nil {
			c.of.Violated("I3", "ListObjectsV2: %v: %.200q", err, a.body)
			return
		}
		last := c.recordPage(node, a, page, epoch, from)
		if !page.IsTruncated {
			return
		}
		token, from = page.NextContinuationToken, last
	}
}

type listing struct {
	IsTruncated           bool
	NextContinuationToken string
	Contents              []struct {
		Key, ETag string
		Size      int
	}
}

func parseListing(b []byte) (*listing, error) {
	l := new(listing)
	return l, xml.Unmarshal(b, l)
}

// recordPage records a page that begins behind the key from, and returns its last key.
func (c *Client) recordPage(node int, a answer, page *listing, epoch int, from string) (last string) {
	last = from
	there := make(map[string]string)
	for _, line := range page.Contents {
		if line.Key <= last {
			c.of.Violated("I3", "a listing shows %q behind %q", line.Key, last)
		}
		last = line.Key
		v, ok := c.of.History.valueOf(strings.Trim(line.ETag, `"`))
		if !ok || sizeOf(v) != line.Size {
			c.of.Violated("I3", "a listing shows %q with %d bytes and the entity tag %s, which is of %q", line.Key, line.Size, line.ETag, v)
			continue
		}
		there[line.Key] = v
	}
	for i := range hotKeys {
		key := hotKey(epoch, i)
		if key <= from || page.IsTruncated && key > last {
			continue
		}
		o := history.Op{Kind: history.Get, How: "list", Key: key, Read: there[key], Status: 200}
		c.record(node, a, o)
	}
	return last
}

// refuseOdd reports an answer that a request of this kind never gets. Any may fail
// with 5xx, and wait for a conflict to pass; a node whose clock has jumped refuses
// what it takes for old, until it knows that it is the one that is wrong.
func (c *Client) refuseOdd(a answer, what string, expected ...int) {
	if a.err != nil || a.status >= 500 || a.status == http.StatusConflict {
		return
	}
	skewed := strings.Contains(string(a.body), "<Code>RequestTimeTooSkewed<") || len(a.body) == 0 // HEAD
	if a.status == http.StatusForbidden && skewed && c.of.ClocksJump() {
		return
	}
	for _, s := range expected {
		if a.status == s && !strings.Contains(string(a.body), "<Code>NoSuchBucket<") {
			return
		}
	}
	c.of.Violated("I2", "%s was answered %d: %.300q", what, a.status, a.body)
}
