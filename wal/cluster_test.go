package wal

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"ironman/wal/digest"
)

// testElection is short, but long enough for two cores under the race detector.
const testElection = 300 * time.Millisecond

// cluster is some nodes in one process over a wire.
type cluster struct {
	t     *testing.T
	wire  *wire
	nodes []*member
	tune  func(*member, *Options)

	// ghost knows, for every index, the entry that any node ever applied there.
	mu    sync.Mutex
	ghost map[uint64]ghostEntry
	ended atomic.Bool // a node ended its process: what it left behind stays
}

type ghostEntry struct {
	term uint64
	sum  uint32
}

// member is one node, over all its restarts.
type member struct {
	*Node
	c       *cluster
	id      string
	fs      *vfs.MemFS // a crashable one
	disk    vfs.FS     // fs, or what a test put around it
	machine *tracedMachine
	badTime atomic.Pointer[error] // what MayLead returns
	fatal   chan error
	restart chan error
	down    atomic.Bool
}

// tracedMachine tells the cluster what it applies.
type tracedMachine struct {
	*fakeMachine
	c    *cluster
	slow gate // Apply waits for it

	stamped []int64 // of the events
}

func (m *tracedMachine) Apply(in []Committed) []Applied {
	_ = m.slow.pass(context.Background())
	m.mu.Lock()
	for _, e := range in {
		m.stamped = append(m.stamped, stampOf(e.Data))
	}
	m.mu.Unlock()
	m.c.mu.Lock()
	for _, e := range in {
		g := ghostEntry{term: e.Term, sum: digest.CRC32C(e.Data)}
		if old, ok := m.c.ghost[e.Index]; ok && old != g {
			m.c.t.Errorf("entry %d is %+v, and was %+v on another node or in another life", e.Index, g, old)
		}
		m.c.ghost[e.Index] = g
	}
	m.c.mu.Unlock()
	return m.fakeMachine.Apply(in)
}

// requests are the ids of the requests that were applied, in order.
func (m *tracedMachine) requests() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.seen)
}

// newCluster starts node-1 alone and adds the others to it.
func newCluster(t *testing.T, size int, tune func(*member, *Options)) *cluster {
	t.Helper()
	c := &cluster{t: t, tune: tune, ghost: make(map[uint64]ghostEntry)}
	t.Cleanup(func() {
		if !c.ended.Load() {
			checkLeaks(t)
		}
	})
	c.wire = newWire(t)
	t.Cleanup(c.close)
	for i := range size {
		c.add(fmt.Sprintf("node-%d", i+1)).start()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for _, m := range c.nodes[1:] {
		if err := c.nodes[0].AddMember(ctx, m.id); err != nil {
			t.Fatalf("adding %s: %v", m.id, err)
		}
	}
	c.until("all have heard who the members are", func() bool {
		want := c.nodes[0].Members()
		return !slices.ContainsFunc(c.nodes, func(m *member) bool { return !slices.Equal(m.Members(), want) })
	})
	return c
}

func (c *cluster) add(id string) *member {
	m := &member{c: c, id: id, fs: vfs.NewCrashableMem(), fatal: make(chan error, 16), restart: make(chan error, 16)}
	m.down.Store(true)
	c.nodes = append(c.nodes, m)
	return m
}

func (c *cluster) close() {
	c.wire.heal()
	for _, m := range c.nodes {
		if !m.down.Load() {
			m.stop()
		}
	}
}

// start opens the node on what its disk holds.
func (m *member) start() {
	m.c.t.Helper()
	if err := m.tryStart(); err != nil {
		m.c.t.Fatalf("%s: %v", m.id, err)
	}
}

func (m *member) tryStart() error {
	m.c.t.Helper()
	if m.disk == nil {
		m.disk = m.fs
	}
	m.machine = &tracedMachine{fakeMachine: openFake(m.c.t, m.fs, "state"), c: m.c}
	o := Options{
		FS: m.disk, Dir: "wal", ID: m.id, Machine: m.machine, Peers: m.c.wire.listen(m.id), Ask: m.c.wire.ask(m.id), Now: time.Now,
		MayLead: func() error {
			if why := m.badTime.Load(); why != nil {
				return *why
			}
			return nil
		},
		Fatal:     func(err error) { m.end(m.fatal, err) },
		Restart:   func(reason string) { m.end(m.restart, errors.New(reason)) },
		Bootstrap: m.id == "node-1", SegmentBytes: 1 << 20, SnapshotEntries: 1 << 20, Election: testElection, StallLimit: 20 * time.Second,
	}
	if m.c.tune != nil {
		m.c.tune(m, &o)
		o.FS = m.disk
	}
	n, err := Open(o)
	if err != nil {
		return errors.Join(err, o.Peers.Close())
	}
	m.Node = n
	m.down.Store(false)
	m.c.wire.set(m.id, n)
	return nil
}

// end is the end of the node's process, as far as that can be: the goroutine that
// asked for it goes no further.
func (m *member) end(how chan error, why error) {
	m.c.ended.Store(true)
	select {
	case how <- why:
	default:
	}
	runtime.Goexit()
}

func (w *wire) set(id string, n *Node) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nodes[id] = n
}

// stop closes the node.
func (m *member) stop() {
	m.c.t.Helper()
	err := m.Close()
	m.down.Store(true)
	m.c.wire.set(m.id, nil)
	if err != nil {
		m.c.t.Errorf("%s: %v", m.id, err)
	}
}

// crash takes the node off the wire and its disk back to what was synced.
func (m *member) crash() {
	m.c.t.Helper()
	m.down.Store(true)
	m.c.wire.set(m.id, nil)
	others := m.c.others(m.id)
	m.c.wire.cut(m.id, others...)
	clone := m.fs.CrashClone(vfs.CrashCloneCfg{})
	if err := m.Close(); err != nil {
		m.c.t.Errorf("%s: %v", m.id, err)
	}
	m.fs, m.disk = clone, nil
	for _, o := range others {
		m.c.wire.way(m.id, o).setCut(false)
		m.c.wire.way(o, m.id).setCut(false)
	}
}

func (c *cluster) others(id string) []string {
	var ids []string
	for _, m := range c.nodes {
		if m.id != id {
			ids = append(ids, m.id)
		}
	}
	return ids
}

func (c *cluster) without(id string) []*member {
	return slices.DeleteFunc(slices.Clone(c.nodes), func(m *member) bool { return m.id == id })
}

// leader waits until one of the nodes leads, and its leadership is settled.
func (c *cluster) leader(among ...*member) *member {
	c.t.Helper()
	if len(among) == 0 {
		among = c.nodes
	}
	var leader *member
	c.until("one of the nodes leads", func() bool {
		for _, m := range among {
			if !m.down.Load() && m.Leads() {
				leader = m
				return true
			}
		}
		return false
	})
	return leader
}

// until waits for a condition.
func (c *cluster) until(what string, holds func() bool) {
	c.t.Helper()
	for end := time.Now().Add(20 * time.Second); !holds(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			c.t.Fatalf("it did not come to pass that %s", what)
		}
	}
}

// propose has request i committed through a node.
func (m *member) propose(i int) error {
	_, err := m.Propose(m.c.t.Context(), proposal(m.c.t, i))
	return err
}

func (m *member) mustPropose(i int) {
	m.c.t.Helper()
	if err := m.propose(i); err != nil {
		m.c.t.Fatalf("%s: proposal %d: %v", m.id, i, err)
	}
}

func (m *member) mustBarrier() {
	m.c.t.Helper()
	if err := m.Barrier(m.c.t.Context()); err != nil {
		m.c.t.Fatalf("%s: barrier: %v", m.id, err)
	}
}

// requestName is how a machine lists request i.
func requestName(i int) string {
	id := make([]byte, 16)
	copy(id, fmt.Sprintf("request %d", i))
	return hex.EncodeToString(id)
}

// count tells how often a machine applied request i.
func (m *member) count(i int) (n int) {
	for _, r := range m.machine.requests() {
		if r == requestName(i) {
			n++
		}
	}
	return n
}

// agree brings all nodes to one point and compares what they applied.
func (c *cluster) agree() []string {
	c.t.Helper()
	for limit := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		var first []string
		same, begun := true, false
		for _, m := range c.nodes {
			if m.down.Load() {
				continue
			}
			m.mustBarrier()
			seen := m.machine.requests()
			if !begun {
				first, begun = seen, true
				continue
			}
			if n := min(len(first), len(seen)); !slices.Equal(first[:n], seen[:n]) {
				c.t.Fatalf("%s applied other requests than another node, or in another order", m.id)
			}
			same = same && len(first) == len(seen)
		}
		if same {
			return first
		}
		// What a client gave up may still be on its way.
		if time.Now().After(limit) {
			c.t.Fatal("the nodes do not come to hold the same requests")
		}
	}
}

// checkLeaks fails the test if goroutines of this package or of raft are left.
func checkLeaks(t *testing.T) {
	t.Helper()
	var left []string
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if left = ours(); len(left) == 0 {
			return
		}
	}
	t.Errorf("%d goroutines are left:\n%s", len(left), strings.Join(left, "\n\n"))
}

func ours() (left []string) {
	b := make([]byte, 4<<20)
	b = b[:runtime.Stack(b, true)]
	for i, g := range bytes.Split(b, []byte("\n\n")) {
		if i > 0 && (bytes.Contains(g, []byte("ironman/wal.")) || bytes.Contains(g, []byte("hashicorp/raft."))) && !bytes.Contains(g, []byte("testing.tRunner")) {
			left = append(left, string(g))
		}
	}
	return left
}

// holdLog makes the syncs of a node's log wait until the gate is released. It
// belongs into tune.
func (m *member) holdLog(g *gate) {
	m.disk = errorfs.Wrap(m.fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpFileSyncData && strings.Contains(op.Path, "wal/log/") {
			return g.pass(context.Background())
		}
		return nil
	}))
}

func bad(text string) *error {
	err := errors.New(text)
	return &err
}

// TestClusterServes: proposals and barriers at each of three nodes.
func TestClusterServes(t *testing.T) {
	c := newCluster(t, 3, nil)
	for i, m := range c.nodes {
		m.mustPropose(i)
		if m.count(i) != 1 {
			t.Errorf("%s: a proposal that returned is not applied there", m.id)
		}
		for _, o := range c.nodes {
			o.mustBarrier()
			if o.count(i) != 1 {
				t.Errorf("%s does not show after its barrier what %s acknowledged before", o.id, m.id)
			}
		}
	}
	if got := len(c.agree()); got != 3 {
		t.Errorf("%d requests were applied", got)
	}
	for _, m := range c.nodes {
		id, known := m.Leader()
		want := []Member{{"node-1", true}, {"node-2", true}, {"node-3", true}}
		if id != "node-1" || !known || m.Leads() != (m.id == id) || !slices.Equal(m.Members(), want) {
			t.Errorf("%s: leader %q, leads %t, members %v", m.id, id, m.Leads(), m.Members())
		}
	}
}
