package segment

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/wal/durable"
)

const manifestName = "MANIFEST"

// ManifestPath is the file that lists the files of the log in a directory: without
// it there is no log.
func ManifestPath(f vfs.FS, dir string) string { return f.PathJoin(dir, manifestName) }

// Open recovers the log, or makes a new one in an empty or missing directory.
// ErrCorrupt and ErrNewer leave the disk as it was.
func Open(o Options) (*Log, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	l := &Log{opts: o, mark: make([]byte, blockBytes), maker: maker{fs: o.FS, dir: o.Dir, rand: o.Rand}}
	l.watchdog = time.AfterFunc(o.StallLimit, l.stalled)
	l.watchdog.Stop()
	l.keeper = newKeeper(l.maker, o.SegmentBytes, l.fail)
	names, err := o.FS.List(o.Dir)
	if err != nil && !missing(err) {
		return nil, fmt.Errorf("log: %w", err)
	}
	if slices.Contains(names, manifestName) {
		err = l.recover(names)
	} else {
		err = l.create(names)
	}
	if err != nil {
		for _, f := range l.segments {
			err = errors.Join(err, f.release())
		}
		if l.slots != nil {
			err = errors.Join(err, l.slots.Close())
		}
		return nil, fmt.Errorf("log: %w", err)
	}
	go l.keeper.run()
	l.spent = true
	l.settle()
	return l, nil
}

func (l *Log) path(name string) string { return l.opts.FS.PathJoin(l.opts.Dir, name) }

// create makes an empty log. Segments exist only after the manifest, so segments
// without one have lost it.
func (l *Log) create(names []string) error {
	for _, name := range names {
		if _, ok := fileID(name); ok {
			return corrupt("%s is there, but the manifest is missing", l.path(name))
		}
	}
	if l.opts.Required > 0 {
		return corrupt("there is no log in %s, but entries up to %d were applied", l.opts.Dir, l.opts.Required)
	}
	fs := l.opts.FS
	if err := fs.MkdirAll(l.opts.Dir, 0o700); err != nil {
		return err
	}
	if err := durable.SyncDir(fs, fs.PathDir(l.opts.Dir)); err != nil {
		l.fail(err)
	}
	l.manifest = &manifest{next: 1}
	var err error
	if l.slots, err = CreateSlots(fs, l.path(manifestName), manifestFormat(), l.manifest.encode()); err != nil {
		l.fail(err)
	}
	l.cut(0, 1, 0, nil)
	return nil
}

// recover reads everything, decides, and only then changes anything.
func (l *Log) recover(names []string) error {
	slots, document, err := OpenSlots(l.opts.FS, l.path(manifestName), manifestFormat())
	if err != nil {
		return err
	}
	l.slots = slots
	l.recovery.SlotHealed = slots.Damaged()
	if l.manifest, err = decodeManifest(document); err != nil {
		return corrupt("the manifest: %s", plain(err))
	}
	last, end, holes, err := l.loadAll()
	if err != nil {
		return err
	}
	if err := l.checkReach(); err != nil {
		return err
	}
	if len(holes) > 0 {
		if last, end, err = l.mendAll(holes); err != nil {
			return err
		}
	}
	l.removeStrays(names)
	l.doomed = slices.Clone(l.manifest.retired)
	if last == nil {
		l.cut(0, l.floor+1, l.floor, nil) // a crash came between manifest and first segment
		return nil
	}
	return l.resume(last, end)
}

// loadAll opens the listed segments and reads where their entries are, and are not.
// The scan is that of the last one.
func (l *Log) loadAll() (last *scan, end ending, holes []Hole, err error) {
	l.floor = l.manifest.floor
	for _, r := range l.manifest.segments {
		var some []Hole
		if last, end, some, err = l.load(r); err != nil {
			return nil, ending{}, nil, err
		}
		holes = append(holes, some...)
	}
	return last, end, holes, nil
}

// load opens a listed segment and reads where its entries are.
func (l *Log) load(r record) (*scan, ending, []Hole, error) {
	f, err := openFile(l.opts.FS, l.path(fileName(r.id)), r)
	if err != nil {
		return nil, ending{}, nil, err
	}
	l.segments = append(l.segments, f)
	s := newScan(f)
	var end ending
	holes, err := s.through(func() (err error) {
		if f.sealed {
			return s.sealed(r.last)
		}
		end, err = s.open()
		return err
	})
	if err != nil && !errors.Is(err, ErrCorrupt) {
		err = fmt.Errorf("%s: %w", f.path, err)
	}
	f.spans, f.end = s.spans, blockUp(s.pos)
	return s, end, holes, err
}

// checkReach verifies that the log reaches as far as it is known to have.
func (l *Log) checkReach() error {
	tail := l.floor
	if len(l.segments) > 0 {
		tail = l.tail()
	}
	if tail < l.floor {
		return corrupt("the log ends at entry %d, but entries up to %d were truncated from its front", tail, l.floor)
	}
	if tail < l.opts.Required {
		return corrupt("the log ends at entry %d, but entries up to %d were applied", tail, l.opts.Required)
	}
	return nil
}

// removeStrays unlinks what was made but never listed. The ids of such segments
// will be used again, so they must be gone first.
func (l *Log) removeStrays(names []string) {
	removed := false
	for _, name := range names {
		if id, ok := fileID(name); ok && id >= l.manifest.next || name == manifestName+newSuffix {
			if err := l.opts.FS.Remove(l.path(name)); err != nil {
				l.fail(err)
			}
			removed = true
		}
	}
	if removed {
		if err := durable.SyncDir(l.opts.FS, l.opts.Dir); err != nil {
			l.fail(err)
		}
	}
}

// resume makes the open segment fit to go on. If all in it is known to be synced
// and nothing else stands behind it, it just goes on. A last batch that may never
// have been synced is written anew into a new segment: that the page cache shows
// it is no proof, even after a sync that succeeds, because a sync that failed
// before may have marked its pages clean. A torn tail stays where it is, in a
// segment sealed below it.
func (l *Log) resume(s *scan, end ending) error {
	keep, tail := l.tail(), l.tail()
	var again []Entry
	if !end.proven {
		keep = s.batch - 1
		for i := s.batch; i <= tail; i++ {
			f, at, _ := l.find(i)
			e, err := f.read(i, at)
			if err != nil {
				return err
			}
			again = append(again, e)
		}
		l.recovery.Rewritten = len(again)
	}
	if end.torn {
		l.recovery.TornSegment = s.id
	}
	if !end.torn && end.proven {
		l.publish(l.draft(), nil) // heals the slots, whatever state they are in
		return nil
	}
	l.cut(keep, keep+1, l.floor, again)
	return nil
}
