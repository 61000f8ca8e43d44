package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestBackOff(t *testing.T) {
	var got []time.Duration
	for quick := range maxQuick + 1 {
		got = append(got, backOff(quick))
	}
	want := []time.Duration{
		100 * time.Millisecond, 100 * time.Millisecond, 400 * time.Millisecond, 1600 * time.Millisecond, 5 * time.Second, 5 * time.Second,
	}
	if !slices.Equal(got, want) {
		t.Errorf("back-off %v, want %v", got, want)
	}
}

func TestQuickDeaths(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		name         string
		served       time.Time
		before, want int
	}{
		{"never served", time.Time{}, 3, 4},
		{"served for a moment", now.Add(-quickServed / 2), 3, 4},
		{"served for a while", now.Add(-quickServed), 3, 0},
	} {
		if got := (&child{served: c.served}).count(c.before, now); got != c.want {
			t.Errorf("%s: %d quick deaths, want %d", c.name, got, c.want)
		}
	}
}

// notes is a noticeBoard that remembers.
type notes struct{ pids []int }

func (n *notes) started(_, pid int)     { n.pids = append(n.pids, pid) }
func (n *notes) serving(int, nodeReady) {}

func textLog(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// TestKeepGivesUp: a node that ends as soon as it starts is started five times,
// later each time, and said to be left alone.
func TestKeepGivesUp(t *testing.T) {
	t.Setenv(actAs, "dies at once")
	for _, restart := range []bool{true, false} {
		var said, tail bytes.Buffer
		var pauses []time.Duration
		told := &notes{}
		n := &clusterNode{
			place: place{number: 4, dir: filepath.Join(t.TempDir(), "node4")}, program: os.Args[0], stop: time.Minute, restart: restart,
			log: textLog(&said), tail: &tail, board: told,
			pause: func(_ context.Context, d time.Duration) { pauses = append(pauses, d) },
		}
		if err := n.keep(t.Context()); err != nil {
			t.Fatal(err)
		}
		starts := 1
		if restart {
			starts = maxQuick
		}
		if len(told.pids) != starts || len(pauses) != starts-1 || !slices.IsSorted(pauses) {
			t.Errorf("restart %v: %d starts with pauses %v", restart, len(told.pids), pauses)
		}
		for _, want := range []string{"node=4", "pid=" + strconv.Itoa(told.pids[0]), `reason="exit status 7"`, "code=7"} {
			if !strings.Contains(said.String(), want) {
				t.Errorf("the log lacks %s:\n%s", want, &said)
			}
		}
		if strings.Contains(said.String(), "left alone") != restart {
			t.Errorf("restart %v, but the log says:\n%s", restart, &said)
		}
		// Each death shows its own lines only.
		if want := strings.Repeat("    node 4: a last word\n", starts); tail.String() != want {
			t.Errorf("shown:\n%swant:\n%s", &tail, want)
		}
	}
}

// TestKeepMissingProgram: a program that cannot be run at all is no reason to spin.
func TestKeepMissingProgram(t *testing.T) {
	var said bytes.Buffer
	told, pauses := &notes{}, 0
	n := &clusterNode{
		place: place{number: 1, dir: t.TempDir()}, program: filepath.Join(t.TempDir(), "none"), restart: true,
		log: textLog(&said), board: told, pause: func(context.Context, time.Duration) { pauses++ },
	}
	if err := n.keep(t.Context()); err != nil || pauses != maxQuick-1 || !strings.Contains(said.String(), "left alone") {
		t.Errorf("%v after %d pauses:\n%s", err, pauses, &said)
	}
}

func TestLastLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	var b strings.Builder
	for i := range 30 {
		b.WriteString("line " + strconv.Itoa(i) + "\n")
	}
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	all := int64(b.Len())
	for _, c := range []struct {
		from int64
		want int
	}{{0, tailLines}, {all - 16, 2}, {all, 0}, {all + 5, 0}} {
		got, err := lastLines(path, c.from)
		if err != nil || len(got) != c.want || (c.want > 0 && string(got[c.want-1]) != "line 29") {
			t.Errorf("from %d: %q, %v; want %d lines", c.from, got, err, c.want)
		}
	}
	if got, err := lastLines(path+"x", 0); err == nil {
		t.Errorf("no file, but %q", got)
	}
}

// TestClusterRefusals: what is refused makes nothing.
func TestClusterRefusals(t *testing.T) {
	port := freeBase(t)
	busy, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	for _, c := range []struct{ name, args, want string }{
		{"no node", "--nodes 0", "--nodes"},
		{"too many nodes", "--nodes 101", "--nodes"},
		{"no disk", "--disks 0", "--disks"},
		{"port 0", "--port 0", "--port"},
		{"ports above the last", "--port 65400", "--port"},
		{"no time to stop", "--stop-timeout 0s", "--stop-timeout"},
		{"a word", "three", "flags of every node go after --"},
		{"S3 port in use", "--port " + strconv.Itoa(port), "for S3"},
		{"link port in use", "--port " + strconv.Itoa(port-portStride), "for the link"},
		{"admin port in use", "--port " + strconv.Itoa(port-2*portStride), "for admin calls"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "cluster")
			root := rootCommand()
			root.SetArgs(append([]string{"cluster", "--dir", dir}, strings.Fields(c.args)...))
			err := root.Execute()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("it said %v; want %q", err, c.want)
			}
			if !missing(dir) {
				t.Error("the directory was made")
			}
		})
	}
}

// TestFewerNodes: a cluster is not started without some of its nodes by mistake.
func TestFewerNodes(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "node2"), 0o700); err != nil {
		t.Fatal(err)
	}
	err := (&clusterFlags{nodes: 1, disks: 1, port: 9000, dir: dir, stop: time.Second}).check()
	if err == nil || !strings.Contains(err.Error(), "node2") {
		t.Errorf("it said %v", err)
	}
}

// TestNodeArguments: what a node is given is what `ironman server` reads, whatever
// its directory is called; and no secret is in it.
func TestNodeArguments(t *testing.T) {
	dir := filepath.Join(t.TempDir(), `a,b "c" d`)
	f := &clusterFlags{nodes: 3, disks: 2, port: 9000, dir: dir, stop: 20 * time.Second, pass: []string{"--history", "1h0m0s"}}
	places := f.places()
	if places[2].s3 != "127.0.0.1:9002" || places[2].link != "127.0.0.1:9102" || places[2].admin != "127.0.0.1:9202" {
		t.Errorf("the third node is at %+v", places[2])
	}
	args, err := f.arguments(places[0], places[0])
	if err != nil {
		t.Fatal(err)
	}
	c := serverCommand()
	if err := c.ParseFlags(args[1:]); err != nil {
		t.Fatalf("%q: %v", args, err)
	}
	disks, err := c.Flags().GetStringSlice("disks")
	if want := []string{filepath.Join(dir, "node1", "disk1"), filepath.Join(dir, "node1", "disk2")}; err != nil || !slices.Equal(disks, want) {
		t.Errorf("disks %q, %v; want %q", disks, err, want)
	}
	for name, want := range map[string]string{
		"dir": filepath.Join(dir, "node1"), "listen": "[127.0.0.1:9000]", "link": "127.0.0.1:9100", "admin": "127.0.0.1:9200",
		"history": "1h0m0s", "child": "true", "stop-timeout": "15s",
	} {
		if got := c.Flags().Lookup(name).Value.String(); got != want {
			t.Errorf("--%s %s, want %s", name, got, want)
		}
	}
	second, err := f.arguments(places[1], places[0])
	if i := slices.Index(second, "--join"); err != nil || i < 0 || second[i+1] != places[0].link {
		t.Errorf("the second node is started with %q, %v", second, err)
	}
	if slices.Contains(args, "--join") {
		t.Error("the first node joins")
	}
}

func TestJoinSecret(t *testing.T) {
	path := filepath.Join(t.TempDir(), "join-secret")
	var secrets [2][]byte
	for i := range secrets {
		if err := makeJoinSecret(path); err != nil {
			t.Fatal(err)
		}
		var err error
		if secrets[i], err = os.ReadFile(path); err != nil || len(bytes.TrimSpace(secrets[i])) != 43 {
			t.Fatalf("%d bytes, %v", len(secrets[i]), err)
		}
	}
	if !bytes.Equal(secrets[0], secrets[1]) {
		t.Error("a second start made another join secret")
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// TestBoard: the ready file is there once every node has served, follows the pids,
// and goes; people see the keys once, and every port, with how it is spoken to.
func TestBoard(t *testing.T) {
	for _, scheme := range []string{"http://", "https://"} {
		t.Run(scheme, func(t *testing.T) { testBoard(t, scheme) })
	}
}

func testBoard(t *testing.T, scheme string) {
	f := &clusterFlags{nodes: 3, disks: 2, port: 9000, dir: t.TempDir(), region: "eu-central-1", readyFile: filepath.Join(t.TempDir(), "ready.json")}
	var out, said bytes.Buffer
	b := newBoard(f, f.places(), &out, textLog(&said))
	for i := range 3 {
		b.started(i+1, 100+i)
		r := nodeReady{Endpoints: []string{scheme + f.places()[i].s3}}
		if i == 0 {
			r.AccessKey, r.SecretKey = "AK", "it's secret"
		}
		b.serving(i+1, r)
		if b.complete() != (i == 2) || missing(f.readyFile) != (i < 2) {
			t.Fatalf("after node %d: complete %v, ready file missing %v", i+1, b.complete(), missing(f.readyFile))
		}
	}
	if !b.awaitFirst(nil, nil) {
		t.Error("the first node has not served")
	}
	b.started(2, 201)
	b.serving(2, nodeReady{Endpoints: []string{scheme + f.places()[1].s3}})
	var r clusterReady
	text, err := os.ReadFile(f.readyFile)
	if err != nil || json.Unmarshal(text, &r) != nil {
		t.Fatal(err)
	}
	if !slices.Equal(r.PIDs, []int{100, 201, 102}) || r.AccessKey != "AK" || r.SecretKey != "it's secret" ||
		!slices.Equal(r.Endpoints, []string{scheme + "127.0.0.1:9000", scheme + "127.0.0.1:9001", scheme + "127.0.0.1:9002"}) ||
		r.Admins[2] != "127.0.0.1:9202" || r.Links[1] != "127.0.0.1:9101" {
		t.Errorf("ready file: %s", text)
	}
	if info, err := os.Stat(f.readyFile); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	for want, times := range map[string]int{
		"it's secret": 1, "eu-central-1": 1, "node 2 serves " + scheme + "127.0.0.1:9001 (pid 101)": 1,
		"node 2 serves again: " + scheme + "127.0.0.1:9001 (pid 201)": 1, "--endpoint-url " + scheme + "127.0.0.1:9000 s3 mb": 1,
		"--endpoint-url " + scheme + "127.0.0.1:9001 s3 cp": 1, "--endpoint-url " + scheme + "127.0.0.1:9002 s3 ls": 1,
	} {
		if strings.Count(out.String(), want) != times {
			t.Errorf("%q is not printed %d times in:\n%s", want, times, &out)
		}
	}
	if err := b.remove(); err != nil || !missing(f.readyFile) {
		t.Errorf("the ready file stays: %v", err)
	}
	if said.Len() > 0 {
		t.Errorf("complaints: %s", &said)
	}
}

// TestPastedExports runs what a later start prints through a shell.
func TestPastedExports(t *testing.T) {
	f := &clusterFlags{nodes: 1, disks: 1, port: 9000, dir: filepath.Join(t.TempDir(), "it's here"), region: "us-east-1"}
	places := f.places()
	if err := os.MkdirAll(places[0].dir, 0o700); err != nil {
		t.Fatal(err)
	}
	text, err := json.MarshalIndent(map[string]string{"access_key": "AK", "secret_key": "S-_3"}, "", "  ")
	if err != nil || os.WriteFile(filepath.Join(places[0].dir, "root-credentials.json"), text, 0o600) != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	b := newBoard(f, places, &out, slog.New(slog.DiscardHandler))
	b.started(1, 100)
	b.serving(1, nodeReady{Endpoints: []string{"http://" + places[0].s3}, AccessKey: "AK", SecretKey: "S-_3"})
	if strings.Contains(out.String(), "S-_3") {
		t.Errorf("the secret is printed again:\n%s", &out)
	}
	var script strings.Builder
	for l := range strings.Lines(out.String()) {
		if strings.HasPrefix(l, "  export ") {
			script.WriteString(l)
		}
	}
	script.WriteString(`echo "$AWS_ACCESS_KEY_ID/$AWS_SECRET_ACCESS_KEY/$AWS_DEFAULT_REGION"`)
	got, err := exec.Command("sh", "-c", script.String()).CombinedOutput()
	if want := "AK/S-_3/us-east-1\n"; err != nil || string(got) != want {
		t.Errorf("the shell has %q, %v; want %q, by\n%s", got, err, want, &script)
	}
}

// TestLockFile: a lock of a living process is respected at once, one of a dead
// process is waited for, within a limit.
func TestLockFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	if _, err := lockFile(path, 0, time.Minute, io.Discard); !os.IsNotExist(err) {
		t.Fatalf("without a file: %v", err)
	}
	held, err := lockFile(path, os.O_CREATE, time.Minute, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lockFile(path, 0, time.Minute, io.Discard); err == nil || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Fatalf("a second lock: %v", err)
	}
	dead := exec.Command(os.Args[0], "-test.run", "^$")
	if err := dead.Run(); err != nil {
		t.Fatal(err)
	}
	if _, err := held.WriteAt([]byte(strconv.Itoa(dead.Process.Pid)+"\n          "), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := lockFile(path, 0, time.Millisecond, io.Discard); err == nil || !strings.Contains(err.Error(), "still run") {
		t.Fatalf("a lock that outlives its process: %v", err)
	}
	told := writeFunc(func(b []byte) { _ = held.Close() }) // the nodes end once the wait has begun
	again, err := lockFile(path, 0, time.Minute, told)
	if err != nil {
		t.Fatal(err)
	}
	if name, alive := readPID(again); name != strconv.Itoa(os.Getpid()) || !alive {
		t.Errorf("the lock names %s", name)
	}
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

type writeFunc func([]byte)

func (f writeFunc) Write(b []byte) (int, error) { f(b); return len(b), nil }
