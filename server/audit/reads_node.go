package audit

import (
	"context"
	"errors"
	"fmt"
	iofs "io/fs"
	"log/slog"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"ironman/wal/overlay"
	"ironman/wal/reads"
)

// ErrNoReads says that a node has no log of reads.
var ErrNoReads = errors.New("audit: this node has no log of reads (--log-reads)")

// readsDir is where the log of reads is, if there is one.
func (n *Node) readsDir() (string, error) {
	dir := n.fs.PathJoin(n.dir, ReadsDir)
	_, err := n.fs.Stat(dir)
	if errors.Is(err, iofs.ErrNotExist) {
		err = ErrNoReads
	}
	return dir, err
}

// Reads calls tell for each read of the node's own log that the filter takes, in order,
// until it fails. The log is opened as the node would, over memory.
func (n *Node) Reads(ctx context.Context, node uint32, f ReadFilter, tell func(*Read) error) error {
	dir, err := n.readsDir()
	if err != nil {
		return err
	}
	keys, err := verifiers(n.Key)
	if err != nil {
		return err
	}
	var fatal error
	l, err := reads.Open(reads.Options{
		FS: overlay.New(n.fs), Dir: dir, Origin: ReadsOrigin(n.Origin, node), Verifiers: keys, Now: time.Now,
		Fatal: func(err error) { fatal = err }, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return errors.Join(err, fatal)
	}
	return n.words(func(w *Words) error {
		for r, err := range l.Records(max(f.From, l.Kept())) {
			if err == nil {
				err = errors.Join(ctx.Err(), r.Check())
			}
			if err != nil {
				return fmt.Errorf("audit: the log of reads: %w", err)
			}
			x, err := w.Read(&r)
			if err != nil {
				return err
			}
			if !f.Takes(x) {
				continue
			}
			if err := tell(x); err != nil {
				return err
			}
		}
		return errors.Join(fatal, l.Close())
	})
}

// VerifyReads recomputes the node's own log of reads, and compares it with each head of it
// that the ledger has. A *reads.Damage names the first bad record.
func (n *Node) VerifyReads(ctx context.Context, node uint32, progress func(done, total uint64)) (*reads.Verified, error) {
	dir, err := n.readsDir()
	if err != nil {
		return nil, err
	}
	keys, err := verifiers(n.Key)
	if err != nil {
		return nil, err
	}
	var heads []tlog.Tree
	for r, err := range n.Records(0) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return nil, fmt.Errorf("audit: %w", err)
		}
		by, head, ok, err := NotedReads(&r)
		if err != nil {
			return nil, err
		}
		if ok && by == node {
			heads = append(heads, head)
		}
	}
	return reads.Verify(ctx, reads.VerifyOptions{
		FS: n.fs, Dir: dir, Origin: ReadsOrigin(n.Origin, node), Verifiers: keys, Noted: heads, Progress: progress,
	})
}
