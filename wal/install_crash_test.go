package wal

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// A power cut at every operation of an installation, from the first byte to the end
// of the start that finishes it: the node always starts, at what it had or with the
// snapshot, never with a part of either; once published it is the snapshot. It then
// goes on to the same end.
func TestInstallCrash(t *testing.T) {
	b := sentSnapshot(t, 40, 3, 5000)
	for _, c := range installations() {
		if c.refused != "" {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			x := &crashes{t: t, stream: b, rng: rand.New(rand.NewPCG(3, 4)), every: 23, percents: []int{0, 100, 25, 75}}
			if testing.Short() {
				x.every, x.percents = 53, []int{0, 60}
			}
			disk := newPowerDisk()
			f := begin(t, disk)
			c.past(f)
			if err := f.machine.Flush(); err != nil {
				t.Fatal(err)
			}
			x.applied, x.floor, x.last = f.machine.AppliedIndex(), f.node.log.Floor(), f.node.log.Last()
			f.node.snapshots.published = func(index, term uint64) {
				f.node.logs.SetSnapshot(index, term)
				x.published = true
			}
			x.watch(disk, func() {
				if restarted, err := f.receive(40, 3, b); !restarted || err != nil {
					t.Fatal(restarted, err)
				}
			})
			after := disk.cut(0, nil)
			f.close()
			x.watch(after, func() { begin(t, after).close() })
			if x.n < 35*len(x.percents) || x.nested < 10 { // the log's background varies them
				t.Errorf("only %d crashes, %d in a recovery", x.n, x.nested)
			}
			t.Logf("%d crashes, %d in a recovery", x.n, x.nested)
		})
	}
}

// crashes cuts the power at every operation of what it watches, and starts on what
// is left.
type crashes struct {
	t                    testing.TB
	stream               []byte
	rng                  *rand.Rand
	percents             []int  // of what was not synced that are left
	applied, floor, last uint64 // where the follower stood before
	published            bool   // it must be the snapshot
	n, nested, every     int
	failed               error // the first
}

func (x *crashes) watch(disk *powerDisk, f func()) {
	x.t.Helper()
	disk.listen(func(op string) error {
		for _, percent := range x.percents {
			x.n++
			x.visit(fmt.Sprintf("%d %% before %s", percent, op), disk.cut(percent, x.rng), x.n%x.every == 0)
		}
		return nil
	})
	f()
	disk.listen(nil)
	if x.failed != nil {
		x.t.Fatal(x.failed)
	}
}

// visit may be called by a goroutine of the log: it keeps its error.
func (x *crashes) visit(what string, disk *powerDisk, nested bool) {
	if x.failed != nil {
		return
	}
	if err := x.recover(what, disk, nested); err != nil {
		x.failed = fmt.Errorf("%s: %w", what, err)
	}
}

// recover starts on what a crash left; nested, with a crash at each of its own steps.
func (x *crashes) recover(what string, disk *powerDisk, nested bool) error {
	if err := x.oldOrNew(disk); err != nil {
		return err
	}
	if nested {
		again := disk.cut(100, nil)
		again.listen(func(op string) error {
			x.nested++
			x.visit(what+"; then before "+op, again.cut([]int{0, 100, 50}[x.nested%3], x.rng), false)
			return nil
		})
		n, _, err := start(x.t, again)
		again.listen(nil)
		if err != nil {
			return err
		}
		if err := n.closeStores(); err != nil {
			return err
		}
	}
	node, machine, err := start(x.t, disk)
	if err != nil {
		return err
	}
	f := &follower{t: x.t, fs: disk, node: node, machine: machine}
	if n := node.snapshots.newestID(); n.Index != 40 {
		if x.published {
			return fmt.Errorf("the newest snapshot is %v", n)
		}
		if err := f.stands(x.applied, x.floor, x.last); err != nil {
			return err
		}
		if restarted, err := f.receive(40, 3, x.stream); !restarted || err != nil {
			return fmt.Errorf("restarted: %v, %w", restarted, err)
		}
		after := disk.cut(0, nil)
		f.close()
		if f.node, f.machine, err = start(x.t, after); err != nil {
			return err
		}
		disk = after
	}
	if strings.Join(f.machine.seen, " ") != seenOf(40) || f.node.snapshots.newest().installing {
		return fmt.Errorf("the state stands at %d", f.machine.index)
	}
	if got := names(x.t, disk, "."); !slices.Equal(got, []string{"state", "wal"}) {
		return fmt.Errorf("found %v", got)
	}
	f.store(41, 42, 3)
	return f.node.closeStores()
}

// oldOrNew: at every moment the old state is somewhere, whole, or the new one is in place.
func (x *crashes) oldOrNew(disk *powerDisk) error {
	for _, dir := range []string{"state", "state.old"} {
		if index, _, err := readRows(disk, dir, false); err == nil && (index == x.applied || dir == "state" && index == 40) {
			return nil
		}
	}
	return errors.New("the old state is gone, and the new one is not there")
}
