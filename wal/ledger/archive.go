package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"ironman/wal/event"
)

// Errors of the archive.
var (
	// ErrNotArchived says that a sequence or tree size is not in the archive yet.
	ErrNotArchived = errors.New("ledger: not archived yet")
	// ErrGap says that records do not join what is archived, or each other.
	ErrGap = errors.New("ledger: records are not dense")
	// ErrRecord says that a record contradicts itself or is above a limit.
	ErrRecord = errors.New("ledger: bad record")
	// ErrReadOnly says that the archive was opened for reading.
	ErrReadOnly = errors.New("ledger: opened for reading only")
	// ErrClosed says that the archive is closed.
	ErrClosed = errors.New("ledger: closed")
)

// Options say where an archive is and who signs it.
type Options struct {
	FS vfs.FS
	// Dir is made if it is not there; its parent must be.
	Dir string
	// Origin is the first line of checkpoints; needed to sign or to verify.
	Origin string
	// Signer signs checkpoints. Nil: nobody signs here, and the size stands in an
	// unsigned head. Ed25519, or any that signs the same text the same way.
	Signer note.Signer
	// Verifiers know the keys whose checkpoints are believed, the Signer's among
	// them. Nil: checkpoints are believed for their size and root only, which the
	// tiles must bear out; Verify then refuses to confirm them.
	Verifiers note.Verifiers
	// Past are the epochs that are over: an archive that goes on from one of them has what
	// that one signed.
	Past []Past
	// Drops: Drop may be used. Without it whatever is missing is damage.
	Drops bool
	// ReadOnly writes nothing: for audits of a node that is not running.
	ReadOnly bool
	// Fatal is called, and must not return, when a write fails or what is
	// archived differs from what is appended. The archive takes no more records.
	Fatal func(error)
	// Logger is told of erasures and of opening. Nil: nobody is.
	Logger *slog.Logger
}

// check refuses options that contradict each other.
func (o *Options) check() error {
	if o.FS == nil || o.Dir == "" || o.Fatal == nil && !o.ReadOnly {
		return errors.New("ledger: FS, Dir and Fatal are needed")
	}
	if o.Signer == nil && o.Verifiers == nil {
		return nil
	}
	if err := validOrigin(o.Origin); err != nil {
		return err
	}
	if o.Signer == nil {
		return nil
	}
	if o.Verifiers == nil {
		return errors.New("ledger: a signer needs verifiers that know its key")
	}
	_, err := o.Verifiers.Verifier(o.Signer.Name(), o.Signer.KeyHash())
	return err
}

// Archive is the ledger's directory, open. Append and Erase exclude each other;
// everything else may run beside them and sees what was archived when it began.
type Archive struct {
	o       Options
	bundles bundles
	log     *slog.Logger
	state   atomic.Pointer[state]

	mu      sync.Mutex // held by whoever writes
	buf     []byte     // of the entry bundle being written
	refusal error      // why nothing more is written; nil: it is

	sums sums

	kept atomic.Uint64 // the first record that is kept: a multiple of BundleSize
}

// state is what is archived: never changed, only exchanged for a longer one.
type state struct {
	edge   *edge
	tree   tlog.Tree  // head of the edge; N is a multiple of BundleSize
	time   int64      // log time of the last envelope; math.MinInt64: none
	signed Checkpoint // the latest; a tree of 0 leaves: none
}

func (s *state) size() uint64 { return uint64(s.tree.N) }

// Open opens or makes an archive. Everything that its head or checkpoint vouches
// for is there; what a crash left beyond it is not part of it, and will be
// compared when it is appended again. An error says that the directory cannot be
// used: a bad checkpoint, a root that the tiles do not bear out, an export.
func Open(o Options) (*Archive, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	c, err := newCodec()
	if err != nil {
		return nil, err
	}
	a := &Archive{o: o, bundles: bundles{files: newFiles(o.FS, o.Dir), codec: c}, log: o.Logger}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	if o.ReadOnly {
		a.refusal = ErrReadOnly
	} else if err := a.settle(); err != nil {
		return nil, err
	}
	kept := uint64(0)
	if o.Drops {
		if !o.ReadOnly {
			if err := a.sweep(payloadDir); err != nil {
				return nil, fmt.Errorf("ledger in %s: %w", o.Dir, err)
			}
		}
		if kept, err = readKept(a.bundles.files); err != nil {
			return nil, fmt.Errorf("ledger in %s: %w", o.Dir, err)
		}
	}
	a.kept.Store(kept)
	s, err := a.load()
	if err == nil && kept > 0 {
		err = a.checkKept(s.size())
	}
	if err != nil {
		return nil, fmt.Errorf("ledger in %s: %w", o.Dir, err)
	}
	if o.Signer != nil && !o.ReadOnly && s.size() > 0 && (s.signed.Tree.N < s.tree.N || s.signed.Origin != o.Origin) {
		if err := a.vouch(s, nil); err != nil {
			return nil, fmt.Errorf("ledger in %s: %w", o.Dir, err)
		}
	}
	a.state.Store(s)
	a.sums.opened = s.size() / BundleSize
	a.log.Info("ledger opened", "dir", o.Dir, "size", s.size(), "signed", s.signed.Tree.N)
	return a, nil
}

// settle makes sure that the size which is about to be read stays: a process may
// have died between renaming a head and syncing the directory, and whoever is
// told the size drops his records below it.
func (a *Archive) settle() error {
	for _, rel := range []string{CheckpointPath, headPath} {
		if err := a.bundles.settle(rel); err != nil {
			return err
		}
	}
	return a.bundles.sync()
}

// checkKept refuses to keep less than the last bundle, and finishes what was to go.
func (a *Archive) checkKept(size uint64) error {
	if a.kept.Load() >= size {
		return fmt.Errorf("%w: of %d records those from %d on are kept", event.ErrMalformed, size, a.kept.Load())
	}
	if a.o.ReadOnly {
		return nil
	}
	return a.finishDrop()
}

// load reads the state from disk and checks that its heads and tiles agree.
func (a *Archive) load() (*state, error) {
	h, err := readHeads(a.bundles.files)
	if err != nil {
		return nil, err
	}
	if h.signed.Note != nil && a.o.Verifiers != nil {
		if err := h.signed.believed(a.o.Origin, a.o.Verifiers, a.o.Past); err != nil {
			return nil, err
		}
	}
	if h.size()%BundleSize != 0 {
		return nil, fmt.Errorf("%w: a size of %d is that of an export, not of an archive", event.ErrMalformed, h.size())
	}
	e, err := loadEdge(a.bundles.files, h.size())
	if err != nil {
		return nil, err
	}
	s := &state{edge: e, tree: e.tree(), time: math.MinInt64, signed: h.signed}
	for _, t := range []tlog.Tree{h.tree(), h.signed.Tree, h.head} {
		if err := a.bears(s, t); err != nil {
			return nil, err
		}
	}
	if s.size() > 0 {
		s.time, err = a.lastTime(s.size())
	}
	return s, err
}

// bears checks that a tree is what the tiles of the state say it is.
func (a *Archive) bears(s *state, t tlog.Tree) error {
	if t.N == 0 {
		return nil
	}
	root, err := a.root(s, uint64(t.N))
	if err != nil {
		return err
	}
	if root != t.Hash {
		return fmt.Errorf("the tiles of the first %d leaves give the root %v, the tree head says %v", t.N, root, t.Hash)
	}
	return nil
}

// lastTime is the log time of the last of size envelopes.
func (a *Archive) lastTime(size uint64) (int64, error) {
	n, i := bundleOf(size - 1)
	entries, err := a.bundles.entries(n, BundleSize)
	if err != nil {
		return 0, err
	}
	env := &event.Envelope{}
	if err := event.Decode(entries[i], env); err != nil {
		return 0, fmt.Errorf("sequence %d: %w", size-1, err)
	}
	return env.Time, nil
}

// vouch makes the size of a state durable, after everything below it is: signed
// milestones, then the checkpoint, or the unsigned head. It sets s.signed.
func (a *Archive) vouch(s *state, milestones []tlog.Tree) error {
	if a.o.Signer == nil {
		if err := a.bundles.replace(headPath, encodeHead(s.tree)); err != nil {
			return err
		}
		return a.bundles.sync()
	}
	hashes := a.hashes(s)
	prev := s.signed.Tree
	for _, t := range milestones {
		c, err := a.o.sign(prev, t, hashes)
		if err == nil {
			err = a.milestone(c)
		}
		if err != nil {
			return err
		}
		prev = t
	}
	if err := a.bundles.sync(); err != nil {
		return err
	}
	c, err := a.o.sign(prev, s.tree, hashes)
	if err != nil {
		return err
	}
	if err := a.bundles.replace(CheckpointPath, bytes.Clone(c.Note)); err != nil {
		return err
	}
	s.signed = c
	return a.bundles.sync()
}

// milestone keeps a checkpoint for good. One that is there already must be of the
// same tree; who signed it may have changed.
func (a *Archive) milestone(c Checkpoint) error {
	rel := MilestonePath(uint64(c.Tree.N)/MilestoneLeaves - 1)
	msg, err := a.bundles.readIfAny(rel, maxCheckpointBytes)
	if err != nil {
		return err
	}
	if msg == nil {
		return a.bundles.replace(rel, bytes.Clone(c.Note))
	}
	have, err := parseCheckpoint(msg)
	if err == nil {
		err = have.believed(a.o.Origin, a.o.Verifiers, a.o.Past)
	}
	if err != nil || have.Tree != c.Tree {
		return errors.Join(fmt.Errorf("%s: %w", rel, errDiffers), err)
	}
	return a.bundles.settle(rel)
}

// Size is the number of envelopes archived: a multiple of BundleSize. The next
// sequence to append is Size.
func (a *Archive) Size() uint64 { return a.state.Load().size() }

// Checkpoint is the latest signed checkpoint; false if there is none.
func (a *Archive) Checkpoint() (Checkpoint, bool) {
	c := a.state.Load().signed
	return c, c.Tree.N > 0
}

// Close ends writing. It waits for a write under way. Reading goes on working.
func (a *Archive) Close() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refusal = ErrClosed
	return nil
}

// fail ends the node. Where fatal returns after all, nothing more is written.
func (a *Archive) fail(err error) error {
	a.refusal = fmt.Errorf("ledger: failed before: %w", err)
	a.log.Error("ledger failed", "error", err)
	a.o.Fatal(fmt.Errorf("ledger in %s: %w", a.o.Dir, err))
	return err
}
