package wal

import (
	"context"

	"github.com/hashicorp/raft"

	"ironman/wal/event"
	"ironman/wal/ledger"
	"ironman/wal/merkle"
)

// Committed is an entry that a majority holds.
type Committed struct {
	Index, Term uint64
	Data        []byte // an event's entry; nil: the entry only moves the index
}

// Applied is what the state machine made of an event.
type Applied struct {
	Seq       uint64
	Outcome   *event.Outcome
	Duplicate bool // the outcome is that of the first proposal of its request id
}

// Leaf is an envelope that is not in the ledger yet.
type Leaf struct {
	Seq, Index        uint64
	Envelope, Outcome []byte // Outcome only where it is too long for the envelope
}

// Machine is the state machine that the log drives.
type Machine interface {
	// Apply applies entries in order and returns one result for each. Called by
	// one goroutine. It skips what it has applied before.
	Apply([]Committed) []Applied
	// AppliedIndex is the index of the last entry that was applied.
	AppliedIndex() uint64
	// WaitApplied returns once the entry at index is applied.
	WaitApplied(ctx context.Context, index uint64) error
	// Flush makes durable what was applied so far.
	Flush() error
	// Checkpoint flushes and links the state into a directory that is not there
	// yet, and returns the applied index that copy holds.
	Checkpoint(dir string) (index uint64, err error)
	// Leaves returns queued leaves from seq on, dense, at most max.
	Leaves(from uint64, max int) ([]Leaf, error)
	// DropLeaves forgets the leaves below seq: they are in the ledger.
	DropLeaves(seq uint64) error
	// Erased returns what was erased of the events from one sequence to below another,
	// ascending: nothing of that may be archived or told, whatever the log still holds.
	Erased(from, to uint64) ([]ledger.Target, error)
	// LedgerEdge returns the right edge of the tree of all leaves, and the sequence
	// of the first one that is queued (the tree's size if none is), both of one moment.
	LedgerEdge() (edge *merkle.Frontier, queued uint64, err error)
}

// raftMachine is the Machine as raft wants it.
type raftMachine struct {
	machine   Machine
	snapshots *snapshotStore
	installed func(snapshotID)    // tells who sent the snapshot
	restart   func(reason string) // never returns
}

var _ raft.BatchingFSM = (*raftMachine)(nil)

// Apply is never called: raft prefers ApplyBatch.
func (f *raftMachine) Apply(l *raft.Log) any { return f.ApplyBatch([]*raft.Log{l})[0] }

// ApplyBatch gets commands and configurations; barriers and no-ops pass it by.
func (f *raftMachine) ApplyBatch(logs []*raft.Log) []any {
	in := make([]Committed, len(logs))
	for i, l := range logs {
		in[i] = Committed{Index: l.Index, Term: l.Term}
		if l.Type == raft.LogCommand {
			in[i].Data = l.Data
		}
	}
	applied := f.machine.Apply(in)
	out := make([]any, len(logs))
	for i := range out {
		out[i] = applied[i]
	}
	return out
}

// Snapshot links the state away while nothing is applied.
func (f *raftMachine) Snapshot() (raft.FSMSnapshot, error) {
	return f.snapshots.stage(f.machine)
}
