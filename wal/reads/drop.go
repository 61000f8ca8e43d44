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
	if err := l.note(&event.Read{Kind: event.ReadKind_READ_KIND_EXPIRED, From: kept, Records: below - kept}); err != nil {
		return kept, err
	}
	return below, l.archive.Drop(below)
}

// note writes a record of the log's own.
func (l *Log) note(read *event.Read) error {
	l.write.Lock()
	defer l.write.Unlock()
	notes, err := withNote(nil, l.now(), read)
	if err != nil {
		return err
	}
	return l.put(notes)
}
