package fsm

import (
	"bytes"

	"ironman/wal/digest"
	"ironman/wal/event"
)

// maxReads bounds the size of a log of reads: no Merkle log grows so long.
const maxReads = 1 << 62

// readsNoted keeps the newest that a node says of its log of reads. The log only grows: one
// that shrank, or has another root at the same size, is not the one that was vouched for.
//
// Only the node's live incarnation may note: an event of an earlier one, still under way
// when the node started again, would vouch for what the node has looked for in vain.
func (t *tx) readsNoted(b *event.ReadsNoted) *event.Outcome {
	if b.Size == 0 || b.Size > maxReads || len(b.Root) != digest.SHA256Size {
		return refuse(event.Refusal_REFUSAL_INVALID)
	}
	n := look[Node](t, key32(tableNode, b.Node))
	if n == nil || n.Removed {
		return refuse(event.Refusal_REFUSAL_NOT_FOUND)
	}
	k := key32(tableReads, b.Node)
	was := get[ReadsHead](t, k)
	switch {
	case b.Incarnation == 0 || b.Incarnation != n.Incarnation:
		return refuse(event.Refusal_REFUSAL_CONFLICT)
	case b.Size < was.GetSize(), b.Size == was.GetSize() && !bytes.Equal(b.Root, was.Root):
		return refuse(event.Refusal_REFUSAL_CONFLICT)
	}
	t.set(k, &ReadsHead{Size: b.Size, Root: b.Root, Incarnation: b.Incarnation, Seq: t.seq, Time: t.time})
	return accept()
}

// ReadsHead is the newest that a node noted of its log of reads, as of now in every view; nil: nothing.
func (v *View) ReadsHead(node uint32) (*ReadsHead, error) {
	return read[ReadsHead](v, key32(tableReads, node))
}
