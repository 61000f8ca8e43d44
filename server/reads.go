package server

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"ironman/fsm"
	"ironman/s3api"
	"ironman/server/audit"
	"ironman/wal/event"
	"ironman/wal/reads"
)

// readsLog is this node's log of reads, and what has become of it in the ledger.
type readsLog struct {
	n   *Node
	log *reads.Log
	// noted is the newest head that the ledger has; only run and end, which follow each
	// other, know it.
	noted tlog.Tree
	// setBack: records that the ledger vouches for were gone at this start.
	setBack bool
	// told is the size of noted, for whoever asks.
	told atomic.Uint64
}

const (
	// readsNoteLimit bounds one proposal.
	readsNoteLimit = 30 * time.Second
	// readsEndLimit bounds the wait for the last reads.
	readsEndLimit = time.Second
)

// openReads opens the log of reads, if there is one or is to be one: one that nothing is
// added to any more is still to be erased in, and to be shown.
//
// It comes behind the start of an incarnation: what an earlier one noted of its log is in
// the state by then, or never will be.
func (n *Node) openReads() error {
	o := &n.opts
	dir := o.FS.PathJoin(o.Dir, audit.ReadsDir)
	if _, err := o.FS.Stat(dir); !o.LogReads && errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	c, err := n.cluster()
	if err != nil {
		return err
	}
	signer, err := n.keyring.ledgerSigner(c.LedgerOrigin)
	if err != nil {
		return err
	}
	verifier, err := note.NewVerifier(c.LedgerKey)
	if err != nil {
		return err
	}
	v, err := n.machine.View()
	if err != nil {
		return err
	}
	head, err := v.ReadsHead(n.identity.Node)
	if err := errors.Join(err, v.Close()); err != nil {
		return err
	}
	l := &readsLog{n: n}
	l.log, err = reads.Open(reads.Options{
		FS: o.FS, Dir: dir, Origin: audit.ReadsOrigin(c.LedgerOrigin, n.identity.Node), Signer: signer, Verifiers: note.VerifierList(verifier),
		Noted: head.GetSize(), Full: n.space.Low, Erased: n.erasedEvent, Now: o.Now, Fatal: o.Fatal, Logger: o.Logger,
	})
	if err != nil && !o.LogReads {
		// Nothing else needs it: only erasures are not done, and say so.
		o.Logger.Error("the log of reads that this node has kept cannot be used", "err", err)
		n.readsProblem = err
		return nil
	}
	if err != nil {
		return fmt.Errorf("server: %w", err)
	}
	n.reads = l
	if head != nil {
		l.noted = tlog.Tree{N: int64(head.Size), Hash: tlog.Hash(head.Root)}
		l.told.Store(head.Size)
	}
	if !o.LogReads {
		return nil
	}
	if l.setBack, err = l.log.Vouched(l.noted); err != nil {
		return fmt.Errorf("server: %w", err)
	}
	l.setBack = l.setBack || l.log.Damaged()
	return l.log.Begin(n.incarnation)
}

// erasedEvent tells whether an erasure has taken something of an event.
func (n *Node) erasedEvent(seq uint64) (erased bool, err error) {
	err = n.machine.Erased(seq, seq+1, func(fsm.ErasedPayload) bool {
		erased = true
		return false
	})
	return erased, err
}

// readsFor is who is told of reads; nil: nobody.
func (n *Node) readsFor() s3api.Reads {
	if n.reads == nil || !n.opts.LogReads {
		return nil
	}
	return n.reads.log
}

// run writes what is read, tells the ledger of it, and lets old records go, until ctx ends.
func (l *readsLog) run(ctx context.Context) {
	l.n.done.Go(func() {
		if err := l.log.CountSizes(ctx); err != nil && ctx.Err() == nil {
			l.n.opts.Logger.Warn("the size of the log of reads is not known", "err", err)
		}
	})
	if !l.n.opts.LogReads {
		return
	}
	l.n.done.Go(func() { l.log.Run(ctx) })
	tick := time.NewTicker(l.n.opts.ReadsNoteEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		l.tell(ctx)
		l.expire()
	}
}

// tell notes in the ledger how far the log is. What cannot be noted now is noted later.
func (l *readsLog) tell(ctx context.Context) {
	head := l.log.Head()
	if head.N <= l.noted.N || l.n.members.level() < event.LevelOf((&event.Statement{Body: &event.Statement_ReadsNoted{}}).Kind()) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, readsNoteLimit)
	defer cancel()
	a, err := l.n.proposeSystem(ctx, event.NewDraft(nil, &event.Statement_ReadsNoted{ReadsNoted: &event.ReadsNoted{
		Node: l.n.identity.Node, Incarnation: l.n.incarnation, Size: uint64(head.N), Root: head.Hash[:],
	}}))
	if r := a.Outcome.GetRefusal(); err == nil && r != event.Refusal_REFUSAL_NONE {
		err = fmt.Errorf("it was refused: %s", r)
	}
	if err != nil {
		if ctx.Err() == nil {
			l.n.opts.Logger.Warn("the ledger does not know yet how far the log of reads is", "records", head.N, "err", err)
		}
		return
	}
	l.noted = head
	l.told.Store(uint64(head.N))
}

// expire lets old records go.
func (l *readsLog) expire() {
	keep := l.n.opts.LogReadsKeep
	if keep <= 0 {
		return
	}
	if _, err := l.log.Expire(l.n.opts.Now().Add(-keep)); err != nil {
		l.n.opts.Logger.Warn("old records of reads stay", "err", err)
	}
}

// settle waits a moment for reads that are under way although nobody listens any more, so that
// they are recorded, and counts the rest.
func (l *readsLog) settle(underWay func() int64) {
	if !l.n.opts.LogReads {
		return
	}
	for limit := time.Now().Add(readsEndLimit); underWay() > 0 && time.Now().Before(limit); {
		time.Sleep(10 * time.Millisecond)
	}
	if left := underWay(); left > 0 {
		l.log.CutOff(uint64(left))
	}
}

// end notes the last reads, while the log still takes events; run may be under way, whose
// proposal is the same or an earlier one.
func (l *readsLog) end(ctx context.Context) {
	if !l.n.opts.LogReads || l.log.Flush() != nil {
		return
	}
	last := &readsLog{n: l.n, log: l.log, noted: tlog.Tree{N: int64(l.told.Load())}}
	last.tell(ctx)
}

// ReadsStatus is what a node says of its log of reads.
type ReadsStatus struct {
	Logging   bool         `json:"logging"`   // reads are recorded now
	Retention string       `json:"retention"` // how long records are kept
	Records   uint64       `json:"records"`   // durable, from the first on
	Noted     uint64       `json:"noted"`     // of those, vouched for by the ledger
	Kept      uint64       `json:"kept"`      // the first that is kept
	Waiting   int          `json:"waiting"`   // in memory, not durable yet
	Dropped   uint64       `json:"dropped_since_start"`
	SetBack   bool         `json:"set_back"`        // at this start records were gone that the ledger vouches for
	Bytes     *LedgerBytes `json:"bytes,omitempty"` // of files; nil: they are being counted
	TailBytes int64        `json:"tail_bytes"`      // of records that are not in a bundle yet
	// Problem is why the log, which nothing is added to, cannot be used: all else is unknown.
	Problem string `json:"problem,omitempty"`
}

func (n *Node) readsStatus() *ReadsStatus {
	if n.readsProblem != nil {
		return &ReadsStatus{Retention: ledgerKept, Problem: n.readsProblem.Error()}
	}
	if n.reads == nil {
		return nil
	}
	st := n.reads.log.Status()
	s := &ReadsStatus{
		Logging: n.opts.LogReads, Retention: ledgerKept, Records: st.Records, Noted: n.reads.told.Load(), Kept: st.Kept,
		Waiting: st.Waiting, Dropped: st.Dropped, SetBack: n.reads.setBack, TailBytes: st.Tail,
	}
	if n.opts.LogReadsKeep > 0 {
		s.Retention = n.opts.LogReadsKeep.String()
	}
	if st.Known {
		s.Bytes = &LedgerBytes{Tiles: st.Sizes.Tiles, Entries: st.Sizes.Entries, Payloads: st.Sizes.Payloads}
	}
	return s
}

// readsGauges are the metrics of the log of reads.
var readsGauges = [...]struct {
	name, help string
	of         func(*ReadsStatus) float64
}{
	{"ironman_reads_records", "Durable records of this node's log of reads, from the first on.", func(s *ReadsStatus) float64 { return float64(s.Records) }},
	{"ironman_reads_noted_records", "Records of the log of reads that the ledger vouches for.", func(s *ReadsStatus) float64 { return float64(s.Noted) }},
	{"ironman_reads_waiting_records", "Records of reads that are not durable yet.", func(s *ReadsStatus) float64 { return float64(s.Waiting) }},
	{"ironman_reads_dropped", "Reads since the node started of which there is no record, as there was no room for it.", func(s *ReadsStatus) float64 { return float64(s.Dropped) }},
	{"ironman_reads_set_back", "1: at this start of the node records were gone that the ledger vouches for.", func(s *ReadsStatus) float64 {
		if s.SetBack {
			return 1
		}
		return 0
	}},
	{"ironman_reads_bytes", "Bytes of the files of the log of reads; NaN until they are counted.", func(s *ReadsStatus) float64 {
		if s.Bytes == nil {
			return math.NaN()
		}
		return float64(s.Bytes.Tiles + s.Bytes.Entries + s.Bytes.Payloads + s.TailBytes)
	}},
}

// readsGauge is a metric of the log of reads; 0 where there is none.
func (n *Node) readsGauge(of func(*ReadsStatus) float64) float64 {
	s := n.readsStatus()
	if s == nil {
		return 0
	}
	return of(s)
}

// notedReads are the heads of this node's log that its ledger has, oldest first.
func (n *Node) notedReads(ctx context.Context) (heads []tlog.Tree, err error) {
	end := n.machine.Applied().Next
	for next := uint64(0); next < end; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		records, err := n.changes.records(next, changesBatch)
		if err == nil && len(records) == 0 {
			err = fmt.Errorf("%w: event %d is not here yet", errNotNow, next)
		}
		if err != nil {
			return nil, err
		}
		for i := range records {
			node, head, ok, err := audit.NotedReads(&records[i])
			if err != nil {
				return nil, err
			}
			if ok && node == n.identity.Node {
				heads = append(heads, head)
			}
		}
		next = records[len(records)-1].Seq + 1
	}
	return heads, nil
}

// errNoReads says that there is nothing to ask for.
func (n *Node) errNoReads() error {
	if n.readsProblem != nil {
		return fmt.Errorf("%w: the log of reads of node %d cannot be used: %w", errNotNow, n.identity.Node, n.readsProblem)
	}
	return fmt.Errorf("%w: node %s keeps no log of reads (--log-reads)", errNoObject, strconv.Itoa(int(n.identity.Node)))
}
