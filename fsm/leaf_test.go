package fsm

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"ironman/wal/event"
	"ironman/wal/merkle"
)

// checkLeaves holds leaves to the log: dense, in order of time, each naming its
// entry and committing to its proposal and outcome.
func checkLeaves(t *testing.T, w *world, leaves []Leaf, root tlog.Hash) {
	t.Helper()
	var stored hashes
	var last event.Envelope
	for i, l := range leaves {
		hs, err := tlog.StoredHashes(int64(i), l.Envelope, &stored)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, hs...)
		env := &event.Envelope{}
		if err := event.Decode(l.Envelope, env); err != nil {
			t.Fatal(err)
		}
		if l.Seq != uint64(i) || env.Seq != l.Seq || i > 0 && env.Time <= last.Time || len(l.Envelope) >= 64<<10 {
			t.Fatalf("leaf %d: %v", i, env)
		}
		_, proposal, err := event.ParseEntry(w.log[l.Index-1].Data)
		if err != nil {
			t.Fatal(err)
		}
		statement, items := event.Split(proposal)
		sums := make([][32]byte, len(items))
		for j := range items {
			sums[j] = event.ItemHash(items[j])
		}
		s, is := event.StatementHash(statement), event.ItemsHash(sums)
		if !bytes.Equal(env.StatementHash, s[:]) || !bytes.Equal(env.ItemsHash, is[:]) {
			t.Fatalf("leaf %d commits to another proposal", i)
		}
		want := w.want[l.Index-1]
		outcome := env.Outcome
		if len(env.OutcomeHash) > 0 {
			outcome = l.Outcome
			if h := event.OutcomeHash(outcome); !bytes.Equal(env.OutcomeHash, h[:]) {
				t.Fatalf("leaf %d commits to another outcome", i)
			}
		}
		if !bytes.Equal(outcome, event.Canonical(want.Outcome)) || env.Refusal != want.Outcome.Refusal || want.Seq != l.Seq {
			t.Fatalf("leaf %d: %v, want %v", i, env, want)
		}
		last.Time = env.Time
	}
	if want, err := tlog.TreeHash(int64(len(leaves)), &stored); err != nil || want != root {
		t.Fatalf("root %v, want %v, %v", root, want, err)
	}
}

// hashes is a Merkle log in memory.
type hashes []tlog.Hash

func (h *hashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, x := range indexes {
		if x >= int64(len(*h)) {
			return nil, errors.New("no such hash")
		}
		out[i] = (*h)[x]
	}
	return out, nil
}

func TestLeaves(t *testing.T) {
	w, _ := recordedLog(t, 13, 100)
	m := memory(t, Options{Window: 150})
	w.feed(t, m, 0, len(w.log), rand.New(rand.NewPCG(1, 2)))
	next := m.Applied().Next
	count := func(from uint64, max int) int {
		leaves, err := m.Leaves(from, max)
		if err != nil {
			t.Fatal(err)
		}
		for i, l := range leaves {
			if l.Seq != from+uint64(i) {
				t.Fatalf("leaf %d is %d", i, l.Seq)
			}
		}
		return len(leaves)
	}
	if n := count(0, 7); n != 7 {
		t.Errorf("%d leaves of at most 7", n)
	}
	if n := count(next, 7) + count(0, 0) + count(0, -1); n != 0 {
		t.Errorf("%d leaves where there are none", n)
	}
	if err := m.DropLeaves(20); err != nil {
		t.Fatal(err)
	}
	if n := count(19, 100); n != 0 {
		t.Errorf("%d leaves from one that was dropped", n)
	}
	if n := count(20, 1000); n != int(next)-20 {
		t.Errorf("%d leaves are left of %d", n, next)
	}
	before := m.Applied()
	if m.Applied().Digest != recomputed(t, m) {
		t.Error("dropping leaves changed the state")
	}
	if err := m.DropLeaves(next + 100); err != nil {
		t.Fatal(err)
	}
	m.Apply([]Entry{{Index: before.Index + 1, Term: 1, Data: []byte{1}}})
	if n := count(next, 10); n != 1 {
		t.Errorf("%d leaves after all had been dropped and one event came", n)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestLedgerEdge: the edge and the queue are of one moment, whatever is applied
// meanwhile, and make the tree of all leaves.
func TestLedgerEdge(t *testing.T) {
	w, _ := recordedLog(t, 17, 100)
	m := memory(t, Options{Window: 150})
	edge, queued, err := m.LedgerEdge()
	if err != nil || edge.Size() != 0 || queued != 0 {
		t.Fatalf("of nothing: %d leaves, queued from %d, %v", edge.Size(), queued, err)
	}
	applied := make(chan struct{})
	go func() {
		defer close(applied)
		w.feed(t, m, 0, len(w.log), rand.New(rand.NewPCG(1, 2)))
	}()
	below := merkle.New() // of the leaves that are dropped
	check := func() {
		edge, queued, err := m.LedgerEdge()
		if err != nil {
			t.Fatal(err)
		}
		leaves, err := m.Leaves(queued, 1<<20)
		if err != nil || queued != below.Size() || queued+uint64(len(leaves)) < edge.Size() {
			t.Fatalf("queue of %d from %d, %d are dropped, %d are in the tree, %v", len(leaves), queued, below.Size(), edge.Size(), err)
		}
		whole := below.Clone()
		for _, l := range leaves[:edge.Size()-queued] {
			whole.Append(l.Envelope)
		}
		if *whole != *edge {
			t.Fatal("the queue does not make the tree")
		}
		for _, l := range leaves[:(edge.Size()-queued)/2] {
			below.Append(l.Envelope)
		}
		if err := m.DropLeaves(below.Size()); err != nil {
			t.Fatal(err)
		}
	}
	for running := true; running; check() {
		select {
		case <-applied:
			running = false
		default:
		}
	}
	next := m.Applied().Next
	if err := m.DropLeaves(next); err != nil {
		t.Fatal(err)
	}
	want, err := m.Frontier()
	if err != nil {
		t.Fatal(err)
	}
	edge, queued, err = m.LedgerEdge()
	if err != nil || *edge != *want || edge.Size() != next || queued != next {
		t.Fatalf("of an empty queue: %d leaves, queued from %d, %v", edge.Size(), queued, err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestLeafFormat(t *testing.T) {
	l := Leaf{Seq: 9, Index: 1 << 40, Envelope: []byte("envelope"), Outcome: []byte("outcome")}
	b := l.encode()
	if want := "\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x08envelopeoutcome"; string(b) != want {
		t.Errorf("%q", b)
	}
	back, err := decodeLeaf(key(tableLeaf, 9), b)
	if err != nil || back.Seq != 9 || back.Index != 1<<40 || string(back.Envelope) != "envelope" || string(back.Outcome) != "outcome" {
		t.Errorf("%v, %v", back, err)
	}
	for n := range 12 + 8 {
		if _, err := decodeLeaf(key(tableLeaf, 9), b[:n]); !errors.Is(err, event.ErrMalformed) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := decodeLeaf([]byte{1}, b); !errors.Is(err, event.ErrMalformed) {
		t.Errorf("short key: %v", err)
	}
}
