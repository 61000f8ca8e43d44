package erasure

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/sim/sabotage"
)

// localDisk is a disk of this node: its identity, its packs, and the appenders
// that fill them. It is a ShardTarget.
type localDisk struct {
	fs          vfs.FS
	dir         string // of the packs
	id          Identity
	incarnation uint64
	log         *slog.Logger

	packs   *packTable
	counter atomic.Uint64 // of the packs this incarnation began

	now     func() time.Time
	stall   time.Duration // a call that takes longer hangs
	writing underway
	reads   readers

	// Records up to smallRecord bytes go into zero-filled packs (one write and a
	// cheap fdatasync), those up to largeRecord into packs that are only
	// allocated (zeros would cost more than they save), longer ones get a pack
	// of their own.
	small, medium            *appender
	smallRecord, largeRecord uint64
	packSize, firstPack      uint64

	space   *Space
	watched chan struct{}         // closed when nobody watches space any more
	failure atomic.Pointer[error] // why the disk takes no more writes
	dirSync sync.Mutex
	packDir vfs.File      // open for as long as the disk is, under dirSync
	removal chan struct{} // holds one token: one Unlink at a time
	closing chan struct{}
}

// Check that the interface is met where it is declared to be.
var _ ShardTarget = (*localDisk)(nil)

// smallRecord is the longest record that is worth a zero-filled pack:
// beyond it, writing every byte twice costs more than a sync that has to convert
// extents (measured: break-even at 256 KiB on a disk of 1 GB/s).
const smallRecord = 128 << 10

// openDisk checks a disk's identity and makes it ready to be read; it writes
// nothing. It reads one file and the names of the packs: a start is fast however
// much the disk holds.
func openDisk(c DiskConfig, o *Options) (*localDisk, error) {
	id, err := ReadIdentity(c.FS, c.Dir)
	if err != nil {
		return nil, err
	}
	if err := c.match(id, o); err != nil {
		return nil, err
	}
	d := &localDisk{
		fs: c.FS, dir: c.FS.PathJoin(c.Dir, packsName), id: id,
		incarnation: o.Incarnation,
		log:         o.Logger.With("disk", id.Number),
		packSize:    o.PackSize, firstPack: o.FirstPack,
		smallRecord: min(smallRecord, o.LargeShard), largeRecord: o.LargeShard,
		now: o.Now, stall: o.Stall,
		reads:   readers{places: make(chan struct{}, readPlaces)},
		removal: make(chan struct{}, 1),
		closing: make(chan struct{}),
	}
	d.reads.ended.Store(d.now().UnixNano())
	if err := d.checkPacks(); err != nil {
		return nil, err
	}
	if d.packDir, err = d.fs.OpenDir(d.dir); err != nil {
		return nil, err
	}
	d.packs = newPackTable(d.fs, d.dir, o.OpenPacks)
	d.space = NewSpace(d.fs, c.Dir, o.Reserve, d.log)
	return d, nil
}

// start begins to write to the disk.
func (d *localDisk) start() {
	d.small = newAppender(d, true)
	d.medium = newAppender(d, false)
	d.watched = make(chan struct{})
	go func() {
		defer close(d.watched)
		d.space.Watch(d.closing)
	}()
}

// match compares an identity with what the configuration expects.
func (c DiskConfig) match(id Identity, o *Options) error {
	switch {
	case id.Cluster != o.ClusterID:
		return fmt.Errorf("%w: %s is of cluster %x, this is %x", ErrForeignDisk, c.Dir, id.Cluster, o.ClusterID)
	case id.Node != o.Node:
		return fmt.Errorf("%w: %s is of node %d, this is %d", ErrForeignDisk, c.Dir, id.Node, o.Node)
	case id.Slot != c.Slot:
		return fmt.Errorf("%w: %s is of slot %d, configured as %d", ErrForeignDisk, c.Dir, id.Slot, c.Slot)
	case c.Number != 0 && id.Number != c.Number:
		return fmt.Errorf("%w: %s is disk %d, not %d", ErrForeignDisk, c.Dir, id.Number, c.Number)
	case c.ID != ([16]byte{}) && id.Disk != c.ID:
		return fmt.Errorf("%w: %s has id %x, not %x", ErrForeignDisk, c.Dir, id.Disk, c.ID)
	}
	return nil
}

// checkPacks refuses a disk with packs of this incarnation or a later one: two
// writers would use the same names and blob ids. Every other pack is sealed by
// being of an earlier one. Nothing is removed, whatever else lies there.
func (d *localDisk) checkPacks() error {
	names, err := d.fs.List(d.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		if k, ok := parsePackName(name); ok && k.Incarnation >= d.incarnation && !sabotage.On(sabotage.X48) {
			return fmt.Errorf("%w: %s, this is incarnation %x", ErrStaleIncarnation, name, d.incarnation)
		}
	}
	return nil
}

// DiskID implements ShardTarget.
func (d *localDisk) DiskID() [16]byte { return d.id.Disk }

// origin is the identity of bytes at a place of this disk.
func (d *localDisk) origin(p Place) origin {
	return origin{cluster: d.id.Cluster, disk: d.id.Disk, pack: p.Pack, offset: p.Offset}
}

// Append implements ShardTarget.
func (d *localDisk) Append(spec ShardSpec, cells []Cell, done func(Place, error)) {
	n, err := recordLength(&spec, cells)
	if err == nil {
		err = d.failed()
	}
	if err == nil {
		err = d.room()
	}
	if err != nil {
		done(Place{}, err)
		return
	}
	r := &appendRequest{spec: spec, cells: cells, length: n, done: done}
	switch {
	case n <= d.smallRecord:
		d.small.submit(r)
	case n <= d.largeRecord:
		d.medium.submit(r)
	default:
		done(Place{}, fmt.Errorf("%w: shard of %d bytes is to be streamed", ErrInvalid, n))
	}
}

// recordLength checks that the cells are all of the shard's, and returns its
// bytes in a pack.
func recordLength(spec *ShardSpec, cells []Cell) (uint64, error) {
	if err := spec.check(); err != nil {
		return 0, err
	}
	l := spec.layout()
	if spec.Size == UnknownSize || l.Stripes() != uint64(len(cells)) {
		return 0, fmt.Errorf("%w: %d cells for %d bytes", ErrInvalid, len(cells), spec.Size)
	}
	for i := range cells {
		c, s := &cells[i], uint64(i)
		if uint64(c.Stripe) != s || uint64(c.Plain) != l.PlainLength(s) || len(c.Body) != int(l.CellLength(s)) {
			return 0, fmt.Errorf("%w: cell %d of the shard", ErrInvalid, i)
		}
	}
	return l.ShardLength(), nil
}

// nextPack names a new pack and notes that it is written.
func (d *localDisk) nextPack() PackKey {
	k := PackKey{Incarnation: d.incarnation, Counter: d.counter.Add(1)}
	d.packs.begin(k)
	return k
}

// failed says why the disk takes no writes; nil if it does.
func (d *localDisk) failed() error {
	if e := d.failure.Load(); e != nil {
		return *e
	}
	return nil
}

// wrote judges the error of a write: a full disk may have room later, and a node
// short of file descriptors says nothing about its disks; anything else means
// that what the disk says can no longer be trusted.
func (d *localDisk) wrote(err error) error {
	switch {
	case err == nil:
		return nil
	case noSpace(err):
		return fmt.Errorf("%w: disk %d: %v", ErrNoSpace, d.id.Number, err)
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return fmt.Errorf("erasure: disk %d: %v", d.id.Number, err)
	}
	return d.fail(err)
}

// fail takes the disk out of service for writing, for good.
func (d *localDisk) fail(cause error) error {
	err := fmt.Errorf("%w: disk %d: %v", ErrDiskFailed, d.id.Number, cause)
	if d.failure.CompareAndSwap(nil, &err) {
		d.log.Error("disk takes no more writes", "err", cause)
	}
	return err
}

// noSpace tells a full disk, or a full quota, from a broken one.
func noSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// syncPacks makes the entries of new and removed packs durable. A failure is
// the disk's.
func (d *localDisk) syncPacks() error {
	d.dirSync.Lock()
	defer d.dirSync.Unlock()
	if err := d.failed(); err != nil {
		return err
	}
	if d.packDir == nil {
		return ErrClosed
	}
	if err := d.call(d.packDir.Sync); err != nil {
		return d.fail(err)
	}
	return nil
}

// PackInfo is what a disk knows of one of its packs.
type PackInfo struct {
	Pack     PackKey
	Size     uint64 // bytes of the file
	Sealed   bool   // nothing will be appended; never true while InFlight > 0
	InFlight int    // appends under way
}

// list returns the packs on the disk, ascending.
func (d *localDisk) list() ([]PackInfo, error) {
	names, err := d.fs.List(d.dir)
	if err != nil {
		return nil, err
	}
	var out []PackInfo
	for _, name := range names {
		k, ok := parsePackName(name)
		if !ok {
			continue
		}
		// State before size: a pack that is sealed now has its last size.
		info := PackInfo{Pack: k}
		info.Sealed, info.InFlight = d.packs.state(k)
		st, err := d.fs.Stat(d.packs.path(k))
		if errors.Is(err, fs.ErrNotExist) {
			continue // unlinked meanwhile
		}
		if err != nil {
			return nil, err
		}
		info.Size = uint64(st.Size())
		out = append(out, info)
	}
	slices.SortFunc(out, func(a, b PackInfo) int { return a.Pack.compare(b.Pack) })
	return out, nil
}

// unlink removes packs, in order, and makes that durable.
func (d *localDisk) unlink(ctx context.Context, packs []PackKey) error {
	select {
	case d.removal <- struct{}{}:
		defer func() { <-d.removal }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := d.failed(); err != nil {
		return err
	}
	var errs []error
	for _, k := range packs {
		if err := d.packs.unlink(ctx, k); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(append(errs, d.syncPacks())...)
}

// close ends the appenders after what they were given, and closes the files.
func (d *localDisk) close() {
	close(d.closing)
	if d.small != nil { // started
		d.small.close()
		d.medium.close()
		<-d.watched
	}
	d.packs.close()
	d.dirSync.Lock()
	if !sabotage.On(sabotage.X62) {
		d.packDir.Close()
	}
	d.packDir = nil
	d.dirSync.Unlock()
}

// String names the disk in messages.
func (d *localDisk) String() string {
	return strings.TrimSuffix(d.dir, packsName)
}
