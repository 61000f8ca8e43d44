package reads

import (
	"time"

	"ironman/wal/event"
	"ironman/wal/ledger"
)

// Expire takes away whole bundles of records that are all older than a moment, and says so
// in the log first. Their hashes stay, and with them every root. While all records are
// being looked at, nothing is done.
func (l *Log) Expire(before time.Time) (below uint64, err error) {
	if !l.whole.TryLock() {
		return l.archive.Kept(), nil
	}
	defer l.whole.Unlock()
	kept, size := l.archive.Kept(), l.archive.Size()
	if size == 0 {
		return 0, nil
	}
	// Bundles are looked for from the old end: few go at a time.
	last := (size - 1) / ledger.BundleSize * ledger.BundleSize // where the last bundle begins, which stays
	for below = kept; below < last; below += ledger.BundleSize {
		b, err := l.archive.Envelope(below + ledger.BundleSize - 1)
		if err != nil {
			return kept, err
		}
		env := &event.Envelope{}
		if err := event.Decode(b, env); err != nil {
			return kept, err
		}
		if env.Time >= before.UnixNano() {
			break
		}
	}
	if below == kept {
		return kept, nil
	}
	says := append(l.setBacks(kept, below), &event.Read{Kind: event.ReadKind_READ_KIND_EXPIRED, From: kept, Records: below - kept})
	if err := l.note(says...); err != nil {
		return kept, err
	}
	return below, l.archive.Drop(below)
}

// setBacks are the records of a set-back among those that are to go, as they are said again:
// without them nobody could tell later why the ledger vouches for other records than there
// were. What cannot be read says nothing.
func (l *Log) setBacks(from, below uint64) (again []*event.Read) {
	for ; from < below; from += ledger.BundleSize {
		for r, err := range l.bundle(from) {
			d := &event.Read{}
			if err == nil {
				err = event.Decode(r.Statement, d)
			}
			if err != nil {
				l.o.Logger.Warn("records of reads go that cannot be read", "from", from, "err", err)
				break
			}
			if b, ok := setBackOf(r.Seq, d); ok && b.Noted > b.From {
				again = append(again, &event.Read{
					Kind: event.ReadKind_READ_KIND_SET_BACK, NotedSize: d.NotedSize, NotedRoot: d.NotedRoot, From: b.From, Records: b.Noted - b.From,
				})
			}
		}
	}
	return again
}

// setBackOf is what a record says of a set-back; false: it says something else.
func setBackOf(seq uint64, d *event.Read) (b SetBack, ok bool) {
	if d.Kind != event.ReadKind_READ_KIND_SET_BACK {
		return b, false
	}
	if d.Records > 0 { // it is said again
		seq = d.From
	}
	return SetBack{seq, d.NotedSize}, true
}

// note writes records of the log's own.
func (l *Log) note(says ...*event.Read) error {
	l.write.Lock()
	defer l.write.Unlock()
	var notes []*event.ReadRecord
	for _, read := range says {
		var err error
		if notes, err = withNote(notes, l.now(), read); err != nil {
			return err
		}
	}
	return l.put(notes)
}
