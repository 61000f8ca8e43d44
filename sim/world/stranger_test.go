package world

import (
	"fmt"
	"os"
	"os/exec"
	"testing"
	"testing/synctest"
	"time"
)

const strangerEnv = "IRONMAN_SIM_STRANGER"

// TestStrangerLeads: a node comes back although the one that leads by now joined while it
// was away. The bubble is a process of its own, as those of TestFast.
func TestStrangerLeads(t *testing.T) {
	if os.Getenv(strangerEnv) != "" {
		synctest.Test(t, func(t *testing.T) {
			if err := strangerLeads(t); err != nil {
				fmt.Println(err)
				os.Exit(1)
			}
			os.Exit(0)
		})
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), exe, "-test.run=^TestStrangerLeads$", "-test.timeout=2m")
	c.Env = append(os.Environ(), strangerEnv+"=1")
	if b, err := c.CombinedOutput(); err != nil {
		t.Errorf("%v: %.4000s", err, b)
	}
}

func strangerLeads(t *testing.T) error {
	w := newWorld(Config{Seed: 1, Faults: []string{"R1"}, Think: 100 * ms}, Outlets{})
	if !w.birth(t.Context()) {
		return fmt.Errorf("there is no cluster: %v", w.violations)
	}
	off := func(n *node) {
		n.mu.Lock()
		n.down = true
		n.mu.Unlock()
		n.kill(false, nil)
	}
	on := func(n *node) {
		n.mu.Lock()
		n.down = false
		n.mu.Unlock()
		n.start()
	}
	off(w.node(1))
	for _, n := range w.nodes[nodeCount:] {
		w.letJoin()
		if !w.until(birthLimit, func() bool { return n.is() == member && n.serving() != nil }) {
			return fmt.Errorf("node %d does not join", n.n)
		}
	}
	time.Sleep(5 * time.Second) // they have a vote
	for tries := 0; w.leads4or5() == 0; tries++ {
		if tries == 20 {
			return fmt.Errorf("node %d leads again and again", w.leader())
		}
		old := w.node(max(2, w.leader()))
		off(old)
		time.Sleep(5 * time.Second)
		on(old)
		if !w.until(birthLimit, func() bool { return old.serving() != nil }) {
			return fmt.Errorf("node %d does not come back", old.n)
		}
	}
	on(w.node(1))
	c := w.newClient(1)
	if !w.until(20*time.Second, func() bool { return w.node(1).serving() != nil && c.Serves(t.Context(), 1) }) {
		return fmt.Errorf("node 1 does not come back while node %d leads", w.leader())
	}
	return nil
}

// leads4or5 is the node that leads, if it joined last; 0: it did not.
func (w *World) leads4or5() int {
	if n := w.leader(); n > nodeCount {
		return n
	}
	return 0
}
