package main

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// place is where a node lies and where it is reached.
type place struct {
	number          int // from 1
	dir             string
	disks           []string
	s3, link, admin string
}

// places lays the cluster out.
func (f *clusterFlags) places() []place {
	var out []place
	for i := range f.nodes {
		address := func(stride int) string { return "127.0.0.1:" + strconv.Itoa(f.port+stride*portStride+i) }
		p := place{
			number: i + 1, dir: filepath.Join(f.dir, "node"+strconv.Itoa(i+1)),
			s3: address(0), link: address(1), admin: address(2),
		}
		for d := range f.disks {
			p.disks = append(p.disks, filepath.Join(p.dir, "disk"+strconv.Itoa(d+1)))
		}
		out = append(out, p)
	}
	return out
}

// cluster is the nodes that this process runs, and what others are told of them.
type cluster struct {
	flags *clusterFlags
	nodes []*clusterNode
	first bool // the cluster is made now
	log   *slog.Logger
	kill  chan struct{} // closed: nodes are killed, not asked

	// lifeline is the end of a pipe that closes with this process, however it
	// ends: the nodes hold the other end, and stop then.
	lifeline, nodesEnd *os.File

	board *board
}

func newCluster(f *clusterFlags, places []place, lock *os.File, out io.Writer) (*cluster, error) {
	c := &cluster{flags: f, log: slog.New(slog.NewTextHandler(os.Stderr, nil)), kill: make(chan struct{})}
	c.first = missing(filepath.Join(places[0].dir, "identity.json"))
	c.board = newBoard(f, places, out, c.log)
	if err := makeJoinSecret(f.joinSecret()); err != nil {
		return nil, err
	}
	if err := c.board.remove(); err != nil {
		return nil, err
	}
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if c.nodesEnd, c.lifeline, err = os.Pipe(); err != nil {
		return nil, err
	}
	for _, p := range places {
		args, err := f.arguments(p, places[0])
		if err != nil {
			return nil, err
		}
		c.nodes = append(c.nodes, &clusterNode{
			place: p, program: program, args: args, inherit: []*os.File{c.nodesEnd, lock}, stop: f.stop, restart: !f.noRestart,
			log: c.log, tail: os.Stderr, kill: c.kill, pause: pause, board: c.board,
		})
	}
	return c, nil
}

func (c *cluster) close() error {
	return errors.Join(c.lifeline.Close(), c.nodesEnd.Close(), c.board.remove())
}

// run keeps all nodes running until a signal. It fails if a node did not stop by
// itself then, or if none is left before.
func (c *cluster) run(ctx context.Context, signals <-chan os.Signal) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go c.obey(ctx, signals, stop)
	errs := make([]error, len(c.nodes))
	var wait sync.WaitGroup
	for i, n := range c.nodes {
		over := make(chan struct{})
		wait.Go(func() {
			defer close(over)
			errs[i] = n.keep(ctx)
			if n.restart || ctx.Err() != nil {
				return
			}
			if !c.board.complete() { // who waits for the ready file would wait for ever
				stop(fmt.Errorf("node %d ended before every node served", n.number))
			}
			<-ctx.Done()
		})
		// At first there is nothing yet that the others could join.
		if i == 0 && c.first && !c.board.awaitFirst(over, ctx.Done()) {
			break
		}
	}
	wait.Wait()
	switch cause := context.Cause(ctx); {
	case cause == nil:
		errs = append(errs, errors.New("no node is left"))
	case !errors.Is(cause, context.Canceled):
		errs = append(errs, cause)
	}
	return errors.Join(errs...)
}

// obey stops the nodes at the first signal and kills them at the second.
func (c *cluster) obey(ctx context.Context, signals <-chan os.Signal, stop context.CancelCauseFunc) {
	select {
	case s := <-signals:
		c.log.Info("stopping all nodes; a second signal kills them", "signal", s, "limit", c.flags.stop)
		stop(nil)
	case <-ctx.Done():
	}
	<-signals // also when they are closed, at the end
	close(c.kill)
}

func (f *clusterFlags) joinSecret() string { return filepath.Join(f.dir, "join-secret") }

// arguments are the command line of a node. It is the same at every start: a node
// that is a member ignores what it would need to join.
func (f *clusterFlags) arguments(p, first place) ([]string, error) {
	// --disks reads its value as a line of comma-separated values.
	var disks strings.Builder
	w := csv.NewWriter(&disks)
	if err := w.Write(p.disks); err != nil {
		return nil, err
	}
	if w.Flush(); w.Error() != nil {
		return nil, w.Error()
	}
	args := []string{
		"server", "--child", "--dir", p.dir, "--disks", strings.TrimSuffix(disks.String(), "\n"),
		"--listen", p.s3, "--link", p.link, "--admin", p.admin, "--ready-file", p.readyFile(),
		"--join-secret-file", f.joinSecret(),
		// Requests are broken off while there is time left to close the files.
		"--stop-timeout", (f.stop - min(f.stop/4, maxClosing)).String(),
	}
	if p.number != first.number {
		args = append(args, "--join", first.link)
	}
	return append(args, f.pass...), nil
}

// maxClosing is the time of --stop-timeout that is left for closing files.
const maxClosing = 5 * time.Second

func missing(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, os.ErrNotExist)
}

// makeJoinSecret makes the secret by which nodes join, once and for good.
func makeJoinSecret(path string) error {
	if !missing(path) {
		return nil
	}
	secret := make([]byte, 32)
	rand.Read(secret) // never fails (crypto/rand)
	if err := writeFile(path, []byte(base64.RawURLEncoding.EncodeToString(secret)+"\n")); err != nil {
		return fmt.Errorf("join secret: %w", err)
	}
	return nil
}

// writeFile writes a file that only its owner may read: whole or not at all, and
// durable on return.
func writeFile(path string, b []byte) error {
	tmp := path + ".tmp"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	if err := os.Rename(tmp, path); err != nil {
		return err
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
