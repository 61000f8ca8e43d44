package server

import (
	"context"
	"sync"
	"time"

	"ironman/fsm"
	"ironman/sim/sabotage"
	"ironman/wal/event"
)

const (
	// bucketsPerPass is how many buckets with a retention of their own a pass looks at,
	// trimsPerPass how many steps it takes for one of them.
	bucketsPerPass = 1000
	trimsPerPass   = 50
	// mostSqueezed bounds how often what is kept is halved.
	mostSqueezed = 16
)

// trims drops history that is older than its retention, in bounded steps: the cluster's,
// and that of each bucket with a retention of its own. Where the leader is short of space
// the oldest goes early: each step halves how long what is not strict is kept, and the next
// waits until the bytes of the one before can be free.
type trims struct {
	n        *Node
	mu       sync.Mutex // one pass at a time
	above    uint64     // the bucket that the last pass came to
	squeezed int
	since    time.Time // of the last step
}

func newTrims(n *Node) *trims { return &trims{n: n} }

// pass trims what is due.
func (h *trims) pass(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	v, err := h.n.machine.View()
	if err != nil {
		return err
	}
	c, err := v.Cluster()
	v.Close()
	if err != nil {
		return err
	}
	h.squeeze(c)
	for range trimsPerPass {
		if more, err := h.trim(ctx, 0); err != nil || !more {
			if err != nil {
				return err
			}
			break
		}
	}
	due, err := h.dueBuckets()
	for _, bucket := range due {
		for range trimsPerPass {
			more, err := h.trim(ctx, bucket)
			if err != nil {
				return err
			}
			if !more {
				break
			}
		}
	}
	return err
}

// squeeze judges how much is to go early.
func (h *trims) squeeze(c *fsm.Cluster) {
	o := &h.n.opts
	now := o.Now()
	// Bytes are free once their grace is over and their packs are gone.
	// While a backup is taken none go: then that there is no space yet says nothing.
	if h.squeezed > 0 && !h.n.holds.held(now).IsZero() {
		h.since = now
	}
	if h.squeezed > 0 && now.Sub(h.since) < time.Duration(c.GetReleaseGrace())+o.PackGrace+10*collectEvery {
		return
	}
	short := h.n.space.Short(o.HistoryMark) || h.n.blobs.Short(o.HistoryMark)
	switch {
	case c.GetFeatureLevel() < 4: // nodes of an older release would not say why
		return
	case short && h.squeezed < mostSqueezed:
		h.squeezed++
		o.Logger.Warn("history: there is little free space: what is not strict is kept for less than its retention",
			"part", 1/float64(int(1)<<h.squeezed), "floor", o.HistoryFloor)
	case !short && h.squeezed > 0:
		h.squeezed--
		o.Logger.Info("history: there is more free space", "part", 1/float64(int(1)<<h.squeezed))
	default:
		return
	}
	h.since = now
}

// kept is how long something is kept now.
func (h *trims) kept(retention time.Duration, strict bool) time.Duration {
	if strict {
		return retention
	}
	return max(retention>>h.squeezed, min(retention, h.n.opts.HistoryFloor))
}

// keeping is how long the rows of an index are kept.
type keeping struct {
	retention time.Duration // 0: they only have to go
	strict    bool
	trimmed   uint64
}

// to is the sequence below which rows go now, and whether some do before their time.
func (h *trims) to(v *fsm.View, k keeping) (to uint64, early bool, err error) {
	if k.retention == 0 {
		return k.trimmed, false, nil
	}
	now := h.n.opts.Now()
	if to, err = v.SeqAt(now.Add(-k.retention).Unix()); err != nil {
		return 0, false, err
	}
	to = max(to, k.trimmed)
	if kept := h.kept(k.retention, k.strict); kept < k.retention {
		sooner, err := v.SeqAt(now.Add(-kept).Unix())
		if err != nil || sooner > to {
			return sooner, true, err
		}
	}
	return to, false, nil
}

// trim takes one step in an index: of a bucket, or (0) the cluster's. It tells whether there
// may be more to do.
func (h *trims) trim(ctx context.Context, bucket uint64) (more bool, err error) {
	if ctx.Err() != nil {
		return false, nil
	}
	v, err := h.n.machine.View()
	if err != nil {
		return false, err
	}
	step, err := h.step(v, bucket)
	v.Close()
	if err != nil || step == nil {
		return false, err
	}
	// Behind it: the clock by which the step was chosen may have been set, and a leader whose
	// clock is right would take what this node proposes.
	if h.n.clockProblem() != nil {
		return false, nil
	}
	a, err := h.n.proposeSystem(ctx, event.NewDraft(nil, &event.Statement_HistoryTrimmed{HistoryTrimmed: step}))
	if err != nil || a.Outcome.Refusal != event.Refusal_REFUSAL_NONE {
		return false, err
	}
	if step.Early {
		h.n.metrics.early.Add(float64(a.Outcome.Allocated))
	}
	return a.Outcome.Allocated > 0, nil
}

// step is what is to be trimmed next; nil: nothing.
func (h *trims) step(v *fsm.View, bucket uint64) (*event.HistoryTrimmed, error) {
	c, err := v.Cluster()
	if err != nil {
		return nil, err
	}
	if bucket != 0 {
		r, err := v.Retention(bucket)
		if err != nil || r == nil {
			return nil, err
		}
		return h.bucketStep(v, c, bucket, r)
	}
	to, early, err := h.to(v, keeping{time.Duration(c.HistoryRetention), c.HistoryStrict, c.HistoryTrimmed})
	if err != nil {
		return nil, err
	}
	oldest, any, err := v.HistoryFrom(0)
	if err != nil || !any || oldest >= to {
		return nil, err
	}
	return &event.HistoryTrimmed{To: to, Rows: collectBatch, Early: early}, nil
}

func (h *trims) bucketStep(v *fsm.View, c *fsm.Cluster, bucket uint64, r *fsm.Retention) (*event.HistoryTrimmed, error) {
	k := keeping{time.Duration(r.History), r.Strict, r.Trimmed}
	shared, err := v.Oldest()
	if err != nil {
		return nil, err
	}
	if r.Inherits || sabotage.On(sabotage.X67) {
		k = keeping{time.Duration(c.HistoryRetention), c.HistoryStrict, max(r.Trimmed, shared)}
	}
	to, early, err := h.to(v, k)
	if err != nil {
		return nil, err
	}
	step := &event.HistoryTrimmed{To: to, Rows: collectBatch, Bucket: bucket, Early: early}
	oldest, any, err := v.HistoryFrom(bucket)
	switch {
	case err != nil:
		return nil, err
	case r.Gathering, any && oldest < to:
		return step, nil
	case any || shared < r.Trimmed:
		return nil, nil
	}
	b, err := v.Bucket(bucket)
	if err != nil || b != nil && !r.Inherits {
		return nil, err
	}
	step.To, step.Early = r.Trimmed, false
	return step, nil // the last: the bucket's row goes
}

// dueBuckets finds, among the next buckets with a retention of their own, those for which
// there is something to do.
func (h *trims) dueBuckets() (due []uint64, err error) {
	v, err := h.n.machine.View()
	if err != nil {
		return nil, err
	}
	defer v.Close()
	entries, err := v.Retentions(h.above, bucketsPerPass)
	if err != nil {
		return nil, err
	}
	h.above = 0
	if len(entries) == bucketsPerPass {
		h.above = entries[len(entries)-1].Bucket
	}
	c, err := v.Cluster()
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		step, err := h.bucketStep(v, c, e.Bucket, e.Row)
		if err != nil {
			return nil, err
		}
		if step != nil {
			due = append(due, e.Bucket)
		}
	}
	return due, nil
}

// countHistory counts the rows of history that were there when the node started.
func (n *Node) countHistory(ctx context.Context) {
	if err := n.machine.CountHistory(ctx); err != nil && ctx.Err() == nil {
		n.opts.Logger.Warn("history: its rows cannot be counted", "err", err)
	}
}

// historyAge is how old the oldest moment is that can be read by the cluster's retention.
func (n *Node) historyAge() float64 {
	v, err := n.machine.View()
	if err != nil {
		return 0
	}
	defer v.Close()
	m, err := oldestMoment(v, 0)
	if err != nil || m.seq+1 >= v.Applied().Next {
		return 0
	}
	return max(n.opts.Now().Sub(m.time).Seconds(), 0)
}
