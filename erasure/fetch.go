package erasure

import (
	"context"
	"fmt"
	"time"

	"ironman/sim/sabotage"
)

// plainStripe is the part of a stripe that was asked for: verified data cells.
type plainStripe struct {
	cells [][]byte // k, by index; nil where none of its bytes was asked for
	bufs  []*buffer
}

func (p *plainStripe) release(pool *bufferPool) {
	pool.put(p.bufs...)
	p.bufs, p.cells = nil, nil
}

// gather collects cells of one stripe until those that are wanted are there, or
// can be computed.
//
// The wanted data cells are asked first. Each cell that turns out bad, and each
// hedge interval without an end, brings in others. Good cells count together
// only if they carry the same digest of the stripe's plain bytes: so cells that
// are intact but of another writing never meet. Whatever is computed from k
// cells must match that digest.
type gather struct {
	s      *Store
	ctx    context.Context
	v      *blobView
	stripe uint64
	want   []int
	state  []cellState // by shard index
	cells  []cellRead  // by shard index, of the good ones

	results chan cellRead // room for all: a late reader never blocks
	pending int
	wide    bool              // the wanted cells alone will not do
	refuted map[[16]byte]bool // digests that k cells did not give
}

type cellState uint8

const (
	cellIdle cellState = iota
	cellAsked
	cellGood
	cellBad
)

// fetch returns the plain bytes from..to (within the stripe) of a stripe. It is
// ErrUnavailable when too few good cells can be read.
func (s *Store) fetch(ctx context.Context, v *blobView, stripe, from, to uint64) (*plainStripe, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // reads that were overtaken
	g := &gather{
		s: s, ctx: ctx, v: v, stripe: stripe,
		want:    v.wanted(stripe, from, to),
		state:   make([]cellState, v.n),
		cells:   make([]cellRead, v.n),
		results: make(chan cellRead, v.n),
	}
	for _, i := range g.want {
		g.ask(i)
	}
	hedge := time.NewTimer(s.o.Hedge)
	defer hedge.Stop()
	for {
		if p, done, err := g.advance(); done {
			return p, err
		}
		select {
		case r := <-g.results:
			g.take(r)
		case <-hedge.C:
			g.askMore(v.k - g.best())
			hedge.Reset(s.o.Hedge)
		case <-ctx.Done():
			g.drop()
			return nil, ctx.Err()
		}
	}
}

// wanted are the data cells that hold the range; of copies, the nearest.
func (v *blobView) wanted(stripe, from, to uint64) (want []int) {
	if v.k == 1 {
		return v.order[:1]
	}
	size := uint64(v.layout.CellLength(stripe))
	for i := from / size; i*size < to; i++ {
		want = append(want, int(i))
	}
	return want
}

// ask begins to read a cell. The goroutine ends when the read does, however long
// that takes; its result is then dropped.
func (g *gather) ask(index int) {
	g.state[index] = cellAsked
	g.pending++
	g.s.calls.Add(1)
	go func() {
		defer g.s.calls.Done()
		g.results <- g.s.readCell(g.ctx, g.v, index, g.stripe)
	}()
}

// askMore asks up to n cells that were not asked yet.
func (g *gather) askMore(n int) {
	for _, i := range g.v.order {
		if n > 0 && g.state[i] == cellIdle {
			g.ask(i)
			n--
		}
	}
}

// take notes a result.
func (g *gather) take(r cellRead) {
	g.pending--
	g.s.tell(g.v, r.index, r.header)
	if r.reason != 0 {
		g.s.tell(g.v, r.index, r.reason)
		g.s.buffers.put(r.buf)
		g.state[r.index] = cellBad
		g.wide = true
		return
	}
	g.state[r.index] = cellGood
	g.cells[r.index] = r
}

// advance looks whether the end is reached, and asks for more where the cells
// under way will not do.
func (g *gather) advance() (p *plainStripe, done bool, err error) {
	if g.direct() {
		return g.finish(), true, nil
	}
	if g.best() >= g.v.k && g.compute() {
		return g.finish(), true, nil
	}
	if g.wide {
		g.askMore(g.v.k - g.best() - g.pending)
	}
	if g.pending > 0 {
		return nil, false, nil
	}
	if g.askMore(g.v.n); g.pending > 0 {
		return nil, false, nil
	}
	good := g.best()
	g.drop()
	return nil, true, fmt.Errorf("%w: blob %v, stripe %d: %d good cells, %d are needed",
		ErrUnavailable, g.v.spec.Blob, g.stripe, good, g.v.k)
}

// direct tells whether the wanted cells are there and fit together. If they are
// the whole stripe, its digest is checked too.
func (g *gather) direct() bool {
	if g.v.k == 1 && g.best() > 0 {
		return true // each copy was checked by itself
	}
	for _, i := range g.want {
		if g.state[i] != cellGood {
			return false
		}
	}
	sum := g.cells[g.want[0]].digest
	for _, i := range g.want {
		if g.cells[i].digest != sum {
			g.wide = true
			return false
		}
	}
	if g.refuted[sum] {
		return false
	}
	if len(g.want) < g.v.k {
		return true
	}
	if g.s.coder.digest(g.bodies(sum)[:g.v.k], g.v.layout.PlainLength(g.stripe)) != sum {
		g.refute(sum)
		return false
	}
	return true
}

// refute remembers that cells with this digest do not give it.
func (g *gather) refute(sum [16]byte) {
	if g.refuted == nil {
		g.refuted = make(map[[16]byte]bool)
	}
	g.refuted[sum] = true
	g.wide = true
}

// bodies are the good cells with a digest, by shard index.
func (g *gather) bodies(sum [16]byte) [][]byte {
	out := make([][]byte, g.v.n)
	for i := range out {
		if g.state[i] == cellGood && g.cells[i].digest == sum {
			out[i] = g.cells[i].body
		}
	}
	return out
}

// best is how many good cells agree on a digest that is not refuted.
func (g *gather) best() int {
	n, _ := g.consensus()
	return n
}

func (g *gather) consensus() (most int, sum [16]byte) {
	for i := range g.cells {
		if g.state[i] != cellGood || g.refuted[g.cells[i].digest] {
			continue
		}
		n := 0
		for j := range g.cells {
			if g.state[j] == cellGood && g.cells[j].digest == g.cells[i].digest {
				n++
			}
		}
		if n > most {
			most, sum = n, g.cells[i].digest
		}
	}
	return most, sum
}

// compute makes the missing data cells out of the k or more that agree, and
// checks the digest. Good cells that do not agree are damage.
func (g *gather) compute() bool {
	_, sum := g.consensus()
	bodies := g.bodies(sum)
	size := int(g.v.layout.CellLength(g.stripe))
	made := make([]*buffer, g.v.k)
	for i := range made {
		if bodies[i] == nil {
			made[i] = g.s.buffers.get(size)
			bodies[i] = made[i].b[0:0:size]
		}
	}
	err := g.s.coder.reconstruct(g.v.k, bodies)
	if err != nil || !sabotage.On(sabotage.X09) && g.s.coder.digest(bodies[:g.v.k], g.v.layout.PlainLength(g.stripe)) != sum {
		g.s.buffers.put(made...)
		g.refute(sum)
		return false
	}
	for i := range g.cells {
		if g.state[i] == cellGood && g.cells[i].digest != sum {
			g.s.tell(g.v, i, ReasonStripe)
			g.s.buffers.put(g.cells[i].buf)
			g.state[i] = cellBad
		}
	}
	for i, b := range made {
		if b != nil {
			g.state[i] = cellGood
			g.cells[i] = cellRead{index: i, body: bodies[i], buf: b, digest: sum}
		}
	}
	g.want = make([]int, g.v.k)
	for i := range g.want {
		g.want[i] = i
	}
	return true
}

// finish hands the wanted cells over and gives the other buffers back.
func (g *gather) finish() *plainStripe {
	p := &plainStripe{cells: make([][]byte, g.v.k)}
	keep := func(i int) {
		p.cells[min(i, g.v.k-1)] = g.cells[i].body
		p.bufs = append(p.bufs, g.cells[i].buf)
		g.state[i] = cellIdle
	}
	if g.v.k == 1 {
		for i := range g.cells {
			if g.state[i] == cellGood {
				keep(i)
				break
			}
		}
	} else {
		for _, i := range g.want {
			keep(i)
		}
	}
	g.drop()
	return p
}

// drop gives back the buffers of the good cells that nobody will use.
func (g *gather) drop() {
	for i := range g.cells {
		if g.state[i] == cellGood {
			g.s.buffers.put(g.cells[i].buf)
			g.state[i] = cellBad
		}
	}
}
