package ledger

import (
	"context"
	"fmt"
	"math"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/tlog"

	"ironman/wal/event"
)

// Export says what to export, and where to.
type Export struct {
	FS vfs.FS
	// Dir is made if it is not there; it must be empty.
	Dir string
	// Size is the number of sequences; 0: all of the archive and Tail.
	Size uint64
	// Tail are records that the archive does not hold yet, from its Size on.
	Tail []Record
	// Payloads exports payload bundles too. Without them an export tells no name.
	Payloads bool
}

// Export writes a static tree of the first Size sequences in the layout of C2SP
// tlog-tiles, complete with partial tiles and a signed checkpoint of that size,
// durably, the checkpoint last. Nothing is copied unseen: tiles are computed
// from the entries, and a root that is not the archive's is an error. An error
// leaves an export without checkpoint behind. An archive without a signer can only be
// exported up to its own checkpoint, which is the size where none is given.
func (a *Archive) Export(ctx context.Context, x Export) error {
	s := a.state.Load()
	if a.o.Signer == nil {
		if x.Size == 0 {
			x.Size = uint64(s.signed.Tree.N)
		}
		if s.signed.Note == nil || x.Size != uint64(s.signed.Tree.N) || a.o.Origin != "" && s.signed.Origin != a.o.Origin {
			return fmt.Errorf("ledger: nobody is here to sign a tree of %d sequences: the checkpoint has %d", x.Size, s.signed.Tree.N)
		}
	}
	size, want, err := x.tree(s)
	if err == nil && size <= s.size() {
		want, err = a.root(s, size)
	}
	if err != nil {
		return err
	}
	e := &exporter{from: a, to: bundles{files: newFiles(x.FS, x.Dir), codec: a.bundles.codec}, x: x, archived: s.size()}
	// Not even what an export that was broken off left: it may tell more than this one is to.
	if names, err := x.FS.List(x.Dir); err == nil && len(names) > 0 {
		return fmt.Errorf("ledger: %s is not empty", x.Dir)
	}
	for n := uint64(0); n*BundleSize < size; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := e.bundle(n, int(min(size-n*BundleSize, BundleSize))); err != nil {
			return err
		}
	}
	if err := e.edge.partials(e.tile); err != nil {
		return err
	}
	if got := e.edge.tree(); got.Hash != want {
		return fmt.Errorf("ledger: the entries of the first %d sequences give the root %v, the archive has %v", size, got.Hash, want)
	}
	// Whoever verifies an export has no other word for why items are gone.
	if seq, err := e.erasures.finish(nil); err != nil {
		return fmt.Errorf("ledger: export of %d sequences: event %d: %w among these: if it is one behind them, export more", size, seq, err)
	}
	if err := e.to.sync(); err != nil {
		return err
	}
	signed := s.signed.Note
	if a.o.Signer != nil {
		// Consistent with every checkpoint by construction: its root is the archive's
		// own, or that of the archive's frontier and the tail.
		c, err := a.o.sign(tlog.Tree{}, e.edge.tree(), nil)
		if err != nil {
			return err
		}
		signed = c.Note
	}
	if err := e.to.replace(CheckpointPath, signed); err != nil {
		return err
	}
	return e.to.sync()
}

// tree checks the tail and tells the size to export and its root.
func (x *Export) tree(s *state) (size uint64, root tlog.Hash, err error) {
	if len(x.Tail) > 0 && x.Tail[0].Seq != s.size() {
		return 0, root, fmt.Errorf("%w: tail from sequence %d, size %d", ErrGap, x.Tail[0].Seq, s.size())
	}
	if err := dense(x.Tail, s.size()); err != nil {
		return 0, root, err
	}
	if _, err := checkAll(x.Tail, s.time); err != nil {
		return 0, root, err
	}
	all := s.size() + uint64(len(x.Tail))
	if size = x.Size; size == 0 {
		size = all
	}
	if size > all {
		return 0, root, fmt.Errorf("%w: export of %d sequences of %d", ErrNotArchived, size, all)
	}
	// The archive's own frontier goes on into the tail, apart from what is written.
	f := s.edge.frontier.Clone()
	for i := range x.Tail {
		if f.Size() < size {
			f.Append(x.Tail[i].Envelope)
		}
	}
	return size, f.Root(), nil
}

// exporter is one run of Export.
type exporter struct {
	from     *Archive
	to       bundles
	x        Export
	archived uint64 // sequences; those from there on are in the tail
	edge     edge
	erasures erasures // of what was written
}

// bundle writes the n-th bundles, of width entries, and the tiles they fill.
func (e *exporter) bundle(n uint64, width int) error {
	first := n * BundleSize
	if first >= e.archived {
		tail := e.x.Tail[first-e.archived:][:width]
		return e.write(n, tail, payloadsOf(tail))
	}
	entries, err := e.from.bundles.entries(n, BundleSize)
	if err != nil {
		return err
	}
	records := make([]Record, width)
	for i := range records {
		records[i] = Record{Seq: first + uint64(i), Envelope: entries[i]}
	}
	if !e.x.Payloads {
		return e.write(n, records, nil)
	}
	payloads, err := e.from.bundles.payloads(n, BundleSize)
	if err != nil {
		return err
	}
	defer payloads.Close()
	return e.write(n, records, payloads.read)
}

// write writes the n-th bundles of records whose payloads payloads gives.
func (e *exporter) write(n uint64, records []Record, payloads func() (Payload, error)) error {
	var buf []byte
	for i := range records {
		buf = appendEntry(buf, records[i].Envelope)
		if err := e.edge.add(tlog.RecordHash(records[i].Envelope), e.full); err != nil {
			return err
		}
	}
	if err := e.to.replace(EntriesPath(n, len(records)), buf); err != nil {
		return err
	}
	if !e.x.Payloads {
		return nil
	}
	i := 0
	return e.to.writePayloads(n, len(records), func() (Payload, error) {
		p, err := payloads()
		if err != nil {
			return p, err
		}
		r := Record{Seq: records[i].Seq, Envelope: records[i].Envelope, Payload: p}
		i++
		env, err := r.follows(math.MinInt64)
		if err == nil {
			err = r.matches(env)
		}
		if err == nil {
			err = e.erasures.add(&r, env)
		}
		return p, err
	})
}

// full writes a tile once it is full.
func (e *exporter) full(level int, n uint64, hashes []tlog.Hash) error {
	if len(hashes) < BundleSize {
		return nil
	}
	return e.tile(level, n, hashes)
}

// tile writes a tile of any width.
func (e *exporter) tile(level int, n uint64, hashes []tlog.Hash) error {
	return e.to.replace(TilePath(level, n, len(hashes)), packHashes(hashes))
}

// Genesis reads the first event of an archive or export that is not empty: it names the
// ledger's origin and key. It believes what it reads.
func Genesis(fsys vfs.FS, dir string) (*event.ClusterInitialized, error) {
	c, err := newCodec()
	if err != nil {
		return nil, err
	}
	b := bundles{files: newFiles(fsys, dir), codec: c}
	h, err := readHeads(b.files)
	if err != nil {
		return nil, fmt.Errorf("ledger in %s: %w", dir, err)
	}
	if h.size() == 0 {
		return nil, fmt.Errorf("%w: ledger in %s: the first event", ErrNotArchived, dir)
	}
	f, err := b.payloads(0, int(min(h.size(), BundleSize)))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	p, err := f.read()
	if err != nil {
		return nil, err
	}
	s := &event.Statement{}
	if err := event.Decode(p.Statement, s); err != nil {
		return nil, fmt.Errorf("ledger in %s: the first event: %w", dir, err)
	}
	if s.GetClusterInitialized() == nil {
		return nil, fmt.Errorf("%w: ledger in %s: the first event does not begin a cluster", event.ErrMalformed, dir)
	}
	return s.GetClusterInitialized(), nil
}
