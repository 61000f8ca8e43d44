package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"ironman/fsm"
	"ironman/server/audit"
	"ironman/server/link"
	"ironman/sim/sabotage"
	"ironman/wal/ledger"
)

// eraser carries out, on this node, what erasures say: it takes what they name out of the
// log, the state's files, snapshots and the ledger. Whatever it has begun when the node
// ends it begins anew at the next start: each step may be taken twice. Only when nothing is
// left is that noted, durably, in the state itself, so that the note goes where the state
// goes: a state that came from another node's disk makes this one begin anew, too.
type eraser struct {
	n *Node

	// Of an erasure that a damaged log of reads keeps from its end; for the goroutine that
	// works. names are those of the erasures up to known, which that log is looked through
	// for; elsewhere is the newest erasure of which nothing is left anywhere else.
	names     *audit.ErasedNames
	known     uint64
	elsewhere uint64

	mu      sync.Mutex
	stage   string // of what is under way; "": nothing is
	problem string // why the last try failed; "": it did not
}

const (
	// eraseEvery is how often it is looked whether there is something to erase.
	eraseEvery = time.Second
	// eraseRest is between two looks at what is waited for.
	eraseRest = 100 * time.Millisecond
	// erasePause is before something that failed is tried again.
	erasePause = 10 * time.Second
	// eraseDamagedPause is before a damaged log of reads is looked through again.
	eraseDamagedPause = time.Minute
	// fillPatience is how long a node that does not lead waits for the leader to fill the
	// bundle that both wait for.
	fillPatience = 3 * time.Second
	// eraseTargets is how many payloads are erased in the ledger at a time.
	eraseTargets = 10_000
)

func newEraser(n *Node) *eraser { return &eraser{n: n} }

// run works until ctx ends.
func (e *eraser) run(ctx context.Context) {
	for ctx.Err() == nil {
		pause := eraseEvery
		if err := e.step(ctx); err != nil && ctx.Err() == nil {
			e.n.opts.Logger.Warn("an erasure is not carried out yet", "err", err)
			e.note("", err.Error())
			pause = erasePause
			if errors.Is(err, errReadsDamaged) {
				pause = eraseDamagedPause
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// step carries out what is not yet.
func (e *eraser) step(ctx context.Context) error {
	last, done, err := e.where()
	if err != nil || last <= done {
		return err
	}
	// An erasure of many payloads is several events: all of them are carried out at once.
	for more := last; ; last = more {
		if err := e.rest(ctx); err != nil {
			return err
		}
		if more, _, err = e.where(); err != nil || more == last {
			break
		}
	}
	if err != nil {
		return err
	}
	began := time.Now()
	e.n.opts.Logger.Info("an erasure is carried out", "event", last)
	if err := e.carryOut(ctx, last, done); err != nil {
		return err
	}
	e.note("", "")
	e.n.opts.Logger.Info("an erasure was carried out: nothing of what it names is left here", "event", last, "took", time.Since(began))
	return nil
}

// where tells the newest erasure, and the newest that this node has carried out.
func (e *eraser) where() (last, done uint64, err error) {
	if last, err = e.n.machine.LastErasure(); err != nil {
		return 0, 0, err
	}
	done, err = e.n.machine.Cleaned(e.n.identity.Node)
	return last, done, err
}

func (e *eraser) note(stage, problem string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stage, e.problem = stage, problem
}

// carryOut takes away what the erasures behind done, up to last, name. All that they name
// is of events before last, and so are all rows that ever held it.
func (e *eraser) carryOut(ctx context.Context, last, done uint64) error {
	n := e.n
	e.note("erasing in the log of reads", "")
	inReads := e.eraseReads(ctx, last, done)
	if inReads != nil && !errors.Is(inReads, errReadsDamaged) {
		return inReads
	}
	if e.elsewhere < last {
		if err := e.carryOutElsewhere(ctx, last, done); err != nil {
			return err
		}
		e.elsewhere = last
	}
	if inReads != nil {
		return inReads
	}
	return n.machine.SetCleaned(n.identity.Node, last)
}

// carryOutElsewhere is carryOut behind the log of reads.
func (e *eraser) carryOutElsewhere(ctx context.Context, last, done uint64) error {
	n := e.n
	e.note("sealing the log", "")
	sealed, err := e.seal(ctx, last)
	if err != nil {
		return err
	}
	e.note("rewriting the state", "")
	usage, err := n.opts.FS.GetDiskUsage(n.opts.Dir)
	if err != nil {
		usage.TotalBytes = 0 // Clean finds out
	}
	if err := n.machine.Clean(ctx, n.opts.Reserve.Of(usage.TotalBytes), func() error { return e.rest(ctx) }); err != nil {
		return err
	}
	clean := n.machine.Applied().Index
	e.note("filling a bundle of the ledger", "")
	if err := e.archive(ctx, last, sealed); err != nil {
		return err
	}
	e.note("taking a snapshot", "")
	if err := e.snapshot(ctx, last, max(sealed, clean)); err != nil {
		return err
	}
	e.note("truncating the log", "")
	if err := n.log.Forget(ctx, sealed); err != nil {
		return err
	}
	e.note("erasing in the ledger", "")
	if !sabotage.On(sabotage.X70) {
		return e.eraseItems(ctx, last, done)
	}
	return nil
}

// seal closes the files of the log, and returns the last entry in them once that is applied. It
// may be one that the state never sees, as a new leader's first: then another event has to
// come.
func (e *eraser) seal(ctx context.Context, last uint64) (index uint64, err error) {
	if sabotage.On(sabotage.X68) {
		return 0, nil
	}
	for {
		if index, err = e.n.log.Seal(); err != nil {
			return 0, err
		}
		for s := (stillness{}); e.n.machine.Applied().Index < index; {
			if s.look(e.n, time.Now()) > eraseEvery {
				e.trouble(e.fill(ctx, last, 1))
				s = stillness{}
			}
			if err := e.rest(ctx); err != nil {
				return 0, err
			}
		}
		if e.n.log.Sealed(index) {
			return index, nil
		}
	}
}

// stillness is for how long nothing has happened that this node waits for: it has applied
// all that it knows to be committed, and no more comes.
type stillness struct {
	applied uint64
	since   time.Time
}

// stillFor is what stillness looks at.
type stillFor interface {
	appliedIndex() uint64
	caughtUp() bool
}

func (n *Node) appliedIndex() uint64 { return n.machine.Applied().Index }
func (n *Node) caughtUp() bool       { return n.log.CaughtUp() }

// look looks again. A node that only lags needs no events more: what it waits for is there.
func (s *stillness) look(n stillFor, now time.Time) time.Duration {
	if applied := n.appliedIndex(); s.since.IsZero() || applied != s.applied || !n.caughtUp() {
		s.applied, s.since = applied, now
	}
	return now.Sub(s.since)
}

// archive returns once the entries up to an index are in the ledger. It holds whole
// bundles, so that a cluster in which little happens fills the last one with events that
// do nothing. Rejected: partial bundles in the archive, which would have to be written
// again, and every reader would have to expect that; copying what is to stay of a log file.
func (e *eraser) archive(ctx context.Context, last, index uint64) error {
	s := stillness{}
	for {
		archived, missing, err := e.n.log.Archives(index)
		if archived || err != nil {
			return err
		}
		still := s.look(e.n, time.Now())
		if missing > 0 && still > 0 && (e.n.log.Leads() || still > fillPatience) {
			// That it fails, because nobody leads or nothing is heard of it, ends nothing:
			// what has been done so far would only be done again.
			e.trouble(e.fill(ctx, last, missing))
			s = stillness{}
		}
		if err := e.rest(ctx); err != nil {
			return err
		}
	}
}

// trouble notes what goes wrong while something is waited for.
func (e *eraser) trouble(err error) {
	if err == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.problem = err.Error()
}

// snapshot returns once the only snapshot is one of more than the entry at an index.
func (e *eraser) snapshot(ctx context.Context, last, index uint64) error {
	for {
		ok, err := e.n.log.SnapshotBehind(index)
		if ok {
			return nil
		}
		e.trouble(err)
		if e.n.machine.Applied().Index <= index {
			e.trouble(e.fill(ctx, last, 1))
		}
		if err := e.rest(ctx); err != nil {
			return err
		}
	}
}

func (e *eraser) rest(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(eraseRest):
		return nil
	}
}

// eraseItems takes items out of the ledger's files: what the erasures behind done name.
func (e *eraser) eraseItems(ctx context.Context, last, done uint64) error {
	for from := uint64(0); from < last; {
		if err := ctx.Err(); err != nil {
			return err
		}
		var targets []ledger.Target
		next := last
		err := e.n.machine.Erased(from, last, func(p fsm.ErasedPayload) bool {
			if len(targets) == eraseTargets {
				next = p.Seq
				return false
			}
			if p.By > done {
				targets = append(targets, ledger.Target{Seq: p.Seq, Items: p.Items, Lenient: true})
			}
			return true
		})
		if err == nil {
			err = e.n.log.Erase(targets)
		}
		if err != nil {
			return err
		}
		from = next
	}
	return nil
}

// ErasureState is one erasure.
type ErasureState struct {
	Seq      uint64    `json:"seq"`
	Time     time.Time `json:"time"` // log time
	Payloads uint64    `json:"payloads"`
}

// ErasureNode is how far a node has carried erasures out.
type ErasureNode struct {
	Node    uint32 `json:"node"`
	Through uint64 `json:"through"` // the newest erasure of which nothing is left on it
	Done    bool   `json:"done"`    // of the newest that there is, or was asked about
	Stage   string `json:"stage,omitempty"`
	Problem string `json:"problem,omitempty"`
}

// Erasures are all erasures, and how far each node has carried them out.
type Erasures struct {
	Erasures []ErasureState `json:"erasures"`
	Nodes    []ErasureNode  `json:"nodes"`
	// Removed are the nodes that were removed from the cluster. What their disks hold nobody
	// can reach any more, nor tell.
	Removed []uint32 `json:"removed,omitempty"`
}

// Done tells whether every node of the cluster has carried out all of them.
func (e *Erasures) Done() bool {
	for _, n := range e.Nodes {
		if !n.Done {
			return false
		}
	}
	return len(e.Nodes) > 0
}

// mostErasures bounds a list of erasures; the newest are told.
const mostErasures = 1000

// Erasures tells of all erasures, at a linearizable point, and asks every node.
func (n *Node) Erasures(ctx context.Context) (*Erasures, error) {
	v, err := n.changes.view(ctx)
	if err != nil {
		return nil, err
	}
	// Of one view: a node that has joined since an erasure is in it.
	all, err := v.Erasures(0, 1<<30)
	nodes, err2 := v.Nodes()
	if err := errors.Join(err, err2, v.Close()); err != nil {
		return nil, err
	}
	out := &Erasures{Erasures: []ErasureState{}}
	for _, e := range all[max(0, len(all)-mostErasures):] {
		out.Erasures = append(out.Erasures, ErasureState{Seq: e.Seq, Time: time.Unix(0, e.Row.Time).UTC(), Payloads: e.Row.Payloads})
	}
	last := uint64(0)
	if len(all) > 0 {
		last = all[len(all)-1].Seq
	}
	for _, node := range nodes {
		if node.Removed {
			out.Removed = append(out.Removed, node.Node)
		} else {
			out.Nodes = append(out.Nodes, ErasureNode{Node: node.Node})
		}
	}
	var asked sync.WaitGroup
	for i := range out.Nodes {
		asked.Go(func() {
			out.Nodes[i] = n.askErasures(ctx, out.Nodes[i].Node)
			out.Nodes[i].Done = out.Nodes[i].Through >= last
		})
	}
	asked.Wait()
	return out, nil
}

// askErasures asks a node how far it is. One that does not answer has done nothing, as far
// as anybody knows.
func (n *Node) askErasures(ctx context.Context, node uint32) ErasureNode {
	if node == n.identity.Node {
		return n.eraser.state()
	}
	unknown := ErasureNode{Node: node, Problem: "it does not answer"}
	l := n.link.Load()
	if l == nil {
		return unknown
	}
	ctx, cancel := context.WithTimeout(ctx, beaconLimit)
	defer cancel()
	b, err := l.Call(ctx, node, methodErasures, nil)
	if err != nil {
		unknown.Problem = "it does not answer: " + err.Error()
		return unknown
	}
	var said ErasureNode
	if err := json.Unmarshal(b, &said); err != nil {
		unknown.Problem = "its answer cannot be read: " + err.Error()
		return unknown
	}
	said.Node = node
	return said
}

// state is how far this node is.
func (e *eraser) state() ErasureNode {
	s := ErasureNode{Node: e.n.identity.Node}
	e.mu.Lock()
	s.Stage, s.Problem = e.stage, e.problem
	e.mu.Unlock()
	_, done, err := e.where()
	if err != nil {
		s.Problem = err.Error()
	}
	s.Through = done
	return s
}

func (n *Node) serveErasures(context.Context, uint32, []byte) ([]byte, error) {
	if !n.serving.Load() {
		return nil, &link.Error{Code: codeNotServing, Text: "the node does not serve yet, or no more"}
	}
	return json.Marshal(n.eraser.state())
}

func (n *Node) erasures(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), proposeTimeout)
	defer cancel()
	e, err := n.Erasures(ctx)
	if err != nil {
		n.changesError(w, err)
		return
	}
	writeJSON(w, e)
}

// errErasing says that not everything can be erased as it is asked.
func errErasing(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{errConflict}, args...)...)
}
