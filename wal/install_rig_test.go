package wal

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"ironman/wal/digest"
	"ironman/wal/durable"
	"ironman/wal/event"
)

// dirMachine is a fakeMachine whose state is a directory of files that are never
// changed, as Pebble's are: rows-INDEX (what was applied, with a checksum), and
// others that only take room.
type dirMachine struct {
	*fakeMachine
	dir  string
	fill int // bytes of padding in checkpoints
}

const rowsPrefix = "rows-"

func openDirMachine(t testing.TB, fs vfs.FS, dir string) *dirMachine {
	t.Helper()
	m := &dirMachine{fakeMachine: &fakeMachine{fs: fs, changed: make(chan struct{})}, dir: dir}
	if err := makeDir(fs, dir); err != nil {
		t.Fatal(err)
	}
	index, seen, err := readRows(fs, dir, false)
	if err != nil {
		t.Fatal(err)
	}
	m.index, m.seen = index, seen
	return m
}

// readRows reads the newest whole rows of a directory; all of its files if all is set.
func readRows(fs vfs.FS, dir string, all bool) (index uint64, seen []string, err error) {
	files, err := listState(fs, dir)
	if err != nil {
		return 0, nil, err
	}
	for _, f := range files {
		b, err := readWhole(fs, fs.PathJoin(dir, f.name))
		if err != nil {
			return 0, nil, err
		}
		if len(b) == 0 {
			continue
		}
		body := b[:max(0, len(b)-crcBytes)]
		if !bytes.Equal(sealed(body), b) {
			if all {
				return 0, nil, fmt.Errorf("%s is damaged", f.name)
			}
			continue
		}
		if strings.HasPrefix(f.name, rowsPrefix) {
			if _, err := fmt.Sscanf(f.name, rowsPrefix+"%016x", &index); err != nil {
				return 0, nil, err
			}
			seen = strings.Fields(string(body))
		}
	}
	return index, seen, nil
}

// stateApplied and stateVerify are what a server passes to the log.
func stateApplied(fs vfs.FS) func(string) (uint64, error) {
	return func(dir string) (uint64, error) {
		index, _, err := readRows(fs, dir, false)
		return index, err
	}
}

func stateVerify(fs vfs.FS) func(string) (uint64, error) {
	return func(dir string) (uint64, error) {
		index, _, err := readRows(fs, dir, true)
		return index, err
	}
}

func readWhole(fs vfs.FS, path string) ([]byte, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(f)
	return b, errors.Join(err, f.Close())
}

// sealed is b with its checksum.
func sealed(b []byte) []byte {
	return binary.BigEndian.AppendUint32(slices.Clip(b), digest.CRC32C(b))
}

// Flush writes new rows and then removes the old ones.
func (m *dirMachine) Flush() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	name := fmt.Sprintf("%s%016x", rowsPrefix, m.index)
	files, err := listState(m.fs, m.dir)
	if err != nil || slices.ContainsFunc(files, func(f stateFile) bool { return f.name == name }) {
		return err
	}
	b := sealed([]byte(strings.Join(m.seen, "\n") + "\n"))
	if err := errors.Join(writeNew(m.fs, m.fs.PathJoin(m.dir, name), b), durable.SyncDir(m.fs, m.dir)); err != nil {
		return err
	}
	for _, f := range files {
		if strings.HasPrefix(f.name, rowsPrefix) {
			err = errors.Join(err, m.fs.Remove(m.fs.PathJoin(m.dir, f.name)))
		}
	}
	return err
}

// Checkpoint links the state's files and makes a lock and a padding beside them.
func (m *dirMachine) Checkpoint(dir string) (uint64, error) {
	if err := m.Flush(); err != nil {
		return 0, err
	}
	if err := makeDir(m.fs, dir); err != nil {
		return 0, err
	}
	files, err := listState(m.fs, m.dir)
	if err != nil {
		return 0, err
	}
	for _, f := range files {
		if strings.HasPrefix(f.name, rowsPrefix) {
			err = errors.Join(err, m.fs.Link(m.fs.PathJoin(m.dir, f.name), m.fs.PathJoin(dir, f.name)))
		}
	}
	err = errors.Join(err, writeNew(m.fs, m.fs.PathJoin(dir, "LOCK"), nil),
		writeNew(m.fs, m.fs.PathJoin(dir, "padding"), sealed(padding(m.fill))), durable.SyncDir(m.fs, dir))
	return m.AppliedIndex(), err
}

// padding is n bytes that are the same each time.
func padding(n int) []byte {
	r, b := rand.New(rand.NewPCG(1, uint64(n))), make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// entries are events for a machine, of indexes from to to.
func fakeEntries(t testing.TB, from, to uint64) []Committed {
	var out []Committed
	for i := from; i <= to; i++ {
		out = append(out, Committed{Index: i, Term: 1, Data: event.AppendEntry(nil, int64(i), proposal(t, int(i)))})
	}
	return out
}

// seenOf is what a machine has seen that applied fakeEntries(1, to).
func seenOf(to uint64) string {
	var ids []string
	for i := uint64(1); i <= to; i++ {
		id := make([]byte, event.RequestIDBytes)
		copy(id, fmt.Sprintf("request %d", i))
		ids = append(ids, hex.EncodeToString(id))
	}
	return strings.Join(ids, " ")
}

// snapshotRig is a store of snapshots over a disk in memory.
type snapshotRig struct {
	t       testing.TB
	fs      vfs.FS
	store   *snapshotStore
	machine *dirMachine
	fatal   error
	log     *bytes.Buffer
}

func newSnapshotRig(t testing.TB, fs vfs.FS) *snapshotRig {
	t.Helper()
	r := &snapshotRig{t: t, fs: fs, log: &bytes.Buffer{}}
	var err error
	r.store, err = openSnapshots(fs, "wal/snapshots", slog.New(slog.NewTextHandler(r.log, nil)), func(err error) { r.fatal = err })
	if err != nil {
		t.Fatal(err)
	}
	r.store.verify = stateVerify(fs)
	r.store.identity = func() []byte { return []byte("cluster") }
	r.store.judge = func(snapshotID) (bool, error) { return false, nil }
	r.machine = openDirMachine(t, fs, "state")
	return r
}

// take applies entries up to index and takes a snapshot of this node there.
func (r *snapshotRig) take(index, term uint64) error {
	r.machine.Apply(fakeEntries(r.t, r.machine.AppliedIndex()+1, index))
	staged, err := r.store.stage(r.machine)
	if err != nil {
		return err
	}
	defer staged.Release()
	sink, err := r.store.Create(1, index, term, testConfiguration(), 1, nil)
	if err != nil {
		return err
	}
	if err := staged.Persist(sink); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	return sink.Close()
}

func testConfiguration() raft.Configuration {
	return raft.Configuration{Servers: []raft.Server{{ID: "node-1", Address: "node-1"}}}
}

// stream reads all of a snapshot's stream.
func (r *snapshotRig) stream(id string) []byte {
	r.t.Helper()
	meta, s, err := r.store.Open(id)
	if err != nil {
		r.t.Fatal(err)
	}
	b, err := io.ReadAll(s)
	if err := errors.Join(err, s.Close()); err != nil {
		r.t.Fatal(err)
	}
	if int64(len(b)) != meta.Size {
		r.t.Fatalf("the stream has %d bytes, not %d as announced", len(b), meta.Size)
	}
	return b
}

// receive does what raft does with a stream, in pieces of any length.
func (r *snapshotRig) receive(index, term uint64, b []byte, piece func() int) (raft.SnapshotSink, error) {
	sink, err := r.store.Create(1, index, term, testConfiguration(), 1, nil)
	if err != nil {
		return nil, err
	}
	for len(b) > 0 {
		n := min(piece(), len(b))
		if _, err := sink.Write(slices.Clone(b[:n])); err != nil {
			return sink, errors.Join(err, sink.Cancel())
		}
		b = b[n:]
	}
	return sink, sink.Close()
}

func whole() int { return 1 << 30 }

// names lists a directory, sorted.
func names(t testing.TB, fs vfs.FS, dir string) []string {
	t.Helper()
	list, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(list)
	return list
}

// sentSnapshot is the stream of a snapshot of entry index, as another node sends it.
func sentSnapshot(t testing.TB, index, term uint64, fill int) []byte {
	t.Helper()
	r := newSnapshotRig(t, vfs.NewMem())
	r.machine.fill = fill
	if err := r.take(index, term); err != nil {
		t.Fatal(err)
	}
	return r.stream(r.store.newest().meta.name())
}

// storesOptions are those of a node whose stores alone are opened.
func storesOptions(t testing.TB, fs vfs.FS, m Machine) Options {
	return Options{
		FS: fs, Dir: "wal", ID: "node-1", Machine: m, Peers: NoPeers(), Now: time.Now, SegmentBytes: 16 << 10,
		VerifyState: stateVerify(fs), Identity: func() []byte { return []byte("cluster") },
		Fatal: func(err error) { t.Errorf("fatal: %v", err); panic(err) },
	}
}

// start does what a server does at its start, but for Raft itself.
func start(t testing.TB, fs vfs.FS) (*Node, *dirMachine, error) {
	t.Helper()
	if err := restoreState(fs, nil); err != nil {
		return nil, nil, err
	}
	m := openDirMachine(t, fs, "state")
	n := &Node{opts: storesOptions(t, fs, m)}
	if err := n.opts.complete(); err != nil {
		t.Fatal(err)
	}
	if err := n.openStores(); err != nil {
		return nil, nil, errors.Join(err, n.closeStores())
	}
	return n, m, nil
}

func restoreState(fs vfs.FS, log *slog.Logger) error {
	return RestoreState(RestoreOptions{
		FS: fs, Dir: "wal", State: "state", Applied: stateApplied(fs), Verify: stateVerify(fs), Log: log,
	})
}
