package server

import (
	"sync"

	"ironman/s3api/notify"
	"ironman/wal/ledger"
)

const (
	// feedEvents is how many events a chunk of the feed is of, feedChunks how many are kept.
	feedEvents = 256
	feedChunks = 64
)

// feed is what happened to objects, in the order of the log, read once for all who are
// told of it. It reads the ledger and the log of this node. Safe for concurrent use.
type feed struct {
	records func(from uint64, max int) ([]ledger.Record, error)

	mu     sync.Mutex
	chunks map[uint64]*feedChunk // by their number: event / feedEvents
	recent []uint64              // their numbers, the newest last
}

// feedChunk is what the events of a chunk did, as far as they are there.
type feedChunk struct {
	next uint64 // the first event that is not in it yet
	all  []notify.Happening
}

// read returns what events from one on did, and the event that the next call is to begin
// with: the same one, where there is none yet. What it returns must not be changed.
func (f *feed) read(from uint64) (all []notify.Happening, next uint64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.chunk(from / feedEvents)
	end := (from/feedEvents + 1) * feedEvents
	if c.next < end {
		records, err := f.records(c.next, int(end-c.next))
		if err != nil {
			return nil, from, err
		}
		for i := range records {
			some, err := notify.Of(&records[i])
			if err != nil {
				return nil, from, err
			}
			c.all = append(c.all, some...)
			c.next = records[i].Seq + 1
		}
	}
	all = c.all
	for len(all) > 0 && all[0].Seq < from {
		all = all[1:]
	}
	return all, max(from, c.next), nil
}

func (f *feed) chunk(number uint64) *feedChunk {
	if c := f.chunks[number]; c != nil {
		return c
	}
	if f.chunks == nil {
		f.chunks = make(map[uint64]*feedChunk)
	}
	if len(f.recent) == feedChunks {
		delete(f.chunks, f.recent[0])
		f.recent = f.recent[1:]
	}
	c := &feedChunk{next: number * feedEvents}
	f.chunks[number] = c
	f.recent = append(f.recent, number)
	return c
}
