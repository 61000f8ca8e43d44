package server

import (
	"testing"
	"time"
)

// lagging is a node as stillness sees it.
type lagging struct {
	applied uint64
	behind  bool
}

func (l *lagging) appliedIndex() uint64 { return l.applied }
func (l *lagging) caughtUp() bool       { return !l.behind }

// TestStillness: events are proposed to fill a bundle only where nothing goes on by itself: not
// by a node that is applying what is there, or knows of more that is committed.
func TestStillness(t *testing.T) {
	n, s, now := &lagging{applied: 5}, stillness{}, time.Unix(1000, 0)
	for i, step := range []struct {
		applied uint64
		behind  bool
		want    time.Duration
	}{
		{5, false, 0}, {5, false, time.Second}, {5, false, 2 * time.Second},
		{6, false, 0}, {6, false, time.Second}, // it goes on
		{6, true, 0}, {6, true, 0}, {6, false, time.Second}, // more is committed
		{9, false, 0}, {9, false, time.Second},
	} {
		now = now.Add(time.Second)
		n.applied, n.behind = step.applied, step.behind
		if got := s.look(n, now); got != step.want {
			t.Errorf("look %d: still for %v, want %v", i, got, step.want)
		}
	}
	// Behind what was proposed it has to be seen anew whether that is enough.
	if s = (stillness{}); s.look(n, now) != 0 {
		t.Error("it is taken for still at once")
	}
}

// TestErasuresDone: nobody has done it where nobody is asked.
func TestErasuresDone(t *testing.T) {
	done, not := ErasureNode{Node: 1, Done: true}, ErasureNode{Node: 2}
	for _, c := range []struct {
		nodes []ErasureNode
		want  bool
	}{{nil, false}, {[]ErasureNode{done}, true}, {[]ErasureNode{done, not}, false}} {
		if e := (&Erasures{Nodes: c.nodes, Removed: []uint32{3}}); e.Done() != c.want {
			t.Errorf("%+v: done is %v", c.nodes, e.Done())
		}
	}
}
