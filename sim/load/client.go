package load

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"time"

	"ironman/s3api/sig"
	"ironman/sim/history"
	"ironman/wal/digest"
)

// A Client is one that the store is for: it signs requests, sends them to a node of
// its choice, and remembers what it was answered. One goroutine may use it.
type Client struct {
	of     *Cluster
	n      int // from 1
	rng    *rand.Rand
	http   *http.Transport
	number int // of its last request that writes

	// seen is what it read last of a key: a value and its entity tag.
	seen map[string]reading
	once []string // keys that it wrote, and will not write again
	// uploads are its unfinished ones.
	uploads []upload
	sets    map[string]setReading // what it read last of a set
	own     own
}

type reading struct{ value, tag string }

// requestLimit is how long a client waits for an answer.
const requestLimit = 6 * time.Second

// Client is client n: no two have the same number. It connects by dial.
func (l *Cluster) Client(n int, rng *rand.Rand, dial func(ctx context.Context, address string) (net.Conn, error)) *Client {
	return &Client{
		of: l, n: n, rng: rng, seen: make(map[string]reading), sets: make(map[string]setReading),
		http: &http.Transport{
			DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
				return dial(ctx, address)
			},
			MaxIdleConnsPerHost: racers, DisableCompression: true, IdleConnTimeout: 30 * time.Second,
		},
	}
}

// Close closes its connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// ask is a request to be made.
type ask struct {
	method, path, query string
	header              http.Header
	body                []byte
	// hangUp is how long the client waits before it goes away; 0: as long as it should.
	hangUp time.Duration
}

// answer is what came back. Without an err the body is whole.
type answer struct {
	status     int
	header     http.Header
	body       []byte
	call, back int64
	// unsent: no byte of the request can have reached the node.
	unsent bool
	err    error
}

// told is the status of a whole answer; 0: there was none.
func (a *answer) told() int {
	if a.err != nil {
		return 0
	}
	return a.status
}

// send asks one node, once.
func (c *Client) send(ctx context.Context, node int, q ask) answer {
	limit := requestLimit
	if q.hangUp > 0 {
		limit = q.hangUp
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	a := answer{call: c.of.Now()}
	c.of.Trace("ask", c.n, node, q.method, q.path, q.query, len(q.body))
	a.status, a.header, a.body, a.err = c.exchange(ctx, node, q)
	a.back = c.of.Now()
	if a.err != nil {
		var op *net.OpError
		a.unsent = errors.Is(a.err, errNotConnected) || errors.As(a.err, &op) && op.Op == "dial"
	}
	c.of.Trace("answer", c.n, node, a.status, len(a.body), a.err != nil)
	c.of.Answered(a.err == nil && a.status < 500)
	return a
}

var errNotConnected = errors.New("load: not connected")

func (c *Client) exchange(ctx context.Context, node int, q ask) (int, http.Header, []byte, error) {
	resp, err := c.begin(ctx, node, q)
	if err != nil {
		return 0, nil, nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, b, err
}

// begin sends a request, and returns what it is answered when that begins.
func (c *Client) begin(ctx context.Context, node int, q ask) (*http.Response, error) {
	host := c.of.Address(node)
	r := (&http.Request{
		Method: q.method, Host: host, URL: &url.URL{Scheme: "http", Host: host, Path: q.path, RawQuery: q.query},
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: make(http.Header),
	}).WithContext(ctx)
	for name, v := range q.header {
		r.Header[name] = v
	}
	if q.body != nil {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(q.body)), int64(len(q.body))
	}
	sum := digest.SHA256(q.body)
	if err := sig.SignV4(r, c.of.Credential, "us-east-1", hex.EncodeToString(sum[:]), c.of.Wall()); err != nil {
		return nil, errors.Join(errNotConnected, err)
	}
	return c.http.RoundTrip(r)
}

// record adds a request to one key to the history. status is that of its part, where
// the answer speaks of several keys.
func (c *Client) record(node int, a answer, o history.Op) { c.recordAs(c.n, node, a, o) }

// recordAs is record for one of several requests that the client makes at once.
func (c *Client) recordAs(as, node int, a answer, o history.Op) {
	o.Client, o.Node, o.Call, o.Return = as, node, a.call, a.back
	if o.Status == 0 {
		o.Status = a.status
	}
	if a.err == nil && o.Status == http.StatusForbidden {
		return // refused at the door: see refuseOdd
	}
	if a.err != nil || o.Status >= 500 || o.Status == http.StatusConflict {
		if a.unsent || o.Kind == history.Get {
			return // it did nothing, and told nothing
		}
		o.Return, o.Status = history.Never, 0
	}
	c.of.History.add(o)
}
