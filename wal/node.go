package wal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"
	"golang.org/x/mod/sumdb/note"

	"ironman/wal/event"
	"ironman/wal/ledger"
	"ironman/wal/segment"
)

// Options of a Node.
type Options struct {
	FS  vfs.FS
	Dir string
	// ID names this node in the Raft configuration; never used again after a wipe.
	ID      string
	Machine Machine
	// Peers carries connections to other nodes; NoPeers() for a single node.
	Peers StreamLayer
	// Now stamps entries.
	Now func() time.Time
	// Fatal stops the node; it never returns.
	Fatal func(error)
	Log   *slog.Logger
	// Bootstrap makes this node the only voter of a new cluster if it has no log yet.
	Bootstrap bool
	// SegmentBytes of a log file; 64 MiB if 0.
	SegmentBytes int64
	// SnapshotEntries is the number of entries between snapshots; 20,000 if 0.
	SnapshotEntries uint64
	// Origin and Signer of the ledger's checkpoints. They may be set later, by
	// OpenLedger, since genesis decides them.
	Election time.Duration // heartbeat, election and lease timeout; 100 ms if 0 (a single voter)
}

// Node is one node of the replicated log.
type Node struct {
	opts      Options
	log       *segment.Log
	raft      *raft.Raft
	stable    *stableStore
	transport transport
	snapshots *snapshotStore

	// floor is the index of the barrier of the term in which this node leads;
	// above it the log holds only entries that the machine sees. 0: not leading, or
	// not everything of older terms is applied yet.
	floor   atomic.Uint64
	settled chan struct{} // closed and replaced under mu when floor changes
	mu      sync.Mutex
	verify  verifier

	archive *ledger.Archive
	stop    context.CancelFunc
	done    sync.WaitGroup
}

// Open recovers the log and starts Raft. The order of its steps is the order in
// which each can still refuse without having changed anything.
func Open(o Options) (*Node, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	n := &Node{opts: o, settled: make(chan struct{})}
	if err := n.open(); err != nil {
		return nil, errors.Join(err, n.closeStores())
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.stop = cancel
	n.done.Go(func() { n.watchLeadership(ctx) })
	n.done.Go(func() { n.takeSnapshots(ctx) })
	return n, nil
}

func (o *Options) complete() error {
	if o.FS == nil || o.Machine == nil || o.Fatal == nil || o.Now == nil || o.Peers == nil || o.ID == "" {
		return errors.New("wal: incomplete options")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.SnapshotEntries == 0 {
		o.SnapshotEntries = 20000
	}
	if o.Election == 0 {
		o.Election = 100 * time.Millisecond
	}
	return nil
}

func (n *Node) open() error {
	o := &n.opts
	if err := o.FS.MkdirAll(o.Dir, 0o700); err != nil {
		return fmt.Errorf("wal: %w", err)
	}
	var err error
	if n.snapshots, err = openSnapshots(o.FS, o.FS.PathJoin(o.Dir, "snapshots"), o.Log); err != nil {
		return err
	}
	snapshot := n.snapshots.newest()
	applied := o.Machine.AppliedIndex()
	if applied < snapshot.Index {
		return fmt.Errorf("wal: the state stands at entry %d, before the newest snapshot at %d: refusing to start", applied, snapshot.Index)
	}
	n.log, err = segment.Open(segment.Options{
		FS: o.FS, Dir: o.FS.PathJoin(o.Dir, "log"), SegmentBytes: o.SegmentBytes, Fatal: o.Fatal,
		Required: max(applied, snapshot.Index),
	})
	if err != nil {
		return fmt.Errorf("wal: %w", err)
	}
	if first := n.log.First(); first > snapshot.Index+1 {
		return fmt.Errorf("wal: the log begins at entry %d, but the newest snapshot ends at %d: refusing to start", first, snapshot.Index)
	}
	logs := newLogStore(n.log, o.Machine.AppliedIndex, o.Fatal)
	logs.SetSnapshot(snapshot.Index, snapshot.Term)
	n.snapshots.published = logs.SetSnapshot
	path := o.FS.PathJoin(o.Dir, "stable")
	if _, err := o.FS.Stat(path); errors.Is(err, fs.ErrNotExist) && (n.log.Last() > 0 || snapshot.Index > 0) {
		// Before a new one is made, or the next start would take that for the old.
		return errors.New("wal: there are entries, but term and vote are gone: refusing to start")
	}
	if n.stable, err = openStable(o.FS, path, o.Fatal); err != nil {
		return fmt.Errorf("wal: %w", err)
	}
	return n.startRaft(logs, n.stable)
}

// startRaft begins Raft with what its known faults demand: no heartbeat fast
// path, no pipelining (hashicorp/raft#612), no restore of committed logs, pre-vote.
func (n *Node) startRaft(logs raft.LogStore, stable raft.StableStore) error {
	o := &n.opts
	logger := raftLogger(o.Log)
	n.transport = transport{raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: o.Peers, MaxPool: 3, Timeout: 10 * time.Second, MaxRPCsInFlight: 1, Logger: logger,
	})}
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(o.ID)
	c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = o.Election, o.Election, o.Election
	c.CommitTimeout = min(c.CommitTimeout, o.Election/2)
	c.MaxAppendEntries = 512
	c.NoSnapshotRestoreOnStart = true
	c.RestoreCommittedLogs = false
	c.SnapshotInterval = 24 * time.Hour // takeSnapshots decides when
	c.SnapshotThreshold = 1 << 62
	c.TrailingLogs = o.SnapshotEntries
	c.Logger = logger
	c.NoLegacyTelemetry = true
	if o.Bootstrap {
		has, err := raft.HasExistingState(logs, stable, n.snapshots)
		if err != nil {
			return fmt.Errorf("wal: %w", err)
		}
		if !has {
			voter := raft.Server{ID: c.LocalID, Address: n.transport.LocalAddr()}
			err = raft.BootstrapCluster(c, logs, stable, n.snapshots, n.transport, raft.Configuration{Servers: []raft.Server{voter}})
			if err != nil {
				return fmt.Errorf("wal: bootstrap: %w", err)
			}
		}
	}
	fsm := &raftMachine{machine: o.Machine, snapshots: n.snapshots, fatal: o.Fatal}
	r, err := raft.NewRaft(c, fsm, logs, stable, n.snapshots, n.transport)
	if err != nil {
		return fmt.Errorf("wal: %w", err)
	}
	n.raft = r
	return nil
}

// OpenLedger begins to write the ledger, once genesis has fixed its origin and key.
func (n *Node) OpenLedger(origin string, signer note.Signer, keys note.Verifiers) error {
	a, err := ledger.Open(ledger.Options{
		FS: n.opts.FS, Dir: n.opts.FS.PathJoin(n.opts.Dir, "ledger"), Origin: origin, Signer: signer, Verifiers: keys,
		Fatal: n.opts.Fatal, Logger: n.opts.Log,
	})
	if err != nil {
		return fmt.Errorf("wal: %w", err)
	}
	n.archive = a
	ctx, cancel := context.WithCancel(context.Background())
	stop := n.stop
	n.stop = func() { stop(); cancel() }
	n.done.Go(func() { n.archiveLeaves(ctx) })
	return nil
}

// Close stops Raft and closes the files. Everything acknowledged is durable already.
func (n *Node) Close() error {
	n.stop()
	err := n.raft.Shutdown().Error()
	n.done.Wait()
	return errors.Join(err, n.closeStores())
}

func (n *Node) closeStores() error {
	var errs []error
	if n.transport.NetworkTransport != nil {
		errs = append(errs, n.transport.Close())
	}
	if n.archive != nil {
		errs = append(errs, n.archive.Close())
	}
	if n.stable != nil {
		errs = append(errs, n.stable.Close())
	}
	if n.log != nil {
		errs = append(errs, n.log.Close())
	}
	return errors.Join(errs...)
}

// Propose has a marshalled proposal (event.Draft.Marshal) committed and applied,
// and returns its sequence and outcome. Safe for concurrent use.
func (n *Node) Propose(ctx context.Context, proposal []byte) (Applied, error) {
	timeout := 10 * time.Second
	if d, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(d))
	}
	if timeout <= 0 {
		return Applied{}, errors.Join(ErrNotDone, context.DeadlineExceeded)
	}
	entry := event.AppendEntry(make([]byte, 0, len(proposal)+16), n.opts.Now().UnixNano(), proposal)
	f := n.raft.Apply(entry, timeout)
	if err := f.Error(); err != nil {
		return Applied{}, classify(err)
	}
	a, ok := f.Response().(Applied)
	if !ok || a.Outcome == nil {
		return Applied{}, fmt.Errorf("%w: the entry was applied before", ErrUnknown)
	}
	return a, nil
}

// Leads tells whether this node leads and may answer reads.
func (n *Node) Leads() bool { return n.floor.Load() > 0 && n.raft.State() == raft.Leader }

// watchLeadership settles each term in which this node leads: only when a
// barrier of the term is applied is the commit index known to cover all that
// older leaders acknowledged.
func (n *Node) watchLeadership(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case leads := <-n.raft.LeaderCh():
			n.setFloor(0)
			if leads {
				n.settleTerm()
			}
		}
	}
}

func (n *Node) settleTerm() {
	f := n.raft.Barrier(0)
	if err := f.Error(); err != nil {
		n.opts.Log.Warn("log: leadership was lost before it was settled", "err", err)
		return
	}
	if i, ok := f.(raft.IndexFuture); ok {
		n.setFloor(i.Index())
	}
}

func (n *Node) setFloor(index uint64) {
	n.floor.Store(index)
	n.mu.Lock()
	close(n.settled)
	n.settled = make(chan struct{})
	n.mu.Unlock()
}

// Archived is the number of events in the ledger's files.
func (n *Node) Archived() uint64 {
	if n.archive == nil {
		return 0
	}
	return n.archive.Size()
}

// Bytes is the size of the log's files: of those raft still needs, and of all.
func (n *Node) Bytes() (live, retained int64) { return n.log.Bytes() }
