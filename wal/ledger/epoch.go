package ledger

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/note"

	"ironman/wal/event"
)

// A ledger has one tree, and one or more epochs: each begins with an event that names the
// origin and the key of the checkpoints from there on. The first is the ledger's first
// event; every other one begins where a cluster goes on from a point of its past.

// Epoch is an epoch as the event says that began it.
type Epoch struct {
	From   uint64 // the sequence of that event
	Origin string
	Key    string // verifier key (C2SP signed-note)
}

// Past is an epoch that is over. What its key has signed is believed of ledgers of at most
// End sequences: what it signed beyond is of a future that this ledger did not have.
type Past struct {
	Origin    string
	Verifiers note.Verifiers
	End       uint64 // the sequence of the event that began the next epoch
}

// believed checks origin and signature of a checkpoint: those of the epoch that goes on, or
// of one that is over.
func (c *Checkpoint) believed(origin string, keys note.Verifiers, past []Past) error {
	for _, p := range past {
		if c.Origin != p.Origin || c.Origin == origin {
			continue
		}
		if uint64(c.Tree.N) > p.End {
			return fmt.Errorf("%w: %q ended behind %d sequences, it has %d", ErrSignature, p.Origin, p.End, c.Tree.N)
		}
		return c.verify(p.Origin, p.Verifiers)
	}
	return c.verify(origin, keys)
}

// epochOf is the epoch that an event began; nil: none.
func epochOf(env *event.Envelope, statement []byte) (*Epoch, error) {
	if env.Refusal != event.Refusal_REFUSAL_NONE || !beginsEpoch(env.Kind) {
		return nil, nil
	}
	s := &event.Statement{}
	if err := event.Decode(statement, s); err != nil {
		return nil, fmt.Errorf("sequence %d: %w", env.Seq, err)
	}
	switch b := s.Body.(type) {
	case *event.Statement_ClusterInitialized:
		return &Epoch{env.Seq, b.ClusterInitialized.LedgerOrigin, b.ClusterInitialized.LedgerKey}, nil
	case *event.Statement_EpochBegun:
		return &Epoch{env.Seq, b.EpochBegun.LedgerOrigin, b.EpochBegun.LedgerKey}, nil
	}
	return nil, fmt.Errorf("%w: sequence %d is not of the kind that its envelope says", event.ErrMalformed, env.Seq)
}

func beginsEpoch(kind uint32) bool {
	name := event.KindName(kind)
	return name == "cluster_initialized" || name == "epoch_begun"
}

// EpochOf is the epoch that a record began; nil: none. It believes the record.
func EpochOf(r *Record) (*Epoch, error) {
	env := &event.Envelope{}
	if err := event.Decode(r.Envelope, env); err != nil {
		return nil, fmt.Errorf("sequence %d: %w", r.Seq, err)
	}
	return epochOf(env, r.Statement)
}

// Epochs reads which epochs the events of an archive or export have begun, in order. It
// reads all envelopes, and believes what it reads.
func Epochs(fsys vfs.FS, dir string) ([]Epoch, error) {
	b, size, err := reading(fsys, dir)
	if err != nil {
		return nil, err
	}
	var out []Epoch
	for n := uint64(0); n*BundleSize < size; n++ {
		width := int(min(size-n*BundleSize, BundleSize))
		some, err := b.epochs(n, width)
		if err != nil {
			return nil, fmt.Errorf("ledger in %s: %w", dir, err)
		}
		out = append(out, some...)
	}
	return out, nil
}

// epochs are those that events of the n-th bundles began.
func (b *bundles) epochs(n uint64, width int) (out []Epoch, err error) {
	entries, err := b.entries(n, width)
	if err != nil {
		return nil, err
	}
	begins := func(e []byte) bool {
		env := &event.Envelope{}
		return event.Decode(e, env) == nil && beginsEpoch(env.Kind)
	}
	for i := range entries {
		if !begins(entries[i]) {
			continue
		}
		b.records(n, width, i, func(r Record, failed error) bool {
			var e *Epoch
			if e, err = nil, failed; err == nil {
				e, err = EpochOf(&r)
			}
			if e != nil {
				out = append(out, *e)
			}
			return false
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// SignedIn is the epoch whose origin the checkpoint of an archive or export has; of one that
// has none, the newest. It believes what it reads. Only where the checkpoint is not of the
// first epoch all envelopes are read.
func SignedIn(fsys vfs.FS, dir string) (Epoch, error) {
	first, err := Genesis(fsys, dir)
	if err != nil {
		return Epoch{}, err
	}
	b, _, err := reading(fsys, dir)
	if err != nil {
		return Epoch{}, err
	}
	h, err := readHeads(b.files)
	if err != nil {
		return Epoch{}, fmt.Errorf("ledger in %s: %w", dir, err)
	}
	if h.signed.Note != nil && h.signed.Origin == first.LedgerOrigin {
		return Epoch{0, first.LedgerOrigin, first.LedgerKey}, nil
	}
	all, err := Epochs(fsys, dir)
	if err != nil {
		return Epoch{}, err
	}
	if h.signed.Note == nil {
		return all[len(all)-1], nil
	}
	for _, e := range all {
		if e.Origin == h.signed.Origin {
			return e, nil
		}
	}
	return Epoch{}, fmt.Errorf("%w: ledger in %s: %s is of %q, which none of the events begins", ErrSignature, dir, CheckpointPath, h.signed.Origin)
}

// reading opens the files of an archive or export, and tells its size.
func reading(fsys vfs.FS, dir string) (*bundles, uint64, error) {
	c, err := newCodec()
	if err != nil {
		return nil, 0, err
	}
	b := &bundles{files: newFiles(fsys, dir), codec: c}
	h, err := readHeads(b.files)
	if err != nil {
		return nil, 0, fmt.Errorf("ledger in %s: %w", dir, err)
	}
	return b, h.size(), nil
}
