package server

import (
	"sync"
	"time"

	"ironman/server/audit"
)

// changesHead are the newest events, put into words once for all who follow: a hundred
// followers cost one of them, but for what they write.
// Invariant: entries are of sequences from on, dense. They are forgotten after a moment,
// so that a name that has changed, or what was erased, is not told for longer.
type changesHead struct {
	mu      sync.Mutex
	from    uint64
	entries []*audit.Entry
	bytes   int       // of their keys
	begun   time.Time // when the first was put into words
}

const (
	changesHeadLasts  = 2 * time.Second
	changesHeadEvents = 4 * changesBatch
	changesHeadBytes  = 8 << 20
)

// read gives the events from one on, as many as max; what it has not got it has put into words.
func (h *changesHead) read(from uint64, max int, words func(from uint64, max int) ([]*audit.Entry, error)) ([]*audit.Entry, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.entries) > 0 && time.Since(h.begun) > changesHeadLasts {
		h.entries = nil
	}
	end := h.from + uint64(len(h.entries))
	if from >= h.from && from < end {
		known := h.entries[from-h.from:]
		return known[:min(len(known), max):min(len(known), max)], nil
	}
	made, err := words(from, max)
	if err != nil || len(made) == 0 {
		return nil, err
	}
	if from != end || len(h.entries) == 0 || len(h.entries) >= changesHeadEvents || h.bytes >= changesHeadBytes {
		h.from, h.entries, h.bytes, h.begun = from, nil, 0, time.Now()
	}
	h.entries = append(h.entries, made...)
	for _, e := range made {
		for _, k := range e.Keys {
			h.bytes += len(k)
		}
	}
	return made, nil
}
