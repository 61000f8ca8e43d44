package wal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"ironman/wal/segment"
)

// mender finds out what stood in a hole of this node's log, from what other nodes
// have committed: see the package's comment for why that is safe.
type mender struct {
	// others names the nodes that are asked; ask has one of them give a committed entry.
	others func() []string
	ask    func(ctx context.Context, id string, index uint64) (segment.Entry, error)
	leaves *ownLeaves
	// answer is how long one answer may take, retry how long it waits before it asks
	// all again, patience how long it goes on doing so.
	answer, retry, patience time.Duration
	log                     *slog.Logger
}

// reader reads the whole entries of a log.
type reader func(index uint64) (segment.Entry, error)

// claim is what a node says stood in a hole.
type claim struct {
	from    string
	entries []segment.Entry
	// proven: this node's own ledger says the same.
	proven bool
}

// mend returns the entries of a hole, once they are certain.
func (m *mender) mend(ctx context.Context, h *segment.Hole, whole reader) ([]segment.Entry, error) {
	witness, err := witnessOf(h, whole)
	if err != nil {
		return nil, err
	}
	m.log.Error("log: acknowledged entries are damaged: other nodes are asked for them", "damaged", h.String())
	ctx, cancel := context.WithTimeout(ctx, m.patience)
	defer cancel()
	for {
		c, err := m.round(ctx, h, witness, whole)
		if err == nil {
			m.log.Warn("log: damaged entries were had from another node, and are certain", "damaged", h.String(), "from", c.from, "leaf", c.proven)
			return c.entries, nil
		}
		if errors.Is(err, errNobody) {
			return nil, err
		}
		wait := time.NewTimer(m.retry)
		select {
		case <-ctx.Done():
			wait.Stop()
			return nil, fmt.Errorf("%w; start this node when the others can be reached, or remove it and let a new one take its place", err)
		case <-wait.C:
		}
	}
}

// witnessOf is the whole entry that tells whether another log is the same as this one
// where the hole is: the one behind it or, where there is none, before it.
func witnessOf(h *segment.Hole, whole reader) (segment.Entry, error) {
	switch {
	case h.After != 0:
		return whole(h.Last + 1)
	case h.Before != 0:
		return whole(h.First - 1)
	}
	return segment.Entry{}, errors.New("no whole entry stands beside it, so that nothing shows whose log is the same")
}

var errNobody = errors.New("there is no other node to ask")

// round asks every other node once.
func (m *mender) round(ctx context.Context, h *segment.Hole, witness segment.Entry, whole reader) (*claim, error) {
	others := m.others()
	if len(others) == 0 {
		return nil, errNobody
	}
	var claims []*claim
	var why []string
	for _, id := range others {
		c, err := m.claim(ctx, id, h, witness, whole)
		if err != nil {
			why = append(why, fmt.Sprintf("%s: %v", id, err))
			continue
		}
		claims = append(claims, c)
	}
	c, err := choose(claims, min(2, len(others)))
	if err != nil {
		why = append(why, err.Error())
		return nil, errors.New(strings.Join(why, "; "))
	}
	return c, nil
}

// choose takes a claim that is proven, or that enough nodes make and none disputes.
func choose(claims []*claim, enough int) (*claim, error) {
	for _, c := range claims {
		if c.proven {
			return c, nil
		}
	}
	if len(claims) == 0 {
		return nil, errors.New("nobody gives them")
	}
	for _, c := range claims[1:] {
		if !sameEntries(c.entries, claims[0].entries) {
			return nil, fmt.Errorf("%s and %s give different entries", claims[0].from, c.from)
		}
	}
	if len(claims) < enough {
		return nil, fmt.Errorf("only %s gives them, and no leaf of this node's ledger proves them: it takes a second node", claims[0].from)
	}
	return claims[0], nil
}

// claim has one node say what stood in the hole, if its log is the same as this one.
func (m *mender) claim(ctx context.Context, id string, h *segment.Hole, witness segment.Entry, whole reader) (*claim, error) {
	e, err := m.entry(ctx, id, witness.Index)
	if err != nil {
		return nil, err
	}
	if !sameEntry(e, witness) {
		return nil, fmt.Errorf("its entry %d is not the one that stands here beside the damage: the logs have parted", e.Index)
	}
	c := &claim{from: id}
	size := int64(0)
	for index := h.First; index <= h.Last; index++ {
		if e, err = m.entry(ctx, id, index); err != nil {
			return nil, err
		}
		if size += int64(len(e.Data) + len(e.Extensions)); size > h.Length {
			return nil, fmt.Errorf("its entry %d is too long for where it stood", index)
		}
		c.entries = append(c.entries, e)
	}
	if err := h.Fits(c.entries); err != nil {
		return nil, fmt.Errorf("what it gives does not fit: %w", err)
	}
	c.proven, err = m.leaves.prove(h, c.entries, whole)
	return c, err
}

func (m *mender) entry(ctx context.Context, id string, index uint64) (segment.Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, m.answer)
	defer cancel()
	return m.ask(ctx, id, index)
}

// sameEntry leaves out when it was appended: nothing depends on that.
func sameEntry(a, b segment.Entry) bool {
	return a.Index == b.Index && a.Term == b.Term && a.Type == b.Type && bytes.Equal(a.Data, b.Data) && bytes.Equal(a.Extensions, b.Extensions)
}

func sameEntries(a, b []segment.Entry) bool {
	for i := range a {
		if i >= len(b) || !sameEntry(a[i], b[i]) {
			return false
		}
	}
	return len(a) == len(b)
}
