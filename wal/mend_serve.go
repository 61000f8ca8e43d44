package wal

import (
	"context"
	"encoding/binary"
	"fmt"

	"ironman/wal/segment"
)

// answerEntry gives a member an entry of this node's log that is known here to be
// committed, and so is the one of its index for ever. Others could still be replaced.
func (n *Node) answerEntry(index uint64) ([]byte, error) {
	if len(n.configuration()) == 0 {
		return nil, fmt.Errorf("%w: this node has not heard of its cluster yet", ErrNotDone)
	}
	if committed := max(n.raft.CommitIndex(), n.opts.Machine.AppliedIndex()); index > committed {
		return nil, fmt.Errorf("%w: entry %d is not known to be committed here: %d is", ErrNotDone, index, committed)
	}
	e, err := n.log.ArchiveEntry(index)
	if err != nil {
		return nil, fmt.Errorf("%w: entry %d: %w", ErrNotDone, index, err)
	}
	b := encodeEntry(e)
	if len(b) > maxAnswerBody {
		return nil, fmt.Errorf("%w: entry %d has %d bytes, too many to be handed on", ErrNotDone, index, len(b))
	}
	return b, nil
}

// askEntry has another node give a committed entry of its log.
func (n *Node) askEntry(ctx context.Context, id string, index uint64) (segment.Entry, error) {
	b, err := n.ask(ctx, id, kindEntry, binary.BigEndian.AppendUint64(nil, index))
	if err != nil {
		return segment.Entry{}, err
	}
	return decodeEntry(b, index)
}
