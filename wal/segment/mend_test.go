package segment

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	simdisk "ironman/sim/disk"
	"ironman/wal/durable"
)

// truth is a Mend that gives what was there, and notes what it was asked for.
type truth struct {
	contents
	asked []Hole
}

func (k *truth) mend(h *Hole, whole func(uint64) (Entry, error)) ([]Entry, error) {
	k.asked = append(k.asked, *h)
	for _, i := range []uint64{h.First - 1, h.Last + 1} {
		if e, err := whole(i); err == nil && !same(e, k.entries[i-1]) || err != nil && !errors.Is(err, ErrNotFound) {
			return nil, fmt.Errorf("whole entry %d: %v, %w", i, e, err)
		}
	}
	return k.entries[h.First-1 : h.Last], nil
}

// TestMend: damage between whole frames is told exactly, and mended byte for byte.
func TestMend(t *testing.T) {
	base, all := build(t)
	at := places(t, base)
	flip := func(p place, i int64) func(image) { return func(im image) { im[p.name][p.offset+i] ^= 4 } }
	wipe := func(name string, from, to int64) func(image) { return func(im image) { clear(im[name][from:to]) } }
	end := func(p place) int64 { return p.offset + int64(p.length) }
	last := at[len(at)-1]
	for _, c := range []struct {
		name        string
		damage      []func(image)
		first, last uint64
	}{
		{"the length", []func(image){flip(at[1], 4)}, 2, 2},
		{"the index", []func(image){flip(at[1], 24)}, 2, 2},
		{"the term", []func(image){flip(at[1], 32)}, 2, 2},
		{"the checksum", []func(image){flip(at[1], 0)}, 2, 2},
		{"the body", []func(image){flip(at[1], frameHeader+30)}, 2, 2},
		{"the whole header", []func(image){wipe(at[1].name, at[1].offset, at[1].offset+frameHeader)}, 2, 2},
		{"the whole frame", []func(image){wipe(at[1].name, at[1].offset, end(at[1]))}, 2, 2},
		{"two of a batch", []func(image){flip(at[1], 70), flip(at[2], 3)}, 2, 3},
		{"a batch", []func(image){wipe(at[0].name, at[0].offset, end(at[2]))}, 1, 3},
		{"a batch and the first of the next", []func(image){wipe(at[0].name, at[0].offset, end(at[3]))}, 1, 4},
		{"the end of one and the beginning of the next", []func(image){flip(at[2], 9), flip(at[3], 9)}, 3, 4},
		{"the first of a file", []func(image){flip(at[0], 20)}, 1, 1},
		{"the last acknowledged", []func(image){flip(last, int64(last.length)-1)}, 12, 12},
		{"all of the last batch", []func(image){wipe(at[9].name, at[9].offset, end(last))}, 10, 12},
	} {
		t.Run(c.name, func(t *testing.T) {
			im := base.clone()
			for _, d := range c.damage {
				d(im)
			}
			var damage *Damage
			_, _, err := reopen(t, im, 0)
			if !errors.As(err, &damage) || !errors.Is(err, ErrCorrupt) || len(damage.Holes) != 1 {
				t.Fatalf("without a Mend: %v", err)
			}
			h, p := damage.Holes[0], at[c.first-1]
			if h.First != c.first || h.Last != c.last || h.Offset > p.offset || h.end() < end(at[c.last-1]) || h.File != dir+"/"+p.name {
				t.Fatalf("%+v, and it was %+v", h, p)
			}
			mem := im.mount(t)
			o, k := roomy(t, mem), truth{contents: all}
			o.Mend = k.mend
			l := open(t, o)
			expect(t, l, all)
			if r := l.Recovery(); r.Mended != int(c.last-c.first+1) || len(k.asked) != 1 || k.asked[0] != h {
				t.Fatalf("%+v, asked for %+v", r, k.asked)
			}
			must(t, l.Close())
			now := capture(t, mem)
			for _, name := range []string{at[0].name, last.name} { // not the spare
				if !slices.Equal(now[name], base[name]) {
					t.Errorf("%s is not what it was", name)
				}
			}
			if _, _, err := reopen(t, now, 12); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestMendSeveral: holes in several files, of which one segment is sealed.
func TestMendSeveral(t *testing.T) {
	base, all := build(t)
	at := places(t, base)
	for _, i := range []int{0, 4, len(at) - 2} {
		base[at[i].name][at[i].offset+80] ^= 1
	}
	mem := base.mount(t)
	o, k := roomy(t, mem), truth{contents: all}
	o.Mend = k.mend
	l := open(t, o)
	expect(t, l, all)
	must(t, l.Close())
	if len(k.asked) != 3 {
		t.Errorf("asked for %+v", k.asked)
	}
}

// TestMendBorder: damage on both sides of a file's border is not mended: nothing whole
// stands behind the first half, and it is not the end of the log.
func TestMendBorder(t *testing.T) {
	base, all := build(t)
	at := places(t, base)
	for _, i := range []int{6, 7} {
		base[at[i].name][at[i].offset+70] ^= 1
	}
	if at[6].name == at[7].name {
		t.Fatal("no border")
	}
	mem := base.mount(t)
	o, k := roomy(t, mem), truth{contents: all}
	o.Mend = k.mend
	if _, err := Open(o); !errors.Is(err, ErrCorrupt) || len(k.asked) > 0 {
		t.Errorf("%v, asked for %+v", err, k.asked)
	}
	if !capture(t, mem).equal(base) {
		t.Error("the disk was changed")
	}
}

// TestMendLies: entries that cannot be what stood there change nothing.
func TestMendLies(t *testing.T) {
	base, all := build(t)
	p := places(t, base)[1]
	base[p.name][p.offset+80] ^= 1
	for name, lie := range map[string]func(e Entry) []Entry{
		"no entry":       func(Entry) []Entry { return nil },
		"two entries":    func(e Entry) []Entry { return []Entry{e, e} },
		"another index":  func(e Entry) []Entry { e.Index++; return []Entry{e} },
		"an older term":  func(e Entry) []Entry { e.Term--; return []Entry{e} },
		"a newer term":   func(e Entry) []Entry { e.Term++; return []Entry{e} },
		"a longer one":   func(e Entry) []Entry { e.Data = append(slices.Clone(e.Data), make([]byte, 8)...); return []Entry{e} },
		"a shorter one":  func(e Entry) []Entry { e.Data = e.Data[:len(e.Data)-8]; return []Entry{e} },
		"an endless one": func(e Entry) []Entry { e.Data = make([]byte, MaxEntryBytes+1); return []Entry{e} },
	} {
		mem := base.mount(t)
		o := roomy(t, mem)
		o.Mend = func(*Hole, func(uint64) (Entry, error)) ([]Entry, error) { return lie(all.entries[1]), nil }
		var d *Damage
		if _, err := Open(o); !errors.As(err, &d) || d.Err == nil {
			t.Errorf("%s: %v", name, err)
		}
		if !capture(t, mem).equal(base) {
			t.Errorf("%s: the disk was changed", name)
		}
	}
}

// TestSpare: what nobody needs is not mended; the log begins behind it, and goes on
// doing so.
func TestSpare(t *testing.T) {
	base, all := build(t)
	p := places(t, base)[4]
	base[p.name][p.offset+80] ^= 1
	mem := base.mount(t)
	o := roomy(t, mem)
	o.Spare = 4
	if _, err := Open(o); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("entry 5 is needed: %v", err)
	}
	o.Spare = 5
	for range 2 {
		l := open(t, o)
		expect(t, l, all.prefix(6))
		if r := l.Recovery(); r.Left != 1 || r.Mended != 0 {
			t.Errorf("%+v", r)
		}
		if _, err := l.ArchiveEntry(5); !errors.Is(err, ErrNotFound) {
			t.Errorf("the damaged entry: %v", err)
		}
		if e, err := l.ArchiveEntry(4); err != nil || !same(e, all.entries[3]) {
			t.Errorf("the one before: %v", err)
		}
		must(t, l.Close())
	}
}

// TestMendRandom damages any sectors of acknowledged batches: what is taken is whole,
// what is not taken is not changed.
func TestMendRandom(t *testing.T) {
	base, all := build(t)
	at := places(t, base)
	rng := rand.New(rand.NewPCG(4, 5))
	mended, refused := 0, 0
	rounds := 400
	if testing.Short() || thin {
		rounds = 60
	}
	for i := range rounds {
		im := base.clone()
		for range 1 + rng.IntN(4) {
			p, size := at[rng.IntN(len(at))], []int64{1, 512, 4096}[rng.IntN(3)]
			from := (p.offset + rng.Int64N(int64(p.length))) &^ (size - 1)
			for j := range im[p.name][from : from+size] {
				im[p.name][from+int64(j)] ^= byte(1 + rng.IntN(255))
			}
		}
		mem := im.mount(t)
		o, k := roomy(t, mem), truth{contents: all}
		o.Mend, o.Required = k.mend, 12
		l, err := Open(o)
		if err != nil {
			refused++
			if !errors.Is(err, ErrCorrupt) || !capture(t, mem).equal(im) {
				t.Fatalf("round %d: %v, or the disk was changed", i, err)
			}
			continue
		}
		mended++
		expect(t, l, all)
		must(t, l.Close())
	}
	if mended < rounds*9/10 {
		t.Errorf("%d mended, %d refused", mended, refused)
	}
	t.Logf("%d mended, %d refused", mended, refused)
}

// TestMendCrashes cuts the power before every operation of an Open that mends, with
// anything left of what was not synced: the next one mends what is left to mend.
func TestMendCrashes(t *testing.T) {
	base, all := build(t)
	at := places(t, base)
	for _, i := range []int{1, 2, 4, len(at) - 1} {
		clear(base[at[i].name][at[i].offset : at[i].offset+60])
	}
	rng := rand.New(rand.NewPCG(1, 9))
	machine := simdisk.New(nil, simdisk.Config{})
	must(t, machine.MkdirAll(dir, 0o700))
	for _, n := range append(base.segments(), manifestName) {
		f, err := machine.Create(machine.PathJoin(dir, n), writeCategory)
		must(t, err)
		_, err = f.Write(slices.Clone(base[n]))
		must(t, errors.Join(err, f.Sync(), f.Close()))
	}
	must(t, errors.Join(durable.SyncDir(machine, dir), durable.SyncDir(machine, "/")))
	var cuts []*simdisk.Disk
	snap := func() {
		for _, percent := range []int{0, 30, 70, 100} {
			loss := simdisk.Keep(percent)
			if percent%100 != 0 {
				loss.Torn, loss.Garbage = 0.4, 0.3
			}
			cuts = append(cuts, machine.Cut(rng, loss))
		}
	}
	mendOn(t, machine, all, func(d *simdisk.Disk) {
		d.Watch(simdisk.Hooks{Before: func(simdisk.Op) error { snap(); return nil }})
	})
	again := 0
	for _, d := range cuts {
		again += mendOn(t, d, all, nil)
	}
	t.Logf("%d cuts, %d entries mended again", len(cuts), again)
	if len(cuts) < 40 || again == 0 {
		t.Errorf("%d cuts, %d entries mended again", len(cuts), again)
	}
}

func mendOn(t *testing.T, d *simdisk.Disk, all contents, watch func(*simdisk.Disk)) int {
	t.Helper()
	if watch != nil {
		watch(d)
	}
	o, k := roomy(t, d), truth{contents: all}
	o.Mend, o.Required = k.mend, 12
	l := open(t, o)
	d.Watch(simdisk.Hooks{})
	expect(t, l, all)
	must(t, l.Close())
	return l.Recovery().Mended
}

// TestScrub finds what rots in sealed segments while the log is in use, and mends it
// under its readers.
func TestScrub(t *testing.T) {
	mem := vfs.NewCrashableMem()
	l := open(t, roomy(t, mem))
	var all contents
	for i := range 12 {
		b := run(uint64(3*i+1), 3, 1+i, 1500)
		must(t, l.Append(b))
		l.quiesce()
		all = all.append(b)
	}
	total := 0
	pace := func(n int) error { total += n; return nil }
	if holes, err := l.Scrub(pace); err != nil || len(holes) != 0 || total < 10*blockBytes {
		t.Fatalf("%v, %v, %d bytes", holes, err, total)
	}
	f := l.segments[1]
	for _, i := range []int{0, 1, len(f.spans) - 1} {
		spoil(t, mem, f.path, int64(f.spans[i].offset)+70)
	}
	first, last := f.base, f.last()
	holes, err := l.Scrub(pace)
	if err != nil || len(holes) != 2 || holes[0].First != first || holes[0].Last != first+1 || holes[1].First != last || holes[1].After == 0 {
		t.Fatalf("%+v, %v", holes, err)
	}
	l.recent.reset()
	if _, err := l.ArchiveEntry(first); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a damaged entry was read: %v", err)
	}
	k := truth{contents: all}
	for i := range holes {
		entries, err := k.mend(&holes[i], l.Entry)
		must(t, err)
		wrong := slices.Clone(entries)
		wrong[0].Term += 50
		if err := l.Mend(&holes[i], wrong); err == nil {
			t.Error("an entry of another term was taken")
		}
		must(t, l.Mend(&holes[i], entries))
	}
	expect(t, l, all)
	must(t, l.Append(run(all.tail()+1, 1, 50, 10)))
	all = all.append(run(all.tail()+1, 1, 50, 10))
	must(t, l.TruncatePrefix(last+1))
	must(t, l.SetArchived(last))
	l.quiesce()
	if err := l.Mend(&holes[0], k.entries[first-1:first+1]); !errors.Is(err, ErrNotFound) {
		t.Errorf("a file that is gone: %v", err)
	}
	stop := errors.New("stop")
	if _, err := l.Scrub(func(int) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("a scrub that was stopped: %v", err)
	}
	must(t, l.Close())
	l = open(t, roomy(t, mem))
	expect(t, l, all.prefix(last+1))
	must(t, l.Close())
}

// spoil changes a byte of a file.
func spoil(t *testing.T, fs vfs.FS, path string, off int64) {
	t.Helper()
	f, err := fs.OpenReadWrite(path, writeCategory)
	must(t, err)
	b := make([]byte, 1)
	_, err = f.ReadAt(b, off)
	must(t, err)
	b[0] ^= 0x10
	_, err = f.WriteAt(b, off)
	must(t, errors.Join(err, f.Sync(), f.Close()))
}
