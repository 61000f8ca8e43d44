package ledger

import (
	"fmt"
	"iter"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Exported reads an exported ledger that has payloads. What it reads is checked frame by
// frame only: Verify tells whether it is what the checkpoint vouches for. Safe for
// concurrent use.
type Exported struct {
	bundles bundles
	signed  Checkpoint
}

// OpenExported opens an export whose checkpoint one of the keys has signed for the origin.
func OpenExported(fsys vfs.FS, dir, origin string, keys note.Verifiers) (*Exported, error) {
	c, err := newCodec()
	if err != nil {
		return nil, err
	}
	x := &Exported{bundles: bundles{files: newFiles(fsys, dir), codec: c}}
	h, err := readHeads(x.bundles.files)
	if err == nil {
		err = h.signed.verify(origin, keys)
	}
	if err != nil {
		return nil, fmt.Errorf("ledger in %s: %w", dir, err)
	}
	x.signed = h.signed
	return x, nil
}

// Size is how many sequences were exported.
func (x *Exported) Size() uint64 { return uint64(x.signed.Tree.N) }

// Tree is the head that was signed.
func (x *Exported) Tree() tlog.Tree { return x.signed.Tree }

// width is how many entries the n-th bundle has.
func (x *Exported) width(n uint64) int { return int(min(x.Size()-n*BundleSize, BundleSize)) }

// Envelope reads the envelope of a sequence. Beyond Size: ErrNotArchived.
func (x *Exported) Envelope(seq uint64) ([]byte, error) {
	if seq >= x.Size() {
		return nil, fmt.Errorf("%w: sequence %d of %d", ErrNotArchived, seq, x.Size())
	}
	n, i := bundleOf(seq)
	entries, err := x.bundles.entries(n, x.width(n))
	if err != nil {
		return nil, err
	}
	return entries[i], nil
}

// Records reads the export from a sequence to its end. It ends after the first error.
func (x *Exported) Records(from uint64) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for from < x.Size() {
			n, i := bundleOf(from)
			if !x.bundles.records(n, x.width(n), i, yield) {
				return
			}
			from = (n + 1) * BundleSize
		}
	}
}
