package load

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"strings"
	"sync"

	"ironman/s3api/transaction"
	"ironman/sim/history"
)

// A draft is a transaction that is to be committed: what it does to a set.
type draft struct {
	op       history.Op
	document []byte
	// staged: it puts an upload, so that one which is sent again is known by it.
	staged bool
}

// transact writes a set, or removes it: whatever is there, or on a condition.
func (c *Client) transact(ctx context.Context) {
	set := c.someSet()
	kind := history.Put
	switch c.rng.IntN(8) {
	case 0, 1:
		kind = history.Create
	case 2, 3:
		kind = history.Replace
		c.ReadSet(ctx, c.node(), set)
	case 4:
		kind = history.Delete
	}
	if d, ok := c.draft(ctx, kind, set); ok {
		c.commit(ctx, c.n, c.node(), d)
	}
}

// raceSets lets several transactions create, or replace, one set at once, through all
// nodes: at most one may win.
func (c *Client) raceSets(ctx context.Context) {
	set, kind := c.someSet(), history.Create
	if c.ReadSet(ctx, c.node(), set); c.sets[set].value != "" {
		kind = history.Replace
	}
	var drafts []*draft
	for range racers {
		d, ok := c.draft(ctx, kind, set)
		if !ok {
			return
		}
		d.op.How = "race of transactions"
		drafts = append(drafts, d)
	}
	var all sync.WaitGroup
	for i, d := range drafts {
		all.Go(func() { c.commit(ctx, 100*c.n+i, 1+(c.n+i)%c.of.Nodes, d) })
	}
	all.Wait()
}

// draft makes a transaction ready: the body is put where it is to be copied from, or staged
// as an upload. The condition is on the last operation only: who has done those before it, and finds
// that it does not hold, has to undo them.
func (c *Client) draft(ctx context.Context, kind, set string) (*draft, bool) {
	d := &draft{op: history.Op{Kind: kind, How: "transaction", Key: set}}
	seen := c.sets[set]
	if kind == history.Replace {
		if seen.value == "" {
			return nil, false
		}
		d.op.Match = seen.value
	}
	remove := kind == history.Delete || kind == history.Replace && c.rng.IntN(4) == 0
	var from string
	if !remove {
		var ok bool
		if from, d.op.Value, ok = c.source(ctx); !ok {
			return nil, false
		}
	}
	order, staged := c.rng.Perm(members), c.rng.IntN(2*members)
	doc := transaction.Document{}
	for at, member := range order {
		key := setKey(set, member)
		var absent, match string
		if at == members-1 && kind == history.Create {
			absent = "*"
		} else if at == members-1 && kind == history.Replace {
			match = `"` + seen.tags[member] + `"`
		}
		var o transaction.Operation
		switch {
		case remove:
			o.Delete = &transaction.Delete{Key: key, IfMatch: match}
		case at == staged:
			put, ok := c.stage(ctx, key, d.op.Value)
			if !ok {
				return nil, false
			}
			put.IfMatch, put.IfNoneMatch, d.staged = match, absent, true
			o.Put = put
		default:
			o.Copy = &transaction.Copy{Key: key, Source: transaction.Source{Bucket: keptBucket, Key: from}, IfMatch: match, IfNoneMatch: absent}
		}
		doc.Operations = append(doc.Operations, o)
	}
	var err error
	if d.document, err = json.Marshal(doc); err != nil {
		panic(err) // of plain strings
	}
	return d, true
}

// source puts a body under a key of its own, which nobody writes again.
func (c *Client) source(ctx context.Context) (key, value string, ok bool) {
	v, node := c.value(), c.node()
	key = "source/" + v
	a := c.send(ctx, node, ask{method: "PUT", path: path(key), body: body(v)})
	c.refuseOdd(a, "PUT "+key, 200)
	c.record(node, a, history.Op{Kind: history.Put, Key: key, Value: v})
	return key, v, a.told() == 200
}

// stage uploads a body as the only part of an upload.
func (c *Client) stage(ctx context.Context, key, value string) (*transaction.Put, bool) {
	a := c.send(ctx, c.node(), ask{method: "POST", path: path(key), query: "uploads="})
	c.refuseOdd(a, "CreateMultipartUpload", 200)
	var begun struct{ UploadId string }
	if a.told() != 200 || xml.Unmarshal(a.body, &begun) != nil {
		return nil, false
	}
	a = c.send(ctx, c.node(), ask{method: "PUT", path: path(key), query: "partNumber=1&uploadId=" + begun.UploadId, body: body(value)})
	c.refuseOdd(a, "UploadPart", 200)
	if a.told() != 200 {
		return nil, false
	}
	part := tag(a.header)
	whole, err := uploadTag(part)
	if err != nil {
		c.of.Violated("I4", "the entity tag %q of a part", part)
		return nil, false
	}
	c.of.History.name(whole, value)
	return &transaction.Put{Key: key, UploadID: begun.UploadId, Parts: []transaction.Part{{PartNumber: 1, ETag: `"` + part + `"`}}}, true
}

// commit commits a transaction, and records what is known of it then.
func (c *Client) commit(ctx context.Context, as, node int, d *draft) {
	a := c.sendDraft(ctx, node, d)
	if a.told() == 404 && noSuchUpload(a) {
		c.of.Violated("I2", "CommitTransaction was answered %.300q", a.body)
	}
	if d.staged && !a.unsent && (a.err != nil || a.status >= 500) {
		b := c.sendDraft(ctx, 1+node%c.of.Nodes, d)
		b.call = a.call // of whichever it was
		switch {
		case b.told() == 404 && noSuchUpload(b): // it was done, and has been replaced since
			b.status = 200
			c.of.Did(SentAgain)
		case b.told() == 200:
			c.of.Did(SentAgain)
		default: // the first may be under way, whether or not the second was sent
			b = a
		}
		a = b
	}
	c.recordAs(as, node, a, d.op)
	switch {
	case a.told() == 412:
		c.of.Did(Refused)
	case a.told() == 200 && !noSuchUpload(a):
		c.of.Did(Committed)
		c.committed(a, d)
	}
}

func (c *Client) sendDraft(ctx context.Context, node int, d *draft) answer {
	a := c.send(ctx, node, ask{method: "POST", path: "/" + keptBucket, query: "transaction=", body: d.document, header: http.Header{"Content-Type": {"application/json"}}})
	c.refuseOdd(a, "CommitTransaction", 200, 404, 412)
	return a
}

func noSuchUpload(a answer) bool { return strings.Contains(string(a.body), "<Code>NoSuchUpload<") }

// committed looks at what a transaction says that it has done.
func (c *Client) committed(a answer, d *draft) {
	var said transaction.Answer
	if err := json.Unmarshal(a.body, &said); err != nil || len(said.Results) != members {
		c.of.Violated("I2", "CommitTransaction says %v: %.300q", err, a.body)
		return
	}
	if said.Sequence > 0 && !said.Repeated {
		c.noteChange(a, d.op.Key, d.op.Value)
	}
	for _, r := range said.Results {
		if v, _ := c.of.History.valueOf(strings.Trim(r.ETag, `"`)); r.ETag != "" && v != d.op.Value {
			c.of.Violated("I4", "CommitTransaction says that %s is %s, of %q, instead of %q", r.Key, r.ETag, v, d.op.Value)
		}
	}
}
