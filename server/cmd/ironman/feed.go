package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"ironman/s3api/sig"
	"ironman/server/audit"
)

const (
	// feedPage is how many events are asked for at a time.
	feedPage = 10_000
	// feedAnswer is how long a node may take to begin an answer, feedSilence how long a
	// stream may say nothing: it says something every 15 s.
	feedAnswer  = 20 * time.Second
	feedConnect = 5 * time.Second
	feedSilence = 45 * time.Second
	// feedLine bounds an event as JSON.
	feedLine = 64 << 20
	// feedRounds is how often all nodes are tried, unless the feed is followed.
	feedRounds = 3
	// Pauses between tries.
	feedFirstPause = 100 * time.Millisecond
	feedLastPause  = 2 * time.Second
)

func feedCommand() *cobra.Command {
	var q audit.Filter
	var source sourceFlags
	var from, cursor string
	var follow, asJSON bool
	c := &cobra.Command{
		Use:   "feed",
		Short: "Print what happens in a running cluster, and follow it",
		Long: `Print what happened in a running cluster, one line for each event, in the order of the log, and with --follow what happens from now on.
Every event is printed once: when a node dies, the next of the addresses is asked for what comes behind the last one.

With --admin it is the whole cluster's feed, for root: the keys are taken from IRONMAN_ROOT_ACCESS_KEY and IRONMAN_ROOT_SECRET_KEY, or from
root-credentials.json in --dir. With --endpoint it is that of one --bucket, for whoever has the right s3:GetBucketFeed on it: the keys are taken from
AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.

With --cursor it begins where the cursor stands, and moves it behind what it has printed: now and then, and at the end. Whoever is killed prints again
what came behind the cursor, and misses nothing: each event is printed at least once.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
			defer stop()
			source.bucket = q.Bucket
			s, err := source.open()
			if err != nil {
				return err
			}
			asked := s.query(&q)
			asked.Set("from", from)
			p := newEntryPrinter(c.OutOrStdout(), asJSON, follow)
			keeper := &cursorKeeper{feedSource: s, name: cursor, printer: p}
			if err := keeper.begin(ctx, asked); err != nil {
				return err
			}
			if follow {
				err = s.follow(ctx, asked, keeper)
			} else {
				asked.Set("to", "end") // of the cluster, not of the node that answers
				err = s.log(ctx, asked, keeper.print)
			}
			if follow && ctx.Err() != nil { // that is how it ends
				err = nil
			}
			return errors.Join(err, p.end(), keeper.end(ctx))
		},
	}
	source.flags(c.Flags())
	c.AddCommand(feedCursorsCommand(), mirrorCommand())
	c.Flags().StringVar(&from, "from", "0", `begin with this sequence, at this time (2026-01-02T03:04:05Z), at the "end", or at a cursor ("cursor:NAME")`)
	c.Flags().StringVar(&cursor, "cursor", "", "begin at this cursor, and move it behind what was printed; the first time at --from")
	c.Flags().BoolVar(&follow, "follow", false, "go on with what happens")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	filterFlags(c, &q)
	return c
}

// sourceFlags say whose feed is read.
type sourceFlags struct {
	addresses []string // of admin listeners
	dir       string   // that has the root keys
	endpoints []string // of S3; none: the admin listeners are asked
	bucket    string   // whose feed is read there
}

// flagSet are the flags of a command, or of all below it.
type flagSet interface {
	StringVar(p *string, name, value, usage string)
	StringSliceVar(p *[]string, name string, value []string, usage string)
}

func (f *sourceFlags) flags(to flagSet) {
	to.StringSliceVar(&f.addresses, "admin", []string{"http://127.0.0.1:9200"}, "addresses of nodes' admin listeners, asked in turn")
	to.StringVar(&f.dir, "dir", "", "a node's directory, to read the root keys from")
	to.StringSliceVar(&f.endpoints, "endpoint", nil, "addresses of S3, asked in turn instead of admin listeners; needs --bucket")
}

func (f *sourceFlags) open() (*feedSource, error) {
	s := &feedSource{client: &http.Client{Transport: &http.Transport{
		DialContext: (&net.Dialer{Timeout: feedConnect}).DialContext, TLSHandshakeTimeout: feedConnect,
		ResponseHeaderTimeout: feedAnswer, Proxy: http.ProxyFromEnvironment,
	}}}
	addresses := f.addresses
	if len(f.endpoints) > 0 {
		if f.bucket == "" {
			return nil, errors.New("--endpoint: the feed of which --bucket?")
		}
		cred, err := awsCredential()
		if err != nil {
			return nil, err
		}
		addresses, s.bucket = f.endpoints, f.bucket
		s.sign = func(r *http.Request) error { return sig.SignV4(r, cred, awsRegion(), sig.UnsignedPayload, time.Now()) }
	} else {
		access, secret, err := (&adminFlags{dir: f.dir}).keys()
		if err != nil {
			return nil, err
		}
		s.sign = func(r *http.Request) error { r.SetBasicAuth(access, secret); return nil }
	}
	if len(addresses) == 0 {
		return nil, errors.New("--admin: the address of a node is needed")
	}
	s.addresses = withScheme(addresses)
	return s, nil
}

// withScheme completes addresses to URLs.
func withScheme(addresses []string) (out []string) {
	for _, a := range addresses {
		if !strings.Contains(a, "://") {
			a = "http://" + a
		}
		out = append(out, strings.TrimSuffix(a, "/"))
	}
	return out
}

// awsCredential are the keys that tools for S3 take from the environment.
func awsCredential() (sig.Credential, error) {
	access, secret := os.Getenv("AWS_ACCESS_KEY_ID"), os.Getenv("AWS_SECRET_ACCESS_KEY")
	if access == "" || secret == "" {
		return sig.Credential{}, errors.New("AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are needed")
	}
	c := sig.Credential{AccessKey: access, Secret: sig.NewSecret(secret)}
	if token := os.Getenv("AWS_SESSION_TOKEN"); token != "" {
		c.Session = sig.NewSecret(token)
	}
	return c, nil
}

func awsRegion() string {
	return either(os.Getenv("AWS_REGION"), either(os.Getenv("AWS_DEFAULT_REGION"), "us-east-1"))
}

// filterQuery asks a node for what a filter takes.
func filterQuery(f *audit.Filter) url.Values {
	q := url.Values{}
	for name, value := range map[string]string{"bucket": f.Bucket, "key": f.Key, "prefix": f.Prefix, "actor": f.Actor} {
		if value != "" {
			q.Set(name, value)
		}
	}
	for _, k := range f.Kinds {
		q.Add("kind", k)
	}
	for _, o := range f.Operations {
		q.Add("operation", o)
	}
	if f.Refused {
		q.Set("refused", "true")
	}
	return q
}

// feedSource reads the change feed of whichever of some nodes answers.
type feedSource struct {
	addresses []string
	at        int    // that is asked
	bucket    string // whose feed is read by S3; "": the cluster's, by the admin listener
	sign      func(*http.Request) error
	client    *http.Client
}

// path is where the feed is read.
func (s *feedSource) path() string {
	if s.bucket != "" {
		return "/" + url.PathEscape(s.bucket)
	}
	return "/-/feed"
}

// query asks for what a filter takes.
func (s *feedSource) query(f *audit.Filter) url.Values {
	q := filterQuery(f)
	if s.bucket != "" { // which the path names
		q.Del("bucket")
		q.Set("feed", "")
	}
	return q
}

// cursorAt is where a cursor is read and moved; without a name where all are listed.
func (s *feedSource) cursorAt(name string, q url.Values) (string, url.Values) {
	switch {
	case s.bucket != "":
		q.Set("feedCursor", name)
		return s.path(), q
	case name == "":
		return "/-/feed/cursors", q
	}
	return "/-/feed/cursors/" + url.PathEscape(name), q
}

// refusedError is an answer that another try would not change.
type refusedError struct{ error }

func (e refusedError) Unwrap() error { return e.error }

// statusError is an answer that is none of success.
type statusError struct {
	address string
	code    int
	text    string
}

func (e statusError) Error() string {
	return fmt.Sprintf("%s answered %d %s: %s", e.address, e.code, http.StatusText(e.code), e.text)
}

// noCursor: it says that there is no such cursor. Nor may there be the bucket, which is told otherwise.
func (e statusError) noCursor() bool {
	return e.code == http.StatusNotFound && (strings.Contains(e.text, "no cursor") || strings.Contains(e.text, "NoSuchFeedCursor"))
}

// tellError is a failure of whoever is told.
type tellError struct{ error }

func final(err error) bool {
	var r refusedError
	var t tellError
	return errors.As(err, &r) || errors.As(err, &t)
}

// ask sends one request to the node whose turn it is.
func (s *feedSource) ask(ctx context.Context, method, path string, q url.Values, header http.Header) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, s.addresses[s.at]+path+"?"+q.Encode(), nil)
	if err != nil {
		return nil, refusedError{err}
	}
	for name, values := range header {
		r.Header[name] = values
	}
	if err := s.sign(r); err != nil {
		return nil, refusedError{err}
	}
	resp, err := s.client.Do(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK || resp.StatusCode == http.StatusNoContent {
		return resp, nil
	}
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 4096)) // what came of it will do
	resp.Body.Close()
	err = statusError{s.addresses[s.at], resp.StatusCode, strings.TrimSpace(string(b))}
	if resp.StatusCode < http.StatusInternalServerError {
		err = refusedError{err}
	}
	return nil, err
}

// rest waits before another node is asked.
func (s *feedSource) rest(ctx context.Context, failures int) error {
	s.at = (s.at + 1) % len(s.addresses)
	if failures%len(s.addresses) != 0 { // not all of them have failed
		return ctx.Err()
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(min(feedFirstPause<<min(failures/len(s.addresses), 10), feedLastPause)):
		return nil
	}
}

// log tells what is there: of what q asks for, up to the end.
func (s *feedSource) log(ctx context.Context, q url.Values, tell func(*audit.Entry) error) error {
	q.Set("max", strconv.Itoa(feedPage))
	for failures := 0; ; {
		began := q.Get("from")
		more, err := s.page(ctx, q, tell)
		switch {
		case err == nil && !more:
			return nil
		case err == nil && q.Get("from") != began:
			failures = 0
			continue
		case err == nil: // it cannot tell now what there is
			err = fmt.Errorf("%s: the feed does not go on behind %s", s.addresses[s.at], began)
		case final(err) || ctx.Err() != nil:
			return err
		case q.Get("from") != began:
			failures = 0
		}
		if failures++; failures >= feedRounds*len(s.addresses) {
			return err
		}
		if s.rest(ctx, failures) != nil {
			return err
		}
	}
}

// page asks once, and moves q's from behind what it has told.
func (s *feedSource) page(ctx context.Context, q url.Values, tell func(*audit.Entry) error) (more bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(feedSilence, cancel)
	defer silence.Stop()
	resp, err := s.ask(ctx, http.MethodGet, s.path(), q, nil)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, feedLine)
	for lines.Scan() {
		silence.Reset(feedSilence)
		var line struct {
			audit.Entry
			Next *uint64 `json:"next"`
			More bool    `json:"more"`
		}
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return false, fmt.Errorf("%s: %w", s.addresses[s.at], err)
		}
		if line.Next != nil {
			q.Set("from", strconv.FormatUint(*line.Next, 10))
			return line.More, nil
		}
		if err := tell(&line.Entry); err != nil {
			return false, tellError{err}
		}
		q.Set("from", strconv.FormatUint(line.Seq+1, 10))
	}
	if err := lines.Err(); err != nil {
		return false, err
	}
	return false, fmt.Errorf("%s: the answer broke off", s.addresses[s.at])
}

// follow tells what q asks for, and what happens from then on, until ctx ends.
func (s *feedSource) follow(ctx context.Context, q url.Values, to *cursorKeeper) error {
	f := &following{feedSource: s, to: to}
	for failures := 0; ; {
		began := f.last
		err := f.stream(ctx, q)
		if final(err) || ctx.Err() != nil {
			return err
		}
		if f.last != began {
			failures = 0
		}
		if failures++; failures == len(s.addresses) {
			fmt.Fprintln(os.Stderr, "ironman: no node answers, and all are tried again:", err)
		}
		if err := s.rest(ctx, failures); err != nil {
			return err
		}
	}
}

// following is how far the feed was followed.
type following struct {
	*feedSource
	to   *cursorKeeper
	last string // id of the last message; "": none came yet
}

// stream follows one connection to its end.
func (f *following) stream(ctx context.Context, q url.Values) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(feedSilence, cancel)
	defer silence.Stop()
	header := http.Header{"Accept": {"text/event-stream"}}
	if f.last != "" {
		header.Set("Last-Event-ID", f.last)
	}
	resp, err := f.ask(ctx, http.MethodGet, f.path(), q, header)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, feedLine)
	var id, kind string
	var data []byte
	for lines.Scan() {
		silence.Reset(feedSilence)
		if len(lines.Bytes()) > 0 {
			field, value, _ := strings.Cut(lines.Text(), ": ")
			switch field {
			case "id":
				id = value
			case "event":
				kind = value
			case "data":
				data = []byte(value)
			}
			continue
		}
		if kind == "" && data != nil {
			var e audit.Entry
			if err := json.Unmarshal(data, &e); err != nil {
				return fmt.Errorf("%s: %w", f.addresses[f.at], err)
			}
			if err := f.to.print(&e); err != nil {
				return tellError{err}
			}
		}
		if kind == "end" {
			return refusedError{fmt.Errorf("%s: the stream was ended: %s", f.addresses[f.at], data)}
		}
		if id != "" {
			f.last = id
		}
		if kind != "" || data == nil {
			if err := f.to.quiet(ctx, f.last); err != nil {
				return tellError{err}
			}
		}
		id, kind, data = "", "", nil
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return fmt.Errorf("%s: the stream has ended", f.addresses[f.at])
}

// show is all of one event.
func (s *feedSource) show(ctx context.Context, seq uint64) (*audit.Detail, error) {
	for failures := 0; ; {
		d, err := s.showOnce(ctx, seq)
		if err == nil || final(err) || ctx.Err() != nil {
			return d, err
		}
		if failures++; failures >= feedRounds*len(s.addresses) || s.rest(ctx, failures) != nil {
			return nil, err
		}
	}
}

func (s *feedSource) showOnce(ctx context.Context, seq uint64) (*audit.Detail, error) {
	ctx, cancel := context.WithTimeout(ctx, feedSilence)
	defer cancel()
	resp, err := s.ask(ctx, http.MethodGet, "/-/events/"+strconv.FormatUint(seq, 10), nil, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	d := &audit.Detail{}
	return d, json.NewDecoder(resp.Body).Decode(d)
}
