package wal

import (
	"bytes"
	"fmt"
	"sort"

	"github.com/hashicorp/raft"

	"ironman/wal/digest"
	"ironman/wal/event"
	"ironman/wal/segment"
)

// ownLeaves proves entries by this node's own ledger: by the leaves in the state's
// queue, which know their entry's index, or by those in the archive, which do not.
type ownLeaves struct {
	state   ledgerState
	archive envelopes // nil: there is none, or it cannot be read
	applied func() uint64
}

// envelopes is what is needed of the ledger's archive.
type envelopes interface {
	Size() uint64
	Envelopes(seq uint64) ([][]byte, error)
}

const (
	// anchorReach is how far from a hole an event is looked for whose leaf shows where
	// in the ledger the hole is.
	anchorReach = 64
	// anchorSearch bounds the leaves that are looked through for it.
	anchorSearch = 1 << 16
)

// prove tells whether all entries are certain: each is an event, its leaf fits, and
// their neighbours leave one term only, which no leaf tells. The error says that
// they are certainly not what stood there.
func (o *ownLeaves) prove(h *segment.Hole, entries []segment.Entry, whole reader) (bool, error) {
	if h.Last > o.applied() {
		return false, nil
	}
	edge, queued, err := o.state.LedgerEdge()
	if err != nil {
		return false, err
	}
	first, err := o.state.Leaves(queued, 1)
	if err != nil {
		return false, err
	}
	if len(first) > 0 && first[0].Index <= h.First {
		leaves, err := o.queuedIn(h, queued, edge.Size())
		if err != nil {
			return false, err
		}
		ok, err := fitAll(leaves, entries)
		return ok && h.Term() != 0, err
	}
	top := anchor{seq: edge.Size(), index: o.applied() + 1}
	switch {
	case len(first) > 0:
		top = anchor{seq: first[0].Seq, index: first[0].Index}
	case queued < edge.Size():
		return false, nil // they have just left the queue, and others are behind them
	}
	leaves, err := o.archivedIn(h, top, whole)
	if err != nil || leaves == nil || h.Term() == 0 {
		return false, err
	}
	ok, err := fitAll(leaves, entries)
	return ok && err == nil, nil // the place in the ledger is not as certain as the queue's
}

// queuedIn are the queued leaves of a hole's entries.
func (o *ownLeaves) queuedIn(h *segment.Hole, from, to uint64) ([]*event.Envelope, error) {
	var failed error
	at := func(i int) (l Leaf) {
		leaves, err := o.state.Leaves(from+uint64(i), 1)
		if err == nil && len(leaves) == 0 {
			err = fmt.Errorf("the leaf of event %d has left the queue", from+uint64(i))
		}
		if err != nil {
			failed = err
			return l
		}
		return leaves[0]
	}
	n := int(to - from)
	i := sort.Search(n, func(i int) bool { return at(i).Index >= h.First })
	var out []*event.Envelope
	for ; i < n && failed == nil; i++ {
		l := at(i)
		if failed != nil || l.Index > h.Last {
			break
		}
		env := &event.Envelope{}
		if err := event.Decode(l.Envelope, env); err != nil {
			return nil, err
		}
		out = append(out, env)
	}
	return out, failed
}

// fitAll tells whether each of the entries is the event of one of the leaves, in
// order. The error says that the leaves are of other entries than these: an entry
// without a leaf may be any, but a leaf has its entry.
func fitAll(leaves []*event.Envelope, entries []segment.Entry) (all bool, err error) {
	all = len(leaves) == len(entries)
	for i := range entries {
		if len(leaves) == 0 {
			break
		}
		fits, stamped := fitsLeaf(leaves[0], &entries[i])
		if fits {
			leaves = leaves[1:]
		}
		all = all && fits && stamped
	}
	if len(leaves) > 0 {
		return false, fmt.Errorf("its entries from %d on are not those of the leaves in this node's ledger, such as that of event %d",
			entries[0].Index, leaves[0].Seq)
	}
	return all, nil
}

// fitsLeaf tells whether an entry is the event of a leaf, and whether the leaf tells
// its stamp: apply puts one that is not above the last forward, and keeps the others.
func fitsLeaf(env *event.Envelope, e *segment.Entry) (fits, stamped bool) {
	if raft.LogType(e.Type) != raft.LogCommand {
		return false, false
	}
	stamp, proposal, err := event.ParseEntry(e.Data)
	if err != nil {
		return false, false
	}
	statement, items := event.Split(proposal)
	sums := make([]digest.Sum, len(items))
	for i, it := range items {
		sums[i] = event.ItemHash(it)
	}
	s, all := event.StatementHash(statement), event.ItemsHash(sums)
	fits = bytes.Equal(env.StatementHash, s[:]) && bytes.Equal(env.ItemsHash, all[:]) && stamp <= env.Time
	return fits, stamp == env.Time
}

// anchor is where an event stands in ledger and log.
type anchor struct{ seq, index uint64 }

// archivedIn are the archived leaves between the events nearest to a hole, which are
// whole; nil: they cannot be told. top is the first event above the archive, or
// what would be. Between two events of the log stand as many leaves as between
// their leaves: more than the hole has entries only if one of the two is a repeated
// proposal, which has its leaf elsewhere.
func (o *ownLeaves) archivedIn(h *segment.Hole, top anchor, whole reader) ([]*event.Envelope, error) {
	if o.archive == nil || top.index <= h.Last {
		return nil, nil
	}
	before := o.anchorBefore(h, whole)
	if before == nil {
		return nil, nil
	}
	behind, found := o.anchorBehind(h, top.index, whole)
	if !found {
		return nil, nil
	}
	// Each event takes an entry, so that no leaf of the hole stands lower than this.
	low := top.seq - min(top.seq, top.index-(h.First-min(h.First, anchorReach)))
	if top.seq-low > anchorSearch || o.archive.Size() < top.seq {
		return nil, nil
	}
	return o.between(low, top.seq, before, behind, int(h.Last-h.First+1))
}

// between are the archived leaves between those of two requests, the second of which
// is the one at to if it is nil; nil: these are not there, or there are more than most.
func (o *ownLeaves) between(from, to uint64, before, behind []byte, most int) ([]*event.Envelope, error) {
	var out []*event.Envelope
	begun := false
	for seq := from; seq < to; {
		some, err := o.archive.Envelopes(seq)
		if err != nil {
			return nil, err
		}
		for _, b := range some[:min(uint64(len(some)), to-seq)] {
			env := &event.Envelope{}
			if err := event.Decode(b, env); err != nil {
				return nil, err
			}
			switch {
			case begun && behind != nil && bytes.Equal(env.RequestId, behind):
				return out, nil
			case bytes.Equal(env.RequestId, before):
				begun = true
			case begun:
				out = append(out, env)
			}
			if len(out) > most {
				return nil, nil
			}
			seq++
		}
	}
	if !begun || behind != nil {
		return nil, nil
	}
	return out, nil
}

// anchorBefore is the request id of the last event before a hole; nil: none is near.
func (o *ownLeaves) anchorBefore(h *segment.Hole, whole reader) []byte {
	for i := h.First - 1; i > 0 && i+anchorReach > h.First; i-- {
		e, err := whole(i)
		if err != nil {
			return nil
		}
		if id := requestOf(&e); id != nil {
			return id
		}
	}
	return nil
}

// anchorBehind is the request id of the first event behind a hole; found without an
// id: it is the one at index top.
func (o *ownLeaves) anchorBehind(h *segment.Hole, top uint64, whole reader) (id []byte, found bool) {
	for i := h.Last + 1; i < h.Last+anchorReach; i++ {
		if i >= top {
			return nil, true
		}
		e, err := whole(i)
		if err != nil {
			return nil, false
		}
		if id := requestOf(&e); id != nil {
			return id, true
		}
	}
	return nil, false
}

// requestOf is the request id of an event's entry; nil: it is none.
func requestOf(e *segment.Entry) []byte {
	if raft.LogType(e.Type) != raft.LogCommand {
		return nil
	}
	_, proposal, err := event.ParseEntry(e.Data)
	if err != nil {
		return nil
	}
	p, err := event.Parse(proposal)
	if err != nil {
		return nil
	}
	return p.Statement.Header.RequestId
}
