package wal

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"
)

// snapshotStore keeps the newest snapshot: hard links to the state's files, so
// that it costs no copy. It implements raft.SnapshotStore; the raft goroutine and
// the FSM goroutine use it one after the other.
type snapshotStore struct {
	fs  vfs.FS
	dir string
	log *slog.Logger
	// published is told of each snapshot once it is durable.
	published func(index, term uint64)

	mu     sync.Mutex
	staged int // names of temporary directories
	last   *snapshotMeta
}

const stagePrefix = "tmp-"

// openSnapshots removes what was never published and reads the newest snapshot.
func openSnapshots(fs vfs.FS, dir string, log *slog.Logger) (*snapshotStore, error) {
	s := &snapshotStore{fs: fs, dir: dir, log: log, published: func(uint64, uint64) {}}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("wal: snapshots: %w", err)
	}
	names, err := fs.List(dir)
	if err != nil {
		return nil, fmt.Errorf("wal: snapshots: %w", err)
	}
	sort.Strings(names)
	for _, name := range names {
		path := fs.PathJoin(dir, name)
		if strings.HasPrefix(name, stagePrefix) {
			if err := fs.RemoveAll(path); err != nil {
				return nil, fmt.Errorf("wal: snapshots: %w", err)
			}
			continue
		}
		m, err := s.read(path)
		if err != nil {
			return nil, fmt.Errorf("wal: snapshot %s: %w", name, err)
		}
		if m.name() != name {
			return nil, fmt.Errorf("wal: snapshot %s says it is %s", name, m.name())
		}
		s.last = m // names ascend with the index
	}
	return s, nil
}

func (s *snapshotStore) read(path string) (*snapshotMeta, error) {
	f, err := s.fs.Open(s.fs.PathJoin(path, "META"))
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxMetaBytes+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return decodeSnapshotMeta(b)
}

// newest is the newest snapshot's meta; zero if there is none.
func (s *snapshotStore) newest() snapshotID {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		return snapshotID{}
	}
	return snapshotID{Index: s.last.index, Term: s.last.term}
}

type snapshotID struct{ Index, Term uint64 }

// stage links the state into a temporary directory.
func (s *snapshotStore) stage(m Machine) (*stagedSnapshot, error) {
	s.mu.Lock()
	s.staged++
	dir := s.fs.PathJoin(s.dir, fmt.Sprintf("%s%d", stagePrefix, s.staged))
	s.mu.Unlock()
	if err := s.fs.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	applied, err := m.Checkpoint(s.fs.PathJoin(dir, "state"))
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

// Create begins a snapshot.
func (s *snapshotStore) Create(_ raft.SnapshotVersion, index, term uint64, c raft.Configuration, configIndex uint64, _ raft.Transport) (raft.SnapshotSink, error) {
	return &snapshotSink{store: s, meta: &snapshotMeta{
		index: index, term: term, configIndex: configIndex, configuration: raft.EncodeConfiguration(c),
	}}, nil
}

// List returns the newest snapshot.
func (s *snapshotStore) List() ([]*raft.SnapshotMeta, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil {
		return nil, nil
	}
	return []*raft.SnapshotMeta{s.last.raft()}, nil
}

// Open would stream a snapshot to a follower: a single node has none.
func (s *snapshotStore) Open(id string) (*raft.SnapshotMeta, io.ReadCloser, error) {
	return nil, nil, fmt.Errorf("wal: snapshot %s cannot be streamed: this node has no peers", id)
}

// snapshotSink publishes a staged snapshot.
type snapshotSink struct {
	store  *snapshotStore
	meta   *snapshotMeta
	staged string
}

func (k *snapshotSink) ID() string { return k.meta.name() }

func (k *snapshotSink) Write([]byte) (int, error) {
	return 0, errors.New("wal: snapshots are linked, not streamed, into their store")
}

func (k *snapshotSink) Cancel() error { return nil } // Release removes the directory

// Close publishes: META and its directory are durable before the name is, and
// the name before raft may truncate the log by it.
func (k *snapshotSink) Close() error {
	s := k.store
	if k.staged == "" {
		return errors.New("wal: a snapshot was closed before it was persisted")
	}
	f, err := s.fs.Create(s.fs.PathJoin(k.staged, "META"), vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	_, err = f.Write(k.meta.encode())
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close(), syncDir(s.fs, k.staged)); err != nil {
		return err
	}
	if err := s.fs.Rename(k.staged, s.fs.PathJoin(s.dir, k.meta.name())); err != nil {
		return err
	}
	if err := syncDir(s.fs, s.dir); err != nil {
		return err
	}
	s.mu.Lock()
	old := s.last
	s.last = k.meta
	s.mu.Unlock()
	s.published(k.meta.index, k.meta.term)
	return s.retire(old)
}

// retire removes the snapshot that a newer one replaced; under a temporary name
// first, so that half of it is never taken for a whole one.
func (s *snapshotStore) retire(old *snapshotMeta) error {
	if old == nil || old.name() == s.last.name() {
		return nil
	}
	s.mu.Lock()
	s.staged++
	grave := s.fs.PathJoin(s.dir, fmt.Sprintf("%s%d", stagePrefix, s.staged))
	s.mu.Unlock()
	if err := s.fs.Rename(s.fs.PathJoin(s.dir, old.name()), grave); err != nil {
		return err
	}
	if err := syncDir(s.fs, s.dir); err != nil {
		return err
	}
	return s.fs.RemoveAll(grave)
}

func syncDir(fs vfs.FS, dir string) error {
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
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
		if n.opts.Machine.AppliedIndex() < n.snapshots.newest().Index+n.opts.SnapshotEntries {
			continue
		}
		if err := n.Snapshot(); err != nil {
			n.opts.Log.Warn("log: no snapshot", "err", err)
		}
	}
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
