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
	// Ask has the node called id Answer a request. An error that is ErrNotDone says
	// that the request was surely not delivered. It ends with ctx.
	Ask func(ctx context.Context, id string, request []byte) ([]byte, error)
	// Others names the other nodes, as far as is known before the log is open: they
	// are asked for what is damaged in it, until it names none any more. nil: none.
	Others func() []string
	// MendPatience is how long a start goes on asking them; 30 s if 0.
	MendPatience time.Duration
	// ScrubEvery is how often the log's sealed files are read for damage, ScrubBytes
	// how much of them a second; once a day, and 4 MiB, if 0.
	ScrubEvery time.Duration
	ScrubBytes int
	// Now stamps entries.
	Now func() time.Time
	// MayLead tells why this node's clock must not be trusted: then the node neither
	// leads nor stamps. Called for every stamp; nil: it may always.
	MayLead func() error
	// Fatal stops the node; it never returns.
	Fatal func(error)
	// Restart ends the process, which is to begin anew at once; it never returns.
	// Fatal if nil.
	Restart func(reason string)
	// VerifyState reads all of the state machine's files in a directory and tells
	// which entry was applied last. nil: no snapshots are exchanged with other nodes.
	VerifyState func(dir string) (index uint64, err error)
	// Identity tells the logs of clusters apart, in snapshots; nil: it is empty.
	Identity func() []byte
	Log      *slog.Logger
	// Bootstrap makes this node the only voter of a new cluster if it has no log yet.
	Bootstrap bool
	// SegmentBytes of a log file; 64 MiB if 0.
	SegmentBytes int64
	// SnapshotEntries is the number of entries between snapshots; 20,000 if 0.
	SnapshotEntries uint64
	// Election is the heartbeat, election and lease timeout, 1 s if 0: above the
	// usual stall of an fsync, since heartbeats wait behind those. A node that is the
	// only voter does not wait for it.
	Election time.Duration
	// StallLimit is how long a write of the log may take, and how long nothing may
	// move in a cluster whose new leader cannot commit; 10 s if 0.
	StallLimit time.Duration
}

// Node is one node of the replicated log.
type Node struct {
	opts      Options
	log       *segment.Log
	logs      *logStore // the same for raft
	raft      *raft.Raft
	stable    *stableStore
	transport *transport
	snapshots *snapshotStore

	leads   atomic.Pointer[leadership] // of the newest term that was settled; see leadership
	changed *signal                    // this node's leadership, or the leader that it knows
	reign   atomic.Pointer[reign]      // of the last leader that it knew

	inflight   *inflight
	confirming rounds // of confirm
	asking     rounds // of askPoint
	hints      *hints

	changing   chan struct{} // held by the change of the configuration under way
	configured atomic.Uint64 // index of the entry of the newest applied configuration

	live    context.Context // ends when Close gives up what waits; see stop
	closing chan struct{}   // closed when Close begins
	closed  sync.Once

	damaged, mended atomic.Uint64 // entries of the log, since the node started; see Damaged

	archiver    atomic.Pointer[archiver] // nil until OpenLedger
	ledgerPeers ledgerPeers              // whom its back-fill asks
	stop        context.CancelFunc
	done        sync.WaitGroup
}

// Open recovers the log and starts Raft. The order of its steps is the order in
// which each can still refuse without having changed anything.
func Open(o Options) (*Node, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	n := newNode(o)
	if err := n.open(); err != nil {
		n.stop()
		return nil, errors.Join(err, n.closeStores())
	}
	for _, run := range []func(context.Context){
		n.watchLeader, n.watchLeadership, n.watchFence, n.followHints, n.electAlone, n.takeSnapshots, n.scrubLog,
	} {
		n.done.Go(func() { run(n.live) })
	}
	return n, nil
}

func newNode(o Options) *Node {
	n := &Node{
		opts: o, changed: newSignal(), inflight: newInflight(), hints: newHints(),
		changing: make(chan struct{}, 1), closing: make(chan struct{}),
	}
	n.reign.Store(newReign(""))
	n.live, n.stop = context.WithCancel(context.Background())
	n.confirming = rounds{run: n.confirm, begin: n.done.Go, live: n.live}
	n.asking = rounds{run: n.askPoint, begin: n.done.Go, live: n.live}
	return n
}

func (o *Options) complete() error {
	if o.FS == nil || o.Machine == nil || o.Fatal == nil || o.Now == nil || o.Peers == nil || !validID(o.ID) {
		return errors.New("wal: incomplete options")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.SnapshotEntries == 0 {
		o.SnapshotEntries = 20000
	}
	if o.Election == 0 {
		o.Election = time.Second
	}
	if o.StallLimit == 0 {
		o.StallLimit = 10 * time.Second
	}
	if o.Ask == nil {
		o.Ask = func(context.Context, string, []byte) ([]byte, error) {
			return nil, fmt.Errorf("%w: this node has no peers", ErrNotDone)
		}
	}
	if o.Others == nil {
		o.Others = func() []string { return nil }
	}
	if o.MendPatience == 0 {
		o.MendPatience = 30 * time.Second
	}
	if o.ScrubEvery == 0 {
		o.ScrubEvery = 24 * time.Hour
	}
	if o.ScrubBytes == 0 {
		o.ScrubBytes = 4 << 20
	}
	if o.MayLead == nil {
		o.MayLead = func() error { return nil }
	}
	if o.Restart == nil {
		o.Restart = func(reason string) { o.Fatal(errors.New("wal: " + reason)) }
	}
	return nil
}

func (n *Node) open() error {
	if err := n.openStores(); err != nil {
		return err
	}
	return n.startRaft(n.logs, n.stable)
}

func (n *Node) openStores() error {
	o := &n.opts
	if err := makeDir(o.FS, o.Dir); err != nil {
		return fmt.Errorf("wal: %w", err)
	}
	var err error
	if n.snapshots, err = openSnapshots(o.FS, o.FS.PathJoin(o.Dir, "snapshots"), o.Log, o.Fatal); err != nil {
		return err
	}
	if err := n.openLog(); err != nil {
		return err
	}
	path := o.FS.PathJoin(o.Dir, "stable")
	if _, err := o.FS.Stat(path); errors.Is(err, fs.ErrNotExist) && (n.log.Last() > 0 || n.snapshots.newest() != nil) {
		// Before a new one is made, or the next start would take that for the old.
		return errors.New("wal: there are entries, but term and vote are gone: refusing to start")
	}
	if n.stable, err = openStable(o.FS, path, o.Fatal); err != nil {
		return fmt.Errorf("wal: %w", err)
	}
	return n.finishInstall()
}

// startRaft begins Raft with what its known faults demand.
func (n *Node) startRaft(logs raft.LogStore, stable raft.StableStore) error {
	o := &n.opts
	c := raftConfig(o)
	n.transport = newTransport(c.LocalID, o.Peers, c.Logger)
	if err := checkMitigations(c, n.transport, logs); err != nil {
		return err
	}
	n.fence()
	if o.Bootstrap && n.log.Last() == 0 && n.snapshots.newest() == nil {
		if err := n.bootstrap(c, logs, stable); err != nil {
			return fmt.Errorf("wal: bootstrap: %w", err)
		}
	}
	if s := n.snapshots.newest(); s != nil {
		n.configured.Store(s.meta.configIndex)
	}
	fsm := &raftMachine{machine: o.Machine, snapshots: n.snapshots, installed: n.transport.installs.answer, restart: o.Restart}
	r, err := raft.NewRaft(c, configWatch{fsm, &n.configured}, logs, stable, n.snapshots, n.transport)
	if err != nil {
		return fmt.Errorf("wal: %w", err)
	}
	n.raft = r
	n.transport.electorate.raft.Store(r)
	n.transport.ways.watch(func(term uint64, id raft.ServerID) bool {
		return r.State() == raft.Leader && r.CurrentTerm() == term && n.listensTo(string(id))
	})
	return nil
}

// bootstrap makes this node the only voter. Raft writes the term before the entry: a
// start that was cut short in between left a term and no entry, which raft takes for
// a node that has begun. Nobody else can know of that term, so it is taken back.
func (n *Node) bootstrap(c *raft.Config, logs raft.LogStore, stable raft.StableStore) error {
	if err := stable.SetUint64([]byte("CurrentTerm"), 0); err != nil {
		return err
	}
	voter := raft.Server{ID: c.LocalID, Address: n.transport.LocalAddr()}
	return raft.BootstrapCluster(c, logs, stable, n.snapshots, n.transport, raft.Configuration{Servers: []raft.Server{voter}})
}

// raftConfig is raft's configuration. Not the defaults: a lease as long as the
// timeouts, since heartbeats wait behind fsyncs; no restore of committed logs,
// which loses configurations and can hang; a leader that was removed stays, without
// a vote, until it is closed.
func raftConfig(o *Options) *raft.Config {
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(o.ID)
	c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = o.Election, o.Election, o.Election
	c.CommitTimeout = min(c.CommitTimeout, o.Election/2)
	c.MaxAppendEntries = 512
	c.NoSnapshotRestoreOnStart = true
	c.RestoreCommittedLogs = false
	c.ShutdownOnRemove = false
	c.SnapshotInterval = 24 * time.Hour // takeSnapshots decides when
	c.SnapshotThreshold = 1 << 62
	c.TrailingLogs = o.SnapshotEntries
	c.Logger = raftLogger(o.Log)
	c.NoLegacyTelemetry = true
	return c
}

// checkMitigations refuses to start a raft that its known faults could reach.
func checkMitigations(c *raft.Config, t raft.Transport, logs raft.LogStore) error {
	_, queues := t.(*transport) // heartbeats, behind every other call
	_, preVote := t.(raft.WithPreVote)
	monotonic, ok := logs.(raft.MonotonicLogStore)
	for _, m := range []struct {
		holds bool
		what  string
	}{
		{queues, "heartbeats have a path of their own"},
		{preVote && !c.PreVoteDisabled, "there is no pre-vote"},
		{ok && monotonic.IsMonotonic(), "the log may have gaps"},
		{!c.RestoreCommittedLogs, "committed entries are restored before the start"},
		{c.NoSnapshotRestoreOnStart, "the snapshot is restored at the start"},
		{c.HeartbeatTimeout == c.ElectionTimeout && c.ElectionTimeout == c.LeaderLeaseTimeout, "heartbeat, election and lease differ"},
		{!c.BatchApplyCh, "a proposal that timed out may still be taken"},
		{!c.ShutdownOnRemove, "raft shuts itself down"},
	} {
		if !m.holds {
			return fmt.Errorf("wal: refusing to start raft: %s", m.what)
		}
	}
	return nil
}

// OpenLedger begins to write the ledger, once genesis has fixed its origin and key. past are
// the epochs before the one of that origin.
func (n *Node) OpenLedger(origin string, signer note.Signer, keys note.Verifiers, past ...ledger.Past) error {
	a, err := ledger.Open(ledger.Options{
		FS: n.opts.FS, Dir: n.opts.FS.PathJoin(n.opts.Dir, "ledger"), Origin: origin, Signer: signer, Verifiers: keys, Past: past,
		Fatal: n.opts.Fatal, Logger: n.opts.Log,
	})
	if err != nil {
		return fmt.Errorf("wal: %w", err)
	}
	if n.opts.Ask != nil && n.ledgerPeers.ask == nil {
		n.ledgerPeers = ledgerPeers{list: n.askable, ask: n.askRecords}
	}
	archiver := n.newArchiver(a)
	n.archiver.Store(archiver)
	n.done.Go(func() { n.archiveLeaves(n.live, archiver) })
	n.done.Go(func() {
		if err := a.CountSizes(n.live); err != nil && n.live.Err() == nil {
			n.opts.Log.Warn("ledger: its size cannot be told", "err", err)
		}
	})
	return nil
}

// Ledger is the ledger's archive, to be read; nil until OpenLedger.
func (n *Node) Ledger() *ledger.Archive {
	if a := n.archiver.Load(); a != nil {
		return a.archive
	}
	return nil
}

// LedgerSizes tells what the ledger's files hold; false: not known yet.
func (n *Node) LedgerSizes() (ledger.Sizes, bool) {
	if a := n.archiver.Load(); a != nil {
		return a.archive.Sizes()
	}
	return ledger.Sizes{}, false
}

// Truncated is the index up to which Raft's log is gone, but for what the ledger does not
// have yet: those files stay.
func (n *Node) Truncated() uint64 { return n.log.Floor() }

func (n *Node) closeStores() error {
	var errs []error
	if n.transport != nil {
		errs = append(errs, n.transport.Close())
	}
	if a := n.archiver.Load(); a != nil {
		errs = append(errs, a.archive.Close())
	}
	if n.stable != nil {
		errs = append(errs, n.stable.Close())
	}
	if n.log != nil {
		errs = append(errs, n.log.Close())
	}
	return errors.Join(errs...)
}

// Bytes is the size of the log's files: of those raft still needs, and of all.
func (n *Node) Bytes() (live, retained int64) { return n.log.Bytes() }
