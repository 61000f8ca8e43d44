package wal

import (
	"errors"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// drainLimit bounds how long Close lets proposals end by themselves, and
	// handoverLimit how long it waits for another leader.
	drainLimit    = time.Second
	handoverLimit = time.Second
)

// Close hands over leadership, stops Raft and closes the files. Everything
// acknowledged is durable already. Proposals that wait end first: as committed, if
// they can be within a moment, else as unknown.
func (n *Node) Close() error {
	var err error
	n.closed.Do(func() { err = n.close() })
	return err
}

func (n *Node) close() error {
	close(n.closing)
	idle := n.inflight.close()
	await(idle, drainLimit)
	n.handOver()
	n.stop()
	// Raft forgets what it has not settled when it shuts down, and those who wait
	// for it would wait for ever. A leader that is not heard settles everything
	// when its lease ends.
	n.transport.hush()
	if !await(idle, n.opts.StallLimit+2*n.opts.Election) {
		n.opts.Log.Warn("log: closing, though raft has not settled all that it was given")
	}
	n.confirming.close()
	n.asking.close()
	shutdown := n.raft.Shutdown()
	err := errors.Join(n.transport.Close(), shutdown.Error()) // ends the calls that Shutdown waits for
	n.done.Wait()
	return errors.Join(err, n.closeStores())
}

func await(c <-chan struct{}, limit time.Duration) bool {
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-c:
		return true
	case <-t.C:
		return false
	}
}

// handOver gives leadership to another voter, so that nobody waits for an election.
// Only here, where the process ends anyway: a handover that fails may leave raft
// refusing everything (hashicorp/raft#696).
func (n *Node) handOver() {
	if n.raft.State() != raft.Leader || n.alone() {
		return
	}
	n.raft.LeadershipTransfer()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(handoverLimit); n.raft.State() == raft.Leader; {
		select {
		case <-tick.C:
		case <-limit:
			return
		}
	}
}
