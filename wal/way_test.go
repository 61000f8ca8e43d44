package wal

import (
	"testing"
	"time"
)

// TestReturn: a node that was away for long is sent what it missed at once, and not
// after the pause that Raft would make by then.
func TestReturn(t *testing.T) {
	c := newCluster(t, 3, nil)
	for range 5 {
		lead := c.leader()
		away := c.without(lead.id)[0]
		term := lead.raft.CurrentTerm()
		away.stop()
		_ = lead.propose(1)
		time.Sleep(3 * time.Second) // Raft's tries are 1.28 s and then 2.56 s apart
		_ = lead.propose(2)
		want := lead.raft.LastIndex()
		away.start()
		began := time.Now()
		c.until("it catches up", func() bool { return away.raft.LastIndex() >= want })
		if lead.raft.CurrentTerm() != term {
			continue // another leader on a busy machine: it has tried from anew
		}
		if d := time.Since(began); d > time.Second {
			t.Errorf("it caught up after %v", d)
		}
		return
	}
	t.Fatal("no leader stayed for three seconds")
}
