package server

import (
	"context"
	"sync"
)

// changesScans bounds who looks through what is long past at one moment. The admin listener and the
// buckets have places of their own, and an account has one of the buckets': so that nobody who reads
// much keeps others from it.
type changesScans struct {
	admin, buckets chan struct{}

	mu sync.Mutex
	of map[string]*accountScan // of accounts that scan, or wait for it
}

// accountScan is the place of an account.
type accountScan struct {
	slot  chan struct{}
	users int // that have it or wait for it
}

func newChangesScans() *changesScans {
	return &changesScans{
		admin: make(chan struct{}, changesScansAtOnce), buckets: make(chan struct{}, changesScansAtOnce), of: make(map[string]*accountScan),
	}
}

// take waits for a place; account "" is the admin listener's. give gives it back, and is to be called once.
func (s *changesScans) take(ctx context.Context, account string) (give func(), err error) {
	if account == "" {
		return takeSlot(ctx, s.admin)
	}
	own := s.join(account)
	giveOwn, err := takeSlot(ctx, own.slot)
	if err != nil {
		s.leave(account)
		return nil, err
	}
	giveAll, err := takeSlot(ctx, s.buckets)
	if err != nil {
		giveOwn()
		s.leave(account)
		return nil, err
	}
	return func() { giveAll(); giveOwn(); s.leave(account) }, nil
}

func takeSlot(ctx context.Context, slot chan struct{}) (give func(), err error) {
	select {
	case slot <- struct{}{}:
		return func() { <-slot }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (s *changesScans) join(account string) *accountScan {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.of[account]
	if own == nil {
		own = &accountScan{slot: make(chan struct{}, 1)}
		s.of[account] = own
	}
	own.users++
	return own
}

func (s *changesScans) leave(account string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	own := s.of[account]
	if own.users--; own.users == 0 {
		delete(s.of, account)
	}
}
