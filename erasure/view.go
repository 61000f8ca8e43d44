package erasure

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"ironman/wal/digest"
	"ironman/wal/event"
)

// blobView is a blob's row, checked, with the way to each of its shards.
type blobView struct {
	id     *event.BlobID
	spec   ShardSpec // of shard 0, before its generation is known
	layout Layout
	k, n   int // data shards, all shards
	shards []shardRef
	order  []int // shard indexes, those of this node first, then by index
}

// shardRef is where a shard is to be read.
type shardRef struct {
	target     ShardTarget // nil: missing, or no way to it
	disk       uint32      // 0: missing
	local      *localDisk  // nil: of another node
	held       *handle     // nil: nobody holds the pack for the view's reads
	generation uint32
	place      Place
	origin     origin // what its checksums are bound to
}

// view checks a row as far as reading depends on it. Rows come from applied
// events, but a bad one must not do harm.
func (s *Store) view(b *event.Blob) (*blobView, error) {
	n := uint64(b.GetK()) + uint64(b.GetM())
	if b.GetId() == nil || n > MaxShards || uint64(len(b.GetShards())) != n || b.GetSize() > maxBlob {
		return nil, fmt.Errorf("%w: row of a blob", ErrInvalid)
	}
	v := &blobView{
		id:     b.Id,
		layout: Layout{K: b.K, Cell: b.Cell, Size: b.Size},
		k:      int(b.K), n: int(n),
		shards: make([]shardRef, n),
		order:  make([]int, n),
	}
	if err := v.layout.check(); err != nil {
		return nil, err
	}
	v.spec = ShardSpec{Blob: BlobKeyOf(b.Id), Size: b.Size, Cell: b.Cell, K: uint8(b.K), M: uint8(b.M)}
	for i, sh := range b.Shards {
		v.shards[i] = s.ref(sh)
		v.order[i] = i
	}
	slices.SortStableFunc(v.order, func(a, b int) int { return v.rank(a) - v.rank(b) })
	return v, nil
}

func (s *Store) ref(sh *event.Shard) shardRef {
	r := shardRef{
		disk:       sh.GetDisk(),
		local:      s.disks[sh.GetDisk()],
		generation: sh.GetGeneration(),
		place:      Place{Pack: PackKeyOf(sh.GetPack()), Offset: sh.GetOffset()},
	}
	if r.disk == 0 {
		return r
	}
	if r.target = s.target(r.disk); r.target != nil {
		r.origin = origin{
			cluster: s.o.ClusterID, disk: r.target.DiskID(),
			pack: r.place.Pack, offset: r.place.Offset,
		}
	}
	return r
}

// read fills p from the shard's pack, at an offset from the shard's header.
func (r *shardRef) read(ctx context.Context, at uint64, p []byte) error {
	if r.held != nil {
		return r.local.readHeld(ctx, r.held, r.place.Offset+at, p)
	}
	return r.target.ReadAt(ctx, r.place.Pack, r.place.Offset+at, p)
}

// rank orders shards by how willingly they are read.
func (v *blobView) rank(index int) int {
	switch r := &v.shards[index]; {
	case r.target == nil:
		return 2
	case r.local == nil:
		return 1
	}
	return 0
}

// specOf is the identity that the row gives a shard.
func (v *blobView) specOf(index int) ShardSpec {
	spec := v.spec
	spec.Index = uint8(index)
	spec.Generation = v.shards[index].generation
	return spec
}

// single tells whether each shard is one cell.
func (v *blobView) single() bool { return v.layout.Stripes() == 1 }

// cellRead is what reading one cell gave.
type cellRead struct {
	index  int
	reason Reason // 0: good
	digest [16]byte
	body   []byte
	buf    *buffer
	header Reason // damage of the shard's header, where it was read too
}

// readCell reads a cell and checks it against the row. The only cell of a shard
// is read together with the shard's header.
func (s *Store) readCell(ctx context.Context, v *blobView, index int, stripe uint64) cellRead {
	r := cellRead{index: index}
	ref := &v.shards[index]
	if ref.target == nil {
		r.reason = ReasonUnreachable
		if ref.disk == 0 {
			r.reason = ReasonMissing
		}
		return r
	}
	spec := v.specOf(index)
	size := int(v.layout.CellLength(stripe))
	at := v.layout.CellOffset(stripe)
	skip := 0
	if v.single() {
		at, skip = 0, shardHeaderBytes
	}
	r.buf = s.buffers.get(size)
	p := r.buf.b[:skip+cellHeaderBytes+size]
	if err := ref.read(ctx, at, p); err != nil {
		r.reason = readReason(err)
		return r
	}
	if skip > 0 {
		r.header = checkHeader(p, &spec, &ref.origin)
	}
	head := p[skip:]
	c := Cell{
		Stripe: uint32(stripe), Plain: uint32(v.layout.PlainLength(stripe)),
		Body: head[cellHeaderBytes:len(head):len(head)],
	}
	if err := checkCell(head, &spec, &ref.origin, ref.place.Offset+at+uint64(skip), &c); err != nil {
		r.reason = s.diagnose(ctx, ref, err)
		return r
	}
	// With k = 1 the cell is the stripe.
	if v.k == 1 && digest.XXH3(c.Body[:c.Plain]) != c.Digest {
		r.reason = ReasonStripe
		return r
	}
	r.digest, r.body = c.Digest, c.Body
	return r
}

// checkHeader compares the shard's header with what the row says, field by
// field. The size may have been unknown when it was written.
func checkHeader(b []byte, want *ShardSpec, o *origin) Reason {
	got, err := decodeShard(b[:shardHeaderBytes], o)
	if err == nil && got.Size == UnknownSize {
		got.Size = want.Size
	}
	switch {
	case errors.Is(err, ErrNewer):
		return ReasonNewer
	case errors.Is(err, ErrForeign):
		return ReasonForeign
	case err != nil:
		return ReasonChecksum
	case got != *want:
		return ReasonForeign
	}
	return 0
}

// readReason names the reason of a failed read. A read that was given up, or a
// link that broke, says nothing about the shard.
func readReason(err error) Reason {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, ErrReleased):
		return ReasonMissing
	case errors.Is(err, ErrUnavailable), errors.Is(err, ErrClosed),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return ReasonUnreachable
	}
	return ReasonRead
}

// diagnose tells why a cell is not the one the row means. A shard of a newer
// format is known by its header alone, so that is read once more.
func (s *Store) diagnose(ctx context.Context, ref *shardRef, err error) Reason {
	if errors.Is(err, ErrForeign) {
		return ReasonForeign
	}
	var head [shardHeaderBytes]byte
	if ref.read(ctx, 0, head[:]) == nil &&
		errors.Is(checkPreamble(head[:], shardMagic, shardVersion), ErrNewer) {
		return ReasonNewer
	}
	return ReasonChecksum
}

// tell reports the damage that a read showed.
func (s *Store) tell(v *blobView, index int, reason Reason) {
	ref := &v.shards[index]
	if reason == 0 || reason == ReasonUnreachable || reason == ReasonNewer || ref.disk == 0 {
		return // nothing is wrong with the shard, or the row says so itself
	}
	s.damage.report(v.damage(index, reason))
}

func (v *blobView) damage(index int, reason Reason) Damage {
	ref := &v.shards[index]
	return Damage{Blob: v.id, Index: uint32(index), Disk: ref.disk, Generation: ref.generation, Reason: reason}
}
