package ledger

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"ironman/wal/event"
)

// Damage is what Verify finds wrong: everything below Seq is as it was written.
type Damage struct {
	// Seq is the first sequence that is damaged, missing or not vouched for.
	Seq uint64
	Err error
}

// Error names the sequence and what is wrong with it.
func (d *Damage) Error() string {
	return fmt.Sprintf("ledger: first bad sequence %d: %v", d.Seq, d.Err)
}

// Unwrap gives what is wrong.
func (d *Damage) Unwrap() error { return d.Err }

// VerifyOptions say what to verify, and by what.
type VerifyOptions struct {
	FS     vfs.FS
	Dir    string
	Origin string
	// Verifiers know the keys whose checkpoints are believed. Nil: an unsigned
	// head is believed, and a checkpoint cannot be confirmed, which is an error.
	Verifiers note.Verifiers
	// Past are the epochs that are over: their checkpoints are believed as far as they went.
	Past []Past
	// Epoch is told, where there are payloads, which epochs the events begin, in order. May
	// be nil.
	Epoch func(Epoch)
	// Known are tree heads known from elsewhere (peers, witnesses): each must be
	// that of a prefix. They alone expose a ledger that was cut off or replaced
	// together with its checkpoint.
	Known []tlog.Tree
	// From is the first sequence to verify, a multiple of BundleSize: those below were
	// verified before, and count as what their tiles say. That these tiles are still the same
	// is vouched for by the first root that is compared.
	From uint64
	// Export: the directory is an export, of any size and with partial tiles.
	Export bool
	// Tail are records behind the bundles: they are verified, too, and known trees may end
	// among them. Those that the bundles have by now are passed over.
	Tail []Record
	// TailFile reads the records behind the bundles from the directory.
	TailFile bool
	// Drops: whole bundles may be kept no longer (Archive.Drop).
	Drops bool
	// Look is told of each record that is whole and in its place. May be nil; it ends the
	// verification by an error.
	Look func(*Record) error
	// EnvelopesOnly: there are no payload bundles to look at.
	EnvelopesOnly bool
	// Behind gives the records from a sequence on, behind those that are verified, as somebody
	// has them who is believed: an item may have been erased by an event that is not in the
	// ledger's files yet. It is asked only if need be. Nil: there are none.
	Behind func(from uint64) iter.Seq2[Record, error]
	// Unjudged: what erased an item is not told here (by an event of a later point, or of
	// another ledger); items that are gone are not asked about.
	Unjudged bool
	// Progress is told after each bundle how many sequences are done. May be nil.
	Progress func(done, total uint64)

	// unsigned: sequences beyond the checkpoint may stand in an unsigned head.
	unsigned bool
}

// Verify recomputes a ledger from its envelopes: every hash of every tile, every
// root that a checkpoint, milestone or known tree vouches for, signatures, dense
// sequences, increasing log time, and every statement, payload item (or its hash)
// and outcome against the envelope that commits to it; and that each item of which
// there is the hash alone was erased by an event of this ledger. It returns what it
// verified. What is wrong is a *Damage that names the first bad sequence (ErrMissing:
// of items that nobody erased, known only at the end); an envelope or file of a newer
// release is event.ErrNewer; else the error is that of ctx or of Behind.
func Verify(ctx context.Context, o VerifyOptions) (Verified, error) {
	v, err := newVerification(o)
	if err != nil {
		return Verified{}, err
	}
	if err := v.begin(); err != nil {
		return Verified{}, err
	}
	if err := v.roots(); err != nil { // of no leaves, or of those before From
		return Verified{}, err
	}
	for n := v.edge.frontier.Size() / BundleSize; n*BundleSize < v.size; n++ {
		if err := ctx.Err(); err != nil {
			return Verified{}, err
		}
		if err := v.bundle(n); err != nil {
			return Verified{}, err
		}
		if o.Progress != nil {
			o.Progress(v.edge.frontier.Size(), v.size)
		}
	}
	if err := v.tail(); err != nil {
		return Verified{}, err
	}
	if err := v.finish(); err != nil {
		return Verified{}, err
	}
	return Verified{Tree: v.edge.tree(), Erased: v.erasures.found}, nil
}

// Verified is what a verification came to.
type Verified struct {
	tlog.Tree
	Erased Erased
}

// Verify is Verify of what is archived now. It may run beside everything else.
func (a *Archive) Verify(ctx context.Context, progress func(done, total uint64)) error {
	_, err := a.VerifyBefore(ctx, nil, progress)
	return err
}

// VerifyBefore is Verify where records are known that are not archived yet: behind as
// VerifyOptions.Behind.
func (a *Archive) VerifyBefore(ctx context.Context, behind func(from uint64) iter.Seq2[Record, error], progress func(done, total uint64)) (Verified, error) {
	s := a.state.Load()
	return Verify(ctx, VerifyOptions{
		FS: a.o.FS, Dir: a.o.Dir, Origin: a.o.Origin, Verifiers: a.o.Verifiers, Past: a.o.Past,
		Known: []tlog.Tree{s.tree, s.signed.Tree}, Behind: behind, Progress: progress,
		unsigned: a.o.Signer == nil,
	})
}

// claim is a tree head that somebody vouches for.
type claim struct {
	tree tlog.Tree
	by   string // who
	good bool   // it is believed: what it confirms is vouched for
}

func (c claim) rank() int {
	if c.good {
		return 0
	}
	return 1
}

// verification is one run of Verify.
type verification struct {
	o       VerifyOptions
	bundles bundles
	size    uint64
	kept    uint64 // the first record that is kept; those below are hashes
	signed  Checkpoint
	badSign error // why the checkpoint is not believed
	edge    edge
	time    int64          // log time of the envelope before
	vouched uint64         // leaves that a believed claim has confirmed
	claims  []claim        // not reached yet, by size
	expect  []expectedTile // by level

	erasures erasures
}

// expectedTile is the tile on disk that a level's hashes are compared with.
type expectedTile struct {
	rel   string // "": none is there to compare with
	bytes []byte
}

func newVerification(o VerifyOptions) (*verification, error) {
	c, err := newCodec()
	if err != nil {
		return nil, err
	}
	v := &verification{o: o, bundles: bundles{files: newFiles(o.FS, o.Dir), codec: c}, time: math.MinInt64}
	h, err := readHeads(v.bundles.files)
	if err != nil {
		return nil, v.bad(0, err)
	}
	v.size, v.signed = h.size(), h.signed
	if o.Drops {
		if v.kept, err = readKept(v.bundles.files); err == nil && v.kept > 0 && v.kept >= v.size {
			err = fmt.Errorf("%w: of %d records those from %d on are kept", event.ErrMalformed, v.size, v.kept)
		}
	}
	if err != nil {
		return nil, v.bad(0, err)
	}
	if h.signed.Note != nil {
		v.badSign = h.signed.believed(o.Origin, o.Verifiers, o.Past)
		v.claims = append(v.claims, claim{h.signed.Tree, CheckpointPath, v.badSign == nil})
	}
	v.claims = append(v.claims, claim{h.head, headPath, false})
	for _, t := range o.Known {
		v.claims = append(v.claims, claim{t, "a known tree head", true})
	}
	v.claims = slices.DeleteFunc(v.claims, func(c claim) bool { return c.tree == tlog.Tree{} })
	// By size; of the same size, what is believed speaks first.
	slices.SortStableFunc(v.claims, func(a, b claim) int {
		return cmp.Or(cmp.Compare(a.tree.N, b.tree.N), cmp.Compare(a.rank(), b.rank()))
	})
	if !o.Export && v.size%BundleSize != 0 {
		return nil, v.bad(v.size/BundleSize*BundleSize, fmt.Errorf("a size of %d is that of an export", v.size))
	}
	return v, nil
}

// begin takes the edge at From from the tiles.
func (v *verification) begin() error {
	from := min(v.o.From, v.size) / BundleSize * BundleSize
	if from == 0 {
		return nil
	}
	e, err := loadEdge(v.bundles.files, from)
	if err != nil {
		return v.bad(0, err)
	}
	v.edge = *e
	v.claims = slices.DeleteFunc(v.claims, func(c claim) bool { return uint64(c.tree.N) < from })
	for level, hashes := range e.levels {
		t, err := v.tile(level, from>>(TileHeight*(level+1)))
		if err == nil && t.rel != "" && !bytes.HasPrefix(t.bytes, packHashes(hashes)) {
			err = fmt.Errorf("%s: %w: its hashes are not those of the tiles below", t.rel, event.ErrMalformed)
		}
		if err != nil {
			return v.bad(0, err)
		}
		v.expect = append(v.expect, t)
	}
	return nil
}

// bad is the error for a sequence: Damage, unless it is only newer than we are.
func (v *verification) bad(seq uint64, err error) error {
	if errors.Is(err, event.ErrNewer) {
		return fmt.Errorf("ledger: sequence %d: %w", seq, err)
	}
	return &Damage{Seq: seq, Err: err}
}

// bundle verifies the sequences of the n-th bundles.
func (v *verification) bundle(n uint64) error {
	first := n * BundleSize
	if first < v.kept {
		return v.dropped(n)
	}
	width := int(min(v.size-first, BundleSize))
	entries, entriesErr := v.bundles.entries(n, width)
	next, done := v.payloads(n, width)
	defer done()
	for i := range width {
		r := Record{Seq: first + uint64(i)}
		if i >= len(entries) {
			return v.bad(r.Seq, entriesErr)
		}
		r.Envelope = entries[i]
		env, err := v.leaf(&r)
		if err != nil {
			return err
		}
		if v.o.EnvelopesOnly {
			continue
		}
		if r.Payload, err = next(); err == nil {
			err = v.payload(&r, env)
		}
		if err == nil {
			err = v.epoch(env, r.Statement)
		}
		if err == nil && !v.o.Unjudged {
			err = v.erasures.add(&r, env)
		}
		if err != nil {
			return v.bad(r.Seq, err)
		}
	}
	last := first + uint64(width) - 1
	if entriesErr != nil {
		return v.bad(last, entriesErr)
	}
	if _, err := next(); !v.o.EnvelopesOnly && err != io.EOF {
		return v.bad(last, err)
	}
	return nil
}

// epoch tells of an epoch that an event begins.
func (v *verification) epoch(env *event.Envelope, statement []byte) error {
	if v.o.Epoch == nil {
		return nil
	}
	e, err := epochOf(env, statement)
	if e != nil {
		v.o.Epoch(*e)
	}
	return err
}

// payload verifies the payload of an envelope that is in its place.
func (v *verification) payload(r *Record, env *event.Envelope) error {
	if err := r.matches(env); err != nil || v.o.Look == nil {
		return err
	}
	return v.o.Look(r)
}

// dropped verifies the hashes of a bundle that is kept no longer.
func (v *verification) dropped(n uint64) error {
	tile, err := v.bundles.tile(0, n)
	if err != nil {
		return v.bad(n*BundleSize, err)
	}
	for _, h := range unpackHashes(tile) {
		if err := v.edge.add(h, v.hash); err != nil {
			return err
		}
		if err := v.roots(); err != nil {
			return err
		}
	}
	return nil
}

// tail verifies the records behind the bundles.
func (v *verification) tail() error {
	found := &TailState{Records: v.o.Tail}
	if v.o.TailFile {
		var err error
		if found, err = ReadTail(v.o.FS, v.o.Dir, v.size); err != nil {
			return v.bad(v.size, err)
		}
	}
	for i := range found.Records {
		if found.Records[i].Seq < v.size {
			continue
		}
		if err := v.record(&found.Records[i]); err != nil {
			return err
		}
	}
	end := v.edge.frontier.Size()
	switch {
	case found.Unusable != nil:
		return v.bad(end, fmt.Errorf("%s: %w", TailPath, found.Unusable))
	case found.Torn > 0:
		return v.bad(end, fmt.Errorf("%s: %w: the last %d bytes are no whole record: damage, or a crash while they were written", TailPath, event.ErrMalformed, found.Torn))
	}
	return nil
}

// record verifies a record of the tail.
func (v *verification) record(r *Record) error {
	if seq := v.edge.frontier.Size(); r.Seq != seq {
		return v.bad(seq, fmt.Errorf("%w: sequence %d in its place", ErrGap, r.Seq))
	}
	env, err := v.leaf(r)
	if err != nil {
		return err
	}
	if err := r.fits(); err != nil {
		return v.bad(r.Seq, err)
	}
	if err := v.payload(r, env); err != nil {
		return v.bad(r.Seq, err)
	}
	return nil
}

// payloads opens a payload bundle, if there is one to look at. An error of opening
// is that of the first payload.
func (v *verification) payloads(n uint64, width int) (next func() (Payload, error), done func()) {
	done = func() {}
	if v.o.EnvelopesOnly {
		return payloadsOf(nil), done
	}
	f, err := v.bundles.payloads(n, width)
	if err != nil {
		return func() (Payload, error) { return Payload{}, err }, done
	}
	return f.read, f.Close
}

// leaf verifies an envelope: the hashes it makes, the roots it completes, and its
// place.
func (v *verification) leaf(r *Record) (*event.Envelope, error) {
	if err := v.edge.add(tlog.RecordHash(r.Envelope), v.hash); err != nil {
		return nil, err
	}
	if err := v.roots(); err != nil {
		return nil, err
	}
	env, err := r.follows(v.time)
	if err != nil {
		return nil, v.bad(r.Seq, err)
	}
	v.time = env.Time
	return env, nil
}

// hash compares the last of a tile's hashes with the tile on disk.
func (v *verification) hash(level int, n uint64, hashes []tlog.Hash) error {
	i := len(hashes) - 1
	seq := (n<<TileHeight + uint64(i)) << (TileHeight * level)
	if level == len(v.expect) {
		v.expect = append(v.expect, expectedTile{})
	}
	if i == 0 {
		var err error
		if v.expect[level], err = v.tile(level, n); err != nil {
			return v.bad(seq, err)
		}
	}
	t := v.expect[level]
	if t.rel == "" {
		return nil
	}
	if !bytes.Equal(t.bytes[i*tlog.HashSize:(i+1)*tlog.HashSize], hashes[i][:]) {
		return v.bad(seq, fmt.Errorf("%s: hash %d is not that of the entries", t.rel, i))
	}
	return nil
}

// tile reads the n-th tile of a level if it has to be there.
func (v *verification) tile(level int, n uint64) (expectedTile, error) {
	full := v.size >> (TileHeight * (level + 1))
	if n < full {
		b, err := v.bundles.tile(level, n)
		return expectedTile{TilePath(level, n, BundleSize), b}, err
	}
	if !v.o.Export {
		return expectedTile{}, nil
	}
	width := int(v.size >> (TileHeight * level) % BundleSize)
	rel := TilePath(level, n, width)
	b, err := v.bundles.read(rel, int64(width*tlog.HashSize))
	if err == nil && len(b) != width*tlog.HashSize {
		err = fmt.Errorf("%s: %w: %d bytes", rel, event.ErrMalformed, len(b))
	}
	return expectedTile{rel, b}, err
}

// roots compares the root of the leaves so far with every claim about so many.
func (v *verification) roots() error {
	size := v.edge.frontier.Size()
	if size > 0 && size%MilestoneLeaves == 0 {
		if err := v.milestone(size); err != nil {
			return err
		}
	}
	for len(v.claims) > 0 && uint64(v.claims[0].tree.N) == size {
		c := v.claims[0]
		v.claims = v.claims[1:]
		if root := v.edge.frontier.Root(); root != c.tree.Hash {
			return v.bad(v.vouched, fmt.Errorf("the first %d sequences have the root %v, %s says %v", size, root, c.by, c.tree.Hash))
		}
		if c.good {
			v.vouched = size
		}
	}
	return nil
}

// milestone adds the claim of a milestone of so many leaves, if one is kept.
func (v *verification) milestone(size uint64) error {
	rel := MilestonePath(size/MilestoneLeaves - 1)
	msg, err := v.bundles.readIfAny(rel, maxCheckpointBytes)
	if err == nil && msg == nil {
		return nil
	}
	var c Checkpoint
	if err == nil {
		c, err = parseCheckpoint(msg)
	}
	if err == nil {
		err = c.believed(v.o.Origin, v.o.Verifiers, v.o.Past)
	}
	if err == nil && uint64(c.Tree.N) != size {
		err = fmt.Errorf("it is that of %d leaves", c.Tree.N)
	}
	if err != nil {
		return v.bad(v.vouched, fmt.Errorf("%s: %w", rel, err))
	}
	v.claims = slices.Insert(v.claims, 0, claim{c.Tree, rel, true})
	return nil
}

// finish verifies what is known of the whole.
func (v *verification) finish() error {
	if len(v.claims) > 0 {
		c := v.claims[0]
		end := v.edge.frontier.Size()
		return v.bad(end, fmt.Errorf("the ledger ends after %d sequences, %s has %d", end, c.by, c.tree.N))
	}
	switch {
	case v.badSign != nil:
		return v.bad(v.vouched, fmt.Errorf("%s: %w", CheckpointPath, v.badSign))
	case v.o.Verifiers == nil || v.o.unsigned:
	case uint64(v.signed.Tree.N) < v.size:
		return v.bad(v.vouched, fmt.Errorf("%s: %w: it ends before", CheckpointPath, ErrSignature))
	case v.o.Export && v.signed.Note == nil:
		return v.bad(0, fmt.Errorf("%s: %w", CheckpointPath, fs.ErrNotExist))
	}
	var behind iter.Seq2[Record, error]
	if v.o.Behind != nil {
		behind = v.o.Behind(v.size)
	}
	seq, err := v.erasures.finish(behind)
	if err != nil && seq < v.size {
		return v.bad(seq, err)
	}
	return err
}
