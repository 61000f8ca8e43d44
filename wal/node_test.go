package wal

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"ironman/wal/durable"
	"ironman/wal/event"
	"ironman/wal/ledger"
	"ironman/wal/merkle"
)

// fakeMachine counts events and keeps its index in a file that Flush writes.
type fakeMachine struct {
	fs   vfs.FS
	path string

	mu      sync.Mutex
	index   uint64
	seen    []string // request ids in order
	leaves  []Leaf
	edge    merkle.Frontier // of the leaves since it was opened
	time    int64           // of the last leaf
	changed chan struct{}
}

func openFake(t *testing.T, fs vfs.FS, path string) *fakeMachine {
	t.Helper()
	m := &fakeMachine{fs: fs, path: path, changed: make(chan struct{})}
	if f, err := fs.Open(path); err == nil {
		b := make([]byte, 1<<20)
		n, _ := f.Read(b)
		f.Close()
		lines := strings.Split(string(b[:n]), "\n")
		fmt.Sscan(lines[0], &m.index)
		for _, l := range lines[1:] {
			if l != "" {
				m.seen = append(m.seen, l)
			}
		}
	}
	return m
}

func (m *fakeMachine) Apply(in []Committed) []Applied {
	m.mu.Lock()
	defer m.mu.Unlock()
	out := make([]Applied, len(in))
	for i, c := range in {
		if c.Index <= m.index {
			continue
		}
		m.index = c.Index
		if c.Data == nil {
			continue
		}
		stamp, proposal, err := event.ParseEntry(c.Data)
		if err != nil {
			panic(err)
		}
		m.time = max(m.time+1, stamp)
		p, err := event.Parse(proposal)
		if err != nil {
			panic(err)
		}
		seq := uint64(len(m.seen))
		m.seen = append(m.seen, hex.EncodeToString(p.Statement.Header.RequestId))
		out[i] = Applied{Seq: seq, Outcome: &event.Outcome{Time: int64(seq + 1)}}
		m.leaves = append(m.leaves, m.leaf(seq, c.Index, p, out[i].Outcome))
		m.edge.Append(m.leaves[len(m.leaves)-1].Envelope)
	}
	close(m.changed)
	m.changed = make(chan struct{})
	return out
}

func (m *fakeMachine) leaf(seq, index uint64, p *event.Parsed, o *event.Outcome) Leaf {
	statement, items := event.StatementHash(p.StatementBytes), p.ItemsHash()
	return Leaf{Seq: seq, Index: index, Envelope: event.Canonical(&event.Envelope{
		Seq: seq, Time: m.time, Kind: p.Statement.Kind(), RequestId: p.Statement.Header.RequestId,
		Outcome: event.Canonical(o), StatementHash: statement[:], ItemsHash: items[:], StateDigest: make([]byte, 32),
	})}
}

func (m *fakeMachine) AppliedIndex() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.index
}

func (m *fakeMachine) WaitApplied(ctx context.Context, index uint64) error {
	for {
		m.mu.Lock()
		done, changed := m.index >= index, m.changed
		m.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

func (m *fakeMachine) write(path string) (uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f, err := m.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return 0, err
	}
	_, err = fmt.Fprintf(f, "%d\n%s", m.index, strings.Join(m.seen, "\n"))
	return m.index, errors.Join(err, f.Sync(), f.Close(), durable.SyncDir(m.fs, m.fs.PathDir(path)))
}

func (m *fakeMachine) Flush() error {
	_, err := m.write(m.path)
	return err
}

func (m *fakeMachine) Checkpoint(dir string) (uint64, error) {
	if err := m.Flush(); err != nil {
		return 0, err
	}
	if err := m.fs.MkdirAll(dir, 0o700); err != nil {
		return 0, err
	}
	return m.write(m.fs.PathJoin(dir, "fake"))
}

func (m *fakeMachine) Leaves(from uint64, max int) ([]Leaf, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []Leaf
	for _, l := range m.leaves {
		if l.Seq >= from && len(out) < max {
			out = append(out, l)
		}
	}
	return out, nil
}

func (m *fakeMachine) Erased(uint64, uint64) ([]ledger.Target, error) { return nil, nil }

func (m *fakeMachine) DropLeaves(seq uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for len(m.leaves) > 0 && m.leaves[0].Seq < seq {
		m.leaves = m.leaves[1:]
	}
	return nil
}

// LedgerEdge: one that was opened from its file does not know its tree, and has
// nothing to archive.
func (m *fakeMachine) LedgerEdge() (*merkle.Frontier, uint64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.edge.Size() != uint64(len(m.seen)):
		return merkle.New(), 0, nil
	case len(m.leaves) == 0:
		return m.edge.Clone(), m.edge.Size(), nil
	}
	return m.edge.Clone(), m.leaves[0].Seq, nil
}

func openTestNode(t *testing.T, fs vfs.FS, m *fakeMachine) *Node {
	t.Helper()
	n, err := Open(Options{
		FS: fs, Dir: "wal", ID: "node-1", Machine: m, Peers: NoPeers(), Now: time.Now,
		Fatal: func(err error) { panic(err) }, Bootstrap: true, SegmentBytes: 1 << 20, SnapshotEntries: 50,
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func proposal(t testing.TB, i int) []byte {
	t.Helper()
	id := make([]byte, event.RequestIDBytes)
	copy(id, fmt.Sprintf("request %d", i))
	d := event.NewDraft(&event.Header{RequestId: id}, &event.Statement_Cancel{Cancel: &event.Cancel{RequestId: id}})
	b, err := d.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestNodeRecovers proposes, crashes with everything unsynced lost, and expects
// every acknowledged event again, in order, through snapshots and truncation.
func TestNodeRecovers(t *testing.T) {
	fs := vfs.NewCrashableMem()
	m := openFake(t, fs, "state")
	n := openTestNode(t, fs, m)
	ctx := t.Context()
	if err := n.OpenLedger("test", nil, nil); err != nil {
		t.Fatal(err)
	}
	acked := 0
	if err := n.Barrier(ctx); err != nil {
		t.Fatal(err)
	}
	for round := range 3 {
		var wg sync.WaitGroup
		for i := range 200 {
			wg.Go(func() {
				if _, err := n.Propose(ctx, proposal(t, round*1000+i)); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		acked += 200
		if err := n.Barrier(ctx); err != nil {
			t.Fatal(err)
		}
		if round < 2 {
			if err := n.Snapshot(); err != nil {
				t.Fatal(err)
			}
		}
		before := append([]string(nil), m.seen...)
		clone := fs.CrashClone(vfs.CrashCloneCfg{})
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		fs = clone
		m = openFake(t, fs, "state")
		n = openTestNode(t, fs, m)
		if err := n.Barrier(ctx); err != nil {
			t.Fatal(err)
		}
		if len(m.seen) != acked || strings.Join(m.seen, " ") != strings.Join(before, " ") {
			t.Fatalf("round %d: %d events after the crash, %d were acknowledged", round, len(m.seen), acked)
		}
		if err := n.OpenLedger("test", nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestArchiver moves whole bundles of leaves into the ledger and leaves the rest.
func TestArchiver(t *testing.T) {
	fs := vfs.NewMem()
	m := openFake(t, fs, "state")
	n := openTestNode(t, fs, m)
	if err := n.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := n.OpenLedger("test", nil, nil); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 600 {
		wg.Go(func() {
			if _, err := n.Propose(t.Context(), proposal(t, i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for n.Archived() < 512 {
		time.Sleep(10 * time.Millisecond) // the archiver looks again on its own clock
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if n.Archived() != 512 || len(m.leaves) != 88 {
		t.Fatalf("%d archived, %d queued; want 512 and 88", n.Archived(), len(m.leaves))
	}
}

// TestStartRefusesShortLog: a state that is ahead of the log means lost entries.
func TestStartRefusesShortLog(t *testing.T) {
	fs := vfs.NewMem()
	m := openFake(t, fs, "state")
	m.index = 7
	_, err := Open(Options{FS: fs, Dir: "wal", ID: "node-1", Machine: m, Peers: NoPeers(), Now: time.Now, Fatal: func(err error) { panic(err) }, Bootstrap: true})
	if err == nil {
		t.Fatal("a node started whose log ends before its state")
	}
}

// TestTransport keeps the mitigations of raft's known faults in place.
func TestTransport(t *testing.T) {
	var tr any = &transport{}
	if _, ok := tr.(raft.WithPreVote); !ok {
		t.Error("pre-vote is lost")
	}
	inner := raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{Stream: NoPeers(), MaxRPCsInFlight: 1})
	called := false
	(&transport{NetworkTransport: inner}).SetHeartbeatHandler(func(raft.RPC) { called = true })
	if called {
		t.Error("the heartbeat fast path is on")
	}
	if err := inner.Close(); err != nil {
		t.Error(err)
	}
}

// TestClassify: only what raft refuses before it dispatches is known not to be done.
func TestClassify(t *testing.T) {
	for err, want := range map[error]error{
		raft.ErrNotLeader: ErrNotDone, raft.ErrEnqueueTimeout: ErrNotDone, raft.ErrLeadershipTransferInProgress: ErrNotDone,
		raft.ErrLeadershipLost: ErrUnknown, raft.ErrRaftShutdown: ErrUnknown, raft.ErrAbortedByRestore: ErrUnknown, errors.New("disk"): ErrUnknown,
	} {
		if got := classify(err); !errors.Is(got, want) {
			t.Errorf("%v is %v", err, got)
		}
	}
}

// TestSnapshotMeta pins the format, and how a newer one and damage read.
func TestSnapshotMeta(t *testing.T) {
	m := &snapshotMeta{index: 1, term: 2, configIndex: 3, applied: 4, configuration: []byte("cfg")}
	b := m.encode()
	const golden = "494d534e4150534800000001000000000000000100000000000000020000000000000003000000000000000400000003636667"
	if got := hex.EncodeToString(b[:len(b)-4]); got != golden {
		t.Fatalf("got %s", got)
	}
	back, err := decodeSnapshotMeta(b)
	if err != nil || back.index != 1 || back.applied != 4 || string(back.configuration) != "cfg" {
		t.Fatalf("%+v, %v", back, err)
	}
	newer := append([]byte(nil), b...)
	newer[11] = 2
	if _, err := decodeSnapshotMeta(newer); !errors.Is(err, event.ErrNewer) {
		t.Errorf("a newer version is %v", err)
	}
	for i := range b {
		bad := append([]byte(nil), b...)
		bad[i] ^= 0x10
		if _, err := decodeSnapshotMeta(bad); err == nil {
			t.Errorf("byte %d changed, and nothing noticed", i)
		}
		if _, err := decodeSnapshotMeta(b[:i]); err == nil {
			t.Errorf("cut to %d bytes, and nothing noticed", i)
		}
	}
}

func FuzzSnapshotMeta(f *testing.F) {
	f.Add((&snapshotMeta{index: 1, term: 1, configuration: []byte("x")}).encode())
	f.Add([]byte(snapshotMagic))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := decodeSnapshotMeta(b); err == nil && string(m.encode()) != string(b) {
			t.Errorf("%x does not round trip", b)
		}
	})
}

// TestBootstrapCutShort: raft had written its term, and the power went before the
// first entry.
func TestBootstrapCutShort(t *testing.T) {
	fs := vfs.NewMem()
	if err := fs.MkdirAll("wal", 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := openStable(fs, "wal/stable", func(err error) { t.Errorf("fatal: %v", err); runtime.Goexit() })
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(s.SetUint64([]byte("CurrentTerm"), 1), s.Close()); err != nil {
		t.Fatal(err)
	}
	m := openFake(t, fs, "state")
	n := openTestNode(t, fs, m)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := n.Barrier(ctx); err != nil {
		t.Error(err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
}
