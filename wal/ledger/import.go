package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/tlog"

	"ironman/wal/event"
)

// Import makes an archive of the files of another, or of an export.
type Import struct {
	FS vfs.FS
	// Dir is made if it is not there; its parent must be. Files that an import which was
	// broken off has left there are taken as they are. Nothing else may be in it: if the
	// tiles do not bear the tree out, all of it is removed, for the next import to copy.
	Dir string
	// Tree is what the archive is to be: of whole bundles.
	Tree tlog.Tree
	// Open opens a file of the other by its path; fs.ErrNotExist: it has none.
	Open func(rel string) (io.ReadCloser, error)
	// Progress is told after each bundle how many sequences are done. May be nil.
	Progress func(done, total uint64)
}

// maxImported bounds a file: no bundle is larger, compressed or not.
const maxImported = 2 * BundleSize * maxPayloadBytes

// Run copies what the archive is made of, durably, and last an unsigned head. The tiles
// must bear it out; whether the bundles do is for Verify.
func (x *Import) Run(ctx context.Context) error {
	size := uint64(x.Tree.N)
	if x.Tree.N < 0 || size%BundleSize != 0 {
		return fmt.Errorf("%w: an archive of %d sequences", event.ErrMalformed, x.Tree.N)
	}
	f := newFiles(x.FS, x.Dir)
	if err := f.makeDir("."); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	for n := uint64(0); n*BundleSize < size; n++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := x.bundle(f, n); err != nil {
			return fmt.Errorf("ledger: %w", err)
		}
		if x.Progress != nil {
			x.Progress((n+1)*BundleSize, size)
		}
	}
	if err := f.sync(); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	e, err := loadEdge(f, size)
	if err != nil {
		return fmt.Errorf("ledger: %w", errors.Join(err, x.FS.RemoveAll(x.Dir)))
	}
	if got := e.tree(); got != x.Tree && size > 0 {
		err := fmt.Errorf("the tiles of the first %d sequences give the root %v instead of %v", size, got.Hash, x.Tree.Hash)
		return fmt.Errorf("ledger: %w", errors.Join(err, x.FS.RemoveAll(x.Dir)))
	}
	if size > 0 {
		err = f.replace(headPath, encodeHead(x.Tree))
	}
	if err := errors.Join(err, f.sync()); err != nil {
		return fmt.Errorf("ledger: %w", err)
	}
	return nil
}

// bundle copies the n-th bundles, and the tiles and the milestone that end with them.
func (x *Import) bundle(f *files, n uint64) error {
	paths := []string{EntriesPath(n, BundleSize), PayloadPath(n, BundleSize)}
	size := (n + 1) * BundleSize
	for level := 0; size>>(TileHeight*level)%BundleSize == 0; level++ {
		paths = append(paths, TilePath(level, size>>(TileHeight*(level+1))-1, BundleSize))
	}
	for _, rel := range paths {
		if err := x.file(f, rel); err != nil {
			return err
		}
	}
	if size%MilestoneLeaves != 0 {
		return nil
	}
	err := x.file(f, MilestonePath(size/MilestoneLeaves-1))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // not every archive was signed when it got there
	}
	return err
}

func (x *Import) file(f *files, rel string) error {
	if _, err := f.fs.Stat(f.at(rel)); err == nil {
		return f.settle(rel)
	}
	from, err := x.Open(rel)
	if err != nil {
		return fmt.Errorf("%s: %w", rel, err)
	}
	err = f.create(rel, func(w io.Writer) error {
		n, err := io.Copy(w, io.LimitReader(from, maxImported+1))
		if err == nil && n > maxImported {
			err = fmt.Errorf("%w: larger than %d bytes", event.ErrMalformed, maxImported)
		}
		return err
	})
	return errors.Join(err, from.Close())
}
