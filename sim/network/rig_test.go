package network_test

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"ironman/sim/network"
)

// quiet is a path on which nothing is left to chance.
func quiet() network.Path { return network.Path{Latency: time.Millisecond} }

func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 1)) }

// bubble runs a test in virtual time. It ends when all its goroutines have.
func bubble(t *testing.T, o network.Options, f func(t *testing.T, n *network.Network)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		o := o
		if o.Rng == nil {
			o.Rng = seeded(1)
		}
		if o.Path == (network.Path{}) {
			o.Path = quiet()
		}
		f(t, network.New(o))
	})
}

// connect returns both ends of a connection to port 80 of a host.
func connect(t *testing.T, n *network.Network, from, to string) (here, there net.Conn) {
	t.Helper()
	l, err := n.Host(to).Listen(80)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	here, err = n.Host(from).Dial(t.Context(), to+":80")
	if err != nil {
		t.Fatal(err)
	}
	there, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return here, there
}

// within gives a connection a deadline from now.
func within(t *testing.T, c net.Conn, d time.Duration) {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(d)); err != nil {
		t.Fatal(err)
	}
}

// expect reads exactly want.
func expect(t *testing.T, c net.Conn, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if k, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("read %q and %v, want %q", got[:k], err, want)
	}
}

func say(t *testing.T, c net.Conn, what string) {
	t.Helper()
	if k, err := c.Write([]byte(what)); err != nil || k != len(what) {
		t.Fatalf("wrote %d of %d bytes: %v", k, len(what), err)
	}
}

// failsRead wants the next Read to fail in a certain way.
func failsRead(t *testing.T, c net.Conn, want error) {
	t.Helper()
	k, err := c.Read(make([]byte, 16))
	if k != 0 || !errors.Is(err, want) {
		t.Fatalf("read %d bytes and %v, want %v", k, err, want)
	}
}

func failsWrite(t *testing.T, c net.Conn, want error) {
	t.Helper()
	if k, err := c.Write([]byte("x")); k != 0 || !errors.Is(err, want) {
		t.Fatalf("wrote %d bytes with %v, want %v", k, err, want)
	}
}

// silent wants nothing to come for a time.
func silent(t *testing.T, c net.Conn, d time.Duration) {
	t.Helper()
	within(t, c, d)
	start := time.Now()
	failsRead(t, c, os.ErrDeadlineExceeded)
	if took := time.Since(start); took != d {
		t.Fatalf("the deadline of %v came after %v", d, took)
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
}

// dials says whether a connection to port 80 comes about within ten seconds.
func dials(t *testing.T, n *network.Network, from, to string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := n.Host(from).Dial(ctx, to+":80")
	if err != nil {
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("%s to %s: %v", from, to, err)
		}
		return false
	}
	c.Close()
	return true
}

// struck returns the count of a fault.
func struck(t *testing.T, n *network.Network, name string) uint64 {
	t.Helper()
	list := n.Faults()
	i := slices.IndexFunc(list, func(f network.Fault) bool { return f.Name == name })
	if i < 0 {
		t.Fatalf("no fault is called %q", name)
	}
	return list[i].Count
}

// acceptAll closes whatever is accepted, until the listener ends.
func acceptAll(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		c.Close()
	}
}

func timeout(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}
