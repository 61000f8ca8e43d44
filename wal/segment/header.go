package segment

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// The first block of a segment file:
//
//	 0          16       24       32       40
//	+----------+--------+--------+--------+--------------------
//	| preamble | id     | salt   | size   | zeros
//	| 16       | 8, LE  | 8, LE  | 8, LE  | to 4096
//	+----------+--------+--------+--------+--------------------
//
// Size is that of the whole file in bytes. Frames follow from 4096 on, then zeros.
const segmentVersion = 1

func segmentMagic() Magic { return Magic{'I', 'M', 'S', '3', 'w', 'a', 'l', '\n'} }

func putHeader(b []byte, o origin, size int64) {
	b = b[:blockBytes]
	clear(b)
	binary.LittleEndian.PutUint64(b[16:], o.id)
	binary.LittleEndian.PutUint64(b[24:], o.salt)
	binary.LittleEndian.PutUint64(b[32:], uint64(size))
	putPreamble(b, segmentMagic(), segmentVersion)
}

// checkHeader verifies that b is the header of the expected segment and returns
// the file's size.
func checkHeader(b []byte, want origin) (size int64, err error) {
	if err := checkPreamble(b, segmentMagic(), segmentVersion); err != nil {
		return 0, err
	}
	if len(b) != blockBytes {
		return 0, fmt.Errorf("%w: a header of %d bytes", ErrCorrupt, len(b))
	}
	got := origin{id: binary.LittleEndian.Uint64(b[16:]), salt: binary.LittleEndian.Uint64(b[24:])}
	if got != want {
		return 0, fmt.Errorf("%w: this is segment %d (salt %x), the manifest lists %d (salt %x)",
			ErrCorrupt, got.id, got.salt, want.id, want.salt)
	}
	n := binary.LittleEndian.Uint64(b[32:])
	if n%blockBytes != 0 || n < minSegmentBytes || n > maxFileBytes {
		return 0, fmt.Errorf("%w: a size of %d bytes", ErrCorrupt, n)
	}
	return int64(n), nil
}

const fileSuffix = ".wal"

func fileName(id uint64) string { return fmt.Sprintf("%016x%s", id, fileSuffix) }

// fileID is the inverse of fileName.
func fileID(name string) (uint64, bool) {
	hex, ok := strings.CutSuffix(name, fileSuffix)
	if !ok || len(hex) != 16 {
		return 0, false
	}
	id, err := strconv.ParseUint(hex, 16, 64)
	return id, err == nil && fileName(id) == name
}
