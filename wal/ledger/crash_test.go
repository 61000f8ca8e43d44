package ledger

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/sim/disk"
)

// stepFS counts the operations that change a file system and calls step before
// each; an error from step is the operation's.
type stepFS struct {
	vfs.FS
	step func(op string) error
}

func (s *stepFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if err := s.step("create " + name); err != nil {
		return nil, err
	}
	f, err := s.FS.Create(name, c)
	return &stepFile{f, s, name}, err
}

func (s *stepFS) Rename(from, to string) error {
	if err := s.step("rename " + from + " " + to); err != nil {
		return err
	}
	return s.FS.Rename(from, to)
}

func (s *stepFS) Remove(name string) error {
	if err := s.step("remove " + name); err != nil {
		return err
	}
	return s.FS.Remove(name)
}

func (s *stepFS) MkdirAll(name string, perm os.FileMode) error {
	if err := s.step("mkdir " + name); err != nil {
		return err
	}
	return s.FS.MkdirAll(name, perm)
}

func (s *stepFS) OpenDir(name string) (vfs.File, error) {
	f, err := s.FS.OpenDir(name)
	if err != nil {
		return nil, err
	}
	return &stepFile{f, s, name + "/"}, nil
}

type stepFile struct {
	vfs.File
	fs   *stepFS
	name string
}

func (f *stepFile) Write(b []byte) (int, error) {
	if err := f.fs.step("write " + f.name); err != nil {
		return 0, err
	}
	n, err := f.File.Write(slices.Clone(b))
	for i := range b {
		b[i] ^= 0xff //lint:ignore SA1023 a vfs.File may do so
	}
	return n, err
}

func (f *stepFile) Sync() error {
	if err := f.fs.step("sync " + f.name); err != nil {
		return err
	}
	return f.File.Sync()
}

// crashed is what the k-th operation panics with.
type crashed struct{}

// ending is how a workload ends early, and what the disk then holds.
type ending int

const (
	synced ending = iota // the machine crashes: only what was synced is left
	all                  // the machine crashes: everything happens to be left
	killed               // the process dies: everything is there, unsynced as it was
	endings
)

// crashAt runs a workload on a file system that stops before its k-th operation,
// and returns what is left. Nil: the workload came to its end.
func crashAt(fsys *vfs.MemFS, k int, how ending, workload func(vfs.FS)) (disk *vfs.MemFS) {
	n := 0
	s := &stepFS{FS: fsys, step: func(string) error {
		if n++; n > k {
			switch disk = fsys; how {
			case synced:
				disk = fsys.CrashClone(vfs.CrashCloneCfg{})
			case all:
				disk = fsys.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 2))})
			}
			panic(crashed{})
		}
		return nil
	}}
	defer func() {
		if r := recover(); r != nil {
			if _, ok := r.(crashed); !ok {
				panic(r)
			}
		}
	}()
	workload(s)
	return nil
}

// appends is a workload: open, and append records in pieces, telling of each
// append that returned.
func appends(t *testing.T, o Options, rs []Record, acked *uint64, ends ...int) func(vfs.FS) {
	return func(fsys vfs.FS) {
		o.FS = fsys
		a := open(t, o)
		if a.Size() < *acked {
			t.Fatalf("size %d after %d were archived", a.Size(), *acked)
		}
		if a.Size() > 0 { // a disk after a crash
			if err := a.Verify(context.Background(), nil); err != nil {
				t.Fatal(err)
			}
			*acked = a.Size() // who is told so drops his records
		}
		first := rs[0].Seq
		for _, end := range ends {
			from := uint64(0)
			if a.Size() > first {
				from = min(a.Size()-first, uint64(end))
			}
			from -= min(from, 100) // some that are there already
			mustAppend(t, a, rs[from:end])
			*acked = max(*acked, a.Size())
		}
	}
}

// A crash before any single operation, and a second one before any of some
// operations of the recovery, leave a ledger that opens at a size at or above
// what was archived, and that becomes the same files when appending goes on.
func TestCrashAnywhere(t *testing.T) {
	rs := records(0, 900)
	ends := []int{300, 900}
	for _, signed := range []bool{true, false} {
		t.Run(fmt.Sprintf("signed=%v", signed), func(t *testing.T) {
			o := options(t, nil)
			if !signed {
				o.Signer = nil
			}
			work := func(acked *uint64) func(vfs.FS) { return appends(t, o, rs, acked, ends...) }
			ref := vfs.NewCrashableMem()
			work(new(uint64))(ref)
			want := tree(t, ref, "ledger")
			for k := 0; ; k += stride {
				for how := range endings {
					var acked uint64
					disk := crashAt(vfs.NewCrashableMem(), k, how, work(&acked))
					if disk == nil {
						t.Logf("%d operations", k)
						return
					}
					// Recovery crashes too, at operations that move with k.
					if second := crashAt(disk, (k*7)%41, ending(k)%endings, work(&acked)); second != nil {
						disk = second
					}
					work(&acked)(disk)
					same(t, tree(t, disk.CrashClone(vfs.CrashCloneCfg{}), "ledger"), want)
				}
			}
		})
	}
}

// The same where a tile of level 1 fills and a milestone is signed.
func TestCrashAtMilestone(t *testing.T) {
	if testing.Short() || stride > 1 {
		t.Skip("65,536 leaves")
	}
	const start = MilestoneLeaves - BundleSize
	rs := records(0, MilestoneLeaves+BundleSize)
	base := vfs.NewCrashableMem()
	o := options(t, base)
	mustAppend(t, open(t, o), rs[:start])
	// Nobody looks at the bundles far below; the disk is copied faster without.
	for n := range uint64(start/BundleSize - 2) {
		for _, name := range []string{EntriesPath(n, BundleSize), PayloadPath(n, BundleSize)} {
			if err := base.Remove("ledger/" + name); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, dir := range []string{"tile/entries", "payload"} {
		if err := newFiles(base, "ledger").syncDir("ledger/" + dir); err != nil {
			t.Fatal(err)
		}
	}
	work := func(fsys vfs.FS) {
		o.FS = fsys
		a := open(t, o)
		if a.Size() < start {
			t.Fatalf("size %d", a.Size())
		}
		mustAppend(t, a, rs[a.Size():])
	}
	ref := base.CrashClone(vfs.CrashCloneCfg{})
	work(ref)
	want := tree(t, ref, "ledger")
	if _, ok := want[MilestonePath(0)]; !ok {
		t.Fatal("no milestone")
	}
	for k := 0; ; k += stride {
		disk := crashAt(base.CrashClone(vfs.CrashCloneCfg{}), k, ending(k)%endings, work)
		if disk == nil {
			t.Logf("%d operations", k)
			break
		}
		work(disk)
		same(t, tree(t, disk, "ledger"), want)
	}
}

// A failing operation is fatal: the size does not move, nothing is written any
// more, and what is on disk opens and goes on.
func TestErrorAnywhere(t *testing.T) {
	rs := records(0, 600)
	broken := errors.New("disk broken")
	for k := 0; ; k += stride {
		fsys := vfs.NewCrashableMem()
		o := options(t, fsys)
		a := open(t, o)
		mustAppend(t, a, rs[:300])
		n, fatals := 0, 0
		o.FS = &stepFS{FS: fsys, step: func(string) error {
			if n++; n > k {
				return broken
			}
			return nil
		}}
		o.Fatal = func(err error) {
			if !errors.Is(err, broken) {
				t.Fatal(err)
			}
			fatals++
		}
		a, err := Open(o)
		if err != nil {
			if !errors.Is(err, broken) {
				t.Fatal(err)
			}
			continue
		}
		err = a.Append(rs[256:])
		if err == nil {
			if fatals != 0 || a.Size() != 512 {
				t.Fatalf("%d fatals, size %d", fatals, a.Size())
			}
			return
		}
		if !errors.Is(err, broken) || fatals != 1 || a.Size() != 256 {
			t.Fatalf("operation %d: %v, %d fatals, size %d", k, err, fatals, a.Size())
		}
		before := n
		if err := a.Append(rs[256:]); err == nil || n != before {
			t.Fatal("a failed archive goes on writing")
		}
		disk := fsys.CrashClone(vfs.CrashCloneCfg{})
		b := open(t, options(t, disk))
		mustAppend(t, b, rs[b.Size():])
		if err := b.Verify(context.Background(), nil); err != nil || b.Size() != 512 {
			t.Fatalf("operation %d: %v, size %d", k, err, b.Size())
		}
	}
}

// The order of operations is the durability argument: pinned.
func TestOperations(t *testing.T) {
	var log strings.Builder
	s := &stepFS{FS: vfs.NewMem(), step: func(op string) error {
		fmt.Fprintln(&log, op)
		return nil
	}}
	rs := records(0, 1024)
	fmt.Fprintln(&log, "# open")
	a := open(t, options(t, s))
	fmt.Fprintln(&log, "# append 2 bundles and a tail")
	mustAppend(t, a, rs[:600])
	fmt.Fprintln(&log, "# append what is there")
	mustAppend(t, a, rs[:512])
	fmt.Fprintln(&log, "# append 1 bundle")
	mustAppend(t, a, rs[512:768])
	fmt.Fprintln(&log, "# erase an item")
	if err := a.Erase([]Target{{Seq: 3, Items: []int{0}}}); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(&log, "# erase it again")
	if err := a.Erase([]Target{{Seq: 3, Items: []int{0}}}); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(&log, "# export 700 sequences")
	x := Export{FS: s, Dir: path.Join("out", "x"), Size: 700}
	if err := a.Export(context.Background(), x); err != nil {
		t.Fatal(err)
	}
	golden(t, "operations.golden", log.String())
}

// TestAfterFailedSync lets one sync after the other fail, as Linux does it: what was to be
// synced counts as clean, and a later sync does nothing for it. The process ends; the
// next one takes over what is there, vouches for it, and then the power may go.
func TestAfterFailedSync(t *testing.T) {
	all := records(0, 300)
	// archive is what a process does, until it ends by itself.
	archive := func(fsys vfs.FS) (err error) {
		o := options(t, fsys)
		o.Dir, o.Fatal = "/ledger", func(err error) { panic(err) }
		defer func() {
			if p := recover(); p != nil {
				err = p.(error)
			}
		}()
		a, err := Open(o)
		if err == nil {
			err = a.Append(all)
		}
		return err
	}
	for n := 1; ; n++ {
		d := disk.New(nil, disk.Config{})
		count := 0
		d.Volume("/").Faults(disk.Rule{Fault: disk.SyncError, P: 1, Times: 1, Match: func(disk.Op) bool {
			count++
			return count == n
		}})
		err := archive(d)
		if count < n {
			if n < 12 {
				t.Errorf("only %d syncs failed", n-1)
			}
			return
		}
		if err == nil {
			t.Errorf("sync %d failed, and nobody ended", n)
		}
		d.Volume("/").Heal()
		d = d.Kill()
		if err := archive(d); err != nil {
			t.Fatalf("sync %d failed: the next process: %v", n, err)
		}
		o := options(t, d.Cut(nil, disk.Keep(0)))
		o.Dir = "/ledger"
		a, err := Open(o)
		if err != nil {
			t.Errorf("sync %d failed, and later the power: %v", n, err)
			continue
		}
		if err := a.Verify(t.Context(), nil); err != nil || a.Size() != BundleSize {
			t.Errorf("sync %d failed, and later the power: %d sequences, %v", n, a.Size(), err)
		}
	}
}
