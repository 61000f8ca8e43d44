package segment

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Mending writes the entries of a hole again, in place. It is the one exception to
// the rule that a block with acknowledged bytes is never written again, and needs
// no more than this: the bytes beside the hole that share its blocks stay the same,
// and of the hole's own, whatever a crash leaves of them is as it was (damaged),
// mended, or damaged in another way. None of these can be taken for a torn tail: what
// proved before that the entries were acknowledged still stands behind them. So a
// crash at any moment leaves a hole, or none; never another entry, and never a
// shorter log. Nor does it matter that an Open may find mended frames in the page
// cache which are not on disk: lost again, they are a hole again.

// mendAll has the holes mended that somebody needs, and reads the log anew. Nothing
// is written before all entries are at hand and fit.
func (l *Log) mendAll(holes []Hole) (*scan, ending, error) {
	need, frames, err := l.gather(holes)
	if err != nil {
		return nil, ending{}, &Damage{Holes: need, Err: err}
	}
	for i := range need {
		l.rewrite(l.fileOf(need[i].id), frames[i])
	}
	files := l.segments
	l.segments = nil
	for _, f := range files {
		err = errors.Join(err, f.release())
	}
	if err != nil {
		return nil, ending{}, err
	}
	last, end, holes, err := l.loadAll()
	if err != nil {
		return nil, ending{}, err
	}
	for i := range holes {
		if holes[i].Last > l.opts.Spare {
			return nil, ending{}, &Damage{Holes: holes[i:], Err: errors.New("they were written again, and are still damaged")}
		}
		// Durable with the manifest that ends every recovery.
		l.floor = max(l.floor, holes[i].Last)
		l.manifest.floor = l.floor
	}
	l.recovery.Mended, l.recovery.Left = entriesIn(need), entriesIn(holes)
	return last, end, nil
}

func entriesIn(holes []Hole) (n int) {
	for i := range holes {
		n += int(holes[i].Last - holes[i].First + 1)
	}
	return n
}

// gather has Mend give the entries of the holes that somebody needs. With an error
// come all of those.
func (l *Log) gather(holes []Hole) (need []Hole, frames [][]framed, err error) {
	for _, h := range holes {
		if h.Last > l.opts.Spare {
			need = append(need, h)
		}
	}
	for i := range need {
		if err := need[i].surround(l.whole); err != nil {
			return need, nil, err
		}
	}
	for i := range need {
		if l.opts.Mend == nil {
			return need, nil, errors.New("nobody is there to ask")
		}
		entries, err := l.opts.Mend(&need[i], l.whole)
		if err != nil {
			return need, nil, err
		}
		fr, err := l.fit(l.fileOf(need[i].id), &need[i], entries)
		if err != nil {
			return need, nil, err
		}
		frames = append(frames, fr)
	}
	return need, frames, nil
}

// whole reads an entry that is not in a hole, while the log opens.
func (l *Log) whole(index uint64) (Entry, error) {
	f, s, ok := l.find(index)
	switch {
	case f == nil:
		return Entry{}, ErrNotFound
	case !ok:
		return Entry{}, fmt.Errorf("%w: entry %d", ErrCorrupt, index)
	}
	return f.read(index, s)
}

// surround notes the terms of a hole's neighbours. The error is that of a neighbour
// which is damaged, too, in the next file: then nothing tells where the hole ends, and
// it must not be taken for the end of the log.
func (h *Hole) surround(whole func(index uint64) (Entry, error)) error {
	var errs []error
	term := func(index uint64) uint64 {
		e, err := whole(index)
		if !errors.Is(err, ErrNotFound) {
			errs = append(errs, err)
		}
		return e.Term // 0: there is none
	}
	h.Before, h.After = term(h.First-1), term(h.Last+1)
	return errors.Join(errs...)
}

// fileOf is a listed segment; nil: there is none of that id. Either lock must be held.
func (l *Log) fileOf(id uint64) *file {
	for _, f := range l.segments {
		if f.id == id {
			return f
		}
	}
	return nil
}

// fit lays the entries out in their hole.
func (l *Log) fit(f *file, h *Hole, entries []Entry) ([]framed, error) {
	if err := h.Fits(entries); err != nil {
		return nil, err
	}
	was := make([]byte, h.Length)
	if _, err := f.f.ReadAt(was, h.Offset); err != nil {
		return nil, fmt.Errorf("%s: %w", f.path, err)
	}
	frames, ok := f.layout(h, entries, was)
	if !ok {
		return nil, fmt.Errorf("the entries %d to %d that were given do not fill the %d bytes at offset %d of %s",
			h.First, h.Last, h.Length, h.Offset, f.path)
	}
	return frames, nil
}

// rewrite puts frames where they belong: written, synced, read back.
func (l *Log) rewrite(f *file, frames []framed) {
	if err := rewrite(l.opts.FS, f.path, frames); err != nil {
		l.fail(fmt.Errorf("%s: mending: %w", f.path, err))
	}
}

func rewrite(fs vfs.FS, path string, frames []framed) (err error) {
	v, err := fs.OpenReadWrite(path, writeCategory)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	for _, fr := range frames {
		if _, err := v.WriteAt(bytes.Clone(fr.bytes), int64(fr.offset)); err != nil { // it may change what it is given
			return err
		}
	}
	if err := v.SyncData(); err != nil {
		return err
	}
	for _, fr := range frames {
		b := make([]byte, len(fr.bytes))
		if _, err := v.ReadAt(b, int64(fr.offset)); err != nil {
			return err
		}
		if !bytes.Equal(b, fr.bytes) {
			return fmt.Errorf("the frame at offset %d reads back otherwise than it was written", fr.offset)
		}
	}
	return nil
}

// Mend writes the entries of a hole that Scrub found. The error says why they are not
// what belongs there, or ErrNotFound: the log does not hold them any more.
func (l *Log) Mend(h *Hole, entries []Entry) error {
	if err := l.begin(); err != nil {
		return err
	}
	defer l.done()
	f := l.fileOf(h.id)
	if f == nil || !f.sealed || h.Last > f.last() {
		return ErrNotFound
	}
	frames, err := l.fit(f, h, entries)
	if err != nil {
		return err
	}
	l.rewrite(f, frames)
	if l.failed.Load() {
		l.fail(ErrFailed)
	}
	spans := append([]span(nil), f.spans...)
	for i, fr := range frames {
		spans[h.First-f.base+uint64(i)] = fr.span
	}
	l.state.Lock()
	defer l.state.Unlock()
	f.spans = spans
	return nil
}

// Scrub reads all sealed segments and returns the holes in them. pace is asked before
// n bytes are read, and its error ends the scrub. Damage that is no hole, because
// its extent cannot be told, is in the error, which names all of it.
func (l *Log) Scrub(pace func(n int) error) (holes []Hole, err error) {
	var damage []error
	for id := uint64(0); ; {
		f, last, err := l.nextSealed(id)
		if err != nil {
			return nil, err
		}
		if f == nil {
			break
		}
		id = f.id
		s := newScan(f)
		s.w.pace = pace
		some, err := s.through(func() error { return s.sealed(last) })
		holes = append(holes, some...)
		err = errors.Join(err, f.release())
		if err != nil && !errors.Is(err, ErrCorrupt) {
			return nil, fmt.Errorf("%s: %w", f.path, err)
		}
		damage = append(damage, err)
	}
	found := holes
	holes = nil
	for _, h := range found {
		err := h.surround(l.ArchiveEntry)
		if damage = append(damage, err); err == nil {
			holes = append(holes, h)
		}
	}
	return holes, errors.Join(damage...)
}

// nextSealed is the first sealed segment behind that with an id, to be released, and
// the index of its last entry; nil: there is none.
func (l *Log) nextSealed(id uint64) (*file, uint64, error) {
	l.state.RLock()
	defer l.state.RUnlock()
	if err := l.usable(); err != nil {
		return nil, 0, err
	}
	for _, f := range l.segments {
		if f.id > id && f.sealed {
			f.refs.Add(1)
			return f, f.last(), nil
		}
	}
	return nil, 0, nil
}
