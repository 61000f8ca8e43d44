package erasure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/wal/event"
)

var (
	testCluster = [16]byte{'c', 'l', 'u', 's', 't', 'e', 'r'}
	testTime    = time.Unix(1_700_000_000, 0)
)

// fataler is what the rig needs of *testing.T and *rapid.T.
type fataler interface {
	Helper()
	Fatalf(format string, args ...any)
}

// testClock is a clock that stands still until it is moved on.
type testClock struct{ moved atomic.Int64 }

func (c *testClock) now() time.Time { return testTime.Add(time.Duration(c.moved.Load())) }

func (c *testClock) advance(d time.Duration) { c.moved.Add(int64(d)) }

// rig is a store over formatted disks of one file system. The disks all belong
// to the store's node; the topology gives them to several.
type rig struct {
	t        fataler
	fs       vfs.FS
	nodes    []int // disks of each node of the topology
	o        Options
	s        *Store
	mu       sync.Mutex
	dead     map[uint32]bool // not live in the topology
	damages  []Damage
	occurred chan struct{} // a token after damage was told
}

// newRig formats disks 1, 2, ... in directories of the same names.
func newRig(t fataler, fsys vfs.FS, nodes ...int) *rig {
	t.Helper()
	r := &rig{t: t, fs: fsys, nodes: nodes, dead: make(map[uint32]bool), occurred: make(chan struct{}, 1)}
	r.o = Options{
		ClusterID: testCluster, Node: 1, Incarnation: 1,
		Now:      func() time.Time { return testTime },
		Topology: r.topology,
		OnDamage: r.damaged,
		PackSize: 64 << 10, FirstPack: 32 << 10, LargeShard: 8 << 10,
		Policy: Policy{Cell: 1 << 10, SmallBlob: 600},
		Hedge:  time.Hour, Stall: time.Hour,
	}
	for i := range r.disks() {
		n := uint32(i + 1)
		id := Identity{Cluster: testCluster, Disk: diskID(n), Node: 1, Slot: uint32(i), Number: n}
		if err := Format(fsys, diskDir(n), id); err != nil {
			t.Fatalf("format: %v", err)
		}
		r.o.Disks = append(r.o.Disks, DiskConfig{FS: fsys, Dir: diskDir(n), Slot: uint32(i)})
	}
	return r
}

func diskDir(n uint32) string { return fmt.Sprintf("d%d", n) }

func diskID(n uint32) [16]byte { return [16]byte{'d', 'i', 's', 'k', byte(n)} }

func (r *rig) disks() int {
	n := 0
	for _, d := range r.nodes {
		n += d
	}
	return n
}

func (r *rig) topology() (out []Disk) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := uint32(0)
	for i, d := range r.nodes {
		for range d {
			n++
			out = append(out, Disk{Number: n, Node: uint32(i + 1), Live: !r.dead[n]})
		}
	}
	return out
}

func (r *rig) damaged(d Damage) {
	r.mu.Lock()
	r.damages = append(r.damages, d)
	r.mu.Unlock()
	select {
	case r.occurred <- struct{}{}:
	default:
	}
}

// open opens the store in the rig's incarnation.
func (r *rig) open() *rig {
	r.t.Helper()
	s, err := OpenStore(r.o)
	if err != nil {
		r.t.Fatalf("open: %v", err)
	}
	r.s = s
	return r
}

// reopen closes the store and opens it in the next incarnation.
func (r *rig) reopen() {
	r.t.Helper()
	r.s.Close()
	r.o.Incarnation++
	r.open()
}

func (r *rig) put(body []byte) *event.Blob {
	r.t.Helper()
	b, err := r.s.Put(context.Background(), bytes.NewReader(body), int64(len(body)), PutOptions{})
	if err != nil {
		r.t.Fatalf("put %d bytes: %v", len(body), err)
	}
	return b
}

// get reads a range to its end.
func (r *rig) get(b *event.Blob, off, length uint64) ([]byte, error) {
	return read(r.s, b, off, length)
}

func read(s *Store, b *event.Blob, off, length uint64) ([]byte, error) {
	rd, err := s.Open(context.Background(), b, off, length)
	if err != nil {
		return nil, err
	}
	got, err := io.ReadAll(rd)
	return got, errors.Join(err, rd.Close())
}

// check demands that the whole body reads back.
func (r *rig) check(b *event.Blob, body []byte) {
	r.t.Helper()
	got, err := r.get(b, 0, b.Size)
	if err != nil {
		r.t.Fatalf("get: %v", err)
	}
	if !bytes.Equal(got, body) {
		r.t.Fatalf("%d bytes read back wrong", len(body))
	}
}

// bytesOf makes n bytes that differ from seed to seed.
func bytesOf(seed uint64, n int) []byte {
	b := make([]byte, n)
	src := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), 1})
	src.Read(b)
	return b
}

// shardPath is the file of a shard.
func (r *rig) shardPath(b *event.Blob, index int) string {
	sh := b.Shards[index]
	return r.fs.PathJoin(diskDir(sh.Disk), packsName, PackKeyOf(sh.Pack).String()+packExt)
}

// file returns the content of a file.
func (r *rig) file(path string) []byte {
	r.t.Helper()
	f, err := r.fs.Open(path)
	if err != nil {
		r.t.Fatalf("%v", err)
	}
	defer f.Close()
	b, err := io.ReadAll(f)
	if err != nil {
		r.t.Fatalf("%v", err)
	}
	return b
}

// rewrite replaces part of a file, as a disk that lies would.
func (r *rig) rewrite(path string, at uint64, b []byte) {
	r.t.Helper()
	f, err := r.fs.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		r.t.Fatalf("%v", err)
	}
	_, err = f.WriteAt(b, int64(at))
	if err := errors.Join(err, f.Close()); err != nil {
		r.t.Fatalf("%v", err)
	}
}

// replace puts a file in the place of another; open handles keep the old one.
func (r *rig) replace(path string, b []byte) {
	r.t.Helper()
	f, err := r.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		r.t.Fatalf("%v", err)
	}
	_, err = f.Write(slices.Clone(b))
	if err := errors.Join(err, f.Close()); err != nil {
		r.t.Fatalf("%v", err)
	}
}
