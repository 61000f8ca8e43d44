package wal

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"
)

// follower is a node without Raft on a disk in memory: its stores, and its machine.
type follower struct {
	t       testing.TB
	fs      vfs.FS
	node    *Node
	machine *dirMachine
}

// begin starts a follower, which must be possible.
func begin(t testing.TB, fs vfs.FS) *follower {
	t.Helper()
	n, m, err := start(t, fs)
	if err != nil {
		t.Fatal(err)
	}
	return &follower{t: t, fs: fs, node: n, machine: m}
}

func (f *follower) close() {
	f.t.Helper()
	if err := f.node.closeStores(); err != nil {
		f.t.Fatal(err)
	}
}

// store appends entries of a term, as raft does.
func (f *follower) store(from, to, term uint64) {
	f.t.Helper()
	var logs []*raft.Log
	for _, c := range fakeEntries(f.t, from, to) {
		logs = append(logs, &raft.Log{Index: c.Index, Term: term, Data: c.Data})
	}
	if err := f.node.logs.StoreLogs(logs); err != nil {
		f.t.Fatal(err)
	}
}

// apply applies what raft has committed up to an index.
func (f *follower) apply(to uint64) {
	f.machine.Apply(fakeEntries(f.t, f.machine.AppliedIndex()+1, to))
}

// receive is what raft does with a snapshot of another node. The process ends with
// restarted; else it goes on, with raft's own idea of what happened.
func (f *follower) receive(index, term uint64, b []byte) (restarted bool, err error) {
	r := &snapshotRig{t: f.t, fs: f.fs, store: f.node.snapshots}
	sink, err := r.receive(index, term, b, func() int { return 30000 })
	if err != nil {
		return false, err
	}
	_, reader, err := f.node.snapshots.Open(sink.ID())
	if err != nil {
		f.t.Fatal(err)
	}
	machine := &raftMachine{machine: f.machine, snapshots: f.node.snapshots, installed: func(snapshotID) {}, restart: func(string) {
		restarted = true
		runtime.Goexit()
	}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		err = machine.Restore(reader)
	}()
	<-done
	return restarted, err
}

// stands checks where a follower stands after a start.
func (f *follower) stands(applied, floor, last uint64) error {
	if got := f.machine.AppliedIndex(); got != applied || strings.Join(f.machine.seen, " ") != seenOf(applied) {
		return fmt.Errorf("the state stands at %d, not %d", got, applied)
	}
	if f.node.log.Floor() != floor || f.node.log.Last() != last {
		return fmt.Errorf("the log holds %d to %d, not %d to %d", f.node.log.Floor()+1, f.node.log.Last(), floor+1, last)
	}
	if s := f.node.snapshots.newest(); s != nil && s.installing {
		return errors.New("the snapshot is still to be installed")
	}
	return nil
}

func (f *follower) expect(applied, floor, last uint64) {
	f.t.Helper()
	if err := f.stands(applied, floor, last); err != nil {
		f.t.Fatal(err)
	}
}

// installation is a follower's past, and what becomes of a snapshot of entry 40 of term 3.
type installation struct {
	name    string
	past    func(*follower)
	refused string // why; "" : it is installed
	floor   uint64 // of the log after it, and its last entry
	last    uint64
}

func installations() []installation {
	return []installation{
		{name: "a new node", past: func(*follower) {}, floor: 40},
		{name: "far behind", past: func(f *follower) { f.store(1, 20, 1); f.apply(18) }, floor: 40},
		{name: "far behind, with a snapshot of its own", past: func(f *follower) {
			f.store(1, 20, 1)
			f.apply(18)
			(&snapshotRig{t: f.t, fs: f.fs, store: f.node.snapshots, machine: f.machine}).mustTake(18, 1)
		}, floor: 40},
		{name: "diverged up to there", past: func(f *follower) { f.store(1, 20, 1); f.store(21, 40, 2); f.apply(18) }, floor: 40},
		{name: "diverged beyond (F-R3)", past: func(f *follower) { f.store(1, 20, 1); f.store(21, 60, 2); f.apply(18) }, floor: 40},
		{name: "ends right there", past: func(f *follower) { f.store(1, 39, 1); f.store(40, 40, 3); f.apply(18) }, last: 40},
		{name: "ends right there, all applied", past: func(f *follower) { f.store(1, 39, 1); f.store(40, 40, 3); f.apply(40) }, last: 40},

		{name: "applied more", past: func(f *follower) { f.store(1, 50, 3); f.apply(41) }, refused: "late"},
		{name: "has a newer snapshot", past: func(f *follower) {
			f.store(1, 50, 3)
			f.apply(45)
			(&snapshotRig{t: f.t, fs: f.fs, store: f.node.snapshots, machine: f.machine}).mustTake(45, 3)
			f.machine.index = 40
		}, refused: "late"},
		{name: "acknowledged more", past: func(f *follower) { f.store(1, 39, 1); f.store(40, 41, 3); f.apply(5) }, refused: "does not need it"},
	}
}

// A snapshot is installed by a restart where there is nothing to lose by it, and
// refused, with nothing changed, where there is (F-R9).
func TestInstall(t *testing.T) {
	b := sentSnapshot(t, 40, 3, blockBytes)
	for _, c := range installations() {
		t.Run(c.name, func(t *testing.T) {
			fs := newPowerDisk()
			f := begin(t, fs)
			c.past(f)
			before := names(t, fs, "wal/snapshots")
			first, last := f.node.log.First(), f.node.log.Last()
			restarted, err := f.receive(40, 3, b)
			if restarted != (c.refused == "") || err != nil && !strings.Contains(err.Error(), c.refused) {
				t.Fatalf("restarted: %v, %v", restarted, err)
			}
			if !restarted {
				if f.node.log.First() != first || f.node.log.Last() != last || !slices.Equal(names(t, fs, "wal/snapshots"), before) {
					t.Fatal("something changed")
				}
				f.close()
				return
			}
			after := fs.cut(0, nil)
			f.close()
			f = begin(t, after)
			f.expect(40, c.floor, c.last)
			lock := f.node.snapshots.path(f.node.snapshots.newest().meta, stateName, "LOCK")
			if after.Same("state/LOCK", lock) {
				t.Error("the state shares its lock with the snapshot")
			}
			// The leader sends it again, for it has had no answer. Raft may then empty the log.
			if restarted, err := f.receive(40, 3, b); restarted || err != nil {
				t.Fatalf("again: %v, %v", restarted, err)
			}
			if err := f.node.logs.DeleteRange(f.node.log.First(), f.node.log.Last()); err != nil {
				t.Fatal(err)
			}
			f.store(41, 50, 3)
			// And once more, late: by now there is something to lose.
			if restarted, err := f.receive(40, 3, b); restarted || err == nil {
				t.Fatalf("late: %v, %v", restarted, err)
			}
			f.apply(45)
			again := after.cut(0, nil)
			f.close()
			f = begin(t, again)
			f.expect(40, 40, 50)
			f.close()
		})
	}
}

// F-R6: a snapshot that is damaged and needed stops the start, which changes nothing
// and says what to do. One that is not needed is told of and replaced.
func TestRestoreDamaged(t *testing.T) {
	b := sentSnapshot(t, 40, 3, 10)
	for _, c := range []struct {
		name   string
		files  []string
		needed bool // the state was not put in place yet
		starts bool
		says   string
	}{
		{"needed, a file is damaged", []string{"state/padding"}, true, false, "join anew under another identity"},
		{"needed, the rows are damaged", []string{"state/" + rowsPrefix + fmt.Sprintf("%016x", 40)}, true, false, "join anew under another identity"},
		{"needed, META is damaged", []string{metaName, metaCopy}, true, false, "nothing was changed"},
		{"needed, one META is damaged", []string{metaName}, true, true, "its second copy is whole"},
		{"the rows are damaged", []string{"state/" + rowsPrefix + fmt.Sprintf("%016x", 40)}, false, true, "a new one will be taken"},
		{"META is damaged", []string{metaName, metaCopy}, false, false, "nothing was changed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk := newPowerDisk()
			f := begin(t, disk)
			f.store(1, 20, 1)
			f.apply(20)
			if restarted, err := f.receive(40, 3, b); !restarted || err != nil {
				t.Fatal(restarted, err)
			}
			f.close()
			if !c.needed {
				f = begin(t, disk)
				f.store(41, 50, 3)
				f.apply(45)
				if err := f.machine.Flush(); err != nil {
					t.Fatal(err)
				}
				f.close()
			}
			for _, file := range c.files {
				damage(t, disk, "wal/snapshots/"+fmt.Sprintf("%016x-%016x/", 40, 3)+file, 40)
			}
			before := tree(t, disk, ".")
			var told bytes.Buffer
			err := restoreState(disk, slog.New(slog.NewTextHandler(&told, nil)))
			if said := told.String() + fmt.Sprint(err); (err == nil) != c.starts || !strings.Contains(said, c.says) {
				t.Fatalf("it says %s", said)
			}
			if !c.starts {
				if after := tree(t, disk, "."); after != before {
					t.Errorf("before\n%s\nafter\n%s", before, after)
				}
				return
			}
			f = begin(t, disk)
			if f.node.snapshots.newest().damaged {
				if !f.node.snapshotDue() {
					t.Error("no new snapshot is due")
				}
				r := &snapshotRig{t: t, fs: disk, store: f.node.snapshots, machine: f.machine}
				r.mustTake(46, 3)
				r.stream(f.node.snapshots.newest().meta.name())
			}
			f.close()
			begin(t, disk).close()
		})
	}
}

// tree lists files and their sizes.
func tree(t testing.TB, fs vfs.FS, dir string) string {
	t.Helper()
	var out strings.Builder
	for _, name := range names(t, fs, dir) {
		path := fs.PathJoin(dir, name)
		info, err := fs.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() {
			out.WriteString(path + "/\n" + tree(t, fs, path))
		} else {
			fmt.Fprintf(&out, "%s %d\n", path, info.Size())
		}
	}
	return out.String()
}

// A state or a log that ends before this node's own snapshot has lost something: the
// node does not start, and nothing is put in their place.
func TestStartRefusesWhatWasLost(t *testing.T) {
	lost := func(path string) func(vfs.FS) error { return func(fs vfs.FS) error { return fs.RemoveAll(path) } }
	for _, c := range []struct {
		name   string
		change func(vfs.FS) error
		says   string
	}{
		{"nothing", func(vfs.FS) error { return nil }, ""},
		{"the state", lost("state"), "refusing to start"},
		{"the state's files", func(fs vfs.FS) error { return errors.Join(lost("state")(fs), fs.MkdirAll("state", 0o700)) }, "refusing to start"},
		{"the log", lost("wal/log"), "there is no log"},
		{"term and vote", lost("wal/stable"), "term and vote are gone"},
		{"the snapshot", lost("wal/snapshots"), "the log begins at entry"},
	} {
		t.Run(c.name, func(t *testing.T) {
			fs := newPowerDisk()
			f := begin(t, fs)
			f.store(1, 50, 3)
			f.apply(30)
			(&snapshotRig{t: t, fs: fs, store: f.node.snapshots, machine: f.machine}).mustTake(30, 3)
			if err := f.node.logs.DeleteRange(1, 20); err != nil {
				t.Fatal(err)
			}
			f.close()
			if err := c.change(fs); err != nil {
				t.Fatal(err)
			}
			n, _, err := start(t, fs)
			if c.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				if err := n.closeStores(); err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("%v", err)
			}
		})
	}
}
