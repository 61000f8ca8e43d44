package wal

import (
	"errors"
	"fmt"
	iofs "io/fs"
	"log/slog"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/sim/sabotage"
	"ironman/wal/durable"
)

// RestoreOptions of RestoreState.
type RestoreOptions struct {
	FS vfs.FS
	// Dir is the directory of the log, State that of the state machine's files. They
	// are on one file system: files are linked from one to the other.
	Dir, State string
	// Applied tells where the state in a directory that is there stands. It fails if
	// somebody else has the state open.
	Applied func(dir string) (index uint64, err error)
	// Verify reads all of the state in a directory and tells where it stands.
	Verify func(dir string) (index uint64, err error)
	Log    *slog.Logger
}

// RestoreState puts the state of a snapshot that another node sent in place of this
// node's, if that stands below it. It is called at every start before the state and
// the log are opened. It can be cut short at any moment and is then done again. An
// error means that this node must not start; nothing was changed then, unless
// the disk failed.
//
// A snapshot that this node took itself is never put in place of the state. The
// state was durable up to there before the snapshot was published: a state below it
// was lost, or put back from a backup, and is refused.
func RestoreState(o RestoreOptions) error {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	r := &restoration{RestoreOptions: o, snapshots: o.FS.PathJoin(o.Dir, "snapshots")}
	found, err := findSnapshots(o.FS, r.snapshots, o.Log)
	if err != nil {
		return err
	}
	s := &snapshotStore{fs: o.FS, dir: r.snapshots, log: o.Log, verify: o.Verify}
	if n := found.newest; n != nil {
		if err := r.settle(s, n); err != nil {
			return fmt.Errorf("wal: snapshot %s: %w", n.meta.name(), err)
		}
	}
	if err := s.clean(found); err != nil {
		return fmt.Errorf("wal: snapshots: %w", err)
	}
	return nil
}

// restoration is a RestoreState under way. Beside the state stand, for a while, what
// will take its place and what it took the place of.
type restoration struct {
	RestoreOptions
	snapshots string
}

func (r *restoration) next() string { return r.State + ".new" }
func (r *restoration) past() string { return r.State + ".old" }

// settle brings the state up to the newest snapshot, or sees that it is.
func (r *restoration) settle(s *snapshotStore, n *snapshot) error {
	applied, there, err := r.applied()
	if err != nil {
		return fmt.Errorf("the state in %s cannot be read: %w; nothing was changed: to have it rebuilt, move it away", r.State, err)
	}
	if applied < n.meta.index {
		if !n.installing && !sabotage.On(sabotage.X18) {
			return stateBehind(applied, n.meta, s)
		}
		return r.install(s, n, there)
	}
	if err := r.tidy(); err != nil {
		return err
	}
	r.inspect(s, n)
	return nil
}

// applied tells where the state stands: at 0 if there is none.
func (r *restoration) applied() (index uint64, there bool, err error) {
	names, err := r.FS.List(r.State)
	if errors.Is(err, iofs.ErrNotExist) {
		return 0, false, nil
	}
	if err != nil || len(names) == 0 {
		return 0, err == nil, err
	}
	index, err = r.Applied(r.State)
	return index, true, err
}

// inspect looks whether the newest snapshot, which is not needed now, could be sent
// to another node. All of it is read only before it is.
func (r *restoration) inspect(s *snapshotStore, n *snapshot) {
	if n.damaged {
		r.Log.Error("log: the newest snapshot was found damaged: a new one will be taken", "snapshot", n.meta.name())
		return
	}
	applied, err := r.Applied(s.path(n.meta, stateName))
	if err == nil && applied != n.meta.applied {
		err = fmt.Errorf("its state stands at entry %d, but its META says %d", applied, n.meta.applied)
	}
	if err != nil {
		s.spoil(n, err)
	}
}

// install puts the snapshot's state in place. The old one goes only when the new
// one is there for good.
func (r *restoration) install(s *snapshotStore, n *snapshot, there bool) error {
	from := s.path(n.meta, stateName)
	if err := s.verifyState(n.meta, from); err != nil {
		return fmt.Errorf("it is to be installed, but damaged: %w; nothing was changed, and there is nothing to fall back to: "+
			"this node must join anew under another identity, unless %s can be put back whole", err, from)
	}
	if err := r.link(from); err != nil {
		return fmt.Errorf("%s: %w", r.next(), err)
	}
	if there {
		if err := r.FS.RemoveAll(r.past()); err != nil {
			return err
		}
		if err := r.rename(r.State, r.past()); err != nil {
			return err
		}
	}
	if err := r.rename(r.next(), r.State); err != nil {
		return err
	}
	r.Log.Info("log: the state of a snapshot was put in place", "snapshot", n.meta.name(), "dir", r.State)
	return r.tidy()
}

// link makes the state that takes the other's place.
func (r *restoration) link(from string) error {
	if err := r.FS.RemoveAll(r.next()); err != nil {
		return err
	}
	return linkState(r.FS, from, r.next())
}

// linkState makes a copy of a state out of links. Empty files are made anew: a lock may
// be among them, and two directories must not share one.
func linkState(fs vfs.FS, from, to string) error {
	if err := makeDir(fs, to); err != nil {
		return err
	}
	files, err := listState(fs, from)
	if err != nil {
		return err
	}
	for _, f := range files {
		path := fs.PathJoin(to, f.name)
		if f.size == 0 {
			err = writeNew(fs, path, nil)
		} else {
			err = vfs.LinkOrCopy(fs, fs.PathJoin(from, f.name), path)
		}
		if err != nil {
			return err
		}
	}
	return durable.SyncDir(fs, to)
}

// rename is durable on return.
func (r *restoration) rename(from, to string) error {
	if err := r.FS.Rename(from, to); err != nil {
		return err
	}
	return durable.SyncDir(r.FS, r.FS.PathDir(to))
}

// tidy removes what an installation left beside the state, which is in place.
func (r *restoration) tidy() error {
	names, err := r.FS.List(r.FS.PathDir(r.State))
	if err != nil {
		return err
	}
	changed := false
	for _, path := range []string{r.next(), r.past()} {
		if !slices.Contains(names, r.FS.PathBase(path)) {
			continue
		}
		changed = true
		if err := r.FS.RemoveAll(path); err != nil {
			return err
		}
	}
	if !changed {
		return nil
	}
	return durable.SyncDir(r.FS, r.FS.PathDir(r.State))
}
