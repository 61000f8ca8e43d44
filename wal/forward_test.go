package wal

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"
	"google.golang.org/protobuf/proto"

	"ironman/wal/event"
)

// within proposes request i with a deadline.
func (m *member) within(d time.Duration, i int) error {
	ctx, cancel := context.WithTimeout(m.c.t.Context(), d)
	defer cancel()
	_, err := m.Propose(ctx, proposal(m.c.t, i))
	return err
}

// TestForwarded: what a follower proposes has the leader's stamp, and the outcome
// that the leader's machine gave.
func TestForwarded(t *testing.T) {
	stamp := time.Unix(1_000_000_000, 5)
	c := newCluster(t, 2, func(m *member, o *Options) {
		if m.id == "node-1" {
			o.Now = func() time.Time { return stamp }
		}
	})
	c.nodes[0].mustPropose(0)
	a, err := c.nodes[1].Propose(t.Context(), proposal(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	if want := (&event.Outcome{Time: 2}); a.Seq != 1 || a.Duplicate || !proto.Equal(a.Outcome, want) {
		t.Errorf("%+v", a)
	}
	for _, s := range c.nodes[1].machine.stamps() {
		if s != 0 && s != stamp.UnixNano() {
			t.Errorf("a stamp is %d", s)
		}
	}
}

// TestStepDown (T-7, X43): a leader that loses its leadership while proposals wait
// does not know what becomes of them; here they take effect under the next leader.
// What it is given afterwards is surely not done.
func TestStepDown(t *testing.T) {
	c := newCluster(t, 3, nil)
	old := c.leader()
	rest := c.without(old.id)
	old.mustPropose(1)
	for _, m := range rest {
		c.wire.way(old.id, m.id).answers.hold() // it is heard, and hears nothing
	}
	if err := old.propose(2); !errors.Is(err, ErrUnknown) || errors.Is(err, ErrNotDone) {
		t.Errorf("a proposal that waited when leadership was lost: %v", err)
	}
	for _, m := range rest {
		c.wire.way(old.id, m.id).setCut(true)
		c.wire.way(m.id, old.id).setCut(true)
	}
	if err := old.within(testElection, 3); !errors.Is(err, ErrNotDone) || errors.Is(err, ErrUnknown) {
		t.Errorf("a proposal after leadership was lost: %v", err)
	}
	c.leader(rest...)
	c.wire.heal()
	seen := c.agree()
	if n := old.count(2); n > 1 || len(seen) != 1+n || old.count(3) != 0 {
		t.Errorf("%d requests were applied: %v", len(seen), seen)
	}
	if old.count(2) == 0 {
		t.Error("the unknown request did not take effect: this test shows less than it could")
	}
}

// TestLostAnswer (F-N4): a proposal that the leader took, and whose answer was lost,
// is unknown; it is not proposed again.
func TestLostAnswer(t *testing.T) {
	c := newCluster(t, 3, nil)
	two := c.nodes[1]
	two.mustPropose(1)
	c.wire.way("node-2", "node-1").answers.hold()
	if err := two.within(testElection, 2); !errors.Is(err, ErrUnknown) || errors.Is(err, ErrNotDone) {
		t.Errorf("a proposal whose answer was lost: %v", err)
	}
	c.wire.heal()
	c.agree()
	if n := two.count(2); n != 1 {
		t.Errorf("it was applied %d times", n)
	}
}

// TestSilentNetwork: a proposal on its way to a leader of which nothing is heard any
// more is given up when another leads, so that its proposer can settle it.
func TestSilentNetwork(t *testing.T) {
	c := newCluster(t, 3, nil)
	two := c.nodes[1]
	two.mustPropose(1)
	for _, id := range []string{"node-2", "node-3"} {
		for _, w := range []*way{c.wire.way("node-1", id), c.wire.way(id, "node-1")} {
			w.requests.hold()
			w.answers.hold()
		}
	}
	began := time.Now()
	if err := two.propose(2); !errors.Is(err, ErrUnknown) {
		t.Errorf("a proposal that is lost in the network: %v", err)
	}
	if d := time.Since(began); d > patience/2 {
		t.Errorf("it was given up after %v", d)
	}
	if id, known := two.Leader(); !known || id == "node-1" {
		t.Errorf("it was given up while %q led", id)
	}
	two.mustPropose(3)
	c.wire.heal()
	if c.agree(); two.count(2) > 1 || two.count(3) != 1 {
		t.Errorf("applied %d and %d times", two.count(2), two.count(3))
	}
}

// TestUndelivered: a proposal that never reached the leader is surely not done; if
// the way opens in time, it is done once.
func TestUndelivered(t *testing.T) {
	c := newCluster(t, 3, nil)
	two := c.nodes[1]
	two.mustPropose(1)
	c.wire.way("node-2", "node-1").setCut(true)
	if err := two.within(testElection, 2); !errors.Is(err, ErrNotDone) || errors.Is(err, ErrUnknown) {
		t.Errorf("a proposal that was not delivered: %v", err)
	}
	done := make(chan error, 1)
	go func() { done <- two.propose(3) }()
	select {
	case err := <-done:
		t.Errorf("a proposal that cannot be delivered ended: %v", err)
	case <-time.After(testElection / 2):
	}
	c.wire.heal()
	if err := <-done; err != nil {
		t.Error(err)
	}
	c.agree()
	if two.count(2) != 0 || two.count(3) != 1 {
		t.Errorf("applied %d and %d times", two.count(2), two.count(3))
	}
}

// TestNotForwardedAgain: a node that does not lead refuses what is forwarded to it,
// and asks nobody else.
func TestNotForwardedAgain(t *testing.T) {
	asked := make(chan string, 100)
	c := newCluster(t, 3, func(m *member, o *Options) {
		if m.id == "node-2" {
			ask := o.Ask
			o.Ask = func(ctx context.Context, id string, b []byte) ([]byte, error) {
				asked <- id
				return ask(ctx, id, b)
			}
		}
	})
	two := c.nodes[1]
	two.mustBarrier()
	for len(asked) > 0 {
		<-asked
	}
	for _, r := range []request{
		{kindPropose, proposal(t, 1)}, {kindPoint, make([]byte, 8)}, {kindAdd, []byte("node-9")}, {kindRemove, []byte("node-3")},
	} {
		b, err := two.Answer(t.Context(), "node-3", r.encode())
		if err != nil {
			t.Fatal(err)
		}
		a, err := decodeAnswer(b)
		if err != nil || a.status != statusNotDone || !strings.Contains(string(a.body), "node-2 does not lead") {
			t.Errorf("kind %d: status %d, %q, %v", r.kind, a.status, a.body, err)
		}
	}
	if len(asked) > 0 {
		t.Errorf("it asked %s", <-asked)
	}
	if c.agree(); two.count(1) != 0 {
		t.Error("it was done all the same")
	}
}

// TestAnswerRefuses: what is no request is an error, what is newer is refused with a
// word, and neither does anything.
func TestAnswerRefuses(t *testing.T) {
	c := newCluster(t, 1, nil)
	one := c.leader()
	for _, b := range []string{"", "\x01", "\x01\x01", "\x00\x01x", "\x01\x02x", "\x01\x04no name"} {
		if answer, err := one.Answer(t.Context(), "node-1", []byte(b)); !errors.Is(err, event.ErrMalformed) || answer != nil {
			t.Errorf("%q: %q, %v", b, answer, err)
		}
	}
	for _, b := range []string{"\x02\x01x", "\x01\x63x"} {
		answer, err := one.Answer(t.Context(), "node-1", []byte(b))
		if err != nil {
			t.Fatal(err)
		}
		a, err := decodeAnswer(answer)
		if err != nil || a.status != statusRefused || !strings.Contains(string(a.body), "newer") {
			t.Errorf("%q: status %d, %q, %v", b, a.status, a.body, err)
		}
	}
}

// TestOverload (F-R7): a node holds so many proposals and no more; the next one is
// refused at once, also if another node sent it.
func TestOverload(t *testing.T) {
	c := newCluster(t, 2, nil)
	one, two := c.nodes[0], c.nodes[1]
	two.mustPropose(0)
	if one.inflight.limit != 4096 || one.inflight.size != 64<<20 {
		t.Errorf("bounds of %d and %d bytes", one.inflight.limit, one.inflight.size)
	}
	one.inflight.limit = 4
	one.machine.slow.hold()
	results := make(chan error, 4)
	for i := range 4 {
		go func() { results <- one.propose(1 + i) }()
	}
	c.until("four proposals are in flight", func() bool { return one.inflight.held() == 4 })
	for _, m := range c.nodes {
		began := time.Now()
		err := m.propose(10)
		if !errors.Is(err, ErrNotDone) || !errors.Is(err, ErrOverloaded) {
			t.Errorf("%s: one proposal too many: %v", m.id, err)
		}
		if d := time.Since(began); d > testElection {
			t.Errorf("%s: it took %v to say so", m.id, d)
		}
	}
	// One that is given up still counts: raft holds it.
	one.inflight.limit = 5
	if err := one.within(50*time.Millisecond, 5); !errors.Is(err, ErrUnknown) {
		t.Errorf("a proposal that was given up: %v", err)
	}
	if err := one.propose(10); !errors.Is(err, ErrOverloaded) {
		t.Errorf("one proposal too many: %v", err)
	}
	one.machine.slow.release()
	for range 4 {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	c.until("nothing is in flight", func() bool { return one.inflight.held() == 0 })
	two.mustPropose(6)
	if c.agree(); two.count(10) != 0 || two.count(5) != 1 {
		t.Error("what was refused was done, or what was given up was not done once")
	}
}

func (q *inflight) held() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count
}

// TestInflightBytes: the bound in bytes.
func TestInflightBytes(t *testing.T) {
	q := newInflight()
	for range q.size / event.MaxProposalBytes {
		if err := q.enter(event.MaxProposalBytes); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.enter(1); !errors.Is(err, ErrOverloaded) {
		t.Errorf("got %v", err)
	}
	q.leave(event.MaxProposalBytes)
	if err := q.enter(1); err != nil {
		t.Error(err)
	}
	if err := q.track(); err != nil {
		t.Error(err)
	}
	idle := q.close()
	if q.enter(0) != ErrClosed || q.track() != ErrClosed {
		t.Error("something entered after the close")
	}
	for _, n := range []int{1, 0} {
		q.leave(n)
	}
	for range q.size/event.MaxProposalBytes - 1 {
		select {
		case <-idle:
			t.Fatal("idle too early")
		default:
		}
		q.leave(event.MaxProposalBytes)
	}
	<-idle
}

// TestProposeRefuses: what no node will ever take, and a context that has ended.
func TestProposeRefuses(t *testing.T) {
	c := newCluster(t, 1, nil)
	one := c.leader()
	for _, size := range []int{0, event.MaxProposalBytes + 1} {
		if _, err := one.Propose(t.Context(), make([]byte, size)); !errors.Is(err, ErrNotDone) || !errors.Is(err, ErrRefused) {
			t.Errorf("a proposal of %d bytes: %v", size, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := one.Propose(ctx, proposal(t, 1)); !errors.Is(err, ErrNotDone) || !errors.Is(err, context.Canceled) {
		t.Errorf("a context that had ended: %v", err)
	}
	if one.mustBarrier(); one.count(1) != 0 {
		t.Error("it was done")
	}
}

// TestContextEnds: a proposal and a barrier end with their contexts, whatever raft does.
func TestContextEnds(t *testing.T) {
	c := newCluster(t, 1, nil)
	one := c.leader()
	one.machine.slow.hold()
	ctx, cancel := context.WithCancel(t.Context()) // no deadline
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := one.Propose(ctx, proposal(t, 1)); !errors.Is(err, ErrUnknown) || !errors.Is(err, context.Canceled) {
		t.Errorf("proposal: %v", err)
	}
	if err := one.Barrier(ctx); !errors.Is(err, ErrNoLeader) {
		t.Errorf("barrier: %v", err)
	}
	one.machine.slow.release()
	if one.mustBarrier(); one.count(1) != 1 {
		t.Error("it was not done")
	}
}

// TestNewLeaderIsFound: a proposal made while there is no leader is done when there
// is one.
func TestNewLeaderIsFound(t *testing.T) {
	c := newCluster(t, 3, nil)
	old := c.leader()
	rest := c.without(old.id)
	old.mustPropose(0)
	old.crash()
	for i, m := range rest {
		began := time.Now()
		if err := m.propose(1 + i); err != nil {
			t.Errorf("%s, after %v: %v", m.id, time.Since(began), err)
		}
	}
	old.start()
	if seen := c.agree(); len(seen) != 3 {
		t.Errorf("%d requests were applied", len(seen))
	}
	if old.raft.State() == raft.Leader {
		t.Error("the old leader deposed the new one")
	}
}
