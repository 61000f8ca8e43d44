package ledger

import (
	"context"
	"sync"

	"golang.org/x/mod/sumdb/tlog"
)

// Sizes is what the ledger's files hold. Checkpoints are not counted: there are few.
type Sizes struct {
	Tiles    int64 // bytes of hashes
	Entries  int64 // bytes of envelopes
	Payloads int64 // bytes of statements, items and outcomes, compressed
	Erased   int64 // payload items erased since Open
}

// sums are the sizes of the bundles, kept as they are written, so that nobody has to walk
// the directory to tell. Those that were there at Open are added by CountSizes, once.
type sums struct {
	opened uint64 // bundles that were there at Open

	// one is held while the size of a single bundle changes or is counted, so that none
	// is counted twice.
	one sync.Mutex

	mu      sync.Mutex
	sizes   Sizes
	counted uint64 // of those that were there
}

// wrote notes a new bundle.
func (s *sums) wrote(entries, payloads int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sizes.Entries += entries
	s.sizes.Payloads += payloads
}

// changed notes that the payloads of the n-th bundle have another size; s.one is held.
func (s *sums) changed(n uint64, by int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n < s.counted || n >= s.opened {
		s.sizes.Payloads += by
	}
}

// removed notes that the n-th bundle is gone; s.one is held.
func (s *sums) removed(n uint64, entries, payloads int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n < s.counted || n >= s.opened {
		s.sizes.Entries -= entries
		s.sizes.Payloads -= payloads
	}
}

func (s *sums) erased(items int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sizes.Erased += int64(items)
}

// CountSizes adds the bundles that were there at Open, beside everything else: it asks for
// the size of each. Before it is done, Sizes knows nothing.
func (a *Archive) CountSizes(ctx context.Context) error {
	s := &a.sums
	for n := uint64(0); n < s.opened; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := a.countBundle(n); err != nil {
			return err
		}
	}
	return nil
}

func (a *Archive) countBundle(n uint64) error {
	s := &a.sums
	s.one.Lock()
	defer s.one.Unlock()
	if n < s.counted {
		return nil
	}
	if n >= a.kept.Load()/BundleSize { // of the others nothing is there
		entries, err := a.bundles.fs.Stat(a.bundles.at(EntriesPath(n, BundleSize)))
		if err != nil {
			return err
		}
		payloads, err := a.bundles.fs.Stat(a.bundles.at(PayloadPath(n, BundleSize)))
		if err != nil {
			return err
		}
		s.wrote(entries.Size(), payloads.Size())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counted++
	return nil
}

// Sizes tells what the ledger's files hold; false before CountSizes is done.
func (a *Archive) Sizes() (Sizes, bool) {
	s := &a.sums
	s.mu.Lock()
	sizes, known := s.sizes, s.counted == s.opened
	s.mu.Unlock()
	for size := a.Size() >> TileHeight; size > 0; size >>= TileHeight {
		sizes.Tiles += int64(size) * BundleSize * tlog.HashSize
	}
	return sizes, known
}
