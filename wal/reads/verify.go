package reads

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"ironman/wal/event"
	"ironman/wal/ledger"
)

// VerifyOptions say which log to verify, and by what.
type VerifyOptions struct {
	FS        vfs.FS
	Dir       string
	Origin    string
	Verifiers note.Verifiers
	// Noted are the heads that the ledger knows of the log.
	Noted []tlog.Tree
	// Progress is told how many records in bundles are done. May be nil.
	Progress func(done, total uint64)

	tail []ledger.Record // of a log that is open; else it is read from its file
	open bool
}

// Verified is what was found of a log that is whole.
type Verified struct {
	Tree    tlog.Tree
	Kept    uint64 // the first record that is kept
	Noted   int    // heads in the ledger that it bears out
	Dropped uint64 // reads that the log says have no record
	Starts  int    // of the node
	SetBack []SetBack
}

// SetBack is a part of a log that was vouched for and is gone: the log says so itself.
type SetBack struct {
	From  uint64 // the record that said so, the first that is gone
	Noted uint64 // so many records had been vouched for
}

// Damage names the first record that is damaged, missing, or not the one that was vouched for.
type Damage struct {
	Record uint64
	Err    error
}

// Error implements error.
func (d *Damage) Error() string {
	return fmt.Sprintf("the log of reads: first bad record %d: %v", d.Record, d.Err)
}

// Unwrap gives what is wrong.
func (d *Damage) Unwrap() error { return d.Err }

// Verify recomputes a log from its records: hashes, tiles, signatures, payloads, each head
// that the ledger knows, and that records are missing only where the log says so. What is
// wrong is a *Damage. A log that was set back, and is whole but for that, is both: what was
// found, and a *Damage that names the first record that is gone.
func Verify(ctx context.Context, o VerifyOptions) (*Verified, error) {
	v, err := verify(ctx, &o, o.Noted)
	if err == nil {
		return v, nil
	}
	// It may have been set back, and say so.
	v, e := verify(ctx, &o, nil)
	if e != nil || len(v.SetBack) == 0 {
		return nil, err
	}
	var rest []tlog.Tree
	first := uint64(1 << 63)
	for _, t := range o.Noted {
		gone := false
		for _, b := range v.SetBack {
			gone = gone || uint64(t.N) > b.From && uint64(t.N) <= b.Noted
		}
		if !gone {
			rest = append(rest, t)
		}
	}
	for _, b := range v.SetBack {
		first = min(first, b.From)
	}
	if v, e = verify(ctx, &o, rest); e != nil {
		return nil, e
	}
	return v, &Damage{first, fmt.Errorf("the log was set back: %d heads in the ledger vouch for records that are gone, as the log says itself; all else is whole", len(o.Noted)-len(rest))}
}

func verify(ctx context.Context, o *VerifyOptions, noted []tlog.Tree) (*Verified, error) {
	v := &Verified{Noted: len(noted)}
	expired, first := uint64(0), true
	l, err := ledger.Verify(ctx, ledger.VerifyOptions{
		FS: o.FS, Dir: o.Dir, Origin: o.Origin, Verifiers: o.Verifiers, Known: noted, Drops: true, Unjudged: true, Progress: o.Progress,
		Tail: o.tail, TailFile: !o.open,
		Look: func(r *ledger.Record) error {
			if first {
				v.Kept, first = r.Seq, false
			}
			e, err := Decode(r)
			if err != nil {
				return err
			}
			switch d := e.Read; d.Kind {
			case event.ReadKind_READ_KIND_DROPPED:
				v.Dropped += d.Records
			case event.ReadKind_READ_KIND_BEGUN:
				v.Starts++
			case event.ReadKind_READ_KIND_SET_BACK:
				if b, _ := setBackOf(r.Seq, d); !slices.Contains(v.SetBack, b) {
					v.SetBack = append(v.SetBack, b)
				}
			case event.ReadKind_READ_KIND_EXPIRED:
				expired = max(expired, d.From+d.Records)
			}
			return nil
		},
	})
	if err == nil && v.Kept > expired {
		err = &ledger.Damage{Seq: expired, Err: fmt.Errorf("the records up to %d are gone, and no record says that they are kept no longer", v.Kept-1)}
	}
	var d *ledger.Damage
	if errors.As(err, &d) {
		return nil, &Damage{d.Seq, d.Err}
	}
	if err != nil {
		return nil, err
	}
	v.Tree = l.Tree
	return v, nil
}

// Verify is Verify of what is durable now.
func (l *Log) Verify(ctx context.Context, noted []tlog.Tree, progress func(done, total uint64)) (*Verified, error) {
	l.whole.RLock()
	defer l.whole.RUnlock()
	return Verify(ctx, VerifyOptions{
		FS: l.o.FS, Dir: l.o.Dir, Origin: l.o.Origin, Verifiers: l.o.Verifiers, Noted: noted, Progress: progress,
		tail: l.state.Load().tail, open: true,
	})
}
