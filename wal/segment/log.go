package segment

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/sim/sabotage"
)

// Options of a Log.
type Options struct {
	// FS is the disk; Dir the directory of this log alone, made if it is missing.
	FS  vfs.FS
	Dir string
	// SegmentBytes is the size of a segment file, a multiple of 4096; 64 MiB if 0.
	// Logs written with another size stay readable.
	SegmentBytes int64
	// Fatal is called once something was not written, or not in time. It must not
	// return, and may be called from any goroutine.
	Fatal func(error)
	// StallLimit is how long an append or truncation may take; 10 s if 0.
	StallLimit time.Duration
	// Required is an index that the log is known to have reached, such as the one
	// applied to the state machine. A log that ends before it has lost entries: Open
	// refuses it, unless it is empty and its floor is at or above Required.
	Required uint64
	// Mend is asked for the entries of a hole; whole reads the others, of the log or
	// below its floor. What it returns is believed, as far as the hole's neighbours
	// and extent do not contradict. nil, or an error: Open returns the *Damage.
	Mend func(h *Hole, whole func(index uint64) (Entry, error)) ([]Entry, error)
	// Spare is an index: nobody needs the entries up to it any more, because a
	// snapshot and the archive hold them. Holes there are left, and the log begins
	// behind them.
	Spare uint64
	// Rand makes the salt of segments; crypto/rand if nil. Used by one goroutine at
	// a time.
	Rand io.Reader
}

const (
	defaultSegmentBytes = 64 << 20
	defaultStallLimit   = 10 * time.Second
)

func (o *Options) complete() error {
	if o.FS == nil || o.Dir == "" || o.Fatal == nil {
		return errors.New("log: incomplete options")
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = defaultSegmentBytes
	}
	if o.SegmentBytes < minSegmentBytes || o.SegmentBytes > maxFileBytes/2 || o.SegmentBytes%blockBytes != 0 {
		return fmt.Errorf("log: segments of %d bytes", o.SegmentBytes)
	}
	if o.StallLimit == 0 {
		o.StallLimit = defaultStallLimit
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	return nil
}

// Recovery tells what Open found.
type Recovery struct {
	// TornSegment is the id of the segment whose tail was a torn write, which was
	// never acknowledged; 0: none.
	TornSegment uint64
	// Rewritten is the number of entries that may not have been synced when the last
	// process ended, and were therefore written anew.
	Rewritten int
	// Mended is the number of entries in holes that were written again, Left that of
	// those in holes that nobody needs.
	Mended, Left int
	// SlotHealed: one of the manifest's two slots was damaged.
	SlotHealed bool
}

// Log is an open log. Entry, ArchiveEntry, First, Last, Floor and Bytes may be
// called at any time by anyone; the methods that change the log exclude each other.
type Log struct {
	opts     Options
	recovery Recovery
	watchdog *time.Timer
	failed   atomic.Bool

	// write is held by whoever changes the log, across its disk writes.
	write    sync.Mutex
	slots    *Slots
	manifest *manifest // as it is on disk
	archived uint64
	maker    maker
	keeper   *keeper
	spent    bool     // the change under way took the spare
	doomed   []uint64 // and retired these; both are the keeper's when it is done
	gone     []uint64 // unlinked, but still retired in the manifest
	batch    []byte   // the frames of a batch; reused
	spans    []span   // of the same batch
	mark     []byte   // a block

	// state is held for moments only, never across a disk access. What it guards is
	// changed with both locks held, and so may be read with either.
	state    sync.RWMutex
	segments []*file // as in the manifest; the last one is open
	floor    uint64
	recent   recent
	closed   bool
}

// fail stops the log: nothing is acknowledged any more.
func (l *Log) fail(err error) {
	l.failed.Store(true)
	l.opts.Fatal(fmt.Errorf("log: %w", err))
	panic("segment: Fatal returned")
}

// begin locks the log for a change and arms the watchdog. done must follow a nil error.
func (l *Log) begin() error {
	l.write.Lock()
	if err := l.usable(); err != nil {
		l.write.Unlock()
		return err
	}
	l.watchdog.Reset(l.opts.StallLimit)
	return nil
}

func (l *Log) done() {
	l.watchdog.Stop()
	l.write.Unlock()
}

// settle hands the keeper what a finished change left to do.
func (l *Log) settle() {
	if l.spent || len(l.doomed) > 0 {
		l.keeper.ask(l.manifest.next, l.doomed)
		l.spent, l.doomed = false, l.doomed[:0]
	}
}

func (l *Log) usable() error {
	if l.failed.Load() {
		return ErrFailed
	}
	if l.closed {
		return ErrClosed
	}
	return nil
}

func (l *Log) stalled() {
	if sabotage.On(sabotage.X58) {
		return // and wait for ever
	}
	l.fail(fmt.Errorf("a write has not come back for %v: the disk hangs", l.opts.StallLimit))
}

// open is the segment that is appended to; either lock must be held.
func (l *Log) open() *file { return l.segments[len(l.segments)-1] }

// tail is the index of the last entry, the floor if there is none.
func (l *Log) tail() uint64 { return l.open().last() }

// First is the index of the first entry; 0 if the log is empty.
func (l *Log) First() uint64 {
	l.state.RLock()
	defer l.state.RUnlock()
	if l.tail() == l.floor {
		return 0
	}
	return l.floor + 1
}

// Last is the index of the last entry; 0 if the log is empty.
func (l *Log) Last() uint64 {
	l.state.RLock()
	defer l.state.RUnlock()
	if l.tail() == l.floor {
		return 0
	}
	return l.tail()
}

// Floor is the index right below the first entry: an empty log takes Floor+1 next.
func (l *Log) Floor() uint64 {
	l.state.RLock()
	defer l.state.RUnlock()
	return l.floor
}

// Recovery tells what Open found.
func (l *Log) Recovery() Recovery { return l.recovery }

// Bytes is the size of the files that hold live entries or are open, and of those
// that are kept for the archive only.
func (l *Log) Bytes() (live, retained int64) {
	l.state.RLock()
	defer l.state.RUnlock()
	for _, f := range l.segments {
		if f.sealed && f.last() <= l.floor {
			retained += f.size
		} else {
			live += f.size
		}
	}
	return live, retained
}

// Entry returns the entry at index: ErrNotFound if the log does not hold it (any
// more), ErrCorrupt if its bytes do not verify, or the error of the read.
func (l *Log) Entry(index uint64) (Entry, error) { return l.read(index, false) }

// ArchiveEntry is Entry, but finds truncated entries, too, while their file stays:
// all that were not archived when the log's front was truncated.
func (l *Log) ArchiveEntry(index uint64) (Entry, error) { return l.read(index, true) }

func (l *Log) read(index uint64, archive bool) (Entry, error) {
	l.state.RLock()
	if err := l.usable(); err != nil {
		l.state.RUnlock()
		return Entry{}, err
	}
	if index > l.tail() || index <= l.floor && !archive {
		l.state.RUnlock()
		return Entry{}, ErrNotFound
	}
	if e, ok := l.recent.get(index); ok {
		l.state.RUnlock()
		return e, nil
	}
	f, s, ok := l.find(index)
	if !ok {
		l.state.RUnlock()
		return Entry{}, ErrNotFound
	}
	f.refs.Add(1) // the log holds one while f is listed, so this is never the first
	l.state.RUnlock()
	e, err := f.read(index, s)
	return e, errors.Join(err, f.release())
}

// find returns where the frame of an entry stands, unless that is a hole; state must
// be held.
func (l *Log) find(index uint64) (*file, span, bool) {
	i := sort.Search(len(l.segments), func(i int) bool { return l.segments[i].base > index }) - 1
	if i < 0 || index > l.segments[i].last() {
		return nil, span{}, false
	}
	f := l.segments[i]
	s := f.spans[index-f.base]
	return f, s, s.length > 0
}

// Close ends the background work and closes the files. What was acknowledged is
// durable already; the newest mark becomes so.
func (l *Log) Close() error {
	l.write.Lock()
	defer l.write.Unlock()
	if l.closed {
		return nil
	}
	l.watchdog.Stop()
	err := l.keeper.stop()
	if !l.failed.Load() {
		if err := l.open().f.SyncData(); err != nil {
			l.fail(err)
		}
	}
	l.state.Lock()
	l.closed = true
	files := l.segments
	l.recent.reset()
	l.state.Unlock()
	for _, f := range files {
		err = errors.Join(err, f.release())
	}
	return errors.Join(err, l.slots.Close())
}
