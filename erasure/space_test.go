package erasure

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func TestReserve(t *testing.T) {
	for _, c := range []struct {
		text  string
		total uint64
		want  uint64
		bad   bool
	}{
		{"", 100 << 30, 2 << 30, false},
		{"", 10 << 30, 10 << 30 / 20, false},
		{"", 0, 0, false},
		{"0", 100 << 30, 0, false},
		{"0GiB", 100 << 30, 0, false},
		{"12345", 1, 12345, false},
		{"500MiB", 1, 500 << 20, false},
		{"3 GB", 1, 3e9, false},
		{"7kB", 1, 7000, false},
		{"2PiB", 1, 2 << 50, false},
		{"1B", 1, 0, true},
		{"8388607TiB", 1, 8388607 << 40, false},
		{"8388608TiB", 1, 0, true},
		{"-1", 1, 0, true},
		{"5%", 1, 0, true},
		{"GiB", 1, 0, true},
		{"1.5GiB", 1, 0, true},
	} {
		r, err := ParseReserve(c.text)
		if (err != nil) != c.bad || !c.bad && r.Of(c.total) != c.want {
			t.Errorf("%q of %d: %d, %v", c.text, c.total, r.Of(c.total), err)
		}
	}
}

// TestShort: room is to be made early below a mark, by default twice the reserve.
func TestShort(t *testing.T) {
	for _, c := range []struct {
		reserve, mark Reserve
		free          uint64 // MiB, of 1000
		want          bool
	}{
		{100 << 20, 0, 199, true}, {100 << 20, 0, 200, false}, {100 << 20, 0, 50, true}, {NoReserve, 0, 0, false},
		{0, 0, 99, true}, {0, 0, 100, false}, // twice a twentieth
		{100 << 20, 500 << 20, 499, true}, {100 << 20, 500 << 20, 500, false}, {100 << 20, NoReserve, 0, false}, {NoReserve, 500 << 20, 499, true},
	} {
		m := vfs.NewMem()
		leave(m, c.free)
		if got := NewSpace(m, "", c.reserve, slog.New(slog.DiscardHandler)).Short(c.mark); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	if NewSpace(vfs.NewMem(), "", 100, slog.New(slog.DiscardHandler)).Short(500) {
		t.Error("short of what nobody knows")
	}
}

// spaciousRig is a store in virtual time of which each disk is a file system of its
// own, with a reserve of a tenth.
func spaciousRig(t *testing.T, disks int) (*rig, []*vfs.MemFS, *bytes.Buffer) {
	r := newRig(t, vfs.NewMem(), disks)
	var mems []*vfs.MemFS
	for i := range r.o.Disks {
		m := vfs.NewMem()
		mems = append(mems, m)
		leave(m, 500)
		n := uint32(i + 1)
		id := Identity{Cluster: testCluster, Disk: diskID(n), Node: 1, Slot: uint32(i), Number: n}
		if err := Format(m, diskDir(n), id); err != nil {
			t.Fatal(err)
		}
		r.o.Disks[i].FS = m
	}
	said := &bytes.Buffer{}
	r.o.Logger = slog.New(slog.NewTextHandler(said, nil))
	r.o.Now, r.o.Reserve = time.Now, 100<<20
	return r.open(), mems, said
}

// leave says how many MiB of a disk of 1,000 are free.
func leave(m *vfs.MemFS, free uint64) {
	m.TestingSetDiskUsage(vfs.DiskUsage{TotalBytes: 1000 << 20, AvailBytes: free << 20, UsedBytes: (1000 - free) << 20})
}

// A disk below its reserve gets no new shards, but is read and cleared; when too
// many are, puts say that there is no space. All of it passes by itself.
func TestLowDisks(t *testing.T) {
	for _, size := range []int{100, 5000, 100000} {
		synctest.Test(t, func(t *testing.T) {
			r, mems, said := spaciousRig(t, 6)
			defer r.s.Close()
			body := bytesOf(1, size)
			old := r.put(body)
			measured := func() {
				time.Sleep(SpaceEvery + time.Millisecond)
				synctest.Wait()
			}

			leave(mems[1], 99)
			measured()
			for range 12 {
				for _, sh := range r.put(body).Shards {
					if sh.Disk == 2 {
						t.Fatal("a shard on the disk that is low")
					}
				}
			}
			r.check(old, body)
			for _, d := range r.s.Disks() {
				if d.Low != (d.Identity.Number == 2) || !d.Known || d.Failure != nil {
					t.Errorf("%+v", d)
				}
			}

			for _, m := range mems {
				leave(m, 99)
			}
			measured()
			for _, n := range []int64{int64(size), -1} {
				_, err := r.s.Put(t.Context(), bytes.NewReader(body), n, PutOptions{})
				if !errors.Is(err, ErrNoSpace) {
					t.Errorf("a put of %d bytes on full disks: %v", n, err)
				}
			}
			r.check(old, body)
			packs, err := r.s.Packs(1)
			if err != nil || len(packs) == 0 {
				t.Errorf("%v, %v", packs, err)
			}

			for _, m := range mems {
				leave(m, 105) // above the reserve, but not by enough to turn
			}
			measured()
			if _, err := r.s.Put(t.Context(), bytes.NewReader(body), int64(size), PutOptions{}); !errors.Is(err, ErrNoSpace) {
				t.Errorf("a put at the edge: %v", err)
			}
			for _, m := range mems {
				leave(m, 120)
			}
			measured()
			r.check(r.put(body), body)
			if n := strings.Count(said.String(), "below the reserve"); n != 6 {
				t.Errorf("it was said %d times:\n%s", n, said)
			}
			if n := strings.Count(said.String(), "above the reserve again"); n != 6 {
				t.Errorf("it was said %d times:\n%s", n, said)
			}
		})
	}
}

// A body that does not end stops where the reserve begins, before any tick.
func TestReserveEndsStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, mems, _ := spaciousRig(t, 1)
		defer r.s.Close()
		before := time.Now()
		body := &endless{each: func(read int) {
			leave(mems[0], uint64(max(130-read>>20, 0))) // as the disk would say
		}}
		_, err := r.s.Put(t.Context(), body, -1, PutOptions{})
		if !errors.Is(err, ErrNoSpace) {
			t.Errorf("%v", err)
		}
		if over := body.read - 30<<20; over < 0 || over > 16<<20 {
			t.Errorf("it went on for %d bytes behind the reserve's begin", over)
		}
		if took := time.Since(before); took != 0 {
			t.Errorf("it took %v", took)
		}
	})
}

// endless is a body without an end.
type endless struct {
	read int
	each func(read int)
}

func (e *endless) Read(p []byte) (int, error) {
	e.read += len(p)
	e.each(e.read)
	if e.read > 1<<30 {
		return 0, io.ErrUnexpectedEOF
	}
	return len(p), nil
}
