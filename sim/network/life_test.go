package network_test

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"ironman/sim/network"
)

// The death of a process: its own calls fail at once, its peers are reset, its
// ports refuse until it lives again, and nothing of the old life reaches the new.
func TestKill(t *testing.T) {
	bubble(t, network.Options{}, func(t *testing.T, n *network.Network) {
		old := n.Host("b")
		a, b := connect(t, n, "a", "b")
		l, err := old.Listen(80)
		if err != nil {
			t.Fatal(err)
		}
		results := make(chan error)
		go func() { _, err := b.Read(make([]byte, 1)); results <- err }()
		go func() { _, err := l.Accept(); results <- err }()
		go func() { _, err := old.Dial(t.Context(), "nowhere:1"); results <- err }()
		synctest.Wait()
		start := time.Now()
		n.Kill("b")
		for range 3 {
			if err := <-results; !errors.Is(err, net.ErrClosed) {
				t.Errorf("a call of the dead: %v", err)
			}
		}
		if time.Since(start) != 0 {
			t.Errorf("the dead waited for %v", time.Since(start))
		}
		<-old.Done()
		failsRead(t, a, syscall.ECONNRESET)
		failsRead(t, b, net.ErrClosed)
		failsWrite(t, b, net.ErrClosed)
		if _, err := old.Listen(81); !errors.Is(err, net.ErrClosed) {
			t.Errorf("the dead listen: %v", err)
		}
		if _, err := old.Dial(t.Context(), "a:80"); !errors.Is(err, net.ErrClosed) {
			t.Errorf("the dead dial: %v", err)
		}
		if _, err := n.Host("a").Dial(t.Context(), "b:80"); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("a dial to the dead: %v", err)
		}
		if again := n.Host("b"); again == old {
			t.Fatal("the dead has come back")
		}
		a, b = connect(t, n, "a", "b")
		say(t, a, "hello")
		expect(t, b, "hello")
		if n.Connections() != 1 || struck(t, n, "killed") != 1 {
			t.Fatalf("%d connections, %d killed", n.Connections(), struck(t, n, "killed"))
		}
	})
}

// Kill with CleanDeath: what was written is delivered, and then EOF.
func TestCleanDeath(t *testing.T) {
	bubble(t, network.Options{CleanDeath: 1}, func(t *testing.T, n *network.Network) {
		a, b := connect(t, n, "a", "b")
		say(t, b, "half a mess")
		n.Kill("b")
		got, err := io.ReadAll(a)
		if string(got) != "half a mess" || err != nil {
			t.Fatalf("read %q and %v", got, err)
		}
		say(t, a, "x")
		time.Sleep(time.Second)
		failsWrite(t, a, syscall.EPIPE)
	})
}

// A reset that a block swallows is not sent again: the peer hears of the death
// when it says something.
func TestKillBehindBlock(t *testing.T) {
	bubble(t, network.Options{}, func(t *testing.T, n *network.Network) {
		a, _ := connect(t, n, "a", "b")
		n.Block("a", "b")
		n.Kill("b")
		n.Heal()
		silent(t, a, time.Hour)
		say(t, a, "x")
		failsRead(t, a, syscall.ECONNRESET)

		a, _ = connect(t, n, "a", "b")
		n.Kill("b")
		n.Block("a", "b") // with the reset under way
		say(t, a, "x")
		silent(t, a, 5*time.Second)
		n.Heal()
		failsRead(t, a, syscall.ECONNRESET)
	})
}

// A machine without power says nothing; when it is on again, it resets what is
// still sent to its past.
func TestPowerOff(t *testing.T) {
	bubble(t, network.Options{}, func(t *testing.T, n *network.Network) {
		waits, b := connect(t, n, "a", "b")
		sends, _ := connect(t, n, "a", "b")
		patient, _ := connect(t, n, "a", "b")
		say(t, b, "sent")
		result := make(chan error)
		go func() { _, err := b.Read(make([]byte, 1)); result <- err }()
		synctest.Wait()
		n.PowerOff("b")
		if err := <-result; !errors.Is(err, net.ErrClosed) {
			t.Fatalf("a call on it: %v", err)
		}
		expect(t, waits, "sent")
		say(t, sends, "x")
		silent(t, sends, 10*time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if _, err := n.Host("a").Dial(ctx, "b:80"); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("a dial to it: %v", err)
		}
		n.Host("b")
		failsRead(t, sends, syscall.ECONNRESET)
		silent(t, waits, time.Hour)
		say(t, waits, "x")
		failsRead(t, waits, syscall.ECONNRESET)
		// Without a second life the sender gives up by itself.
		n.PowerOff("b")
		say(t, patient, "x")
		failsRead(t, patient, syscall.ETIMEDOUT)
	})
}

// A stopped process neither reads nor sends, and loses nothing.
func TestPause(t *testing.T) {
	bubble(t, network.Options{Window: 8}, func(t *testing.T, n *network.Network) {
		a, b := connect(t, n, "a", "b")
		closing, closed := connect(t, n, "a", "b")
		l, err := n.Host("b").Listen(81)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		n.Pause("b")
		start := time.Now()
		within(t, b, time.Second)
		results := make(chan error)
		wait := func(f func() error) {
			go func() {
				err := f()
				if time.Since(start) < time.Minute {
					t.Errorf("a call of the stopped came back after %v", time.Since(start))
				}
				results <- err
			}()
		}
		wait(func() error { _, err := b.Write([]byte("x")); return err })
		wait(func() error { _, err := l.Accept(); return err })
		wait(func() error { _, err := n.Host("b").Dial(t.Context(), "a:80"); return err })
		say(t, a, "12345678") // its machine receives
		a.SetWriteDeadline(time.Now().Add(time.Second))
		if _, err := a.Write([]byte("9")); err == nil {
			t.Fatal("more than the window was taken")
		}
		if _, err := n.Host("a").Dial(t.Context(), "b:81"); err != nil {
			t.Fatalf("its machine accepts: %v", err)
		}
		closed.Close() // by a goroutine that a stopped process does not have
		silent(t, closing, time.Second)
		time.Sleep(time.Minute)
		n.Resume("b")
		bad := 0
		for range 3 {
			if err := <-results; err != nil {
				bad++
			}
		}
		if bad != 2 { // the deadline that has passed, and the refused dial
			t.Errorf("%d calls failed", bad)
		}
		b.SetDeadline(time.Time{})
		expect(t, b, "12345678")
		failsRead(t, closing, io.EOF)

		n.Pause("b")
		go func() { _, err := b.Read(make([]byte, 1)); results <- err }()
		synctest.Wait()
		n.Kill("b")
		if err := <-results; !errors.Is(err, net.ErrClosed) {
			t.Errorf("a stopped call of the dead: %v", err)
		}
	})
}

func TestReset(t *testing.T) {
	bubble(t, network.Options{}, func(t *testing.T, n *network.Network) {
		a, b := connect(t, n, "a", "b")
		c, d := connect(t, n, "c", "a")
		e, f := connect(t, n, "c", "b")
		say(t, b, "read")
		time.Sleep(time.Second)
		say(t, b, "lost")
		if got := n.Reset("a", ""); got != 2 {
			t.Fatalf("%d were reset", got)
		}
		time.Sleep(time.Second)
		expect(t, a, "read") // it had arrived
		failsRead(t, a, syscall.ECONNRESET)
		failsWrite(t, b, syscall.ECONNRESET)
		failsRead(t, c, syscall.ECONNRESET)
		failsRead(t, d, syscall.ECONNRESET)
		say(t, e, "unharmed")
		expect(t, f, "unharmed")
		if n.ResetOne("a", "b") || !n.ResetOne("b", "c") {
			t.Fatal("one was reset that is not there, or the other not")
		}
		failsRead(t, f, syscall.ECONNRESET)
	})
}

// In a blackhole both ends are left alone for ever, and new connections work.
func TestBlackhole(t *testing.T) {
	bubble(t, network.Options{}, func(t *testing.T, n *network.Network) {
		a, b := connect(t, n, "a", "b")
		say(t, b, "under way")
		if n.Blackhole("a", "b") != 1 {
			t.Fatal("there was one")
		}
		n.Heal()
		silent(t, a, 10*time.Second)
		failsRead(t, b, syscall.ETIMEDOUT) // it had something to send
		silent(t, a, time.Hour)
		a, b = connect(t, n, "a", "b")
		say(t, b, "new")
		expect(t, a, "new")
		if n.BlackholeOne("a", "c") {
			t.Fatal("there is none")
		}
	})
}

func TestRefuseAndExhaust(t *testing.T) {
	bubble(t, network.Options{}, func(t *testing.T, n *network.Network) {
		l, err := n.Host("b").Listen(80)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go acceptAll(l)
		for _, c := range []struct {
			order func()
			want  error
		}{
			{func() { n.Refuse("b:80", time.Minute) }, syscall.ECONNREFUSED},
			{func() { n.Refuse("b:81", time.Minute) }, nil},
			{func() { n.Refuse("b", time.Minute) }, syscall.ECONNREFUSED},
			{func() { n.Exhaust("a", time.Minute) }, syscall.EADDRNOTAVAIL},
			{func() { n.Exhaust("b", time.Minute) }, nil},
		} {
			c.order()
			if _, err := n.Host("a").Dial(t.Context(), "b:80"); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			time.Sleep(time.Minute)
			if !dials(t, n, "a", "b") {
				t.Errorf("%v did not end", c.want)
			}
			c.order()
			n.Heal()
			if !dials(t, n, "a", "b") {
				t.Errorf("%v was not healed", c.want)
			}
		}
	})
}

// What a process closed before its death is delivered by its machine, unless that
// loses its power.
func TestClosedBeforeDeath(t *testing.T) {
	for _, kill := range []bool{true, false} {
		bubble(t, network.Options{}, func(t *testing.T, n *network.Network) {
			a, b := connect(t, n, "a", "b")
			n.Block("a", "b")
			say(t, b, "testament")
			b.Close()
			n.Kill("b")
			if !kill {
				n.PowerOff("b")
			}
			n.Heal()
			if !kill {
				silent(t, a, time.Hour)
				return
			}
			got, err := io.ReadAll(a)
			if string(got) != "testament" || err != nil {
				t.Fatalf("read %q and %v", got, err)
			}
		})
	}
}

// What a process has open is known until it closes it, even where the other end has gone.
func TestHeld(t *testing.T) {
	bubble(t, network.Options{}, func(t *testing.T, n *network.Network) {
		a, b := connect(t, n, "a", "b")
		here, there := n.Host("a"), n.Host("b")
		l, err := there.Listen(81)
		if err != nil {
			t.Fatal(err)
		}
		waiting, err := here.Dial(t.Context(), "b:81") // never accepted
		if err != nil {
			t.Fatal(err)
		}
		holds := func(h *network.Host, want ...string) {
			t.Helper()
			if got := h.Held(); !slices.Equal(got, want) {
				t.Errorf("%s holds %q, not %q", h.Name(), got, want)
			}
		}
		holds(here, "a:32768 to b:80", "a:32769 to b:81")
		holds(there, "b:80 to a:32768", "b:81")
		n.Reset("a", "b")
		if err := errors.Join(b.Close(), l.Close()); err != nil {
			t.Error(err)
		}
		holds(here, "a:32768 to b:80", "a:32769 to b:81") // they lead nowhere
		holds(there)
		if err := errors.Join(a.Close(), waiting.Close()); err != nil {
			t.Error(err)
		}
		holds(here)
		connect(t, n, "a", "b")
		n.Kill("a")
		n.PowerOff("b")
		holds(here)
		holds(there)
	})
}
