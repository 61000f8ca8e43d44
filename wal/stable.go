package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/wal/segment"
)

// The stable store's document: for each key in byte order
//
//	+-----------------+-----+-------------------+-------+
//	| length, 2, LE   | key | length, 2, LE     | value |
//	+-----------------+-----+-------------------+-------+
//
// It lies in a slot file of its own, which is written whole, and synced, at every set.
var stableFormat = segment.SlotFormat{Magic: segment.Magic{'I', 'M', 'S', 'T', 'A', 'B', 'L', 'E'}, Version: 1, Bytes: 8192}

// errNotFound is what raft takes for a key that was never set: it compares the text.
var errNotFound = errors.New("not found")

// stableStore keeps raft's term and vote. A write that fails is fatal: a vote that
// may be forgotten must not be given.
type stableStore struct {
	fatal func(error)

	mu     sync.Mutex
	slots  *segment.Slots
	values map[string][]byte
}

func openStable(f vfs.FS, path string, fatal func(error)) (*stableStore, error) {
	s := &stableStore{fatal: fatal, values: make(map[string][]byte)}
	slots, b, err := segment.OpenSlots(f, path, stableFormat)
	if errors.Is(err, fs.ErrNotExist) {
		s.slots, err = segment.CreateSlots(f, path, stableFormat, nil)
		return s, err
	}
	if err != nil {
		return nil, err
	}
	s.slots = slots
	for len(b) > 0 {
		var key, value []byte
		if key, b, err = cutStable(b); err == nil {
			value, b, err = cutStable(b)
		}
		if err != nil {
			return nil, errors.Join(err, slots.Close())
		}
		s.values[string(key)] = value
	}
	return s, nil
}

func cutStable(b []byte) (field, rest []byte, err error) {
	if len(b) < 2 || len(b) < 2+int(binary.LittleEndian.Uint16(b)) {
		return nil, nil, fmt.Errorf("wal: the stable store is damaged")
	}
	n := 2 + int(binary.LittleEndian.Uint16(b))
	return b[2:n], b[n:], nil
}

// Set makes a value durable.
func (s *stableStore) Set(key, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values[string(key)] = slices.Clone(value)
	var b []byte
	for _, k := range slices.Sorted(maps.Keys(s.values)) {
		v := s.values[k]
		b = append(binary.LittleEndian.AppendUint16(b, uint16(len(k))), k...)
		b = append(binary.LittleEndian.AppendUint16(b, uint16(len(v))), v...)
	}
	if err := s.slots.Write(b); err != nil {
		s.fatal(fmt.Errorf("wal: term or vote: %w", err))
		return err
	}
	return nil
}

// Get returns a value, or an error whose text is "not found".
func (s *stableStore) Get(key []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.values[string(key)]
	if !ok {
		return nil, errNotFound
	}
	return slices.Clone(v), nil
}

// SetUint64 makes a number durable.
func (s *stableStore) SetUint64(key []byte, n uint64) error {
	return s.Set(key, binary.LittleEndian.AppendUint64(nil, n))
}

// GetUint64 returns a number, or 0 and an error whose text is "not found".
func (s *stableStore) GetUint64(key []byte) (uint64, error) {
	v, err := s.Get(key)
	if err != nil {
		return 0, err
	}
	if len(v) != 8 {
		return 0, fmt.Errorf("wal: %q is not a number", key)
	}
	return binary.LittleEndian.Uint64(v), nil
}
