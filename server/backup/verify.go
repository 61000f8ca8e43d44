package backup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"ironman/wal/digest"
	"ironman/wal/ledger"
)

// Verify says what is verified.
type Verify struct {
	Target Target
	// Points are the sequences of the points; none: all.
	Points []uint64
	// Quick looks whether everything is there and as long as it was, and reads no bytes but those
	// of points, lists and indexes.
	Quick bool
	// Dir is an empty directory of FS, in which one state at a time is opened: it needs room for the
	// longest. FS nil: in memory.
	FS  vfs.FS
	Dir string
	// Progress hears how far it is; may be nil.
	Progress func(what string, done, total uint64, of string)
}

// Problem is something that is wrong.
type Problem struct {
	Name   string   `json:"name"` // in the target
	Text   string   `json:"text"`
	Points []uint64 `json:"points"` // that are not whole because of it
}

// Report is what came of a verification.
type Report struct {
	Source Source  `json:"source"`
	Points []Point `json:"-"` // those that could be read
	Bytes  uint64  `json:"bytes"`
	Blobs  uint64  `json:"blobs"` // of all points; one that is in several counts once
	// Absent are blobs that were lost when a point was taken, so that it does not have their bytes.
	// That is no problem of the backup.
	Absent   uint64    `json:"absent,omitempty"`
	Problems []Problem `json:"problems"`
}

// Damaged tells whether a point has a problem.
func (r *Report) Damaged(seq uint64) bool {
	return slices.ContainsFunc(r.Problems, func(p Problem) bool { return slices.Contains(p.Points, seq) })
}

// verifying is one verification.
type verifying struct {
	Verify
	report Report
	sizes  map[string]int64
	all    []uint64 // the points
}

// Run verifies. What is damaged or missing is in the report; an error is one of reaching the target.
func (v Verify) Run(ctx context.Context) (*Report, error) {
	x := &verifying{Verify: v, sizes: make(map[string]int64)}
	for _, prefix := range []string{"files/", ledgerPrefix, "packs/"} {
		items, err := v.Target.List(ctx, prefix)
		if err != nil {
			return nil, err
		}
		for _, i := range items {
			x.sizes[i.Name] = i.Size
		}
	}
	for _, step := range []func(context.Context) error{x.points, x.files, x.states, x.ledger, x.blobs} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(x.report.Problems, func(a, b Problem) int { return strings.Compare(a.Name, b.Name) })
	return &x.report, nil
}

// bad notes a problem, if an error is one. Any other error is returned.
func (x *verifying) bad(name string, err error, points ...uint64) error {
	var d *ledger.Damage
	if err == nil {
		return nil
	}
	if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrNewer) && !errors.Is(err, ErrNotFound) && !errors.As(err, &d) {
		return err
	}
	x.report.Problems = append(x.report.Problems, Problem{Name: name, Text: err.Error(), Points: points})
	return nil
}

func (x *verifying) progress(what string, done, total uint64, of string) {
	if x.Progress != nil {
		x.Progress(what, done, total, of)
	}
}

// points reads the points.
func (x *verifying) points(ctx context.Context) error {
	var err error
	if x.all = x.Points; len(x.all) == 0 {
		if x.all, err = Points(ctx, x.Target); err != nil {
			return err
		}
	}
	if len(x.all) == 0 {
		return nil
	}
	x.report.Source, err = SourceOf(ctx, x.Target)
	known := err == nil
	if err := x.bad(identityName, err, x.all...); err != nil {
		return err
	}
	for _, seq := range x.all {
		p, err := ReadPoint(ctx, x.Target, seq)
		if err == nil && known && p.Source != x.report.Source {
			err = damaged(PointName(seq), "it is of another cluster or epoch than %s says", identityName)
		}
		if err != nil {
			if err := x.bad(PointName(seq), err, seq); err != nil {
				return err
			}
			continue
		}
		x.report.Points = append(x.report.Points, *p)
	}
	return nil
}

// use is something that points name.
type use struct {
	File
	points []uint64
}

// uses gathers what points name, each once.
type uses struct {
	at   map[string]int
	list []use
}

func (u *uses) add(place string, f File, seq uint64) {
	if u.at == nil {
		u.at = make(map[string]int)
	}
	i, ok := u.at[place]
	if !ok {
		i = len(u.list)
		u.at[place] = i
		u.list = append(u.list, use{File: f})
	}
	if l := &u.list[i]; !slices.Contains(l.points, seq) {
		l.points = append(l.points, seq)
	}
}

// files verifies the files by content: states, entries and lists.
func (x *verifying) files(ctx context.Context) error {
	var all uses
	for i := range x.report.Points {
		p := &x.report.Points[i]
		for _, f := range p.State.Files {
			all.add(f.place(), f, p.Seq)
		}
		all.add(p.Log.File.place(), p.Log.File, p.Seq)
		for _, f := range slices.Concat(p.Blobs.Lists, p.Blobs.Absent) {
			all.add(f.place(), f, p.Seq)
		}
	}
	for i := range all.list {
		u := &all.list[i]
		err := x.there(u.place(), u.Size)
		if err == nil && !x.Quick {
			err = x.read(ctx, &u.File)
		}
		if err := x.bad(u.place(), err, u.points...); err != nil {
			return err
		}
		x.progress("files", uint64(i+1), uint64(len(all.list)), "files")
	}
	for i := range x.report.Points {
		p := &x.report.Points[i]
		if x.Quick || x.report.Damaged(p.Seq) {
			continue
		}
		for _, err := range (&Reader{Point: p, t: x.Target}).Entries(ctx) {
			if err := x.bad(p.Log.File.place(), err, p.Seq); err != nil {
				return err
			}
		}
	}
	return nil
}

// there looks whether a name is there and so long.
func (x *verifying) there(name string, size int64) error {
	have, ok := x.sizes[name]
	switch {
	case !ok:
		return fmt.Errorf("%w: %s", ErrNotFound, name)
	case have != size:
		return damaged(name, "it has %d bytes, and had %d", have, size)
	}
	return nil
}

// read reads a file by its content.
func (x *verifying) read(ctx context.Context, f *File) error {
	r, err := (&Reader{t: x.Target}).file(ctx, *f)
	if err != nil {
		return err
	}
	n, err := io.Copy(io.Discard, r)
	x.report.Bytes += uint64(n)
	return errors.Join(err, r.Close())
}

// ledger verifies the ledger once, for the point that has most of it. The trees of all others
// are to be found in it.
func (x *verifying) ledger(ctx context.Context) error {
	if len(x.report.Points) == 0 {
		return nil
	}
	most := slices.MaxFunc(x.report.Points, func(a, b Point) int { return cmp.Compare(a.Ledger.Size, b.Ledger.Size) })
	for name := range ledgerFiles(0, most.Ledger.Size) {
		if _, ok := x.sizes[ledgerPrefix+name]; !ok {
			if err := x.bad(ledgerPrefix+name, fmt.Errorf("%w: %s", ErrNotFound, ledgerPrefix+name), x.with(name)...); err != nil {
				return err
			}
		}
	}
	var known []tlog.Tree
	for i := range x.report.Points {
		p := &x.report.Points[i]
		tree, err := p.tree()
		if err != nil {
			if err := x.bad(PointName(p.Seq), err, p.Seq); err != nil {
				return err
			}
			continue
		}
		if tree.N > 0 {
			known = append(known, tree)
		}
	}
	if x.Quick {
		return nil
	}
	r := &Reader{Point: &most, t: x.Target}
	err := r.verifyLedger(ctx, 0, known, func(done, total uint64) { x.progress("ledger", done, total, "events") })
	var d *ledger.Damage
	if errors.As(err, &d) {
		var points []uint64
		for i := range x.report.Points {
			if p := &x.report.Points[i]; p.Ledger.Size > d.Seq {
				points = append(points, p.Seq)
			}
		}
		return x.bad(ledgerPrefix, err, points...)
	}
	return x.bad(PointName(most.Seq), err, most.Seq)
}

// with are the points that have a file of the ledger.
func (x *verifying) with(name string) (points []uint64) {
	for i := range x.report.Points {
		p := &x.report.Points[i]
		for n := range ledgerFiles(0, p.Ledger.Size) {
			if n == name {
				points = append(points, p.Seq)
				break
			}
		}
	}
	return points
}

// tree is the tree of the point's ledger, as its checkpoint says, whose signature is verified.
func (p *Point) tree() (tlog.Tree, error) {
	l := &p.Ledger
	root, err := tlog.ParseHash(l.Root)
	if err != nil {
		return tlog.Tree{}, damaged(PointName(p.Seq), "the ledger's root: %v", err)
	}
	if l.Size == 0 {
		return tlog.Tree{}, nil
	}
	key, err := note.NewVerifier(p.Key)
	if err != nil {
		return tlog.Tree{}, damaged(PointName(p.Seq), "the ledger's key: %v", err)
	}
	c, err := ledger.OpenCheckpoint([]byte(l.Checkpoint), p.Origin, note.VerifierList(key))
	if err != nil {
		return tlog.Tree{}, damaged(PointName(p.Seq), "%v", err)
	}
	if uint64(c.Tree.N) != l.Size || c.Tree.Hash != root {
		return tlog.Tree{}, damaged(PointName(p.Seq), "its checkpoint is of %d events with the root %v, and it says %d and %s", c.Tree.N, c.Tree.Hash, l.Size, l.Root)
	}
	return c.Tree, nil
}

// blobs verifies that the pieces of all blobs are there, pack by pack.
func (x *verifying) blobs(ctx context.Context) error {
	packs := make(map[string]*packUse)
	seen := make(map[Blob]bool) // whether some point has its bytes
	for i := range x.report.Points {
		if err := x.blobsOf(ctx, &x.report.Points[i], packs, seen); err != nil {
			return err
		}
	}
	x.report.Blobs = uint64(len(seen))
	for _, here := range seen {
		if !here {
			x.report.Absent++
		}
	}
	names := make([]string, 0, len(packs))
	for name := range packs {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, name := range names {
		if err := x.pack(ctx, name, packs[name]); err != nil {
			return err
		}
		x.progress("blobs", uint64(i+1), uint64(len(names)), "packs")
	}
	return nil
}

// packUse is what points need of a pack.
type packUse struct {
	pieces map[uint32]piece // by place
	points []uint64
}

// blobsOf finds the pieces of a point's blobs.
func (x *verifying) blobsOf(ctx context.Context, p *Point, packs map[string]*packUse, seen map[Blob]bool) error {
	c := &catalog{}
	for _, f := range p.Blobs.Indexes {
		pieces, err := readIndex(ctx, x.Target, f)
		if err := x.bad(f.Name, err, p.Seq); err != nil {
			return err
		}
		if err == nil {
			c.add(f, pieces)
		}
	}
	whole := len(c.indexes) == len(p.Blobs.Indexes)
	c.sort()
	r := &Reader{Point: p, t: x.Target}
	absent, err := r.absent(ctx)
	if err := x.bad(PointName(p.Seq), err, p.Seq); err != nil {
		return err
	}
	for b, err := range r.Blobs(ctx) {
		if err != nil {
			if slices.ContainsFunc(x.report.Problems, func(q Problem) bool { return strings.HasPrefix(q.Name, "files/") && slices.Contains(q.Points, p.Seq) }) {
				return nil // it was told
			}
			return x.bad(PointName(p.Seq), err, p.Seq)
		}
		pieces := c.pieces(b)
		if _, ok := absent[b]; ok && pieces == nil {
			if _, other := seen[b]; !other {
				seen[b] = false
			}
			continue
		}
		seen[b] = true
		if pieces == nil {
			if whole {
				if err := x.bad(PointName(p.Seq), damaged(PointName(p.Seq), "no index of it has the blob %v of %d bytes", b.BlobID, b.Size), p.Seq); err != nil {
					return err
				}
			}
			continue
		}
		for i := range pieces {
			name := c.where(&pieces[i])
			u := packs[name]
			if u == nil {
				u = &packUse{pieces: make(map[uint32]piece)}
				packs[name] = u
			}
			u.pieces[pieces[i].at] = pieces[i].piece
			if !slices.Contains(u.points, p.Seq) {
				u.points = append(u.points, p.Seq)
			}
		}
	}
	return nil
}

// pack verifies the pieces of a pack.
func (x *verifying) pack(ctx context.Context, name string, u *packUse) error {
	end := int64(0)
	for _, p := range u.pieces {
		end = max(end, int64(p.at)+int64(p.length))
	}
	size, ok := x.sizes[name]
	switch {
	case !ok:
		return x.bad(name, fmt.Errorf("%w: %s", ErrNotFound, name), u.points...)
	case size < end:
		return x.bad(name, damaged(name, "it has %d bytes, and had %d", size, end), u.points...)
	case size > MaxPackBytes:
		return x.bad(name, damaged(name, "it has %d bytes, which no pack has", size), u.points...)
	case x.Quick:
		return nil
	}
	b, err := readAll(ctx, x.Target, name, MaxPackBytes)
	x.report.Bytes += uint64(len(b))
	if err == nil && int64(len(b)) < end {
		err = damaged(name, "it has %d bytes, and had %d", len(b), end)
	}
	if err != nil {
		return x.bad(name, err, u.points...)
	}
	places := make([]uint32, 0, len(u.pieces))
	for at := range u.pieces {
		places = append(places, at)
	}
	slices.Sort(places)
	for _, at := range places {
		p := u.pieces[at]
		if digest.SHA256(b[at:][:p.length]) != p.sum {
			if err := x.bad(name, damaged(name, "the bytes of the blob %v (%d bytes at %d) have another SHA-256", p.blob.BlobID, p.length, at), u.points...); err != nil {
				return err
			}
		}
	}
	return nil
}
