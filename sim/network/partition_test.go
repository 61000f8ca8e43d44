package network_test

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"ironman/sim/network"
)

// Each way to cut hosts off: who reaches whom, and that a heal ends it.
func TestWhoReachesWhom(t *testing.T) {
	names := []string{"a", "b", "c", "d"}
	for _, c := range []struct {
		name string
		cut  func(n *network.Network)
		heal func(n *network.Network)
		ends string // pairs between which nothing passes
	}{
		{"one way", func(n *network.Network) { n.BlockOneWay("a", "b") }, func(n *network.Network) { n.Unblock("b", "a") }, "ab"},
		{"both ways", func(n *network.Network) { n.Block("b", "a") }, func(n *network.Network) { n.Unblock("a", "b") }, "ab"},
		{"port", func(n *network.Network) { n.BlockPort("b", "a", 80) }, func(n *network.Network) { n.Unblock("a", "b") }, "ab"},
		{"another port", func(n *network.Network) { n.BlockPort("b", "a", 81) }, (*network.Network).Heal, ""},
		{"isolated", func(n *network.Network) { n.Isolate("b") }, func(n *network.Network) { n.Rejoin("b") }, "ab bc bd"},
		{"partition", func(n *network.Network) { n.Partition([]string{"a", "b"}, []string{"c", "d"}) }, (*network.Network).Unite, "ac ad bc bd"},
		{"three groups, one outside", func(n *network.Network) { n.Partition([]string{"a"}, []string{"b"}, []string{"c"}) }, (*network.Network).Unite, "ab ac bc"},
		{"bridge", func(n *network.Network) { n.Bridge("c", []string{"a"}, []string{"b", "d"}) }, (*network.Network).Unite, "ab ad"},
		{"a partition after another", func(n *network.Network) {
			n.Partition([]string{"a", "b"}, []string{"c", "d"})
			n.Partition([]string{"a", "b", "c"}, []string{"d"})
		}, (*network.Network).Heal, "ad bd cd"},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, network.Options{}, func(t *testing.T, n *network.Network) {
				for _, name := range names {
					l, err := n.Host(name).Listen(80)
					if err != nil {
						t.Fatal(err)
					}
					go acceptAll(l)
					defer l.Close()
				}
				check := func(blocked string) {
					t.Helper()
					for i, x := range names {
						for _, y := range names[i:] {
							want := !contains(blocked, x+y)
							if got := dials(t, n, x, y); got != want {
								t.Errorf("%s reaches %s: %v", x, y, got)
							}
							if got := dials(t, n, y, x); got != want {
								t.Errorf("%s reaches %s: %v", y, x, got)
							}
						}
					}
				}
				check("")
				c.cut(n)
				check(c.ends)
				c.heal(n)
				check("")
			})
		})
	}
}

func contains(list, pair string) bool {
	for ; len(list) >= 2; list = list[min(3, len(list)):] {
		if list[:2] == pair {
			return true
		}
	}
	return false
}

// A dial that begins during a block succeeds with the first SYN after the heal.
func TestDialOutlivesBlock(t *testing.T) {
	bubble(t, network.Options{}, func(t *testing.T, n *network.Network) {
		l, err := n.Host("b").Listen(80)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		n.Block("a", "b")
		time.AfterFunc(4*time.Second, n.Heal)
		start := time.Now()
		if _, err := n.Host("a").Dial(t.Context(), "b:80"); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start); took != 7*time.Second+2*time.Millisecond {
			t.Fatalf("it took %v", took)
		}
		if struck(t, n, "blocked both ways") != 3 {
			t.Fatalf("%d SYNs were dropped", struck(t, n, "blocked both ways"))
		}
	})
}

// One direction is cut: that one is silent, the other delivers; a heal brings what
// was held, in order, with the next retransmission.
func TestOneWay(t *testing.T) {
	bubble(t, network.Options{}, func(t *testing.T, n *network.Network) {
		a, b := connect(t, n, "a", "b")
		say(t, a, "arrived ")
		time.Sleep(time.Second)
		say(t, a, "under way ")
		n.BlockOneWay("a", "b")
		say(t, a, "held ")
		say(t, b, "back")
		expect(t, a, "back")
		expect(t, b, "arrived ")
		silent(t, b, 5*time.Second)
		n.Unblock("a", "b")
		say(t, a, "after")
		start := time.Now()
		expect(t, b, "under way held after")
		// 0.2, 0.6, 1.4, 3.0: the next is due 6.2 s after the block.
		if took := time.Since(start); took < time.Second || took > 1300*time.Millisecond {
			t.Fatalf("the retransmission came after %v", took)
		}
	})
}

// What is written into a block until the sender gives up is lost with the
// connection, on the side that sends; the other waits, and hears of it when it
// says something itself.
func TestBlockOutlastsSender(t *testing.T) {
	for _, way := range []string{"data", "acknowledgements"} {
		t.Run(way, func(t *testing.T) {
			bubble(t, network.Options{Timeout: 20 * time.Second}, func(t *testing.T, n *network.Network) {
				a, b := connect(t, n, "a", "b")
				if way == "data" {
					n.BlockOneWay("a", "b")
				} else {
					n.BlockOneWay("b", "a")
				}
				start := time.Now()
				say(t, a, "x")
				failsRead(t, a, syscall.ETIMEDOUT)
				if took := time.Since(start); took != 20*time.Second {
					t.Fatalf("it gave up after %v", took)
				}
				failsWrite(t, a, syscall.ETIMEDOUT)
				failsWrite(t, a, syscall.EPIPE)
				n.Heal()
				if way == "acknowledgements" {
					expect(t, b, "x") // which the sender does not know
				}
				silent(t, b, time.Hour)
				say(t, b, "still there?")
				failsRead(t, b, syscall.ECONNRESET)
				if struck(t, n, "timed out") != 1 {
					t.Fatal("nothing was counted")
				}
			})
		})
	}
}

// An idle connection outlives a block of any length; a sender that has filled its
// window waits until the acknowledgements come through again.
func TestIdleOutlivesBlock(t *testing.T) {
	bubble(t, network.Options{Window: 4}, func(t *testing.T, n *network.Network) {
		a, b := connect(t, n, "a", "b")
		n.Isolate("b")
		time.Sleep(24 * time.Hour)
		n.Rejoin("b")
		say(t, a, "well")
		expect(t, b, "well")
		n.BlockOneWay("b", "a")
		say(t, a, "full")
		expect(t, b, "full")
		a.SetWriteDeadline(time.Now().Add(10 * time.Second))
		failsWrite(t, a, os.ErrDeadlineExceeded)
		a.SetWriteDeadline(time.Time{})
		time.AfterFunc(time.Second, n.Heal)
		say(t, a, "more")
		expect(t, b, "more")
	})
}

// An end of what is sent is held like data.
func TestCloseDuringBlock(t *testing.T) {
	bubble(t, network.Options{}, func(t *testing.T, n *network.Network) {
		a, b := connect(t, n, "a", "b")
		n.Partition([]string{"a"}, []string{"b"})
		say(t, a, "bye")
		a.Close()
		silent(t, b, time.Second)
		n.Unite()
		got, err := io.ReadAll(b)
		if string(got) != "bye" || err != nil {
			t.Fatalf("read %q and %v", got, err)
		}
		if struck(t, n, "partition") == 0 {
			t.Fatal("nothing was counted")
		}
	})
}

func TestClog(t *testing.T) {
	bubble(t, network.Options{}, func(t *testing.T, n *network.Network) {
		a, b := connect(t, n, "a", "b")
		say(t, a, "under way ")
		n.Clog("a", "b", 10*time.Second)
		say(t, a, "clogged ")
		say(t, b, "free")
		expect(t, a, "free")
		start := time.Now()
		expect(t, b, "under way clogged ")
		if took := time.Since(start); took < 9*time.Second || took > 11*time.Second {
			t.Fatalf("the clog lasted %v", took)
		}

		n.ClogHost("a", time.Hour)
		say(t, b, "slow")
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if _, err := n.Host("c").Dial(ctx, "a:80"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("a dial through a clog: %v", err)
		}
		silent(t, a, time.Minute)
		n.Unclog("a")
		within(t, a, time.Second)
		expect(t, a, "slow")

		n.Clog("a", "b", time.Hour)
		say(t, a, "healed")
		n.Heal()
		within(t, b, time.Second)
		expect(t, b, "healed")
	})
}

// A swizzle clogs every host at some time, and leaves nothing clogged.
func TestSwizzle(t *testing.T) {
	var order []string
	observe := func(e network.Event) {
		if e.Kind == network.Clogged || e.Kind == network.Unclogged {
			order = append(order, e.Kind.String()+" "+e.From)
		}
	}
	bubble(t, network.Options{Observe: observe}, func(t *testing.T, n *network.Network) {
		a, b := connect(t, n, "a", "b")
		done := make(chan struct{})
		go func() {
			defer close(done)
			n.Swizzle(t.Context(), 10*time.Second, "a", "b", "c")
		}()
		synctest.Wait()
		start := time.Now()
		say(t, a, "through")
		expect(t, b, "through")
		if took := time.Since(start); took < 100*time.Millisecond || took > 20*time.Second {
			t.Errorf("bytes took %v", took)
		}
		<-done
		start = time.Now()
		say(t, a, "again")
		expect(t, b, "again")
		if time.Since(start) > time.Second {
			t.Error("still clogged")
		}
	})
	if len(order) != 6 {
		t.Fatalf("what happened: %v", order)
	}
}

// A path with a bandwidth takes its time, for all connections together.
func TestSlow(t *testing.T) {
	bubble(t, network.Options{Window: 1 << 20}, func(t *testing.T, n *network.Network) {
		a, b := connect(t, n, "a", "b")
		c, d := connect(t, n, "a", "b")
		n.Slow("a", "b", 100_000)
		say(t, a, string(make([]byte, 500_000)))
		say(t, c, string(make([]byte, 500_000)))
		start := time.Now()
		expect(t, b, string(make([]byte, 500_000)))
		expect(t, d, string(make([]byte, 500_000)))
		if took := time.Since(start); took < 9900*time.Millisecond || took > 10100*time.Millisecond {
			t.Fatalf("a million bytes took %v", took)
		}
		n.Slow("a", "b", 0)
		start = time.Now()
		say(t, a, "fast")
		expect(t, b, "fast")
		if time.Since(start) > time.Second {
			t.Fatal("still slow")
		}
	})
}

// Loss delays; a path that loses everything ends the connection.
func TestLoss(t *testing.T) {
	lossy := network.Path{Latency: time.Millisecond, Loss: 0.3}
	bubble(t, network.Options{Path: lossy}, func(t *testing.T, n *network.Network) {
		a, b := connect(t, n, "a", "b")
		start := time.Now()
		for range 100 {
			say(t, a, "ping")
			expect(t, b, "ping")
		}
		// A mean of about 0.1 s for each.
		if took := time.Since(start); took < time.Second || took > time.Minute {
			t.Fatalf("it took %v", took)
		}
		n.SetPath("a", "b", network.Path{Loss: 1})
		say(t, a, "lost")
		failsRead(t, a, syscall.ETIMEDOUT)
		silent(t, b, time.Hour)
	})
}

// Who waits already when the patience begins is told when it ends.
func TestWaitingReaderTimesOut(t *testing.T) {
	bubble(t, network.Options{Timeout: 20 * time.Second}, func(t *testing.T, n *network.Network) {
		a, _ := connect(t, n, "a", "b")
		n.Block("a", "b")
		time.AfterFunc(time.Minute, func() { a.Write([]byte("x")) })
		start := time.Now()
		failsRead(t, a, syscall.ETIMEDOUT)
		if took := time.Since(start); took != 80*time.Second {
			t.Fatalf("told after %v", took)
		}
	})
}

// A writer with a full window hears of what befalls the other side, although it
// has nothing under way.
func TestFullWindow(t *testing.T) {
	for _, c := range []struct {
		name string
		harm func(n *network.Network)
		want error
	}{
		{"blocked", func(n *network.Network) { n.BlockOneWay("b", "a") }, syscall.ETIMEDOUT},
		{"no power", func(n *network.Network) { n.PowerOff("b") }, syscall.ETIMEDOUT},
		{"blackhole", func(n *network.Network) { n.Blackhole("a", "b") }, syscall.ETIMEDOUT},
		{"killed", func(n *network.Network) { n.Kill("b") }, syscall.ECONNRESET},
		{"killed behind a block", func(n *network.Network) {
			n.Block("a", "b")
			n.Kill("b")
			n.Heal()
		}, syscall.ECONNRESET},
	} {
		for _, waits := range []bool{true, false} {
			bubble(t, network.Options{Window: 4}, func(t *testing.T, n *network.Network) {
				a, _ := connect(t, n, "a", "b")
				say(t, a, "full")
				time.Sleep(time.Second)
				if waits {
					time.AfterFunc(time.Second, func() { c.harm(n) })
				} else {
					c.harm(n)
				}
				within(t, a, time.Hour)
				if k, err := a.Write([]byte("x")); k != 0 || !errors.Is(err, c.want) {
					t.Errorf("%s, waiting %v: %v", c.name, waits, err)
				}
			})
		}
	}
}

// Connections of one kind are cut, those of another and new ones are not; one that is
// marked while its kind is cut is cut from then on.
func TestBlockKind(t *testing.T) {
	bubble(t, network.Options{}, func(t *testing.T, n *network.Network) {
		a, b := connect(t, n, "a", "b")
		x, y := connect(t, n, "a", "b")
		n.Mark(a, "control")
		n.Mark(x, "bulk")
		n.BlockKind("b", "a", "control")
		say(t, a, "held")
		say(t, x, "passes")
		expect(t, y, "passes")
		silent(t, b, time.Second)
		late, end := connect(t, n, "a", "b")
		say(t, late, "passes")
		expect(t, end, "passes")
		n.Mark(late, "control")
		say(t, late, "held")
		silent(t, end, time.Second)
		n.UnblockKind("a", "b", "control")
		expect(t, b, "held")
		expect(t, end, "held")
		if struck(t, n, "kind of connections blocked") == 0 {
			t.Fatal("nothing was counted")
		}
	})
}

// A connection that is made through a clog holds up no other, and comes in when the clog
// ends.
func TestClogAndAccept(t *testing.T) {
	bubble(t, network.Options{}, func(t *testing.T, n *network.Network) {
		l, err := n.Host("b").Listen(80)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		accepted := make(chan string, 2)
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				accepted <- c.RemoteAddr().String()
				c.Close()
			}
		}()
		go func() {
			a, err := n.Host("a").Dial(t.Context(), "b:80")
			if err != nil {
				t.Error(err)
				return
			}
			a.Close()
		}()
		time.Sleep(1500 * time.Microsecond) // the answer to its SYN is on its way
		n.ClogHost("a", time.Hour)
		c, err := n.Host("c").Dial(t.Context(), "b:80")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if got := <-accepted; got != "c:32768" {
			t.Errorf("%s came first", got)
		}
		n.Unclog("a")
		time.Sleep(time.Second)
		synctest.Wait()
		if len(accepted) != 1 || <-accepted != "a:32768" {
			t.Error("a did not come in when the clog had ended")
		}
	})
}
