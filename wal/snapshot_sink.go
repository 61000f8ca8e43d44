package wal

import (
	"errors"
	"fmt"

	"ironman/wal/durable"
)

// snapshotSink is where raft puts a snapshot: one of this node, which Persist has
// handed over as a directory, or one of another, which raft writes as a stream.
type snapshotSink struct {
	store  *snapshotStore
	meta   *snapshotMeta
	staged string // the directory of a snapshot of this node
	spool  *spool // of one of another
}

var errNotPersisted = errors.New("wal: a snapshot was closed before anything of it came")

// ID names the snapshot to Open. One that was received is opened to be restored.
func (k *snapshotSink) ID() string {
	if k.spool != nil {
		return receivedPrefix + k.meta.name()
	}
	return k.meta.name()
}

// Write takes the stream of a snapshot of another node, and verifies it as it comes.
func (k *snapshotSink) Write(p []byte) (int, error) {
	if k.spool == nil {
		k.spool = newSpool(k.store, k.meta)
	}
	n, err := k.spool.decoder.Write(p)
	if err != nil {
		err = fmt.Errorf("wal: snapshot %s: %w", k.meta.name(), err)
	}
	return n, err
}

// Cancel gives up what was written. Release removes what was staged.
func (k *snapshotSink) Cancel() error {
	if k.spool == nil {
		return nil
	}
	return k.spool.drop()
}

// Close publishes the snapshot. With an error nothing has changed.
func (k *snapshotSink) Close() error {
	switch {
	case k.staged != "":
		return k.adopt()
	case k.spool != nil:
		if err := k.receive(); err != nil {
			return errors.Join(fmt.Errorf("wal: snapshot %s: %w", k.meta.name(), err), k.spool.drop())
		}
		return nil
	default:
		return errNotPersisted
	}
}

// adopt publishes a snapshot of this node. The machine made its files durable.
func (k *snapshotSink) adopt() error {
	s := k.store
	if err := s.describe(k.staged, k.meta, false); err != nil {
		return err
	}
	s.change.Lock()
	defer s.change.Unlock()
	if n := s.newest(); n != nil && n.meta.index >= k.meta.index {
		if n.meta.name() == k.meta.name() {
			return nil // nothing was applied since
		}
		return fmt.Errorf("wal: a snapshot of entry %d is late: there is one of entry %d", k.meta.index, n.meta.index)
	}
	return s.publish(k.staged, &snapshot{meta: k.meta})
}

// receive publishes a snapshot of another node. All of its state is read before,
// and whether it may be installed is asked once more: meanwhile this node may have
// gone on.
func (k *snapshotSink) receive() error {
	s, p := k.store, k.spool
	if err := p.decoder.finish(); err != nil {
		return err
	}
	if !p.repeated {
		if err := s.describe(p.dir, k.meta, true); err != nil {
			return err
		}
		if err := s.verifyState(k.meta, s.fs.PathJoin(p.dir, stateName)); err != nil {
			return fmt.Errorf("it came whole, but %w", err)
		}
	}
	s.change.Lock()
	defer s.change.Unlock()
	repeated, err := s.judge(snapshotID{Index: k.meta.index, Term: k.meta.term})
	switch {
	case err != nil:
		return err
	case repeated != p.repeated:
		return errors.New("this node went on while it came")
	case repeated:
		return nil
	}
	return s.publish(p.dir, &snapshot{meta: k.meta, installing: true, verified: true})
}

// describe writes beside a state what it is a snapshot of, and makes the directory
// durable, but for its name.
func (s *snapshotStore) describe(dir string, m *snapshotMeta, installing bool) error {
	meta := m.encode()
	err := errors.Join(
		writeNew(s.fs, s.fs.PathJoin(dir, metaName), meta),
		writeNew(s.fs, s.fs.PathJoin(dir, metaCopy), meta),
	)
	if installing {
		err = errors.Join(err, writeNew(s.fs, s.fs.PathJoin(dir, installName), nil))
	}
	return errors.Join(err, durable.SyncDir(s.fs, s.fs.PathJoin(dir, stateName)), durable.SyncDir(s.fs, dir))
}

// publish gives a directory its name, durably, before raft may truncate the log by
// it, and removes what it replaces. change is held. A name that cannot be synced is taken
// away again: the next start would believe it, and no second sync makes it durable.
func (s *snapshotStore) publish(dir string, n *snapshot) error {
	if err := s.fs.Rename(dir, s.path(n.meta)); err != nil {
		return err
	}
	if err := durable.SyncDir(s.fs, s.dir); err != nil {
		err = errors.Join(err, s.fs.Rename(s.path(n.meta), dir))
		s.fatal(fmt.Errorf("wal: snapshot %s: it is unknown whether it was published: %w", n.meta.name(), err))
		return err
	}
	s.mu.Lock()
	s.kept = append(s.kept, n)
	s.mu.Unlock()
	s.published(n.meta.index, n.meta.term)
	s.retire()
	return nil
}
