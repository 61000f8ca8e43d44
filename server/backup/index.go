package backup

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"ironman/wal/digest"
)

// BlobID names a blob, for ever.
type BlobID struct{ Incarnation, Counter uint64 }

// String is how ids are written in paths and messages.
func (b BlobID) String() string { return fmt.Sprintf("%d-%d", b.Incarnation, b.Counter) }

// Less is the order of ids.
func (b BlobID) Less(o BlobID) bool {
	return b.Incarnation < o.Incarnation || b.Incarnation == o.Incarnation && b.Counter < o.Counter
}

func compareIDs(a, b BlobID) int {
	switch {
	case a == b:
		return 0
	case a.Less(b):
		return -1
	}
	return 1
}

// Blob is a blob that a state names.
type Blob struct {
	BlobID
	Size uint64
}

const (
	// MaxPackBytes is how long a pack is at most: one is held in memory while it is written.
	MaxPackBytes = 64 << 20
	// MaxPieceBytes is how long a piece of a blob is at most: one is held in memory, and
	// verified, before its first byte is given to anybody.
	MaxPieceBytes = 16 << 20
	// indexPieces is how many pieces an index has at most, indexPacks of how many packs.
	indexPieces = 200_000
	indexPacks  = 16
	// maxBlobBytes is far above what a blob can be.
	maxBlobBytes = 1 << 43
)

// A blob is stored in pieces of MaxPieceBytes, the last one shorter, which may lie in several
// packs. An index holds a row for each piece in some packs of a run, ascending by blob and offset:
//
//	+----------+---------+-------+  +-------------+---------+-----------+--------+------+---------+--------+---------+  +---------+
//	| IMBKINDX | version | rows  |  | incarnation | counter | blob size | offset | pack | at      | length | SHA-256 |  | SHA-256 |
//	| 8 bytes  | 4       | 4     |  | 8           | 8       | 8         | 8      | 4    | 4       | 4      | 32      |  | of all  |
//	+----------+---------+-------+  +-------------+---------+-----------+--------+------+---------+--------+---------+  +---------+
//
// offset is that of the piece in the blob, at is where it begins in the pack.
const (
	indexMagic   = "IMBKINDX"
	indexVersion = 1
	indexHead    = len(indexMagic) + 8
	indexRow     = 8 + 8 + 8 + 8 + 4 + 4 + 4 + digest.SHA256Size
	maxIndex     = int64(indexHead + indexPieces*indexRow + digest.SHA256Size)
)

// piece is a row of an index.
type piece struct {
	blob   Blob
	offset uint64 // in the blob
	pack   uint32
	at     uint32 // in the pack
	length uint32
	sum    digest.Sum
}

// pieceAt is where the piece of a blob at an offset ends, and whether there is one.
func pieceAt(size, offset uint64) (length uint32, ok bool) {
	if offset >= size || offset%MaxPieceBytes != 0 {
		return 0, false
	}
	return uint32(min(size-offset, MaxPieceBytes)), true
}

func (p *piece) check() error {
	length, ok := pieceAt(p.blob.Size, p.offset)
	if !ok || p.blob.Size > maxBlobBytes || length != p.length || uint64(p.at)+uint64(p.length) > MaxPackBytes {
		return fmt.Errorf("blob %v of %d bytes has no piece of %d bytes at %d, or no pack has it at %d", p.blob.BlobID, p.blob.Size, p.length, p.offset, p.at)
	}
	return nil
}

// comparePieces is the order of an index.
func comparePieces(a, b piece) int {
	if c := compareIDs(a.blob.BlobID, b.blob.BlobID); c != 0 {
		return c
	}
	switch {
	case a.offset == b.offset:
		return 0
	case a.offset < b.offset:
		return -1
	}
	return 1
}

// encodeIndex encodes pieces, which it sorts.
func encodeIndex(pieces []piece) []byte {
	slices.SortFunc(pieces, comparePieces)
	b := make([]byte, 0, indexHead+len(pieces)*indexRow+digest.SHA256Size)
	b = append(b, indexMagic...)
	b = binary.BigEndian.AppendUint32(b, indexVersion)
	b = binary.BigEndian.AppendUint32(b, uint32(len(pieces)))
	for i := range pieces {
		p := &pieces[i]
		for _, n := range [...]uint64{p.blob.Incarnation, p.blob.Counter, p.blob.Size, p.offset} {
			b = binary.BigEndian.AppendUint64(b, n)
		}
		for _, n := range [...]uint32{p.pack, p.at, p.length} {
			b = binary.BigEndian.AppendUint32(b, n)
		}
		b = append(b, p.sum[:]...)
	}
	sum := digest.SHA256(b)
	return append(b, sum[:]...)
}

// decodeIndex is the inverse of encodeIndex, strictly.
func decodeIndex(name string, b []byte) ([]piece, error) {
	body, err := unwrap(name, b, indexMagic, indexVersion, indexRow, indexPieces)
	if err != nil {
		return nil, err
	}
	pieces := make([]piece, len(body)/indexRow)
	for i := range pieces {
		row := body[i*indexRow:][:indexRow]
		p := &pieces[i]
		p.blob = Blob{BlobID{binary.BigEndian.Uint64(row), binary.BigEndian.Uint64(row[8:])}, binary.BigEndian.Uint64(row[16:])}
		p.offset = binary.BigEndian.Uint64(row[24:])
		p.pack, p.at, p.length = binary.BigEndian.Uint32(row[32:]), binary.BigEndian.Uint32(row[36:]), binary.BigEndian.Uint32(row[40:])
		copy(p.sum[:], row[44:])
		if err := p.check(); err != nil {
			return nil, damaged(name, "%v", err)
		}
		if i > 0 && comparePieces(pieces[i-1], *p) >= 0 {
			return nil, damaged(name, "its rows do not ascend")
		}
	}
	return pieces, nil
}

// unwrap checks magic, version, number of rows and sum, and returns the rows.
func unwrap(name string, b []byte, magic string, version uint32, row, most int) ([]byte, error) {
	head := len(magic) + 8
	if len(b) < head+digest.SHA256Size || string(b[:len(magic)]) != magic {
		return nil, damaged(name, "it is cut off, or is something else")
	}
	if err := checkVersion(name, binary.BigEndian.Uint32(b[len(magic):]), version); err != nil {
		return nil, err
	}
	rows := binary.BigEndian.Uint32(b[len(magic)+4:])
	body := b[head : len(b)-digest.SHA256Size]
	sum := digest.SHA256(b[:len(b)-digest.SHA256Size])
	switch {
	case !bytes.Equal(sum[:], b[len(b)-digest.SHA256Size:]):
		return nil, damaged(name, "its bytes have another SHA-256")
	case uint64(rows) > uint64(most) || uint64(rows)*uint64(row) != uint64(len(body)):
		return nil, damaged(name, "it has %d rows in %d bytes", rows, len(body))
	}
	return body, nil
}

// packName is where a pack of a run is.
func packName(run string, n uint32) string { return fmt.Sprintf("packs/%s/%06d", run, n) }

// indexName is where the index up to a pack, which it does not cover, is.
func indexName(run string, n uint32) string { return fmt.Sprintf("packs/%s/INDEX-%06d", run, n) }

// runName is what runs are called: when they began, and something random.
const runName = `[0-9]{8}T[0-9]{6}Z-[0-9a-f]{8}`

// ValidRun tells whether a run can be called so.
func ValidRun(run string) bool { return regexp.MustCompile(`^` + runName + `$`).MatchString(run) }

func parseIndexName(name string) (run string, n uint32, ok bool) {
	m := regexp.MustCompile(`^packs/(` + runName + `)/INDEX-([0-9]{6,9})$`).FindStringSubmatch(name)
	if m == nil {
		return "", 0, false
	}
	number, err := strconv.ParseUint(m[2], 10, 32)
	return m[1], uint32(number), err == nil && indexName(m[1], uint32(number)) == name
}
