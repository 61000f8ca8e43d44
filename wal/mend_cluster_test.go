package wal

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/wal/segment"
)

// newMendCluster has small log files, and nodes that know each other before they
// know the configuration.
func newMendCluster(t *testing.T, size int, tune func(*Options)) *cluster {
	t.Helper()
	c := newCluster(t, size, func(m *member, o *Options) {
		o.SegmentBytes, o.MendPatience = 64<<10, 300*time.Millisecond
		o.Others = func() (ids []string) {
			for _, id := range []string{"node-1", "node-2", "node-3"}[:size] {
				if id != m.id {
					ids = append(ids, id)
				}
			}
			return ids
		}
		if tune != nil {
			tune(o)
		}
	})
	for i := range 120 {
		c.nodes[0].mustPropose(i)
	}
	c.agree()
	return c
}

// rot changes a byte of the n-th of a node's log files.
func (m *member) rot(n int, off int64) {
	m.c.t.Helper()
	const dir = "wal/log"
	names, err := m.fs.List(dir)
	var files []string
	for _, name := range names {
		if strings.HasSuffix(name, ".wal") {
			files = append(files, name)
		}
	}
	slices.Sort(files)
	if err != nil || len(files) < n+3 {
		m.c.t.Fatalf("%v, %v: nothing is sealed", files, err)
	}
	f, err := m.fs.OpenReadWrite(m.fs.PathJoin(dir, files[n]), vfs.WriteCategoryUnspecified)
	if err != nil {
		m.c.t.Fatal(err)
	}
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, off); err != nil {
		m.c.t.Fatal(err)
	}
	b[0] ^= 0x40
	_, err = f.WriteAt(b, off)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		m.c.t.Fatal(err)
	}
}

// TestClusterMends (T-17, F-D6): a node comes back with damage in several sealed files
// and equals the others; also one that has to be asked for what it has.
func TestClusterMends(t *testing.T) {
	c := newMendCluster(t, 3, nil)
	c.leader()
	victim := c.nodes[2]
	victim.stop()
	for i := range 5 {
		c.nodes[1].mustPropose(1000 + i)
	}
	victim.rot(0, 4096+80)
	victim.rot(0, 3*4096+20)
	victim.rot(1, 2*4096+4)
	victim.start()
	if found, mended := victim.Damaged(); found != 3 || mended != 3 {
		t.Errorf("%d entries were found damaged, %d mended", found, mended)
	}
	if got := len(c.agree()); got != 125 {
		t.Errorf("%d requests were applied", got)
	}
	for i := victim.log.First(); i <= c.nodes[0].raft.AppliedIndex(); i++ {
		ours, err := victim.log.Entry(i)
		theirs, err2 := c.nodes[0].log.Entry(i)
		if err != nil || err2 != nil || !sameEntry(ours, theirs) || !ours.AppendedAt.Equal(theirs.AppendedAt) {
			t.Fatalf("entry %d: %v, %v, or they differ", i, err, err2)
		}
	}
	victim.stop()
	victim.start() // of what is on disk now
	if found, _ := victim.Damaged(); found != 0 {
		t.Errorf("%d entries are damaged again", found)
	}
	c.agree()
}

// TestClusterCannotMend: with too few others the node refuses to start, says what to
// do, and changes nothing; it starts when they are back.
func TestClusterCannotMend(t *testing.T) {
	c := newMendCluster(t, 3, nil)
	victim := c.nodes[2]
	victim.stop()
	victim.rot(0, 4096+80)
	refuses := func(want string) {
		t.Helper()
		err := victim.tryStart()
		if err == nil {
			t.Fatal("it started")
		}
		if !errors.Is(err, segment.ErrCorrupt) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "start this node when the others can be reached") {
			t.Errorf("%v, want %q", err, want)
		}
	}
	c.wire.cut("node-3", "node-1")
	refuses("takes a second node") // the fake's leaves do not outlive it
	c.wire.cut("node-3", "node-2")
	refuses("nobody gives them")
	c.wire.heal()
	victim.start()
	c.agree()
}

// TestAloneCannotMend: a single node has nobody to ask.
func TestAloneCannotMend(t *testing.T) {
	c := newMendCluster(t, 1, nil)
	c.nodes[0].stop()
	c.nodes[0].rot(0, 4096+80)
	if err := c.nodes[0].tryStart(); !errors.Is(err, segment.ErrCorrupt) || !strings.Contains(err.Error(), "no other node to ask") {
		t.Errorf("%v", err)
	}
}

// TestEntryIsForMembers: nothing of the log is given to a node that was removed, and
// nothing that is not committed to anybody.
func TestEntryIsForMembers(t *testing.T) {
	c := newMendCluster(t, 3, nil)
	lead := c.leader()
	ctx := t.Context()
	if e, err := c.nodes[1].askEntry(ctx, "node-1", 5); err != nil || e.Index != 5 {
		t.Errorf("%+v, %v", e, err)
	}
	if _, err := c.nodes[1].askEntry(ctx, "node-1", lead.raft.LastIndex()+1); !errors.Is(err, ErrNotDone) {
		t.Errorf("an entry that is not there: %v", err)
	}
	c.wire.cut(lead.id, c.others(lead.id)...)
	undecided := make(chan error, 1)
	go func() { undecided <- lead.propose(2000) }()
	c.until("the leader has an entry that is not committed", func() bool { return lead.raft.LastIndex() > lead.raft.CommitIndex() })
	if _, err := lead.answerEntry(lead.raft.LastIndex()); !errors.Is(err, ErrNotDone) {
		t.Errorf("an entry that is not committed: %v", err)
	}
	c.wire.heal()
	<-undecided // however it ends
	lead = c.leader()
	if err := lead.RemoveMember(ctx, "node-2"); err != nil {
		t.Fatal(err)
	}
	c.until("all have heard that", func() bool { return len(c.nodes[2].Members()) == 2 })
	for _, id := range []string{"node-1", "node-3"} {
		if _, err := c.nodes[1].askEntry(ctx, id, 5); !errors.Is(err, ErrRefused) {
			t.Errorf("%s gives a node that was removed: %v", id, err)
		}
	}
}

// TestScrubMends: what rots while the node runs is found and mended.
func TestScrubMends(t *testing.T) {
	c := newMendCluster(t, 3, func(o *Options) { o.ScrubEvery, o.ScrubBytes = 20*time.Millisecond, 1<<30 })
	victim := c.nodes[1]
	if found, _ := victim.Damaged(); found != 0 {
		t.Errorf("%d entries are damaged, and nothing was", found)
	}
	victim.rot(0, 4096+80)
	victim.rot(1, 4096+80)
	c.until("it is mended", func() bool { _, mended := victim.Damaged(); return mended >= 2 })
	victim.stop()
	victim.start()
	if _, mended := victim.Damaged(); mended != 0 {
		t.Errorf("%d entries had to be mended again", mended)
	}
	c.agree()
}

// TestScrubSpares: what a snapshot and the ledger hold is not mended, and the log
// begins behind it.
func TestScrubSpares(t *testing.T) {
	c := newMendCluster(t, 1, nil)
	n := c.nodes[0]
	if err := n.OpenLedger("test", nil, nil); err != nil {
		t.Fatal(err)
	}
	for i := range 400 {
		n.mustPropose(1000 + i)
	}
	c.until("they are archived", func() bool { return n.Archived() >= 512 })
	if err := n.Snapshot(); err != nil {
		t.Fatal(err)
	}
	n.rot(0, 4096+80)
	n.scrubOnce(t.Context())
	found, mended := n.Damaged()
	if found != 1 || mended != 0 || n.log.First() == 1 {
		t.Errorf("%d found, %d mended, the log begins at %d", found, mended, n.log.First())
	}
	n.mustPropose(1)
	n.stop()
	if err := n.tryStart(); err != nil {
		t.Errorf("it does not start: %v", err)
	}
}
