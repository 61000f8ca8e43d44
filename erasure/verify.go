package erasure

import (
	"bytes"
	"context"
	"fmt"

	"ironman/wal/event"
)

// Verify reads every byte of every shard of a blob and checks headers, cells,
// stripe digests, and that the parity is that of the data. It returns one damage
// per shard that is not as the row says (missing and unreachable ones included),
// by index; ErrUnavailable as well, if some stripe cannot be read any more. It
// changes nothing.
func (s *Store) Verify(ctx context.Context, b *event.Blob) ([]Damage, error) {
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.calls.Done()
	v, err := s.view(b)
	if err != nil {
		return nil, err
	}
	ctx, stop := s.bound(ctx)
	defer stop()
	found := make([]Reason, v.n)
	for i := range found {
		found[i] = s.verifyFrame(ctx, v, i)
	}
	var lost error
	for stripe := range v.layout.Stripes() {
		if err := s.verifyStripe(ctx, v, stripe, found); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			lost = err
		}
	}
	var out []Damage
	for i, reason := range found {
		if reason != 0 {
			out = append(out, v.damage(i, reason))
		}
	}
	return out, lost
}

// verifyFrame checks the header of a shard and, where its length was unknown
// when it was begun, the footer.
func (s *Store) verifyFrame(ctx context.Context, v *blobView, index int) Reason {
	ref := &v.shards[index]
	if ref.target == nil {
		if ref.disk == 0 {
			return ReasonMissing
		}
		return ReasonUnreachable
	}
	var b [shardHeaderBytes]byte
	if err := ref.read(ctx, 0, b[:]); err != nil {
		return readReason(err)
	}
	spec := v.specOf(index)
	if reason := checkHeader(b[:], &spec, &ref.origin); reason != 0 {
		return reason
	}
	if got, _ := decodeShard(b[:], &ref.origin); got.Size != UnknownSize {
		return 0
	}
	at := v.layout.ShardLength()
	if err := ref.read(ctx, at, b[:footerBytes]); err != nil {
		return readReason(err)
	}
	stripes, size, ok := decodeFooter(b[:], &spec, &ref.origin, ref.place.Offset+at)
	if !ok || uint64(stripes) != v.layout.Stripes() || size != v.layout.Size {
		return ReasonChecksum
	}
	return 0
}

// verifyStripe reads all cells of a stripe and notes what it finds, by shard.
func (s *Store) verifyStripe(ctx context.Context, v *blobView, stripe uint64, found []Reason) error {
	size := int(v.layout.CellLength(stripe))
	budget, err := s.reads.acquire(ctx, int64(v.n+v.k)*cost(size))
	if err != nil {
		return err
	}
	defer s.reads.release(budget)
	g := &gather{
		s: s, ctx: ctx, v: v, stripe: stripe,
		state: make([]cellState, v.n), cells: make([]cellRead, v.n), results: make(chan cellRead, v.n),
	}
	defer g.drop()
	g.askMore(v.n)
	note := func(i int, reason Reason) {
		if found[i] == 0 {
			found[i] = reason
		}
	}
	for g.pending > 0 {
		select {
		case r := <-g.results:
			g.pending--
			note(r.index, r.reason)
			if r.reason != 0 {
				s.buffers.put(r.buf)
				continue
			}
			g.state[r.index], g.cells[r.index] = cellGood, r
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return g.audit(note)
}

// audit checks the cells of a stripe against each other.
func (g *gather) audit(note func(int, Reason)) error {
	most, sum := g.consensus()
	read := make([][]byte, g.v.n) // what is on the disks
	for i := range read {
		if g.state[i] == cellGood {
			if read[i] = g.cells[i].body; g.cells[i].digest != sum {
				read[i] = nil
				note(i, ReasonStripe)
			}
		}
	}
	if most < g.v.k || !g.compute() {
		return fmt.Errorf("%w: blob %v, stripe %d", ErrUnavailable, g.v.spec.Blob, g.stripe)
	}
	size := int(g.v.layout.CellLength(g.stripe))
	want := make([][]byte, g.v.n)
	var made []*buffer
	for i := range want {
		if i < g.v.k {
			want[i] = g.cells[i].body
			continue
		}
		b := g.s.buffers.get(size)
		made = append(made, b)
		want[i] = b.b[:size]
	}
	defer func() { g.s.buffers.put(made...) }()
	if err := g.s.coder.encode(g.v.k, want); err != nil {
		return err
	}
	for i := range read {
		if read[i] != nil && !bytes.Equal(read[i], want[i]) {
			note(i, ReasonStripe)
		}
	}
	return nil
}

// Location is where a shard lies, for people.
type Location struct {
	Index  uint32
	Disk   uint32 // 0: missing
	Node   uint32
	Path   string // of the pack; on another node, its name only
	Offset uint64
	Length uint64 // bytes of the shard in the pack
}

// Locate tells where the shards of a blob lie, by index.
func (s *Store) Locate(b *event.Blob) ([]Location, error) {
	v, err := s.view(b)
	if err != nil {
		return nil, err
	}
	nodes := make(map[uint32]uint32)
	for _, d := range s.topology() {
		nodes[d.Number] = d.Node
	}
	out := make([]Location, v.n)
	for i := range v.shards {
		ref := &v.shards[i]
		out[i].Index = uint32(i)
		if ref.disk == 0 {
			continue
		}
		l := &out[i]
		l.Disk, l.Node, l.Offset, l.Length = ref.disk, nodes[ref.disk], ref.place.Offset, v.layout.ShardLength()
		if l.Path = ref.place.Pack.String() + packExt; ref.local != nil {
			l.Path = ref.local.packs.path(ref.place.Pack)
		}
	}
	return out, nil
}
