package server

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ironman/s3api/sig"
	"ironman/server/link"
	"ironman/wal/event"
)

// pipeListener accepts what is sent to it.
type pipeListener chan net.Conn

func (l pipeListener) Accept() (net.Conn, error) {
	c, ok := <-l
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (l pipeListener) Close() error   { close(l); return nil }
func (l pipeListener) Addr() net.Addr { return &net.UnixAddr{} }

// TestJoinBySilence: a connection that falls silent does not keep a node from joining
// by another, and the time that it tells the cluster is that of the attempt.
func TestJoinBySilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
		secret := sig.NewSecret("a-secret-of-enough-bytes")
		listener := make(pipeListener, 1)
		var told time.Time
		l, err := link.Open(link.Options{
			Self: 1, Key: key, Listener: listener, Plain: true, Now: time.Now, JoinSecret: secret,
			Dial: func(context.Context, string) (net.Conn, error) { return nil, errors.New("there is nobody") },
			Peer: func(uint32) (link.Peer, bool) { return link.Peer{}, false },
			Join: func(_ context.Context, _ ed25519.PublicKey, request []byte) ([]byte, error) {
				var r joinRequest
				if err := strictJSON(request, &r); err != nil {
					return nil, err
				}
				told = time.Unix(0, r.Time)
				return []byte("welcome"), nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		dials := 0
		n := &Node{identity: &identity{key: key}, opts: Options{
			Join: "n1:1", LinkAddress: "n2:1", LinkPlain: true, JoinSecret: secret, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
			Dial: func(context.Context, string) (net.Conn, error) {
				here, there := net.Pipe()
				if dials++; dials < 4 {
					t.Cleanup(func() { there.Close() })
					return here, nil // nobody reads what it says
				}
				listener <- there
				return here, nil
			},
		}}
		began := time.Now()
		b, err := n.askToJoin(t.Context())
		if err != nil || string(b) != "welcome" {
			t.Fatalf("%q, %v", b, err)
		}
		if dials != 4 || time.Since(began) > time.Minute {
			t.Errorf("it joined by connection %d, after %v", dials, time.Since(began))
		}
		if old := time.Since(told); old > time.Second {
			t.Errorf("it told the time of %v ago", old)
		}
	})
}

// TestMayStart: a node that was removed learns that, and not that it is a copy.
func TestMayStart(t *testing.T) {
	for refusal, want := range map[event.Refusal]string{
		event.Refusal_REFUSAL_NOT_FOUND: "was removed from its cluster",
		event.Refusal_REFUSAL_CONFLICT:  "is its directory a copy",
	} {
		if err := mayStart(refusal); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", refusal, err)
		}
	}
	if err := mayStart(event.Refusal_REFUSAL_NONE); err != nil {
		t.Error(err)
	}
}
