package server_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"ironman/server"
	"ironman/server/backup"
)

// run runs the command line as root.
func (c *trio) run(args ...string) (string, error) {
	cmd := c.command(args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("ironman %v: %w\n%s", args, err, stderr.Bytes())
	}
	return string(out), err
}

func (c *trio) command(args ...string) *exec.Cmd {
	cmd := exec.Command(program(c), args...)
	cmd.Env = append(os.Environ(), "IRONMAN_ROOT_ACCESS_KEY="+c.cred.AccessKey, "IRONMAN_ROOT_SECRET_KEY="+string(c.cred.Secret.Reveal()))
	return cmd
}

func (c *trio) mustRun(args ...string) string {
	c.Helper()
	out, err := c.run(args...)
	if err != nil {
		c.Fatal(err)
	}
	return out
}

// refusedRun runs what must be refused.
func (c *trio) refusedRun(say string, args ...string) {
	c.Helper()
	if out, err := c.run(args...); err == nil || !strings.Contains(err.Error(), say) {
		c.Errorf("ironman %v: %v instead of: %s\n%s", args, err, say, out)
	}
}

// admins are the addresses of all admin listeners.
func (c *trio) admins() string {
	var out []string
	for _, n := range c.nodes {
		out = append(out, "http://"+n.admin)
	}
	return strings.Join(out, ",")
}

// backUp takes a backup and returns the newest point.
func (c *trio) backUp(to string) uint64 {
	c.Helper()
	c.mustRun("backup", "--admin", "http://"+c.nodes[1].admin, "--to", to)
	return c.newestPoint(to)
}

func (c *trio) newestPoint(of string) uint64 {
	c.Helper()
	names, err := filepath.Glob(filepath.Join(of, "points", "*.json"))
	if err != nil || len(names) == 0 {
		c.Fatal("no points", err)
	}
	seq, err := strconv.ParseUint(strings.TrimLeft(strings.TrimSuffix(filepath.Base(names[len(names)-1]), ".json"), "0"), 10, 64)
	if err != nil {
		c.Fatal(err)
	}
	return seq
}

// successor is a cluster at the addresses of one that is gone, with directories that are new.
func (c *trio) successor() *trio {
	c.Helper()
	s := &trio{TB: c.TB, proxies: c.proxies, cred: c.cred, secret: c.secret}
	for i, was := range c.nodes {
		p := newProcess(c, was.flags...)
		p.env = was.env // root's keys are those of the old cluster
		p.admin, p.s3, p.endpoint, p.cred, p.disks = was.admin, was.s3, was.endpoint, was.cred, p.disks[:2]
		s.nodes[i], s.clients[i] = p, p.client()
	}
	return s
}

// lost tells how many blobs the cluster lacks.
func (c *trio) lostBlobs() (n int) {
	c.Helper()
	for after := ""; ; {
		var page server.LostBlobs
		if err := c.fetchAdmin(0, "/-/blobs/lost?after="+after, &page); err != nil {
			c.Fatal(err)
		}
		n += len(page.Blobs)
		if after = page.After; after == "" {
			return n
		}
	}
}

// auditedRoot verifies what a stopped node recorded and tells the root of its first events.
func (c *trio) auditedRoot(dir string, size, all uint64, key string) string {
	c.Helper()
	args := []string{"audit", "--dir", dir}
	if key != "" {
		args = append(args, "--key", key)
	}
	c.mustRun(append(args, "verify")...)
	out := c.mustRun(append(args, "consistency", strconv.FormatUint(size, 10), strconv.FormatUint(all, 10))...)
	_, root, ok := strings.Cut(out, fmt.Sprintf("%d events  root ", size))
	if !ok {
		c.Fatalf("ironman audit consistency prints\n%s", out)
	}
	root, _, _ = strings.Cut(root, "\n")
	return root
}

// restoreCluster makes the first node of a successor, of the newest point or of one.
func (c *trio) restoreCluster(from, keyring string, more ...string) *server.RestoredCluster {
	c.Helper()
	out := c.mustRun(append([]string{"restore-cluster", "--from", from, "--keyring", keyring, "--dir", c.nodes[0].dir, "--json"}, more...)...)
	r := &server.RestoredCluster{}
	if err := json.Unmarshal([]byte(out), r); err != nil {
		c.Fatalf("%v: %s", err, out)
	}
	return r
}

// TestClusterRestore is the whole story: a cluster of three is backed up twice, goes on, and is
// lost. Of each of the two points a new one is made, and is, for whoever asks it, what the old
// one was then; it goes on from there, and what is left of the old one is a stranger to it.
func TestClusterRestore(t *testing.T) {
	t.Parallel()
	c := startTrio(t, "--allow-insecure-sse-c", "--snapshot-entries", "150", "--log-segment-bytes", "262144")
	w := makePortrayed(t, c.nodes[0])
	target := filepath.Join(t.TempDir(), "backup")
	w.write(c.clients[0], 1)
	w.write(c.clients[1], 2)
	points := []uint64{c.backUp(target)}
	portraits := []map[string]string{w.portrait(c.clients[1], 2)}
	w.write(c.clients[2], 3)
	points = append(points, c.backUp(target))
	portraits = append(portraits, w.portrait(c.clients[0], 3))
	w.write(c.clients[0], 4) // which is lost
	if points[0] < 600 || points[1] <= points[0] {
		t.Fatalf("the points are %v", points)
	}
	keyring := filepath.Join(t.TempDir(), "keyring.json")
	b, err := os.ReadFile(filepath.Join(c.nodes[1].dir, "keyring.json"))
	if err == nil {
		err = os.WriteFile(keyring, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	c.agree(all()...)
	events := c.nodes[2].status().Events
	c.nodes[2].stop()
	roots := make([]string, 2)
	for i, seq := range points {
		roots[i] = c.auditedRoot(c.nodes[2].dir, seq, events, "")
	}
	for _, n := range c.nodes[:2] {
		n.kill()
		for _, dir := range append([]string{n.dir}, n.disks...) {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}
	}

	second := c.successor()
	story := &restoreStory{T: t, portrayed: w, target: target, keyring: keyring, old: c.nodes[2], points: points}
	story.tell(second, 1, portraits[1], roots[1])
	first := c.successor()
	story.tell(first, 0, portraits[0], roots[0], "--point", strconv.FormatUint(points[0], 10))
}

// restoreStory is what becomes of one point.
type restoreStory struct {
	*testing.T
	*portrayed
	target, keyring string
	old             *process // that was stopped, and is left of the old cluster
	points          []uint64
}

func (s *restoreStory) Helper() { s.T.Helper() }

// tell makes a cluster of a point, and looks at it.
func (s *restoreStory) tell(c *trio, point int, portrait map[string]string, root string, flags ...string) {
	t := s.T
	t.Helper()
	r := c.restoreCluster(s.target, s.keyring, flags...)
	if r.Node != 4 || r.Seq != s.points[point] || !r.Credentials || r.Blobs == 0 || r.Key == r.OldKey {
		t.Errorf("restored %+v", r)
	}
	c.refusedRun("is not empty", "restore-cluster", "--from", s.target, "--keyring", s.keyring, "--dir", c.nodes[0].dir)
	c.nodes[0].start()
	lost := c.lostBlobs()
	if uint64(lost) != r.Blobs {
		t.Errorf("%d blobs are lost, and %d were announced", lost, r.Blobs)
	}
	c.clients[0].refused(t, 503, "ServiceUnavailable", "GET", "/past-versions/open/004", nil)
	a := c.clients[0].must(t, 200, "PUT", "/past-plain/early", []byte("before any byte is back"))
	if seq, err := strconv.ParseUint(a.header.Get("X-Ironman-Sequence"), 10, 64); err != nil || seq <= r.Seq {
		t.Errorf("it goes on with event %d behind %d, %v", seq, r.Seq, err)
	}
	c.reads(0, "/past-plain/early", []byte("before any byte is back"))
	c.clients[0].must(t, 204, "DELETE", "/past-plain/early", nil)
	c.nodes[1].start()
	c.nodes[2].start()
	c.settled()
	s.place(c, point, lost)
	for i := range c.nodes {
		s.same(fmt.Sprintf("point %d, node %d", r.Seq, i+1), portrait, s.portrait(c.clients[i], point+2))
	}
	s.goOn(c)
	s.stranger(c)
	c.agree(all()...)
	status := c.nodes[1].status()
	for _, n := range c.nodes {
		n.stop()
	}
	for i, n := range c.nodes {
		if got := c.auditedRoot(n.dir, r.Seq, status.Events, r.Key); got != root {
			t.Errorf("node %d: the root of the first %d events is %s, and was %s", i+1, r.Seq, got, root)
		}
		if out := c.mustRun("audit", "replay", "--dir", n.dir, "--key", r.Key); !strings.Contains(out, status.StateDigest) {
			t.Errorf("node %d does not replay to the state %s:\n%s", i+1, status.StateDigest, out)
		}
		c.refusedRun("key", "audit", "verify", "--dir", n.dir, "--key", r.OldKey)
	}
}

// place brings back the bytes, in several lives of the command and of a node.
func (s *restoreStory) place(c *trio, point, lost int) {
	t := s.T
	t.Helper()
	args := []string{"restore-cluster", "--from", s.target, "--admin", c.admins(), "--parallel", "2"}
	if other := 1 - point; s.points[other] > s.points[point] {
		c.refusedRun("the cluster was restored to event", append(args, "--point", strconv.FormatUint(s.points[other], 10))...)
	}
	for life := range 2 {
		cmd := c.command(args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		c.await("some blobs are placed", func() error {
			if left := c.lostBlobs(); left > lost*(9-3*life)/10 {
				return fmt.Errorf("%d are lost", left)
			}
			return nil
		})
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // it was killed
		if life == 0 {
			c.nodes[1].kill()
			c.restart(1)
		}
	}
	left := c.lostBlobs()
	if left == 0 || left == lost {
		t.Errorf("%d of %d blobs are lost after the command was killed twice", left, lost)
	}
	out := c.mustRun(append(args, "--json")...)
	var sum struct {
		Point, Lost, Placed, Left uint64
	}
	inFlight := uint64(2) // when the command was killed: a node that has all of a body goes on with it
	if err := json.Unmarshal([]byte(out), &sum); err != nil || sum.Point != s.points[point] || sum.Lost+inFlight < uint64(left) ||
		sum.Placed+inFlight < sum.Lost || sum.Placed > uint64(left) || sum.Left != 0 {
		t.Errorf("%d were lost, and it says %s (%v)", left, out, err)
	}
	if n := c.lostBlobs(); n != 0 {
		t.Errorf("%d blobs are still lost", n)
	}
}

// goOn uses what was restored: an upload that was open is completed, objects are replaced.
func (s *restoreStory) goOn(c *trio) {
	t := s.T
	t.Helper()
	last := content(79, 100)
	c.clients[1].must(t, 200, "PUT", "/past-plain/unfinished?partNumber=2&uploadId="+s.upload, last)
	c.clients[2].must(t, 200, "POST", "/past-plain/unfinished?uploadId="+s.upload, completion(etagXML(s.part), etagXML(last)))
	c.reads(0, "/past-plain/unfinished", append(bytes.Clone(s.part), last...))
	for i := range 30 {
		body := content(uint64(9000+i), 2000)
		c.clients[i%3].must(t, 200, "PUT", fmt.Sprintf("/past-versions/open/%03d", i), body)
		c.reads((i+1)%3, fmt.Sprintf("/past-versions/open/%03d", i), body)
	}
	c.clients[0].must(t, 200, "PUT", "/past-plain/copy", []byte{}, header("X-Amz-Copy-Source", "/past-plain/sse/3"))
}

// stranger starts what is left of the old cluster: it serves nobody, and is let in by nobody.
func (s *restoreStory) stranger(c *trio) {
	t := s.T
	t.Helper()
	p := newProcess(t, s.old.flags...)
	p.dir, p.disks, p.cred = s.old.dir, s.old.disks, s.old.cred
	// At other addresses than the node that has its place now.
	p.s3 = freeAddress(t)
	link := freeAddress(t)
	if err := p.launch("--admin", freeAddress(t), "--link", link, "--link-advertise", link); err != nil {
		t.Fatal(err)
	}
	ended := false
	for limit := time.Now().Add(6 * time.Second); time.Now().Before(limit) && !ended; time.Sleep(100 * time.Millisecond) {
		if _, err := os.Stat(p.readyFile()); err == nil {
			t.Error("a node of the old cluster serves")
		}
		select {
		case err := <-p.exited:
			p.exited <- err
			ended = true
		default:
		}
	}
	var nodes []server.NodeState
	if err := c.fetchAdmin(0, "/-/nodes", &nodes); err != nil || len(nodes) != 3 {
		t.Errorf("the new cluster has the nodes %+v, %v", nodes, err)
	}
	for _, n := range nodes {
		if n.Node < 4 || !n.Connected {
			t.Errorf("the new cluster has the node %+v", n)
		}
	}
	if !ended {
		p.kill()
	}
	for _, node := range []int{1, 2} {
		if say := fmt.Sprintf("what answers at the address of node %d does not hold that node's key", node); !strings.Contains(p.log.String(), say) {
			t.Errorf("the old node does not say: %s", say)
		}
	}
}

// TestRestoreClusterFlags: what makes no sense is refused before anything is made.
func TestRestoreClusterFlags(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := &trio{TB: t, cred: newProcess(t).cred}
	to := filepath.Join(dir, "node")
	for _, x := range []struct {
		say  string
		args []string
	}{
		{"--dir and --keyring are needed", []string{"--from", dir}},
		{"--keyring is for the making", []string{"--from", dir, "--keyring", "k", "--admin", "http://127.0.0.1:1"}},
		{"--parallel", []string{"--from", dir, "--parallel", "0", "--admin", "http://127.0.0.1:1"}},
		{backup.ErrNotFound.Error(), []string{"--from", filepath.Join(dir, "nothing"), "--keyring", "k", "--dir", to}},
	} {
		c.refusedRun(x.say, append([]string{"restore-cluster"}, x.args...)...)
	}
	if _, err := os.Stat(to); err == nil {
		t.Error("a directory was made")
	}
}
