package fsm

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"log/slog"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/wal/digest"
	"ironman/wal/event"
	"ironman/wal/merkle"
)

// ReadApplied opens the state in a directory read-only and tells where it stands.
// A directory in which no state was ever made stands at nothing. The error may be
// that another process has the state open.
func ReadApplied(fs vfs.FS, dir string) (a Applied, err error) {
	err = examine(fs, dir, func(x *examined) error {
		meta, _, err := readMeta(x.db)
		a = meta.applied()
		return err
	})
	if errors.Is(err, pebble.ErrDBDoesNotExist) {
		return Applied{}, nil
	}
	return a, err
}

// Verify reads all of a state in a directory that nobody has open: every block of
// its files and every row. The sum of the rows' hashes must be the digest that the
// state itself holds, which every leaf of the ledger confirms. Whatever is wrong
// is an error, also where Pebble would end the process. One thing cannot be seen
// from inside: Pebble takes a MANIFEST that lost its end for a shorter one, so that a
// caller must compare what is returned with what it expects. The directory does not
// change.
func Verify(fs vfs.FS, dir string) (a Applied, err error) {
	err = examine(fs, dir, func(x *examined) error {
		meta, _, err := readMeta(x.db)
		if err != nil {
			return err
		}
		a = meta.applied()
		sum, err := sumRows(x.db)
		if err != nil {
			return err
		}
		if sum != a.Digest {
			return fmt.Errorf("fsm: the rows have the digest %x, but the state at event %d had %x: rows were lost or changed",
				sum.Bytes(), a.Next, a.Digest.Bytes())
		}
		return x.checkBlocks()
	})
	if err != nil {
		return Applied{}, err
	}
	return a, nil
}

// examined is a state that is open read-only.
type examined struct {
	db      *pebble.DB
	fs      vfs.FS
	dir     string
	options *pebble.Options

	mu     sync.Mutex
	damage error // what Pebble reported beside its errors
}

func (x *examined) report(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.damage = errors.Join(x.damage, err)
}

// examine opens the state in a directory and has it looked at. That a panic is
// recovered here can lose nothing, because nothing is written; the database is then
// left as it is, since its locks may be held.
func examine(fs vfs.FS, dir string, look func(*examined) error) (err error) {
	defer recovered(dir, &err)
	x, err := openExamined(fs, dir)
	if err != nil {
		return err
	}
	return errors.Join(look(x), x.close())
}

// recovered turns a panic over what is read into an error.
func recovered(dir string, err *error) {
	if r := recover(); r != nil {
		*err = fmt.Errorf("fsm: %s cannot be read: %v", dir, r)
	}
}

func openExamined(fs vfs.FS, dir string) (x *examined, err error) {
	defer recovered(dir, &err)
	x = &examined{fs: readOnlyFS{fs}, dir: dir}
	o := &pebble.Options{FS: x.fs, ReadOnly: true, FormatMajorVersion: formatVersion, DisableWAL: true}
	o.Logger = pebbleLogger{log: slog.New(slog.DiscardHandler), fatal: func(err error) { panic(err) }}
	o.EventListener = &pebble.EventListener{
		BackgroundError: x.report,
		DataCorruption:  func(i pebble.DataCorruptionInfo) { x.report(fmt.Errorf("%s is corrupt: %w", i.Path, i.Details)) },
	}
	o.EnsureDefaults()
	x.options = o
	if x.db, err = pebble.Open(dir, o); err != nil {
		return nil, fmt.Errorf("fsm: open %s: %w", dir, err)
	}
	return x, nil
}

// close closes the state, and tells what Pebble reported beside its errors.
func (x *examined) close() error {
	err := x.db.Close()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.damage != nil {
		err = errors.Join(err, fmt.Errorf("fsm: %s: %w", x.dir, x.damage))
	}
	return err
}

// readMeta reads where a state stands and the edge of its ledger's tree; nil and an
// empty tree if nothing was ever applied.
func readMeta(db *pebble.DB) (*Meta, *merkle.Frontier, error) {
	b, closer, err := db.Get(key(tableMeta))
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, merkle.New(), nil
	}
	if err != nil {
		return nil, nil, fmt.Errorf("fsm: %w", err)
	}
	defer closer.Close()
	meta, _, err := decodeRow[Meta](key(tableMeta), b)
	if err != nil {
		return nil, nil, err
	}
	if len(meta.Digest) != digest.SHA256Size {
		return nil, nil, fmt.Errorf("fsm: %w: state digest of %d bytes", event.ErrMalformed, len(meta.Digest))
	}
	f, err := merkle.Unmarshal(meta.Frontier)
	if err != nil {
		return nil, nil, fmt.Errorf("fsm: frontier: %w", err)
	}
	if f.Size() != meta.NextSeq {
		return nil, nil, fmt.Errorf("fsm: the frontier holds %d leaves, the state %d", f.Size(), meta.NextSeq)
	}
	return meta, f, nil
}

// sumRows reads every row and computes the state digest.
func sumRows(db *pebble.DB) (sum StateDigest, err error) {
	it, err := db.NewIter(nil)
	if err != nil {
		return sum, fmt.Errorf("fsm: %w", err)
	}
	var room []byte
	for ok := it.First(); ok; ok = it.Next() {
		k := it.Key()
		v, err := it.ValueAndErr()
		if err == nil && len(k) == 0 {
			err = errors.New("a row without a table")
		}
		if err != nil {
			return sum, errors.Join(fmt.Errorf("fsm: row %x: %w", k, err), it.Close())
		}
		if !tableOf(k).local() {
			var h StateDigest
			h, room = hashRow(room, k, v)
			sum.add(h)
		}
	}
	if err := errors.Join(it.Error(), it.Close()); err != nil {
		return sum, fmt.Errorf("fsm: %w", err)
	}
	return sum, nil
}

// checkBlocks verifies the checksum of every block of every table file: a scan does
// not read what newer values hide, but a compaction will.
func (x *examined) checkBlocks() error {
	levels, err := x.db.SSTables()
	if err != nil {
		return fmt.Errorf("fsm: %w", err)
	}
	seen := make(map[string]bool) // several tables may lie in one file
	for _, level := range levels {
		for _, t := range level {
			name := fmt.Sprintf("%s.sst", t.BackingSSTNum)
			if seen[name] {
				continue
			}
			seen[name] = true
			if err := x.checkFile(name); err != nil {
				return fmt.Errorf("fsm: %s: %w", name, err)
			}
		}
	}
	return nil
}

func (x *examined) checkFile(name string) error {
	f, err := x.fs.Open(x.fs.PathJoin(x.dir, name))
	if err != nil {
		return err
	}
	readable, err := sstable.NewSimpleReadable(f)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	r, err := sstable.NewReader(context.Background(), readable, x.options.MakeReaderOptions())
	if err != nil {
		return errors.Join(err, readable.Close())
	}
	return errors.Join(r.ValidateBlockChecksums(), r.Close())
}

// errReadOnly is what a state that is only looked at answers to a change.
var errReadOnly = errors.New("the file system is read-only")

// readOnlyFS lets nothing change. A lock is honoured where its file is, but never
// made: copies of a state are linked, and a lock must not be shared between them.
type readOnlyFS struct{ vfs.FS }

func (readOnlyFS) Create(string, vfs.DiskWriteCategory) (vfs.File, error) { return nil, errReadOnly }
func (readOnlyFS) Link(string, string) error                              { return errReadOnly }
func (readOnlyFS) Remove(string) error                                    { return errReadOnly }
func (readOnlyFS) RemoveAll(string) error                                 { return errReadOnly }
func (readOnlyFS) Rename(string, string) error                            { return errReadOnly }
func (readOnlyFS) MkdirAll(string, iofs.FileMode) error                   { return errReadOnly }

func (readOnlyFS) OpenReadWrite(string, vfs.DiskWriteCategory, ...vfs.OpenOption) (vfs.File, error) {
	return nil, errReadOnly
}

func (readOnlyFS) ReuseForWrite(string, string, vfs.DiskWriteCategory) (vfs.File, error) {
	return nil, errReadOnly
}

func (f readOnlyFS) Lock(name string) (io.Closer, error) {
	if _, err := f.FS.Stat(name); errors.Is(err, iofs.ErrNotExist) {
		return io.NopCloser(nil), nil
	}
	return f.FS.Lock(name)
}

func (f readOnlyFS) Unwrap() vfs.FS { return f.FS }
