package link

import (
	"context"
	"crypto/ed25519"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// throughProxy starts two nodes; the first reaches the second through a proxy.
func throughProxy(r *rig, edit func(*Options)) (a, b *testNode, p *proxy) {
	a, b = r.start(1, 1, edit), r.start(2, 1, edit)
	p = newProxy(r.t, b.opts.Listener.Addr().String())
	r.change(2, func(m *Peer) { m.Address = p.address() })
	return a, b, p
}

func quick(o *Options) { o.Silence = 400 * time.Millisecond }

// A connection that is open but dead, in one direction or both, is found out from
// either end; calls and streams on it fail, and a new one is made when the network
// is back.
func TestHalfOpen(t *testing.T) {
	for name, held := range map[string][2]bool{
		"there": {true, false}, "back": {false, true}, "both": {true, true},
	} {
		t.Run(name, func(t *testing.T) {
			both(t, func(t *testing.T, r *rig) {
				a, b, p := throughProxy(r, quick)
				near, far := r.pipe(a, b, mPipe)
				errs := make(chan error, 3)
				go func() { _, err := a.Call(context.Background(), 2, mWait); errs <- err }()
				go func() { _, err := near.Read(make([]byte, 1)); errs <- err }()
				go func() { _, err := far.Read(make([]byte, 1)); errs <- err }()
				eventually(t, "the call is served", func() bool {
					s := b.peer(1).sessions()
					if len(s) == 0 {
						return false
					}
					s[0].mu.Lock()
					defer s[0].mu.Unlock()
					return len(s[0].serving) == 1
				})
				p.hold(held[0], held[1])
				for range 3 {
					select {
					case err := <-errs:
						wantError(t, err, ErrLost)
					case <-time.After(10 * time.Second):
						t.Fatal("not noticed")
					}
				}
				eventually(t, "both sides have given up", func() bool {
					return len(a.peer(2).sessions()) == 0 && len(b.peer(1).sessions()) == 0
				})
				p.hold(false, false)
				r.reaches(a, 2)
			})
		})
	}
}

// Connections that are reset: calls end, the next ones work.
func TestConnectionsReset(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		a, _, p := throughProxy(r, func(o *Options) { o.Backoff = 50 * time.Millisecond })
		stop := make(chan bool)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					got, err := a.Call(within(t, 10*time.Second), 2, mEcho, []byte("hello"))
					if err == nil && string(got) != "hello" || err != nil && !errors.Is(err, ErrLost) && !errors.Is(err, ErrUnreachable) {
						t.Error(string(got), err)
						return
					}
				}
			})
		}
		for range 10 {
			r.reaches(a, 2)
			p.cut()
		}
		close(stop)
		wg.Wait()
		r.reaches(a, 2)
	})
}

// A link that was used is made again by itself, as long as the node is a member.
func TestLostConnectionsComeBack(t *testing.T) {
	r := newRig(t, false)
	a, _, p := throughProxy(r, nil)
	r.reaches(a, 2)
	for range 3 {
		before := p.count()
		p.cut()
		eventually(t, "a new connection", func() bool { return p.count() > before && a.Peers()[0].Connected })
	}
	r.remove(2)
	eventually(t, "cut off", func() bool { return len(a.peer(2).sessions()) == 0 })
	before := p.count()
	time.Sleep(100 * time.Millisecond) // several rounds of tend
	if n := p.count(); n != before {
		t.Errorf("%d connections to a node that is no member", n-before)
	}
}

// A node that restarts: its peers notice at once, whatever they knew of it.
func TestRestart(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		a, b := r.pair()
		r.reaches(a, 2)
		r.reaches(b, 1)
		for boot := uint64(2); boot < 5; boot++ {
			b.Close()
			b = r.start(2, boot, nil)
			r.reaches(b, 1)
			r.reaches(a, 2)
			if s := a.Peers()[0]; s.Boot != boot || !s.Connected || !s.Incoming {
				t.Fatalf("%+v", s)
			}
		}
	})
}

// A node that went away without a word (its connections stay half open) and is
// back is not held up by them.
func TestRestartWithoutAWord(t *testing.T) {
	r := newRig(t, false)
	a, b := r.start(1, 1, nil), r.start(2, 1, nil)
	p := newProxy(t, a.opts.Listener.Addr().String())
	r.change(1, func(m *Peer) { m.Address = p.address() })
	r.reaches(b, 1)
	old := a.peer(2).sessions()[0]
	p.hold(true, true)
	b.Close()
	r.change(1, func(m *Peer) { m.Address = a.opts.Listener.Addr().String() })
	b = r.start(2, 2, nil)
	r.reaches(b, 1)
	if err := old.ctx.Err(); err == nil {
		t.Fatal("the session of the older start lives")
	}
	p.hold(false, false)
}

// Where nobody listens a call fails at once, and again within the back-off without
// trying; where nothing answers it fails with its context, later calls sooner.
func TestBackoff(t *testing.T) {
	r := newRig(t, true)
	dials := make(chan string, 1000)
	a := r.start(1, 1, func(o *Options) {
		o.Backoff, o.Handshake = time.Minute, time.Minute
		o.Dial = func(ctx context.Context, address string) (net.Conn, error) {
			dials <- address
			if address == "hole" {
				<-ctx.Done()
				return nil, ctx.Err()
			}
			return nil, errors.New("connection refused")
		}
	})
	key := newKey().Public().(ed25519.PublicKey)
	r.change(2, func(p *Peer) { *p = Peer{Node: 2, Address: "refused", Key: key} })
	r.change(3, func(p *Peer) { *p = Peer{Node: 3, Address: "hole", Key: key} })
	begun := time.Now()
	for range 100 {
		_, err := a.Call(within(t, time.Minute), 2, mEcho)
		wantError(t, err, ErrUnreachable, "node 2 cannot be reached: connection refused")
	}
	if d := time.Since(begun); d > 5*time.Second {
		t.Errorf("took %v", d)
	}
	if n := len(dials); n > 20 {
		t.Errorf("dialed %d times", n)
	}
	_, err := a.Call(within(t, 50*time.Millisecond), 3, mEcho)
	wantError(t, err, ErrUnreachable)
	wantError(t, err, context.DeadlineExceeded)
	// As if that attempt had failed: the next one is not waited for as long.
	o := &a.peer(3).out[control]
	o.mu.Lock()
	o.err = errSilent
	o.mu.Unlock()
	begun = time.Now()
	_, err = a.Call(within(t, time.Minute), 3, mEcho)
	wantError(t, err, ErrUnreachable, "nothing was heard")
	if d := time.Since(begun); d > 10*time.Second {
		t.Errorf("took %v", d)
	}
}

// Close while everything is in motion leaves nothing behind (newRig counts).
func TestCloseInMotion(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		a, b := r.pair()
		var wg sync.WaitGroup
		for i, n := range []*testNode{a, b} {
			other := uint32(2 - i)
			for range 4 {
				wg.Go(func() {
					for {
						_, err := n.Call(context.Background(), other, mEcho, make([]byte, 10_000))
						if errors.Is(err, ErrClosed) {
							return
						}
					}
				})
				wg.Go(func() {
					for {
						s, err := n.OpenStream(context.Background(), other, mSink, nil)
						if errors.Is(err, ErrClosed) {
							return
						}
						if err == nil {
							s.Write(make([]byte, 100_000))
							s.Close()
						}
					}
				})
			}
		}
		drained := make(chan bool)
		for _, n := range []*testNode{a, b} {
			go func() {
				for {
					select {
					case <-n.sunk:
					case <-drained:
						return
					}
				}
			}()
		}
		time.Sleep(100 * time.Millisecond) // in motion: nothing to wait for
		a.Close()
		b.Close()
		wg.Wait()
		close(drained)
	})
}

// The listener of a node that closes takes no more, and a dial under way is ended.
func TestCloseEndsHandshakes(t *testing.T) {
	r := newRig(t, false)
	silent := listen(t)
	defer silent.Close()
	a := r.start(1, 1, nil)
	r.change(2, func(p *Peer) {
		*p = Peer{Node: 2, Address: silent.Addr().String(), Key: newKey().Public().(ed25519.PublicKey)}
	})
	errs := make(chan error)
	go func() { _, err := a.Call(context.Background(), 2, mEcho); errs <- err }()
	c, err := silent.Accept()
	must(t, err)
	defer c.Close()
	d, err := net.Dial("tcp", a.opts.Listener.Addr().String())
	must(t, err)
	defer d.Close()
	eventually(t, "a stranger", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return len(a.strangers) == 1 })
	a.Close()
	wantError(t, <-errs, ErrUnreachable)
	if _, err := io.ReadAll(d); err != nil && !errors.Is(err, io.EOF) {
		var reset net.Error
		if errors.As(err, &reset) && reset.Timeout() {
			t.Fatal(err)
		}
	}
}
