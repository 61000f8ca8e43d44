package fsm

import (
	"testing"

	"ironman/wal/event"
	"ironman/wal/merkle"
)

// TestMilestones: what is remembered is what the tree was then.
func TestMilestones(t *testing.T) {
	r := newRig(t, Options{})
	defer r.close()
	if _, ok := r.LastMilestone(); ok {
		t.Error("a milestone before the first event")
	}
	r.genesis(0)
	tree := merkle.New()
	add := func(from uint64) {
		leaves, err := r.Leaves(from, 5000)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range leaves {
			tree.Append(l.Envelope)
			if got, ok := r.MilestoneAt(tree.Size()); ok && got.Root != tree.Root() {
				t.Fatalf("the milestone at %d is another tree's", tree.Size())
			} else if remembered := tree.Size()%milestoneEvery == 0; remembered != ok && tree.Size() != r.Applied().Next {
				t.Errorf("milestone at %d: %v", tree.Size(), ok)
			}
		}
	}
	for range 2000 {
		r.propose(event.NewDraft(r.header(), &event.Statement_Cancel{Cancel: &event.Cancel{RequestId: id16(1)}}))
	}
	add(0)
	last, ok := r.LastMilestone()
	if !ok || last.Next != r.Applied().Next/milestoneEvery*milestoneEvery {
		t.Errorf("the last milestone is at %d of %d", last.Next, r.Applied().Next)
	}
	if now, err := r.Present(); err != nil || now.Root != tree.Root() || now.Next != tree.Size() {
		t.Errorf("present: %v, %v", now.Next, err)
	}
	for _, next := range []uint64{0, 1, tree.Size() + 1, 1 << 40} {
		if _, ok := r.MilestoneAt(next); ok {
			t.Errorf("a milestone at %d", next)
		}
	}
}

// TestMilestonesAreBounded: the oldest go.
func TestMilestonesAreBounded(t *testing.T) {
	var s milestones
	f := merkle.New()
	for range milestoneEvery * (milestonesKept + 10) {
		f.Append(nil)
		s.pass(f)
	}
	if len(s.kept) > milestonesKept {
		t.Errorf("%d are kept", len(s.kept))
	}
	if _, ok := s.at(milestoneEvery); ok {
		t.Error("the first is still there")
	}
	if got, ok := s.at(f.Size()); !ok || got.Root != f.Root() {
		t.Error("the last is not")
	}
}
