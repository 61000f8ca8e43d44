package server

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"ironman/fsm"
	"ironman/wal/event"
)

// Replicas compare milestones: the ledger's root behind a number of events. Equal
// roots mean equal histories and equal states. A node whose root differs from that
// of the others has not applied what they have: it stops, and does not start again.

const (
	beaconEvery = time.Second
	beaconLimit = 5 * time.Second
	// beaconLasts is how long a beacon says something about a node.
	beaconLasts = 10 * time.Second
)

// A beacon is two milestones, the newest that all remember and the present one; the
// answer has the same form, with the answering node's own roots behind the same
// numbers of events, or 0 for one it does not remember, and its present one behind
// them.
//
//	+------+----------+------+----------+------------------------------+
//	| next | root, 32 | next | root, 32 | in an answer: next, root, 32 |
//	+------+----------+------+----------+------------------------------+
const milestoneBytes = 8 + tlog.HashSize

func appendMilestone(b []byte, m fsm.Milestone) []byte {
	return append(binary.BigEndian.AppendUint64(b, m.Next), m.Root[:]...)
}

func parseMilestones(b []byte, n int) ([]fsm.Milestone, error) {
	if len(b) != n*milestoneBytes {
		return nil, fmt.Errorf("server: a beacon of %d bytes: %w", len(b), event.ErrMalformed)
	}
	out := make([]fsm.Milestone, n)
	for i := range out {
		out[i] = fsm.Milestone{Next: binary.BigEndian.Uint64(b), Root: tlog.Hash(b[8:milestoneBytes])}
		b = b[milestoneBytes:]
	}
	return out, nil
}

// serveBeacon answers with this node's roots where the caller has its own.
func (n *Node) serveBeacon(_ context.Context, from uint32, request []byte) ([]byte, error) {
	asked, err := parseMilestones(request, 2)
	if err != nil {
		return nil, err
	}
	var b []byte
	for _, a := range asked {
		mine, _ := n.machine.MilestoneAt(a.Next)
		b = appendMilestone(b, mine)
	}
	now, err := n.machine.Present()
	if err != nil {
		return nil, err
	}
	return appendMilestone(b, now), nil
}

// beacons is what came of comparing with each other node.
type beacons struct {
	mu   sync.Mutex
	seen map[uint32]beacon
}

type beacon struct {
	next    uint64 // where the other node stood
	at      time.Time
	differs string // how, if it does
	agreed  uint64 // up to where the two agreed
}

// of is the newest beacon of a node.
func (s *beacons) of(node uint32) (beacon, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.seen[node]
	return b, ok
}

func (s *beacons) note(node uint32, b beacon) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = make(map[uint32]beacon)
	}
	b.agreed = max(b.agreed, s.seen[node].agreed)
	s.seen[node] = b
}

// exchangeBeacons compares this node with the others until ctx ends. It also keeps
// the connections to all of them up, by which their clocks are measured: it begins
// before the log settles, which needs clocks that are trusted.
func (n *Node) exchangeBeacons(ctx context.Context) {
	tick := time.NewTicker(beaconEvery)
	defer tick.Stop()
	for n.link.Load() == nil { // genesis comes first
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
	for ctx.Err() == nil {
		var all sync.WaitGroup
		for _, m := range n.others() {
			all.Go(func() {
				b, err := n.compare(ctx, m.Node)
				if err != nil {
					n.opts.Logger.Debug("beacon", "node", m.Node, "err", err)
					return
				}
				n.beacons.note(m.Node, b)
				if err := n.askWhoIsThere(ctx, m.Node, b.next); err != nil {
					n.opts.Logger.Info("who the members are could not be asked", "node", m.Node, "err", err)
				}
			})
		}
		all.Wait()
		n.judgeBeacons()
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// compare asks another node for its roots where this one has its own.
func (n *Node) compare(ctx context.Context, node uint32) (beacon, error) {
	ctx, cancel := context.WithTimeout(ctx, beaconLimit)
	defer cancel()
	last, _ := n.machine.LastMilestone()
	present, err := n.machine.Present()
	if err != nil {
		return beacon{}, err
	}
	b, err := n.link.Load().Call(ctx, node, methodBeacon, appendMilestone(appendMilestone(nil, last), present))
	if err != nil {
		return beacon{}, err
	}
	theirs, err := parseMilestones(b, 3)
	if err != nil {
		return beacon{}, err
	}
	out := beacon{next: theirs[2].Next, at: n.opts.Now()}
	mine := []fsm.Milestone{last, present, {}}
	if m, ok := n.machine.MilestoneAt(theirs[2].Next); ok { // it may be the one that is behind
		mine[2] = m
	}
	for i, m := range mine {
		switch t := theirs[i]; {
		case m.Next == 0 || t.Next != m.Next:
		case t.Root == m.Root:
			out.agreed = max(out.agreed, m.Next)
		default:
			out.differs = fmt.Sprintf("behind %d events the ledger's root is %x here, %x there", m.Next, m.Root[:8], t.Root[:8])
		}
	}
	return out, nil
}

// judgeBeacons stops this node if it stands alone.
func (n *Node) judgeBeacons() {
	var voters []uint32
	for _, m := range n.log.Members() {
		if node, err := nodeOf(m.ID); err == nil && m.Voter {
			voters = append(voters, node)
		}
	}
	now := n.opts.Now()
	differs, alone := verdict(n.identity.Node, voters, func(node uint32) (beacon, bool) {
		b, ok := n.beacons.of(node)
		return b, ok && now.Sub(b.at) <= beaconLasts
	})
	switch {
	case differs == "":
	case alone:
		n.fence(differs)
	default:
		n.opts.Logger.Error("another node's state is not what this one's is", "differs", differs)
	}
}

// verdict tells whether a voter's state differs from this node's, and whether this
// node then stands alone: whether it agrees with fewer than a majority of the voters,
// itself counted if it votes. Where nobody can tell who is wrong, both are.
func verdict(self uint32, voters []uint32, seen func(node uint32) (beacon, bool)) (differs string, alone bool) {
	same := 0
	for _, node := range voters {
		if node == self {
			same++
			continue
		}
		switch b, ok := seen(node); {
		case !ok:
		case b.differs == "":
			same++
		default:
			differs = fmt.Sprintf("node %d: %s", node, b.differs)
		}
	}
	return differs, differs != "" && same <= len(voters)/2
}

// fencedFile keeps a node whose state is wrong from starting again.
const fencedFile = "fenced.json"

type fenced struct {
	Reason string `json:"reason"`
	Time   string `json:"time"`
	Root   string `json:"root"`
	Events uint64 `json:"events"`
}

// fence stops the node for good: durably first, then at once. It does not return.
func (n *Node) fence(reason string) {
	o := &n.opts
	f := fenced{Reason: reason, Time: o.Now().UTC().Format(time.RFC3339)}
	if m, err := n.machine.Present(); err == nil {
		f.Root, f.Events = hex.EncodeToString(m.Root[:]), m.Next
	}
	b, err := json.MarshalIndent(f, "", "  ")
	if err == nil {
		err = writeDurably(o.FS, o.FS.PathJoin(o.Dir, fencedFile), b)
	}
	o.Fatal(errors.Join(fmt.Errorf("server: this node's state differs from the others': %s", reason), err))
}

// refuseFenced keeps a fenced node from starting.
func refuseFenced(o *Options) error {
	path := o.FS.PathJoin(o.Dir, fencedFile)
	b, err := readSmall(o.FS, path)
	if errors.Is(err, errNoFile) {
		return nil
	}
	var f fenced
	if err == nil {
		err = json.Unmarshal(b, &f)
	}
	return errors.Join(fmt.Errorf("server: this node was fenced at %s, because its state differs from the others' (%s): it must not serve. "+
		"Remove it from the cluster and let a new node take its place; keep the directory for analysis (%s)", f.Time, f.Reason, path), err)
}
