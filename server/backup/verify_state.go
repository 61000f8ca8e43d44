package backup

import (
	"context"
	"encoding/hex"
	"errors"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/fsm"
)

// states verifies that the files of each point are the state that it tells of: that all of them
// have their bytes does not say that a node could open them.
func (x *verifying) states(ctx context.Context) error {
	if x.Quick {
		return nil
	}
	for i := range x.report.Points {
		p := &x.report.Points[i]
		if !x.report.Damaged(p.Seq) {
			if err := x.bad(PointName(p.Seq), x.state(ctx, p), p.Seq); err != nil {
				return err
			}
		}
		x.progress("states", uint64(i+1), uint64(len(x.report.Points)), "points")
	}
	return nil
}

// state copies a state to where it can be opened, reads all of its rows, and removes it again.
func (x *verifying) state(ctx context.Context, p *Point) (err error) {
	fs, dir := x.FS, x.Dir
	if fs == nil {
		fs, dir = vfs.NewMem(), ""
	}
	dir = fs.PathJoin(dir, "state")
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, fs.RemoveAll(dir)) }()
	r := &Reader{Point: p, t: x.Target}
	for _, f := range p.State.Files {
		if err := copyFile(ctx, r, f, fs, fs.PathJoin(dir, f.Name)); err != nil {
			return err
		}
	}
	a, err := fsm.Verify(fs, dir)
	if err != nil {
		return damaged(PointName(p.Seq), "its state cannot be opened, or is not whole: %v", err)
	}
	sum := a.Digest.Bytes()
	if s := (State{Index: a.Index, Term: a.Term, Digest: hex.EncodeToString(sum[:])}); a.Next != p.Seq || s.Index != p.State.Index || s.Term != p.State.Term || s.Digest != p.State.Digest {
		return damaged(PointName(p.Seq), "the files are a state of %d events at entry %d, with the digest %s, and it says entry %d, %s", a.Next, s.Index, s.Digest, p.State.Index, p.State.Digest)
	}
	return nil
}

func copyFile(ctx context.Context, r *Reader, f File, fs vfs.FS, path string) error {
	body, err := r.StateFile(ctx, f)
	if err != nil {
		return err
	}
	to, err := fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return errors.Join(err, body.Close())
	}
	_, err = io.Copy(to, contextReader{ctx, body})
	return errors.Join(err, to.Close(), body.Close())
}
