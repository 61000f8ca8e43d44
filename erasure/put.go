package erasure

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"ironman/sim/sabotage"
	"ironman/wal/digest"
	"ironman/wal/event"
)

// PutOptions are what a caller may ask of one blob.
type PutOptions struct {
	// MinTolerance replaces the policy's, if not 0.
	MinTolerance uint32
}

// Put stores what r gives as a new blob and returns its row once every shard the
// row names is durable. size is the length of the body, -1 if unknown. It reads
// to the end of r, so that a checksum or signature that r verifies there counts;
// a body of another length is ErrBody, and an error of r is returned as it is.
//
// A shard that could not be written has no disk in the row (its disk is 0), and
// the row's tolerance is what is left; that is never less than the policy asks,
// else the blob is given up with ErrTolerance (and ErrNoSpace, if a full disk was
// the reason). A blob of which something may be on a disk and that was not
// returned is among Abandoned. A returned blob that no event will name goes back
// by Abandon.
//
// It holds at most a few stripes of a large blob in memory, and waits (until ctx
// ends) where all writers together would hold more than Options.WriteBytes.
func (s *Store) Put(ctx context.Context, r io.Reader, size int64, o PutOptions) (*event.Blob, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	ctx, stop := s.bound(ctx)
	defer stop()
	w := &blobWriter{s: s, key: s.nextBlob(), policy: s.o.Policy, generation: FirstGeneration}
	if o.MinTolerance != 0 {
		w.policy.MinTolerance = o.MinTolerance
	}
	n := UnknownSize
	if size >= 0 {
		n = uint64(size)
	}
	blob, err := w.write(ctx, r, n)
	if err != nil && w.begun {
		s.abandoned.add(w.key)
	}
	return blob, err
}

// blobWriter is one Put or Place.
type blobWriter struct {
	s          *Store
	key        BlobKey
	policy     Policy
	generation uint32 // of every shard
	lost       uint32 // generation of what the row has in the place of a shard that was given up

	// Set by plan.
	topology []Disk
	size     uint64
	Geometry
	disks []uint32 // by shard index; changed where a spare takes over

	begun bool // something may be on a disk
}

// write plans and writes a body of n bytes. Unless it was begun, nothing is on a disk.
func (w *blobWriter) write(ctx context.Context, r io.Reader, n uint64) (*event.Blob, error) {
	if n != UnknownSize && n > maxBlob {
		return nil, fmt.Errorf("%w: a blob of %d bytes", ErrInvalid, n)
	}
	if err := w.plan(n); err != nil {
		return nil, err
	}
	return w.put(ctx, r)
}

// plan chooses geometry and placement for a body of n bytes.
func (w *blobWriter) plan(n uint64) (err error) {
	w.size = n
	w.topology = w.s.topology()
	w.Geometry, w.disks, err = Choose(w.topology, n, w.key.Counter, w.policy)
	if errors.Is(err, ErrTolerance) {
		if _, _, other := Choose(w.s.disksNow(true), n, w.key.Counter, w.policy); other == nil {
			err = errors.Join(ErrNoSpace, err)
		}
	}
	return err
}

func (w *blobWriter) layout() Layout { return Layout{K: w.K, Cell: w.Cell, Size: w.size} }

// spec is the identity of the shard with that index.
func (w *blobWriter) spec(index int) ShardSpec {
	return ShardSpec{
		Blob: w.key, Size: w.size, Cell: w.Cell, Generation: w.generation,
		K: uint8(w.K), M: uint8(w.M), Index: uint8(index),
	}
}

// whole tells whether the shards are short enough to be held in memory.
func (w *blobWriter) whole() bool {
	return w.size != UnknownSize && w.layout().ShardLength() <= w.s.o.LargeShard
}

// buffersPerStripe: copies share the one body.
func (w *blobWriter) buffersPerStripe() int {
	if w.K == 1 {
		return 1
	}
	return int(w.K + w.M)
}

// weight is the bytes of buffers that the blob takes.
func (w *blobWriter) weight() (n int64) {
	if !w.whole() {
		return streamDepth * int64(w.buffersPerStripe()) * cost(int(w.Cell))
	}
	l := w.layout()
	for i := range l.Stripes() {
		n += int64(w.buffersPerStripe()) * cost(int(l.CellLength(i)))
	}
	return n
}

func (w *blobWriter) put(ctx context.Context, r io.Reader) (blob *event.Blob, err error) {
	need := w.weight()
	if w.size == UnknownSize {
		need += int64(w.K) * cost(int(w.Cell)) // for the first look
	}
	held, err := w.s.writes.acquire(ctx, need)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err == nil || !sabotage.On(sabotage.X46) {
			w.s.writes.release(held)
		}
	}()
	if w.size != UnknownSize {
		return w.putPlanned(ctx, r)
	}
	first := w.lease(int(w.K), int(w.Cell))
	defer w.s.buffers.put(first...)
	return w.putUnknown(ctx, r, first)
}

func (w *blobWriter) putPlanned(ctx context.Context, r io.Reader) (*event.Blob, error) {
	if w.whole() {
		return w.putWhole(ctx, r)
	}
	return w.putStream(ctx, r)
}

// putUnknown reads one stripe ahead: most bodies of unknown length end within
// it, and are stored like any other of their length then.
func (w *blobWriter) putUnknown(ctx context.Context, r io.Reader, first []*buffer) (*event.Blob, error) {
	var parts []io.Reader
	var n uint64
	for _, b := range first {
		part := b.b[:w.Cell]
		got, end, err := readFull(r, part)
		if err != nil {
			return nil, err
		}
		n += uint64(got)
		parts = append(parts, &sliceReader{part[:got]})
		if end {
			if err := w.plan(n); err != nil {
				return nil, err
			}
			return w.putPlanned(ctx, io.MultiReader(parts...))
		}
	}
	return w.putStream(ctx, io.MultiReader(append(parts, r)...))
}

// sliceReader reads a slice.
type sliceReader struct{ b []byte }

func (r *sliceReader) Read(p []byte) (int, error) {
	if len(r.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.b)
	r.b = r.b[n:]
	return n, nil
}

// lease borrows n buffers for bodies of size bytes.
func (w *blobWriter) lease(n, size int) []*buffer {
	out := make([]*buffer, n)
	for i := range out {
		out[i] = w.s.buffers.get(size)
	}
	return out
}

// bodies are the cells of a stripe: slices of its buffers, the parity of copies
// still to be filled in.
func (w *blobWriter) bodies(bufs []*buffer, size int) [][]byte {
	out := make([][]byte, w.K+w.M)
	for i, b := range bufs {
		out[i] = b.b[:size]
	}
	return out
}

// readFull fills p, or tells that the body ended before. Unlike io.ReadFull it
// keeps that apart from a reader that was cut off (io.ErrUnexpectedEOF), which is
// an error, never an end.
func readFull(r io.Reader, p []byte) (n int, end bool, err error) {
	for idle := 0; n < len(p); {
		got, err := r.Read(p[n:])
		n += got
		switch {
		case err != nil && err != io.EOF:
			return n, false, err
		case n == len(p):
			return n, false, nil // an end is seen again by the next read
		case err == io.EOF:
			return n, true, nil
		case got > 0:
			idle = 0
		default:
			if idle++; idle > 100 {
				return n, false, io.ErrNoProgress
			}
		}
	}
	return n, false, nil
}

// fill reads the plain bytes of a stripe into its data cells, and pads with zeros.
func fill(r io.Reader, cells [][]byte, plain uint64) error {
	for _, c := range cells {
		n := min(uint64(len(c)), plain)
		_, end, err := readFull(r, c[:n])
		if err != nil {
			return err
		}
		if end {
			return fmt.Errorf("%w: it ended early", ErrBody)
		}
		clear(c[n:])
		plain -= n
	}
	return nil
}

// end makes sure that nothing follows the body.
func end(r io.Reader) error {
	var b [1]byte
	for range 100 {
		n, err := r.Read(b[:])
		switch {
		case n > 0:
			return fmt.Errorf("%w: more follows", ErrBody)
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
	return io.ErrNoProgress
}

// putWhole reads the whole body, then appends all shards at once.
func (w *blobWriter) putWhole(ctx context.Context, r io.Reader) (*event.Blob, error) {
	l := w.layout()
	cells := make([][]Cell, w.K+w.M)
	var leased []*buffer
	stalled := false
	defer func() {
		if !stalled { // else a disk may still read them
			w.s.buffers.put(leased...)
		}
	}()
	for i := range l.Stripes() {
		size := int(l.CellLength(i))
		bufs := w.lease(w.buffersPerStripe(), size)
		leased = append(leased, bufs...)
		bodies := w.bodies(bufs, size)
		if err := fill(r, bodies[:w.K], l.PlainLength(i)); err != nil {
			return nil, err
		}
		if err := w.code(uint32(i), l.PlainLength(i), bodies, cells); err != nil {
			return nil, err
		}
	}
	if err := end(r); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w.begun = true
	var got []shardOutcome
	got, stalled = w.appendAll(cells)
	return w.row(w.size, got)
}

// code encodes a stripe and adds its cells to those of the shards.
func (w *blobWriter) code(stripe uint32, plain uint64, bodies [][]byte, cells [][]Cell) error {
	sum := w.s.coder.digest(bodies[:w.K], plain)
	if err := w.s.coder.encode(int(w.K), bodies); err != nil {
		return err
	}
	for i, b := range bodies {
		c := Cell{Stripe: stripe, Plain: uint32(plain), Digest: sum, Body: b}
		if w.K == 1 && i > 0 {
			c.CRC = cells[0][stripe].CRC
		} else {
			c.CRC = digest.CRC32C(b)
		}
		cells[i] = append(cells[i], c)
	}
	return nil
}

// shardOutcome is what became of one shard.
type shardOutcome struct {
	index int
	place Place
	err   error
}

// appendAll appends every shard to its disk, and those that failed once more to
// spare disks. The outcomes are by shard index; stalled tells that some disk has
// not answered and may still read the cells.
func (w *blobWriter) appendAll(cells [][]Cell) (got []shardOutcome, stalled bool) {
	got = make([]shardOutcome, len(cells))
	all := make([]int, len(cells))
	for i := range all {
		all[i] = i
	}
	stalled = w.appendSome(all, cells, got)
	if lost := w.relocate(got); len(lost) > 0 {
		stalled = w.appendSome(lost, cells, got) || stalled
	}
	return got, stalled
}

// appendSome appends the shards with these indexes and waits for them, no longer
// than the stall limit.
func (w *blobWriter) appendSome(indexes []int, cells [][]Cell, got []shardOutcome) (stalled bool) {
	outcomes := make(chan shardOutcome, len(indexes)) // never blocks a disk
	for _, i := range indexes {
		got[i] = shardOutcome{index: i, err: ErrStalled}
		t := w.s.target(w.disks[i])
		if t == nil {
			outcomes <- shardOutcome{index: i, err: fmt.Errorf("%w: no way to disk %d", ErrUnavailable, w.disks[i])}
			continue
		}
		t.Append(w.spec(i), cells[i], func(p Place, err error) {
			outcomes <- shardOutcome{index: i, place: p, err: err}
		})
	}
	limit := time.NewTimer(w.s.o.Stall)
	defer limit.Stop()
	left := len(indexes)
	for over := false; left > 0 && !over; {
		select {
		case o := <-outcomes:
			got[o.index] = o
			left--
		case <-limit.C:
			over = true
		}
	}
	// A process that stood still finds the limit over and the outcomes there.
	for ; left > 0 && len(outcomes) > 0; left-- {
		o := <-outcomes
		got[o.index] = o
	}
	stalled = left > 0
	for _, i := range indexes {
		w.blame(got[i])
	}
	return stalled
}

// blame keeps new shards away from a disk that did not take one.
func (w *blobWriter) blame(o shardOutcome) {
	if o.err != nil {
		w.s.avoided.add(w.disks[o.index], o.err, w.s.o.Now())
		w.s.o.Logger.Warn("shard not written", "blob", w.key, "shard", o.index, "disk", w.disks[o.index], "err", o.err)
	}
}

// relocate gives the shards that failed a spare disk each, as far as there are
// any that keep the placement's promise, and returns their indexes.
func (w *blobWriter) relocate(got []shardOutcome) (lost []int) {
	var kept []uint32
	var failed []int
	used := make(map[uint32]bool)
	for i, o := range got {
		used[w.disks[i]] = true
		if o.err == nil {
			kept = append(kept, w.disks[i])
		} else {
			failed = append(failed, i)
		}
	}
	if len(failed) == 0 {
		return nil
	}
	topology := w.s.topology()
	for _, i := range failed {
		free, err := spares(topology, kept, used, int(w.M))
		if err != nil || len(free) == 0 {
			break
		}
		w.disks[i] = free[(w.key.Counter+uint64(i))%uint64(len(free))]
		used[w.disks[i]] = true
		kept = append(kept, w.disks[i])
		lost = append(lost, i)
	}
	return lost
}

// least is the tolerance below which the blob does not count.
func (w *blobWriter) least() int {
	if sabotage.On(sabotage.X04) {
		return 0 // any k shards will do
	}
	if w.policy.MinTolerance != 0 {
		return int(w.policy.MinTolerance)
	}
	return int(w.M)
}

// enough is nil if the blob counts although some shards have an error.
func (w *blobWriter) enough(got []shardOutcome) error {
	var errs []error
	for _, o := range got {
		if o.err != nil {
			errs = append(errs, o.err)
		}
	}
	if int(w.M)-len(errs) >= w.least() {
		return nil
	}
	err := fmt.Errorf("%w: %d of %d shards failed", ErrTolerance, len(errs), len(got))
	return errors.Join(append([]error{err}, errs...)...)
}

// row is the blob as it stands on the disks, if that is enough.
func (w *blobWriter) row(size uint64, got []shardOutcome) (*event.Blob, error) {
	if err := w.enough(got); err != nil {
		return nil, err
	}
	b := &event.Blob{
		Id: w.key.ID(), Size: size, K: w.K, M: w.M, Cell: w.Cell,
		Shards: make([]*event.Shard, len(got)), Tolerance: w.M,
	}
	for i, o := range got {
		b.Shards[i] = &event.Shard{Generation: w.lost}
		if o.err != nil {
			b.Tolerance--
			continue
		}
		b.Shards[i] = &event.Shard{
			Disk: w.disks[i], Pack: o.place.Pack.ID(), Offset: o.place.Offset, Generation: w.generation,
		}
	}
	if len(got) > 1 && sabotage.On(sabotage.X06) {
		b.Shards[0], b.Shards[1] = b.Shards[1], b.Shards[0]
	}
	return b, nil
}
