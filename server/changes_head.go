package server

import (
	"sync"
	"time"

	"ironman/server/audit"
)

// changesHead are the newest events, put into words once for all who follow: a hundred
// followers cost one of them, but for what they write. A chunk is forgotten after a moment,
// so that a name that has changed, or what was erased, is not told for longer.
type changesHead struct {
	mu     sync.Mutex
	chunks map[uint64]*changesChunk // by their number: event / changesBatch
}

// changesChunk are the events of a chunk. Invariant: the entries are dense from from on, and
// of nothing behind the chunk.
type changesChunk struct {
	from    uint64
	entries []*audit.Entry
	begun   time.Time
	bytes   int // of their keys
}

const (
	changesHeadLasts = 2 * time.Second
	changesHeadBytes = 16 << 20
)

// read gives the events from one on, as many as max and their chunk has; what it has not got
// it has put into words.
func (h *changesHead) read(from uint64, max int, words func(from uint64, max int) ([]*audit.Entry, error)) ([]*audit.Entry, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.forget()
	number := from / changesBatch
	c := h.chunks[number]
	if c == nil || from < c.from || from > c.end() {
		c = &changesChunk{from: from, begun: time.Now()}
	}
	if from == c.end() {
		made, err := words(from, int((number+1)*changesBatch-from))
		if err != nil || len(made) == 0 {
			return nil, err
		}
		c.add(made)
		if h.chunks == nil {
			h.chunks = make(map[uint64]*changesChunk)
		}
		h.chunks[number] = c
	}
	known := c.entries[from-c.from:]
	n := min(len(known), max)
	return known[:n:n], nil
}

// forget drops what is old, and all if it is too much.
func (h *changesHead) forget() {
	bytes := 0
	for number, c := range h.chunks {
		if bytes += c.bytes; time.Since(c.begun) > changesHeadLasts {
			delete(h.chunks, number)
		}
	}
	if bytes > changesHeadBytes {
		clear(h.chunks)
	}
}

func (c *changesChunk) end() uint64 { return c.from + uint64(len(c.entries)) }

func (c *changesChunk) add(made []*audit.Entry) {
	c.entries = append(c.entries, made...)
	for _, e := range made {
		for _, k := range e.Keys {
			c.bytes += len(k)
		}
	}
}
