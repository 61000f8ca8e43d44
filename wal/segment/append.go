package segment

import (
	"fmt"

	"ironman/sim/sabotage"
)

const (
	// batchBytes bounds a batch in memory and on disk. Any single entry fits.
	batchBytes = MaxEntryBytes + frameHeader
	// keptBuffer is the largest batch whose buffer is kept for the next.
	keptBuffer = 1 << 20
)

// Append appends entries and returns once they are durable: one write and one
// sync (more only for more than 16 MiB at once). The first index must follow the
// last entry, or the floor of an empty log, and the others each other: anything
// else calls Fatal, since the caller is wrong about what is stored. The error is
// ErrTooLarge (nothing was written), ErrClosed or ErrFailed.
func (l *Log) Append(entries []Entry) error {
	for i := range entries {
		if n := entryBytes(&entries[i]); n > MaxEntryBytes {
			return fmt.Errorf("%w: entry %d has %d bytes", ErrTooLarge, entries[i].Index, n)
		}
	}
	if err := l.begin(); err != nil {
		return err
	}
	defer l.done()
	next := l.tail() + 1
	for i := range entries {
		if entries[i].Index != next+uint64(i) && !sabotage.On(sabotage.X12) || entries[i].Index >= maxIndex {
			l.fail(fmt.Errorf("an entry of index %d was to be appended where %d belongs", entries[i].Index, next+uint64(i)))
		}
	}
	for len(entries) > 0 {
		n := part(entries)
		l.appendBatch(entries[:n])
		entries = entries[n:]
	}
	l.settle()
	return nil
}

// part returns how many of the entries make the next batch.
func part(entries []Entry) int {
	size := frameSize(&entries[0])
	for n := 1; n < len(entries); n++ {
		if size += frameSize(&entries[n]); size > batchBytes {
			return n
		}
	}
	return len(entries)
}

// batchSize is the space a batch takes on disk, in whole blocks.
func batchSize(entries []Entry) (n int64) {
	for i := range entries {
		n += frameSize(&entries[i])
	}
	return blockUp(n)
}

func (l *Log) appendBatch(entries []Entry) {
	f := l.open()
	if size := batchSize(entries); f.end+size+blockBytes > f.size { // the mark's block included
		l.rotate(size)
		f = l.open()
	}
	l.encode(f, entries)
	l.store(f, l.batch)
	l.state.Lock()
	f.spans = append(f.spans, l.spans...)
	for i := range entries {
		l.recent.add(&entries[i])
	}
	l.state.Unlock()
	f.end += int64(len(l.batch))
	l.putMark(f)
	if cap(l.batch) > keptBuffer {
		l.batch = nil
	}
}

// encode lays out a batch at f.end in l.batch, in whole blocks, and its spans.
func (l *Log) encode(f *file, entries []Entry) {
	l.batch, l.spans = l.batch[:0], l.spans[:0]
	for i := range entries {
		start := len(l.batch)
		l.batch = f.appendFrame(l.batch, uint32(i), &entries[i])
		length := frameHeader + entryBytes(&entries[i])
		l.spans = append(l.spans, span{offset: uint32(f.end) + uint32(start), length: uint32(length)})
	}
	n := len(l.batch)
	l.batch = append(l.batch, make([]byte, blockUp(int64(n))-int64(n))...)
}

// store writes a batch at f.end and syncs it. A write that came back after the
// watchdog gave up does not count.
func (l *Log) store(f *file, batch []byte) {
	if _, err := f.f.WriteAt(batch, f.end); err != nil {
		l.fail(fmt.Errorf("%s: %w", f.path, err))
	}
	if sabotage.On(sabotage.X01) {
		return // not synced
	}
	if err := f.f.SyncData(); err != nil && !(sabotage.On(sabotage.X10) && f.f.SyncData() == nil) {
		l.fail(fmt.Errorf("%s: %w", f.path, err))
	}
	if l.failed.Load() {
		l.fail(ErrFailed)
	}
}

// putMark notes, where the next batch will overwrite it, that everything so far
// was synced and is acknowledged. It is not synced itself: lost, it only makes the
// next Open write the last batch anew; kept, it lets Open tell a rotten last batch
// from a torn one.
func (l *Log) putMark(f *file) {
	f.origin.putMark(l.mark, f.last())
	if _, err := f.f.WriteAt(l.mark, f.end); err != nil {
		l.fail(fmt.Errorf("%s: %w", f.path, err))
	}
}
