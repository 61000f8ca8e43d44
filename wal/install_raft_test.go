package wal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"ironman/wal/event"
)

// tcpLayer carries raft's connections over the loopback interface, and closes all of
// them with itself, as the end of a process does.
type tcpLayer struct {
	net.Listener

	mu     sync.Mutex
	conns  []net.Conn
	closed bool
}

// listenTCP listens at an address again, or anywhere if it is "".
func listenTCP(t testing.TB, address string) *tcpLayer {
	t.Helper()
	if address == "" {
		address = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return &tcpLayer{Listener: l}
}

func (l *tcpLayer) track(c net.Conn, err error) (net.Conn, error) {
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, errors.Join(net.ErrClosed, c.Close())
	}
	l.conns = append(l.conns, c)
	return c, nil
}

func (l *tcpLayer) Accept() (net.Conn, error) { return l.track(l.Listener.Accept()) }

func (l *tcpLayer) Dial(a raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	return l.track(net.DialTimeout("tcp", string(a), timeout))
}

func (l *tcpLayer) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	for _, c := range l.conns {
		_ = c.Close() // raft may have closed it
	}
	return l.Listener.Close()
}

// wired is a node on a disk in memory and a real network.
type wired struct {
	t         *testing.T
	id        string
	disk      *powerDisk
	layer     *tcpLayer
	address   raft.ServerAddress
	node      *Node
	machine   *dirMachine
	restarted chan string
	change    func(*Options)
}

func openWired(t *testing.T, change func(*Options)) *wired {
	t.Helper()
	w := &wired{t: t, disk: newPowerDisk(), change: change}
	w.open("")
	w.address = raft.ServerAddress(w.layer.Addr().String())
	t.Cleanup(func() { w.stop() })
	return w
}

func (w *wired) open(address string) {
	w.t.Helper()
	if err := restoreState(w.disk, nil); err != nil {
		w.t.Fatal(err)
	}
	w.layer = listenTCP(w.t, address)
	if address == "" {
		w.id = w.layer.Addr().String() // raft dials nodes by their ids
	}
	w.machine = openDirMachine(w.t, w.disk, "state")
	restarted := make(chan string, 1)
	w.restarted = restarted
	o := storesOptions(w.t, w.disk, w.machine)
	o.ID, o.Peers, o.SnapshotEntries = w.id, w.layer, 50
	o.Restart = func(reason string) {
		restarted <- reason
		runtime.Goexit()
	}
	w.change(&o)
	var err error
	if w.node, err = Open(o); err != nil {
		w.t.Fatal(err)
	}
}

// stop ends the process; what it has not synced is still there.
func (w *wired) stop() {
	w.t.Helper()
	if w.node == nil {
		return
	}
	if err := errors.Join(w.layer.Close(), w.node.Close()); err != nil {
		w.t.Error(err)
	}
	w.node = nil
}

// restart ends the process as if with a power cut, and begins anew.
func (w *wired) restart() {
	w.t.Helper()
	after := w.disk.cut(0, nil)
	w.stop()
	w.disk = after
	w.open(string(w.address))
}

// awaitRestart waits until the node asks for it, and grants it.
func (w *wired) awaitRestart() {
	w.t.Helper()
	select {
	case <-w.restarted:
	case <-time.After(20 * time.Second):
		w.t.Fatal("it does not restart")
	}
	w.restart()
}

func (w *wired) awaitApplied(index uint64) {
	w.t.Helper()
	deadline := time.After(20 * time.Second)
	for w.machine.AppliedIndex() < index {
		w.machine.mu.Lock()
		changed := w.machine.changed
		w.machine.mu.Unlock()
		if w.machine.AppliedIndex() >= index {
			return
		}
		select {
		case <-changed:
		case reason := <-w.restarted:
			w.t.Fatalf("it restarts: %s", reason)
		case <-deadline:
			w.t.Fatalf("the state stands at %d, not %d", w.machine.AppliedIndex(), index)
		}
	}
}

func (m *dirMachine) history() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Join(m.seen, " ")
}

func (w *wired) propose(from, to int) {
	w.t.Helper()
	var wg sync.WaitGroup
	for i := from; i < to; i++ {
		wg.Go(func() {
			if _, err := w.node.Propose(w.t.Context(), proposal(w.t, i)); err != nil {
				w.t.Error(err)
			}
		})
	}
	wg.Wait()
}

// A follower that is too far behind for the log gets a snapshot, restarts once, and
// follows from there: as a new node, and as one that was away.
func TestFollowerCatchesUpBySnapshot(t *testing.T) {
	leader := openWired(t, func(o *Options) { o.Bootstrap = true; o.Election = 500 * time.Millisecond })
	if err := leader.node.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	leader.machine.fill = 300000
	leader.propose(0, 200)
	if err := leader.node.Snapshot(); err != nil {
		t.Fatal(err)
	}
	if first := leader.node.log.First(); first == 1 {
		t.Fatal("the log still begins at 1")
	}
	leader.propose(200, 220)

	f := openWired(t, func(o *Options) { o.Election = 500 * time.Millisecond })
	if err := leader.node.raft.AddNonvoter(raft.ServerID(f.id), f.address, 0, 10*time.Second).Error(); err != nil {
		t.Fatal(err)
	}
	f.awaitRestart()
	leader.propose(220, 240)
	f.awaitApplied(leader.machine.AppliedIndex())
	if f.node.log.Floor() == 0 || f.machine.history() != leader.machine.history() {
		t.Fatal("it did not come by snapshot")
	}

	// Away, while the leader's log moves on beyond what it has.
	f.stop()
	f.disk = f.disk.cut(0, nil)
	leader.propose(240, 400)
	if err := leader.node.Snapshot(); err != nil {
		t.Fatal(err)
	}
	f.open(string(f.address))
	f.awaitRestart()
	f.awaitApplied(leader.machine.AppliedIndex())
	if f.machine.history() != leader.machine.history() {
		t.Fatal("the histories differ")
	}

	// It is as good as any other: a majority needs it.
	if err := leader.node.raft.AddVoter(raft.ServerID(f.id), f.address, 0, 10*time.Second).Error(); err != nil {
		t.Fatal(err)
	}
	leader.propose(400, 410)
	f.awaitApplied(leader.machine.AppliedIndex())
	if f.machine.history() != leader.machine.history() {
		t.Fatal("the histories differ")
	}
}

// hand is a leader whose calls are made by hand.
type hand struct {
	t         *testing.T
	term      uint64
	transport *raft.NetworkTransport
	follower  *wired
}

func newHand(t *testing.T, f *wired, term uint64) *hand {
	l := listenTCP(t, "")
	h := &hand{t: t, term: term, follower: f, transport: raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: l, MaxPool: 1, Timeout: 20 * time.Second, MaxRPCsInFlight: 1, Logger: raftLogger(f.node.opts.Log),
	})}
	t.Cleanup(func() {
		if err := errors.Join(h.transport.Close(), l.Close()); err != nil {
			t.Error(err)
		}
	})
	return h
}

func (h *hand) header() raft.RPCHeader {
	return raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte("node-1"), Addr: []byte(h.transport.LocalAddr())}
}

func (h *hand) configuration() raft.Configuration {
	return raft.Configuration{Servers: []raft.Server{
		{ID: "node-1", Address: h.transport.LocalAddr()}, {ID: "node-2", Address: h.follower.address},
	}}
}

// append sends entries from behind prev on; entry 1 is the configuration.
func (h *hand) append(prev, prevTerm, to, commit uint64) bool {
	h.t.Helper()
	req := &raft.AppendEntriesRequest{RPCHeader: h.header(), Term: h.term, PrevLogEntry: prev, PrevLogTerm: prevTerm, LeaderCommitIndex: commit}
	for i := prev + 1; i <= to; i++ {
		l := &raft.Log{Index: i, Term: h.term, Type: raft.LogCommand, Data: event.AppendEntry(nil, int64(i), proposal(h.t, int(i)))}
		if i == 1 {
			l.Type, l.Data = raft.LogConfiguration, raft.EncodeConfiguration(h.configuration())
		}
		req.Entries = append(req.Entries, l)
	}
	var resp raft.AppendEntriesResponse
	if err := h.transport.AppendEntries("node-2", h.follower.address, req, &resp); err != nil {
		h.t.Fatal(err)
	}
	return resp.Success
}

// install sends a snapshot; of its stream, only what stream gives.
func (h *hand) install(index, term uint64, size int, stream io.Reader) error {
	var resp raft.InstallSnapshotResponse
	err := h.transport.InstallSnapshot("node-2", h.follower.address, &raft.InstallSnapshotRequest{
		RPCHeader: h.header(), SnapshotVersion: raft.SnapshotVersionMax, Term: h.term, LastLogIndex: index, LastLogTerm: term,
		Configuration: raft.EncodeConfiguration(h.configuration()), ConfigurationIndex: 1, Size: int64(size),
	}, &resp, stream)
	if err == nil && !resp.Success {
		err = errors.New("no success")
	}
	return err
}

// snapshot is a stream of the state at an index that hand's entries lead to.
func (h *hand) snapshot(index, term uint64) []byte {
	h.t.Helper()
	r := newSnapshotRig(h.t, newPowerDisk())
	r.machine.fill = 100000
	r.machine.Apply([]Committed{{Index: 1, Term: 1}})
	r.mustTake(index, term)
	return r.stream(r.store.newest().meta.name())
}

// sent installs a snapshot that must end in a restart, and is answered before: else the
// leader would count a failure, and go on with its next snapshot instead of the entries
// behind this one.
func (h *hand) sent(index, term uint64) {
	h.t.Helper()
	b := h.snapshot(index, term)
	done := make(chan error, 1)
	go func() { done <- h.install(index, term, len(b), bytes.NewReader(b)) }()
	h.follower.awaitRestart()
	if err := <-done; err != nil {
		h.t.Errorf("there was no answer before the restart: %v", err)
	}
}

// holds checks that a follower's log and state are as they should be.
func (w *wired) holds(first, last, applied uint64) {
	w.t.Helper()
	w.awaitApplied(applied)
	if w.node.log.First() != first || w.node.log.Last() != last || w.machine.AppliedIndex() != applied {
		w.t.Fatalf("the log holds %d to %d, %d is applied; not %d to %d, %d",
			w.node.log.First(), w.node.log.Last(), w.machine.AppliedIndex(), first, last, applied)
	}
	want := strings.Fields(seenOf(applied))
	if w.machine.history() != strings.Join(want[min(1, len(want)):], " ") { // entry 1 is no event
		w.t.Fatal("the state is another")
	}
}

func openFollower(t *testing.T) *wired {
	return openWired(t, func(o *Options) { o.Election = time.Minute })
}

// F-R9: a late or repeated InstallSnapshot, by hand: it is refused, nothing is
// deleted or rolled back, and what was acknowledged is there, after a crash too.
func TestLateInstallSnapshot(t *testing.T) {
	f := openFollower(t)
	h := newHand(t, f, 1)
	late := func(index uint64) {
		t.Helper()
		b := h.snapshot(index, 1)
		if err := h.install(index, 1, len(b), bytes.NewReader(b)); err == nil {
			t.Fatalf("the snapshot of %d was installed", index)
		}
	}
	if !h.append(0, 0, 10, 5) {
		t.Fatal("the entries were refused")
	}
	f.holds(1, 10, 5)
	late(5) // its log goes on from there
	late(3) // its state is beyond it
	late(8) // acknowledged, not yet committed
	f.holds(1, 10, 5)
	if !h.append(10, 1, 12, 12) {
		t.Fatal("entry 11 does not follow")
	}
	f.holds(1, 12, 12)
	late(10)
	f.restart()
	late(5)
	if !h.append(12, 1, 14, 14) {
		t.Fatal("entry 13 does not follow")
	}
	f.holds(1, 14, 14)

	h.sent(30, 1) // this one is needed
	f.holds(0, 0, 30)
	again := h.snapshot(30, 1)
	if err := h.install(30, 1, len(again), bytes.NewReader(again)); err != nil {
		t.Fatalf("the leader is never told that its snapshot was installed: %v", err)
	}
	f.holds(0, 0, 30)
	if !h.append(30, 1, 33, 32) {
		t.Fatal("entry 31 does not follow")
	}
	f.holds(31, 33, 32)
	late(30)
	late(14)
	f.holds(31, 33, 32)
	f.restart()
	if !h.append(30, 1, 33, 32) { // its answer was lost: the leader does not know what it has
		t.Fatal("entry 31 does not follow the snapshot any more")
	}
	if !h.append(33, 1, 34, 34) {
		t.Fatal("entry 34 does not follow")
	}
	f.holds(31, 34, 34)
}

// F-R3: a follower whose log diverged from the snapshot deletes it by restarting, and
// then follows (hashicorp/raft#697).
func TestDivergedFollower(t *testing.T) {
	f := openFollower(t)
	if !newHand(t, f, 1).append(0, 0, 20, 5) {
		t.Fatal("the entries were refused")
	}
	f.holds(1, 20, 5)
	h := newHand(t, f, 3)
	if h.append(15, 3, 18, 5) {
		t.Fatal("entries were taken that do not follow")
	}
	h.sent(15, 3)
	f.holds(0, 0, 15)
	if !h.append(15, 3, 18, 18) {
		t.Fatal("entry 16 does not follow")
	}
	f.holds(16, 18, 18)
	f.restart()
	f.holds(16, 18, 15) // what was not flushed is applied again when it is committed again
}

// F-R2: a connection that breaks anywhere in a snapshot leaves the follower as it was.
func TestBrokenInstallSnapshot(t *testing.T) {
	f := openFollower(t)
	h := newHand(t, f, 1)
	if !h.append(0, 0, 10, 5) {
		t.Fatal("the entries were refused")
	}
	b := h.snapshot(30, 1)
	for _, n := range []int{0, 1, streamFixed, 200, 300, 400, 65000, len(b) / 2, len(b) - 20, len(b) - 1} {
		broken := io.MultiReader(bytes.NewReader(b[:n]), errReader{errors.New("the connection broke")})
		if err := h.install(30, 1, len(b), broken); err == nil {
			t.Fatalf("broken at %d, and installed", n)
		}
		changed := slices.Clone(b)
		changed[n] ^= 4
		if err := h.install(30, 1, len(b), bytes.NewReader(changed)); err == nil {
			t.Fatalf("changed at %d, and installed", n)
		}
	}
	if !h.append(10, 1, 12, 10) {
		t.Fatal("entry 11 does not follow")
	}
	f.holds(1, 12, 10)
	if got := names(t, f.disk, "wal/snapshots"); len(got) != 0 {
		t.Errorf("found %v", got)
	}
	h.sent(30, 1)
	f.holds(0, 0, 30)
}

type errReader struct{ err error }

func (e errReader) Read([]byte) (int, error) { return 0, e.err }

// A snapshot of another cluster is not installed, whoever sends it.
func TestForeignInstallSnapshot(t *testing.T) {
	f := openWired(t, func(o *Options) {
		o.Election = time.Minute
		o.Identity = func() []byte { return []byte("another cluster") }
	})
	h := newHand(t, f, 1)
	b := h.snapshot(30, 1)
	if err := h.install(30, 1, len(b), bytes.NewReader(b)); err == nil || !strings.Contains(fmt.Sprint(err), "another cluster") {
		t.Fatal(err)
	}
	f.holds(0, 0, 0)
}
