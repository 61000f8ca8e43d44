package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// actAsNode is a node without anything in it: it serves as soon as node 1 has at a
// first start, or as soon as all have started later, and stops when it is asked to.
// One whose directory has a file "dies" dies.
func actAsNode(args []string) {
	value := func(flag string) string { return args[slices.Index(args, flag)+1] }
	dir := value("--dir")
	beside := func(node, name string) string { return filepath.Join(filepath.Dir(dir), node, name) }
	if !missing(filepath.Join(dir, "dies")) {
		os.Exit(7)
	}
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM)
	mark(filepath.Join(dir, "started"))
	if missing(beside("node1", "identity.json")) { // a first start
		if filepath.Base(dir) != "node1" {
			os.Exit(9) // there is nothing to join yet
		}
		mark(filepath.Join(dir, "identity.json"))
	} else if !missing(beside("node1", "all")) { // a majority is needed
		for missing(beside("node2", "started")) || missing(beside("node3", "started")) {
			time.Sleep(time.Millisecond)
		}
	}
	b, err := json.Marshal(nodeReady{Endpoints: []string{"http://" + value("--listen")}, AccessKey: "AK", SecretKey: "SK", PIDs: []int{os.Getpid()}})
	if err == nil {
		err = writeFile(value("--ready-file"), b)
	}
	if err != nil {
		panic(err)
	}
	<-asked
}

func mark(path string) {
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		panic(err)
	}
}

// threeNodes is a cluster of three empty nodes that run within a test.
type threeNodes struct {
	*testing.T
	c       *cluster
	flags   *clusterFlags
	out     lockedBuffer
	signals chan os.Signal
	ended   chan error
}

func startThree(t *testing.T, dir string, change func(*clusterFlags)) *threeNodes {
	t.Helper()
	t.Setenv(actAs, "a node")
	f := &clusterFlags{nodes: 3, disks: 1, dir: dir, port: freeBase(t), stop: time.Minute, readyFile: filepath.Join(t.TempDir(), "ready.json")}
	if change != nil {
		change(f)
	}
	r := &threeNodes{T: t, flags: f, signals: make(chan os.Signal, 2), ended: make(chan error, 1)}
	places := f.places()
	lock, err := f.claim(places, &r.out)
	if err != nil {
		t.Fatal(err)
	}
	if r.c, err = newCluster(f, places, lock, &r.out); err != nil {
		t.Fatal(err)
	}
	for _, n := range r.c.nodes {
		n.log, n.tail, n.pause = textLog(&r.out), &r.out, func(context.Context, time.Duration) {}
	}
	go func() {
		err := r.c.run(context.Background(), r.signals)
		close(r.signals)
		r.ended <- errors.Join(err, r.c.close(), lock.Close())
	}()
	return r
}

func (r *threeNodes) await(what string, holds func() bool) {
	r.Helper()
	for limit := time.Now().Add(30 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			r.Fatalf("still not: %s\n%s", what, r.out.String())
		}
	}
}

func (r *threeNodes) says(text string) func() bool {
	return func() bool { return strings.Contains(r.out.String(), text) }
}

func (r *threeNodes) stop() {
	r.Helper()
	r.signals <- syscall.SIGTERM
	if err := <-r.ended; err != nil {
		r.Fatalf("%v\n%s", err, r.out.String())
	}
}

// TestThreeNodes: at a first start the others wait for the first node, later all
// start at once; a node that is of no use is left alone while the others go on.
func TestThreeNodes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cluster")
	r := startThree(t, dir, nil)
	r.await("all serve", func() bool { return !missing(r.flags.readyFile) })
	if strings.Contains(r.out.String(), "ended by itself") {
		t.Errorf("a node was started too early:\n%s", r.out.String())
	}
	r.stop()

	for _, n := range []string{"node1", "node2", "node3"} {
		if err := os.Remove(filepath.Join(dir, n, "started")); err != nil {
			t.Fatal(err)
		}
	}
	mark(filepath.Join(dir, "node1", "all"))
	r = startThree(t, dir, nil)
	r.await("all serve", func() bool { return !missing(r.flags.readyFile) })
	var ready clusterReady
	if b, err := os.ReadFile(r.flags.readyFile); err != nil || json.Unmarshal(b, &ready) != nil {
		t.Fatal(err)
	}
	pids := ready.PIDs
	mark(filepath.Join(dir, "node2", "dies"))
	if err := syscall.Kill(pids[1], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.await("the second is left alone", r.says("left alone"))
	for _, i := range []int{0, 2} {
		if err := syscall.Kill(pids[i], 0); err != nil {
			t.Errorf("node %d does not run: %v", i+1, err)
		}
	}
	r.stop()
}

// TestNoNodeLeft: without any node there is no cluster to keep.
func TestNoNodeLeft(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cluster")
	if err := os.MkdirAll(filepath.Join(dir, "node1"), 0o700); err != nil {
		t.Fatal(err)
	}
	mark(filepath.Join(dir, "node1", "dies"))
	r := startThree(t, dir, nil)
	if err := <-r.ended; err == nil || !strings.Contains(err.Error(), "no node is left") {
		t.Errorf("it ended with %v", err)
	}
	if !missing(filepath.Join(dir, "node2")) {
		t.Error("others were started with nothing to join")
	}

	r = startThree(t, dir, func(f *clusterFlags) { f.noRestart = true })
	if err := <-r.ended; err == nil || !strings.Contains(err.Error(), "node 1 ended before every node served") {
		t.Errorf("it ended with %v", err)
	}
}
