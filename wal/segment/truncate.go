package segment

import (
	"fmt"
	"slices"

	"ironman/sim/sabotage"
)

// TruncatePrefix makes first the first index. It may be one above the last entry:
// then the log is empty. Durable on return, although a forgotten one would do no
// harm, because it is rare and the files that it frees must be off the manifest
// before they are unlinked. Files stay until SetArchived has passed them.
func (l *Log) TruncatePrefix(first uint64) error {
	if err := l.begin(); err != nil {
		return err
	}
	defer l.done()
	if first <= l.floor+1 {
		return nil
	}
	if first > l.tail()+1 {
		return fmt.Errorf("%w: truncate up to %d, but the log ends at %d", ErrRange, first, l.tail())
	}
	m := l.draft()
	m.floor = first - 1
	m.release(l.archived)
	l.publish(m, nil)
	l.settle()
	return nil
}

// SetArchived says that entries up to index stand in the archive. It is not
// remembered over a restart; until it is said again, nothing is released. Files of
// which all entries are archived and truncated are taken off the manifest here and
// unlinked in the background.
func (l *Log) SetArchived(index uint64) error {
	if err := l.begin(); err != nil {
		return err
	}
	defer l.done()
	if index <= l.archived {
		return nil
	}
	l.archived = index
	m := l.draft()
	if !m.release(l.archived) {
		return nil
	}
	l.publish(m, nil)
	l.settle()
	return nil
}

// Archived is the index that SetArchived was last told; 0: nothing since the log is open.
func (l *Log) Archived() uint64 {
	l.write.Lock()
	defer l.write.Unlock()
	return l.archived
}

// Seal goes on in a new file, so that what stands in the log now can go as a whole. It
// returns the index of the last entry there.
func (l *Log) Seal() (uint64, error) {
	if err := l.begin(); err != nil {
		return 0, err
	}
	defer l.done()
	if f := l.open(); f.last() >= f.base {
		l.rotate(0)
		l.settle()
	}
	return l.tail(), nil
}

// Sealed tells whether nothing up to index stands in the file that is appended to. It may,
// after Seal, where the end of the log was replaced since.
func (l *Log) Sealed(index uint64) bool {
	l.state.RLock()
	defer l.state.RUnlock()
	return l.open().base > index
}

// Holds tells whether a file is still there that may have bytes of an entry up to index:
// also one of which nothing is read any more.
func (l *Log) Holds(index uint64) bool {
	l.write.Lock()
	defer l.write.Unlock()
	for _, f := range l.segments {
		if f.base <= index {
			return true
		}
	}
	return l.keeper.unlinking()
}

// TruncateSuffix removes the entries from index from on. Durable on return, and
// for good: the segment is sealed below from and a new one begins, so that nothing
// of what was removed can be read again. Such entries were never committed; the
// archive has no claim on them.
func (l *Log) TruncateSuffix(from uint64) error {
	if err := l.begin(); err != nil {
		return err
	}
	defer l.done()
	if from > l.tail() {
		return nil
	}
	if from <= l.floor {
		return fmt.Errorf("%w: truncate from %d, but the log begins at %d", ErrRange, from, l.floor+1)
	}
	l.cut(from-1, from, l.floor, nil)
	l.settle()
	return nil
}

// Reset empties the log; the next entry must be floor+1. Durable on return. What
// was below the old floor was committed and stays for the archive; what was above
// it may never have been, and goes. Floors do not sink: a lower one is ErrRange.
func (l *Log) Reset(floor uint64) error {
	if err := l.begin(); err != nil {
		return err
	}
	defer l.done()
	if floor < l.floor || floor >= maxIndex {
		return fmt.Errorf("%w: floor %d after %d", ErrRange, floor, l.floor)
	}
	if floor == l.floor && l.tail() == l.floor {
		return nil
	}
	l.cut(l.floor, floor+1, floor, nil)
	l.settle()
	return nil
}

// rotate seals the open segment and goes on in one with room for a batch of size bytes.
func (l *Log) rotate(size int64) {
	m := l.draft()
	m.cut(l.tail())
	f := l.fresh(m, size)
	f.base = l.tail() + 1
	m.add(record{origin: f.origin, base: f.base})
	l.publish(m, f)
}

// cut ends the log at keep and goes on in a new segment, which begins at base. The
// entries that are given are stored in it first: they appear in the log in the
// same instant as the cut.
func (l *Log) cut(keep, base, floor uint64, entries []Entry) {
	m := l.draft()
	m.cut(keep)
	m.floor = floor
	f := l.fresh(m, batchSize(entries))
	f.base = base
	m.add(record{origin: f.origin, base: base})
	if len(entries) > 0 {
		l.encode(f, entries)
		l.store(f, l.batch)
		f.spans = slices.Clone(l.spans)
		f.end += int64(len(l.batch))
	}
	l.publish(m, f)
	if len(entries) > 0 {
		l.putMark(f)
	}
}

// fresh returns a new segment file with room for a batch of size bytes: the spare,
// if it will do.
func (l *Log) fresh(m *manifest, size int64) *file {
	size = max(l.opts.SegmentBytes, size+2*blockBytes) // header and mark
	f := l.keeper.take()
	l.spent = true
	if l.failed.Load() {
		l.fail(ErrFailed)
	}
	if f != nil && f.size < size {
		m.retire(f.id)
		m.next = f.id + 1
		l.doomed = append(l.doomed, f.id)
		if err := f.release(); err != nil {
			l.fail(err)
		}
		f = nil
	}
	if f == nil {
		var err error
		if f, err = l.maker.make(m.next, size, func() bool { return false }); err != nil {
			l.fail(err)
		}
	}
	return f
}

// draft is a copy of the manifest to change.
func (l *Log) draft() *manifest {
	l.gone = append(l.gone, l.keeper.unlinked()...)
	m := l.manifest.clone()
	m.forget(l.gone)
	return m
}

// publish makes m the manifest: first durably, then for readers.
func (l *Log) publish(m *manifest, added *file) {
	if err := m.validate(); err != nil {
		l.fail(err)
	}
	if sabotage.On(sabotage.X13) && len(l.segments) > 0 && added != nil && added.base <= l.tail() {
		// what was cut off is back after a crash
	} else if err := l.slots.Write(m.encode()); err != nil {
		l.fail(err)
	}
	if l.failed.Load() {
		l.fail(ErrFailed)
	}
	dropped := l.adopt(m, added)
	l.manifest, l.gone = m, l.gone[:0]
	for _, f := range dropped {
		l.doomed = append(l.doomed, f.id)
		if err := f.release(); err != nil {
			l.fail(err)
		}
	}
}

// adopt brings the open files in line with m and returns those it does not list.
func (l *Log) adopt(m *manifest, added *file) (dropped []*file) {
	l.state.Lock()
	defer l.state.Unlock()
	segments := make([]*file, 0, len(m.segments))
	for _, f := range l.segments {
		i := slices.IndexFunc(m.segments, func(r record) bool { return r.id == f.id })
		if i < 0 {
			dropped = append(dropped, f)
			continue
		}
		if last := m.segments[i].last; last != 0 {
			f.sealed = true
			f.spans = f.spans[:last-f.base+1]
		}
		segments = append(segments, f)
	}
	if n := len(segments); added != nil {
		if n == 0 || l.recent.high > segments[n-1].last() {
			l.recent.reset()
		}
		segments = append(segments, added)
	}
	l.segments, l.floor = segments, m.floor
	return dropped
}
