package wal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"
)

// snapshotStore keeps the newest snapshot, and older ones while somebody reads
// them. A snapshot of this node is made of hard links to the state's files, so that
// it costs no copy; one of another node was received and verified. It implements
// raft.SnapshotStore; its methods are safe for concurrent use.
type snapshotStore struct {
	fs  vfs.FS
	dir string
	log *slog.Logger
	// fatal ends the process when it is unknown whether a snapshot has its name; it
	// never returns.
	fatal func(error)
	// published is told of each snapshot once it is durable.
	published func(index, term uint64)
	// verify reads a whole state and tells its applied index; nil: snapshots are not
	// exchanged with other nodes.
	verify func(dir string) (uint64, error)
	// identity of the log, in streams.
	identity func() []byte
	// judge says whether a snapshot of another node may be installed here; repeated:
	// it is the one that was installed last, and nothing has happened since.
	judge func(snapshotID) (repeated bool, err error)

	// checking is held while a state is read before it is sent. Taken before change.
	checking sync.Mutex
	// change is held by whoever gives a snapshot its name, takes it away or calls it
	// damaged. Taken before mu.
	change sync.Mutex

	mu     sync.Mutex
	staged int // names of temporary directories
	// kept are the published snapshots, ascending; only the last may be unread.
	kept []*snapshot
}

// snapshot is a published one.
type snapshot struct {
	meta    *snapshotMeta
	readers int // guarded by the store's mu
	// installing: it came from another node, and state and log may stand below it.
	installing bool
	// verified: all of its state was read in this process, and was whole. Guarded by
	// the store's checking.
	verified bool
	damaged  bool // its state is not whole, or not there; guarded by change
}

func (s *snapshot) id() snapshotID { return snapshotID{Index: s.meta.index, Term: s.meta.term} }

type snapshotID struct{ Index, Term uint64 }

// newest is the newest snapshot; nil if there is none.
func (s *snapshotStore) newest() *snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.kept) == 0 {
		return nil
	}
	return s.kept[len(s.kept)-1]
}

// newestID is zero if there is no snapshot.
func (s *snapshotStore) newestID() snapshotID {
	if n := s.newest(); n != nil {
		return n.id()
	}
	return snapshotID{}
}

// temporary is a path that nothing has yet, which a start cleans.
func (s *snapshotStore) temporary() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.staged++
	return s.fs.PathJoin(s.dir, fmt.Sprintf("%s%d", stagePrefix, s.staged))
}

func (s *snapshotStore) path(m *snapshotMeta, elem ...string) string {
	return s.fs.PathJoin(append([]string{s.dir, m.name()}, elem...)...)
}

// stage links the state into a temporary directory.
func (s *snapshotStore) stage(m Machine) (*stagedSnapshot, error) {
	dir := s.temporary()
	if err := s.fs.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	applied, err := m.Checkpoint(s.fs.PathJoin(dir, stateName))
	if err != nil {
		return nil, errors.Join(err, s.fs.RemoveAll(dir))
	}
	return &stagedSnapshot{store: s, dir: dir, applied: applied}, nil
}

// stagedSnapshot is a checkpoint that waits for its meta.
type stagedSnapshot struct {
	store   *snapshotStore
	dir     string
	applied uint64
}

// Persist hands the directory to the sink: nothing is copied.
func (g *stagedSnapshot) Persist(sink raft.SnapshotSink) error {
	k, ok := sink.(*snapshotSink)
	if !ok {
		return errors.New("wal: snapshots are linked, not streamed, into their store")
	}
	if g.applied < k.meta.index {
		return fmt.Errorf("wal: the checkpoint holds entry %d, the snapshot is of %d", g.applied, k.meta.index)
	}
	k.meta.applied = g.applied
	k.staged = g.dir
	return nil
}

// Release removes the directory if nothing adopted it.
func (g *stagedSnapshot) Release() {
	if err := g.store.fs.RemoveAll(g.dir); err != nil {
		g.store.log.Warn("log: a temporary snapshot stays", "dir", g.dir, "err", err)
	}
}

// Create begins a snapshot, of this node or of another.
func (s *snapshotStore) Create(_ raft.SnapshotVersion, index, term uint64, c raft.Configuration, configIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	return &snapshotSink{store: s, meta: &snapshotMeta{
		index: index, term: term, configIndex: configIndex, configuration: raft.EncodeConfiguration(c),
	}}, nil
}

// List returns the newest snapshot.
func (s *snapshotStore) List() ([]*raft.SnapshotMeta, error) {
	n := s.newest()
	if n == nil {
		return nil, nil
	}
	return []*raft.SnapshotMeta{n.meta.raft()}, nil
}

// Open streams a snapshot to another node, or to Restore. It stays until the stream
// is closed. What was not verified yet is: a node that sends a damaged snapshot
// would only make the other say so, again and again.
func (s *snapshotStore) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	name, restoring := strings.CutPrefix(id, receivedPrefix)
	n := s.hold(name)
	if n == nil {
		return nil, nil, fmt.Errorf("wal: snapshot %s is not there any more", name)
	}
	meta := n.meta.raft()
	if restoring {
		defer s.release(n)
		r, size := headReader(s.identity(), n.meta)
		meta.ID, meta.Size = id, size
		return meta, r, nil
	}
	r, err := s.stream(n, meta)
	if err != nil {
		s.release(n)
		return nil, nil, fmt.Errorf("wal: snapshot %s: %w", name, err)
	}
	return meta, r, nil
}

func (s *snapshotStore) stream(n *snapshot, meta *raft.SnapshotMeta) (io.ReadCloser, error) {
	if err := s.check(n); err != nil {
		return nil, err
	}
	e, size, err := newStreamEncoder(s.fs, s.path(n.meta, stateName), s.identity(), n.meta)
	if err != nil {
		return nil, err
	}
	e.closed = func() { s.release(n) }
	meta.Size = size
	return e, nil
}

// hold finds a snapshot and keeps it until release.
func (s *snapshotStore) hold(name string) *snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.kept {
		if n.meta.name() == name {
			n.readers++
			return n
		}
	}
	return nil
}

func (s *snapshotStore) release(n *snapshot) {
	s.mu.Lock()
	n.readers--
	s.mu.Unlock()
	s.change.Lock()
	defer s.change.Unlock()
	s.retire()
}

// check verifies all of a snapshot's state, once in a process.
func (s *snapshotStore) check(n *snapshot) error {
	s.checking.Lock()
	defer s.checking.Unlock()
	switch {
	case n.verified:
		return nil
	case s.isDamaged(n):
		return errors.New("its state is damaged, and a new one will be taken")
	case s.verify == nil:
		return errors.New("this node cannot verify snapshots, and so exchanges none")
	}
	if err := s.verifyState(n.meta, s.path(n.meta, stateName)); err != nil {
		s.change.Lock()
		defer s.change.Unlock()
		s.spoil(n, err)
		return err
	}
	n.verified = true
	return nil
}

func (s *snapshotStore) isDamaged(n *snapshot) bool {
	s.change.Lock()
	defer s.change.Unlock()
	return n.damaged
}

// verifyState reads a whole state and compares it with what META says of it.
func (s *snapshotStore) verifyState(m *snapshotMeta, dir string) error {
	applied, err := s.verify(dir)
	if err == nil && applied != m.applied {
		err = fmt.Errorf("its state stands at entry %d, but its META says %d", applied, m.applied)
	}
	return err
}

// takeSnapshots asks for a snapshot whenever enough entries were applied since
// the last. The state is flushed first, beside Apply, so that the checkpoint
// inside Apply's pause has little left to write.
func (n *Node) takeSnapshots(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !n.snapshotDue() {
			continue
		}
		if err := n.Snapshot(); err != nil {
			n.opts.Log.Warn("log: no snapshot", "err", err)
		}
	}
}

// snapshotDue: a damaged one is replaced as soon as there can be another.
func (n *Node) snapshotDue() bool {
	applied, newest := n.opts.Machine.AppliedIndex(), n.snapshots.newest()
	switch {
	case newest == nil:
		return applied >= n.opts.SnapshotEntries
	case n.snapshots.isDamaged(newest):
		return applied > newest.meta.index
	}
	return applied >= newest.meta.index+n.opts.SnapshotEntries
}

// Snapshot makes the state durable under a name and lets raft truncate the log by it.
func (n *Node) Snapshot() error {
	if err := n.opts.Machine.Flush(); err != nil {
		n.opts.Fatal(fmt.Errorf("wal: flush: %w", err))
	}
	err := n.raft.Snapshot().Error()
	if errors.Is(err, raft.ErrNothingNewToSnapshot) {
		return nil
	}
	return err
}
