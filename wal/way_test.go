package wal

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
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

// closer tells when it is closed.
type closer struct {
	*strings.Reader
	closed chan struct{}
}

func (c closer) Close() error {
	close(c.closed)
	return nil
}

// TestSnapshotWaits: a snapshot for a node that cannot be reached is given back at once,
// and the next is tried when the node answers heartbeats again, not after raft's pause.
func TestSnapshotWaits(t *testing.T) {
	w := newTransport("node-1", NoPeers(), raftLogger(slog.New(slog.DiscardHandler)))
	defer w.Close()
	w.ways.watch(func(term uint64, _ raft.ServerID) bool { return term == 7 })
	send := func(data closer) error {
		return w.InstallSnapshot("node-2", "node-2", &raft.InstallSnapshotRequest{Term: 7}, &raft.InstallSnapshotResponse{}, data)
	}
	if err := send(closer{strings.NewReader("one"), make(chan struct{})}); err == nil || errors.Is(err, errFound) {
		t.Fatalf("the first one: %v", err)
	}
	data, done := closer{strings.NewReader("two"), make(chan struct{})}, make(chan error)
	go func() { done <- send(data) }()
	select {
	case <-data.closed:
	case err := <-done:
		t.Fatalf("it did not wait: %v", err)
	}
	w.ways.note("node-2", nil, true)
	if err := <-done; !errors.Is(err, errFound) {
		t.Fatal(err)
	}
}
