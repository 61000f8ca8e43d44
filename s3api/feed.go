package s3api

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"ironman/s3api/s3err"
	"ironman/s3api/sig"
)

// Feed tells what happened, in the order of the log.
type Feed interface {
	// Open begins a reading of what happened to a bucket, and has read what it begins
	// with. Its error has S3Code or says that the question cannot be answered.
	Open(ctx context.Context, q *FeedQuery) (FeedReading, error)
}

// FeedQuery is what is asked of the feed.
type FeedQuery struct {
	Bucket  uint64 // its id: what happened to another bucket of its name is not told
	Account string // who reads, by the canonical id
	// Owner: it is the bucket's, who may know who did something.
	Owner  bool
	Query  url.Values // what narrows it
	Stream bool       // server-sent events, which go on
	Last   string     // of a stream: the id behind which it goes on; "": none
	// May decides again whether it may be read, at a state that is no older than what this
	// node has told of it. An error ends the reading.
	May func() error
}

// FeedReading is a reading that has begun. Only one of its methods may be called, once.
type FeedReading interface {
	// Send writes what happened, as long as the request's context lasts. An error says
	// that the answer broke off.
	Send(ctx context.Context, w http.ResponseWriter) error
	Close()
}

const (
	feedLines  = "application/x-ndjson"
	feedStream = "text/event-stream"
)

// getBucketFeed tells what happened to a bucket: what is there, or with server-sent events
// also what is to come. It is none of Amazon's operations. Nobody may who does not say who he is,
// whatever policies say: a reading takes a place, of which each account has so many.
func (s *Server) getBucketFeed(ctx context.Context, r *Request) (*Response, error) {
	if err := r.feedForNamed(); err != nil {
		return nil, err
	}
	q := &FeedQuery{
		Bucket: r.bucket.Bucket, Account: r.principal.CanonicalID, Owner: r.principal.CanonicalID == r.bucket.Owner, Query: feedParameters(r.Query),
		May: func() error {
			if err := s.stillMay(r); err != nil {
				return clientError(err) // the feed knows the errors of S3 alone
			}
			return nil
		},
	}
	contentType := feedLines
	for _, accept := range r.Header.Values("Accept") {
		if strings.Contains(accept, feedStream) {
			contentType, q.Stream, q.Last = feedStream, true, r.Header.Get("Last-Event-Id")
		}
	}
	if err := r.resolveFeedCursors(q.Query); err != nil {
		return nil, err
	}
	r.closeView()
	reading, err := s.Feed.Open(ctx, q)
	if err != nil {
		return nil, err
	}
	h := http.Header{"Content-Type": {contentType}, "Cache-Control": {"no-store"}}
	if q.Stream {
		h.Set("X-Accel-Buffering", "no")
	}
	return &Response{Header: h, Feed: reading}, nil
}

// resolveFeedCursors puts, for a cursor of the caller's account, where it stands. The feed itself
// knows the cluster's cursors only, which are not for whoever reads a bucket's.
func (r *Request) resolveFeedCursors(q url.Values) error {
	for _, bound := range []string{"from", "to"} {
		for i, text := range q[bound] {
			name, ok := strings.CutPrefix(text, "cursor:")
			if !ok {
				continue
			}
			row, err := r.feedCursor(name)
			if err != nil {
				return err
			}
			q[bound][i] = strconv.FormatUint(row.Next, 10)
		}
	}
	return nil
}

// feedForNamed refuses who does not say who he is.
func (r *Request) feedForNamed() error {
	if r.principal.Anonymous() {
		return s3err.Newf("AccessDenied", "Anonymous users cannot read the feed of a bucket. Please authenticate.")
	}
	return nil
}

// feedParameters are the parameters that are meant for the feed: neither its own name, nor
// what signs, nor what everybody may add.
func feedParameters(all url.Values) url.Values {
	q := make(url.Values)
	for name, values := range all {
		if name != "feed" && !sig.IsSigningParam(name) && !(len(name) > 1 && (name[0] == 'x' || name[0] == 'X') && name[1] == '-') {
			q[name] = slices.Clone(values)
		}
	}
	return q
}

// stillMay decides anew on a request that has been under way for long, at what this node has
// applied: who signed it may have lost the key, or the right.
func (s *Server) stillMay(first *Request) (err error) {
	r := &Request{
		HTTP: first.HTTP, ID: first.ID, Bucket: first.Bucket, Query: first.Query, Header: first.Header, op: first.op,
		identity: first.identity, server: s, responseHeader: make(http.Header),
	}
	if end := r.identity.Expires; !end.IsZero() && s.Now().After(end) {
		return s3err.Newf("AccessDenied", "Request has expired")
	}
	if r.view, err = s.Views.Recent(); err != nil {
		return err
	}
	defer r.closeView()
	r.viewedSeq = r.view.Applied().Next
	_, ok, err := s.secret(r, r.identity.AccessKey, first.token)
	if err != nil {
		return err
	}
	if !ok {
		return s3err.New("InvalidAccessKeyId")
	}
	r.principal = r.principalOf()
	if err := s.admit(r); err != nil {
		return err
	}
	if r.bucket.Bucket != first.bucket.Bucket {
		return s3err.New("NoSuchBucket").With("BucketName", r.Bucket)
	}
	return nil
}

// feedWriter is an answer as the feed writes it: the deadlines are its own, and what is
// sent is counted.
type feedWriter struct{ *answer }

func (w feedWriter) Header() http.Header         { return w.w.Header() }
func (w feedWriter) WriteHeader(status int)      { w.begin(status) }
func (w feedWriter) Unwrap() http.ResponseWriter { return w.w }

func (w feedWriter) Write(b []byte) (int, error) {
	n, err := w.w.Write(b)
	w.sent += int64(n)
	w.failed = w.failed || err != nil
	return n, err
}

// sendFeed sends a reading of the feed. One that breaks off breaks the connection.
func (s *Server) sendFeed(out *answer, r *Request, reading FeedReading) {
	defer reading.Close()
	if err := reading.Send(r.HTTP.Context(), feedWriter{out}); err != nil {
		s.Logger.Debug("a reading of the feed broke off", "request", r.RequestID(), "sent", out.sent, "err", err)
		panic(http.ErrAbortHandler)
	}
}
