package backup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"ironman/wal/ledger"
)

// workers is how much is done at once.
const workers = 4

// Take says what is taken, and where to.
type Take struct {
	From *Admin
	To   Target
	// WithoutLost lets a point be without bytes that the cluster has lost, and tells Warn of it. Else
	// there is none as long as something is lost.
	WithoutLost bool
	// Progress hears how far something has come; may be nil. One call at a time.
	Progress func(what string, done, total uint64, of string)
	// Warn hears of what a person should know; may be nil.
	Warn func(text string)
}

// Taken is what was taken.
type Taken struct {
	Point *Point
	// What was sent to the target, and how much of it.
	Files, LedgerFiles, Blobs uint64
	Bytes                     uint64
}

// taking is one run.
type taking struct {
	Take
	run  *Run
	base tlog.Tree // of the ledger that the target's newest point has

	mu          sync.Mutex // of Progress
	files       atomic.Uint64
	ledgerFiles atomic.Uint64
	blobs       atomic.Uint64
	bytes       atomic.Uint64
}

// Run takes a backup. Cut off anywhere it leaves the target valid, and may be begun again:
// what is there by then is not sent again.
func (t Take) Run(ctx context.Context) (done *Taken, err error) {
	x := &taking{Take: t}
	newest, err := x.newest(ctx)
	if err != nil {
		return nil, err
	}
	if x.run, err = t.From.Begin(ctx, newest); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var renewing sync.WaitGroup
	renewing.Go(func() { x.renew(ctx, cancel) })
	defer func() {
		if cause := context.Cause(ctx); err != nil && cause != nil {
			err = cause
		}
		cancel(nil)
		renewing.Wait()
		last, stop := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer stop()
		if failed := t.From.End(last, x.run.Run); failed != nil && err == nil {
			x.warn("the node could not be told that the backup is done, and finds out by itself: " + failed.Error())
		}
	}()
	if len(x.run.Unheld) > 0 {
		x.warn(fmt.Sprintf("nodes %v do not answer: of bytes that they throw away meanwhile the other nodes' shards have to be enough", x.run.Unheld))
	}
	if err := claim(ctx, t.To, x.run.Source); err != nil {
		return nil, err
	}
	p := x.point()
	for _, step := range []func(context.Context, *Point) error{x.takeState, x.takeLedger, x.takeBlobs} {
		if err := step(ctx, p); err != nil {
			return nil, err
		}
	}
	p.Taken = time.Now().UTC().Truncate(time.Second)
	if err := p.check(); err != nil {
		return nil, fmt.Errorf("backup: the node gave what makes no point: %w", err)
	}
	if err := t.To.Settle(ctx, p.names()); err != nil {
		return nil, fmt.Errorf("backup: %s: %w", t.To, err)
	}
	if err := putSealed(ctx, t.To, PointName(p.Seq), p); err != nil {
		return nil, err
	}
	return &Taken{Point: p, Files: x.files.Load(), LedgerFiles: x.ledgerFiles.Load(), Blobs: x.blobs.Load(), Bytes: x.bytes.Load()}, nil
}

// newest is the newest point of the target; nil: there is none.
func (x *taking) newest(ctx context.Context) (*Point, error) {
	all, err := Points(ctx, x.To)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	p, err := ReadPoint(ctx, x.To, all[len(all)-1])
	if err == nil {
		x.base, err = p.tree()
	}
	if err != nil {
		return nil, fmt.Errorf("%w (the newest point of %s; if it is removed, the next run takes it anew)", err, x.To)
	}
	return p, nil
}

// renew keeps the node keeping the point, until ctx ends. If that cannot be, it ends it.
func (x *taking) renew(ctx context.Context, cancel context.CancelCauseFunc) {
	lease := time.Duration(x.run.Lease) * time.Second
	tick := time.NewTicker(max(lease/6, time.Second))
	defer tick.Stop()
	for kept := time.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		begun := time.Now()
		err := x.From.Renew(ctx, x.run.Run)
		switch {
		case err == nil:
			kept = begun
		case ctx.Err() == nil && (!passing(err) || time.Since(kept) > lease):
			cancel(fmt.Errorf("backup: the node does not keep the point any more; begin again: %w", err))
			return
		}
	}
}

func (x *taking) warn(text string) {
	if x.Warn != nil {
		x.Warn(text)
	}
}

func (x *taking) progress(what string, done, total uint64, of string) {
	if x.Progress == nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.Progress(what, done, total, of)
}

// point is what the node says of it.
func (x *taking) point() *Point {
	r := x.run
	return &Point{
		Format: pointFormat, Source: r.Source, Seq: r.Seq, Time: r.Time, Node: r.Node, Version: r.Version, FeatureLevel: r.FeatureLevel,
		Ledger: r.Ledger, State: r.State, Log: r.Log,
	}
}

// put puts something, until it is there.
func (x *taking) put(ctx context.Context, name string, c Content) error {
	err := persist(ctx, func() error { return x.To.Put(ctx, name, c) })
	if err == nil {
		x.bytes.Add(uint64(c.Size))
	}
	return err
}

// putFile puts a file by its content, unless it is there.
func (x *taking) putFile(ctx context.Context, have map[string]int64, f File, c Content) error {
	if size, ok := have[f.place()]; ok && size == f.Size {
		return nil
	}
	if err := x.put(ctx, f.place(), c); err != nil {
		return err
	}
	x.files.Add(1)
	return nil
}

// sizes lists names with their sizes.
func (x *taking) sizes(ctx context.Context, prefix string) (map[string]int64, error) {
	items, err := x.To.List(ctx, prefix)
	if err != nil {
		return nil, err
	}
	have := make(map[string]int64, len(items))
	for _, i := range items {
		have[i.Name] = i.Size
	}
	return have, nil
}

// takeState sends the state's files and the log's entries.
func (x *taking) takeState(ctx context.Context, p *Point) error {
	read := uint64(0)
	files, err := x.From.StateFiles(ctx, x.run.Run, func(File) {
		read++
		x.progress("the node has read", read, max(read, 1), "files of the state")
	})
	if err != nil {
		return err
	}
	have, err := x.sizes(ctx, "files/")
	if err != nil {
		return err
	}
	p.State.Files = files
	if err := x.putFile(ctx, have, p.Log.File, x.From.Entries(x.run.Run, p.Log.File)); err != nil {
		return err
	}
	var done atomic.Uint64
	return each(ctx, slices.Values(files), func(ctx context.Context, f File) error {
		err := x.putFile(ctx, have, f, x.From.StateFile(x.run.Run, f))
		if err == nil {
			x.progress("state", done.Add(1), uint64(len(files)), "files")
		}
		return err
	})
}

// takeLedger sends the ledger's files that the target does not have, and payloads anew of which
// something was erased since. Within one epoch a file of a name is the same for ever, but for that.
func (x *taking) takeLedger(ctx context.Context, p *Point) error {
	have, err := x.sizes(ctx, ledgerPrefix)
	if err != nil {
		return err
	}
	erased, err := x.From.Erased(ctx, x.run.Run)
	if err != nil {
		return err
	}
	var missing []string
	for name := range ledgerFiles(0, p.Ledger.Size) {
		if _, ok := have[ledgerPrefix+name]; !ok {
			missing = append(missing, name)
		}
	}
	var done atomic.Uint64
	err = each(ctx, slices.Values(missing), func(ctx context.Context, name string) error {
		c, err := x.From.LedgerFile(ctx, x.run.Run, name)
		if err == nil {
			err = x.put(ctx, ledgerPrefix+name, c)
		}
		if err == nil {
			x.ledgerFiles.Add(1)
			x.progress("ledger", done.Add(1), uint64(len(missing)), "files")
		}
		return err
	})
	if err != nil {
		return err
	}
	if err := each(ctx, slices.Values(erased), func(ctx context.Context, n uint64) error { return x.putErased(ctx, n) }); err != nil {
		return err
	}
	return x.verifyLedger(ctx, p)
}

// verifyLedger verifies what the ledger has more than the target's newest point, also what an earlier
// run has put: against the tiles, both roots and the new checkpoint's signature.
func (x *taking) verifyLedger(ctx context.Context, p *Point) error {
	known := []tlog.Tree{}
	tree, err := p.tree()
	if err != nil {
		return fmt.Errorf("backup: the node's ledger: %w", err)
	}
	for _, t := range []tlog.Tree{x.base, tree} {
		if t.N > 0 {
			known = append(known, t)
		}
	}
	err = (&Reader{Point: p, t: x.To}).verifyLedger(ctx, uint64(x.base.N), known, func(done, total uint64) { x.progress("ledger verified", done, total, "events") })
	if errors.As(err, new(*ledger.Damage)) {
		return fmt.Errorf("%w: %s of %s: no point was written; where the file that is named is damaged there, remove it, and the next run sends it again: %w", ErrDamaged, ledgerPrefix, x.To, err)
	}
	return err
}

// putErased puts a bundle of payloads anew if more of it is erased now. One of which less is comes
// from a node that has to carry out an erasure yet: names that are gone must not come back.
func (x *taking) putErased(ctx context.Context, n uint64) error {
	name := ledger.PayloadPath(n, bundleSize)
	c, err := x.From.LedgerFile(ctx, x.run.Run, name)
	if err != nil {
		return err
	}
	if same, err := holds(ctx, x.To, ledgerPrefix+name, c); err != nil || same {
		return err
	}
	have, err := erasedItems(ctx, x.To, n, nil)
	if err != nil && !errors.Is(err, ErrDamaged) {
		return err
	}
	now, err2 := erasedItems(ctx, x.To, n, &c)
	if err2 != nil {
		return fmt.Errorf("backup: what the node gave: %w", err2)
	}
	if err == nil && now <= have {
		return nil
	}
	if err := x.put(ctx, ledgerPrefix+name, c); err != nil {
		return err
	}
	x.ledgerFiles.Add(1)
	return nil
}

// lostError tells which blobs could not be read.
func lostError(lost []string) error {
	const most = 10
	text := strings.Join(lost[:min(len(lost), most)], "; ")
	if len(lost) > most {
		text += "; ..."
	}
	return errors.New("backup: not all bytes could be read, and no point was written (what was copied stays, for the next run): " + text)
}
