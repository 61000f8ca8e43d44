package server_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestClusterSetBack: F-D13. A node that comes back as it was before its last start
// must not take part, however often it is started: each start raises its counter, and
// so past what the others know; and whether or not they remember its last start from a
// connection.
func TestClusterSetBack(t *testing.T) {
	t.Parallel()
	c := startTrio(t)
	p := c.nodes[2]
	c.clients[0].must(t, 200, "PUT", "/setback", nil)
	p.stop()
	saved := t.TempDir()
	for i, d := range append([]string{p.dir}, p.disks...) {
		putBack(t, d, filepath.Join(saved, string(rune('a'+i))))
	}
	p.start()
	c.settled()
	c.clients[2].must(t, 200, "PUT", "/setback/forgotten", content(1, 1000))
	p.stop()
	for i, d := range append([]string{p.dir}, p.disks...) {
		putBack(t, filepath.Join(saved, string(rune('a'+i))), d)
	}
	for _, name := range []string{"identity.json", "keyring.json"} {
		if err := os.Chmod(filepath.Join(p.dir, name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, i := range others(2) {
		c.nodes[i].stop()
	}
	c.restart(others(2)...)
	for n := range 3 {
		at := p.log.size()
		if err := p.tryStart(); err == nil {
			t.Fatalf("start %d from an old copy serves", n+1)
		}
		if said := p.log.from(at); p.killed() || !strings.Contains(said, "directory is an old copy") || strings.Contains(said, "raft: election won") {
			t.Fatalf("start %d from an old copy does not say why it ends, or does more:\n%s", n+1, p.log.tail(3000))
		}
	}
	c.reads(0, "/setback/forgotten", content(1, 1000))
	c.clients[1].must(t, 200, "PUT", "/setback/others", content(2, 1000))
}
