package mirror

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"ironman/s3api/sig"
)

// Client sends signed requests to a store, by whichever of its addresses answers. Safe for
// concurrent use.
type Client struct {
	endpoints []string
	cred      sig.Credential
	region    string
	http      *http.Client
	at        atomic.Int64 // the endpoint that is asked
}

// NewClient makes a client of one or more addresses, such as "http://127.0.0.1:9000".
func NewClient(endpoints []string, cred sig.Credential, region string) (*Client, error) {
	if len(endpoints) == 0 {
		return nil, errors.New("mirror: the address of a store is needed")
	}
	c := &Client{cred: cred, region: region, http: &http.Client{
		Transport: &http.Transport{
			DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext, TLSHandshakeTimeout: 5 * time.Second, Proxy: http.ProxyFromEnvironment,
			ResponseHeaderTimeout: answerLimit, DisableCompression: true, MaxIdleConnsPerHost: 2 * workers,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	for _, e := range endpoints {
		if _, err := url.Parse(e); err != nil {
			return nil, fmt.Errorf("mirror: %w", err)
		}
		c.endpoints = append(c.endpoints, strings.TrimSuffix(e, "/"))
	}
	return c, nil
}

const (
	// answerLimit is how long the first byte of an answer may take: the feed waits, too.
	answerLimit = 90 * time.Second
	maxDocument = 16 << 20
)

// request is what is asked.
type request struct {
	method, bucket, key string
	query               url.Values
	header              http.Header
	body                io.Reader // nil: none
	length              int64
}

// refusal is an answer that is none of success.
type refusal struct {
	what    string
	status  int
	code    string // "" where there is no document, as behind HEAD
	message string
}

func (r *refusal) Error() string {
	return strings.TrimSpace(fmt.Sprintf("%s: %d %s %s", r.what, r.status, r.code, r.message))
}

// refused tells whether an error is an answer with a status.
func refused(err error, status int) bool {
	var r *refusal
	return errors.As(err, &r) && r.status == status
}

// passing tells whether trying again may help: nobody answered, or somebody who could not.
func passing(err error) bool {
	var r *refusal
	if !errors.As(err, &r) {
		return !errors.As(err, new(*finalError))
	}
	return r.status >= 500 && r.status != http.StatusNotImplemented || r.status == http.StatusRequestTimeout
}

// finalError is an error that another try would not change.
type finalError struct{ error }

func final(format string, args ...any) error {
	return &finalError{fmt.Errorf("mirror: "+format, args...)}
}

// send sends a request once. Whoever gets an answer closes its body. After a failure the next
// endpoint has its turn.
func (c *Client) send(ctx context.Context, q *request) (*http.Response, error) {
	at := c.at.Load()
	base := c.endpoints[int(at)%len(c.endpoints)]
	u, err := url.Parse(base + "/" + escape(q.bucket) + slashed(q.key))
	if err != nil {
		return nil, final("%w", err)
	}
	u.RawQuery = q.query.Encode()
	r, err := http.NewRequestWithContext(ctx, q.method, u.String(), q.body)
	if err != nil {
		return nil, final("%w", err)
	}
	r.URL = u
	for name, values := range q.header {
		r.Header[name] = values
	}
	if r.Header.Get("User-Agent") == "" {
		r.Header.Set("User-Agent", "ironman-mirror")
	}
	if q.body != nil {
		r.ContentLength = q.length
		if q.length == 0 {
			r.Body = http.NoBody
		}
	}
	if err := sig.SignV4(r, c.cred, c.region, sig.UnsignedPayload, time.Now()); err != nil {
		return nil, final("%w", err)
	}
	resp, err := c.http.Do(r)
	if err == nil && resp.StatusCode/100 == 2 {
		return resp, nil
	}
	if err == nil {
		err = refusalOf(q, resp)
	}
	if passing(err) {
		c.at.CompareAndSwap(at, at+1)
	}
	return nil, err
}

func refusalOf(q *request, resp *http.Response) error {
	defer resp.Body.Close()
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // what came of it will do
	var doc struct{ Code, Message string }
	_ = xml.Unmarshal(b, &doc) // else the status alone must do
	return &refusal{fmt.Sprintf("%s %s %q", q.method, q.bucket, q.key), resp.StatusCode, doc.Code, doc.Message}
}

// document sends a request without a body until it is answered, and reads the answer.
func (c *Client) document(ctx context.Context, q *request) (b []byte, h http.Header, err error) {
	err = persist(ctx, func() error {
		resp, err := c.send(ctx, q)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		h = resp.Header
		b, err = io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
		if len(b) > maxDocument {
			return final("%s %s: the answer is longer than %d bytes", q.method, q.bucket, maxDocument)
		}
		return err
	})
	return b, h, err
}

// Pauses between tries, and for how long there are any.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 2 * time.Second
	patience   = 2 * time.Minute
)

// persist tries until it is done, or another try would not help, or for long.
func persist(ctx context.Context, try func() error) error {
	began := time.Now()
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := try()
		if err == nil || !passing(err) || ctx.Err() != nil || time.Since(began) > patience {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

func slashed(key string) string {
	if key == "" {
		return ""
	}
	return "/" + escape(key)
}

// escape writes a key in a path, as signatures have it.
func escape(key string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/"
	var b strings.Builder
	for i := range len(key) {
		if strings.IndexByte(plain, key[i]) >= 0 {
			b.WriteByte(key[i])
		} else {
			fmt.Fprintf(&b, "%%%02X", key[i])
		}
	}
	return b.String()
}
