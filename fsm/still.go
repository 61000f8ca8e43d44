package fsm

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Still is a state that stays as it is: a checkpoint, open to be read. Safe for concurrent
// use.
type Still struct{ x *examined }

// OpenStill opens the state in a directory that nobody changes.
func OpenStill(fs vfs.FS, dir string) (*Still, error) {
	x, err := openExamined(fs, dir)
	if err != nil {
		return nil, err
	}
	return &Still{x}, nil
}

// View looks at the state.
func (s *Still) View() (*View, error) {
	v := &View{snap: s.x.db.NewSnapshot(), closed: func() {}, next: present}
	meta, err := read[Meta](v, key(tableMeta))
	if err != nil {
		return nil, errors.Join(err, v.Close())
	}
	v.applied = meta.applied()
	return v, nil
}

// Close closes it. All its views must be closed before.
func (s *Still) Close() error { return s.x.close() }

// Queued tells which entry of the log made the leaf of a sequence, if that is queued for the
// ledger in the state.
func (v *View) Queued(seq uint64) (index uint64, ok bool, err error) {
	b, err := v.raw(key(tableLeaf, seq))
	if err != nil || b == nil {
		return 0, false, err
	}
	if len(b) < 8 {
		return 0, false, fmt.Errorf("fsm: leaf of event %d: %d bytes", seq, len(b))
	}
	return binary.BigEndian.Uint64(b), true, nil
}
