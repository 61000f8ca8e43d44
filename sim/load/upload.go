package load

import (
	"context"
	stdbase64 "encoding/base64"
	"encoding/xml"
	"net/http"
	"strings"
	"sync"

	"ironman/sim/history"
)

func base64(b []byte) string { return stdbase64.StdEncoding.EncodeToString(b) }

// An upload goes through its operations one at a time, so that faults come between.
type upload struct {
	key, id string
	value   string // of its only part, and so of the object
	part    string // entity tag of the part; empty: not uploaded yet
}

// upload takes one of the client's uploads a step further, or begins one.
func (c *Client) upload(ctx context.Context) {
	if len(c.uploads) < maxOpen && c.rng.IntN(2) == 0 || len(c.uploads) == 0 {
		c.beginUpload(ctx)
		return
	}
	i := c.rng.IntN(len(c.uploads))
	u := &c.uploads[i]
	switch {
	case c.rng.IntN(12) == 0:
		c.abort(ctx, u)
		c.uploads = append(c.uploads[:i], c.uploads[i+1:]...)
	case u.part == "" || c.rng.IntN(8) == 0:
		c.uploadPart(ctx, u)
	case c.complete(ctx, u):
		c.uploads = append(c.uploads[:i], c.uploads[i+1:]...)
	}
}

func (c *Client) beginUpload(ctx context.Context) {
	key := c.hotKey()
	a := c.send(ctx, c.node(), ask{method: "POST", path: path(key), query: "uploads="})
	c.refuseOdd(a, "CreateMultipartUpload", 200)
	var result struct{ UploadId string }
	if a.err != nil || a.status != 200 {
		return
	}
	if err := xml.Unmarshal(a.body, &result); err != nil || result.UploadId == "" {
		c.of.Violated("I2", "CreateMultipartUpload: %v: %.200q", err, a.body)
		return
	}
	c.uploads = append(c.uploads, upload{key: key, id: result.UploadId})
}

// uploadPart uploads the part anew; each body is another value.
func (c *Client) uploadPart(ctx context.Context, u *upload) {
	v := c.value()
	a := c.send(ctx, c.node(), ask{method: "PUT", path: path(u.key), query: "partNumber=1&uploadId=" + u.id, body: body(v), hangUp: c.hangUp()})
	c.refuseOdd(a, "UploadPart", 200, 404)
	u.part = "" // what the part is now, if the answer is missing, is not known
	if a.err == nil && a.status == 200 {
		u.part, u.value = tag(a.header), v
	}
}

// complete reports whether the upload is over.
func (c *Client) complete(ctx context.Context, u *upload) (over bool) {
	whole, err := uploadTag(u.part)
	if err != nil {
		c.of.Violated("I4", "the entity tag %q of a part", u.part)
		return true
	}
	c.of.History.name(whole, u.value)
	node := c.node()
	doc := []byte("<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>" + u.part + "</ETag></Part></CompleteMultipartUpload>")
	o, header := c.condition(ctx, u)
	header.Set("Content-Type", "application/xml")
	var rival sync.WaitGroup
	defer rival.Wait()
	if o.Kind == history.Replace {
		c.rival(ctx, &rival, o)
	}
	a := c.send(ctx, node, ask{method: "POST", path: path(u.key), query: "uploadId=" + u.id, body: doc, header: header})
	// 404: an earlier completion without an answer was done, and its trace is gone, or
	// there is nothing that could match. 400: an upload of the part without an answer
	// came behind.
	c.refuseOdd(a, "CompleteMultipartUpload", 200, 404, 400, 412)
	switch {
	case a.err == nil && (a.status == 404 || a.status == 400):
		return true
	case a.err == nil && a.status == 200 && !strings.Contains(string(a.body), "<CompleteMultipartUploadResult"):
		o.Status = 500
	}
	c.record(node, a, o)
	return true // with an open outcome too: a second completion would be the same change
}

// condition is under which an upload is completed: mostly none.
func (c *Client) condition(ctx context.Context, u *upload) (history.Op, http.Header) {
	o := history.Op{Kind: history.Put, How: "complete", Key: u.key, Value: u.value}
	header := make(http.Header)
	switch c.rng.IntN(4) {
	case 0:
		o.Kind = history.Create
		header.Set("If-None-Match", "*")
	case 1:
		c.Read(ctx, c.node(), u.key)
		if seen := c.seen[u.key]; seen.value != "" {
			o.Kind, o.Match = history.Replace, seen.value
			header.Set("If-Match", `"`+seen.tag+`"`)
		}
	}
	return o, header
}

// rival is a PUT that wants to replace what a completion wants to replace: one of them
// may.
func (c *Client) rival(ctx context.Context, running *sync.WaitGroup, o history.Op) {
	v, node, match := c.value(), c.node(), `"`+c.seen[o.Key].tag+`"`
	running.Go(func() {
		a := c.send(ctx, node, ask{method: "PUT", path: path(o.Key), header: http.Header{"If-Match": {match}}, body: body(v)})
		c.refuseOdd(a, "PUT "+o.Key, 200, 412, 404)
		c.recordAs(100*c.n, node, a, history.Op{Kind: history.Replace, How: "rival", Key: o.Key, Value: v, Match: o.Match})
	})
}

func (c *Client) abort(ctx context.Context, u *upload) {
	a := c.send(ctx, c.node(), ask{method: "DELETE", path: path(u.key), query: "uploadId=" + u.id})
	c.refuseOdd(a, "AbortMultipartUpload", 204, 404)
}
