package network_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/nettest"

	"ironman/sim/network"
)

// The standard library's own idea of a net.Conn, in real time.
func TestConn(t *testing.T) {
	for name, path := range map[string]network.Path{
		"default": network.DefaultPath(),
		"pieces":  {Latency: 10 * time.Microsecond, Jitter: 50 * time.Microsecond, Split: 0.9, Bandwidth: 1 << 30},
	} {
		t.Run(name, func(t *testing.T) {
			nettest.TestConn(t, func() (a, b net.Conn, stop func(), err error) {
				n := network.New(network.Options{Rng: seeded(1), Path: path})
				a, b = connect(t, n, "a", "b")
				return a, b, func() { a.Close(); b.Close() }, nil
			})
		})
	}
}

func TestListener(t *testing.T) {
	bubble(t, network.Options{Backlog: 2, Timeout: 5 * time.Second}, func(t *testing.T, n *network.Network) {
		a, b := n.Host("a"), n.Host("b")
		_, err := a.Dial(t.Context(), "b:80")
		if !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("a port without a listener: %v", err)
		}
		l, err := b.Listen(80)
		if err != nil {
			t.Fatal(err)
		}
		if l.Addr().String() != "b:80" {
			t.Fatalf("it listens on %v", l.Addr())
		}
		if _, err := b.Listen(80); !errors.Is(err, syscall.EADDRINUSE) {
			t.Fatalf("the same port twice: %v", err)
		}
		var waiting []net.Conn
		for range 2 {
			c, err := a.Dial(t.Context(), "b:80")
			if err != nil {
				t.Fatal(err)
			}
			waiting = append(waiting, c)
		}
		if _, err := a.Dial(t.Context(), "b:80"); !errors.Is(err, syscall.ETIMEDOUT) {
			t.Fatalf("a full backlog: %v", err)
		}
		if _, err := l.Accept(); err != nil {
			t.Fatal(err)
		}
		c, err := a.Dial(t.Context(), "b:80")
		if err != nil {
			t.Fatalf("with room in the backlog: %v", err)
		}
		waiting = append(waiting[1:], c)
		l.Close()
		for _, c := range waiting {
			failsRead(t, c, syscall.ECONNRESET)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Fatalf("a closed listener: %v", err)
		}
		if _, err := b.Listen(80); err != nil {
			t.Fatalf("the port is free again: %v", err)
		}
		any, err := b.Listen(0)
		if err != nil {
			t.Fatal(err)
		}
		if c, err := a.Dial(t.Context(), any.Addr().String()); err != nil {
			t.Fatal(err)
		} else if c.RemoteAddr().String() != any.Addr().String() {
			t.Fatalf("connected to %v", c.RemoteAddr())
		}
	})
}

func TestDeadlines(t *testing.T) {
	bubble(t, network.Options{Window: 10}, func(t *testing.T, n *network.Network) {
		a, b := connect(t, n, "a", "b")
		silent(t, a, time.Second)
		say(t, b, "hello")
		within(t, a, -time.Second)
		failsRead(t, a, os.ErrDeadlineExceeded)
		within(t, a, time.Second)
		expect(t, a, "hello")

		// A deadline set later wakes who waits.
		for _, set := range []func(time.Time) error{a.SetReadDeadline, a.SetDeadline} {
			a.SetDeadline(time.Time{})
			time.AfterFunc(time.Minute, func() { set(time.Now()) })
			start := time.Now()
			failsRead(t, a, os.ErrDeadlineExceeded)
			if time.Since(start) != time.Minute {
				t.Fatalf("woken after %v", time.Since(start))
			}
		}
		a.SetWriteDeadline(time.Now().Add(time.Second))
		k, err := a.Write(make([]byte, 100))
		var late net.Error
		if k != 10 || !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &late) || !late.Timeout() {
			t.Fatalf("wrote %d with %v", k, err)
		}
		// The other direction does not mind.
		a.SetReadDeadline(time.Time{})
		say(t, b, "still")
		expect(t, a, "still")
	})
}

// A writer is never more than the window ahead of the reader.
func TestBackPressure(t *testing.T) {
	const window, total = 64 << 10, 1 << 20
	bubble(t, network.Options{Window: window, Path: network.DefaultPath()}, func(t *testing.T, n *network.Network) {
		a, b := connect(t, n, "a", "b")
		sent := make([]byte, total)
		for i := range sent {
			sent[i] = byte(i * 7 >> 3)
		}
		written := 0
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer a.Close()
			for rest := sent; len(rest) > 0; {
				k, err := a.Write(rest[:min(1000, len(rest))])
				if err != nil {
					t.Error(err)
					return
				}
				written += k
				rest = rest[k:]
			}
		}()
		time.Sleep(time.Hour)
		synctest.Wait()
		if written > window || written < window-1000 {
			t.Fatalf("wrote %d bytes that nobody read", written)
		}
		got, err := io.ReadAll(b)
		if err != nil || !bytes.Equal(got, sent) {
			t.Fatalf("read %d bytes that differ: %v", len(got), err)
		}
		<-done
	})
}

func TestClose(t *testing.T) {
	bubble(t, network.Options{}, func(t *testing.T, n *network.Network) {
		// What is pending is delivered, then the end; the other direction is a half of its own.
		a, b := connect(t, n, "a", "b")
		say(t, a, "last words")
		if err := a.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
			t.Fatal(err)
		}
		failsWrite(t, a, syscall.EPIPE)
		expect(t, b, "last words")
		failsRead(t, b, io.EOF)
		failsRead(t, b, io.EOF)
		say(t, b, "an answer")
		b.Close()
		expect(t, a, "an answer")
		failsRead(t, a, io.EOF)
		a.Close()
		failsRead(t, a, net.ErrClosed)
		failsWrite(t, a, net.ErrClosed)
		if err := a.Close(); !errors.Is(err, net.ErrClosed) {
			t.Fatalf("closed twice: %v", err)
		}

		// Unread data make a close a reset.
		a, b = connect(t, n, "a", "b")
		say(t, a, "unread")
		time.Sleep(time.Second)
		say(t, b, "in time?")
		b.Close()
		time.Sleep(time.Second)
		if k, err := a.Read(make([]byte, 16)); err == nil && k > 0 { // what came before the reset
			failsRead(t, a, syscall.ECONNRESET)
		} else if !errors.Is(err, syscall.ECONNRESET) {
			t.Fatal(err)
		}
		failsWrite(t, a, syscall.ECONNRESET)
		failsWrite(t, a, syscall.EPIPE)
		a.Close()

		// So do data that come too late.
		a, b = connect(t, n, "a", "b")
		b.Close()
		failsRead(t, a, io.EOF)
		say(t, a, "nobody reads this")
		time.Sleep(time.Second)
		failsWrite(t, a, syscall.EPIPE)
		a.Close()
		if left := n.Connections(); left != 0 {
			t.Fatalf("%d connections are remembered", left)
		}
	})
}

func TestCloseWakesWaiting(t *testing.T) {
	bubble(t, network.Options{Window: 1}, func(t *testing.T, n *network.Network) {
		a, _ := connect(t, n, "a", "b")
		results := make(chan error)
		for range 3 {
			go func() { _, err := a.Read(make([]byte, 1)); results <- err }()
			go func() { _, err := a.Write(make([]byte, 2)); results <- err }()
		}
		synctest.Wait()
		a.Close()
		for range 6 {
			if err := <-results; !errors.Is(err, net.ErrClosed) {
				t.Errorf("a call that waited: %v", err)
			}
		}
	})
}

// Writes of several goroutines do not mix, not even when each has to wait.
func TestWritesDoNotMix(t *testing.T) {
	const size = 10_000
	bubble(t, network.Options{Window: 100, Path: network.DefaultPath()}, func(t *testing.T, n *network.Network) {
		a, b := connect(t, n, "a", "b")
		for i := range 4 {
			go func() {
				if _, err := a.Write(bytes.Repeat([]byte{byte(i)}, size)); err != nil {
					t.Error(err)
				}
			}()
		}
		got := make([]byte, 4*size)
		if _, err := io.ReadFull(b, got); err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(got); i += size {
			if !bytes.Equal(got[i:i+size], bytes.Repeat(got[i:i+1], size)) {
				t.Fatalf("Write number %d was not whole", i/size)
			}
		}
	})
}

func TestDialEndsWithItsContext(t *testing.T) {
	bubble(t, network.Options{}, func(t *testing.T, n *network.Network) {
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		start := time.Now()
		_, err := n.Host("a").Dial(ctx, "nowhere:80")
		var e net.Error
		if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &e) || !e.Timeout() {
			t.Fatalf("a dial without an answer: %v", err)
		}
		if took := time.Since(start); took != 2500*time.Millisecond {
			t.Fatalf("it took %v", took)
		}
		if _, err := n.Host("a").Dial(t.Context(), "nowhere:80"); !errors.Is(err, syscall.ETIMEDOUT) {
			t.Fatalf("without a deadline: %v", err)
		}
		for _, address := range []string{"b", "b:http", ""} {
			if _, err := n.Host("a").Dial(t.Context(), address); err == nil {
				t.Fatalf("dialled %q", address)
			}
		}
	})
}

// Thousands of connections leave nothing behind.
func TestNothingIsKept(t *testing.T) {
	bubble(t, network.Options{Path: network.DefaultPath(), CleanDeath: 0.5}, func(t *testing.T, n *network.Network) {
		var before runtime.MemStats
		for i := range 3000 {
			if i == 500 {
				runtime.GC()
				runtime.ReadMemStats(&before)
			}
			a, b := connect(t, n, "a", "b")
			say(t, a, "some bytes that may be read")
			switch i % 6 {
			case 0:
				n.Kill("b")
				drain(a)
			case 1:
				n.Reset("a", "b")
			case 2:
				n.PowerOff("a")
			case 3:
				n.Block("a", "b")
				say(t, a, "more")
				b.Close()
				a.Close()
				n.Unblock("a", "b")
			case 4:
				n.Blackhole("a", "")
			case 5:
				expect(t, b, "some")
			}
			a.Close()
			b.Close()
		}
		if left := n.Connections(); left != 0 {
			t.Fatalf("%d connections are remembered", left)
		}
		var after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&after)
		if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
			t.Fatalf("the heap has grown by %d bytes", grown)
		}
	})
}

func drain(c net.Conn) {
	for {
		if _, err := c.Read(make([]byte, 100)); err != nil {
			return
		}
	}
}
