package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// clusterRun is one `ironman cluster` as a process of its own.
type clusterRun struct {
	*testing.T
	cmd   *exec.Cmd
	ended chan struct{}
	err   error // set before ended is closed
	out   lockedBuffer
	ready string
}

// startCluster starts a one-node cluster with two disks, in dir.
func startCluster(t *testing.T, dir string, port int, flags ...string) *clusterRun {
	t.Helper()
	r := &clusterRun{T: t, ended: make(chan struct{}), ready: dir + "-ready.json"}
	args := append([]string{"cluster", "--nodes", "1", "--disks", "2", "--dir", dir, "--port", strconv.Itoa(port), "--ready-file", r.ready}, flags...)
	r.cmd = exec.Command(os.Args[0], args...)
	r.cmd.Env = append(os.Environ(), actAs+"=ironman")
	r.cmd.Stdout, r.cmd.Stderr = &r.out, &r.out
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		r.err = r.cmd.Wait()
		close(r.ended)
	}()
	t.Cleanup(func() {
		_ = r.cmd.Process.Kill() // it may have ended
		<-r.ended
		awaitNoNodes(t, dir)
		if t.Failed() {
			t.Logf("the cluster printed:\n%s", r.out.String())
		}
	})
	return r
}

// awaitNoNodes waits until no process of the cluster is left: each has the lock open.
func awaitNoNodes(t *testing.T, dir string) {
	t.Helper()
	l, err := lockFile(filepath.Join(dir, "lock"), 0, 30*time.Second, io.Discard)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
	if err != nil {
		t.Errorf("nodes are left: %v", err)
		return
	}
	_ = l.Close()
}

// await waits until a condition holds.
func (r *clusterRun) await(what string, holds func() bool) {
	r.Helper()
	limit := time.Now().Add(60 * time.Second)
	for !holds() {
		if time.Now().After(limit) {
			r.Fatalf("still not: %s", what)
		}
		select {
		case <-r.ended:
			if !holds() {
				r.Fatalf("the cluster ended (%v) before: %s", r.err, what)
			}
		case <-time.After(5 * time.Millisecond):
		}
	}
}

// awaitReady waits until every node serves, none of them by the process not.
func (r *clusterRun) awaitReady(not int) clusterReady {
	r.Helper()
	var ready clusterReady
	r.await("the ready file names a new process", func() bool {
		b, err := os.ReadFile(r.ready)
		return err == nil && json.Unmarshal(b, &ready) == nil && ready.PIDs[0] != not
	})
	return ready
}

func (r *clusterRun) signal(s os.Signal) {
	r.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		r.Fatal(err)
	}
}

// end waits for the end and returns the exit code.
func (r *clusterRun) end() int {
	r.Helper()
	select {
	case <-r.ended:
	case <-time.After(60 * time.Second):
		r.Fatal("the cluster does not end")
	}
	return r.cmd.ProcessState.ExitCode()
}

// stop ends the cluster as a person would; it must end cleanly.
func (r *clusterRun) stop() {
	r.Helper()
	r.signal(syscall.SIGTERM)
	if code := r.end(); code != 0 {
		r.Fatalf("exit code %d", code)
	}
	if !missing(r.ready) {
		r.Error("the ready file is left")
	}
}

func (r *clusterRun) client(ready clusterReady) *s3.Client {
	return s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(ready.Endpoints[0]), UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(ready.AccessKey, ready.SecretKey, ""),
	})
}

func (r *clusterRun) put(ready clusterReady, key, value string) {
	r.Helper()
	c := r.client(ready)
	_, err := c.CreateBucket(r.Context(), &s3.CreateBucketInput{Bucket: aws.String("kept")})
	if err == nil {
		_, err = c.PutObject(r.Context(), &s3.PutObjectInput{Bucket: aws.String("kept"), Key: &key, Body: strings.NewReader(value)})
	}
	if err != nil {
		r.Fatal(err)
	}
}

func (r *clusterRun) mustHave(ready clusterReady, key, value string) {
	r.Helper()
	o, err := r.client(ready).GetObject(r.Context(), &s3.GetObjectInput{Bucket: aws.String("kept"), Key: &key})
	if err != nil {
		r.Fatal(err)
	}
	defer o.Body.Close()
	if b, err := io.ReadAll(o.Body); err != nil || string(b) != value {
		r.Fatalf("%s holds %q, %v; want %q", key, b, err, value)
	}
}

// freeBase finds a base whose ports are free, below those that systems give to
// outgoing connections: a node that is started again must find them free again.
func freeBase(t *testing.T) int {
	t.Helper()
	for range 100 {
		f := clusterFlags{nodes: 3, port: 10_000 + rand.IntN(20_000)}
		if portsFree(f.places()) == nil {
			return f.port
		}
	}
	t.Fatal("no free ports")
	return 0
}

// TestClusterAgain: the keys are shown once and are nowhere but in their file, what
// was stored is there at the next start, and a stop is clean.
func TestClusterAgain(t *testing.T) {
	dir, port := filepath.Join(t.TempDir(), "cluster"), freeBase(t)
	r := startCluster(t, dir, port)
	ready := r.awaitReady(0)
	if want := "http://127.0.0.1:" + strconv.Itoa(port); len(ready.Endpoints) != 1 || ready.Endpoints[0] != want {
		t.Fatalf("endpoints %v, want %s", ready.Endpoints, want)
	}
	r.put(ready, "key", "value")
	join, err := os.ReadFile(filepath.Join(dir, "join-secret"))
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(filepath.Join(dir, "node1", "log"))
	if err != nil || len(log) == 0 {
		t.Fatalf("the node's log: %d bytes, %v", len(log), err)
	}
	command, err := exec.Command("ps", "-o", "args=", "-p", strconv.Itoa(ready.PIDs[0])).Output()
	if err != nil || !bytes.Contains(command, []byte("--child")) {
		t.Fatalf("ps: %q, %v", command, err)
	}
	for _, secret := range []string{ready.SecretKey, strings.TrimSpace(string(join))} {
		if bytes.Contains(log, []byte(secret)) || bytes.Contains(command, []byte(secret)) {
			t.Error("a secret is in the node's log or on its command line")
		}
	}
	if out := r.out.String(); strings.Count(out, ready.SecretKey) != 1 || strings.Contains(out, string(join)) {
		t.Error("the secret key is not printed exactly once, or the join secret is printed")
	}
	r.stop()

	again := startCluster(t, dir, port)
	ready = again.awaitReady(0)
	again.mustHave(ready, "key", "value")
	if strings.Contains(again.out.String(), ready.SecretKey) {
		t.Error("the second start prints the secret key")
	}
	again.stop()
	if b, err := os.ReadFile(filepath.Join(dir, "join-secret")); err != nil || !bytes.Equal(b, join) {
		t.Errorf("another join secret, %v", err)
	}
}

// TestClusterRestartsNode: a node that is killed comes back with its data, and the
// ready file names its new process.
func TestClusterRestartsNode(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "cluster")
	r := startCluster(t, dir, freeBase(t))
	ready := r.awaitReady(0)
	r.put(ready, "key", "value")
	first := ready.PIDs[0]
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ready = r.awaitReady(first)
	r.await("it serves again", func() bool { return strings.Contains(r.out.String(), "node 1 serves again") })
	r.mustHave(ready, "key", "value")
	for _, want := range []string{"pid=" + strconv.Itoa(first), `reason="signal: killed"`, "code=-1", "    node 1: time="} {
		if !strings.Contains(r.out.String(), want) {
			t.Errorf("%s is not in the log", want)
		}
	}
	r.stop()
}

// TestClusterNoRestart: with --no-restart a dead node stays dead, and the cluster
// goes on; if it dies before the cluster was ready, the cluster says so and ends.
func TestClusterNoRestart(t *testing.T) {
	dir, port := filepath.Join(t.TempDir(), "cluster"), freeBase(t)
	r := startCluster(t, dir, port, "--no-restart")
	ready := r.awaitReady(0)
	if err := syscall.Kill(ready.PIDs[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	r.await("the death is told", func() bool { return strings.Contains(r.out.String(), "a node ended by itself") })
	r.stop()
	if strings.Contains(r.out.String(), "started again") {
		t.Error("it was started again")
	}

	r = startCluster(t, filepath.Join(t.TempDir(), "cluster"), port, "--no-restart", "--", "--failpoint", "log:1:start")
	if code := r.end(); code != 1 || !strings.Contains(r.out.String(), "node 1 ended before every node served") {
		t.Errorf("exit code %d", code)
	}
}

// TestClusterTwice: a cluster is run by one process at a time.
func TestClusterTwice(t *testing.T) {
	dir, port := filepath.Join(t.TempDir(), "cluster"), freeBase(t)
	r := startCluster(t, dir, port)
	ready := r.awaitReady(0)
	second := refusedCluster(t, dir, freeBase(t))
	if out, err := second.CombinedOutput(); err == nil || !bytes.Contains(out, []byte("is locked")) {
		t.Errorf("a second one on other ports: %v, %s", err, out)
	}
	third := refusedCluster(t, filepath.Join(t.TempDir(), "other"), port)
	if out, err := third.CombinedOutput(); err == nil || !bytes.Contains(out, []byte("choose another --port")) {
		t.Errorf("a second one on the same ports: %v, %s", err, out)
	}
	r.put(ready, "key", "value")
	r.stop()
}

// refusedCluster prepares a cluster that is to be refused.
func refusedCluster(t *testing.T, dir string, port int) *exec.Cmd {
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	t.Cleanup(cancel)
	c := exec.CommandContext(ctx, os.Args[0], "cluster", "--dir", dir, "--port", strconv.Itoa(port))
	c.Env = append(os.Environ(), actAs+"=ironman")
	return c
}

// TestClusterKilled: nodes outlive a kill -9 of the cluster only to stop cleanly,
// and a start right after it waits for them.
func TestClusterKilled(t *testing.T) {
	dir, port := filepath.Join(t.TempDir(), "cluster"), freeBase(t)
	r := startCluster(t, dir, port)
	ready := r.awaitReady(0)
	r.put(ready, "key", "value")
	r.signal(syscall.SIGKILL)
	again := startCluster(t, dir, port)
	again.mustHave(again.awaitReady(ready.PIDs[0]), "key", "value")
	again.signal(syscall.SIGKILL)
	<-again.ended
	awaitNoNodes(t, dir)
	log, err := os.ReadFile(filepath.Join(dir, "node1", "log"))
	if err != nil || strings.Count(string(log), "the process that started this node is gone") != 2 || strings.Count(string(log), "msg=stopped err=<nil>") != 2 {
		t.Errorf("the nodes did not stop cleanly twice: %v\n%s", err, log)
	}
}

// TestClusterStopsHard: a node that does not stop is killed when its time is over,
// or at a second signal, and that is no success.
func TestClusterStopsHard(t *testing.T) {
	for _, c := range []struct {
		name    string
		flag    string
		signals int
		want    string
	}{
		{"time is over", "200ms", 1, "did not stop within"},
		{"second signal", "1h", 2, "a second signal came"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := startCluster(t, filepath.Join(t.TempDir(), "cluster"), freeBase(t), "--stop-timeout", c.flag)
			ready := r.awaitReady(0)
			if err := syscall.Kill(ready.PIDs[0], syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			for i := range c.signals {
				r.signal(os.Interrupt)
				if i == 0 {
					r.await("the stop begins", func() bool { return strings.Contains(r.out.String(), "stopping all nodes") })
				}
			}
			if code := r.end(); code != 1 || !strings.Contains(r.out.String(), c.want) {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// lockedBuffer collects what processes print.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
