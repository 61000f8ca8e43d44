package link

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// Many calls and streams at once, in both classes and directions.
func TestCallsAndStreams(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		nodes := []*testNode{r.start(1, 1, nil), r.start(2, 1, nil), r.start(3, 1, nil)}
		var wg sync.WaitGroup
		for i, a := range nodes {
			for j := range nodes {
				if i == j {
					continue
				}
				for w := range 4 {
					wg.Go(func() { callMany(t, a, uint32(j+1), byte(16*i+4*j+w)) })
				}
				wg.Go(func() { sinkOne(t, a, nodes[j], 1<<20+i) })
			}
		}
		wg.Wait()
		for _, n := range nodes {
			for range 2 {
				if k := <-n.sunk; k < 1<<20 {
					t.Errorf("a stream of %d bytes", k)
				}
			}
		}
	})
}

func callMany(t *testing.T, a *testNode, to uint32, seed byte) {
	for k := range 40 {
		m := mEcho
		if k%2 == 1 {
			m = mBulkEcho
		}
		want := pattern(seed+byte(k), k*k*8)
		got, err := a.Call(context.Background(), to, m, want[:len(want)/3], nil, want[len(want)/3:])
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("call %d: %d bytes, %v", k, len(got), err)
			return
		}
	}
}

func sinkOne(t *testing.T, a, to *testNode, n int) {
	s, err := a.OpenStream(context.Background(), to.opts.Self, mSink, []byte("head"))
	if err != nil {
		t.Error(err)
		return
	}
	defer s.Close()
	if k, err := s.Write(pattern(1, n)); k != n || err != nil {
		t.Error(k, err)
	}
	s.CloseWrite()
	if _, err := s.Read(make([]byte, 1)); err != io.EOF {
		t.Error(err)
	}
}

func TestSizes(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		a, _ := r.pair()
		for _, n := range []int{0, 1, chunkBytes - headerBytes - callPrefix, chunkBytes, MaxCall - 1, MaxCall} {
			want := pattern(byte(n), n)
			got, err := a.Call(t.Context(), 2, mBulkEcho, want)
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%d bytes: %d, %v", n, len(got), err)
			}
		}
		_, err := a.Call(t.Context(), 2, mBulkEcho, make([]byte, MaxCall), []byte{1})
		wantError(t, err, ErrTooLarge)
		_, err = a.OpenStream(t.Context(), 2, mPipe, make([]byte, MaxHead+1))
		wantError(t, err, ErrTooLarge)
	})
}

func TestHeadAndSender(t *testing.T) {
	r := newRig(t, false)
	got := make(chan string, 1)
	a := r.start(1, 1, nil)
	r.start(2, 1, func(o *Options) {
		o.Streams[9] = func(from uint32, head []byte, s *Stream) {
			got <- fmt.Sprint(from, string(head), s.Node(), s.RemoteAddr(), s.LocalAddr(), s.LocalAddr().Network())
			s.Close()
		}
	})
	s, err := a.OpenStream(t.Context(), 2, 9, []byte("head"))
	must(t, err)
	defer s.Close()
	if g := <-got; g != "1head1 node-1 node-2link" {
		t.Fatal(g)
	}
}

// Errors keep their code and, shortened, their text.
func TestErrorsTravel(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		a := r.start(1, 1, nil)
		r.start(2, 1, func(o *Options) {
			o.Calls[20] = func(context.Context, uint32, []byte) ([]byte, error) {
				return nil, fmt.Errorf("late: %w", context.DeadlineExceeded)
			}
		})
		// A function that ran out of time does not know what it has done.
		_, err := a.Call(t.Context(), 2, 20)
		wantError(t, err, ErrLost, "late")
		wantCode(t, err, CodeCancelled)
		code := binary.BigEndian.AppendUint16(nil, uint16(testCode))
		_, err = a.Call(t.Context(), 2, mFail, code, []byte("no disk"))
		if e := wantCode(t, err, testCode); e.Node != 2 || e.Text != "node 1 asked: no disk" || err.Error() != "node 2: node 1 asked: no disk" {
			t.Fatalf("%+v", e)
		}
		_, err = a.Call(t.Context(), 2, mFail, code, bytes.Repeat([]byte("é\xff"), maxText))
		if e := wantCode(t, err, testCode); len(e.Text) > maxText || len(e.Text) < maxText-2 || !strings.Contains(e.Text, "é?é?") {
			t.Fatalf("%d %q", len(e.Text), e.Text)
		}
		_, err = a.Call(t.Context(), 2, 99)
		wantCode(t, err, CodeNoMethod)
		if errors.Is(err, ErrUnreachable) || errors.Is(err, ErrLost) {
			t.Fatal(err)
		}
	})
}

// A method of one class is not served on a connection of the other.
func TestClassesAreApart(t *testing.T) {
	r := newRig(t, false)
	a, b := r.pair()
	r.reaches(a, 2)
	s := a.peer(2).out[control].current()
	ctx := within(t, 5*time.Second)
	deadline, _ := ctx.Deadline()
	_, err := s.call(ctx, deadline, mBulkEcho, 0, nil)
	wantCode(t, err, CodeNoMethod)
	if got := len(b.peer(1).sessions()); got != 1 {
		t.Fatalf("%d sessions", got)
	}
	_, err = a.Call(ctx, 2, mBulkEcho)
	must(t, err)
	if got := len(b.peer(1).sessions()); got != 2 {
		t.Fatalf("%d sessions", got)
	}
}

// The deadline of a call is the context's, and the other node's function sees it.
func TestDeadlineTravels(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		left := make(chan time.Duration, 1)
		a := r.start(1, 1, func(o *Options) { o.Timeout = 3 * time.Second })
		r.start(2, 1, func(o *Options) {
			o.Calls[20] = func(ctx context.Context, _ uint32, _ []byte) ([]byte, error) {
				d, _ := ctx.Deadline()
				left <- time.Until(d)
				return nil, nil
			}
		})
		for _, c := range []struct{ give, min, max time.Duration }{
			{0, 0, 3 * time.Second}, {time.Minute, 50 * time.Second, time.Minute},
		} {
			ctx := context.Background()
			if c.give > 0 {
				ctx = within(t, c.give)
			}
			_, err := a.Call(ctx, 2, 20)
			must(t, err)
			if d := <-left; d <= c.min || d > c.max {
				t.Errorf("gave %v: %v left", c.give, d)
			}
		}
	})
}

// A call ends with its deadline or when it is cancelled, for both sides, and the
// session goes on.
func TestCancel(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		ended, began := make(chan error, 1), make(chan bool, 1)
		a := r.start(1, 1, nil)
		r.start(2, 1, func(o *Options) {
			o.Calls[20] = func(ctx context.Context, _ uint32, _ []byte) ([]byte, error) {
				began <- true
				<-ctx.Done()
				ended <- ctx.Err()
				return nil, ctx.Err()
			}
		})
		ctx, cancel := context.WithCancel(within(t, time.Minute))
		go func() { <-began; cancel() }()
		_, err := a.Call(ctx, 2, 20)
		wantError(t, err, ErrLost, "node 2 did not answer")
		wantError(t, err, context.Canceled)
		if err := <-ended; err != context.Canceled {
			t.Fatal(err)
		}
		_, err = a.Call(within(t, 50*time.Millisecond), 2, 20)
		wantError(t, err, ErrLost, "context deadline exceeded") // of either side's clock
		<-began
		<-ended
		_, err = a.Call(within(t, 10*time.Second), 2, mEcho)
		must(t, err)
		s := a.peer(2).out[control].current()
		eventually(t, "given-up calls are answered and forgotten", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return len(s.calls) == 0 && len(s.slots) == 0
		})
	})
}

// The other node serves so many calls at once and no more; further ones wait here,
// surely not done, and control frames get through meanwhile.
func TestCallsAreBounded(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		a := r.start(1, 1, nil)
		var mu sync.Mutex
		now, most := 0, 0
		release := make(chan bool)
		r.start(2, 1, func(o *Options) {
			o.MaxCalls = 3
			o.Calls[20] = func(context.Context, uint32, []byte) ([]byte, error) {
				mu.Lock()
				now++
				most = max(most, now)
				mu.Unlock()
				<-release
				mu.Lock()
				now--
				mu.Unlock()
				return nil, nil
			}
		})
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				_, err := a.Call(within(t, time.Minute), 2, 20)
				if err != nil {
					t.Error(err)
				}
			})
		}
		eventually(t, "three calls run", func() bool { mu.Lock(); defer mu.Unlock(); return now == 3 })
		// Given up while it waits: nothing was sent. Given up while it is served: it counts on.
		_, err := a.Call(within(t, 20*time.Millisecond), 2, 20)
		wantError(t, err, ErrUnreachable)
		wantError(t, err, context.DeadlineExceeded)
		s := a.peer(2).out[control].current()
		pings := func() uint64 { s.pulse.mu.Lock(); defer s.pulse.mu.Unlock(); return s.pulse.number }
		before := pings()
		eventually(t, "pings are answered", func() bool { return pings() > before+2 })
		close(release)
		wg.Wait()
		if most != 3 {
			t.Errorf("%d at once", most)
		}
	})
}

// What was not given to the connection is surely not done; what was, is unknown.
func TestUnreachableOrLost(t *testing.T) {
	r := newRig(t, true)
	a, b := r.pair()
	r.reaches(a, 2)
	s := a.peer(2).out[control].current()
	// The writer is stuck on a connection that takes nothing.
	near, far := net.Pipe()
	defer far.Close()
	stuck := newSession(a.peer(2), control, &channel{raw: near, conn: near, mine: s.mine, theirs: s.theirs}, true)
	a.start(stuck.write)
	var wg sync.WaitGroup
	errs := make([]error, 2)
	deadline := time.Now().Add(time.Minute)
	call := func(i int) {
		_, errs[i] = stuck.call(within(t, time.Minute), deadline, mEcho, 5, [][]byte{[]byte("hello")})
	}
	wg.Go(func() { call(0) })
	eventually(t, "the first call is being written", func() bool {
		stuck.out.mu.Lock()
		defer stuck.out.mu.Unlock()
		return stuck.out.handed > 0
	})
	wg.Go(func() { call(1) })
	eventually(t, "the second call is queued", func() bool {
		stuck.out.mu.Lock()
		defer stuck.out.mu.Unlock()
		return stuck.out.backlog > 0
	})
	stuck.end(errSilent, nil)
	wg.Wait()
	wantError(t, errs[0], ErrLost, "nothing was heard")
	wantError(t, errs[1], ErrUnreachable, "nothing was heard")

	b.Close()
	eventually(t, "the end is noticed", func() bool { return len(a.peer(2).sessions()) == 0 })
	_, err := a.Call(t.Context(), 2, mEcho)
	wantError(t, err, ErrUnreachable, "node 2 cannot be reached")
	_, err = a.Call(t.Context(), 7, mEcho)
	wantError(t, err, ErrUnreachable, "not a member")
	a.Close()
	_, err = a.Call(t.Context(), 2, mEcho)
	wantError(t, err, ErrUnreachable)
	_, err = a.OpenStream(t.Context(), 3, mEcho, nil)
	wantError(t, err, ErrClosed)
}

// Calls under way when the other side closes: each ends, none is reported done.
func TestCloseEndsCalls(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		a, b := r.pair()
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if _, err := a.Call(within(t, time.Minute), 2, mWait); err == nil {
					t.Error("done")
				}
			})
		}
		eventually(t, "all calls are served", func() bool {
			n := 0
			for _, s := range b.peer(1).sessions() {
				s.mu.Lock()
				n += len(s.serving)
				s.mu.Unlock()
			}
			return n == 20
		})
		must(t, b.Close())
		wg.Wait()
		must(t, b.Close()) // again: nothing happens
	})
}
