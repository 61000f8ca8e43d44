package server

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/erasure"
	"ironman/fsm"
	"ironman/wal/event"
)

// member is a node as this one knows it.
type member struct {
	Node        uint32
	Address     string // of its link
	Key         ed25519.PublicKey
	Boot        uint64
	Incarnation uint64
	Version     string
	Level       uint32 // the highest feature level that it announced
}

// memberFile is what a node remembers of the cluster's nodes outside of the state: a
// state that was not flushed comes back with the log, and to get the log it must speak
// to the others. So this is written whenever a node came, went or moved.
type memberFile struct {
	Format int `json:"format"`
	// Next: the events below it are in what follows. A state that knows more counts
	// for more.
	Next    uint64       `json:"next"`
	Members []memberLine `json:"members"`
}

type memberLine struct {
	Node    uint32 `json:"node"`
	Address string `json:"address"`
	Key     string `json:"key"` // base64, Ed25519 public key
	Boot    uint64 `json:"boot"`
}

const (
	membersFile   = "members.json"
	membersFormat = 1
)

// memberTable is who is in the cluster and which disks it has, at one moment.
type memberTable struct {
	next  uint64 // of the state it was read from
	level uint32 // the cluster's feature level; 0: not known
	nodes map[uint32]member
	disks []*fsm.Disk // of members, by number
}

// members shows the nodes and disks of the cluster, as the state has them, or the
// file, where that knows more.
type members struct {
	machine *fsm.Machine
	fs      vfs.FS
	path    string
	log     func(err error)

	mu      sync.Mutex   // one refresh at a time
	written *memberTable // what the file holds
	table   atomic.Pointer[memberTable]
}

// membersEvery is how often the state is asked for changes; a node that is not
// known is looked for at once.
const membersEvery = 250 * time.Millisecond

// openMembers reads what the node remembers and what the state knows.
func openMembers(m *fsm.Machine, f vfs.FS, path string, log func(error)) (*members, error) {
	s := &members{machine: m, fs: f, path: path, log: log, written: &memberTable{}}
	b, err := readSmall(f, path)
	switch {
	case errors.Is(err, errNoFile):
	case err != nil:
		return nil, fmt.Errorf("server: %w", err)
	default:
		if s.written, err = parseMembers(b); err != nil {
			return nil, fmt.Errorf("server: %s: %w", path, err)
		}
	}
	s.table.Store(&memberTable{nodes: s.written.nodes})
	s.mu.Lock()
	defer s.mu.Unlock()
	return s, s.update()
}

func parseMembers(b []byte) (*memberTable, error) {
	var f memberFile
	if err := strictJSON(b, &f); err != nil || f.Format != membersFormat {
		return nil, errors.New("it is not one that this release understands")
	}
	t := &memberTable{next: f.Next, nodes: make(map[uint32]member)}
	for _, l := range f.Members {
		key, err := base64.StdEncoding.DecodeString(l.Key)
		if err != nil || len(key) != ed25519.PublicKeySize || l.Node == 0 {
			return nil, fmt.Errorf("the key of node %d is damaged", l.Node)
		}
		t.nodes[l.Node] = member{Node: l.Node, Address: l.Address, Key: key, Boot: l.Boot}
	}
	return t, nil
}

// file is the table as the file holds it.
func (t *memberTable) file() memberFile {
	f := memberFile{Format: membersFormat, Next: t.next}
	for _, m := range t.sorted() {
		f.Members = append(f.Members, memberLine{
			Node: m.Node, Address: m.Address, Key: base64.StdEncoding.EncodeToString(m.Key), Boot: m.Boot,
		})
	}
	return f
}

func writeMembers(fs vfs.FS, path string, f memberFile) error {
	b, err := json.MarshalIndent(f, "", "  ")
	if err == nil {
		err = writeDurably(fs, path, append(b, '\n'))
	}
	if err != nil {
		return fmt.Errorf("server: %s: %w", path, err)
	}
	return nil
}

// same tells whether the file needs no change: nobody came, went or moved.
func (t *memberTable) same(other *memberTable) bool {
	return maps.EqualFunc(t.nodes, other.nodes, func(a, b member) bool {
		return a.Address == b.Address && a.Boot == b.Boot && a.Key.Equal(b.Key)
	})
}

// sorted are the nodes by number.
func (t *memberTable) sorted() []member {
	return slices.SortedFunc(maps.Values(t.nodes), func(a, b member) int { return int(a.Node) - int(b.Node) })
}

// run keeps the table fresh until ctx ends.
func (s *members) run(ctx context.Context) {
	tick := time.NewTicker(membersEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.refresh()
		}
	}
}

// refresh reads the state, if it has changed.
func (s *members) refresh() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.machine.Applied().Next == s.table.Load().next {
		return
	}
	if err := s.update(); err != nil {
		s.log(err)
	}
}

// update reads the state and, where that changed them, writes down who is there.
func (s *members) update() error {
	t, err := s.read()
	if err != nil {
		return err
	}
	if t.next < s.written.next || len(t.nodes) == 0 {
		t.nodes = s.written.nodes // the state has not caught up with what it once was
	} else if !t.same(s.written) {
		if err := writeMembers(s.fs, s.path, t.file()); err != nil {
			return err
		}
		s.written = t
	}
	s.table.Store(t)
	return nil
}

// learn takes over what another member remembers, if it knows more than this node.
func (s *members) learn(b []byte) error {
	t, err := parseMembers(b)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.table.Load()
	if len(t.nodes) == 0 || t.next <= now.next || t.next <= s.written.next {
		return nil
	}
	if err := writeMembers(s.fs, s.path, t.file()); err != nil {
		return err
	}
	s.written = t
	s.table.Store(&memberTable{next: now.next, level: now.level, nodes: t.nodes, disks: now.disks})
	return nil
}

func (s *members) read() (t *memberTable, err error) {
	v, err := s.machine.View()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	t = &memberTable{next: v.Applied().Next, nodes: make(map[uint32]member)}
	c, err := v.Cluster()
	if err != nil {
		return nil, err
	}
	t.level = c.GetFeatureLevel()
	nodes, err := v.Nodes()
	if err != nil {
		return nil, err
	}
	for _, n := range nodes {
		key, err := x509.ParsePKIXPublicKey(n.PublicKey)
		public, ok := key.(ed25519.PublicKey)
		if err != nil || !ok || n.Removed {
			continue // a key that is not ours to speak with
		}
		t.nodes[n.Node] = member{
			Node: n.Node, Address: n.LinkAddress, Key: public, Boot: n.Boot, Incarnation: n.Incarnation, Version: n.Version, Level: n.FeatureLevel,
		}
	}
	disks, err := v.Disks()
	if err != nil {
		return nil, err
	}
	for _, d := range disks {
		if _, ok := t.nodes[d.Node]; ok {
			t.disks = append(t.disks, d)
		}
	}
	return t, nil
}

// node returns a member; false if that node is none.
func (s *members) node(n uint32) (member, bool) {
	m, ok := s.table.Load().nodes[n]
	if !ok {
		s.refresh()
		m, ok = s.table.Load().nodes[n]
	}
	return m, ok
}

// level is the cluster's feature level: that of the events to be written. Before
// genesis it is this release's.
func (s *members) level() uint32 {
	if l := s.table.Load().level; l > 0 {
		return l
	}
	s.refresh()
	if l := s.table.Load().level; l > 0 {
		return l
	}
	return event.FeatureLevel
}

// lowestLevel is the feature level that every member announced; one that never
// started announced none.
func (s *members) lowestLevel() uint32 {
	lowest := uint32(math.MaxUint32)
	for _, m := range s.table.Load().nodes {
		lowest = min(lowest, m.Level)
	}
	return lowest
}

// all returns the members by number.
func (s *members) all() []member {
	return s.table.Load().sorted()
}

// disk returns a disk of the cluster.
func (s *members) disk(number uint32) (*fsm.Disk, bool) {
	disks := s.table.Load().disks
	i, ok := slices.BinarySearchFunc(disks, number, func(d *fsm.Disk, n uint32) int { return int(d.Number) - int(n) })
	if !ok {
		return nil, false
	}
	return disks[i], true
}

// topology is the disks of all members; those of a node that does not answer are
// not live.
func (s *members) topology(answers func(node uint32) bool) []erasure.Disk {
	disks := s.table.Load().disks
	out := make([]erasure.Disk, len(disks))
	for i, d := range disks {
		out[i] = erasure.Disk{Number: d.Number, Node: d.Node, Live: answers(d.Node)}
	}
	return out
}
