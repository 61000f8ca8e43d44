package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/mod/sumdb/tlog"

	"ironman/wal/event"
)

// Append archives records: dense, from any sequence up to Size on. Those below
// Size are compared with what is there, and a difference is fatal. Of the others,
// every full bundle of BundleSize is written and durable when Append returns; the
// rest stays with the caller, who sees from Size what is his.
//
// A record that is not dense, above a limit, or not what its own envelope commits
// to is an error (ErrGap, ErrRecord, event.ErrNewer), and nothing is written.
// A failed read or write is fatal.
func (a *Archive) Append(records []Record) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.refusal != nil {
		return a.refusal
	}
	s := a.state.Load()
	if err := dense(records, s.size()); err != nil || len(records) == 0 {
		return err
	}
	old := records[:min(uint64(len(records)), s.size()-records[0].Seq)]
	fresh := records[len(old):]
	fresh = fresh[:len(fresh)/BundleSize*BundleSize]
	last, err := checkAll(fresh, s.time)
	if err != nil {
		return err
	}
	if err := a.compare(old); err != nil {
		return a.fail(err)
	}
	if len(fresh) == 0 {
		return nil
	}
	next, err := a.write(s, fresh, last)
	if err != nil {
		return a.fail(err)
	}
	a.state.Store(next)
	return nil
}

// dense checks that records join each other and the first size sequences, and
// that their envelopes fit an entry bundle.
func dense(records []Record, size uint64) error {
	for i := range records {
		r := &records[i]
		if r.Seq > size+uint64(i) || r.Seq != records[0].Seq+uint64(i) {
			return fmt.Errorf("%w: sequence %d at place %d of records from %d, size %d", ErrGap, r.Seq, i, records[0].Seq, size)
		}
		if len(r.Envelope) > MaxEnvelopeBytes {
			return fmt.Errorf("%w: sequence %d: envelope of %d bytes exceeds %d", ErrRecord, r.Seq, len(r.Envelope), MaxEnvelopeBytes)
		}
	}
	return nil
}

// checkAll checks records against themselves and the log time before them. It
// returns the last one's.
func checkAll(records []Record, before int64) (int64, error) {
	for i := range records {
		r := &records[i]
		err := r.fits()
		if err == nil {
			before, err = r.check(before)
		}
		if err != nil {
			return 0, fmt.Errorf("%w: sequence %d: %w", ErrRecord, r.Seq, err)
		}
	}
	return before, nil
}

// compare checks that archived records are what they were.
func (a *Archive) compare(records []Record) error {
	for len(records) > 0 {
		n, i := bundleOf(records[0].Seq)
		k := min(len(records), BundleSize-i)
		if err := a.compareBundle(n, i, records[:k]); err != nil {
			return err
		}
		records = records[k:]
	}
	return nil
}

// compareBundle compares records with the entries of the n-th bundle from the
// i-th on.
func (a *Archive) compareBundle(n uint64, i int, records []Record) error {
	entries, err := a.bundles.entries(n, BundleSize)
	if err != nil {
		return err
	}
	payloads, err := a.bundles.payloads(n, BundleSize)
	if err != nil {
		return err
	}
	defer payloads.Close()
	if err := payloads.skip(i); err != nil {
		return err
	}
	for k := range records {
		r := &records[k]
		if !bytes.Equal(entries[i+k], r.Envelope) {
			return fmt.Errorf("sequence %d: envelope %w", r.Seq, errDiffers)
		}
		have, err := payloads.read()
		if err != nil {
			return err
		}
		if what := have.differs(&r.Payload); what != "" {
			return fmt.Errorf("sequence %d: %s %w", r.Seq, what, errDiffers)
		}
	}
	return nil
}

// write writes full bundles of records and their tiles, makes them durable, and
// vouches for the new size.
func (a *Archive) write(s *state, fresh []Record, last int64) (*state, error) {
	next := &state{edge: s.edge.clone(), time: last, signed: s.signed}
	var milestones []tlog.Tree
	for ; len(fresh) > 0; fresh = fresh[BundleSize:] {
		if err := a.writeBundle(next.edge, fresh[:BundleSize]); err != nil {
			return nil, err
		}
		if next.edge.frontier.Size()%MilestoneLeaves == 0 {
			milestones = append(milestones, next.edge.tree())
		}
	}
	next.tree = next.edge.tree()
	if err := a.bundles.sync(); err != nil {
		return nil, err
	}
	if err := a.vouch(next, milestones); err != nil {
		return nil, err
	}
	return next, nil
}

// writeBundle writes the bundles of one tile of records and every tile that they
// fill. The edge then ends behind them.
func (a *Archive) writeBundle(e *edge, records []Record) error {
	n, _ := bundleOf(records[0].Seq)
	a.buf = a.buf[:0]
	for i := range records {
		a.buf = appendEntry(a.buf, records[i].Envelope)
	}
	if err := a.bundles.once(EntriesPath(n, BundleSize), a.buf); err != nil {
		return err
	}
	entries := a.bundles.written
	if err := a.writePayloadsOnce(n, records); err != nil {
		return err
	}
	a.sums.wrote(entries, a.bundles.written)
	for i := range records {
		err := e.add(tlog.RecordHash(records[i].Envelope), func(level int, n uint64, hashes []tlog.Hash) error {
			if len(hashes) < BundleSize {
				return nil
			}
			return a.bundles.once(TilePath(level, n, BundleSize), packHashes(hashes))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// writePayloadsOnce writes a payload bundle that is not there yet. If it is, its
// payloads must be the same ones: compressed bytes are no measure, since another
// release may compress differently. An item that is erased now was perhaps not
// when the bundle was written, before a crash: it goes.
func (a *Archive) writePayloadsOnce(n uint64, records []Record) error {
	have, err := a.bundles.payloads(n, BundleSize)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return a.bundles.writePayloads(n, BundleSize, payloadsOf(records))
	case errors.Is(err, event.ErrMalformed):
		return errors.Join(fmt.Errorf("%s: %w", PayloadPath(n, BundleSize), errDiffers), err)
	case err != nil:
		return err
	}
	defer have.Close()
	outlived := false
	merged := make([]Record, len(records))
	for i := range records {
		p, err := have.read()
		if err != nil {
			return err
		}
		if what := p.differs(&records[i].Payload); what != "" {
			return fmt.Errorf("%s: sequence %d: %s %w", PayloadPath(n, BundleSize), records[i].Seq, what, errDiffers)
		}
		erased := p.eraseLike(&records[i].Payload)
		outlived = outlived || erased
		merged[i].Payload = p
	}
	if outlived {
		return a.bundles.writePayloads(n, BundleSize, payloadsOf(merged))
	}
	return a.bundles.settle(PayloadPath(n, BundleSize))
}
