package backup

import (
	"encoding/binary"
	"slices"

	"ironman/wal/digest"
)

// A list of blobs holds a row for each, ascending by id:
//
//	+----------+---------+------+  +-------------+---------+------+  +---------+
//	| IMBKBLOB | version | rows |  | incarnation | counter | size |  | SHA-256 |
//	| 8 bytes  | 4       | 4    |  | 8           | 8       | 8    |  | of all  |
//	+----------+---------+------+  +-------------+---------+------+  +---------+
//
// A point has one for all blobs of an incarnation whose counters differ in their last 18 bits
// alone: of what was written long ago the lists stay the same, and are not put again.
const (
	listMagic   = "IMBKBLOB"
	listVersion = 1
	listRow     = 8 * 3
	listBits    = 18
	maxList     = len(listMagic) + 8 + listRow<<listBits + digest.SHA256Size
)

// listOf tells which list a blob is in.
func listOf(id BlobID) BlobID { return BlobID{id.Incarnation, id.Counter >> listBits} }

func encodeBlobs(blobs []Blob) []byte {
	b := make([]byte, 0, len(listMagic)+8+len(blobs)*listRow+digest.SHA256Size)
	b = append(b, listMagic...)
	b = binary.BigEndian.AppendUint32(b, listVersion)
	b = binary.BigEndian.AppendUint32(b, uint32(len(blobs)))
	b = append(b, EncodeBlobRows(blobs)...)
	sum := digest.SHA256(b)
	return append(b, sum[:]...)
}

func decodeBlobs(name string, b []byte) ([]Blob, error) {
	body, err := unwrap(name, b, listMagic, listVersion, listRow, 1<<listBits)
	if err != nil {
		return nil, err
	}
	blobs, ok := DecodeBlobRows(body)
	if !ok {
		return nil, damaged(name, "its rows do not ascend, or are of no blobs")
	}
	return blobs, nil
}

// EncodeBlobRows writes the rows of blobs, which ascend.
func EncodeBlobRows(blobs []Blob) []byte {
	b := make([]byte, 0, len(blobs)*listRow)
	for _, x := range blobs {
		b = binary.BigEndian.AppendUint64(b, x.Incarnation)
		b = binary.BigEndian.AppendUint64(b, x.Counter)
		b = binary.BigEndian.AppendUint64(b, x.Size)
	}
	return b
}

// DecodeBlobRows is the inverse of EncodeBlobRows; false: these are no rows.
func DecodeBlobRows(b []byte) ([]Blob, bool) {
	if len(b)%listRow != 0 {
		return nil, false
	}
	blobs := make([]Blob, 0, len(b)/listRow)
	for row := range slices.Chunk(b, listRow) {
		x := Blob{BlobID{binary.BigEndian.Uint64(row), binary.BigEndian.Uint64(row[8:])}, binary.BigEndian.Uint64(row[16:])}
		if x.Size == 0 || x.Size > maxBlobBytes || len(blobs) > 0 && !blobs[len(blobs)-1].Less(x.BlobID) {
			return nil, false
		}
		blobs = append(blobs, x)
	}
	return blobs, true
}
