package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"ironman/server"
)

// Every node has three ports: S3 at the base, link and admin one and two strides
// above it. So there are at most portStride nodes.
const portStride = 100

// clusterFlags are the flags of `ironman cluster`.
type clusterFlags struct {
	nodes, disks, port int
	dir, readyFile     string
	stop               time.Duration
	noRestart          bool

	history, grace   time.Duration // these five are passed on
	logLevel, region string
	logReads         bool
	pass             []string // what every node is given beside its own flags
}

func clusterCommand() *cobra.Command {
	f := &clusterFlags{}
	c := &cobra.Command{
		Use:   "cluster --dir DIR [flags] [-- flags of every node]",
		Short: "Run a whole cluster on this machine, each node a process of its own",
		Long: `Run a whole cluster on this machine, each node a process of its own ("ironman server").

Node i of 1, 2, ... lies in DIR/nodei: disk1, disk2, ..., its other files, and what it prints, in
"log". With --port P it serves S3 on 127.0.0.1:P+i-1, other nodes on P+100+i-1, admin calls on
P+200+i-1. The secret by which nodes join is DIR/join-secret. The same command starts the cluster
again later.

A node that ends by itself is started again, later each time; one that ends five times in a row
without having served is left alone, while the others go on. SIGINT or SIGTERM stops all nodes, a
second one kills them. Nodes also stop if this process is killed.

--ready-file is there once every node serves, and as long as the cluster runs: JSON with endpoints,
admins, links and pids, each in the order of the nodes, access_key and secret_key. Its pids are
those of each node's last process.

Everything here shares one machine: this is for trying IronMan-S3 and for testing it, not for
keeping data safe.`,
		Example: `  ironman cluster --dir data/cluster --disks 6
  ironman cluster --dir data/cluster --disks 6 --port 9000 --ready-file ready.json
  ironman cluster --dir data/cluster --history 0s --release-grace 1m --log-level debug
  ironman cluster --dir data/cluster -- --domains s3.example.com`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 && c.ArgsLenAtDash() != 0 {
				return fmt.Errorf("%q is not a flag; flags of every node go after --", args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			for _, name := range []string{"history", "release-grace", "log-level", "region", "log-reads"} {
				if c.Flags().Changed(name) {
					f.pass = append(f.pass, "--"+name+"="+c.Flags().Lookup(name).Value.String())
				}
			}
			f.pass = append(f.pass, args...)
			return runCluster(c.Context(), f, c.OutOrStdout())
		},
	}
	f.add(c)
	_ = c.MarkFlagRequired("dir")
	return c
}

func (f *clusterFlags) add(c *cobra.Command) {
	fl := c.Flags()
	fl.IntVar(&f.nodes, "nodes", 3, "number of nodes")
	fl.IntVar(&f.disks, "disks", 2, "number of disk directories of each node")
	fl.StringVar(&f.dir, "dir", "", "directory of the cluster (required)")
	fl.IntVar(&f.port, "port", 9000, "S3 port of the first node")
	fl.StringVar(&f.readyFile, "ready-file", "", "file that is there once every node serves")
	fl.BoolVar(&f.noRestart, "no-restart", false, "leave a node that ended by itself alone: for tests that kill nodes and start them again themselves")
	fl.DurationVar(&f.stop, "stop-timeout", 30*time.Second, "how long nodes may take to stop before they are killed")
	fl.DurationVar(&f.history, "history", server.DefaultHistoryRetention, "passed on to every node")
	fl.DurationVar(&f.grace, "release-grace", server.DefaultReleaseGrace, "passed on to every node")
	fl.StringVar(&f.logLevel, "log-level", "info", "passed on to every node")
	fl.BoolVar(&f.logReads, "log-reads", false, "passed on to every node")
	fl.StringVar(&f.region, "region", server.DefaultRegion, "passed on to every node")
}

// check refuses what can be seen to be wrong before anything is made.
func (f *clusterFlags) check() error {
	switch {
	case f.nodes < 1 || f.nodes > portStride:
		return fmt.Errorf("--nodes: 1 to %d", portStride)
	case f.disks < 1:
		return errors.New("--disks: at least 1")
	case f.port < 1 || f.port+2*portStride+f.nodes-1 > 65535:
		return fmt.Errorf("--port: 1 to %d", 65535-2*portStride-f.nodes+1)
	case f.stop <= 0:
		return errors.New("--stop-timeout must be above 0")
	}
	later := filepath.Join(f.dir, "node"+strconv.Itoa(f.nodes+1))
	if _, err := os.Lstat(later); err == nil {
		return fmt.Errorf("--nodes %d: %s has a %s too: give the number of nodes it has", f.nodes, f.dir, filepath.Base(later))
	}
	return nil
}

// runCluster runs until a signal has stopped all nodes, or none runs any more.
func runCluster(ctx context.Context, f *clusterFlags, out io.Writer) (err error) {
	if f.dir, err = filepath.Abs(f.dir); err != nil {
		return err
	}
	if f.readyFile != "" {
		if f.readyFile, err = filepath.Abs(f.readyFile); err != nil {
			return err
		}
	}
	if err := f.check(); err != nil {
		return err
	}
	places := f.places()
	lock, err := f.claim(places, out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	c, err := newCluster(f, places, lock, out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()

	if ctx == nil {
		ctx = context.Background()
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer func() { signal.Stop(signals); close(signals) }()
	return c.run(ctx, signals)
}

// claim makes sure that nobody else runs this cluster and that its ports are free,
// and only then makes its directory. The lock is held until it is closed, here and
// in all nodes: they have it open too.
func (f *clusterFlags) claim(places []place, out io.Writer) (*os.File, error) {
	path := filepath.Join(f.dir, "lock")
	lock, err := lockFile(path, 0, f.stop, out)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if err := portsFree(places); err != nil {
		if lock != nil {
			_ = lock.Close()
		}
		return nil, err
	}
	if lock != nil {
		return lock, nil
	}
	if err := os.MkdirAll(f.dir, 0o700); err != nil {
		return nil, err
	}
	return lockFile(path, os.O_CREATE, f.stop, out)
}

// portsFree tells which port of the cluster another process has.
func portsFree(places []place) error {
	for _, p := range places {
		for _, a := range []struct{ what, address string }{{"S3", p.s3}, {"the link", p.link}, {"admin calls", p.admin}} {
			l, err := net.Listen("tcp", a.address)
			if err != nil {
				return fmt.Errorf("node %d cannot have %s for %s: choose another --port: %w", p.number, a.address, a.what, err)
			}
			if err := l.Close(); err != nil {
				return err
			}
		}
	}
	return nil
}
