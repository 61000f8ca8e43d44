package wal

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"log/slog"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/wal/durable"
)

// A directory of snapshots holds directories INDEX-TERM (16 hexadecimal digits
// each), which are published, and others that begin with tmp-, which never were or
// no longer are. A published one holds
//
//	META           what it is a snapshot of (see snapshotMeta)
//	META2          the same bytes again: without them Raft cannot start
//	state          the files of the state machine, a flat directory
//	state.damaged  what state was called before it was found damaged
//	INSTALL        is there while state and log of this node may stand below it: it
//	               came from another node, and no start has finished its installation
//
// INSTALL is what tells a log that a snapshot overtook from one that lost its end.
const (
	stagePrefix    = "tmp-"
	receivedPrefix = "received-" // of an id, for Restore; never of a directory
	metaName       = "META"
	metaCopy       = "META2"
	stateName      = "state"
	damagedName    = "state.damaged"
	installName    = "INSTALL"
)

// foundSnapshots is what a directory of snapshots holds.
type foundSnapshots struct {
	newest *snapshot // nil: none
	older  []string  // published before
	staged []string  // never published, or no longer
}

// findSnapshots reads a directory of snapshots, and changes nothing. There may be
// none. A newest snapshot without a readable META is an error: without its term and
// configuration Raft cannot start, and an older one would open a gap.
func findSnapshots(fs vfs.FS, dir string, log *slog.Logger) (*foundSnapshots, error) {
	names, err := fs.List(dir)
	if err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return nil, fmt.Errorf("wal: snapshots: %w", err)
	}
	slices.Sort(names) // published names ascend with the index
	found := &foundSnapshots{}
	for _, name := range names {
		if strings.HasPrefix(name, stagePrefix) {
			found.staged = append(found.staged, name)
		} else {
			found.older = append(found.older, name)
		}
	}
	last := len(found.older) - 1
	if last < 0 {
		return found, nil
	}
	name := found.older[last]
	found.older = found.older[:last]
	if found.newest, err = readSnapshot(fs, fs.PathJoin(dir, name), log); err != nil {
		return nil, fmt.Errorf("wal: snapshot %s: %w; nothing was changed: put back its META, "+
			"or let this node join anew under another identity", name, err)
	}
	if said := found.newest.meta.name(); said != name {
		return nil, fmt.Errorf("wal: snapshot %s says it is %s", name, said)
	}
	return found, nil
}

// readSnapshot reads what a published snapshot is; of its state only whether it is there.
func readSnapshot(fs vfs.FS, path string, log *slog.Logger) (*snapshot, error) {
	meta, err := readMeta(fs, fs.PathJoin(path, metaName))
	if err != nil {
		var again error
		if meta, again = readMeta(fs, fs.PathJoin(path, metaCopy)); again != nil {
			return nil, errors.Join(err, again)
		}
		log.Error("log: the META of the newest snapshot is damaged; its second copy is whole", "path", path, "err", err)
	}
	n := &snapshot{meta: meta}
	if n.installing, err = exists(fs, fs.PathJoin(path, installName)); err != nil {
		return nil, err
	}
	whole, err := exists(fs, fs.PathJoin(path, stateName))
	n.damaged = !whole
	return n, err
}

func readMeta(fs vfs.FS, path string) (*snapshotMeta, error) {
	f, err := fs.Open(path)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, maxMetaBytes+1))
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	return decodeSnapshotMeta(b)
}

// openSnapshots removes what was never published or was replaced, and keeps the
// newest snapshot.
func openSnapshots(fs vfs.FS, dir string, log *slog.Logger, fatal func(error)) (*snapshotStore, error) {
	if err := makeDir(fs, dir); err != nil {
		return nil, fmt.Errorf("wal: snapshots: %w", err)
	}
	found, err := findSnapshots(fs, dir, log)
	if err != nil {
		return nil, err
	}
	s := &snapshotStore{
		fs: fs, dir: dir, log: log, fatal: fatal,
		published: func(uint64, uint64) {}, identity: func() []byte { return nil },
		judge: func(snapshotID) (bool, error) { return false, errors.New("this node takes no snapshots from others") },
	}
	if found.newest != nil {
		s.kept = []*snapshot{found.newest}
	}
	if err := s.clean(found); err != nil {
		return nil, fmt.Errorf("wal: snapshots: %w", err)
	}
	return s, nil
}

// clean makes durable what was found, and that the rest is gone.
func (s *snapshotStore) clean(found *foundSnapshots) error {
	for _, name := range found.staged {
		if err := s.fs.RemoveAll(s.fs.PathJoin(s.dir, name)); err != nil {
			return err
		}
	}
	for _, name := range found.older {
		if err := s.bury(name); err != nil {
			return err
		}
	}
	if len(found.staged)+len(found.older) == 0 && found.newest == nil {
		return nil
	}
	// Also of a snapshot that got its name just before the process was killed.
	return durable.SyncDir(s.fs, s.dir)
}

// bury removes a published snapshot; under a temporary name first, so that half of
// it is never taken for a whole one.
func (s *snapshotStore) bury(name string) error {
	grave := s.temporary()
	if err := s.fs.Rename(s.fs.PathJoin(s.dir, name), grave); err != nil {
		return err
	}
	if err := durable.SyncDir(s.fs, s.dir); err != nil {
		return err
	}
	return s.fs.RemoveAll(grave)
}

// retire removes every snapshot but the newest and those that are read. One that
// cannot be removed stays until the next start. change is held.
func (s *snapshotStore) retire() {
	s.mu.Lock()
	var old []string
	last := len(s.kept) - 1
	kept := s.kept[:0]
	for i, n := range s.kept {
		if i < last && n.readers == 0 {
			old = append(old, n.meta.name())
		} else {
			kept = append(kept, n)
		}
	}
	clear(s.kept[len(kept):])
	s.kept = kept
	s.mu.Unlock()
	for _, name := range old {
		if err := s.bury(name); err != nil {
			s.log.Warn("log: a snapshot that was replaced stays", "snapshot", name, "err", err)
		}
	}
}

// spoil makes sure that a damaged state is never taken for a whole one, and keeps
// its files for whoever looks into it. change is held.
func (s *snapshotStore) spoil(n *snapshot, why error) {
	s.log.Error("log: the newest snapshot is damaged: it is not sent to other nodes, and a new one will be taken; "+
		"check this disk, since the state itself may share the damage", "snapshot", n.meta.name(), "err", why)
	n.damaged = true
	err := s.fs.Rename(s.path(n.meta, stateName), s.path(n.meta, damagedName))
	if err == nil {
		err = durable.SyncDir(s.fs, s.path(n.meta))
	}
	if err != nil {
		s.log.Warn("log: the damaged snapshot cannot be marked", "snapshot", n.meta.name(), "err", err)
	}
}

// makeDir makes a directory whose own entry is durable.
func makeDir(fs vfs.FS, dir string) error {
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return durable.SyncDir(fs, fs.PathDir(dir))
}

func exists(fs vfs.FS, path string) (bool, error) {
	_, err := fs.Stat(path)
	if errors.Is(err, iofs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// writeNew makes a file with its bytes and syncs it, but not its name.
func writeNew(fs vfs.FS, path string, b []byte) error {
	f, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if len(b) > 0 {
		_, err = f.Write(slices.Clone(b)) // Write may change what it is given
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
