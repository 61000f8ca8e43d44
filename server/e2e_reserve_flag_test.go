package server_test

import (
	"strings"
	"testing"
)

// TestReserveFlag: --reserve reaches the node. No file system has so much to spare.
func TestReserveFlag(t *testing.T) {
	p := newProcess(t)
	p.start("--reserve", "0")
	c := p.client()
	c.must(t, 200, "PUT", "/reserve", nil)
	c.must(t, 200, "PUT", "/reserve/object", content(1, 1000))
	p.stop()
	p.start("--reserve", "1000TiB")
	c = p.client()
	c.refused(t, 507, "InsufficientStorage", "PUT", "/reserve/more", content(1, 1000))
	c.must(t, 200, "GET", "/reserve/object", nil)
	c.must(t, 204, "DELETE", "/reserve/object", nil)
	if n := strings.Count(p.log.String(), "below the reserve"); n != 7 {
		t.Errorf("it was said %d times, not once of the node and once of each disk", n)
	}
	p.stop()
	if err := p.tryStart("--reserve", "a lot"); err == nil || !strings.Contains(p.log.tail(1000), "--reserve") {
		t.Errorf("a reserve of a lot: %v", err)
	}
}
