package wal

import (
	"encoding/binary"
	"fmt"

	"ironman/wal/digest"
	"ironman/wal/event"
)

// A snapshot travels between nodes as a stream of records; numbers are big-endian.
// First the head: whose log it is of, its META, and how much follows.
//
//	+----------+---------+-----------------+-------------+-------+-------+----------+------+--------+
//	| IMSNAPST | version | identity length | META length | files | bytes | identity | META | CRC32C |
//	| 8 bytes  | 4       | 4               | 4           | 4     | 8     | n        | n    | 4      |
//	+----------+---------+-----------------+-------------+-------+-------+----------+------+--------+
//
// Then the files in the order of their names, each with a record of its own
//
//	+------+-------------+------+------+--------+
//	| FILE | name length | size | name | CRC32C |
//	| 4    | 4           | 8    | n    | 4      |
//	+------+-------------+------+------+--------+
//
// followed by its bytes in blocks of 64 KiB, the last one shorter:
//
//	+-------+--------+
//	| bytes | CRC32C |
//	| n     | 4      |
//	+-------+--------+
//
// At last the end, without which the stream was cut:
//
//	+------+-------+-------+--------+
//	| DONE | files | bytes | CRC32C |
//	| 4    | 4     | 8     | 4      |
//	+------+-------+-------+--------+
//
// The CRC of the head covers all before it. Every other one covers also the head's,
// the number of files before this one and the offset within it (all ones for FILE
// and DONE): a piece in another place, or of another stream, does not verify.
const (
	streamMagic   = "IMSNAPST"
	streamVersion = 1
	streamFixed   = 8 + 4*4 + 8
	recordFixed   = 4 + 4 + 8
	recordFile    = "FILE"
	recordDone    = "DONE"
	crcBytes      = 4

	blockBytes    = 64 << 10
	noOffset      = 1<<64 - 1
	maxIdentity   = 256
	maxFileName   = 255
	maxFiles      = 1 << 20
	maxStateBytes = 1 << 46 // of all files together: 64 TiB
)

// streamHead is what a stream begins with.
type streamHead struct {
	identity []byte // of the log: no two logs have the same
	meta     *snapshotMeta
	files    uint32 // their number
	bytes    uint64 // the sum of their sizes
}

func (h *streamHead) encode() []byte {
	meta := h.meta.encode()
	b := append(make([]byte, 0, streamFixed+len(h.identity)+len(meta)+crcBytes), streamMagic...)
	b = binary.BigEndian.AppendUint32(b, streamVersion)
	b = binary.BigEndian.AppendUint32(b, uint32(len(h.identity)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(meta)))
	b = binary.BigEndian.AppendUint32(b, h.files)
	b = binary.BigEndian.AppendUint64(b, h.bytes)
	b = append(append(b, h.identity...), meta...)
	return binary.BigEndian.AppendUint32(b, digest.CRC32C(b))
}

// headBytes tells from the fixed part of a head how long all of it is.
func headBytes(fixed []byte) (int, error) {
	if string(fixed[:8]) != streamMagic {
		return 0, malformed("no snapshot begins with %x", fixed[:8])
	}
	version := binary.BigEndian.Uint32(fixed[8:])
	if version > streamVersion {
		return 0, fmt.Errorf("snapshot stream of version %d: %w", version, event.ErrNewer)
	}
	identity, meta := binary.BigEndian.Uint32(fixed[12:]), binary.BigEndian.Uint32(fixed[16:])
	files, bytes := binary.BigEndian.Uint32(fixed[20:]), binary.BigEndian.Uint64(fixed[24:])
	if version == 0 || identity > maxIdentity || meta > maxMetaBytes || files > maxFiles || bytes > maxStateBytes {
		return 0, malformed("a head of version %d with an identity of %d bytes, META of %d, %d files of %d bytes",
			version, identity, meta, files, bytes)
	}
	return streamFixed + int(identity) + int(meta) + crcBytes, nil
}

// decodeHead reads a head whose length headBytes told. b may be used again.
func decodeHead(b []byte) (*streamHead, binding, error) {
	body, sum := cutSum(b)
	if digest.CRC32C(body) != sum {
		return nil, 0, malformed("the checksum of the head")
	}
	at := streamFixed + int(binary.BigEndian.Uint32(b[12:]))
	meta, err := decodeSnapshotMeta(body[at:])
	if err != nil {
		return nil, 0, err
	}
	return &streamHead{
		identity: append([]byte(nil), body[streamFixed:at]...), meta: meta,
		files: binary.BigEndian.Uint32(b[20:]), bytes: binary.BigEndian.Uint64(b[24:]),
	}, binding(sum), nil
}

func cutSum(b []byte) (body []byte, sum uint32) {
	n := len(b) - crcBytes
	return b[:n], binary.BigEndian.Uint32(b[n:])
}

// binding is the CRC of a stream's head, which binds its pieces to it.
type binding uint32

func (s binding) sum(files uint32, offset uint64, b []byte) uint32 {
	var place [16]byte
	binary.BigEndian.PutUint32(place[:], uint32(s))
	binary.BigEndian.PutUint32(place[4:], files)
	binary.BigEndian.PutUint64(place[8:], offset)
	return digest.CRC32C(place[:], b)
}

// seal appends the checksum of a piece that is b.
func (s binding) seal(files uint32, offset uint64, b []byte) []byte {
	return binary.BigEndian.AppendUint32(b, s.sum(files, offset, b))
}

// open returns a piece without its checksum, or false if it does not verify.
func (s binding) open(files uint32, offset uint64, b []byte) ([]byte, bool) {
	body, sum := cutSum(b)
	return body, s.sum(files, offset, body) == sum
}

// appendFile makes the record of a file in b, which is empty.
func (s binding) appendFile(b []byte, files uint32, name string, size uint64) []byte {
	b = append(b, recordFile...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(name)))
	b = binary.BigEndian.AppendUint64(b, size)
	return s.seal(files, noOffset, append(b, name...))
}

// appendDone makes the record that ends a stream in b, which is empty.
func (s binding) appendDone(b []byte, files uint32, bytes uint64) []byte {
	b = append(b, recordDone...)
	b = binary.BigEndian.AppendUint32(b, files)
	b = binary.BigEndian.AppendUint64(b, bytes)
	return s.seal(files, noOffset, b)
}

// streamBytes is the exact length of a stream whose head has headLength bytes.
func streamBytes(headLength int, files []stateFile) int64 {
	n := int64(headLength)
	for _, f := range files {
		blocks := (f.size + blockBytes - 1) / blockBytes
		n += int64(recordFixed+len(f.name)+crcBytes) + int64(f.size+blocks*crcBytes)
	}
	return n + recordFixed + crcBytes
}

// plainName tells whether a name may be that of a file of a state: one that stays
// in its directory on every system, and is not hidden.
func plainName(name string) bool {
	if name == "" || len(name) > maxFileName || name[0] == '.' {
		return false
	}
	for _, c := range []byte(name) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("snapshot stream: %s: %w", fmt.Sprintf(format, args...), event.ErrMalformed)
}
