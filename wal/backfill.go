package wal

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"ironman/wal/event"
	"ironman/wal/ledger"
	"ironman/wal/merkle"
	"ironman/wal/segment"
)

// A node whose state came by snapshot holds neither the leaves that the sender had
// archived nor the entries that the snapshot stands for. It takes those records
// from its peers' archives.
//
// It believes no peer. Its own state commits to the whole history: the frontier of
// its ledger's tree holds the roots of all complete subtrees, and so the frontier
// of all whole bundles (merkle.Frontier.Whole). A back-fill fixes that tree when it
// begins. Each extract then has to prove that this node's archive, and the bundle
// behind it, are a prefix of the tree; what passes is right for good and is archived
// at once. Nothing is staged: a crash leaves the archive at the last whole bundle,
// and the next back-fill begins there, with the tree of the state at that time.

// ledgerPeers are the nodes that records can be asked of. The zero value: none ever.
type ledgerPeers struct {
	// list names them, in the order in which they are asked.
	list func() []string
	// ask has a peer's Node answer a request by answerRecords.
	ask func(ctx context.Context, id string, request []byte) ([]byte, error)
}

// pace is how long the back-fill waits for what.
type pace struct {
	answer   time.Duration // one part from a peer
	retry    time.Duration // before a peer that did not serve is asked again
	distrust time.Duration // before a peer whose records did not verify is asked again
	patience time.Duration // before it is said that nobody serves
	report   time.Duration // before that is said again
}

func defaultPace() pace {
	return pace{
		answer: 10 * time.Second, retry: time.Second, distrust: time.Minute,
		patience: 10 * time.Second, report: time.Minute,
	}
}

// pause is why a peer is not asked, and until when.
type pause struct {
	until time.Time
	why   error
}

// gap is a back-fill under way.
type gap struct {
	from, to uint64
	queued   uint64    // the first sequence that the state's queue holds
	tree     tlog.Tree // of this node's state; all whole bundles when the back-fill began
	// edge is the frontier of the archive and of the whole bundles in records.
	edge *merkle.Frontier
	// records are verified and not archived yet: from the archive's size on, dense.
	records []ledger.Record
	next    uint64 // behind records
	bytes   int    // of records
	total   int    // bytes of all records so far
}

// backfill fetches and archives what cannot be made here, from the end of the
// archive on. whole is the frontier of the state's whole bundles, queued the first
// sequence in its queue. The error of an ended ctx is of no meaning.
func (a *archiver) backfill(ctx context.Context, whole *merkle.Frontier, queued uint64) error {
	g, err := a.openGap(whole, queued)
	if err != nil {
		return err
	}
	if a.peers.ask == nil || len(a.peers.list()) == 0 {
		return fmt.Errorf("events %d to %d are not in this node's queue and log, and there are no peers to ask", g.from, g.to-1)
	}
	a.reach.Store(g.to)
	defer a.reach.Store(0)
	began := a.now()
	a.quiet = began.Add(a.pace.patience)
	a.logger.Info("ledger: records come from peers", "from", g.from, "to", g.to, "tree", g.tree.N)
	for g.next < g.to {
		if err := a.fetch(ctx, g); err != nil {
			return err
		}
		whole := g.next%ledger.BundleSize == 0
		if whole && (g.next == g.to || len(g.records) >= archiveBatch || g.bytes >= archiveBytes) {
			if err := a.putFetched(g); err != nil {
				return err
			}
		}
	}
	a.logger.Info("ledger: records from peers are archived", "from", g.from, "to", g.to, "bytes", g.total, "took", a.now().Sub(began))
	return nil
}

// openGap finds what is missing: up to the first bundle that can be made here, but
// no more than the whole bundles there are. Where entries are missing within a
// bundle, the archiver finds that when it gets there.
func (a *archiver) openGap(whole *merkle.Frontier, queued uint64) (*gap, error) {
	from := a.archive.Size()
	to := from + ledger.BundleSize
	if queued > to {
		to = (queued + ledger.BundleSize - 1) / ledger.BundleSize * ledger.BundleSize
	}
	for ; to < whole.Size(); to += ledger.BundleSize {
		leaves, err := a.state.Leaves(to, 1)
		if err != nil {
			return nil, err
		}
		if len(leaves) == 0 {
			continue
		}
		if _, err := a.log.ArchiveEntry(leaves[0].Index); err == nil {
			break
		} else if !errors.Is(err, segment.ErrNotFound) {
			return nil, err
		}
	}
	return &gap{
		from: from, to: min(to, whole.Size()), queued: queued, next: from,
		tree: tlog.Tree{N: int64(whole.Size()), Hash: whole.Root()}, edge: a.archive.Frontier(),
	}, nil
}

// putFetched archives verified bundles. Leaves that this node has itself, without
// their entries, must be the ones that were fetched: they are what the tree was
// made of.
func (a *archiver) putFetched(g *gap) error {
	own := g.records
	if first := own[0].Seq; g.queued > first {
		own = own[min(g.queued-first, uint64(len(own))):]
	}
	index := uint64(0)
	if len(own) > 0 {
		leaves, err := a.state.Leaves(own[0].Seq, len(own))
		if err != nil {
			return err
		}
		if len(leaves) != len(own) {
			return fmt.Errorf("the state's queue has %d leaves from event %d on, %d were there before", len(leaves), own[0].Seq, len(own))
		}
		for i := range own {
			if !bytes.Equal(own[i].Envelope, leaves[i].Envelope) {
				return fmt.Errorf("the leaf of event %d in the state's queue is not the one of the state's ledger tree", own[i].Seq)
			}
		}
		index = leaves[len(leaves)-1].Index
	}
	if err := a.put(g.records, index); err != nil {
		return err
	}
	g.total += g.bytes
	g.records, g.bytes = g.records[:0], 0
	return nil
}

// fetch gets the next records from any peer, and waits where none gives them. An
// error is fatal, or that of ctx.
func (a *archiver) fetch(ctx context.Context, g *gap) error {
	for {
		for _, id := range a.peers.list() {
			if p, paused := a.pauses[id]; paused && a.now().Before(p.until) {
				continue
			}
			err := a.take(ctx, id, g)
			if err == nil || ctx.Err() != nil {
				return ctx.Err()
			}
			if errors.Is(err, errBeyondUs) {
				return err
			}
			a.pause(id, g, err)
		}
		a.sayWaiting(g)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(a.pace.retry):
		}
	}
}

// errBeyondUs: a record is the ledger's and cannot be read by this release.
var errBeyondUs = errors.New("a record of the ledger")

// take gets the next records from one peer and verifies them.
func (a *archiver) take(ctx context.Context, id string, g *gap) error {
	x, err := a.receive(ctx, id, g)
	if err != nil {
		return err
	}
	after, err := x.Check(g.edge, g.tree)
	if errors.Is(err, event.ErrNewer) {
		return fmt.Errorf("%w: %w", errBeyondUs, err)
	}
	if err != nil {
		return err
	}
	if err := a.allErased(x.Records); err != nil {
		return err
	}
	delete(a.pauses, id)
	g.records = append(g.records, x.Records...)
	g.next += uint64(len(x.Records))
	for i := range x.Records {
		g.bytes += x.Records[i].Bytes()
	}
	if g.next%ledger.BundleSize == 0 {
		g.edge = after
	}
	return nil
}

// allErased refuses records of which an item is gone that this node's own state does not say
// was erased: the hash of an item proves nothing of why its bytes are not there, and what
// is archived without them is never whole again. It is no lie of the peer's yet, which may
// be ahead of this node by the erasure: others are asked, and then that one again.
func (a *archiver) allErased(records []ledger.Record) error {
	first := records[0].Seq
	targets, err := a.state.Erased(first, first+uint64(len(records)))
	if err != nil {
		return err
	}
	for i := range records {
		r := &records[i]
		for len(targets) > 0 && targets[0].Seq < r.Seq {
			targets = targets[1:]
		}
		for k := range r.Items {
			if !r.Items[k].Erased {
				continue
			}
			if len(targets) == 0 || targets[0].Seq != r.Seq || targets[0].Items != nil && !slices.Contains(targets[0].Items, k) {
				return fmt.Errorf("item %d of event %d is erased there, and as far as is known here it was not", k, r.Seq)
			}
		}
	}
	return nil
}

// receive gets the next extract from one peer, part by part.
func (a *archiver) receive(ctx context.Context, id string, g *gap) (*ledger.Extract, error) {
	var first *recordsAnswer
	var extract []byte
	for {
		r := recordsRequest{from: g.next, size: uint64(g.tree.N), offset: uint32(len(extract))}
		answer, err := a.ask(ctx, id, r)
		switch {
		case err != nil:
			return nil, err
		case answer.total == 0:
			return nil, fmt.Errorf("it has archived %d events of %d", answer.archived, r.size)
		case first == nil:
			first = answer
		case answer.total != first.total || answer.sum != first.sum:
			return nil, errors.New("the records changed while they were sent")
		}
		extract = append(extract, answer.part...)
		if len(extract) == int(first.total) {
			break
		}
	}
	x, err := ledger.DecodeExtract(g.next, extract)
	if errors.Is(err, event.ErrMalformed) {
		err = &ledger.Damage{Seq: g.next, Err: err}
	}
	return x, err
}

// ask gets one part from a peer. A malformed answer is a *ledger.Damage.
func (a *archiver) ask(ctx context.Context, id string, r recordsRequest) (*recordsAnswer, error) {
	ctx, cancel := context.WithTimeout(ctx, a.pace.answer)
	defer cancel()
	b, err := a.peers.ask(ctx, id, encodeRecordsRequest(r))
	if err != nil {
		return nil, err
	}
	answer, err := decodeRecordsAnswer(b, r.offset)
	if errors.Is(err, event.ErrMalformed) {
		err = &ledger.Damage{Seq: r.from, Err: err}
	}
	return answer, err
}

// pause leaves a peer alone for a while.
func (a *archiver) pause(id string, g *gap, why error) {
	wait := a.pace.retry
	if damage := (*ledger.Damage)(nil); errors.As(why, &damage) {
		wait = a.pace.distrust
		a.logger.Warn("ledger: a peer's records do not verify: others are asked", "peer", id, "seq", damage.Seq, "err", damage.Err)
	}
	if a.pauses == nil {
		a.pauses = make(map[string]pause)
	}
	a.pauses[id] = pause{until: a.now().Add(wait), why: why}
}

// sayWaiting says, now and then, that nobody serves. Not at once: peers archive a
// moment after they apply.
func (a *archiver) sayWaiting(g *gap) {
	now := a.now()
	if now.Before(a.quiet) {
		return
	}
	a.quiet = now.Add(a.pace.report)
	var why []string
	for _, id := range a.peers.list() {
		if p, ok := a.pauses[id]; ok {
			why = append(why, fmt.Sprintf("%s: %v", id, p.why))
		}
	}
	a.logger.Warn("ledger: waiting for records that no peer gives now", "next", g.next, "to", g.to, "peers", strings.Join(why, "; "))
}
