package link

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/nettest"
)

// A stream is a net.Conn in every respect that golang.org/x/net checks.
func TestStreamIsAConn(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		a, b := r.pair()
		nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
			near, far := r.pipe(a, b, mPipe)
			return near, far, func() { near.Close(); far.Close() }, nil
		})
	})
}

// A reader that does not read holds up its own stream: not another one, not a call,
// and its writer only after a window.
func TestSlowReader(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		a, b := r.pair()
		near, far := r.pipe(a, b, mPipe)
		body, n := pattern(3, 4<<20), 0
		write := func() (more int, err error) {
			near.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
			more, err = near.Write(body[n:])
			n += more
			return more, err
		}
		eventually(t, "a window of bytes is written", func() bool {
			write()
			return n >= DefaultWindow
		})
		if more, err := write(); n != DefaultWindow || more != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("%d bytes, the last time %d, %v", n, more, err)
		}
		near2, far2 := r.pipe(a, b, mPipe)
		want := pattern(4, 2<<20)
		go func() { near2.Write(want); near2.Close() }()
		if got, err := io.ReadAll(far2); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		if _, err := a.Call(within(t, 10*time.Second), 2, mEcho, want); err != nil {
			t.Fatal(err)
		}
		// The rest flows when the reader reads again, and all of it in order.
		near.SetWriteDeadline(time.Time{})
		go func() { near.Write(body[n:]); near.CloseWrite() }()
		if got, err := io.ReadAll(far); err != nil || !bytes.Equal(got, body) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		near.Close()
		far.Close()
		far2.Close()
		noStreams(t, a, b)
	})
}

// noStreams waits until no session of the nodes knows a stream.
func noStreams(t *testing.T, nodes ...*testNode) {
	t.Helper()
	eventually(t, "no streams are left", func() bool {
		for _, n := range nodes {
			for _, p := range n.everyPeer() {
				for _, s := range p.sessions() {
					s.mu.Lock()
					k := len(s.streams) + len(s.places)
					s.mu.Unlock()
					if k > 0 {
						return false
					}
				}
			}
		}
		return true
	})
}

// Whatever is left unread at the end costs memory no longer, and the bytes that one
// stream may hold are bounded however small its writes are.
func TestSmallWrites(t *testing.T) {
	r := newRig(t, true)
	a, b := r.pair()
	near, far := r.pipe(a, b, mPipe)
	near.SetWriteDeadline(time.Now().Add(5 * time.Second))
	for range 50_000 {
		if _, err := near.Write([]byte{1, 2, 3}); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "all has come", func() bool { far.mu.Lock(); defer far.mu.Unlock(); return far.in.size == 150_000 })
	far.mu.Lock()
	if n := len(far.in.chunks); n > 150_000/chunkBytes+1 {
		t.Errorf("%d chunks", n)
	}
	far.mu.Unlock()
	far.Close()
	near.Close()
	noStreams(t, a, b)
}

// What one side's closing means for the other.
func TestCloseAndReset(t *testing.T) {
	one := make([]byte, 1)
	read := func(s *Stream) error {
		s.SetReadDeadline(time.Now().Add(10 * time.Second))
		_, err := s.Read(one)
		return err
	}
	// write until it fails: what is on its way when the other side closes is taken.
	write := func(s *Stream) error {
		s.SetWriteDeadline(time.Now().Add(10 * time.Second))
		for {
			if _, err := s.Write(one); err != nil {
				return err
			}
		}
	}
	why := &Error{Code: testCode, Text: "disk full"}
	both(t, func(t *testing.T, r *rig) {
		a, b := r.pair()
		for name, f := range map[string]func(t *testing.T, near, far *Stream){
			"half closed": func(t *testing.T, near, far *Stream) {
				near.Write([]byte("request"))
				must(t, near.CloseWrite())
				must(t, near.CloseWrite())
				got, err := io.ReadAll(far)
				if string(got) != "request" || err != nil {
					t.Fatal(string(got), err)
				}
				wantError(t, write(near), net.ErrClosed)
				far.Write([]byte("answer"))
				must(t, far.CloseWrite())
				if got, err := io.ReadAll(near); string(got) != "answer" || err != nil {
					t.Fatal(string(got), err)
				}
				wantError(t, read(far), io.EOF)
			},
			"closed": func(t *testing.T, near, far *Stream) {
				near.Write([]byte("last"))
				must(t, near.Close())
				must(t, near.Close())
				if got, err := io.ReadAll(far); string(got) != "last" || err != nil {
					t.Fatal(string(got), err)
				}
				wantError(t, write(far), errDeaf)
				wantError(t, read(near), net.ErrClosed)
				wantError(t, write(near), net.ErrClosed)
				wantError(t, near.SetDeadline(time.Now()), net.ErrClosed)
				must(t, near.CloseWrite())
			},
			"closed after half": func(t *testing.T, near, far *Stream) {
				must(t, near.CloseWrite())
				must(t, near.Close())
				wantError(t, write(far), errDeaf)
				wantError(t, read(far), io.EOF)
			},
			"both half closed": func(t *testing.T, near, far *Stream) {
				must(t, near.CloseWrite())
				must(t, far.CloseWrite())
				wantError(t, read(near), io.EOF)
				wantError(t, read(far), io.EOF)
			},
			"reset": func(t *testing.T, near, far *Stream) {
				far.Write([]byte("never read"))
				near.Write([]byte("never read"))
				far.Reset(why)
				if e := wantCode(t, write(near), testCode); e.Text != "disk full" || e.Node != 2 {
					t.Fatalf("%+v", e)
				}
				wantCode(t, read(near), testCode)
				wantError(t, read(far), net.ErrClosed)
				wantError(t, write(far), net.ErrClosed)
				near.Reset(nil)
				far.Reset(nil)
				must(t, far.Close())
			},
			"reset without reason": func(t *testing.T, near, far *Stream) {
				near.Reset(nil)
				wantCode(t, read(far), CodeFailed)
			},
		} {
			t.Run(name, func(t *testing.T) {
				near, far := r.pipe(a, b, mPipe)
				f(t, near, far)
				near.Close()
				far.Close()
				noStreams(t, a, b)
			})
		}
	})
}

// Closing and writing at once from many goroutines: no frame comes out of order,
// which would end the session.
func TestCloseRaces(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		a := r.start(1, 1, nil)
		b := r.start(2, 1, func(o *Options) { o.MaxStreams = 8; o.Window = 8 << 10 })
		r.reaches(a, 2)
		s := a.peer(2).out[control].current()
		var wg sync.WaitGroup
		for w := range 12 {
			wg.Go(func() {
				for k := range 60 {
					st, err := a.OpenStream(within(t, 30*time.Second), 2, mPipe, nil)
					if err != nil {
						t.Error(err)
						return
					}
					go st.Write(make([]byte, 20_000))
					switch (w + k) % 4 {
					case 0:
						go st.CloseWrite()
					case 1:
						st.Reset(nil)
					}
					st.Close()
				}
			})
		}
		stop := make(chan bool)
		var far sync.WaitGroup
		far.Go(func() {
			for {
				select {
				case st := <-b.pipes:
					far.Go(func() { io.Copy(io.Discard, st); st.CloseWrite(); st.Close() })
				case <-stop:
					return
				}
			}
		})
		wg.Wait()
		noStreams(t, a, b)
		close(stop)
		far.Wait()
		for len(b.pipes) > 0 {
			(<-b.pipes).Close()
		}
		if a.peer(2).out[control].current() != s {
			t.Error("the session did not survive")
		}
	})
}

// So many streams may be open, and further ones wait for a place.
func TestStreamsAreBounded(t *testing.T) {
	r := newRig(t, false)
	a := r.start(1, 1, nil)
	b := r.start(2, 1, func(o *Options) { o.MaxStreams = 2 })
	s1, f1 := r.pipe(a, b, mPipe)
	s2, f2 := r.pipe(a, b, mPipe)
	_, err := a.OpenStream(within(t, 30*time.Millisecond), 2, mPipe, nil)
	wantError(t, err, ErrUnreachable)
	wantError(t, err, context.DeadlineExceeded)
	s1.Close()
	s3, f3 := r.pipe(a, b, mPipe)
	for _, s := range []*Stream{f1, s2, f2, s3, f3} {
		s.Close()
	}
	noStreams(t, a, b)
}

// A stream of a method that the other side does not know breaks.
func TestStreamWithoutMethod(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		a, b := r.pair()
		s, err := a.OpenStream(t.Context(), 2, 77, nil)
		must(t, err)
		_, err = s.Read(make([]byte, 1))
		wantCode(t, err, CodeNoMethod)
		noStreams(t, a, b)
	})
}

// Streams break with their session; a clean end is never made up.
func TestStreamsBreakWithTheSession(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		a, b := r.pair()
		near, far := r.pipe(a, b, mPipe)
		near.Write([]byte("some"))
		errs := make(chan error, 2)
		go func() { _, err := io.ReadAll(near); errs <- err }()
		go func() {
			for {
				if _, err := near.Write(make([]byte, 1000)); err != nil {
					errs <- err
					return
				}
			}
		}()
		b.Close()
		for range 2 {
			wantError(t, <-errs, ErrLost)
		}
		if _, err := io.ReadAll(far); err == nil {
			t.Fatal("a clean end")
		}
	})
}

// Raft's use of a connection: one request at a time with a deadline each, over
// several streams, beside a body that does not end.
func TestRaftLikeUse(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		a, b := r.pair()
		body, sink := r.pipe(a, b, mBulkPipe)
		stop := make(chan bool)
		var wg sync.WaitGroup
		wg.Go(func() { io.Copy(io.Discard, sink); sink.Close() })
		wg.Go(func() {
			defer body.Close()
			for {
				select {
				case <-stop:
					return
				default:
					body.Write(make([]byte, 100_000))
				}
			}
		})
		var rpc sync.WaitGroup
		for w := range 3 {
			near, far := r.pipe(a, b, mPipe)
			wg.Go(func() { serveFramed(far) })
			rpc.Go(func() {
				defer near.Close()
				for k := range 100 {
					must(t, near.SetDeadline(time.Now().Add(10*time.Second)))
					want := pattern(byte(k), 10+k*100*w)
					if err := writeFramed(near, want); err != nil {
						t.Error(err)
						return
					}
					if got, err := readFramed(near); err != nil || !bytes.Equal(got, want) {
						t.Error(len(got), err)
						return
					}
				}
			})
		}
		rpc.Wait()
		close(stop)
		wg.Wait()
		// An answer that does not come: the deadline ends the wait, and the stream is
		// of use again after it.
		near, far := r.pipe(a, b, mPipe)
		near.SetDeadline(time.Now().Add(20 * time.Millisecond))
		_, err := near.Read(make([]byte, 1))
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal(err)
		}
		near.SetDeadline(time.Time{})
		far.Write([]byte("x"))
		if _, err := near.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		near.Close()
		far.Close()
		noStreams(t, a, b)
	})
}

// serveFramed answers every message with itself.
func serveFramed(s *Stream) {
	defer s.Close()
	for {
		m, err := readFramed(s)
		if err != nil || writeFramed(s, m) != nil {
			return
		}
	}
}
