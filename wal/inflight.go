package wal

import "sync"

// Bounds of the proposals that a node holds at a time, its own and those that
// others sent it as the leader.
const (
	maxInflight      = 4096
	maxInflightBytes = 64 << 20
)

// inflight counts what has been handed to raft, or waits to be, and has no result
// yet. Raft never settles what waits while it shuts down: Close waits for all of
// it first.
type inflight struct {
	mu    sync.Mutex
	limit int // of count and bytes; set before use
	size  int

	count  int
	bytes  int
	closed bool          // nothing enters any more
	idle   chan struct{} // closed once closed is set and count is 0
}

func newInflight() *inflight {
	return &inflight{limit: maxInflight, size: maxInflightBytes, idle: make(chan struct{})}
}

// enter takes a proposal in, or says why not: ErrOverloaded or ErrClosed. leave must
// follow.
func (q *inflight) enter(bytes int) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return ErrClosed
	case q.count >= q.limit || q.bytes+bytes > q.size:
		return ErrOverloaded
	}
	q.count++
	q.bytes += bytes
	return nil
}

// track is enter for what is not bounded: what the node itself asks of raft.
func (q *inflight) track() error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return ErrClosed
	}
	q.count++
	return nil
}

func (q *inflight) leave(bytes int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.count--
	q.bytes -= bytes
	if q.closed && q.count == 0 {
		close(q.idle)
	}
}

// close lets nothing in any more. The channel closes when everything has left.
func (q *inflight) close() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.closed = true
		if q.count == 0 {
			close(q.idle)
		}
	}
	return q.idle
}
