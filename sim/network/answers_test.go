package network_test

import (
	"io"
	"syscall"
	"testing"
	"time"

	"ironman/sim/network"
)

// An acknowledgement that is under way when its direction is cut is lost too.
func TestLostAcknowledgement(t *testing.T) {
	bubble(t, network.Options{Timeout: 20 * time.Second}, func(t *testing.T, n *network.Network) {
		a, b := connect(t, n, "a", "b")
		say(t, a, "x")
		n.BlockOneWay("b", "a")
		expect(t, b, "x")
		failsRead(t, a, syscall.ETIMEDOUT)
	})
}

// Bytes for an end that has closed are answered with a reset, whether they are
// sent after it or cross with it, and again if that reset is lost.
func TestBytesForTheClosed(t *testing.T) {
	bubble(t, network.Options{}, func(t *testing.T, n *network.Network) {
		a, b := connect(t, n, "a", "b")
		say(t, a, "these cross")
		b.Close()
		time.Sleep(time.Second)
		failsWrite(t, a, syscall.ECONNRESET)

		a, b = connect(t, n, "a", "b")
		b.Close()
		failsRead(t, a, io.EOF)
		say(t, a, "too late")
		n.Isolate("b") // with the reset under way
		time.Sleep(10 * time.Second)
		n.Rejoin("b")
		time.Sleep(10 * time.Second)
		failsWrite(t, a, syscall.EPIPE)
	})
}

// An end that has given up, and whose owner has not looked since, does not take
// bytes any more.
func TestGivenUpUnseen(t *testing.T) {
	bubble(t, network.Options{Timeout: 20 * time.Second}, func(t *testing.T, n *network.Network) {
		a, b := connect(t, n, "a", "b")
		n.SetPath("a", "b", network.Path{Loss: 1})
		say(t, a, "lost")
		n.SetPath("a", "b", quiet())
		time.Sleep(time.Minute)
		say(t, b, "hello?")
		failsRead(t, b, syscall.ECONNRESET)
		failsRead(t, a, syscall.ETIMEDOUT)
	})
}

// A clog holds a reset back as well, and lets it go.
func TestClogHoldsReset(t *testing.T) {
	bubble(t, network.Options{}, func(t *testing.T, n *network.Network) {
		a, _ := connect(t, n, "a", "b")
		n.Kill("b")
		n.ClogHost("b", 1<<60) // with the reset under way
		silent(t, a, time.Hour)
		n.Unclog("b")
		within(t, a, time.Second)
		failsRead(t, a, syscall.ECONNRESET)
	})
}

// A block that begins while the first segment of a connection is under way.
func TestBlockMeetsDial(t *testing.T) {
	bubble(t, network.Options{}, func(t *testing.T, n *network.Network) {
		l, err := n.Host("b").Listen(80)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		time.AfterFunc(time.Millisecond/2, func() { n.BlockOneWay("b", "a") })
		if dials(t, n, "a", "b") {
			t.Fatal("it came through")
		}
	})
}
