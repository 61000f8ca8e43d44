package erasure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"google.golang.org/protobuf/proto"

	"ironman/wal/event"
)

// counter counts operations of one kind.
type counter struct {
	kind errorfs.OpKind
	n    atomic.Int64
}

func (c *counter) String() string { return "counter" }

func (c *counter) MaybeError(op errorfs.Op) error {
	if op.Kind == c.kind {
		c.n.Add(1)
	}
	return nil
}

// A small blob costs one read; a range of a large one as many as cells it touches.
func TestReadsPerGet(t *testing.T) {
	c := &counter{kind: errorfs.OpFileReadAt}
	r := newRig(t, errorfs.Wrap(vfs.NewMem(), c), 6).open()
	defer r.s.Close()
	for _, g := range []struct {
		size        int
		off, length uint64
		reads       int64
	}{
		{100, 0, 100, 1},
		{100, 50, 1, 1},
		{100, 50, 0, 0},
		{0, 0, 0, 0},
		{4096, 0, 4096, 4},
		{4096, 1023, 2, 2},
		{40960, 0, 40960, 40},
		{40960, 20000, 1, 1},
	} {
		b := r.put(bytesOf(1, g.size))
		before := c.n.Load()
		if _, err := r.get(b, g.off, g.length); err != nil {
			t.Fatal(err)
		}
		if n := c.n.Load() - before; n != g.reads {
			t.Errorf("%+v: %d reads", g, n)
		}
	}
}

// Writers that wait for the same disk share a sync.
func TestGroupCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counter{kind: errorfs.OpFileSyncData}
		g := &gate{path: "d1/packs", kind: errorfs.OpFileSyncData, open: make(chan struct{})}
		r := newRig(t, errorfs.Wrap(errorfs.Wrap(vfs.NewMem(), g), c), 1)
		r.o.PackSize, r.o.FirstPack = 1<<20, 1<<20
		r.open()
		defer r.s.Close()
		r.put([]byte("warm"))
		g.shut()
		before := c.n.Load()
		var wg sync.WaitGroup
		blobs := make([]*event.Blob, 50)
		for i := range blobs {
			wg.Go(func() { blobs[i] = r.put(bytesOf(uint64(i), 500)) })
		}
		synctest.Wait() // one sync hangs, the others wait behind it
		close(g.open)
		wg.Wait()
		// One, where all were queued before the disk looked; never one each.
		if n := c.n.Load() - before; n < 1 || n > 2 {
			t.Errorf("%d syncs for %d puts", n, len(blobs))
		}
		offsets := make(map[uint64]bool)
		for i, b := range blobs {
			r.check(b, bytesOf(uint64(i), 500))
			offsets[b.Shards[0].Offset%blockBytes] = true
		}
		if len(offsets) < 2 {
			t.Error("every shard has blocks of its own")
		}
	})
}

// Intact cells of another writing under the same blob id never meet: they are
// outvoted, or the read fails.
func TestOtherWritingIsOutvoted(t *testing.T) {
	for lost := range 4 {
		r := newRig(t, vfs.NewMem(), 6).open()
		body := bytesOf(1, 10000)
		b, decoy := r.put(body), r.put(bytesOf(2, 10000))
		r.s.Close()
		for i := range lost {
			s := &spot{rig: r, blob: b, index: i, decoy: decoy, clean: map[string][]byte{
				r.shardPath(decoy, i): r.file(r.shardPath(decoy, i)),
			}}
			s.forge(func(*ShardSpec, *Cell) {})
		}
		r.o.Incarnation++
		r.open()
		got, err := r.get(b, 0, b.Size)
		if lost <= 2 && (err != nil || !bytes.Equal(got, body)) {
			t.Errorf("%d foreign: %v", lost, err)
		}
		if lost == 3 && !errors.Is(err, ErrUnavailable) {
			t.Errorf("%d foreign: %v", lost, err)
		}
		if lost == 1 { // a range of two cells, which do not agree
			if got, err := r.get(b, 0, 2048); err != nil || !bytes.Equal(got, body[:2048]) {
				t.Errorf("range: %v", err)
			}
		}
		d, err := r.s.Verify(t.Context(), b)
		if lost <= 2 && (err != nil || len(d) != lost) {
			t.Errorf("verify: %v, %v", d, err)
		}
		for i, d := range d {
			if lost <= 2 && (d.Reason != ReasonStripe || d.Index != uint32(i)) {
				t.Errorf("%+v", d)
			}
		}
		r.s.Close()
		if n := len(r.damages); lost <= 2 && n != lost {
			t.Errorf("reported: %v", r.damages)
		}
	}
}

// Cells that carry a digest which is not that of their bytes are never returned.
func TestDigestIsVerified(t *testing.T) {
	r := newRig(t, vfs.NewMem(), 6).open()
	defer r.s.Close()
	body := bytesOf(1, 4000)
	b := r.put(body)
	// Every shard is intact in itself, but the second one's bytes are others.
	for i := range b.Shards {
		s := &spot{rig: r, blob: b, index: i, decoy: b, clean: map[string][]byte{
			r.shardPath(b, i): r.file(r.shardPath(b, i)),
		}}
		if i == 1 {
			s.clean[r.shardPath(b, i)][b.Shards[i].Offset+300] ^= 1
			s.forge(func(*ShardSpec, *Cell) {})
		}
	}
	if _, err := r.get(b, 0, b.Size); !errors.Is(err, ErrUnavailable) {
		t.Errorf("whole: %v", err)
	}
	b.Shards[0] = &event.Shard{} // now something is to be reconstructed
	if _, err := r.get(b, 0, 1); !errors.Is(err, ErrUnavailable) {
		t.Errorf("reconstructed: %v", err)
	}
	if _, err := r.s.Verify(t.Context(), b); !errors.Is(err, ErrUnavailable) {
		t.Errorf("verify: %v", err)
	}
}

// A row that makes no sense is refused, whatever it says.
func TestBadRows(t *testing.T) {
	r := newRig(t, vfs.NewMem(), 3).open()
	defer r.s.Close()
	good := r.put(bytesOf(1, 5000))
	for name, change := range map[string]func(b *event.Blob){
		"no id":           func(b *event.Blob) { b.Id = nil },
		"no k":            func(b *event.Blob) { b.K = 0 },
		"k too large":     func(b *event.Blob) { b.K = 300 },
		"k and m wrap":    func(b *event.Blob) { b.K, b.M = 1<<32-1, 1<<32-1 },
		"m without shard": func(b *event.Blob) { b.M++ },
		"no cell":         func(b *event.Blob) { b.Cell = 0 },
		"cell too large":  func(b *event.Blob) { b.Cell = MaxCell + 1 },
		"too large":       func(b *event.Blob) { b.Size = 1 << 63 },
		"too many cells":  func(b *event.Blob) { b.Size, b.Cell = 1<<40, 1 },
	} {
		b := proto.CloneOf(good)
		change(b)
		if _, err := r.s.Open(t.Context(), b, 0, 1); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: open: %v", name, err)
		}
		if _, err := r.s.Verify(t.Context(), b); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: verify: %v", name, err)
		}
		if _, err := r.s.Locate(b); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: locate: %v", name, err)
		}
	}
	for _, b := range []*event.Blob{nil, {}} {
		if _, err := r.s.Open(t.Context(), b, 0, 0); !errors.Is(err, ErrInvalid) {
			t.Errorf("%v: %v", b, err)
		}
	}
	for name, change := range map[string]func(b *event.Blob){
		"size":   func(b *event.Blob) { b.Size-- },
		"id":     func(b *event.Blob) { b.Id.Counter++ },
		"offset": func(b *event.Blob) { b.Shards[0].Offset, b.Shards[1].Offset = 1<<64-1, 1<<63 },
		"pack":   func(b *event.Blob) { b.Shards[0].Pack, b.Shards[1].Pack = nil, &event.PackID{Counter: 77} },
		"disk":   func(b *event.Blob) { b.Shards[0].Disk, b.Shards[1].Disk = 99, 98 },
		"nil":    func(b *event.Blob) { b.Shards[0], b.Shards[1] = nil, nil },
		"order":  func(b *event.Blob) { b.Shards[0], b.Shards[1] = b.Shards[1], b.Shards[0] },
	} {
		b := proto.CloneOf(good)
		change(b)
		// The stripes before the one that does not fit may be read.
		got, err := r.get(b, 0, b.Size)
		if !errors.Is(err, ErrUnavailable) || !bytes.HasPrefix(bytesOf(1, 5000), got) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, span := range [][2]uint64{{5001, 0}, {0, 5001}, {5000, 1}, {1 << 63, 1 << 63}, {1, 1<<64 - 1}} {
		if _, err := r.s.Open(t.Context(), good, span[0], span[1]); !errors.Is(err, ErrInvalid) {
			t.Errorf("range %v: %v", span, err)
		}
	}
	if rd, err := r.s.Open(t.Context(), good, 5000, 0); err != nil {
		t.Errorf("empty range at the end: %v", err)
	} else if n, err := rd.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("%d, %v", n, err)
	}
}

// lostLink is a disk behind a link that is cut.
type lostLink struct{ ShardTarget }

var errCut = fmt.Errorf("%w: link is cut", ErrUnavailable)

func (lostLink) Append(_ ShardSpec, _ []Cell, done func(Place, error)) { done(Place{}, errCut) }
func (lostLink) Stream(ShardSpec) (ShardStream, error)                 { return nil, errCut }
func (lostLink) ReadAt(context.Context, PackKey, uint64, []byte) error { return errCut }

// twoNodes are two stores with three disks each, whose link can be cut.
type twoNodes struct {
	stores  [2]*Store
	cut     atomic.Bool
	damages atomic.Int64
}

func newTwoNodes(t *testing.T) *twoNodes {
	fs := vfs.NewMem()
	p := &twoNodes{}
	for i := range p.stores {
		r := newRig(t, fs) // for its options
		r.o.Node, r.o.Incarnation = uint32(i+1), uint64(i+1)
		r.o.Topology = func() []Disk { return cluster(3, 3) }
		r.o.OnDamage = func(Damage) { p.damages.Add(1) }
		r.o.Remote = func(disk uint32) ShardTarget {
			target, ok := p.stores[1-i].Target(disk)
			switch {
			case !ok:
				return nil
			case p.cut.Load():
				return lostLink{target}
			}
			return target
		}
		for slot := range uint32(3) {
			n := 3*uint32(i) + slot + 1
			id := Identity{Cluster: testCluster, Disk: diskID(n), Node: uint32(i + 1), Slot: slot, Number: n}
			if err := Format(fs, diskDir(n), id); err != nil {
				t.Fatal(err)
			}
			r.o.Disks = append(r.o.Disks, DiskConfig{FS: fs, Dir: diskDir(n), Slot: slot})
		}
		p.stores[i] = r.open().s
	}
	return p
}

// Two nodes: each writes to and reads from the other's disks.
func TestRemoteDisks(t *testing.T) {
	p := newTwoNodes(t)
	for _, n := range []int{100, 5000, 100000} {
		body := bytesOf(uint64(n), n)
		b, err := p.stores[0].Put(t.Context(), bytes.NewReader(body), int64(n), PutOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range p.stores {
			if got, err := read(s, b, 0, b.Size); err != nil || !bytes.Equal(got, body) {
				t.Errorf("%d bytes: %v", n, err)
			}
			if d, err := s.Verify(t.Context(), b); err != nil || len(d) > 0 {
				t.Errorf("%v, %v", d, err)
			}
		}
	}
	for _, s := range p.stores {
		s.Close()
	}
	if n := p.damages.Load(); n > 0 {
		t.Errorf("%d damages", n)
	}
}

// A cut link is no damage; a put that needs it is refused, the next one does not.
func TestCutLink(t *testing.T) {
	p := newTwoNodes(t)
	s := p.stores[0]
	put := func(n int) (*event.Blob, error) {
		return s.Put(t.Context(), bytes.NewReader(make([]byte, n)), int64(n), PutOptions{})
	}
	small, err1 := put(100)
	large, err2 := put(100000)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	p.cut.Store(true)
	// Copies have one on this side; coded shards have three on each, four are needed.
	if got, err := read(s, small, 0, 100); err != nil || len(got) != 100 {
		t.Errorf("copy on this side: %v", err)
	}
	if _, err := read(s, large, 0, 100000); !errors.Is(err, ErrUnavailable) {
		t.Errorf("%v", err)
	}
	if d, err := s.Verify(t.Context(), small); err != nil || len(d) == 0 || d[0].Reason != ReasonUnreachable {
		t.Errorf("%v, %v", d, err)
	}
	for i, n := range []int{5000, 100000} {
		s = p.stores[i]
		if _, err := put(n); !errors.Is(err, ErrTolerance) {
			t.Errorf("%d bytes: %v", n, err)
		}
		// The other side's disks are left alone then: as tolerant, but narrower.
		if b, err := put(n); err != nil || b.K != 1 || b.M != 2 {
			t.Errorf("%d bytes: %v, %v", n, b, err)
		}
	}
	for _, s := range p.stores {
		s.Close()
	}
	if n := p.damages.Load(); n > 0 {
		t.Errorf("%d damages reported for a cut link", n)
	}
}

// WriteTo hands on every byte, and a failing writer's error.
func TestWriteTo(t *testing.T) {
	r := newRig(t, vfs.NewMem(), 6).open()
	defer r.s.Close()
	body := bytesOf(1, 30000)
	b := r.put(body)
	rd, err := r.s.Open(t.Context(), b, 100, 29000)
	if err != nil {
		t.Fatal(err)
	}
	defer rd.Close()
	one := make([]byte, 10)
	if _, err := io.ReadFull(rd, one); err != nil || !bytes.Equal(one, body[100:110]) {
		t.Errorf("%v", err)
	}
	var out bytes.Buffer
	n, err := rd.(io.WriterTo).WriteTo(&limited{&out, 5000})
	if !errors.Is(err, io.ErrShortWrite) || n != 5000 {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := rd.(io.WriterTo).WriteTo(&out); err != nil || n != 29000-5010 {
		t.Errorf("%d, %v", n, err)
	}
	if !bytes.Equal(out.Bytes(), body[110:29100]) {
		t.Error("wrong bytes")
	}
}

// limited takes n bytes and no more.
type limited struct {
	w io.Writer
	n int
}

func (l *limited) Write(p []byte) (int, error) {
	n := min(len(p), l.n)
	l.n -= n
	return l.w.Write(p[:n])
}
