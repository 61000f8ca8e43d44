package reads

import (
	"encoding/hex"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"ironman/wal/event"
)

// MaxLost is how many records may stand for ones that are gone. A log that lacks more is not
// a log that a crash or a bad disk has shortened.
const MaxLost = 1_000_000

// lostAtOnce is how many of them are written at a time.
const lostAtOnce = 4096

// Vouched compares the log with the newest head that the cluster knows of it. A log that is
// shorter, or another one, was set back: it says so, to whoever is on call and in a record
// of its own, and goes on behind what was vouched for, so that no number is given twice. In
// the places of those that are gone are records that say so.
func (l *Log) Vouched(noted tlog.Tree) (setBack bool, err error) {
	l.write.Lock()
	defer l.write.Unlock()
	have := l.Head()
	if noted.N == 0 {
		return false, nil
	}
	if noted.N <= have.N {
		root, err := l.rootHeld(uint64(noted.N))
		if err != nil || root == noted.Hash {
			return false, err
		}
	}
	lost := max(0, noted.N-have.N)
	if lost > MaxLost {
		return true, fmt.Errorf("reads: the log in %s has %d records, and the cluster knows of %d: that is more than a crash can take. Put the directory back; without it this node can go on without --log-reads",
			l.o.Dir, have.N, noted.N)
	}
	l.o.Logger.Error("the log of reads was SET BACK: records that the cluster vouches for are gone or others", "dir", l.o.Dir,
		"records", have.N, "vouched", noted.N, "root", hex.EncodeToString(noted.Hash[:]))
	notes, err := withNote(nil, l.now(), &event.Read{Kind: event.ReadKind_READ_KIND_SET_BACK, NotedSize: uint64(noted.N), NotedRoot: noted.Hash[:]})
	for n := int64(1); n < lost && err == nil; n++ {
		if notes, err = withNote(notes, l.now(), &event.Read{Kind: event.ReadKind_READ_KIND_LOST}); err == nil && len(notes) == lostAtOnce {
			err = l.put(notes)
			notes = nil
		}
	}
	if err != nil {
		return true, err
	}
	return true, l.put(notes)
}

// rootHeld is Root; l.write is held.
func (l *Log) rootHeld(size uint64) (tlog.Hash, error) {
	s := l.state.Load()
	if size <= s.base {
		return l.archive.Root(size)
	}
	f, err := l.archive.Follow(s.tail[:size-s.base])
	if err != nil {
		return tlog.Hash{}, err
	}
	return f.Root(), nil
}

// Begin records a start of the node. What it was about to record when it ended is not here.
func (l *Log) Begin(incarnation uint64) error {
	return l.note(&event.Read{Kind: event.ReadKind_READ_KIND_BEGUN, Incarnation: incarnation, Torn: uint64(l.torn)})
}
