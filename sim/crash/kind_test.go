package crash

import (
	"strings"

	"ironman/sim/disk"
)

// kinds of files that a node has.
func kinds() []string {
	return []string{"log", "stable", "state", "snapshot", "pack", "ledger", "identity"}
}

// kindOf tells what an operation is about.
func kindOf(op disk.Op) string {
	path, ok := strings.CutPrefix(op.Path, nodeDir)
	if !ok {
		if strings.Contains(op.Path, "/packs") {
			return "pack"
		}
		return "identity" // of a disk
	}
	for _, k := range []struct{ prefix, kind string }{
		{"/state", "state"}, {"/wal/log", "log"}, {"/wal/snapshots", "snapshot"}, {"/wal/ledger", "ledger"}, {"/wal", "stable"},
	} {
		if strings.HasPrefix(path, k.prefix) {
			return k.kind
		}
	}
	return "identity" // of the node: its own files
}

// surveyed is what the first run does.
type surveyed struct {
	total int
	at    map[string][]int // by kind, the numbers of its operations
	did   map[string]int   // what it must have done at least once
}

// survey makes the first run, to see what there is to be cut.
func (c *campaign) survey() {
	s := &surveyed{at: make(map[string][]int), did: make(map[string]int)}
	c.record(func(n int, op disk.Op) []loss {
		s.total = n
		kind := kindOf(op)
		s.at[kind] = append(s.at[kind], n)
		s.did[op.Kind.String()]++
		s.did[kind+" "+op.Kind.String()]++
		if op.Kind == disk.Rename && kind == "snapshot" && strings.Contains(op.Path, "/tmp-") {
			s.did["snapshot published"]++
		}
		if op.Kind == disk.Remove && strings.Contains(op.Path, "/state/marker.manifest") {
			s.did["manifest of the state replaced"]++
		}
		return nil
	})
	c.surveyed = s
	for _, must := range []struct {
		what string
		n    int
	}{
		{"log create", 6}, {"log remove", 1}, {"snapshot published", 2}, {"snapshot remove", 1}, {"link", 1},
		{"ledger rename", 3}, {"pack create", 6}, {"pack remove", 1}, {"state remove", 1}, {"state rename", 1},
		{"manifest of the state replaced", 1}, {"stable write", 2}, {"stable rename", 1}, {"identity rename", 5},
		{"mkdir", 1}, {"sync", 1}, {"syncdata", 1}, {"syncdir", 1},
	} {
		if s.did[must.what] < must.n {
			c.t.Errorf("C7: the run has %d times %q, and should have at least %d", s.did[must.what], must.what, must.n)
		}
	}
}

// tell says what was tried, and demands that it was something.
func (c *campaign) tell(e extent) {
	atLeast := 20
	if e.perKind > 0 {
		atLeast = e.perKind / 2 // the last ones of a kind may not come again
	}
	for _, kind := range kinds() {
		c.t.Logf("%-9s %5d operations, %5d ends of the node before one", kind, len(c.surveyed.at[kind]), c.tried[kind])
		if c.tried[kind] < atLeast {
			c.t.Errorf("C7: only %d ends of the node before an operation on the %s", c.tried[kind], kind)
		}
	}
	c.t.Logf("%d ends of the node, %d of them with a request under way, %d failures", c.done, c.open, c.failed)
	if c.open == 0 {
		c.t.Error("C7: no request was ever under way")
	}
	for i, f := range c.disks[0].Fired() {
		for _, d := range c.disks[1:] {
			f.N += d.Fired()[i].N
		}
		if f.N > 0 {
			c.t.Logf("%-5s %8d  %s", f.ID, f.N, f.Name)
		}
	}
}
