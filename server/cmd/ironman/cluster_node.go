package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

func (p place) readyFile() string { return filepath.Join(p.dir, "ready.json") }
func (p place) logFile() string   { return filepath.Join(p.dir, "log") }

// clusterNode keeps the process of one node running.
type clusterNode struct {
	place
	program string
	args    []string
	inherit []*os.File    // from file descriptor 3 on
	stop    time.Duration // how long it may take to stop
	restart bool
	log     *slog.Logger
	tail    io.Writer       // shows the last lines of a node that ended by itself
	kill    <-chan struct{} // closed: do not wait
	pause   func(ctx context.Context, d time.Duration)
	board   noticeBoard
}

// noticeBoard is told what becomes of a node.
type noticeBoard interface {
	started(number, pid int)
	serving(number int, r nodeReady)
}

// nodeReady is what a node writes into its ready file.
type nodeReady struct {
	Endpoints []string `json:"endpoints"`
	AccessKey string   `json:"access_key"`
	SecretKey string   `json:"secret_key"`
	PIDs      []int    `json:"pids"`
}

// child is one process of a node.
type child struct {
	cmd    *exec.Cmd
	from   int64         // where in the node's log its lines begin
	ended  chan struct{} // closed when it has
	err    error         // how it ended; set before ended is closed
	served time.Time     // zero: it never did
}

// keep runs the node, again and again if need be, until ctx ends or it is of no
// use. An error means that it did not stop cleanly when ctx ended.
func (n *clusterNode) keep(ctx context.Context) error {
	quick := 0
	for ctx.Err() == nil {
		c, err := n.start()
		if err != nil {
			n.log.Error("a node cannot be started", "node", n.number, "err", err)
			quick++
		} else {
			n.await(ctx, c)
			select {
			case <-ctx.Done():
				return n.end(c)
			case <-c.ended:
			}
			quick = c.count(quick, time.Now())
			n.report(c)
		}
		if !n.restart {
			return nil
		}
		if quick == maxQuick {
			n.log.Error("a node ends as soon as it starts: it is left alone from now on", "node", n.number, "times", quick, "log", n.logFile())
			return nil
		}
		delay := backOff(quick)
		n.log.Info("a node is started again", "node", n.number, "in", delay)
		n.pause(ctx, delay)
	}
	return nil
}

// A node whose processes end quickly maxQuick times in a row is given up. A death
// is quick if the process never served, or for less than quickServed.
const (
	maxQuick    = 5
	quickServed = 2 * time.Second
)

// count counts quick deaths in a row.
func (c *child) count(before int, now time.Time) int {
	if c.served.IsZero() || now.Sub(c.served) < quickServed {
		return before + 1
	}
	return 0
}

// backOff is how long to wait before the next start: 100 ms, and four times as
// long after each further quick death, up to 5 s.
func backOff(quick int) time.Duration {
	d := 100 * time.Millisecond
	for range quick - 1 {
		d = min(4*d, 5*time.Second)
	}
	return d
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

func (n *clusterNode) start() (*child, error) {
	if err := os.MkdirAll(n.dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.Remove(n.readyFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	log, err := os.OpenFile(n.logFile(), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close() // the process has it open itself
	c := &child{cmd: exec.Command(n.program, n.args...), ended: make(chan struct{})}
	if c.from, err = log.Seek(0, io.SeekEnd); err != nil {
		return nil, err
	}
	c.cmd.Stdout, c.cmd.Stderr, c.cmd.ExtraFiles = log, log, n.inherit
	c.cmd.SysProcAttr = ownGroup()
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		c.err = c.cmd.Wait()
		close(c.ended)
	}()
	n.board.started(n.number, c.pid())
	return c, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// readyPoll is how often the ready file of a node that starts is looked for.
const readyPoll = 10 * time.Millisecond

// await returns when the process serves, has ended, or ctx has.
func (n *clusterNode) await(ctx context.Context, c *child) {
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-c.ended:
			return
		case <-ctx.Done():
			return
		}
		var r nodeReady
		b, err := os.ReadFile(n.readyFile())
		if err != nil || json.Unmarshal(b, &r) != nil || len(r.Endpoints) == 0 || len(r.PIDs) != 1 || r.PIDs[0] != c.pid() {
			continue
		}
		if err := os.Remove(n.readyFile()); err != nil { // one file less that holds a secret
			n.log.Warn("a ready file stays", "node", n.number, "err", err)
		}
		c.served = time.Now()
		n.board.serving(n.number, r)
		return
	}
}

// end asks the process to stop, and kills it if that takes too long.
func (n *clusterNode) end(c *child) error {
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	limit := time.NewTimer(n.stop)
	defer limit.Stop()
	why := ""
	select {
	case <-c.ended:
	case <-limit.C:
		why = "it did not stop within " + n.stop.String()
	case <-n.kill:
		why = "a second signal came"
	}
	if why != "" {
		_ = c.cmd.Process.Kill() // it may have ended
		<-c.ended
		return fmt.Errorf("node %d (pid %d) was killed: %s", n.number, c.pid(), why)
	}
	if c.err != nil {
		n.showTail(c)
		return fmt.Errorf("node %d (pid %d) did not stop cleanly: %w", n.number, c.pid(), c.err)
	}
	return nil
}

// report says how a process ended that was not to end, and what it said last.
func (n *clusterNode) report(c *child) {
	s := c.cmd.ProcessState
	n.log.Error("a node ended by itself", "node", n.number, "pid", c.pid(), "reason", s.String(), "code", s.ExitCode(),
		"served", !c.served.IsZero(), "log", n.logFile())
	n.showTail(c)
}

func (n *clusterNode) showTail(c *child) {
	lines, err := lastLines(n.logFile(), c.from)
	if err != nil {
		n.log.Warn("the log of a node cannot be read", "node", n.number, "err", err)
		return
	}
	for _, l := range lines {
		fmt.Fprintf(n.tail, "    node %d: %s\n", n.number, l)
	}
}

// Bounds of what is shown of a log.
const (
	tailLines = 10
	tailBytes = 8 << 10
)

// lastLines reads the last lines of a file, but nothing before from.
func lastLines(path string, from int64) ([][]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	from = min(max(from, size-tailBytes), size)
	b, err := io.ReadAll(io.NewSectionReader(f, from, size-from))
	if err != nil {
		return nil, err
	}
	b = bytes.TrimRight(b, "\n")
	if len(b) == 0 {
		return nil, nil
	}
	lines := bytes.Split(b, []byte("\n"))
	return lines[max(0, len(lines)-tailLines):], nil
}
