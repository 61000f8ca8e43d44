package wal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"
)

func (r *snapshotRig) mustTake(index, term uint64) {
	r.t.Helper()
	if err := r.take(index, term); err != nil {
		r.t.Fatal(err)
	}
}

// A snapshot of this node is there after a start, the one before it is not, and
// raft finds out what it needs of it.
func TestSnapshotOfThisNode(t *testing.T) {
	fs := vfs.NewMem()
	r := newSnapshotRig(t, fs)
	var told []uint64
	r.store.published = func(index, _ uint64) { told = append(told, index) }
	r.mustTake(5, 1)
	r.mustTake(9, 2)
	r.mustTake(9, 2) // nothing was applied since
	if err := r.take(9, 3); err == nil {
		t.Error("two snapshots of one entry")
	}
	r.store = newSnapshotRig(t, fs).store
	list, err := r.store.List()
	if err != nil || len(list) != 1 || list[0].Index != 9 || list[0].Term != 2 || list[0].ConfigurationIndex != 1 ||
		len(list[0].Configuration.Servers) != 1 || list[0].ID != fmt.Sprintf("%016x-%016x", 9, 2) {
		t.Fatalf("%+v, %v", list, err)
	}
	if got := names(t, fs, "wal/snapshots"); !slices.Equal(got, []string{list[0].ID}) {
		t.Errorf("found %v", got)
	}
	if got := names(t, fs, "wal/snapshots/"+list[0].ID); !slices.Equal(got, []string{metaName, metaCopy, stateName}) {
		t.Errorf("found %v", got)
	}
	if !slices.Equal(told, []uint64{5, 9}) {
		t.Errorf("told of %v", told)
	}
	if _, err := (&snapshotSink{store: r.store, meta: goldenMeta()}).Write(nil); err != nil {
		t.Error(err)
	}
	if err := (&snapshotSink{store: r.store, meta: goldenMeta()}).Close(); !errors.Is(err, errNotPersisted) {
		t.Error(err)
	}
}

// A power cut at every operation of taking snapshots leaves the newest that was
// published, or the next, whole; the state itself is durable up to it.
func TestSnapshotCrash(t *testing.T) {
	disk := newPowerDisk()
	r := newSnapshotRig(t, disk)
	r.machine.fill = 5000
	rng := rand.New(rand.NewPCG(1, 2))
	var published uint64
	n := 0
	check := func(what string, after *powerDisk) {
		n++
		found := newSnapshotRig(t, after)
		newest := found.store.newestID().Index
		if newest < published {
			t.Fatalf("%s: found the snapshot of %d, published was %d", what, newest, published)
		}
		if got := names(t, after, "wal/snapshots"); len(got) > 1 {
			t.Fatalf("%s: found %v", what, got)
		}
		if newest == 0 {
			return
		}
		if err := found.store.check(found.store.newest()); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if found.machine.index < newest {
			t.Fatalf("%s: the state stands at %d, the snapshot at %d", what, found.machine.index, newest)
		}
	}
	disk.listen(func(op string) error {
		for _, percent := range []int{0, 100, 30, 70} {
			check(fmt.Sprintf("%d %% before %s", percent, op), disk.cut(percent, rng))
		}
		return nil
	})
	for _, index := range []uint64{3, 7, 8} {
		r.mustTake(index, 1)
		published = index
	}
	disk.listen(nil)
	check("the end", disk.cut(0, nil))
	if n < 200 {
		t.Errorf("only %d crashes", n)
	}
}

// What is received is published as it was sent, with the mark that it is to be
// installed, whatever the pieces in which it comes.
func TestReceive(t *testing.T) {
	b := sentSnapshot(t, 40, 3, 3*blockBytes)
	rng := rand.New(rand.NewPCG(7, 7))
	for range 20 {
		most := 1 + rng.IntN(100000)
		r := newSnapshotRig(t, newPowerDisk())
		r.mustTake(5, 1)
		sink, err := r.receive(40, 3, b, func() int { return 1 + rng.IntN(most) })
		if err != nil {
			t.Fatal(err)
		}
		after := newSnapshotRig(t, r.fs.(*powerDisk).cut(0, nil)) // it is durable
		n := after.store.newest()
		if n.id() != (snapshotID{40, 3}) || !n.installing || n.meta.applied != 40 || len(after.store.kept) != 1 {
			t.Fatalf("%+v", n)
		}
		index, seen, err := readRows(after.fs, after.store.path(n.meta, stateName), true)
		if err != nil || index != 40 || strings.Join(seen, " ") != seenOf(40) {
			t.Fatalf("%d, %v", index, err)
		}
		// Restore is given its head, and another node all of it.
		meta, s, err := r.store.Open(sink.ID())
		if err != nil {
			t.Fatal(err)
		}
		h, err := readHead(s)
		if err != nil || h.meta.index != 40 || meta.Index != 40 || meta.Size == 0 {
			t.Fatalf("%+v, %v", meta, err)
		}
		if got := r.stream(n.meta.name()); !bytes.Equal(got, b) {
			t.Fatal("it is sent on as something else")
		}
	}
}

// refusal is a stream that must change nothing.
type refusal struct {
	name        string
	change      func(*snapshotRig)
	index, term uint64 // as raft announces it
	says        string
}

func refusals() []refusal {
	judged := func(after int) func(*snapshotRig) {
		return func(r *snapshotRig) {
			asked := 0
			r.store.judge = func(snapshotID) (bool, error) {
				if asked++; asked > after {
					return false, errors.New("late")
				}
				return false, nil
			}
		}
	}
	return []refusal{
		{"late", judged(0), 40, 3, "late"},
		{"late when it is here", judged(1), 40, 3, "late"},
		{"repeated when it is here", func(r *snapshotRig) {
			asked := false
			r.store.judge = func(snapshotID) (bool, error) { asked = !asked; return !asked, nil }
		}, 40, 3, "went on"},
		{"another cluster", func(r *snapshotRig) { r.store.identity = func() []byte { return []byte("other") } }, 40, 3, "another cluster"},
		{"another index", func(*snapshotRig) {}, 41, 3, "of entry 40"},
		{"another term", func(*snapshotRig) {}, 40, 4, "of entry 40"},
		{"no way to verify", func(r *snapshotRig) { r.store.verify = nil }, 40, 3, "cannot verify"},
		{"the state is bad", func(r *snapshotRig) {
			r.store.verify = func(string) (uint64, error) { return 0, errors.New("rows are lost") }
		}, 40, 3, "came whole, but rows are lost"},
		{"the state stands elsewhere", func(r *snapshotRig) {
			r.store.verify = func(string) (uint64, error) { return 39, nil }
		}, 40, 3, "stands at entry 39"},
		{"no room", func(r *snapshotRig) { r.fs.(*powerDisk).leave(diskReserve + 1000) }, 40, 3, "do not fit"},
	}
}

func TestReceiveRefuses(t *testing.T) {
	b := sentSnapshot(t, 40, 3, blockBytes)
	for _, c := range refusals() {
		t.Run(c.name, func(t *testing.T) {
			r := newSnapshotRig(t, newPowerDisk())
			r.mustTake(5, 1)
			c.change(r)
			_, err := r.receive(c.index, c.term, b, func() int { return 1000 })
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v", err)
			}
			r.unchanged(5)
		})
	}
}

// unchanged: the snapshot of entry index is the only one, and nothing else is there.
func (r *snapshotRig) unchanged(index uint64) {
	r.t.Helper()
	if got := r.store.newestID().Index; got != index {
		r.t.Errorf("the newest snapshot is of %d", got)
	}
	if got := names(r.t, r.fs, "wal/snapshots"); len(got) != 1 {
		r.t.Errorf("found %v", got)
	}
	if r.fatal != nil {
		r.t.Error(r.fatal)
	}
}

// F-R2: a stream that is cut, changed or out of order at any of its bytes publishes
// nothing, leaves nothing behind, and does not hinder the next.
func TestReceiveDamage(t *testing.T) {
	b := sentSnapshot(t, 40, 3, blockBytes+10)
	r := newSnapshotRig(t, vfs.NewMem())
	r.mustTake(5, 1)
	step := 97
	if testing.Short() {
		step = 1997
	}
	for i := 0; i < len(b); i += step {
		bad := slices.Clone(b)
		bad[i] ^= 1 << (i % 8)
		for what, stream := range map[string][]byte{"changed": bad, "cut": b[:i], "longer": append(slices.Clone(b), b[:i+1]...)} {
			if _, err := r.receive(40, 3, stream, func() int { return 777 }); err == nil {
				t.Fatalf("%s at %d, and nothing noticed", what, i)
			}
		}
	}
	r.unchanged(5)
	if _, err := r.receive(40, 3, b, whole); err != nil {
		t.Fatal(err)
	}
}

// Each operation of a receipt fails once: either nothing changed, or the process ends.
func TestReceiveFailures(t *testing.T) {
	b := sentSnapshot(t, 40, 3, blockBytes+10)
	eio := errors.New("input/output error")
	for k := 1; ; k++ {
		disk := newPowerDisk()
		r := newSnapshotRig(t, disk)
		r.mustTake(5, 1)
		n, failed := 0, ""
		disk.listen(func(op string) error {
			if n++; n == k {
				failed = op
				return eio
			}
			return nil
		})
		_, err := r.receive(40, 3, b, whole)
		disk.listen(nil)
		switch {
		case failed == "":
			if err != nil || k < 20 {
				t.Fatalf("%d operations, %v", n, err)
			}
			return
		case r.fatal != nil:
			if failed != "syncdir /wal/snapshots" {
				t.Fatalf("%s failed: %v", failed, r.fatal)
			}
		case err == nil:
			// Only what was replaced may fail to go, and goes at the next start.
			if after := newSnapshotRig(t, disk); after.store.newestID().Index != 40 || len(names(t, disk, "wal/snapshots")) != 1 {
				t.Fatalf("%s failed: found %v", failed, names(t, disk, "wal/snapshots"))
			}
		case r.store.newestID().Index != 5:
			t.Fatalf("%s failed, and it was published", failed)
		default:
			newSnapshotRig(t, disk).unchanged(5)
		}
	}
}

// A snapshot stays while it is read, although newer ones are taken, and goes then.
func TestReadSnapshotStays(t *testing.T) {
	fs := vfs.NewMem()
	r := newSnapshotRig(t, fs)
	r.machine.fill = 3 * blockBytes
	r.mustTake(5, 1)
	name := r.store.newest().meta.name()
	want := r.stream(name)
	_, one, err1 := r.store.Open(name)
	_, two, err2 := r.store.Open(name)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	for i := uint64(6); ; i++ {
		if _, err := io.CopyN(&got, one, 20000); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		r.mustTake(i, 1)
		if n := len(names(t, fs, "wal/snapshots")); n != 2 {
			t.Fatalf("%d snapshots are kept", n)
		}
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Error("what was read is something else")
	}
	if err := errors.Join(one.Close(), one.Close()); err != nil {
		t.Fatal(err)
	}
	if n := len(names(t, fs, "wal/snapshots")); n != 2 {
		t.Fatalf("%d snapshots are kept while one is read", n)
	}
	if err := two.Close(); err != nil { // not read to its end
		t.Fatal(err)
	}
	if n := len(names(t, fs, "wal/snapshots")); n != 1 {
		t.Fatalf("%d snapshots are kept", n)
	}
	if _, _, err := r.store.Open(name); err == nil {
		t.Error("it is still there")
	}
}

// A damaged snapshot is not sent. It is replaced, and its files are kept until then.
func TestDamagedSnapshotIsNotSent(t *testing.T) {
	fs := vfs.NewMem()
	r := newSnapshotRig(t, fs)
	r.mustTake(5, 1)
	n := r.store.newest()
	damage(t, fs, fs.PathJoin(r.store.path(n.meta, stateName), "padding"), 0)
	for range 2 {
		if _, _, err := r.store.Open(n.meta.name()); err == nil {
			t.Fatal("it is sent")
		}
	}
	if list, err := r.store.List(); err != nil || len(list) != 1 {
		t.Fatal("raft is not told of it any more")
	}
	if !strings.Contains(r.log.String(), "damaged") {
		t.Error("nobody was told")
	}
	if got := names(t, fs, r.store.path(n.meta)); !slices.Contains(got, damagedName) || slices.Contains(got, stateName) {
		t.Errorf("found %v", got)
	}
	again := newSnapshotRig(t, fs)
	if !again.store.isDamaged(again.store.newest()) {
		t.Error("it is forgotten at the next start")
	}
	node := &Node{opts: Options{Machine: again.machine, SnapshotEntries: 1000}, snapshots: again.store}
	if node.snapshotDue() {
		t.Error("a snapshot is due although nothing was applied since")
	}
	again.machine.Apply(fakeEntries(t, 6, 6))
	if !node.snapshotDue() {
		t.Error("no new snapshot is due")
	}
	again.mustTake(6, 1)
	again.stream(again.store.newest().meta.name())
	if node.snapshotDue() || len(names(t, fs, "wal/snapshots")) != 1 {
		t.Error("the damaged one is not replaced")
	}
}

// damage flips a bit of a file, in place.
func damage(t testing.TB, fs vfs.FS, path string, at int) {
	t.Helper()
	b, err := readWhole(fs, path)
	if err != nil {
		t.Fatal(err)
	}
	b[at%len(b)] ^= 1
	if err := errors.Join(fs.Remove(path), writeNew(fs, path, b)); err != nil {
		t.Fatal(err)
	}
}

// A snapshot that is not known to have its name ends the process, and the next start
// does not believe it.
func TestSnapshotWithoutNameIsFatal(t *testing.T) {
	disk := newPowerDisk()
	r := newSnapshotRig(t, disk)
	renamed := false
	disk.listen(func(op string) error {
		renamed = renamed || strings.HasPrefix(op, "rename /wal/snapshots/tmp-")
		if renamed && op == "syncdir /wal/snapshots" {
			return errors.New("input/output error")
		}
		return nil
	})
	if err := r.take(5, 1); err == nil || r.fatal == nil {
		t.Errorf("%v, %v", err, r.fatal)
	}
	disk.listen(nil)
	if got := newSnapshotRig(t, disk).store.newestID(); got.Index != 0 {
		t.Errorf("the next start found %v", got)
	}
}

// What a start finds it makes durable: a snapshot that got its name just before its
// process was killed is still there after a power cut.
func TestSnapshotIsDurableOnceFound(t *testing.T) {
	disk := newPowerDisk()
	r := newSnapshotRig(t, disk)
	var killed *powerDisk
	disk.listen(func(op string) error {
		if killed == nil && op == "syncdir /wal/snapshots" {
			killed = &powerDisk{disk.Kill()}
		}
		return nil
	})
	r.mustTake(5, 1)
	if got := newSnapshotRig(t, killed).store.newestID(); got.Index != 5 {
		t.Fatalf("after a kill: %v", got)
	}
	if got := newSnapshotRig(t, killed.cut(0, nil)).store.newestID(); got.Index != 5 {
		t.Errorf("after a kill, a start and a power cut: %v", got)
	}
}

// One damaged META is no harm; with both there is no
// snapshot, and not an older one either.
func TestSnapshotMetaIsThereTwice(t *testing.T) {
	quiet := slog.New(slog.DiscardHandler)
	for _, c := range []struct {
		damaged []string
		ok      bool
	}{{nil, true}, {[]string{metaName}, true}, {[]string{metaCopy}, true}, {[]string{metaName, metaCopy}, false}} {
		fs := vfs.NewMem()
		r := newSnapshotRig(t, fs)
		r.mustTake(5, 1)
		_, reader, err := r.store.Open(r.store.newest().meta.name()) // keeps the older one
		if err != nil {
			t.Fatal(err)
		}
		r.mustTake(8, 1)
		for i, name := range c.damaged {
			damage(t, fs, r.store.path(r.store.newest().meta, name), 30+i)
		}
		before := names(t, fs, "wal/snapshots")
		s, err := openSnapshots(fs, "wal/snapshots", quiet, nil)
		if (err == nil) != c.ok {
			t.Errorf("%v damaged: %v", c.damaged, err)
		}
		if c.ok && s.newestID().Index != 8 {
			t.Errorf("%v damaged: found %v", c.damaged, s.newestID())
		}
		if after := names(t, fs, "wal/snapshots"); !c.ok && !slices.Equal(before, after) {
			t.Errorf("%v damaged: %v became %v", c.damaged, before, after)
		}
		if err := reader.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

var _ raft.SnapshotStore = (*snapshotStore)(nil)
