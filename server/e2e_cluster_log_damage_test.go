package server_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// sealedLog are the sealed files of a node's log, oldest first.
func (p *process) sealedLog() []string {
	p.t.Helper()
	files, err := filepath.Glob(filepath.Join(p.dir, "wal", "log", "*.wal"))
	if err != nil || len(files) < 5 {
		p.t.Fatalf("%v, %v", files, err)
	}
	slices.Sort(files)
	return files[:len(files)-2] // one is open, one is spare
}

// rot flips bits at the beginning of the n-th block of a log file, where a frame is.
func rot(t testing.TB, path string, block int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 100)
	if _, err := f.ReadAt(b, block*4096); err != nil {
		t.Fatal(err)
	}
	b[4] ^= 1  // the length
	b[90] ^= 8 // the body
	if _, err := f.WriteAt(b, block*4096); err != nil {
		t.Fatal(err)
	}
}

// mended counts how often a node said that it wrote entries again.
func (p *process) mended() int {
	return strings.Count(p.log.String(), "damaged entries were written again")
}

// TestClusterLogDamage (T-17, F-D6): bits of a node's sealed log files flip while it is
// down. It takes the entries from the others, which its own ledger proves, says so,
// and is equal to them. With nobody to ask it refuses to start, and changes nothing.
func TestClusterLogDamage(t *testing.T) {
	t.Parallel()
	c := startTrio(t, "--log-segment-bytes", "65536")
	c.clients[0].must(t, 200, "PUT", "/rot", nil)
	objects := 0
	put := func(n int, through ...int) {
		for range n {
			objects++
			c.clients[through[objects%len(through)]].must(t, 200, "PUT", fmt.Sprintf("/rot/%d", objects), content(uint64(objects), 100))
		}
	}
	put(400, all()...)
	c.agree(all()...)
	victim := others(c.leader(all()...))[0]
	stay, p := others(victim), c.nodes[victim]

	p.stop()
	put(20, stay...)
	files := p.sealedLog()
	rot(t, files[1], 2)
	rot(t, files[1], 3)
	rot(t, files[len(files)-1], 1)
	p.start()
	c.settled()
	c.agree(all()...)
	if p.mended() != 1 {
		t.Errorf("it did not say that it mended its log:\n%s", p.log.tail(3000))
	}
	if m := string(p.adminGet("/-/metrics")); !strings.Contains(m, "\nironman_log_damaged_total 3\n") || !strings.Contains(m, "\nironman_log_mended_total 3\n") {
		t.Errorf("metrics do not count it: %s", m)
	}
	put(50, victim)
	c.reads(victim, "/rot/1", content(1, 100))

	// One other node is enough where the ledger proves it.
	p.stop()
	c.nodes[stay[0]].kill()
	rot(t, files[2], 4)
	p.start()
	if p.mended() != 2 || !strings.Contains(p.log.String(), "leaf=true") {
		t.Errorf("one node did not do:\n%s", p.log.tail(3000))
	}
	put(5, victim, stay[1])

	// None is not.
	p.stop()
	c.nodes[stay[1]].kill()
	rot(t, files[0], 3)
	before, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := p.tryStart(); err == nil {
		t.Fatal("it started with a damaged log, and without the others")
	}
	for _, want := range []string{"the log is damaged", filepath.Base(files[0]), "start this node when the others can be reached", "do not delete or truncate anything"} {
		if !strings.Contains(p.log.tail(3000), want) {
			t.Errorf("it does not say %q:\n%s", want, p.log.tail(3000))
		}
	}
	if after, err := os.ReadFile(files[0]); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file was changed, %v", err)
	}
	c.restart(all()...)
	c.settled()
	c.agree(all()...)
	for i := 1; i <= objects; i += 17 {
		c.reads(victim, fmt.Sprintf("/rot/%d", i), content(uint64(i), 100))
	}
}

// TestLogDamageAlone: a single node with a damaged log has nobody to ask, and refuses.
func TestLogDamageAlone(t *testing.T) {
	t.Parallel()
	p := newProcess(t, "--log-segment-bytes", "65536")
	p.start()
	c := p.client()
	c.must(t, 200, "PUT", "/rot", nil)
	for i := range 100 {
		c.must(t, 200, "PUT", fmt.Sprintf("/rot/%d", i), content(uint64(i), 100))
	}
	p.stop()
	rot(t, p.sealedLog()[0], 3)
	if err := p.tryStart(); err == nil {
		t.Fatal("it started with a damaged log")
	}
	for _, want := range []string{"the log is damaged", "there is no other node to ask", "restore this disk"} {
		if !strings.Contains(p.log.tail(3000), want) {
			t.Errorf("it does not say %q:\n%s", want, p.log.tail(3000))
		}
	}
}
