package audit

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"iter"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"ironman/fsm"
	"ironman/wal"
	"ironman/wal/event"
	"ironman/wal/ledger"
	"ironman/wal/overlay"
)

// Options say what is read.
type Options struct {
	FS  vfs.FS
	Dir string // a node's
	// Key is the verifier key (C2SP signed-note) that the ledger must be signed with, and
	// that the event which began its newest epoch must name: the first, but for a cluster
	// that went on from a backup. "": whatever that names, which whoever forged the whole
	// ledger could have made.
	Key string
	// Signer signs checkpoints of the ledger's origin; nil: only its own can be used.
	Signer func(origin string) (note.Signer, error)
	// Fatal is called, and must not return, when what is read is so damaged that the code
	// which owns it gives up. Nil: it panics.
	Fatal func(error)
}

// ErrEmpty says that a node has recorded nothing yet.
var ErrEmpty = errors.New("audit: nothing is recorded yet")

// Node is what a node that does not run has recorded. Close it. Safe for concurrent use.
type Node struct {
	Reader

	dir     string
	past    []ledger.Past // epochs before that of Origin and Key
	fs      vfs.FS
	machine *fsm.Machine
	log     *wal.Stopped
	tail    []ledger.Record // behind what is archived
	behind  uint64
	// unsigned is why there is nobody to sign; nil: there is, or none was given.
	unsigned error
}

// queued is a state as package wal asks it.
type queued struct{ *fsm.Machine }

func (q queued) AppliedIndex() uint64 { return q.Applied().Index }

func (q queued) Erased(from, to uint64) ([]ledger.Target, error) { return Erased(q.Machine, from, to) }

func (q queued) Leaves(from uint64, max int) ([]wal.Leaf, error) {
	leaves, err := q.Machine.Leaves(from, max)
	out := make([]wal.Leaf, len(leaves))
	for i, l := range leaves {
		out[i] = wal.Leaf{Seq: l.Seq, Index: l.Index, Envelope: l.Envelope, Outcome: l.Outcome}
	}
	return out, err
}

// Open opens the record of a node that does not run; of one that does, it says so.
func Open(o Options) (_ *Node, err error) {
	if o.Fatal == nil {
		o.Fatal = func(err error) { panic(fmt.Errorf("audit: %w", err)) }
	}
	over := overlay.New(o.FS)
	n := &Node{dir: o.Dir, fs: over}
	n.source = recorded{n}
	state := over.PathJoin(o.Dir, "state")
	if _, err := over.Stat(state); err != nil {
		return nil, fmt.Errorf("audit: %s is not the directory of a node: %w", o.Dir, err)
	}
	if n.machine, err = fsm.Open(fsm.Options{FS: over, Dir: state, Fatal: o.Fatal, Still: true}); err != nil {
		return nil, fmt.Errorf("audit: %w (does the node still run?)", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, n.Close())
		}
	}()
	w := wal.StoppedOptions{FS: over, Dir: over.PathJoin(o.Dir, "wal"), State: queued{n.machine}, Fatal: o.Fatal}
	if err := n.open(w); err != nil {
		return nil, err
	}
	if err := n.newestEpoch(); err != nil {
		return nil, err
	}
	if o.Key != "" && o.Key != n.Key {
		return nil, n.otherKey(o.Key)
	}
	// Again, now that it is known who signs.
	if err := n.log.Close(); err != nil {
		return nil, err
	}
	n.log = nil
	keys, err := verifiers(n.Key)
	if err != nil {
		return nil, err
	}
	w.Origin, w.Verifiers, w.Past = n.Origin, keys, n.past
	if o.Signer != nil {
		if w.Signer, n.unsigned = o.Signer(n.Origin); n.unsigned != nil {
			w.Signer = nil
		}
	}
	if err := n.open(w); err != nil {
		return nil, err
	}
	for r, err := range n.log.Records(n.log.Archive().Size()) {
		if err != nil {
			return nil, fmt.Errorf("audit: %w", err)
		}
		n.tail = append(n.tail, r)
	}
	return n, nil
}

// catchUp applies, in memory, what the ledger has and the state does not yet: a node that
// was killed comes back with an older state. Only what is in the ledger is known to have
// been agreed on; the rest is counted.
func (n *Node) catchUp() error {
	archived := n.log.Archive().Size()
	for c, err := range n.log.Behind() {
		if err != nil {
			return fmt.Errorf("audit: %w", err)
		}
		if n.machine.Applied().Next >= archived {
			n.behind++
			continue
		}
		n.machine.Apply([]fsm.Entry{{Index: c.Index, Term: c.Term, Data: c.Data}})
	}
	return nil
}

func verifiers(key string) (note.Verifiers, error) {
	v, err := note.NewVerifier(key)
	if err != nil {
		return nil, fmt.Errorf("audit: the verifier key %q: %w", key, err)
	}
	return note.VerifierList(v), nil
}

func (n *Node) open(w wal.StoppedOptions) (err error) {
	if n.log, err = wal.OpenStopped(w); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

// genesis is the first event.
func (n *Node) genesis() (*event.ClusterInitialized, error) {
	for r, err := range n.log.Records(0) {
		if err != nil {
			return nil, fmt.Errorf("audit: %w", err)
		}
		s := &event.Statement{}
		if err := event.Decode(r.Statement, s); err != nil {
			return nil, fmt.Errorf("audit: the first event: %w", err)
		}
		g := s.GetClusterInitialized()
		if g == nil {
			return nil, errors.New("audit: the first event does not begin a cluster")
		}
		return g, nil
	}
	for _, err := range n.log.Behind() {
		if err != nil {
			return nil, fmt.Errorf("audit: %w", err)
		}
		return nil, fmt.Errorf("%w: what stands in the node's log was neither applied durably nor archived; start the node, and stop it in order", ErrEmpty)
	}
	return nil, ErrEmpty
}

// Close ends the reading.
func (n *Node) Close() error {
	var errs []error
	if n.log != nil {
		errs = append(errs, n.log.Close())
	}
	return errors.Join(append(errs, n.machine.Close())...)
}

// Archived is how many of the events are in the ledger's files.
func (n *Node) Archived() uint64 { return n.log.Archive().Size() }

// Behind is how many events stand in the node's log of which it is not known here whether
// they were agreed on: after an orderly stop few or none. They are no part of what is read.
func (n *Node) Behind() uint64 { return n.behind }

// recorded is a node as a source.
type recorded struct{ *Node }

func (n recorded) size() uint64 { return n.Archived() + uint64(len(n.tail)) }

func (n recorded) records(from uint64) iter.Seq2[ledger.Record, error] {
	return func(yield func(ledger.Record, error) bool) {
		archived := n.Archived()
		for r, err := range n.log.Archived(from) {
			if !yield(r, err) || err != nil {
				return
			}
		}
		for _, r := range n.tail[min(max(from, archived)-archived, uint64(len(n.tail))):] {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (n recorded) envelope(seq uint64) ([]byte, error) {
	if archived := n.Archived(); seq >= archived {
		return n.tail[seq-archived].Envelope, nil
	}
	b, err := n.log.Archive().Envelope(seq)
	if err != nil {
		return nil, fmt.Errorf("audit: %w", err)
	}
	return b, nil
}

func (n recorded) root(size uint64) (root tlog.Hash, ok bool, err error) {
	if size == 0 {
		return root, false, nil
	}
	_, tree, _, err := n.Consistent(size, size)
	return tree.Hash, err == nil, err
}

func (n recorded) view() (*fsm.View, error) { return n.machine.View() }

// Verified is what a verification came to.
type Verified struct {
	Tree tlog.Tree
	// Signed is how many of the events a checkpoint vouches for. That the others are what
	// the cluster agreed on only the node's own state says.
	Signed uint64
	// Erased is what of the payloads was erased, by events among these.
	Erased ledger.Erased
}

// Verify recomputes all that is recorded: the ledger's files, and that what is behind them
// joins them and makes the tree that the node's state has, and that what is missing of
// payloads was erased by one of these events. A *ledger.Damage names the first bad sequence.
func (n *Node) Verify(ctx context.Context, progress func(done, total uint64)) (*Verified, error) {
	keys, err := verifiers(n.Key)
	if err != nil {
		return nil, err
	}
	a := n.log.Archive()
	c, _ := a.Checkpoint()
	var epochs []ledger.Epoch
	v, err := ledger.Verify(ctx, ledger.VerifyOptions{
		FS: n.fs, Dir: n.fs.PathJoin(n.dir, "wal", "ledger"), Origin: n.Origin, Verifiers: keys, Past: n.past, Epoch: func(e ledger.Epoch) { epochs = append(epochs, e) },
		Known:  slices.DeleteFunc([]tlog.Tree{a.Tree(), c.Tree}, func(t tlog.Tree) bool { return t.N == 0 }),
		Behind: n.source.records, Progress: progress,
	})
	if err != nil {
		return nil, errors.Join(err, n.mayBeErased(err))
	}
	if err := n.agrees(); err != nil { // by what is behind the files it was judged what is missing in them
		return nil, err
	}
	if err := n.named(epochs); err != nil {
		return nil, err
	}
	f, err := a.Follow(n.tail)
	if err != nil {
		return nil, &ledger.Damage{Seq: a.Size(), Err: err}
	}
	return &Verified{Tree: tlog.Tree{N: int64(f.Size()), Hash: f.Root()}, Signed: uint64(c.Tree.N), Erased: v.Erased}, nil
}

// mayBeErased tells, where items are missing and no event erased them, that an event in the
// log would have: a node that was killed comes back with a state from before it.
func (n *Node) mayBeErased(missing error) error {
	d := (*ledger.Damage)(nil)
	if !errors.Is(missing, ledger.ErrMissing) || !errors.As(missing, &d) {
		return nil
	}
	for c, err := range n.log.Behind() {
		if err != nil {
			return fmt.Errorf("audit: %w", err)
		}
		_, proposal, err := event.ParseEntry(c.Data)
		if err != nil {
			continue // it is no erasure
		}
		p, err := event.Parse(proposal)
		if err != nil {
			continue
		}
		for _, e := range p.Statement.GetPayloadsErased().GetPayloads() {
			if e.Seq == d.Seq {
				return errors.New("an erasure of it stands in the node's log, behind what is known here to have been agreed on: start the node, stop it in order, and verify again")
			}
		}
	}
	return nil
}

// agrees makes sure that what is recorded makes the tree that the node's state has.
func (n *Node) agrees() error {
	a := n.log.Archive()
	f, err := a.Follow(n.tail)
	if err != nil {
		return &ledger.Damage{Seq: a.Size(), Err: err}
	}
	edge, _, err := n.machine.LedgerEdge()
	if err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	size, root := f.Size(), f.Root()
	if edge.Size() < size && len(n.tail) == 0 { // the log no longer has what the state lacks
		size = edge.Size()
		if root, err = a.Root(size); err != nil {
			return fmt.Errorf("audit: %w", err)
		}
	}
	if edge.Size() != size || edge.Root() != root {
		return &ledger.Damage{Seq: min(size, edge.Size()), Err: fmt.Errorf("the record of %d events has the root %v, the node's state %v of %d",
			size, root, edge.Root(), edge.Size())}
	}
	return nil
}

// Export writes the ledger as a static tree that any web server can serve: of size events,
// 0: of all. Without payloads it tells no names.
func (n *Node) Export(ctx context.Context, to vfs.FS, dir string, size uint64, payloads bool) error {
	if err := n.agrees(); err != nil { // or a tree would be signed that the cluster does not have
		return err
	}
	if payloads {
		if err := n.erasedEverywhere(); err != nil {
			return err
		}
	}
	return n.log.Archive().Export(ctx, ledger.Export{FS: to, Dir: dir, Size: size, Tail: n.tail, Payloads: payloads})
}

// Exported is an exported ledger that was verified.
type Exported struct {
	Origin, Key string
	Tree        tlog.Tree
	Payloads    bool // are there, and were verified
	Erased      ledger.Erased
}

// VerifyExport verifies an exported ledger, with its payloads where it has any. key as in
// Options. A *ledger.Damage names the first bad sequence.
func VerifyExport(ctx context.Context, fs vfs.FS, dir, key string, progress func(done, total uint64)) (*Exported, error) {
	x := &Exported{}
	o := ledger.VerifyOptions{FS: fs, Dir: dir, Export: true, Progress: progress}
	_, err := fs.Stat(fs.PathJoin(dir, "payload"))
	o.EnvelopesOnly = errors.Is(err, iofs.ErrNotExist)
	x.Payloads = !o.EnvelopesOnly
	if x.Key, err = exportKey(fs, dir, key); err != nil {
		return nil, err
	}
	v, err := note.NewVerifier(x.Key)
	if err != nil {
		return nil, fmt.Errorf("audit: the verifier key %q: %w", x.Key, err)
	}
	x.Origin, o.Origin, o.Verifiers = v.Name(), v.Name(), note.VerifierList(v)
	var epochs []ledger.Epoch
	o.Epoch = func(e ledger.Epoch) { epochs = append(epochs, e) }
	verified, err := ledger.Verify(ctx, o)
	if err != nil {
		return nil, err
	}
	if _, err := newest(epochs, x.Origin, x.Key); err != nil {
		return nil, err
	}
	x.Tree, x.Erased = verified.Tree, verified.Erased
	return x, nil
}
