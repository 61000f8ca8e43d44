package world

import (
	"bytes"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"ironman/server"
)

// leakWorld is a world in which a process runs that only this test makes do anything.
func leakWorld() (*World, *process) {
	w := newWorld(Config{Seed: 1}, Outlets{})
	n := w.nodes[0]
	p := &process{node: n, number: 3, disk: n.disk, host: w.net.Host(nodeHost(1)), server: new(server.Node)}
	return w, p
}

// TestLeftOpen: what a process that was closed still has of its machine is found, and
// named; what it has given back in time is not.
func TestLeftOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := leakWorld()
		f, err := p.disk.Create(volumeNode+"/leaked", "")
		if err != nil {
			t.Fatal(err)
		}
		l, err := p.host.Listen(portS3)
		if err != nil {
			t.Fatal(err)
		}
		c, err := w.net.Host("c1").Dial(t.Context(), address(1, portS3))
		if err != nil {
			t.Fatal(err)
		}
		s, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		p.checkClosed()
		want := "start 3 of node 1 was closed, and has not given back the file /node/leaked; the connection or port n1:9000; the connection or port n1:9000 to c1:32768"
		if len(w.violations) != 1 || w.violations[0].Checker != "I14" || w.violations[0].Text != want {
			t.Fatalf("%+v", w.violations)
		}
		time.AfterFunc(closeLimit/2, func() {
			f.Close()
			s.Close()
			l.Close()
		})
		if p.checkClosed(); len(w.violations) != 1 {
			t.Errorf("what it gave back late: %+v", w.violations)
		}
		c.Close()
	})
}

// TestLeftOpenAndKilled: who is killed while it closes owes nothing.
func TestLeftOpenAndKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := leakWorld()
		if _, err := p.disk.Create(volumeNode+"/leaked", ""); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.ended = true
		})
		p.checkClosed()
		if len(w.violations) != 0 {
			t.Errorf("%+v", w.violations)
		}
	})
}

func stay(stop chan struct{}) { <-stop }

// TestLeftRunning: goroutines are told apart by the process that began them, however
// far down; those of others, and of processes that may leave some, do not count.
func TestLeftRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, p := leakWorld()
		other := &process{node: w.nodes[1], number: 1}
		stop := make(chan struct{})
		start := func(p *process) {
			go func() {
				p.claim()
				go stay(stop)
			}()
		}
		start(p)
		start(p)
		start(other)
		go stay(stop) // of nobody
		synctest.Wait()
		w.checkGoroutines([]*process{p})
		if len(w.violations) != 1 || w.violations[0].Checker != "I14" {
			t.Fatalf("%+v", w.violations)
		}
		want := "goroutines are left of processes that are gone: start 3 of node 1: 2 of ironman/sim/world.stay, in ironman/sim/world.stay"
		if w.violations[0].Text != want {
			t.Errorf("%s", w.violations[0].Text)
		}
		time.AfterFunc(closeLimit/2, func() { close(stop) })
		if w.checkGoroutines([]*process{p, other}); len(w.violations) != 1 {
			t.Errorf("what ended late: %+v", w.violations)
		}
	})
}

// TestParseGoroutines reads a profile.
func TestParseGoroutines(t *testing.T) {
	got := parseGoroutines(bytes.NewBufferString(strings.TrimLeft(`
goroutine profile: total 5
3 @ 0x1 0x2 0x3
# labels: {"process":"start 1 of node 2"}
#	0x1	a.inner+0x10	/a/a.go:1
#	0x2	a.(*T).middle.func1+0x20	/a/a.go:2
#	0x3	a.outer+0x30	/a/a.go:3

1 @ 0x1
# labels: {"other":"x"}
#	0x1	b.of+0x10	/b/b.go:1

1 @ 0x1
#	0x1	c.nobody+0x10	/c/c.go:1

`, "\n")))
	if len(got) != 1 || len(got["start 1 of node 2"]) != 1 || got["start 1 of node 2"][0] != "3 of a.outer, in a.inner" {
		t.Errorf("%q", got)
	}
	all := []string{"1", "2", "3", "4", "5", "6", "7"}
	if s := few(all); s != "1; 2; 3; 4; 5; and 2 more" {
		t.Error(s)
	}
}
