package world

import (
	"context"
	"crypto/ed25519"
	"io"
	"net"
	"testing"
	"time"

	"ironman/server/link"
)

// TestKindOf: what a link dials is told apart by what it writes first.
func TestKindOf(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	first := make(chan []byte, 2)
	dial := func(context.Context, string) (net.Conn, error) {
		here, there := net.Pipe()
		go func() {
			defer there.Close()
			b := make([]byte, 17)
			if _, err := io.ReadFull(there, b); err == nil {
				first <- b
			}
		}()
		return here, nil
	}
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	from, err := link.Open(link.Options{
		Self: 1, Key: key, Listener: l, Dial: dial, Plain: true, Now: time.Now,
		Peer: func(node uint32) (link.Peer, bool) {
			return link.Peer{Node: node, Key: key.Public().(ed25519.PublicKey)}, true
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	for method, want := range map[link.Method]string{1: control, link.Bulk: bulk} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err := from.Call(ctx, 2, method, nil)
		cancel()
		if err == nil {
			t.Fatal("nobody was there to answer")
		}
		if got := kindOf(<-first); got != want {
			t.Errorf("a connection for method %d is of kind %q, and not %q", method, got, want)
		}
	}
	if got := kindOf([]byte("IMS3link")); got != "" {
		t.Errorf("half a hello is of kind %q", got)
	}
}
