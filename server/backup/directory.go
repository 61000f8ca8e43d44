package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/wal/digest"
	"ironman/wal/durable"
)

// tempSuffix marks a file that is being written. What a run that was cut left of those is
// overwritten or never looked at.
const tempSuffix = ".tmp"

// directory is a Target on a file system.
type directory struct {
	fs  vfs.FS
	dir string

	mu   sync.Mutex
	made map[string]bool // directories whose entries are durable
	temp uint64          // names of files that are being written
}

// OpenDirectory is a directory as a target. It is made when something is put.
func OpenDirectory(fs vfs.FS, dir string) Target {
	return &directory{fs: fs, dir: dir, made: make(map[string]bool)}
}

// String implements Target.
func (d *directory) String() string { return d.dir }

func (d *directory) path(name string) string {
	return d.fs.PathJoin(append([]string{d.dir}, strings.Split(name, "/")...)...)
}

// Put implements Target.
func (d *directory) Put(ctx context.Context, name string, c Content) error {
	if !plainName(name) {
		return fmt.Errorf("backup: %q is no name", name)
	}
	path := d.path(name)
	temp, err := d.prepare(path)
	if err == nil {
		err = d.write(ctx, temp, c)
	}
	if err == nil {
		err = ofPlace(d.fs.Rename(temp, path))
	}
	if err == nil {
		err = ofPlace(durable.SyncDir(d.fs, d.fs.PathDir(path)))
	}
	if err != nil {
		return fmt.Errorf("backup: %s: %w", name, err)
	}
	return nil
}

// prepare makes the directory of a path, and names a file beside it.
func (d *directory) prepare(path string) (temp string, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.temp++
	temp = fmt.Sprintf("%s.%d%s", path, d.temp, tempSuffix)
	dir := d.fs.PathDir(path)
	if !d.made[dir] {
		if err := durable.MakeDir(d.fs, dir, 0o700); err != nil {
			return "", ofPlace(err)
		}
		d.made[dir] = true
	}
	return temp, nil
}

// placeError is an error of the file system, such as that there is no space: another try at
// once would not help.
type placeError struct{ error }

func (p *placeError) Unwrap() error { return p.error }

func ofPlace(err error) error {
	if err == nil {
		return nil
	}
	return &placeError{err}
}

// placeWriter tells errors of writing from those of what is read.
type placeWriter struct{ w io.Writer }

func (p placeWriter) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	return n, ofPlace(err)
}

// write writes a file, all of it and verified, or leaves none.
func (d *directory) write(ctx context.Context, path string, c Content) error {
	r, err := c.Open(ctx)
	if err != nil {
		return err
	}
	f, err := d.fs.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return errors.Join(ofPlace(err), r.Close())
	}
	hash := digest.NewSHA256()
	n, err := io.Copy(io.MultiWriter(hash, placeWriter{f}), contextReader{ctx, io.LimitReader(r, c.Size+1)})
	if err == nil && (n != c.Size || !slices.Equal(hash.Sum(nil), c.Sum[:])) {
		err = errors.New("what came is not what was announced")
	}
	if err == nil {
		err = ofPlace(f.Sync())
	}
	if err = errors.Join(err, ofPlace(f.Close()), r.Close()); err != nil {
		return errors.Join(err, d.fs.Remove(path))
	}
	return nil
}

// contextReader ends with a context.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// Open implements Target.
func (d *directory) Open(_ context.Context, name string, off, length int64) (io.ReadCloser, error) {
	f, err := d.fs.Open(d.path(name), vfs.SequentialReadsOption)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %s in %s", ErrNotFound, name, d.dir)
	}
	if err != nil {
		return nil, fmt.Errorf("backup: %w", err)
	}
	st, err := f.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("backup: %s: %w", name, err), f.Close())
	}
	if rest := max(st.Size()-off, 0); length < 0 || length > rest {
		length = rest
	}
	return struct {
		io.Reader
		io.Closer
	}{io.NewSectionReader(f, off, length), f}, nil
}

// List implements Target.
func (d *directory) List(ctx context.Context, prefix string) ([]Item, error) {
	var items []Item
	dir := ""
	if i := strings.LastIndexByte(prefix, '/'); i >= 0 {
		dir = prefix[:i]
	}
	err := d.walk(ctx, dir, func(i Item) {
		if strings.HasPrefix(i.Name, prefix) {
			items = append(items, i)
		}
	})
	slices.SortFunc(items, func(a, b Item) int { return strings.Compare(a.Name, b.Name) })
	return items, err
}

// walk finds the files below a directory. Names that no target has are none of this one.
func (d *directory) walk(ctx context.Context, dir string, found func(Item)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	path := d.dir
	if dir != "" {
		path = d.path(dir)
	}
	names, err := d.fs.List(path)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	for _, name := range names {
		if dir != "" {
			name = dir + "/" + name
		}
		if !plainName(name) {
			continue
		}
		st, err := d.fs.Stat(d.path(name))
		switch {
		case errors.Is(err, iofs.ErrNotExist): // it was a temporary one
		case err != nil:
			return fmt.Errorf("backup: %w", err)
		case st.IsDir():
			if err := d.walk(ctx, name, found); err != nil {
				return err
			}
		default:
			found(Item{name, st.Size()})
		}
	}
	return nil
}
