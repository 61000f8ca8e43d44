package wal

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"ironman/wal/event"
)

// TestHeartbeatWaits (F-R4): the old leader's main goroutine is inside StoreLogs
// when the heartbeats of a new leader arrive. They must wait for it: on the fast
// path they would change its term and state meanwhile (hashicorp/raft#695), which
// the race detector sees, too.
func TestHeartbeatWaits(t *testing.T) {
	var disk gate
	c := newCluster(t, 3, func(m *member, o *Options) {
		if m.id == "node-1" {
			m.holdLog(&disk)
		}
	})
	old := c.nodes[0]
	old.mustPropose(1)
	term := old.raft.CurrentTerm()
	disk.hold()
	lost := make(chan error, 1)
	go func() { lost <- old.propose(2) }()
	c.until("the leader stores the proposal", func() bool { return old.raft.State() == raft.Leader && old.busy() })
	c.wire.oneWay("node-1", "node-2")
	c.wire.oneWay("node-1", "node-3")
	next := c.leader(c.nodes[1:]...)
	next.mustPropose(3)
	time.Sleep(testElection) // ten heartbeats of the new leader
	if got := old.raft.CurrentTerm(); got != term || old.raft.State() != raft.Leader {
		t.Errorf("term %d, %v: a heartbeat went past an append of term %d", got, old.raft.State(), term)
	}
	disk.release()
	if err := <-lost; !errors.Is(err, ErrUnknown) {
		t.Errorf("a proposal of a leader that was replaced: %v", err)
	}
	c.wire.heal()
	seen := c.agree()
	for i, want := range []int{1, 3} {
		if seen[i] != requestName(want) {
			t.Errorf("request %d is not at its place", want)
		}
	}
}

// busy tells whether raft's main goroutine has something to do that does not end.
func (m *member) busy() bool {
	f := make(chan error, 1)
	go func() { f <- m.raft.BootstrapCluster(raft.Configuration{}).Error() }()
	select {
	case <-f:
		return false
	case <-time.After(50 * time.Millisecond):
		return true
	}
}

// TestHungDisk: a leader whose disk hangs keeps the others from electing a new one,
// since its heartbeats go on (hashicorp/raft#503). The stall limit ends it.
func TestHungDisk(t *testing.T) {
	var disk gate
	defer disk.release()
	c := newCluster(t, 3, func(m *member, o *Options) {
		if m.id == "node-1" {
			m.holdLog(&disk)
			o.StallLimit = 5 * testElection
		}
	})
	old := c.nodes[0]
	old.mustPropose(1)
	disk.hold()
	go func() { _ = old.propose(2) }()
	c.until("the disk hangs", old.busy)
	time.Sleep(3 * testElection)
	for _, m := range c.nodes[1:] {
		if id, _ := m.Leader(); id != "node-1" {
			t.Fatalf("%s takes %q for the leader: this test shows nothing", m.id, id)
		}
	}
	select {
	case err := <-old.fatal:
		if !strings.Contains(err.Error(), "hangs") {
			t.Errorf("it ended because of %v", err)
		}
	case <-time.After(10 * testElection):
		t.Fatal("a leader with a hung disk stays")
	}
	c.wire.cut("node-1", "node-2", "node-3") // the process has ended
	c.leader(c.nodes[1:]...)
	c.nodes[1].mustPropose(3)
	c.nodes[2].mustBarrier()
	if c.nodes[2].count(1) != 1 || c.nodes[2].count(3) != 1 {
		t.Error("acknowledged requests are missing")
	}
}

// TestStalledFollower: the leader goes on sending to a follower that stalled
// (hashicorp/raft#612), and does not pipeline.
func TestStalledFollower(t *testing.T) {
	var disk gate
	c := newCluster(t, 3, func(m *member, o *Options) {
		if m.id == "node-3" {
			m.holdLog(&disk)
		}
	})
	_, err := c.nodes[0].transport.AppendEntriesPipeline("node-2", "node-2")
	if !errors.Is(err, raft.ErrPipelineReplicationNotSupported) {
		t.Errorf("pipelining is on: %v", err)
	}
	disk.hold()
	for i := range 50 {
		c.nodes[0].mustPropose(i)
	}
	c.until("the follower stalls", c.nodes[2].busy)
	time.Sleep(2 * testElection)
	disk.release()
	c.until("the follower has all", func() bool { return len(c.nodes[2].machine.requests()) == 50 })
}

// TestRefusedEntries: the leader goes on sending to a follower that refused some
// entries, while others were on their way to it. With pipelining it may stay stuck,
// between who sends, who reads answers, and who has gone (hashicorp/raft#612).
func TestRefusedEntries(t *testing.T) {
	c := newCluster(t, 1, nil)
	one := c.leader()
	f := &moodyFollower{NetworkTransport: raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: c.wire.listen("node-2"), MaxPool: 1, Timeout: 10 * time.Second, Logger: raftLogger(one.opts.Log),
	})}
	ctx, stop := context.WithCancel(t.Context())
	defer f.Close()
	defer stop()
	go f.answer(ctx)
	if err := one.raft.AddNonvoter("node-2", "node-2", 0, 0).Error(); err != nil {
		t.Fatal(err)
	}
	const enough = 8
	for i := 0; f.refused.Load() < enough && i < 3000; i++ {
		one.mustPropose(i)
	}
	for end := time.Now().Add(10 * time.Second); f.last.Load() != one.raft.LastIndex(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			one.down.Store(true) // what is stuck cannot be closed
			c.ended.Store(true)
			t.Fatalf("it refused %d times, and has %d of %d entries: nothing comes any more", f.refused.Load(), f.last.Load(), one.raft.LastIndex())
		}
	}
	if f.refused.Load() < enough {
		t.Errorf("it refused %d times: this test shows nothing", f.refused.Load())
	}
}

// moodyFollower refuses each fourth request with entries that it gets.
type moodyFollower struct {
	*raft.NetworkTransport
	last, refused atomic.Uint64
}

func (f *moodyFollower) answer(ctx context.Context) {
	for n := 1; ; {
		var rpc raft.RPC
		select {
		case rpc = <-f.Consumer():
		case <-ctx.Done():
			return
		}
		req, ok := rpc.Command.(*raft.AppendEntriesRequest)
		if !ok {
			rpc.Respond(nil, errors.New("it takes entries only"))
			continue
		}
		resp := &raft.AppendEntriesResponse{Term: req.Term, LastLog: f.last.Load(), Success: true}
		if len(req.Entries) > 0 {
			time.Sleep(time.Millisecond) // so that the next one is sent meanwhile
			n++
			if req.PrevLogEntry > f.last.Load() || n%4 == 0 {
				resp.Success = false
				f.refused.Add(1)
			} else {
				f.last.Store(max(f.last.Load(), req.PrevLogEntry+uint64(len(req.Entries))))
			}
		}
		rpc.Respond(resp, nil)
	}
}

// TestStuckHandover (F-R5): a handover of leadership that hangs leaves its mark, and
// raft refuses everything in the next term, too (hashicorp/raft#696). The leader
// that cannot commit anything begins anew.
func TestStuckHandover(t *testing.T) {
	c := newCluster(t, 3, func(m *member, o *Options) { o.StallLimit = 4 * testElection })
	one, two, three := c.nodes[0], c.nodes[1], c.nodes[2]
	one.mustPropose(1)
	for _, m := range []*member{two, three} {
		m.badTime.Store(bad("this test wants node-1 to lead"))
		c.until("it is silent", func() bool { return m.transport.silence() != nil })
	}
	c.until("node-2 has all", func() bool { return two.raft.LastIndex() == one.raft.LastIndex() })
	c.wire.way("node-1", "node-2").requests.hold()
	handover := one.raft.LeadershipTransferToServer("node-2", "node-2")
	if err := handover.Error(); err == nil {
		t.Fatal("a handover to a node that hears nothing went well")
	}
	term := one.raft.CurrentTerm()
	one.badTime.Store(bad("lose leadership"))
	c.until("node-1 has lost leadership", func() bool { return one.raft.State() != raft.Leader })
	one.badTime.Store(nil)
	c.until("node-1 leads again", func() bool { return one.raft.State() == raft.Leader && one.raft.CurrentTerm() > term })
	ctx, cancel := context.WithTimeout(t.Context(), testElection)
	defer cancel()
	if _, err := three.Propose(ctx, proposal(t, 2)); !errors.Is(err, ErrNotDone) {
		t.Errorf("a proposal while a handover is stuck: %v", err)
	}
	select {
	case why := <-one.restart:
		if !strings.Contains(why.Error(), "without being able to commit") {
			t.Error(why)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("the leader neither commits nor begins anew")
	}
	two.badTime.Store(nil)
	three.badTime.Store(nil)
	one.crash()
	c.wire.heal()
	one.start()
	one.mustPropose(3)
	if seen := c.agree(); len(seen) != 2 {
		t.Errorf("%d requests were applied", len(seen))
	}
}

// TestSettleWaits: a new leader that has to bring the others up to date first may
// take longer than the stall limit.
func TestSettleWaits(t *testing.T) {
	c := newCluster(t, 1, func(m *member, o *Options) { o.StallLimit = 10 * testElection })
	c.leader()
	s := c.nodes[0].newStandstill()
	for range 3 * standstillChecks {
		c.nodes[0].transport.accepted.Add(1)
		s.check()
	}
	c.nodes[0].transport.installing.Add(1)
	for range 3 * standstillChecks {
		s.check()
	}
	c.nodes[0].transport.installing.Add(-1)
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		for range standstillChecks + 1 {
			s.check()
		}
	}()
	<-stopped
	if len(c.nodes[0].restart) != 1 {
		t.Error("nothing moves, and the node stays")
	}
}

// TestPreVote (T-15): a node that was cut off comes back without raising the term,
// and without deposing the leader.
func TestPreVote(t *testing.T) {
	c := newCluster(t, 3, nil)
	leader := c.leader()
	away := c.without(leader.id)[0]
	leader.mustPropose(1)
	term := leader.raft.CurrentTerm()
	c.wire.cut(away.id, c.others(away.id)...)
	c.until("the node that is cut off campaigns", func() bool { return away.raft.State() == raft.Candidate })
	time.Sleep(6 * testElection) // several campaigns
	if got := away.raft.CurrentTerm(); got != term {
		t.Errorf("a node that is cut off went from term %d to %d", term, got)
	}
	leader.mustPropose(2)
	c.wire.heal()
	away.mustBarrier()
	if away.count(2) != 1 {
		t.Error("the node that came back lacks what was acknowledged meanwhile")
	}
	if !leader.Leads() || leader.raft.CurrentTerm() != term {
		t.Errorf("the leader of term %d was deposed: now %d", term, leader.raft.CurrentTerm())
	}
}

// TestClockSetMeanwhile (F-K1): a clock that is set while a proposal is on its way is judged
// before anything bears its time.
func TestClockSetMeanwhile(t *testing.T) {
	wrong := time.Now().AddDate(1, 0, 0)
	var set atomic.Bool
	c := newCluster(t, 3, func(m *member, o *Options) {
		if m.id != "node-1" {
			return
		}
		o.Now = func() time.Time { // it is set just when it is asked
			if set.Load() {
				m.badTime.Store(bad("the clock is a year ahead"))
				return wrong
			}
			return time.Now()
		}
	})
	one := c.nodes[0]
	one.mustPropose(1)
	set.Store(true)
	ctx, cancel := context.WithTimeout(t.Context(), testElection/2)
	_, err := one.Propose(ctx, proposal(t, 2))
	cancel()
	if !errors.Is(err, ErrNotDone) {
		t.Errorf("a leader whose clock was set: %v", err)
	}
	c.leader(c.nodes[1:]...)
	c.agree()
	for _, m := range c.nodes {
		for _, stamp := range m.machine.stamps() {
			if stamp >= wrong.UnixNano() {
				t.Errorf("%s has an event of %v", m.id, time.Unix(0, stamp))
			}
		}
	}
}

// TestBadClock (F-K1): a leader whose clock turns bad gives up leadership, does not
// get it back, and stamps nothing; when the clock is good again, it may lead.
func TestBadClock(t *testing.T) {
	wrong := time.Now().AddDate(1, 0, 0)
	var one *member
	c := newCluster(t, 3, func(m *member, o *Options) {
		if m.id == "node-1" {
			one = m
			o.Now = func() time.Time {
				if m.badTime.Load() != nil {
					return wrong
				}
				return time.Now()
			}
		}
	})
	one.mustPropose(1)
	one.badTime.Store(bad("the clock is a year ahead"))
	ctx, cancel := context.WithTimeout(t.Context(), testElection/2)
	_, err := one.Propose(ctx, proposal(t, 2)) // before anyone else can lead
	cancel()
	if !errors.Is(err, ErrNotDone) || !strings.Contains(err.Error(), "a year ahead") {
		t.Errorf("a leader with a bad clock: %v", err)
	}
	began := time.Now()
	next := c.leader(c.nodes[1:]...)
	c.until("the old leader knows", func() bool { return one.raft.State() != raft.Leader })
	if d := time.Since(began); d > 10*testElection {
		t.Errorf("it took %v to replace a leader with a bad clock", d)
	}
	one.mustPropose(3) // goes to the new leader
	one.mustBarrier()
	// Now only node-1 could lead: it does not.
	last := c.without(next.id)[1]
	last.badTime.Store(bad("this one neither"))
	c.until("it is silent", func() bool { return last.transport.silence() != nil })
	next.crash()
	time.Sleep(6 * testElection)
	if one.raft.State() == raft.Leader || last.raft.State() == raft.Leader {
		t.Error("a node with a bad clock leads")
	}
	one.badTime.Store(nil)
	c.leader(one)
	one.mustPropose(4)
	last.badTime.Store(nil)
	next.start()
	c.agree()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.nodes {
		for _, stamp := range m.machine.stamps() {
			if stamp >= wrong.UnixNano() {
				t.Errorf("%s applied a stamp of the bad clock", m.id)
			}
		}
	}
}

// TestSilentTakesNoHandover: a node with a bad clock, made to lead by one that is
// closed, would only end the leader's term.
func TestSilentTakesNoHandover(t *testing.T) {
	c := newCluster(t, 3, nil)
	one, two := c.leader(), c.nodes[1]
	term := one.raft.CurrentTerm()
	two.badTime.Store(bad("no"))
	c.until("it is silent", func() bool { return two.transport.silence() != nil })
	if err := one.raft.LeadershipTransferToServer("node-2", "node-2").Error(); err == nil {
		t.Error("it took the handover")
	}
	if two.raft.CurrentTerm() != term || !one.Leads() {
		t.Errorf("term %d, after %d", two.raft.CurrentTerm(), term)
	}
}

// TestBadClockAlone: nobody else can lead, so that it is refused at once.
func TestBadClockAlone(t *testing.T) {
	c := newCluster(t, 1, nil)
	one := c.nodes[0]
	one.badTime.Store(bad("the clock is a day behind"))
	_, err := one.Propose(t.Context(), proposal(t, 1))
	if !errors.Is(err, ErrNotDone) || !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "a day behind") {
		t.Errorf("got %v", err)
	}
	one.mustBarrier() // needs no clock
	one.badTime.Store(nil)
	one.mustPropose(2)
}

// TestAloneStartsAtOnce: the only voter need not wait for an election timeout.
func TestAloneStartsAtOnce(t *testing.T) {
	c := newCluster(t, 1, func(m *member, o *Options) { o.Election = 20 * time.Second })
	began := time.Now()
	c.nodes[0].mustPropose(1)
	c.nodes[0].crash()
	c.nodes[0].start()
	c.nodes[0].mustPropose(2)
	if d := time.Since(began); d > 15*time.Second {
		t.Errorf("it took %v", d)
	}
}

// TestMitigations: raft does not start in a way in which its faults could reach us.
func TestMitigations(t *testing.T) {
	o := &Options{ID: "node-1", Election: time.Second}
	logs := &logStore{}
	if err := checkMitigations(raftConfig(o), &transport{}, logs); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*raft.Config){
		"no pre-vote":       func(c *raft.Config) { c.PreVoteDisabled = true },
		"restore committed": func(c *raft.Config) { c.RestoreCommittedLogs = true },
		"restore snapshot":  func(c *raft.Config) { c.NoSnapshotRestoreOnStart = false },
		"short lease":       func(c *raft.Config) { c.LeaderLeaseTimeout /= 2 },
		"long election":     func(c *raft.Config) { c.ElectionTimeout *= 2 },
		"buffered":          func(c *raft.Config) { c.BatchApplyCh = true },
		"shutdown":          func(c *raft.Config) { c.ShutdownOnRemove = true },
	} {
		config := raftConfig(o)
		change(config)
		if checkMitigations(config, &transport{}, logs) == nil {
			t.Errorf("%s is allowed", name)
		}
	}
	_, inmem := raft.NewInmemTransport("")
	if checkMitigations(raftConfig(o), inmem, logs) == nil {
		t.Error("another transport is allowed")
	}
	if checkMitigations(raftConfig(o), &transport{}, raft.NewInmemStore()) == nil {
		t.Error("a log with gaps is allowed")
	}
}

// stamps are those of the applied events.
func (m *tracedMachine) stamps() []int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]int64(nil), m.stamped...)
}

func stampOf(data []byte) int64 {
	if data == nil {
		return 0
	}
	stamp, _, err := event.ParseEntry(data)
	if err != nil {
		panic(err)
	}
	return stamp
}
