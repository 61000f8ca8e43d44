package erasure

import (
	"errors"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestOpenChecksIdentity(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(r *rig)
		want   error
	}{
		{"right", func(r *rig) {}, nil},
		{"other cluster", func(r *rig) { r.o.ClusterID[0]++ }, ErrForeignDisk},
		{"other node", func(r *rig) { r.o.Node++ }, ErrForeignDisk},
		{"swapped slots", func(r *rig) {
			r.o.Disks[0].Dir, r.o.Disks[1].Dir = r.o.Disks[1].Dir, r.o.Disks[0].Dir
		}, ErrForeignDisk},
		{"other number", func(r *rig) { r.o.Disks[0].Number = 9 }, ErrForeignDisk},
		{"other id", func(r *rig) { r.o.Disks[0].ID = diskID(9) }, ErrForeignDisk},
		{"twice", func(r *rig) { r.o.Disks[1] = r.o.Disks[0] }, ErrForeignDisk},
		{"empty mount point", func(r *rig) { r.remount("d2") }, ErrNoIdentity},
		{"garbage", func(r *rig) { r.replace("d1/identity", []byte("garbage")) }, ErrCorrupt},
		{"newer", func(r *rig) { r.replace("d1/identity", []byte("ironman disk 2\n")) }, ErrNewer},
		{"same incarnation", func(r *rig) { r.open().put([]byte("x")); r.s.Close() }, ErrStaleIncarnation},
		{"older incarnation", func(r *rig) {
			r.o.Incarnation = 5
			r.open().s.Close()
			r.o.Incarnation = 4
		}, ErrStaleIncarnation},
		{"no clock", func(r *rig) { r.o.Now = nil }, ErrInvalid},
		{"no cluster", func(r *rig) { r.o.ClusterID = [16]byte{} }, ErrInvalid},
		{"no incarnation", func(r *rig) { r.o.Incarnation = 0 }, ErrInvalid},
		{"tiny packs", func(r *rig) { r.o.PackSize = 100 }, ErrInvalid},
	} {
		r := newRig(t, vfs.NewMem(), 2)
		c.change(r)
		s, err := OpenStore(r.o)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		if s != nil {
			s.Close()
		}
	}
}

// remount makes a directory empty, as a mount point without its disk is.
func (r *rig) remount(dir string) {
	r.t.Helper()
	if err := r.fs.RemoveAll(dir); err != nil {
		r.t.Fatalf("%v", err)
	}
	if err := r.fs.MkdirAll(dir, 0o755); err != nil {
		r.t.Fatalf("%v", err)
	}
}

// A disk that does not open does not keep its node from serving.
func TestOpenOptionalDisk(t *testing.T) {
	r := newRig(t, vfs.NewMem(), 2, 2, 2).open()
	body := bytesOf(1, 50000)
	b := r.put(body)
	r.s.Close()
	r.remount("d3")
	for i := range r.o.Disks {
		r.o.Disks[i].Number, r.o.Disks[i].Optional = uint32(i+1), true
	}
	r.o.Incarnation++
	r.open()
	defer r.s.Close()
	r.check(b, body)
	if c := r.put(body); c.K != 3 || c.M != 2 || c.Tolerance != 2 {
		t.Errorf("degraded blob: %v", c)
	}
	for _, d := range r.s.Disks() {
		if (d.Identity.Number == 3) != errors.Is(d.Failure, ErrNoIdentity) {
			t.Errorf("disk %d: %v", d.Identity.Number, d.Failure)
		}
	}
	// Nothing was made of the empty directory.
	if names, err := r.fs.List("d3"); err != nil || len(names) > 0 {
		t.Errorf("d3 holds %v, %v", names, err)
	}
	if _, err := r.s.Packs(3); !errors.Is(err, ErrNoIdentity) {
		t.Errorf("packs of the lost disk: %v", err)
	}
	if _, err := r.s.Packs(9); !errors.Is(err, ErrInvalid) {
		t.Errorf("packs of no disk: %v", err)
	}
}

// A disk with packs of a later incarnation proves that the node was set back to an
// older state: it must not serve that, however many disks it could do without.
func TestOpenSetBack(t *testing.T) {
	r := newRig(t, vfs.NewMem(), 6)
	for i := range r.o.Disks {
		r.o.Disks[i].Number, r.o.Disks[i].Optional = uint32(i+1), true
	}
	r.o.Incarnation = 7
	r.open()
	r.put(bytesOf(1, 5000))
	r.s.Close()
	for _, again := range []uint64{3, 7} {
		r.o.Incarnation = again
		if s, err := OpenStore(r.o); !errors.Is(err, ErrStaleIncarnation) {
			t.Errorf("incarnation %d after 7: %v", again, err)
			if err == nil {
				s.Close()
			}
		}
	}
	r.o.Incarnation = 8
	r.open()
	r.s.Close()
}

// What lies among the packs and is none is left alone; old packs stay sealed.
func TestOpenRemovesNothing(t *testing.T) {
	r := newRig(t, vfs.NewMem(), 1).open()
	body := []byte("kept")
	b := r.put(body)
	r.s.Close()
	r.replace("d1/packs/unknown", []byte("?"))
	r.replace("d1/packs/00000000000000ff-00000001.pack.old", []byte("?"))
	before, err := r.fs.List("d1/packs")
	if err != nil {
		t.Fatal(err)
	}
	r.o.Incarnation++
	r.open()
	defer r.s.Close()
	packs, err := r.s.Packs(1)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packs {
		if p.Sealed != (p.Pack.Incarnation == 1) {
			t.Errorf("%+v", p)
		}
	}
	r.check(b, body)
	after, err := r.fs.List("d1/packs")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range before {
		if !strings.Contains(strings.Join(after, " "), name) {
			t.Errorf("%s is gone", name)
		}
	}
}
