package link

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"ironman/s3api/sig"
)

// Methods of the tests.
const (
	mEcho Method = 1 + iota // answers the request
	mFail                   // fails with the code and text of the request
	mWait                   // waits for the end of its context
	mSink                   // stream: counts what it reads
	mPipe                   // stream: gives itself to the test

	mBulkEcho = Bulk + mEcho
	mBulkPipe = Bulk + mPipe
)

const testCode = FirstCode + 7

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantError fails the test unless err is target and its text holds every part.
func wantError(t testing.TB, err, target error, parts ...string) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Fatalf("got %v, want %v", err, target)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Fatalf("%q does not say %q", err, p)
		}
	}
}

func wantCode(t testing.TB, err error, code Code) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Code != code {
		t.Fatalf("got %v (%+v), want code %d", err, e, code)
	}
	return e
}

// eventually waits until f is true.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !f(); {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// noLeaks compares the goroutines at the end of the test with those at its start.
func noLeaks(t testing.TB) {
	before := runtime.NumGoroutine()
	t.Cleanup(func() {
		for end := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > before; {
			if time.Now().After(end) {
				b := make([]byte, 1<<20)
				t.Fatalf("%d goroutines at the start, %d now:\n%s", before, runtime.NumGoroutine(), b[:runtime.Stack(b, true)])
			}
			time.Sleep(2 * time.Millisecond)
		}
	})
}

// rig is a cluster of links in one process.
type rig struct {
	t     testing.TB
	plain bool
	key   map[uint32]ed25519.PrivateKey
	nodes map[uint32]*testNode
	log   lines

	mu      sync.Mutex
	members map[uint32]Peer
}

type testNode struct {
	*Link
	rig   *rig
	opts  Options
	pipes chan *Stream // opened by others with mPipe
	sunk  chan int64   // bytes that each mSink stream took
}

// lines is a log that tests can search.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

var testCluster = [16]byte{'c', 'l', 'u', 's', 't', 'e', 'r'}

func newRig(t testing.TB, plain bool) *rig {
	noLeaks(t)
	r := &rig{
		t: t, plain: plain, key: make(map[uint32]ed25519.PrivateKey), nodes: make(map[uint32]*testNode),
		members: make(map[uint32]Peer),
	}
	t.Cleanup(func() {
		for _, n := range r.nodes {
			n.Close()
		}
		if t.Failed() {
			t.Log(r.log.String())
		}
	})
	return r
}

// both runs a test over TLS and over plain connections.
func both(t *testing.T, f func(t *testing.T, r *rig)) {
	t.Run("tls", func(t *testing.T) { f(t, newRig(t, false)) })
	t.Run("plain", func(t *testing.T) { f(t, newRig(t, true)) })
}

func newKey() ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err)
	}
	return key
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	return l
}

func dialTCP(ctx context.Context, address string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", address)
}

func (r *rig) lookup(node uint32) (Peer, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, ok := r.members[node]
	return p, ok
}

// change edits the membership of a node.
func (r *rig) change(node uint32, f func(*Peer)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.members[node]
	f(&p)
	r.members[node] = p
}

func (r *rig) remove(node uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.members, node)
}

// options of a node, with its key pinned and its address known to all.
func (r *rig) options(node uint32, boot uint64) (Options, *testNode) {
	if r.key[node] == nil {
		r.key[node] = newKey()
	}
	n := &testNode{rig: r, pipes: make(chan *Stream, 2000), sunk: make(chan int64, 2000)}
	o := Options{
		Self: node, Key: r.key[node], Cluster: testCluster, Boot: boot, Plain: r.plain,
		Listener: listen(r.t), Dial: dialTCP, Peer: r.lookup, Now: time.Now,
		Logger: slog.New(slog.NewTextHandler(&r.log, &slog.HandlerOptions{Level: slog.LevelDebug})).With("on", node),
		Ping:   20 * time.Millisecond, Recheck: 20 * time.Millisecond,
		Calls: map[Method]CallFunc{
			mEcho:     func(_ context.Context, _ uint32, b []byte) ([]byte, error) { return b, nil },
			mBulkEcho: func(_ context.Context, _ uint32, b []byte) ([]byte, error) { return b, nil },
			mFail: func(_ context.Context, from uint32, b []byte) ([]byte, error) {
				return nil, fmt.Errorf("node %d asked: %w", from, &Error{Code: Code(binary.BigEndian.Uint16(b)), Text: string(b[2:])})
			},
			mWait: func(ctx context.Context, _ uint32, b []byte) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() },
		},
	}
	o.Streams = map[Method]StreamFunc{
		mSink: func(_ uint32, _ []byte, s *Stream) {
			k, _ := io.Copy(io.Discard, s)
			s.Close()
			n.sunk <- k
		},
		mPipe:     func(_ uint32, _ []byte, s *Stream) { n.pipes <- s },
		mBulkPipe: func(_ uint32, _ []byte, s *Stream) { n.pipes <- s },
	}
	return o, n
}

// start starts a node; edit, if not nil, changes its options.
func (r *rig) start(node uint32, boot uint64, edit func(*Options)) *testNode {
	r.t.Helper()
	o, n := r.options(node, boot)
	r.change(node, func(p *Peer) {
		*p = Peer{Node: node, Address: o.Listener.Addr().String(), Key: o.Key.Public().(ed25519.PublicKey), Boot: p.Boot}
	})
	if edit != nil {
		edit(&o)
	}
	var err error
	n.Link, err = Open(o)
	must(r.t, err)
	n.opts = o
	r.nodes[node] = n
	return n
}

// pair starts two nodes.
func (r *rig) pair() (a, b *testNode) { return r.start(1, 1, nil), r.start(2, 1, nil) }

// within is a context for one step of a test.
func within(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// reaches calls until it works: a node that was away is back.
func (r *rig) reaches(from *testNode, to uint32) {
	r.t.Helper()
	eventually(r.t, "a call works", func() bool {
		_, err := from.Call(within(r.t, 5*time.Second), to, mEcho, []byte("x"))
		return err == nil
	})
}

// pipe opens a stream from one node to another and returns both ends.
func (r *rig) pipe(from, to *testNode, m Method) (near, far *Stream) {
	r.t.Helper()
	near, err := from.OpenStream(within(r.t, 10*time.Second), to.opts.Self, m, nil)
	must(r.t, err)
	select {
	case far = <-to.pipes:
	case <-time.After(10 * time.Second):
		r.t.Fatal("the stream did not arrive")
	}
	return near, far
}

// pattern is n bytes that depend on seed.
func pattern(seed byte, n int) []byte {
	b := make([]byte, n)
	x := uint32(seed)*2654435761 + 1
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

func newSecret() sig.Secret { return sig.NewSecret(newKey().Seed()) }
