package fsm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/wal/digest"
	"ironman/wal/merkle"
)

// Options of a Machine.
type Options struct {
	FS  vfs.FS
	Dir string
	// Fatal stops the node; it never returns. It is called for what no caller can
	// handle: a failed write, corruption, an event newer than this binary.
	Fatal func(error)
	Log   *slog.Logger
	// Window is the number of request ids remembered, DefaultWindow if 0. All
	// nodes of a cluster must agree on it, and it never changes: Open refuses a
	// state that was made with another.
	Window uint64
	// StallLimit is how long a single write to the disk may take before the node
	// stops; 10 s if 0.
	StallLimit time.Duration
	// FlushEvery is the number of events after which Pebble is flushed, so that a
	// restart replays little; 20,000 if 0.
	FlushEvery int
	// Still compacts nothing: the state is only looked at, and every byte that is written
	// stays in memory.
	Still bool
	// Tune may change Pebble's options before they are used (tests, memory size).
	Tune func(*pebble.Options)
}

// DefaultWindow is the deduplication window in events.
const DefaultWindow = 1 << 16

// Machine is the replicated state of one node. Apply is called by one goroutine;
// all else is safe for concurrent use.
type Machine struct {
	db     *pebble.DB
	opts   Options
	health io.Closer     // of the watch over the disk
	files  *checkpointFS // what Pebble has open of a checkpoint
	// dead: Fatal was called. What its caller has open of the database stays so, and
	// nothing is to wait for it.
	dead atomic.Bool

	// Owned by the goroutine of Apply.
	digest    StateDigest
	frontier  *merkle.Frontier
	window    *window
	hot       hotRows
	hashed    []byte // room for what is hashed
	unflushed int    // events since the last flush

	milestones  milestones
	snapshots   snapshots
	compactions compactions
	cleaning    sync.Mutex // held by Clean

	mu      sync.Mutex
	meta    *Meta         // of the last batch committed
	rows    historyRows   // as of meta
	changed chan struct{} // closed and replaced whenever meta is
}

// Open opens or creates the state in a directory.
func Open(o Options) (*Machine, error) {
	if o.Window == 0 {
		o.Window = DefaultWindow
	}
	if o.FlushEvery == 0 {
		o.FlushEvery = 20000
	}
	if o.StallLimit == 0 {
		o.StallLimit = 10 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Fatal == nil {
		return nil, errors.New("fsm: Options.Fatal is not set")
	}
	m := &Machine{opts: o, window: newWindow(o.Window), changed: make(chan struct{}), hot: hotRows{rows: make(map[string]*hotRow)}}
	m.rows.since = make(map[uint64]int64)
	db, err := pebble.Open(o.Dir, m.pebbleOptions())
	if err != nil {
		return nil, errors.Join(fmt.Errorf("fsm: open %s: %w", o.Dir, err), m.health.Close())
	}
	m.db = db
	if err := m.load(); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// load restores what Apply keeps in memory.
func (m *Machine) load() error {
	meta, frontier, err := readMeta(m.db)
	if err != nil {
		return err
	}
	m.meta, m.frontier = meta, frontier
	if meta == nil {
		m.meta = &Meta{}
		return nil
	}
	m.digest = digestFromBytes(meta.Digest)
	return m.loadWindow()
}

// Close releases the database. Nothing is flushed: what was not durable is
// applied again from the log.
func (m *Machine) Close() error {
	if m.dead.Load() {
		return m.health.Close()
	}
	return errors.Join(m.db.Close(), m.health.Close())
}

// Applied is a moment of the state: everything before Next is applied.
type Applied struct {
	Index, Term uint64 // of the last Raft entry applied
	Next        uint64 // sequence of the next event
	Time        int64  // log time of the last event, ns
	Digest      StateDigest
}

// Applied returns where the state stands.
func (m *Machine) Applied() Applied {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.meta.applied()
}

func (x *Meta) applied() Applied {
	a := Applied{Index: x.GetAppliedIndex(), Term: x.GetAppliedTerm(), Next: x.GetNextSeq(), Time: x.GetTime()}
	if len(x.GetDigest()) == digest.SHA256Size {
		a.Digest = digestFromBytes(x.Digest)
	}
	return a
}

// WaitApplied returns once the entry at index is applied.
func (m *Machine) WaitApplied(ctx context.Context, index uint64) error {
	for {
		m.mu.Lock()
		done, changed := m.meta.AppliedIndex >= index, m.changed
		m.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-changed:
		}
	}
}

// Frontier returns the right edge of the ledger's tree as of the last batch.
func (m *Machine) Frontier() (*merkle.Frontier, error) {
	m.mu.Lock()
	b := m.meta.Frontier
	m.mu.Unlock()
	if len(b) == 0 {
		return merkle.New(), nil
	}
	return merkle.Unmarshal(b)
}

// Flush makes all that is applied durable.
func (m *Machine) Flush() error {
	if m.dead.Load() {
		return errDead
	}
	return m.db.Flush()
}

var errDead = errors.New("fsm: the state has failed")

func (m *Machine) fatal(err error) {
	m.dead.Store(true)
	m.opts.Fatal(fmt.Errorf("fsm: %w", err))
	panic("fsm: Fatal returned")
}
