package erasure

import (
	"bytes"
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"pgregory.net/rapid"

	"ironman/wal/digest"
	"ironman/wal/event"
)

// A pack goes away only when it is sealed and its readers are gone; then for good.
func TestUnlink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := vfs.NewCrashableMem()
		r := newRig(t, mem, 1).open()
		body := bytesOf(1, 100000)
		b := r.put(body)
		pack := b.Shards[0].Pack
		small := r.put([]byte("small"))
		if err := r.s.Unlink(t.Context(), 1, small.Shards[0].Pack); !errors.Is(err, ErrPackOpen) {
			t.Errorf("open pack: %v", err)
		}
		rd, err := r.s.Open(t.Context(), b, 0, b.Size)
		if err != nil {
			t.Fatal(err)
		}
		// A reader is there, and the one who unlinks has no patience: nothing happens.
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := r.s.Unlink(ctx, 1, pack); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("unlink under a reader: %v", err)
		}
		r.check(b, body)
		done := make(chan error, 1)
		go func() { done <- r.s.Unlink(context.Background(), 1, pack) }()
		synctest.Wait()
		if _, err := r.get(b, 0, 1); !errors.Is(err, ErrUnavailable) {
			t.Errorf("new reader of a pack that is being unlinked: %v", err)
		}
		got, err := io.ReadAll(rd)
		if err != nil || !bytes.Equal(got, body) {
			t.Errorf("old reader: %v", err)
		}
		// All is read into memory by now: the pack is free although rd is open.
		if err := <-done; err != nil {
			t.Errorf("unlink: %v", err)
		}
		rd.Close()
		if err := r.s.Unlink(t.Context(), 1, pack); err != nil {
			t.Errorf("unlink again: %v", err)
		}
		if _, err := mem.CrashClone(vfs.CrashCloneCfg{}).Stat(r.shardPath(b, 0)); err == nil {
			t.Errorf("the pack comes back after a power cut")
		}
		if _, err := r.get(b, 0, b.Size); !errors.Is(err, ErrUnavailable) {
			t.Errorf("read of an unlinked pack: %v", err)
		}
		r.check(small, []byte("small"))
		r.s.Close()
		if err := r.s.Unlink(t.Context(), 1, pack); !errors.Is(err, ErrClosed) {
			t.Errorf("unlink after close: %v", err)
		}
	})
}

// A stream's pack is not sealed before its shard is durable.
func TestPackStates(t *testing.T) {
	r := newRig(t, vfs.NewMem(), 1).open()
	defer r.s.Close()
	target, _ := r.s.Target(1)
	spec := ShardSpec{Blob: BlobKey{1, 99}, Size: UnknownSize, Cell: 10, Generation: 1, K: 1}
	w, err := target.Stream(spec)
	if err != nil {
		t.Fatal(err)
	}
	state := func() PackInfo {
		list, err := r.s.Packs(1)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(list, func(p PackInfo) bool { return p.Pack == w.(*packStream).origin.pack })
		return list[i]
	}
	if p := state(); p.Sealed || p.InFlight != 1 {
		t.Errorf("while it is written: %+v", p)
	}
	body := []byte("0123456789")
	if err := w.WriteCell(&Cell{Plain: 10, Body: body, CRC: digest.CRC32C(body), Digest: digest.XXH3(body)}); err != nil {
		t.Fatal(err)
	}
	if err := w.WriteCell(&Cell{Stripe: 2, Plain: 10, Body: body}); !errors.Is(err, ErrInvalid) {
		t.Errorf("a stripe was left out: %v", err)
	}
	if _, err := w.Commit(10); !errors.Is(err, ErrInvalid) {
		t.Errorf("commit after an error: %v", err)
	}
	if p := state(); !p.Sealed || p.InFlight != 0 {
		t.Errorf("at the end: %+v", p)
	}
	if _, err := target.Stream(ShardSpec{}); !errors.Is(err, ErrInvalid) {
		t.Errorf("no shard: %v", err)
	}
	for _, spec := range []ShardSpec{{}, spec, {Blob: BlobKey{1, 1}, Size: 20, Cell: 10, Generation: 1, K: 1}} {
		done := make(chan error, 1)
		target.Append(spec, []Cell{{Plain: 10, Body: body}}, func(_ Place, err error) { done <- err })
		if err := <-done; !errors.Is(err, ErrInvalid) {
			t.Errorf("append %+v: %v", spec, err)
		}
	}
	if _, ok := r.s.Target(2); ok {
		t.Error("a disk that is not there")
	}
}

// Only so many files stay open, and they are closed in the end.
func TestOpenPacksAreBounded(t *testing.T) {
	r := newRig(t, vfs.NewMem(), 1)
	r.o.OpenPacks = 3
	r.open()
	var blobs []*event.Blob
	for range 10 {
		blobs = append(blobs, r.put(bytesOf(1, 50000)))
	}
	for range 3 {
		for _, b := range blobs {
			r.check(b, bytesOf(1, 50000))
		}
	}
	table := r.s.disks[1].packs
	if table.unused != 3 || len(table.handles) != 3 {
		t.Errorf("%d handles, %d unused", len(table.handles), table.unused)
	}
	r.s.Close()
	if table.unused != 0 || len(table.handles) != 0 {
		t.Errorf("after close: %d handles, %d unused", len(table.handles), table.unused)
	}
}

// scanAll tells the intact shards of each blob in all packs, and what is not intact.
func scanAll(t fataler, r *rig) (good map[BlobKey][]uint8, bad []Record) {
	t.Helper()
	good = make(map[BlobKey][]uint8)
	for d := range r.disks() {
		list, err := r.s.Packs(uint32(d + 1))
		if err != nil {
			t.Fatalf("%v", err)
		}
		for _, p := range list {
			err := r.s.Scan(context.Background(), uint32(d+1), p.Pack.ID(), func(rec Record) error {
				if rec.Err != nil {
					bad = append(bad, rec)
				} else {
					good[rec.Blob] = append(good[rec.Blob], rec.Index)
				}
				return nil
			})
			if err != nil {
				t.Fatalf("scan %v: %v", p.Pack, err)
			}
		}
	}
	for _, list := range good {
		slices.Sort(list)
	}
	return good, bad
}

// A scan finds every shard of every blob from the packs alone, with its size;
// and a damaged one does not hide the others.
func TestScan(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := newRig(t, vfs.NewMem(), rapid.SampledFrom([]int{1, 3, 6}).Draw(t, "disks")).open()
		want := make(map[BlobKey]*event.Blob)
		for range rapid.IntRange(1, 12).Draw(t, "blobs") {
			n := rapid.SampledFrom([]int{0, 1, 600, 601, 4096, 10000, 30000, 40000}).Draw(t, "size")
			// Bodies may look like shards.
			body := bytes.Repeat([]byte(shardMagic+"\x00\x01\x00\x00\xb9\xddA\xe2"), n/16+1)[:n]
			b, err := r.s.Put(context.Background(), bytes.NewReader(body), int64(n)-int64(rapid.IntRange(0, 1).Draw(t, "unknown")*(n+1)), PutOptions{})
			if err != nil {
				t.Fatal(err)
			}
			want[BlobKeyOf(b.Id)] = b
		}
		good, bad := scanAll(t, r)
		if len(good) != len(want) || len(bad) > 0 {
			t.Fatalf("%d of %d blobs, bad %v", len(good), len(want), bad)
		}
		for k, b := range want {
			if len(good[k]) != len(b.Shards) {
				t.Fatalf("blob %v: shards %v of %d", k, good[k], len(b.Shards))
			}
		}
		// Now one shard is damaged.
		keys := slices.SortedFunc(maps.Keys(want), func(a, b BlobKey) int { return int(a.Counter) - int(b.Counter) })
		b := want[rapid.SampledFrom(keys).Draw(t, "victim")]
		at := rapid.Uint64Range(0, Layout{K: b.K, Cell: b.Cell, Size: b.Size}.ShardLength()-1).Draw(t, "byte")
		path := r.shardPath(b, 0)
		r.rewrite(path, b.Shards[0].Offset+at, []byte{r.file(path)[b.Shards[0].Offset+at] ^ 1})
		good, _ = scanAll(t, r)
		for k, b2 := range want {
			n := len(b2.Shards)
			if b2 == b {
				n--
			}
			if len(good[k]) != n {
				t.Fatalf("blob %v: shards %v, want %d", k, good[k], n)
			}
		}
		r.s.Close()
	})
}

// The records of a scan agree with the rows.
func TestScanRecords(t *testing.T) {
	r := newRig(t, vfs.NewMem(), 3).open()
	defer r.s.Close()
	body := bytesOf(1, 50000)
	b, err := r.s.Put(t.Context(), bytes.NewReader(body), -1, PutOptions{})
	if err != nil {
		t.Fatal(err)
	}
	l := Layout{K: b.K, Cell: b.Cell, Size: b.Size}
	where, err := r.s.Locate(b)
	if err != nil {
		t.Fatal(err)
	}
	for i, sh := range b.Shards {
		var got []Record
		err := r.s.Scan(t.Context(), sh.Disk, sh.Pack, func(rec Record) error {
			got = append(got, rec)
			return nil
		})
		want := Record{
			ShardSpec: ShardSpec{
				Blob: BlobKeyOf(b.Id), Size: 50000, Cell: b.Cell, Generation: FirstGeneration,
				K: uint8(b.K), M: uint8(b.M), Index: uint8(i),
			},
			Offset: sh.Offset, Length: l.ShardLength() + footerBytes, Stripes: uint32(l.Stripes()),
		}
		if err != nil || len(got) != 1 || got[0] != want {
			t.Errorf("%+v, %v\nwant %+v", got, err, want)
		}
		if w := where[i]; w.Disk != sh.Disk || w.Node != 1 || w.Path != r.shardPath(b, i) || w.Offset != sh.Offset ||
			w.Length != l.ShardLength() || w.Index != uint32(i) {
			t.Errorf("%+v", w)
		}
	}
	if err := r.s.Scan(t.Context(), 1, b.Shards[0].Pack, func(Record) error { return errBroken }); !errors.Is(err, errBroken) && b.Shards[0].Disk == 1 {
		t.Errorf("the callback's error: %v", err)
	}
	if err := r.s.Scan(t.Context(), 1, PackKey{8, 8}.ID(), nil); err == nil {
		t.Error("a pack that is not there")
	}
}

// What a scan says of packs whose own header is not right.
func TestScanPackHeader(t *testing.T) {
	f := &faults{}
	r := newRig(t, errorfs.Wrap(vfs.NewMem(), f), 1).open()
	b := r.put([]byte("blob"))
	path := r.shardPath(b, 0)
	whole := r.file(path)
	r.s.Close()
	other := bytes.Clone(whole)
	encodePackHeader(other, packHeader{cluster: testCluster, disk: diskID(2), pack: PackKey{1, 1}, size: 32 << 10})
	for _, c := range []struct {
		name  string
		file  []byte
		want  error
		found int
	}{
		{"intact", whole, nil, 1},
		{"never begun", nil, nil, 0},
		{"zeros", make([]byte, len(whole)), nil, 0},
		{"header cut off", whole[:1000], ErrCorrupt, 0},
		{"header zeroed, a shard behind it", append(make([]byte, packHeaderBytes), whole[packHeaderBytes:]...), ErrCorrupt, 1},
		{"header of another disk", other, ErrForeign, 1},
		{"newer", append(newer(whole[:packHeaderBytes]), whole[packHeaderBytes:]...), ErrNewer, 0},
	} {
		r.replace(path, c.file)
		r.o.Incarnation++
		r.open()
		found := 0
		err := r.s.Scan(t.Context(), 1, b.Shards[0].Pack, func(rec Record) error {
			found++
			return rec.Err
		})
		if !errors.Is(err, c.want) || found != c.found {
			t.Errorf("%s: %v, %d shards", c.name, err, found)
		}
		r.s.Close()
	}
	r.replace(path, whole)
	r.o.Incarnation++
	r.open()
	defer r.s.Close()
	f.add(syscall.EIO, path, errorfs.OpFileReadAt)
	err := r.s.Scan(t.Context(), 1, b.Shards[0].Pack, func(Record) error { return nil })
	if !errors.Is(err, syscall.EIO) {
		t.Errorf("unreadable: %v", err)
	}
}

// A group that could not be written whole is not written over: what came to the
// disk of it may be read by nobody, but is changed by nobody either.
func TestFailedGroupIsNotRewritten(t *testing.T) {
	f := &faults{}
	r := newRig(t, errorfs.Wrap(vfs.NewMem(), f), 1)
	clock := &testClock{}
	r.o.Now = clock.now
	r.open()
	defer r.s.Close()
	a := r.put([]byte("before"))
	f.add(syscall.ENOSPC, "packs", errorfs.OpFileWriteAt)
	if _, err := r.s.Put(t.Context(), bytes.NewReader(nil), 0, PutOptions{}); !errors.Is(err, ErrNoSpace) {
		t.Fatal(err)
	}
	f.clear()
	clock.advance(avoidFor)
	b := r.put([]byte("after"))
	if a.Shards[0].Offset != 4096 || b.Shards[0].Offset != 3*4096 {
		t.Errorf("at %d, then at %d", a.Shards[0].Offset, b.Shards[0].Offset)
	}
}

// After the disk failed under somebody else, a stream under way neither writes
// nor commits.
func TestStreamOnFailedDisk(t *testing.T) {
	c := &counter{kind: errorfs.OpFileWriteAt}
	f := &faults{}
	r := newRig(t, errorfs.Wrap(errorfs.Wrap(vfs.NewMem(), c), f), 1).open()
	defer r.s.Close()
	target, _ := r.s.Target(1)
	spec := ShardSpec{Blob: BlobKey{1, 99}, Size: 10, Cell: 10, Generation: 1, K: 1}
	body := []byte("0123456789")
	w, err := target.Stream(spec)
	if err != nil {
		t.Fatal(err)
	}
	f.add(syscall.EIO, "packs", errorfs.OpFileSyncData)
	if _, err := r.s.Put(t.Context(), bytes.NewReader(body), 10, PutOptions{}); !errors.Is(err, ErrDiskFailed) {
		t.Fatal(err)
	}
	f.clear()
	before := c.n.Load()
	if err := w.WriteCell(&Cell{Plain: 10, Body: body, CRC: digest.CRC32C(body)}); !errors.Is(err, ErrDiskFailed) {
		t.Errorf("write: %v", err)
	}
	if _, err := w.Commit(10); !errors.Is(err, ErrDiskFailed) {
		t.Errorf("commit: %v", err)
	}
	if n := c.n.Load() - before; n > 0 {
		t.Errorf("%d writes to a failed disk", n)
	}
	if _, err := target.Stream(spec); !errors.Is(err, ErrDiskFailed) {
		t.Errorf("stream: %v", err)
	}
	if err := r.s.Unlink(t.Context(), 1, PackKey{0, 1}.ID()); !errors.Is(err, ErrDiskFailed) {
		t.Errorf("unlink: %v", err)
	}
}
