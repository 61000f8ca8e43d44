package wal

import (
	"errors"
	"fmt"
	"iter"
	"log/slog"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"ironman/wal/durable"
	"ironman/wal/segment"
)

// PlantOptions of Plant.
type PlantOptions struct {
	FS vfs.FS
	// Dir is to be the directory of the log. It holds none yet; a ledger may be there.
	// State is that of the state machine's files, which are durable and which nobody has
	// open. Both are on one file system: the files are linked.
	Dir, State string
	// ID of the node, the only voter.
	ID string
	// Index and Term are those of the last entry that the state has applied.
	Index, Term uint64
	// Entries are those that end with Index, in order, without a gap: those of all events
	// that are not in the ledger. None: the ledger has all events.
	Entries iter.Seq2[segment.Entry, error]
	// SegmentBytes as in Options.
	SegmentBytes int64
	Fatal        func(error) // never returns
	Log          *slog.Logger
}

// Plant writes the log of a node that is to go on alone from a state which other nodes
// came to: entries, a snapshot that ends with the last of them, and the term. What the
// old cluster's Raft agreed on about its members stands in entries up to the snapshot,
// where Raft does not look: the configuration is that of the snapshot, the node alone.
// The new term is above all that is told here as soon as the node is elected.
//
// Term and vote are written last. A directory in which they are missing is not opened,
// so that half of a log is never taken for one. What an earlier call left must be removed
// before it is made again.
func Plant(o PlantOptions) error {
	if o.FS == nil || o.Fatal == nil || !validID(o.ID) || o.Index == 0 || o.Term == 0 {
		return errors.New("wal: incomplete options")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	p := &planting{o}
	if err := p.vacant(); err != nil {
		return fmt.Errorf("wal: %w", err)
	}
	if err := makeDir(o.FS, o.Dir); err != nil {
		return fmt.Errorf("wal: %w", err)
	}
	for _, step := range []func() error{p.entries, p.snapshot, p.term} {
		if err := step(); err != nil {
			return fmt.Errorf("wal: %w", err)
		}
	}
	return durable.SyncDir(o.FS, o.Dir)
}

// planting is a Plant under way.
type planting struct{ PlantOptions }

func (p *planting) path(name string) string { return p.FS.PathJoin(p.Dir, name) }

// vacant makes sure that there is no log yet.
func (p *planting) vacant() error {
	for _, name := range []string{"log", "snapshots", "stable"} {
		there, err := exists(p.FS, p.path(name))
		if err == nil && there {
			err = fmt.Errorf("%s is there already", p.path(name))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Entries are appended by so many, or so many bytes, at a time.
const (
	plantedAtOnce = 1024
	plantedBytes  = 8 << 20
)

// entries writes the log's files.
func (p *planting) entries() (err error) {
	log, err := segment.Open(segment.Options{FS: p.FS, Dir: p.path("log"), SegmentBytes: p.SegmentBytes, Fatal: p.Fatal})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, log.Close()) }()
	var batch []segment.Entry
	bytes, next, term := 0, uint64(0), uint64(0)
	for e, err := range p.Entries {
		switch {
		case err != nil:
			return err
		case e.Index == 0 || e.Index > p.Index || next != 0 && e.Index != next:
			return fmt.Errorf("entry %d stands where %d belongs: they end with %d", e.Index, next, p.Index)
		case e.Term < max(1, term) || e.Term > p.Term:
			return fmt.Errorf("entry %d is of term %d, behind one of term %d: the last is of %d", e.Index, e.Term, term, p.Term)
		case raft.LogType(e.Type) > knownTypes:
			return fmt.Errorf("entry %d is of type %d: newer than this release understands", e.Index, e.Type)
		}
		if next == 0 {
			if err := log.Reset(e.Index - 1); err != nil {
				return err
			}
		}
		next, term = e.Index+1, e.Term
		batch = append(batch, e)
		if bytes += len(e.Data) + len(e.Extensions); len(batch) >= plantedAtOnce || bytes >= plantedBytes {
			if err := log.Append(batch); err != nil {
				return err
			}
			batch, bytes = nil, 0
		}
	}
	switch {
	case next == 0:
		return log.Reset(p.Index)
	case next != p.Index+1 || term != p.Term:
		return fmt.Errorf("the entries end with %d of term %d, the state with %d of term %d", next-1, term, p.Index, p.Term)
	}
	return log.Append(batch)
}

// snapshot publishes that the log up to Index is held by the state, and who the voter is.
func (p *planting) snapshot() error {
	s, err := openSnapshots(p.FS, p.path("snapshots"), p.Log, p.Fatal)
	if err != nil {
		return err
	}
	id := raft.ServerID(p.ID)
	alone := raft.Configuration{Servers: []raft.Server{{ID: id, Address: raft.ServerAddress(id)}}}
	m := &snapshotMeta{
		index: p.Index, term: p.Term, configIndex: p.Index, applied: p.Index, configuration: raft.EncodeConfiguration(alone),
	}
	dir := s.temporary()
	if err := makeDir(p.FS, dir); err != nil {
		return err
	}
	if err := linkState(p.FS, p.State, p.FS.PathJoin(dir, stateName)); err != nil {
		return err
	}
	if err := s.describe(dir, m, false); err != nil {
		return err
	}
	s.change.Lock()
	defer s.change.Unlock()
	return s.publish(dir, &snapshot{meta: m})
}

// term writes that nobody has been voted for in the last entry's term: it is over.
func (p *planting) term() error {
	values := encodeStable(map[string][]byte{"CurrentTerm": uint64Value(p.Term)})
	s, err := segment.CreateSlots(p.FS, p.path("stable"), stableFormat(), values)
	if err != nil {
		return fmt.Errorf("term and vote: %w", err)
	}
	return s.Close()
}
