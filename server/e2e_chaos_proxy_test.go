package server_test

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// TestProxyFaults: what a proxy does to one node's connections it does to no other's,
// and not to those that come later.
func TestProxyFaults(t *testing.T) {
	t.Parallel()
	p := newProxy(t, echoing(t))
	dial := func(node int) net.Conn {
		t.Helper()
		d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(sourceOf(node))}}
		c, err := d.Dial("tcp", p.address())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	echo := func(c net.Conn, limit time.Duration) error {
		if err := c.SetDeadline(time.Now().Add(limit)); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write([]byte("x")); err != nil {
			return err
		}
		_, err := io.ReadFull(c, make([]byte, 1))
		return err
	}
	works := func(what string, c net.Conn) {
		t.Helper()
		if err := echo(c, 10*time.Second); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	one, other := dial(1), dial(2)
	works("first", one)
	works("first", other)

	p.set(1, cut{delay: 100 * ms})
	began := time.Now()
	works("slow", one)
	if took := time.Since(began); took < 200*ms || p.holds() < 2 {
		t.Errorf("there and back took %v, %d were held", took, p.holds())
	}
	p.set(1, cut{})

	if n := p.silence(1); n != 2 { // both ends
		t.Errorf("%d connections fell silent", n)
	}
	if err := echo(one, 200*ms); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a silent connection: %v", err)
	}
	works("beside a silent one", other)
	one = dial(1)
	works("after a silent one", one)

	if n := p.reset(1); n < 2 {
		t.Errorf("%d connections were reset", n)
	}
	if err := echo(one, 10*time.Second); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a reset connection: %v", err)
	}
	works("beside a reset one", other)
	works("after a reset one", dial(1))
}

// echoing is the address of somebody who says everything again.
func echoing(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	return l.Addr().String()
}
