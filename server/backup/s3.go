package backup

import (
	"context"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"ironman/s3api/sig"
)

// S3 says which part of a bucket a target is. It takes any store that speaks S3: what it asks
// for is PutObject, GetObject and ListObjectsV2.
type S3 struct {
	Endpoint string // such as "https://s3.example.com"
	Region   string
	Bucket   string
	Prefix   string // of all keys; "": the whole bucket
	Cred     sig.Credential
}

// bucket is a Target in a bucket.
type bucket struct {
	S3
	http *http.Client
}

// OpenS3 is part of a bucket as a target.
func OpenS3(s S3) (Target, error) {
	u, err := url.Parse(s.Endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || s.Bucket == "" {
		return nil, fmt.Errorf("backup: %q and the bucket %q are no place of S3", s.Endpoint, s.Bucket)
	}
	s.Endpoint, s.Prefix = strings.TrimSuffix(s.Endpoint, "/"), strings.Trim(s.Prefix, "/")
	if s.Prefix != "" {
		s.Prefix += "/"
	}
	return &bucket{s, &http.Client{
		Transport: &http.Transport{
			DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext, TLSHandshakeTimeout: 5 * time.Second, Proxy: http.ProxyFromEnvironment,
			ResponseHeaderTimeout: s3Answer, DisableCompression: true, MaxIdleConnsPerHost: 2 * workers,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

const (
	// s3Answer is how long the first byte of an answer may take.
	s3Answer = 2 * time.Minute
	// s3List bounds a page of a list, in bytes.
	s3List = 16 << 20
)

// String implements Target.
func (b *bucket) String() string {
	return strings.TrimSuffix("s3://"+b.Bucket+"/"+b.Prefix, "/")
}

// send asks once. Whoever gets an answer closes its body.
func (b *bucket) send(ctx context.Context, method, key string, q url.Values, change func(*http.Request), payload string) (*http.Response, error) {
	u, err := url.Parse(b.Endpoint + "/" + escape(b.Bucket) + "/" + escape(key))
	if err != nil {
		return nil, err
	}
	u.RawQuery = q.Encode()
	r, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	r.URL = u
	r.Header.Set("User-Agent", "ironman-backup")
	if change != nil {
		change(r)
	}
	if err := sig.SignV4(r, b.Cred, b.Region, payload, time.Now()); err != nil {
		return nil, err
	}
	resp, err := b.http.Do(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 == 2 {
		return resp, nil
	}
	return nil, refusalOf(method+" "+b.Bucket+"/"+key, resp)
}

func refusalOf(what string, resp *http.Response) error {
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // what came of it will do
	var doc struct{ Code, Message string }
	_ = xml.Unmarshal(text, &doc) // else the status alone must do
	err := &refusal{what, resp.StatusCode, doc.Code, doc.Message}
	if resp.StatusCode == http.StatusNotFound && doc.Code != "NoSuchBucket" {
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return err
}

// refusal is an answer of S3 that is none of success.
type refusal struct {
	what    string
	status  int
	code    string
	message string
}

func (r *refusal) Error() string {
	return strings.TrimSpace(fmt.Sprintf("%s: %d %s %s", r.what, r.status, r.code, r.message))
}

// Put implements Target. The store refuses bytes that are not those of the sum, by the
// signature.
func (b *bucket) Put(ctx context.Context, name string, c Content) error {
	if !plainName(name) {
		return fmt.Errorf("backup: %q is no name", name)
	}
	body, err := c.Open(ctx)
	if err != nil {
		return err
	}
	defer body.Close()
	resp, err := b.send(ctx, http.MethodPut, b.Prefix+name, nil, func(r *http.Request) {
		r.Body, r.ContentLength = io.NopCloser(body), c.Size
		if c.Size == 0 {
			r.Body = http.NoBody
		}
	}, hex.EncodeToString(c.Sum[:]))
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// Open implements Target.
func (b *bucket) Open(ctx context.Context, name string, off, length int64) (io.ReadCloser, error) {
	if length == 0 {
		return http.NoBody, nil
	}
	r := &resuming{b: b, ctx: ctx, name: name, at: off, end: -1}
	if length > 0 {
		r.end = off + length
	}
	if err := persist(ctx, r.begin); err != nil {
		return nil, err
	}
	return r, nil
}

// resuming reads a range, and goes on where an answer broke off.
type resuming struct {
	b       *bucket
	ctx     context.Context
	name    string
	at, end int64 // end -1: the end of it
	size    int64 // of what is still to come of body; -1: not known
	tag     string
	body    io.ReadCloser
	broken  int
}

// begin asks for what is still to come. What was replaced meanwhile is an error.
func (r *resuming) begin() error {
	resp, err := r.b.send(r.ctx, http.MethodGet, r.b.Prefix+r.name, nil, func(q *http.Request) {
		switch {
		case r.end >= 0:
			q.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", r.at, r.end-1))
		case r.at > 0:
			q.Header.Set("Range", fmt.Sprintf("bytes=%d-", r.at))
		}
		if r.tag != "" {
			q.Header.Set("If-Match", r.tag)
		}
	}, sig.UnsignedPayload)
	var said *refusal
	if errors.As(err, &said) && said.status == http.StatusRequestedRangeNotSatisfiable {
		r.body, r.size = http.NoBody, 0
		return nil
	}
	if err != nil {
		return err
	}
	if (r.at > 0 || r.end >= 0) && resp.StatusCode != http.StatusPartialContent {
		return errors.Join(fmt.Errorf("backup: %s gives no ranges", r.b.Endpoint), resp.Body.Close())
	}
	r.body, r.size, r.tag = resp.Body, resp.ContentLength, resp.Header.Get("ETag")
	return nil
}

// mostBroken is how often an answer may break off without a byte in between.
const mostBroken = 5

// Read implements io.Reader.
func (r *resuming) Read(p []byte) (int, error) {
	for {
		n, err := r.body.Read(p)
		r.at += int64(n)
		if r.size >= 0 {
			r.size -= int64(n)
		}
		if n > 0 {
			r.broken = 0
			return n, nil
		}
		if err == nil || err == io.EOF && r.size <= 0 || r.ctx.Err() != nil {
			return 0, err
		}
		if r.broken++; r.broken > mostBroken {
			return 0, fmt.Errorf("backup: %s: %w", r.name, err)
		}
		if err := errors.Join(r.body.Close(), persist(r.ctx, r.begin)); err != nil {
			return 0, err
		}
	}
}

// Close implements io.Closer.
func (r *resuming) Close() error { return r.body.Close() }

// List implements Target.
func (b *bucket) List(ctx context.Context, prefix string) ([]Item, error) {
	var items []Item
	q := url.Values{"list-type": {"2"}, "prefix": {b.Prefix + prefix}}
	for {
		var page struct {
			Contents []struct {
				Key  string
				Size int64
			}
			IsTruncated           bool
			NextContinuationToken string
		}
		err := persist(ctx, func() error {
			resp, err := b.send(ctx, http.MethodGet, "", q, nil, sig.UnsignedPayload)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			page.Contents = nil
			text, err := io.ReadAll(io.LimitReader(resp.Body, s3List))
			if err != nil {
				return err
			}
			return xml.Unmarshal(text, &page)
		})
		if err != nil {
			return nil, fmt.Errorf("backup: list of %s: %w", b, err)
		}
		for _, c := range page.Contents {
			if name := strings.TrimPrefix(c.Key, b.Prefix); plainName(name) {
				items = append(items, Item{name, c.Size})
			}
		}
		if !page.IsTruncated {
			break
		}
		if page.NextContinuationToken == "" || page.NextContinuationToken == q.Get("continuation-token") {
			return nil, fmt.Errorf("backup: the list of %s does not go on", b)
		}
		q.Set("continuation-token", page.NextContinuationToken)
	}
	slices.SortFunc(items, func(x, y Item) int { return strings.Compare(x.Name, y.Name) })
	return items, nil
}

// escape writes a key in a path, as signatures have it.
func escape(key string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~/"
	var b strings.Builder
	for i := range len(key) {
		if strings.IndexByte(plain, key[i]) >= 0 {
			b.WriteByte(key[i])
		} else {
			b.WriteString("%" + strings.ToUpper(strconv.FormatUint(uint64(key[i])|0x100, 16)[1:]))
		}
	}
	return b.String()
}
