package wal

import (
	"errors"
	"fmt"
	"iter"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"
	"golang.org/x/mod/sumdb/note"

	"ironman/wal/ledger"
	"ironman/wal/merkle"
	"ironman/wal/segment"
)

// QueuedState is what the records behind a ledger's end are found by: the leaves that
// the state of a node has queued.
type QueuedState interface {
	LedgerEdge() (edge *merkle.Frontier, queued uint64, err error)
	Leaves(from uint64, max int) ([]Leaf, error)
	AppliedIndex() uint64
	Erased(from, to uint64) ([]ledger.Target, error)
}

// StoppedOptions say where what a node recorded is.
type StoppedOptions struct {
	// FS is an overlay over the node's disk: to be read, the log is recovered, which
	// writes.
	FS    vfs.FS
	Dir   string // what Options.Dir is of a node that runs
	State QueuedState
	// Origin, Verifiers, Past and Signer as in ledger.Options.
	Origin    string
	Verifiers note.Verifiers
	Past      []ledger.Past
	Signer    note.Signer
	Fatal     func(error) // must not return
}

// Stopped reads what a node that does not run has recorded: its ledger, and behind that
// the queue of leaves and the log. Safe for concurrent use.
type Stopped struct {
	archiver archiver
	log      *segment.Log
	state    QueuedState
}

// droppedByNobody makes a QueuedState the archiver's: nothing is archived here.
type droppedByNobody struct{ QueuedState }

func (droppedByNobody) DropLeaves(uint64) error { return ledger.ErrReadOnly }

// stoppedSegment is the size, in bytes, of the file that opening a log makes: nothing is
// appended to it.
const stoppedSegment = 64 << 10

// OpenStopped opens what a node recorded. A node whose log is gone or damaged is an error:
// its ledger can be looked at by itself.
func OpenStopped(o StoppedOptions) (*Stopped, error) {
	a, err := ledger.Open(ledger.Options{
		FS: o.FS, Dir: o.FS.PathJoin(o.Dir, "ledger"), Origin: o.Origin, Verifiers: o.Verifiers, Past: o.Past, Signer: o.Signer, ReadOnly: true, Fatal: o.Fatal,
	})
	if err != nil {
		return nil, fmt.Errorf("wal: %w", err)
	}
	log, err := segment.Open(segment.Options{
		FS: o.FS, Dir: o.FS.PathJoin(o.Dir, "log"), SegmentBytes: stoppedSegment, Required: o.State.AppliedIndex(), Fatal: o.Fatal,
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("wal: %w", err), a.Close())
	}
	return &Stopped{archiver: archiver{state: droppedByNobody{o.State}, log: log, archive: a}, log: log, state: o.State}, nil
}

// Archive is the ledger.
func (s *Stopped) Archive() *ledger.Archive { return s.archiver.archive }

// erasedAtOnce is for how many events the state is asked at a time what was erased of them.
const erasedAtOnce = 4096

// Archived gives the records of the ledger from a sequence on, without what was erased of
// them, whether or not the ledger's files have got rid of it yet. It ends after the first
// error.
func (s *Stopped) Archived(from uint64) iter.Seq2[ledger.Record, error] {
	return func(yield func(ledger.Record, error) bool) {
		var targets []ledger.Target // of events below asked
		asked := from
		for r, err := range s.archiver.archive.Records(from) {
			if err == nil && r.Seq >= asked {
				asked = r.Seq + erasedAtOnce
				targets, err = s.state.Erased(r.Seq, asked)
			}
			for len(targets) > 0 && targets[0].Seq <= r.Seq && err == nil {
				if targets[0].Seq == r.Seq {
					_, err = r.Erase(targets[0])
				}
				targets = targets[1:]
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// Records gives the records of the events from a sequence on, dense and in order, to the
// last that the node's state had applied durably. It ends after the first error; ErrNotHere
// as in Node.Records.
func (s *Stopped) Records(from uint64) iter.Seq2[ledger.Record, error] {
	return func(yield func(ledger.Record, error) bool) {
		for r, err := range s.Archived(from) {
			if !yield(r, err) || err != nil {
				return
			}
			from = r.Seq + 1
		}
		const atOnce = 256
		for {
			records, err := s.archiver.queuedRecords(from, atOnce)
			err = errors.Join(err, s.archiver.erase(records))
			for _, r := range records {
				if !yield(r, nil) {
					return
				}
				from = r.Seq + 1
			}
			if err != nil {
				yield(ledger.Record{}, err)
				return
			}
			if len(records) == 0 {
				return
			}
		}
	}
}

// Behind gives the proposals that stand in the log behind what the state has applied, in
// order. Those of which the ledger has the events were agreed on; of the others no node by
// itself can know that.
func (s *Stopped) Behind() iter.Seq2[Committed, error] {
	return func(yield func(Committed, error) bool) {
		for i := max(s.state.AppliedIndex()+1, s.log.First()); i <= s.log.Last(); i++ {
			e, err := s.log.Entry(i)
			if err != nil {
				yield(Committed{}, fmt.Errorf("wal: %w", err))
				return
			}
			if raft.LogType(e.Type) == raft.LogCommand && !yield(Committed{Index: e.Index, Term: e.Term, Data: e.Data}, nil) {
				return
			}
		}
	}
}

// Close closes the ledger and the log.
func (s *Stopped) Close() error { return errors.Join(s.archiver.archive.Close(), s.log.Close()) }
