package reads

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"path"
	"sort"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/tlog"

	"ironman/sim/disk"
	"ironman/wal/ledger"
)

func readFile(t testing.TB, fsys vfs.FS, name string) []byte {
	t.Helper()
	f, err := fsys.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeFile(t testing.TB, fsys vfs.FS, name string, b []byte) {
	t.Helper()
	f, err := fsys.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(bytes.Clone(b)); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// keptFile is what a log writes that keeps its records from there on.
func keptFile(t testing.TB, from uint64) []byte {
	t.Helper()
	mem := vfs.NewMem()
	l := open(t, options(t, mem))
	add(t, l, 0, int(from)+300)
	if below, err := l.Expire(begin.Add(draftAge(int(from) + 10))); err != nil || below != from {
		t.Fatalf("below %d, %v", below, err)
	}
	return readFile(t, mem, "reads/kept")
}

type ended struct{}

// life opens a log, checks what was promised of it, and adds to it until the disk ends it.
type life struct {
	t     *testing.T
	heads []tlog.Tree // that were durable
	n     int
}

func (x *life) live(fsys vfs.FS, rounds ...int) {
	t := x.t
	o := options(t, fsys)
	l := open(t, o)
	if len(x.heads) > 0 {
		last := x.heads[len(x.heads)-1]
		if back, err := l.Vouched(last); back || err != nil {
			t.Fatalf("set back from %d to %d: %v", last.N, l.Head().N, err)
		}
	}
	for _, h := range x.heads {
		if root, err := l.Root(uint64(h.N)); err != nil || root != h.Hash {
			t.Fatalf("the first %d records are others: %v", h.N, err)
		}
	}
	for i, k := range rounds {
		add(t, l, x.n, x.n+k)
		x.n += k
		x.heads = append(x.heads, l.Head())
		switch i {
		case 1:
			if _, err := l.Erase(context.Background(), func(e *Entry) bool { return keyOf(e) == "key/3" || keyOf(e) == "key/290" }); err != nil {
				t.Fatal(err)
			}
		case 3:
			if _, err := l.Expire(begin.Add(draftAge(400))); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := l.Verify(context.Background(), x.heads, nil); err != nil {
		t.Fatal(err)
	}
}

// cutAt lives on a disk whose power is cut before its k-th operation; nil: it came to its end.
func (x *life) cutAt(d *disk.Disk, k int, rng *rand.Rand, rounds ...int) (left *disk.Disk) {
	n := 0
	d.Watch(disk.Hooks{Before: func(disk.Op) error {
		if n++; n > k && left == nil {
			left = d.Cut(rng, disk.Keep(50))
			panic(ended{})
		}
		return nil
	}})
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(ended); !ok {
				panic(r)
			}
		}
	}()
	x.live(d, rounds...)
	d.Watch(disk.Hooks{})
	return nil
}

// TestPowerCutAnywhere: whenever the power is cut, whatever of the unsynced writes is left,
// torn or garbage, all that was durable is there when the log is opened again, also when that
// is cut short in its turn.
func TestPowerCutAnywhere(t *testing.T) {
	rounds := []int{2, 300, 1, 250, 5}
	for k := 0; ; k++ {
		rng := rand.New(rand.NewPCG(uint64(k), 7))
		x := &life{t: t}
		left := x.cutAt(disk.New(rng, disk.Config{}), k, rng, rounds...)
		if left == nil {
			t.Logf("%d operations", k)
			if k < 50 {
				t.Fatalf("only %d operations", k)
			}
			return
		}
		if again := x.cutAt(left, (k*7)%23, rng, 3); again != nil {
			left = again
		}
		x.live(left, 3, 300)
	}
}

// TestTornTail: of what was written last every whole record is kept, and the start says
// how much was cut off.
func TestTornTail(t *testing.T) {
	mem := vfs.NewMem()
	l := open(t, options(t, mem))
	add(t, l, 0, 3)
	one := len(readFile(t, mem, "reads/tail"))
	add(t, l, 3, 6)
	whole := readFile(t, mem, "reads/tail")
	ends := map[int]int{3: one} // of each record, by their number
	for cut := one; cut <= len(whole); cut++ {
		torn := vfs.NewMem()
		if err := torn.MkdirAll("reads", 0o755); err != nil {
			t.Fatal(err)
		}
		writeFile(t, torn, "reads/tail", whole[:cut])
		s, err := ledger.ReadTail(torn, "reads", 0)
		if err != nil || s.Unusable != nil {
			t.Fatal(err, s.Unusable)
		}
		n := len(s.Records)
		if _, ok := ends[n]; !ok {
			ends[n] = cut
		}
		if want := cut - ends[n]; s.Torn != want || n < 3 || n > 6 {
			t.Fatalf("of %d bytes: %d records and %d torn bytes instead of %d", cut, n, s.Torn, want)
		}
		if cut%17 != 0 || cut < len(whole)-600 {
			continue
		}
		o := options(t, torn)
		l := open(t, o)
		if int(l.Head().N) != n {
			t.Fatalf("%d records of %d", l.Head().N, n)
		}
		if err := l.Begin(1); err != nil {
			t.Fatal(err)
		}
		if said := entries(t, l)[n].Read.Torn; said != uint64(s.Torn) {
			t.Fatalf("it says that %d bytes were torn, not %d", said, s.Torn)
		}
	}
	if len(ends) != 4 || ends[6] != len(whole) {
		t.Fatalf("records end at %v", ends)
	}
}

// TestMutations: whatever byte of the log's files is another, verification fails.
func TestMutations(t *testing.T) {
	mem := vfs.NewMem()
	o := options(t, mem)
	l := open(t, o)
	add(t, l, 0, 300)
	early := l.Head()
	add(t, l, 300, 780)
	if _, err := l.Expire(begin.Add(draftAge(300))); err != nil {
		t.Fatal(err)
	}
	add(t, l, 780, 800)
	noted := []tlog.Tree{early, l.Head()}
	verify := func(fsys vfs.FS) error {
		_, err := Verify(context.Background(), VerifyOptions{FS: fsys, Dir: o.Dir, Origin: o.Origin, Verifiers: o.Verifiers, Noted: noted})
		return err
	}
	if err := verify(mem); err != nil {
		t.Fatal(err)
	}
	files := filesBelow(t, mem, "reads")
	if len(files) < 8 {
		t.Fatalf("only %v", files)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	for _, name := range files {
		good := readFile(t, mem, name)
		for range 40 {
			at, bit := rng.IntN(len(good)), byte(1)<<rng.IntN(8)
			bad := bytes.Clone(good)
			bad[at] ^= bit
			writeFile(t, mem, name, bad)
			if err := verify(mem); err == nil {
				t.Errorf("%s: nobody sees that byte %d is %x and not %x", name, at, bad[at], good[at])
			}
		}
		for _, short := range []int{0, len(good) / 2, len(good) - 1} {
			writeFile(t, mem, name, good[:short])
			if err := verify(mem); err == nil {
				t.Errorf("%s: nobody sees that it has %d bytes and not %d", name, short, len(good))
			}
		}
		if err := mem.Remove(name); err != nil {
			t.Fatal(err)
		}
		if err := verify(mem); err == nil {
			t.Errorf("nobody sees that %s is gone", name)
		}
		writeFile(t, mem, name, good)
	}
	if err := verify(mem); err != nil {
		t.Fatal(err)
	}
}

func filesBelow(t testing.TB, fsys vfs.FS, dir string) (files []string) {
	t.Helper()
	names, err := fsys.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	sort.Strings(names)
	for _, name := range names {
		at := path.Join(dir, name)
		st, err := fsys.Stat(at)
		if err != nil {
			t.Fatal(err)
		}
		if st.IsDir() {
			files = append(files, filesBelow(t, fsys, at)...)
		} else {
			files = append(files, at)
		}
	}
	return files
}

// TestFatal: a log that cannot be written ends the node.
func TestFatal(t *testing.T) {
	d := disk.New(rand.New(rand.NewPCG(1, 1)), disk.Config{})
	o := options(t, d)
	var fatal error
	o.Fatal = func(err error) { fatal = err }
	l := open(t, o)
	add(t, l, 0, 5)
	was := l.Head()
	d.Volume("/").Faults(disk.Rule{Fault: disk.WriteError, P: 1})
	l.Add(draft(5))
	if err := l.Flush(); err == nil || fatal == nil || l.Head() != was {
		t.Fatalf("%v, fatal %v", err, fatal)
	}
}
