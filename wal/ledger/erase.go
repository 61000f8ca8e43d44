package ledger

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Target names payload items to erase.
type Target struct {
	Seq   uint64
	Items []int // by place; nil: every item
	// Lenient passes over items that are not there.
	Lenient bool
}

// Erase takes the bytes of payload items away and leaves their hashes, durably:
// each bundle concerned is written anew and put in the place of the old one. No
// envelope, tile or checkpoint changes. Erasing twice is erasing once.
//
// A target beyond Size (ErrNotArchived) or an item that is not there (ErrRecord)
// is an error, and so is a payload that is not the one its envelope commits to,
// whose bundle is left as it is; bundles before it are erased. A failed write is
// fatal. Blocks of the disk that held the old bundle are freed, not overwritten.
func (a *Archive) Erase(targets []Target) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refusal != nil {
		return a.refusal
	}
	size := a.Size()
	byBundle := map[uint64][]Target{}
	for _, t := range targets {
		if t.Seq >= size {
			return fmt.Errorf("%w: sequence %d of %d", ErrNotArchived, t.Seq, size)
		}
		if t.Seq < a.kept.Load() {
			continue // nothing is left of it
		}
		n, _ := bundleOf(t.Seq)
		byBundle[n] = append(byBundle[n], t)
	}
	for _, n := range slices.Sorted(maps.Keys(byBundle)) {
		erased, err := a.tryErase(n, byBundle[n])
		if err != nil {
			return err
		}
		if erased > 0 {
			err = a.eraseBundle(n, byBundle[n])
		} else {
			err = a.bundles.settle(PayloadPath(n, BundleSize)) // erased, but durably?
		}
		if err == nil {
			err = a.bundles.sync()
		}
		if err != nil {
			return a.fail(err)
		}
		a.sums.erased(erased)
		a.log.Info("ledger items erased", "bundle", n, "items", erased)
	}
	return nil
}

// tryErase reads a whole bundle, checks what is to be erased, and counts it.
func (a *Archive) tryErase(n uint64, targets []Target) (erased int, err error) {
	a.bundles.records(n, BundleSize, 0, func(r Record, e error) bool {
		for i := 0; i < len(targets) && e == nil; i++ {
			if targets[i].Seq != r.Seq {
				continue
			}
			k := 0
			if _, e = r.check(math.MinInt64); e == nil {
				k, e = r.Erase(targets[i])
			}
			if e != nil {
				e = fmt.Errorf("%w: sequence %d: %w", ErrRecord, r.Seq, e)
			}
			erased += k
		}
		err = e
		return e == nil
	})
	return erased, err
}

// eraseBundle writes a bundle anew without the items of the targets, which
// tryErase has checked.
func (a *Archive) eraseBundle(n uint64, targets []Target) error {
	old, err := a.bundles.payloads(n, BundleSize)
	if err != nil {
		return err
	}
	defer old.Close()
	a.sums.one.Lock()
	defer a.sums.one.Unlock()
	seq := n * BundleSize
	err = a.bundles.writePayloads(n, BundleSize, func() (Payload, error) {
		p, err := old.read()
		for i := 0; i < len(targets) && err == nil; i++ {
			if targets[i].Seq == seq {
				_, err = p.Erase(targets[i])
			}
		}
		seq++
		return p, err
	})
	if err == nil {
		a.sums.changed(n, a.bundles.written-old.size)
	}
	return err
}

// ErasedItems counts the items of the n-th bundles of a directory that are erased, and refuses
// payloads that are not those which the envelopes commit to. The envelopes are believed.
func ErasedItems(fs vfs.FS, dir string, n uint64) (erased int, err error) {
	c, err := newCodec()
	if err != nil {
		return 0, err
	}
	b := bundles{files: newFiles(fs, dir), codec: c}
	b.records(n, BundleSize, 0, func(r Record, e error) bool {
		if e == nil {
			_, e = r.check(math.MinInt64)
		}
		for i := range r.Items {
			if e == nil && r.Items[i].Erased {
				erased++
			}
		}
		err = e
		return e == nil
	})
	return erased, err
}

// Erase replaces items by their hashes. It tells how many still had bytes.
func (p *Payload) Erase(t Target) (erased int, err error) {
	items := t.Items
	if items == nil {
		for i := range p.Items {
			items = append(items, i)
		}
	}
	for _, i := range items {
		if t.Lenient && i >= len(p.Items) {
			continue
		}
		if i < 0 || i >= len(p.Items) {
			return 0, fmt.Errorf("no item %d", i)
		}
		if it := &p.Items[i]; !it.Erased {
			*it = Item{Erased: true, Hash: it.Sum()}
			erased++
		}
	}
	return erased, nil
}

// eraseLike erases what is erased in q, the same payload. It tells whether p still
// had bytes of that.
func (p *Payload) eraseLike(q *Payload) (erased bool) {
	for i := range p.Items {
		if q.Items[i].Erased && !p.Items[i].Erased {
			p.Items[i] = q.Items[i]
			erased = true
		}
	}
	return erased
}
