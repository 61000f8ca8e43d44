package erasure

import (
	"context"
	"sync"
)

// budgets are two: those who need little have one of their own, so that they never
// wait for clients who hold much for as long as their bodies take. It comes on top,
// and is a quarter of the other.
type budgets struct {
	small, large budget
	little       int64 // up to so many bytes come from small
}

func newBudgets(total int64) budgets {
	return budgets{small: budget{total: total / 4}, large: budget{total: total}, little: total / 128}
}

// of is the budget that n bytes come from and go back to.
func (b *budgets) of(n int64) *budget {
	if n <= b.little {
		return &b.small
	}
	return &b.large
}

func (b *budgets) acquire(ctx context.Context, n int64) (int64, error) {
	return b.of(n).acquire(ctx, n)
}
func (b *budgets) try(n int64) (int64, bool) { return b.of(n).try(n) }
func (b *budgets) release(n int64)           { b.of(n).release(n) }

// held is how many bytes are in use.
func (b *budgets) held() int64 { return b.small.held() + b.large.held() }

// budget bounds the bytes of buffers in flight. Waiters are served in the order
// they came, so that a large one is not starved by small ones.
type budget struct {
	mu      sync.Mutex
	total   int64
	used    int64 // Invariant: waiters is empty, or used + waiters[0].n > total
	waiters []*waiter
}

type waiter struct {
	n     int64
	ready chan struct{}
}

// acquire waits until n bytes are free (a request for more than there will ever
// be counts as all of them) and returns what release must be given.
func (b *budget) acquire(ctx context.Context, n int64) (int64, error) {
	n = min(n, b.total)
	b.mu.Lock()
	if len(b.waiters) == 0 && b.used+n <= b.total {
		b.used += n
		b.mu.Unlock()
		return n, nil
	}
	w := &waiter{n: n, ready: make(chan struct{})}
	b.waiters = append(b.waiters, w)
	b.mu.Unlock()
	select {
	case <-w.ready:
		return n, nil
	case <-ctx.Done():
		b.leave(w)
		return 0, ctx.Err()
	}
}

// try is acquire that does not wait.
func (b *budget) try(n int64) (int64, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n = min(n, b.total)
	if len(b.waiters) > 0 || b.used+n > b.total {
		return 0, false
	}
	b.used += n
	return n, true
}

// release gives back n bytes.
func (b *budget) release(n int64) {
	b.mu.Lock()
	b.used -= n
	b.serve()
	b.mu.Unlock()
}

func (b *budget) held() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}

// serve wakes the waiters there is room for. The lock is held.
func (b *budget) serve() {
	for len(b.waiters) > 0 && b.used+b.waiters[0].n <= b.total {
		b.used += b.waiters[0].n
		close(b.waiters[0].ready)
		b.waiters[0] = nil
		b.waiters = b.waiters[1:]
	}
}

// leave takes back a waiter that gives up; it may have been served meanwhile.
func (b *budget) leave(w *waiter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-w.ready:
		b.used -= w.n
	default:
		for i, o := range b.waiters {
			if o == w {
				b.waiters = append(b.waiters[:i], b.waiters[i+1:]...)
				break
			}
		}
	}
	b.serve()
}
