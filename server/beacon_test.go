package server

import (
	"errors"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/tlog"

	"ironman/fsm"
	"ironman/wal/event"
)

func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		name    string
		self    uint32
		voters  string // by number: = agrees, ! differs, ? not seen; ours is anything
		differs bool
		alone   bool
	}{
		{"all agree", 1, "===", false, false},
		{"one unseen", 1, "=?=", false, false},
		{"one differs from two", 1, "==!", true, false},
		{"we differ from two", 1, "=!!", true, true},
		{"we differ from the only one seen", 1, "=!?", true, true},
		{"two differ", 1, "=!", true, true},
		{"five, one differs", 1, "===!?", true, false},
		{"five, one differs and two are unseen", 1, "==!??", true, true},
		{"we do not vote, and differ", 9, "!!!", true, true},
		{"we do not vote, and one differs", 9, "!==", true, false},
		{"alone in the world", 1, "=", false, false},
	} {
		var voters []uint32
		for i := range c.voters {
			voters = append(voters, uint32(i+1))
		}
		differs, alone := verdict(c.self, voters, func(node uint32) (beacon, bool) {
			if node == c.self {
				t.Errorf("%s: it looks at itself", c.name)
			}
			return beacon{differs: map[byte]string{'!': "root"}[c.voters[node-1]]}, c.voters[node-1] != '?'
		})
		if (differs != "") != c.differs || alone != c.alone {
			t.Errorf("%s: differs %q, alone %v", c.name, differs, alone)
		}
	}
}

// TestFencedStays: a node that was fenced says why it does not start.
func TestFencedStays(t *testing.T) {
	o := Options{FS: vfs.NewMem(), Dir: "node"}
	if err := refuseFenced(&o); err != nil {
		t.Fatal(err)
	}
	if err := o.FS.MkdirAll("node", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := writeDurably(o.FS, "node/"+fencedFile, []byte(`{"reason":"node 2: the root","time":"2026-01-02T03:04:05Z","root":"00","events":7}`)); err != nil {
		t.Fatal(err)
	}
	if err := refuseFenced(&o); err == nil || !strings.Contains(err.Error(), "node 2: the root") || !strings.Contains(err.Error(), "2026-01-02") {
		t.Error(err)
	}
	if err := writeDurably(o.FS, "node/"+fencedFile, []byte("{")); err != nil {
		t.Fatal(err)
	}
	if err := refuseFenced(&o); err == nil {
		t.Error("a damaged mark does not keep it from starting")
	}
}

func TestMilestoneWire(t *testing.T) {
	a, b := fsm.Milestone{Next: 256, Root: tlog.Hash{1}}, fsm.Milestone{Next: 1 << 40, Root: tlog.Hash{2, 3}}
	got, err := parseMilestones(appendMilestone(appendMilestone(nil, a), b), 2)
	if err != nil || got[0] != a || got[1] != b {
		t.Errorf("%v, %v", got, err)
	}
	for _, n := range []int{0, 1, 79, 81, 200} {
		if _, err := parseMilestones(make([]byte, n), 2); !errors.Is(err, event.ErrMalformed) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}
