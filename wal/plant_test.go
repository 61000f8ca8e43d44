package wal

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"ironman/wal/segment"
)

// rawEntries are given as Plant takes them.
func rawEntries(entries []segment.Entry) iter.Seq2[segment.Entry, error] {
	return func(yield func(segment.Entry, error) bool) {
		for _, e := range entries {
			if !yield(e, nil) {
				return
			}
		}
	}
}

// plantedEntries are events of indexes from to to, in two terms.
func plantedEntries(t testing.TB, from, to uint64) (out []segment.Entry) {
	for _, c := range fakeEntries(t, from, to) {
		out = append(out, segment.Entry{Index: c.Index, Term: 1 + c.Index/20, Data: c.Data})
	}
	return out
}

// plantState makes a state that has applied events up to index.
func plantState(t testing.TB, fs vfs.FS, index uint64) {
	t.Helper()
	m := openDirMachine(t, fs, "state")
	m.Apply(fakeEntries(t, 1, index))
	if err := errors.Join(m.Flush(), writeNew(fs, "state/LOCK", nil)); err != nil {
		t.Fatal(err)
	}
}

func plantOptions(t testing.TB, fs vfs.FS, entries []segment.Entry) PlantOptions {
	return PlantOptions{
		FS: fs, Dir: "wal", State: "state", ID: "node-1", Index: 40, Term: 3, Entries: rawEntries(entries), SegmentBytes: 16 << 10,
		Fatal: func(err error) { t.Errorf("fatal: %v", err); panic(err) },
	}
}

// TestPlant: a node goes on alone from the state and the last entries of a cluster of
// three, whose configurations stand in these entries, and leads under terms of its own.
func TestPlant(t *testing.T) {
	c := newCluster(t, 3, nil)
	old := c.leader()
	for i := range 40 {
		old.mustPropose(i)
	}
	var entries []segment.Entry
	var committed []Committed
	configurations, last := 0, old.machine.AppliedIndex()
	for i := uint64(1); i <= last; i++ {
		e, err := old.log.Entry(i)
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
		switch raft.LogType(e.Type) {
		case raft.LogCommand:
			committed = append(committed, Committed{Index: e.Index, Term: e.Term, Data: e.Data})
		case raft.LogConfiguration:
			committed = append(committed, Committed{Index: e.Index, Term: e.Term})
			if i > 2 && strings.Contains(string(e.Data), "node-3") {
				configurations++
			}
		}
	}
	if configurations == 0 {
		t.Fatal("no entry makes node-3 a member")
	}
	fs := newPowerDisk()
	m := openDirMachine(t, fs, "state")
	m.Apply(committed)
	if err := m.Flush(); err != nil {
		t.Fatal(err)
	}
	o := plantOptions(t, fs, entries[2:])
	o.ID, o.Index, o.Term = "node-9", last, entries[last-1].Term
	if err := Plant(o); err != nil {
		t.Fatal(err)
	}
	for life := range 2 {
		fs = fs.cut(0, nil)
		m = openDirMachine(t, fs, "state")
		if err := restoreState(fs, nil); err != nil {
			t.Fatal(err)
		}
		options := storesOptions(t, fs, m)
		options.ID = "node-9"
		n, err := Open(options)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		if err := n.Barrier(ctx); err != nil {
			t.Fatal(err)
		}
		if got := n.Members(); !slices.Equal(got, []Member{{ID: "node-9", Voter: true}}) {
			t.Errorf("the members are %v", got)
		}
		if term := n.raft.CurrentTerm(); term <= o.Term {
			t.Errorf("it leads in term %d, the old cluster's last was %d", term, o.Term)
		}
		a, err := n.Propose(ctx, proposal(t, 1000+life))
		if err != nil || a.Seq != uint64(40+life) {
			t.Errorf("event %d, %v", a.Seq, err)
		}
		for _, want := range entries[2:] {
			e, err := n.log.ArchiveEntry(want.Index)
			if err != nil || e.Term != want.Term || e.Type != want.Type || string(e.Data) != string(want.Data) {
				t.Fatalf("entry %d is not what it was (%v)", want.Index, err)
			}
		}
		cancel()
		if err := errors.Join(n.Close(), m.Flush()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPlantWithoutEntries: the ledger has all events, and the log begins behind them.
func TestPlantWithoutEntries(t *testing.T) {
	fs := newPowerDisk()
	plantState(t, fs, 40)
	if err := Plant(plantOptions(t, fs, nil)); err != nil {
		t.Fatal(err)
	}
	n, m, err := start(t, fs)
	if err != nil {
		t.Fatal(err)
	}
	defer n.closeStores()
	if n.log.Floor() != 40 || n.log.Last() != 0 || m.AppliedIndex() != 40 || n.snapshots.newestID() != (snapshotID{40, 3}) {
		t.Errorf("log %d to %d, state %d, snapshot %v", n.log.Floor(), n.log.Last(), m.AppliedIndex(), n.snapshots.newestID())
	}
}

// TestPlantRefused: what does not end with the state's last entry, has a gap or is newer
// makes no log; nor is one made where there is one.
func TestPlantRefused(t *testing.T) {
	with := func(change func([]segment.Entry) []segment.Entry) func(testing.TB) iter.Seq2[segment.Entry, error] {
		return func(t testing.TB) iter.Seq2[segment.Entry, error] {
			return rawEntries(change(plantedEntries(t, 11, 40)))
		}
	}
	for _, c := range []struct {
		say     string
		entries func(testing.TB) iter.Seq2[segment.Entry, error]
	}{
		{"end with 39", with(func(e []segment.Entry) []segment.Entry { return e[:29] })},
		{"entry 21 stands where 20 belongs", with(func(e []segment.Entry) []segment.Entry { return slices.Delete(e, 9, 10) })},
		{"entry 41 stands", with(func(e []segment.Entry) []segment.Entry { return append(e, segment.Entry{Index: 41, Term: 3}) })},
		{"entry 30 is of term 1", with(func(e []segment.Entry) []segment.Entry { e[19].Term = 1; return e })},
		{"entry 15 is of term 0", with(func(e []segment.Entry) []segment.Entry { e[4].Term = 0; return e })},
		{"entry 40 is of term 4", with(func(e []segment.Entry) []segment.Entry { e[29].Term = 4; return e })},
		{"entry 12 is of type 77: newer", with(func(e []segment.Entry) []segment.Entry { e[1].Type = 77; return e })},
		{"the target is gone", func(t testing.TB) iter.Seq2[segment.Entry, error] {
			return func(yield func(segment.Entry, error) bool) { yield(segment.Entry{}, errors.New("the target is gone")) }
		}},
	} {
		fs := vfs.NewMem()
		plantState(t, fs, 40)
		o := plantOptions(t, fs, nil)
		o.Entries = c.entries(t)
		if err := Plant(o); err == nil || !strings.Contains(err.Error(), c.say) {
			t.Errorf("%q instead of: %s", err, c.say)
		}
		if err := CheckPresent(fs, "wal"); err == nil {
			t.Errorf("%s: there is a log", c.say)
		}
		if err := Plant(plantOptions(t, fs, plantedEntries(t, 11, 40))); err == nil || !strings.Contains(err.Error(), "is there already") {
			t.Errorf("%s: planted over what was left: %v", c.say, err)
		}
	}
}

// A power cut at every operation of Plant leaves what is no log, or all of it.
func TestPlantCrash(t *testing.T) {
	disk := newPowerDisk()
	plantState(t, disk, 40)
	entries := plantedEntries(t, 11, 40)
	rng := rand.New(rand.NewPCG(7, 7))
	cuts, whole := 0, 0
	check := func(what string, left *powerDisk) error {
		if CheckPresent(left, "wal") != nil {
			return nil
		}
		whole++
		n, m, err := start(t, left)
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		if n.log.Last() != 40 || n.log.Floor() != 10 || m.AppliedIndex() != 40 || n.snapshots.newestID() != (snapshotID{40, 3}) || n.snapshots.isDamaged(n.snapshots.newest()) {
			err = fmt.Errorf("%s: log %d to %d, state %d, snapshot %v", what, n.log.Floor(), n.log.Last(), m.AppliedIndex(), n.snapshots.newestID())
		}
		return errors.Join(err, n.closeStores())
	}
	var failed error
	disk.listen(func(op string) error {
		for _, percent := range []int{0, 100, 50} {
			cuts++
			if failed == nil {
				failed = check(fmt.Sprintf("%d %% before %s", percent, op), disk.cut(percent, rng))
			}
		}
		return nil
	})
	err := Plant(plantOptions(t, disk, entries))
	disk.listen(nil)
	if err := errors.Join(err, failed); err != nil {
		t.Fatal(err)
	}
	whole = 0
	if err := check("at the end", disk.cut(0, rng)); err != nil || whole != 1 {
		t.Fatalf("planted, but not for good: %v", err)
	}
	if cuts < 60 {
		t.Errorf("only %d cuts", cuts)
	}
}
