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
	var from string
	var follow, asJSON bool
	c := &cobra.Command{
		Use:   "feed",
		Short: "Print what happens in a running cluster, and follow it",
		Long: `Print what happened in a running cluster, one line for each event, in the order of the log, and with --follow what happens from now on.
Every event is printed once: when a node dies, the next of the --admin addresses is asked for what comes behind the last one. The root keys are taken from
IRONMAN_ROOT_ACCESS_KEY and IRONMAN_ROOT_SECRET_KEY, or from root-credentials.json in --dir.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
			defer stop()
			s, err := source.open()
			if err != nil {
				return err
			}
			asked := filterQuery(&q)
			asked.Set("from", from)
			p := newEntryPrinter(c.OutOrStdout(), asJSON, follow)
			if follow {
				err = s.follow(ctx, asked, p.print)
			} else {
				asked.Set("to", "end") // of the cluster, not of the node that answers
				err = s.log(ctx, asked, p.print)
			}
			if follow && ctx.Err() != nil { // that is how it ends
				err = nil
			}
			return errors.Join(err, p.end())
		},
	}
	c.Flags().StringSliceVar(&source.addresses, "admin", []string{"http://127.0.0.1:9200"}, "addresses of nodes' admin listeners, asked in turn")
	c.Flags().StringVar(&source.dir, "dir", "", "a node's directory, to read the root keys from")
	c.Flags().StringVar(&from, "from", "0", `begin with this sequence, at this time (2026-01-02T03:04:05Z), at the "end", or at a cursor ("cursor:NAME")`)
	c.Flags().BoolVar(&follow, "follow", false, "go on with what happens")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	filterFlags(c, &q)
	return c
}

// sourceFlags say whose feed is read.
type sourceFlags struct {
	addresses []string
	dir       string // that has the root keys
}

func (f *sourceFlags) open() (*feedSource, error) {
	access, secret, err := (&adminFlags{dir: f.dir}).keys()
	if err != nil {
		return nil, err
	}
	if len(f.addresses) == 0 {
		return nil, errors.New("--admin: the address of a node is needed")
	}
	s := &feedSource{access: access, secret: secret, client: &http.Client{Transport: &http.Transport{
		DialContext: (&net.Dialer{Timeout: feedConnect}).DialContext, TLSHandshakeTimeout: feedConnect,
		ResponseHeaderTimeout: feedAnswer, Proxy: http.ProxyFromEnvironment,
	}}}
	for _, a := range f.addresses {
		if !strings.Contains(a, "://") {
			a = "http://" + a
		}
		s.addresses = append(s.addresses, strings.TrimSuffix(a, "/"))
	}
	return s, nil
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
	addresses      []string
	at             int // that is asked
	access, secret string
	client         *http.Client
}

// refusedError is an answer that another try would not change.
type refusedError struct{ error }

// tellError is a failure of whoever is told.
type tellError struct{ error }

func final(err error) bool {
	var r refusedError
	var t tellError
	return errors.As(err, &r) || errors.As(err, &t)
}

// ask sends one request to the node whose turn it is.
func (s *feedSource) ask(ctx context.Context, path string, q url.Values, header http.Header) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.addresses[s.at]+path+"?"+q.Encode(), nil)
	if err != nil {
		return nil, refusedError{err}
	}
	r.SetBasicAuth(s.access, s.secret)
	for name, values := range header {
		r.Header[name] = values
	}
	resp, err := s.client.Do(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode == http.StatusOK {
		return resp, nil
	}
	b, _ := io.ReadAll(io.LimitReader(resp.Body, 4096)) // what came of it will do
	resp.Body.Close()
	err = fmt.Errorf("%s answered %s: %s", s.addresses[s.at], resp.Status, strings.TrimSpace(string(b)))
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
		case err == nil:
			failures = 0
			continue
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
	resp, err := s.ask(ctx, "/-/feed", q, nil)
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
func (s *feedSource) follow(ctx context.Context, q url.Values, tell func(*audit.Entry) error) error {
	f := &following{feedSource: s, tell: tell}
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
	tell func(*audit.Entry) error
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
	resp, err := f.ask(ctx, "/-/feed", q, header)
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
			if err := f.tell(&e); err != nil {
				return tellError{err}
			}
		}
		if id != "" {
			f.last = id
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
	resp, err := s.ask(ctx, "/-/events/"+strconv.FormatUint(seq, 10), nil, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	d := &audit.Detail{}
	return d, json.NewDecoder(resp.Body).Decode(d)
}
