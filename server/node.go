package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"ironman/erasure"
	"ironman/fsm"
	"ironman/s3api"
	"ironman/wal"
)

// Node is one running node.
type Node struct {
	opts     Options
	identity *identity
	keyring  *keyring
	machine  *fsm.Machine
	log      *wal.Node
	blobs    *erasure.Store
	s3       *s3api.Server
	metrics  *metrics
	syncs    atomic.Uint64

	incarnation uint64
	credentials *credentials

	servers []*http.Server
	stop    context.CancelFunc
	done    sync.WaitGroup
}

// Open starts a node: recovers the log and the state, leads, makes genesis on a
// first start, begins a new incarnation, opens the disks, and serves.
func Open(ctx context.Context, o Options) (*Node, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	n := &Node{opts: o, stop: func() {}}
	n.opts.FS = syncCounter{o.FS, &n.syncs}
	if err := n.open(ctx); err != nil {
		return nil, errors.Join(err, n.Close(context.Background()))
	}
	return n, nil
}

func (n *Node) open(ctx context.Context) error {
	o := &n.opts
	if err := makeDirectory(o.FS, o.Dir); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	if err := n.openState(); err != nil {
		return err
	}
	if err := n.log.Barrier(ctx); err != nil {
		return fmt.Errorf("server: the log does not settle: %w", err)
	}
	if err := n.genesis(ctx); err != nil {
		return err
	}
	if err := n.begin(ctx); err != nil {
		return err
	}
	if err := n.openDisks(ctx); err != nil {
		return err
	}
	n.s3 = n.newS3()
	run, cancel := context.WithCancel(context.Background())
	n.stop = cancel
	n.done.Go(func() { n.collect(run) })
	for _, d := range n.blobs.Disks() {
		c := newPackCollector(n, d.Identity.Number)
		n.done.Go(func() { c.run(run) })
	}
	n.serve()
	return nil
}

// openState opens what is recovered before anything can be agreed on.
func (n *Node) openState() error {
	o := &n.opts
	var err error
	if n.identity, err = openIdentity(o.FS, o.FS.PathJoin(o.Dir, "identity.json"), o.CheckModes); err != nil {
		return err
	}
	n.machine, err = fsm.Open(fsm.Options{FS: o.FS, Dir: o.FS.PathJoin(o.Dir, "state"), Fatal: o.Fatal, Log: o.Logger})
	if err != nil {
		return err
	}
	// A keyring is made only where no cluster can need an older one.
	fresh := n.machine.Applied().Next == 0
	n.keyring, err = openKeyring(o.FS, o.FS.PathJoin(o.Dir, "keyring.json"), fresh, o.CheckModes)
	if err != nil {
		return err
	}
	n.metrics = newMetrics(n)
	n.log, err = wal.Open(wal.Options{
		FS: o.FS, Dir: o.FS.PathJoin(o.Dir, "wal"), ID: fmt.Sprintf("node-%d", n.identity.Node),
		Machine: machine{n.machine}, Peers: wal.NoPeers(fmt.Sprintf("node-%d", n.identity.Node)), Now: o.Now, Fatal: o.Fatal, Log: o.Logger,
		Bootstrap: true, SegmentBytes: o.SegmentBytes, SnapshotEntries: o.SnapshotEntries, Election: o.Election,
	})
	return err
}

func (n *Node) newS3() *s3api.Server {
	return s3api.New(s3api.Options{
		Log: proposer{n}, Views: views{n}, Blobs: blobs{n.blobs}, Secrets: secrets{n.keyring},
		Region: n.opts.Region, Domains: n.opts.Domains, Now: n.opts.Now, Logger: n.opts.Logger,
		Observe: n.metrics.observe, HostID: fmt.Sprintf("node-%d", n.identity.Node),
	})
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
// ever: it fails, and what hangs stays.
func (n *Node) Close(ctx context.Context) error {
	closed := make(chan error, 1)
	go func() { closed <- n.close(ctx) }()
	select {
	case err := <-closed:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-closed:
		return err
	case <-time.After(closeGrace):
		return errors.New("server: not everything could be closed in time: a disk may hang")
	}
}

func (n *Node) close(ctx context.Context) error {
	var errs []error
	for _, s := range n.servers {
		if err := s.Shutdown(ctx); err != nil {
			errs = append(errs, s.Close())
		}
	}
	n.stop()
	n.done.Wait()
	if n.blobs != nil {
		n.proposeAbandoned(context.WithoutCancel(ctx))
		errs = append(errs, n.blobs.Close())
	}
	if n.log != nil {
		errs = append(errs, n.log.Close())
	}
	if n.machine != nil {
		// A flush spares the next start a replay.
		errs = append(errs, n.machine.Flush(), n.machine.Close())
	}
	return errors.Join(errs...)
}
