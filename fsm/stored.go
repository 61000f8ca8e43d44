package fsm

import (
	"bytes"
	"context"
	"errors"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// EachStored shows keys and values of all rows that stand in one of Pebble's tables (*.sst), those
// that were replaced or deleted and lie there still among them: what Clean is to leave nothing of.
// The file is one that nobody changes.
func EachStored(fs vfs.FS, path string, show func(row []byte)) (err error) {
	f, err := fs.Open(path)
	if err != nil {
		return err
	}
	readable, err := sstable.NewSimpleReadable(f)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	o := &pebble.Options{}
	o.EnsureDefaults()
	r, err := sstable.NewReader(context.Background(), readable, o.MakeReaderOptions())
	if err != nil {
		return errors.Join(err, readable.Close())
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	it, err := r.NewIter(sstable.NoTransforms, nil, nil, sstable.AssertNoBlobHandles)
	if err != nil {
		return err
	}
	for kv := it.First(); kv != nil && err == nil; kv = it.Next() {
		var v []byte
		if v, _, err = kv.Value(nil); err == nil {
			show(append(bytes.Clone(kv.K.UserKey), v...))
		}
	}
	return errors.Join(err, it.Error(), it.Close())
}
