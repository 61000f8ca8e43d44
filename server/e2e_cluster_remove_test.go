package server_test

import (
	"strings"
	"sync"
	"testing"
)

// TestClusterUnknownNode: that there is no such node is said only by who can know. A
// node that has not heard yet that another joined said so before it had asked, and an
// operator took the other for removed.
func TestClusterUnknownNode(t *testing.T) {
	t.Parallel()
	c := startTrio(t)
	one := c.nodes[0]
	const path = "/-/nodes/remove?node=99"
	if a := one.adminAsk("POST", path); a.status != 404 || !strings.Contains(string(a.body), "no node 99") {
		t.Errorf("with a majority: %d %s", a.status, a.body)
	}
	c.nodes[1].kill()
	c.nodes[2].kill()
	var asked sync.WaitGroup
	asked.Go(func() { // nor is a quota set, or shown, where nobody knows what holds
		if a := one.adminAsk("POST", "/-/quotas/set?bucket=none&bytes=1"); a.status != 503 || !strings.Contains(string(a.body), "no leader") {
			t.Errorf("a quota without a majority: %d %s", a.status, a.body)
		}
	})
	if a := one.adminAsk("POST", path); a.status != 503 || !strings.Contains(string(a.body), "no leader") {
		t.Errorf("without a majority: %d %s", a.status, a.body)
	}
	asked.Wait()
	c.restart(1)
	c.restart(2)
	c.settled()
	if a := one.adminAsk("POST", path); a.status != 404 {
		t.Errorf("with a majority again: %d %s", a.status, a.body)
	}
}
