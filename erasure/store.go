package erasure

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/wal/event"
)

// DiskConfig is a disk of this node.
type DiskConfig struct {
	FS   vfs.FS
	Dir  string
	Slot uint32 // which of the node's disks it is to be

	// What the cluster knows of the disk; 0: not known, not compared.
	Number uint32
	ID     [16]byte

	// Optional: a disk that cannot be opened is counted as failed, instead of
	// failing OpenStore. Number must be known. Packs of this incarnation or a later
	// one fail it all the same: they say nothing about the disk, but that the node
	// was set back to an older state, or is a clone.
	Optional bool
}

// Options are what a Store is made of. Zero values are replaced by defaults
// where one is stated.
type Options struct {
	Disks       []DiskConfig
	ClusterID   [16]byte
	Node        uint32
	Incarnation uint64 // of this start of the node; never used before
	Policy      Policy

	// Topology returns all disks of the cluster. Which live is a hint; the store
	// knows better about its own. nil: the disks of this node.
	Topology func() []Disk
	// Remote returns the disk of another node, nil if there is no way to it now.
	Remote func(disk uint32) ShardTarget
	// OnDamage is told about shards that could not be read as they should have
	// been, once each. It is called by one goroutine; while it blocks, further
	// damage is not reported, but found again.
	OnDamage func(Damage)

	Now    func() time.Time // the node's wall clock
	Logger *slog.Logger     // default: discards

	// Reserve stays free on each disk of this node: one that has less takes no new
	// shards until it has more again.
	Reserve Reserve

	PackSize   uint64        // of a shared pack, bytes; default 64 MiB
	FirstPack  uint64        // of the first one after a start; default 4 MiB
	LargeShard uint64        // a longer shard has a pack of its own; default 1 MiB; the same on all nodes
	OpenPacks  int           // read handles kept without readers, per disk; default 128
	WriteBytes int64         // buffers of all writers together, and a quarter for small bodies; default 64 MiB
	ReadBytes  int64         // buffers of all readers together, and a quarter for small reads; default 64 MiB
	Hedge      time.Duration // how long a cell may take before others are asked; default 100 ms
	Stall      time.Duration // how long a disk may take before a writer drops it; default 20 s
}

func (o *Options) setDefaults() {
	o.PackSize = cmp.Or(o.PackSize, 64<<20) &^ (blockBytes - 1)
	o.FirstPack = cmp.Or(o.FirstPack, 4<<20) &^ (blockBytes - 1)
	// A whole record fits into the smallest pack, with room for others.
	o.FirstPack = min(o.FirstPack, o.PackSize)
	o.LargeShard = min(cmp.Or(o.LargeShard, 1<<20), (o.FirstPack-packHeaderBytes)/2)
	o.OpenPacks = cmp.Or(o.OpenPacks, 128)
	o.WriteBytes = cmp.Or(o.WriteBytes, 64<<20)
	o.ReadBytes = cmp.Or(o.ReadBytes, 64<<20)
	o.Hedge = cmp.Or(o.Hedge, 100*time.Millisecond)
	o.Stall = cmp.Or(o.Stall, 20*time.Second)
	o.Policy = o.Policy.withDefaults()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// check refuses options that contradict themselves.
func (o *Options) check() error {
	switch {
	case o.ClusterID == [16]byte{}:
		return fmt.Errorf("%w: no cluster id", ErrInvalid)
	case o.Now == nil:
		return fmt.Errorf("%w: no clock", ErrInvalid)
	case o.Incarnation == 0:
		return fmt.Errorf("%w: no incarnation", ErrInvalid)
	case o.FirstPack < 4*blockBytes || o.PackSize < 4*blockBytes || o.PackSize > 1<<40:
		return fmt.Errorf("%w: packs of %d and %d bytes", ErrInvalid, o.FirstPack, o.PackSize)
	case o.Policy.Cell > MaxCell:
		return fmt.Errorf("%w: cell of %d bytes", ErrInvalid, o.Policy.Cell)
	}
	return nil
}

// Store keeps blobs on the disks of a cluster; each node has one, which owns the
// node's disks. All methods are safe for concurrent use.
type Store struct {
	o      Options
	disks  map[uint32]*localDisk // by number; never changes
	order  []*localDisk          // the same, as configured
	broken map[uint32]error      // optional disks that did not open; never changes

	buffers bufferPool
	coder   coder
	writes  budgets
	reads   budgets
	counter atomic.Uint64 // of the blobs this incarnation began
	damage  *damageReporter

	abandoned abandonedBlobs
	avoided   avoidedDisks

	mu     sync.RWMutex   // guards closed against the beginning of calls
	closed bool           // no call begins any more
	calls  sync.WaitGroup // calls, and goroutines that outlive theirs
	ctx    context.Context
	cancel context.CancelFunc
}

// OpenStore opens the disks of this node. Every pack that is on them is sealed
// from now on. It fails if a disk that is not optional has no identity file
// (ErrNoIdentity), another one's (ErrForeignDisk), or packs of this incarnation
// or a later one (ErrStaleIncarnation).
func OpenStore(o Options) (*Store, error) {
	o.setDefaults()
	if err := o.check(); err != nil {
		return nil, err
	}
	s := &Store{
		o:      o,
		disks:  make(map[uint32]*localDisk),
		broken: make(map[uint32]error),
		writes: newBudgets(o.WriteBytes),
		reads:  newBudgets(o.ReadBytes),
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.damage = newDamageReporter(o.OnDamage)
	for _, c := range o.Disks {
		if err := s.openDisk(c); err != nil {
			s.Close()
			return nil, err
		}
	}
	// Only now, so that a failed start leaves no trace of its incarnation.
	for _, d := range s.order {
		d.start()
	}
	return s, nil
}

func (s *Store) openDisk(c DiskConfig) error {
	d, err := openDisk(c, &s.o)
	if err != nil {
		if c.Optional && c.Number != 0 && s.disks[c.Number] == nil && !errors.Is(err, ErrStaleIncarnation) {
			s.o.Logger.Error("disk did not open", "disk", c.Number, "dir", c.Dir, "err", err)
			s.broken[c.Number] = err
			return nil
		}
		return fmt.Errorf("disk in slot %d: %w", c.Slot, err)
	}
	n := d.id.Number
	if s.disks[n] != nil || s.broken[n] != nil {
		d.close()
		return fmt.Errorf("%w: two disks have number %d", ErrForeignDisk, n)
	}
	s.disks[n] = d
	s.order = append(s.order, d)
	return nil
}

// enter begins a call; the caller ends it with s.calls.Done.
func (s *Store) enter() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return ErrClosed
	}
	s.calls.Add(1)
	return nil
}

// Close ends what runs, waits for it, and closes the disks; it also waits for a
// disk that hangs. A reader that is still open fails from now on; it must be
// closed all the same.
func (s *Store) Close() error {
	s.mu.Lock()
	again := s.closed
	s.closed = true
	s.mu.Unlock()
	if again {
		return nil
	}
	s.cancel()
	s.calls.Wait()
	for _, d := range s.order {
		d.close()
	}
	s.damage.close()
	return nil
}

// target returns the disk of that number; nil if there is no way to it.
func (s *Store) target(disk uint32) ShardTarget {
	if d := s.disks[disk]; d != nil {
		return d
	}
	if s.o.Remote == nil || disk == 0 || s.broken[disk] != nil {
		return nil
	}
	return s.o.Remote(disk)
}

// Target returns a disk of this node, for the link to serve to other nodes.
func (s *Store) Target(disk uint32) (ShardTarget, bool) {
	d, ok := s.disks[disk]
	if !ok {
		return nil, false // not a ShardTarget that holds a nil *localDisk
	}
	return d, true
}

// topology is the cluster's disks, those not live that should get no shards now.
func (s *Store) topology() []Disk { return s.disksNow(false) }

// disksNow is topology; with full, disks that lack nothing but space are live.
func (s *Store) disksNow(full bool) []Disk {
	var all []Disk
	if s.o.Topology != nil {
		all = slices.Clone(s.o.Topology())
	} else {
		for n := range s.disks {
			all = append(all, Disk{Number: n, Node: s.o.Node, Live: true})
		}
		for n := range s.broken {
			all = append(all, Disk{Number: n, Node: s.o.Node})
		}
	}
	now := s.o.Now()
	for i := range all {
		d := &all[i]
		local := s.disks[d.Number]
		d.Live = d.Live && s.broken[d.Number] == nil && !s.avoided.is(d.Number, full, now) &&
			(local == nil || local.failed() == nil && !local.hangs() && (full || !local.space.Low()))
	}
	return all
}

// Buffered tells how many bytes of buffers writers and readers hold, of WriteBytes and
// ReadBytes. Where nobody writes or reads, nothing is held.
func (s *Store) Buffered() (writing, reading int64) { return s.writes.held(), s.reads.held() }

// DiskState is what the store knows of a disk of this node.
type DiskState struct {
	Identity Identity
	Failure  error // why it takes no writes; nil if it does
	Free     uint64
	Known    bool // Free was measured
	Low      bool // Free is below the reserve
}

// Disks returns the state of this node's disks, by number.
func (s *Store) Disks() []DiskState {
	var out []DiskState
	for _, d := range s.order {
		state := DiskState{Identity: d.id, Failure: d.failed(), Low: d.space.Low()}
		state.Free, state.Known = d.space.Free()
		out = append(out, state)
	}
	for n, err := range s.broken {
		id := Identity{Cluster: s.o.ClusterID, Node: s.o.Node, Number: n}
		out = append(out, DiskState{Identity: id, Failure: err})
	}
	slices.SortFunc(out, func(a, b DiskState) int { return cmp.Compare(a.Identity.Number, b.Identity.Number) })
	return out
}

// Short tells whether a disk of this node that takes writes is short of space (Space.Short).
func (s *Store) Short(mark Reserve) bool {
	return slices.ContainsFunc(s.order, func(d *localDisk) bool { return d.failed() == nil && d.space.Short(mark) })
}

// local returns a disk of this node.
func (s *Store) local(disk uint32) (*localDisk, error) {
	if d := s.disks[disk]; d != nil {
		return d, nil
	}
	if err := s.broken[disk]; err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%w: disk %d is not of this node", ErrInvalid, disk)
}

// Packs lists the packs of a disk of this node, ascending. A pack that is sealed
// may still hold shards that no event names yet: whether it may go is decided
// where events are applied.
func (s *Store) Packs(disk uint32) ([]PackInfo, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	d, err := s.local(disk)
	if err != nil {
		return nil, err
	}
	return d.list()
}

// Unlink removes packs of a disk of this node for good. The caller vouches that
// a committed and applied event released each of them; nothing here checks that.
// It waits for this store's readers of a pack (until ctx ends: then that pack
// stays). A pack that may still be appended to is ErrPackOpen, one that is gone
// already is no error, so that it can be tried again.
func (s *Store) Unlink(ctx context.Context, disk uint32, packs ...*event.PackID) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.calls.Done()
	d, err := s.local(disk)
	if err != nil {
		return err
	}
	keys := make([]PackKey, len(packs))
	for i, p := range packs {
		keys[i] = PackKeyOf(p)
	}
	ctx, stop := s.bound(ctx)
	defer stop()
	return d.unlink(ctx, keys)
}

// bound is a context that also ends when the store closes.
func (s *Store) bound(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	release := context.AfterFunc(s.ctx, cancel)
	return ctx, func() {
		release()
		cancel()
	}
}

// nextBlob names a new blob.
func (s *Store) nextBlob() BlobKey {
	return BlobKey{Incarnation: s.o.Incarnation, Counter: s.counter.Add(1)}
}

// blobs larger than this are refused, so that sums of offsets cannot overflow.
const maxBlob = math.MaxInt64 / 2
