package server

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/fsm"
	"ironman/server/backup"
	"ironman/wal"
	"ironman/wal/digest"
	"ironman/wal/event"
	"ironman/wal/ledger"
)

// Whoever takes a backup of the cluster (package backup) asks one node, which keeps a point
// in time for that long: a snapshot of the state, the entries of the log that the ledger's files
// end before, and the bytes of all blobs that the state names (holds). What it keeps it gives
// up when nobody has asked for it for backupLease.
const (
	backupLease = 2 * time.Minute
	// mostBackups is how many runs a node has at once: each keeps a state that would be gone.
	mostBackups = 4
	// pieceReaders is how many answers with bytes of blobs a node gives at once: each has
	// backup.MaxPieceBytes in memory.
	pieceReaders = 8
	entriesFile  = "entries"
)

// backups are the runs that this node serves.
type backups struct {
	n       *Node
	readers chan struct{}
	// bodyIdle is how long the body of a request may stand still; guarded by mu.
	bodyIdle time.Duration

	mu    sync.Mutex
	runs  map[string]*backupRun
	ended bool // none begins any more
}

// backupRun is one of them.
type backupRun struct {
	backup.Run
	n *Node
	// ending ends, by end, with the run, and with it all answers of it.
	ending context.Context
	end    context.CancelFunc
	pin    *wal.Pin
	still  *fsm.Still
	files  []string // of the state

	verifying sync.Mutex
	verified  bool // the state was; guarded by verifying

	// Guarded by mu of backups. A run is closed by whoever ends it last: a request, or the run
	// itself.
	users int
	until time.Time
	ready bool
	over  bool
}

// idle is bodyIdle.
func (b *backups) idle() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bodyIdle
}

func newBackups(n *Node) *backups {
	return &backups{n: n, readers: make(chan struct{}, pieceReaders), bodyIdle: placeIdle, runs: make(map[string]*backupRun)}
}

// run gives up what nobody asks for any more, until ctx ends, then all.
func (b *backups) run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			b.mu.Lock()
			b.ended = true
			b.mu.Unlock()
			b.expire(func(*backupRun) bool { return true })
			return
		case <-tick.C:
			now := b.n.opts.Now()
			b.expire(func(r *backupRun) bool {
				end := r.until
				if r.users > 0 { // a long answer; but nobody has renewed the run, and packs are held no more
					end = end.Add(holdFor - backupLease)
				}
				return r.ready && !end.After(now)
			})
		}
	}
}

// expire ends the runs that are over.
func (b *backups) expire(over func(*backupRun) bool) {
	b.mu.Lock()
	var ended []string
	for name, r := range b.runs {
		if over(r) {
			ended = append(ended, name)
		}
	}
	b.mu.Unlock()
	for _, name := range ended {
		b.n.opts.Logger.Info("a backup was given up: nobody asks for it any more", "run", name)
		b.end(name)
	}
}

// use finds a run for a request, which calls done when it is answered.
func (b *backups) use(name string) (r *backupRun, done func(), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r = b.runs[name]
	if r == nil || !r.ready {
		return nil, nil, fmt.Errorf("%w: no backup %q is being taken from this node", errNoObject, name)
	}
	r.users++
	r.until = b.n.opts.Now().Add(backupLease)
	return r, func() { b.leave(r) }, nil
}

func (b *backups) leave(r *backupRun) {
	b.mu.Lock()
	r.users--
	r.until = b.n.opts.Now().Add(backupLease)
	last := r.over && r.users == 0
	b.mu.Unlock()
	if last {
		r.close()
	}
}

// end ends a run; false: there is none of that name.
func (b *backups) end(name string) bool {
	b.mu.Lock()
	r := b.runs[name]
	delete(b.runs, name)
	last := false
	if r != nil {
		r.over = true
		r.end()
		last = r.users == 0
	}
	b.mu.Unlock()
	if last {
		r.close()
	}
	return r != nil
}

// list are the runs, by name.
func (b *backups) list() []backup.Run {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([]backup.Run, 0, len(b.runs))
	for _, r := range b.runs {
		if r.ready {
			out = append(out, r.Run)
		}
	}
	slices.SortFunc(out, func(x, y backup.Run) int { return slices.Compare([]byte(x.Run), []byte(y.Run)) })
	return out
}

// close gives up what the run keeps.
func (r *backupRun) close() {
	var errs []error
	if r.still != nil {
		errs = append(errs, r.still.Close())
	}
	if r.pin != nil {
		errs = append(errs, r.pin.Release())
	}
	if err := errors.Join(errs...); err != nil {
		r.n.opts.Logger.Warn("a backup was not given up as it should be", "run", r.Run.Run, "err", err)
	}
}

// knownPoint is the newest point that the target holds already; Seq 0: none.
type knownPoint struct {
	seq, size uint64
	root      string
}

// BeginBackup begins a run: a point of everything that was acknowledged before.
func (n *Node) BeginBackup(ctx context.Context, known knownPoint) (*backup.Run, error) {
	if _, _, err := n.archive(); err != nil {
		return nil, err
	}
	r := &backupRun{n: n, Run: backup.Run{Run: newRunName(n.opts.Now()), Node: n.identity.Node, Version: Version(), Lease: int(backupLease / time.Second)}}
	r.ending, r.end = context.WithCancel(context.Background())
	if err := n.backups.add(r); err != nil {
		r.end()
		return nil, err
	}
	err := n.backups.ready(r, r.begin(ctx, known))
	if err != nil {
		n.holdNoMore(r.Run.Run)
		return nil, err
	}
	n.opts.Logger.Info("a backup is being taken from this node", "run", r.Run.Run, "events", r.Seq)
	return &r.Run, nil
}

func newRunName(now time.Time) string {
	var b [4]byte
	rand.Read(b[:]) // never fails (crypto/rand)
	return now.UTC().Format("20060102T150405Z-") + hex.EncodeToString(b[:])
}

// add takes up a run that begins: it has a user until it is ready.
func (b *backups) add(r *backupRun) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended || len(b.runs) >= mostBackups {
		return fmt.Errorf("%w: %d backups are being taken from this node; one that was broken off is given up after %v", errNotNow, len(b.runs), backupLease)
	}
	r.users = 1
	b.runs[r.Run.Run] = r
	return nil
}

// ready lets a run be used that has begun, or ends it with the error that kept it from that.
func (b *backups) ready(r *backupRun, err error) error {
	b.mu.Lock()
	r.ready, r.until = err == nil, b.n.opts.Now().Add(backupLease)
	if err == nil && r.over {
		err = fmt.Errorf("%w: this node is stopping", errNotNow)
	}
	b.mu.Unlock()
	if err != nil {
		b.end(r.Run.Run)
	}
	b.leave(r)
	return err
}

// holdNoMore tells the nodes that a run is over. One that does not hear of it finds out by
// itself.
func (n *Node) holdNoMore(run string) {
	ctx, cancel := context.WithTimeout(context.Background(), holdCall)
	defer cancel()
	if _, err := n.holdEverywhere(ctx, run, 0); err != nil {
		n.opts.Logger.Warn("a backup: packs are held back for longer than needed", "run", run, "err", err)
	}
}

// begin makes the point. Packs are held back before the state is made, so that nothing which
// it names can have gone.
func (r *backupRun) begin(ctx context.Context, known knownPoint) (err error) {
	n := r.n
	if r.Unheld, err = n.holdEverywhere(ctx, r.Run.Run, int(holdFor/time.Second)); err != nil {
		return err
	}
	if err := n.log.Barrier(ctx); err != nil {
		return fmt.Errorf("%w: this node cannot see the present: %w", errNotNow, err)
	}
	if last, done, err := n.eraser.where(); err != nil {
		return err
	} else if last > done {
		return fmt.Errorf("%w: an erasure by law is not carried out on this node yet: what is erased would be in the backup", errNotNow)
	}
	if r.pin, err = n.log.Pin(); err != nil {
		return err
	}
	if r.still, err = fsm.OpenStill(n.opts.FS, r.pin.State); err != nil {
		return err
	}
	if r.files, err = n.opts.FS.List(r.pin.State); err != nil {
		return err
	}
	slices.Sort(r.files)
	v, err := r.still.View()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	if err := r.describe(v); err != nil {
		return err
	}
	if err := r.endLedger(known); err != nil {
		return err
	}
	return r.keepEntries(v)
}

// describe says what the state is.
func (r *backupRun) describe(v *fsm.View) error {
	c, err := v.Cluster()
	if err != nil {
		return err
	}
	if c == nil {
		return fmt.Errorf("%w: the cluster has not begun", errNotNow)
	}
	a := v.Applied()
	r.Source = backup.Source{Cluster: hex.EncodeToString(c.ClusterId), Origin: c.LedgerOrigin, Key: c.LedgerKey}
	r.FeatureLevel, r.Seq, r.Time = c.FeatureLevel, a.Next, time.Unix(0, a.Time).UTC()
	sum := a.Digest.Bytes()
	r.State = backup.State{Index: a.Index, Term: a.Term, Digest: hex.EncodeToString(sum[:])}
	return nil
}

// verify verifies the state, once for a run. Its rows are those that describe told of: the same
// files said so.
func (r *backupRun) verify() error {
	r.verifying.Lock()
	defer r.verifying.Unlock()
	if r.verified {
		return nil
	}
	err := r.pin.Verify()
	r.verified = err == nil
	return err
}

// endLedger decides how much of the ledger belongs to the point. The state's queue of leaves
// begins at or before that, because only what is archived leaves it.
func (r *backupRun) endLedger(known knownPoint) error {
	a, _, err := r.n.archive()
	if err != nil {
		return err
	}
	size := min(a.Size(), r.Seq/ledger.BundleSize*ledger.BundleSize)
	root, err := a.Root(size)
	if err != nil {
		return err
	}
	r.Ledger = backup.Ledger{Size: size, Root: root.String()}
	if size > 0 {
		c, err := a.CheckpointAt(size)
		if err != nil {
			return err
		}
		r.Ledger.Checkpoint = string(c.Note)
	}
	return known.check(a, r.Seq)
}

// check refuses a target whose newest point is of another history than this node's.
func (k knownPoint) check(a *ledger.Archive, next uint64) error {
	if k.seq == 0 {
		return nil
	}
	if k.seq > next {
		return fmt.Errorf("%w: the target holds a point of %d events, and the cluster has %d: it is that of another history, or one that was lost", errBadAsk, k.seq, next)
	}
	if k.size > a.Size() {
		return fmt.Errorf("%w: the target's newest point has more of the ledger than this node", errNotNow)
	}
	root, err := a.Root(k.size)
	if err != nil {
		return err
	}
	if root.String() != k.root {
		return fmt.Errorf("%w: the first %d events of the target's newest point are not this cluster's: it is that of another history", errBadAsk, k.size)
	}
	return nil
}

// keepEntries writes the entries from that of the first event which the ledger's part does
// not hold up to the state's last one.
func (r *backupRun) keepEntries(v *fsm.View) error {
	n := r.n
	first, queued, err := v.Queued(r.Ledger.Size)
	switch {
	case err != nil:
		return err
	case !queued && r.Ledger.Size < r.Seq:
		return fmt.Errorf("%w: event %d is neither in this node's ledger nor in its queue: its ledger has not caught up", errNotNow, r.Ledger.Size)
	case !queued:
		first = r.State.Index
	}
	l := backup.Log{First: first, Last: r.State.Index}
	sum, err := r.writeEntries(first)
	if errors.Is(err, wal.ErrNotHere) {
		return fmt.Errorf("%w: this node came by a snapshot, and has not got all records of the last events yet: %w", errNotNow, err)
	}
	if err != nil {
		return err
	}
	var known bool
	if l.BeforeTerm, known = n.log.TermAt(first - 1); !known {
		for e, err := range n.log.Entries(first, first) {
			if err != nil {
				return err
			}
			l.BeforeTerm = e.Term
		}
	}
	l.File = backup.File{Name: entriesFile, Size: sum.size, Sum: hex.EncodeToString(sum.sum[:])}
	r.Log = l
	return nil
}

type fileSum struct {
	size int64
	sum  digest.Sum
}

// writeEntries writes the entries beside the snapshot, and forgets them with it.
func (r *backupRun) writeEntries(first uint64) (s fileSum, err error) {
	fs := r.n.opts.FS
	f, err := fs.Create(fs.PathJoin(r.pin.Room, entriesFile), vfs.WriteCategoryUnspecified)
	if err != nil {
		return s, err
	}
	hash := digest.NewSHA256()
	counted := &byteCounter{}
	err = backup.WriteEntries(io.MultiWriter(hash, counted, f), r.n.log.Entries(first, r.State.Index))
	s.size = counted.n
	copy(s.sum[:], hash.Sum(nil))
	return s, errors.Join(err, f.Close())
}

type byteCounter struct{ n int64 }

func (c *byteCounter) Write(p []byte) (int, error) {
	c.n += int64(len(p))
	return len(p), nil
}

// RenewBackup goes on with a run, here and on the other nodes.
func (n *Node) RenewBackup(ctx context.Context, run string) (unheld []uint32, err error) {
	_, done, err := n.backups.use(run)
	if err != nil {
		return nil, err
	}
	defer done()
	return n.holdEverywhere(ctx, run, int(holdFor/time.Second))
}

// EndBackup ends a run.
func (n *Node) EndBackup(run string) error {
	if !n.backups.end(run) {
		return fmt.Errorf("%w: no backup %q is being taken from this node", errNoObject, run)
	}
	n.holdNoMore(run)
	return nil
}

// erasedBundles are the bundles of the ledger, in the part of a run, of which something was erased
// by law.
func (r *backupRun) erasedBundles() ([]uint64, error) {
	bundles := []uint64{}
	err := r.n.machine.Erased(0, r.Ledger.Size, func(p fsm.ErasedPayload) bool {
		if b := p.Seq / ledger.BundleSize; len(bundles) == 0 || bundles[len(bundles)-1] != b {
			bundles = append(bundles, b)
		}
		return true
	})
	return bundles, err
}

// blobPage is how many blobs a page has at most.
const blobPage = 50_000

var errPageFull = errors.New("the page is full")

// page gives the blobs of the state behind one.
func (r *backupRun) page(after *event.BlobID) (blobs []backup.Blob, more bool, err error) {
	v, err := r.still.View()
	if err != nil {
		return nil, false, err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	err = v.BlobsFrom(after, func(b *event.Blob) error {
		if len(blobs) == blobPage {
			return errPageFull
		}
		blobs = append(blobs, backup.Blob{BlobID: backup.BlobID{Incarnation: b.Id.Incarnation, Counter: b.Id.Counter}, Size: b.Size})
		return nil
	})
	if errors.Is(err, errPageFull) {
		return blobs, true, nil
	}
	return blobs, false, err
}

// lost gives the blobs of the state behind one of which too few shards are left.
func (r *backupRun) lost(after *event.BlobID) (blobs []backup.Blob, more bool, err error) {
	v, err := r.still.View()
	if err != nil {
		return nil, false, err
	}
	defer func() { err = errors.Join(err, v.Close()) }()
	found, next, err := v.LostBlobs(after, math.MaxInt, blobPage)
	for _, b := range found {
		blobs = append(blobs, backup.Blob{BlobID: backup.BlobID{Incarnation: b.Id.Incarnation, Counter: b.Id.Counter}, Size: b.Size})
	}
	return blobs, next != nil, err
}

// piece reads a piece of a blob into memory.
func (r *backupRun) piece(ctx context.Context, v *fsm.View, a backup.Ask) ([]byte, error) {
	b, err := v.Blob(&event.BlobID{Incarnation: a.Incarnation, Counter: a.Counter})
	if err != nil {
		return nil, err
	}
	if b == nil {
		return nil, errors.New("the state does not name it")
	}
	if a.Offset > b.Size || uint64(a.Length) > b.Size-a.Offset {
		return nil, fmt.Errorf("it has no %d bytes at %d", a.Length, a.Offset)
	}
	body, err := r.n.blobs.Open(ctx, b, a.Offset, uint64(a.Length))
	if err != nil {
		return nil, err
	}
	p := make([]byte, a.Length)
	_, err = io.ReadFull(body, p)
	return p, errors.Join(err, body.Close())
}
