package backup

import (
	"context"
	"iter"
	"strings"

	"ironman/wal/durable"
)

// names are those that a point needs: what it names, and what is found by that.
func (p *Point) names() iter.Seq[string] {
	return func(yield func(string) bool) {
		if !yield(identityName) || !yield(p.Log.File.place()) {
			return
		}
		for _, files := range [...][]File{p.State.Files, p.Blobs.Lists, p.Blobs.Absent} {
			for i := range files {
				if !yield(files[i].place()) {
					return
				}
			}
		}
		for _, f := range p.Blobs.Indexes { // the packs of an index lie beside it
			if !yield(f.Name) {
				return
			}
		}
		for name := range ledgerFiles(0, p.Ledger.Size) {
			if !yield(ledgerPrefix + name) {
				return
			}
		}
	}
}

// Settle implements Target. A run that was killed may have renamed a file, whose bytes were
// durable, and not have synced the directory: so each directory is synced once, with those above
// it, whoever put what is in it.
func (d *directory) Settle(ctx context.Context, names iter.Seq[string]) error {
	settled := make(map[string]bool)
	for name := range names {
		for at := name; at != ""; {
			at = parent(at)
			if settled[at] {
				break
			}
			settled[at] = true
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := d.settle(at); err != nil {
				return ofPlace(err)
			}
		}
	}
	return nil
}

func (d *directory) settle(dir string) error {
	if dir != "" {
		return durable.SyncDir(d.fs, d.path(dir))
	}
	if err := durable.MakeDir(d.fs, d.dir, 0o700); err != nil { // syncs the one above
		return err
	}
	return durable.SyncDir(d.fs, d.dir)
}

// parent is the directory of a name; "": that of the target.
func parent(name string) string { return name[:max(strings.LastIndexByte(name, '/'), 0)] }

// Settle implements Target: what a store has confirmed is durable.
func (b *bucket) Settle(context.Context, iter.Seq[string]) error { return nil }
