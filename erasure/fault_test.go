package erasure

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"google.golang.org/protobuf/proto"

	"ironman/wal/event"
)

// A write or fsync error ends writing on that disk for good, and only there: the
// blob goes to a spare disk or is refused, the next one avoids the disk, and what
// was on it is still read.
func TestWriteErrors(t *testing.T) {
	for _, c := range []struct {
		name string
		kind errorfs.OpKind
		path string
		size int
	}{
		{"write", errorfs.OpFileWriteAt, "d2/packs", 100},
		{"fsync of a shared pack", errorfs.OpFileSyncData, "d2/packs", 100},
		{"write, coded", errorfs.OpFileWriteAt, "d2/packs", 5000},
		{"fsync, coded", errorfs.OpFileSyncData, "d2/packs", 5000},
		{"write, streamed", errorfs.OpFileWriteAt, "d2/packs", 100000},
		{"fsync of a pack of its own", errorfs.OpFileSync, "d2/packs/", 100000},
		{"fsync of the directory", errorfs.OpFileSync, "d2/packs", 100000},
		{"create", errorfs.OpOpen, "d2/packs", 100000},
	} {
		f := &faults{}
		r := newRig(t, errorfs.Wrap(vfs.NewMem(), f), 6).open()
		old := r.put(bytesOf(1, 1000))
		body := bytesOf(2, c.size)
		for range 12 { // rotate through all placements, so that each disk is warm
			r.put(body)
		}
		f.add(syscall.EIO, c.path, c.kind)
		hit := false
		for range 12 {
			b, err := r.s.Put(t.Context(), bytes.NewReader(body), int64(c.size), PutOptions{})
			if err != nil {
				hit = true
				if !errors.Is(err, ErrTolerance) || !errors.Is(err, ErrDiskFailed) {
					t.Fatalf("%s: %v", c.name, err)
				}
				continue
			}
			if b.Tolerance != 2 || len(b.Shards) < 3 {
				t.Fatalf("%s: %v", c.name, b)
			}
			r.check(b, body)
		}
		failed := 0
		for _, d := range r.s.Disks() {
			if d.Failure != nil {
				failed++
				if d.Identity.Number != 2 || !errors.Is(d.Failure, ErrDiskFailed) {
					t.Errorf("%s: disk %d: %v", c.name, d.Identity.Number, d.Failure)
				}
			}
		}
		if failed != 1 {
			t.Errorf("%s: %d disks failed (a put was refused: %v)", c.name, failed, hit)
		}
		// It is over for this disk, even if it says that all is well again.
		f.clear()
		b := r.put(body)
		for _, sh := range b.Shards {
			if sh.Disk == 2 {
				t.Errorf("%s: new shard on the failed disk", c.name)
			}
		}
		r.check(old, bytesOf(1, 1000))
		r.s.Close()
	}
}

// A copy that fails goes to a spare disk within the same put.
func TestSpareDisk(t *testing.T) {
	f := &faults{}
	r := newRig(t, errorfs.Wrap(vfs.NewMem(), f), 2, 2, 2).open()
	defer r.s.Close()
	f.add(syscall.EIO, "d1/packs", errorfs.OpFileWriteAt)
	f.add(syscall.EIO, "d3/packs", errorfs.OpFileWriteAt)
	for i := range 6 {
		body := bytesOf(uint64(i), 100)
		b := r.put(body)
		nodes := map[uint32]int{}
		for _, sh := range b.Shards {
			nodes[(sh.Disk+1)/2]++
			if sh.Disk == 1 || sh.Disk == 3 || sh.Disk == 0 {
				t.Errorf("shard on disk %d", sh.Disk)
			}
		}
		if len(b.Shards) != 3 || b.Tolerance != 2 || len(nodes) != 3 {
			t.Errorf("%v", b)
		}
		r.check(b, body)
	}
	if n := len(r.s.Abandoned()); n > 0 {
		t.Errorf("%d blobs abandoned", n)
	}
}

// A shard writer that dies in the middle of a body is dropped where the policy
// allows it; the row says so.
func TestDroppedShard(t *testing.T) {
	for _, least := range []uint32{0, 1, 2} {
		f := &faults{}
		r := newRig(t, errorfs.Wrap(vfs.NewMem(), f), 6)
		r.o.Policy.MinTolerance = least
		r.open()
		body := bytesOf(1, 100000)
		// The disk dies after two thirds of the body.
		rd := &hookReader{r: bytes.NewReader(body), at: 66000, hook: func() {
			f.add(syscall.EIO, "d2/packs", errorfs.OpFileWriteAt)
		}}
		b, err := r.s.Put(t.Context(), rd, int64(len(body)), PutOptions{})
		switch least {
		case 1:
			if err != nil {
				t.Fatal(err)
			}
			missing := 0
			for _, sh := range b.Shards {
				if sh.Disk == 0 {
					missing++
				}
			}
			if missing != 1 || b.Tolerance != 1 {
				t.Errorf("%v", b)
			}
			f.clear()
			r.check(b, body)
			d, err := r.s.Verify(t.Context(), b)
			if err != nil || len(d) != 1 || d[0].Reason != ReasonMissing || d[0].Disk != 0 {
				t.Errorf("%v, %v", d, err)
			}
			if where, err := r.s.Locate(b); err != nil || len(where) != 6 || where[d[0].Index].Disk != 0 {
				t.Errorf("%v, %v", where, err)
			}
		default:
			if !errors.Is(err, ErrTolerance) {
				t.Errorf("least %d: %v, %v", least, b, err)
			}
			if n := len(r.s.Abandoned()); n != 1 {
				t.Errorf("%d blobs abandoned", n)
			}
		}
		r.s.Close()
	}
}

// hookReader calls hook once, when it has given at bytes.
type hookReader struct {
	r    io.Reader
	at   int
	hook func()
}

func (h *hookReader) Read(p []byte) (int, error) {
	if h.hook != nil && h.at <= 0 {
		h.hook()
		h.hook = nil
	}
	n, err := h.r.Read(p[:min(len(p), 1000)])
	h.at -= n
	return n, err
}

// A full disk is not a failed one: puts go elsewhere or say that there is no
// space, and when there is space again they work, without leaving half packs
// behind with every try.
func TestNoSpace(t *testing.T) {
	for _, size := range []int{100, 5000, 100000} {
		f := &faults{}
		clock := &testClock{}
		r := newRig(t, errorfs.Wrap(vfs.NewMem(), f), 3)
		r.o.Now = clock.now
		r.open()
		body := bytesOf(1, size)
		r.put(body)
		f.add(&fs.PathError{Op: "write", Err: syscall.ENOSPC}, "packs", errorfs.OpFileWriteAt)
		before := packs(r)
		for range 5 {
			_, err := r.s.Put(t.Context(), bytes.NewReader(body), int64(size), PutOptions{})
			if !errors.Is(err, ErrNoSpace) || !errors.Is(err, ErrTolerance) {
				t.Fatalf("size %d: %v", size, err)
			}
			clock.advance(avoidFor)
		}
		if n := packs(r) - before; size < 8<<10 && n > 3 {
			t.Errorf("size %d: %d packs begun on full disks", size, n)
		}
		f.clear()
		r.check(r.put(body), body)
		for _, d := range r.s.Disks() {
			if d.Failure != nil {
				t.Errorf("%v", d.Failure)
			}
		}
		r.s.Close()
	}
}

// packs counts the packs on all disks.
func packs(r *rig) (n int) {
	r.t.Helper()
	for d := range r.disks() {
		list, err := r.s.Packs(uint32(d + 1))
		if err != nil {
			r.t.Fatalf("%v", err)
		}
		n += len(list)
	}
	return n
}

// gate blocks operations until it is opened.
type gate struct {
	path string // set before shut
	kind errorfs.OpKind
	on   atomic.Bool
	open chan struct{}
}

// shut makes operations block from now on.
func (g *gate) shut() { g.on.Store(true) }

func (g *gate) String() string { return "gate" }

func (g *gate) MaybeError(op errorfs.Op) error {
	if g.on.Load() && op.Kind == g.kind && strings.Contains(op.Path, g.path) {
		<-g.open
	}
	return nil
}

// A disk that hangs holds up neither a small nor a large put beyond the limit.
func TestStalledWrite(t *testing.T) {
	for _, size := range []int{100, 5000, 100000} {
		synctest.Test(t, func(t *testing.T) {
			g := &gate{path: "d2/packs", kind: errorfs.OpFileWriteAt, open: make(chan struct{})}
			r := newRig(t, errorfs.Wrap(vfs.NewMem(), g), 6)
			r.o.Policy.MinTolerance = 1
			r.o.Stall = 10 * time.Second
			r.o.Now = time.Now
			r.open()
			body := bytesOf(1, size)
			for range 6 {
				r.put(body)
			}
			synctest.Wait()
			g.shut()
			for range 6 {
				start := time.Now()
				b := r.put(body)
				if took := time.Since(start); took > 25*time.Second {
					t.Errorf("put took %v", took)
				}
				for _, sh := range b.Shards {
					if sh.Disk == 2 {
						t.Errorf("shard on the disk that hangs")
					}
				}
				r.check(b, body)
			}
			close(g.open)
			r.s.Close() // and no goroutine is left: the bubble would not end
		})
	}
}

// The whole process stands still for longer than a disk may: when it goes on, the
// limit is over although no disk has hung. No stripe that nobody has coded yet may
// get the bytes of a later one.
func TestPausedPut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, vfs.NewMem(), 6)
		r.o.Stall = 10 * time.Second
		r.open()
		defer r.s.Close()
		body := bytesOf(1, 16<<10) // four stripes
		w := &blobWriter{s: r.s, key: r.s.nextBlob(), policy: r.s.o.Policy, generation: FirstGeneration}
		if err := w.plan(uint64(len(body))); err != nil {
			t.Fatal(err)
		}
		p := w.newPipeline()
		time.AfterFunc(35*time.Second, p.start)
		b, err := p.run(t.Context(), bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.check(b, body)
	})
}

// A read that takes long is overtaken by reads of other shards.
func TestHedgedRead(t *testing.T) {
	for _, size := range []int{100, 5000, 100000} {
		synctest.Test(t, func(t *testing.T) {
			g := &gate{kind: errorfs.OpFileReadAt, open: make(chan struct{})}
			r := newRig(t, errorfs.Wrap(vfs.NewMem(), g), 6)
			r.o.Hedge = 100 * time.Millisecond
			r.open()
			body := bytesOf(1, size)
			b := r.put(body)
			g.path = diskDir(b.Shards[0].Disk)
			g.shut()
			start := time.Now()
			r.check(b, body)
			stripes := time.Duration(Layout{K: b.K, Cell: b.Cell, Size: b.Size}.Stripes())
			if took := time.Since(start); took != stripes*r.o.Hedge {
				t.Errorf("%d bytes took %v", size, took)
			}
			if len(r.damages) > 0 {
				t.Errorf("slowness is not damage: %v", r.damages)
			}
			close(g.open)
			r.s.Close()
		})
	}
}

// All disks hang: the caller's context ends the wait, for the first byte and in
// the middle.
func TestReadGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &gate{path: "packs", kind: errorfs.OpFileReadAt, open: make(chan struct{})}
		r := newRig(t, errorfs.Wrap(vfs.NewMem(), g), 6)
		r.o.Hedge = 100 * time.Millisecond
		r.open()
		b := r.put(bytesOf(1, 100000))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		rd, err := r.s.Open(ctx, b, 0, b.Size)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the stripe ahead is read, too
		g.shut()
		n, err := io.Copy(io.Discard, rd)
		if !errors.Is(err, context.DeadlineExceeded) || n == 0 || n == int64(b.Size) {
			t.Errorf("%d bytes, %v", n, err)
		}
		rd.Close()
		ctx, cancel = context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := r.s.Open(ctx, b, 0, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("open: %v", err)
		}
		close(g.open)
		r.s.Close()
	})
}

// Damage that a read meets is told once, and the owner's callback holds up nobody.
func TestOnDamage(t *testing.T) {
	r := newRig(t, vfs.NewMem(), 6)
	block := make(chan struct{})
	r.o.OnDamage = func(d Damage) {
		r.damaged(d)
		<-block
	}
	r.open()
	body := bytesOf(1, 5000)
	b := r.put(body)
	for i := range 2 {
		r.rewrite(r.shardPath(b, i), b.Shards[i].Offset+shardHeaderBytes+cellHeaderBytes, []byte{body[0] ^ 1})
	}
	lost := proto.CloneOf(b)
	lost.Shards[5] = &event.Shard{} // the row knows that itself
	for range 10 {
		r.check(b, body)
		if _, err := r.get(lost, 0, b.Size); !errors.Is(err, ErrUnavailable) {
			t.Fatalf("3 of 4+2 lost: %v", err)
		}
	}
	close(block)
	r.s.Close()
	seen := map[uint32]int{}
	for _, d := range r.damages {
		seen[d.Index]++
		if d.Reason != ReasonChecksum || d.Disk != b.Shards[d.Index].Disk || BlobKeyOf(d.Blob) != BlobKeyOf(b.Id) {
			t.Errorf("%+v", d)
		}
	}
	if len(seen) != 2 || seen[0] != 1 || seen[1] != 1 {
		t.Errorf("%v", r.damages)
	}
}
