package fsm

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/sim/sabotage"
	"ironman/wal/durable"
	"ironman/wal/event"
)

// Rows that were deleted stay in Pebble's files for long: beneath their tombstones in
// tables that no compaction has chosen yet, and as bounds of tables in the MANIFEST, where
// also those of tables that are gone stand. Clean rewrites all of it. Its steps:
//
//  1. Wait for the snapshots that are open, and for the compactions that know of them: what
//     they could read is kept. Those that come later are younger than every row which was
//     deleted before Clean began.
//  2. Flush, and write the deletion of all range keys, of which there are none, from the
//     first key to the last. It changes nothing, but its table reaches over all others, and
//     so do the tables that come of it on each level down to where nothing lies below:
//     without it a compaction of everything would pass over tables of the last level that
//     nothing above overlaps, though they may hold what was once kept for a snapshot.
//  3. Compact everything. Every table that was there before the one of step 2 must be gone
//     then, by this compaction or another; if one is not, again from 2.
//  4. Have the MANIFEST begun anew, which writes down the tables that there are, and
//     remove the older ones, of which Pebble would keep one.
//  5. Wait until the files of the old tables are unlinked.
//
// What is deleted while it runs may stay. A crash in between leaves a whole state.

// cleanRounds is how often step 3 is tried.
const cleanRounds = 5

// ErrNoRoom says that there is too little free space to write the state anew beside itself.
var ErrNoRoom = errors.New("there is too little free space to write the state anew")

// Clean makes sure that of the rows that were deleted before the call nothing is left in
// the files of the state. It writes all of them anew, which takes as much free space again;
// reserve is what must stay free beside that. rest is called between two looks at what is
// waited for; its error ends Clean. Safe beside everything else; one at a time.
func (m *Machine) Clean(ctx context.Context, reserve uint64, rest func() error) error {
	m.cleaning.Lock()
	defer m.cleaning.Unlock()
	if m.dead.Load() {
		return errDead
	}
	if sabotage.On(sabotage.X69) {
		return m.rotateManifest(ctx)
	}
	if err := m.roomToClean(reserve); err != nil {
		return err
	}
	epoch := m.snapshots.begin()
	if err := poll(rest, func() (bool, error) { return !m.snapshots.before(epoch), nil }); err != nil {
		return fmt.Errorf("fsm: waiting for views that are open: %w", err)
	}
	// Those under way began before; each that begins from here on is as good as ours, and on
	// a busy node there may always be some.
	under := m.compactions.now()
	if err := poll(rest, func() (bool, error) { return !m.compactions.any(under), nil }); err != nil {
		return fmt.Errorf("fsm: waiting for compactions: %w", err)
	}
	var oldest uint64
	for round := 1; ; round++ {
		var left int
		var err error
		if oldest, left, err = m.rewriteTables(ctx); err != nil {
			return fmt.Errorf("fsm: compaction: %w", err)
		}
		if left == 0 {
			break
		}
		if round == cleanRounds {
			return fmt.Errorf("fsm: %d tables were not rewritten in %d compactions of everything", left, round)
		}
	}
	if err := m.rotateManifest(ctx); err != nil {
		return err
	}
	err := poll(rest, func() (bool, error) {
		n, err := m.tableFiles(oldest)
		return n == 0, err
	})
	if err != nil {
		return fmt.Errorf("fsm: waiting for old tables to be unlinked: %w", err)
	}
	return nil
}

// compactions are those that Pebble has under way, by job. A compaction asks which
// snapshots are open after it has begun.
type compactions struct {
	mu   sync.Mutex
	jobs []int
}

func (c *compactions) begin(i pebble.CompactionInfo) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jobs = append(c.jobs, i.JobID)
}

func (c *compactions) end(i pebble.CompactionInfo) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jobs = slices.DeleteFunc(c.jobs, func(j int) bool { return j == i.JobID })
}

// now are the jobs under way.
func (c *compactions) now() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.jobs)
}

// any tells whether any of some jobs is still under way.
func (c *compactions) any(jobs []int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(jobs, func(j int) bool { return slices.Contains(c.jobs, j) })
}

// roomToClean refuses to begin what would fill the disk.
func (m *Machine) roomToClean(reserve uint64) error {
	usage, err := m.opts.FS.GetDiskUsage(m.opts.Dir)
	if errors.Is(err, vfs.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("fsm: %w", err)
	}
	if size := m.db.Metrics().DiskSpaceUsage(); usage.AvailBytes < size+reserve {
		return fmt.Errorf("fsm: %w: %d bytes are free, %d are needed", ErrNoRoom, usage.AvailBytes, size+reserve)
	}
	return nil
}

// rewriteTables compacts everything. oldest is the highest number of the tables that were
// there, left how many of them still are.
func (m *Machine) rewriteTables(ctx context.Context) (oldest uint64, left int, err error) {
	if err := m.Flush(); err != nil {
		return 0, 0, err
	}
	if err := m.eachTable(func(number uint64) { oldest = max(oldest, number) }); err != nil {
		return 0, 0, err
	}
	first, end := []byte{0}, []byte{0xff}
	err = m.db.RangeKeyDelete(first, end, pebble.NoSync)
	if err == nil {
		err = m.Flush()
	}
	if err == nil {
		err = m.db.Compact(ctx, first, end, true)
	}
	if err != nil {
		return 0, 0, err
	}
	err = m.eachTable(func(number uint64) {
		if number <= oldest {
			left++
		}
	})
	return oldest, left, err
}

// eachTable calls f for the file of each table that there is.
func (m *Machine) eachTable(f func(number uint64)) error {
	levels, err := m.db.SSTables()
	if err != nil {
		return err
	}
	for _, level := range levels {
		for _, t := range level {
			f(uint64(t.BackingSSTNum))
		}
	}
	return nil
}

// tableFiles counts the files of tables up to a number.
func (m *Machine) tableFiles(oldest uint64) (n int, err error) {
	names, err := m.opts.FS.List(m.opts.Dir)
	if err != nil {
		return 0, fmt.Errorf("fsm: %w", err)
	}
	for _, name := range names {
		text, ok := strings.CutSuffix(name, ".sst")
		if number, err := strconv.ParseUint(text, 10, 64); ok && err == nil && number <= oldest {
			n++
		}
	}
	return n, nil
}

// manifestPrefix begins the names of MANIFEST files; manifestMarker those of the marker
// whose end is the name of the one that holds.
const (
	manifestPrefix = "MANIFEST-"
	manifestMarker = markerPrefix + "manifest."
)

// manifests returns the names of the MANIFEST files, and which of them holds.
func (m *Machine) manifests() (all []string, holds string, err error) {
	names, err := m.opts.FS.List(m.opts.Dir)
	if err != nil {
		return nil, "", fmt.Errorf("fsm: %w", err)
	}
	newest := uint64(0)
	for _, name := range names {
		if strings.HasPrefix(name, manifestPrefix) {
			all = append(all, name)
		}
		rest, ok := strings.CutPrefix(name, manifestMarker)
		number, file, _ := strings.Cut(rest, ".")
		// Of two markers the one with the higher number holds.
		if n, err := strconv.ParseUint(number, 10, 64); ok && err == nil && n >= newest {
			newest, holds = n, file
		}
	}
	if holds == "" {
		return nil, "", fmt.Errorf("fsm: %s has no marker of a MANIFEST", m.opts.Dir)
	}
	return all, holds, nil
}

// rotateManifest has the MANIFEST begun anew, by flushes of a row that says nothing new,
// and removes the older ones.
func (m *Machine) rotateManifest(ctx context.Context) error {
	_, before, err := m.manifests()
	if err != nil {
		return err
	}
	all, holds := []string(nil), before
	for holds == before {
		if err := ctx.Err(); err != nil {
			return err
		}
		row, err := m.cleanedRow()
		if err == nil {
			err = m.setCleaned(row)
		}
		if err == nil {
			err = m.Flush()
		}
		if err == nil {
			all, holds, err = m.manifests()
		}
		if err != nil {
			return err
		}
	}
	// The marker is there; that it is for good comes before what it replaced goes.
	if err := durable.SyncDir(m.opts.FS, m.opts.Dir); err != nil {
		return fmt.Errorf("fsm: %w", err)
	}
	for _, name := range all {
		if manifestNumber(name) >= manifestNumber(holds) {
			continue // it holds, or is about to
		}
		if err := m.opts.FS.Remove(m.opts.FS.PathJoin(m.opts.Dir, name)); err != nil && !errors.Is(err, iofs.ErrNotExist) {
			return fmt.Errorf("fsm: %w", err)
		}
	}
	return durable.SyncDir(m.opts.FS, m.opts.Dir)
}

// manifestNumber is the number of a MANIFEST file; the highest, if the name is none.
func manifestNumber(name string) uint64 {
	n, err := strconv.ParseUint(strings.TrimPrefix(name, manifestPrefix), 10, 64)
	if err != nil {
		return 1<<64 - 1
	}
	return n
}

// cleanedRow reads the note of how far erasures are carried out; empty if there is none.
func (m *Machine) cleanedRow() (*Cleaned, error) {
	b, closer, err := m.db.Get(key(tableCleaned))
	if errors.Is(err, pebble.ErrNotFound) {
		return &Cleaned{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("fsm: %w", err)
	}
	row, _, err := decodeRow[Cleaned](key(tableCleaned), b)
	return row, errors.Join(err, closer.Close())
}

func (m *Machine) setCleaned(row *Cleaned) error {
	if err := m.db.Set(key(tableCleaned), event.Canonical(row), pebble.NoSync); err != nil {
		return fmt.Errorf("fsm: %w", err)
	}
	return nil
}

// poll asks until it is so, and rests in between.
func poll(rest func() error, so func() (bool, error)) error {
	for {
		if ok, err := so(); ok || err != nil {
			return err
		}
		if err := rest(); err != nil {
			return err
		}
	}
}
