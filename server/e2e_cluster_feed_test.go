package server_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"ironman/server/audit"
)

// feedReader is a consumer of the feed: `ironman feed --follow`, started again and again
// behind the last event that it printed, or where its cursor stands.
type feedReader struct {
	c      *trio
	rng    *rand.Rand
	least  int    // lines of a life
	cursor string // by which it reads the feed of a bucket, by S3; "": the cluster's feed
	last   uint64 // sequence, of lines by a cursor
	repeat int    // lines that came again
	mu     sync.Mutex
	lines  [][]byte
	stop   chan struct{}
	killed int
}

// seen are the lines that it printed, of all its lives.
func (f *feedReader) seen() [][]byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lines
}

// run lives until stop is closed, and dies at random.
func (f *feedReader) run() error {
	for {
		if done, err := f.live(); done || err != nil {
			return err
		}
	}
}

// live is one life: of so many events, or until stop is closed.
func (f *feedReader) live() (done bool, err error) {
	var admins, endpoints []string
	for _, i := range f.rng.Perm(3) {
		admins, endpoints = append(admins, f.c.nodes[i].admin), append(endpoints, f.c.nodes[i].endpoint)
	}
	args := []string{"feed", "--follow", "--json", "--from", strconv.Itoa(len(f.seen())), "--admin", strings.Join(admins, ",")}
	if f.cursor != "" {
		args = []string{"feed", "--follow", "--json", "--bucket", "fed", "--cursor", f.cursor, "--endpoint", strings.Join(endpoints, ",")}
	}
	cmd := exec.Command(program(f.c), args...)
	cmd.Env = append(os.Environ(), f.c.nodes[0].env...)
	cred := f.c.clients[0].cred
	cmd.Env = append(cmd.Env, "AWS_ACCESS_KEY_ID="+cred.AccessKey, "AWS_SECRET_ACCESS_KEY="+string(cred.Secret.Reveal()), "AWS_REGION="+region)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return false, err
	}
	if err := cmd.Start(); err != nil {
		return false, err
	}
	ended := make(chan struct{})
	var asked atomic.Bool
	go func() {
		select {
		case <-f.stop:
			asked.Store(true)
			_ = cmd.Process.Kill() // it may have ended
		case <-ended:
		}
	}()
	defer close(ended)
	r := bufio.NewReader(out)
	for left := f.least + f.rng.IntN(150); ; left-- {
		line, err := r.ReadBytes('\n')
		if err != nil { // what is not whole it did not print
			break
		}
		if err := f.take(bytes.TrimSpace(line)); err != nil {
			_ = cmd.Process.Kill()
			return true, err
		}
		if left == 0 {
			f.killed++
			_ = cmd.Process.Kill() // it may have ended
			left = -1              // what it had printed by then counts
		}
	}
	_ = cmd.Wait() // it was killed
	if !asked.Load() && !killedBy(cmd) {
		return false, fmt.Errorf("the consumer ended by itself: %v: %s", cmd.ProcessState, stderr.Bytes())
	}
	return asked.Load(), nil
}

// take takes a line. What it has seen already, behind a cursor that was not moved before it
// died, has taken effect: each event takes effect once, by its sequence.
func (f *feedReader) take(line []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cursor != "" {
		var e audit.Entry
		if err := json.Unmarshal(line, &e); err != nil {
			return err
		}
		if e.Seq <= f.last {
			if !slices.ContainsFunc(f.lines, func(seen []byte) bool { return bytes.Equal(seen, line) }) {
				return fmt.Errorf("behind event %d comes %s", f.last, line)
			}
			f.repeat++
			return nil
		}
		f.last = e.Seq
	}
	f.lines = append(f.lines, line)
	return nil
}

func killedBy(cmd *exec.Cmd) bool { return (&process{cmd: cmd}).killed() }

// TestClusterFeed: a consumer that is killed again and again, while the leader is killed,
// too, sees every event once, in order, and as every node has recorded it.
func TestClusterFeed(t *testing.T) {
	t.Parallel()
	events := 3000
	if s := os.Getenv("IRONMAN_FEED_EVENTS"); s != "" {
		var err error
		if events, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	c := startTrio(t)
	c.clients[0].must(t, 200, "PUT", "/fed", nil)
	f := &feedReader{c: c, rng: rand.New(rand.NewPCG(7, 8)), stop: make(chan struct{}), least: 20}
	byCursor := &feedReader{c: c, rng: rand.New(rand.NewPCG(9, 10)), stop: f.stop, least: 150, cursor: "c"}
	consumed := make(chan error, 2)
	go func() { consumed <- f.run() }()
	go func() { consumed <- byCursor.run() }()

	var acked atomic.Int64
	write := func(until int64) *sync.WaitGroup {
		var wait sync.WaitGroup
		for w := range 9 {
			wait.Go(func() {
				for i := 0; acked.Load() < until; i++ {
					a, err := c.clients[(w+i)%3].try("PUT", fmt.Sprintf("/fed/%d-%d-%d", until, w, i), []byte("text"))
					if err == nil && a.status == 200 {
						acked.Add(1)
					} else if err != nil {
						time.Sleep(5 * time.Millisecond) // a dead node refuses at once
					}
				}
			})
		}
		return &wait
	}
	write(int64(events / 3)).Wait()
	second := write(int64(events))
	lead := c.leader(all()...)
	c.nodes[lead].kill()
	second.Wait()
	c.restart(lead)
	c.settled()
	c.agree(all()...)
	end := int(c.nodes[0].status().Events)
	c.await("the consumer has seen all", func() error {
		if n := len(f.seen()); n < end {
			return fmt.Errorf("%d of %d events", n, end)
		}
		return nil
	})
	fed := c.fed()
	c.await("the consumer by a cursor has seen all", func() error {
		select {
		case err := <-consumed:
			t.Fatalf("a consumer has ended: %v", err)
		default:
		}
		if n := len(byCursor.seen()); n < len(fed) {
			return fmt.Errorf("%d of %d events", n, len(fed))
		}
		return nil
	})
	close(f.stop)
	if err := errors.Join(<-consumed, <-consumed); err != nil {
		t.Fatal(err)
	}
	for i, line := range byCursor.seen() {
		if !bytes.Equal(line, fed[i]) {
			t.Fatalf("line %d of the consumer by a cursor is\n%s\nwant\n%s", i, line, fed[i])
		}
	}
	lines := f.seen()
	for i, line := range lines {
		var e audit.Entry
		if err := json.Unmarshal(line, &e); err != nil || e.Seq != uint64(i) {
			t.Fatalf("line %d of the consumer is event %d: %v", i, e.Seq, err)
		}
	}
	for i := range c.nodes {
		c.recorded(i, lines[:end])
	}
	t.Logf("%d events, %d deaths of the consumer; by a cursor %d deaths, %d lines again", end, f.killed, byCursor.killed, byCursor.repeat)
	if f.killed < 3 || byCursor.killed < 3 {
		t.Error("the consumer was hardly killed")
	}
	c.onlineAudit(end)
}

// fed is the feed of the bucket, as one node tells it. A node that was away for long first
// fetches what it missed of the record.
func (c *trio) fed() (lines [][]byte) {
	c.Helper()
	for from, more := 0, true; more; {
		var a *answer
		c.await("the node has the record", func() (err error) {
			a, err = c.clients[0].try("GET", fmt.Sprintf("/fed?feed&from=%d&to=end", from), nil)
			if err == nil && a.status != 200 {
				err = fmt.Errorf("from %d on: %v", from, a)
			}
			return err
		})
		page := bytes.Split(bytes.TrimSpace(a.body), []byte("\n"))
		var tail struct {
			Next int
			More bool
		}
		if err := json.Unmarshal(page[len(page)-1], &tail); err != nil {
			c.Fatal(err)
		}
		lines = append(lines, page[:len(page)-1]...)
		from, more = tail.Next, tail.More
	}
	return lines
}

// recorded wants a node to tell of these events as the consumer heard of them.
func (c *trio) recorded(node int, lines [][]byte) {
	c.Helper()
	for from := 0; from < len(lines); {
		var a *answer
		c.await("the node has the record", func() (err error) {
			a, err = c.askAdmin(node, "GET", fmt.Sprintf("/-/feed?from=%d&to=%d", from, len(lines)))
			if err == nil && a.status != 200 {
				err = fmt.Errorf("node %d, from %d on: %v", node+1, from, a)
			}
			return err
		})
		page := bytes.Split(bytes.TrimSpace(a.body), []byte("\n"))
		for _, line := range page[:len(page)-1] {
			if !bytes.Equal(line, lines[from]) {
				c.Fatalf("node %d has recorded\n%s\nthe consumer heard\n%s", node+1, line, lines[from])
			}
			from++
		}
		if len(page) == 1 {
			c.Fatalf("node %d has nothing from event %d on: %v", node+1, from, a)
		}
	}
}

// onlineProofs has a node that runs verify its ledger, prove an event, and that the ledger of
// before is where that of now begins; what it answers is checked by the ledger's key.
func (c *trio) onlineProofs(run func(ok bool, args ...string) string, admins string, seq uint64) {
	c.Helper()
	var v struct {
		Events    uint64
		Root, Key string
		RootHex   string `json:"root_hex"`
	}
	if out := run(true, "audit", "verify", "--admin", admins, "--json"); json.Unmarshal([]byte(out), &v) != nil || v.Events < 512 || v.Key == "" {
		c.Fatalf("audit verify prints %s", out)
	}
	run(true, "audit", "verify", "--admin", admins, "--key", v.Key, "--root", v.RootHex)
	other := "ironman/other/1+c1676478+ARf1PI0h/sDroQuRQE3KCSCgKkmhf/DJIRTTmOHJHas7"
	run(false, "audit", "verify", "--admin", admins, "--key", other)
	run(false, "audit", "verify", "--admin", admins, "--root", strings.Repeat("ab", 32))
	file := filepath.Join(c.TempDir(), "proof")
	run(true, "audit", "prove", strconv.FormatUint(seq, 10), "--admin", admins, "-o", file)
	if out := run(true, "audit", "check", file, "--key", v.Key); !strings.Contains(out, "fed") {
		c.Errorf("audit check prints %s", out)
	}
	out := run(true, "audit", "consistency", "300", strconv.FormatUint(v.Events, 10), "--admin", admins, "--key", v.Key)
	if !strings.Contains(out, v.RootHex) {
		c.Errorf("audit consistency prints %s, not %s", out, v.RootHex)
	}
	_, early, _ := strings.Cut(out, "300 events  root ")
	early, _, _ = strings.Cut(early, "\n")
	run(true, "audit", "consistency", "300", "400", "--admin", admins, "--root", early)
	run(false, "audit", "consistency", "301", "400", "--admin", admins, "--root", early)
}

// onlineAudit reads the record of a cluster that runs by the commands that read that of a
// stopped node, also while the first of the addresses is of a dead node.
func (c *trio) onlineAudit(end int) {
	c.Helper()
	run := func(ok bool, args ...string) string {
		c.Helper()
		cmd := exec.Command(program(c), args...)
		cred := c.clients[0].cred
		cmd.Env = append(os.Environ(), append(c.nodes[0].env, "AWS_ACCESS_KEY_ID="+cred.AccessKey, "AWS_SECRET_ACCESS_KEY="+string(cred.Secret.Reveal()))...)
		out, err := cmd.CombinedOutput()
		if (err == nil) != ok {
			c.Fatalf("ironman %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	lead := c.leader(all()...)
	dead := others(lead)[0]
	c.nodes[dead].kill()
	admins := c.nodes[dead].admin + "," + c.nodes[lead].admin
	table := run(true, "audit", "log", "--admin", admins, "--kind", "bucket_created", "--to", strconv.Itoa(end))
	if !strings.HasPrefix(table, "SEQ ") || strings.Count(table, "\n") != 2 || !strings.Contains(table, "CreateBucket") || !strings.Contains(table, "fed") {
		c.Errorf("audit log prints\n%s", table)
	}
	var e audit.Entry
	line := run(true, "feed", "--json", "--admin", admins, "--kind", "bucket_created")
	if err := json.Unmarshal([]byte(line), &e); err != nil || e.Name != "fed" {
		c.Fatalf("feed prints %s: %v", line, err)
	}
	var d audit.Detail
	shown := run(true, "audit", "show", strconv.FormatUint(e.Seq, 10), "--admin", admins)
	if err := json.Unmarshal([]byte(shown), &d); err != nil || d.Seq != e.Seq || d.LeafHash == "" {
		c.Errorf("audit show prints %s: %v", shown, err)
	}
	c.onlineProofs(run, admins, e.Seq)
	endpoints := c.nodes[dead].endpoint + "," + c.nodes[lead].endpoint
	for _, at := range [][]string{{"--admin", admins}, {"--endpoint", endpoints, "--bucket", "fed"}} {
		do := func(ok bool, args ...string) string {
			return run(ok, append(append([]string{"feed"}, args...), at...)...)
		}
		do(true, "cursors", "set", "a cursor", "9")
		do(true, "cursors", "set", "a cursor", "7") // back
		if s := do(true, "cursors", "show", "a cursor"); !strings.HasPrefix(s, "7 ") {
			c.Errorf("feed cursors show prints %s", s)
		}
		if s := do(true, "cursors"); !strings.Contains(s, `"a cursor"`) {
			c.Errorf("feed cursors prints %s", s)
		}
		first := do(true, "--cursor", "a cursor", "--json")
		if err := json.Unmarshal([]byte(first[:strings.IndexByte(first, '\n')]), &e); err != nil || e.Seq < 7 {
			c.Errorf("from the cursor on feed prints %.200s: %v", first, err)
		}
		if s := do(true, "--cursor", "a cursor", "--json", "--kind", "object_put"); s != "" {
			c.Errorf("behind the cursor feed prints %.200s", s)
		}
		do(true, "cursors", "delete", "a cursor")
		do(false, "cursors", "show", "a cursor")
	}
	for _, args := range [][]string{
		{"feed", "--endpoint", endpoints},
		{"feed", "--endpoint", endpoints, "--bucket", "no-such-bucket", "--cursor", "c"},
		{"feed", "mirror", "--from", "fed", "--endpoint", endpoints},
		{"audit", "show", "100000000", "--admin", admins},
		{"audit", "log", "--admin", admins, "--key", "a key"},
		{"audit", "log", "--admin", admins, "--kind", "none"},
		{"audit", "verify"},
		{"audit", "verify", "--admin", admins, "--root", "ab"},
		{"audit", "prove", "100000000", "--admin", admins},
		{"audit", "consistency", "300", "100000000", "--admin", admins},
		{"audit", "log"},
	} {
		run(false, args...)
	}
}
