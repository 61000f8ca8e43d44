package network_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"ironman/sim/network"
)

// history runs a scenario of two sides and a nemesis, and returns its events. The
// sides take turns, so that no two goroutines want something at one instant.
func history(t *testing.T, seed uint64) []string {
	var events []string
	o := network.Options{
		Rng:     seeded(seed),
		Path:    network.Path{Latency: 100 * time.Microsecond, Jitter: 500 * time.Microsecond, Loss: 0.05, Corrupt: 0.05, Split: 0.2, Bandwidth: 1 << 20},
		Timeout: 3 * time.Second,
		Observe: func(e network.Event) { events = append(events, fmt.Sprint(e)) },
	}
	bubble(t, o, func(t *testing.T, n *network.Network) {
		l, err := n.Host("b").Listen(80)
		if err != nil {
			t.Fatal(err)
		}
		var sides sync.WaitGroup
		sides.Go(func() { echoEach(l) })
		sides.Go(func() {
			defer l.Close()
			r := seeded(seed + 1)
			for range 60 {
				ask(n, r.IntN(3000)+1)
				time.Sleep(time.Duration(r.IntN(100)) * time.Millisecond)
			}
		})
		r := seeded(seed + 2)
		for range 40 {
			time.Sleep(time.Duration(r.IntN(500))*time.Millisecond + 1)
			switch r.IntN(8) {
			case 0:
				n.BlockOneWay("b", "a")
			case 1:
				n.Isolate("a")
			case 2:
				n.ResetOne("a", "")
			case 3:
				n.Clog("a", "b", time.Second)
			case 4:
				n.BlackholeOne("", "b")
			default:
				n.Heal()
			}
		}
		n.Heal()
		sides.Wait()
		for _, f := range n.Faults() {
			events = append(events, fmt.Sprint(f))
		}
	})
	return events
}

func echoEach(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		c.SetDeadline(time.Now().Add(2 * time.Second))
		io.Copy(c, c)
		c.Close()
	}
}

func ask(n *network.Network, size int) {
	ctx, cancel := timeout(3 * time.Second)
	defer cancel()
	c, err := n.Host("a").Dial(ctx, "b:80")
	if err != nil {
		return
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := c.Write(pattern(size)); err != nil {
		return
	}
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return
	}
	io.Copy(io.Discard, c)
}

func TestReplay(t *testing.T) {
	for seed := range uint64(20) {
		first, second := history(t, seed), history(t, seed)
		if len(first) < 200 {
			t.Fatalf("seed %d: only %d events", seed, len(first))
		}
		for i := range min(len(first), len(second)) {
			if first[i] != second[i] {
				t.Fatalf("seed %d: event %d is\n%s\nand\n%s", seed, i, first[i], second[i])
			}
		}
		if len(first) != len(second) {
			t.Fatalf("seed %d: %d and %d events", seed, len(first), len(second))
		}
	}
	if slices.Equal(history(t, 1), history(t, 2)) {
		t.Fatal("two seeds, one history")
	}
}

// Every fault of the list can strike: it is ordered, and its count says so.
func TestFaultsAreCounted(t *testing.T) {
	const port = 80
	for name, order := range map[string]func(n *network.Network){
		"blocked one way":             func(n *network.Network) { n.BlockOneWay("a", "b") },
		"blocked both ways":           func(n *network.Network) { n.Block("a", "b") },
		"isolated":                    func(n *network.Network) { n.Isolate("b") },
		"partition":                   func(n *network.Network) { n.Partition([]string{"a"}, []string{"b"}) },
		"bridge":                      func(n *network.Network) { n.Bridge("c", []string{"a"}, []string{"b"}) },
		"clogged":                     func(n *network.Network) { n.Clog("a", "b", time.Second) },
		"lost":                        func(n *network.Network) { n.SetAllPaths(network.Path{Loss: 0.9}) },
		"slow path":                   func(n *network.Network) { n.Slow("a", "b", 1000) },
		"corrupted":                   func(n *network.Network) { n.SetPath("a", "b", network.Path{Corrupt: 1}) },
		"split":                       func(n *network.Network) { n.SetPath("a", "b", network.Path{Split: 1}) },
		"reset":                       func(n *network.Network) { n.Reset("a", "b") },
		"blackhole":                   func(n *network.Network) { n.Blackhole("a", "b") },
		"timed out":                   func(n *network.Network) { n.Block("a", "b") },
		"refused":                     func(n *network.Network) { n.Refuse("b", time.Hour) },
		"ports exhausted":             func(n *network.Network) { n.Exhaust("a", time.Hour) },
		"port blocked":                func(n *network.Network) { n.BlockPort("a", "b", port) },
		"kind of connections blocked": func(n *network.Network) { n.BlockKind("a", "b", "one") },
		"killed":                      func(n *network.Network) { n.Kill("b") },
		"powered off":                 func(n *network.Network) { n.PowerOff("b") },
		"paused":                      func(n *network.Network) { n.Pause("a"); time.AfterFunc(time.Hour, func() { n.Resume("a") }) },
	} {
		bubble(t, network.Options{}, func(t *testing.T, n *network.Network) {
			a, _ := connect(t, n, "a", "b")
			l, err := n.Host("b").Listen(port)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			n.Mark(a, "one")
			order(n)
			for range 20 {
				a.Write([]byte("something"))
			}
			ctx, cancel := timeout(time.Second)
			defer cancel()
			n.Host("a").Dial(ctx, "b:80")
			within(t, a, 2*time.Minute)
			a.Read(make([]byte, 1))
			if struck(t, n, name) == 0 {
				t.Errorf("%q has not struck: %v", name, n.Faults())
			}
		})
	}
	n := network.New(network.Options{Rng: seeded(1)})
	for i, f := range n.Faults() {
		if f.Name == "" || !strings.HasPrefix(f.ID, "F-") || f.Count != 0 {
			t.Errorf("fault %d is %+v", i, f)
		}
	}
	if got := len(n.Faults()); got != 20 {
		t.Errorf("%d faults, and 20 of them are tested", got)
	}
}

func TestErrorsAreOfTheNetPackage(t *testing.T) {
	bubble(t, network.Options{}, func(t *testing.T, n *network.Network) {
		a, _ := connect(t, n, "a", "b")
		n.Reset("a", "b")
		_, err := a.Read(make([]byte, 1))
		var op *net.OpError
		if !errors.As(err, &op) || op.Op != "read" || op.Addr.String() != "b:80" {
			t.Fatalf("got %#v", err)
		}
		if want := "read tcp a:32768->b:80: connection reset by peer"; err.Error() != want {
			t.Fatalf("it says %q, not %q", err, want)
		}
	})
}
