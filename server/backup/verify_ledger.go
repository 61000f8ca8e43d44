package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"path"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"ironman/wal/ledger"
)

// VerifyLedger recomputes the ledger of the point: every hash, the root, the checkpoint's
// signature, and every payload. What is wrong is a *ledger.Damage.
func (r *Reader) VerifyLedger(ctx context.Context, progress func(done, total uint64)) error {
	tree, err := r.Point.tree()
	if err != nil {
		return err
	}
	return r.verifyLedger(ctx, 0, []tlog.Tree{tree}, progress)
}

// verifyLedger also finds known trees in the ledger, and reads only the events behind from, which
// were verified before.
func (r *Reader) verifyLedger(ctx context.Context, from uint64, known []tlog.Tree, progress func(done, total uint64)) error {
	l := &r.Point.Ledger
	if l.Size == 0 {
		return nil
	}
	key, err := note.NewVerifier(r.Point.Key)
	if err != nil {
		return damaged(PointName(r.Point.Seq), "the ledger's key: %v", err)
	}
	// An erasure behind the point may have taken what is gone.
	v, err := ledger.Verify(ctx, ledger.VerifyOptions{
		FS: ledgerFS{vfs.NewMem(), ctx, r}, Dir: "ledger", Origin: r.Point.Origin, Verifiers: note.VerifierList(key), Progress: progress, Known: known, From: from, Unjudged: true,
	})
	if err == nil && uint64(v.N) != l.Size {
		err = damaged(PointName(r.Point.Seq), "its checkpoint is of %d events, and it says %d", v.N, l.Size)
	}
	return err
}

// ledgerFS shows the ledger of a point as the directory of an archive, to be read.
type ledgerFS struct {
	vfs.FS // an empty one
	ctx    context.Context
	r      *Reader
}

// erasedItems counts what is erased in the n-th bundle of payloads of a target, or in another
// one that is to take its place (nil: none). Payloads that do not belong to the target's envelopes are
// damaged.
func erasedItems(ctx context.Context, t Target, n uint64, instead *Content) (items int, err error) {
	name := ledger.PayloadPath(n, bundleSize)
	if instead != nil {
		t = replaced{t, ledgerPrefix + name, *instead}
	}
	items, err = ledger.ErasedItems(ledgerFS{vfs.NewMem(), ctx, &Reader{t: t}}, "ledger", n)
	if err != nil && ctx.Err() == nil && !errors.Is(err, iofs.ErrNotExist) {
		err = fmt.Errorf("%w: %s: %w", ErrDamaged, ledgerPrefix+name, err)
	}
	return items, err
}

// replaced is a target, to be read, with another content under one name.
type replaced struct {
	Target
	name string
	c    Content
}

// Open implements Target, for whole names.
func (r replaced) Open(ctx context.Context, name string, off, length int64) (io.ReadCloser, error) {
	if name != r.name {
		return r.Target.Open(ctx, name, off, length)
	}
	body, err := r.c.Open(ctx)
	if err != nil {
		return nil, err
	}
	return newVerified(body, name, r.c.Size, r.c.Sum), nil
}

// maxLedgerFile is how long a file of the ledger may be that is to be read into memory.
const maxLedgerFile = 1 << 30

// Open implements vfs.FS.
func (f ledgerFS) Open(name string, _ ...vfs.OpenOption) (vfs.File, error) {
	rel := strings.TrimPrefix(path.Clean(name), ledgerPrefix)
	switch {
	case rel == ledger.CheckpointPath:
		return vfs.NewMemFile([]byte(f.r.Point.Ledger.Checkpoint)), nil
	case !strings.HasPrefix(rel, "tile/") && !strings.HasPrefix(rel, "payload/"): // a target has no others
		return nil, &iofs.PathError{Op: "open", Path: name, Err: iofs.ErrNotExist}
	}
	b, err := readAll(f.ctx, f.r.t, ledgerPrefix+rel, maxLedgerFile)
	if errors.Is(err, ErrNotFound) {
		return nil, &iofs.PathError{Op: "open", Path: name, Err: fmt.Errorf("%w: %w", iofs.ErrNotExist, err)}
	}
	if err != nil {
		return nil, err
	}
	return vfs.NewMemFile(b), nil
}
