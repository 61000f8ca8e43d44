package segment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// roomy is options with segments of ten blocks.
func roomy(t testing.TB, fs vfs.FS) Options {
	o := options(t, fs)
	o.SegmentBytes = 10 * blockBytes
	return o
}

// build is a log of several segments as a process that was killed left it, and
// what was acknowledged in it. The last batch has three entries over several blocks.
func build(t testing.TB) (image, contents) {
	mem := vfs.NewCrashableMem()
	l := open(t, roomy(t, mem))
	var c contents
	for _, b := range [][]Entry{run(1, 3, 1, 900), run(4, 4, 1, 6500), run(8, 2, 1, 10), run(10, 3, 1, 2000)} {
		must(t, l.Append(b))
		c = c.append(b)
		l.quiesce()
	}
	im := capture(t, mem) // not closed: killed
	must(t, l.Close())
	if len(l.segments) != 2 {
		t.Fatalf("%d segments", len(l.segments))
	}
	return im, c
}

// place is where a frame stands.
type place struct {
	name   string
	offset int64
	length int
	index  uint64
}

func places(t testing.TB, im image) []place {
	t.Helper()
	l := open(t, options(t, im.mount(t)))
	defer l.Close()
	var out []place
	for _, f := range l.segments {
		for i, s := range f.spans {
			out = append(out, place{fileName(f.id), int64(s.offset), int(s.length), f.base + uint64(i)})
		}
	}
	return out
}

// reopen opens an image and returns what is found. An image that is refused must
// not be changed; one that is taken must go on.
func reopen(t testing.TB, im image, required uint64) (contents, Recovery, error) {
	t.Helper()
	return reopenMore(t, im, required, 2)
}

// reopenMore appends n entries to what it found, and opens once more.
func reopenMore(t testing.TB, im image, required uint64, n int) (contents, Recovery, error) {
	t.Helper()
	mem := im.mount(t)
	o := roomy(t, mem)
	o.Required = required
	l, err := Open(o)
	if err != nil {
		if !capture(t, mem).equal(im) {
			t.Fatalf("the disk was changed in spite of %v", err)
		}
		return contents{}, Recovery{}, err
	}
	got, err := read(l)
	must(t, err)
	r := l.Recovery()
	more := run(got.tail()+1, n, 50, 10) // shorter than what may lie dead there
	must(t, l.Append(more))
	must(t, l.Close())
	o.Required = 0
	l, err = Open(o)
	if err != nil {
		t.Fatalf("after going on: %v", err)
	}
	if again, err := read(l); err != nil || !again.equal(got.append(more)) {
		t.Fatalf("after going on: %v, %v", again, err)
	}
	must(t, l.Close())
	return got, r, nil
}

// active is the file that is appended to: the last one is the spare.
func active(im image) string { s := im.segments(); return s[len(s)-2] }

func unmark(im image) image {
	name := active(im)
	b := im[name]
	o := origin{id: binary.LittleEndian.Uint64(b[16:]), salt: binary.LittleEndian.Uint64(b[24:])}
	for off := blockBytes; off < len(b); off += blockBytes {
		if f, ok := o.parse(b[off : off+frameHeader]); ok && f.kind == kindMark {
			clear(b[off : off+frameHeader])
			return im
		}
	}
	panic("no mark")
}

// Strays: what was never listed goes, what is merely unknown stays.
func TestStrays(t *testing.T) {
	base, all := build(t)
	base[fileName(77)] = []byte("made, but never listed")
	base["MANIFEST.new"] = []byte("half a manifest")
	base["0000000000000000.wal"] = []byte("unknown")
	base["1.wal"], base["notes.txt"] = []byte("x"), []byte("y")
	mem := base.mount(t)
	l := open(t, options(t, mem))
	expect(t, l, all)
	must(t, l.Close())
	im := capture(t, mem)
	for _, n := range []string{fileName(77), "MANIFEST.new"} {
		if _, there := im[n]; there {
			t.Errorf("%s is still there", n)
		}
	}
	for _, n := range []string{"0000000000000000.wal", "1.wal", "notes.txt"} {
		if _, there := im[n]; !there {
			t.Errorf("%s was removed", n)
		}
	}
}

// A floor above what was applied is as good as the entries.
func TestRequiredFloor(t *testing.T) {
	mem := vfs.NewCrashableMem()
	l := open(t, options(t, mem))
	must(t, l.Reset(20))
	must(t, l.Close())
	im := capture(t, mem)
	if got, _, err := reopen(t, im, 20); err != nil || got.floor != 20 {
		t.Fatal(got, err)
	}
	if _, _, err := reopen(t, im, 21); !errors.Is(err, ErrCorrupt) {
		t.Fatal(err)
	}
}

// Any bit of any acknowledged frame: the log is refused, never shorter. The image
// is that of a killed process, so the mark of the last batch is there.
func TestBitFlips(t *testing.T) {
	base, _ := build(t)
	rng := rand.New(rand.NewPCG(8, 9))
	n := 0
	for _, p := range places(t, base) {
		step := 1
		if testing.Short() || thin {
			step = 13
		}
		for i := 0; i < p.length; i += step {
			if i >= frameHeader+40 && i < p.length-40 && rng.IntN(16) > 0 {
				continue // a sample of the body's middle
			}
			bit := byte(1) << rng.IntN(8)
			b := base[p.name]
			b[p.offset+int64(i)] ^= bit
			_, _, err := reopen(t, base, 0)
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("bit %x of byte %d of the frame of entry %d: %v", bit, i, p.index, err)
			}
			b[p.offset+int64(i)] ^= bit
			n++
		}
	}
	t.Logf("%d flips", n)
}

// Whole sectors of acknowledged batches that read as zeros or garbage: refused.
func TestLostSectors(t *testing.T) {
	base, all := build(t)
	at := places(t, base)
	for _, size := range []int64{512, 4096, 8192} {
		for _, p := range at {
			for off := p.offset &^ (size - 1); off < p.offset+int64(p.length); off += size {
				for _, fill := range []byte{0, 0xa5} {
					im := base.clone()
					b := im[p.name][off:min(off+size, int64(len(im[p.name])))]
					for i := range b {
						b[i] = fill
					}
					got, _, err := reopen(t, im, 0)
					// 8 KiB at the end may take the mark along: as after a power cut.
					if err == nil && size > 4096 && p.index >= 10 && got.tail() < all.tail() {
						continue
					}
					if !errors.Is(err, ErrCorrupt) {
						t.Fatalf("%d bytes at %d of %s: %v, %v", size, off, p.name, got, err)
					}
				}
			}
		}
	}
}

// tear mixes the file before and after a batch was written: each unit of the
// batch's blocks holds the old bytes, the new ones, zeros or garbage.
func tear(rng *rand.Rand, before, after []byte, from, to int64, unit int64, garbage bool) []byte {
	out := slices.Clone(before)
	newer := rng.IntN(101)
	for off := from; off < to; off += unit {
		b := out[off : off+unit]
		switch {
		case rng.IntN(100) < newer:
			copy(b, after[off:])
		case garbage && rng.IntN(2) == 0:
			for i := range b {
				b[i] = byte(rng.Uint32())
			}
		case rng.IntN(4) == 0:
			clear(b)
		}
	}
	return out
}

// The last batch was torn in every way: it goes, in part or as a whole; what was
// acknowledged stays.
func TestTornWrites(t *testing.T) {
	rounds := 500
	if testing.Short() || thin {
		rounds = 80
	}
	for _, batch := range [][]Entry{run(13, 1, 1, 50), run(13, 1, 1, 6500), run(13, 9, 1, 700), run(13, 5, 1, 448), run(13, 12, 1, 1500)} {
		t.Run(fmt.Sprintf("%d of %d bytes", len(batch), len(batch[0].Data)), func(t *testing.T) {
			base, all := build(t)
			mem := base.mount(t)
			l := open(t, roomy(t, mem))
			base = capture(t, mem)
			end, name := l.open().end, fileName(l.open().id)
			must(t, l.Append(batch))
			after := capture(t, mem)
			if len(l.segments) != 2 {
				t.Fatal("the batch went to another segment")
			}
			end2 := l.open().end
			must(t, l.Close())
			rng := rand.New(rand.NewPCG(uint64(len(batch)), 1))
			seen := map[int]int{}
			for i := range rounds {
				im := base.clone()
				unit := []int64{512, 4096}[i%2]
				im[name] = tear(rng, base[name], after[name], end, end2, unit, i%3 > 0)
				got, _, err := reopenMore(t, im, 12, 1+rng.IntN(9))
				if err != nil {
					t.Fatalf("round %d: %v", i, err)
				}
				if !slices.ContainsFunc(change{batch: batch}.outcomes(all), got.equal) {
					t.Fatalf("round %d: found %v", i, got)
				}
				seen[len(got.entries)-len(all.entries)]++
			}
			if len(seen) < 2 {
				t.Fatalf("always the same outcome: %v", seen)
			}
		})
	}
}

// Frames that verify, but not where a writer puts them, are not taken.
func TestScanIsStrict(t *testing.T) {
	o := origin{id: 3, salt: 77}
	frame := func(index uint64, place uint32) []byte {
		return o.appendFrame(nil, place, &Entry{Index: index, Data: []byte("x")})
	}
	gap := make([]byte, blockBytes-align8(frameHeader+1))
	for _, c := range []struct {
		name   string
		pieces [][]byte
		found  int
		err    error
	}{
		{"a batch and the next", [][]byte{frame(5, 0), gap, frame(6, 0)}, 2, nil},
		{"two of a batch", [][]byte{frame(5, 0), frame(6, 1)}, 2, nil},
		{"a batch that does not begin at a block", [][]byte{frame(5, 0), frame(6, 0)}, 1, ErrCorrupt},
		{"a batch without its beginning", [][]byte{frame(5, 1)}, 0, ErrCorrupt},
		{"a batch that goes on at the next block", [][]byte{frame(5, 0), gap, frame(6, 1)}, 1, ErrCorrupt},
		{"a place left out", [][]byte{frame(5, 0), frame(6, 2)}, 1, ErrCorrupt},
		{"an index left out", [][]byte{frame(5, 0), frame(7, 2)}, 1, nil}, // as if torn
		{"a batch left out", [][]byte{frame(5, 0), gap, frame(7, 0)}, 1, ErrCorrupt},
		{"another segment", [][]byte{origin{id: 4, salt: 77}.appendFrame(nil, 0, &Entry{Index: 5})}, 0, nil},
		{"another salt", [][]byte{origin{id: 3, salt: 78}.appendFrame(nil, 0, &Entry{Index: 5})}, 0, nil},
	} {
		b := make([]byte, 4*blockBytes)
		copy(b[blockBytes:], slices.Concat(c.pieces...))
		s := newScan(&file{origin: o, f: vfs.NewMemFile(b), path: "f", size: int64(len(b)), base: 5})
		if _, err := s.open(); !errors.Is(err, c.err) || len(s.spans) != c.found {
			t.Errorf("%s: %d frames, %v", c.name, len(s.spans), err)
		}
	}
}

// A client that sends the image of a frame as data must not be able to have a torn
// write taken for damage: it would have to know the segment's salt.
func TestForgedFrame(t *testing.T) {
	mem := vfs.NewCrashableMem()
	l := open(t, options(t, mem))
	must(t, l.Append(run(1, 2, 1, 100)))
	before := capture(t, mem)
	f := l.open()
	forged := origin{id: f.id, salt: 12345}.appendFrame(nil, 0, &Entry{Index: 100, Data: []byte("x")})
	from, name := f.end, fileName(f.id)
	must(t, l.Append([]Entry{{Index: 3, Data: forged}, {Index: 4, Data: forged}}))
	after := capture(t, mem)
	must(t, l.Close())
	before[name] = slices.Clone(after[name])
	copy(before[name][from:], make([]byte, frameHeader)) // the first header is lost
	clear(before[name][from+blockBytes:])                // and the mark
	got, r, err := reopen(t, before, 2)
	if err != nil || got.tail() != 2 || r.TornSegment == 0 {
		t.Fatal(got, r, err)
	}
}
