package link

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"ironman/s3api/sig"
)

func shortSecret() sig.Secret { return sig.NewSecret("short") }

// openTo starts a node that lets others join with the secret.
func (r *rig) openTo(secret sig.Secret, join func(ctx context.Context, key ed25519.PublicKey, request []byte) ([]byte, error)) *testNode {
	return r.start(1, 1, func(o *Options) { o.JoinSecret, o.Join = secret, join })
}

func joinOptions(r *rig, to *testNode, secret sig.Secret) JoinOptions {
	return JoinOptions{
		Dial: dialTCP, Address: to.opts.Listener.Addr().String(), Key: newKey(), Secret: secret,
		Plain: r.plain, Request: []byte("let me in"), Now: time.Now,
	}
}

func TestJoin(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		secret := newSecret()
		var o JoinOptions
		a := r.openTo(secret, func(_ context.Context, key ed25519.PublicKey, request []byte) ([]byte, error) {
			if !key.Equal(public(o.Key)) {
				t.Error("another key")
			}
			if string(request) == "refuse me" {
				return nil, &Error{Code: testCode, Text: "the cluster is full"}
			}
			return append([]byte("welcome: "), request...), nil
		})
		o = joinOptions(r, a, secret)
		got, err := Join(within(t, 10*time.Second), o)
		if err != nil || string(got) != "welcome: let me in" {
			t.Fatal(string(got), err)
		}
		o.Request = []byte("refuse me")
		_, err = Join(within(t, 10*time.Second), o)
		wantCode(t, err, testCode)
		o.Request = make([]byte, MaxHead+1)
		_, err = Join(within(t, 10*time.Second), o)
		wantError(t, err, ErrTooLarge)
		o.Secret = shortSecret()
		if _, err = Join(within(t, 10*time.Second), o); err == nil || !strings.Contains(err.Error(), "at least 16 bytes") {
			t.Fatal(err)
		}
		if len(a.Peers()) != 0 {
			t.Fatal("joining made a peer")
		}
	})
}

// Without the secret nobody joins; each failure makes the next one wait longer; the
// secret is in no log line and in no error.
func TestWrongJoinSecret(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		secret, wrong := newSecret(), newSecret()
		a := r.openTo(secret, func(context.Context, ed25519.PublicKey, []byte) ([]byte, error) {
			t.Error("asked")
			return nil, nil
		})
		busy := 0
		var all strings.Builder
		for range 40 {
			_, err := Join(within(t, 10*time.Second), joinOptions(r, a, wrong))
			var e *Error
			if !errors.As(err, &e) || e.Code != CodeSecret && e.Code != CodeBusy {
				t.Fatal(err)
			}
			if e.Code == CodeBusy {
				busy++
			}
			fmt.Fprintf(&all, "%v %+v", err, e)
		}
		if busy < 30 {
			t.Errorf("%d of 40 attempts were put off", busy)
		}
		fmt.Fprintf(&all, "%+v", a.opts)
		all.WriteString(r.log.String())
		for _, s := range []sig.Secret{secret, wrong} {
			b := s.Reveal()
			for _, leak := range []string{string(b), hex.EncodeToString(b), fmt.Sprint(b)} {
				if strings.Contains(all.String(), leak) {
					t.Error("a secret was printed")
				}
			}
		}
		if !strings.Contains(r.log.String(), "the join secret is not that of this cluster") {
			t.Error("nothing was logged")
		}
	})
}

func TestGate(t *testing.T) {
	var g gate
	for range joinSlots {
		if !g.enter() {
			t.Fatal("no slot")
		}
	}
	if g.enter() {
		t.Fatal("one slot too many")
	}
	g.leave()
	if !g.enter() {
		t.Fatal("no slot")
	}
	now, last := time.Hour, time.Duration(0)
	for range 30 {
		p := g.judged(false, now)
		if p < last || p > penaltyMax || p < penaltyMin {
			t.Fatal(p)
		}
		last = p
	}
	if last != penaltyMax || g.judged(true, now) != 0 || g.judged(false, now) != penaltyMin {
		t.Fatal(last)
	}
	g.judged(false, now)
	if p := g.judged(false, now+time.Hour); p != penaltyMin {
		t.Fatal(p)
	}
}

// A node that lets nobody join says so, and a stranger can do nothing else.
func TestStrangers(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		a, _ := r.pair()
		_, err := Join(within(t, 10*time.Second), joinOptions(r, a, newSecret()))
		wantCode(t, err, CodeNoJoin)
		// A key that nobody pinned, with a number that nobody has, and with one that exists.
		for _, number := range []uint32{2, 9} {
			o, n := r.options(20+number, 1)
			o.Self = number
			n.Link, err = Open(o)
			must(t, err)
			r.nodes[20+number] = n
			refusedBy(t, n, 1, CodeNotMember)
		}
	})
}

// An impostor of the cluster that does not know the secret is told nothing: not the
// secret, not the request.
func TestImpostor(t *testing.T) {
	both(t, func(t *testing.T, r *rig) {
		secret := newSecret()
		l := listen(t)
		defer l.Close()
		me := &Link{opts: Options{Key: newKey(), Window: 1, MaxCalls: 1, MaxStreams: 1, Plain: r.plain}}
		cert, err := certificate(me.opts.Key)
		must(t, err)
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() {
			raw, err := l.Accept()
			must(t, err)
			defer raw.Close()
			conn, err := secure(raw, r.plain, false, tlsConfig(cert, time.Now, anyKey))
			must(t, err)
			_, err = readHello(conn)
			must(t, err)
			must(t, writeMessage(conn, msgHello, me.introduce(roleJoin).encode()))
			proof, err := readMessage(conn, msgProof)
			must(t, err)
			writeMessage(conn, msgProof, proof) // the joiner's own
			if b, err := readMessage(conn, msgJoin); err == nil {
				t.Errorf("the impostor was asked: %q", b)
			}
		})
		o := joinOptions(r, &testNode{opts: Options{Listener: l}}, secret)
		_, err = Join(within(t, 10*time.Second), o)
		wantError(t, err, ErrNotProven)
	})
}

// A relay between the joiner and the cluster, with a key of its own, cannot use
// the joiner's proof: it is good for the joiner's TLS session only.
func TestRelay(t *testing.T) {
	r := newRig(t, false)
	secret := newSecret()
	a := r.openTo(secret, func(context.Context, ed25519.PublicKey, []byte) ([]byte, error) {
		t.Error("the relay has joined")
		return nil, nil
	})
	l := listen(t)
	defer l.Close()
	me := &Link{opts: Options{Key: newKey(), Window: 1, MaxCalls: 1, MaxStreams: 1}}
	cert, err := certificate(me.opts.Key)
	must(t, err)
	config := tlsConfig(cert, time.Now, anyKey)
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		raw, err := l.Accept()
		must(t, err)
		defer raw.Close()
		near, err := secure(raw, false, false, config)
		must(t, err)
		raw2, err := net.Dial("tcp", a.opts.Listener.Addr().String())
		must(t, err)
		defer raw2.Close()
		far := tls.Client(raw2, config)
		_, err = readHello(near)
		must(t, err)
		must(t, writeMessage(far, msgHello, me.introduce(roleJoin).encode()))
		_, err = readHello(far)
		must(t, err)
		must(t, writeMessage(near, msgHello, me.introduce(roleJoin).encode()))
		proof, err := readMessage(near, msgProof)
		must(t, err)
		must(t, writeMessage(far, msgProof, proof))
		_, err = readMessage(far, msgProof)
		wantCode(t, err, CodeSecret)
	})
	_, err = Join(within(t, 10*time.Second), joinOptions(r, &testNode{opts: Options{Listener: l}}, secret))
	wantError(t, err, ErrUnreachable)
}

// The proof depends on everything that it is to bind.
func TestProof(t *testing.T) {
	b, j, c := make([]byte, 32), make([]byte, 32), make([]byte, 32)
	rand.Read(b)
	rand.Read(j)
	rand.Read(c)
	s := newSecret()
	seen := map[string]bool{}
	for _, p := range [][]byte{
		prove(s, joinerLabel, b, j, c), prove(s, clusterLabel, b, j, c), prove(newSecret(), joinerLabel, b, j, c),
		prove(s, joinerLabel, j, b, c), prove(s, joinerLabel, b, c, j), prove(s, joinerLabel, b, j, b),
	} {
		if len(p) != proofBytes || seen[string(p)] {
			t.Fatal("two proofs are the same")
		}
		seen[string(p)] = true
	}
}

// Where there is no cluster, or one that does not answer, Join says what is known.
func TestJoinFails(t *testing.T) {
	r := newRig(t, false)
	secret := newSecret()
	l := listen(t)
	o := joinOptions(r, &testNode{opts: Options{Listener: l}}, secret)
	_, err := Join(within(t, 50*time.Millisecond), o) // nobody accepts
	wantError(t, err, ErrUnreachable)
	wantError(t, err, context.DeadlineExceeded)
	l.Close()
	_, err = Join(within(t, 10*time.Second), o)
	wantError(t, err, ErrUnreachable, "refused")
	a := r.openTo(secret, func(ctx context.Context, _ ed25519.PublicKey, _ []byte) ([]byte, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	})
	o = joinOptions(r, a, secret)
	_, err = Join(within(t, 300*time.Millisecond), o)
	wantError(t, err, ErrLost)
	if _, err := Join(t.Context(), JoinOptions{}); err == nil {
		t.Fatal("no options")
	}
}
