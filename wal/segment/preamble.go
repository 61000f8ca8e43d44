package segment

import (
	"encoding/binary"
	"fmt"

	"ironman/wal/digest"
)

// Every durable piece (a segment's header block, a slot) begins alike:
//
//	 0        8        9       12       16
//	+--------+--------+--------+--------+----------------
//	| magic  | version| zero   | CRC32C | body ...
//	| 8      | 1      | 3      | 4, LE  |
//	+--------+--------+--------+--------+----------------
//
// The CRC covers everything but itself. These 16 bytes are frozen: all later
// versions keep them, so that an old release can tell "newer" from "damaged".
const (
	preambleBytes = 16
	versionAt     = 8
	crcAt         = 12
)

// Magic names the kind of a durable piece.
type Magic [8]byte

func preambleCRC(b []byte) uint32 { return digest.CRC32C(b[:crcAt], b[preambleBytes:]) }

// putPreamble completes b, whose body is in place already.
func putPreamble(b []byte, magic Magic, version byte) {
	copy(b, magic[:])
	b[versionAt], b[9], b[10], b[11] = version, 0, 0, 0
	binary.LittleEndian.PutUint32(b[crcAt:], preambleCRC(b))
}

// checkPreamble says whether b is whole (nil), damaged (ErrCorrupt) or whole but
// of a later version (ErrNewer).
func checkPreamble(b []byte, magic Magic, version byte) error {
	if len(b) < preambleBytes {
		return fmt.Errorf("%w: only %d bytes", ErrCorrupt, len(b))
	}
	if Magic(b[:8]) != magic {
		return fmt.Errorf("%w: magic % x, not % x", ErrCorrupt, b[:8], magic[:])
	}
	if got, want := binary.LittleEndian.Uint32(b[crcAt:]), preambleCRC(b); got != want {
		return fmt.Errorf("%w: checksum %08x, not %08x", ErrCorrupt, got, want)
	}
	if v := b[versionAt]; v > version {
		return fmt.Errorf("%w: version %d", ErrNewer, v)
	} else if v != version || b[9]|b[10]|b[11] != 0 {
		return fmt.Errorf("%w: version bytes % x", ErrCorrupt, b[8:12])
	}
	return nil
}
