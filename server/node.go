package server

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"ironman/erasure"
	"ironman/fsm"
	"ironman/s3api"
	"ironman/s3api/iam"
	"ironman/server/link"
	"ironman/server/webidentity"
	"ironman/sim/sabotage"
	"ironman/wal"
	"ironman/wal/durable"
)

// Node is one running node.
type Node struct {
	opts     Options
	identity *identity
	keyring  *keyring
	machine  *fsm.Machine
	members  *members
	streams  *wal.Streams
	link     atomic.Pointer[link.Link] // nil: a node without others, or not yet
	log      *wal.Node
	blobs    *erasure.Store
	s3       *s3api.Server
	metrics  *metrics
	beacons  beacons
	clock    atomic.Pointer[clockVerdict]
	syncs    atomic.Uint64
	starts   starts
	hooks    *webhooks
	notifier atomic.Pointer[notifier] // nil: there are no webhooks
	access   *accessLogs
	reads    *readsLog // nil: this node has, and keeps, no log of reads
	// readsProblem is why a log of reads that nothing is added to cannot be used; nil: it can,
	// or there is none.
	readsProblem error
	changes      *changes // nil: not yet

	verifications chan struct{} // a place for each verification of the ledger
	erasing       chan struct{} // a place for each search of what is to be erased
	eraser        *eraser
	backups       *backups
	holds         holds
	space         *erasure.Space // of the file system of Options.Dir: log, state, ledger
	trims         *trims         // owned by the collector
	placements    *placements

	// Other nodes ask while this one starts: logOpen says that the log can answer,
	// serving that the disks can, too.
	logOpen, serving atomic.Bool

	incarnation uint64
	credentials *credentials

	servers []*http.Server
	stop    context.CancelFunc
	done    sync.WaitGroup
	closing sync.Once
	closed  chan struct{} // closed once everything is; closeErr is what it came to
	// closeErr is written before closed is closed.
	closeErr error
}

// Open starts a node: joins a cluster or makes one on a first start, recovers the
// log and the state, finds or becomes the leader, begins a new incarnation, opens
// the disks, and serves.
func Open(ctx context.Context, o Options) (*Node, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	hooks, err := newWebhooks(o.Webhooks, o.NotifyPrivate)
	if err != nil {
		return nil, err
	}
	run, cancel := context.WithCancel(context.Background())
	n := &Node{opts: o, stop: cancel, closed: make(chan struct{}), hooks: hooks, verifications: make(chan struct{}, ledgerVerifications), erasing: make(chan struct{}, eraseSearches)}
	n.eraser, n.backups = newEraser(n), newBackups(n)
	n.opts.FS = syncCounter{o.FS, &n.syncs}
	n.access = newAccessLogs(&o, n.deliverLog, func(result string, lines int) { n.metrics.logged(result, lines) })
	if err := n.open(ctx, run); err != nil {
		return nil, errors.Join(err, n.Close(context.Background()))
	}
	return n, nil
}

// open takes the steps of a start. Those that run beside it end with run.
func (n *Node) open(ctx, run context.Context) error {
	if err := n.identify(ctx); err != nil {
		return err
	}
	// Before the link: other nodes may open streams as soon as it is there.
	n.streams = wal.NewStreams(raftID(n.identity.Node), n.dialRaft)
	n.space = erasure.NewSpace(n.opts.FS, n.opts.Dir, n.opts.Reserve, n.opts.Logger)
	if err := n.openState(); err != nil {
		return err
	}
	n.done.Go(func() { n.members.run(run) })
	if err := n.openKnownLink(); err != nil {
		return err
	}
	if err := n.openLog(ctx); err != nil {
		return err
	}
	if n.opts.Link != nil {
		n.done.Go(func() { n.exchangeBeacons(run) })
	}
	if !n.identity.founder() {
		n.done.Go(func() { n.becomeMember(run) })
	}
	if err := n.awaitLog(ctx); err != nil {
		return err
	}
	if err := n.settle(ctx); err != nil {
		return err
	}
	if err := n.awaitClocks(ctx); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	if err := n.openReads(); err != nil {
		return err
	}
	n.s3 = n.newS3()
	n.changes = newChanges(n)
	n.trims = newTrims(n)
	n.placements = newPlacements(n)
	n.serving.Store(true)
	n.done.Go(func() { n.space.Watch(run.Done()) })
	n.done.Go(func() { n.collect(run) })
	n.done.Go(func() { n.countHistory(run) })
	n.done.Go(func() { newExpirer(n).run(run) })
	n.done.Go(func() { n.eraser.run(run) })
	n.done.Go(func() { n.backups.run(run) })
	n.done.Go(func() { n.access.run(run) })
	if n.reads != nil {
		n.done.Go(func() { n.reads.run(run) })
	}
	if len(n.opts.Webhooks) > 0 {
		n.notifier.Store(newNotifier(n, n.hooks))
		n.done.Go(func() { n.notifier.Load().run(run) })
	}
	for _, d := range n.blobs.Disks() {
		c := newPackCollector(n, d.Identity.Number)
		if sabotage.On(sabotage.X63) {
			go c.run(context.WithoutCancel(run))
			continue
		}
		n.done.Go(func() { c.run(run) })
	}
	n.serve()
	return nil
}

// identify finds out who this node is, and makes it a member of the cluster it is
// to join.
func (n *Node) identify(ctx context.Context) error {
	o := &n.opts
	if err := durable.MakeDir(o.FS, o.Dir, 0o700); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	if err := errors.Join(refuseFenced(o), refuseRestoring(o)); err != nil {
		return err
	}
	var err error
	if n.identity, err = openIdentity(o.FS, o.FS.PathJoin(o.Dir, "identity.json"), o.Join != "", o.CheckModes); err != nil {
		return err
	}
	n.starts.boot, n.starts.mine = n.identity.Boot, n.identity.Proposed
	switch {
	case n.identity.Node == 0:
		return n.join(ctx)
	case o.Join != "" && n.identity.founder():
		return errors.New("server: this node is the first of a cluster of its own: to join another, it needs an empty directory")
	}
	return n.refuseForgotten()
}

// refuseForgotten keeps a node from starting whose log is gone: it might vote twice,
// and miss what it acknowledged.
func (n *Node) refuseForgotten() error {
	o := &n.opts
	if !n.identity.Log || sabotage.On(sabotage.X47) {
		return nil
	}
	if err := wal.CheckPresent(o.FS, o.FS.PathJoin(o.Dir, "wal")); err != nil {
		return fmt.Errorf("server: this node must not go on under its name; a new one, with an empty directory, can take its place: %w", err)
	}
	return nil
}

// remember makes durable what the node must know of itself before it speaks to others.
func (n *Node) remember(change func(*identity)) error {
	before := *n.identity
	change(n.identity)
	if before.Cluster == n.identity.Cluster && before.Log == n.identity.Log && before.Proposed == n.identity.Proposed {
		return nil
	}
	return n.identity.write(n.opts.FS, n.opts.FS.PathJoin(n.opts.Dir, "identity.json"))
}

// openState opens what is recovered before anything can be agreed on.
func (n *Node) openState() error {
	o := &n.opts
	err := wal.RestoreState(wal.RestoreOptions{
		FS: o.FS, Dir: o.FS.PathJoin(o.Dir, "wal"), State: o.FS.PathJoin(o.Dir, "state"), Applied: n.appliedIn, Verify: n.verifyState, Log: o.Logger,
	})
	if err != nil {
		return err
	}
	n.machine, err = fsm.Open(fsm.Options{FS: o.FS, Dir: o.FS.PathJoin(o.Dir, "state"), Fatal: o.Fatal, Log: o.Logger})
	if err != nil {
		return err
	}
	// A keyring is made only where no cluster can need an older one.
	fresh := n.machine.Applied().Next == 0 && n.identity.Cluster == ""
	n.keyring, err = openKeyring(o.FS, o.FS.PathJoin(o.Dir, "keyring.json"), fresh, o.CheckModes)
	if err != nil {
		return err
	}
	n.members, err = openMembers(n.machine, o.FS, o.FS.PathJoin(o.Dir, membersFile), func(err error) { o.Logger.Error("members", "err", err) })
	return err
}

// appliedIn tells where a state stands that nobody has open.
func (n *Node) appliedIn(dir string) (uint64, error) {
	a, err := fsm.ReadApplied(n.opts.FS, dir)
	return a.Index, err
}

// verifyState reads all of a state that nobody has open.
func (n *Node) verifyState(dir string) (uint64, error) {
	a, err := fsm.Verify(n.opts.FS, dir)
	return a.Index, err
}

// clusterName is the cluster's id, by which snapshots are told from those of others.
func (n *Node) clusterName() []byte { return []byte(n.identity.Cluster) }

// openKnownLink opens the link before the log, whose voters it connects, if the
// cluster is known already; it is not while genesis is still to come.
func (n *Node) openKnownLink() error {
	id, known, err := n.identity.clusterID()
	if err != nil || !known {
		return err
	}
	return n.openLink(id)
}

// openLog opens the log. Only while it mends damage does it wait for others, no
// longer than ctx lasts.
func (n *Node) openLog(ctx context.Context) error {
	o := &n.opts
	others := func() []string {
		if ctx.Err() != nil {
			return nil
		}
		return n.otherIDs()
	}
	n.metrics = newMetrics(n)
	log, err := wal.Open(wal.Options{
		FS: o.FS, Dir: o.FS.PathJoin(o.Dir, "wal"), ID: raftID(n.identity.Node),
		Machine: machine{n.machine}, Peers: n.streams, Ask: n.askLog, Others: others, Restart: o.Restart, MayLead: n.mayLead, VerifyState: n.verifyState, Identity: n.clusterName,
		Now: o.Now, Fatal: o.Fatal, Log: o.Logger, Bootstrap: n.identity.founder() && n.identity.Cluster == "",
		SegmentBytes: o.SegmentBytes, SnapshotEntries: o.SnapshotEntries, ScrubEvery: o.ScrubEvery, Election: o.Election,
	})
	if err != nil {
		return err
	}
	n.log = log
	if err := n.remember(func(id *identity) { id.Log = true }); err != nil {
		return err
	}
	n.logOpen.Store(true)
	return nil
}

// mayLead says why this node must not lead now; nil if it may. The log asks while it
// opens, too.
func (n *Node) mayLead() error {
	if !n.logOpen.Load() {
		return errors.New("the node is starting")
	}
	return n.clockProblem()
}

// settle agrees with the cluster on who this node is, and opens its disks.
func (n *Node) settle(ctx context.Context) error {
	c, err := n.cluster()
	if err != nil {
		return err
	}
	switch {
	case c != nil && !bytes.Equal(c.KeyringFingerprint, n.keyring.print):
		return errors.New("server: the keyring is not the one this cluster was made with: refusing to serve")
	case n.identity.founder():
		err = n.genesis(ctx)
	case c == nil:
		err = errors.New("server: the cluster that this node joined has no beginning")
	}
	if err != nil {
		return err
	}
	if c, err = n.cluster(); err != nil {
		return err
	}
	if id, known, err := n.identity.clusterID(); err != nil || known && id != [16]byte(c.ClusterId) {
		return errors.Join(errors.New("server: the state is of another cluster than this node's: refusing to serve"), err)
	}
	if err := n.remember(func(id *identity) { id.Cluster = hex.EncodeToString(c.ClusterId) }); err != nil {
		return err
	}
	if err := n.openLink([16]byte(c.ClusterId)); err != nil {
		return err
	}
	if err := n.begin(ctx, c); err != nil {
		return err
	}
	if err := n.openDisks(ctx, c); err != nil {
		return err
	}
	// What the leader has agreed to is to be seen here, too, before it is used.
	if err := n.log.Barrier(ctx); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	n.members.refresh()
	return nil
}

// cluster is what genesis fixed, as of now; nil before it.
func (n *Node) cluster() (*fsm.Cluster, error) {
	v, err := n.machine.View()
	if err != nil {
		return nil, err
	}
	c, err := v.Cluster()
	return c, errors.Join(err, v.Close())
}

func (n *Node) newS3() *s3api.Server {
	return s3api.New(s3api.Options{
		Log: proposer{n}, Views: views{n}, Blobs: blobs{n}, Secrets: secrets{n.keyring}, Feed: bucketFeed{n},
		Region: n.opts.Region, Domains: n.opts.Domains, WebsiteDomains: n.opts.WebsiteDomains, Now: n.opts.Now, Logger: n.opts.Logger,
		Observe: n.metrics.observe, Refused: n.metrics.refuse, HostID: raftID(n.identity.Node), BodyIdle: n.opts.BodyIdle,
		KMSKeys: n.opts.KMSKeys, AllowInsecureSSEC: n.opts.AllowInsecureSSEC, LifecycleDay: n.opts.LifecycleDay,
		Webhooks: n.hooks.accounts(), RefuseV2: n.opts.RefuseV2, MaxUploads: n.opts.MaxUploads, AccessLog: n.access, Providers: n.providers(),
		Reads: n.readsFor(),
	})
}

// providers verifies tokens of web identities; nil: none are taken.
func (n *Node) providers() iam.Providers {
	if !n.opts.WebIdentity {
		return nil
	}
	return webidentity.New(webidentity.Options{Insecure: n.opts.WebIdentityInsecure, Now: n.opts.Now, Log: n.opts.Logger})
}

// deliverLog stores lines of an access log.
func (n *Node) deliverLog(ctx context.Context, o *s3api.LogObject) error {
	return n.s3.DeliverLog(ctx, o)
}

// Handler is the S3 front.
func (n *Node) Handler() http.Handler { return n.s3 }

// Credentials are the root keys, if this node's directory holds them.
func (n *Node) Credentials() (accessKey, secretKey string) {
	if n.credentials == nil {
		return "", ""
	}
	return n.credentials.AccessKey, n.credentials.SecretKey
}

// Snapshot takes a snapshot of the state now and truncates the log by it.
func (n *Node) Snapshot() error { return n.log.Snapshot() }

// closeGrace is how long closing may take after requests have finished or were cut off.
const closeGrace = 5 * time.Second

// Close finishes requests (until ctx ends) and closes everything. What was
// acknowledged is durable without it. Where a disk hangs it does not wait for it for
// ever: it fails, and what hangs stays. A further call waits for the first.
func (n *Node) Close(ctx context.Context) error {
	n.closing.Do(func() {
		go func() {
			n.closeErr = n.close(ctx)
			close(n.closed)
		}()
	})
	select {
	case <-n.closed:
		return n.closeErr
	case <-ctx.Done():
	}
	select {
	case <-n.closed:
		return n.closeErr
	case <-time.After(closeGrace):
		return errors.New("server: not everything could be closed in time: a disk may hang")
	}
}

func (n *Node) close(ctx context.Context) error {
	var errs []error
	if n.changes != nil {
		n.changes.end() // or they would go on for as long as their readers
	}
	for _, s := range n.servers {
		if err := s.Shutdown(ctx); err != nil {
			errs = append(errs, s.Close())
		}
	}
	if n.serving.Load() {
		if n.reads != nil {
			n.reads.settle(n.s3.ReadsUnderWay)
		}
		n.access.stop(ctx)
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), abandonLimit)
		n.proposeAbandoned(last)
		if n.reads != nil {
			n.reads.end(last)
		}
		cancel()
	}
	n.stop()
	n.serving.Store(false)
	n.done.Wait()
	if n.reads != nil {
		errs = append(errs, n.reads.log.Close())
	}
	if n.log != nil {
		// While the link is there: leadership is handed over, and followers are told.
		errs = append(errs, n.log.Close())
	}
	n.logOpen.Store(false)
	if n.streams != nil {
		// Or the link would wait for streams that a log which never opened does not take.
		errs = append(errs, n.streams.Close())
	}
	if l := n.link.Load(); l != nil {
		errs = append(errs, l.Close())
	} else if n.opts.Link != nil {
		errs = append(errs, n.opts.Link.Close())
	}
	if n.blobs != nil {
		errs = append(errs, n.blobs.Close())
	}
	if n.machine != nil {
		// A flush spares the next start a replay.
		errs = append(errs, n.machine.Flush(), n.machine.Close())
	}
	return errors.Join(errs...)
}
