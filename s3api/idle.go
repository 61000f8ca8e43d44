package s3api

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// DefaultBodyIdle is how long a client may neither send nor take a byte of a body
// before it is let go: it holds memory, a connection and, for a PUT, room on disks.
const DefaultBodyIdle = 60 * time.Second

// What a handler leaves of a request's body is read as far as this, so that the
// connection can be used again; else it is closed.
const (
	maxDrain     = 256 << 10
	drainTimeout = 5 * time.Second
)

// idleDeadline moves the deadline of a connection along with the bytes that pass.
type idleDeadline struct {
	control *http.ResponseController
	set     func(*http.ResponseController, time.Time) error
	after   time.Duration
	moved   time.Time
}

func readIdle(w http.ResponseWriter, after time.Duration) *idleDeadline {
	return &idleDeadline{http.NewResponseController(w), (*http.ResponseController).SetReadDeadline, after, time.Time{}}
}

func writeIdle(w http.ResponseWriter, after time.Duration) *idleDeadline {
	return &idleDeadline{http.NewResponseController(w), (*http.ResponseController).SetWriteDeadline, after, time.Time{}}
}

// touch gives the client the whole time again. A precision of a tenth of it is
// enough, and a system call for each piece too much. Connections without deadlines
// have none.
func (d *idleDeadline) touch() {
	// The connection's deadline is the kernel's clock, not the node's.
	now := time.Now()
	if now.Sub(d.moved) < d.after/10 {
		return
	}
	d.moved = now
	_ = d.set(d.control, now.Add(d.after))
}

// end has everything on the connection fail from a moment on.
func (d *idleDeadline) end(at time.Time) { _ = d.set(d.control, at) }

// clear takes the deadline off, for what follows on the connection has its own.
func (d *idleDeadline) clear() {
	if !d.moved.IsZero() {
		_ = d.set(d.control, time.Time{})
		d.moved = time.Time{}
	}
}

// incoming is the body of a request as net/http gives it, under an idle deadline.
// Invariant: while a body is not read to its end, no read of it waits for ever: not
// those of a handler, and not those by which net/http looks for the next request.
type incoming struct {
	body  io.ReadCloser
	idle  *idleDeadline
	left  int64 // to come; below 0: not known
	began bool
	ended bool      // it was read to its end
	end   time.Time // when that was; zero: there was no body, or not all of it came
	now   func() time.Time
	err   error // that ended it otherwise
	// awaited: the client waits for our 100 Continue before it sends anything.
	awaited bool
}

// takeBody puts a request's body under the idle deadline.
func (s *Server) takeBody(r *Request) {
	r.incoming = &incoming{
		body: r.HTTP.Body, idle: readIdle(r.writer, s.BodyIdle), left: r.HTTP.ContentLength, awaited: r.HTTP.Header.Get("Expect") != "", now: s.Now,
	}
	if r.HTTP.Body == nil || r.HTTP.Body == http.NoBody {
		r.incoming.ended = true
		return
	}
	// A copy: net/http knows its own body by the original.
	r.HTTP = r.HTTP.WithContext(r.HTTP.Context())
	r.HTTP.Body = r.incoming
}

// Read implements io.Reader.
func (i *incoming) Read(p []byte) (int, error) {
	if i.err != nil {
		return 0, i.err
	}
	i.began = true
	i.idle.touch()
	n, err := i.body.Read(p)
	if i.left > 0 {
		i.left -= int64(n)
	}
	switch {
	case err == io.EOF:
		i.ended, i.end = true, i.now()
		i.idle.clear()
	case err != nil:
		i.err = err
	}
	return n, err
}

// Close does nothing: net/http closes the body, and would read on to its end here.
func (i *incoming) Close() error { return nil }

// settle sees to what is left of the body before the answer begins, because
// net/http would wait for it without end.
func (i *incoming) settle(h http.Header) {
	if i.ended {
		return
	}
	if i.err == nil && i.left <= maxDrain && (i.began || !i.awaited) {
		i.idle.end(time.Now().Add(min(drainTimeout, i.idle.after)))
		if _, err := io.CopyN(io.Discard, i.body, maxDrain+1); errors.Is(err, io.EOF) {
			i.ended = true
			i.idle.end(time.Time{})
			return
		}
	}
	h.Set("Connection", "close")
	i.idle.end(time.Now().Add(time.Second)) // for what net/http reads all the same
}
