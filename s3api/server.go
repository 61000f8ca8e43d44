package s3api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"ironman/s3api/checksum"
	"ironman/s3api/iam"
	"ironman/s3api/lifecycle"
	"ironman/s3api/policy"
	"ironman/s3api/s3err"
	"ironman/s3api/s3xml"
	"ironman/s3api/sig"
	"ironman/s3api/sse"
	"ironman/sim/sabotage"
	"ironman/wal/event"
)

// Options of a Server.
type Options struct {
	Log     Log
	Views   Views
	Blobs   Blobs
	Secrets Secrets
	Feed    Feed
	Region  string
	// Domains under which buckets are addressed as hosts; none: only by path.
	Domains []string
	// WebsiteDomains are those under which buckets are served as websites.
	WebsiteDomains []string
	Now            func() time.Time
	Logger         *slog.Logger
	// Observe is told of every answered request (metrics); may be nil.
	Observe func(operation string, status int, took time.Duration, received, sent int64)
	// Refused is told of the code of every error that is answered (metrics); may be nil.
	Refused func(code string)
	// HostID is sent as x-amz-id-2.
	HostID string
	// BodyIdle is how long a body may stand still; 0: DefaultBodyIdle.
	BodyIdle time.Duration
	// KMSKeys are the ids of keys that new objects may be encrypted with by SSE-KMS; one
	// that ends in "*" stands for all with that beginning. alias/aws/s3 is always there.
	KMSKeys []string
	// AllowInsecureSSEC takes clients' keys over connections without TLS, too: behind a
	// proxy that ends it, or for tests.
	AllowInsecureSSEC bool
	// RefuseV2 refuses signatures of version 2, which know neither a region nor, presigned,
	// when they were made.
	RefuseV2 bool
	// AccessLog takes the lines of requests to buckets that have an access log; may be nil.
	AccessLog AccessLog
	// Reads is told of every read of object data, granted or refused; nil: nobody is.
	Reads Reads
	// Providers verifies tokens of web identities; nil: none are taken.
	Providers iam.Providers
	// Webhooks are the targets that notifications may have, by name, and the numbers of the
	// accounts whose buckets may have them; none: every account's.
	Webhooks map[string][]string
	// MaxUploads is how many multipart uploads may be open in a bucket; 0: DefaultMaxUploads.
	MaxUploads uint64
	// LifecycleDay is how long a day is to lifecycle rules; 0: a day. For tests.
	LifecycleDay time.Duration
}

// Server serves S3. It keeps no state of its own but caches.
type Server struct {
	Options
	router     *router
	verifier   *sig.Verifier
	blocks     checksum.Pool
	policies   parsedCache[policy.Policy]
	lifecycles parsedCache[lifecycle.Configuration]
	chunks     sse.Pool
	vault      *iam.Service

	readsUnderWay atomic.Int64
}

// New makes a Server.
func New(o Options) *Server {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.BodyIdle == 0 {
		o.BodyIdle = DefaultBodyIdle
	}
	s := &Server{Options: o, router: newRouter(operations())}
	s.policies.read = readBucketPolicy
	s.lifecycles.read = func(text []byte) (*lifecycle.Configuration, error) { return lifecycle.Read(text, s.LifecycleDay) }
	s.verifier = s.newVerifier()
	s.vault = &iam.Service{Seals: o.Secrets, Now: o.Now, Providers: o.Providers}
	return s
}

// Response is what a handler answers with.
type Response struct {
	Status int // 200 if 0
	Header http.Header
	// XML is the document of the body; or Body its bytes, Length of them.
	XML    s3xml.Response
	Body   bodyReader
	Length int64
	// Feed is a body that grows while it is sent.
	Feed FeedReading
}

func noContent() *Response { return &Response{Status: http.StatusNoContent} }

// ServeHTTP takes a request through its steps, each once.
func (s *Server) ServeHTTP(w http.ResponseWriter, hr *http.Request) {
	start := s.Now()
	r := &Request{HTTP: hr, server: s, writer: w, responseHeader: w.Header(), ID: newRequestID()}
	r.eventID = r.ID
	if s.Reads != nil {
		r.reads = &readNotes{}
	}
	h := w.Header()
	h.Set("Server", "IronMan-S3")
	h.Set("X-Content-Type-Options", "nosniff") // a browser takes bytes for what they were stored as
	h.Set("X-Amz-Request-Id", r.RequestID())
	h.Set("X-Amz-Id-2", s.HostID)
	if len(hr.TransferEncoding) > 0 {
		// net/http hides whether there was a Content-Length, too. There must be no
		// next request on such a connection (RFC 9112, section 6.1).
		h.Set("Connection", "close")
	}
	s.takeBody(r)
	out := &answer{w: w, idle: writeIdle(w, s.BodyIdle), now: s.Now}
	defer out.idle.clear()
	defer s.finish(out, r, start)
	resp, err := s.serve(hr.Context(), r)
	r.closeView()
	if err != nil {
		s.refuse(out, r, err)
		return
	}
	s.answer(out, r, resp)
}

// DefaultMaxUploads is how many multipart uploads may be open in a bucket.
const DefaultMaxUploads = 100_000

// maxHeaderBytes is how long the headers of a request may be, without its first line.
const maxHeaderBytes = 8 << 10

// headerBytes is how long the headers of a request were, as they are written in HTTP/1.1.
func headerBytes(hr *http.Request) int {
	sum := len("Host: \r\n") + len(hr.Host)
	for name, values := range hr.Header {
		for _, v := range values {
			sum += len(name) + len(": \r\n") + len(v)
		}
	}
	return sum
}

// serve is everything before the answer.
func (s *Server) serve(ctx context.Context, r *Request) (*Response, error) {
	if headerBytes(r.HTTP) > maxHeaderBytes {
		return nil, s3err.New("RequestHeaderSectionTooLarge").With("MaxSizeAllowed", itoa(maxHeaderBytes))
	}
	if s.isVaultCall(r.HTTP) {
		return s.serveVault(ctx, r)
	}
	if bucket, ok := hostBucket(r.HTTP.Host, s.WebsiteDomains); ok {
		return s.serveWebsite(ctx, r, bucket)
	}
	err := s.route(r)
	r.beginRead()
	if err == nil {
		err = r.takeForm()
	}
	if err != nil && !r.crossOrigin() {
		return nil, err
	}
	if err := r.openView(ctx); err != nil {
		return nil, err
	}
	if err := r.allowOrigin(); err != nil {
		return nil, err
	}
	if err != nil {
		return nil, err
	}
	if r.op.needs == needNobody {
		return r.op.handle(s, ctx, r)
	}
	if err := s.authenticate(ctx, r); err != nil {
		return nil, err
	}
	if err := s.admitAtLeast(r); err != nil {
		return nil, err
	}
	resp, err := r.op.handle(s, ctx, r)
	if r.charged && err == nil {
		r.responseHeader.Set("X-Amz-Request-Charged", "requester")
	}
	return resp, err
}

// finish answers for a handler that panicked, and counts the request.
func (s *Server) finish(out *answer, r *Request, start time.Time) {
	if p := recover(); p != nil {
		out.broken = out.status != 0
		if p == http.ErrAbortHandler {
			s.observe(out, r, start)
			panic(p)
		}
		s.Logger.Error("a handler panicked", "request", r.RequestID(), "operation", r.Operation(), "panic", p, "stack", string(debug.Stack()))
		r.closeView()
		if out.status != 0 { // too late for an error: the connection must break
			s.observe(out, r, start)
			panic(http.ErrAbortHandler)
		}
		s.refuse(out, r, s3err.New("InternalError"))
	}
	s.observe(out, r, start)
}

func (s *Server) observe(out *answer, r *Request, start time.Time) {
	took := s.Now().Sub(start)
	if s.Observe != nil {
		s.Observe(r.Operation(), out.status, took, r.received, out.sent)
	}
	s.logAccess(out, r, start, took)
	s.recordReads(out, r, start)
	r.endRead()
	s.Logger.Debug("request", "request", r.RequestID(), "operation", r.Operation(), "status", out.status,
		"took", took, "access_key", r.AccessKey())
}

// answer writes a success.
func (s *Server) answer(out *answer, r *Request, resp *Response) {
	h := out.w.Header()
	r.incoming.settle(h)
	for k, v := range resp.Header {
		h[k] = v
	}
	status := resp.Status
	if status == 0 {
		status = http.StatusOK
	}
	switch {
	case resp.XML != nil:
		b := s3xml.Encode(resp.XML)
		h.Set("Content-Type", "application/xml")
		h.Set("Content-Length", strconv.Itoa(len(b)))
		out.begin(status)
		out.write(b)
	case resp.Body != nil:
		if !sabotage.On(sabotage.X41) {
			h.Set("Content-Length", strconv.FormatInt(resp.Length, 10))
		}
		out.begin(status)
		s.stream(out, r, resp)
	case resp.Feed != nil:
		out.begin(status)
		s.sendFeed(out, r, resp.Feed)
	default:
		if r.HTTP.Method != http.MethodHead && status != http.StatusNoContent && status != http.StatusNotModified {
			h.Set("Content-Length", "0")
		}
		out.begin(status)
	}
}

// stream sends a body. A failure breaks the connection: a client must never take
// what it got for the whole.
func (s *Server) stream(out *answer, r *Request, resp *Response) {
	n, err := resp.Body.WriteTo(out)
	closeErr := resp.Body.Close()
	if err == nil && n != resp.Length {
		err = errShortBody
	}
	if err != nil && !sabotage.On(sabotage.X41) {
		level := slog.LevelError
		if r.HTTP.Context().Err() != nil || out.failed {
			level = slog.LevelDebug // the client went away
		}
		s.Logger.Log(context.Background(), level, "a body was not sent whole", "request", r.RequestID(), "sent", n, "of", resp.Length, "err", err)
		panic(http.ErrAbortHandler)
	}
	if closeErr != nil {
		s.Logger.Warn("closing a body", "request", r.RequestID(), "err", closeErr)
	}
}

// refuse writes an error as Amazon would.
func (s *Server) refuse(out *answer, r *Request, err error) {
	if r.vault != nil {
		s.refuseVault(out, r, err)
		return
	}
	e := clientError(err)
	out.code = e.Code
	s.logFailure(r, e, err)
	h := out.w.Header()
	r.incoming.settle(h)
	if e.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(e.RetryAfter))
	}
	for k, v := range r.errorHeader {
		h[k] = v
	}
	if r.bucket != nil { // by which SDKs find out where a bucket is that they may not see
		h.Set("X-Amz-Bucket-Region", r.bucket.Region)
	}
	if e.Status == http.StatusNotModified {
		out.begin(e.Status)
		return
	}
	h.Set("Content-Type", "application/xml")
	if r.HTTP.Method == http.MethodHead {
		out.begin(e.Status)
		return
	}
	b := s3err.Document(e, r.RequestID(), s.HostID, r.resource())
	h.Set("Content-Length", strconv.Itoa(len(b)))
	out.begin(e.Status)
	out.write(b)
}

// logFailure counts an error, and tells whoever is on call of what is not the client's
// fault.
func (s *Server) logFailure(r *Request, e *s3err.Error, err error) {
	s.countRefusal(e.Code)
	if e.Status >= 500 && e.Status != http.StatusNotImplemented {
		s.Logger.Error("request failed", "request", r.RequestID(), "operation", r.Operation(), "code", e.Code, "err", err, "cause", errors.Unwrap(e))
	}
}

// countRefusal counts an error that is answered. That nothing was modified is none.
func (s *Server) countRefusal(code string) {
	if s.Refused != nil && code != "NotModified" {
		s.Refused(code)
	}
}

// answer is the response being written.
type answer struct {
	w      http.ResponseWriter
	status int
	code   string // of an error
	sent   int64
	failed bool // the client did not take it
	broken bool // it ended early, and with it the connection
	idle   *idleDeadline
	now    func() time.Time
	began  time.Time // when the first byte was sent
}

func (a *answer) begin(status int) {
	if a.status == 0 {
		a.status, a.began = status, a.now()
		a.w.WriteHeader(status)
	}
}

func (a *answer) write(b []byte) { a.Write(b) }

// Write implements io.Writer for bodies.
func (a *answer) Write(b []byte) (int, error) {
	a.idle.touch()
	n, err := a.w.Write(b)
	a.sent += int64(n)
	a.failed = a.failed || err != nil
	return n, err
}

// RequestID is the text form of the request id.
func (r *Request) RequestID() string { return hex.EncodeToString(r.ID[:]) }

// newRequestID draws an id.
func newRequestID() (id [event.RequestIDBytes]byte) {
	rand.Read(id[:]) // never fails (crypto/rand)
	return id
}
