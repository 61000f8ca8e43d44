package erasure

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"ironman/sim/disk"
	"ironman/wal/event"
)

// journal is an errorfs injector that sees every operation before it happens,
// and fails none.
type journal struct {
	mu  sync.Mutex
	see func(op errorfs.Op)
}

func (j *journal) String() string { return "journal" }

func (j *journal) MaybeError(op errorfs.Op) error {
	if op.Kind.ReadOrWrite() == errorfs.OpIsWrite || op.Kind == errorfs.OpOpen { // which may create
		j.mu.Lock()
		defer j.mu.Unlock()
		if j.see != nil {
			j.see(op)
		}
	}
	return nil
}

func (j *journal) watch(see func(op errorfs.Op)) {
	j.mu.Lock()
	j.see = see
	j.mu.Unlock()
}

// acked is a blob that Put returned, and its body.
type acked struct {
	blob *event.Blob
	body []byte
}

// crash is what a power cut before some operation leaves.
type crash struct {
	at   string
	fs   *vfs.MemFS
	have []acked
}

// crashes runs script and cuts the power before every operation that changes
// the file system. All that was not synced is lost.
func crashes(mem *vfs.MemFS, j *journal, script func(ack func(acked))) (out []crash) {
	var mu sync.Mutex
	var have []acked
	n := 0
	j.watch(func(op errorfs.Op) {
		n++
		mu.Lock()
		know := slices.Clone(have) // before the copy: it may only hold more
		mu.Unlock()
		clone := mem.CrashClone(vfs.CrashCloneCfg{})
		out = append(out, crash{fmt.Sprintf("operation %d (%d %s)", n, op.Kind, op.Path), clone, know})
	})
	script(func(a acked) {
		mu.Lock()
		have = append(have, a)
		mu.Unlock()
	})
	j.watch(nil)
	return out
}

// script puts blobs of all kinds, some at the same time, so that packs fill up
// and are replaced.
func script(t *testing.T, s *Store) func(ack func(acked)) {
	return func(ack func(acked)) {
		put := func(seed uint64, n int, size int64) {
			body := bytesOf(seed, n)
			b, err := s.Put(context.Background(), bytes.NewReader(body), size, PutOptions{})
			if err != nil {
				t.Errorf("put: %v", err)
				return
			}
			ack(acked{b, body})
		}
		for i := range uint64(6) {
			put(i, 100, 100)
			put(i, 3000, 3000)
		}
		put(20, 20000, 20000)
		put(21, 20000, -1)
		var wg sync.WaitGroup
		for i := range uint64(6) {
			wg.Go(func() { put(30+i, 500+int(i)*1500, -1) })
		}
		wg.Wait()
		for i := range uint64(4) {
			put(40+i, 18000, 18000)
		}
	}
}

// After a power cut at any operation every blob that was returned is whole, the
// packs that survive are sealed, and writing goes on.
func TestCrashAtEveryOperation(t *testing.T) {
	mem := vfs.NewCrashableMem()
	j := &journal{}
	r := newRig(t, errorfs.Wrap(mem, j), 1, 1, 1)
	r.o.PackSize, r.o.FirstPack = 32<<10, 16<<10
	r.open()
	all := crashes(mem, j, script(t, r.s))
	r.s.Close()
	t.Logf("%d crashes", len(all))
	if last := len(all[len(all)-1].have); len(all) < 150 || last < 18 {
		t.Fatalf("only %d operations, %d blobs", len(all), last)
	}
	for i, c := range all {
		after := reborn(t, r, c.fs, r.o.Incarnation+1)
		for n, a := range c.have {
			// The newest ones each time, the older ones turn by turn.
			if n+4 < len(c.have) && (i+n)%5 != 0 {
				continue
			}
			if d, err := after.s.Verify(t.Context(), a.blob); err != nil || len(d) > 0 {
				t.Fatalf("crash before %s: blob %v: %v, %v", c.at, a.blob, d, err)
			}
			if (i+n)%2 == 0 {
				after.check(a.blob, a.body)
			}
		}
		if i%10 == 0 {
			goOn(t, after, c.at)
		}
		after.s.Close()
	}
}

// reborn opens the disks of a rig on what a crash left.
func reborn(t *testing.T, r *rig, fs vfs.FS, incarnation uint64) *rig {
	t.Helper()
	after := &rig{t: t, fs: fs, nodes: r.nodes, dead: map[uint32]bool{}, o: r.o, occurred: make(chan struct{}, 1)}
	after.o.Topology, after.o.OnDamage = after.topology, after.damaged
	after.o.Disks = slices.Clone(r.o.Disks)
	for i := range after.o.Disks {
		after.o.Disks[i].FS = fs
	}
	after.o.Incarnation = incarnation
	return after.open()
}

// goOn makes sure that a store that came back can be used.
func goOn(t *testing.T, r *rig, at string) {
	t.Helper()
	for n := range uint32(3) {
		packs, err := r.s.Packs(n + 1)
		if err != nil {
			t.Fatalf("crash before %s: %v", at, err)
		}
		for _, p := range packs {
			if p.Pack.Incarnation < r.o.Incarnation && !p.Sealed {
				t.Fatalf("crash before %s: pack %v is open", at, p)
			}
			// Whatever the crash left can be scanned.
			_ = r.s.Scan(t.Context(), n+1, p.Pack.ID(), func(Record) error { return nil })
		}
	}
	body := bytesOf(99, 5000)
	r.check(r.put(body), body)
}

// A power cut while the disks are opened, or formatted, does no harm either.
func TestCrashWhileOpening(t *testing.T) {
	mem := vfs.NewCrashableMem()
	j := &journal{}
	r := newRig(t, errorfs.Wrap(mem, j), 3)
	r.open()
	body := bytesOf(1, 20000)
	b := r.put(body)
	r.s.Close()
	r.o.Incarnation++
	all := crashes(mem, j, func(func(acked)) { r.open().s.Close() })
	for i, c := range all {
		// Twice: the crash may also hit the recovery.
		j2 := &journal{}
		again := reborn(t, r, errorfs.Wrap(c.fs, j2), r.o.Incarnation+1)
		again.check(b, body)
		again.s.Close()
		if i%3 != 0 {
			continue
		}
		for _, c2 := range crashes(c.fs, j2, func(func(acked)) { reborn(t, again, again.fs, r.o.Incarnation+2).s.Close() }) {
			third := reborn(t, r, c2.fs, r.o.Incarnation+3)
			third.check(b, body)
			third.s.Close()
		}
	}
}

func TestCrashWhileFormatting(t *testing.T) {
	mem := vfs.NewCrashableMem()
	j := &journal{}
	fs := errorfs.Wrap(mem, j)
	id := Identity{Cluster: testCluster, Disk: diskID(1), Node: 1, Slot: 0, Number: 1}
	done := false
	var all []crash
	all = crashes(mem, j, func(func(acked)) {
		if err := Format(fs, "d", id); err != nil {
			t.Fatal(err)
		}
		done = true
	})
	all = append(all, crash{"the end", mem.CrashClone(vfs.CrashCloneCfg{}), nil})
	for i, c := range all {
		got, err := ReadIdentity(c.fs, "d")
		switch {
		case err == nil && got != id:
			t.Errorf("crash before %s: %+v", c.at, got)
		case err != nil && i == len(all)-1 && done:
			t.Errorf("formatted disk is lost: %v", err)
		}
		if err := Format(c.fs, "d", id); err != nil {
			t.Errorf("crash before %s: format again: %v", c.at, err)
		}
	}
}

// TestFormatIsWhole: whatever is left of a directory that was being made a disk, an
// identity has a directory of packs beside it; and formatting it again makes durable
// what a process that was killed left, too.
func TestFormatIsWhole(t *testing.T) {
	const dir = "/mnt/new/disk"
	id := Identity{Cluster: testCluster, Disk: diskID(1), Node: 1, Slot: 0, Number: 1}
	d := disk.New(nil, disk.Config{})
	rng := rand.New(rand.NewPCG(1, 1))
	type left struct {
		op   disk.Op
		how  string
		disk *disk.Disk
	}
	var all []left
	end := func(op disk.Op) error {
		all = append(all, left{op, "killed", d.Kill()})
		for range 16 {
			all = append(all, left{op, "without power", d.Cut(rng, disk.Loss{Blocks: 0.5, Sizes: 0.5, Entries: 0.5})})
		}
		return nil
	}
	d.Watch(disk.Hooks{Before: end})
	if err := Format(d, dir, id); err != nil {
		t.Fatal(err)
	}
	_ = end(disk.Op{})
	whole := func(d *disk.Disk) error {
		if _, err := ReadIdentity(d, dir); err != nil {
			return err
		}
		_, err := d.List(dir + "/packs")
		return err
	}
	for _, c := range all {
		if err := whole(c.disk); err != nil && !errors.Is(err, ErrNoIdentity) {
			t.Errorf("%s before %q: %v", c.how, c.op, err)
		}
		if err := Format(c.disk, dir, id); err != nil {
			t.Errorf("%s before %q: format again: %v", c.how, c.op, err)
		}
		if err := whole(c.disk.Cut(nil, disk.Keep(0))); err != nil {
			t.Errorf("%s before %q, formatted again, and then without power: %v", c.how, c.op, err)
		}
	}
}

// TestFormatAfterFailedSync lets one sync of a format after the other fail, as Linux does
// it: what was to be synced counts as clean, and a later sync does nothing for it. The
// next format makes it anew, and the power may go then.
func TestFormatAfterFailedSync(t *testing.T) {
	const dir = "/mnt/new/disk"
	id := Identity{Cluster: testCluster, Disk: diskID(1), Node: 1, Slot: 0, Number: 1}
	for n := 1; ; n++ {
		d := disk.New(nil, disk.Config{})
		count := 0
		d.Volume("/").Faults(disk.Rule{Fault: disk.SyncError, P: 1, Times: 1, Match: func(disk.Op) bool {
			count++
			return count == n
		}})
		err := Format(d, dir, id)
		if count < n {
			if n < 6 {
				t.Errorf("only %d syncs failed", n-1)
			}
			return
		}
		if err == nil {
			t.Errorf("sync %d failed, and the disk is formatted", n)
		}
		d.Volume("/").Heal()
		if err := Format(d, dir, id); err != nil {
			t.Errorf("sync %d failed: format again: %v", n, err)
		}
		left := d.Cut(nil, disk.Keep(0))
		if got, err := ReadIdentity(left, dir); err != nil || got != id {
			t.Errorf("sync %d failed; formatted again, and then without power: %v, %v", n, got, err)
		}
		if _, err := left.List(dir + "/packs"); err != nil {
			t.Errorf("sync %d failed; formatted again, and then without power: %v", n, err)
		}
	}
}

// The order of file operations is the durability protocol.
func TestGoldenOperations(t *testing.T) {
	j := &journal{}
	r := newRig(t, errorfs.Wrap(vfs.NewMem(), j), 1)
	r.o.LargeShard = 200 << 10
	r.o.PackSize, r.o.FirstPack = 1<<20, 1<<20
	r.o.Policy.Cell = 64 << 10
	var out strings.Builder
	trace := func(title string, do func()) {
		fmt.Fprintf(&out, "%s\n----\n", title)
		j.watch(func(op errorfs.Op) {
			fmt.Fprintf(&out, "%s %s", opName(op.Kind), op.Path)
			if op.Kind == errorfs.OpFileWriteAt {
				fmt.Fprintf(&out, " at %d", op.Offset)
			}
			out.WriteByte('\n')
		})
		do()
		j.watch(nil)
		out.WriteByte('\n')
	}
	trace("open, first put", func() {
		r.open()
		r.put([]byte("a"))
	})
	trace("small put", func() { r.put(make([]byte, 4096)) })
	trace("medium put, the first", func() { r.put(make([]byte, 150<<10)) })
	trace("medium put", func() { r.put(make([]byte, 150<<10)) })
	trace("large put", func() { r.put(make([]byte, 300<<10)) })
	trace("put of unknown length", func() {
		if _, err := r.s.Put(t.Context(), bytes.NewReader(make([]byte, 100<<10)), -1, PutOptions{}); err != nil {
			t.Fatal(err)
		}
	})
	trace("put of unknown length, large", func() {
		if _, err := r.s.Put(t.Context(), bytes.NewReader(make([]byte, 300<<10)), -1, PutOptions{}); err != nil {
			t.Fatal(err)
		}
	})
	trace("unlink", func() {
		if err := r.s.Unlink(t.Context(), 1, PackKey{1, 3}.ID()); err != nil {
			t.Fatal(err)
		}
	})
	r.s.Close()
	golden(t, "operations.txt", out.String())
}

func opName(k errorfs.OpKind) string {
	switch k {
	case errorfs.OpCreate:
		return "create"
	case errorfs.OpOpen:
		return "open"
	case errorfs.OpRemove:
		return "remove"
	case errorfs.OpFileClose:
		return "close"
	case errorfs.OpFileWriteAt:
		return "write"
	case errorfs.OpFileSync:
		return "sync"
	case errorfs.OpFileSyncData:
		return "sync-data"
	case errorfs.OpFileSyncTo:
		return "sync-to"
	case errorfs.OpFilePreallocate:
		return "preallocate"
	}
	return fmt.Sprintf("operation %d", k)
}
