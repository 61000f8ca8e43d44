package disk

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

func TestVolumeStates(t *testing.T) {
	d := New(nil, Config{Volumes: []Mount{{Path: "/disk1"}, {Path: "/disk2/"}}})
	save(t, d, "/disk1/x", "1")
	save(t, d, "/disk2/x", "2")
	save(t, d, "/x", "0")
	v := d.Volume("/disk1")
	if d.Volume("/disk3") != nil || v.Path() != "/disk1" || d.Volume("disk2").Path() != "/disk2" {
		t.Error("the volumes are others")
	}
	if all := d.Volumes(); len(all) != 3 || all[0].Path() != "/" || all[1] != v {
		t.Error("the volumes are in another order")
	}
	if got, err := d.List("/"); err != nil || !slices.Equal(got, []string{"disk1", "disk2", "x"}) {
		t.Error(got, err)
	}
	f, err := d.OpenReadWrite("/disk1/x", "")
	if err != nil {
		t.Fatal(err)
	}
	expect := func(what string, want, wantOpen error) {
		t.Helper()
		put := func() error { _, err := d.Create("/disk1/new", ""); return err }
		if err := put(); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if _, err := f.WriteAt([]byte("1"), 0); !errors.Is(err, wantOpen) || wantOpen == nil && err != nil {
			t.Errorf("%s, an open file: %v", what, err)
		}
		put2 := func() error { _, err := d.Create("/disk2/new", ""); return err }
		if err := put2(); err != nil {
			t.Errorf("%s, another volume: %v", what, err)
		}
	}
	v.Vanish()
	expect("vanished", syscall.EIO, syscall.EIO)
	if _, err := d.List("/disk1"); !errors.Is(err, syscall.EIO) {
		t.Error(err)
	}
	v.Heal()
	v.ReadOnly(true)
	expect("read-only", syscall.EROFS, syscall.EROFS)
	if _, err := f.ReadAt(make([]byte, 1), 0); err != nil {
		t.Error(err)
	}
	v.Heal()
	expect("healed", nil, nil)
	img := v.Remember()
	v.Unmount()
	if got, err := d.List("/disk1"); err != nil || len(got) != 0 {
		t.Error("the mount point is not empty", got, err)
	}
	put(t, d, "/disk1/below", "")
	v.Heal()
	if _, err := f.WriteAt([]byte("2"), 0); err != nil || read(t, d, "/disk1/below") != "(no such file or directory)" {
		t.Error(err)
	}
	v.Format()
	expect("empty", nil, syscall.EIO)
	for range 2 {
		v.Restore(img)
		if got := listing(d); read(t, d, "/disk1/x") != "1" || got != "/disk1/new /disk1/x /disk2/new /disk2/x /x" {
			t.Error(got)
		}
	}
	if _, err := f.ReadAt(make([]byte, 1), 0); !errors.Is(err, syscall.EIO) {
		t.Error("a file of another disk is read", err)
	}
}

func TestSwap(t *testing.T) {
	a := New(nil, Config{Volumes: []Mount{{Path: "/disk1"}, {Path: "/disk2"}}})
	b := New(nil, Config{Volumes: []Mount{{Path: "/disk1"}}})
	save(t, a, "/disk1/x", "a1")
	save(t, a, "/disk2/x", "a2")
	save(t, b, "/disk1/x", "b1")
	Swap(a.Volume("/disk1"), a.Volume("/disk2"))
	Swap(a.Volume("/disk1"), b.Volume("/disk1"))
	if got := read(t, a, "/disk1/x") + read(t, a, "/disk2/x") + read(t, b, "/disk1/x"); got != "b1a1a2" {
		t.Error(got)
	}
	if c := a.Cut(nil, Keep(0)); read(t, c, "/disk1/x") != "b1" || counts(a)["swapped"] != 3 || counts(b)["swapped"] != 1 {
		t.Error("after a cut it is otherwise")
	}
}

// Observe is told in the order of effect of what was done, Before of what is to be.
func TestHooks(t *testing.T) {
	d := New(nil, Config{Volumes: []Mount{{Path: "/n", Capacity: 8192}}})
	var before, after []string
	h := Hooks{
		Before: func(o Op) error {
			before = append(before, o.Kind.String())
			if d.Cut(nil, Keep(100)) == nil || o.Kind == Rename {
				return syscall.EPERM
			}
			return nil
		},
		Observe: func(o Op) { o.Mark = 0; after = append(after, o.String()) },
	}
	d.Watch(h)
	f, err := d.Create("/n/a", "")
	if err != nil {
		t.Fatal(err)
	}
	_, _ = f.Write(make([]byte, 10000))
	_, _ = f.Read(make([]byte, 3))
	h.Reads = true
	d.Watch(h)
	_, _ = f.ReadAt(make([]byte, 3), 8190)
	_, _ = f.SyncTo(5)
	_ = errors.Join(f.Sync(), f.SyncData(), syncDir(d, "n"), d.Link("n/a", "n/b"), d.Rename("n/a", "n/c"), d.Remove("n/a"), d.MkdirAll("n/d", 0))
	want := `create /n/a
write /n/a 0+8192: no space left on device
read /n/a 8190+2: EOF
syncto /n/a
sync /n/a
syncdata /n/a
open /n
syncdir /n
link /n/a /n/b: no space left on device
remove /n/a
stat /n/d: no such file or directory
stat /n
mkdir /n/d: no space left on device`
	if got := strings.Join(after, "\n"); got != want {
		t.Errorf("observed\n%s", got)
	}
	if got := strings.Join(before, " "); got != "create write syncto sync syncdata syncdir link rename remove mkdir" {
		t.Errorf("told before %s", got)
	}
}

// Goroutines on all parts of a disk, its cuts among them, do not disturb each other.
func TestManyGoroutines(t *testing.T) {
	d := New(seeded(1), Config{Volumes: []Mount{{Path: "/n"}, {Path: "/m"}}, Latency: Latency{Sync: 1000, Yield: 0.1}})
	d.Volume("/m").Faults(Rule{Fault: LostSync, P: 0.1}, Rule{Fault: MisdirectedFile, P: 0.01}, Rule{Fault: BitRot, P: 0.01})
	mkdir(t, d, "/n/shared", "/m/shared")
	if err := errors.Join(syncDir(d, "/n"), syncDir(d, "/m")); err != nil {
		t.Fatal(err)
	}
	var told sync.Map
	d.Watch(Hooks{Observe: func(o Op) { told.Store(o.Kind, o) }, Reads: true})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 60 {
				dir := []string{"/n", "/m"}[(g+i)%2]
				name := fmt.Sprintf("%s/shared/%d", dir, g)
				put(t, d, name, strings.Repeat("x", 9000))
				if f, err := d.Open(dir + "/shared/0"); err == nil {
					_, _ = f.ReadAt(make([]byte, 5000), 0)
					_ = f.Close()
				}
				if err := errors.Join(syncFile(d, name), d.Rename(name, name+"b"), syncDir(d, dir+"/shared")); err != nil {
					t.Error(err)
				}
				switch i % 6 {
				case 1:
					fork := d.Cut(seeded(uint64(i)), Keep(50))
					save(t, fork, name+"c", "y")
				case 2:
					d.Files(dir)
					d.Fired()
				case 3:
					d.Kill().Volume("/n").Restore(d.Volume("/m").Remember())
				}
			}
		})
	}
	wg.Wait()
	if len(d.Files("/")) != 16 {
		t.Error(listing(d))
	}
}

// TestOccupy: what others use of a volume is not free, is no file, and is part of what
// the usage tells; it goes with the incarnation.
func TestOccupy(t *testing.T) {
	d := New(nil, Config{Volumes: []Mount{{Path: "/v", Capacity: 10 * blockBytes}}})
	d.Volume("/v").Occupy(8 * blockBytes)
	f, err := d.Create("/v/file", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write(make([]byte, 3*blockBytes)); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("three blocks fit into two: %v", err)
	}
	u, err := d.GetDiskUsage("/v")
	if err != nil || u.TotalBytes != 10*blockBytes || u.AvailBytes+u.UsedBytes != u.TotalBytes || u.UsedBytes < 8*blockBytes {
		t.Errorf("the usage is %+v, %v", u, err)
	}
	v := d.Kill().Volume("/v")
	if v.Free() > 2*blockBytes {
		t.Errorf("%d bytes are free behind a kill", v.Free())
	}
	v.Occupy(0)
	if v.Free() < 8*blockBytes {
		t.Errorf("%d bytes are free when others have gone", v.Free())
	}
}

// TestFilesOfVolume: they are told by their paths in it, also while it is not mounted.
func TestFilesOfVolume(t *testing.T) {
	d := New(nil, Config{Volumes: []Mount{{Path: "/v"}}})
	f, err := d.Create("/v/file", "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("abc")); err != nil {
		t.Fatal(err)
	}
	d.Volume("/v").Unmount()
	if got := d.Volume("/v").Files(); !slices.Equal(got, []FileSize{{"/file", 3}}) {
		t.Errorf("its files are %v", got)
	}
	if got := d.Volume("/").Files(); len(got) > 0 {
		t.Errorf("the volume above has %v", got)
	}
}
