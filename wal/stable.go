package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"

	"ironman/sim/sabotage"
	"ironman/wal/segment"
)

// The stable store's document, in a slot file of its own; for each key, in the
// order of the keys' bytes:
//
//	+---------------+-----+---------------+-------+
//	| length, 2, LE | key | length, 2, LE | value |
//	+---------------+-----+---------------+-------+
//
// All of it fits into a slot of 4 KiB. Numbers are 8 bytes, LE.
func stableFormat() segment.SlotFormat {
	return segment.SlotFormat{Magic: segment.Magic{'I', 'M', 'S', '3', 's', 't', 'b', '\n'}, Version: 1, Bytes: 4096}
}

// errNotFound is what raft takes for a key that was never set: it compares the text.
var errNotFound = errors.New("not found")

// stableStall is how long a write may take.
const stableStall = 10 * time.Second

// stableStore keeps raft's term and vote. A write that fails is fatal: a vote that
// may be forgotten must not be given. Safe for concurrent use.
type stableStore struct {
	fatal func(error) // never returns
	stall time.Duration

	mu     sync.Mutex
	slots  *segment.Slots
	values map[string][]byte // what is durable
}

var _ raft.StableStore = (*stableStore)(nil)

// openStable opens the store in the file at path, or makes it: a caller that has
// entries must first see that the file is there, or a lost vote goes unnoticed. The
// error is
// segment.ErrCorrupt, segment.ErrNewer, or that of the disk; then nothing was
// changed.
func openStable(f vfs.FS, path string, fatal func(error)) (*stableStore, error) {
	s := &stableStore{fatal: fatal, stall: stableStall, values: make(map[string][]byte)}
	slots, document, err := segment.OpenSlots(f, path, stableFormat())
	if errors.Is(err, fs.ErrNotExist) {
		if s.slots, err = segment.CreateSlots(f, path, stableFormat(), nil); err != nil {
			return nil, fmt.Errorf("term and vote: %w", err)
		}
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("term and vote: %w", err)
	}
	if s.values, err = decodeStable(document); err != nil {
		return nil, errors.Join(fmt.Errorf("term and vote: %w", err), slots.Close())
	}
	s.slots = slots
	// Written anew, whatever was found: a slot may be damaged, or its last sync may
	// have failed and left it in the page cache only.
	if err := slots.Write(encodeStable(s.values)); err != nil {
		fatal(fmt.Errorf("wal: term and vote: %w", err))
	}
	return s, nil
}

func encodeStable(values map[string][]byte) []byte {
	var b []byte
	for _, key := range slices.Sorted(maps.Keys(values)) {
		value := values[key]
		b = append(binary.LittleEndian.AppendUint16(b, uint16(len(key))), key...)
		b = append(binary.LittleEndian.AppendUint16(b, uint16(len(value))), value...)
	}
	return b
}

func decodeStable(b []byte) (map[string][]byte, error) {
	values, last := make(map[string][]byte), ""
	for len(b) > 0 {
		key, rest, ok := cutStable(b)
		value, rest, ok2 := cutStable(rest)
		if !ok || !ok2 || len(values) > 0 && string(key) <= last {
			return nil, fmt.Errorf("%w: the key behind %q", segment.ErrCorrupt, last)
		}
		last, b = string(key), rest
		values[last] = value
	}
	return values, nil
}

func cutStable(b []byte) (field, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	n := 2 + int(binary.LittleEndian.Uint16(b))
	if len(b) < n {
		return nil, nil, false
	}
	return b[2:n:n], b[n:], true
}

// Set makes a value durable. More than fits is an error that changes nothing; an
// error of the disk is fatal.
func (s *stableStore) Set(key, value []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(key)+len(value) >= stableFormat().Bytes {
		return fmt.Errorf("wal: %q: %w", key, segment.ErrTooLarge)
	}
	if old, ok := s.values[string(key)]; ok && string(old) == string(value) {
		return nil
	}
	values := maps.Clone(s.values)
	values[string(key)] = slices.Clone(value)
	if sabotage.On(sabotage.X14) {
		s.values = values
		return nil // not written
	}
	// Raft waits for this on its main goroutine, and while it does nothing else
	// would tell that the disk hangs.
	watchdog := time.AfterFunc(s.stall, func() {
		s.fatal(fmt.Errorf("wal: term and vote: a write has not come back for %v: the disk hangs", s.stall))
	})
	err := s.slots.Write(encodeStable(values))
	watchdog.Stop()
	if err != nil {
		if !errors.Is(err, segment.ErrTooLarge) {
			s.fatal(fmt.Errorf("wal: term and vote: %w", err))
		}
		return fmt.Errorf("wal: %q: %w", key, err)
	}
	s.values = values
	return nil
}

// Get returns a value, or an error whose text is "not found".
func (s *stableStore) Get(key []byte) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	value, ok := s.values[string(key)]
	if !ok {
		return nil, errNotFound
	}
	return slices.Clone(value), nil
}

// SetUint64 makes a number durable.
func (s *stableStore) SetUint64(key []byte, n uint64) error {
	return s.Set(key, uint64Value(n))
}

func uint64Value(n uint64) []byte { return binary.LittleEndian.AppendUint64(nil, n) }

// GetUint64 returns a number, or 0 and an error whose text is "not found".
func (s *stableStore) GetUint64(key []byte) (uint64, error) {
	value, err := s.Get(key)
	if err != nil {
		return 0, err
	}
	if len(value) != 8 {
		return 0, fmt.Errorf("wal: %q is not a number", key)
	}
	return binary.LittleEndian.Uint64(value), nil
}

// Close closes the file. What was set is durable already.
func (s *stableStore) Close() error { return s.slots.Close() }
