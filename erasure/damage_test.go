package erasure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"pgregory.net/rapid"

	"ironman/wal/digest"
	"ironman/wal/event"
)

// faults fails operations on files: the injector of an errorfs.
type faults struct {
	mu    sync.Mutex
	rules []rule
}

type rule struct {
	kinds []errorfs.OpKind
	path  string // a part of it
	err   error
}

func (f *faults) add(err error, path string, kinds ...errorfs.OpKind) {
	f.mu.Lock()
	f.rules = append(f.rules, rule{kinds, path, err})
	f.mu.Unlock()
}

func (f *faults) clear() {
	f.mu.Lock()
	f.rules = nil
	f.mu.Unlock()
}

func (f *faults) String() string { return "faults" }

func (f *faults) MaybeError(op errorfs.Op) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, r := range f.rules {
		if slices.Contains(r.kinds, op.Kind) && bytes.Contains([]byte(op.Path), []byte(r.path)) {
			return r.err
		}
	}
	return nil
}

// spot is a shard to be damaged, while no store is open.
type spot struct {
	*rig
	f     *faults
	blob  *event.Blob
	index int
	decoy *event.Blob       // of the same size and geometry, other bytes
	clean map[string][]byte // the files before any damage
}

func (s *spot) path() string   { return s.shardPath(s.blob, s.index) }
func (s *spot) offset() uint64 { return s.blob.Shards[s.index].Offset }
func (s *spot) layout() Layout {
	return Layout{K: s.blob.K, Cell: s.blob.Cell, Size: s.blob.Size}
}
func (s *spot) length() uint64 { return s.layout().ShardLength() }

// bytes are a shard as it was written.
func (s *spot) bytes(b *event.Blob, index int) []byte {
	at := b.Shards[index].Offset
	return bytes.Clone(s.clean[s.shardPath(b, index)][at : at+s.length()])
}

// damages are the ways of spoiling a shard. Those that leave nothing of it are lethal.
var damages = []struct {
	name   string
	lethal bool
	do     func(t *rapid.T, s *spot)
}{
	{"delete", true, func(t *rapid.T, s *spot) {
		if err := s.fs.Remove(s.path()); err != nil {
			t.Fatal(err)
		}
	}},
	{"zero", true, func(t *rapid.T, s *spot) { s.rewrite(s.path(), s.offset(), make([]byte, s.length())) }},
	{"read error", true, func(t *rapid.T, s *spot) { s.f.add(syscall.EIO, s.path(), errorfs.OpFileReadAt) }},
	{"open error", true, func(t *rapid.T, s *spot) { s.f.add(syscall.EIO, s.path(), errorfs.OpOpen) }},
	{"no place", true, func(t *rapid.T, s *spot) { s.blob.Shards[s.index] = &event.Shard{} }},
	{"truncate at the start", true, func(t *rapid.T, s *spot) {
		s.replace(s.path(), s.clean[s.path()][:s.offset()+10])
	}},
	{"truncate", false, func(t *rapid.T, s *spot) {
		n := rapid.Uint64Range(0, s.length()-1).Draw(t, "left")
		s.replace(s.path(), s.clean[s.path()][:s.offset()+n])
	}},
	{"flip", false, func(t *rapid.T, s *spot) {
		at := rapid.Uint64Range(0, s.length()-1).Draw(t, "byte")
		b := s.bytes(s.blob, s.index)[at]
		s.rewrite(s.path(), s.offset()+at, []byte{b ^ 1<<rapid.IntRange(0, 7).Draw(t, "bit")})
	}},
	{"flip in a cell's header", false, func(t *rapid.T, s *spot) {
		stripe := rapid.Uint64Range(0, s.layout().Stripes()-1).Draw(t, "stripe")
		at := s.offset() + s.layout().CellOffset(stripe) + rapid.Uint64Range(0, cellHeaderBytes-1).Draw(t, "byte")
		s.rewrite(s.path(), at, []byte{s.clean[s.path()][at] ^ 0x80})
	}},
	{"another blob's shard", true, func(t *rapid.T, s *spot) {
		s.rewrite(s.path(), s.offset(), s.bytes(s.decoy, s.index))
	}},
	{"another shard of this blob", true, func(t *rapid.T, s *spot) {
		if other := (s.index + 1) % len(s.blob.Shards); s.blob.Shards[other].Disk != 0 {
			s.rewrite(s.path(), s.offset(), s.bytes(s.decoy, other))
		} else {
			s.rewrite(s.path(), s.offset(), make([]byte, s.length()))
		}
	}},
	{"the row's offset is another shard's", true, func(t *rapid.T, s *spot) {
		s.blob.Shards[s.index].Pack = s.decoy.Shards[s.index].Pack
		s.blob.Shards[s.index].Disk = s.decoy.Shards[s.index].Disk
		s.blob.Shards[s.index].Offset = s.decoy.Shards[s.index].Offset
	}},
	{"older generation", true, func(t *rapid.T, s *spot) { s.blob.Shards[s.index].Generation++ }},
	{"written for here, but other bytes of an older generation", true, func(t *rapid.T, s *spot) {
		s.forge(func(spec *ShardSpec, c *Cell) { spec.Generation += 3 })
	}},
	{"written for here as another blob", true, func(t *rapid.T, s *spot) {
		s.forge(func(spec *ShardSpec, c *Cell) { spec.Blob.Counter += 1000 })
	}},
	{"written for here as another index", true, func(t *rapid.T, s *spot) {
		s.forge(func(spec *ShardSpec, c *Cell) { spec.Index++ })
	}},
	{"stripes out of order", false, func(t *rapid.T, s *spot) {
		l, full := s.layout(), uint64(cellHeaderBytes+s.blob.Cell)
		if l.Stripes() < 3 {
			s.rewrite(s.path(), s.offset(), make([]byte, s.length()))
			return
		}
		b := s.bytes(s.blob, s.index)
		first := bytes.Clone(b[shardHeaderBytes : shardHeaderBytes+full])
		copy(b[shardHeaderBytes:], b[shardHeaderBytes+full:shardHeaderBytes+2*full])
		copy(b[shardHeaderBytes+full:], first)
		s.rewrite(s.path(), s.offset(), b)
	}},
}

// forge writes the decoy's bytes in the shard's place, all checksums right, under
// an identity that change alters.
func (s *spot) forge(change func(*ShardSpec, *Cell)) {
	sh, l := s.blob.Shards[s.index], s.layout()
	spec := ShardSpec{
		Blob: BlobKeyOf(s.blob.Id), Size: s.blob.Size, Cell: s.blob.Cell, Generation: sh.Generation,
		K: uint8(s.blob.K), M: uint8(s.blob.M), Index: uint8(s.index),
	}
	o := origin{cluster: testCluster, disk: diskID(sh.Disk), pack: PackKeyOf(sh.Pack), offset: sh.Offset}
	other := s.bytes(s.decoy, s.index)
	var cells []Cell
	for i := range l.Stripes() {
		head := other[l.CellOffset(i):]
		c := Cell{Stripe: uint32(i), Plain: uint32(l.PlainLength(i)), Body: head[cellHeaderBytes:][:l.CellLength(i)]}
		c.CRC = digest.CRC32C(c.Body)
		c.Digest = [16]byte(head[40:56])
		change(&spec, &c)
		cells = append(cells, c)
	}
	s.rewrite(s.path(), sh.Offset, appendRecord(nil, &appendRequest{spec: spec, cells: cells}, &o))
}

var sizes = []uint64{1, 3, 599, 600, 601, 1000, 1023, 1024, 1025, 2047, 2048, 2049, 4095, 4096, 4097, 8192, 10000, 32767, 32768, 40000, 65536, 65537}

// drawRig stores two blobs of one size, then closes the store. The body is that
// of the first.
func drawRig(t *rapid.T, f *faults) (*rig, *event.Blob, *event.Blob, []byte) {
	nodes := rapid.SampledFrom([][]int{{1}, {2}, {3}, {4}, {6}, {1, 1, 1}, {2, 2, 2}, {2, 2}, {4, 4, 4}}).Draw(t, "nodes")
	r := newRig(t, errorfs.Wrap(vfs.NewMem(), f), nodes...)
	r.o.Policy.SmallBlob = rapid.SampledFrom([]uint64{1, 600, 5000}).Draw(t, "small")
	r.open()
	size := rapid.SampledFrom(sizes).Draw(t, "size")
	body := bytesOf(1, int(size))
	announced := int64(size)
	if rapid.Bool().Draw(t, "unknown length") {
		announced = -1
	}
	put := func(body []byte) *event.Blob {
		b, err := r.s.Put(context.Background(), bytes.NewReader(body), announced, PutOptions{})
		if err != nil {
			t.Fatalf("put: %v", err)
		}
		return b
	}
	// As many blobs as disks lie between two of the same placement.
	b := put(body)
	for range len(r.topology()) * len(r.nodes) * 4 {
		decoy := put(bytesOf(2, int(size)))
		if decoy.Shards[0].Disk == b.Shards[0].Disk && decoy.Shards[len(decoy.Shards)-1].Disk == b.Shards[len(b.Shards)-1].Disk {
			r.s.Close()
			return r, b, decoy, body
		}
	}
	t.Fatalf("no two blobs of one placement")
	return nil, nil, nil, nil
}

// spoil damages n shards of b and returns their indexes; lethal: beyond use.
func spoil(t *rapid.T, r *rig, f *faults, b, decoy *event.Blob, n int, lethal bool) []int {
	order := rapid.Permutation(indexes(len(b.Shards))).Draw(t, "victims")
	victims := slices.Sorted(slices.Values(order[:n]))
	clean := make(map[string][]byte)
	for i := range b.Shards {
		for _, blob := range []*event.Blob{b, decoy} {
			clean[r.shardPath(blob, i)] = r.file(r.shardPath(blob, i))
		}
	}
	for _, i := range victims {
		s := &spot{rig: r, f: f, blob: b, index: i, decoy: decoy, clean: clean}
		for {
			d := rapid.SampledFrom(damages).Draw(t, fmt.Sprintf("damage of shard %d", i))
			if d.lethal || !lethal {
				d.do(t, s)
				break
			}
		}
	}
	return victims
}

func indexes(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}

// drawRange draws a range of a blob, often at the borders of cells.
func drawRange(t *rapid.T, b *event.Blob) (off, length uint64) {
	near := func(name string, limit uint64) uint64 {
		at := rapid.Uint64Range(0, limit).Draw(t, name)
		if rapid.Bool().Draw(t, name+" at a border") {
			at -= at % uint64(b.Cell)
		}
		return at
	}
	off = near("offset", b.Size)
	return off, near("length", b.Size-off)
}

// With up to m shards of a blob damaged in any way, every range reads exactly,
// and Verify names exactly the damaged shards.
func TestDamageWithinTolerance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := &faults{}
		r, b, decoy, body := drawRig(t, f)
		n := rapid.IntRange(0, int(b.M)).Draw(t, "damaged")
		victims := spoil(t, r, f, b, decoy, n, false)
		r.o.Incarnation++
		r.open()
		defer r.s.Close()
		r.check(b, body)
		for range 4 {
			off, length := drawRange(t, b)
			got, err := r.get(b, off, length)
			if err != nil || !bytes.Equal(got, body[off:off+length]) {
				t.Fatalf("range %d+%d of %d: %v, %d bytes", off, length, b.Size, err, len(got))
			}
		}
		found, err := r.s.Verify(context.Background(), b)
		if err != nil {
			t.Fatalf("verify: %v", err)
		}
		var named []int
		for _, d := range found {
			named = append(named, int(d.Index))
		}
		if !slices.Equal(named, victims) {
			t.Fatalf("verify names %v, damaged are %v", found, victims)
		}
	})
}

// With m+1 shards beyond use, a read of all ends in an error, never in a clean
// end, and never after a wrong byte. A part may still be readable.
func TestDamageBeyondTolerance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := &faults{}
		r, b, decoy, body := drawRig(t, f)
		n := rapid.IntRange(int(b.M)+1, int(b.M+b.K)).Draw(t, "damaged")
		lethal := rapid.Bool().Draw(t, "all beyond use")
		victims := spoil(t, r, f, b, decoy, n, lethal)
		r.o.Incarnation++
		r.open()
		defer r.s.Close()
		off, length := drawRange(t, b)
		if rapid.Bool().Draw(t, "whole") {
			off, length = 0, b.Size
		}
		got, err := r.get(b, off, length)
		if !bytes.Equal(got, body[off:off+uint64(len(got))]) {
			t.Fatalf("wrong bytes")
		}
		if err == nil && uint64(len(got)) != length {
			t.Fatalf("clean end after %d of %d bytes", len(got), length)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatalf("error looks like an end: %v", err)
		}
		if !lethal {
			return
		}
		if length == b.Size && err == nil && slices.ContainsFunc(victims, func(i int) bool { return i < int(b.K) }) {
			t.Fatalf("read all with %v of %d+%d lost", victims, b.K, b.M)
		}
		if length == b.Size && err != nil && !errors.Is(err, ErrUnavailable) {
			t.Fatalf("%v", err)
		}
		if _, err := r.s.Verify(context.Background(), b); !errors.Is(err, ErrUnavailable) {
			t.Fatalf("verify: %v", err)
		}
	})
}
