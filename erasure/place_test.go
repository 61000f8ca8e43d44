package erasure

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"ironman/wal/event"
)

// elsewhere is a blob of a geometry that this store would not choose, whose shards are on
// disks that nobody has.
func elsewhere(size int) *event.Blob {
	b := &event.Blob{Id: BlobKey{7, 70}.ID(), Size: uint64(size), K: 3, M: 1, Cell: 512, Tolerance: 1}
	for i := range uint32(4) {
		b.Shards = append(b.Shards, &event.Shard{Disk: 90 + i, Pack: PackKey{7, 1}.ID(), Offset: 4096, Generation: 2 + i})
	}
	return b
}

// sizes of a body that is one cell, some cells, whole stripes, and one that is streamed.
var placedSizes = []int{1, 100, 600, 5000, 8192, 100_000}

// TestPlace: a blob that exists gets the geometry of the disks there are, under its own
// id, above every generation that it ever had; and what is read is what was given.
func TestPlace(t *testing.T) {
	r := newRig(t, vfs.NewMem(), 2, 2, 2).open()
	defer func() { r.s.Close() }()
	for _, size := range placedSizes {
		old, body := elsewhere(size), bytesOf(uint64(size), size)
		b, err := r.s.Place(t.Context(), bytes.NewReader(body), old)
		if err != nil {
			t.Fatal(err)
		}
		like := r.put(body)
		if BlobKeyOf(b.Id) != BlobKeyOf(old.Id) || b.Size != old.Size || b.K != like.K || b.M != like.M || b.Cell != like.Cell || b.Tolerance != like.Tolerance {
			t.Fatalf("%d bytes became %v, where Put makes %v", size, b, like)
		}
		for _, sh := range b.Shards {
			if sh.Generation != 6 || sh.Disk == 0 || sh.Disk > 6 {
				t.Fatalf("shard %v", sh)
			}
		}
		r.check(b, body)
		// Again, as after an event that came to nothing: neither is read for the other.
		again, err := r.s.Place(t.Context(), bytes.NewReader(body), b)
		if err != nil {
			t.Fatal(err)
		}
		r.check(again, body)
		r.check(b, body)
		mixed := again
		mixed.Shards[0].Generation--
		if d, err := r.s.Verify(t.Context(), mixed); err != nil || len(d) != 1 || d[0].Index != 0 || d[0].Reason != ReasonForeign {
			t.Errorf("a shard of another generation: %v, %v", d, err)
		}
		r.reopen()
		r.check(b, body)
	}
	if a := r.s.Abandoned(); len(a) > 0 {
		t.Errorf("%v are abandoned", a)
	}
}

// TestPlaceRefused: what fails leaves the blob what it was. Its id is in use, so it must
// never be given up, whatever was begun.
func TestPlaceRefused(t *testing.T) {
	broken := errors.New("the source broke off")
	for _, size := range placedSizes {
		body := bytesOf(1, size)
		for name, c := range map[string]struct {
			body io.Reader
			want error
		}{
			"short":  {bytes.NewReader(body[:size-1]), ErrBody},
			"long":   {io.MultiReader(bytes.NewReader(body), bytes.NewReader([]byte{1})), ErrBody},
			"broken": {io.MultiReader(bytes.NewReader(body[:size/2]), &failingReader{broken}), broken},
		} {
			r := newRig(t, vfs.NewMem(), 3).open()
			if b, err := r.s.Place(t.Context(), c.body, elsewhere(size)); !errors.Is(err, c.want) {
				t.Errorf("%d bytes, %s: %v, %v", size, name, b, err)
			}
			r.s.Close()
			if a := r.s.Abandoned(); len(a) > 0 {
				t.Errorf("%d bytes, %s: %v are abandoned", size, name, a)
			}
			if w, _ := r.s.Buffered(); w != 0 {
				t.Errorf("%d bytes, %s: %d bytes of buffers are held", size, name, w)
			}
		}
	}
	r := newRig(t, vfs.NewMem(), 3).open()
	last := elsewhere(4)
	last.Shards[0].Generation = 1<<32 - 1
	for name, b := range map[string]*event.Blob{"nothing": nil, "no id": {Size: 4}, "no bytes": {Id: BlobKey{1, 1}.ID()}, "no generation": last} {
		if _, err := r.s.Place(t.Context(), bytes.NewReader([]byte("body")), b); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	r.s.Close()
	if _, err := r.s.Place(t.Context(), bytes.NewReader([]byte("body")), elsewhere(4)); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

type failingReader struct{ err error }

func (r *failingReader) Read([]byte) (int, error) { return 0, r.err }

// TestPlaceFaults: a disk that fails costs a shard or the whole Place, as it does a Put;
// a shard that was given up keeps a generation above all that were.
func TestPlaceFaults(t *testing.T) {
	for _, size := range []int{5000, 100_000} {
		for _, least := range []uint32{1, 2} {
			f := &faults{}
			r := newRig(t, errorfs.Wrap(vfs.NewMem(), f), 6)
			r.o.Policy.MinTolerance = least
			r.open()
			f.add(syscall.EIO, "d2/packs", errorfs.OpFileWriteAt)
			f.add(syscall.EIO, "d2/packs", errorfs.OpOpen)
			body := bytesOf(1, size)
			b, err := r.s.Place(t.Context(), bytes.NewReader(body), elsewhere(size))
			switch {
			case least == 2 && !errors.Is(err, ErrTolerance):
				t.Errorf("%d bytes: %v, %v", size, b, err)
			case least == 1 && err != nil:
				t.Errorf("%d bytes: %v", size, err)
			case least == 1:
				gone := slices.IndexFunc(b.Shards, func(s *event.Shard) bool { return s.Disk == 0 })
				if gone < 0 || b.Shards[gone].Generation != 6 || b.Tolerance != 1 {
					t.Errorf("%d bytes: %v", size, b)
				}
				r.check(b, body)
			}
			r.s.Close()
			if a := r.s.Abandoned(); len(a) > 0 {
				t.Errorf("%d bytes: %v are abandoned", size, a)
			}
		}
	}
}

// TestPlaceCrash: after a power cut at any operation of a Place that returned, all of it is
// there; before that, what was stored otherwise is whole, and the Place can be done again.
func TestPlaceCrash(t *testing.T) {
	for _, size := range []int{100, 5000, 60_000} {
		mem := vfs.NewCrashableMem()
		j := &journal{}
		r := newRig(t, errorfs.Wrap(mem, j), 1, 1, 1)
		r.o.PackSize, r.o.FirstPack = 32<<10, 16<<10
		r.open()
		body, other := bytesOf(2, size), bytesOf(3, 3000)
		kept := r.put(other)
		all := crashes(mem, j, func(ack func(acked)) {
			b, err := r.s.Place(t.Context(), bytes.NewReader(body), elsewhere(size))
			if err != nil {
				t.Fatal(err)
			}
			ack(acked{b, body})
			r.put(other) // what comes behind it
		})
		r.s.Close()
		done := 0
		for _, c := range all {
			after := reborn(t, r, c.fs, r.o.Incarnation+1)
			after.check(kept, other)
			for _, a := range c.have {
				done++
				after.check(a.blob, a.body)
				if d, err := after.s.Verify(t.Context(), a.blob); err != nil || len(d) > 0 {
					t.Fatalf("crash before %s: %v, %v", c.at, d, err)
				}
			}
			again, err := after.s.Place(t.Context(), bytes.NewReader(body), elsewhere(size))
			if err != nil {
				t.Fatalf("crash before %s: %v", c.at, err)
			}
			after.check(again, body)
			after.s.Close()
		}
		if done == 0 || len(all) < 5 {
			t.Errorf("%d bytes: %s", size, fmt.Sprintf("%d crashes, %d behind it", len(all), done))
		}
	}
}
