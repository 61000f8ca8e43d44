package ledger

import (
	"errors"
	"fmt"
	"math"

	"golang.org/x/mod/sumdb/tlog"

	"ironman/wal/event"
	"ironman/wal/merkle"
)

// Extract is a run of records of one bundle that goes from one node's archive into
// another's, with what proves it: the leaf hashes of the whole bundle, and that
// the tree which ends with this bundle is a prefix of the tree of a size on which
// both agreed. Whoever knows the frontier before the bundle and the root of that
// tree needs no other witness and no records before or behind.
type Extract struct {
	From    uint64 // sequence of the first record
	Proof   tlog.TreeProof
	Leaves  [BundleSize]tlog.Hash
	Records []Record // at least one; all in the bundle of From
}

// Extract reads records from sequence from on, up to the end of its bundle or as
// many as encode in budget bytes, but at least one; proven to be in the
// tree of the first size sequences. Beyond Size: ErrNotArchived. It gives nothing
// that Check would refuse: damage here is an error here.
func (a *Archive) Extract(from, size uint64, budget int) (*Extract, error) {
	s := a.state.Load()
	if size > s.size() || from >= size || size%BundleSize != 0 {
		return nil, fmt.Errorf("%w: sequence %d in a tree of %d leaves of %d", ErrNotArchived, from, size, s.size())
	}
	n, i := bundleOf(from)
	x := &Extract{From: from}
	indexes := make([]int64, BundleSize)
	for k := range indexes {
		indexes[k] = tlog.StoredHashIndex(0, int64(n*BundleSize+uint64(k)))
	}
	hashes := a.hashes(s) // checks what it reads against the root
	leaves, err := hashes.ReadHashes(indexes)
	if err == nil {
		copy(x.Leaves[:], leaves)
		x.Proof, err = tlog.ProveTree(int64(size), int64((n+1)*BundleSize), hashes)
	}
	if err != nil {
		return nil, err
	}
	budget -= x.headerBytes()
	a.bundles.records(n, BundleSize, i, func(r Record, e error) bool {
		if e != nil {
			err = e
			return false
		}
		if budget -= r.Bytes(); budget < 0 && len(x.Records) > 0 {
			return false
		}
		x.Records = append(x.Records, r)
		return true
	})
	if err == nil {
		err = x.agree()
	}
	if err != nil {
		return nil, err
	}
	return x, nil
}

// Check checks an extract that came from elsewhere. before is the frontier of all
// sequences before its bundle, tree the head of a tree that ends with or behind
// it: both are the caller's own. It returns the frontier behind the bundle.
//
// What is wrong is a *Damage with the first bad sequence, or the bundle's first
// where only the bundle as a whole is known to be wrong. A record that is the
// tree's, but of a newer release, is event.ErrNewer.
func (x *Extract) Check(before *merkle.Frontier, tree tlog.Tree) (after *merkle.Frontier, err error) {
	n, _ := bundleOf(x.From)
	end := (n + 1) * BundleSize
	if before.Size() != n*BundleSize || end > uint64(max(tree.N, 0)) {
		return nil, fmt.Errorf("ledger: an extract from sequence %d checked behind %d leaves in a tree of %d", x.From, before.Size(), tree.N)
	}
	after = before.Clone()
	for i := range x.Leaves {
		after.AppendHash(x.Leaves[i])
	}
	if err := tlog.CheckTree(x.Proof, tree.N, tree.Hash, int64(end), after.Root()); err != nil {
		return nil, &Damage{Seq: n * BundleSize, Err: fmt.Errorf("its bundle does not join the first %d sequences of this node's ledger to the tree of %d: %w",
			before.Size(), tree.N, err)}
	}
	if err := x.agree(); err != nil {
		return nil, err
	}
	return after, nil
}

// agree checks the records against the leaf hashes and against themselves.
func (x *Extract) agree() error {
	_, i := bundleOf(x.From)
	for k := range x.Records {
		r := &x.Records[k]
		if tlog.RecordHash(r.Envelope) != x.Leaves[i+k] {
			return &Damage{Seq: r.Seq, Err: errors.New("its envelope is not the tree's leaf")}
		}
		if _, err := r.check(math.MinInt64); errors.Is(err, event.ErrNewer) {
			return fmt.Errorf("ledger: sequence %d: %w", r.Seq, err)
		} else if err != nil {
			return &Damage{Seq: r.Seq, Err: err}
		}
	}
	return nil
}
