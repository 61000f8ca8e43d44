package segment

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/wal/durable"
)

// A slot file holds one small document twice, in two slots of equal size:
//
//	 0          16           24       28      32
//	+----------+------------+--------+-------+---------+----------
//	| preamble | generation | length | zero  | payload | anything
//	| 16       | 8, LE      | 4, LE  | 4     | length  | to the slot's end
//	+----------+------------+--------+-------+---------+----------
//
// The preamble's CRC covers up to the payload's end. Generation and length are
// frozen like the preamble.
//
// A write goes to one slot, is synced, then to the other, and is synced. Writing
// the slots in turns would save a sync, but then a newest slot that rots could
// not be told from one that was torn, and the file would fall back to an older
// document: a vote forgotten, a truncation undone. Written to both, one damaged
// slot always leaves the newest document, and two are corruption.
const (
	slotHeader = 32
	newSuffix  = ".new"
)

// SlotFormat describes a slot file. Bytes is the size of a slot, a multiple of 4096.
type SlotFormat struct {
	Magic   Magic
	Version byte
	Bytes   int
}

// Slots is an open slot file. Not safe for concurrent use.
type Slots struct {
	file       vfs.File
	format     SlotFormat
	generation uint64
	first      int // the slot that the next Write begins with: never the only good one
	damaged    bool
	image      []byte
}

// CreateSlots makes the slot file with its first document. It is durable with its
// name on return; after a crash there is either nothing under the name or all of it.
func CreateSlots(fs vfs.FS, path string, f SlotFormat, payload []byte) (*Slots, error) {
	if f.Bytes <= slotHeader || f.Bytes%blockBytes != 0 {
		return nil, fmt.Errorf("slot file: slots of %d bytes", f.Bytes)
	}
	s := &Slots{format: f, generation: 1}
	image, err := s.encode(payload)
	if err != nil {
		return nil, err
	}
	both := make([]byte, 2*f.Bytes)
	copy(both, image)
	copy(both[f.Bytes:], image)
	if err := writeNew(fs, path+newSuffix, both); err != nil {
		return nil, err
	}
	if err := fs.Rename(path+newSuffix, path); err != nil {
		return nil, err
	}
	if err := durable.SyncDir(fs, fs.PathDir(path)); err != nil {
		return nil, err
	}
	s.file, err = fs.OpenReadWrite(path, writeCategory)
	return s, err
}

// OpenSlots opens a slot file and returns its newest document. It changes nothing:
// the caller writes the document anew once it has decided to go on, which also
// heals a damaged slot. The error is fs.ErrNotExist, ErrCorrupt (both slots are
// damaged), ErrNewer, or that of the read.
func OpenSlots(fs vfs.FS, path string, f SlotFormat) (*Slots, []byte, error) {
	if _, err := fs.Stat(path); err != nil { // OpenReadWrite would create it
		return nil, nil, err
	}
	file, err := fs.OpenReadWrite(path, writeCategory)
	if err != nil {
		return nil, nil, err
	}
	s := &Slots{file: file, format: f, first: 1}
	payload, err := s.load()
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%s: %w", fs.PathBase(path), err), file.Close())
	}
	return s, payload, nil
}

// load picks the newest whole slot. The other one is written first next time.
func (s *Slots) load() ([]byte, error) {
	var newest []byte
	var newer error // the newest document is of a newer release
	var faults [2]error
	for i := range faults {
		b := make([]byte, s.format.Bytes)
		n, err := s.file.ReadAt(b, int64(i*s.format.Bytes))
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		generation, payload, err := decodeSlot(b[:n], s.format)
		if errors.Is(err, ErrCorrupt) {
			faults[i], s.damaged = err, true
			continue
		}
		if generation == s.generation && !bytes.Equal(payload, newest) {
			return nil, corrupt("both slots claim generation %d and differ", generation)
		}
		if generation > s.generation {
			s.generation, s.first, newest, newer = generation, 1-i, payload, err
		}
	}
	if s.generation == 0 {
		return nil, corrupt("neither slot can be read (%s; %s)", plain(faults[0]), plain(faults[1]))
	}
	return newest, newer
}

// decodeSlot reads a slot. With ErrNewer the generation is valid, the payload nil.
func decodeSlot(b []byte, f SlotFormat) (generation uint64, payload []byte, err error) {
	if len(b) < slotHeader {
		return 0, nil, fmt.Errorf("%w: only %d bytes", ErrCorrupt, len(b))
	}
	length := binary.LittleEndian.Uint32(b[24:])
	if uint64(length) > uint64(len(b)-slotHeader) {
		return 0, nil, fmt.Errorf("%w: a document of %d bytes", ErrCorrupt, length)
	}
	b = b[: slotHeader+int(length) : slotHeader+int(length)]
	err = checkPreamble(b, f.Magic, f.Version)
	if err != nil && !errors.Is(err, ErrNewer) {
		return 0, nil, err
	}
	generation = binary.LittleEndian.Uint64(b[16:])
	if generation == 0 {
		return 0, nil, fmt.Errorf("%w: generation 0", ErrCorrupt)
	}
	if err != nil {
		return generation, nil, err
	}
	if binary.LittleEndian.Uint32(b[28:]) != 0 {
		return 0, nil, fmt.Errorf("%w: reserved bytes are set", ErrCorrupt)
	}
	return generation, b[slotHeader:], nil
}

// encode builds the slot's bytes, padded to whole blocks. Valid until the next call.
func (s *Slots) encode(payload []byte) ([]byte, error) {
	n := slotHeader + len(payload)
	if n > s.format.Bytes {
		return nil, fmt.Errorf("%w: a document of %d bytes in a slot of %d", ErrTooLarge, len(payload), s.format.Bytes)
	}
	if cap(s.image) < s.format.Bytes {
		s.image = make([]byte, s.format.Bytes)
	}
	b := s.image[:blockUp(int64(n))]
	clear(b)
	copy(b[slotHeader:], payload)
	binary.LittleEndian.PutUint64(b[16:], s.generation)
	binary.LittleEndian.PutUint32(b[24:], uint32(len(payload)))
	putPreamble(b[:n], s.format.Magic, s.format.Version)
	return b, nil
}

// Write makes payload the document; it is durable in both slots on return.
// ErrTooLarge changes nothing. After any other error the file must not be used
// again by this process: what is on disk is unknown.
func (s *Slots) Write(payload []byte) error {
	s.generation++
	image, err := s.encode(payload)
	if err != nil {
		s.generation--
		return err
	}
	for _, slot := range [2]int{s.first, 1 - s.first} {
		if _, err := s.file.WriteAt(image, int64(slot*s.format.Bytes)); err != nil {
			return err
		}
		if err := s.file.SyncData(); err != nil {
			return err
		}
	}
	s.first, s.damaged = 0, false
	return nil
}

// Damaged tells whether OpenSlots found a slot that it could not read; a Write heals it.
func (s *Slots) Damaged() bool { return s.damaged }

// Close closes the file. What was written is durable already.
func (s *Slots) Close() error { return s.file.Close() }
