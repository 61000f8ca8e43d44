package fsm

import (
	"bytes"
	"errors"

	"github.com/cockroachdb/pebble/v2"
)

// reader reads single rows as they were before a batch. Most of them are not there
// (a key that is new, a blob that was never named), and Pebble's Get does not ask
// the filters of the last level, where most rows are: it would read a block from
// disk each time. An iterator can be told to; it is worth its making when several
// rows of a table are read.
type reader struct {
	db     *pebble.DB
	tables map[table]*tableReader
}

type tableReader struct {
	reads int
	it    *pebble.Iterator // nil for the first few reads
}

// fewReads of a table in one batch are done by Get.
const fewReads = 8

// read returns a copy of a row; nil if there is none.
func (r *reader) read(key []byte) ([]byte, error) {
	tr := r.tables[tableOf(key)]
	if tr == nil {
		tr = &tableReader{}
		r.tables[tableOf(key)] = tr
	}
	if tr.reads++; tr.reads <= fewReads {
		return r.get(key)
	}
	if tr.it == nil {
		o := &pebble.IterOptions{LowerBound: key[:1], UpperBound: after(key[:1]), UseL6Filters: true}
		it, err := r.db.NewIter(o)
		if err != nil {
			return nil, err
		}
		tr.it = it
	}
	if tr.it.SeekPrefixGE(key) && bytes.Equal(tr.it.Key(), key) {
		return copied(tr.it.Value()), nil
	}
	return nil, tr.it.Error()
}

func (r *reader) get(key []byte) ([]byte, error) {
	v, closer, err := r.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return copied(v), closer.Close()
}

// copied is a copy of the value of a row that is there: an empty one is not nil.
func copied(v []byte) []byte { return append(make([]byte, 0, len(v)), v...) }

func (r *reader) close() error {
	var errs []error
	for _, tr := range r.tables {
		if tr.it != nil {
			errs = append(errs, tr.it.Close())
		}
	}
	return errors.Join(errs...)
}
