package world

import (
	"encoding/hex"
	"hash"
	"strconv"
	"sync"
	"time"

	"ironman/wal/digest"
)

// trace is everything that happens to the world's disks and network, and between it
// and its clients, in order. Two runs are the same if their traces' hashes are. Safe
// for concurrent use.
type trace struct {
	mu    sync.Mutex
	since func() time.Duration
	emit  func(line []byte) // nil: nobody wants to see it
	sum   hash.Hash
	count int
	line  []byte
}

func newTrace(since func() time.Duration, emit func([]byte)) *trace {
	return &trace{since: since, emit: emit, sum: digest.NewSHA256()}
}

// add appends an event: words and numbers.
func (t *trace) add(kind string, parts ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := strconv.AppendInt(t.line[:0], int64(t.since()), 10)
	b = append(append(b, ' '), kind...)
	for _, p := range parts {
		b = append(b, ' ')
		switch p := p.(type) {
		case string:
			b = append(b, p...)
		case int:
			b = strconv.AppendInt(b, int64(p), 10)
		case int64:
			b = strconv.AppendInt(b, p, 10)
		case uint64:
			b = strconv.AppendUint(b, p, 16)
		case bool:
			b = strconv.AppendBool(b, p)
		case time.Duration:
			b = strconv.AppendInt(b, int64(p), 10)
		default:
			panic("world: a trace of something else")
		}
	}
	b = append(b, '\n')
	t.line = b
	t.sum.Write(b)
	t.count++
	if t.emit != nil {
		t.emit(b)
	}
}

// hash is that of everything so far, and how many events that is.
func (t *trace) hash() (string, int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return hex.EncodeToString(t.sum.Sum(nil)[:16]), t.count
}
