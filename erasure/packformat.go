package erasure

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"strconv"

	"github.com/cockroachdb/pebble/v2/vfs"

	"ironman/wal/digest"
	"ironman/wal/event"
)

// A pack is a file of shards on one disk: DIR/packs/%016x-%08x.pack, named by
// incarnation and counter. Its first block says what it is; shards follow. All
// numbers are big-endian.
//
//	 0  magic "IRONPACK"                           8
//	 8  version, 1                                 2
//	10  0                                          2
//	12  CRC32C of bytes 0..11                      4   the same place in every version
//	16  cluster id                                16
//	32  disk id                                   16
//	48  pack: incarnation, counter              8, 8
//	64  size in bytes; 0: the file ends where the
//	    one shard in it ends                       8
//	72  0                                       4020
//	4092 CRC32C of bytes 0..4091                   4
//
// A pack with a size holds whole shards, in groups; each group begins at a
// multiple of 4 KiB, and within it shards follow each other without a gap. What
// lies between groups, and behind the last, is zeros or a write that was never
// acknowledged. A pack without a size holds one shard, at 4096.
const (
	blockBytes      = 4096
	packHeaderBytes = blockBytes
	packMagic       = "IRONPACK"
	packVersion     = 1

	packsName = "packs"
	packExt   = ".pack"

	// writeCategory names our writes in the file system's accounts.
	writeCategory vfs.DiskWriteCategory = "erasure"
)

// PackKey is the comparable form of an event.PackID; it names a pack of one disk.
type PackKey struct{ Incarnation, Counter uint64 }

// ID returns the pack's id as events name it.
func (k PackKey) ID() *event.PackID {
	return &event.PackID{Incarnation: k.Incarnation, Counter: k.Counter}
}

// PackKeyOf returns the comparable form of id.
func PackKeyOf(id *event.PackID) PackKey {
	return PackKey{Incarnation: id.GetIncarnation(), Counter: id.GetCounter()}
}

func (k PackKey) String() string { return fmt.Sprintf("%016x-%08x", k.Incarnation, k.Counter) }

func (k PackKey) compare(o PackKey) int {
	return cmp.Or(cmp.Compare(k.Incarnation, o.Incarnation), cmp.Compare(k.Counter, o.Counter))
}

// parsePackName is the inverse of String with the extension; other names are no packs.
func parsePackName(name string) (PackKey, bool) {
	if len(name) < 16+1+8+len(packExt) || name[16] != '-' {
		return PackKey{}, false
	}
	inc, err1 := strconv.ParseUint(name[:16], 16, 64)
	counter, err2 := strconv.ParseUint(name[17:len(name)-len(packExt)], 16, 64)
	k := PackKey{Incarnation: inc, Counter: counter}
	return k, err1 == nil && err2 == nil && k.String()+packExt == name
}

// packHeader is what the first block of a pack says.
type packHeader struct {
	cluster, disk [16]byte
	pack          PackKey
	size          uint64
}

// preamble writes the first 16 bytes of a header, whose meaning no version
// changes: so a newer format is told apart from damage.
func preamble(b []byte, magic string, version uint16) {
	copy(b, magic)
	binary.BigEndian.PutUint16(b[8:], version)
	binary.BigEndian.PutUint16(b[10:], 0)
	binary.BigEndian.PutUint32(b[12:], digest.CRC32C(b[:12]))
}

// checkPreamble is ErrNewer for an intact preamble of a version above known.
func checkPreamble(b []byte, magic string, known uint16) error {
	if len(b) < 16 || string(b[:8]) != magic || binary.BigEndian.Uint32(b[12:]) != digest.CRC32C(b[:12]) {
		return fmt.Errorf("%w: no %s", ErrCorrupt, magic)
	}
	if v := binary.BigEndian.Uint16(b[8:]); v > known {
		return fmt.Errorf("%w: %s of version %d", ErrNewer, magic, v)
	}
	return nil
}

// encodePackHeader writes the header into b, which holds packHeaderBytes zeros.
func encodePackHeader(b []byte, h packHeader) {
	preamble(b, packMagic, packVersion)
	copy(b[16:], h.cluster[:])
	copy(b[32:], h.disk[:])
	binary.BigEndian.PutUint64(b[48:], h.pack.Incarnation)
	binary.BigEndian.PutUint64(b[56:], h.pack.Counter)
	binary.BigEndian.PutUint64(b[64:], h.size)
	end := packHeaderBytes - 4
	binary.BigEndian.PutUint32(b[end:], digest.CRC32C(b[:end]))
}

// decodePackHeader reads the header of a pack.
func decodePackHeader(b []byte) (packHeader, error) {
	var h packHeader
	if err := checkPreamble(b, packMagic, packVersion); err != nil {
		return h, err
	}
	end := packHeaderBytes - 4
	if len(b) < packHeaderBytes || binary.BigEndian.Uint32(b[end:]) != digest.CRC32C(b[:end]) {
		return h, fmt.Errorf("%w: pack header", ErrCorrupt)
	}
	copy(h.cluster[:], b[16:])
	copy(h.disk[:], b[32:])
	h.pack = PackKey{binary.BigEndian.Uint64(b[48:]), binary.BigEndian.Uint64(b[56:])}
	h.size = binary.BigEndian.Uint64(b[64:])
	// One encoding of each header: reserved bytes mean nothing in this version.
	var want [packHeaderBytes]byte
	encodePackHeader(want[:], h)
	if string(want[:]) != string(b[:packHeaderBytes]) {
		return packHeader{}, fmt.Errorf("%w: pack header", ErrCorrupt)
	}
	return h, nil
}
