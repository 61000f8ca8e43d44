package reads

import (
	"ironman/wal/event"
	"ironman/wal/ledger"
)

// setAside keeps a damaged tail beside the one that takes its place.
func (l *Log) setAside(found *ledger.TailState) error {
	name, err := ledger.SetTailAside(l.o.FS, l.o.Dir)
	if err != nil {
		return err
	}
	l.o.Logger.Error("the log of reads is DAMAGED: durable records behind its last bundle cannot be read", "dir", l.o.Dir, "kept aside as", name,
		"whole", len(found.Records), "whole behind the damage", len(found.Behind), "err", found.Unusable)
	return nil
}

// bridge joins the records before damage and those behind it: each keeps its number, and in
// the places between are records that say so.
func (l *Log) bridge(found *ledger.TailState) ([]ledger.Record, error) {
	records := found.Records
	for _, r := range found.Behind {
		next, before := l.archive.Size(), int64(0)
		if n := len(records); n > 0 {
			next = records[n-1].Seq + 1
		}
		if r.Seq > next {
			var err error
			if before, err = l.lastTime(&state{base: l.archive.Size(), tail: records}); err != nil {
				return nil, err
			}
		}
		// What the ledger vouches for from the first of them on has other hashes now.
		read := &event.Read{Kind: event.ReadKind_READ_KIND_SET_BACK, NotedSize: found.Behind[len(found.Behind)-1].Seq + 1}
		for ; next < r.Seq; next++ {
			before++ // there were as many moments before the record behind
			lost, err := withNote(nil, before, read)
			if err != nil {
				return nil, err
			}
			records = append(records, recordOf(lost[0], next, before))
			read = &event.Read{Kind: event.ReadKind_READ_KIND_LOST}
		}
		records = append(records, r)
	}
	return records, nil
}

// Damaged tells whether Open found that durable records were damaged.
func (l *Log) Damaged() bool { return l.damaged }
