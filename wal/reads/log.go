package reads

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"ironman/wal/event"
	"ironman/wal/ledger"
	"ironman/wal/merkle"
)

// Defaults of Options.
const (
	DefaultEvery = time.Second
	DefaultBatch = 1000
	DefaultLimit = 16 << 20
)

// Options say where a log is and who signs it.
type Options struct {
	FS vfs.FS
	// Dir is made if it is not there; its parent must be.
	Dir string
	// Origin, Signer and Verifiers are those of its checkpoints.
	Origin    string
	Signer    note.Signer
	Verifiers note.Verifiers
	// Noted is how many records the cluster knows of, if it is asked before.
	Noted uint64
	// Full tells that the disk has no room left for records; nil: it always has.
	Full func() bool
	// Erased tells whether an erasure by law has taken something of the event of a sequence.
	// It is asked of reads that began before an erasure and ended behind it. Nil: none has.
	Erased func(seq uint64) (bool, error)
	// Every is how long a record waits at most before it is written, Batch how many
	// wait, Limit how many bytes of them there may be in memory. 0: defaults.
	Every        time.Duration
	Batch, Limit int

	Now    func() time.Time
	Fatal  func(error) // stops the node; never returns
	Logger *slog.Logger
}

// Log is the log, open. All methods are safe for concurrent use.
type Log struct {
	o       Options
	archive *ledger.Archive
	state   atomic.Pointer[state]
	wake    chan struct{} // holds one while so many wait that they are to be written
	torn    int           // bytes that Open found to be no whole record
	damaged bool          // Open found durable records damaged

	// whole is held for reading while all records are looked at, for writing while some go.
	whole sync.RWMutex

	write    sync.Mutex // held by whoever writes; guards what follows
	tail     *ledger.Tail
	erasedAt int64 // when Erase was done last; 0: not since Open

	mu sync.Mutex // guards what is gathered
	// waiting is what is gathered, oldest first; bytes is what it takes.
	// Invariant: bytes <= o.Limit.
	waiting []*event.ReadRecord
	bytes   int
	missed  missed // since the last write
	dropped uint64 // since Open
	closed  bool
	ended   bool // those that are still to come are counted already
}

// missed are reads without a record.
type missed struct {
	reads uint64
	first int64 // when the first of them was answered
}

// state is what is durable: never changed, only exchanged for a longer one.
type state struct {
	base     uint64 // records in whole bundles; those behind them are in tail
	tail     []ledger.Record
	frontier merkle.Frontier // of all
	time     int64           // of the last
}

func (s *state) size() uint64 { return s.frontier.Size() }

// Open opens or makes a log. What a crash left behind the last whole record is cut off. An
// error says that the directory cannot be used; a log that is made in its place says what
// it lacks (Vouched).
func Open(o Options) (*Log, error) {
	if o.Every <= 0 {
		o.Every = DefaultEvery
	}
	if o.Batch <= 0 {
		o.Batch = DefaultBatch
	}
	if o.Limit <= 0 {
		o.Limit = DefaultLimit
	}
	if o.Full == nil {
		o.Full = func() bool { return false }
	}
	archive, err := ledger.Open(ledger.Options{
		FS: o.FS, Dir: o.Dir, Origin: o.Origin, Signer: o.Signer, Verifiers: o.Verifiers, Drops: true, Fatal: o.Fatal, Logger: o.Logger,
	})
	if err != nil {
		return nil, fmt.Errorf("reads: %w", err)
	}
	l := &Log{o: o, archive: archive, wake: make(chan struct{}, 1)}
	if err := l.recover(); err != nil {
		return nil, fmt.Errorf("reads: log in %s: %w", o.Dir, err)
	}
	return l, nil
}

// recover finds what is durable, and makes the tail anew with it: nothing is ever written
// behind what a crash may have torn.
func (l *Log) recover() error {
	base := l.archive.Size()
	found, err := ledger.ReadTail(l.o.FS, l.o.Dir, base)
	if err != nil {
		return err
	}
	if err := l.archive.Cut(l.leftovers(base, found)); errors.Is(err, ledger.ErrBeyond) {
		return fmt.Errorf("%w: the checkpoint of the log is gone or an old one, or its tail is. Nothing was removed. Put the whole directory back as it was, or move it away: then the log begins anew and says that it was set back", err)
	} else if err != nil {
		return err
	}
	if l.damaged = found.Unusable != nil || len(found.Behind) > 0; l.damaged {
		if err := l.setAside(found); err != nil {
			return err
		}
	}
	records, err := l.bridge(found)
	if err != nil {
		return err
	}
	all := len(records)
	frontier, err := l.archive.Follow(records)
	for ; err != nil && len(records) > 0; frontier, err = l.archive.Follow(records) {
		if errors.Is(err, event.ErrNewer) {
			return err
		}
		found.Unusable = err
		records = records[:len(records)-1]
	}
	if err != nil {
		return err
	}
	if l.torn = found.Torn; l.torn > 0 || found.Unusable != nil {
		l.o.Logger.Warn("the log of reads ended in what is no whole record: it was cut off", "dir", l.o.Dir, "records", frontier.Size(),
			"bytes", l.torn, "unusable", all-len(records), "err", found.Unusable)
	}
	s := &state{base: base, tail: records, frontier: *frontier}
	if s.time, err = l.lastTime(s); err != nil {
		return err
	}
	l.state.Store(s)
	l.tail, err = ledger.OpenTail(l.o.FS, l.o.Dir, base, records)
	return err
}

// leastRecord is the least memory that a record takes (event.ReadRecord.Bytes).
const leastRecord = 256

// leftovers is how many bundles a crash can have left behind the base: those that one put
// writes. While it writes them the tail begins at the base; one that does not, or is gone,
// tells that no bundle was being written, and a bundle that the cluster knows of was written
// long ago.
func (l *Log) leftovers(base uint64, tail *ledger.TailState) uint64 {
	if !tail.Found || tail.First != base || l.o.Noted > base+uint64(len(tail.Records)) {
		return 0
	}
	atOnce := max(l.o.Limit, DefaultLimit)/leastRecord + 1 // with what is said of those that were dropped
	return uint64(ledger.BundleSize-1+max(atOnce, lostAtOnce))/ledger.BundleSize + 1
}

// lastTime is the time of the last record; 0: there is none.
func (l *Log) lastTime(s *state) (int64, error) {
	var b []byte
	switch {
	case len(s.tail) > 0:
		b = s.tail[len(s.tail)-1].Envelope
	case s.base > 0:
		var err error
		if b, err = l.archive.Envelope(s.base - 1); err != nil {
			return 0, err
		}
	default:
		return 0, nil
	}
	env := &event.Envelope{}
	err := event.Decode(b, env)
	return env.Time, err
}

// Add gathers a record. It waits for nothing: where there is no room for it, it is counted.
func (l *Log) Add(d *event.ReadDraft) {
	r, err := d.Marshal()
	if err != nil {
		l.o.Logger.Error("a read has no record", "err", err)
	}
	full := l.o.Full()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return
	}
	if r == nil || full || l.closed || l.bytes+r.Bytes() > l.o.Limit {
		if l.missed.reads == 0 {
			l.missed.first = d.Time
		}
		l.missed.reads++
		l.dropped++
		return
	}
	l.waiting = append(l.waiting, r)
	l.bytes += r.Bytes()
	if len(l.waiting) == l.o.Batch || l.bytes > l.o.Limit/2 {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
}

// CutOff counts reads that the end of the node cuts off. What is added behind it is among them.
func (l *Log) CutOff(reads uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	if l.missed.reads == 0 {
		l.missed.first = l.now()
	}
	l.missed.reads += reads
	l.dropped += reads
}

// Run writes what is gathered until ctx ends.
func (l *Log) Run(ctx context.Context) {
	tick := time.NewTicker(l.o.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-l.wake:
		}
		if err := l.Flush(); err != nil {
			return // the node ends
		}
	}
}

// Flush returns once everything that was added before is durable. An error is fatal.
func (l *Log) Flush() error {
	l.write.Lock()
	defer l.write.Unlock()
	return l.flush()
}

// flush is Flush; l.write is held.
func (l *Log) flush() error {
	l.mu.Lock()
	waiting, lost := l.waiting, l.missed
	l.waiting = nil
	l.missed = missed{}
	l.mu.Unlock()
	var err error
	if lost.reads > 0 && !l.o.Full() {
		if waiting, err = withNote(waiting, l.now(), &event.Read{Kind: event.ReadKind_READ_KIND_DROPPED, Records: lost.reads, Began: lost.first}); err != nil {
			return l.fail(err)
		}
		l.o.Logger.Warn("reads have no record: there was no room for them, or the node ended before them", "reads", lost.reads)
		lost = missed{}
	}
	err = l.put(waiting)
	// What is being written takes memory, too.
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bytes = 0
	for _, r := range l.waiting {
		l.bytes += r.Bytes()
	}
	if lost.reads > 0 { // not told yet
		if l.missed.reads == 0 || lost.first < l.missed.first {
			l.missed.first = lost.first
		}
		l.missed.reads += lost.reads
	}
	return err
}

func (l *Log) now() int64 { return l.o.Now().UnixNano() }

// withNote adds a record of the log's own.
func withNote(to []*event.ReadRecord, now int64, read *event.Read) ([]*event.ReadRecord, error) {
	r, err := (&event.ReadDraft{Time: now, Principal: event.System, Read: read}).Marshal()
	return append(to, r), err
}

// put makes records durable; l.write is held.
func (l *Log) put(drafts []*event.ReadRecord) error {
	if len(drafts) == 0 {
		return nil
	}
	s := l.state.Load()
	next := &state{base: s.base, frontier: s.frontier, time: s.time}
	fresh := make([]ledger.Record, len(drafts))
	for i, d := range drafts {
		next.time = max(next.time+1, d.Time) // clocks step back; the log does not
		fresh[i] = recordOf(d, next.frontier.Size(), next.time)
		if l.late(d) {
			if _, err := fresh[i].Erase(ledger.Target{Seq: fresh[i].Seq}); err != nil {
				return l.fail(err)
			}
		}
		next.frontier.Append(fresh[i].Envelope)
	}
	all := append(s.tail[:len(s.tail):len(s.tail)], fresh...)
	if len(all) < ledger.BundleSize {
		if err := l.tail.Append(fresh); err != nil {
			return l.fail(err)
		}
		next.tail = all
		l.state.Store(next)
		return nil
	}
	if err := l.archive.Append(all); err != nil {
		return l.fail(err)
	}
	next.base = l.archive.Size()
	next.tail = append([]ledger.Record(nil), all[next.base-s.base:]...)
	if err := l.tail.Rewrite(next.base, next.tail); err != nil {
		return l.fail(err)
	}
	l.state.Store(next)
	return nil
}

// late tells whether a read of what is erased by now ended behind the erasure; l.write is
// held. Of whom nobody can say nothing is written.
func (l *Log) late(d *event.ReadRecord) bool {
	if l.o.Erased == nil || d.Made == nil || d.Began > l.erasedAt {
		return false
	}
	erased, err := l.o.Erased(*d.Made)
	if err != nil {
		l.o.Logger.Error("a record of a read is without what it told of, as it is not known whether that is erased", "made by", *d.Made, "err", err)
	}
	return erased || err != nil
}

// recordOf gives a record its place and its time.
func recordOf(d *event.ReadRecord, seq uint64, time int64) ledger.Record {
	return ledger.Record{Seq: seq, Envelope: d.Envelope(seq, time), Payload: ledger.Payload{Statement: d.Statement, Items: ledger.Present(d.Items)}}
}

// fail ends the node: what is to be recorded cannot be.
func (l *Log) fail(err error) error {
	err = fmt.Errorf("reads: log in %s: %w", l.o.Dir, err)
	l.o.Logger.Error("the log of reads failed", "err", err)
	l.o.Fatal(err)
	return err
}

// Head is the head of the tree of what is durable.
func (l *Log) Head() tlog.Tree {
	s := l.state.Load()
	return tlog.Tree{N: int64(s.size()), Hash: s.frontier.Root()}
}

// Kept is the first record that is kept.
func (l *Log) Kept() uint64 { return l.archive.Kept() }

// Checkpoint is a signed head of the tree of what is durable; there must be a record.
func (l *Log) Checkpoint() (ledger.Checkpoint, error) {
	l.write.Lock() // the archive and what follows it are to belong together
	defer l.write.Unlock()
	return l.archive.Sign(l.state.Load().tail)
}

// Root is the root of the first size records, up to Head's.
func (l *Log) Root(size uint64) (tlog.Hash, error) {
	if s := l.state.Load(); size > s.size() {
		return tlog.Hash{}, fmt.Errorf("%w: %d records of %d", ledger.ErrNotArchived, size, s.size())
	}
	l.write.Lock()
	defer l.write.Unlock()
	return l.rootHeld(size)
}

// Records reads what is durable now, from a record on. It ends after the first error; one
// that is kept no longer is ledger.ErrDropped.
func (l *Log) Records(from uint64) iter.Seq2[ledger.Record, error] {
	s := l.state.Load()
	return func(yield func(ledger.Record, error) bool) {
		for r, err := range l.archive.Records(from) {
			if err == nil && r.Seq >= s.base {
				break // it has grown meanwhile
			}
			if !yield(r, err) || err != nil {
				return
			}
			from = r.Seq + 1
		}
		for i := range s.tail {
			if s.tail[i].Seq >= from && !yield(s.tail[i], nil) {
				return
			}
		}
	}
}

// Status is what a log says of itself.
type Status struct {
	Records uint64 // durable, from the first on
	Kept    uint64 // the first that is kept
	Waiting int    // gathered, and not durable yet
	Held    int    // bytes that those take
	Dropped uint64 // reads without a record, since Open
	// Bytes of files; false: those of the bundles are being counted.
	Sizes ledger.Sizes
	Tail  int64
	Known bool
}

// Status tells how the log is.
func (l *Log) Status() Status {
	st := Status{Records: l.state.Load().size(), Kept: l.archive.Kept()}
	st.Sizes, st.Known = l.archive.Sizes()
	st.Tail = l.tail.Bytes() // without l.write: that waits for the disk
	l.mu.Lock()
	defer l.mu.Unlock()
	st.Waiting, st.Held, st.Dropped = len(l.waiting), l.bytes, l.dropped
	return st
}

// CountSizes counts the bundles that were there at Open, once, beside everything else.
func (l *Log) CountSizes(ctx context.Context) error { return l.archive.CountSizes(ctx) }

// Close writes what is gathered, and closes the log. Reads that are added from then on are
// counted only.
func (l *Log) Close() error {
	l.write.Lock()
	defer l.write.Unlock()
	l.mu.Lock()
	was := l.closed
	l.closed = true
	l.mu.Unlock()
	if was {
		return nil
	}
	return errors.Join(l.flush(), l.tail.Close(), l.archive.Close())
}
