package wal

import (
	"context"
	"fmt"

	"ironman/wal/ledger"
)

// answerRecords answers a peer's request for records (encodeRecordsRequest) from
// this node's archive. Safe for concurrent use. The error of a request that is not
// one is event.ErrMalformed or event.ErrNewer; damage of the archive is an error,
// too, and is logged here: what is sent has been verified.
func (n *Node) answerRecords(request []byte) ([]byte, error) {
	r, err := decodeRecordsRequest(request)
	if err != nil {
		return nil, err
	}
	a := n.archiver.Load()
	if a == nil {
		return (&recordsAnswer{}).encode(), nil
	}
	archived := a.archive.Size()
	if r.size > archived {
		return (&recordsAnswer{archived: archived}).encode(), nil
	}
	x, err := a.archive.Extract(r.from, r.size, partBytes)
	if err != nil {
		n.opts.Log.Error("ledger: records that a peer asks for cannot be read", "from", r.from, "err", err)
		return nil, fmt.Errorf("records from %d: %w", r.from, err)
	}
	return partOf(x.Encode(), r.offset, archived).encode(), nil
}

// askable are the other members, whose ledgers may hold what this one's lacks; the
// leader last, for it has most to do.
func (n *Node) askable() []string {
	leader, _ := n.Leader()
	var ids []string
	last := ""
	for _, m := range n.Members() {
		switch m.ID {
		case n.opts.ID:
		case leader:
			last = m.ID
		default:
			ids = append(ids, m.ID)
		}
	}
	if last != "" {
		ids = append(ids, last)
	}
	return ids
}

// askRecords has a peer answer a request for records.
func (n *Node) askRecords(ctx context.Context, id string, request []byte) ([]byte, error) {
	return n.ask(ctx, id, kindRecords, request)
}

// Archived is the number of events in the ledger's files.
func (n *Node) Archived() uint64 {
	if a := n.archiver.Load(); a != nil {
		return a.archive.Size()
	}
	return 0
}

// Backfilling tells which events this node is fetching from its peers' ledgers; as
// many as none where it is not.
func (n *Node) Backfilling() (from, to uint64) {
	a := n.archiver.Load()
	if a == nil {
		return 0, 0
	}
	to = a.reach.Load()
	return min(a.archive.Size(), to), to
}

// newArchiver makes the archiver that writes an open archive.
func (n *Node) newArchiver(archive *ledger.Archive) *archiver {
	return &archiver{
		state: n.opts.Machine, log: n.log, archive: archive, peers: n.ledgerPeers, pace: defaultPace(),
		now: n.opts.Now, logger: n.opts.Log,
	}
}
