package ledger

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/tlog"

	"ironman/wal/event"
)

// errDiffers says that a file of the ledger is not what it ought to be.
var errDiffers = errors.New("differs from what is to be written: the ledger is never rewritten")

// tempSuffix marks a file that is being written.
const tempSuffix = ".tmp"

// files are the files below one directory, by slash-separated paths. Reading is
// safe for concurrent use, writing is not. A file is written beside its place,
// synced and renamed; it is durable after the next sync.
type files struct {
	fs  vfs.FS
	dir string
	// durable are the directories that are known to be in their parents for good.
	durable map[string]bool
	// dirty are the directories with names that a crash may still take away.
	dirty map[string]bool
	// written is the size of the file that was written last.
	written int64
}

// counter counts what goes into a file.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.w.Write(b)
	c.n += int64(n)
	return n, err
}

func newFiles(fsys vfs.FS, dir string) *files {
	return &files{fs: fsys, dir: fsys.PathJoin(dir), durable: map[string]bool{}, dirty: map[string]bool{}}
}

// at is the name of a file or directory; "." is the root.
func (f *files) at(rel string) string { return f.fs.PathJoin(f.dir, rel) }

// open opens a file for reading and tells its size in bytes.
func (f *files) open(rel string) (vfs.File, int64, error) {
	file, err := f.fs.Open(f.at(rel), vfs.SequentialReadsOption)
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", rel, err)
	}
	st, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, 0, fmt.Errorf("%s: %w", rel, err)
	}
	return file, st.Size(), nil
}

// read reads a whole file of at most limit bytes; more is event.ErrMalformed.
func (f *files) read(rel string, limit int64) ([]byte, error) {
	file, size, err := f.open(rel)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if size > limit {
		return nil, fmt.Errorf("%s: %w: %d bytes", rel, event.ErrMalformed, size)
	}
	b := make([]byte, size)
	if _, err := io.ReadFull(file, b); err != nil {
		return nil, fmt.Errorf("%s: %w", rel, err)
	}
	return b, nil
}

// readIfAny is read, but nil for a file that is not there.
func (f *files) readIfAny(rel string, limit int64) ([]byte, error) {
	b, err := f.read(rel, limit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return b, err
}

// tile reads a full tile.
func (f *files) tile(level int, n uint64) ([]byte, error) {
	rel := TilePath(level, n, BundleSize)
	b, err := f.read(rel, BundleSize*tlog.HashSize)
	if err == nil && len(b) != BundleSize*tlog.HashSize {
		err = fmt.Errorf("%s: %w: %d bytes", rel, event.ErrMalformed, len(b))
	}
	return b, err
}

// once writes a file that is not there yet. If it is, it must hold the same bytes.
// The caller gives data away: a vfs.File may scribble on what it writes.
func (f *files) once(rel string, data []byte) error {
	have, err := f.read(rel, int64(len(data)))
	switch {
	case err == nil && bytes.Equal(have, data):
		return f.settle(rel)
	case err == nil, errors.Is(err, event.ErrMalformed):
		return fmt.Errorf("%s: %w", rel, errDiffers)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return f.replace(rel, data)
}

// replace writes a file in one step: it has the new content or the old one. The
// caller gives data away.
func (f *files) replace(rel string, data []byte) error {
	return f.create(rel, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// create is replace with content that fill writes.
func (f *files) create(rel string, fill func(io.Writer) error) error {
	if err := f.mark(rel); err != nil {
		return err
	}
	name, temp := f.at(rel), f.at(rel+tempSuffix)
	file, err := f.fs.Create(temp, vfs.WriteCategoryUnspecified)
	if err != nil {
		return fmt.Errorf("%s: %w", rel, err)
	}
	to := &counter{w: file}
	err = fill(to)
	f.written = to.n
	if err == nil {
		err = file.Sync()
	}
	if e := file.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = f.fs.Rename(temp, name)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", rel, err)
	}
	return nil
}

// settle takes over a file that an earlier process wrote, if it is there: that one may
// have died before the directory was synced, and after a crash the disk may show the
// file under both of its names. Or it died because the sync failed: then another one
// succeeds and does nothing, for what the first lost counts as written
// (https://danluu.com/fsyncgate/). So the file is written anew in its place.
func (f *files) settle(rel string) error {
	if err := f.fs.Remove(f.at(rel + tempSuffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", rel, err)
	}
	old, _, err := f.open(rel)
	if errors.Is(err, fs.ErrNotExist) {
		return f.mark(rel)
	}
	if err != nil {
		return err
	}
	defer old.Close()
	return f.create(rel, func(w io.Writer) error {
		_, err := io.Copy(w, old)
		return err
	})
}

// remove removes a file; one that is not there is gone.
func (f *files) remove(rel string) error {
	if err := f.fs.Remove(f.at(rel)); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("%s: %w", rel, err)
	}
	f.dirty[path.Dir(rel)] = true
	return nil
}

// mark makes the directory of rel and notes that it has to be synced.
func (f *files) mark(rel string) error {
	dir := path.Dir(rel)
	f.dirty[dir] = true
	return f.makeDir(dir)
}

// makeDir makes a directory and those above it, durably.
func (f *files) makeDir(dir string) error {
	if f.durable[dir] {
		return nil
	}
	parent := f.fs.PathDir(f.dir)
	if dir != "." {
		if err := f.makeDir(path.Dir(dir)); err != nil {
			return err
		}
		parent = f.at(path.Dir(dir))
	}
	_, err := f.fs.Stat(f.at(dir))
	made := errors.Is(err, fs.ErrNotExist)
	if err := f.fs.MkdirAll(f.at(dir), 0o755); err != nil {
		return fmt.Errorf("%s: %w", dir, err)
	}
	// Synced even if it was there: its maker may have died before that. One whose entry
	// cannot be synced is taken away again, to be made anew.
	if err := f.syncDir(parent); err != nil {
		if made {
			err = errors.Join(err, f.fs.Remove(f.at(dir)))
		}
		return err
	}
	f.durable[dir] = true
	return nil
}

// sync makes every name written since the last sync durable.
func (f *files) sync() error {
	dirs := make([]string, 0, len(f.dirty))
	for d := range f.dirty {
		dirs = append(dirs, d)
	}
	slices.Sort(dirs) // the same order each time: simulations replay
	for _, d := range dirs {
		if err := f.syncDir(f.at(d)); err != nil {
			return err
		}
	}
	clear(f.dirty)
	return nil
}

func (f *files) syncDir(name string) error {
	d, err := f.fs.OpenDir(name)
	if err != nil {
		return fmt.Errorf("ledger directory: %w", err)
	}
	err = d.Sync()
	if e := d.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("ledger directory: %w", err)
	}
	return nil
}
